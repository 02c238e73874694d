// SPDX-License-Identifier: MIT
/* The confusion matrix C (rows: truth, columns: prediction), and the macro averages that follow from it
 * (Sokolova and Lapalme 2009):
 *   precision_k = C_kk / sum_i C_ik    recall_k = C_kk / sum_j C_kj    f1_k = 2 C_kk / (row_k + column_k)
 * averaged over the classes that occur as truth or as prediction; 0 / 0 counts as 0. Unlabelled samples (-1)
 * do not count.
 *
 * Of two classes, with `metrics` or `expression`: those figures of class 1 instead of the averages. */
#include "binary.h"
#include "prediction.h"
#include <string.h>

struct confusion {
  const char *prediction, *label;
  double threshold, beta;
  tn_strings metrics;
  const tn_expression *expression;

  int64_t classes;
  int64_t *counts; /* (classes, classes) */
};
static const tn_param confusion_params[] = {
    TN_STRING(struct confusion, prediction, "",
              "field of the prediction; empty: `logits`, else `probability`, else `prediction`"),
    TN_STRING(struct confusion, label, "label", "field of the truth (n)"),
    TN_REAL(struct confusion, threshold, "0.5", 0, 1,
            "of two classes: class 1 is predicted where its probability is above"),
    TN_STRINGS(struct confusion, metrics, "", "figures of class 1 to report: " BINARY_METRICS),
    TN_PARAM_(struct confusion, beta, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL,
              NULL, "of f_beta: how much more recall counts than precision"),
    TN_EXPRESSION(struct confusion, expression, "", BINARY_VARIABLES,
                  "a formula of TP, FP, FN, TN, P, N to report as `expression`"),
};

static bool is_binary(const struct confusion *metric) {
  return metric->metrics.count > 0 || metric->expression || metric->threshold != 0.5;
}

static const char *const binary_names[BINARY_COUNT] = {[BINARY_F1] = "f1",
                                                       [BINARY_F_BETA] = "f_beta",
                                                       [BINARY_G_MEAN] = "g_mean",
                                                       [BINARY_BALANCED_ACCURACY] = "balanced_accuracy",
                                                       [BINARY_ACCURACY] = "accuracy",
                                                       [BINARY_PRECISION] = "precision",
                                                       [BINARY_RECALL] = "recall"};

/* The number of a named metric; negative if there is none. */
static int32_t binary_number(const char *name) {
  for (int32_t m = 0; m < BINARY_COUNT; m++)
    if (strcmp(name, binary_names[m]) == 0) return m;
  return -1;
}

static tn_status confusion_create(void *self) {
  const struct confusion *metric = self;
  for (uint32_t i = 0; i < metric->metrics.count; i++) {
    const char *name = metric->metrics.items[i];
    if (binary_number(name) >= 0) continue;
    const char *near = tn_nearest_name(name, binary_names, BINARY_COUNT);
    return tn_fail(TN_ERROR_INVALID, "metrics: no metric '%s', expected of " BINARY_METRICS "%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  }
  return TN_OK;
}

static void confusion_reset(void *self) {
  struct confusion *metric = self;
  if (metric->counts)
    memset(metric->counts, 0, (size_t)(metric->classes * metric->classes) * sizeof(int64_t));
}

/* Makes room for class numbers below `classes`, keeping what was counted. */
static tn_status confusion_grow(struct confusion *metric, int64_t classes) {
  enum { MOST = 1 << 14 };
  if (classes <= metric->classes) return TN_OK;
  if (classes > MOST) return tn_fail(TN_ERROR_INVALID, "%lld classes are too many", (long long)classes);
  int64_t *counts = tn_alloc((size_t)(classes * classes) * sizeof *counts);
  if (!counts) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < metric->classes; i++)
    memcpy(counts + i * classes, metric->counts + i * metric->classes,
           (size_t)metric->classes * sizeof *counts);
  tn_free(metric->counts);
  metric->counts = counts;
  metric->classes = classes;
  return TN_OK;
}

static tn_status confusion_declare(void *self, const tn_spec *fields) {
  struct confusion *metric = self;
  const tn_field_spec *label = tn_spec_get(fields, metric->label);
  if (!label) return TN_ERROR_MISSING;
  if (label->shape.ndim != 0 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' is not a class number", metric->label);
  if (is_binary(metric) && label->classes > 2)
    return tn_fail(TN_ERROR_SHAPE, "threshold, metrics and expression are for two classes, '%s' has %lld",
                   metric->label, (long long)label->classes);
  return confusion_grow(metric, label->classes);
}

/* Whether class 1 is more probable than the threshold: of one score or the difference of two. The field
 * `probability` holds probabilities, all others logits. */
static int64_t above_threshold(const struct confusion *metric, const struct prediction *p, bool probability,
                               int64_t row) {
  const double score = prediction_score(p, row, p->width - 1);
  if (probability) return score > metric->threshold;
  const double logit = p->width == 2 ? score - prediction_score(p, row, 0) : score;
  return logit > log(metric->threshold) - log1p(-metric->threshold);
}

static tn_status confusion_update(void *self, const tn_fields *fields) {
  struct confusion *metric = self;
  struct prediction prediction;
  tn_status status = prediction_of(fields, metric->prediction, &prediction);
  if (status < 0) return status;
  const int64_t *label = prediction_truth(fields, metric->label, prediction.samples);
  if (!label) return TN_ERROR_SHAPE;
  const bool moved = metric->threshold != 0.5 && prediction.scores && prediction.width <= 2;
  const bool probability = prediction.scores == tn_fields_find(fields, "probability");
  for (int64_t i = 0; i < prediction.samples; i++) {
    const int64_t predicted =
        moved ? above_threshold(metric, &prediction, probability, i) : prediction_class(&prediction, i);
    if (label[i] < 0 || predicted < 0) continue;
    status = confusion_grow(metric, 1 + (label[i] > predicted ? label[i] : predicted));
    if (status < 0) return status;
    metric->counts[label[i] * metric->classes + predicted]++;
  }
  return TN_OK;
}

static double count_at(const struct confusion *metric, int64_t truth, int64_t predicted) {
  const bool known = truth < metric->classes && predicted < metric->classes;
  return known ? (double)metric->counts[truth * metric->classes + predicted] : 0;
}

static void binary_values(const struct confusion *metric, tn_metric_sink *sink) {
  const struct binary_counts counts = {.tp = count_at(metric, 1, 1),
                                       .fp = count_at(metric, 0, 1),
                                       .fn = count_at(metric, 1, 0),
                                       .tn = count_at(metric, 0, 0)};
  if (counts.tp + counts.fp + counts.fn + counts.tn == 0) return;
  for (uint32_t i = 0; i < metric->metrics.count; i++) {
    const char *name = metric->metrics.items[i];
    sink->value(sink, name, binary_metric(binary_number(name), metric->beta, counts));
  }
  if (metric->expression) sink->value(sink, "expression", binary_written(metric->expression, counts));
}

static tn_status confusion_values(void *self, tn_metric_sink *sink) {
  const struct confusion *metric = self;
  if (metric->metrics.count > 0 || metric->expression) {
    binary_values(metric, sink);
    return TN_OK;
  }
  double precision = 0, recall = 0, f1 = 0;
  int64_t seen = 0;
  for (int64_t k = 0; k < metric->classes; k++) {
    int64_t truth = 0, predicted = 0;
    for (int64_t j = 0; j < metric->classes; j++) {
      truth += metric->counts[k * metric->classes + j];
      predicted += metric->counts[j * metric->classes + k];
    }
    const double hits = (double)metric->counts[k * metric->classes + k];
    if (predicted > 0) precision += hits / (double)predicted;
    if (truth > 0) recall += hits / (double)truth;
    if (truth + predicted > 0) f1 += 2 * hits / (double)(truth + predicted), seen++;
  }
  if (seen == 0) return TN_OK;
  sink->value(sink, "precision", precision / (double)seen);
  sink->value(sink, "recall", recall / (double)seen);
  sink->value(sink, "f1", f1 / (double)seen);
  return TN_OK;
}

static tn_status confusion_report(void *self) {
  const struct confusion *metric = self;
  if (metric->classes < 1) return TN_OK;
  tn_tensor *matrix = tn_empty(TN_F64, TN_SHAPE(metric->classes, metric->classes));
  if (tn_poisoned(matrix)) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < metric->classes * metric->classes; i++)
    tn_f64(matrix)[i] = (double)metric->counts[i];
  tn_event event = tn_event_of(TN_EVENT_MATRIX, "confusion");
  event.title = "Confusion matrix";
  event.tensor = matrix;
  event.rows = event.columns = (uint32_t)metric->classes;
  event.x_label = "prediction";
  event.y_label = "truth";
  tn_emit(&event);
  return TN_OK;
}

static tn_status confusion_merge(void *self, const void *other) {
  struct confusion *metric = self;
  const struct confusion *more = other;
  const tn_status status = confusion_grow(metric, more->classes);
  if (status < 0) return status;
  for (int64_t i = 0; i < more->classes; i++)
    for (int64_t j = 0; j < more->classes; j++)
      metric->counts[i * metric->classes + j] += more->counts[i * more->classes + j];
  return TN_OK;
}

static void confusion_destroy(void *self) { tn_free(((struct confusion *)self)->counts); }

static tn_status confusion_state(void *self, const tn_visitor *visitor) {
  struct confusion *metric = self;
  void *counts = metric->counts;
  size_t bytes = (size_t)(metric->classes * metric->classes) * sizeof(int64_t);
  tn_visit_integer(visitor, "classes", &metric->classes);
  const tn_status status = tn_visit_block(visitor, "counts", &counts, &bytes);
  metric->counts = counts;
  if (status >= 0 && bytes != (size_t)(metric->classes * metric->classes) * sizeof(int64_t))
    return tn_fail(TN_ERROR_INVALID, "the saved counts are not those of %lld classes",
                   (long long)metric->classes);
  return status;
}

static const tn_metric confusion_table = {.size = sizeof(tn_metric),
                                          .reset = confusion_reset,
                                          .update = confusion_update,
                                          .values = confusion_values,
                                          .declare = confusion_declare,
                                          .merge = confusion_merge,
                                          .report = confusion_report};
static const tn_class confusion_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "confusion",
    .summary = "Confusion matrix, and macro precision, recall and F1",
    .reference = "Sokolova and Lapalme 2009, A systematic analysis of performance measures",
    TN_CLASS_PARAMS(confusion_params),
    .instance_size = sizeof(struct confusion),
    .vtable = &confusion_table,
    .create = confusion_create,
    .destroy = confusion_destroy,
    .state = confusion_state};
TN_PLUGIN("metric_confusion", "1.0.0", "MIT", &confusion_class)
