// SPDX-License-Identifier: MIT
/* Architecture search: splits the rows of a data set, lets a search (tenon.search/1) make its steps on a
 * supernet, and publishes the architecture it derives as the text `genotype`. Metrics are measured at the end
 * on the rows held out.
 *
 * Early stopping (Zela et al. 2020, section 5.1): with v_i what `stop` was at the i-th watch and k =
 * stop_window, the search ends where mean(v_{i-k+1}, ..., v_i) > stop_growth mean(v_{i-2k+1}, ..., v_{i-k}),
 * and its architecture is that of watch i - k, before the growth. Watches before `stop_from` do not count: at
 * first alpha moves from nowhere, and the curvature in it grows in every search. */
#include "pass.h"
#include <tenon/optimizer.h>
#include <tenon/schedule.h>
#include <tenon/search.h>
#include <tenon/supernet.h>

struct watched {
  double value;
  char *genotype;
};

struct stage {
  const tn_component *data, *model, *loss, *optimizer, *schedule, *search;
  tn_references watch;
  int64_t watch_every;
  const char *stop;
  double stop_growth;
  int64_t stop_window;
  tn_count stop_from;
  tn_references transforms, metrics;
  tn_count train, validation, batch;
  double epochs;
  int64_t steps, evaluation_batch, derive_every;

  tn_search_setting setting;
  int64_t *rows; /* a random order of all; training rows first, then validation rows */
  int64_t step, batches;
  struct watched *past; /* the last 2 stop_window watches, the oldest first */
  int64_t past_count;
  char *stopped; /* the genotype that stopping early chose; NULL: not stopped */
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
    TN_STRING(struct stage, stop, "",
              "a figure of `watch` whose growth ends the search, such as hessian_eigenvalue; empty: none"),
    TN_REAL(struct stage, stop_growth, "1.3", 1, INFINITY,
            "mean of the last watches over that of those before"),
    TN_COUNT(struct stage, stop_from, "20%",
             "steps before the first watch that counts, or their share of all"),
    TN_INTEGER(struct stage, stop_window, "5", 1, 1000, "watches", "in each of these means"),
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
  if (*stage->stop && stage->watch.count == 0)
    return tn_fail(TN_ERROR_INVALID, "stop = %s: `watch` names no metric", stage->stop);
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
  if (status >= 0) status = tn_declare_component(stage->loss, fields, NULL);
  if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
  tn_spec_release(own);
  return status;
}

static void forget_past(struct stage *stage) {
  for (int64_t i = 0; i < stage->past_count; i++) tn_free(stage->past[i].genotype);
  tn_free(stage->past);
  tn_free(stage->stopped);
  stage->past = NULL;
  stage->stopped = NULL;
  stage->past_count = 0;
}

static tn_status stage_begin(void *self) {
  struct stage *stage = self;
  forget_past(stage);
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

/* What a metric may look at: the supernet, and the first `rows` of the rows held out. */
static tn_metric_probe probe_of(const struct stage *stage, int64_t rows) {
  return (tn_metric_probe){.size = sizeof(tn_metric_probe),
                           .model = stage->model,
                           .params = tn_parameters(stage->model),
                           .loss = stage->loss,
                           .data = stage->data,
                           .transforms = &stage->transforms,
                           .subject = stage->search,
                           .rows = stage->setting.validation_rows,
                           .row_count = rows};
}

static void emit_genotype(const tn_progress *progress, const char *genotype) {
  tn_event event = tn_event_of(TN_EVENT_TEXT, "genotype");
  event.text = genotype;
  event.progress = *progress;
  tn_emit(&event);
}
static tn_status tell_genotype(const struct stage *stage, const tn_progress *progress, char **genotype) {
  const tn_status status = tn_search_derive(stage->search, genotype);
  if (status >= 0) emit_genotype(progress, *genotype);
  return status;
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
  const tn_metric_probe probe = probe_of(stage, rows);
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
  tn_status status = TN_OK;
  if (stage->stopped)
    emit_genotype(&progress, stage->stopped);
  else
    status = tell_genotype(stage, &progress, &genotype);
  if (*stage->stop) tn_emit_result("steps", (double)stage->step);
  if (status >= 0) status = tn_publish_text("genotype", stage->stopped ? stage->stopped : genotype);
  if (status >= 0 && stage->metrics.count > 0) status = measure(stage);
  tn_free(genotype);
  return status;
}

/* ---- on the way ---- */

static double mean_past(const struct stage *stage, int64_t first) {
  double sum = 0;
  for (int64_t i = 0; i < stage->stop_window; i++) sum += stage->past[first + i].value;
  return sum / (double)stage->stop_window;
}

/* Puts this watch behind the others; TN_DONE if the figure has grown. */
static tn_status consider_stop(struct stage *stage, const struct figures *figures) {
  const int64_t window = stage->stop_window;
  const char *names[FIGURE_MOST];
  uint32_t f = 0;
  for (; f < figures->count && strcmp(figures->names[f], stage->stop) != 0; f++) names[f] = figures->names[f];
  if (f == figures->count)
    return tn_fail(TN_ERROR_INVALID, "stop: no metric of `watch` measures '%s'; nearest: '%s'", stage->stop,
                   f > 0 ? tn_nearest_name(stage->stop, names, f) : "");
  if (stage->step <= tn_count_of(stage->stop_from, stage->setting.steps)) return TN_OK;
  if (!stage->past) stage->past = tn_alloc((size_t)(2 * window) * sizeof *stage->past);
  if (!stage->past) return TN_ERROR_MEMORY;
  if (stage->past_count == 2 * window) {
    tn_free(stage->past[0].genotype);
    memmove(stage->past, stage->past + 1, (size_t)--stage->past_count * sizeof *stage->past);
  }
  struct watched now = {figures->values[f].value, NULL};
  const tn_status status = tn_search_derive(stage->search, &now.genotype);
  if (status < 0) return status;
  stage->past[stage->past_count++] = now;
  if (stage->past_count < 2 * window) return TN_OK;
  const double before = mean_past(stage, 0), after = mean_past(stage, window);
  if (!(before > 0 && after > stage->stop_growth * before)) return TN_OK;
  stage->stopped = stage->past[window - 1].genotype;
  stage->past[window - 1].genotype = NULL;
  tn_info("%s has grown from %.3g to %.3g: the search stops at step %lld", stage->stop, before, after,
          (long long)stage->step);
  return TN_DONE;
}

/* What `watch` finds in the supernet now, as a point on curves; TN_DONE: stop. */
static tn_status watch(struct stage *stage, const tn_progress *progress) {
  const tn_metric_probe probe = probe_of(stage, stage->setting.validation_count);
  struct figures figures;
  figures_start(&figures);
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < stage->watch.count; m++)
    status = tn_metric_measure(stage->watch.items[m], &probe, &figures.sink);
  if (status >= 0 && figures.count > 0) tn_emit_step(progress, figures.values, figures.count);
  return status < 0 || !*stage->stop ? status : consider_stop(stage, &figures);
}
static tn_status stage_step_watched(void *self) {
  struct stage *stage = self;
  tn_progress progress;
  if (stage->stopped) return TN_DONE; /* resumed at its end */
  stage_progress(self, &progress);
  const tn_status status = stage_step(self);
  if (status < 0 || (status != TN_DONE && progress.step % stage->watch_every != 0)) return status;
  const tn_status watched = watch(stage, &progress);
  return watched != TN_OK ? watched : status;
}

static void stage_destroy(void *self) {
  struct stage *stage = self;
  forget_past(stage);
  tn_free(stage->rows);
}

static tn_status stage_state(void *self, const tn_visitor *visitor) {
  struct stage *stage = self;
  tn_visit_integer(visitor, "step", &stage->step);
  if (!*stage->stop) return TN_OK;
  const int64_t room = 2 * stage->stop_window;
  int64_t count = stage->past_count;
  tn_visit_text(visitor, "stopped", &stage->stopped);
  tn_visit_integer(visitor, "past", &count);
  if (count < 0 || count > room) return TN_ERROR_INVALID;
  if (!stage->past) stage->past = tn_alloc((size_t)room * sizeof *stage->past);
  if (!stage->past) return TN_ERROR_MEMORY;
  while (stage->past_count > count) tn_free(stage->past[--stage->past_count].genotype);
  while (stage->past_count < count) stage->past[stage->past_count++] = (struct watched){0, NULL};
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    char name[48];
    snprintf(name, sizeof name, "past.%lld.value", (long long)i);
    tn_visit_real(visitor, name, &stage->past[i].value);
    snprintf(name, sizeof name, "past.%lld.genotype", (long long)i);
    status = tn_visit_text(visitor, name, &stage->past[i].genotype);
  }
  return status;
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
