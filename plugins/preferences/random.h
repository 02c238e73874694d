// SPDX-License-Identifier: MIT
/* Gamma and Dirichlet draws. */
#ifndef TENON_PLUGINS_RANDOM_H
#define TENON_PLUGINS_RANDOM_H

#include <tenon/plugin.h>

/* The logarithm of a Gamma(shape, 1) draw (Marsaglia and Tsang 2000; below shape 1 with their boost). */
static inline double random_log_gamma(tn_rng *rng, double shape) {
  double boost = 0;
  if (shape < 1) {
    boost = log1p(-tn_random_uniform(rng)) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    const double x = tn_random_normal(rng), root = 1 + c * x, v = root * root * root;
    const double u = 1 - tn_random_uniform(rng);
    if (v > 0 && log(u) < x * x / 2 + d - d * v + d * log(v)) return log(d * v) + boost;
  }
}
static inline double random_gamma(tn_rng *rng, double shape) { return exp(random_log_gamma(rng, shape)); }

/* count weights that sum to 1, Dirichlet with all parameters alpha. */
static inline void random_dirichlet(tn_rng *rng, double alpha, uint32_t count, double *weights) {
  double most = -INFINITY, sum = 0;
  for (uint32_t i = 0; i < count; i++) {
    weights[i] = random_log_gamma(rng, alpha);
    most = fmax(most, weights[i]);
  }
  for (uint32_t i = 0; i < count; i++) sum += weights[i] = exp(weights[i] - most);
  for (uint32_t i = 0; i < count; i++) weights[i] /= sum;
}

#endif
