// SPDX-License-Identifier: MIT
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/dataset.h>
#include <unistd.h>

TestSuite(datasets, .fini = harness_close);

#define DIGITS "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"

/* A part of data set [d]. */
static tn_component part(const char *name) {
  tn_component c = *harness_component("d");
  c.part = name;
  return c;
}
static int64_t rows(const char *name) {
  const tn_component c = part(name);
  return tn_dataset_rows(&c);
}
static tn_fields *rows_at(const char *name, const int64_t *index, int64_t count) {
  const tn_component c = part(name);
  tn_fields *fields = tn_fields_new();
  cr_assert(tn_dataset_read(&c, index, count, fields) >= 0, "%s", harness_failure());
  return fields;
}
/* All of a part. */
static tn_fields *everything(const char *name) {
  int64_t index[4096];
  const int64_t count = rows(name);
  for (int64_t i = 0; i < count; i++) index[i] = i;
  return rows_at(name, index, count);
}
static double cell(const tn_fields *fields, const char *field, int64_t at) {
  return harness_at(tn_field(fields, field), at);
}
/* A file of the test's own. */
static const char *write_file(const char *name, const char *text) {
  static char path[2][128];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "/tmp/tenon-%d-%s", (int)getpid(), name);
  FILE *file = fopen(path[turn], "w");
  fputs(text, file);
  fclose(file);
  return path[turn];
}
static void open_table(const char *text, const char *keys) {
  char sections[1024];
  snprintf(sections, sizeof sections, "[d]\nuse = dataset.csv\nfile = %s\n%s", write_file("table.csv", text),
           keys);
  harness_open("float64", sections);
}

Test(datasets, digits_as_images_in_unit_range) {
  harness_open("float32", DIGITS "image = 1, 8, 8\nscale = 16\n");
  EXPECT_INT(rows("all"), 1797);
  EXPECT_INT(rows("test"), 359); /* 20 % of 1797 = 359.4 */
  EXPECT_INT(rows("train"), 1797 - 359);
  EXPECT_INT(rows(""), 1797 - 359);
  tn_spec *spec = tn_spec_new();
  tn_dataset_describe(harness_component("d"), spec);
  const tn_field_spec *image = tn_spec_find(spec, "image"), *label = tn_spec_find(spec, "label");
  EXPECT_INT(image->shape.ndim, 3);
  EXPECT_INT(image->shape.dim[2], 8);
  EXPECT_INT(label->classes, 10);
  tn_spec_release(spec);
  /* the file's first line: 0,0,5,13,9,1,... and the label 0 */
  const tn_fields *first = rows_at("all", (const int64_t[]){0, 1, 0}, 3);
  EXPECT_INT(tn_dim(tn_field(first, "image"), 0), 3);
  EXPECT_NEAR(cell(first, "image", 3), 13.0 / 16, 1e-7);
  EXPECT_NEAR(cell(first, "image", 128 + 3), 13.0 / 16, 1e-7);
  EXPECT_INT(cell(first, "label", 0), 0);
  EXPECT_INT(cell(first, "label", 1), 1);
  EXPECT_TEXT(tn_dataset_class_name(harness_component("d"), "label", 7), "7");
}

/* Every row in exactly one part: rows of `all` are counted by a hash of their numbers and found again. */
static uint64_t hash_row(const tn_fields *fields, int64_t row, int64_t width) {
  uint64_t h = 1469598103934665603u;
  for (int64_t j = 0; j < width; j++)
    h = (h ^ (uint64_t)(int64_t)(1000 * cell(fields, "input", row * width + j))) * 1099511628211u;
  return h;
}
static int compare_hashes(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}
Test(datasets, parts_are_disjoint_and_complete) {
  static uint64_t whole[2000], pieces[2000];
  harness_open("float32", DIGITS "validation = 10%\nsplit_seed = 3\n");
  const tn_fields *all = everything("all");
  const int64_t count = rows("all");
  for (int64_t i = 0; i < count; i++) whole[i] = hash_row(all, i, 64);
  int64_t seen = 0;
  const char *const names[] = {"train", "validation", "test"};
  for (int n = 0; n < 3; n++) {
    const tn_fields *some = everything(names[n]);
    for (int64_t i = 0; i < rows(names[n]); i++) pieces[seen++] = hash_row(some, i, 64);
  }
  EXPECT_INT(seen, count);
  qsort(whole, (size_t)count, sizeof *whole, compare_hashes);
  qsort(pieces, (size_t)count, sizeof *pieces, compare_hashes);
  cr_assert(memcmp(whole, pieces, (size_t)count * sizeof *whole) == 0);
}

/* Each class is in each part with its share, to within one row. */
Test(datasets, splits_are_stratified_and_reproducible) {
  int64_t in_part[10] = {0}, in_all[10] = {0};
  double first[64];
  for (int round = 0; round < 2; round++) {
    harness_open(round ? "float64" : "float32", DIGITS "test = 25%\n");
    const tn_fields *test = everything("test");
    for (int j = 0; j < 64; j++) {
      if (round == 0)
        first[j] = cell(test, "input", j);
      else
        EXPECT_REAL(cell(test, "input", j), first[j]);
    }
  }
  const tn_fields *all = everything("all"), *test = everything("test");
  for (int64_t i = 0; i < rows("all"); i++) in_all[(int)cell(all, "label", i)]++;
  for (int64_t i = 0; i < rows("test"); i++) in_part[(int)cell(test, "label", i)]++;
  for (int c = 0; c < 10; c++)
    cr_assert(fabs((double)in_part[c] - 0.25 * (double)in_all[c]) < 1, "class %d: %d of %d", c,
              (int)in_part[c], (int)in_all[c]);
  double sum[2] = {0};
  for (int round = 0; round < 2; round++) {
    harness_open("float32", round ? DIGITS "split_seed = 1\n" : DIGITS);
    const tn_fields *other = everything("test");
    for (int64_t i = 0; i < 64 * rows("test"); i++) sum[round] += cell(other, "input", i);
  }
  cr_assert(sum[0] != sum[1], "another seed, another split");
}

/* Numbers keep their place, texts become one column a word in the order of bytes, and one for empty cells. */
Test(datasets, categories_and_empty_cells) {
  open_table("age,colour,grade\n1,red,good\n?,blue,bad\n3,,good\n8,red,\n", "test = 0\nscale = 2\n");
  const tn_fields *all = everything("all");
  const double wanted[4][4] = {{0.5, 0, 1, 0}, {2, 1, 0, 0}, {1.5, 0, 0, 1}, {4, 0, 1, 0}}; /* mean age 4 */
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) EXPECT_NEAR(cell(all, "input", 4 * i + j), wanted[i][j], 1e-15);
  const int labels[] = {1, 0, 1, -1}; /* bad, good */
  for (int i = 0; i < 4; i++) EXPECT_INT(cell(all, "label", i), labels[i]);
  EXPECT_TEXT(tn_dataset_class_name(harness_component("d"), "label", 1), "good");
}

Test(datasets, regression_targets_and_dropped_columns) {
  open_table("id,x,y,z\n1,10,0.5,7\n2,20,1.5,8\n3,30,2.5,9\n", "target = y, 4\ndrop = id\ntest = 1\n");
  const tn_fields *all = everything("all");
  EXPECT_INT(tn_numel(tn_field(all, "input")), 3);
  EXPECT_INT(tn_dim(tn_field(all, "target"), 1), 2);
  EXPECT_REAL(cell(all, "target", 2), 1.5);
  EXPECT_REAL(cell(all, "target", 3), 8);
  cr_assert(tn_fields_find(all, "label") == NULL);
  EXPECT_INT(rows("test"), 1);
  EXPECT_INT(rows("train"), 2);
}

Test(datasets, positive_labels_and_numeric_categories) {
  open_table("kind,label\n3,CYT\n1,NUC\n3,MIT\n2,CYT\n",
             "positive = MIT, NUC\ncategorical = kind\ntest = 0\n");
  const tn_fields *all = everything("all");
  const int labels[] = {0, 1, 1, 0};
  for (int i = 0; i < 4; i++) EXPECT_INT(cell(all, "label", i), labels[i]);
  EXPECT_INT(tn_dim(tn_field(all, "input"), 1), 3);
  EXPECT_REAL(cell(all, "input", 2), 1); /* kind 3 is the third of 1, 2, 3 */
}

Test(datasets, test_file_shares_the_encoding) {
  const char *test = write_file("test.csv", "colour,label\ngreen,b\nred,a\n");
  char keys[256];
  snprintf(keys, sizeof keys, "test_file = %s\n", test);
  open_table("colour,label\nred,a\nblue,b\nred,c\n", keys);
  EXPECT_INT(rows("train"), 3);
  EXPECT_INT(rows("test"), 2);
  const tn_fields *some = everything("test");
  const double wanted[2][3] = {{0, 1, 0}, {0, 0, 1}}; /* blue, green, red */
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++) EXPECT_REAL(cell(some, "input", 3 * i + j), wanted[i][j]);
  EXPECT_INT(cell(some, "label", 0), 1);
}

Test(datasets, refusals_name_what_is_wrong) {
  EXPECT_CONTAINS(harness_refusal("float32", DIGITS "label = nobody\n"), "nobody");
  EXPECT_CONTAINS(harness_refusal("float32", DIGITS "image = 1, 8, 9\n"), "64 features");
  EXPECT_CONTAINS(harness_refusal("float32", DIGITS "test = 60%\nvalidation = 40%\n"), "leave none");
  EXPECT_CONTAINS(harness_refusal("float32", "[d]\nuse = dataset.csv\nfile = /nowhere.csv\n"),
                  "/nowhere.csv");
  EXPECT_CONTAINS(harness_refusal("float32", "[d]\nuse = dataset.csv\n"), "file");
}

/* Two images of 4 x 4 and their labels, written by hand. */
static void write_idx(const char *images, const char *labels) {
  const unsigned char head[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4};
  const unsigned char label[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 1};
  FILE *file = fopen(images, "wb");
  fwrite(head, 1, sizeof head, file);
  for (int i = 0; i < 32; i++) fputc(i < 16 ? i : 255 - i, file);
  fclose(file);
  file = fopen(labels, "wb");
  fwrite(label, 1, sizeof label, file);
  fclose(file);
}
Test(datasets, idx_images_labels_and_averages) {
  char images[64], labels[64], sections[512];
  snprintf(images, sizeof images, "/tmp/tenon-%d-images", (int)getpid());
  snprintf(labels, sizeof labels, "/tmp/tenon-%d-labels", (int)getpid());
  write_idx(images, labels);
  snprintf(sections, sizeof sections,
           "[d]\nuse = dataset.idx\nimages = %s\nlabels = %s\ntest_images = %s\ntest_labels = %s\n"
           "test_limit = 1\nclass_names = zero, one, two, three, four\n",
           images, labels, images, labels);
  harness_open("float32", sections);
  const tn_fields *all = rows_at("train", (const int64_t[]){1, 0}, 2);
  EXPECT_INT(tn_ndim(tn_field(all, "image")), 4);
  EXPECT_REAL(cell(all, "image", 0), (double)(239.0f / 255));
  EXPECT_REAL(cell(all, "image", 16 + 5), (double)(5.0f / 255));
  EXPECT_INT(cell(all, "label", 1), 3);
  EXPECT_INT(rows("test"), 1);
  EXPECT_TEXT(tn_dataset_class_name(harness_component("d"), "label", 3), "three");

  snprintf(sections, sizeof sections,
           "[d]\nuse = dataset.idx\nimages = %s\nlabels = %s\naverage = 2\nvalidation = 50%%\nscale = 1\n",
           images, labels);
  harness_open("float64", sections);
  EXPECT_INT(rows("train"), 1);
  EXPECT_INT(rows("validation"), 1);
  const tn_fields *small = everything("train");
  EXPECT_INT(tn_numel(tn_field(small, "image")), 4);
  EXPECT_REAL(cell(small, "image", 0), 2.5); /* (0 + 1 + 4 + 5) / 4 */
  EXPECT_REAL(cell(small, "image", 3), 12.5);

  snprintf(sections, sizeof sections,
           "[d]\nuse = dataset.idx\nimages = %s\nlabels = %s\nsubsample = 3\nscale = 1\n", images, labels);
  harness_open("float64", sections);
  const double corners[] = {0, 3, 12, 15}; /* rows and columns 0 and 3 of the first image */
  const tn_fields *sparse = everything("train");
  for (int i = 0; i < 4; i++) EXPECT_REAL(cell(sparse, "image", i), corners[i]);
}

/* NA and -1 hold no value: they become the mean 4 of the others. */
Test(datasets, texts_that_mean_missing) {
  open_table("x,label\n3,0\nNA,1\n5,0\n-1,1\n", "missing = NA, -1\ntest = 0\n");
  const double wanted[] = {3, 4, 5, 4};
  const tn_fields *all = everything("all");
  for (int i = 0; i < 4; i++) EXPECT_REAL(cell(all, "input", i), wanted[i]);
}
