// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "core/format/cifar.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_cifar set;
static tn_cifar_names names;
static tn_format_error error;
static unsigned char records[3 * (2 + TN_CIFAR_PIXELS)];

static void reset(void) {
  set = (tn_cifar){0};
  names = (tn_cifar_names){0};
}

static void release(void) {
  tn_cifar_free(&set);
  tn_cifar_names_free(&names);
}

TestSuite(cifar, .init = reset, .fini = release);

static void expect_refused(tn_cifar_kind kind, size_t size, const char *message) {
  cr_assert(!tn_cifar_parse("t.bin", records, size, kind, 0, &set, &error), "expected '%s', got success",
            message);
  EXPECT_TEXT(error.text, message);
  cr_assert(!set.images && !set.labels && !set.coarse);
}

Test(cifar, records_split_into_labels_and_images) {
  size_t record = 1 + TN_CIFAR_PIXELS;
  for (size_t i = 0; i < 3; i++) {
    records[i * record] = (unsigned char)(9 - i);
    records[i * record + 1] = (unsigned char)(10 + i);                // first red
    records[i * record + TN_CIFAR_PIXELS] = (unsigned char)(200 + i); // last blue
  }
  cr_assert(tn_cifar_parse("t.bin", records, 3 * record, TN_CIFAR_10, 0, &set, &error), "%s", error.text);
  EXPECT_INT(set.count, 3);
  cr_assert(set.coarse == NULL);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_INT(set.labels[i], 9 - i);
    EXPECT_INT(set.images[i * TN_CIFAR_PIXELS], 10 + i);
    EXPECT_INT(set.images[(i + 1) * TN_CIFAR_PIXELS - 1], 200 + i);
  }
}

Test(cifar, hundred_classes_have_coarse_and_fine_labels) {
  records[0] = 19;
  records[1] = 99;
  records[2] = 7;
  cr_assert(tn_cifar_parse("t.bin", records, 2 + TN_CIFAR_PIXELS, TN_CIFAR_100, 0, &set, &error), "%s",
            error.text);
  EXPECT_INT(set.count, 1);
  EXPECT_INT(set.coarse[0], 19);
  EXPECT_INT(set.labels[0], 99);
  EXPECT_INT(set.images[0], 7);
}

Test(cifar, partial_records_and_wrong_labels_are_refused) {
  expect_refused(TN_CIFAR_10, 0, "t.bin: empty file");
  expect_refused(TN_CIFAR_10, 3074, "t.bin: offset 3074: the file ends inside a record of 3073 bytes");
  expect_refused(TN_CIFAR_100, 3073, "t.bin: offset 3073: the file ends inside a record of 3074 bytes");
  records[3073] = 10;
  expect_refused(TN_CIFAR_10, 2 * 3073, "t.bin: offset 3073: label 10, expected 0 to 9");
  records[0] = 20;
  expect_refused(TN_CIFAR_100, 3074, "t.bin: offset 0: label 20, expected 0 to 19");
  records[0] = 0;
  records[1] = 100;
  expect_refused(TN_CIFAR_100, 3074, "t.bin: offset 1: label 100, expected 0 to 99");
}

static bool parse_names(const char *text) {
  tn_cifar_names_free(&names);
  return tn_cifar_names_parse("t.txt", text, strlen(text), &names, &error);
}

Test(cifar, names_come_in_order) {
  cr_assert(parse_names("airplane\r\n maple tree \nbird\n\n"), "%s", error.text);
  EXPECT_INT(names.count, 3);
  EXPECT_TEXT(names.names[0], "airplane");
  EXPECT_TEXT(names.names[1], "maple tree");
  EXPECT_TEXT(names.names[2], "bird");
  cr_assert(parse_names("a\nb"));
  EXPECT_TEXT(names.names[1], "b");
}

Test(cifar, broken_names_are_refused) {
  static const char *const wrong[][2] = {{"", "t.txt: no names"},
                                         {"\n\n", "t.txt: no names"},
                                         {"a\n\nb\n", "t.txt: line 2: blank line"},
                                         {"a\nb\na\n", "t.txt: line 3: 'a' occurs twice"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    cr_assert(!parse_names(wrong[i][0]));
    EXPECT_TEXT(error.text, wrong[i][1]);
    cr_assert(!names.names && !names.text);
  }
}

Test(cifar, the_test_part_is_balanced) {
  cr_assert(tn_cifar_read(data_path("cifar10/test_batch.bin.gz"), TN_CIFAR_10, 0, &set, &error), "%s",
            error.text);
  EXPECT_INT(set.count, 2000);
  size_t classes[10] = {0};
  for (size_t i = 0; i < set.count; i++) classes[set.labels[i]]++;
  for (int k = 0; k < 10; k++) EXPECT_INT(classes[k], 200);
  cr_assert(tn_cifar_names_read(data_path("cifar10/batches.meta.txt"), &names, &error), "%s", error.text);
  EXPECT_INT(names.count, 10);
  EXPECT_TEXT(names.names[9], "truck");
}
