// SPDX-License-Identifier: MIT
/* Active learning of a Pareto front of strings (MOGFN-AL; Jain et al. 2023, algorithm 2). The oracle is the
 * base environment of `environment`, whose trajectories mutate strings. After `initial` random strings,
 * `rounds` times:
 *
 *   1. a Gaussian process learns all objectives from what the oracle has said (gaussian_process.h)
 *   2. the pool of parents is the non-dominated set of it
 *   3. `steps` steps of a GFlowNet with log R = beta log(max(a(x), reward_min)), a the noisy expected
 * improvement of the hypervolume (Daulton et al. 2021): the mean over draws from the posterior of what x adds
 * to the volume of the front; the front's values are drawn too (nehvi), or those that were observed (ehvi)
 *   4. of `proposals` sampled objects the `batch_oracle` new ones of the largest a go to the oracle
 *
 * The policy goes on from round to round. One step of the stage is one training step; each round ends with an
 * event with `hypervolume` and `relative`, over that of the initial strings. The last are the stage's
 * results. */
#include "flow_trainer.h"
#include "gaussian_process.h"
#include "plugins/metrics/front.h"
#include <stdlib.h>

enum { NEHVI, EHVI };

struct active {
  const tn_component *environment, *model, *loss, *optimizer, *optimizer_z, *schedule;
  tn_references gradient;
  int64_t rounds, steps, batch, initial, batch_oracle, proposals, draws;
  double random_action, beta, reward_min;
  int32_t acquisition;
  tn_reals reference;

  struct rollout rollout;
  struct flow_trainer trainer;
  const tn_environment_pool *pool;
  const tn_component *base;
  tn_environment_info info; /* of the base */
  int64_t letters, length, capacity, rounds_now, steps_now;
  struct gaussian_process gp; /* of this round; empty: to be learnt */
  double *fronts;             /* (draws, front, K): posterior draws of the front, from which volumes count */
  double *normals;            /* (draws, K): of candidates */
  double floor_of[FRONT_MOST];
  int64_t front;
  double *limited; /* scratch (front + 1, K) */
  /* state */
  int64_t round, step, known; /* known: strings that the oracle has seen */
  double *objects, *values;   /* (capacity, base's width), (capacity, K) */
  int64_t *strings;           /* (capacity, length) */
  double volume_0;            /* of the initial strings */
};
static const tn_param active_params[] = {
    TN_REFERENCE(struct active, environment, TN_PARAM_REQUIRED, TN_ENVIRONMENT, NULL,
                 "mutation of strings of the oracle: environment.edits"),
    FLOW_PARAMS(active),
    TN_INTEGER(struct active, rounds, "8", 1, 1e6, NULL, "rounds of the oracle"),
    TN_INTEGER(struct active, steps, "200", 0, 1e9, "steps",
               "training a round; 0: the untrained policy mutates"),
    TN_INTEGER(struct active, batch, "64", 1, 1 << 20, "trajectories", "trajectories a step"),
    TN_INTEGER(struct active, initial, "64", 2, 1 << 20, "strings", "random strings in the beginning"),
    TN_INTEGER(struct active, batch_oracle, "16", 1, 1 << 20, "strings", "strings a round"),
    TN_INTEGER(struct active, proposals, "256", 1, 1 << 20, "strings",
               "sampled strings from which these are taken"),
    TN_INTEGER(struct active, draws, "16", 1, 1 << 16, NULL, "draws from the posterior"),
    TN_CHOICE(struct active, acquisition, "nehvi", "nehvi|ehvi", "front as drawn or as observed"),
    TN_REAL(struct active, random_action, "0.05", 0, 1, "share of actions that are drawn uniformly"),
    TN_REAL(struct active, beta, "4", 0, 1e6, "exponent of the acquisition"),
    TN_PARAM_(struct active, reward_min, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-4", 0, INFINITY, NULL,
              NULL, NULL, "acquisitions below count as this in the logarithm"),
    TN_REALS(struct active, reference, "0", -INFINITY, INFINITY, "reference point of the hypervolume"),
};

static tn_status active_check(void *self) {
  struct active *stage = self;
  stage->pool = tn_extension(stage->environment, TN_ENVIRONMENT_POOL);
  if (!stage->pool)
    return tn_fail(TN_ERROR_INVALID, "'%s' does not mutate known objects: use environment.edits",
                   stage->environment->name);
  stage->base = stage->pool->base(stage->environment->self);
  tn_status status = tn_environment_describe(stage->base, &stage->info);
  if (status >= 0 && stage->info.objectives > FRONT_MOST)
    return tn_fail(TN_ERROR_INVALID, "'%s' has too many objectives", stage->base->name);
  if (status < 0) return status;
  if (stage->reference.count > 1 && stage->reference.count != stage->info.objectives)
    return tn_fail(TN_ERROR_INVALID, "reference: %u numbers for %u objectives", stage->reference.count,
                   stage->info.objectives);
  for (uint32_t k = 0; k < stage->info.objectives; k++)
    stage->floor_of[k] =
        stage->reference.count == 0 ? 0 : stage->reference.items[stage->reference.count > 1 ? k : 0];
  /* Rewards come from the acquisition: no preference, whatever the number of objectives. */
  stage->rollout =
      (struct rollout){.environment = stage->environment, .model = stage->model, .unasked = true};
  return rollout_check(&stage->rollout, stage->loss);
}

static void forget_round(struct active *stage) {
  gp_release(&stage->gp);
  tn_free(stage->fronts);
  tn_free(stage->normals);
  tn_free(stage->limited);
  stage->fronts = stage->normals = stage->limited = NULL;
  stage->front = 0;
}
static void active_release(struct active *stage) {
  rollout_close(&stage->rollout);
  flow_release(&stage->trainer);
  forget_round(stage);
  tn_free(stage->objects);
  tn_free(stage->values);
  tn_free(stage->strings);
  stage->objects = stage->values = NULL;
  stage->strings = NULL;
}

static double volume_of(const struct active *stage) {
  return front_hypervolume(stage->values, stage->known, stage->info.objectives, stage->floor_of);
}

/* Asks the oracle about n objects that lie behind the known ones. */
static tn_status ask(struct active *stage, int64_t n) {
  const tn_environment *oracle = stage->base->vtable;
  const tn_environment_tokens *tokens = tn_extension(stage->base, TN_ENVIRONMENT_TOKENS);
  const double *objects = stage->objects + stage->known * stage->info.state_width;
  tokens->tokens(stage->base->self, objects, n, stage->strings + stage->known * stage->length);
  tn_call_stack *stack = tn_enter(stage->base, "reward");
  const tn_status status =
      oracle->reward(stage->base->self, objects, n, stage->values + stage->known * stage->info.objectives);
  tn_leave(stack);
  if (status >= 0) stage->known += n;
  return status;
}

static tn_status active_begin(void *self) {
  struct active *stage = self;
  const tn_environment_tokens *tokens = tn_extension(stage->base, TN_ENVIRONMENT_TOKENS);
  const int64_t most = stage->batch > stage->proposals ? stage->batch : stage->proposals;
  active_release(stage);
  stage->round = stage->step = stage->known = 0;
  stage->rounds_now = tn_smoke() && stage->rounds > 2 ? 2 : stage->rounds;
  stage->steps_now = tn_smoke() && stage->steps > 2 ? 2 : stage->steps;
  stage->letters = tokens->letters(stage->base->self);
  stage->length = tokens->length(stage->base->self);
  stage->capacity = stage->initial + stage->rounds_now * stage->batch_oracle;
  stage->objects = tn_alloc((size_t)(stage->capacity * stage->info.state_width) * sizeof(double));
  stage->values = tn_alloc((size_t)stage->capacity * stage->info.objectives * sizeof(double));
  stage->strings = tn_alloc((size_t)(stage->capacity * stage->length) * sizeof(int64_t));
  stage->trainer.model = stage->model;
  stage->trainer.loss = stage->loss;
  stage->trainer.optimizer = stage->optimizer;
  stage->trainer.optimizer_z = stage->optimizer_z;
  stage->trainer.schedule = stage->schedule;
  stage->trainer.gradient = &stage->gradient;
  if (tn_failed()) return TN_ERROR_MEMORY;
  tn_status status = rollout_open(&stage->rollout, most);
  if (status >= 0) status = flow_begin(&stage->trainer);
  /* Without a pool the mutations begin at random strings, which are those of the beginning. */
  tn_rng rng = tn_rng_at(stage->environment->name, "initial", 0);
  double *states = tn_alloc((size_t)(stage->initial * stage->rollout.info.state_width) * sizeof *states);
  if (!states) return TN_ERROR_MEMORY;
  if (status >= 0) status = stage->pool->set(stage->environment->self, stage->objects, 0);
  if (status >= 0)
    status = stage->rollout.table->reset(stage->environment->self, states, stage->initial, &rng);
  if (status >= 0) stage->pool->objects(stage->environment->self, states, stage->initial, stage->objects);
  tn_free(states);
  if (status >= 0) status = ask(stage, stage->initial);
  stage->volume_0 = status >= 0 ? volume_of(stage) : 0;
  return status;
}

static void active_progress(void *self, tn_progress *progress) {
  const struct active *stage = self;
  const int64_t units = stage->steps_now > 0 ? stage->steps_now : 1;
  *progress = (tn_progress){.size = sizeof *progress,
                            .mode = TN_TRAIN,
                            .step = stage->round * units + stage->step,
                            .steps = stage->rounds_now * units,
                            .epoch = (double)stage->round,
                            .epochs = (double)stage->rounds_now};
}

/* ---- the acquisition ---- */

/* Learns the surrogate and draws the fronts of this round. */
static tn_status prepare_round(struct active *stage) {
  const uint32_t objectives = stage->info.objectives;
  const size_t row = objectives * sizeof(double);
  const int64_t width = stage->info.state_width;
  tn_status status = gp_fit(&stage->gp, stage->strings, stage->known, stage->length, stage->letters,
                            stage->values, objectives);
  int64_t *members = tn_alloc((size_t)stage->known * sizeof *members);
  double *pool = tn_alloc((size_t)(stage->known * width) * sizeof *pool);
  int64_t *strings = tn_alloc((size_t)(stage->known * stage->length) * sizeof *strings);
  double *mean = tn_alloc((size_t)stage->known * row), *deviation = tn_alloc((size_t)stage->known * row);
  if (tn_failed()) status = status < 0 ? status : TN_ERROR_MEMORY;
  stage->front = 0;
  for (int64_t i = 0; status >= 0 && i < stage->known; i++) {
    bool dominated = false;
    const double *x = stage->values + i * objectives;
    for (int64_t j = 0; j < stage->known && !dominated; j++) {
      const double *y = stage->values + j * objectives;
      dominated = front_covers(y, x, objectives) && !front_covers(x, y, objectives);
    }
    if (dominated) continue;
    memcpy(pool + stage->front * width, stage->objects + i * width, (size_t)width * sizeof *pool);
    memcpy(strings + stage->front * stage->length, stage->strings + i * stage->length,
           (size_t)stage->length * sizeof *strings);
    members[stage->front++] = i;
  }
  stage->fronts = tn_alloc((size_t)(stage->draws * stage->front) * row + row);
  stage->normals = tn_alloc((size_t)stage->draws * row);
  stage->limited = tn_alloc((size_t)(stage->front + 1) * row);
  if (tn_failed()) status = TN_ERROR_MEMORY;
  if (status >= 0) status = stage->pool->set(stage->environment->self, pool, stage->front);
  if (status >= 0) status = gp_predict(&stage->gp, strings, stage->front, mean, deviation);
  tn_rng rng = tn_rng_at(stage->environment->name, "posterior", (uint64_t)stage->round);
  for (int64_t d = 0; status >= 0 && d < stage->draws; d++) {
    for (uint32_t k = 0; k < objectives; k++) stage->normals[d * objectives + k] = tn_random_normal(&rng);
    for (int64_t i = 0; i < stage->front; i++)
      for (uint32_t k = 0; k < objectives; k++) {
        const int64_t at = i * objectives + k;
        const double seen = stage->values[members[i] * objectives + k];
        stage->fronts[d * stage->front * objectives + at] =
            (stage->acquisition == EHVI ? seen : mean[at] + deviation[at] * tn_random_normal(&rng)) -
            stage->floor_of[k];
      }
  }
  tn_free(members);
  tn_free(pool);
  tn_free(strings);
  tn_free(mean);
  tn_free(deviation);
  return status;
}

/* What `point`, above the reference, adds to the volume of front number d. */
static double gain(struct active *stage, int64_t d, const double *point) {
  const uint32_t objectives = stage->info.objectives;
  const double *front = stage->fronts + d * stage->front * objectives;
  int64_t kept = 0;
  for (uint32_t k = 0; k < objectives; k++)
    if (point[k] <= 0) return 0;
  for (int64_t i = 0; i < stage->front; i++) {
    bool above = true;
    for (uint32_t k = 0; k < objectives; k++) {
      stage->limited[kept * objectives + k] = fmin(front[i * objectives + k], point[k]);
      above = above && stage->limited[kept * objectives + k] > 0;
    }
    kept += above;
  }
  kept = front_filter(stage->limited, kept, objectives);
  return front_box(point, objectives) - front_volume(stage->limited, kept, objectives);
}

/* a(x) of n states of the environment. */
static tn_status acquire(struct active *stage, const double *states, int64_t n, double *acquisition) {
  const uint32_t objectives = stage->info.objectives;
  const tn_environment_tokens *tokens = tn_extension(stage->base, TN_ENVIRONMENT_TOKENS);
  double *objects = tn_alloc((size_t)(n * stage->info.state_width) * sizeof *objects);
  int64_t *strings = tn_alloc((size_t)(n * stage->length) * sizeof *strings);
  double *mean = tn_alloc((size_t)n * objectives * sizeof *mean);
  double *deviation = tn_alloc((size_t)n * objectives * sizeof *deviation);
  tn_status status = tn_failed() ? TN_ERROR_MEMORY : TN_OK;
  if (status >= 0) {
    stage->pool->objects(stage->environment->self, states, n, objects);
    tokens->tokens(stage->base->self, objects, n, strings);
    const bool recording = tn_record(false);
    status = gp_predict(&stage->gp, strings, n, mean, deviation);
    tn_record(recording);
  }
  for (int64_t i = 0; status >= 0 && i < n; i++) {
    acquisition[i] = 0;
    for (int64_t d = 0; d < stage->draws; d++) {
      double point[FRONT_MOST];
      for (uint32_t k = 0; k < objectives; k++)
        point[k] = mean[i * objectives + k] +
                   deviation[i * objectives + k] * stage->normals[d * objectives + k] - stage->floor_of[k];
      acquisition[i] += gain(stage, d, point) / (double)stage->draws;
    }
  }
  tn_free(objects);
  tn_free(strings);
  tn_free(mean);
  tn_free(deviation);
  return status;
}

/* ---- a round ---- */

static tn_status train(struct active *stage, const tn_progress *progress) {
  struct rollout *r = &stage->rollout;
  struct flow_figures figures = {.loss = NAN};
  tn_rng rng = tn_rng_at(stage->environment->name, "draw", (uint64_t)progress->step);
  tn_status status =
      rollout_draw(r, stage->trainer.policy, stage->batch, NULL, stage->random_action, progress, &rng);
  if (status >= 0) status = acquire(stage, r->objects, stage->batch, r->utility);
  for (int64_t i = 0; status >= 0 && i < stage->batch; i++)
    r->log_reward[i] = stage->beta * log(fmax(r->utility[i], stage->reward_min));
  if (status >= 0) status = flow_step(&stage->trainer, r, stage->batch, NULL, progress, false, &figures);
  if (status < 0 || stage->step % 20 != 0) return status;
  double mean = 0;
  for (int64_t i = 0; i < stage->batch; i++) mean += r->utility[i] / (double)stage->batch;
  const tn_scalar_value values[] = {{"loss", figures.loss}, {"acquisition", mean}};
  tn_emit_step(progress, values, 2);
  return TN_OK;
}

static bool is_known(const struct active *stage, const int64_t *string) {
  for (int64_t i = 0; i < stage->known; i++)
    if (memcmp(string, stage->strings + i * stage->length, (size_t)stage->length * sizeof *string) == 0)
      return true;
  return false;
}

/* Puts the best new proposals behind the known strings, one after the other, and asks the oracle. */
static tn_status query(struct active *stage, const tn_progress *progress) {
  struct rollout *r = &stage->rollout;
  const int64_t n = stage->proposals, width = stage->info.state_width;
  const tn_environment_tokens *tokens = tn_extension(stage->base, TN_ENVIRONMENT_TOKENS);
  tn_rng rng = tn_rng_at(stage->environment->name, "propose", (uint64_t)stage->round);
  int64_t *strings = tn_alloc((size_t)(n * stage->length) * sizeof *strings);
  double *objects = tn_alloc((size_t)(n * width) * sizeof *objects);
  tn_status status = tn_failed() ? TN_ERROR_MEMORY : TN_OK;
  if (status >= 0)
    status = rollout_draw(r, stage->trainer.policy, n, NULL, stage->random_action, progress, &rng);
  if (status >= 0) status = acquire(stage, r->objects, n, r->utility);
  if (status >= 0) {
    stage->pool->objects(stage->environment->self, r->objects, n, objects);
    tokens->tokens(stage->base->self, objects, n, strings);
  }
  for (int64_t taken = 0; status >= 0 && taken < stage->batch_oracle; taken++) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
      if (r->utility[i] >= 0 && (best < 0 || r->utility[i] > r->utility[best])) best = i;
    if (best < 0) break;
    r->utility[best] = -1;
    if (is_known(stage, strings + best * stage->length)) {
      taken--;
      continue;
    }
    memcpy(stage->objects + stage->known * width, objects + best * width, (size_t)width * sizeof *objects);
    status = ask(stage, 1);
  }
  tn_free(strings);
  tn_free(objects);
  return status;
}

static tn_status active_step(void *self) {
  struct active *stage = self;
  tn_progress progress;
  tn_status status = stage->front == 0 ? prepare_round(stage) : TN_OK;
  active_progress(stage, &progress);
  if (status >= 0 && stage->steps_now > 0) status = train(stage, &progress);
  if (status < 0) return status;
  stage->step++;
  if (stage->step < stage->steps_now) return TN_OK;
  active_progress(stage, &progress);
  status = query(stage, &progress);
  if (status < 0) return status;
  stage->round++;
  stage->step = 0;
  forget_round(stage);
  const double volume = volume_of(stage);
  active_progress(stage, &progress);
  const tn_scalar_value values[] = {{"hypervolume", volume},
                                    {"relative", stage->volume_0 > 0 ? volume / stage->volume_0 : NAN},
                                    {"evaluations", (double)stage->known}};
  tn_emit_step(&progress, values, 3);
  if (stage->round < stage->rounds_now) return TN_OK;
  for (int i = 0; i < 3; i++)
    if (isfinite(values[i].value)) tn_emit_result(values[i].name, values[i].value);
  tn_emit_result("initial_hypervolume", stage->volume_0);
  return TN_DONE;
}

static tn_status active_end(void *self) {
  active_release(self);
  return TN_OK;
}
static void active_destroy(void *self) { active_release(self); }

static tn_status active_state(void *self, const tn_visitor *visitor) {
  struct active *stage = self;
  void *objects = stage->objects, *values = stage->values, *strings = stage->strings;
  size_t object_bytes = (size_t)(stage->capacity * stage->info.state_width) * sizeof(double);
  size_t value_bytes = (size_t)stage->capacity * stage->info.objectives * sizeof(double);
  size_t string_bytes = (size_t)(stage->capacity * stage->length) * sizeof(int64_t);
  if (!stage->objects) object_bytes = value_bytes = string_bytes = 0;
  tn_visit_integer(visitor, "round", &stage->round);
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_integer(visitor, "known", &stage->known);
  tn_visit_real(visitor, "volume_0", &stage->volume_0);
  tn_visit_block(visitor, "objects", &objects, &object_bytes);
  tn_visit_block(visitor, "values", &values, &value_bytes);
  const tn_status status = tn_visit_block(visitor, "strings", &strings, &string_bytes);
  stage->objects = objects;
  stage->values = values;
  stage->strings = strings;
  if (visitor->loading) forget_round(stage); /* learnt again from the same strings */
  return status;
}

static const tn_stage active_table = {sizeof active_table, active_check, active_begin,
                                      active_step,         active_end,   active_progress};
static const tn_class active_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "gflownet_active",
    .summary = "Rounds of surrogate, acquisition, GFlowNet of mutations and oracle (MOGFN-AL)",
    .reference = "Jain et al. 2023, Multi-Objective GFlowNets; Daulton et al. 2021",
    TN_CLASS_PARAMS(active_params),
    .instance_size = sizeof(struct active),
    .vtable = &active_table,
    .destroy = active_destroy,
    .state = active_state};
TN_PLUGIN("stage_gflownet_active", "1.0.0", "MIT", &active_class)
