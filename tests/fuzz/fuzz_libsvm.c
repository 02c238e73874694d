// SPDX-License-Identifier: MIT
/* Any bytes are either refused with one line, or make the sparse rows that libsvm.h promises. */
#include "core/format/libsvm.h"
#include "tests/fuzz/fuzz.h"
#include <math.h>

static void check(const tn_libsvm *set, size_t columns) {
  require(set->row_count >= 1 && set->column_count <= INT32_MAX);
  require(columns == 0 || set->column_count <= columns);
  require_offsets(set->indptr, set->row_count, set->value_count);
  for (size_t i = 0; i < set->row_count; i++) {
    require(isfinite(set->labels[i]));
    for (size_t k = set->indptr[i]; k < set->indptr[i + 1]; k++) {
      require(set->indices[k] >= 0 && (size_t)set->indices[k] < set->column_count);
      require(k == set->indptr[i] || set->indices[k - 1] < set->indices[k]);
      require(isfinite(set->values[k]));
    }
  }
  require((set->class_count == 0) == !set->classes && !set->classes == !set->codes);
  for (size_t i = 0; set->codes && i < set->row_count; i++)
    require(set->codes[i] >= 0 && (size_t)set->codes[i] < set->class_count &&
            set->classes[set->codes[i]] == set->labels[i]);
  for (size_t i = 1; i < set->class_count; i++) require(set->classes[i - 1] < set->classes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const tn_libsvm_options options[] = {
      {TN_LIBSVM_BASE_AUTO, 0, 1 << 20}, {TN_LIBSVM_BASE_ONE, 8, 1 << 20}, {TN_LIBSVM_BASE_ZERO, 0, 1 << 20}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    tn_libsvm set;
    tn_format_error error;
    if (!tn_libsvm_parse("fuzz", data, size, &options[i], &set, &error)) {
      require_refusal(&error);
      require(!set.labels && !set.indptr && !set.indices && !set.values);
      continue;
    }
    check(&set, options[i].columns);
    tn_libsvm_free(&set);
  }
  return 0;
}
