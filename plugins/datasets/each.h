// SPDX-License-Identifier: MIT
/* One field of many rows, some at a time. */
#ifndef TENON_PLUGINS_EACH_H
#define TENON_PLUGINS_EACH_H

#include <tenon/dataset.h>

/* What happens to one number a row, of rows begin .. begin + count - 1. */
typedef tn_status (*each_take)(void *context, const tn_tensor *value, int64_t begin, int64_t count);

/* Hands the field of rows [first, end) to `take`. */
static inline tn_status each_row(const tn_component *data, int64_t first, int64_t end, const char *field,
                                 each_take take, void *context) {
  enum { CHUNK = 512 };
  int64_t index[CHUNK];
  for (int64_t begin = first; begin < end; begin += CHUNK) {
    const int64_t count = end - begin < CHUNK ? end - begin : CHUNK;
    for (int64_t i = 0; i < count; i++) index[i] = begin + i;
    tn_scope_open();
    tn_fields *fields = tn_fields_new();
    tn_status status = tn_dataset_read(data, index, count, fields);
    const tn_tensor *value = status < 0 ? NULL : tn_field(fields, field);
    if (value && !tn_poisoned(value) && tn_numel(value) != count)
      status = tn_fail(TN_ERROR_SHAPE, "'%s' is not one number a row", field);
    if (status >= 0) status = tn_outcome();
    if (status >= 0) status = take(context, value, begin, count);
    tn_scope_close();
    if (status < 0) return status;
  }
  return TN_OK;
}

#endif
