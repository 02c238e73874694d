// SPDX-License-Identifier: MIT
/* The decision threshold that maximises a metric of the binary confusion matrix on given scores. */
#ifndef TENON_PLUGINS_THRESHOLD_H
#define TENON_PLUGINS_THRESHOLD_H

#include "../metrics/binary.h"
#include <stdlib.h>
#include <tenon/data.h>

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

/* Appends the logit (of two, their difference) and the truth of every labelled sample; room for all is the
 * caller's. */
static inline tn_status threshold_collect(tn_tensor *logits, const tn_tensor *label, struct scored *samples,
                                          int64_t *count) {
  const tn_tensor *z = tn_cast(tn_flatten(logits), TN_F64); /* (n, 1 or 2) */
  if (tn_poisoned(z) || tn_poisoned(label)) return tn_outcome();
  const int64_t width = tn_dim(z, 1);
  for (int64_t i = 0; i < tn_dim(z, 0); i++) {
    if (tn_i64(label)[i] < 0) continue;
    const double *row = tn_f64(z) + i * width;
    samples[(*count)++] = (struct scored){width == 2 ? row[1] - row[0] : row[0], tn_i64(label)[i] == 1};
  }
  return TN_OK;
}

/* Logits (n, 1 or 2) whose decision is at 0, or at equality, where that of the given ones is at `cut`. */
static inline tn_tensor *threshold_shift(tn_tensor *logits, double cut) {
  tn_tensor *z = tn_flatten(logits);
  if (tn_poisoned(z)) return z;
  const double shift[2] = {0, cut};
  const int64_t width = tn_dim(z, 1);
  return tn_sub(z, tn_cast(tn_from(TN_F64, TN_SHAPE(width), shift + (2 - width)), z->dtype));
}

/* Whether these outputs and labels are of two classes. */
static inline tn_status threshold_check(const tn_spec *fields) {
  const tn_field_spec *logits = tn_spec_get(fields, "logits"), *label = tn_spec_get(fields, "label");
  if (!logits || !label) return TN_ERROR_MISSING;
  if (tn_spec_numel(logits) > 2 || label->classes > 2)
    return tn_fail(TN_ERROR_SHAPE, "a threshold is for two classes, there are %lld",
                   (long long)(label->classes > 2 ? label->classes : tn_spec_numel(logits)));
  return TN_OK;
}

#endif
