// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/npy.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_npy array;
static tn_bytes packed;
static tn_format_error error;

static void reset(void) {
  array = (tn_npy){0};
  packed = (tn_bytes){0};
}

static void release(void) {
  tn_npy_free(&array);
  tn_bytes_free(&packed);
}

TestSuite(npy, .init = reset, .fini = release);

#define BYTES(...) ((const unsigned char[]){__VA_ARGS__}), sizeof((const unsigned char[]){__VA_ARGS__})

/* A file of the version with that dictionary and those values; its size. */
static size_t make(unsigned char *file, int version, const char *dictionary, const unsigned char *values,
                   size_t size) {
  size_t length = strlen(dictionary), counter = version == 1 ? 2 : 4;
  memcpy(file, "\x93NUMPY", 6);
  file[6] = (unsigned char)version;
  file[7] = 0;
  for (size_t i = 0; i < counter; i++) file[8 + i] = (unsigned char)(length >> 8 * i & 0xff);
  memcpy(file + 8 + counter, dictionary, length);
  if (size > 0) memcpy(file + 8 + counter + length, values, size);
  return 8 + counter + length + size;
}

static bool parse(int version, const char *dictionary, const unsigned char *values, size_t size) {
  unsigned char file[1024];
  tn_npy_free(&array);
  return tn_npy_parse("t.npy", file, make(file, version, dictionary, values, size), 0, &array, &error);
}

static void expect_parsed(const char *dictionary, const unsigned char *values, size_t size) {
  cr_assert(parse(1, dictionary, values, size), "expected success, got: %s", error.text);
}

static void expect_refused(const char *message, const char *dictionary, const unsigned char *values,
                           size_t size) {
  cr_assert(!parse(1, dictionary, values, size), "expected '%s', got success", message);
  EXPECT_TEXT(error.text, message);
  cr_assert(array.data == NULL);
}

/* ---- what is taken ---- */

Test(npy, values_come_with_their_shape) {
  expect_parsed("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }    \n",
                BYTES(1, 2, 3, 4, 5, 255));
  EXPECT_INT(array.type, TN_NPY_U8);
  EXPECT_INT(array.dims, 2);
  EXPECT_INT(array.shape[0], 2);
  EXPECT_INT(array.shape[1], 3);
  EXPECT_INT(array.shape[2], 1);
  EXPECT_INT(array.count, 6);
  EXPECT_INT(((uint8_t *)array.data)[5], 255);
}

Test(npy, both_byte_orders_become_the_hosts) {
  expect_parsed("{'descr': '<i2', 'fortran_order': False, 'shape': (2,)}", BYTES(2, 1, 0xfe, 0xff));
  EXPECT_INT(((int16_t *)array.data)[0], 258);
  EXPECT_INT(((int16_t *)array.data)[1], -2);
  expect_parsed("{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", BYTES(1, 2, 0xff, 0xfe));
  EXPECT_INT(((int16_t *)array.data)[0], 258);
  EXPECT_INT(((int16_t *)array.data)[1], -2);
  expect_parsed("{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", BYTES(0x3f, 0xc0, 0, 0));
  EXPECT_REAL(((float *)array.data)[0], 1.5f); // 1.5 = 0x3fc00000
  expect_parsed("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", BYTES(0, 0, 0, 0, 0, 0, 4, 0xc0));
  EXPECT_REAL(((double *)array.data)[0], -2.5); // -2.5 = 0xc004...
  expect_parsed("{'descr': '>u8', 'fortran_order': False, 'shape': (1,)}", BYTES(0, 0, 0, 0, 0, 0, 1, 2));
  EXPECT_INT(((uint64_t *)array.data)[0], 258);
}

Test(npy, every_type_is_known_by_its_code) {
  static const char *const codes[] = {"<f4", "<f8", "|i1", "<i2", "<i4", "<i8",
                                      "|u1", "<u2", "<u4", "<u8", "|b1"};
  static const char *const names[] = {"float32", "float64", "int8",   "int16",  "int32", "int64",
                                      "uint8",   "uint16",  "uint32", "uint64", "bool"};
  for (int type = 0; type < 11; type++) {
    char dictionary[100];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': ()}",
             codes[type]);
    size_t size = (size_t)(codes[type][2] - '0');
    expect_parsed(dictionary, BYTES(1, 0, 0, 0, 0, 0, 0, 0) - 8 + size);
    EXPECT_INT(array.type, type);
    EXPECT_INT(tn_npy_type_size(array.type), size);
    EXPECT_TEXT(tn_npy_type_name(array.type), names[type]);
  }
  EXPECT_INT(tn_npy_type_size((tn_npy_type)11), 0);
  cr_assert(tn_npy_type_name((tn_npy_type)-1) == NULL);
}

Test(npy, column_major_becomes_row_major) {
  // [[1 2 3] [4 5 6]] by columns
  expect_parsed("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", BYTES(1, 4, 2, 5, 3, 6));
  for (int i = 0; i < 6; i++) EXPECT_INT(((uint8_t *)array.data)[i], i + 1);
  // value = 100 a + 10 b + c at (a, b, c) of (2, 2, 2), first index fastest, and big-endian on top
  expect_parsed("{'descr': '>u2', 'fortran_order': True, 'shape': (2, 2, 2)}",
                BYTES(0, 0, 0, 100, 0, 10, 0, 110, 0, 1, 0, 101, 0, 11, 0, 111));
  int wanted[] = {0, 1, 10, 11, 100, 101, 110, 111};
  for (int i = 0; i < 8; i++) EXPECT_INT(((uint16_t *)array.data)[i], wanted[i]);
}

Test(npy, later_versions_have_longer_headers) {
  cr_assert(parse(2, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", BYTES(9)), "%s", error.text);
  cr_assert(parse(3, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", BYTES(9)), "%s", error.text);
  EXPECT_INT(((uint8_t *)array.data)[0], 9);
}

Test(npy, the_dictionary_may_be_written_otherwise) {
  expect_parsed("{\"shape\":(2L,1L,),'fortran_order':False,\"descr\":'|b1'}", BYTES(1, 0));
  EXPECT_INT(array.dims, 2);
  EXPECT_INT(array.type, TN_NPY_BOOL);
}

Test(npy, scalars_and_empty_arrays_are_arrays) {
  expect_parsed("{'descr': '|u1', 'fortran_order': True, 'shape': ()}", BYTES(7));
  EXPECT_INT(array.dims, 0);
  EXPECT_INT(array.count, 1);
  expect_parsed("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 0)}", NULL, 0);
  EXPECT_INT(array.count, 0);
  cr_assert(array.data != NULL);
}

/* ---- what is refused ---- */

Test(npy, broken_starts_are_refused) {
  cr_assert(!tn_npy_parse("t.npy", "PK\3\4....", 8, 0, &array, &error));
  EXPECT_TEXT(error.text, "t.npy: offset 0: not an NPY file: it does not begin with 93 'NUMPY'");
  cr_assert(!tn_npy_parse("t.npy", "\x93NUMPY\4\0....", 12, 0, &array, &error));
  EXPECT_TEXT(error.text, "t.npy: offset 6: version 4.0, expected 1.0, 2.0 or 3.0");
  cr_assert(!tn_npy_parse("t.npy", "\x93NUMPY\1\0\5", 9, 0, &array, &error));
  EXPECT_TEXT(error.text, "t.npy: offset 9: the file ends inside the header");
  cr_assert(!tn_npy_parse("t.npy", "\x93NUMPY\2\0\0\0\0\x80..", 14, 0, &array, &error));
  EXPECT_TEXT(error.text, "t.npy: offset 14: the file ends inside the header of 2147483648 bytes");
}

Test(npy, broken_dictionaries_are_refused_with_their_offset) {
  expect_refused("t.npy: offset 10: expected the header's dictionary", "", NULL, 0);
  expect_refused("t.npy: offset 12: the header lacks descr, fortran_order or shape", "{}", NULL, 0);
  expect_refused("t.npy: offset 11: a key other than descr, fortran_order and shape", "{'order': 1}", NULL,
                 0);
  expect_refused("t.npy: offset 26: a key occurs twice", "{'descr': '|u1','descr': '|u1'}", NULL, 0);
  expect_refused("t.npy: offset 21: type '<c8' is not supported, expected f4, f8, i1 to i8, u1 to u8 or b1",
                 "{'descr':  '<c8'}", NULL, 0);
  expect_refused("t.npy: offset 20: structured types are not supported", "{'descr': [('a', '<f4')]}", NULL,
                 0);
  expect_refused("t.npy: offset 21: expected a dimension", "{'shape': (-1,)}", NULL, 0);
  expect_refused("t.npy: offset 22: expected a comma in the tuple of dimensions", "{'shape': (1)}", NULL, 0);
  expect_refused("t.npy: offset 37: more than 8 dimensions", "{'shape': (1,1,1,1,1,1,1,1,1)}", NULL, 0);
}

Test(npy, length_must_match_exactly) {
  static const char dictionary[] = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,)}";
  expect_refused("t.npy: offset 69: 4 bytes of data, but 2 int32 need 8", dictionary, BYTES(1, 2, 3, 4));
  expect_refused("t.npy: offset 73: 9 bytes of data, but 2 int32 need 8", dictionary,
                 BYTES(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

Test(npy, huge_claims_are_refused_before_memory_is_taken) {
  expect_refused("t.npy: offset 85: 0 bytes of data, but 1048576 x 1048576 uint8 need 1099511627776",
                 "{'descr': '|u1', 'fortran_order': False, 'shape': (1048576, 1048576)}      ", NULL, 0);
  expect_refused("t.npy: offset 44: the dimensions make the array too large",
                 "{'shape': (4294967296,4294967296,)}", NULL, 0);
  expect_refused("t.npy: offset 40: a dimension is too large", "{'shape': (99999999999999999999,)}", NULL, 0);
}

Test(npy, booleans_are_zero_or_one) {
  expect_refused("t.npy: offset 66: boolean 2, expected 0 or 1",
                 "{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", BYTES(1, 2));
}

/* ---- writing ---- */

Test(npy, what_is_written_is_read_back) {
  double values[6] = {1, -2.5, 3, 4, 5, 1e300};
  tn_npy written = {.type = TN_NPY_F64, .dims = 2, .shape = {2, 3}, .data = values};
  cr_assert(tn_npy_pack("t.npy", &written, &packed, &error));
  EXPECT_INT(packed.size % 64, 48); // a header of a multiple of 64 bytes
  cr_assert(tn_npy_parse("t.npy", packed.data, packed.size, 0, &array, &error), "%s", error.text);
  EXPECT_INT(array.dims, 2);
  EXPECT_INT(array.shape[1], 3);
  EXPECT_INT(memcmp(array.data, values, sizeof values), 0);
}

Test(npy, nonsense_is_not_written) {
  tn_npy written = {.type = TN_NPY_F64, .dims = 9};
  cr_assert(!tn_npy_pack("t.npy", &written, &packed, &error));
  EXPECT_TEXT(error.text, "t.npy: not an array: type 1, 9 dimensions");
  cr_assert(packed.data == NULL);
  written = (tn_npy){.type = TN_NPY_F64, .dims = 2, .shape = {SIZE_MAX / 8, 2}};
  cr_assert(!tn_npy_pack("t.npy", &written, &packed, &error));
  EXPECT_TEXT(error.text, "t.npy: the dimensions make the array too large");
  written = (tn_npy){.type = TN_NPY_U8, .data = (uint8_t[]){1}};
  cr_assert(!tn_npy_write("/nonexistent/t.npy", &written, &error));
  EXPECT_TEXT(error.text, "/nonexistent/t.npy: cannot write: No such file or directory");
}

/* ---- NumPy itself ---- */

static void run_numpy(const char *program) {
  char command[2048];
  if (system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") != 0) cr_skip_test("no NumPy");
  snprintf(command, sizeof command, "cd \"$(dirname '%s')\" && /usr/bin/python3 -c \"import numpy as n; %s\"",
           scratch_path("x"), program);
  EXPECT_INT(system(command), 0);
}

Test(npy, numpy_reads_what_is_written) {
  int32_t values[3] = {1, -2, 300};
  for (size_t dims = 0; dims <= 3; dims++) {
    tn_npy written = {.type = TN_NPY_I32, .dims = dims, .shape = {dims ? 3 : 1, 1, 1}, .data = values};
    char program[200];
    cr_assert(tn_npy_write(scratch_path("t.npy"), &written, &error), "%s", error.text);
    snprintf(program, sizeof program,
             "a = n.load('t.npy'); assert a.dtype == 'i4' and a.ndim == %zu and list(a.flat) == [1, -2, "
             "300][:a.size]",
             dims);
    run_numpy(program);
  }
}

Test(npy, what_numpy_writes_is_read) {
  static const char *const types[] = {"f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"};
  for (int type = 0; type < 11; type++) {
    for (int variant = 0; variant < 4; variant++) {
      char program[300];
      snprintf(program, sizeof program,
               "a = n.arange(24).reshape(2, 3, 4).astype(n.dtype('%s').newbyteorder('%s')); n.save('t.npy', "
               "a if %d "
               "else n.asfortranarray(a))",
               types[type], variant & 1 ? ">" : "<", variant / 2);
      run_numpy(program);
      tn_npy_free(&array);
      cr_assert(tn_npy_read(scratch_path("t.npy"), 0, &array, &error), "%s", error.text);
      EXPECT_INT(array.type, type);
      EXPECT_INT(array.count, 24);
      size_t size = tn_npy_type_size(array.type);
      for (int i = 0; i < 24; i++) {
        unsigned char wanted[8] = {0};
        float f4 = (float)i;
        double f8 = i;
        uint64_t integer = type == TN_NPY_BOOL ? i != 0 : (uint64_t)i; // little-endian hosts
        memcpy(wanted, type == 0 ? (void *)&f4 : type == 1 ? (void *)&f8 : &integer, size);
        EXPECT_INT(memcmp((char *)array.data + (size_t)i * size, wanted, size), 0);
      }
    }
  }
}
