// SPDX-License-Identifier: MIT
/* Trajectory balance (Malkin et al. 2022) on an 8x8x8x8 hypergrid: MLP 256-256 with forward and backward
 * policies, 16 trajectories a step, Adam. Trajectories are drawn off the tape, then all visited states go
 * through the network at once. A row of logits: DIMS + 1 forward actions (raise a coordinate, or
 * stop), then DIMS backward ones. */
#include <string.h>

#include "../bench.h"

enum { DIMS = 4, SIDE = 8, BATCH = 16, FORWARD = DIMS + 1, HIDDEN = 256, STOP = DIMS };

static bench_training policy, log_z; /* log_z: the partition function's logarithm, faster rate */
static tn_params *all, *all_gradients;
static bench_linear layers[3];
static tn_rng rng;

/* The states that a batch of trajectories visits, step by step, and what was done there. */
enum { LONGEST = DIMS * (SIDE - 1) + 1, ROOM = BATCH * LONGEST };
typedef struct visits {
  int64_t state[ROOM][DIMS], trajectory[ROOM], action[ROOM];
  float came_from[ROOM][DIMS]; /* 1 at the action that led there, nowhere at the start */
  int64_t count;
} visits;
static visits seen;

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

/* Of the last n visits: log P_F (n, FORWARD) and log P_B (n, DIMS), impossible actions at -1e9. */
static void log_policies(const visits *v, int64_t n, tn_tensor **log_f, tn_tensor **log_b) {
  static float forward[ROOM][FORWARD], backward[ROOM][DIMS];
  const int64_t(*state)[DIMS] = v->state + v->count - n;
  for (int64_t i = 0; i < n; i++)
    for (int d = 0; d < DIMS; d++) {
      forward[i][d] = state[i][d] == SIDE - 1 ? -1e9f : 0;
      backward[i][d] = state[i][d] == 0 ? -1e9f : 0;
    }
  tn_tensor *h = tn_flatten(tn_one_hot(tn_from(TN_I64, TN_SHAPE(n, DIMS), state), SIDE, TN_F32));
  for (int i = 0; i < 3; i++) {
    if (i > 0) h = tn_leaky_relu(h, 0.01);
    h = bench_linear_apply(layers[i], policy.params, h);
  }
  *log_f =
      tn_log_softmax(tn_add(tn_slice(h, 1, 0, FORWARD), tn_from(TN_F32, TN_SHAPE(n, FORWARD), forward)), 1);
  if (log_b)
    *log_b = tn_log_softmax(
        tn_add(tn_slice(h, 1, FORWARD, FORWARD + DIMS), tn_from(TN_F32, TN_SHAPE(n, DIMS), backward)), 1);
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

/* The state after visit i, which is a new visit. */
static void follow(visits *v, int64_t i) {
  int64_t next = v->count++;
  memcpy(v->state[next], v->state[i], sizeof v->state[i]);
  memset(v->came_from[next], 0, sizeof v->came_from[next]);
  v->trajectory[next] = v->trajectory[i];
  v->state[next][v->action[i]]++;
  v->came_from[next][v->action[i]] = 1;
}

/* BATCH trajectories, off the tape: a step takes an action in all that have not stopped. */
static void draw(visits *v, float *rewards) {
  memset(v->state, 0, BATCH * sizeof *v->state);
  memset(v->came_from, 0, BATCH * sizeof *v->came_from);
  for (int i = 0; i < BATCH; i++) v->trajectory[i] = i;
  v->count = BATCH;
  bool recording = tn_record(false);
  for (int64_t first = 0; first < v->count;) {
    int64_t end = v->count;
    tn_tensor *log_f;
    tn_scope_open();
    log_policies(v, end - first, &log_f, NULL);
    for (int64_t i = first; i < end; i++) {
      v->action[i] = sample(tn_f32(log_f) + (i - first) * FORWARD);
      if (v->action[i] == STOP)
        rewards[v->trajectory[i]] = reward(v->state[i]);
      else
        follow(v, i);
    }
    tn_scope_close();
    first = end;
  }
  tn_record(recording);
}

static double step(void) {
  float rewards[BATCH];
  draw(&seen, rewards);
  tn_scope_open();
  int64_t n = seen.count;
  tn_tensor *log_f, *log_b;
  log_policies(&seen, n, &log_f, &log_b);
  tn_tensor *log_p_f = tn_pick(log_f, tn_from(TN_I64, TN_SHAPE(n), seen.action));
  tn_tensor *log_p_b = tn_sum_axis(tn_mul(log_b, tn_from(TN_F32, TN_SHAPE(n, DIMS), seen.came_from)), 1);
  /* log Z + sum log P_F - sum log P_B - log R, (BATCH) */
  tn_tensor *flow =
      tn_segment(TN_SUM, tn_sub(log_p_f, log_p_b), tn_from(TN_I64, TN_SHAPE(n), seen.trajectory), BATCH);
  tn_tensor *balance = tn_sub(tn_add(flow, tn_param_tensor(log_z.params, 0)),
                              tn_log(tn_from(TN_F32, TN_SHAPE(BATCH), rewards)));
  tn_tensor *loss = tn_mean(tn_square(balance));
  double value = tn_item(loss);
  tn_grad_params(loss, all, all_gradients);
  bench_training_update(&policy, value);
  bench_training_update(&log_z, value);
  tn_scope_close();
  return value;
}

const bench_row bench_gfn = {"gfn", BATCH, begin, step};
