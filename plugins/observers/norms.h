// SPDX-License-Identifier: MIT
/* Extension "tenon.observer.norms/1": gradient norms that were recorded, for schedules and metrics that come
 * after the run. */
#ifndef TENON_PLUGINS_NORMS_H
#define TENON_PLUGINS_NORMS_H

#include <tenon/observer.h>

#define TN_NORMS "tenon.observer.norms/1"

enum { NORM_L2, NORM_L1 };
typedef struct tn_norms {
  uint32_t size;
  /* [main] Norms of the steps so far of the last run, in order, `norm` being NORM_L2 or NORM_L1; how many
   * through `count`. The observer's, valid until the next step. NULL: this norm is not recorded. */
  const double *(*recorded)(void *self, int32_t norm, int64_t *count);
} tn_norms;

/* Norms of a reference; NULL and an error if it records none of this sort. */
static inline const double *norms_of(const tn_component *observer, int32_t norm, int64_t *count) {
  const tn_norms *norms = tn_extension(observer, TN_NORMS);
  const double *values = norms ? norms->recorded(observer->self, norm, count) : NULL;
  if (!values)
    tn_fail(TN_ERROR_INVALID, "'%s' records no %s norms of gradients; expected an observer.gradient_norms",
            observer->name, norm == NORM_L1 ? "L1" : "L2");
  return values;
}

#endif
