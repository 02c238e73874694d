// SPDX-License-Identifier: MIT
/* A scale from data to pixels with round ticks. */
#ifndef TENON_REPORT_AXIS_H
#define TENON_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define TN_AXIS_TICKS_MAX 24

typedef struct tn_axis {
  double low, high;   /* ends of the scale, low < high; logarithmic: both positive */
  double start, stop; /* pixels of low and high */
  bool logarithmic;
  size_t tick_count;
  double ticks[TN_AXIS_TICKS_MAX];
  char labels[TN_AXIS_TICKS_MAX][48]; /* UTF-8 */
} tn_axis;

/* Whether a value can be placed: at most 1e300 in size, from 1e-140 to 1e140 on a logarithmic axis, not NaN.
 */
bool tn_axis_takes(const tn_axis *axis, double value);

/* Sets the ends to hold [low, high], values that the axis takes; they may be equal, or the other way round
 * for "no data". `padded` leaves room at both ends and lets a linear axis of non-negative data begin at 0
 * where that costs little. */
void tn_axis_span(tn_axis *axis, double low, double high, bool padded);

/* Chooses about `count` ticks at multiples of 1, 2 or 5 times a power of ten; `whole`: at whole numbers. */
void tn_axis_mark(tn_axis *axis, size_t count, bool whole);

double tn_axis_place(const tn_axis *axis, double value);

#endif
