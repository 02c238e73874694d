// SPDX-License-Identifier: MIT
/* Metrics of the binary confusion matrix as differentiable losses: what the losses that only differ in how a
 * probability becomes a soft prediction have in common.
 *
 *   TP = sum y s,  FN = sum y (1 - s),  FP = sum (1 - y) s,  TN = sum (1 - y)(1 - s)        over the batch
 *
 * with soft predictions s in [0, 1]; P = sum y and N count the labelled samples of the same batch, so that
 * the four cells sum to N. Loss = 1 - metric. */
#ifndef TENON_PLUGINS_SOFT_CONFUSION_H
#define TENON_PLUGINS_SOFT_CONFUSION_H

#include "../metrics/binary.h"
#include <tenon/loss.h>

/* First member of the losses. */
struct soft_confusion {
  const char *logits, *label;
  int32_t metric;
  double beta;
  const tn_expression *expression;
};
#define SOFT_CONFUSION_PARAMS                                                                               \
  TN_CHOICE(struct soft_confusion, metric, "f1", BINARY_METRICS, "what is maximised"),                      \
      TN_PARAM_(struct soft_confusion, beta, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, \
                NULL, NULL, "of f_beta: how much more recall counts than precision"),                       \
      TN_EXPRESSION(struct soft_confusion, expression, "", BINARY_VARIABLES,                                \
                    "a formula of TP, FP, FN, TN, P, N to maximise instead of `metric`"),                   \
      TN_STRING(struct soft_confusion, logits, "logits", "field with the logits (n), (n, 1) or (n, 2)"),    \
      TN_STRING(struct soft_confusion, label, "label", "field with the labels 0 / 1 (n); -1: unlabelled")

static inline tn_status soft_confusion_declare(void *self, const tn_spec *fields,
                                               tn_declaration *declaration) {
  const struct soft_confusion *loss = self;
  (void)declaration;
  const tn_field_spec *logits = tn_spec_get(fields, loss->logits);
  const tn_field_spec *label = tn_spec_get(fields, loss->label);
  if (!logits || !label) return TN_ERROR_MISSING;
  if (label->shape.ndim != 0 || label->classes < 1 || label->classes > 2)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one label of two classes, got %lld classes", loss->label,
                   (long long)label->classes);
  const int64_t outputs = tn_spec_numel(logits);
  if (outputs == 1 || outputs == 2) return TN_OK;
  return tn_fail(TN_ERROR_SHAPE, "'%s' must have 1 or 2 values a sample, got %lld", loss->logits,
                 (long long)outputs);
}

/* p (n) = sigmoid(z); of two logits z is the difference. */
static inline tn_tensor *soft_probability(const struct soft_confusion *loss, const tn_loss_call *call) {
  tn_tensor *z = tn_field(call->fields, loss->logits);
  if (tn_poisoned(z)) return z;
  z = tn_flatten(z); /* (n, 1 or 2) */
  if (tn_dim(z, 1) == 2) z = tn_sub(tn_slice(z, 1, 1, 2), tn_slice(z, 1, 0, 1));
  return tn_sigmoid(tn_reshape(z, TN_SHAPE(tn_dim(z, 0))));
}

/* The cells as scalars with their derivatives, and the counts of the batch. */
struct soft_cells {
  tn_tensor *tp, *fp, *fn, *tn;
  double positives, samples;
};

/* A small number in quotients and under roots: derivatives stay finite at an empty cell. */
#define SOFT_GUARD 1e-12

static inline tn_tensor *soft_named(const struct soft_confusion *loss, const struct soft_cells *c) {
  const double P = c->positives, N = c->samples, negatives = N - P;
  const double square = loss->metric == BINARY_F1 ? 1 : loss->beta * loss->beta;
  switch (loss->metric) {
  case BINARY_F1:
  case BINARY_F_BETA: /* (1 + b^2) TP / (b^2 P + S), S = TP + FP */
    if (P == 0) return NULL;
    return tn_div(tn_scale(c->tp, 1 + square), tn_shift(tn_add(c->tp, c->fp), square * P + SOFT_GUARD));
  case BINARY_G_MEAN: /* sqrt(TP TN / (P (N - P))) */
    if (P == 0 || negatives == 0) return NULL;
    return tn_sqrt(tn_affine(tn_mul(c->tp, c->tn), 1 / (P * negatives), SOFT_GUARD));
  case BINARY_BALANCED_ACCURACY: /* (TP / P + TN / (N - P)) / 2; of one class its term alone */
    if (P == 0) return tn_scale(c->tn, 1 / negatives);
    if (negatives == 0) return tn_scale(c->tp, 1 / P);
    return tn_add(tn_scale(c->tp, 0.5 / P), tn_scale(c->tn, 0.5 / negatives));
  case BINARY_ACCURACY: return tn_scale(tn_add(c->tp, c->tn), 1 / N);
  case BINARY_PRECISION:
    if (P == 0) return NULL;
    return tn_div(c->tp, tn_shift(tn_add(c->tp, c->fp), SOFT_GUARD));
  default: return P == 0 ? NULL : tn_scale(c->tp, 1 / P);
  }
}

/* A written formula; in a batch of one class, where it need not make sense, NULL if it does not. */
static inline tn_tensor *soft_written(const struct soft_confusion *loss, const struct soft_cells *c) {
  const tn_dtype dtype = c->tp->dtype;
  tn_tensor *values[] = {tn_shift(c->tp, SOFT_GUARD),    tn_shift(c->fp, SOFT_GUARD),
                         tn_shift(c->fn, SOFT_GUARD),    tn_shift(c->tn, SOFT_GUARD),
                         tn_scalar(dtype, c->positives), tn_scalar(dtype, c->samples)};
  tn_tensor *metric = tn_expression_apply(loss->expression, values);
  if (tn_poisoned(metric)) return metric;
  const bool one_class = c->positives == 0 || c->positives == c->samples;
  return one_class && !isfinite(tn_item(metric)) ? NULL : metric;
}

/* 1 - metric of soft predictions s (n) and their complements 1 - s, which are given on their own: near 1 the
 * difference would lose all digits. A batch in which the metric is not defined costs 0. */
static inline tn_tensor *soft_confusion_loss(const struct soft_confusion *loss, const tn_loss_call *call,
                                             tn_tensor *s, tn_tensor *complement) {
  tn_tensor *label = tn_field(call->fields, loss->label);
  if (tn_poisoned(s) || tn_poisoned(label)) return s;
  tn_tensor *zero = tn_zeros(label->dtype, (tn_shape){0, {0}});
  tn_tensor *positive = tn_cast(tn_gt(label, zero), s->dtype); /* (n) y */
  tn_tensor *negative = tn_cast(tn_eq(label, zero), s->dtype); /* (n) 1 - y */
  const double P = tn_item(tn_sum(positive)), N = P + tn_item(tn_sum(negative));
  const struct soft_cells cells = {.tp = tn_sum(tn_mul(positive, s)),
                                   .fp = tn_sum(tn_mul(negative, s)),
                                   .fn = tn_sum(tn_mul(positive, complement)),
                                   .tn = tn_sum(tn_mul(negative, complement)),
                                   .positives = P,
                                   .samples = N};
  if (tn_poisoned(cells.tn)) return cells.tn;
  tn_tensor *metric = N == 0             ? NULL
                      : loss->expression ? soft_written(loss, &cells)
                                         : soft_named(loss, &cells);
  if (!metric) return tn_scale(cells.tp, 0);
  return tn_affine(metric, -1, 1);
}

#endif
