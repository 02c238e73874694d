// SPDX-License-Identifier: MIT
/* Kind tenon.gradient/1: changes the gradient in front of any optimizer: clipping, normalising,
 * preconditioning, combining gradients of several losses. */
#ifndef TENON_GRADIENT_H
#define TENON_GRADIENT_H

#include <tenon/plugin.h>

#define TN_GRADIENT "tenon.gradient/1"

typedef struct tn_gradient_call {
  uint32_t size;
  uint32_t count; /* gradients: 1, or one a loss or domain for methods that combine */
  const tn_params *params;
  tn_params *const *gradients; /* gradients[0] is to be changed in place: it is what the optimizer gets */
  const double *losses;        /* their losses */
  tn_progress progress;
} tn_gradient_call;

typedef struct tn_gradient {
  uint32_t size;
  /* REQUIRED */
  /* [main] */
  tn_status (*apply)(void *self, const tn_gradient_call *call);
  /* OPTIONAL */
  /* [main] As an optimizer's begin. Default: nothing. */
  tn_status (*begin)(void *self, const tn_params *params);
} tn_gradient;

static inline tn_status tn_gradient_begin(const tn_component *c, const tn_params *params) {
  const tn_gradient *g = (const tn_gradient *)c->vtable;
  return TN_HAS(g, tn_gradient, begin) ? g->begin(c->self, params) : TN_OK;
}
static inline tn_status tn_gradient_apply(const tn_component *c, const tn_gradient_call *call) {
  tn_call_stack *stack = tn_enter(c, "apply");
  tn_status status = ((const tn_gradient *)c->vtable)->apply(c->self, call);
  tn_leave(stack);
  return status;
}

#endif
