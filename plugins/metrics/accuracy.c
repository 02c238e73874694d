// SPDX-License-Identifier: MIT
/* The share of samples whose label is the highest score, or among the `top` highest. Unlabelled samples (-1)
 * do not count. */
#include "prediction.h"
#include <stdio.h>

struct accuracy {
  int64_t top;
  const char *prediction, *label;
  int64_t hits, samples;
};
static const tn_param accuracy_params[] = {
    TN_INTEGER(struct accuracy, top, "1", 1, INFINITY, NULL,
               "how many of the highest scores may hold the label; above 1 the figure is topK_accuracy"),
    TN_STRING(struct accuracy, prediction, "",
              "field of the prediction; empty: `logits`, else `probability`, else `prediction`"),
    TN_STRING(struct accuracy, label, "label", "field of the truth (n)"),
};

static void accuracy_reset(void *self) {
  struct accuracy *metric = self;
  metric->hits = metric->samples = 0;
}

static tn_status accuracy_declare(void *self, const tn_spec *fields) {
  const struct accuracy *metric = self;
  const tn_field_spec *label = tn_spec_get(fields, metric->label);
  if (!label) return TN_ERROR_MISSING;
  if (label->shape.ndim != 0 || label->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' is not a class number", metric->label);
  return *metric->prediction && !tn_spec_get(fields, metric->prediction) ? TN_ERROR_MISSING : TN_OK;
}

static tn_status accuracy_update(void *self, const tn_fields *fields) {
  struct accuracy *metric = self;
  struct prediction prediction;
  const tn_status status = prediction_of(fields, metric->prediction, &prediction);
  if (status < 0) return status;
  const int64_t *label = prediction_truth(fields, metric->label, prediction.samples);
  if (!label) return TN_ERROR_SHAPE;
  for (int64_t i = 0; i < prediction.samples; i++) {
    if (label[i] < 0) continue;
    metric->hits += prediction_hits(&prediction, i, label[i], metric->top);
    metric->samples++;
  }
  return TN_OK;
}

static tn_status accuracy_values(void *self, tn_metric_sink *sink) {
  const struct accuracy *metric = self;
  char name[40] = "accuracy";
  if (metric->top > 1) snprintf(name, sizeof name, "top%lld_accuracy", (long long)metric->top);
  if (metric->samples > 0) sink->value(sink, name, (double)metric->hits / (double)metric->samples);
  return TN_OK;
}

static tn_status accuracy_merge(void *self, const void *other) {
  struct accuracy *metric = self;
  const struct accuracy *more = other;
  metric->hits += more->hits;
  metric->samples += more->samples;
  return TN_OK;
}

static tn_status accuracy_state(void *self, const tn_visitor *visitor) {
  struct accuracy *metric = self;
  tn_visit_integer(visitor, "hits", &metric->hits);
  return tn_visit_integer(visitor, "samples", &metric->samples);
}

static const tn_metric accuracy_table = {.size = sizeof(tn_metric),
                                         .reset = accuracy_reset,
                                         .update = accuracy_update,
                                         .values = accuracy_values,
                                         .declare = accuracy_declare,
                                         .merge = accuracy_merge};
static const tn_class accuracy_class = {.size = sizeof(tn_class),
                                        .kind = TN_METRIC,
                                        .name = "accuracy",
                                        .summary = "Share of samples classified correctly",
                                        TN_CLASS_PARAMS(accuracy_params),
                                        .instance_size = sizeof(struct accuracy),
                                        .vtable = &accuracy_table,
                                        .state = accuracy_state};
TN_PLUGIN("metric_accuracy", "1.0.0", "MIT", &accuracy_class)
