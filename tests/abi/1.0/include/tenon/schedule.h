// SPDX-License-Identifier: MIT
/* Kind tenon.schedule/1: the factor on the learning rate as a function of where the procedure stands. */
#ifndef TENON_SCHEDULE_H
#define TENON_SCHEDULE_H

#include <tenon/plugin.h>

#define TN_SCHEDULE "tenon.schedule/1"

typedef struct tn_schedule {
  uint32_t size;
  /* REQUIRED */
  /* [any] The factor for the step that follows `progress->step` finished ones: finite, not negative. A pure
   * function of progress and of what was observed. */
  double (*factor)(void *self, const tn_progress *progress);
  /* OPTIONAL */
  /* [main] What the last step saw: loss and gradient norm before clipping and momentum. Default: ignored. */
  void (*observe)(void *self, const tn_progress *progress, double loss, double gradient_norm);
} tn_schedule;

static inline double tn_schedule_factor(const tn_component *c, const tn_progress *progress) {
  tn_call_stack *stack = tn_enter(c, "factor");
  double factor = ((const tn_schedule *)c->vtable)->factor(c->self, progress);
  tn_leave(stack);
  return factor;
}
static inline bool tn_schedule_observes(const tn_component *c) {
  const tn_schedule *s = (const tn_schedule *)c->vtable;
  return TN_HAS(s, tn_schedule, observe);
}
static inline void tn_schedule_observe(const tn_component *c, const tn_progress *progress, double loss,
                                       double gradient_norm) {
  const tn_schedule *s = (const tn_schedule *)c->vtable;
  if (TN_HAS(s, tn_schedule, observe)) s->observe(c->self, progress, loss, gradient_norm);
}

#endif
