// SPDX-License-Identifier: MIT
/* Largest eigenvalues by power iteration. */
#ifndef TENON_PLUGINS_POWER_H
#define TENON_PLUGINS_POWER_H

#include "probe.h"

/* The product of a symmetric matrix with v, written to `into`. */
typedef tn_status (*power_product)(const void *matrix, const tn_params *v, tn_params *into);

static inline tn_status probe_times(const void *matrix, const tn_params *v, tn_params *into) {
  return probe_evaluate(matrix, v, NULL, into);
}

static inline void power_start(tn_params *v) {
  tn_rng rng = tn_rng_at("power", "start", 0);
  for (uint32_t i = 0; i < tn_params_count(v); i++) {
    tn_tensor *x = tn_param_tensor(v, i);
    for (int64_t k = 0; x && k < tn_numel(x); k++) {
      if (x->dtype == TN_F64)
        tn_f64(x)[k] = tn_random_normal(&rng);
      else
        tn_f32(x)[k] = (float)tn_random_normal(&rng);
    }
  }
  tn_params_scale(v, 1 / tn_params_norm(v));
}

/* The eigenvalue of H - shift I that is largest in absolute value. */
static inline tn_status power_iterate(power_product product, const void *matrix, double shift,
                                      int64_t iterations, tn_params *v, tn_params *hv, double *value) {
  tn_status status = TN_OK;
  power_start(v);
  for (int64_t i = 0; status >= 0 && i < iterations; i++) {
    status = product(matrix, v, hv);
    if (status < 0) break;
    if (shift < 0 || shift > 0) tn_params_axpy(hv, -shift, v);
    *value = tn_params_dot(v, hv);
    const double norm = tn_params_norm(hv);
    if (!(norm > 0)) break;
    tn_params_copy(v, hv);
    tn_params_scale(v, 1 / norm);
  }
  return status;
}

/* The largest (not the largest in absolute value) eigenvalue of a symmetric matrix over sets of `layout`.
 * Where the iteration ends at a negative one, a second one on H less that eigenvalue finds the largest. */
static inline tn_status power_largest(power_product product, const void *matrix, const tn_params *layout,
                                      int64_t iterations, double *value) {
  tn_params *v = tn_params_like(layout), *hv = tn_params_like(layout);
  double first = 0, rest = 0;
  tn_status status = v && hv ? TN_OK : TN_ERROR_MEMORY;
  if (status >= 0) status = power_iterate(product, matrix, 0, iterations, v, hv, &first);
  if (status >= 0 && first < 0) status = power_iterate(product, matrix, first, iterations, v, hv, &rest);
  tn_params_release(v);
  tn_params_release(hv);
  *value = first + rest;
  return status;
}

#endif
