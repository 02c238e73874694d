// SPDX-License-Identifier: MIT
/* Kind tenon.model/1: a pure function of a parameter set.
 *
 * `declare` names parameters with shapes, groups and initialisers, and the output fields; `apply` maps fields
 * to fields for any parameter set of that layout: the live one, a clone, a moving average, an unrolled inner
 * step. `apply` never changes its parameters nor its instance; new running statistics are outputs
 * (tn_model_update). */
#ifndef TENON_MODEL_H
#define TENON_MODEL_H

#include <tenon/plugin.h>

#define TN_MODEL "tenon.model/1"

/* How normalisation layers get their statistics in one call. */
typedef int32_t tn_norm_mode;
enum {
  TN_NORM_DEFAULT = 0, /* batch when training (with new running statistics), running when evaluating */
  TN_NORM_RUNNING = 1, /* the running statistics of the parameter set */
  TN_NORM_BATCH = 2,   /* this batch's; new running statistics are reported */
  TN_NORM_FROZEN = 3   /* this batch's; nothing is reported */
};

/* A new value of a TN_BUFFER entry, to be written by whoever called. */
typedef struct tn_buffer_update {
  uint32_t index;
  uint32_t reserved;
  tn_tensor *value;
} tn_buffer_update;

typedef struct tn_model_call {
  uint32_t size;
  tn_norm_mode norm;
  const tn_params *params;
  const tn_fields *inputs;
  tn_fields *outputs;        /* to be filled: `logits`, `features` ... as declared */
  tn_progress progress;      /* its mode: training or evaluating */
  tn_rng *rng;               /* dropout and the like; keyed by component and step */
  tn_buffer_update *updates; /* room for as many as the set has buffers; NULL: nobody wants them */
  uint32_t update_count;
  uint32_t taps; /* not 0: also give inner activations as fields `tap.NAME` */
} tn_model_call;

typedef struct tn_model {
  uint32_t size;
  /* REQUIRED */
  /* [main] Called once, before any apply, with the specification of the input fields. May keep derived sizes
   * and parameter indices in the instance. */
  tn_status (*declare)(void *self, const tn_spec *inputs, tn_declaration *declaration);
  /* [main] (n, ...) fields in, (n, ...) fields out. */
  tn_status (*apply)(void *self, tn_model_call *call);
} tn_model;

static inline tn_status tn_model_apply(const tn_component *c, tn_model_call *call) {
  tn_call_stack *stack = tn_enter(c, "apply");
  tn_status status = ((const tn_model *)c->vtable)->apply(c->self, call);
  tn_leave(stack);
  return status;
}
/* In apply: the new value of buffer `index`. */
static inline void tn_model_update(tn_model_call *call, uint32_t index, tn_tensor *value) {
  if (!call->updates || call->norm == TN_NORM_FROZEN) return;
  call->updates[call->update_count].index = index;
  call->updates[call->update_count].value = value;
  call->update_count++;
}

#endif
