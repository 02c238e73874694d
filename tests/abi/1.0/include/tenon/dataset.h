// SPDX-License-Identifier: MIT
/* Kind tenon.dataset/1: named fields of samples, in parts (splits).
 *
 * A reference may name a part: `digits:test`. The part arrives as component->part; "" means the data set's
 * main part: "train" if there is one, else the only part. Rows are numbered from 0 within a part. */
#ifndef TENON_DATASET_H
#define TENON_DATASET_H

#include <tenon/plugin.h>

#define TN_DATASET "tenon.dataset/1"

typedef struct tn_dataset {
  uint32_t size;
  /* REQUIRED */
  /* [main] The number of rows of `part`; negative (with tn_fail) if there is no such part. */
  int64_t (*rows)(void *self, const char *part);
  /* [main] Sets the fields of one sample of `part` in `spec`. */
  tn_status (*describe)(void *self, const char *part, tn_spec *spec);
  /* [main] Sets the fields of rows `index[0 .. count)`, in that order, repeats allowed, as tensors of the
   * current scope with `count` leading. The same row is always the same. Indices are in range: the host
   * checked. */
  tn_status (*read)(void *self, const char *part, const int64_t *index, int64_t count, tn_fields *fields);
  /* OPTIONAL */
  /* [main] Name of part `i`, NULL past the last. Default: one part, "". */
  const char *(*part)(void *self, uint32_t i);
  /* [main] Name of class `label` of field `field`; NULL if it has none. Default: none. */
  const char *(*class_name)(void *self, const char *field, int64_t label);
} tn_dataset;

static inline int64_t tn_dataset_rows(const tn_component *c) {
  tn_call_stack *stack = tn_enter(c, "rows");
  int64_t rows = ((const tn_dataset *)c->vtable)->rows(c->self, c->part);
  tn_leave(stack);
  return rows;
}
static inline tn_status tn_dataset_describe(const tn_component *c, tn_spec *spec) {
  tn_call_stack *stack = tn_enter(c, "describe");
  tn_status status = ((const tn_dataset *)c->vtable)->describe(c->self, c->part, spec);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_dataset_read(const tn_component *c, const int64_t *index, int64_t count,
                                        tn_fields *fields) {
  tn_call_stack *stack = tn_enter(c, "read");
  tn_status status = ((const tn_dataset *)c->vtable)->read(c->self, c->part, index, count, fields);
  tn_leave(stack);
  return status;
}
static inline const char *tn_dataset_part(const tn_component *c, uint32_t i) {
  const tn_dataset *d = (const tn_dataset *)c->vtable;
  if (TN_HAS(d, tn_dataset, part)) return d->part(c->self, i);
  return i == 0 ? "" : NULL;
}
static inline const char *tn_dataset_class_name(const tn_component *c, const char *field, int64_t label) {
  const tn_dataset *d = (const tn_dataset *)c->vtable;
  return TN_HAS(d, tn_dataset, class_name) ? d->class_name(c->self, field, label) : NULL;
}

#endif
