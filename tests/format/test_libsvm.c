// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "core/format/libsvm.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_libsvm set;
static tn_format_error error;

static void reset(void) { set = (tn_libsvm){0}; }
static void release(void) { tn_libsvm_free(&set); }

TestSuite(libsvm, .init = reset, .fini = release);

static bool parse(const char *text, const tn_libsvm_options *options) {
  tn_libsvm_free(&set);
  return tn_libsvm_parse("t.libsvm", text, strlen(text), options, &set, &error);
}

static void expect_parsed(const char *text, const tn_libsvm_options *options) {
  cr_assert(parse(text, options), "expected success, got: %s", error.text);
}

static void expect_refused(const char *text, const tn_libsvm_options *options, const char *message) {
  cr_assert(!parse(text, options), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(!set.labels && !set.indptr && !set.indices && !set.values && !set.classes && !set.codes);
}

/* ---- what is taken ---- */

Test(libsvm, rows_are_compressed_and_columns_count_from_zero) {
  expect_parsed("1 1:0.5 3:-2\n-1 2:1e2\n", NULL);
  EXPECT_INT(set.row_count, 2);
  EXPECT_INT(set.column_count, 3);
  EXPECT_INT(set.value_count, 3);
  size_t indptr[] = {0, 2, 3};
  int32_t indices[] = {0, 2, 1};
  double values[] = {0.5, -2, 100};
  for (size_t i = 0; i < 3; i++) EXPECT_INT(set.indptr[i], indptr[i]);
  for (size_t i = 0; i < 3; i++) EXPECT_INT(set.indices[i], indices[i]);
  for (size_t i = 0; i < 3; i++) EXPECT_REAL(set.values[i], values[i]);
}

Test(libsvm, integer_labels_are_classes_in_ascending_order) {
  expect_parsed("+1 1:1\n-1 1:1\n3 1:1\n-1 1:1\n", NULL);
  EXPECT_INT(set.class_count, 3);
  double classes[] = {-1, 1, 3};
  int32_t codes[] = {1, 0, 2, 0};
  for (size_t k = 0; k < 3; k++) EXPECT_REAL(set.classes[k], classes[k]);
  for (size_t i = 0; i < 4; i++) EXPECT_INT(set.codes[i], codes[i]);
}

Test(libsvm, real_labels_are_no_classes) {
  expect_parsed("1.5 1:1\n2 1:1\n", NULL);
  EXPECT_REAL(set.labels[0], 1.5);
  EXPECT_INT(set.class_count, 0);
  cr_assert(!set.classes && !set.codes);
}

Test(libsvm, comments_blank_lines_and_empty_rows_are_taken) {
  expect_parsed("\xef\xbb\xbf# head\n\n 2\t2:1 # tail\r\n3\n   \n4#\n", NULL);
  EXPECT_INT(set.row_count, 3);
  EXPECT_INT(set.value_count, 1);
  EXPECT_INT(set.indptr[1], 1);
  EXPECT_INT(set.indptr[3], 1);
  expect_parsed("5", NULL); // no values, no line end
  EXPECT_INT(set.column_count, 0);
}

Test(libsvm, index_zero_makes_the_file_count_from_zero) {
  expect_parsed("1 2:1\n1 0:7 1:8\n", NULL);
  EXPECT_INT(set.column_count, 3);
  EXPECT_INT(set.indices[0], 2);
  EXPECT_INT(set.indices[1], 0);
  tn_libsvm_options zero = {.base = TN_LIBSVM_BASE_ZERO}, one = {.base = TN_LIBSVM_BASE_ONE};
  expect_parsed("1 2:1\n", &zero);
  EXPECT_INT(set.indices[0], 2);
  EXPECT_INT(set.column_count, 3);
  expect_refused("1 2:1\n1 0:7\n", &one, "t.libsvm: line 2: expected an index from 1 to 2147483647, got 0");
}

Test(libsvm, columns_of_the_set_may_be_told) {
  tn_libsvm_options options = {.columns = 5};
  expect_parsed("1 2:1\n", &options);
  EXPECT_INT(set.column_count, 5);
  expect_refused("1 2:1\n1 6:1\n", &options, "t.libsvm: line 2: expected an index from 0 to 5, got 6");
  expect_refused("1 5:1\n1 0:1\n", &options,
                 "t.libsvm: line 2: the index 0 makes 6 columns, expected at most 5");
}

/* ---- what is refused ---- */

Test(libsvm, broken_rows_are_refused_with_their_line) {
  expect_refused("", NULL, "t.libsvm: no rows");
  expect_refused("# only\n", NULL, "t.libsvm: no rows");
  expect_refused("1 1:1\nx 1:1\n", NULL, "t.libsvm: line 2: expected a label, got 'x'");
  expect_refused("1:1\n", NULL, "t.libsvm: line 1: a row without a label");
  expect_refused("1,2 1:1\n", NULL, "t.libsvm: line 1: several labels, expected one");
  expect_refused("nan 1:1\n", NULL, "t.libsvm: line 1: expected a label, got 'nan'");
  expect_refused("1 qid:3 1:1\n", NULL, "t.libsvm: line 1: query ids (qid:) are not supported");
  expect_refused("1 2\n", NULL, "t.libsvm: line 1: expected INDEX:VALUE, got '2'");
  expect_refused("1 2:\n", NULL, "t.libsvm: line 1: expected a value, got the end of the line");
  expect_refused("1 2:1x\n", NULL, "t.libsvm: line 1: expected a blank, got 'x'");
  expect_refused("1 2:1e999\n", NULL,
                 "t.libsvm: line 1: expected a value, got a number beyond the range of a double");
  expect_refused("1 -2:1\n", NULL, "t.libsvm: line 1: expected an index from 0 to 2147483647, got -2");
  expect_refused("1 99999999999999999999:1\n", NULL,
                 "t.libsvm: line 1: expected an index from 0 to 2147483647, got 99999999999999999999");
  cr_assert(!tn_libsvm_parse("t.libsvm", "1 1:1\0", 6, NULL, &set, &error));
  EXPECT_TEXT(error.text, "t.libsvm: line 1: expected a blank, got a NUL byte");
}

Test(libsvm, indices_must_ascend) {
  expect_refused("1 2:1 2:1\n", NULL, "t.libsvm: line 1: index 2 after 2, but indices must ascend");
  expect_refused("1 3:1 2:1\n", NULL, "t.libsvm: line 1: index 2 after 3, but indices must ascend");
}

Test(libsvm, far_columns_take_no_memory) {
  expect_parsed("1 2147483647:1\n", NULL);
  EXPECT_INT(set.column_count, 2147483647);
  expect_refused("1 0:1 2147483647:1\n", NULL, "t.libsvm: more than 2147483647 columns");
}

/* ---- real data ---- */

Test(libsvm, a9a_has_its_published_size) {
  tn_libsvm_options options = {.columns = 123};
  cr_assert(tn_libsvm_read(data_path("tabular/a9a.libsvm.gz"), &options, &set, &error), "%s", error.text);
  EXPECT_INT(set.row_count, 32561);
  EXPECT_INT(set.column_count, 123);
  EXPECT_INT(set.class_count, 2);
  size_t positive = 0;
  for (size_t i = 0; i < set.row_count; i++) positive += (size_t)set.codes[i];
  EXPECT_INT(positive, 7841); // 24.1 % of 32,561, as in adult
}

Test(libsvm, cora_has_its_published_classes) {
  cr_assert(tn_libsvm_read(data_path("graphs/cora/cora.libsvm.gz"), NULL, &set, &error), "%s", error.text);
  EXPECT_INT(set.row_count, 2708);
  EXPECT_INT(set.column_count, 1433);
  size_t classes[7] = {0}, wanted[7] = {351, 217, 418, 818, 426, 298, 180};
  for (size_t i = 0; i < set.row_count; i++) classes[set.codes[i]]++;
  for (int k = 0; k < 7; k++) EXPECT_INT(classes[k], wanted[k]);
}
