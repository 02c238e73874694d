// SPDX-License-Identifier: MIT
/* Gaussian processes over strings (Rasmussen and Williams 2006, algorithm 2.1), one an output with a shared
 * kernel exp(-d(a, b) / scale), d the Hamming distance or the city-block distance of the counts of letter
 * pairs. Kernel, scale and noise are those of a grid with the largest marginal likelihood. Outputs are
 * standardised inside. */
#ifndef TENON_PLUGINS_GAUSSIAN_PROCESS_H
#define TENON_PLUGINS_GAUSSIAN_PROCESS_H

#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

struct gaussian_process {
  int64_t count, length, letters, outputs;
  const int64_t *strings; /* (count, length); the caller's */
  bool pairs;             /* which distance */
  double scale, noise, likelihood;
  double *centre, *spread; /* (outputs) */
  tn_tensor *factor;       /* (count, count) L of K + noise 1 = L L^T; persistent */
  tn_tensor *weights;      /* (count, outputs) (K + noise 1)^-1 y; persistent */
};

static inline void gp_release(struct gaussian_process *gp) {
  tn_free(gp->centre);
  tn_free(gp->spread);
  tn_release(gp->factor);
  tn_release(gp->weights);
  *gp = (struct gaussian_process){0};
}

static inline double gp_distance(const struct gaussian_process *gp, bool pairs, const int64_t *a,
                                 const int64_t *b, int32_t *counts) {
  double sum = 0;
  if (!pairs) {
    for (int64_t t = 0; t < gp->length; t++) sum += a[t] != b[t];
    return sum;
  }
  for (int64_t t = 0; t + 1 < gp->length; t++) {
    counts[a[t] * gp->letters + a[t + 1]]++;
    counts[b[t] * gp->letters + b[t + 1]]--;
  }
  for (int64_t t = 0; t + 1 < gp->length; t++) { /* each pair once: what was counted is cleared */
    int32_t *p = &counts[a[t] * gp->letters + a[t + 1]], *q = &counts[b[t] * gp->letters + b[t + 1]];
    sum += abs(*p);
    *p = 0;
    sum += abs(*q);
    *q = 0;
  }
  return sum;
}

/* (n, count) distances of strings from those that were learnt from. */
static inline tn_tensor *gp_distances(const struct gaussian_process *gp, bool pairs, const int64_t *strings,
                                      int64_t n) {
  tn_tensor *d = tn_empty(TN_F64, TN_SHAPE(n, gp->count));
  int32_t *counts = tn_alloc((size_t)(gp->letters * gp->letters) * sizeof *counts);
  for (int64_t i = 0; counts && !tn_poisoned(d) && i < n; i++)
    for (int64_t j = 0; j < gp->count; j++)
      tn_f64(d)[i * gp->count + j] =
          gp_distance(gp, pairs, strings + i * gp->length, gp->strings + j * gp->length, counts);
  tn_free(counts);
  return d;
}

/* log p(y | strings), all outputs, of the kernel exp(-d / scale) + noise 1; *factor and *weights, of the
 * scope. */
static inline double gp_likelihood(const struct gaussian_process *gp, tn_tensor *distances, tn_tensor *y,
                                   double scale, double noise, tn_tensor **factor, tn_tensor **weights) {
  tn_tensor *kernel =
      tn_add(tn_exp(tn_scale(distances, -1 / scale)), tn_scale(tn_identity(TN_F64, gp->count), noise));
  *factor = tn_cholesky(kernel);
  tn_tensor *half = tn_sdk.linalg->solve_triangular(*factor, y, false, false);
  *weights = tn_sdk.linalg->solve_triangular(*factor, half, false, true);
  const double fit = tn_item(tn_sum(tn_square(half))),
               log_det = tn_item(tn_sum(tn_log(tn_diagonal(*factor))));
  return -fit / 2 - (double)gp->outputs * log_det;
}

/* Learns from values (count, outputs) of strings (count, length). */
static inline tn_status gp_fit(struct gaussian_process *gp, const int64_t *strings, int64_t count,
                               int64_t length, int64_t letters, const double *values, int64_t outputs) {
  static const double scales[] = {0.5, 1, 2, 4, 8, 16, 32}, noises[] = {1e-4, 1e-3, 1e-2, 1e-1};
  gp_release(gp);
  *gp = (struct gaussian_process){.count = count,
                                  .length = length,
                                  .letters = letters,
                                  .outputs = outputs,
                                  .strings = strings,
                                  .likelihood = -INFINITY,
                                  .centre = tn_alloc((size_t)outputs * sizeof(double)),
                                  .spread = tn_alloc((size_t)outputs * sizeof(double))};
  tn_tensor *y = tn_empty(TN_F64, TN_SHAPE(count, outputs));
  if (tn_failed()) return TN_ERROR_MEMORY;
  for (int64_t k = 0; k < outputs; k++) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++) mean += values[i * outputs + k] / (double)count;
    for (int64_t i = 0; i < count; i++)
      square += (values[i * outputs + k] - mean) * (values[i * outputs + k] - mean) / (double)count;
    gp->centre[k] = mean;
    gp->spread[k] = square > 0 ? sqrt(square) : 1;
    for (int64_t i = 0; i < count; i++)
      tn_f64(y)[i * outputs + k] = (values[i * outputs + k] - mean) / gp->spread[k];
  }
  for (int pairs = 0; pairs < 2; pairs++) {
    tn_tensor *distances = gp_distances(gp, pairs, strings, count);
    for (size_t s = 0; s < TN_ARRAY_LENGTH(scales); s++)
      for (size_t n = 0; n < TN_ARRAY_LENGTH(noises); n++) {
        tn_tensor *factor, *weights;
        tn_scope_open();
        const double likelihood = gp_likelihood(gp, distances, y, scales[s], noises[n], &factor, &weights);
        if (!tn_failed() && likelihood > gp->likelihood) {
          tn_release(gp->factor);
          tn_release(gp->weights);
          gp->factor = tn_persist(factor);
          gp->weights = tn_persist(weights);
          gp->pairs = pairs;
          gp->scale = scales[s];
          gp->noise = noises[n];
          gp->likelihood = likelihood;
        }
        tn_scope_close();
      }
  }
  return tn_outcome();
}

/* Posterior means and standard deviations (n, outputs), in the units of the values, without noise. */
static inline tn_status gp_predict(const struct gaussian_process *gp, const int64_t *strings, int64_t n,
                                   double *mean, double *deviation) {
  tn_tensor *kernel =
      tn_exp(tn_scale(gp_distances(gp, gp->pairs, strings, n), -1 / gp->scale)); /* (n, count) */
  const tn_tensor *mu = tn_matmul(kernel, gp->weights);
  tn_tensor *half = tn_sdk.linalg->solve_triangular(gp->factor, tn_permute(kernel, (const int32_t[]){1, 0}),
                                                    false, false); /* (count, n) */
  const tn_tensor *known = tn_reduce(TN_SUM, tn_square(half), 0, false);
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < gp->outputs; k++) {
      mean[i * gp->outputs + k] = gp->centre[k] + gp->spread[k] * tn_f64(mu)[i * gp->outputs + k];
      deviation[i * gp->outputs + k] = gp->spread[k] * sqrt(fmax(1 - tn_f64(known)[i], 0));
    }
  return TN_OK;
}

#endif
