// SPDX-License-Identifier: MIT
/* Environments: states are rows of numbers in arrays of ours, which end at pages that nobody may touch. */
#include "core/conformance/drivers.h"
#include "core/tensor/guard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/environment.h>

enum { PATHS = 8, PARENTS = 64 };

static const tn_environment *table_of(const tn_component *c) { return c->vtable; }

static tn_status describe(const tn_component *c, tn_environment_info *info) {
  *info = (tn_environment_info){.size = sizeof *info};
  const tn_status status = table_of(c)->describe(c->self, info);
  if (status < 0) return status;
  if (info->state_width < 1 || info->objectives < 1 || info->max_steps < 1 || info->feature_width < 1 ||
      (info->actions < 1 && info->action_width < 1) || info->stop_action >= info->actions)
    return tn_fail(TN_ERROR_INVALID,
                   "describe: impossible numbers (state %lld, features %lld, actions %lld, steps %lld)",
                   (long long)info->state_width, (long long)info->feature_width, (long long)info->actions,
                   (long long)info->max_steps);
  return TN_OK;
}

/* Memory of a rollout. */
typedef struct rollout {
  tn_environment_info info;
  double *states, *before, *rewards, *continuous;
  float *features;
  uint8_t *mask, *done;
  int64_t *actions;
} rollout;

static void *array(int64_t count, size_t size) {
  void *memory = tn_guard_take((size_t)count * size, size);
  if (!memory) tn_trial_fail("out of memory");
  return memory;
}
static void rollout_open(rollout *r) {
  const tn_environment_info *i = &r->info;
  r->states = array(PATHS * i->state_width, sizeof(double));
  r->before = array(PATHS * i->state_width, sizeof(double));
  r->rewards = array(PATHS * i->objectives, sizeof(double));
  r->continuous = array(PATHS * (i->action_width + 1), sizeof(double));
  r->features = array(PATHS * i->feature_width, sizeof(float));
  r->mask = array(PATHS * (i->actions + 1), 1);
  r->done = array(PATHS, 1);
  r->actions = array(PATHS, sizeof(int64_t));
}
static void rollout_close(rollout *r) {
  void *all[] = {r->states, r->before, r->rewards, r->continuous, r->features, r->mask, r->done, r->actions};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) tn_guard_give(all[i]);
}

/* A random legal action for path `path`; false: none is legal. */
static bool choose(const tn_trial *t, rollout *r, int64_t path, uint64_t turn) {
  int64_t legal = 0, chosen = -1;
  const uint8_t *mask = r->mask + path * r->info.actions;
  for (int64_t a = 0; a < r->info.actions; a++) legal += mask[a] != 0;
  if (legal == 0) return false;
  int64_t pick = (int64_t)tn_trial_random(t, "action", turn * PATHS + (uint64_t)path, (uint64_t)legal);
  for (int64_t a = 0; a < r->info.actions && chosen < 0; a++)
    if (mask[a] && pick-- == 0) chosen = a;
  r->actions[path] = chosen;
  return true;
}

/* The state before is among the parents of the state after, with the action that was taken. */
static void expect_parent(const tn_component *c, const rollout *r, int64_t path) {
  double parents[PARENTS * 64];
  int64_t actions[PARENTS];
  const int64_t width = r->info.state_width;
  if (!TN_HAS(table_of(c), tn_environment, parents) || width > 64) return;
  const int64_t count = table_of(c)->parents(c->self, r->states + path * width, parents, actions, PARENTS);
  if (count < 0 || count > PARENTS)
    tn_trial_fail("parents: %lld of them, at most %d were asked for", (long long)count, PARENTS);
  for (int64_t i = 0; i < count; i++)
    if (actions[i] == r->actions[path] &&
        memcmp(parents + i * width, r->before + path * width, (size_t)width * sizeof(double)) == 0)
      return;
  if (count < PARENTS)
    tn_trial_fail("a state was reached by action %lld from one that is not among its parents",
                  (long long)r->actions[path]);
}

static void expect_index(const tn_component *c, const double *state) {
  const tn_environment *e = table_of(c);
  if (!TN_HAS(e, tn_environment, index) || !TN_HAS(e, tn_environment, states)) return;
  const int64_t id = e->index(c->self, state), count = e->states(c->self);
  if (count == 0) return; /* too many */
  if (id < 0 || id >= count)
    tn_trial_fail("index %lld of a space of %lld states", (long long)id, (long long)count);
}

static void expect_outputs(const tn_component *c, rollout *r) {
  const tn_environment *e = table_of(c);
  tn_trial_expect(e->features(c->self, r->states, PATHS, r->features), "features");
  tn_trial_expect(e->reward(c->self, r->states, PATHS, r->rewards), "reward");
  for (int64_t i = 0; i < PATHS * r->info.feature_width; i++)
    if (!isfinite((double)r->features[i])) tn_trial_fail("a feature is %g", (double)r->features[i]);
  for (int64_t i = 0; i < PATHS * r->info.objectives; i++)
    if (!isfinite(r->rewards[i])) tn_trial_fail("the reward of a terminal state is %g", r->rewards[i]);
}

/* All paths to their ends by random legal actions. */
static void roll(const tn_trial *t, const tn_component *c, rollout *r, bool strict, uint64_t turn0) {
  const tn_environment *e = table_of(c);
  const int64_t width = r->info.state_width;
  tn_rng rng = tn_rng_at("conformance", "environment", turn0);
  uint8_t ended[PATHS] = {0};
  int64_t left = PATHS;
  tn_trial_expect(e->reset(c->self, r->states, PATHS, &rng), "reset");
  for (int64_t step = 0; left > 0; step++) {
    if (step > r->info.max_steps)
      tn_trial_fail("a path has not ended after the %lld steps that describe gives",
                    (long long)r->info.max_steps);
    if (r->info.actions > 0) tn_trial_expect(e->mask(c->self, r->states, PATHS, r->mask), "mask");
    for (int64_t p = 0; p < PATHS; p++) {
      if (ended[p]) continue;
      if (r->info.actions > 0 && !choose(t, r, p, turn0 * 1000 + (uint64_t)step))
        tn_trial_fail("a state that is not terminal has no legal action");
      for (int64_t k = 0; k < r->info.action_width; k++)
        r->continuous[p * r->info.action_width + k] =
            tn_trial_normal(t, "continuous", (uint64_t)((step * PATHS + p) * 16 + k));
      /* One path a call: what has ended is not touched any more. */
      memcpy(r->before + p * width, r->states + p * width, (size_t)width * sizeof(double));
      tn_trial_expect(e->step(c->self, r->states + p * width, 1, r->info.actions > 0 ? &r->actions[p] : NULL,
                              r->info.action_width > 0 ? r->continuous + p * r->info.action_width : NULL,
                              &r->done[p], &rng),
                      "step");
      if (strict) expect_index(c, r->states + p * width);
      if (strict && r->info.actions > 0) expect_parent(c, r, p);
      if (r->done[p]) ended[p] = 1, left--;
    }
  }
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  rollout r = {0};
  const tn_status status = describe(c, &r.info);
  if (status < 0) return status;
  rollout_open(&r);
  roll(bench->trial, c, &r, false, (uint64_t)unit);
  expect_outputs(c, &r);
  tn_fingerprint_bytes(&bench->digest, r.states, (size_t)(PATHS * r.info.state_width) * sizeof(double));
  tn_fingerprint_bytes(&bench->digest, r.rewards, PATHS * r.info.objectives * sizeof(double));
  tn_fingerprint_bytes(&bench->digest, r.features, (size_t)(PATHS * r.info.feature_width) * sizeof(float));
  rollout_close(&r);
  return TN_OK;
}

static void transitions(tn_trial *t) {
  tn_bench bench;
  rollout r = {0};
  tn_bench_ready(&bench, t, NULL);
  tn_trial_expect(describe(bench.subject, &r.info), "describe");
  rollout_open(&r);
  for (uint64_t turn = 0; turn < tn_trial_times(t, 50, 10); turn++) {
    roll(t, bench.subject, &r, true, turn);
    expect_outputs(bench.subject, &r);
  }
  rollout_close(&r);
  if (tn_guard_damaged() > 0) tn_trial_fail("it writes past the end of an array");
  tn_bench_close(&bench);
}

static void batches(tn_trial *t) {
  tn_bench bench;
  rollout r = {0};
  tn_bench_ready(&bench, t, NULL);
  const tn_component *c = bench.subject;
  tn_trial_expect(describe(c, &r.info), "describe");
  rollout_open(&r);
  roll(t, c, &r, false, 0);
  expect_outputs(c, &r);
  for (int64_t p = 0; p < PATHS; p++) {
    double reward[64];
    if (r.info.objectives > 64) break;
    tn_trial_expect(table_of(c)->reward(c->self, r.states + p * r.info.state_width, 1, reward), "reward");
    if (memcmp(reward, r.rewards + p * r.info.objectives, r.info.objectives * sizeof(double)) != 0)
      tn_trial_fail("the reward of a state depends on the states beside it");
  }
  rollout_close(&r);
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"transitions", "masks match transitions, paths end, rewards are finite, parents and indices agree",
     transitions},
    {"batches", "a state's reward does not depend on the states beside it", batches},
};
const tn_driver tn_driver_environment = {
    .kind = TN_ENVIRONMENT, .work = work, .checks = checks, .check_count = TN_ARRAY_LENGTH(checks)};
