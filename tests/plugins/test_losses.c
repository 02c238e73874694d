// SPDX-License-Identifier: MIT
#include "harness.h"
#include <tenon/loss.h>

TestSuite(losses, .fini = harness_close);

enum { N = 3, C = 3 };
static const double scores[N * C] = {1, 2, 0.5, -1, 0.25, 3, 0, 0, 0};
static const int64_t labels[N] = {1, 0, 2};

static tn_tensor *per_sample(const char *section, tn_fields *fields) {
  const tn_loss_call call = {.size = sizeof call, .fields = fields};
  tn_tensor *values = tn_loss_per_sample(harness_component(section), &call);
  cr_assert(!tn_failed(), "%s", harness_failure());
  return values;
}
static tn_fields *batch(const char *output, tn_tensor *x, const char *truth, tn_tensor *y) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, output, x);
  tn_fields_set(fields, truth, y);
  return fields;
}

/* -(1 - s) log p_y - s / c sum_k log p_k */
Test(losses, cross_entropy_with_smoothing) {
  harness_open("float64", "[l]\nuse = loss.cross_entropy\nsmoothing = 0.1\n[p]\nuse = loss.cross_entropy\n");
  tn_fields *fields =
      batch("logits", harness_tensor(TN_SHAPE(N, C), scores), "label", harness_labels(N, labels));
  tn_tensor *smoothed = per_sample("l", fields), *plain = per_sample("p", fields);
  for (int i = 0; i < N; i++) {
    double sum = 0, logs = 0;
    for (int k = 0; k < C; k++) sum += exp(scores[i * C + k]);
    for (int k = 0; k < C; k++) logs += scores[i * C + k] - log(sum);
    const double own = scores[i * C + labels[i]] - log(sum);
    EXPECT_NEAR(harness_at(plain, i), -own, 1e-14);
    EXPECT_NEAR(harness_at(smoothed, i), -0.9 * own - 0.1 / C * logs, 1e-14);
  }
  tn_fields *unlabelled = batch("logits", harness_tensor(TN_SHAPE(N, C), scores), "label",
                                harness_labels(N, (const int64_t[]){-1, 0, 2}));
  EXPECT_REAL(harness_at(per_sample("p", unlabelled), 0), 0);
}

Test(losses, squared_error_against_targets_and_classes) {
  harness_open("float64",
               "[m]\nuse = loss.squared_error\n[s]\nuse = loss.squared_error\nreduce = sum\nhalf = yes\n");
  tn_fields *fields = batch("output", harness_tensor(TN_SHAPE(2, 2), (const double[]){1, 2, 3, 4}), "target",
                            harness_tensor(TN_SHAPE(2, 2), (const double[]){0, 0, 1, 8}));
  EXPECT_NEAR(harness_at(per_sample("m", fields), 0), 2.5, 1e-15); /* (1 + 4) / 2 */
  EXPECT_NEAR(harness_at(per_sample("m", fields), 1), 10, 1e-15);  /* (4 + 16) / 2 */
  EXPECT_NEAR(harness_at(per_sample("s", fields), 1), 10, 1e-15);  /* 20 / 2 */
  fields = batch("logits", harness_tensor(TN_SHAPE(N, C), scores), "label", harness_labels(N, labels));
  EXPECT_NEAR(harness_at(per_sample("m", fields), 0), (1 + 1 + 0.25) / 3, 1e-15); /* code (0, 1, 0) */
}

/* log(1 + e^z) - y z; with weight w the positive part w log(1 + e^-z) */
Test(losses, binary_cross_entropy_of_one_two_and_many_logits) {
  harness_open("float64", "[b]\nuse = loss.binary_cross_entropy\n"
                          "[w]\nuse = loss.binary_cross_entropy\npositive_weight = 3\n");
  const double z[] = {0.7, -2, 40};
  tn_tensor *label = harness_labels(3, (const int64_t[]){1, 0, -1});
  tn_fields *one = batch("logits", harness_tensor(TN_SHAPE(3, 1), z), "label", label);
  EXPECT_NEAR(harness_at(per_sample("b", one), 0), log1p(exp(-0.7)), 1e-15);
  EXPECT_NEAR(harness_at(per_sample("b", one), 1), log1p(exp(-2)), 1e-15);
  EXPECT_REAL(harness_at(per_sample("b", one), 2), 0);
  EXPECT_NEAR(harness_at(per_sample("w", one), 0), 3 * log1p(exp(-0.7)), 1e-15);
  EXPECT_NEAR(harness_at(per_sample("w", one), 1), log1p(exp(-2)), 1e-15);
  /* two logits: their difference */
  tn_fields *two =
      batch("logits", harness_tensor(TN_SHAPE(3, 2), (const double[]){1, 1.7, 2, 0, 0, 40}), "label", label);
  EXPECT_NEAR(harness_at(per_sample("b", two), 0), log1p(exp(-0.7)), 1e-15);
  tn_fields *many = batch("logits", harness_tensor(TN_SHAPE(1, 2), (const double[]){0.7, -2}), "label",
                          harness_tensor(TN_SHAPE(1, 2), (const double[]){1, 0}));
  EXPECT_NEAR(harness_at(per_sample("b", many), 0), (log1p(exp(-0.7)) + log1p(exp(-2))) / 2, 1e-15);
}

Test(losses, extreme_logits_stay_finite) {
  harness_open("float32",
               "[c]\nuse = loss.cross_entropy\nsmoothing = 0.1\n[b]\nuse = loss.binary_cross_entropy\n");
  const double huge[] = {1e30, -1e30, -1e30, 1e30};
  tn_fields *fields = batch("logits", harness_tensor(TN_SHAPE(2, 2), huge), "label",
                            harness_labels(2, (const int64_t[]){0, 0}));
  cr_assert(isfinite(harness_at(per_sample("c", fields), 1)));
  cr_assert(isfinite(harness_at(per_sample("b", fields), 1)));
}

/* Central differences of the mean loss in every logit. */
static void check_gradient(const char *section, const char *output, tn_shape shape, const double *at,
                           const char *truth, tn_tensor *y) {
  double values[16];
  const int64_t count = shape.dim[0] * shape.dim[1];
  for (int64_t i = 0; i < count; i++) values[i] = at[i];
  tn_tensor *x = tn_leaf(harness_tensor(shape, values)), *gradient = NULL;
  tn_grad(tn_mean(per_sample(section, batch(output, x, truth, y))), &x, 1, &gradient, 0);
  const double h = 1e-5;
  for (int64_t i = 0; i < count; i++) {
    double two[2];
    for (int side = 0; side < 2; side++) {
      values[i] = at[i] + (side ? h : -h);
      two[side] =
          tn_item(tn_mean(per_sample(section, batch(output, harness_tensor(shape, values), truth, y))));
    }
    values[i] = at[i];
    const double wanted = (two[1] - two[0]) / (2 * h);
    cr_assert(fabs(harness_at(gradient, i) - wanted) < 1e-9, "%s, %d: expected %.12g, got %.12g", section,
              (int)i, wanted, harness_at(gradient, i));
  }
}
Test(losses, gradients_are_central_differences) {
  harness_open("float64", "[c]\nuse = loss.cross_entropy\nsmoothing = 0.2\n[s]\nuse = loss.squared_error\n"
                          "[b]\nuse = loss.binary_cross_entropy\npositive_weight = 2\n");
  check_gradient("c", "logits", TN_SHAPE(N, C), scores, "label", harness_labels(N, labels));
  check_gradient("s", "logits", TN_SHAPE(N, C), scores, "label", harness_labels(N, labels));
  check_gradient("b", "logits", TN_SHAPE(3, 2), scores, "label",
                 harness_labels(3, (const int64_t[]){0, 1, -1}));
}

Test(losses, refuse_wrong_shapes_before_training) {
  harness_open("float32", "[c]\nuse = loss.cross_entropy\n[s]\nuse = loss.squared_error\n");
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "logits", TN_FLOAT, TN_SHAPE(5), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 10);
  cr_assert(tn_declare_component(harness_component("c"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "10 classes");
  cr_assert(tn_declare_component(harness_component("s"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "5 values");
  tn_spec_release(spec);
}
