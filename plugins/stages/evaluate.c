// SPDX-License-Identifier: MIT
/* Evaluation: a data set through transforms and a model, or a predictor, into metrics. Every figure of every
 * metric is a result of the stage: `metric.accuracy` in stage `test` gives `test.accuracy`. One step is one
 * batch, with a model one batch on each rank: every rank's metrics see the outputs of all, in order, so the
 * figures are those of one process. A predictor's field `label` is called `prediction` here, for `label` is
 * the truth. */
#include "pass.h"
#include "share.h"
#include <tenon/predictor.h>

struct evaluate {
  const tn_component *data, *model, *predictor, *fit, *loss;
  tn_references transforms, metrics;
  tn_count batch;

  int64_t rows, size;   /* size: rows a batch */
  int64_t next;         /* first row of the next batch */
  int64_t *index;       /* (size) */
  struct packed shared; /* a batch's outputs, for other ranks */
};
static const tn_param evaluate_params[] = {
    TN_REFERENCE(struct evaluate, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "data to evaluate on"),
    TN_REFERENCES(struct evaluate, transforms, 0, TN_TRANSFORM, "", "in front of the model, in order"),
    TN_REFERENCE(struct evaluate, model, 0, TN_MODEL, NULL, "the model; or give `predictor`"),
    TN_REFERENCE(struct evaluate, predictor, 0, TN_PREDICTOR, NULL, "the predictor; or give `model`"),
    TN_REFERENCE(struct evaluate, fit, 0, TN_DATASET, NULL,
                 "data from which transforms and predictor learn first; empty: they have learnt already"),
    TN_REFERENCE(struct evaluate, loss, 0, TN_LOSS, NULL, "for metrics that probe the model with its loss"),
    TN_REFERENCES(struct evaluate, metrics, TN_PARAM_REQUIRED, TN_METRIC, NULL, "what is measured"),
    TN_COUNT(struct evaluate, batch, "500", "rows a batch, or their share"),
};

static tn_status evaluate_check(void *self) {
  const struct evaluate *stage = self;
  if (!stage->model == !stage->predictor)
    return tn_fail(TN_ERROR_INVALID, "give a model or a predictor, one of the two");
  const tn_component *subject = stage->model ? stage->model : stage->predictor;
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(subject, fields, &fields);
  if (status >= 0 && stage->loss) status = tn_declare_component(stage->loss, fields, NULL);
  if (status >= 0 && stage->model) status = pass_declare_metrics(&stage->metrics, fields);
  tn_spec_release(own);
  return status;
}

static tn_status evaluate_begin(void *self) {
  struct evaluate *stage = self;
  tn_status status = TN_OK;
  if (stage->fit) {
    status = pass_fit(stage->fit, &stage->transforms);
    if (status >= 0 && stage->predictor)
      status = tn_predictor_fit(stage->predictor, stage->fit, &stage->transforms);
  }
  if (status < 0) return status;
  stage->rows = tn_dataset_rows(stage->data);
  if (stage->rows < 0) return TN_ERROR_MISSING;
  if (stage->rows == 0) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", stage->data->name);
  stage->size = tn_count_of(stage->batch, stage->rows);
  if (tn_smoke()) {
    if (stage->size > 64) stage->size = 64;
    if (stage->rows > 2 * stage->size) stage->rows = 2 * stage->size;
  }
  tn_free(stage->index);
  stage->index = tn_alloc((size_t)stage->size * sizeof *stage->index);
  stage->next = 0;
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);
  return stage->index ? TN_OK : TN_ERROR_MEMORY;
}

/* With the rows before `next` done. */
static tn_progress progress_at(const struct evaluate *stage, int64_t next) {
  tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE, .epochs = 1};
  if (stage->size < 1) return progress;
  progress.step = (next + stage->size - 1) / stage->size;
  progress.steps = (stage->rows + stage->size - 1) / stage->size;
  progress.epoch = (double)next / (double)stage->rows;
  return progress;
}

static void evaluate_progress(void *self, tn_progress *progress) {
  const struct evaluate *stage = self;
  *progress = progress_at(stage, stage->next);
}

/* A predictor's outputs over the batch's fields, its label as `prediction`. */
static tn_fields *predict(const tn_component *predictor, const tn_fields *inputs) {
  tn_fields *outputs = tn_fields_new(), *all = tn_fields_new();
  if (tn_predictor_predict(predictor, inputs, outputs) < 0) return NULL;
  tn_fields_merge(all, inputs);
  for (uint32_t i = 0; i < tn_fields_count(outputs); i++) {
    const char *name;
    tn_tensor *value = tn_fields_at(outputs, i, &name);
    tn_fields_set(all, strcmp(name, "label") == 0 ? "prediction" : name, value);
  }
  return all;
}

/* The rows from `first` on, at most a batch, in front of the model; *count: how many. */
static tn_status evaluate_inputs(struct evaluate *stage, int64_t first, tn_fields *inputs, int64_t *count) {
  const int64_t left = stage->rows - first;
  const tn_progress progress = progress_at(stage, first);
  *count = left < stage->size ? left : stage->size;
  for (int64_t i = 0; i < *count; i++) stage->index[i] = first + i;
  const tn_status status = tn_dataset_read(stage->data, stage->index, *count, inputs);
  return status < 0 ? status : pass_transform(&stage->transforms, NULL, inputs, stage->index, &progress);
}

static tn_status evaluate_predictor(struct evaluate *stage) {
  int64_t count;
  tn_fields *inputs = tn_fields_new();
  tn_status status = evaluate_inputs(stage, stage->next, inputs, &count);
  if (status < 0) return status;
  const tn_fields *all = predict(stage->predictor, inputs);
  if (!all) return tn_failed() ? TN_ERROR_INVALID : TN_ERROR_INTERNAL;
  stage->next += count;
  return pass_update_metrics(&stage->metrics, all);
}

/* One batch a rank. */
static tn_status evaluate_model(struct evaluate *stage) {
  int64_t count;
  const int64_t own = stage->next + tn_rank() * stage->size;
  tn_fields *own_inputs = tn_fields_new(), *own_outputs = tn_fields_new();
  tn_status status = TN_OK;
  if (own < stage->rows) {
    const tn_progress progress = progress_at(stage, own);
    status = evaluate_inputs(stage, own, own_inputs, &count);
    if (status >= 0)
      status = pass_model(stage->model, tn_parameters(stage->model), own_inputs, own_outputs, &progress, NULL,
                          NULL);
  }
  for (int32_t rank = 0; status >= 0 && rank < tn_ranks() && stage->next < stage->rows; rank++) {
    tn_fields *inputs = own_inputs, *outputs = own_outputs;
    double unused;
    count = stage->rows - stage->next < stage->size ? stage->rows - stage->next : stage->size;
    if (rank == tn_rank() && tn_ranks() > 1) status = packed_write(&stage->shared, own_outputs, 0);
    if (status >= 0) status = packed_share(&stage->shared, rank);
    if (status >= 0 && rank != tn_rank()) {
      inputs = tn_fields_new();
      outputs = tn_fields_new();
      status = evaluate_inputs(stage, stage->next, inputs, &count);
      packed_read(&stage->shared, outputs, &unused);
    }
    if (status >= 0) status = pass_update_metrics(&stage->metrics, pass_merge(inputs, outputs));
    stage->next += count;
  }
  return status;
}

static tn_status evaluate_step(void *self) {
  struct evaluate *stage = self;
  const bool recording = tn_record(false);
  tn_status status = stage->model ? evaluate_model(stage) : evaluate_predictor(stage);
  if (status >= 0) status = tn_outcome();
  tn_record(recording);
  if (status < 0) return status;
  return stage->next < stage->rows ? TN_OK : TN_DONE;
}

static tn_status evaluate_end(void *self) {
  const struct evaluate *stage = self;
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = stage->model ? tn_parameters(stage->model) : NULL,
                                 .loss = stage->loss,
                                 .data = stage->data,
                                 .transforms = &stage->transforms,
                                 .subject = stage->predictor};
  struct figures figures;
  figures_start(&figures);
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < stage->metrics.count; m++)
    status = figures_measure(&figures, stage->metrics.items[m], &probe);
  for (uint32_t i = 0; status >= 0 && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  return status;
}

static void evaluate_destroy(void *self) {
  struct evaluate *stage = self;
  tn_free(stage->index);
  packed_free(&stage->shared);
}

static tn_status evaluate_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "next", &((struct evaluate *)self)->next);
}

static const tn_stage evaluate_table = {sizeof evaluate_table, evaluate_check, evaluate_begin,
                                        evaluate_step,         evaluate_end,   evaluate_progress};
static const tn_class evaluate_class = {.size = sizeof(tn_class),
                                        .kind = TN_STAGE,
                                        .name = "evaluate",
                                        .summary = "Measures a model or a predictor on a data set",
                                        TN_CLASS_PARAMS(evaluate_params),
                                        .instance_size = sizeof(struct evaluate),
                                        .vtable = &evaluate_table,
                                        .destroy = evaluate_destroy,
                                        .state = evaluate_state};
TN_PLUGIN("stage_evaluate", "1.0.0", "MIT", &evaluate_class)
