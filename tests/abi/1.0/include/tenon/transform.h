// SPDX-License-Identifier: MIT
/* Kind tenon.transform/1: batch -> batch: standardise, augment, corrupt, two views, relabel.
 *
 * A transform may be fitted on training data, may draw random numbers, and may own parameters that the
 * stage's optimizer trains (through `declare`). */
#ifndef TENON_TRANSFORM_H
#define TENON_TRANSFORM_H

#include <tenon/plugin.h>

#define TN_TRANSFORM "tenon.transform/1"

/* What a batch brings along. */
typedef struct tn_transform_call {
  uint32_t size;
  uint32_t reserved;
  const tn_params *params; /* its own; NULL if it declared none */
  tn_progress progress;    /* augmentations act in mode TN_TRAIN only */
  tn_rng *rng;             /* keyed by component and step */
  const int64_t *index;    /* the row of each sample in its data set; NULL if unknown */
} tn_transform_call;

typedef struct tn_transform {
  uint32_t size;
  /* REQUIRED */
  /* [main] From the specification of its input to that of its output: declare_output for every field that it
   * adds or changes, declare for its parameters. Refuses inputs it cannot use. */
  tn_status (*declare)(void *self, const tn_spec *inputs, tn_declaration *declaration);
  /* [main] Changes `fields` in place (by replacing tensors). */
  tn_status (*apply)(void *self, tn_fields *fields, const tn_transform_call *call);
  /* OPTIONAL */
  /* [main] Learns from training data before any apply: statistics, bases, dictionaries. `data` is the
   * untransformed data set; `before` are the transforms in front of this one, already fitted. What it learns
   * must be visited by the class's state function. Default: nothing to learn. */
  tn_status (*fit)(void *self, const tn_component *data, const tn_references *before);
} tn_transform;

static inline tn_status tn_transform_apply(const tn_component *c, tn_fields *fields,
                                           const tn_transform_call *call) {
  tn_call_stack *stack = tn_enter(c, "apply");
  tn_status status = ((const tn_transform *)c->vtable)->apply(c->self, fields, call);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_transform_fit(const tn_component *c, const tn_component *data,
                                         const tn_references *before) {
  const tn_transform *t = (const tn_transform *)c->vtable;
  if (!TN_HAS(t, tn_transform, fit)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "fit");
  tn_status status = t->fit(c->self, data, before);
  tn_leave(stack);
  return status;
}

#endif
