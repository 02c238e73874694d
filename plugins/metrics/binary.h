// SPDX-License-Identifier: MIT
/* Figures of the binary confusion matrix; class 1 is the positive one. */
#ifndef TENON_PLUGINS_BINARY_H
#define TENON_PLUGINS_BINARY_H

#include <tenon/expression.h>
#include <tenon/schema.h>

/* In the order of BINARY_METRICS. */
enum {
  BINARY_F1,
  BINARY_F_BETA,
  BINARY_G_MEAN,
  BINARY_BALANCED_ACCURACY,
  BINARY_ACCURACY,
  BINARY_PRECISION,
  BINARY_RECALL,
  BINARY_COUNT
};
#define BINARY_METRICS   "f1|f_beta|g_mean|balanced_accuracy|accuracy|precision|recall"
#define BINARY_VARIABLES "TP|FP|FN|TN|P|N" /* P = TP + FN, N = all four */

struct binary_counts {
  double tp, fp, fn, tn;
};

static inline double binary_share(double part, double whole) { return whole > 0 ? part / whole : 0; }

/* 0 / 0 counts as 0. */
static inline double binary_metric(int32_t metric, double beta, struct binary_counts c) {
  const double positives = c.tp + c.fn, negatives = c.tn + c.fp,
               square = metric == BINARY_F1 ? 1 : beta * beta;
  const double recall = binary_share(c.tp, positives), specificity = binary_share(c.tn, negatives);
  switch (metric) {
  case BINARY_F1:
  case BINARY_F_BETA: return binary_share((1 + square) * c.tp, square * positives + c.tp + c.fp);
  case BINARY_G_MEAN: return sqrt(recall * specificity);
  case BINARY_BALANCED_ACCURACY: return (recall + specificity) / 2;
  case BINARY_ACCURACY: return binary_share(c.tp + c.tn, positives + negatives);
  case BINARY_PRECISION: return binary_share(c.tp, c.tp + c.fp);
  default: return recall;
  }
}

/* A formula of BINARY_VARIABLES; what is not finite counts as 0. */
static inline double binary_written(const tn_expression *expression, struct binary_counts c) {
  const double values[] = {c.tp, c.fp, c.fn, c.tn, c.tp + c.fn, c.tp + c.fp + c.fn + c.tn};
  const double value = tn_expression_evaluate(expression, values);
  return isfinite(value) ? value : 0;
}

#endif
