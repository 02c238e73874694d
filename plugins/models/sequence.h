// SPDX-License-Identifier: MIT
/* What models of sequences read, and which positions of a sequence get outputs.
 *
 * Losses and metrics take one label a row. A label at every position (n, t), as in language models, therefore
 * makes every position a row of its own (`rows`): `logits` (n t, classes), and the model hands on `label` as
 * (n t). One label a sequence takes the outputs of the `last` position: (n, classes). Without labels there
 * are outputs at `all` positions: (n, t, classes). */
#ifndef TENON_PLUGINS_SEQUENCE_H
#define TENON_PLUGINS_SEQUENCE_H

#include "layers.h"

enum { POSITIONS_AUTO, POSITIONS_ROWS, POSITIONS_ALL, POSITIONS_LAST };
#define POSITIONS_PARAM(model)                                                                            \
  TN_CHOICE(                                                                                              \
      struct model, positions, "auto", "auto|rows|all|last",                                              \
      "outputs at every position, as rows of their own (n t, ...) or (n, t, ...), or at the last; auto: " \
      "as `label` is")

/* The choice in force, for sequences of `length`. */
static inline int32_t positions_of(const tn_spec *inputs, int32_t positions) {
  const tn_field_spec *label = tn_spec_find(inputs, "label");
  if (positions != POSITIONS_AUTO) return positions;
  return !label ? POSITIONS_ALL : label->shape.ndim == 1 ? POSITIONS_ROWS : POSITIONS_LAST;
}

static inline void sequence_declare_output(tn_declaration *declaration, int32_t positions, const char *name,
                                           int64_t length, int64_t width) {
  tn_declare_output(declaration, name, TN_FLOAT,
                    positions == POSITIONS_ALL ? TN_SHAPE(length, width) : TN_SHAPE(width), 0);
}
/* With `rows`, `label` is an output too: one a row. */
static inline tn_status sequence_declare_label(const tn_spec *inputs, tn_declaration *declaration,
                                               int32_t positions, int64_t length) {
  const tn_field_spec *label = tn_spec_find(inputs, "label");
  if (positions != POSITIONS_ROWS || !label) return TN_OK;
  if (label->shape.ndim != 1 || label->shape.dim[0] != length)
    return tn_fail(TN_ERROR_SHAPE, "positions = rows needs a `label` at each of the %lld positions",
                   (long long)length);
  tn_declare_output(declaration, "label", label->dtype, (tn_shape){0, {0}}, label->classes);
  return TN_OK;
}

/* x (n, t, d) -> (n t, d), (n, t, d) or (n, d) */
static inline tn_tensor *sequence_select(int32_t positions, tn_tensor *x) {
  if (positions == POSITIONS_ALL || tn_poisoned(x)) return x;
  const int64_t length = tn_dim(x, 1), width = tn_dim(x, 2);
  if (positions == POSITIONS_LAST) x = tn_slice(x, 1, length - 1, length);
  return tn_reshape(x, TN_SHAPE(-1, width));
}
static inline void sequence_label(tn_model_call *call, int32_t positions) {
  tn_tensor *label = tn_fields_find(call->inputs, "label");
  if (positions == POSITIONS_ROWS && label)
    tn_fields_set(call->outputs, "label", tn_reshape(label, TN_SHAPE(-1)));
}

#endif
