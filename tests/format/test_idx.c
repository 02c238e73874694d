// SPDX-License-Identifier: MIT
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/idx.h"
#include "tests/expect.h"

static tn_idx idx;
static tn_format_error error;

static void reset(void) { idx = (tn_idx){0}; }
static void release(void) { tn_idx_free(&idx); }

TestSuite(idx, .init = reset, .fini = release);

#define BYTES(...) ((const unsigned char[]){__VA_ARGS__}), sizeof((const unsigned char[]){__VA_ARGS__})

static void expect_parsed(const unsigned char *bytes, size_t size) {
  tn_idx_free(&idx);
  cr_assert(tn_idx_parse("t.idx", bytes, size, 0, &idx, &error), "expected success, got: %s", error.text);
}

static void expect_refused(const char *message, const unsigned char *bytes, size_t size) {
  tn_idx_free(&idx);
  cr_assert(!tn_idx_parse("t.idx", bytes, size, 0, &idx, &error), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(idx.data == NULL);
}

/* ---- what is taken ---- */

Test(idx, bytes_come_with_their_shape) {
  expect_parsed(BYTES(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255));
  EXPECT_INT(idx.type, TN_IDX_U8);
  EXPECT_INT(idx.dims, 2);
  EXPECT_INT(idx.shape[0], 2);
  EXPECT_INT(idx.shape[1], 3);
  EXPECT_INT(idx.shape[2], 1);
  EXPECT_INT(idx.count, 6);
  EXPECT_INT(((uint8_t *)idx.data)[5], 255);
}

Test(idx, wide_values_come_in_host_order) {
  expect_parsed(BYTES(0, 0, 0x09, 1, 0, 0, 0, 2, 0x80, 0x7f));
  EXPECT_INT(((int8_t *)idx.data)[0], -128);
  expect_parsed(BYTES(0, 0, 0x0b, 1, 0, 0, 0, 2, 0x01, 0x02, 0xff, 0xfe));
  EXPECT_INT(((int16_t *)idx.data)[0], 258);
  EXPECT_INT(((int16_t *)idx.data)[1], -2);
  expect_parsed(BYTES(0, 0, 0x0c, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfd));
  EXPECT_INT(((int32_t *)idx.data)[0], -3);
  expect_parsed(BYTES(0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0)); // 1.5 = 0x3fc00000
  EXPECT_REAL(((float *)idx.data)[0], 1.5f);
  expect_parsed(BYTES(0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 0x04, 0, 0, 0, 0, 0, 0)); // -2.5 = 0xc004...
  EXPECT_REAL(((double *)idx.data)[0], -2.5);
}

Test(idx, four_dimensions_are_the_most) {
  expect_parsed(BYTES(0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9));
  EXPECT_INT(idx.count, 2);
  expect_refused("t.idx: offset 3: 5 dimensions, expected 1 to 4",
                 BYTES(0, 0, 8, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7));
  expect_refused("t.idx: offset 3: 0 dimensions, expected 1 to 4", BYTES(0, 0, 8, 0));
}

Test(idx, types_have_names_and_sizes) {
  EXPECT_TEXT(tn_idx_type_name(TN_IDX_F64), "float64");
  EXPECT_INT(tn_idx_type_size(TN_IDX_I16), 2);
  EXPECT_INT(tn_idx_type_size((tn_idx_type)0x0a), 0);
}

/* ---- what is refused ---- */

Test(idx, broken_headers_are_refused_with_their_offset) {
  expect_refused("t.idx: offset 0: the file ends inside the 4-byte IDX header", NULL, 0);
  expect_refused("t.idx: offset 3: the file ends inside the 4-byte IDX header", BYTES(0, 0, 8));
  expect_refused("t.idx: offset 0: not an IDX file: it begins with 50 4b, not 00 00", BYTES('P', 'K', 3, 4));
  expect_refused("t.idx: offset 2: unknown IDX type 0x0a", BYTES(0, 0, 10, 1, 0, 0, 0, 1, 0));
  expect_refused("t.idx: offset 4: the file ends inside the sizes of its 3 dimensions", BYTES(0, 0, 8, 3));
  expect_refused("t.idx: offset 8: dimension 2 is 0", BYTES(0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0));
}

Test(idx, length_must_match_exactly) {
  expect_refused("t.idx: offset 10: 2 bytes of data, but 3 uint8 need 3",
                 BYTES(0, 0, 8, 1, 0, 0, 0, 3, 1, 2));
  expect_refused("t.idx: offset 9: 2 bytes of data, but 1 uint8 need 1", BYTES(0, 0, 8, 1, 0, 0, 0, 1, 1, 2));
}

Test(idx, huge_claims_are_refused_before_memory_is_taken) {
  // 2^20 x 2^20 images in a file of 12 bytes: 2^40 bytes are wanted, none are there
  expect_refused("t.idx: offset 12: 0 bytes of data, but 1048576 x 1048576 uint8 need 1099511627776",
                 BYTES(0, 0, 8, 2, 0, 0x10, 0, 0, 0, 0x10, 0, 0));
  // (2^32 - 1)^3 overflows 64 bits at the third dimension
  expect_refused("t.idx: offset 12: dimension 3 of 4294967295 makes the array too large",
                 BYTES(0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255));
  // 2^31 x 2^31 is 2^62 values, 2^65 bytes of float64
  expect_refused("t.idx: offset 8: dimension 2 of 2147483648 makes the array too large",
                 BYTES(0, 0, 14, 2, 128, 0, 0, 0, 128, 0, 0, 0));
}

Test(idx, absent_files_are_refused) {
  cr_assert(!tn_idx_read("/nonexistent/t.idx", 0, &idx, &error));
  EXPECT_TEXT(error.text, "/nonexistent/t.idx: cannot open: No such file or directory");
}

Test(idx, unpacked_size_is_bounded) {
  cr_assert(!tn_idx_parse("t.idx", "0123456789", 10, 9, &idx, &error));
  EXPECT_TEXT(error.text, "t.idx: larger than the limit of 9 bytes");
}

/* ---- real data ---- */

static void read_data(const char *name) {
  const char *folder = getenv("TENON_DATA");
  if (!folder) cr_skip_test("TENON_DATA is not set");
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file) cr_skip_test("no %s", path);
  fclose(file);
  tn_idx_free(&idx);
  cr_assert(tn_idx_read(path, 0, &idx, &error), "%s", error.text);
}

Test(idx, mnist_has_its_published_counts) {
  read_data("mnist/t10k-images-idx3-ubyte.gz");
  EXPECT_INT(idx.shape[0], 10000);
  EXPECT_INT(idx.shape[1], 28);
  EXPECT_INT(idx.shape[2], 28);
  read_data("mnist/t10k-labels-idx1-ubyte.gz");
  size_t classes[10] = {0}, wanted[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
  for (size_t i = 0; i < idx.count; i++) classes[((uint8_t *)idx.data)[i]]++;
  for (int k = 0; k < 10; k++) EXPECT_INT(classes[k], wanted[k]);
}

Test(idx, omniglot_runs_have_four_dimensions) {
  read_data("omniglot/oneshot-support-idx4-ubyte.gz");
  size_t wanted[] = {20, 20, 105, 105};
  for (size_t d = 0; d < 4; d++) EXPECT_INT(idx.shape[d], wanted[d]);
}
