// SPDX-License-Identifier: MIT
#include "internal.h"

#include <omp.h>

/* Entering a parallel region costs microseconds, more if the threads have gone to sleep. */
static const double PARALLEL_WORK = 20e3; /* nanoseconds */

void tn_parallel(int64_t count, double work, tn_body body, void *context) {
  if (count <= 1 || work < PARALLEL_WORK || omp_in_parallel() || omp_get_max_threads() == 1) {
    for (int64_t i = 0; i < count; i++) body(context, i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; i++) body(context, i);
}
