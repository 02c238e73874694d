// SPDX-License-Identifier: MIT
/* Tiny files of the formats that data sets and problems read. Their numbers are fixed: what depends on the
 * seed is made in memory. */
#include "core/conformance/subject.h"
#include "core/format/npz.h"
#include "core/format/png.h"
#include <math.h>
#include <string.h>
#include <sys/stat.h>

const char *const tn_sample_names[] = {"numbers.csv", "images.idx", "text.txt",  "cifar.bin", "sparse.svm",
                                       "arrays.npz",  "array.npy",  "pictures",  "graphs",    "records.jsonl",
                                       "cities.tsp",  "labels.idx", "images.csv"};
const uint32_t tn_sample_count = TN_ARRAY_LENGTH(tn_sample_names);

enum { ROWS = 48, CLASSES = 3, FEATURES = 6, SIDE = 8 };

/* A smooth, irregular number in [0, 1): no two alike, so that neighbours and orders are without ties. */
static double value_at(int row, int column) {
  const double x = 0.618033988749895 * row + 0.7548776662466927 * column + 0.01 * row * column;
  return x - floor(x);
}
static int label_at(int row) { return row % CLASSES; }

static FILE *make(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return fopen(path, "wb");
}
static void done(FILE *out) {
  if (out) fclose(out);
}

/* rows x columns numbers, and the label or three targets. `turn` reverses the order of the rows. */
static void table(const char *folder, const char *name, int columns, int targets, bool turn) {
  FILE *out = make(folder, name);
  if (!out) return;
  for (int c = 0; c < columns; c++) fprintf(out, "x%d,", c);
  for (int c = 0; c < targets; c++) fprintf(out, "y%d%s", c, c + 1 < targets ? "," : "\n");
  if (targets == 0) fputs("label\n", out);
  for (int i = 0; i < ROWS; i++) {
    const int row = turn ? ROWS - 1 - i : i, label = label_at(row);
    for (int c = 0; c < columns; c++)
      fprintf(out, "%.6f,", value_at(row, c) + (c % CLASSES == label && targets == 0 ? 1.0 : 0.0));
    for (int c = 0; c < targets; c++)
      fprintf(out, "%.6f%s", value_at(row, c) - value_at(row, c + 1), c + 1 < targets ? "," : "\n");
    if (targets == 0) fprintf(out, "%d\n", label);
  }
  done(out);
}

static void idx(const char *folder) {
  FILE *images = make(folder, "images.idx"), *labels = make(folder, "labels.idx");
  if (images) fwrite("\0\0\x08\x03\0\0\0\x30\0\0\0\x08\0\0\0\x08", 1, 16, images);
  if (labels) fwrite("\0\0\x08\x01\0\0\0\x30", 1, 8, labels);
  for (int row = 0; images && labels && row < ROWS; row++) {
    fputc(label_at(row), labels);
    for (int i = 0; i < SIDE * SIDE; i++) fputc((int)(255 * value_at(row, i)), images);
  }
  done(images);
  done(labels);
}

static void cifar(const char *folder) {
  FILE *out = make(folder, "cifar.bin");
  for (int row = 0; out && row < 12; row++) {
    fputc(label_at(row), out);
    for (int i = 0; i < 3072; i++) fputc((int)(255 * value_at(row, i)), out);
  }
  done(out);
}

static void arrays(const char *folder) {
  static float image[ROWS * SIDE * SIDE];
  static int64_t label[ROWS];
  char path[4096];
  tn_format_error error;
  for (int row = 0; row < ROWS; row++) {
    label[row] = label_at(row);
    for (int i = 0; i < SIDE * SIDE; i++) image[row * SIDE * SIDE + i] = (float)value_at(row, i);
  }
  tn_npz_array items[] = {
      {(char *)(uintptr_t) "image", {TN_NPY_F32, 4, {ROWS, 1, SIDE, SIDE}, ROWS * SIDE * SIDE, image}},
      {(char *)(uintptr_t) "label", {TN_NPY_I64, 1, {ROWS}, ROWS, label}}};
  snprintf(path, sizeof path, "%s/array.npy", folder);
  tn_npy_write(path, &items[0].array, &error);
  snprintf(path, sizeof path, "%s/arrays.npz", folder);
  tn_npz_write(path, &(tn_npz){2, items}, false, &error);
}

/* A folder a class. */
static void pictures(const char *folder) {
  char path[4200];
  uint8_t pixels[SIDE * SIDE];
  tn_format_error error;
  snprintf(path, sizeof path, "%s/pictures", folder);
  mkdir(path, 0755);
  for (int row = 0; row < 12; row++) {
    snprintf(path, sizeof path, "%s/pictures/class%d", folder, label_at(row));
    mkdir(path, 0755);
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = (uint8_t)(255 * value_at(row, i));
    snprintf(path, sizeof path, "%s/pictures/class%d/%d.png", folder, label_at(row), row);
    tn_png_write(path, &(tn_png){.width = SIDE, .height = SIDE, .channels = 1, .pixels = pixels}, &error);
  }
}

/* Rings and paths of five nodes. */
static void graphs(const char *folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/graphs", folder);
  mkdir(path, 0755);
  FILE *edges = make(folder, "graphs/graphs_A.txt"),
       *owners = make(folder, "graphs/graphs_graph_indicator.txt"),
       *labels = make(folder, "graphs/graphs_graph_labels.txt"),
       *nodes = make(folder, "graphs/graphs_node_labels.txt"),
       *numbers = make(folder, "graphs/graphs_node_attributes.txt");
  for (int g = 0; edges && owners && labels && nodes && numbers && g < 24; g++) {
    fprintf(labels, "%d\n", g % 2);
    for (int i = 0; i < 5; i++) {
      fprintf(owners, "%d\n", g + 1);
      fprintf(nodes, "%d\n", (g + i) % 3);
      fprintf(numbers, "%.6f, %.6f\n", value_at(g, i), value_at(g, i + 7));
      if (i == 4 && g % 2) continue;
      const int a = 5 * g + i + 1, b = 5 * g + (i + 1) % 5 + 1;
      fprintf(edges, "%d, %d\n%d, %d\n", a, b, b, a);
    }
  }
  done(edges), done(owners), done(labels), done(nodes), done(numbers);
}

static void texts(const char *folder) {
  FILE *out = make(folder, "text.txt");
  for (int i = 0; out && i < 40; i++) fprintf(out, "the quick brown fox %d jumps over\n", i * 7 % 10);
  done(out);
  out = make(folder, "sparse.svm");
  for (int row = 0; out && row < ROWS; row++) {
    fprintf(out, "%d", label_at(row));
    for (int c = 0; c < FEATURES; c++)
      if ((row + c) % 3) fprintf(out, " %d:%.6f", c + 1, value_at(row, c));
    fputc('\n', out);
  }
  done(out);
  out = make(folder, "records.jsonl");
  for (int row = 0; out && row < ROWS; row++)
    fprintf(out, "{\"input\": [%.6f, %.6f], \"label\": %d, \"text\": \"row %d\"}\n", value_at(row, 0),
            value_at(row, 1), label_at(row), row);
  done(out);
  out = make(folder, "cities.tsp");
  if (out)
    fputs("NAME: cities\nTYPE: TSP\nDIMENSION: 8\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n", out);
  for (int i = 0; out && i < 8; i++)
    fprintf(out, "%d %.3f %.3f\n", i + 1, 100 * value_at(i, 0), 100 * value_at(i, 1));
  if (out) fputs("EOF\n", out);
  done(out);
}

void tn_samples_write(const char *folder) {
  table(folder, "numbers.csv", FEATURES, 0, false);
  table(folder, "turned.csv", FEATURES, 0, true);
  table(folder, "targets.csv", FEATURES, 3, false);
  table(folder, "images.csv", SIDE * SIDE, 0, false);
  idx(folder);
  cifar(folder);
  arrays(folder);
  pictures(folder);
  graphs(folder);
  texts(folder);
}
