// SPDX-License-Identifier: MIT
/* Kind tenon.weighting/1: weights of samples, groups or domains in the loss: uniform, group-DRO, domain
 * penalty, decorrelation, self-paced. */
#ifndef TENON_WEIGHTING_H
#define TENON_WEIGHTING_H

#include <tenon/plugin.h>

#define TN_WEIGHTING "tenon.weighting/1"

typedef struct tn_weighting_call {
  uint32_t size;
  uint32_t reserved;
  const tn_fields *fields; /* the batch and the model's outputs */
  tn_tensor *losses;       /* (n), recorded */
  const int64_t *index;    /* rows in the data set; NULL if unknown */
  tn_progress progress;
} tn_weighting_call;

typedef struct tn_weighting {
  uint32_t size;
  /* REQUIRED */
  /* [main] The scalar loss made of the per-sample losses, usually sum w_i loss_i with sum w_i = 1. May be any
   * differentiable function of them. */
  tn_tensor *(*combine)(void *self, const tn_weighting_call *call);
  /* OPTIONAL */
  /* [main] Before training, with the training set. Default: nothing. */
  tn_status (*begin)(void *self, const tn_component *data);
} tn_weighting;

static inline tn_tensor *tn_weighting_combine(const tn_component *c, const tn_weighting_call *call) {
  tn_call_stack *stack = tn_enter(c, "combine");
  tn_tensor *loss = ((const tn_weighting *)c->vtable)->combine(c->self, call);
  tn_leave(stack);
  return loss;
}
static inline tn_status tn_weighting_begin(const tn_component *c, const tn_component *data) {
  const tn_weighting *w = (const tn_weighting *)c->vtable;
  return TN_HAS(w, tn_weighting, begin) ? w->begin(c->self, data) : TN_OK;
}

#endif
