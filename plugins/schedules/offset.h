// SPDX-License-Identifier: MIT
/* How far schedules of the form f(t / offset) have come. */
#ifndef TENON_PLUGINS_OFFSET_H
#define TENON_PLUGINS_OFFSET_H

#include <tenon/schedule.h>

/* t / offset, with a percentage taken of the planned steps; 0 where nobody knows how many there will be. */
static inline double offset_done(const tn_progress *progress, tn_count offset) {
  const double whole = offset.number > 0 ? (double)offset.number : offset.fraction * (double)progress->steps;
  return whole > 0 && progress->step > 0 ? (double)progress->step / whole : 0;
}

#endif
