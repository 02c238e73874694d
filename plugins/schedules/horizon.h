// SPDX-License-Identifier: MIT
/* Where a schedule stands on its way to its horizon. */
#ifndef TENON_PLUGINS_HORIZON_H
#define TENON_PLUGINS_HORIZON_H

#include <tenon/schedule.h>

/* The share of `steps` (0: the procedure's planned steps) that is done, in [0, 1]; 0 where nobody knows the
 * horizon. */
static inline double horizon_done(const tn_progress *progress, int64_t steps) {
  const int64_t horizon = steps > 0 ? steps : progress->steps;
  if (horizon <= 0 || progress->step <= 0) return 0;
  return progress->step >= horizon ? 1 : (double)progress->step / (double)horizon;
}

#endif
