// SPDX-License-Identifier: MIT
/* Cross-validation (Stone 1974): trains anew without each fold of a data set and measures on the fold.
 *
 * `inner` is the stage that trains, stage.supervised for instance, on the same dataset.folds; its transforms
 * are thus fitted on the training part only. Every fold begins with the parameters that model and loss had
 * at first. One step is one fold.
 *
 * With `threshold` the decision threshold is the one with the best metric on the training part; it is
 * subtracted from the logits, so that every metric sees the moved decision.
 *
 * Results: of every figure of every metric the mean over folds, NAME, and the standard deviation (k - 1),
 * NAME_std; `threshold`, a probability, where it is tuned. */
#include "../datasets/folds.h"
#include "pass.h"
#include "threshold.h"

enum { THRESHOLD_NONE = 0 }; /* others: 1 + number of the metric */

struct cross_validate {
  const tn_component *data, *inner, *model, *loss;
  tn_references transforms, metrics;
  int32_t threshold;
  double beta;
  int64_t batch;

  const tn_folds *folds;
  tn_params *initial, *initial_loss; /* parameters; of the loss: NULL if it has none */
  int64_t planned, fold;             /* folds; finished ones */
  int64_t *index;                    /* (batch) */
  int64_t count;                     /* figures a fold */
  char *names;                       /* (FIGURE_MOST, FIGURE_NAME) */
  double *values;                    /* (planned, FIGURE_MOST) */
};
static const tn_param cross_validate_params[] = {
    TN_REFERENCE(struct cross_validate, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "a dataset.folds"),
    TN_REFERENCE(struct cross_validate, inner, TN_PARAM_REQUIRED, TN_STAGE, NULL,
                 "the stage that trains on part `train` of the same data"),
    TN_REFERENCE(struct cross_validate, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the model that it trains"),
    TN_REFERENCE(struct cross_validate, loss, 0, TN_LOSS, NULL, "its loss, if that has parameters"),
    TN_REFERENCES(struct cross_validate, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order: those of `inner`"),
    TN_REFERENCES(struct cross_validate, metrics, TN_PARAM_REQUIRED, TN_METRIC, NULL, "what is measured"),
    TN_CHOICE(struct cross_validate, threshold, "none", "none|" BINARY_METRICS,
              "metric for which the decision threshold is tuned on the training part"),
    TN_PARAM_(struct cross_validate, beta, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL,
              NULL, NULL, "of threshold = f_beta"),
    TN_INTEGER(struct cross_validate, batch, "500", 1, 1 << 20, "rows", "rows a batch in measuring"),
};

static tn_status inner_call(const struct cross_validate *stage, tn_status (*function)(void *),
                            const char *name) {
  tn_call_stack *stack = tn_enter(stage->inner, name);
  const tn_status status = function(stage->inner->self);
  tn_leave(stack);
  return status;
}

static tn_component part_of(const struct cross_validate *stage, const char *part) {
  tn_component data = *stage->data;
  data.part = part;
  return data;
}

static tn_status cross_validate_check(void *self) {
  struct cross_validate *stage = self;
  stage->folds = tn_extension(stage->data, TN_FOLDS);
  if (!stage->folds)
    return tn_fail(TN_ERROR_INVALID, "'%s' has no folds; expected a dataset.folds", stage->data->name);
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
  if (status >= 0 && stage->loss) status = tn_declare_component(stage->loss, fields, NULL);
  if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
  if (status >= 0 && stage->threshold != THRESHOLD_NONE) status = threshold_check(fields);
  tn_spec_release(own);
  if (status < 0) return status;
  return inner_call(stage, ((const tn_stage *)stage->inner->vtable)->check, "check");
}

static void release(struct cross_validate *stage) {
  tn_params_release(stage->initial);
  tn_params_release(stage->initial_loss);
  tn_free(stage->index);
  tn_free(stage->names);
  tn_free(stage->values);
  stage->initial = stage->initial_loss = NULL;
  stage->index = NULL;
  stage->names = NULL;
  stage->values = NULL;
}

static tn_status cross_validate_begin(void *self) {
  struct cross_validate *stage = self;
  release(stage);
  stage->planned = stage->folds->count(stage->data->self);
  if (tn_smoke()) stage->planned = 2;
  stage->fold = stage->count = 0;
  stage->initial = tn_params_clone(tn_parameters(stage->model));
  if (stage->loss && pass_parameters(stage->loss))
    stage->initial_loss = tn_params_clone(pass_parameters(stage->loss));
  stage->index = tn_alloc((size_t)stage->batch * sizeof *stage->index);
  stage->names = tn_alloc((size_t)FIGURE_MOST * FIGURE_NAME);
  stage->values = tn_alloc((size_t)(stage->planned * FIGURE_MOST) * sizeof *stage->values);
  return stage->initial && stage->index && stage->names && stage->values ? TN_OK : TN_ERROR_MEMORY;
}

static void cross_validate_progress(void *self, tn_progress *progress) {
  const struct cross_validate *stage = self;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_EVALUATE,
                            .step = stage->fold,
                            .steps = stage->planned,
                            .epochs = (double)stage->planned,
                            .epoch = (double)stage->fold};
}

/* ---- one fold ---- */

static tn_status train(struct cross_validate *stage) {
  const tn_stage *inner = stage->inner->vtable;
  tn_status status = stage->folds->choose(stage->data->self, stage->fold);
  if (status >= 0) status = tn_params_copy(tn_parameters(stage->model), stage->initial);
  if (status >= 0 && stage->initial_loss)
    status = tn_params_copy(tn_parameters(stage->loss), stage->initial_loss);
  if (status >= 0) status = inner_call(stage, inner->begin, "begin");
  while (status == TN_OK) {
    tn_scope_open();
    status = inner_call(stage, inner->step, "step");
    tn_scope_close();
  }
  if (status >= 0 && TN_HAS(inner, tn_stage, end)) status = inner_call(stage, inner->end, "end");
  return status < 0 ? status : TN_OK;
}

/* Who looks at a batch of fields. */
typedef tn_status (*look)(struct cross_validate *stage, tn_fields *fields, void *context);

static tn_status visit_batch(struct cross_validate *stage, const tn_component *data, int64_t first,
                             int64_t count, look visit, void *context) {
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  tn_progress progress;
  cross_validate_progress(stage, &progress);
  for (int64_t i = 0; i < count; i++) stage->index[i] = first + i;
  tn_status status = tn_dataset_read(data, stage->index, count, inputs);
  if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, stage->index, &progress);
  if (status >= 0)
    status = pass_model(stage->model, tn_parameters(stage->model), inputs, outputs, &progress, NULL, NULL);
  if (status < 0) return status;
  status = visit(stage, pass_merge(inputs, outputs), context);
  return status < 0 ? status : tn_outcome();
}

static tn_status visit_part(struct cross_validate *stage, const char *part, look visit, void *context) {
  const tn_component data = part_of(stage, part);
  const int64_t rows = tn_dataset_rows(&data);
  tn_status status = rows < 0 ? TN_ERROR_MISSING : TN_OK;
  for (int64_t first = 0; status >= 0 && first < rows; first += stage->batch) {
    const int64_t left = rows - first;
    tn_scope_open();
    status = visit_batch(stage, &data, first, left < stage->batch ? left : stage->batch, visit, context);
    tn_scope_close();
  }
  return status;
}

struct collection {
  struct scored *samples;
  int64_t count;
};
static tn_status collect(struct cross_validate *stage, tn_fields *fields, void *context) {
  struct collection *all = context;
  (void)stage;
  return threshold_collect(tn_field(fields, "logits"), tn_field(fields, "label"), all->samples, &all->count);
}

static tn_status tune(struct cross_validate *stage, double *cut) {
  const tn_component data = part_of(stage, "train");
  const int64_t rows = tn_dataset_rows(&data);
  struct collection all = {rows < 0 ? NULL : tn_alloc((size_t)(rows + 1) * sizeof *all.samples), 0};
  const tn_status status = all.samples ? visit_part(stage, "train", collect, &all) : TN_ERROR_MEMORY;
  if (status >= 0) *cut = threshold_best(all.samples, all.count, stage->threshold - 1, stage->beta);
  tn_free(all.samples);
  return status;
}

static tn_status measure(struct cross_validate *stage, tn_fields *fields, void *context) {
  const double *cut = context;
  if (stage->threshold != THRESHOLD_NONE)
    tn_fields_set(fields, "logits", threshold_shift(tn_field(fields, "logits"), *cut));
  if (tn_failed()) return tn_outcome();
  return pass_update_metrics(&stage->metrics, fields);
}

static tn_status keep_figures(struct cross_validate *stage, const struct figures *figures) {
  if (stage->fold == 0) stage->count = figures->count;
  if (stage->count != figures->count)
    return tn_fail(TN_ERROR_INVALID, "fold %lld gives %u figures, the first gave %lld",
                   (long long)stage->fold, figures->count, (long long)stage->count);
  for (uint32_t i = 0; i < figures->count; i++) {
    memcpy(stage->names + i * FIGURE_NAME, figures->names[i], FIGURE_NAME);
    stage->values[stage->fold * FIGURE_MOST + i] = figures->values[i].value;
  }
  return TN_OK;
}

static tn_status cross_validate_step(void *self) {
  struct cross_validate *stage = self;
  struct figures figures;
  double cut = 0;
  figures_start(&figures);
  tn_status status = train(stage);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  if (stage->threshold != THRESHOLD_NONE) status = tune(stage, &cut);
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);
  if (status >= 0) status = visit_part(stage, "test", measure, &cut);
  if (status >= 0) status = figures_metrics(&figures, "", &stage->metrics, true);
  tn_record(recording);
  if (status < 0) return status;
  if (stage->threshold != THRESHOLD_NONE) figures_add(&figures, "", "threshold", 1 / (1 + exp(-cut)));
  status = keep_figures(stage, &figures);
  stage->fold++;
  return status < 0 ? status : stage->fold < stage->planned ? TN_OK : TN_DONE;
}

static tn_status cross_validate_end(void *self) {
  struct cross_validate *stage = self;
  const double k = (double)stage->planned;
  for (int64_t i = 0; i < stage->count; i++) {
    const char *name = stage->names + i * FIGURE_NAME;
    char spread[FIGURE_NAME + 8];
    double mean = 0, square = 0;
    for (int64_t f = 0; f < stage->planned; f++) mean += stage->values[f * FIGURE_MOST + i] / k;
    for (int64_t f = 0; f < stage->planned; f++) {
      const double distance = stage->values[f * FIGURE_MOST + i] - mean;
      square += distance * distance;
    }
    snprintf(spread, sizeof spread, "%s_std", name);
    tn_emit_result(name, mean);
    tn_emit_result(spread, sqrt(square / (k - 1)));
  }
  release(stage);
  return TN_OK;
}

static void cross_validate_destroy(void *self) { release(self); }

static tn_status visit_array(const tn_visitor *v, const char *name, void **data, size_t bytes) {
  size_t saved = bytes;
  const tn_status status = tn_visit_block(v, name, data, &saved);
  if (status >= 0 && saved != bytes)
    return tn_fail(TN_ERROR_INVALID, "the saved %s are those of other folds", name);
  return status;
}

static tn_status cross_validate_state(void *self, const tn_visitor *visitor) {
  struct cross_validate *stage = self;
  bool begun = stage->values != NULL;
  tn_status status = tn_visit_boolean(visitor, "begun", &begun);
  if (status < 0 || !begun) return status;
  tn_visit_integer(visitor, "fold", &stage->fold);
  tn_visit_integer(visitor, "count", &stage->count);
  tn_visit_params(visitor, "initial", &stage->initial);
  bool trained = stage->initial_loss != NULL;
  tn_visit_boolean(visitor, "loss_has_parameters", &trained);
  if (trained) tn_visit_params(visitor, "initial_loss", &stage->initial_loss);
  void *names = stage->names, *values = stage->values;
  status = visit_array(visitor, "names", &names, (size_t)FIGURE_MOST * FIGURE_NAME);
  stage->names = names;
  if (status < 0) return status;
  status =
      visit_array(visitor, "values", &values, (size_t)(stage->planned * FIGURE_MOST) * sizeof *stage->values);
  stage->values = values;
  return status;
}

static const tn_stage cross_validate_table = {sizeof cross_validate_table, cross_validate_check,
                                              cross_validate_begin,        cross_validate_step,
                                              cross_validate_end,          cross_validate_progress};
static const tn_class cross_validate_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "cross_validate",
    .summary = "Trains without each fold of a data set and measures on the fold",
    .reference = "Stone 1974, Cross-validatory choice and assessment of statistical predictions",
    TN_CLASS_PARAMS(cross_validate_params),
    .instance_size = sizeof(struct cross_validate),
    .vtable = &cross_validate_table,
    .destroy = cross_validate_destroy,
    .state = cross_validate_state};
TN_PLUGIN("stage_cross_validate", "1.0.0", "MIT", &cross_validate_class)
