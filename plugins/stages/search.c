// SPDX-License-Identifier: MIT
/* Architecture search: splits the rows of a data set, lets a search (tenon.search/1) make its steps on a
 * supernet, and publishes the architecture it derives as the text `genotype`. Metrics are measured at the end
 * on the rows held out. */
#include "pass.h"
#include <tenon/optimizer.h>
#include <tenon/schedule.h>
#include <tenon/search.h>
#include <tenon/supernet.h>

struct stage {
  const tn_component *data, *model, *loss, *optimizer, *schedule, *search;
  tn_references watch;
  int64_t watch_every;
  tn_references transforms, metrics;
  tn_count train, validation, batch;
  double epochs;
  int64_t steps, evaluation_batch, derive_every;

  tn_search_setting setting;
  int64_t *rows; /* a random order of all; training rows first, then validation rows */
  int64_t step, batches;
};
static const tn_param stage_params[] = {
    TN_REFERENCE(struct stage, search, TN_PARAM_REQUIRED, TN_SEARCH, NULL, "how it is searched"),
    TN_REFERENCE(struct stage, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the supernet"),
    TN_REFERENCE(struct stage, data, TN_PARAM_REQUIRED, TN_DATASET, NULL,
                 "rows to be split between weights and architecture"),
    TN_REFERENCES(struct stage, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order; fitted on the data"),
    TN_REFERENCE(struct stage, loss, 0, TN_LOSS, "loss.cross_entropy", "what is minimised"),
    TN_REFERENCE(struct stage, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "of the weights"),
    TN_REFERENCE(struct stage, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on its learning rate; empty: constant"),
    TN_COUNT(struct stage, train, "50%", "rows that train the weights, at random"),
    TN_COUNT(struct stage, validation, "0", "rows for the architecture; 0: all that are left"),
    TN_COUNT(struct stage, batch, "64", "rows a batch, or their share of the training rows"),
    TN_REAL(struct stage, epochs, "0", 0, INFINITY,
            "passes over the training rows; 50 if `steps` is not given either"),
    TN_INTEGER(struct stage, steps, "0", 0, 1e15, "steps", "length in steps, instead of epochs"),
    TN_REFERENCES(struct stage, watch, 0, TN_METRIC, "",
                  "metrics that probe the supernet, such as alpha_balance, measured on the way, as curves"),
    TN_INTEGER(struct stage, watch_every, "10", 1, 1e15, "steps", "how often"),
    TN_REFERENCES(struct stage, metrics, 0, TN_METRIC, "", "measured on the validation rows at the end"),
    TN_INTEGER(struct stage, evaluation_batch, "500", 1, 1 << 20, "rows", "rows a batch there"),
    TN_INTEGER(struct stage, derive_every, "0", 0, 1e15, "steps",
               "how often the genotype found so far is told to observers; 0: at the end only"),
};

static tn_status stage_check(void *self) {
  const struct stage *stage = self;
  if (stage->steps > 0 && stage->epochs > 0)
    return tn_fail(TN_ERROR_INVALID, "give steps or epochs, not both");
  if (!tn_extension(stage->model, TN_SUPERNET))
    return tn_fail(TN_ERROR_INVALID, "'%s' is no supernet: expected a model such as model.darts_supernet",
                   stage->model->name);
  for (uint32_t m = 0; m < stage->watch.count; m++)
    if (!tn_metric_probes(stage->watch.items[m]))
      return tn_fail(TN_ERROR_INVALID, "watch: '%s' does not probe a model", stage->watch.items[m]->name);
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
  if (status >= 0) status = tn_declare_component(stage->loss, fields, NULL);
  if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
  tn_spec_release(own);
  return status;
}

static tn_status stage_begin(void *self) {
  struct stage *stage = self;
  const int64_t rows = tn_dataset_rows(stage->data);
  if (rows < 0) return TN_ERROR_MISSING;
  const int64_t train = tn_count_of(stage->train, rows);
  const bool given = stage->validation.number > 0 || stage->validation.fraction > 0;
  const int64_t validation = given ? tn_count_of(stage->validation, rows) : rows - train;
  if (train + validation > rows)
    return tn_fail(TN_ERROR_INVALID, "%lld training and %lld validation rows of '%s', which has %lld",
                   (long long)train, (long long)validation, stage->data->name, (long long)rows);
  tn_free(stage->rows);
  stage->rows = tn_alloc((size_t)(rows + 1) * sizeof *stage->rows);
  if (!stage->rows) return TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at("stage.search", "split", 0);
  tn_random_permutation(&rng, stage->rows, rows);
  tn_status status = pass_fit(stage->data, &stage->transforms);
  if (status < 0) return status;

  const int64_t batch = tn_count_of(stage->batch, train);
  stage->batches = train / batch;
  stage->step = 0;
  int64_t steps = stage->steps;
  if (steps == 0) steps = (int64_t)ceil((stage->epochs > 0 ? stage->epochs : 50) * (double)stage->batches);
  if (tn_smoke() && steps > 3) steps = 3;
  stage->setting = (tn_search_setting){.size = sizeof stage->setting,
                                       .model = stage->model,
                                       .loss = stage->loss,
                                       .optimizer = stage->optimizer,
                                       .schedule = stage->schedule,
                                       .data = stage->data,
                                       .train_rows = stage->rows,
                                       .validation_rows = stage->rows + train,
                                       .train_count = train,
                                       .validation_count = validation,
                                       .transforms = &stage->transforms,
                                       .batch = batch,
                                       .steps = steps > 0 ? steps : 1};
  return tn_search_begin(stage->search, &stage->setting);
}

static void stage_progress(void *self, tn_progress *progress) {
  const struct stage *stage = self;
  const double batches = stage->batches > 0 ? (double)stage->batches : 1;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_TRAIN,
                            .step = stage->step,
                            .steps = stage->setting.steps,
                            .epoch = (double)stage->step / batches,
                            .epochs = (double)stage->setting.steps / batches};
}

static tn_status tell_genotype(const struct stage *stage, const tn_progress *progress, char **genotype) {
  const tn_status status = tn_search_derive(stage->search, genotype);
  if (status < 0) return status;
  tn_event event = tn_event_of(TN_EVENT_TEXT, "genotype");
  event.text = *genotype;
  event.progress = *progress;
  tn_emit(&event);
  return TN_OK;
}

static tn_status stage_step(void *self) {
  struct stage *stage = self;
  tn_progress progress;
  stage_progress(stage, &progress);
  tn_status status = tn_search_step(stage->search, &progress);
  stage->step++;
  if (status != TN_OK || stage->derive_every == 0 || stage->step % stage->derive_every != 0) return status;
  char *genotype = NULL;
  stage_progress(stage, &progress);
  status = tell_genotype(stage, &progress, &genotype);
  tn_free(genotype);
  return status;
}

static tn_status measure_batch(struct stage *stage, const int64_t *index, int64_t count,
                               const tn_progress *progress) {
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  tn_status status = tn_dataset_read(stage->data, index, count, inputs);
  if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, index, progress);
  if (status >= 0)
    status = pass_model(stage->model, tn_parameters(stage->model), inputs, outputs, progress, NULL, NULL);
  if (status >= 0) status = pass_update_metrics(&stage->metrics, pass_merge(inputs, outputs));
  return status < 0 ? status : tn_outcome();
}

static tn_status accumulate(struct stage *stage, int64_t rows) {
  tn_progress progress;
  stage_progress(stage, &progress);
  progress.mode = TN_EVALUATE;
  tn_status status = TN_OK;
  const bool recording = tn_record(false);
  for (int64_t first = 0; status >= 0 && first < rows; first += stage->evaluation_batch) {
    const int64_t left = rows - first;
    tn_scope_open();
    status = measure_batch(stage, stage->setting.validation_rows + first,
                           left < stage->evaluation_batch ? left : stage->evaluation_batch, &progress);
    tn_scope_close();
  }
  tn_record(recording);
  return status;
}

/* Metrics over the rows held out. */
static tn_status measure(struct stage *stage) {
  const tn_references *metrics = &stage->metrics;
  int64_t rows = stage->setting.validation_count;
  if (tn_smoke() && rows > 64) rows = 64;
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = tn_parameters(stage->model),
                                 .loss = stage->loss,
                                 .data = stage->data,
                                 .transforms = &stage->transforms,
                                 .subject = stage->search,
                                 .rows = stage->setting.validation_rows,
                                 .row_count = rows};
  bool accumulates = false;
  for (uint32_t m = 0; m < metrics->count; m++) {
    tn_metric_reset(metrics->items[m]);
    accumulates = accumulates || tn_metric_accumulates(metrics->items[m]);
  }
  struct figures figures;
  figures_start(&figures);
  tn_status status = accumulates ? accumulate(stage, rows) : TN_OK;
  for (uint32_t m = 0; status >= 0 && m < metrics->count; m++)
    status = figures_measure(&figures, metrics->items[m], &probe);
  for (uint32_t i = 0; status >= 0 && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  return status;
}

static tn_status stage_end(void *self) {
  struct stage *stage = self;
  char *genotype = NULL;
  tn_progress progress;
  stage_progress(stage, &progress);
  tn_status status = tell_genotype(stage, &progress, &genotype);
  if (status >= 0) status = tn_publish_text("genotype", genotype);
  if (status >= 0 && stage->metrics.count > 0) status = measure(stage);
  tn_free(genotype);
  return status;
}

/* What `watch` finds in the supernet now, as a point on curves. */
static tn_status watch(const struct stage *stage, const tn_progress *progress) {
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = tn_parameters(stage->model),
                                 .loss = stage->loss,
                                 .data = stage->data,
                                 .transforms = &stage->transforms,
                                 .subject = stage->search,
                                 .rows = stage->setting.validation_rows,
                                 .row_count = stage->setting.validation_count};
  struct figures figures;
  figures_start(&figures);
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < stage->watch.count; m++)
    status = tn_metric_measure(stage->watch.items[m], &probe, &figures.sink);
  if (status >= 0 && figures.count > 0) tn_emit_step(progress, figures.values, figures.count);
  return status;
}
static tn_status stage_step_watched(void *self) {
  const struct stage *stage = self;
  tn_progress progress;
  stage_progress(self, &progress);
  const tn_status status = stage_step(self);
  if (status < 0 || (status != TN_DONE && progress.step % stage->watch_every != 0)) return status;
  const tn_status watched = watch(stage, &progress);
  return watched < 0 ? watched : status;
}

static void stage_destroy(void *self) { tn_free(((struct stage *)self)->rows); }
static tn_status stage_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct stage *)self)->step);
}

static const tn_class stage_class = {.size = sizeof(tn_class),
                                     .kind = TN_STAGE,
                                     .name = "search",
                                     .summary = "Searches an architecture in a supernet",
                                     TN_CLASS_PARAMS(stage_params),
                                     .instance_size = sizeof(struct stage),
                                     .vtable =
                                         &(const tn_stage){sizeof(tn_stage), stage_check, stage_begin,
                                                           stage_step_watched, stage_end, stage_progress},
                                     .destroy = stage_destroy,
                                     .state = stage_state};
TN_PLUGIN("stage_search", "1.0.0", "MIT", &stage_class)
