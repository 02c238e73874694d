// SPDX-License-Identifier: MIT
/* How well a search ranks architectures: those that it has sampled (text `samples` of its stage, a line
 * `FITNESS : ARCHITECTURE` each) are built and trained one by one, from scratch, and measured on other data.
 * One step is one architecture. Results: `kendall`, tau-b of fitness and measured accuracy (0 if one of the
 * two is the same for all), `mean` and `best` of the latter, `architectures`. */
#include "../searches/batches.h"
#include "kendall.h"
#include <stdlib.h>
#include <tenon/optimizer.h>
#include <tenon/schedule.h>
#include <tenon/supernet.h>

struct rank {
  const tn_component *of, *model, *data, *loss, *optimizer, *schedule, *test, *metric;
  tn_references transforms;
  const char *figure;
  tn_count batch;
  int64_t steps, evaluation_batch;

  tn_search_setting setting; /* where batches come from */
  const tn_component **nets; /* (count) */
  int64_t count;
  int64_t *rows, *order;
  /* state */
  int64_t next;
  double *values; /* (2, count): fitness, accuracy */
  size_t value_bytes;
};
static const tn_param rank_params[] = {
    TN_REFERENCE(struct rank, of, TN_PARAM_REQUIRED, TN_STAGE, NULL, "the search whose samples are trained"),
    TN_REFERENCE(struct rank, model, TN_PARAM_REQUIRED, TN_MODEL, NULL,
                 "a network that is built from an architecture, model.ensemble_net for instance"),
    TN_REFERENCE(struct rank, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "training data"),
    TN_REFERENCE(struct rank, test, TN_PARAM_REQUIRED, TN_DATASET, NULL, "data to measure on"),
    TN_REFERENCES(struct rank, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order; fitted on the training data"),
    TN_REFERENCE(struct rank, loss, 0, TN_LOSS, "loss.cross_entropy", "what is minimised"),
    TN_REFERENCE(struct rank, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "how it is minimised"),
    TN_REFERENCE(struct rank, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on the learning rate over time; empty: constant"),
    TN_COUNT(struct rank, batch, "64", "rows a batch, or their share"),
    TN_INTEGER(struct rank, steps, "400", 1, 1e15, "steps", "of training, for each architecture"),
    TN_REFERENCE(struct rank, metric, 0, TN_METRIC, "metric.accuracy", "what is measured; larger is better"),
    TN_STRING(struct rank, figure, "accuracy", "which of its figures"),
    TN_INTEGER(struct rank, evaluation_batch, "500", 1, 1 << 20, "rows", "rows a batch in measuring"),
};

static tn_status rank_check(void *self) {
  const struct rank *stage = self;
  if (!tn_extension(stage->model, TN_ARCHITECTURE))
    return tn_fail(TN_ERROR_INVALID, "'%s' is not built from an architecture; expected model.ensemble_net",
                   stage->model->name);
  tn_spec *own;
  const tn_spec *fields;
  const tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  tn_spec_release(own);
  return status;
}

static void rank_release(struct rank *stage) {
  tn_free(stage->nets);
  tn_free(stage->rows);
  tn_free(stage->order);
  tn_free(stage->values);
  stage->nets = NULL;
  stage->rows = stage->order = NULL;
  stage->values = NULL;
  stage->value_bytes = 0;
}
static void rank_destroy(void *self) { rank_release(self); }

/* ---- the architectures ---- */

/* Builds and declares a network from one line; the next line. */
static const char *build(struct rank *stage, const char *line, const tn_spec *fields, int64_t number) {
  char *end;
  const double fitness = strtod(line, &end);
  const size_t length = strcspn(end, "\n");
  const char *colon = memchr(end, ':', length);
  char *text = colon ? tn_alloc(length + 1) : NULL;
  if (!text) {
    tn_fail(TN_ERROR_INVALID, "line %lld of the samples of '%s' is no `FITNESS : ARCHITECTURE`",
            (long long)number + 1, stage->of->name);
    return NULL;
  }
  memcpy(text, colon + 1, (size_t)(end + length - colon) - 1);
  const tn_component *net = tn_instantiate(stage->model);
  const tn_architecture *table = net ? tn_extension(net, TN_ARCHITECTURE) : NULL;
  tn_status status = table ? table->set(net->self, text) : TN_ERROR_INVALID;
  const tn_spec *outputs;
  if (status >= 0) status = tn_declare_component(net, fields, &outputs);
  if (status >= 0 && number == 0) status = tn_declare_component(stage->loss, outputs, NULL);
  if (status >= 0 && number == 0) status = tn_metric_declare(stage->metric, outputs);
  stage->nets[number] = net;
  stage->values[number] = fitness;
  tn_free(text);
  return status < 0 ? NULL : end + length + (end[length] == '\n');
}

static tn_status build_all(struct rank *stage) {
  const char *text = tn_published_text(stage->of, "samples");
  if (!text)
    return tn_fail(TN_ERROR_MISSING, "'%s' has published no samples: give its search `ranked`",
                   stage->of->name);
  stage->count = 0;
  for (const char *at = text; *at; at++) stage->count += *at == '\n';
  stage->nets = tn_alloc((size_t)(stage->count + 1) * sizeof *stage->nets);
  stage->value_bytes = (size_t)(2 * stage->count) * sizeof *stage->values;
  stage->values = tn_alloc(stage->value_bytes);
  if (!stage->nets || !stage->values) return TN_ERROR_MEMORY;
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  const char *line = text;
  for (int64_t i = 0; status >= 0 && i < stage->count; i++)
    if (!(line = build(stage, line, fields, i))) status = TN_ERROR_INVALID;
  tn_spec_release(own);
  return status;
}

static tn_status rank_begin(void *self) {
  struct rank *stage = self;
  rank_release(stage);
  stage->next = 0;
  const int64_t rows = tn_dataset_rows(stage->data);
  if (rows < 1)
    return rows < 0 ? TN_ERROR_MISSING : tn_fail(TN_ERROR_INVALID, "'%s' has no rows", stage->data->name);
  stage->rows = tn_alloc((size_t)rows * sizeof *stage->rows);
  stage->order = tn_alloc((size_t)(rows > stage->evaluation_batch ? rows : stage->evaluation_batch) *
                          sizeof *stage->order);
  if (!stage->rows || !stage->order) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < rows; i++) stage->rows[i] = i;
  stage->setting = (tn_search_setting){.size = sizeof stage->setting,
                                       .data = stage->data,
                                       .transforms = &stage->transforms,
                                       .train_rows = stage->rows,
                                       .train_count = rows,
                                       .batch = tn_count_of(stage->batch, rows),
                                       .steps = tn_smoke() && stage->steps > 2 ? 2 : stage->steps};
  const tn_status status = pass_fit(stage->data, &stage->transforms);
  return status < 0 ? status : build_all(stage);
}

static void rank_progress(void *self, tn_progress *progress) {
  const struct rank *stage = self;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_TRAIN,
                            .step = stage->next,
                            .steps = stage->count,
                            .epoch = (double)stage->next,
                            .epochs = (double)stage->count};
}

/* ---- one architecture ---- */

static tn_status commit(tn_params *params, const tn_buffer_update *updates, uint32_t count) {
  for (uint32_t u = 0; u < count; u++) {
    const tn_tensor *value = updates[u].value;
    if (tn_poisoned(value)) return tn_outcome();
    memcpy(tn_data(tn_param_tensor(params, updates[u].index)), tn_data(value),
           (size_t)tn_numel(value) * (value->dl.dtype.bits / 8));
  }
  return TN_OK;
}

static tn_status train_step(struct rank *stage, const tn_component *net, tn_params *params,
                            tn_params *gradient, tn_buffer_update *updates, const tn_progress *progress) {
  uint32_t count = 0;
  const tn_fields *batch = search_batch(&stage->setting, "stage.rank", net->name, stage->rows,
                                        stage->setting.train_count, stage->order, progress);
  tn_fields *outputs = tn_fields_new();
  if (!batch) return TN_ERROR_INVALID;
  tn_status status = pass_model(net, params, batch, outputs, progress, updates, &count);
  if (status < 0) return status;
  tn_rng rng = tn_rng_at(stage->loss->name, "train", (uint64_t)progress->step);
  const tn_loss_call call = {.size = sizeof call,
                             .fields = pass_merge(batch, outputs),
                             .progress = *progress,
                             .rng = &rng,
                             .model = net,
                             .model_params = params,
                             .batch = batch};
  tn_tensor *value = tn_loss_value(stage->loss, &call);
  if (tn_failed()) return tn_outcome();
  const double loss = tn_item(value);
  if (!isfinite(loss))
    return tn_fail(TN_ERROR_DIVERGED, "the loss of architecture %lld became %g in step %lld",
                   (long long)stage->next + 1, loss, (long long)progress->step + 1);
  status = tn_grad_params(value, params, gradient);
  if (status < 0) return status;
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = params,
                                  .gradient = gradient,
                                  .loss = loss,
                                  .schedule =
                                      stage->schedule ? tn_schedule_factor(stage->schedule, progress) : 1,
                                  .step = progress->step + 1,
                                  .steps = progress->steps};
  status = tn_optimizer_update(stage->optimizer, &step);
  return status < 0 ? status : commit(params, updates, count);
}

static tn_status train(struct rank *stage, const tn_component *net) {
  tn_params *params = tn_parameters(net), *gradient = params ? tn_params_like(params) : NULL;
  tn_buffer_update *updates = params ? tn_alloc((tn_params_count(params) + 1) * sizeof *updates) : NULL;
  const double batches = fmax(1, floor((double)stage->setting.train_count / (double)stage->setting.batch));
  tn_progress progress = {.size = sizeof progress, .mode = TN_TRAIN, .steps = stage->setting.steps};
  progress.epochs = (double)progress.steps / batches;
  tn_status status = gradient && updates ? tn_optimizer_begin(stage->optimizer, params) : TN_ERROR_MEMORY;
  for (; status >= 0 && progress.step < progress.steps; progress.step++) {
    progress.epoch = (double)progress.step / batches;
    tn_scope_open();
    status = train_step(stage, net, params, gradient, updates, &progress);
    tn_scope_close();
  }
  tn_params_release(gradient);
  tn_free(updates);
  return status;
}

struct one_figure {
  tn_metric_sink sink; /* first: the sink is this */
  const char *name;
  double value;
};
static void take_figure(tn_metric_sink *sink, const char *name, double value) {
  struct one_figure *figure = (struct one_figure *)sink;
  if (strcmp(name, figure->name) == 0) figure->value = value;
}

static tn_status measure(struct rank *stage, const tn_component *net, double *value) {
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  int64_t rows = tn_dataset_rows(stage->test);
  if (tn_smoke() && rows > 64) rows = 64;
  tn_status status = rows < 0 ? TN_ERROR_MISSING : TN_OK;
  const bool recording = tn_record(false);
  tn_metric_reset(stage->metric);
  for (int64_t first = 0; status >= 0 && first < rows; first += stage->evaluation_batch) {
    const int64_t left = rows - first,
                  count = left < stage->evaluation_batch ? left : stage->evaluation_batch;
    tn_scope_open();
    tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
    for (int64_t i = 0; i < count; i++) stage->order[i] = first + i;
    status = tn_dataset_read(stage->test, stage->order, count, inputs);
    if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, stage->order, &progress);
    if (status >= 0) status = pass_model(net, tn_parameters(net), inputs, outputs, &progress, NULL, NULL);
    if (status >= 0) status = tn_metric_update(stage->metric, pass_merge(inputs, outputs));
    if (status >= 0) status = tn_outcome();
    tn_scope_close();
  }
  tn_record(recording);
  struct one_figure figure = {{sizeof figure.sink, take_figure}, stage->figure, NAN};
  if (status >= 0) status = tn_metric_values(stage->metric, &figure.sink);
  if (status >= 0 && isnan(figure.value))
    status = tn_fail(TN_ERROR_INVALID, "'%s' gives no figure '%s'", stage->metric->name, stage->figure);
  *value = figure.value;
  return status;
}

static tn_status rank_step(void *self) {
  struct rank *stage = self;
  tn_progress progress;
  if (stage->next >= stage->count) return TN_DONE;
  double *measured = &stage->values[stage->count + stage->next];
  const tn_component *net = stage->nets[stage->next];
  tn_status status = train(stage, net);
  if (status >= 0) status = measure(stage, net, measured);
  if (status < 0) return status;
  const tn_scalar_value scalars[] = {{"fitness", stage->values[stage->next]}, {stage->figure, *measured}};
  stage->next++;
  rank_progress(stage, &progress);
  tn_emit_step(&progress, scalars, TN_ARRAY_LENGTH(scalars));
  return stage->next < stage->count ? TN_OK : TN_DONE;
}

static tn_status rank_end(void *self) {
  struct rank *stage = self;
  const double *fitness = stage->values, *measured = fitness + stage->count;
  double sum = 0, best = -INFINITY;
  tn_tensor *points = tn_empty(TN_F64, TN_SHAPE(stage->count, 2));
  for (int64_t i = 0; i < stage->count && !tn_poisoned(points); i++) {
    sum += measured[i];
    best = fmax(best, measured[i]);
    tn_f64(points)[2 * i] = fitness[i];
    tn_f64(points)[2 * i + 1] = measured[i];
  }
  const double tau = kendall_tau(fitness, measured, stage->count);
  tn_emit_result("kendall", isnan(tau) ? 0 : tau);
  tn_emit_result("mean", stage->count > 0 ? sum / (double)stage->count : 0);
  if (stage->count > 0) tn_emit_result("best", best);
  tn_emit_result("architectures", (double)stage->count);
  tn_event event = tn_event_of(TN_EVENT_SCATTER, "ranking");
  event.title = "Fitness in the search and accuracy when trained alone";
  event.tensor = points;
  event.x_label = "fitness";
  event.y_label = stage->figure;
  if (!tn_poisoned(points) && stage->count > 0) tn_emit(&event);
  return tn_outcome();
}

static tn_status rank_state(void *self, const tn_visitor *visitor) {
  struct rank *stage = self;
  void *values = stage->values;
  tn_visit_integer(visitor, "next", &stage->next);
  const tn_status status = tn_visit_block(visitor, "values", &values, &stage->value_bytes);
  stage->values = values;
  return status;
}

static const tn_class rank_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "rank",
    .summary = "Trains the architectures that a search has sampled, and compares the order with the search's",
    .reference = "Yu et al. 2020, Evaluating the Search Phase of Neural Architecture Search",
    TN_CLASS_PARAMS(rank_params),
    .instance_size = sizeof(struct rank),
    .vtable = &(const tn_stage){sizeof(tn_stage), rank_check, rank_begin, rank_step, rank_end, rank_progress},
    .destroy = rank_destroy,
    .state = rank_state};
TN_PLUGIN("stage_rank", "1.0.0", "MIT", &rank_class)
