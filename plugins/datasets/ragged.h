// SPDX-License-Identifier: MIT
/* Ragged fields (data.h), as graphs have them: node (sum n_i, d), edge (sum m_i, 2). */
#ifndef TENON_PLUGINS_RAGGED_H
#define TENON_PLUGINS_RAGGED_H

#include "split.h"
#include <stdio.h>

static inline void ragged_describe(tn_spec *spec, const char *name, tn_dtype dtype, tn_shape shape,
                                   int64_t classes) {
  const tn_field_spec field = {sizeof field, dtype, shape, classes, true};
  tn_sdk.data->spec_set(spec, name, &field);
}

/* Sets `NAME` and `NAME.offset`. */
static inline void ragged_set(tn_fields *fields, const char *name, tn_tensor *values, tn_tensor *offset) {
  char text[64];
  snprintf(text, sizeof text, "%s.offset", name);
  tn_fields_set(fields, name, values);
  tn_fields_set(fields, text, offset);
}

#endif
