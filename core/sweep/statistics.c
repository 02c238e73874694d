// SPDX-License-Identifier: MIT
#include "core/sweep/statistics.h"
#include "core/config/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

enum { RESAMPLES = 10000 };
#define BOOTSTRAP_KEY 0x74656e6f6e000001u

double tn_mean_of(const double *values, uint32_t count) {
  double sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += values[i];
  return count ? sum / count : NAN;
}

double tn_deviation_of(const double *values, uint32_t count) {
  const double mean = tn_mean_of(values, count);
  double sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += (values[i] - mean) * (values[i] - mean);
  return count > 1 ? sqrt(sum / (count - 1)) : count ? 0 : NAN;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double *sorted(const double *values, uint32_t count) {
  double *copy = tn_take((count + 1) * sizeof *copy);
  memcpy(copy, values, count * sizeof *copy);
  qsort(copy, count, sizeof *copy, by_value);
  return copy;
}

double tn_median_of(const double *values, uint32_t count) {
  if (count == 0) return NAN;
  double *copy = sorted(values, count);
  const double median = count % 2 ? copy[count / 2] : (copy[count / 2 - 1] + copy[count / 2]) / 2;
  free(copy);
  return median;
}

double tn_least_of(const double *values, uint32_t count) {
  double least = count ? values[0] : NAN;
  for (uint32_t i = 1; i < count; i++) least = fmin(least, values[i]);
  return least;
}

double tn_greatest_of(const double *values, uint32_t count) {
  double greatest = count ? values[0] : NAN;
  for (uint32_t i = 1; i < count; i++) greatest = fmax(greatest, values[i]);
  return greatest;
}

void tn_bootstrap(const double *values, uint32_t count, double *low, double *high) {
  *low = *high = tn_mean_of(values, count);
  if (count < 2) return;
  double *means = tn_take(RESAMPLES * sizeof *means);
  tn_rng rng = {.key = BOOTSTRAP_KEY};
  for (uint32_t r = 0; r < RESAMPLES; r++) {
    for (uint32_t i = 0; i < count; i++) means[r] += values[tn_random_below(&rng, count)];
    means[r] /= count;
  }
  qsort(means, RESAMPLES, sizeof *means, by_value);
  *low = means[(uint32_t)(0.025 * RESAMPLES)];
  *high = means[(uint32_t)(0.975 * RESAMPLES) - 1];
  free(means);
}
