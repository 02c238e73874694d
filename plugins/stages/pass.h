// SPDX-License-Identifier: MIT
/* From rows of a data set through transforms and a model to fields, and what stages do with them: what
 * training and evaluation have in common. */
#ifndef TENON_PLUGINS_PASS_H
#define TENON_PLUGINS_PASS_H

#include <stdio.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/metric.h>
#include <tenon/model.h>
#include <tenon/stage.h>
#include <tenon/transform.h>

/* ---- checking: specifications pushed from the data set to the loss ---- */

/* *outputs: the fields that come out of the transforms. It is the pipeline's, or *own, which the caller
 * releases (NULL if there is nothing to release). */
static inline tn_status pass_declare_data(const tn_component *data, const tn_references *transforms,
                                          tn_spec **own, const tn_spec **outputs) {
  *own = tn_spec_new();
  *outputs = *own;
  tn_status status = *own ? tn_dataset_describe(data, *own) : TN_ERROR_MEMORY;
  for (uint32_t t = 0; status >= 0 && transforms && t < transforms->count; t++)
    status = tn_declare_component(transforms->items[t], *outputs, outputs);
  return status;
}

static inline tn_status pass_declare_metrics(const tn_references *metrics, const tn_spec *fields) {
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < metrics->count; m++)
    status = tn_metric_declare(metrics->items[m], fields);
  return status;
}

/* Lets every transform learn from `data`, each seeing what those in front of it make. */
static inline tn_status pass_fit(const tn_component *data, const tn_references *transforms) {
  tn_status status = TN_OK;
  for (uint32_t t = 0; status >= 0 && t < transforms->count; t++) {
    const tn_references before = {transforms->items, t};
    status = tn_transform_fit(transforms->items[t], data, &before);
  }
  return status;
}

/* ---- one batch ---- */

/* NULL for a component without parameters. */
static inline tn_params *pass_parameters(const tn_component *component) {
  tn_params *params = tn_parameters(component);
  return params && tn_params_count(params) > 0 ? params : NULL;
}

/* The random numbers of one component in one pass. Where a batch goes through in parts, each part has a
 * stream of its own; the first has that of a whole batch. */
static inline tn_rng pass_rng(const tn_component *c, const tn_progress *progress, int64_t part) {
  const char *mode = progress->mode == TN_TRAIN ? "train" : "evaluate";
  char stream[40];
  snprintf(stream, sizeof stream, part > 0 ? "%s.%lld" : "%s", mode, (long long)part);
  return tn_rng_at(c->name, stream, (uint64_t)progress->step);
}

/* Applies the transforms to part `part` of a batch; `params` holds one set for each, or is NULL: the live
 * ones. */
static inline tn_status pass_transform_part(const tn_references *transforms, const tn_params *const *params,
                                            tn_fields *fields, const int64_t *index,
                                            const tn_progress *progress, int64_t part) {
  tn_status status = TN_OK;
  for (uint32_t t = 0; status >= 0 && t < transforms->count; t++) {
    const tn_component *c = transforms->items[t];
    tn_rng rng = pass_rng(c, progress, part);
    const tn_transform_call call = {.size = sizeof call,
                                    .params = params ? params[t] : pass_parameters(c),
                                    .progress = *progress,
                                    .rng = &rng,
                                    .index = index};
    status = tn_transform_apply(c, fields, &call);
  }
  return status;
}

static inline tn_status pass_transform(const tn_references *transforms, const tn_params *const *params,
                                       tn_fields *fields, const int64_t *index, const tn_progress *progress) {
  return pass_transform_part(transforms, params, fields, index, progress, 0);
}

/* Runs the model; outputs gets its fields. `updates`: room for new buffer values, or NULL. */
static inline tn_status pass_model_part(const tn_component *model, const tn_params *params,
                                        const tn_fields *inputs, tn_fields *outputs,
                                        const tn_progress *progress, int64_t part, tn_buffer_update *updates,
                                        uint32_t *update_count) {
  tn_rng rng = pass_rng(model, progress, part);
  tn_model_call call = {.size = sizeof call,
                        .norm = TN_NORM_DEFAULT,
                        .params = params,
                        .inputs = inputs,
                        .outputs = outputs,
                        .progress = *progress,
                        .rng = &rng,
                        .updates = updates};
  const tn_status status = tn_model_apply(model, &call);
  if (update_count) *update_count = call.update_count;
  return status;
}

static inline tn_status pass_model(const tn_component *model, const tn_params *params,
                                   const tn_fields *inputs, tn_fields *outputs, const tn_progress *progress,
                                   tn_buffer_update *updates, uint32_t *update_count) {
  return pass_model_part(model, params, inputs, outputs, progress, 0, updates, update_count);
}

/* The fields of both; those of `outputs` replace equal names. */
static inline tn_fields *pass_merge(const tn_fields *inputs, const tn_fields *outputs) {
  tn_fields *all = tn_fields_new();
  tn_fields_merge(all, inputs);
  tn_fields_merge(all, outputs);
  return all;
}

/* ---- figures: named values on their way to an event ---- */

enum { FIGURE_NAME = 64, FIGURE_MOST = 64 };
struct figures {
  tn_metric_sink sink; /* what metrics write to; first, so that the sink is the figures */
  const char *prefix;  /* put in front of the names that come through the sink */
  uint32_t count;
  char names[FIGURE_MOST][FIGURE_NAME];
  tn_scalar_value values[FIGURE_MOST];
};

static inline void figures_add(struct figures *figures, const char *prefix, const char *name, double value) {
  if (figures->count == FIGURE_MOST) return;
  char *own = figures->names[figures->count];
  snprintf(own, FIGURE_NAME, "%s%s", prefix, name);
  figures->values[figures->count++] = (tn_scalar_value){own, value};
}
static inline void figures_sink(tn_metric_sink *sink, const char *name, double value) {
  struct figures *figures = (struct figures *)sink;
  figures_add(figures, figures->prefix, name, value);
}
static inline void figures_start(struct figures *figures) {
  figures->sink = (tn_metric_sink){sizeof(tn_metric_sink), figures_sink};
  figures->prefix = "";
  figures->count = 0;
}
/* Adds the values of metrics and, if `reset`, makes them forget. */
static inline tn_status figures_metrics(struct figures *figures, const char *prefix,
                                        const tn_references *metrics, bool reset) {
  tn_status status = TN_OK;
  figures->prefix = prefix;
  for (uint32_t m = 0; status >= 0 && m < metrics->count; m++) {
    if (!tn_metric_accumulates(metrics->items[m])) continue;
    status = tn_metric_values(metrics->items[m], &figures->sink);
    if (reset) tn_metric_reset(metrics->items[m]);
  }
  return status;
}
/* Adds what a metric has accumulated and what it finds by probing, and lets it draw. */
static inline tn_status figures_measure(struct figures *figures, const tn_component *metric,
                                        const tn_metric_probe *probe) {
  tn_status status = TN_OK;
  if (tn_metric_accumulates(metric)) status = tn_metric_values(metric, &figures->sink);
  if (status >= 0 && tn_metric_probes(metric)) status = tn_metric_measure(metric, probe, &figures->sink);
  return status < 0 ? status : tn_metric_report(metric);
}
static inline tn_status pass_update_metrics(const tn_references *metrics, const tn_fields *fields) {
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < metrics->count; m++)
    if (tn_metric_accumulates(metrics->items[m])) status = tn_metric_update(metrics->items[m], fields);
  return status;
}

#endif
