// SPDX-License-Identifier: MIT
/* Learning-rate schedules compared in one run, and one of them refined (Defazio et al. 2023, section 4).
 *
 * `inner` is the stage that trains, stage.supervised for instance, whose schedule is `refined`, a
 * schedule.refined that looks at an observer of `inner`. Every trial begins with the parameters as they were
 * at first under its seed:
 *
 *   1. each schedule of `schedules`, each rate, each seed        a rate is a factor on the optimizer's own
 *   2. the first schedule at the rate that was best for it, the last seed: its norms make the refined one
 *   3. the refined schedule, each rate, each seed                2. and 3. `rounds` times, from the second
 *      round on with the norms of the refined schedule
 *
 * One step is one trial. What counts is a figure of `metrics` on `data`, averaged over seeds: the last
 * iterate's. Results: NAME for the best rate of every schedule, `refined` among them (`refined_2` after a
 * second round), NAME_rate, and `collapsed`, 1 if the norms were of no use. A table shows all rates. The
 * model keeps what the last trial left. */
#include "../schedules/refined.h"
#include "pass.h"

struct refine_schedule {
  const tn_component *inner, *refined, *data, *model, *loss;
  tn_references schedules, transforms, metrics;
  tn_reals rates;
  const char *figure;
  int32_t best;
  int64_t seeds, rounds, batch;

  const tn_refined *driver; /* the extension of `refined` */
  int64_t *index;           /* (batch) */
  int64_t trial, planned;   /* finished; all */
  double *values;           /* (planned) */
  double collapsed;
};
enum { LEAST, LARGEST };
static const tn_param refine_schedule_params[] = {
    TN_REFERENCE(struct refine_schedule, inner, TN_PARAM_REQUIRED, TN_STAGE, NULL, "the stage that trains"),
    TN_REFERENCE(struct refine_schedule, refined, TN_PARAM_REQUIRED, TN_SCHEDULE, NULL,
                 "its schedule, a schedule.refined"),
    TN_REFERENCES(struct refine_schedule, schedules, 0, TN_SCHEDULE, "schedule.linear",
                  "what the refined one is compared with; the first is the one whose run is recorded"),
    TN_REFERENCE(struct refine_schedule, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "data to measure on"),
    TN_REFERENCES(struct refine_schedule, transforms, 0, TN_TRANSFORM, "",
                  "in front of the model, in order: those of `inner`"),
    TN_REFERENCE(struct refine_schedule, model, TN_PARAM_REQUIRED, TN_MODEL, NULL,
                 "the model that is trained"),
    TN_REFERENCE(struct refine_schedule, loss, 0, TN_LOSS, NULL, "its loss, if that has parameters"),
    TN_REFERENCES(struct refine_schedule, metrics, TN_PARAM_REQUIRED, TN_METRIC, NULL, "what is measured"),
    TN_STRING(struct refine_schedule, figure, "", "the figure that counts; empty: the first"),
    TN_CHOICE(struct refine_schedule, best, "least", "least|largest", "which of its values is the best"),
    TN_PARAM_(struct refine_schedule, rates, TN_PARAM_REALS, TN_PARAM_MIN_EXCLUSIVE, "0.5, 1, 2", 0, INFINITY,
              NULL, NULL, NULL, "factors on the optimizer's learning rate, tried with every schedule"),
    TN_INTEGER(struct refine_schedule, seeds, "1", 1, 1000, NULL, "repetitions"),
    TN_INTEGER(struct refine_schedule, rounds, "1", 1, 20, NULL, "refinements, each of the one before"),
    TN_INTEGER(struct refine_schedule, batch, "500", 1, 1 << 20, "rows", "rows a batch in measuring"),
};

/* ---- trials in their order ---- */

struct trial {
  int64_t schedule; /* its number; from schedules.count on: round schedule - schedules.count of refinement */
  int64_t rate, seed;
  bool recording; /* a run for the norms, which is not measured */
};

static int64_t grid(const struct refine_schedule *stage) { return stage->rates.count * stage->seeds; }

static int64_t trials(const struct refine_schedule *stage) {
  return stage->schedules.count * grid(stage) + stage->rounds * (1 + grid(stage));
}

/* The first of the measured trials of a schedule. */
static int64_t first_trial(const struct refine_schedule *stage, int64_t schedule) {
  const int64_t round = schedule - stage->schedules.count;
  return schedule * grid(stage) + (round >= 0 ? round + 1 : 0);
}

/* Mean over seeds. */
static double value_of(const struct refine_schedule *stage, int64_t schedule, int64_t rate) {
  double mean = 0;
  for (int64_t s = 0; s < stage->seeds; s++)
    mean += stage->values[first_trial(stage, schedule) + rate * stage->seeds + s] / (double)stage->seeds;
  return mean;
}

static int64_t best_rate(const struct refine_schedule *stage, int64_t schedule) {
  int64_t best = 0;
  for (int64_t r = 1; r < stage->rates.count; r++) {
    const double now = value_of(stage, schedule, r), least = value_of(stage, schedule, best);
    if (stage->best == LEAST ? now < least || isnan(least) : now > least || isnan(least)) best = r;
  }
  return best;
}

static struct trial trial_of(const struct refine_schedule *stage, int64_t number) {
  const int64_t fixed = stage->schedules.count * grid(stage);
  struct trial trial = {.schedule = number / grid(stage)};
  int64_t at = number % grid(stage);
  if (number >= fixed) {
    const int64_t round = (number - fixed) / (1 + grid(stage));
    trial.schedule = stage->schedules.count + round;
    at = (number - fixed) % (1 + grid(stage)) - 1;
    trial.recording = at < 0;
  }
  trial.rate = at / stage->seeds;
  trial.seed = at % stage->seeds;
  if (!trial.recording) return trial;
  /* the schedule of the round before, at its best rate */
  const int64_t before = trial.schedule > stage->schedules.count ? trial.schedule - 1 : 0;
  trial.rate = best_rate(stage, before);
  trial.seed = stage->seeds - 1;
  return trial;
}

/* ---- checking and beginning ---- */

static tn_status inner_call(const struct refine_schedule *stage, tn_status (*function)(void *),
                            const char *name) {
  tn_call_stack *stack = tn_enter(stage->inner, name);
  const tn_status status = function(stage->inner->self);
  tn_leave(stack);
  return status;
}

static tn_status refine_schedule_check(void *self) {
  struct refine_schedule *stage = self;
  stage->driver = tn_extension(stage->refined, TN_REFINED);
  if (!stage->driver)
    return tn_fail(TN_ERROR_INVALID, "'%s' cannot be refined; expected a schedule.refined",
                   stage->refined->name);
  if (stage->schedules.count == 0) return tn_fail(TN_ERROR_INVALID, "schedules: at least one is needed");
  if (stage->rates.count == 0) return tn_fail(TN_ERROR_INVALID, "rates: at least one is needed");
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0) status = tn_declare_component(stage->model, fields, &fields);
  if (status >= 0 && stage->loss) status = tn_declare_component(stage->loss, fields, NULL);
  if (status >= 0) status = pass_declare_metrics(&stage->metrics, fields);
  tn_spec_release(own);
  return status < 0 ? status : inner_call(stage, ((const tn_stage *)stage->inner->vtable)->check, "check");
}

static void release(struct refine_schedule *stage) {
  tn_free(stage->index);
  tn_free(stage->values);
  stage->index = NULL;
  stage->values = NULL;
}

static tn_status refine_schedule_begin(void *self) {
  struct refine_schedule *stage = self;
  release(stage);
  stage->trial = 0;
  stage->collapsed = 0;
  stage->planned = trials(stage);
  stage->index = tn_alloc((size_t)stage->batch * sizeof *stage->index);
  stage->values = tn_alloc((size_t)stage->planned * sizeof *stage->values);
  return stage->index && stage->values ? TN_OK : TN_ERROR_MEMORY;
}

static void refine_schedule_progress(void *self, tn_progress *progress) {
  const struct refine_schedule *stage = self;
  *progress = (tn_progress){
      .size = sizeof *progress, .mode = TN_EVALUATE, .step = stage->trial, .steps = stage->planned};
}

/* ---- one trial ---- */

static tn_status train(struct refine_schedule *stage) {
  const tn_stage *inner = stage->inner->vtable;
  tn_status status = tn_initialise(stage->model);
  if (status >= 0 && stage->loss && pass_parameters(stage->loss)) status = tn_initialise(stage->loss);
  if (status >= 0) status = inner_call(stage, inner->begin, "begin");
  while (status == TN_OK) {
    tn_scope_open();
    status = inner_call(stage, inner->step, "step");
    tn_scope_close();
  }
  if (status >= 0 && TN_HAS(inner, tn_stage, end)) status = inner_call(stage, inner->end, "end");
  return status < 0 ? status : TN_OK;
}

static tn_status measure_batch(struct refine_schedule *stage, int64_t first, int64_t count) {
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  tn_progress progress;
  refine_schedule_progress(stage, &progress);
  for (int64_t i = 0; i < count; i++) stage->index[i] = first + i;
  tn_status status = tn_dataset_read(stage->data, stage->index, count, inputs);
  if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, stage->index, &progress);
  if (status >= 0)
    status = pass_model(stage->model, tn_parameters(stage->model), inputs, outputs, &progress, NULL, NULL);
  return status < 0 ? status : pass_update_metrics(&stage->metrics, pass_merge(inputs, outputs));
}

/* The figure that counts. */
static tn_status measure(struct refine_schedule *stage, double *value) {
  int64_t rows = tn_dataset_rows(stage->data);
  struct figures figures;
  tn_status status = rows < 0 ? TN_ERROR_MISSING : TN_OK;
  if (tn_smoke() && rows > 64) rows = 64;
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);
  for (int64_t first = 0; status >= 0 && first < rows; first += stage->batch) {
    const int64_t left = rows - first;
    tn_scope_open();
    status = measure_batch(stage, first, left < stage->batch ? left : stage->batch);
    tn_scope_close();
  }
  figures_start(&figures);
  if (status >= 0) status = figures_metrics(&figures, "", &stage->metrics, true);
  if (status < 0) return status;
  for (uint32_t i = 0; i < figures.count; i++)
    if (!*stage->figure || strcmp(figures.values[i].name, stage->figure) == 0) {
      *value = figures.values[i].value;
      return TN_OK;
    }
  return tn_fail(TN_ERROR_MISSING, "no metric gives the figure '%s'", stage->figure);
}

static tn_status refine_schedule_step(void *self) {
  struct refine_schedule *stage = self;
  const struct trial trial = trial_of(stage, stage->trial);
  const int64_t source = trial.recording && trial.schedule > stage->schedules.count ? trial.schedule - 1
                         : trial.recording                                          ? 0
                                                                                    : trial.schedule;
  const tn_component *schedule =
      source < stage->schedules.count ? stage->schedules.items[source] : NULL; /* NULL: the refined one */
  tn_status status = stage->driver->follow(stage->refined->self, schedule, stage->rates.items[trial.rate]);
  tn_use_seed(tn_seed() + (uint64_t)trial.seed);
  if (status >= 0) status = train(stage);
  const bool recording = tn_record(false);
  double value = NAN;
  if (status >= 0 && !trial.recording) status = measure(stage, &value);
  tn_record(recording);
  tn_use_seed(tn_seed());
  bool collapsed = false;
  if (status >= 0 && trial.recording) status = stage->driver->refine(stage->refined->self, &collapsed);
  if (status < 0) return status;
  if (collapsed) stage->collapsed = 1;
  stage->values[stage->trial++] = value;
  return stage->trial < stage->planned ? TN_OK : TN_DONE;
}

/* ---- the table ---- */

enum { CELL = 32 };
static void name_of(const struct refine_schedule *stage, int64_t schedule, char *name) {
  const int64_t round = schedule - stage->schedules.count;
  if (round < 0) {
    const char *full = stage->schedules.items[schedule]->name; /* a section, or schedule.linear#2 */
    const char *dot = strrchr(full, '.'), *own = dot ? dot + 1 : full;
    snprintf(name, CELL, "%.*s", (int)strcspn(own, "#"), own);
  } else if (round == 0)
    snprintf(name, CELL, "refined");
  else
    snprintf(name, CELL, "refined_%lld", (long long)round + 1);
}

static tn_status emit_table(const struct refine_schedule *stage) {
  const uint32_t rows = stage->schedules.count + (uint32_t)stage->rounds, columns = stage->rates.count;
  const size_t cells = (size_t)rows * columns + rows + columns;
  char *texts = tn_alloc(cells * CELL);
  const char **pointers = tn_alloc(cells * sizeof *pointers);
  tn_status status = texts && pointers ? TN_OK : TN_ERROR_MEMORY;
  for (size_t i = 0; status >= 0 && i < cells; i++) pointers[i] = texts + i * CELL;
  for (uint32_t r = 0; status >= 0 && r < rows; r++) {
    name_of(stage, r, texts + ((size_t)rows * columns + r) * CELL);
    for (uint32_t c = 0; c < columns; c++)
      snprintf(texts + ((size_t)r * columns + c) * CELL, CELL, "%.5g", value_of(stage, r, c));
  }
  for (uint32_t c = 0; status >= 0 && c < columns; c++)
    snprintf(texts + ((size_t)rows * columns + rows + c) * CELL, CELL, "%g", stage->rates.items[c]);
  if (status >= 0) {
    tn_event event = tn_event_of(TN_EVENT_TABLE, "schedules");
    event.title = "Schedules by rate";
    event.rows = rows;
    event.columns = columns;
    event.cells = pointers;
    event.row_labels = pointers + (size_t)rows * columns;
    event.column_labels = pointers + (size_t)rows * columns + rows;
    tn_emit(&event);
  }
  tn_free(texts);
  tn_free(pointers);
  return status;
}

static tn_status refine_schedule_end(void *self) {
  struct refine_schedule *stage = self;
  for (int64_t s = 0; s < (int64_t)stage->schedules.count + stage->rounds; s++) {
    char name[CELL], rate[CELL + 8];
    name_of(stage, s, name);
    snprintf(rate, sizeof rate, "%s_rate", name);
    const int64_t best = best_rate(stage, s);
    tn_emit_result(name, value_of(stage, s, best));
    tn_emit_result(rate, stage->rates.items[best]);
  }
  tn_emit_result("collapsed", stage->collapsed);
  const tn_status status = emit_table(stage);
  release(stage);
  return status;
}

static void refine_schedule_destroy(void *self) { release(self); }

static tn_status refine_schedule_state(void *self, const tn_visitor *visitor) {
  struct refine_schedule *stage = self;
  size_t bytes = stage->values ? (size_t)stage->planned * sizeof *stage->values : 0;
  const size_t expected = bytes;
  void *values = stage->values;
  tn_visit_integer(visitor, "trial", &stage->trial);
  tn_visit_real(visitor, "collapsed", &stage->collapsed);
  const tn_status status = tn_visit_block(visitor, "values", &values, &bytes);
  stage->values = values;
  if (status >= 0 && stage->index && bytes != expected)
    return tn_fail(TN_ERROR_INVALID, "the saved trials are those of another grid");
  return status;
}

static const tn_stage refine_schedule_table = {sizeof refine_schedule_table, refine_schedule_check,
                                               refine_schedule_begin,        refine_schedule_step,
                                               refine_schedule_end,          refine_schedule_progress};
static const tn_class refine_schedule_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "refine_schedule",
    .summary = "Compares learning-rate schedules over rates and seeds, and refines one",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(refine_schedule_params),
    .instance_size = sizeof(struct refine_schedule),
    .vtable = &refine_schedule_table,
    .destroy = refine_schedule_destroy,
    .state = refine_schedule_state};
TN_PLUGIN("stage_refine_schedule", "1.0.0", "MIT", &refine_schedule_class)
