// SPDX-License-Identifier: MIT
/* Losses from the confusion matrix: values in closed form, and derivatives against finite differences. */
#include "harness.h"
#include <tenon/metric.h>
#include <tenon/loss.h>

TestSuite(anyloss, .fini = harness_close);

#define ANYLOSS(name, keys) "[" name "]\nuse = loss.confusion_metric\n" keys "\n"
#define SOL(name, keys)     "[" name "]\nuse = loss.score_oriented\n" keys "\n"

static const char everything[] = ANYLOSS("f1", "metric = f1") ANYLOSS("f2", "metric = f_beta\nbeta = 2")
    ANYLOSS("g_mean", "metric = g_mean") ANYLOSS("balanced_accuracy", "metric = balanced_accuracy")
        ANYLOSS("accuracy", "metric = accuracy") ANYLOSS("precision", "metric = precision")
            ANYLOSS("recall", "metric = recall") ANYLOSS("written_f1", "expression = 2*TP/(2*TP+FP+FN)")
                ANYLOSS("mcc", "expression = (TP*TN-FP*FN)/sqrt((TP+FP)*(TP+FN)*(TN+FP)*(TN+FN))")
                    ANYLOSS("cells", "expression = TP+FP+FN+TN-N") ANYLOSS("cell_tp", "expression = TP")
                        ANYLOSS("cell_fp", "expression = FP") ANYLOSS("plain", "metric = f1\namplify = 0")
                            SOL("sol", "metric = f1")
                                SOL("cosine", "metric = g_mean\nprior = cosine\ndelta = 0.3");
static const char *const trained[] = {"f1",       "f2",        "g_mean", "balanced_accuracy",
                                      "accuracy", "precision", "recall", "written_f1",
                                      "mcc",      "plain",     "sol",    "cosine"};

static tn_tensor *value(const char *section, tn_tensor *logits, int64_t count, const int64_t *labels) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "logits", logits);
  tn_fields_set(fields, "label", harness_labels(count, labels));
  const tn_loss_call call = {.size = sizeof call, .fields = fields};
  tn_tensor *loss = tn_loss_value(harness_component(section), &call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  cr_assert_eq(tn_numel(loss), 1);
  return loss;
}
static double number(const char *section, int64_t count, const double *z, const int64_t *labels) {
  return tn_item(value(section, harness_tensor(TN_SHAPE(count, 1), z), count, labels));
}
static double logit(double p) { return log(p) - log1p(-p); }

/* d loss / d z of every sample */
static tn_tensor *slope(const char *section, int64_t count, const double *z, const int64_t *labels) {
  tn_record(true);
  tn_tensor *x = tn_leaf(harness_tensor(TN_SHAPE(count, 1), z)), *gradient;
  tn_grad(value(section, x, count, labels), &x, 1, &gradient, 0);
  tn_record(false);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return gradient;
}

enum { N = 6 };
static const double some[N] = {0.08, -0.05, 0.02, -0.09, 0.03, -0.01}; /* p near 1/2: A is steep there */
static const int64_t some_labels[N] = {1, 1, 0, 0, 0, 1};

/* p = (.9, .6, .4, .1): s = (1 - 2.1e-13, .999325, .000675, 2.1e-13), their sum 2;
 * F1 = 2 TP / (P + S) = 2 (1 + .9993249) / 4 */
Test(anyloss, probabilities_are_amplified) {
  harness_open("float64", everything);
  const double z[] = {logit(0.9), logit(0.6), logit(0.4), logit(0.1)};
  const int64_t labels[] = {1, 1, 0, 0};
  const double s = 1 / (1 + exp(-7.3)), sharp = 1 / (1 + exp(-29.2));
  EXPECT_NEAR(s, 0.999325, 5e-7);
  EXPECT_NEAR(1 - sharp, 2.1e-13, 5e-15);
  EXPECT_NEAR(1 - number("cell_tp", 4, z, labels), s + sharp, 1e-11);
  EXPECT_NEAR(1 - number("cell_fp", 4, z, labels), 2 - s - sharp, 1e-11);
  EXPECT_NEAR(number("f1", 4, z, labels), 1 - 2 * (s + sharp) / 4, 1e-11);
  EXPECT_NEAR(number("f1", 4, z, labels), 0.00033754, 1e-8);
}

/* s = 1/2: TP = P / 2, FP = (N - P) / 2 */
Test(anyloss, undecided_predictions_halve_every_cell) {
  harness_open("float64", everything);
  const double z[5] = {0};
  const int64_t labels[] = {1, 0, 0, 1, 0};
  EXPECT_NEAR(1 - number("cell_tp", 5, z, labels), 1, 1e-11);
  EXPECT_NEAR(1 - number("cell_fp", 5, z, labels), 1.5, 1e-11);
  EXPECT_NEAR(number("balanced_accuracy", 5, z, labels), 0.5, 1e-11);
  EXPECT_NEAR(number("g_mean", 5, z, labels), 0.5, 1e-11);
  EXPECT_NEAR(1 - number("f1", 5, z, labels), 2 / (2 + 2.5), 1e-11);
  EXPECT_NEAR(1 - number("f2", 5, z, labels), 5 * 1 / (4 * 2 + 2.5), 1e-11);
  EXPECT_NEAR(1 - number("precision", 5, z, labels), 1 / 2.5, 1e-11);
  EXPECT_NEAR(1 - number("recall", 5, z, labels), 0.5, 1e-11);
  EXPECT_NEAR(number("accuracy", 5, z, labels), 0.5, 1e-11);
  EXPECT_NEAR(1 - number("mcc", 5, z, labels), 0, 1e-11);
}

Test(anyloss, cells_sum_to_the_batch) {
  harness_open("float64", everything);
  EXPECT_NEAR(1 - number("cells", N, some, some_labels), 0, 1e-10);
  const int64_t unlabelled[N] = {1, -1, 0, 0, -1, 1};
  EXPECT_NEAR(1 - number("cells", N, some, unlabelled), 0, 1e-10);
}

/* Predictions 1 0 1 0 1 0 against 1 1 0 0 0 1: TP 1, FP 2, FN 2, TN 1. */
Test(anyloss, steep_amplification_gives_the_hard_metric) {
  harness_open("float64", ANYLOSS("f1", "amplify = 1e6") ANYLOSS("g", "amplify = 1e6\nmetric = g_mean")
                              ANYLOSS("b", "amplify = 1e6\nmetric = balanced_accuracy")
                                  ANYLOSS("p", "amplify = 1e6\nmetric = precision"));
  EXPECT_NEAR(1 - number("f1", N, some, some_labels), 2.0 / 6, 1e-11);
  EXPECT_NEAR(1 - number("g", N, some, some_labels), 1.0 / 3, 1e-11);
  EXPECT_NEAR(1 - number("b", N, some, some_labels), 1.0 / 3, 1e-11);
  EXPECT_NEAR(1 - number("p", N, some, some_labels), 1.0 / 3, 1e-11);
}

Test(anyloss, order_in_the_batch_does_not_matter) {
  harness_open("float64", everything);
  static const int order[N] = {4, 2, 0, 5, 1, 3};
  double z[N];
  int64_t labels[N];
  for (int i = 0; i < N; i++) z[i] = some[order[i]], labels[i] = some_labels[order[i]];
  for (size_t m = 0; m < TN_ARRAY_LENGTH(trained); m++)
    EXPECT_NEAR(number(trained[m], N, z, labels), number(trained[m], N, some, some_labels), 1e-14);
}

Test(anyloss, derivatives_are_those_of_finite_differences) {
  harness_open("float64", everything);
  const double h = 1e-6;
  for (size_t m = 0; m < TN_ARRAY_LENGTH(trained); m++) {
    const tn_tensor *gradient = slope(trained[m], N, some, some_labels);
    double largest = 0;
    for (int i = 0; i < N; i++) {
      double up[N], down[N];
      for (int k = 0; k < N; k++) up[k] = down[k] = some[k];
      up[i] += h, down[i] -= h;
      const double central =
          (number(trained[m], N, up, some_labels) - number(trained[m], N, down, some_labels)) / (2 * h);
      EXPECT_NEAR(harness_at(gradient, i), central, 1e-7);
      largest = fmax(largest, fabs(central));
    }
    cr_assert(largest > 1e-3, "%s does not depend on the logits", trained[m]);
  }
}

/* d(1 - sqrt(u / v)) / ds_i = -(y_i TN - (1 - y_i) TP) / (2 sqrt(u v)), u = TP TN, v = P (N - P), times
 * L s (1 - s) p (1 - p). At p = 1/2 of P positives: TP = P / 2, TN = (N - P) / 2. */
Test(anyloss, g_mean_slope_has_the_factor_one_half) {
  harness_open("float64", everything);
  const double z[5] = {0}, P = 2, negatives = 3;
  const int64_t labels[] = {1, 0, 0, 1, 0};
  const double tp = P / 2, tn = negatives / 2, root = sqrt(tp * tn * P * negatives);
  const double chain = 73 * 0.25 * 0.25;
  const tn_tensor *gradient = slope("g_mean", 5, z, labels);
  EXPECT_NEAR(harness_at(gradient, 0), -tn / (2 * root) * chain, 1e-10);
  EXPECT_NEAR(harness_at(gradient, 1), tp / (2 * root) * chain, 1e-10);
}

Test(anyloss, written_metrics_equal_the_named_ones) {
  harness_open("float64", everything);
  EXPECT_NEAR(number("written_f1", N, some, some_labels), number("f1", N, some, some_labels), 1e-12);
}

Test(anyloss, one_logit_and_two_are_the_same) {
  harness_open("float64", everything);
  double pairs[2 * N];
  for (int i = 0; i < N; i++) pairs[2 * i] = 0.7, pairs[2 * i + 1] = 0.7 + some[i];
  EXPECT_NEAR(tn_item(value("f1", harness_tensor(TN_SHAPE(N, 2), pairs), N, some_labels)),
              number("f1", N, some, some_labels), 1e-13);
}

static void expect_flat(const char *section, const int64_t *labels) {
  const double loss = number(section, N, some, labels);
  cr_assert(isfinite(loss), "%s: %g", section, loss);
  const tn_tensor *gradient = slope(section, N, some, labels);
  for (int i = 0; i < N; i++) EXPECT_NEAR(harness_at(gradient, i), 0, 0);
}

Test(anyloss, a_batch_of_one_class_teaches_what_is_defined) {
  harness_open("float64", everything);
  static const int64_t negatives[N] = {0, 0, 0, 0, 0, 0}, positives[N] = {1, 1, 1, 1, 1, 1};
  static const char *const undefined[] = {"f1", "f2", "g_mean", "precision", "recall", "sol", "cosine"};
  for (size_t m = 0; m < TN_ARRAY_LENGTH(undefined); m++) {
    expect_flat(undefined[m], negatives);
    EXPECT_NEAR(number(undefined[m], N, some, negatives), 0, 0);
  }
  expect_flat("g_mean", positives);
  /* the weight of the missing term goes to the other */
  EXPECT_NEAR(number("balanced_accuracy", N, some, negatives), number("accuracy", N, some, negatives), 1e-14);
  EXPECT_NEAR(number("balanced_accuracy", N, some, positives), number("recall", N, some, positives), 1e-14);
  const tn_tensor *gradient = slope("mcc", N, some, negatives);
  for (int i = 0; i < N; i++) cr_assert(isfinite(harness_at(gradient, i)));
  static const int64_t unlabelled[N] = {-1, -1, -1, -1, -1, -1};
  expect_flat("accuracy", unlabelled);
}

/* 1 - s by subtraction would be 0 in float32 where L (p - 1/2) = 36.5, and so would the derivative. */
Test(anyloss, far_predictions_keep_a_slope_in_float32) {
  harness_open("float32", ANYLOSS("b", "metric = balanced_accuracy"));
  const double z[] = {logit(0.8), -3};
  const int64_t labels[] = {0, 1};
  const double s = 1 / (1 + exp(-73 * 0.3)), complement = 1 / (1 + exp(73 * 0.3));
  const double wanted = 0.5 * 73 * s * complement * 0.8 * 0.2;
  EXPECT_NEAR(harness_at(slope("b", 2, z, labels), 0) / wanted, 1, 1e-4);
}

/* Uniform: s = p. Cosine with mu 0.5, delta 0.3: p = .65 is t = 1/2, F = (1 + 1/2 + 1 / pi) / 2; p = .9 is 1.
 */
Test(anyloss, score_oriented_losses_expect_over_the_threshold) {
  harness_open("float64",
               SOL("u", "metric = recall") SOL("c", "metric = recall\nprior = cosine\ndelta = 0.3"));
  const double z[] = {logit(0.65), logit(0.9), logit(0.1), logit(0.5)};
  const int64_t labels[] = {1, 1, 1, 0};
  const double quarter = (1.5 + 1 / acos(-1)) / 2;
  EXPECT_NEAR(1 - number("u", 4, z, labels), (0.65 + 0.9 + 0.1) / 3, 1e-14);
  EXPECT_NEAR(1 - number("c", 4, z, labels), (quarter + 1 + 0) / 3, 1e-14);
}

/* p > 0.5: predictions 1 1 0 1 0 0 1 0 against 1 1 1 0 0 0 0 -: TP 2, FN 1, FP 2, TN 2; p > 0.8: TP 1, FN 2,
 * FP 0, TN 4. */
Test(anyloss, hard_metrics_at_a_threshold_by_hand) {
  harness_open("float64", "[half]\nuse = metric.confusion\nbeta = 2\nexpression = TP - FP / N\n"
                          "metrics = f1, f_beta, g_mean, balanced_accuracy, accuracy, precision, recall\n"
                          "[high]\nuse = metric.confusion\nthreshold = 0.8\nmetrics = recall, accuracy\n"
                          "[macro]\nuse = metric.confusion\n");
  const double p[] = {0.9, 0.7, 0.3, 0.6, 0.2, 0.4, 0.75, 0.1};
  const int64_t labels[] = {1, 1, 1, 0, 0, 0, 0, -1};
  double z[8], pairs[16];
  for (int i = 0; i < 8; i++) z[i] = logit(p[i]), pairs[2 * i] = 5, pairs[2 * i + 1] = 5 + z[i];
  tn_tensor *const forms[] = {harness_tensor(TN_SHAPE(8, 1), z), harness_tensor(TN_SHAPE(8, 2), pairs)};
  for (int f = 0; f < 2; f++) {
    tn_fields *fields = tn_fields_new();
    tn_fields_set(fields, "logits", forms[f]);
    tn_fields_set(fields, "label", harness_labels(8, labels));
    const tn_component *half = harness_component("half"), *high = harness_component("high"),
                       *macro = harness_component("macro");
    tn_metric_reset(half), tn_metric_reset(high), tn_metric_reset(macro);
    cr_assert(tn_metric_update(half, fields) >= 0 && tn_metric_update(high, fields) >= 0 &&
              tn_metric_update(macro, fields) >= 0);
    EXPECT_NEAR(harness_figure(half, "f1"), 4.0 / 7, 1e-15);
    EXPECT_NEAR(harness_figure(half, "f_beta"), 5.0 * 2 / (4 * 3 + 4), 1e-15);
    EXPECT_NEAR(harness_figure(half, "g_mean"), sqrt(2.0 / 3 * 0.5), 1e-15);
    EXPECT_NEAR(harness_figure(half, "balanced_accuracy"), (2.0 / 3 + 0.5) / 2, 1e-15);
    EXPECT_NEAR(harness_figure(half, "accuracy"), 4.0 / 7, 1e-15);
    EXPECT_NEAR(harness_figure(half, "precision"), 0.5, 1e-15);
    EXPECT_NEAR(harness_figure(half, "recall"), 2.0 / 3, 1e-15);
    EXPECT_NEAR(harness_figure(half, "expression"), 2 - 2.0 / 7, 1e-15);
    EXPECT_NEAR(harness_figure(high, "recall"), 1.0 / 3, 1e-15);
    EXPECT_NEAR(harness_figure(high, "accuracy"), 5.0 / 7, 1e-15);
    EXPECT_NEAR(harness_figure(macro, "f1"), (4.0 / 7 + 2 * 2.0 / (4 + 3)) / 2, 1e-15);
  }
  cr_assert(strstr(harness_refusal("float64", "[pipeline_metric]\nuse = metric.confusion\nmetrics = g_means\n"
                                              "[used]\nuse = stage.evaluate\ndata = harness_data\n"
                                              "model = model.mlp\nmetrics = pipeline_metric\n"),
                   "did you mean 'g_mean'?") != NULL);
}

/* Of 4 labelled samples 1 is positive: weights 4 / 2 and 4 / 6. */
Test(anyloss, balanced_cross_entropy_weighs_both_classes_alike) {
  harness_open("float64", "[b]\nuse = loss.binary_cross_entropy\nweight = balanced\n");
  const double z[] = {0.3, -1, 2, 0, 9};
  const int64_t labels[] = {1, 0, 0, 0, -1};
  const double positive = log1p(exp(-0.3)), negative = log1p(exp(-1)) + log1p(exp(2)) + log(2);
  EXPECT_NEAR(number("b", 5, z, labels), (2 * positive + 4.0 / 6 * negative) / 5, 1e-15);
}

/* The extension of the paper: (1 - r) weighted cross-entropy + r (1 - metric of p), r = 0.7. */
Test(anyloss, losses_are_mixed_by_weights) {
  harness_open("float64", "[mix]\nuse = loss.weighted_sum\nterms = 0.3 * bce, 0.7 * plain\n"
                          "[bce]\nuse = loss.binary_cross_entropy\nweight = balanced\n" ANYLOSS(
                              "plain", "metric = f1\namplify = 0"));
  EXPECT_NEAR(number("mix", N, some, some_labels),
              0.3 * number("bce", N, some, some_labels) + 0.7 * number("plain", N, some, some_labels), 1e-15);
  const tn_tensor *mixed = slope("mix", N, some, some_labels), *bce = slope("bce", N, some, some_labels),
                  *plain = slope("plain", N, some, some_labels);
  for (int i = 0; i < N; i++)
    EXPECT_NEAR(harness_at(mixed, i), 0.3 * harness_at(bce, i) + 0.7 * harness_at(plain, i), 1e-15);
}
