// SPDX-License-Identifier: MIT
/* Trains a policy on trajectories that it draws itself (Bengio et al. 2021; conditional: Jain et al. 2023).
 * One step:
 *
 *   preferences -> condition -> trajectories, drawn without recording from (1 - e) P_F + e uniform(legal)
 *   -> rewards -> hindsight -> packed visited states through the policy once -> loss -> gradients ->
 * optimizers
 *
 * The policy is trained by `optimizer`, what the loss owns (log Z) by `optimizer_z`, both with `schedule`.
 * Gradient transforms act on both together. With `replay`, finished trajectories are kept in a ring, and a
 * share of every batch is made of former ones, with the preferences they were drawn for. With
 * `sampling_average`, actions are drawn from a moving average of the policy's parameters.
 *
 * Step events carry `loss`, `log_reward`, `utility`, `length` (means since the last event), `lr` and
 * `gradient_norm`; the last event's figures are the stage's results. */
#include "flow_trainer.h"

enum { FIGURES = 4 };
static const char *const figure_names[FIGURES] = {"loss", "log_reward", "utility", "length"};

struct gflownet {
  const tn_component *environment, *model, *loss, *preference, *optimizer, *optimizer_z, *schedule;
  tn_references transforms, gradient;
  int64_t batch, steps, replay, log_every;
  double random_action, replay_share, hindsight, sampling_average;
  int32_t condition;

  struct rollout rollout;
  struct flow_trainer trainer;
  int64_t planned;
  /* state */
  int64_t step, kept; /* kept: trajectories that were ever put into the ring */
  double sums[FIGURES], summed;
  tn_params *average;
  /* ring: (replay, max_steps + 1) actions behind their number; (replay, objectives + 1) preferences */
  int64_t *ring;
  double *ring_asked;
  size_t ring_bytes, asked_bytes;
};
static const tn_param gflownet_params[] = {
    TN_REFERENCE(struct gflownet, environment, TN_PARAM_REQUIRED, TN_ENVIRONMENT, NULL,
                 "where objects are built"),
    FLOW_PARAMS(gflownet),
    TN_REFERENCE(struct gflownet, preference, 0, TN_PREFERENCE, NULL,
                 "what objects are asked for; empty: the one objective"),
    TN_REFERENCES(struct gflownet, transforms, 0, TN_TRANSFORM, "",
                  "encode the fields `preference` and `temperature` for the policy"),
    TN_INTEGER(struct gflownet, batch, "128", 1, 1 << 20, "trajectories", "trajectories a step"),
    TN_INTEGER(struct gflownet, steps, "1000", 1, 1e15, "steps", "length of training"),
    TN_REAL(struct gflownet, random_action, "0.01", 0, 1, "share of actions that are drawn uniformly"),
    TN_CHOICE(struct gflownet, condition, "trajectory", "trajectory|batch",
              "a preference for every trajectory, or one a step"),
    TN_INTEGER(struct gflownet, replay, "0", 0, 1 << 24, "trajectories", "how many are kept; 0: none"),
    TN_REAL(struct gflownet, replay_share, "0.5", 0, 1, "share of a batch that is replayed"),
    TN_REAL(struct gflownet, hindsight, "0", 0, 1,
            "probability with which a failed goal is replaced by the one that was reached"),
    TN_PARAM_(struct gflownet, sampling_average, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL,
              NULL, "decay of the average of the policy that draws; 0: the policy itself draws"),
    TN_INTEGER(struct gflownet, log_every, "0", 0, 1e15, "steps",
               "how often to emit an event; 0: some 500 in all"),
};

static tn_status gflownet_check(void *self) {
  struct gflownet *stage = self;
  stage->rollout.environment = stage->environment;
  stage->rollout.model = stage->model;
  stage->rollout.preference = stage->preference;
  stage->rollout.transforms = &stage->transforms;
  return rollout_check(&stage->rollout, stage->loss);
}

static void gflownet_release(struct gflownet *stage) {
  rollout_close(&stage->rollout);
  flow_release(&stage->trainer);
  tn_params_release(stage->average);
  tn_free(stage->ring);
  tn_free(stage->ring_asked);
  stage->average = NULL;
  stage->ring = NULL;
  stage->ring_asked = NULL;
}

static tn_status gflownet_begin(void *self) {
  struct gflownet *stage = self;
  gflownet_release(stage);
  stage->step = stage->kept = 0;
  memset(stage->sums, 0, sizeof stage->sums);
  stage->summed = 0;
  stage->planned = tn_smoke() && stage->steps > 3 ? 3 : stage->steps;
  tn_status status = rollout_open(&stage->rollout, stage->batch);
  stage->trainer.model = stage->model;
  stage->trainer.loss = stage->loss;
  stage->trainer.optimizer = stage->optimizer;
  stage->trainer.optimizer_z = stage->optimizer_z;
  stage->trainer.schedule = stage->schedule;
  stage->trainer.gradient = &stage->gradient;
  if (status >= 0) status = flow_begin(&stage->trainer);
  if (status < 0) return status;
  if (stage->sampling_average > 0 && !(stage->average = tn_params_clone(stage->trainer.policy)))
    return TN_ERROR_MEMORY;
  if (stage->replay > 0) {
    stage->ring_bytes = (size_t)(stage->replay * (stage->rollout.info.max_steps + 1)) * sizeof *stage->ring;
    stage->asked_bytes =
        (size_t)(stage->replay * rollout_preference_width(&stage->rollout)) * sizeof *stage->ring_asked;
    stage->ring = tn_alloc(stage->ring_bytes);
    stage->ring_asked = tn_alloc(stage->asked_bytes);
    if (!stage->ring || !stage->ring_asked) return TN_ERROR_MEMORY;
  }
  return TN_OK;
}

static void gflownet_progress(void *self, tn_progress *progress) {
  const struct gflownet *stage = self;
  *progress =
      (tn_progress){.size = sizeof *progress, .mode = TN_TRAIN, .step = stage->step, .steps = stage->planned};
}

/* ---- replay ---- */

static void keep(struct gflownet *stage, int64_t count) {
  struct rollout *r = &stage->rollout;
  const int64_t steps = r->info.max_steps, asked = rollout_preference_width(r);
  for (int64_t i = 0; stage->replay > 0 && i < count; i++, stage->kept++) {
    const int64_t at = stage->kept % stage->replay;
    int64_t *entry = stage->ring + at * (steps + 1);
    entry[0] = r->steps_of[i];
    memcpy(entry + 1, r->actions + i * steps, (size_t)steps * sizeof *entry);
    memcpy(stage->ring_asked + at * asked, r->asked_of + i * asked, (size_t)asked * sizeof(double));
  }
}

/* Takes a former trajectory again, as number i. */
static tn_status replay_one(struct gflownet *stage, int64_t i, tn_rng *rng) {
  struct rollout *r = &stage->rollout;
  const int64_t steps = r->info.max_steps, asked = rollout_preference_width(r), width = r->info.state_width;
  const int64_t kept = stage->kept < stage->replay ? stage->kept : stage->replay;
  const int64_t at = (int64_t)tn_random_below(rng, (uint64_t)kept);
  const int64_t *entry = stage->ring + at * (steps + 1);
  double *object = r->objects + i * width;
  uint8_t done = 0;
  memcpy(r->asked_of + i * asked, stage->ring_asked + at * asked, (size_t)asked * sizeof(double));
  r->steps_of[i] = entry[0];
  tn_status status = r->table->reset(r->environment->self, object, 1, rng);
  for (int64_t t = 0; status >= 0 && t < entry[0]; t++) {
    memcpy(r->states + (i * steps + t) * width, object, (size_t)width * sizeof(double));
    r->actions[i * steps + t] = entry[1 + t];
    status = r->table->step(r->environment->self, object, 1, &entry[1 + t], NULL, &done, rng);
  }
  return status;
}

/* ---- one step ---- */

static tn_status report(struct gflownet *stage, double lr, double norm, bool last) {
  struct figures figures;
  tn_progress progress;
  figures_start(&figures);
  for (int f = 0; f < FIGURES; f++) {
    const double mean = stage->sums[f] / stage->summed;
    figures_add(&figures, "", figure_names[f], mean);
    if (last) tn_emit_result(figure_names[f], mean);
  }
  if (!isnan(lr)) figures_add(&figures, "", "lr", lr);
  figures_add(&figures, "", "gradient_norm", norm);
  gflownet_progress(stage, &progress);
  tn_emit_step(&progress, figures.values, figures.count);
  memset(stage->sums, 0, sizeof stage->sums);
  stage->summed = 0;
  return TN_OK;
}

static void count_figures(struct gflownet *stage, double loss) {
  const struct rollout *r = &stage->rollout;
  const double n = (double)stage->batch;
  stage->sums[0] += loss;
  for (int64_t i = 0; i < stage->batch; i++) {
    stage->sums[1] += r->log_reward[i] / n;
    stage->sums[2] += r->utility[i] / n;
    stage->sums[3] += (double)r->steps_of[i] / n;
  }
  stage->summed++;
}

/* A batch of trajectories with their rewards, and the condition (n, c) that they have now. */
static tn_status draw(struct gflownet *stage, const tn_progress *progress, tn_tensor **condition) {
  struct rollout *r = &stage->rollout;
  const int64_t n = stage->batch, asked = rollout_preference_width(r);
  tn_rng rng = tn_rng_at(stage->environment->name, "draw", (uint64_t)stage->step);
  tn_rng preference = tn_rng_at(stage->environment->name, "preference", (uint64_t)stage->step);
  int64_t fresh = n;
  if (stage->kept > 0) fresh -= (int64_t)(stage->replay_share * (double)n);
  tn_status status = TN_OK;
  if (stage->preference) {
    const bool shared = stage->condition == 1;
    status = tn_preference_draw(stage->preference, r->info.objectives, stage->step * n, shared ? 1 : fresh,
                                r->asked_of, &preference);
    for (int64_t i = 1; shared && i < fresh; i++)
      memcpy(r->asked_of + i * asked, r->asked_of, (size_t)asked * sizeof(double));
  }
  if (status < 0) return status;
  *condition = rollout_condition(r, r->asked_of, fresh, progress);
  if (fresh > 0)
    status = rollout_draw(r, stage->average ? stage->average : stage->trainer.policy, fresh, *condition,
                          stage->random_action, progress, &rng);
  for (int64_t i = fresh; status >= 0 && i < n; i++) status = replay_one(stage, i, &rng);
  if (status >= 0) status = rollout_reward(r, n);
  if (status < 0) return status;
  keep(stage, fresh);
  if (stage->preference && stage->hindsight > 0) {
    status = tn_preference_relabel(stage->preference, r->info.objectives, r->asked_of, r->values, n,
                                   stage->hindsight, &preference);
    if (status >= 0) status = rollout_reward(r, n);
  }
  if (fresh < n || stage->hindsight > 0) *condition = rollout_condition(r, r->asked_of, n, progress);
  return status < 0 ? status : tn_outcome();
}

static tn_status gflownet_step(void *self) {
  struct gflownet *stage = self;
  struct flow_figures figures = {.loss = NAN};
  tn_progress progress;
  tn_tensor *condition = NULL;
  gflownet_progress(stage, &progress);
  const bool last = stage->step + 1 >= stage->planned;
  const int64_t every = stage->log_every > 0 ? stage->log_every : (stage->planned + 499) / 500;
  const bool logs = last || stage->step == 0 || (stage->step + 1) % every == 0;
  tn_status status = draw(stage, &progress, &condition);
  if (status >= 0)
    status = flow_step(&stage->trainer, &stage->rollout, stage->batch, condition, &progress, logs, &figures);
  if (status >= 0 && stage->average)
    status = tn_params_lerp(stage->average, stage->trainer.policy, 1 - stage->sampling_average);
  if (status < 0) return status;
  stage->step++;
  count_figures(stage, figures.loss);
  if (logs) status = report(stage, figures.lr, figures.norm, last);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

static tn_status gflownet_end(void *self) {
  gflownet_release(self);
  return TN_OK;
}
static void gflownet_destroy(void *self) { gflownet_release(self); }

static tn_status gflownet_state(void *self, const tn_visitor *visitor) {
  struct gflownet *stage = self;
  void *ring = stage->ring, *asked = stage->ring_asked;
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_integer(visitor, "kept", &stage->kept);
  for (int f = 0; f < FIGURES; f++) tn_visit_real(visitor, figure_names[f], &stage->sums[f]);
  tn_status status = tn_visit_real(visitor, "summed", &stage->summed);
  bool replays = stage->ring != NULL, averages = stage->average != NULL;
  tn_visit_boolean(visitor, "replays", &replays);
  tn_visit_boolean(visitor, "averages", &averages);
  if (replays) {
    tn_visit_block(visitor, "ring", &ring, &stage->ring_bytes);
    status = tn_visit_block(visitor, "ring_asked", &asked, &stage->asked_bytes);
    stage->ring = ring;
    stage->ring_asked = asked;
  }
  return averages ? tn_visit_params(visitor, "average", &stage->average) : status;
}

static const tn_stage gflownet_table = {sizeof gflownet_table, gflownet_check, gflownet_begin,
                                        gflownet_step,         gflownet_end,   gflownet_progress};
static const tn_class gflownet_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "gflownet",
    .summary = "Trains a sampler of objects in proportion to their reward, conditional if asked",
    .reference = "Bengio et al. 2021; Jain et al. 2023, Multi-Objective GFlowNets",
    TN_CLASS_PARAMS(gflownet_params),
    .instance_size = sizeof(struct gflownet),
    .vtable = &gflownet_table,
    .destroy = gflownet_destroy,
    .state = gflownet_state};
TN_PLUGIN("stage_gflownet", "1.0.0", "MIT", &gflownet_class)
