// SPDX-License-Identifier: MIT
/* Trajectory balance (Malkin et al. 2022) on an 8x8x8x8 hypergrid: MLP 256-256 with forward and backward
 * policies, 16 trajectories a step, Adam. A row of logits: DIMS + 1 forward actions (raise a coordinate, or
 * stop), then DIMS backward ones. */
#include <string.h>

#include "../bench.h"

enum { DIMS = 4, SIDE = 8, BATCH = 16, FORWARD = DIMS + 1, HIDDEN = 256, STOP = DIMS };

static bench_training policy, log_z; /* log_z: the partition function's logarithm, faster rate */
static tn_params *all, *all_gradients;
static bench_linear layers[3];
static tn_rng rng;

typedef struct trajectories {
  int64_t state[BATCH][DIMS], action[BATCH]; /* action: the last one */
  bool done[BATCH];
} trajectories;

static bool begin(void) {
  static const int64_t widths[] = {DIMS * SIDE, HIDDEN, HIDDEN, FORWARD + DIMS};
  tn_declaration *net = tn_declaration_new(), *scalar = tn_declaration_new();
  for (int i = 0; i < 3; i++) layers[i] = bench_linear_declare(net, widths[i], widths[i + 1]);
  tn_declare(scalar, "log_z", TN_SHAPE(1), TN_NO_DECAY, tn_init_zeros());
  rng = tn_rng_at("bench", "gfn", 0);
  if (!bench_training_begin(&policy, net, "optimizer.adam", "lr = 1e-3") ||
      !bench_training_begin(&log_z, scalar, "optimizer.adam", "lr = 0.1"))
    return false;
  all = tn_params_join((tn_params *[]){policy.params, log_z.params}, 2);
  all_gradients = tn_params_join((tn_params *[]){policy.gradient, log_z.gradient}, 2);
  return all && all_gradients;
}

/* 0.1 + 0.5 [all |x| > 0.5] + 2 [all 0.6 < |x| < 0.8], x from -1 to 1 */
static float reward(const int64_t *state) {
  bool outer = true, ring = true;
  for (int d = 0; d < DIMS; d++) {
    float x = (float)state[d] / (SIDE - 1) * 2 - 1;
    if (x < 0) x = -x;
    outer = outer && x > 0.5f;
    ring = ring && x > 0.6f && x < 0.8f;
  }
  return 0.1f + 0.5f * (float)outer + 2.0f * (float)ring;
}

/* -1e9 where an action is impossible: (BATCH, FORWARD) and (BATCH, DIMS) */
static void masks(const trajectories *t, tn_tensor **forward, tn_tensor **backward) {
  float f[BATCH][FORWARD] = {0}, b[BATCH][DIMS] = {0};
  for (int i = 0; i < BATCH; i++)
    for (int d = 0; d < DIMS; d++) {
      if (t->state[i][d] == SIDE - 1) f[i][d] = -1e9f;
      if (t->state[i][d] == 0) b[i][d] = -1e9f;
    }
  *forward = tn_from(TN_F32, TN_SHAPE(BATCH, FORWARD), f);
  *backward = tn_from(TN_F32, TN_SHAPE(BATCH, DIMS), b);
}

static int64_t sample(const float *log_p) {
  double u = tn_random_uniform(&rng), sum = 0;
  int64_t possible = STOP;
  for (int64_t a = 0; a < FORWARD; a++) {
    double p = exp((double)log_p[a]);
    if (p > 0) possible = a;
    sum += p;
    if (u < sum) return a;
  }
  return possible;
}

/* (BATCH): log p of the chosen action where `chosen` has a 1, else 0 */
static tn_tensor *chosen_log_p(tn_tensor *log_p, tn_tensor *chosen) {
  return tn_sum_axis(tn_mul(log_p, chosen), 1);
}

/* Draws an action for every trajectory that goes on, and takes it; 1 at (i, action). */
static tn_tensor *advance(trajectories *t, const tn_tensor *log_p) {
  float chosen[BATCH][FORWARD] = {0};
  for (int i = 0; i < BATCH; i++) {
    if (t->done[i]) continue;
    int64_t a = sample(tn_f32(log_p) + i * FORWARD);
    chosen[i][a] = 1;
    t->action[i] = a;
    t->done[i] = a == STOP;
    if (a != STOP) t->state[i][a]++;
  }
  return tn_from(TN_F32, TN_SHAPE(BATCH, FORWARD), chosen);
}

/* 1 where the last action came from. */
static tn_tensor *came_from(const trajectories *t) {
  float chosen[BATCH][DIMS] = {0};
  for (int i = 0; i < BATCH; i++)
    if (!t->done[i]) chosen[i][t->action[i]] = 1;
  return tn_from(TN_F32, TN_SHAPE(BATCH, DIMS), chosen);
}

static bool all_done(const trajectories *t) {
  for (int i = 0; i < BATCH; i++)
    if (!t->done[i]) return false;
  return true;
}

static tn_tensor *logits(const trajectories *t) {
  tn_tensor *h = tn_flatten(tn_one_hot(tn_from(TN_I64, TN_SHAPE(BATCH, DIMS), t->state), SIDE, TN_F32));
  for (int i = 0; i < 3; i++) {
    if (i > 0) h = tn_leaky_relu(h, 0.01);
    h = bench_linear_apply(layers[i], policy.params, h);
  }
  return h;
}

static double step(void) {
  trajectories t;
  memset(&t, 0, sizeof t);
  tn_scope_open();
  /* log Z + sum log P_F - sum log P_B, (BATCH) */
  tn_tensor *balance = tn_broadcast_to(tn_param_tensor(log_z.params, 0), TN_SHAPE(BATCH));
  for (bool first = true; !all_done(&t); first = false) {
    tn_tensor *out = logits(&t), *forward, *backward;
    masks(&t, &forward, &backward);
    tn_tensor *log_f = tn_log_softmax(tn_add(tn_slice(out, 1, 0, FORWARD), forward), 1);
    if (!first) {
      tn_tensor *log_b = tn_log_softmax(tn_add(tn_slice(out, 1, FORWARD, FORWARD + DIMS), backward), 1);
      balance = tn_sub(balance, chosen_log_p(log_b, came_from(&t)));
    }
    balance = tn_add(balance, chosen_log_p(log_f, advance(&t, log_f)));
  }
  float rewards[BATCH];
  for (int i = 0; i < BATCH; i++) rewards[i] = reward(t.state[i]);
  tn_tensor *log_reward = tn_log(tn_from(TN_F32, TN_SHAPE(BATCH), rewards));
  tn_tensor *loss = tn_mean(tn_square(tn_sub(balance, log_reward)));
  double value = tn_item(loss);
  tn_grad_params(loss, all, all_gradients);
  bench_training_update(&policy, value);
  bench_training_update(&log_z, value);
  tn_scope_close();
  return value;
}

const bench_row bench_gfn = {"gfn", BATCH, begin, step};
