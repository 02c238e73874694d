// SPDX-License-Identifier: MIT
/* What a batch says about classes: one row of scores a sample, or predicted class numbers. Shared by the
 * metrics of classification. */
#ifndef TENON_PLUGINS_PREDICTION_H
#define TENON_PLUGINS_PREDICTION_H

#include <tenon/metric.h>

struct prediction {
  const tn_tensor *scores; /* (n, c) or (n) float, or NULL */
  const tn_tensor *labels; /* (n) int64, or NULL */
  int64_t samples, width;  /* width: scores a sample */
};

/* Finds the prediction in field `name`; empty: `logits`, else `probability`, else `prediction`. */
static inline tn_status prediction_of(const tn_fields *fields, const char *name, struct prediction *p) {
  static const char *const usual[] = {"logits", "probability"};
  const tn_tensor *x = *name ? tn_field(fields, name) : NULL;
  for (uint32_t i = 0; !x && i < TN_ARRAY_LENGTH(usual); i++) x = tn_fields_find(fields, usual[i]);
  if (!x) x = tn_field(fields, "prediction");
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  *p = (struct prediction){NULL, NULL, tn_ndim(x) > 0 ? tn_dim(x, 0) : 0, 1};
  if (x->dtype == TN_I64) {
    p->labels = x;
    return tn_ndim(x) == 1 ? TN_OK : tn_fail(TN_ERROR_SHAPE, "predicted labels must be (n)");
  }
  if (x->dtype != TN_F32 && x->dtype != TN_F64)
    return tn_fail(TN_ERROR_SHAPE, "scores must be float32 or float64");
  if (tn_ndim(x) != 2 && tn_ndim(x) != 1) return tn_fail(TN_ERROR_SHAPE, "scores must be (n, classes)");
  p->scores = x;
  p->width = tn_ndim(x) == 2 ? tn_dim(x, 1) : 1;
  return TN_OK;
}

/* The class numbers (n) of field `name`, as many as there are samples. */
static inline const int64_t *prediction_truth(const tn_fields *fields, const char *name, int64_t samples) {
  const tn_tensor *label = tn_field(fields, name);
  if (tn_poisoned(label)) return NULL;
  if (label->dtype == TN_I64 && tn_ndim(label) == 1 && tn_dim(label, 0) == samples) return tn_i64(label);
  tn_fail(TN_ERROR_SHAPE, "'%s' must be one class number for each of the %lld samples", name,
          (long long)samples);
  return NULL;
}

static inline double prediction_score(const struct prediction *p, int64_t row, int64_t c) {
  const int64_t at = row * p->width + c;
  return p->scores->dtype == TN_F64 ? tn_f64(p->scores)[at] : (double)tn_f32(p->scores)[at];
}

/* The class of the highest score, the first of equals; a single score is a logit: class 1 above 0. */
static inline int64_t prediction_class(const struct prediction *p, int64_t row) {
  if (p->labels) return tn_i64(p->labels)[row];
  if (p->width == 1) return prediction_score(p, row, 0) > 0;
  int64_t best = 0;
  double highest = prediction_score(p, row, 0);
  for (int64_t c = 1; c < p->width; c++) {
    const double score = prediction_score(p, row, c);
    if (score > highest) highest = score, best = c;
  }
  return best;
}

/* True if `label` is among the `top` highest scores; of equal scores the lower class number comes first. A
 * score that is not a number is below all others. */
static inline bool prediction_hits(const struct prediction *p, int64_t row, int64_t label, int64_t top) {
  if (p->labels || p->width == 1 || top == 1) return prediction_class(p, row) == label;
  if (label >= p->width) return false;
  const double own = prediction_score(p, row, label);
  int64_t above = 0;
  for (int64_t c = 0; c < p->width; c++) {
    const double score = prediction_score(p, row, c);
    above += score > own || (score == own && c < label) || (own != own && score == score);
  }
  return above < top;
}

#endif
