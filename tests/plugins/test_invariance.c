// SPDX-License-Identifier: MIT
/* Losses that penalise differences between domains (CORAL, IRMv1, V-REx), against closed forms of linear
 * models and finite differences. The rows of three domains, which bear arbitrary numbers, lie mixed. */
#include "harness.h"
#include <tenon/loss.h>

TestSuite(invariance, .fini = harness_close);

enum { N = 8, D = 3, C = 3, K = 3 };
static const double x[N * D] = {0.4, -1.1, 0.3, 0.9,  0.2, -0.6, -0.7, 0.5, 1.2,  0.1,  -0.3, 0.8,
                                1.5, -0.4, 0.6, -0.2, 0.7, -0.9, 0.3,  1.0, -0.5, -0.8, 0.6,  0.2};
static const double weight[C * D] = {0.5, -0.3, 0.8, -0.6, 0.4, 0.1, 0.2, 0.9, -0.7};
static const double targets[N] = {0.5, -1, 0.3, 1.1, -0.4, 0.8, 0.2, -0.9};
static const int64_t labels[N] = {0, 2, 1, 1, 0, 2, 0, 1}, numbers[N] = {7, 4, 7, 9, 4, 7, 9, 4};
static const int domain_of[N] = {1, 0, 1, 2, 0, 1, 2, 0};
static const double sizes[K] = {3, 3, 2};

static tn_tensor *value_of(const tn_fields *fields, int64_t step) {
  const tn_loss_call call = {
      .size = sizeof call, .fields = fields, .progress = {.size = sizeof call.progress, .step = step}};
  tn_tensor *value = tn_loss_value(harness_component("l"), &call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return value;
}
static tn_fields *rows_of(void) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "label", harness_labels(N, labels));
  tn_fields_set(fields, "domain", harness_labels(N, numbers));
  return fields;
}
/* A linear classifier's loss, and its slope by the weights. */
static double classify(const double *w, int64_t step, double *slope) {
  tn_tensor *leaf = tn_leaf(harness_tensor(TN_SHAPE(C, D), w)), *gradient = NULL;
  tn_fields *fields = rows_of();
  tn_fields_set(fields, "logits", tn_matmul_nt(harness_tensor(TN_SHAPE(N, D), x), leaf));
  tn_tensor *value = value_of(fields, step);
  if (slope) {
    tn_grad(value, &leaf, 1, &gradient, 0);
    for (int i = 0; i < C * D; i++) slope[i] = harness_at(gradient, i);
  }
  return tn_item(value);
}
static void expect_slope(double (*f)(const double *at), const double *at, const double *slope, int count) {
  double moved[N * D];
  const double h = 1e-6;
  memcpy(moved, at, (size_t)count * sizeof *at);
  for (int i = 0; i < count; i++) {
    moved[i] = at[i] + h;
    const double above = f(moved);
    moved[i] = at[i] - h;
    const double below = f(moved);
    moved[i] = at[i];
    EXPECT_NEAR(slope[i], (above - below) / (2 * h), 1e-7);
  }
}

/* ---- by hand: risks R_e of the linear classifier, and d R_e / d s = mean of sum_c (p_c - [c = y]) z_c ----
 */

static void judge(const double *w, double *risk, double *derivative) {
  memset(risk, 0, K * sizeof *risk);
  memset(derivative, 0, K * sizeof *derivative);
  for (int i = 0; i < N; i++) {
    double z[C] = {0}, total = 0;
    for (int c = 0; c < C; c++) {
      for (int k = 0; k < D; k++) z[c] += w[c * D + k] * x[i * D + k];
      total += exp(z[c]);
    }
    risk[domain_of[i]] += (log(total) - z[labels[i]]) / sizes[domain_of[i]];
    for (int c = 0; c < C; c++)
      derivative[domain_of[i]] += (exp(z[c]) / total - (c == labels[i])) * z[c] / sizes[domain_of[i]];
  }
}
static double mean_risk(const double *w) {
  double risk[K], derivative[K], sum = 0;
  judge(w, risk, derivative);
  for (int e = 0; e < K; e++) sum += risk[e] / K;
  return sum;
}
static double irm_by_hand(const double *w) {
  double risk[K], derivative[K], sum = 0;
  judge(w, risk, derivative);
  for (int e = 0; e < K; e++) sum += (risk[e] + 3 * derivative[e] * derivative[e]) / K;
  return sum;
}
static double vrex_by_hand(const double *w) {
  double risk[K], derivative[K], variance = 0;
  const double mean = mean_risk(w);
  judge(w, risk, derivative);
  for (int e = 0; e < K; e++) variance += (risk[e] - mean) * (risk[e] - mean) / (K - 1);
  return mean + 3 * variance;
}

/* ---- IRMv1 ---- */

Test(invariance, irm_of_a_linear_classifier_is_its_formula_and_its_slope) {
  harness_open("float64", "[l]\nuse = loss.irm\nweight = 3\nrescale = no\n");
  double slope[C * D];
  EXPECT_NEAR(classify(weight, 0, slope), irm_by_hand(weight), 1e-14);
  expect_slope(irm_by_hand, weight, slope, C * D);
}

/* Linear regression z = w x: R(s) = mean (s z - y)^2, R'(1) = 2 mean (z - y) z, of which the slope by w is
 * 2 mean (2 z - y) x. So the gradient of 1/K sum_e (R_e + 3 R_e'^2) is known exactly. */
Test(invariance, irm_of_linear_regression_has_its_analytic_gradient) {
  harness_open("float64", "[l]\nuse = loss.irm\nweight = 3\nrescale = no\nlogits = output\nloss = square\n"
                          "[square]\nuse = loss.squared_error\n");
  tn_tensor *leaf = tn_leaf(harness_tensor(TN_SHAPE(1, D), weight)), *gradient = NULL;
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "domain", harness_labels(N, numbers));
  tn_fields_set(fields, "target", harness_tensor(TN_SHAPE(N, 1), targets));
  tn_fields_set(fields, "output", tn_matmul_nt(harness_tensor(TN_SHAPE(N, D), x), leaf));
  tn_tensor *value = value_of(fields, 0);
  tn_grad(value, &leaf, 1, &gradient, 0);
  double risk[K] = {0}, derivative[K] = {0}, d_risk[K][D] = {{0}}, d_derivative[K][D] = {{0}};
  for (int i = 0; i < N; i++) {
    const int e = domain_of[i];
    const double n = sizes[e], y = targets[i];
    double z = 0;
    for (int k = 0; k < D; k++) z += weight[k] * x[i * D + k];
    risk[e] += (z - y) * (z - y) / n;
    derivative[e] += 2 * (z - y) * z / n;
    for (int k = 0; k < D; k++) {
      d_risk[e][k] += 2 * (z - y) * x[i * D + k] / n;
      d_derivative[e][k] += 2 * (2 * z - y) * x[i * D + k] / n;
    }
  }
  double wanted = 0, slope[D] = {0};
  for (int e = 0; e < K; e++) {
    wanted += (risk[e] + 3 * derivative[e] * derivative[e]) / K;
    for (int k = 0; k < D; k++) slope[k] += (d_risk[e][k] + 6 * derivative[e] * d_derivative[e][k]) / K;
  }
  EXPECT_NEAR(tn_item(value), wanted, 1e-14);
  for (int k = 0; k < D; k++) EXPECT_NEAR(harness_at(gradient, k), slope[k], 1e-13);
}

/* Logits of 0 cannot be scaled: no penalty, and none of its slope. */
Test(invariance, irm_of_zero_logits_is_the_risk) {
  harness_open("float64", "[l]\nuse = loss.irm\nweight = 1e6\nrescale = no\n");
  const double zero[C * D] = {0};
  double slope[C * D];
  EXPECT_NEAR(classify(zero, 0, slope), log(C), 1e-14);
  expect_slope(mean_risk, zero, slope, C * D);
}

Test(invariance, irm_does_not_need_recording) {
  harness_open("float64", "[l]\nuse = loss.irm\n");
  const double recorded = classify(weight, 0, NULL);
  const bool recording = tn_record(false);
  const double silent = classify(weight, 0, NULL);
  cr_assert(!tn_record(recording), "it leaves recording on");
  EXPECT_REAL(silent, recorded);
}

/* ---- V-REx ---- */

Test(invariance, vrex_of_a_linear_classifier_is_its_formula_and_its_slope) {
  harness_open("float64", "[l]\nuse = loss.vrex\nweight = 3\nrescale = no\n");
  double slope[C * D];
  EXPECT_NEAR(classify(weight, 0, slope), vrex_by_hand(weight), 1e-14);
  expect_slope(vrex_by_hand, weight, slope, C * D);
}

/* One row a domain, outputs a and b against 0: risks a^2 and b^2, variance (a^2 - b^2)^2 / 2. */
Test(invariance, vrex_of_two_risks_is_half_the_square_of_their_difference) {
  harness_open("float64", "[l]\nuse = loss.vrex\nweight = 0.8\nloss = loss.squared_error\n");
  const double outputs[3][2] = {{1.5, 0.5}, {0.7, 0.7}, {1.5, 0.5}};
  for (int r = 0; r < 3; r++) { /* the last time as rows of one domain */
    tn_fields *fields = tn_fields_new();
    tn_fields_set(fields, "domain", harness_labels(2, (const int64_t[]){3, r == 2 ? 3 : -5}));
    tn_fields_set(fields, "target", tn_zeros(TN_F64, TN_SHAPE(2, 1)));
    tn_fields_set(fields, "output", harness_tensor(TN_SHAPE(2, 1), outputs[r]));
    const double a = outputs[r][0] * outputs[r][0], b = outputs[r][1] * outputs[r][1];
    EXPECT_NEAR(tn_item(value_of(fields, 0)), (a + b) / 2 + (r == 2 ? 0 : 0.8 * (a - b) * (a - b) / 2),
                1e-15);
  }
}

/* ---- CORAL ---- */

static bool with_means;

/* Mean of (first feature - target)^2, and the distances of the covariances, of the means, over three pairs.
 */
static double coral_by_hand(const double *z) {
  double mean[K][D] = {{0}}, covariance[K][D][D] = {{{0}}}, sum = 0;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < D; k++) mean[domain_of[i]][k] += z[i * D + k] / sizes[domain_of[i]];
  for (int i = 0; i < N; i++) {
    const int e = domain_of[i];
    for (int j = 0; j < D; j++)
      for (int k = 0; k < D; k++)
        covariance[e][j][k] += (z[i * D + j] - mean[e][j]) * (z[i * D + k] - mean[e][k]) / (sizes[e] - 1);
    sum += (z[i * D] - targets[i]) * (z[i * D] - targets[i]) / N;
  }
  for (int a = 0; a < K; a++)
    for (int b = a + 1; b < K; b++)
      for (int j = 0; j < D; j++) {
        if (with_means) sum += 2 * pow(mean[a][j] - mean[b][j], 2) / D / K;
        for (int k = 0; k < D; k++)
          sum += 2 * pow(covariance[a][j][k] - covariance[b][j][k], 2) / (4 * D * D) / K;
      }
  return sum;
}
static double coral(const double *z, const int64_t *domain, double *slope) {
  tn_tensor *leaf = tn_leaf(harness_tensor(TN_SHAPE(N, D), z)), *gradient = NULL;
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "domain", harness_labels(N, domain));
  tn_fields_set(fields, "target", harness_tensor(TN_SHAPE(N, 1), targets));
  tn_fields_set(fields, "features", leaf);
  tn_fields_set(fields, "output", tn_slice(leaf, 1, 0, 1));
  tn_tensor *value = value_of(fields, 0);
  if (slope) {
    tn_grad(value, &leaf, 1, &gradient, 0);
    for (int i = 0; i < N * D; i++) slope[i] = harness_at(gradient, i);
  }
  return tn_item(value);
}
#define CORAL "[square]\nuse = loss.squared_error\n[l]\nuse = loss.coral\nweight = 2\nloss = square\n"

Test(invariance, coral_is_its_formula_and_its_slope) {
  for (int m = 0; m < 2; m++) {
    double slope[N * D];
    with_means = m == 1;
    harness_open("float64", with_means ? CORAL "means = yes\n" : CORAL);
    EXPECT_NEAR(coral(x, numbers, slope), coral_by_hand(x), 1e-14);
    expect_slope(coral_by_hand, x, slope, N * D);
  }
}

/* Covariances do not see that a whole domain moves; a domain of one row has none and is left out. */
Test(invariance, coral_sees_covariances_alone) {
  harness_open("float64", "[l]\nuse = loss.coral\nweight = 2\nloss = square\n"
                          "[square]\nuse = loss.squared_error\noutput = constant\n");
  double moved[N * D];
  for (int i = 0; i < N * D; i++) moved[i] = x[i] + (domain_of[i / D] == 1 ? 10 + i % D : 0);
  double penalty[4];
  for (int r = 0; r < 4; r++) {
    static const int64_t one[N] = {5, 5, 5, 5, 5, 5, 5, 5}, lone[N] = {5, 5, 5, 2, 5, 5, 5, 5};
    tn_fields *fields = tn_fields_new();
    tn_fields_set(fields, "domain", harness_labels(N, r < 2 ? numbers : r == 2 ? one : lone));
    tn_fields_set(fields, "target", tn_zeros(TN_F64, TN_SHAPE(N, 1)));
    tn_fields_set(fields, "constant", tn_zeros(TN_F64, TN_SHAPE(N, 1)));
    tn_fields_set(fields, "features", harness_tensor(TN_SHAPE(N, D), r == 1 ? moved : x));
    penalty[r] = tn_item(value_of(fields, 0));
  }
  cr_assert(penalty[0] > 0.01);
  EXPECT_NEAR(penalty[1], penalty[0], 1e-13);
  EXPECT_REAL(penalty[2], 0);
  EXPECT_REAL(penalty[3], 0);
}

/* ---- what they share ---- */

/* w = anneal_value for the first 5 steps, then weight; the loss is divided by w where that is above 1. */
Test(invariance, weight_is_annealed_and_the_loss_rescaled) {
  harness_open("float64", "[l]\nuse = loss.vrex\nweight = 50\nanneal = 5\nanneal_value = 0.5\n");
  const double risk = mean_risk(weight), variance = (vrex_by_hand(weight) - risk) / 3;
  EXPECT_NEAR(classify(weight, 4, NULL), risk + 0.5 * variance, 1e-14);
  EXPECT_NEAR(classify(weight, 5, NULL), (risk + 50 * variance) / 50, 1e-14);
}

static void expect_refused(const char *sections, bool with_domain, const char *why) {
  harness_open("float64", sections);
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "logits", TN_FLOAT, TN_SHAPE(C), 0);
  tn_spec_set(spec, "features", TN_FLOAT, TN_SHAPE(D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, C);
  if (with_domain) tn_spec_set(spec, "domain", TN_I64, (tn_shape){0, {0}}, K);
  cr_assert(tn_declare_component(harness_component("l"), spec, NULL) < 0);
  tn_spec_release(spec);
  EXPECT_CONTAINS(harness_failure(), why);
}
Test(invariance, what_has_no_domains_or_no_risk_of_a_sample_is_refused) {
  expect_refused("[l]\nuse = loss.irm\n", false, "domain");
  expect_refused("[l]\nuse = loss.vrex\nloss = c\n[c]\nuse = loss.coral\n", true, "gives no loss a sample");
  expect_refused("[l]\nuse = loss.irm\nlogits = scores\n", true, "scores");
}
