// SPDX-License-Identifier: MIT
/* Supervised training: minimises a loss of a model over the batches of a data set. One step is one batch:
 *
 *   rows -> transforms -> model -> loss -> gradient -> gradient transforms -> optimizer
 *
 * The parameters of model, loss and transforms are trained together, as one joined set. New running
 * statistics are committed after the optimizer's step. An optimizer that evaluates at other points does so
 * through the closure, on the same batch and with the same random numbers.
 *
 * With `micro_batches` a batch goes through in parts of consecutive rows, one after another or spread over
 * ranks. The objective is then the mean of the parts' losses, weighted by their rows; normalisation over a
 * batch is over a part, and new running statistics are the parts' mean in the same sense; each part draws
 * random numbers of its own. Sums over parts add neighbours first, so a number of ranks that leaves each 2^k
 * parts gives the same bits as any other. Metrics see the parts in their order, on every rank.
 *
 * With `ema`, or an optimizer that names its own final parameters, those are what is validated, and what the
 * model keeps at the end.
 *
 * `observers` see the parameters and their gradient in front of every update. Metrics that probe models do so
 * whenever an event is emitted, and once in front of the first step.
 *
 * Step events carry `loss` (mean since the last event), `lr`, `gradient_norm` (before gradient transforms),
 * the metrics over the training batches since the last event, and, when it was validated, `validation_loss`
 * and the metrics as `validation_NAME`. The last event's figures are the stage's results. */
#include "supervised_parts.h"
#include "update.h"

static const tn_param supervised_params[] = {
    TN_REFERENCE(struct supervised, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "training data"),
    TN_REFERENCE(struct supervised, validation, 0, TN_DATASET, NULL,
                 "data to validate on, `digits:validation`"),
    TN_REFERENCES(struct supervised, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order; fitted on the training data"),
    TN_REFERENCE(struct supervised, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the model to train"),
    TN_REFERENCE(struct supervised, loss, TN_PARAM_REQUIRED, TN_LOSS, NULL, "what is minimised"),
    TN_REFERENCE(struct supervised, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "how it is minimised"),
    TN_REFERENCE(struct supervised, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on the learning rate over time; empty: constant"),
    TN_REFERENCES(struct supervised, gradient, 0, TN_GRADIENT, "",
                  "transforms of the gradient in front of the optimizer, in order"),
    TN_REFERENCE(struct supervised, weighting, 0, TN_WEIGHTING, NULL,
                 "weights of samples in the loss; empty: all alike"),
    TN_REFERENCE(struct supervised, sampler, 0, TN_SAMPLER, "sampler.shuffle", "which rows make a batch"),
    TN_COUNT(struct supervised, batch, "32", "rows a batch, their share, or `full`"),
    TN_REAL(struct supervised, epochs, "0", 0, INFINITY,
            "passes over the training data; 10 if `steps` is not given either"),
    TN_INTEGER(struct supervised, steps, "0", 0, 1e15, "steps", "length in steps, instead of epochs"),
    TN_REFERENCES(struct supervised, metrics, 0, TN_METRIC, "",
                  "measured on the training batches and on the validation data"),
    TN_REFERENCES(struct supervised, observers, 0, TN_OBSERVER, "",
                  "see the parameters and their gradient at each step"),
    TN_INTEGER(struct supervised, evaluate_every, "1", 0, 1e15, "epochs",
               "how often to validate; 0: only at the end"),
    TN_PARAM_(struct supervised, ema, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL,
              "decay of a moving average of the parameters, a step; 0: none"),
    TN_INTEGER(struct supervised, log_every, "0", 0, 1e15, "steps",
               "how often to emit an event; 0: some 500 in all"),
    TN_INTEGER(struct supervised, micro_batches, "1", 1, 1 << 20, NULL,
               "parts of a batch, one after another or spread over ranks"),
    TN_INTEGER(struct supervised, evaluation_batch, "500", 1, 1 << 20, "rows", "rows a batch in validation"),
    TN_BOOL(struct supervised, restart, "no",
            "begin with the parameters as they were at first, whatever trained them since"),
};

static void supervised_release(struct supervised *stage) {
  parts_release(stage);
  packed_free(&stage->shared);
  tn_params_release(stage->joined);
  tn_params_release(stage->gradients);
  tn_params_release(stage->average);
  tn_free(stage->index);
  tn_free(stage->evaluation_index);
  tn_free(stage->blocks);
  tn_free(stage->tensors);
  tn_free(stage->transform_params);
  tn_free(stage->updates);
  stage->joined = stage->gradients = stage->average = stage->all = NULL;
  stage->index = stage->evaluation_index = NULL;
  stage->blocks = NULL;
  stage->tensors = NULL;
  stage->transform_params = NULL;
  stage->updates = NULL;
  stage->block_count = 0;
}

static tn_status supervised_check(void *self) {
  const struct supervised *stage = self;
  if (stage->steps > 0 && stage->epochs > 0)
    return tn_fail(TN_ERROR_INVALID, "give steps or epochs, not both");
  if (stage->weighting && !tn_loss_has_per_sample(stage->loss))
    return tn_fail(TN_ERROR_INVALID, "'%s' gives no loss a sample, which weighting needs", stage->loss->name);
  const tn_sampler *sampler = stage->sampler->vtable;
  if (stage->micro_batches > 1 && stage->weighting)
    return tn_fail(TN_ERROR_INVALID, "micro_batches and weighting: '%s' needs the whole batch",
                   stage->weighting->name);
  if (stage->micro_batches > 1 && TN_HAS(sampler, tn_sampler, feedback))
    return tn_fail(TN_ERROR_INVALID, "micro_batches and '%s': it learns from losses of the whole batch",
                   stage->sampler->name);
  if (parts_of_rank(stage) == 0)
    return tn_fail(TN_ERROR_INVALID, "micro_batches = %lld on %d ranks: expected 1, 2, 4, 8 ... times %d",
                   (long long)stage->micro_batches, (int)tn_ranks(), (int)tn_ranks());
  const tn_component *const sets[] = {stage->data, stage->validation};
  tn_status status = update_check_observers(&stage->observers);
  for (size_t i = 0; status >= 0 && i < TN_ARRAY_LENGTH(sets); i++) {
    if (!sets[i]) continue;
    tn_spec *own;
    const tn_spec *fields;
    status = pass_declare_data(sets[i], &stage->transforms, &own, &fields);
    if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
    if (status >= 0) status = tn_declare_component(stage->loss, fields, NULL);
    if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
    tn_spec_release(own);
  }
  return status;
}

/* ---- beginning ---- */

static tn_status supervised_begin(void *self) {
  struct supervised *stage = self;
  supervised_release(stage);
  stage->step = stage->epoch = stage->batch_of_epoch = 0;
  stage->loss_sum = stage->loss_steps = 0;
  stage->rows = tn_dataset_rows(stage->data);
  if (stage->rows < 0) return TN_ERROR_MISSING;
  if (stage->rows == 0) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", stage->data->name);
  stage->size = tn_count_of(stage->batch, stage->rows);
  stage->index = tn_alloc((size_t)stage->size * sizeof *stage->index);
  stage->evaluation_index = tn_alloc((size_t)stage->evaluation_batch * sizeof *stage->evaluation_index);
  if (!stage->index || !stage->evaluation_index) return TN_ERROR_MEMORY;

  tn_status status = stage->restart ? restart(stage) : TN_OK;
  if (status >= 0) status = pass_fit(stage->data, &stage->transforms);
  if (status >= 0) status = collect_parameters(stage);
  if (status >= 0) status = parts_prepare(stage);
  if (status >= 0) status = tn_optimizer_begin(stage->optimizer, stage->all);
  if (status >= 0) status = update_begin_gradient(&stage->gradient, stage->all);
  if (status >= 0 && stage->weighting) status = tn_weighting_begin(stage->weighting, stage->data);
  if (status >= 0) status = tn_sampler_begin(stage->sampler, stage->data, stage->rows, stage->size);
  if (status < 0) return status;
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);

  stage->batches = tn_sampler_batches(stage->sampler, stage->rows, stage->size);
  if (stage->batches < 1) stage->batches = 1;
  const double epochs = stage->epochs > 0 ? stage->epochs : 10;
  stage->planned = stage->steps > 0 ? stage->steps : (int64_t)ceil(epochs * (double)stage->batches - 1e-9);
  if (stage->planned < 1) stage->planned = 1;
  if (tn_smoke() && stage->planned > 3) stage->planned = 3;
  return TN_OK;
}

static void supervised_progress(void *self, tn_progress *progress) {
  const struct supervised *stage = self;
  const double batches = stage->batches > 0 ? (double)stage->batches : 1;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_TRAIN,
                            .step = stage->step,
                            .steps = stage->planned,
                            .epoch = (double)stage->epoch + (double)stage->batch_of_epoch / batches,
                            .epochs = (double)stage->planned / batches};
}

/* ---- validation ---- */

/* The objective on `evaluation_batch` rows, or those that are left, from `first`; *count: how many. */
static tn_status validation_of(struct supervised *stage, int64_t first, int64_t rows,
                               const tn_progress *progress, struct objective *o) {
  const int64_t left = rows - first, count = left < stage->evaluation_batch ? left : stage->evaluation_batch;
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < count; i++) stage->evaluation_index[i] = first + i;
  *o = (struct objective){.stage = stage,
                          .progress = *progress,
                          .rows = fields,
                          .index = stage->evaluation_index,
                          .count = count};
  return tn_dataset_read(stage->validation, stage->evaluation_index, count, fields);
}

/* One batch a rank, from `first`; every rank adds all metrics and losses, in order. */
static tn_status validate_batches(struct supervised *stage, const tn_params *params, int64_t first,
                                  int64_t rows, const tn_progress *progress, double *sum) {
  struct objective o;
  struct evaluation mine = {0}, e;
  const int64_t own = first + tn_rank() * stage->evaluation_batch;
  double loss = 0;
  tn_status status = TN_OK;
  if (own < rows) {
    status = validation_of(stage, own, rows, progress, &o);
    if (status >= 0) status = forward(&o, &mine, params, NULL, NULL);
    if (status < 0) return status;
    tn_tensor *value = loss_of(&o, &mine, mine.outputs);
    status = tn_outcome();
    if (status >= 0) loss = tn_item(value);
  }
  for (int32_t rank = 0; status >= 0 && rank < tn_ranks() && first < rows; rank++) {
    const bool is_mine = rank == tn_rank();
    status = validation_of(stage, first, rows, progress, &o);
    if (status >= 0 && is_mine && tn_ranks() > 1) status = packed_write(&stage->shared, mine.outputs, loss);
    if (status >= 0) status = packed_share(&stage->shared, rank);
    double value = loss;
    if (is_mine) e = mine;
    if (status >= 0 && !is_mine) {
      status = prepare(&o, &e, params);
      packed_read(&stage->shared, e.outputs, &value);
      e.fields = pass_merge(e.inputs, e.outputs);
    }
    if (status >= 0) status = pass_update_metrics(&stage->metrics, e.fields);
    *sum += value * (double)o.count;
    first += stage->evaluation_batch;
  }
  return status;
}

static tn_status validate(struct supervised *stage, struct figures *figures) {
  tn_params *own;
  const tn_params *params = final_parameters(stage, &own);
  int64_t rows = tn_dataset_rows(stage->validation);
  tn_status status = !params ? TN_ERROR_INVALID : rows < 0 ? TN_ERROR_MISSING : TN_OK;
  if (tn_smoke() && rows > 64) rows = 64;
  tn_progress progress;
  supervised_progress(stage, &progress);
  progress.mode = TN_EVALUATE;
  const bool recording = tn_record(false);
  double sum = 0;
  const int64_t stride = tn_ranks() * stage->evaluation_batch;
  for (int64_t first = 0; status >= 0 && first < rows; first += stride) {
    tn_scope_open();
    status = validate_batches(stage, params, first, rows, &progress, &sum);
    tn_scope_close();
  }
  tn_record(recording);
  tn_params_release(own);
  if (status < 0) return status;
  if (rows > 0) figures_add(figures, "validation_", "loss", sum / (double)rows);
  return figures_metrics(figures, "validation_", &stage->metrics, true);
}

/* ---- one step ---- */

/* What metrics find that probe the model. */
static tn_status probe(struct supervised *stage, struct figures *figures) {
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = parameters_of(stage, stage->all, stage->model),
                                 .loss = stage->loss,
                                 .data = stage->data,
                                 .transforms = &stage->transforms};
  tn_status status = TN_OK;
  figures->prefix = "";
  for (uint32_t m = 0; status >= 0 && m < stage->metrics.count; m++)
    if (tn_metric_probes(stage->metrics.items[m]))
      status = tn_metric_measure(stage->metrics.items[m], &probe, &figures->sink);
  return status;
}

/* Lets them see the model in front of the first step too. */
static tn_status probe_start(struct supervised *stage) {
  struct figures unused;
  figures_start(&unused);
  return probe(stage, &unused);
}

static tn_status report(struct supervised *stage, double lr, double gradient_norm, bool validates,
                        bool last) {
  tn_progress progress;
  supervised_progress(stage, &progress);
  struct figures figures;
  figures_start(&figures);
  figures_add(&figures, "", "loss", stage->loss_sum / stage->loss_steps);
  stage->loss_sum = stage->loss_steps = 0;
  tn_status status = figures_metrics(&figures, "", &stage->metrics, true);
  if (status >= 0) status = probe(stage, &figures);
  if (status >= 0 && validates) status = validate(stage, &figures);
  if (status < 0) return status;
  for (uint32_t i = 0; last && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  if (!isnan(lr)) figures_add(&figures, "", "lr", lr);
  figures_add(&figures, "", "gradient_norm", gradient_norm);
  tn_emit_step(&progress, figures.values, figures.count);
  return TN_OK;
}

/* What follows the update, without recording. */
static tn_status after_update(struct supervised *stage, const struct evaluation *e, uint32_t updates,
                              int64_t count) {
  tn_status status = commit_buffers(stage, updates);
  if (status >= 0) status = tn_loss_after_step(stage->loss, &e->call);
  if (status >= 0) status = update_average(stage);
  if (status >= 0) status = pass_update_metrics(&stage->metrics, e->fields);
  if (status < 0 || !e->per_sample) return status;
  const tn_tensor *scores = tn_cast(e->per_sample, TN_F64); /* (n) */
  if (tn_poisoned(scores) || tn_numel(scores) != count) return tn_outcome();
  return tn_sampler_feedback(stage->sampler, stage->index, tn_f64(scores), count);
}

static tn_status after_update_of_parts(struct supervised *stage, const struct objective *o) {
  const tn_loss *loss = stage->loss->vtable;
  commit_statistics(stage);
  const tn_status status = TN_HAS(loss, tn_loss, after_step) ? show_parts(o, true) : TN_OK;
  return status < 0 ? status : update_average(stage);
}

/* The loss of the batch, recorded, at the live parameters. */
static tn_status evaluate_whole(struct objective *o, struct evaluation *e, tn_fields *rows, uint32_t *updates,
                                tn_tensor **value) {
  struct supervised *stage = o->stage;
  tn_status status = tn_dataset_read(stage->data, o->index, o->count, rows);
  if (status >= 0) status = forward(o, e, stage->all, stage->updates, updates);
  if (status < 0) return status;
  *value = loss_of(o, e, e->outputs);
  return tn_outcome();
}

static tn_status supervised_step(void *self) {
  struct supervised *stage = self;
  bool epoch_ends = false;
  const bool whole = stage->micro_batches == 1;
  tn_fields *rows = tn_fields_new();
  struct objective o = {.closure = {sizeof o.closure, 1, objective_evaluate, objective_apply, objective_loss},
                        .stage = stage,
                        .rows = rows,
                        .index = stage->index};
  if (!whole) o.closure = (tn_closure){sizeof o.closure, 1, objective_evaluate_parts, NULL, NULL};
  supervised_progress(stage, &o.progress);

  tn_status status = tn_sampler_next(stage->sampler, stage->index, &o.count, &epoch_ends);
  if (status < 0) return status;
  struct evaluation e;
  uint32_t updates = 0;
  tn_tensor *value = NULL;
  if (whole)
    status = evaluate_whole(&o, &e, rows, &updates, &value);
  else
    status = evaluate_parts(&o, stage->all, stage->gradients, stage->parts.sum, stage->parts.width,
                            stage->parts.outputs);
  if (status < 0) return status;
  const double loss = whole ? tn_item(value) : stage->parts.sum[0];
  const double factor = stage->schedule ? tn_schedule_factor(stage->schedule, &o.progress) : 1;
  const double lr = tn_optimizer_learning_rate(stage->optimizer, factor);
  status = update_check_loss(loss, stage->step, lr);
  if (status < 0) return status;

  const bool last = stage->step + 1 >= stage->planned;
  const int64_t every = stage->log_every > 0 ? stage->log_every : (stage->planned + 499) / 500;
  const int64_t epoch = stage->epoch + epoch_ends;
  const bool due = epoch_ends && stage->evaluate_every > 0 && epoch % stage->evaluate_every == 0;
  const bool validates = stage->validation && (last || due);
  const bool logs = last || validates || stage->step == 0 || (stage->step + 1) % every == 0;
  const bool observed = stage->schedule && tn_schedule_observes(stage->schedule);

  if (whole) status = tn_grad_params(value, stage->all, stage->gradients);
  const double norm = status >= 0 && (logs || observed) ? tn_params_norm(stage->gradients) : 0;
  if (status >= 0 && stage->step == 0) status = probe_start(stage);
  if (status >= 0)
    status = update_observe(&stage->observers, stage->all, stage->gradients, stage->optimizer, &o.progress);
  if (status >= 0)
    status = update_gradient(&stage->gradient, stage->all, stage->gradients, loss, &o.progress);
  if (status < 0) return status;
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = stage->all,
                                  .gradient = stage->gradients,
                                  .loss = loss,
                                  .schedule = factor,
                                  .step = stage->step + 1,
                                  .closure = &o.closure,
                                  .steps = stage->planned};
  status = tn_optimizer_update(stage->optimizer, &step);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  status = whole ? after_update(stage, &e, updates, o.count) : after_update_of_parts(stage, &o);
  tn_record(recording);
  if (status < 0) return status;

  stage->step++;
  stage->epoch = epoch;
  stage->batch_of_epoch = epoch_ends ? 0 : stage->batch_of_epoch + 1;
  stage->loss_sum += loss;
  stage->loss_steps++;
  supervised_progress(stage, &o.progress);
  if (observed) tn_schedule_observe(stage->schedule, &o.progress, loss, norm);
  if (last) status = update_observe(&stage->observers, stage->all, NULL, stage->optimizer, &o.progress);
  if (status < 0) return status;
  if (logs) status = report(stage, lr, norm, validates, last);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

/* The model keeps its final parameters. */
static tn_status supervised_end(void *self) {
  struct supervised *stage = self;
  tn_params *own;
  const tn_params *params = final_parameters(stage, &own);
  tn_status status = params ? TN_OK : TN_ERROR_INVALID;
  if (params && params != stage->all) status = tn_params_copy(stage->all, params);
  tn_params_release(own);
  supervised_release(stage);
  return status;
}

static void supervised_destroy(void *self) { supervised_release(self); }

static tn_status supervised_state(void *self, const tn_visitor *visitor) {
  struct supervised *stage = self;
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_integer(visitor, "epoch", &stage->epoch);
  tn_visit_integer(visitor, "batch", &stage->batch_of_epoch);
  tn_visit_real(visitor, "loss_sum", &stage->loss_sum);
  tn_status status = tn_visit_real(visitor, "loss_steps", &stage->loss_steps);
  bool averaged = stage->average != NULL;
  if (status >= 0) status = tn_visit_boolean(visitor, "averaged", &averaged);
  return status >= 0 && averaged ? tn_visit_params(visitor, "average", &stage->average) : status;
}

static const tn_stage supervised_table = {sizeof supervised_table, supervised_check, supervised_begin,
                                          supervised_step,         supervised_end,   supervised_progress};
static const tn_class supervised_class = {.size = sizeof(tn_class),
                                          .kind = TN_STAGE,
                                          .name = "supervised",
                                          .summary = "Trains a model on a data set",
                                          TN_CLASS_PARAMS(supervised_params),
                                          .instance_size = sizeof(struct supervised),
                                          .vtable = &supervised_table,
                                          .destroy = supervised_destroy,
                                          .state = supervised_state};
TN_PLUGIN("stage_supervised", "1.0.0", "MIT", &supervised_class)
