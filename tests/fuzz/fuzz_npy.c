// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make an array that has as many values as its shape says, and
 * which is the same after it was written and read. */
#include "core/format/npy.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_npy array, again;
  tn_bytes packed;
  tn_format_error error;
  if (!tn_npy_parse("fuzz", data, size, 1 << 20, &array, &error)) {
    require_refusal(&error);
    require(!array.data);
    return 0;
  }
  size_t count = 1;
  for (size_t i = 0; i < TN_NPY_DIMS_MAX; i++) count *= array.shape[i];
  require(array.dims <= TN_NPY_DIMS_MAX && array.count == count && array.data);
  const size_t bytes = array.count * tn_npy_type_size(array.type);
  touch(array.data, bytes);
  require(tn_npy_pack("fuzz", &array, &packed, &error));
  require(tn_npy_parse("fuzz", packed.data, packed.size, 0, &again, &error));
  require(again.type == array.type && again.dims == array.dims && again.count == array.count);
  require(memcmp(again.shape, array.shape, sizeof array.shape) == 0);
  require(bytes == 0 || memcmp(again.data, array.data, bytes) == 0);
  tn_npy_free(&again);
  tn_bytes_free(&packed);
  tn_npy_free(&array);
  return 0;
}
