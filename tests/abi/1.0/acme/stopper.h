// SPDX-License-Identifier: MIT
/* Kind acme.stopper/1: decides when training has gone on long enough. */
#ifndef ACME_STOPPER_H
#define ACME_STOPPER_H

#include <tenon/plugin.h>

#define ACME_STOPPER "acme.stopper/1"

typedef struct acme_stopper {
  uint32_t size;
  /* REQUIRED */
  /* [main] Called after step `step` (from 1) with its loss; true ends the training. */
  bool (*stop)(void *self, int64_t step, double loss);
} acme_stopper;

static inline bool acme_stop(const tn_component *c, int64_t step, double loss) {
  tn_call_stack *stack = tn_enter(c, "stop");
  bool result = ((const acme_stopper *)c->vtable)->stop(c->self, step, loss);
  tn_leave(stack);
  return result;
}

#endif
