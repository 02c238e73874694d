// SPDX-License-Identifier: MIT
/* The mean of a loss over samples. A loss that gives only a scalar counts as the mean of its batch. */
#include <tenon/loss.h>
#include <tenon/metric.h>

struct loss {
  const tn_component *loss;
  const char *name;
  double sum, samples;
};
static const tn_param loss_params[] = {
    TN_REFERENCE(struct loss, loss, TN_PARAM_REQUIRED, TN_LOSS, NULL, "the loss"),
    TN_STRING(struct loss, name, "loss", "name of the figure"),
};

static void loss_reset(void *self) {
  struct loss *metric = self;
  metric->sum = metric->samples = 0;
}

static tn_status loss_declare(void *self, const tn_spec *fields) {
  return tn_declare_component(((struct loss *)self)->loss, fields, NULL);
}

/* n: the length of the fields' leading axis. */
static int64_t samples_of(const tn_fields *fields) {
  const char *name;
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const tn_tensor *field = tn_fields_at(fields, i, &name);
    if (!tn_poisoned(field) && tn_ndim(field) > 0) return tn_dim(field, 0);
  }
  return 0;
}

static tn_status loss_update(void *self, const tn_fields *fields) {
  struct loss *metric = self;
  const tn_component *c = metric->loss;
  const int64_t n = samples_of(fields);
  const bool recording = tn_record(false);
  tn_rng rng = tn_rng_at(c->name, "metric", (uint64_t)metric->samples);
  tn_loss_call call = {.size = sizeof call,
                       .params = tn_parameters(c),
                       .fields = fields,
                       .progress = {.size = sizeof call.progress, .mode = TN_EVALUATE},
                       .rng = &rng,
                       .batch = fields};
  tn_tensor *value =
      tn_loss_has_per_sample(c) ? tn_mean(tn_loss_per_sample(c, &call)) : tn_loss_value(c, &call);
  tn_record(recording);
  if (tn_failed()) return tn_outcome();
  metric->sum += tn_item(value) * (double)n;
  metric->samples += (double)n;
  return TN_OK;
}

static tn_status loss_values(void *self, tn_metric_sink *sink) {
  const struct loss *metric = self;
  if (metric->samples > 0) sink->value(sink, metric->name, metric->sum / metric->samples);
  return TN_OK;
}

static tn_status loss_merge(void *self, const void *other) {
  struct loss *metric = self;
  const struct loss *more = other;
  metric->sum += more->sum;
  metric->samples += more->samples;
  return TN_OK;
}

static tn_status loss_state(void *self, const tn_visitor *visitor) {
  struct loss *metric = self;
  tn_visit_real(visitor, "sum", &metric->sum);
  return tn_visit_real(visitor, "samples", &metric->samples);
}

static const tn_metric loss_table = {.size = sizeof(tn_metric),
                                     .reset = loss_reset,
                                     .update = loss_update,
                                     .values = loss_values,
                                     .declare = loss_declare,
                                     .merge = loss_merge};
static const tn_class loss_class = {.size = sizeof(tn_class),
                                    .kind = TN_METRIC,
                                    .name = "loss",
                                    .summary = "Mean of a loss over samples",
                                    TN_CLASS_PARAMS(loss_params),
                                    .instance_size = sizeof(struct loss),
                                    .vtable = &loss_table,
                                    .state = loss_state};
TN_PLUGIN("metric_loss", "1.0.0", "MIT", &loss_class)
