// SPDX-License-Identifier: MIT
/* Extension "tenon.schedule.refined/1": how a stage drives a refined schedule through its rounds. */
#ifndef TENON_PLUGINS_REFINED_H
#define TENON_PLUGINS_REFINED_H

#include <tenon/schedule.h>

#define TN_REFINED "tenon.schedule.refined/1"

typedef struct tn_refined {
  uint32_t size;
  /* [main] Until the next call the factors are `rate` times those of `schedule`, or, if that is NULL, its
   * own, which are no longer refined by themselves: only by `refine`. */
  tn_status (*follow)(void *self, const tn_component *schedule, double rate);
  /* [main] Refines from the norms recorded last; *collapsed: they were of no use, and the schedule falls
   * back.
   */
  tn_status (*refine)(void *self, bool *collapsed);
  /* [main] The factors in force, the schedule's; NULL before the first refinement, and when it fell back. */
  const double *(*factors)(void *self, int64_t *count);
} tn_refined;

#endif
