// SPDX-License-Identifier: MIT
/* Trains a policy on trajectories that it draws itself (Bengio et al. 2021; conditional: Jain et al. 2023). One
 * step:
 *
 *   preferences -> condition -> trajectories, drawn without recording from (1 - e) P_F + e uniform(legal)
 *   -> rewards -> hindsight -> packed visited states through the policy once -> loss -> gradients -> optimizers
 *
 * The policy is trained by `optimizer`, what the loss owns (log Z) by `optimizer_z`, both with `schedule`.
 * Gradient transforms act on both together. With `replay`, finished trajectories are kept in a ring, and a
 * share of every batch is made of former ones, with the preferences they were drawn for. With
 * `sampling_average`, actions are drawn from a moving average of the policy's parameters.
 *
 * Step events carry `loss`, `log_reward`, `utility`, `length` (means since the last event), `lr` and
 * `gradient_norm`; the last event's figures are the stage's results. */
#include "pass.h"
#include "plugins/environments/rollout.h"
#include <tenon/gradient.h>
#include <tenon/optimizer.h>
#include <tenon/schedule.h>

enum { FIGURES = 4 };
static const char *const figure_names[FIGURES] = {"loss", "log_reward", "utility", "length"};

struct gflownet {
  const tn_component *environment, *model, *loss, *preference, *optimizer, *optimizer_z, *schedule;
  tn_references transforms, gradient;
  int64_t batch, steps, replay, log_every;
  double random_action, replay_share, hindsight, sampling_average;
  int32_t condition;

  struct rollout rollout;
  const tn_component *z; /* optimizer of what the loss owns; NULL: it owns nothing */
  tn_params *policy, *own, *all, *gradients, *policy_gradient, *own_gradient;
  bool backward; /* the policy learns P_B */
  uint32_t needs;
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
    TN_REFERENCE(struct gflownet, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the policy"),
    TN_REFERENCE(struct gflownet, loss, TN_PARAM_REQUIRED, TN_LOSS, NULL, "loss of trajectories"),
    TN_REFERENCE(struct gflownet, preference, 0, TN_PREFERENCE, NULL,
                 "what objects are asked for; empty: the one objective"),
    TN_REFERENCES(struct gflownet, transforms, 0, TN_TRANSFORM, "",
                  "encode the fields `preference` and `temperature` for the policy"),
    TN_REFERENCE(struct gflownet, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "trains the policy"),
    TN_REFERENCE(struct gflownet, optimizer_z, 0, TN_OPTIMIZER, NULL,
                 "trains what the loss owns, log Z: 10 to 100 times the rate; empty: as the policy"),
    TN_REFERENCE(struct gflownet, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on both learning rates over time; empty: constant"),
    TN_REFERENCES(struct gflownet, gradient, 0, TN_GRADIENT, "",
                  "transforms of the gradient in front of the optimizers, in order"),
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
  if (stage->all != stage->policy) tn_params_release(stage->all);
  if (stage->gradients != stage->policy_gradient) tn_params_release(stage->gradients);
  tn_params_release(stage->policy_gradient);
  tn_params_release(stage->own_gradient);
  tn_params_release(stage->average);
  tn_free(stage->ring);
  tn_free(stage->ring_asked);
  stage->policy = stage->own = stage->all = stage->gradients = NULL;
  stage->policy_gradient = stage->own_gradient = stage->average = NULL;
  stage->ring = NULL;
  stage->ring_asked = NULL;
}

static bool learns_backward(const tn_component *model) {
  tn_params *params = tn_parameters(model);
  for (uint32_t i = 0; params && i < tn_params_count(params); i++) {
    tn_param_entry entry;
    tn_params_entry(params, i, &entry);
    if (strncmp(entry.name, "backward_logits.", 16) == 0) return true;
  }
  return false;
}

/* The parameters of policy and loss, apart and together. */
static tn_status collect_parameters(struct gflownet *stage) {
  stage->policy = tn_parameters(stage->model);
  stage->own = pass_parameters(stage->loss);
  if (!stage->policy) return TN_ERROR_MEMORY;
  stage->policy_gradient = tn_params_like(stage->policy);
  if (stage->own) {
    stage->own_gradient = tn_params_like(stage->own);
    stage->all = tn_params_join((tn_params *[]){stage->policy, stage->own}, 2);
    stage->gradients = tn_params_join((tn_params *[]){stage->policy_gradient, stage->own_gradient}, 2);
  } else {
    stage->all = stage->policy;
    stage->gradients = stage->policy_gradient;
  }
  if (stage->sampling_average > 0) stage->average = tn_params_clone(stage->policy);
  return tn_failed() || !stage->all || !stage->gradients ? TN_ERROR_MEMORY : TN_OK;
}

static tn_status gflownet_begin(void *self) {
  struct gflownet *stage = self;
  const tn_flow_loss *flow = tn_extension(stage->loss, TN_FLOW_LOSS);
  gflownet_release(stage);
  stage->step = stage->kept = 0;
  memset(stage->sums, 0, sizeof stage->sums);
  stage->summed = 0;
  stage->needs = flow->needs;
  stage->planned = tn_smoke() && stage->steps > 3 ? 3 : stage->steps;
  tn_status status = rollout_open(&stage->rollout, stage->batch);
  if (status >= 0) status = collect_parameters(stage);
  if (status < 0) return status;
  stage->backward = learns_backward(stage->model);
  if (stage->replay > 0) {
    stage->ring_bytes = (size_t)(stage->replay * (stage->rollout.info.max_steps + 1)) * sizeof *stage->ring;
    stage->asked_bytes =
        (size_t)(stage->replay * rollout_preference_width(&stage->rollout)) * sizeof *stage->ring_asked;
    stage->ring = tn_alloc(stage->ring_bytes);
    stage->ring_asked = tn_alloc(stage->asked_bytes);
    if (!stage->ring || !stage->ring_asked) return TN_ERROR_MEMORY;
  }
  if (!stage->z && stage->own)
    stage->z = stage->optimizer_z ? stage->optimizer_z : tn_instantiate(stage->optimizer);
  status = tn_optimizer_begin(stage->optimizer, stage->policy);
  if (status >= 0 && stage->own) status = tn_optimizer_begin(stage->z, stage->own);
  for (uint32_t g = 0; status >= 0 && g < stage->gradient.count; g++)
    status = tn_gradient_begin(stage->gradient.items[g], stage->all);
  return status;
}

static void gflownet_progress(void *self, tn_progress *progress) {
  const struct gflownet *stage = self;
  *progress = (tn_progress){
      .size = sizeof *progress, .mode = TN_TRAIN, .step = stage->step, .steps = stage->planned};
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
    status = rollout_draw(r, stage->average ? stage->average : stage->policy, fresh, *condition,
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

static tn_status update(struct gflownet *stage, double loss, double factor, const tn_progress *progress) {
  const tn_gradient_call call = {.size = sizeof call,
                                 .count = 1,
                                 .params = stage->all,
                                 .gradients = &stage->gradients,
                                 .losses = &loss,
                                 .progress = *progress};
  tn_status status = TN_OK;
  for (uint32_t g = 0; status >= 0 && g < stage->gradient.count; g++)
    status = tn_gradient_apply(stage->gradient.items[g], &call);
  tn_optimizer_step step = {.size = sizeof step,
                            .params = stage->policy,
                            .gradient = stage->policy_gradient,
                            .loss = loss,
                            .schedule = factor,
                            .step = stage->step + 1};
  if (status >= 0) status = tn_optimizer_update(stage->optimizer, &step);
  step.params = stage->own;
  step.gradient = stage->own_gradient;
  if (status >= 0 && stage->own) status = tn_optimizer_update(stage->z, &step);
  if (status >= 0 && stage->average)
    status = tn_params_lerp(stage->average, stage->policy, 1 - stage->sampling_average);
  return status;
}

static tn_status gflownet_step(void *self) {
  struct gflownet *stage = self;
  tn_progress progress;
  tn_tensor *condition = NULL;
  tn_fields *fields = tn_fields_new();
  gflownet_progress(stage, &progress);
  tn_status status = draw(stage, &progress, &condition);
  if (status >= 0)
    status = rollout_fields(&stage->rollout, stage->policy, stage->batch, condition, stage->needs,
                            stage->backward, &progress, fields);
  if (status < 0) return status;
  tn_rng rng = tn_rng_at(stage->loss->name, "train", (uint64_t)stage->step);
  const tn_loss_call call = {.size = sizeof call,
                             .params = stage->own,
                             .fields = fields,
                             .progress = progress,
                             .rng = &rng,
                             .model = stage->model,
                             .model_params = stage->policy};
  tn_tensor *value = tn_loss_value(stage->loss, &call);
  if (tn_failed()) return tn_outcome();
  const double loss = tn_item(value);
  const double factor = stage->schedule ? tn_schedule_factor(stage->schedule, &progress) : 1;
  const double lr = tn_optimizer_learning_rate(stage->optimizer, factor);
  if (!isfinite(loss))
    return tn_fail(
        TN_ERROR_DIVERGED,
        "the loss became %g in step %lld (learning rate %g): try a smaller one, or gradient.clip_norm", loss,
        (long long)stage->step + 1, lr);
  status = tn_grad_params(value, stage->all, stage->gradients);
  const bool last = stage->step + 1 >= stage->planned;
  const int64_t every = stage->log_every > 0 ? stage->log_every : (stage->planned + 499) / 500;
  const bool logs = last || stage->step == 0 || (stage->step + 1) % every == 0;
  const double norm = status >= 0 && logs ? tn_params_norm(stage->gradients) : 0;
  if (status >= 0) status = update(stage, loss, factor, &progress);
  if (status < 0) return status;
  stage->step++;
  count_figures(stage, loss);
  if (logs) status = report(stage, lr, norm, last);
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
