// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/npz.h"
#include "tests/expect.h"
#include "tests/format/data.h"

static tn_npz npz;
static tn_bytes packed;
static tn_format_error error;

static float weights[4] = {1, 2, 3, -4};
static uint8_t zeros[5000];
static tn_npz_array arrays[] = {
    {(char[]){"layer/weight"}, {.type = TN_NPY_F32, .dims = 2, .shape = {2, 2}, .data = weights}},
    {(char[]){"mask"}, {.type = TN_NPY_U8, .dims = 1, .shape = {5000}, .data = zeros}}};
static const tn_npz both = {2, arrays};

static void reset(void) {
  npz = (tn_npz){0};
  packed = (tn_bytes){0};
}

static void release(void) {
  tn_npz_free(&npz);
  tn_bytes_free(&packed);
}

TestSuite(npz, .init = reset, .fini = release);

static void pack(bool deflated) {
  tn_bytes_free(&packed);
  cr_assert(tn_npz_pack("t.npz", &both, deflated, &packed, &error), "%s", error.text);
}

static bool parse(void) {
  tn_npz_free(&npz);
  return tn_npz_parse("t.npz", packed.data, packed.size, 0, &npz, &error);
}

static void expect_refused(const char *part) {
  cr_assert(!parse(), "expected '%s', got success", part);
  EXPECT_CONTAINS(error.text, part);
  cr_assert(!npz.arrays && npz.count == 0);
}

/* Where the mark 'P' 'K' a b stands first. */
static unsigned char *find(int a, int b) {
  for (size_t i = 0; i + 4 <= packed.size; i++)
    if (packed.data[i] == 'P' && packed.data[i + 1] == 'K' && packed.data[i + 2] == a &&
        packed.data[i + 3] == b)
      return packed.data + i;
  cr_assert_fail("no mark");
  return NULL;
}

Test(npz, arrays_are_read_back_by_name) {
  for (int deflated = 0; deflated < 2; deflated++) {
    pack(deflated);
    cr_assert(parse(), "%s", error.text);
    EXPECT_INT(npz.count, 2);
    const tn_npy *weight = tn_npz_find(&npz, "layer/weight"), *mask = tn_npz_find(&npz, "mask");
    cr_assert(weight && mask && !tn_npz_find(&npz, "mask.npy"));
    EXPECT_INT(weight->shape[1], 2);
    EXPECT_REAL(((float *)weight->data)[3], -4);
    EXPECT_INT(mask->count, 5000);
  }
  cr_assert(packed.size < 1000, "5,000 zeros are packed, got %zu bytes", packed.size);
}

Test(npz, an_archive_may_be_empty) {
  cr_assert(tn_npz_pack("t.npz", &(tn_npz){0}, true, &packed, &error));
  EXPECT_INT(packed.size, 22);
  cr_assert(parse(), "%s", error.text);
  EXPECT_INT(npz.count, 0);
}

Test(npz, the_same_arrays_give_the_same_bytes) {
  pack(true);
  tn_bytes first = packed;
  packed = (tn_bytes){0};
  pack(true);
  EXPECT_INT(first.size, packed.size);
  EXPECT_INT(memcmp(first.data, packed.data, first.size), 0);
  tn_bytes_free(&first);
}

Test(npz, every_truncation_is_refused) {
  pack(true);
  size_t whole = packed.size;
  for (packed.size = 0; packed.size < whole; packed.size++) cr_assert(!parse());
}

Test(npz, damage_is_refused_with_its_offset) {
  pack(false);
  packed.data[1000] ^= 1; // among the mask's zeros
  expect_refused("wrong checksum of entry");
  pack(true);
  find(1, 2)[8] |= 1;
  expect_refused("an encrypted entry");
  pack(true);
  find(1, 2)[10] = 12; // bzip2
  expect_refused("compression method 12, expected 0 or 8");
  pack(true);
  find(1, 2)[46] = 'L'; // the directory's name, no longer the local one
  expect_refused("t.npz: offset 0: an entry differs from the directory");
  pack(true);
  memset(find(1, 2) + 42, 0x7f, 4); // where its local header is
  expect_refused("an entry lies outside the file");
  pack(true);
  memset(find(1, 2) + 20, 0x7f, 4); // its packed bytes
  expect_refused("t.npz: offset 0: an entry is longer than the file");
  pack(true);
  packed.data[0] = 'X';
  expect_refused("t.npz: offset 0: not a zip file: it does not begin with 'PK'");
}

Test(npz, huge_claims_are_refused_before_memory_is_taken) {
  pack(true);
  memcpy(find(1, 2) + 24, (unsigned char[]){0, 0, 0, 0x70}, 4); // 1.75 GiB out of 100 bytes
  expect_refused("bytes cannot unpack to 1879048192");
  memcpy(find(1, 2) + 24, (unsigned char[]){0, 0, 0, 0xf0}, 4);
  expect_refused("of 4026531840 bytes, larger than the limit of 2147483648 bytes");
  memset(find(1, 2) + 24, 0xff, 4);
  expect_refused("an entry of 4 GiB or more (ZIP64)");
  pack(true);
  memset(find(5, 6) + 8, 0x7f, 4); // 32639 entries
  expect_refused("more entries than the directory can hold");
  pack(true);
  cr_assert(!tn_npz_parse("t.npz", packed.data, packed.size, 5000, &npz, &error)); // both unpack to 5,400
  EXPECT_CONTAINS(error.text, "entry 'mask.npy' of 5128 bytes, larger than the limit of");
}

Test(npz, entries_must_be_arrays_of_distinct_names) {
  tn_npz_array twins[] = {arrays[0], arrays[0]};
  cr_assert(tn_npz_pack("t.npz", &(tn_npz){2, twins}, false, &packed, &error));
  expect_refused("t.npz: entry 'layer/weight.npy' occurs twice");
  pack(false);
  memcpy(packed.data + 30, "layer/weight.txt", 16);
  memcpy(find(1, 2) + 46, "layer/weight.txt", 16);
  expect_refused("t.npz: offset 0: entry 'layer/weight.txt' is not an array (.npy)");
}

Test(npz, errors_inside_an_entry_name_it) {
  pack(false);
  unsigned char *directory = find(1, 2);
  memcpy(directory + 20, (unsigned char[]){6, 0, 0, 0, 6, 0, 0, 0}, 8); // only "\x93NUMPY"
  memcpy(directory + 16, (unsigned char[]){0x9a, 0x37, 0x3c, 0xa5}, 4);
  cr_assert(!parse());
  EXPECT_CONTAINS(error.text, "checksum"); // a guess at the checksum must not pass
}

/* ---- NumPy itself ---- */

static void run_numpy(const char *program) {
  char command[2048];
  if (system("/usr/bin/python3 -c 'import numpy' >/dev/null 2>&1") != 0) cr_skip_test("no NumPy");
  snprintf(command, sizeof command, "cd \"$(dirname '%s')\" && /usr/bin/python3 -c \"import numpy as n; %s\"",
           scratch_path("x"), program);
  EXPECT_INT(system(command), 0);
}

Test(npz, numpy_reads_what_is_written) {
  for (int deflated = 0; deflated < 2; deflated++) {
    cr_assert(tn_npz_write(scratch_path("t.npz"), &both, deflated, &error), "%s", error.text);
    run_numpy("z = n.load('t.npz'); assert sorted(z) == ['layer/weight', 'mask'] and z['mask'].shape == "
              "(5000,) and "
              "z['layer/weight'].tolist() == [[1, 2], [3, -4]]; import zipfile; assert "
              "zipfile.ZipFile('t.npz').testzip() is None");
  }
}

Test(npz, what_numpy_writes_is_read) {
  static const char *const calls[] = {"savez", "savez_compressed"};
  for (int i = 0; i < 2; i++) {
    char program[200];
    snprintf(program, sizeof program, "n.%s('t.npz', a=n.arange(1000), b=n.eye(3, dtype='f4'))", calls[i]);
    run_numpy(program);
    tn_npz_free(&npz);
    cr_assert(tn_npz_read(scratch_path("t.npz"), 0, &npz, &error), "%s", error.text);
    EXPECT_INT(npz.count, 2);
    EXPECT_INT(((int64_t *)tn_npz_find(&npz, "a")->data)[999], 999);
    EXPECT_REAL(((float *)tn_npz_find(&npz, "b")->data)[4], 1);
  }
}
