// SPDX-License-Identifier: MIT
/* Bounds on the last iterate of stochastic subgradient descent on a convex function (Defazio et al. 2023,
 * theorems 1 and 10). Norms of the gradients G_t, rates eta_t, t = 1 .. T (arrays: from 0), D the distance of
 * the first iterate from a minimiser. */
#ifndef TENON_PLUGINS_BOUND_H
#define TENON_PLUGINS_BOUND_H

#include <tenon/plugin.h>

/* f(x_T) - f* <= B(eta) = distance + noise of
 *   S_t = sum_{p >= t} eta_p,  Q_t = sum_{p >= t} eta_p^2 G_p^2
 *   distance = D^2 / (2 S_1),  noise = Q_1 / (2 S_1) + 1/2 sum_{t < T} eta_t Q_t / (S_t S_{t+1})
 * Infinite unless all rates are positive. Rates times c: distance / c, noise times c. */
struct last_iterate_bound {
  double distance, noise;
};

/* `scratch` (2 (steps + 1)): S and Q afterwards. */
static inline struct last_iterate_bound last_iterate_bound(const double *rates, const double *norms,
                                                           int64_t steps, double distance, double *scratch) {
  double *s = scratch, *q = scratch + steps + 1;
  s[steps] = q[steps] = 0;
  for (int64_t t = steps - 1; t >= 0; t--) {
    s[t] = s[t + 1] + rates[t];
    q[t] = q[t + 1] + rates[t] * rates[t] * norms[t] * norms[t];
  }
  struct last_iterate_bound bound = {distance * distance / (2 * s[0]), q[0] / (2 * s[0])};
  for (int64_t t = 0; t < steps - 1; t++) bound.noise += rates[t] * q[t] / (2 * s[t] * s[t + 1]);
  return bound;
}

/* B and its derivative by every rate, in one pass back (the derivatives of S_t and Q_t reach all eta_p, p >=
 * t, so that they add up on the way). `scratch` as above. */
static inline double last_iterate_gradient(const double *rates, const double *norms, int64_t steps,
                                           double distance, double *scratch, double *gradient) {
  const struct last_iterate_bound bound = last_iterate_bound(rates, norms, steps, distance, scratch);
  const double *s = scratch, *q = scratch + steps + 1;
  double by_s = -(distance * distance + q[0]) / (2 * s[0] * s[0]), by_q = 1 / (2 * s[0]);
  for (int64_t t = 0; t < steps; t++) {
    double direct = 0, next = 0; /* next: what the term of t gives S_{t+1} */
    if (t < steps - 1) {
      const double product = 2 * s[t] * s[t + 1], term = rates[t] * q[t] / product;
      direct = q[t] / product;
      by_s -= term / s[t];
      by_q += rates[t] / product;
      next = -term / s[t + 1];
    }
    gradient[t] = direct + by_s + 2 * rates[t] * norms[t] * norms[t] * by_q;
    by_s += next;
  }
  return bound.distance + bound.noise;
}

/* The smallest B over common factors of all rates, and that factor. */
static inline double last_iterate_best(struct last_iterate_bound bound, double *factor) {
  if (factor) *factor = sqrt(bound.distance / bound.noise);
  return 2 * sqrt(bound.distance * bound.noise);
}

/* Theorem 1 with weights w_t and the best eta: D sqrt(sum w_t^2 G_t^2) / sum w_t. `weights` NULL: all 1,
 * linear decay. */
static inline double weighted_bound(const double *weights, const double *norms, int64_t steps,
                                    double distance) {
  double sum = 0, square = 0;
  for (int64_t t = 0; t < steps; t++) {
    const double w = weights ? weights[t] : 1;
    sum += w;
    square += w * w * norms[t] * norms[t];
  }
  return distance * sqrt(square) / sum;
}

#endif
