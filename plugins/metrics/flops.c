// SPDX-License-Identifier: MIT
/* What one prediction costs, of any model: `macs`, the multiply-adds of its matrix products, linear layers,
 * convolutions and attention for one sample, counted by the engine as they run; normalisation, activations
 * and sums are not counted. With ragged samples (graphs) it is that of the first row. */
#include "../stages/pass.h"

struct flops {
  double scale;
  const char *name;
};
static const tn_param flops_params[] = {
    TN_PARAM_(struct flops, scale, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL, NULL,
              "the figure is divided by it: 1e6 for millions, 0.5 for floating-point operations"),
    TN_STRING(struct flops, name, "macs", "name of the figure"),
};

static tn_status flops_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  const struct flops *metric = self;
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  const int64_t row = 0;
  if (!probe->model || !probe->data)
    return tn_fail(TN_ERROR_INVALID, "multiply-adds are counted of a model on a data set");
  const bool recording = tn_record(false);
  tn_scope_open();
  tn_fields *inputs = tn_fields_new();
  tn_status status = tn_dataset_read(probe->data, &row, 1, inputs);
  if (status >= 0 && probe->transforms)
    status = pass_transform(probe->transforms, NULL, inputs, &row, &progress);
  const int64_t before = tn_multiply_adds();
  if (status >= 0)
    status = pass_model(probe->model, probe->params, inputs, tn_fields_new(), &progress, NULL, NULL);
  const int64_t counted = tn_multiply_adds() - before;
  if (status >= 0) status = tn_outcome();
  tn_scope_close();
  tn_record(recording);
  if (status >= 0) sink->value(sink, metric->name, (double)counted / metric->scale);
  return status;
}

static const tn_metric flops_table = {.size = sizeof(tn_metric), .measure = flops_measure};
static const tn_class flops_class = {.size = sizeof(tn_class),
                                     .kind = TN_METRIC,
                                     .name = "flops",
                                     .summary = "Multiply-adds of a model for one sample",
                                     TN_CLASS_PARAMS(flops_params),
                                     .instance_size = sizeof(struct flops),
                                     .vtable = &flops_table};
TN_PLUGIN("metric_flops", "1.0.0", "MIT", &flops_class)
