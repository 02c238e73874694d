// SPDX-License-Identifier: MIT
/* GFlowNets: losses at the analytic flows, exact distributions by hand and by sampling, counts of strings,
 * policies letter by letter. */
#include "harness.h"
#include "plugins/environments/rollout_pack.h"
#include <stdlib.h>
#include <tenon/metric.h>

TestSuite(gflownets, .fini = harness_close, .timeout = 120);

static const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};

#define LOSSES                                                                                \
  "[tb]\nuse = loss.trajectory_balance\n[db]\nuse = loss.detailed_balance\n"                  \
  "[subtb]\nuse = loss.subtrajectory_balance\nlambda = 0.7\n"                                 \
  "[subtb_0]\nuse = loss.subtrajectory_balance\nlambda = 0\n"                                 \
  "[subtb_tiny]\nuse = loss.subtrajectory_balance\nlambda = 1e-9\n"                           \
  "[subtb_large]\nuse = loss.subtrajectory_balance\nlambda = 1e5\n"                           \
  "[huber]\nuse = loss.subtrajectory_balance\ncost = huber\n[fm]\nuse = loss.flow_matching\n" \
  "[reinforce]\nuse = loss.mo_reinforce\nentropy = 0.3\n"

/* ---- packed trajectories ---- */

static tn_spec *packed_spec(void) {
  static const char *const numbers[] = {"logits",     "log_pf",  "log_pb", "log_flow",
                                        "log_reward", "utility", "entropy"};
  static const char *const indices[] = {"trajectory", "offset", "action"};
  tn_spec *spec = tn_spec_new();
  for (size_t i = 0; i < TN_ARRAY_LENGTH(numbers); i++)
    tn_spec_set(spec, numbers[i], TN_FLOAT, (tn_shape){0, {0}}, 0);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(indices); i++)
    tn_spec_set(spec, indices[i], TN_I64, (tn_shape){0, {0}}, 0);
  return spec;
}
static void declare_loss(const char *name) {
  tn_spec *spec = packed_spec();
  cr_assert(tn_declare_component(harness_component(name), spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
}
static tn_tensor *values_of(const char *name, const tn_fields *fields) {
  declare_loss(name);
  tn_params *own = tn_parameters(harness_component(name));
  const tn_loss_call call = {
      .size = sizeof call, .params = own && tn_params_count(own) > 0 ? own : NULL, .fields = fields};
  tn_tensor *values = tn_loss_per_sample(harness_component(name), &call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return values;
}

/* The 3 x 3 grid: states (x, y), actions x + 1, y + 1, stop. Flows by the definition:
 * F(s) = R(s) + sum over children F(s') P_B(s | s'), P_F = F(s') P_B / F(s). */
enum { SIDE = 3, STATES = SIDE * SIDE };
static double reward_at(int s) { return 0.3 + (s * 7 % 5) * 0.4; }
static double log_flow_at[STATES], log_z_exact;
static int parents_at(int s) { return (s / SIDE > 0) + (s % SIDE > 0); }
static int child_at(int s, int action) {
  if (action == 0) return s / SIDE + 1 < SIDE ? s + SIDE : -1;
  return s % SIDE + 1 < SIDE ? s + 1 : -1;
}
static double edge_log_flow(int s, int action) {
  if (action == 2) return log(reward_at(s));
  const int child = child_at(s, action);
  return child < 0 ? TN_MASKED : log_flow_at[child] - log(parents_at(child));
}
static void solve_flows(void) {
  double sum = 0;
  for (int s = STATES - 1; s >= 0; s--) {
    double flow = reward_at(s);
    for (int a = 0; a < 2; a++)
      if (child_at(s, a) >= 0) flow += exp(edge_log_flow(s, a));
    log_flow_at[s] = log(flow);
    sum += reward_at(s);
  }
  log_z_exact = log(sum);
}

/* Three trajectories: (0,0) stop; (0,0) (1,0) (1,1) (2,1) stop; (0,0) (0,1) stop. `wrong` is added to log F
 * of the states but the source, and to the first logit of every state. */
static tn_fields *fields_of(double wrong) {
  static const int path[] = {0, 0, 3, 4, 7, 0, 1};
  static const int64_t taken[] = {2, 0, 1, 0, 2, 1, 2}, owner[] = {0, 1, 1, 1, 1, 2, 2},
                       offset[] = {0, 1, 5, 7};
  enum { T = 7, EXTRA = 4 };
  int64_t child[16], row[16], action[16], edges = 0, rows = T;
  int state[T + EXTRA];
  double logits[(T + EXTRA) * 3], pf[T], pb[T], flow[T], entropy[T], r[3], u[3];
  for (int v = 0; v < T; v++) state[v] = path[v];
  for (int v = 0; v < T; v++) { /* every parent but the former state is a further row */
    if (v == 0 || owner[v] != owner[v - 1]) continue;
    for (int a = 0; a < 2; a++) {
      const int p = a == 0 ? (path[v] >= SIDE ? path[v] - SIDE : -1) : path[v] % SIDE ? path[v] - 1 : -1;
      if (p < 0) continue;
      child[edges] = v, action[edges] = a;
      row[edges++] = p == path[v - 1] ? v - 1 : rows;
      if (p != path[v - 1]) state[rows++] = p;
    }
  }
  cr_assert(rows <= T + EXTRA);
  for (int64_t v = 0; v < rows; v++)
    for (int a = 0; a < 3; a++) logits[3 * v + a] = edge_log_flow(state[v], a) + (a == 0 ? wrong : 0);
  for (int v = 0; v < T; v++) {
    double sum = 0;
    for (int a = 0; a < 3; a++) sum += exp(logits[3 * v + a]);
    pf[v] = logits[3 * v + taken[v]] - log(sum);
    const bool last = v + 1 == T || owner[v + 1] != owner[v];
    pb[v] = last ? 0 : -log(parents_at(path[v + 1]));
    flow[v] = log_flow_at[path[v]] + (path[v] != 0 ? wrong : 0);
    entropy[v] = 0.1 * v;
    if (last) r[owner[v]] = log(reward_at(path[v])), u[owner[v]] = reward_at(path[v]);
  }
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "logits", tn_leaf(tn_from(TN_F64, TN_SHAPE(rows, 3), logits)));
  tn_fields_set(fields, "log_pf", tn_leaf(tn_from(TN_F64, TN_SHAPE(T), pf)));
  tn_fields_set(fields, "log_pb", tn_from(TN_F64, TN_SHAPE(T), pb));
  tn_fields_set(fields, "log_flow", tn_leaf(tn_from(TN_F64, TN_SHAPE(T), flow)));
  tn_fields_set(fields, "entropy", tn_leaf(tn_from(TN_F64, TN_SHAPE(T), entropy)));
  tn_fields_set(fields, "log_reward", tn_from(TN_F64, TN_SHAPE(3), r));
  tn_fields_set(fields, "utility", tn_from(TN_F64, TN_SHAPE(3), u));
  tn_fields_set(fields, "action", tn_from(TN_I64, TN_SHAPE(T), taken));
  tn_fields_set(fields, "trajectory", tn_from(TN_I64, TN_SHAPE(T), owner));
  tn_fields_set(fields, "offset", tn_from(TN_I64, TN_SHAPE(4), offset));
  tn_fields_set(fields, "parent.child", tn_from(TN_I64, TN_SHAPE(edges), child));
  tn_fields_set(fields, "parent.row", tn_from(TN_I64, TN_SHAPE(edges), row));
  tn_fields_set(fields, "parent.action", tn_from(TN_I64, TN_SHAPE(edges), action));
  return fields;
}

Test(gflownets, all_losses_vanish_at_the_analytic_flows) {
  static const char *const names[] = {"tb", "db", "subtb", "subtb_0", "subtb_large", "huber", "fm"};
  harness_open("float64", LOSSES);
  solve_flows();
  EXPECT_NEAR(log_flow_at[0], log_z_exact, 1e-12);
  declare_loss("tb");
  tn_f64(tn_param_tensor(tn_parameters(harness_component("tb")), 0))[0] = log_z_exact;
  const tn_fields *right = fields_of(0), *wrong = fields_of(0.3);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(names); i++) {
    const tn_tensor *zero = values_of(names[i], right), *more = values_of(names[i], wrong);
    for (int64_t k = 0; k < 3; k++) EXPECT_NEAR(harness_at(zero, k), 0, 1e-10);
    cr_assert(harness_at(more, 1) > 1e-3, "%s does not see wrong flows", names[i]);
  }
}

Test(gflownets, part_balance_is_the_triple_loop) {
  harness_open("float64", LOSSES);
  solve_flows();
  tn_fields *fields = fields_of(0.3);
  const double *pf = tn_f64(tn_field(fields, "log_pf")), *pb = tn_f64(tn_field(fields, "log_pb"));
  const double *flow = tn_f64(tn_field(fields, "log_flow")), *r = tn_f64(tn_field(fields, "log_reward"));
  const int64_t *offset = tn_i64(tn_field(fields, "offset"));
  const tn_tensor *got = values_of("subtb", fields), *none = values_of("subtb_0", fields);
  const tn_tensor *tiny = values_of("subtb_tiny", fields), *db = values_of("db", fields);
  for (int k = 0; k < 3; k++) {
    const int64_t n = offset[k + 1] - offset[k], first = offset[k];
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = i + 1; j <= n; j++) {
        double d = flow[first + i] - (j == n ? r[k] : flow[first + j]);
        for (int64_t t = i; t < j; t++) d += pf[first + t] - pb[first + t];
        sum += pow(0.7, (double)(j - i)) * d * d;
        weight += pow(0.7, (double)(j - i));
      }
    EXPECT_NEAR(harness_at(got, k), sum / weight, 1e-12);
    EXPECT_NEAR(harness_at(none, k), harness_at(db, k), 1e-12);
    EXPECT_NEAR(harness_at(tiny, k), harness_at(db, k), 1e-7);
  }
}

Test(gflownets, with_one_step_or_a_large_lambda_parts_are_trajectories) {
  harness_open("float64", LOSSES);
  solve_flows();
  tn_fields *fields = fields_of(0.3);
  declare_loss("tb");
  tn_f64(tn_param_tensor(tn_parameters(harness_component("tb")), 0))[0] = log_flow_at[0]; /* log F(s_0) */
  const tn_tensor *tb = values_of("tb", fields), *db = values_of("db", fields);
  const tn_tensor *sub = values_of("subtb", fields), *large = values_of("subtb_large", fields);
  EXPECT_NEAR(harness_at(db, 0), harness_at(tb, 0), 1e-12);
  EXPECT_NEAR(harness_at(sub, 0), harness_at(tb, 0), 1e-12);
  for (int k = 0; k < 3; k++) EXPECT_NEAR(harness_at(large, k), harness_at(tb, k), 1e-4);
}

Test(gflownets, derivatives_agree_with_finite_differences) {
  static const char *const names[] = {"tb", "db", "subtb", "huber", "fm", "reinforce"};
  static const char *const inputs[] = {"logits", "log_pf", "log_flow", "entropy"};
  harness_open("float64", LOSSES);
  solve_flows();
  for (size_t l = 0; l < TN_ARRAY_LENGTH(names); l++) {
    tn_fields *fields = fields_of(0.3);
    tn_tensor *leaves[4], *slopes[4];
    int compared = 0;
    for (int i = 0; i < 4; i++) leaves[i] = tn_field(fields, inputs[i]);
    tn_grad(tn_mean(values_of(names[l], fields)), leaves, 4, slopes, 0);
    for (int i = 0; i < 4; i++)
      for (int64_t k = 0; k < tn_numel(leaves[i]); k++) {
        double *at = tn_f64(leaves[i]) + k, x = *at, h = 1e-5;
        if (x < -1e20) { /* an illegal action */
          EXPECT_NEAR(tn_f64(slopes[i])[k], 0, 0);
          continue;
        }
        *at = x + h;
        const double above = tn_item(tn_mean(values_of(names[l], fields)));
        *at = x - h;
        const double below = tn_item(tn_mean(values_of(names[l], fields)));
        *at = x;
        if (strcmp(names[l], "reinforce") == 0 && i == 1) continue; /* the advantage is a constant: below */
        EXPECT_NEAR(tn_f64(slopes[i])[k], (above - below) / (2 * h), 1e-6);
        compared += fabs(above - below) > 1e-9;
      }
    cr_assert(compared > 0, "%s depends on nothing", names[l]);
  }
}

Test(gflownets, reinforce_pushes_by_the_normalised_advantage) {
  harness_open("float64", LOSSES);
  solve_flows();
  tn_fields *fields = fields_of(0);
  tn_tensor *log_pf = tn_field(fields, "log_pf"), *slope;
  const double *u = tn_f64(tn_field(fields, "utility"));
  const int64_t *owner = tn_i64(tn_field(fields, "trajectory"));
  tn_grad(tn_sum(values_of("reinforce", fields)), &log_pf, 1, &slope, 0);
  const double mean = (u[0] + u[1] + u[2]) / 3;
  double variance = 0;
  for (int i = 0; i < 3; i++) variance += (u[i] - mean) * (u[i] - mean) / 3;
  for (int v = 0; v < 7; v++) EXPECT_NEAR(tn_f64(slope)[v], -u[owner[v]] / (sqrt(variance) + 1e-8), 1e-9);
}

/* ---- policies in environments ---- */

#define GRID(side, more) "[grid]\nuse = environment.hypergrid\nside = " #side "\n" more "\n"
#define POLICY           "[policy]\nuse = model.policy_mlp\nhidden = 16\n"

static struct rollout rollout_on(const char *environment, const char *model, const char *preference,
                                 const tn_references *transforms, const char *loss) {
  struct rollout r = {.environment = harness_component(environment),
                      .model = harness_component(model),
                      .preference = preference ? harness_component(preference) : NULL,
                      .transforms = transforms};
  cr_assert(rollout_check(&r, loss ? harness_component(loss) : NULL) >= 0, "%s", harness_failure());
  return r;
}

static double measured;
struct take {
  tn_metric_sink sink;
  const char *name;
};
static void take(tn_metric_sink *sink, const char *name, double value) {
  if (strcmp(((struct take *)sink)->name, name) == 0) measured = value;
}
static double exact(const struct rollout *r, const char *loss, const char *figure) {
  const tn_metric_probe probe = {.size = sizeof probe,
                                 .model = r->model,
                                 .params = tn_parameters(r->model),
                                 .loss = loss ? harness_component(loss) : NULL,
                                 .transforms = r->transforms,
                                 .subject = r->environment,
                                 .preference = r->preference};
  struct take sink = {{sizeof sink.sink, take}, figure};
  measured = NAN;
  cr_assert(tn_metric_measure(harness_component("exact"), &probe, &sink.sink) >= 0, "%s", harness_failure());
  return measured;
}

static void fill(tn_params *params, double value) {
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_tensor *x = tn_param_tensor(params, i);
    for (int64_t k = 0; k < tn_numel(x); k++) tn_f64(x)[k] = value;
  }
}

/* All rewards 0.6. Zero logits: p = 1/3, 1/6, 1/6, 1/3. */
Test(gflownets, the_two_by_two_grid_is_as_by_hand) {
  harness_open("float64", GRID(2, "") POLICY "[exact]\nuse = metric.exact_distribution\n" LOSSES);
  const struct rollout r = rollout_on("grid", "policy", NULL, NULL, "tb");
  fill(tn_parameters(r.model), 0);
  EXPECT_NEAR(exact(&r, "tb", "l1"), 1.0 / 3, 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "tv"), 1.0 / 6, 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "uniform_l1"), 0, 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "mass_error"), 0, 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "kl"), 2.0 / 3 * log(4.0 / 3) + 1.0 / 3 * log(2.0 / 3), 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "log_z_error"), log(2.4), 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "objects"), 4, 0);
}

/* p(x) of a policy of random parameters, by the recursion over the grid. */
enum { WIDE = 5 };
static void recursion(const struct rollout *r, double *p) {
  double at[WIDE][WIDE] = {{1}}, state[3] = {0};
  for (int sum = 0; sum <= 2 * (WIDE - 1); sum++)
    for (int x = 0; x < WIDE; x++) {
      const int y = sum - x;
      if (y < 0 || y >= WIDE) continue;
      tn_fields *out = tn_fields_new();
      state[0] = x, state[1] = y;
      cr_assert(rollout_evaluate(r, tn_parameters(r->model), state, 1, 0, NULL, &progress, out) >= 0);
      const double *logits = tn_f64(tn_field(out, "logits"));
      double total = 0;
      for (int a = 0; a < 3; a++) total += exp(logits[a]);
      if (x + 1 < WIDE) at[x + 1][y] += at[x][y] * exp(logits[0]) / total;
      if (y + 1 < WIDE) at[x][y + 1] += at[x][y] * exp(logits[1]) / total;
      p[x * WIDE + y] = at[x][y] * exp(logits[2]) / total;
      if (x + 1 == WIDE) EXPECT_NEAR(exp(logits[0]), 0, 0);
    }
}

Test(gflownets, exact_probabilities_sum_to_one_and_agree_with_sampling) {
  enum { DRAWS = 20000 };
  double p[WIDE * WIDE], sum = 0, utility = 0, chi = 0, count[WIDE * WIDE] = {0};
  harness_open("float64", GRID(5, "") POLICY "[exact]\nuse = metric.exact_distribution\nchunk = 3\n");
  struct rollout r = rollout_on("grid", "policy", NULL, NULL, NULL);
  cr_assert(rollout_open(&r, DRAWS) >= 0);
  recursion(&r, p);
  tn_rng rng = tn_rng_at("gflownets", "draw", 0);
  cr_assert(rollout_draw(&r, tn_parameters(r.model), DRAWS, NULL, 0, &progress, &rng) >= 0);
  cr_assert(rollout_reward(&r, DRAWS) >= 0);
  for (int64_t i = 0; i < DRAWS; i++) count[(int)r.objects[3 * i] * WIDE + (int)r.objects[3 * i + 1]]++;
  for (int x = 0; x < WIDE * WIDE; x++) {
    double state[3] = {x / WIDE, x % WIDE, 1}, value;
    cr_assert(r.table->reward(r.environment->self, state, 1, &value) >= 0);
    sum += p[x];
    utility += p[x] * value;
    chi += (count[x] - DRAWS * p[x]) * (count[x] - DRAWS * p[x]) / (DRAWS * p[x]);
  }
  rollout_close(&r);
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_NEAR(exact(&r, NULL, "mass_error"), 0, 1e-12);
  EXPECT_NEAR(exact(&r, NULL, "utility"), utility, 1e-12);
  cr_assert(chi < 51.2, "chi-square with 24 degrees of freedom: %g, 51.2 is exceeded once in 1,000", chi);
}

/* Random exploration changes what is drawn, not the probabilities of the loss. */
Test(gflownets, log_probabilities_are_the_policys_and_count_the_parents) {
  harness_open("float64", GRID(4, "") POLICY LOSSES);
  struct rollout r = rollout_on("grid", "policy", NULL, NULL, "fm");
  cr_assert(rollout_open(&r, 40) >= 0);
  tn_rng rng = tn_rng_at("gflownets", "draw", 1);
  cr_assert(rollout_draw(&r, tn_parameters(r.model), 40, NULL, 1, &progress, &rng) >= 0);
  cr_assert(rollout_reward(&r, 40) >= 0);
  tn_fields *fields = tn_fields_new();
  cr_assert(rollout_fields(&r, tn_parameters(r.model), 40, NULL, TN_FLOW_PARENTS | TN_FLOW_ENTROPY, false,
                           &progress, fields) >= 0,
            "%s", harness_failure());
  const int64_t *offset = tn_i64(tn_field(fields, "offset")), *action = tn_i64(tn_field(fields, "action"));
  int64_t edges = 0;
  for (int64_t i = 0; i < 40; i++)
    for (int64_t t = 0; t < r.steps_of[i]; t++) {
      const int64_t v = offset[i] + t;
      const double *state = r.states + (i * r.info.max_steps + t) * 3;
      tn_fields *out = tn_fields_new();
      cr_assert(rollout_evaluate(&r, tn_parameters(r.model), state, 1, 0, NULL, &progress, out) >= 0);
      const double *logits = tn_f64(tn_field(out, "logits"));
      double total = 0, entropy = 0;
      for (int a = 0; a < 3; a++) total += exp(logits[a]);
      for (int a = 0; a < 3; a++)
        if (logits[a] > -1e20) entropy -= exp(logits[a]) / total * (logits[a] - log(total));
      EXPECT_NEAR(harness_at(tn_field(fields, "log_pf"), v), logits[action[v]] - log(total), 1e-12);
      EXPECT_NEAR(harness_at(tn_field(fields, "entropy"), v), entropy, 1e-12);
      EXPECT_NEAR(harness_at(tn_field(fields, "log_flow"), v), harness_at(tn_field(out, "log_flow"), 0),
                  1e-12);
      const double *next = state + 3;
      const int parents = t + 1 == r.steps_of[i] ? 1 : (next[0] > 0) + (next[1] > 0);
      EXPECT_NEAR(harness_at(tn_field(fields, "log_pb"), v), -log(parents), 1e-15);
      if (t > 0) edges += (state[0] > 0) + (state[1] > 0);
    }
  cr_assert_eq(tn_numel(tn_field(fields, "parent.child")), edges);
  rollout_close(&r);
}

Test(gflownets, a_learnt_backward_policy_sums_to_one_over_parents) {
  harness_open("float64",
               GRID(4, "") "[policy]\nuse = model.policy_mlp\nhidden = 16\nbackward = learnt\n" LOSSES);
  struct rollout r = rollout_on("grid", "policy", NULL, NULL, "tb");
  cr_assert(rollout_open(&r, 30) >= 0);
  tn_rng rng = tn_rng_at("gflownets", "draw", 2);
  cr_assert(rollout_draw(&r, tn_parameters(r.model), 30, NULL, 1, &progress, &rng) >= 0);
  cr_assert(rollout_reward(&r, 30) >= 0);
  tn_fields *fields = tn_fields_new();
  cr_assert(rollout_fields(&r, tn_parameters(r.model), 30, NULL, 0, true, &progress, fields) >= 0, "%s",
            harness_failure());
  const tn_tensor *log_pb = tn_field(fields, "log_pb"), *logits = tn_field(fields, "backward_logits");
  const int64_t *offset = tn_i64(tn_field(fields, "offset"));
  int inner = 0;
  for (int64_t i = 0; i < 30; i++)
    for (int64_t v = offset[i]; v < offset[i + 1]; v++) {
      const double *next = r.states + (i * r.info.max_steps + v + 1 - offset[i]) * 3;
      if (v + 1 == offset[i + 1]) {
        EXPECT_NEAR(harness_at(log_pb, v), 0, 0);
        continue;
      }
      if (next[0] == 0 || next[1] == 0) EXPECT_NEAR(harness_at(log_pb, v), 0, 1e-12); /* one parent */
      const double a = harness_at(logits, 3 * (v + 1)), b = harness_at(logits, 3 * (v + 1) + 1);
      const double taken = r.actions[i * r.info.max_steps + v - offset[i]] == 0 ? a : b;
      EXPECT_NEAR(harness_at(log_pb, v), taken - log(exp(a) + exp(b)), 1e-9);
      inner += next[0] > 0 && next[1] > 0;
    }
  cr_assert(inner > 0);
  rollout_close(&r);
}

/* ---- strings ---- */

#define STRINGS(keys) "[strings]\nuse = environment.sequence\n" keys "\n"

Test(gflownets, the_spectrum_counts_all_strings) {
  static double values[276 * 3], logs[276];
  double sum = 0;
  harness_open("float64", STRINGS("alphabet = ACDEFGVW\nmin_len = 16\nmax_len = 16\nngrams = AC, CV, VA"));
  const tn_component *c = harness_component("strings");
  const tn_environment_spectrum *spectrum = tn_extension(c, TN_ENVIRONMENT_SPECTRUM);
  cr_assert_eq(spectrum->spectrum(c->self, NULL, NULL, 0), 276);
  cr_assert_eq(spectrum->spectrum(c->self, values, logs, 276), 276);
  for (int i = 0; i < 276; i++) sum += exp(logs[i]);
  EXPECT_NEAR(sum / pow(8, 16), 1, 1e-12);
}

/* All strings of up to five letters of three, n-grams of one to three letters, against the counts. */
Test(gflownets, the_spectrum_agrees_with_enumeration) {
  enum { LENGTH = 5, MOST = 4096 };
  static double values[MOST * 3], logs[MOST];
  static int64_t count[6][6][6];
  harness_open("float64",
               STRINGS("alphabet = xyz\nmin_len = 2\nmax_len = 5\nngrams = x, xx, xyx\nscale = 1"));
  const tn_component *c = harness_component("strings");
  const tn_environment *e = c->vtable;
  for (int length = 2; length <= LENGTH; length++) {
    int total = 1;
    for (int i = 0; i < length; i++) total *= 3;
    for (int s = 0; s < total; s++) {
      double state[LENGTH + 1] = {-1, -1, -1, -1, -1, 1}, r[3];
      for (int i = 0, rest = s; i < length; i++, rest /= 3) state[i] = rest % 3;
      cr_assert(e->reward(c->self, state, 1, r) >= 0);
      count[(int)r[0]][(int)r[1]][(int)r[2]]++;
    }
  }
  const tn_environment_spectrum *spectrum = tn_extension(c, TN_ENVIRONMENT_SPECTRUM);
  const int64_t n = spectrum->spectrum(c->self, values, logs, MOST);
  int64_t wanted = 0;
  for (int i = 0; i < 216; i++) wanted += count[i / 36][i / 6 % 6][i % 6] > 0;
  cr_assert_eq(n, wanted);
  for (int64_t i = 0; i < n; i++)
    EXPECT_NEAR(exp(logs[i]),
                (double)count[(int)values[3 * i]][(int)values[3 * i + 1]][(int)values[3 * i + 2]], 1e-9);
}

/* Fixed policies: the graph of the strings and their spectrum give the same log Z and target. */
Test(gflownets, strings_by_their_graph_and_by_their_spectrum_have_one_target) {
  harness_open(
      "float64",
      STRINGS(
          "alphabet = xyz\nmin_len = 1\nmax_len = 4\nngrams = xy, zz\nscale = 2") "[letters]\nuse = "
                                                                                  "model.policy_gru\nwidth = "
                                                                                  "8\n"
                                                                                  "[weights]\nuse = "
                                                                                  "preference."
                                                                                  "simplex\ndivisions = "
                                                                                  "3\nbeta = 3\n"
                                                                                  "[exact]\nuse = "
                                                                                  "metric.exact_"
                                                                                  "distribution\n" LOSSES);
  const struct rollout r = rollout_on("strings", "letters", "weights", NULL, "tb");
  const double graph = exact(&r, "tb", "target_utility"), z = exact(&r, "tb", "log_z_error");
  EXPECT_NEAR(exact(&r, "tb", "mass_error"), 0, 1e-12);
  EXPECT_NEAR(exact(&r, "tb", "objects"), 3 + 9 + 27 + 81, 0);
  harness_open(
      "float64",
      STRINGS("alphabet = xyz\nmin_len = 1\nmax_len = 4\nngrams = xy, zz\nscale = 2") "[letters]\nuse = "
                                                                                      "model.policy_"
                                                                                      "gru\nwidth = 8\n"
                                                                                      "[weights]\nuse = "
                                                                                      "preference."
                                                                                      "simplex\ndivisions = "
                                                                                      "3\nbeta = 3\n"
                                                                                      "[exact]\nuse = "
                                                                                      "metric.exact_"
                                                                                      "distribution\nlimit = "
                                                                                      "10\n" LOSSES);
  const struct rollout s = rollout_on("strings", "letters", "weights", NULL, "tb");
  EXPECT_NEAR(exact(&s, "tb", "target_utility"), graph, 1e-12);
  EXPECT_NEAR(exact(&s, "tb", "log_z_error"), z, 1e-12);
}

/* Letter by letter a policy says what it says of all prefixes at once. */
static void steps_agree(const char *model) {
  char sections[1024];
  snprintf(sections, sizeof sections,
           STRINGS("alphabet = wxyz\nmin_len = 2\nmax_len = 6\nngrams = xy, zz") "[weights]\nuse = "
                                                                                 "preference.simplex\n["
                                                                                 "letters]\nuse = %s\nlayers "
                                                                                 "= 2\nwidth = 8\n" LOSSES,
           model);
  harness_open("float64", sections);
  struct rollout r = rollout_on("strings", "letters", "weights", NULL, "db");
  enum { N = 12 };
  cr_assert(rollout_open(&r, N) >= 0);
  tn_params *params = tn_parameters(r.model);
  tn_rng rng = tn_rng_at("gflownets", "strings", 0);
  for (uint32_t i = 0; i < tn_params_count(params);
       i++) { /* far from the start, where all letters are alike */
    tn_tensor *x = tn_param_tensor(params, i);
    for (int64_t k = 0; k < tn_numel(x); k++) tn_f64(x)[k] += 0.5 * tn_random_normal(&rng);
  }
  cr_assert(tn_preference_draw(r.preference, 2, 0, N, r.asked_of, &rng) >= 0);
  tn_tensor *condition = rollout_condition(&r, r.asked_of, N, &progress);
  cr_assert(rollout_draw(&r, params, N, condition, 0.2, &progress, &rng) >= 0, "%s", harness_failure());
  cr_assert(rollout_reward(&r, N) >= 0);
  tn_fields *fields = tn_fields_new();
  cr_assert(rollout_fields(&r, params, N, condition, 0, false, &progress, fields) >= 0, "%s",
            harness_failure());
  const tn_tensor *logits = tn_field(fields, "logits"), *flow = tn_field(fields, "log_flow");
  const int64_t *offset = tn_i64(tn_field(fields, "offset"));
  for (int64_t i = 0; i < N; i++) {
    tn_fields *former = NULL;
    for (int64_t t = 0; t < r.steps_of[i]; t++) {
      const double *state = r.states + (i * r.info.max_steps + t) * r.info.state_width;
      r.active[0] = i;
      cr_assert(r.table->mask(r.environment->self, state, 1, r.mask) >= 0);
      tn_fields *in = rollout_letter(&r, t, 1, former, NULL, tn_slice(condition, 0, i, i + 1)),
                *out = tn_fields_new();
      cr_assert(rollout_apply(&r, params, in, out, &progress, true) >= 0, "%s", harness_failure());
      for (int64_t a = 0; a < 5; a++)
        EXPECT_NEAR(harness_at(tn_field(out, "logits"), a) / 1e3,
                    harness_at(logits, (offset[i] + t) * 5 + a) / 1e3, 1e-12);
      EXPECT_NEAR(harness_at(tn_field(out, "log_flow"), 0), harness_at(flow, offset[i] + t), 1e-9);
      former = out;
    }
  }
  rollout_close(&r);
}
Test(gflownets, recurrent_policies_step_as_they_run) { steps_agree("model.policy_gru"); }
Test(gflownets, transformer_policies_step_as_they_run) { steps_agree("model.policy_transformer"); }

Test(gflownets, illegal_actions_get_no_gradient) {
  harness_open("float64", GRID(3, "") POLICY);
  const struct rollout r = rollout_on("grid", "policy", NULL, NULL, NULL);
  const double corner[3] = {2, 1, 0};
  tn_params *params = tn_parameters(r.model), *slope = tn_params_like(params);
  tn_fields *out = tn_fields_new();
  cr_assert(rollout_evaluate(&r, params, corner, 1, 0, NULL, &progress, out) >= 0);
  tn_tensor *log_p = tn_log_softmax(tn_field(out, "logits"), 1);
  cr_assert(tn_grad_params(tn_sum(tn_mul(tn_exp(log_p), log_p)), params, slope) >= 0);
  bool seen = false;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    tn_params_entry(slope, i, &entry);
    if (strcmp(entry.name, "logits.bias") != 0) continue;
    EXPECT_NEAR(tn_f64(entry.tensor)[0], 0, 0); /* x cannot rise any more */
    cr_assert(tn_f64(entry.tensor)[1] != 0);
    seen = true;
  }
  cr_assert(seen);
  tn_params_release(slope);
}

/* ---- training ---- */

static tn_registry *registry;
static double trained(const char *keys) {
  char text[2048];
  tn_error error = {0};
  if (!registry) {
    const tn_registry_options options = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
    registry = tn_registry_open(&options, &error);
  }
  snprintf(text, sizeof text,
           "[pipeline]\nstages = learn, exact\nobservers =\nseed = 7\n" GRID(4, "") POLICY
           "[tb]\nuse = loss.trajectory_balance\n[adam]\nuse = optimizer.adam\nlr = 1e-2\n"
           "[one]\nuse = preference.simplex\nreward_min = 1e-30\n"
           "[learn]\nuse = stage.gflownet\nenvironment = grid\nmodel = policy\nloss = tb\noptimizer = adam\n"
           "batch = 16\nsteps = 30\n%s\n"
           "[exact]\nuse = stage.sample\nenvironment = grid\nmodel = policy\nloss = tb\n"
           "metrics = metric.exact_distribution\noutput =\n",
           keys);
  const tn_pipeline_options options = {.file = "gflownets", .text = text, .quiet = true};
  tn_pipeline *p = tn_pipeline_open(registry, &options, &error);
  cr_assert(p != NULL, "%s", error.text);
  cr_assert(tn_pipeline_check(p, &error) >= 0, "%s", error.text);
  cr_assert(tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  double value = NAN;
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, "exact.l1") == 0) value = results[i].value;
  tn_pipeline_close(p);
  return value;
}
Test(gflownets, one_objective_of_weight_one_is_the_run_without_preferences) {
  const double plain = trained("");
  cr_assert(plain > 0 && plain < 1, "%g", plain);
  EXPECT_NEAR(trained("preference = one"), plain, 0);
}
Test(gflownets, replay_and_averages_learn_too) {
  const double plain = trained("");
  const double replayed = trained("replay = 64"), averaged = trained("sampling_average = 0.9");
  cr_assert(replayed != plain && averaged != plain);
  cr_assert(replayed < 1.2 && averaged < 1.2, "%g %g", replayed, averaged);
}

/* ---- mutation and its surrogate ---- */

#define EDITS                                                                      \
  STRINGS("alphabet = wxyz\nmin_len = 5\nmax_len = 5\nngrams = wx, zz\nscale = 1") \
  "[edits]\nuse = environment.edits\nstrings = strings\nedits = 2\n"

Test(gflownets, mutations_change_at_most_so_many_letters_of_a_member_of_the_pool) {
  enum { N = 64 };
  static const double pool[2][6] = {{0, 1, 2, 3, 3, 1}, {3, 3, 3, 3, 3, 1}};
  harness_open("float64", EDITS POLICY);
  struct rollout r = {
      .environment = harness_component("edits"), .model = harness_component("policy"), .unasked = true};
  cr_assert(rollout_check(&r, NULL) >= 0, "%s", harness_failure());
  cr_assert(rollout_open(&r, N) >= 0);
  const tn_environment_pool *table = tn_extension(r.environment, TN_ENVIRONMENT_POOL);
  cr_assert(table->set(r.environment->self, &pool[0][0], 2) >= 0);
  tn_rng rng = tn_rng_at("gflownets", "edits", 0);
  cr_assert(rollout_draw(&r, tn_parameters(r.model), N, NULL, 1, &progress, &rng) >= 0);
  int members[2] = {0}, changed[4] = {0};
  for (int i = 0; i < N; i++) {
    const double *x = r.objects + i * 11;
    const int member = x[0] == 0 ? 0 : 1;
    int changes = 0;
    for (int t = 0; t < 5; t++) {
      EXPECT_NEAR(x[t], pool[member][t], 0);
      changes += x[5 + t] != x[t];
    }
    cr_assert(changes <= 2 && changes == (int)r.steps_of[i] - 1);
    members[member]++, changed[changes]++;
    /* The base's view, and its objectives. */
    double object[6], values[2], direct[2];
    table->objects(r.environment->self, x, 1, object);
    for (int t = 0; t < 5; t++) EXPECT_NEAR(object[t], x[5 + t], 0);
    const tn_component *base = harness_component("strings");
    cr_assert(((const tn_environment *)base->vtable)->reward(base->self, object, 1, direct) >= 0);
    cr_assert(r.table->reward(r.environment->self, x, 1, values) >= 0);
    EXPECT_NEAR(values[0], direct[0], 0);
    EXPECT_NEAR(values[1], direct[1], 0);
  }
  cr_assert(members[0] > 0 && members[1] > 0 && changed[0] > 0 && changed[1] > 0 && changed[2] > 0);
  /* A state with two edits has two parents, each with one. */
  const double state[11] = {0, 1, 2, 3, 3, 1, 1, 2, 0, 3, 0};
  double parents[4 * 11];
  int64_t actions[4];
  cr_assert_eq(r.table->parents(r.environment->self, state, parents, actions, 4), 2);
  cr_assert_eq(actions[0], 0 * 4 + 1);
  cr_assert_eq(actions[1], 3 * 4 + 0);
  EXPECT_NEAR(parents[5], 0, 0);
  EXPECT_NEAR(parents[11 + 8], 3, 0);
  rollout_close(&r);
}

Test(gflownets, edits_refuse_strings_of_many_lengths) {
  const char *message = harness_refusal(
      "float64",
      STRINGS("alphabet = xy\nngrams = xy") "[edits]\nuse = environment.edits\nstrings = strings\n");
  cr_assert(strstr(message, "may end after 1 of 36 letters; edits need one length") != NULL, "%s", message);
}
