// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make arrays of distinct names, found by them, which are the
 * same after they were written and read. */
#include "core/format/npz.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_npz npz, again;
  tn_bytes packed;
  tn_format_error error;
  if (!tn_npz_parse("fuzz", data, size, 1 << 20, &npz, &error)) {
    /* what is wrong inside an entry names it: "fuzz(x.npy): ..." */
    require(strncmp(error.text, "fuzz", 4) == 0 && strchr(":(", error.text[4]) && !strchr(error.text, '\n'));
    require(!npz.arrays && npz.count == 0);
    return 0;
  }
  for (size_t i = 0; i < npz.count; i++) {
    const tn_npz_array *item = &npz.arrays[i];
    require(tn_npz_find(&npz, item->name) == &item->array);
    touch(item->array.data, item->array.count * tn_npy_type_size(item->array.type));
  }
  if (tn_npz_pack("fuzz", &npz, true, &packed, &error)) {
    require(tn_npz_parse("fuzz", packed.data, packed.size, 0, &again, &error));
    require(again.count == npz.count);
    tn_npz_free(&again);
    tn_bytes_free(&packed);
  }
  tn_npz_free(&npz);
  return 0;
}
