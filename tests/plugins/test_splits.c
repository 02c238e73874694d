// SPDX-License-Identifier: MIT
/* How rows are dealt to parts: sizes, orders, shares of classes, and that all data sets do it alike. */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/dataset.h>
#include <unistd.h>

TestSuite(splits, .fini = harness_close);

static tn_component part(const char *name) {
  tn_component c = *harness_component("d");
  c.part = name;
  return c;
}
static int64_t rows(const char *name) {
  const tn_component c = part(name);
  return tn_dataset_rows(&c);
}
/* Element `i` of field `field` of each row of a part, into `values`; the number of rows. */
static int64_t column(const char *name, const char *field, double *values) {
  const tn_component c = part(name);
  const int64_t count = tn_dataset_rows(&c);
  cr_assert(count >= 0, "%s", harness_failure());
  for (int64_t i = 0; i < count; i++) {
    tn_fields *fields = tn_fields_new();
    cr_assert(tn_dataset_read(&c, &i, 1, fields) >= 0, "%s", harness_failure());
    values[i] = harness_at(tn_field(fields, field), 0);
  }
  return count;
}

/* Twelve rows: x = 0 .. 11, labels 0 0 0 0 0 0 1 1 1 1 2 2. */
static const char *table_file(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/tenon-%d-rows.csv", (int)getpid());
  FILE *file = fopen(path, "w");
  fputs("x,label\n", file);
  for (int i = 0; i < 12; i++) fprintf(file, "%d,%d\n", i, i < 6 ? 0 : i < 10 ? 1 : 2);
  fclose(file);
  return path;
}
static void open_table(const char *keys) {
  char text[512];
  snprintf(text, sizeof text, "[d]\nuse = dataset.csv\nfile = %s\n%s", table_file(), keys);
  harness_open("float64", text);
}
static void expect_column(const char *name, const double *wanted, int64_t count) {
  double values[16];
  EXPECT_INT(column(name, "input", values), count);
  for (int64_t i = 0; i < count; i++) EXPECT_REAL(values[i], wanted[i]);
}

/* In the order of the file: train from its beginning, test at its end, validation in front of it. */
Test(splits, file_order_takes_stretches) {
  open_table("order = file\ntrain = 4\nvalidation = 3\ntest = 2\n");
  expect_column("train", (const double[]){0, 1, 2, 3}, 4);
  expect_column("validation", (const double[]){7, 8, 9}, 3);
  expect_column("test", (const double[]){10, 11}, 2);
  EXPECT_INT(rows("all"), 12);
}

/* Two of each class, the first ones for train, the last for test. */
Test(splits, balanced_parts_have_equal_classes) {
  open_table("order = file\nbalanced = yes\ntest = 3\ntrain = 3\n");
  expect_column("test", (const double[]){5, 9, 11}, 3);
  expect_column("train", (const double[]){0, 6, 10}, 3);
  open_table("balanced = yes\ntest = 0\n"); /* as many as the smallest class has: 2 */
  double labels[16];
  int64_t times[3] = {0};
  EXPECT_INT(column("train", "label", labels), 6);
  for (int i = 0; i < 6; i++) times[(int)labels[i]]++;
  for (int c = 0; c < 3; c++) EXPECT_INT(times[c], 2);
}

/* Shares of 6, 4 and 2 rows in six test rows: 3, 2, 1; and in the three rows kept of the six left. */
Test(splits, strata_keep_their_shares) {
  open_table("test = 6\ntrain = 3\n");
  double labels[16];
  int64_t test[3] = {0}, train[3] = {0};
  EXPECT_INT(column("test", "label", labels), 6);
  for (int i = 0; i < 6; i++) test[(int)labels[i]]++;
  EXPECT_INT(column("train", "label", labels), 3);
  for (int i = 0; i < 3; i++) train[(int)labels[i]]++;
  const int64_t wanted[] = {3, 2, 1};
  for (int c = 0; c < 3; c++) EXPECT_INT(test[c], wanted[c]);
  for (int c = 0; c < 3; c++) cr_assert(llabs(2 * train[c] - wanted[c]) <= 1);
}

/* The pipeline's seed does not matter, split_seed does, and parts never share a row. */
Test(splits, split_seed_alone_decides) {
  double first[16], other[16], test[16];
  open_table("train = 5\ntest = 5\n");
  column("train", "input", first);
  column("test", "input", test);
  for (int i = 0; i < 5; i++)
    for (int k = 0; k < 5; k++) cr_assert(first[i] != test[k]);
  bool differs = false;
  for (int seed = 1; seed < 4; seed++) {
    char keys[64];
    snprintf(keys, sizeof keys, "train = 5\ntest = 5\nsplit_seed = %d\n", seed);
    open_table(keys);
    column("train", "input", other);
    for (int i = 0; i < 5; i++) differs |= other[i] != first[i];
  }
  cr_assert(differs);
}

Test(splits, too_many_rows_are_refused) {
  char text[512];
  const struct {
    const char *keys, *message;
  } cases[] = {
      {"test = 7\nvalidation = 5\n", "7 test and 5 validation rows leave none of 12"},
      {"test = 2\ntrain = 11\n", "train = 11: 2 test and 0 validation rows leave 10 of 12"},
      {"balanced = yes\ntest = 0\ntrain = 9\n", "balanced: 3 rows of class 2 are wanted, 2 are left"},
  };
  for (size_t i = 0; i < TN_ARRAY_LENGTH(cases); i++) {
    snprintf(text, sizeof text, "[d]\nuse = dataset.csv\nfile = %s\n%s", table_file(), cases[i].keys);
    EXPECT_CONTAINS(harness_refusal("float64", text), cases[i].message);
  }
}

/* A test file of its own: all its rows, or as many as are asked for. */
Test(splits, rows_of_a_test_file) {
  char keys[256];
  snprintf(keys, sizeof keys, "test_file = %s\norder = file\nvalidation = 2\n", table_file());
  open_table(keys);
  EXPECT_INT(rows("test"), 12);
  EXPECT_INT(rows("train"), 10);
  snprintf(keys, sizeof keys, "test_file = %s\norder = file\ntest = 3\n", table_file());
  open_table(keys);
  expect_column("test", (const double[]){0, 1, 2}, 3);
  EXPECT_INT(rows("all"), 24);
}

/* Ten images of one pixel, 25.5 i, of class i mod 2. */
Test(splits, images_are_dealt_like_tables) {
  char images[64], labels[64], text[512];
  snprintf(images, sizeof images, "/tmp/tenon-%d-i", (int)getpid());
  snprintf(labels, sizeof labels, "/tmp/tenon-%d-l", (int)getpid());
  FILE *file = fopen(images, "wb");
  fwrite((const unsigned char[]){0, 0, 8, 3, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1}, 1, 16, file);
  for (int i = 0; i < 10; i++) fputc(i, file);
  fclose(file);
  file = fopen(labels, "wb");
  fwrite((const unsigned char[]){0, 0, 8, 1, 0, 0, 0, 10}, 1, 8, file);
  for (int i = 0; i < 10; i++) fputc(i % 2, file);
  fclose(file);
  const char *form = "[d]\nuse = dataset.idx\nimages = %s\nlabels = %s\nscale = 1\n%s";
  snprintf(text, sizeof text, form, images, labels, "train = 3\nvalidation = 2\ntest = 4\n");
  harness_open("float64", text);
  double values[16];
  EXPECT_INT(column("train", "image", values), 3);
  for (int i = 0; i < 3; i++) EXPECT_REAL(values[i], i);
  EXPECT_INT(column("validation", "image", values), 2);
  EXPECT_REAL(values[0], 4);
  EXPECT_INT(column("test", "image", values), 4);
  EXPECT_REAL(values[3], 9);
  snprintf(text, sizeof text, form, images, labels, "train = 6\norder = shuffled\nbalanced = yes\n");
  harness_open("float64", text);
  EXPECT_INT(column("train", "label", values), 6);
  double ones = 0;
  for (int i = 0; i < 6; i++) ones += values[i];
  EXPECT_REAL(ones, 3);
}

/* Conditions and values make class 1: rings >= 8 or 2. */
Test(splits, positive_takes_conditions) {
  open_table("label = x\npositive = >= 8, 2\ntest = 0\n");
  double labels[16];
  EXPECT_INT(column("train", "label", labels), 12);
  for (int i = 0; i < 12; i++) EXPECT_REAL(labels[i], i >= 8 || i == 2);
  open_table("label = x\npositive = < 3\ntest = 0\n");
  column("train", "label", labels);
  for (int i = 0; i < 12; i++) EXPECT_REAL(labels[i], i < 3);
  char text[512];
  snprintf(text, sizeof text, "[d]\nuse = dataset.csv\nfile = %s\npositive = > many\n", table_file());
  EXPECT_CONTAINS(harness_refusal("float64", text), "positive: '> many': expected a number behind >");
  snprintf(text, sizeof text, "[d]\nuse = dataset.csv\nfile = %s\npositive = > 2\n", table_file());
  EXPECT_CONTAINS(harness_refusal("float64", text), "positive: no row has the label '> 2'");
}
