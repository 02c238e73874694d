// SPDX-License-Identifier: MIT
#ifndef TENON_PLUGINS_KENDALL_H
#define TENON_PLUGINS_KENDALL_H

#include <math.h>
#include <stdint.h>

/* Kendall's tau-b (Kendall 1945): of all pairs those in the same order in x and y minus those in the opposite
 * one, divided by sqrt(pairs not tied in x) sqrt(pairs not tied in y). NaN if x or y has one value alone. */
static inline double kendall_tau(const double *x, const double *y, int64_t n) {
  double balance = 0, in_x = 0, in_y = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) {
      const int a = (x[i] > x[j]) - (x[i] < x[j]), b = (y[i] > y[j]) - (y[i] < y[j]);
      balance += a * b;
      in_x += a != 0;
      in_y += b != 0;
    }
  return in_x > 0 && in_y > 0 ? balance / sqrt(in_x * in_y) : NAN;
}

#endif
