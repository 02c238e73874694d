// SPDX-License-Identifier: MIT
/* A table of factors over any number of steps. */
#ifndef TENON_PLUGINS_STRETCH_H
#define TENON_PLUGINS_STRETCH_H

#include "horizon.h"

/* With factors f_0 .. f_(n-1) and T steps (0: those that are planned):
 *   x = (n - 1) min(t / (T - 1), 1),   i = floor(x)
 *   factor(t) = f_i + (x - i) (f_(i+1) - f_i)
 * so that the first step gets f_0, the last one f_(n-1), and n = T gives the table itself; 1 if n = 0. */
static inline double stretched(const double *factors, int64_t count, const tn_progress *progress,
                               int64_t steps) {
  if (count == 0) return 1;
  const int64_t last = (steps > 0 ? steps : progress->steps) - 1;
  const double x = last > 0 ? horizon_done(progress, last) * (double)(count - 1) : 0;
  const int64_t i = (int64_t)x;
  if (i >= count - 1) return factors[count - 1];
  return factors[i] + (x - (double)i) * (factors[i + 1] - factors[i]);
}

#endif
