// SPDX-License-Identifier: MIT
/* Draws objects from a policy, for every preference of a walk (or as many random ones), and measures them.
 * One step is one preference.
 *
 * Metrics that accumulate see, for each preference, the fields
 *   objectives (n, K), preference (n, K), temperature (n), utility (n), log_reward (n)   float64
 *   object (n, width) float64    the states of the objects
 *   group (n) int64              the preference's number
 * Metrics that probe get model, loss, transforms, preference, and the environment as subject. Their figures
 * are the stage's results. `output` lists the objects. */
#include "pass.h"
#include "plugins/environments/rollout.h"
#include <errno.h>

struct sample {
  const tn_component *environment, *model, *loss, *preference;
  tn_references transforms, metrics;
  int64_t samples, preferences;
  const char *output;

  struct rollout rollout;
  int64_t groups, samples_now;
  FILE *file;
  int64_t next;   /* preference */
  double *points; /* (groups samples, objectives): for the picture */
};
static const tn_param sample_params[] = {
    TN_REFERENCE(struct sample, environment, TN_PARAM_REQUIRED, TN_ENVIRONMENT, NULL,
                 "where objects are built"),
    TN_REFERENCE(struct sample, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the policy"),
    TN_REFERENCE(struct sample, loss, 0, TN_LOSS, NULL, "it was trained with, for metrics of log Z"),
    TN_REFERENCE(struct sample, preference, 0, TN_PREFERENCE, NULL,
                 "what objects are asked for; empty: the one objective"),
    TN_REFERENCES(struct sample, transforms, 0, TN_TRANSFORM, "", "as in training"),
    TN_INTEGER(struct sample, samples, "64", 1, 1 << 24, "objects", "objects a preference"),
    TN_INTEGER(struct sample, preferences, "1", 1, 1 << 24, NULL,
               "preferences, where they are random; a walk is gone to its end"),
    TN_REFERENCES(struct sample, metrics, TN_PARAM_REQUIRED, TN_METRIC, NULL, "what is measured"),
    TN_STRING(struct sample, output, "objects.csv", "artifact with the objects; empty: none"),
};

static tn_status sample_check(void *self) {
  struct sample *stage = self;
  struct rollout *r = &stage->rollout;
  r->environment = stage->environment;
  r->model = stage->model;
  r->preference = stage->preference;
  r->transforms = &stage->transforms;
  tn_status status = rollout_check(r, stage->loss);
  tn_spec *spec = status >= 0 ? tn_spec_new() : NULL;
  if (!spec) return status < 0 ? status : TN_ERROR_MEMORY;
  const int64_t objectives = r->info.objectives;
  tn_spec_set(spec, "objectives", TN_F64, TN_SHAPE(objectives), 0);
  tn_spec_set(spec, "preference", TN_F64, TN_SHAPE(objectives), 0);
  tn_spec_set(spec, "temperature", TN_F64, (tn_shape){0, {0}}, 0);
  tn_spec_set(spec, "utility", TN_F64, (tn_shape){0, {0}}, 0);
  tn_spec_set(spec, "log_reward", TN_F64, (tn_shape){0, {0}}, 0);
  tn_spec_set(spec, "object", TN_F64, TN_SHAPE(r->info.state_width), 0);
  tn_spec_set(spec, "group", TN_I64, (tn_shape){0, {0}}, 0);
  status = pass_declare_metrics(&stage->metrics, spec);
  tn_spec_release(spec);
  return status;
}

static void sample_release(struct sample *stage) {
  rollout_close(&stage->rollout);
  if (stage->file) fclose(stage->file);
  tn_free(stage->points);
  stage->file = NULL;
  stage->points = NULL;
}

static tn_status sample_begin(void *self) {
  struct sample *stage = self;
  sample_release(stage);
  stage->next = 0;
  stage->groups = stage->rollout.asked.count > 0 ? stage->rollout.asked.count : stage->preferences;
  if (!stage->preference) stage->groups = 1;
  stage->samples_now = stage->samples;
  if (tn_smoke()) {
    if (stage->samples_now > 16) stage->samples_now = 16;
    if (stage->groups > 3) stage->groups = 3;
  }
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);
  stage->points = tn_alloc((size_t)(stage->groups * stage->samples_now * stage->rollout.info.objectives) *
                           sizeof(double));
  if (!stage->points) return TN_ERROR_MEMORY;
  return rollout_open(&stage->rollout, stage->samples_now);
}

static void sample_progress(void *self, tn_progress *progress) {
  const struct sample *stage = self;
  *progress = (tn_progress){
      .size = sizeof *progress, .mode = TN_EVALUATE, .step = stage->next, .steps = stage->groups};
}

/* Lines: group, weights, beta, objectives, the object. */
static tn_status list(struct sample *stage) {
  const struct rollout *r = &stage->rollout;
  const int64_t objectives = r->info.objectives, asked = rollout_preference_width(r);
  if (!*stage->output || !tn_run_directory()) return TN_OK;
  if (!stage->file) {
    const char *path = tn_artifact(stage->output);
    stage->file = path ? fopen(path, stage->next == 0 ? "w" : "a") : NULL;
    if (!stage->file) return path ? tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno)) : TN_ERROR_IO;
  }
  FILE *f = stage->file;
  if (stage->next == 0) {
    fprintf(f, "group");
    for (int64_t k = 0; k < objectives; k++) fprintf(f, ",w%lld", (long long)k);
    fprintf(f, ",beta");
    for (int64_t k = 0; k < objectives; k++) fprintf(f, ",r%lld", (long long)k);
    fprintf(f, ",object\n");
  }
  for (int64_t i = 0; i < stage->samples_now; i++) {
    char text[1024] = "";
    if (TN_HAS(r->table, tn_environment, print))
      r->table->print(r->environment->self, r->objects + i * r->info.state_width, text, sizeof text);
    fprintf(f, "%lld", (long long)stage->next);
    for (int64_t k = 0; k < asked; k++) fprintf(f, ",%g", r->asked_of[i * asked + k]);
    for (int64_t k = 0; k < objectives; k++) fprintf(f, ",%.6g", r->values[i * objectives + k]);
    fprintf(f, ",%s\n", text);
  }
  return fflush(f) == 0 ? TN_OK : tn_fail(TN_ERROR_IO, "%s: writing failed", stage->output);
}

static tn_status sample_group(struct sample *stage, const tn_progress *progress) {
  struct rollout *r = &stage->rollout;
  const int64_t n = stage->samples_now, objectives = r->info.objectives, asked = objectives + 1;
  tn_rng rng = tn_rng_at(stage->environment->name, "sample", (uint64_t)stage->next);
  tn_rng preference = tn_rng_at(stage->environment->name, "sample.preference", (uint64_t)stage->next);
  tn_status status = TN_OK;
  for (int64_t k = 0; k < asked; k++) r->asked_of[k] = 1;
  if (stage->preference)
    status =
        tn_preference_draw(stage->preference, r->info.objectives, stage->next, 1, r->asked_of, &preference);
  for (int64_t i = 1; i < n; i++)
    memcpy(r->asked_of + i * asked, r->asked_of, (size_t)asked * sizeof(double));
  if (status < 0) return status;
  tn_tensor *condition = rollout_condition(r, r->asked_of, n, progress);
  status = rollout_draw(r, tn_parameters(stage->model), n, condition, 0, progress, &rng);
  if (status >= 0) status = rollout_reward(r, n);
  if (status >= 0) status = list(stage);
  if (status < 0) return status;
  memcpy(stage->points + stage->next * n * objectives, r->values, (size_t)(n * objectives) * sizeof(double));
  tn_fields *fields = tn_fields_new();
  tn_tensor *group = tn_empty(TN_I64, TN_SHAPE(n));
  for (int64_t i = 0; !tn_poisoned(group) && i < n; i++) tn_i64(group)[i] = stage->next;
  tn_tensor *rows = tn_from(TN_F64, TN_SHAPE(n, asked), r->asked_of);
  tn_fields_set(fields, "objectives", tn_from(TN_F64, TN_SHAPE(n, objectives), r->values));
  tn_fields_set(fields, "preference", tn_slice(rows, 1, 0, objectives));
  tn_fields_set(fields, "temperature", tn_reshape(tn_slice(rows, 1, objectives, asked), TN_SHAPE(n)));
  tn_fields_set(fields, "utility", tn_from(TN_F64, TN_SHAPE(n), r->utility));
  tn_fields_set(fields, "log_reward", tn_from(TN_F64, TN_SHAPE(n), r->log_reward));
  tn_fields_set(fields, "object", tn_from(TN_F64, TN_SHAPE(n, r->info.state_width), r->objects));
  tn_fields_set(fields, "group", group);
  status = pass_update_metrics(&stage->metrics, fields);
  return status < 0 ? status : tn_outcome();
}

static tn_status sample_step(void *self) {
  struct sample *stage = self;
  tn_progress progress;
  sample_progress(stage, &progress);
  const bool recording = tn_record(false);
  const tn_status status = sample_group(stage, &progress);
  tn_record(recording);
  if (status < 0) return status;
  stage->next++;
  return stage->next < stage->groups ? TN_OK : TN_DONE;
}

/* The objects in the plane of the first two objectives, one colour a preference where they are few. */
static void picture(const struct sample *stage) {
  const int64_t objectives = stage->rollout.info.objectives, n = stage->groups * stage->samples_now;
  if (objectives < 2) return;
  tn_tensor *points = tn_empty(TN_F64, TN_SHAPE(n, 2));
  if (tn_poisoned(points)) return;
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < 2; k++) tn_f64(points)[2 * i + k] = stage->points[i * objectives + k];
  tn_event event = tn_event_of(TN_EVENT_SCATTER, "objects");
  event.title = "Objects for all preferences";
  event.tensor = points;
  event.x_label = "objective 0";
  event.y_label = "objective 1";
  tn_emit(&event);
}

static tn_status sample_end(void *self) {
  struct sample *stage = self;
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = stage->model,
                                 .params = tn_parameters(stage->model),
                                 .loss = stage->loss,
                                 .transforms = &stage->transforms,
                                 .subject = stage->environment,
                                 .preference = stage->preference};
  struct figures figures;
  figures_start(&figures);
  const bool recording = tn_record(false);
  tn_status status = TN_OK;
  for (uint32_t m = 0; status >= 0 && m < stage->metrics.count; m++)
    status = figures_measure(&figures, stage->metrics.items[m], &probe);
  tn_record(recording);
  for (uint32_t i = 0; status >= 0 && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  if (status >= 0) picture(stage);
  sample_release(stage);
  return status;
}

static void sample_destroy(void *self) { sample_release(self); }

static tn_status sample_state(void *self, const tn_visitor *visitor) {
  struct sample *stage = self;
  void *points = stage->points;
  size_t bytes =
      points ? (size_t)(stage->groups * stage->samples_now * stage->rollout.info.objectives) * sizeof(double)
             : 0;
  tn_visit_integer(visitor, "next", &stage->next);
  const tn_status status = tn_visit_block(visitor, "points", &points, &bytes);
  stage->points = points;
  return status;
}

static const tn_stage sample_table = {sizeof sample_table, sample_check, sample_begin,
                                      sample_step,         sample_end,   sample_progress};
static const tn_class sample_class = {.size = sizeof(tn_class),
                                      .kind = TN_STAGE,
                                      .name = "sample",
                                      .summary = "Draws objects from a policy and measures them",
                                      TN_CLASS_PARAMS(sample_params),
                                      .instance_size = sizeof(struct sample),
                                      .vtable = &sample_table,
                                      .destroy = sample_destroy,
                                      .state = sample_state};
TN_PLUGIN("stage_sample", "1.0.0", "MIT", &sample_class)
