// SPDX-License-Identifier: MIT
/* The decision threshold that maximises a metric of the binary confusion matrix on given scores. */
#ifndef TENON_PLUGINS_THRESHOLD_H
#define TENON_PLUGINS_THRESHOLD_H

#include "../metrics/binary.h"
#include <stdlib.h>

struct scored {
  double score;
  bool positive;
};

static inline int scored_descending(const void *a, const void *b) {
  const double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
  return (x < y) - (x > y);
}

/* Sorts the samples; class 1 is predicted above the value returned. Tried are all cuts between different
 * scores, halfway, and one at either end; of equally good ones the highest is taken. */
static inline double threshold_best(struct scored *samples, int64_t count, int32_t metric, double beta) {
  struct binary_counts c = {0, 0, 0, 0};
  qsort(samples, (size_t)count, sizeof *samples, scored_descending);
  for (int64_t i = 0; i < count; i++) {
    c.fn += samples[i].positive;
    c.tn += !samples[i].positive;
  }
  double best = binary_metric(metric, beta, c), cut = count > 0 ? samples[0].score + 1 : 0;
  for (int64_t i = 0; i < count; i++) {
    const bool positive = samples[i].positive, last = i + 1 == count;
    c.tp += positive, c.fn -= positive;
    c.fp += !positive, c.tn -= !positive;
    if (!last && samples[i].score == samples[i + 1].score) continue;
    const double value = binary_metric(metric, beta, c);
    if (value <= best) continue;
    best = value;
    cut = last ? samples[i].score - 1 : (samples[i].score + samples[i + 1].score) / 2;
  }
  return cut;
}

#endif
