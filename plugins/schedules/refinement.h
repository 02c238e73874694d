// SPDX-License-Identifier: MIT
/* From the gradient norms of one run to the schedule of the next (Defazio et al. 2023, algorithm 1 and
 * section 4). Norms are positive; factors have the maximum 1. */
#ifndef TENON_PLUGINS_REFINEMENT_H
#define TENON_PLUGINS_REFINEMENT_H

#include "../solvers/lbfgsb.h"
#include "bound.h"

/* Copies what can be used of `count` recorded values, in order, and returns how many: finite, positive, and,
 * for logs whose ends are ragged, neither the first nor the last two. */
static inline int64_t refinement_usable(const double *recorded, int64_t count, bool ragged, double *norms) {
  int64_t kept = 0;
  for (int64_t t = ragged ? 1 : 0; t < (ragged ? count - 2 : count); t++)
    if (isfinite(recorded[t]) && recorded[t] > 0) norms[kept++] = recorded[t];
  return kept;
}

static inline int refinement_order(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
/* NAN if there is nothing or no memory. */
static inline double refinement_median(const double *values, int64_t count) {
  double *sorted = count > 0 ? tn_alloc((size_t)count * sizeof *sorted) : NULL;
  if (!sorted) return NAN;
  memcpy(sorted, values, (size_t)count * sizeof *sorted);
  qsort(sorted, (size_t)count, sizeof *sorted, refinement_order);
  const double median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
  tn_free(sorted);
  return median;
}

/* The median of the last tenth over the median of all: far below 1 where a model interpolates its data, which
 * puts all the weight of a refined schedule there. */
static inline double refinement_tail(const double *norms, int64_t count) {
  const int64_t tail = count < 10 ? 1 : count / 10;
  return refinement_median(norms + count - tail, tail) / refinement_median(norms, count);
}

/* Where position i of `count` values lies: the nearest on the left, reflected on the right. */
static inline int64_t refinement_padded(int64_t i, int64_t count) {
  if (i < 0) return 0;
  if (i >= count) i = 2 * (count - 1) - i;
  return i < 0 ? 0 : i;
}

/* The first place in `window` (ascending) whose value is not below `value`. */
static inline int64_t refinement_place(const double *window, int64_t width, double value) {
  int64_t low = 0, high = width;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (window[middle] < value)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Median filter of width 2 floor(floor(tau T) / 2) + 1. */
static inline tn_status refinement_smooth(const double *norms, int64_t count, double tau, double *smooth) {
  const int64_t half = (int64_t)floor(tau * (double)count) / 2, width = 2 * half + 1;
  double *window = tn_alloc((size_t)width * sizeof *window); /* ascending */
  if (!window) return TN_ERROR_MEMORY;
  for (int64_t i = -half; i <= half; i++) window[i + half] = norms[refinement_padded(i, count)];
  qsort(window, (size_t)width, sizeof *window, refinement_order);
  for (int64_t t = 0; t < count; t++) {
    smooth[t] = window[half];
    const double leaves = norms[refinement_padded(t - half, count)];
    const double enters = norms[refinement_padded(t + half + 1, count)];
    const int64_t from = refinement_place(window, width, leaves);
    memmove(window + from, window + from + 1, (size_t)(width - 1 - from) * sizeof *window);
    const int64_t to = refinement_place(window, width - 1, enters);
    memmove(window + to + 1, window + to, (size_t)(width - 1 - to) * sizeof *window);
    window[to] = enters;
  }
  tn_free(window);
  return TN_OK;
}

static inline void refinement_scale(double *factors, int64_t count) {
  double largest = 0;
  for (int64_t t = 0; t < count; t++) largest = fmax(largest, factors[t]);
  for (int64_t t = 0; largest > 0 && t < count; t++) factors[t] /= largest;
}

/* w_t = G_t^-power,  eta_t = w_t sum_{p > t} w_p; `unit`: a typical norm, which keeps the numbers tame. */
static inline void refinement_closed_form(const double *norms, int64_t count, double power, double unit,
                                          double *factors) {
  double later = 0;
  for (int64_t t = count - 1; t >= 0; t--) {
    const double weight = pow(norms[t] / unit, -power);
    factors[t] = weight * later;
    later += weight;
  }
  refinement_scale(factors, count);
}

struct refinement_objective {
  const double *norms;
  double *scratch; /* of the bound */
  int64_t count;
};
static inline tn_status refinement_value(void *context, const double *rates, double *gradient,
                                         double *value) {
  const struct refinement_objective *o = context;
  *value = last_iterate_gradient(rates, o->norms, o->count, 1, o->scratch, gradient);
  return TN_OK;
}

/* The minimiser of B over eta >= 1e-8, D = 1, with norms in units of `unit`: until an iteration lowers B by
 * no more than a share of 1e-9, or 2,000 iterations. */
static inline tn_status refinement_numeric(const double *norms, int64_t count, double unit, double *factors) {
  enum { MOST = 2000 };
  const double least = 1e-8;
  double *room = tn_alloc((size_t)(4 * count + 2) * sizeof *room);
  if (!room) return TN_ERROR_MEMORY;
  double *scaled = room, *lower = scaled + count;
  for (int64_t t = 0; t < count; t++) {
    scaled[t] = norms[t] / unit;
    lower[t] = least;
    factors[t] = 1 / sqrt((double)count);
  }
  struct refinement_objective objective = {scaled, lower + count, count};
  struct lbfgsb core = {
      .n = count, .memory = 20, .lower = lower, .function = refinement_value, .context = &objective};
  tn_status status = lbfgsb_begin(&core, factors);
  double before = INFINITY;
  for (int i = 0; status == TN_OK && i < MOST && before - core.value > 1e-9 * core.value; i++) {
    before = core.value;
    status = lbfgsb_iterate(&core, 1e-10);
  }
  if (status >= 0) memcpy(factors, core.x, (size_t)count * sizeof *factors);
  lbfgsb_release(&core);
  tn_free(room);
  refinement_scale(factors, count);
  return status < 0 ? status : TN_OK;
}

#endif
