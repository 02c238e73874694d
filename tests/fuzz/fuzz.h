// SPDX-License-Identifier: MIT
/* What fuzz targets have in common. */
#ifndef TENON_TESTS_FUZZ_H
#define TENON_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition) {
  if (!condition) abort();
}

/* One line that names the file "fuzz". */
static inline void require_refusal(const tn_format_error *error) {
  require(strncmp(error->text, "fuzz: ", 6) == 0 && !strchr(error->text, '\n'));
}

/* Touches every byte, so that a short buffer is seen. */
static inline void touch(const void *data, size_t size) {
  volatile unsigned sum = 0;
  for (size_t i = 0; i < size; i++) sum += ((const unsigned char *)data)[i];
}

/* Offsets (count + 1) from 0, not descending, up to `total`. */
static inline void require_offsets(const size_t *offsets, size_t count, size_t total) {
  require(offsets[0] == 0 && offsets[count] == total);
  for (size_t i = 0; i < count; i++) require(offsets[i] <= offsets[i + 1]);
}

#endif
