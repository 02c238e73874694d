// SPDX-License-Identifier: MIT
/* The simplex grid: all vectors of `objectives` numbers k_i / divisions, k_i whole and not negative, that sum
 * to 1. */
#ifndef TENON_PLUGINS_SIMPLEX_GRID_H
#define TENON_PLUGINS_SIMPLEX_GRID_H

#include <stdint.h>

/* How many: binomial(divisions + objectives - 1, objectives - 1); -1: more than 1e9. */
static inline int64_t simplex_points(int64_t divisions, uint32_t objectives) {
  double count = 1;
  for (uint32_t i = 1; i < objectives; i++) count = count * (double)(divisions + i) / i;
  return count < 1e9 ? (int64_t)(count + 0.5) : -1;
}

/* Point `number`, the first weight rising slowest. */
static inline void simplex_point(int64_t divisions, uint32_t objectives, int64_t number, double *weights) {
  int64_t left = divisions;
  for (uint32_t i = 0; i + 1 < objectives; i++) {
    int64_t k = 0, points; /* points whose i-th weight is k: those of the rest of the simplex */
    for (; number >= (points = simplex_points(left - k, objectives - i - 1)); k++) number -= points;
    weights[i] = (double)k / (double)divisions;
    left -= k;
  }
  weights[objectives - 1] = (double)left / (double)divisions;
}

#endif
