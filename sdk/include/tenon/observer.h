// SPDX-License-Identifier: MIT
/* Kind tenon.observer/1: sees the run's events (report.h): progress line, JSONL, CSV, TensorBoard, plots. */
#ifndef TENON_OBSERVER_H
#define TENON_OBSERVER_H

#include <tenon/plugin.h>

#define TN_OBSERVER "tenon.observer/1"

/* What a training stage shows to its own observers (its key `observers`). */
typedef struct tn_observation {
  uint32_t size;
  uint32_t reserved;
  const tn_params *params; /* what is trained, in front of the update */
  const tn_params
      *gradient; /* there, as it was computed: in front of clipping and the like; NULL at the end */
  const tn_component *optimizer;
  tn_progress progress;
} tn_observation;

typedef struct tn_observer {
  uint32_t size;
  /* REQUIRED */
  /* [main] The event is valid during the call. A failure ends the run. */
  tn_status (*event)(void *self, const tn_event *event);
  /* OPTIONAL */
  /* [main] After every step of every stage, also those without an event: for live displays. Default: nothing.
   */
  void (*tick)(void *self, const char *stage, const tn_progress *progress);
  /* [main] In front of every update, and once more behind the last one, with progress.step == progress.steps
   * and no gradient. What is shown is valid during the call and must not be changed. Default: nothing. */
  tn_status (*observe)(void *self, const tn_observation *observation);
} tn_observer;

static inline bool tn_observer_watches(const tn_component *c) {
  const tn_observer *o = (const tn_observer *)c->vtable;
  return TN_HAS(o, tn_observer, observe);
}
static inline tn_status tn_observer_observe(const tn_component *c, const tn_observation *observation) {
  tn_call_stack *stack = tn_enter(c, "observe");
  tn_status status = ((const tn_observer *)c->vtable)->observe(c->self, observation);
  tn_leave(stack);
  return status;
}

#endif
