// SPDX-License-Identifier: MIT
/* Kind tenon.loss/1: named fields -> a differentiable scalar, or one value a sample.
 *
 * A loss may own parameters (class prototypes, domain heads: `declare`), which the stage's optimizer trains
 * with the model's, non-gradient state (queues, running means: the class's state function), and may hold
 * references to other losses or models. */
#ifndef TENON_LOSS_H
#define TENON_LOSS_H

#include <tenon/plugin.h>

#define TN_LOSS "tenon.loss/1"

typedef struct tn_loss_call {
  uint32_t size;
  uint32_t reserved;
  const tn_params *params; /* its own; NULL if it declared none */
  const tn_fields *fields; /* the batch's fields and the model's outputs */
  tn_progress progress;
  tn_rng *rng; /* keyed by component and step */
  /* For losses that look inside the model (penalties, self-distillation, sharpness); NULL where there is
   * none. */
  const tn_component *model;
  const tn_params *model_params;
  const tn_fields *batch; /* the model's inputs */
} tn_loss_call;

typedef struct tn_loss {
  uint32_t size;
  /* REQUIRED: at least one of value and per_sample */
  /* [main] The scalar to minimise. Default: the mean of per_sample. */
  tn_tensor *(*value)(void *self, const tn_loss_call *call);
  /* [main] (n) values whose (weighted) mean is the loss. Default: not available: weightings refuse the loss.
   */
  tn_tensor *(*per_sample)(void *self, const tn_loss_call *call);
  /* OPTIONAL */
  /* [main] Checks the fields it will read (shapes, classes) and declares its parameters. Default: no
   * parameters, and wrong fields are found in the first step. */
  tn_status (*declare)(void *self, const tn_spec *fields, tn_declaration *declaration);
  /* [main] After the optimizer's step on this batch, recording off: update queues, snapshots, running means.
   */
  tn_status (*after_step)(void *self, const tn_loss_call *call);
} tn_loss;

static inline bool tn_loss_has_per_sample(const tn_component *c) {
  const tn_loss *l = (const tn_loss *)c->vtable;
  return TN_HAS(l, tn_loss, per_sample);
}
static inline tn_tensor *tn_loss_per_sample(const tn_component *c, const tn_loss_call *call) {
  tn_call_stack *stack = tn_enter(c, "per_sample");
  tn_tensor *values = ((const tn_loss *)c->vtable)->per_sample(c->self, call);
  tn_leave(stack);
  return values;
}
static inline tn_tensor *tn_loss_value(const tn_component *c, const tn_loss_call *call) {
  const tn_loss *l = (const tn_loss *)c->vtable;
  if (!TN_HAS(l, tn_loss, value)) return tn_mean(tn_loss_per_sample(c, call));
  tn_call_stack *stack = tn_enter(c, "value");
  tn_tensor *value = l->value(c->self, call);
  tn_leave(stack);
  return value;
}
static inline tn_status tn_loss_after_step(const tn_component *c, const tn_loss_call *call) {
  const tn_loss *l = (const tn_loss *)c->vtable;
  if (!TN_HAS(l, tn_loss, after_step)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "after_step");
  tn_status status = l->after_step(c->self, call);
  tn_leave(stack);
  return status;
}

#endif
