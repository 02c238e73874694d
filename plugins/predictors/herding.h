// SPDX-License-Identifier: MIT
/* Herding (Welling 2009, Herding Dynamical Weights to Learn) as iCaRL chooses exemplars (Rebuffi et al. 2017,
 * iCaRL: Incremental Classifier and Representation Learning, eq. 4): one after another the vectors whose mean
 * comes closest to the mean mu of all, none of them twice,
 *
 *   p_t = argmin_x || mu - (x + p_1 + ... + p_(t-1)) / t ||
 *       = argmax_x x (t mu - p_1 - ... - p_(t-1)) - ||x||^2 / 2 */
#ifndef TENON_PLUGINS_HERDING_H
#define TENON_PLUGINS_HERDING_H

#include <tenon/plugin.h>

/* sums[i] += x_i y for all i, of vectors by columns: (width, n). */
static inline void herding_dots(const double *columns, int64_t n, int64_t width, const double *y,
                                double *restrict sums) {
  for (int64_t d = 0; d < width; d++)
    for (int64_t i = 0; i < n; i++) sums[i] += columns[d * n + i] * y[d];
}

/* Vectors x (n, width). The first `keep` <= n choices in order, into `chosen` (keep); of equally good ones
 * the first is taken. */
static inline tn_status herding_choose(const double *x, int64_t n, int64_t width, int64_t keep,
                                       int64_t *chosen) {
  double *columns = tn_alloc((size_t)(n * width) * sizeof *columns);
  double *mean = tn_alloc((size_t)width * sizeof *mean), *half = tn_alloc((size_t)n * sizeof *half);
  double *along = tn_alloc((size_t)n * sizeof *along);     /* x_i mu */
  double *covered = tn_alloc((size_t)n * sizeof *covered); /* x_i (p_1 + ... + p_(t-1)) */
  bool *taken = tn_alloc((size_t)n);
  const bool ready = columns && mean && half && along && covered && taken;
  for (int64_t i = 0; ready && i < n; i++)
    for (int64_t d = 0; d < width; d++) {
      const double value = x[i * width + d];
      columns[d * n + i] = value;
      mean[d] += value / (double)n;
      half[i] += value * value / 2;
    }
  if (ready) herding_dots(columns, n, width, mean, along);
  for (int64_t t = 1; ready && t <= keep; t++) {
    int64_t best = -1;
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
      const double value = (double)t * along[i] - covered[i] - half[i];
      if (taken[i] || (best >= 0 && value <= most)) continue;
      best = i;
      most = value;
    }
    taken[best] = true;
    chosen[t - 1] = best;
    herding_dots(columns, n, width, x + best * width, covered);
  }
  tn_free(columns);
  tn_free(mean);
  tn_free(half);
  tn_free(along);
  tn_free(covered);
  tn_free(taken);
  return ready ? TN_OK : TN_ERROR_MEMORY;
}

#endif
