// SPDX-License-Identifier: MIT
/* What a model costs: `parameters`, its trained numbers, and `macs`, the multiply-adds of one row, of models
 * that tell them (cost.h). */
#include <tenon/cost.h>
#include <tenon/metric.h>

static tn_status size_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  (void)self;
  if (!probe->model) return tn_fail(TN_ERROR_INVALID, "it measures models");
  sink->value(sink, "parameters", (double)tn_params_numel(probe->params));
  const tn_cost *cost = (const tn_cost *)tn_extension(probe->model, TN_COST);
  if (cost) sink->value(sink, "macs", cost->macs(probe->model->self));
  return tn_outcome();
}

static const tn_class size_class = {.size = sizeof(tn_class),
                                    .kind = TN_METRIC,
                                    .name = "model_size",
                                    .summary = "Trained numbers of a model, and multiply-adds of a row",
                                    .instance_size = 1,
                                    .vtable = &(const tn_metric){sizeof(tn_metric), .measure = size_measure}};
TN_PLUGIN("metric_model_size", "1.0.0", "MIT", &size_class)
