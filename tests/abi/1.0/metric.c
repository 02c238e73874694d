// SPDX-License-Identifier: MIT
/* frozen_metric: the mean confidence: the mean over samples of the highest probability. */
#include <tenon/metric.h>

struct frozen_metric {
  const char *field;
  double sum;
  int64_t samples;
};
static const tn_param frozen_metric_params[] = {
    TN_STRING(struct frozen_metric, field, "logits", "the field with scores (n, classes)"),
};

static void frozen_metric_reset(void *self) {
  struct frozen_metric *metric = self;
  metric->sum = 0;
  metric->samples = 0;
}

static tn_status frozen_metric_update(void *self, const tn_fields *fields) {
  struct frozen_metric *metric = self;
  tn_tensor *p = tn_softmax(tn_field(fields, metric->field), 1); /* (n, classes) */
  tn_tensor *highest = tn_reduce(TN_REDUCE_MAX, p, 1, false);    /* (n) */
  if (tn_failed()) return tn_outcome();
  metric->sum += tn_item(tn_sum(highest));
  metric->samples += tn_dim(highest, 0);
  return tn_outcome();
}

static tn_status frozen_metric_values(void *self, tn_metric_sink *sink) {
  const struct frozen_metric *metric = self;
  sink->value(sink, "frozen_metric", metric->samples ? metric->sum / (double)metric->samples : NAN);
  return TN_OK;
}

static tn_status frozen_metric_declare(void *self, const tn_spec *fields) {
  return tn_spec_get(fields, ((const struct frozen_metric *)self)->field) ? TN_OK : TN_ERROR_MISSING;
}

/* What another process has counted. */
static tn_status frozen_metric_merge(void *self, const void *other) {
  struct frozen_metric *metric = self;
  const struct frozen_metric *more = other;
  metric->sum += more->sum;
  metric->samples += more->samples;
  return TN_OK;
}

static tn_status frozen_metric_state(void *self, const tn_visitor *visitor) {
  struct frozen_metric *metric = self;
  tn_visit_real(visitor, "sum", &metric->sum);
  return tn_visit_integer(visitor, "samples", &metric->samples);
}

static const tn_metric frozen_metric_metric = {
    .size = sizeof(tn_metric),
    .reset = frozen_metric_reset,
    .update = frozen_metric_update,
    .values = frozen_metric_values,
    .declare = frozen_metric_declare,
    .merge = frozen_metric_merge,
};
static const tn_class frozen_metric_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "frozen_metric",
    .summary = "what frozen_metric does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_metric_params),
    .instance_size = sizeof(struct frozen_metric),
    .vtable = &frozen_metric_metric,
    .state = frozen_metric_state,
};
TN_PLUGIN("metric_frozen_metric", "0.1.0", "MIT", &frozen_metric_class)
