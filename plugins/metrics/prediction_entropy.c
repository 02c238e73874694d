// SPDX-License-Identifier: MIT
/* Mean entropy of the predicted distributions, in nats: -sum_c p_c log p_c with p = softmax(logits) over the
 * last axis, which may have others between it and the samples (heads, members). A single logit is that of
 * class 1 against 0. */
#include <tenon/metric.h>

struct prediction_entropy {
  const char *logits;
  double sum, count;
};
static const tn_param prediction_entropy_params[] = {
    TN_STRING(struct prediction_entropy, logits, "logits", "field with the logits (n, ..., classes)"),
};

static void prediction_entropy_reset(void *self) {
  struct prediction_entropy *metric = self;
  metric->sum = metric->count = 0;
}

static tn_status prediction_entropy_declare(void *self, const tn_spec *fields) {
  return tn_spec_get(fields, ((const struct prediction_entropy *)self)->logits) ? TN_OK : TN_ERROR_MISSING;
}

static tn_status prediction_entropy_update(void *self, const tn_fields *fields) {
  struct prediction_entropy *metric = self;
  tn_tensor *z = tn_cast(tn_field(fields, metric->logits), TN_F64);
  if (tn_failed()) return tn_outcome();
  if (tn_ndim(z) < 1) return tn_fail(TN_ERROR_SHAPE, "'%s' must be (n, ..., classes)", metric->logits);
  const int64_t width = tn_ndim(z) > 1 ? tn_dim(z, -1) : 1;
  if (tn_numel(z) == 0) return TN_OK;
  z = tn_reshape(z, TN_SHAPE(-1, width));
  if (width == 1) z = tn_concatenate((tn_tensor *[]){tn_scale(z, 0), z}, 2, 1);
  const tn_tensor *log_p = tn_log_softmax(z, 1); /* (rows, classes) */
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < tn_numel(log_p); i++) {
    const double p = exp(tn_f64(log_p)[i]);
    if (p != 0) metric->sum -= p * tn_f64(log_p)[i]; /* 0 log 0 = 0 */
  }
  metric->count += (double)tn_dim(log_p, 0);
  return TN_OK;
}

static tn_status prediction_entropy_values(void *self, tn_metric_sink *sink) {
  const struct prediction_entropy *metric = self;
  if (metric->count > 0) sink->value(sink, "prediction_entropy", metric->sum / metric->count);
  return TN_OK;
}

static tn_status prediction_entropy_merge(void *self, const void *other) {
  struct prediction_entropy *metric = self;
  const struct prediction_entropy *more = other;
  metric->sum += more->sum;
  metric->count += more->count;
  return TN_OK;
}

static tn_status prediction_entropy_state(void *self, const tn_visitor *visitor) {
  struct prediction_entropy *metric = self;
  tn_visit_real(visitor, "sum", &metric->sum);
  return tn_visit_real(visitor, "count", &metric->count);
}

static const tn_metric prediction_entropy_table = {.size = sizeof(tn_metric),
                                                   .reset = prediction_entropy_reset,
                                                   .update = prediction_entropy_update,
                                                   .values = prediction_entropy_values,
                                                   .declare = prediction_entropy_declare,
                                                   .merge = prediction_entropy_merge};
static const tn_class prediction_entropy_class = {.size = sizeof(tn_class),
                                                  .kind = TN_METRIC,
                                                  .name = "prediction_entropy",
                                                  .summary = "Mean entropy of the predicted distributions",
                                                  .reference =
                                                      "Shannon 1948, A Mathematical Theory of Communication",
                                                  TN_CLASS_PARAMS(prediction_entropy_params),
                                                  .instance_size = sizeof(struct prediction_entropy),
                                                  .vtable = &prediction_entropy_table,
                                                  .state = prediction_entropy_state};
TN_PLUGIN("metric_prediction_entropy", "1.0.0", "MIT", &prediction_entropy_class)
