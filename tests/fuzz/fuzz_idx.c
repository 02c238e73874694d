// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make an array that has as many values as its shape says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/idx.h"

static void require(bool condition) {
  if (!condition) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tn_idx idx;
  tn_format_error error;
  if (!tn_idx_parse("fuzz", data, size, 1 << 20, &idx, &error)) {
    require(strncmp(error.text, "fuzz: ", 6) == 0 && !strchr(error.text, '\n'));
    require(!idx.data);
    return 0;
  }
  require(idx.dims >= 1 && idx.dims <= TN_IDX_DIMS_MAX);
  require(idx.count == idx.shape[0] * idx.shape[1] * idx.shape[2] * idx.shape[3]);
  unsigned sum = 0; // touches every byte, so that a short buffer is seen
  for (size_t i = 0; i < idx.count * tn_idx_type_size(idx.type); i++) sum += ((unsigned char *)idx.data)[i];
  require(sum <= idx.count * 8 * 255);
  tn_idx_free(&idx);
  return 0;
}
