// SPDX-License-Identifier: MIT
/* The confusion matrix C (rows: truth, columns: prediction), and the macro averages that follow from it
 * (Sokolova and Lapalme 2009):
 *   precision_k = C_kk / sum_i C_ik    recall_k = C_kk / sum_j C_kj    f1_k = 2 C_kk / (row_k + column_k)
 * averaged over the classes that occur as truth or as prediction; 0 / 0 counts as 0. Unlabelled samples (-1)
 * do not count. */
#include "prediction.h"
#include <string.h>

struct confusion {
  const char *prediction, *label;
  int64_t classes;
  int64_t *counts; /* (classes, classes) */
};
static const tn_param confusion_params[] = {
    TN_STRING(struct confusion, prediction, "",
              "field of the prediction; empty: `logits`, else `probability`, else `prediction`"),
    TN_STRING(struct confusion, label, "label", "field of the truth (n)"),
};

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
  return confusion_grow(metric, label->classes);
}

static tn_status confusion_update(void *self, const tn_fields *fields) {
  struct confusion *metric = self;
  struct prediction prediction;
  tn_status status = prediction_of(fields, metric->prediction, &prediction);
  if (status < 0) return status;
  const int64_t *label = prediction_truth(fields, metric->label, prediction.samples);
  if (!label) return TN_ERROR_SHAPE;
  for (int64_t i = 0; i < prediction.samples; i++) {
    const int64_t predicted = prediction_class(&prediction, i);
    if (label[i] < 0 || predicted < 0) continue;
    status = confusion_grow(metric, 1 + (label[i] > predicted ? label[i] : predicted));
    if (status < 0) return status;
    metric->counts[label[i] * metric->classes + predicted]++;
  }
  return TN_OK;
}

static tn_status confusion_values(void *self, tn_metric_sink *sink) {
  const struct confusion *metric = self;
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
    .destroy = confusion_destroy,
    .state = confusion_state};
TN_PLUGIN("metric_confusion", "1.0.0", "MIT", &confusion_class)
