// SPDX-License-Identifier: MIT
/* The loss and the metrics of ensembles. */
#include "harness.h"
#include "plugins/stages/kendall.h"
#include <tenon/loss.h>
#include <tenon/metric.h>

TestSuite(ensembles, .fini = harness_close);

enum { N = 6, K = 3, C = 4 };
static double logit(int i) { return 2 * sin(1.3 * i + 0.7 * cos(i)); }
static const int64_t labels[N] = {0, 3, 1, 2, -1, 0};

static tn_fields *batch(double spread) {
  double z[N * K * C], f[N * K * 2];
  for (int i = 0; i < N * K * C; i++) z[i] = logit(i / (K * C) * C + i % C) + spread * logit(100 + i);
  for (int i = 0; i < N * K * 2; i++) f[i] = 1 + logit(i / (K * 2) * 2 + i % 2) + spread * logit(7 * i);
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "member_logits", harness_tensor(TN_SHAPE(N, K, C), z));
  tn_fields_set(fields, "features", harness_tensor(TN_SHAPE(N, K * 2), f));
  tn_fields_set(fields, "label", harness_labels(N, labels));
  return fields;
}
static tn_tensor *per_sample(const tn_component *loss, const tn_fields *fields) {
  tn_rng rng = tn_rng_at("ensembles", "test", 0);
  const tn_loss_call call = {.size = sizeof call, .fields = fields, .rng = &rng, .batch = fields};
  return tn_loss_per_sample(loss, &call);
}

Test(ensembles, cross_entropy_of_the_mean_is_at_most_the_mean) {
  harness_open("float64", "[s]\nuse = loss.ensemble\nsmoothing = 0\n[m]\nuse = loss.ensemble\nmode = mean\n"
                          "smoothing = 0\n");
  for (int i = 0; i < 50; i++) {
    const tn_fields *fields = batch(0.1 * i);
    const tn_tensor *sum = per_sample(harness_component("s"), fields);
    const tn_tensor *mean = per_sample(harness_component("m"), fields);
    for (int r = 0; r < N; r++) cr_assert(harness_at(mean, r) <= harness_at(sum, r) / K + 1e-12);
    if (i == 0)
      for (int r = 0; r < N; r++) EXPECT_NEAR(harness_at(mean, r), harness_at(sum, r) / K, 1e-12);
  }
  EXPECT_REAL(harness_at(per_sample(harness_component("s"), batch(1)), 4), 0);
}

/* Each member's smoothed cross-entropy by itself. */
Test(ensembles, the_sum_is_that_of_the_members) {
  harness_open("float64", "[s]\nuse = loss.ensemble\n");
  const tn_fields *fields = batch(1);
  tn_tensor *z = tn_field(fields, "member_logits");
  const tn_tensor *sum = per_sample(harness_component("s"), fields);
  for (int r = 0; r < N; r++) {
    double wanted = 0;
    for (int k = 0; k < K && labels[r] >= 0; k++) {
      double total = 0, mean = 0;
      for (int c = 0; c < C; c++) total += exp(harness_at(z, (r * K + k) * C + c));
      for (int c = 0; c < C; c++) mean += (harness_at(z, (r * K + k) * C + c) - log(total)) / C;
      wanted -= 0.9 * (harness_at(z, (r * K + k) * C + labels[r]) - log(total)) + 0.1 * mean;
    }
    EXPECT_NEAR(harness_at(sum, r), wanted, 1e-12);
  }
}

static const tn_component *measured(double spread) {
  harness_open("float64", "[d]\nuse = metric.diversity\n");
  const tn_component *d = harness_component("d");
  cr_assert(tn_metric_update(d, batch(spread)) >= 0, "%s", harness_failure());
  return d;
}

/* Brier score of the mean = mean Brier score of the members - mean squared spread. */
Test(ensembles, the_ambiguity_decomposition_holds) {
  for (int i = 0; i < 20; i++) {
    const tn_component *d = measured(0.3 * i);
    EXPECT_NEAR(harness_figure(d, "ensemble_error"),
                harness_figure(d, "member_error") - harness_figure(d, "ambiguity"), 1e-12);
    cr_assert(harness_figure(d, "ensemble_cross_entropy") <=
              harness_figure(d, "member_cross_entropy") + 1e-12);
  }
}

Test(ensembles, equal_members_have_no_diversity) {
  const tn_component *d = measured(0);
  EXPECT_REAL(harness_figure(d, "disagreement"), 0);
  EXPECT_NEAR(harness_figure(d, "feature_distance"), 0, 1e-15);
  EXPECT_NEAR(harness_figure(d, "ambiguity"), 0, 1e-15);
  EXPECT_NEAR(harness_figure(d, "ensemble_gain"), 0, 1e-15);
  cr_assert(harness_figure(measured(2), "disagreement") > 0);
}

/* Two members, five samples of two classes: right and wrong together in 2 and 1, one of them alone in 1 and
 * 1: Q = (2 x 1 - 1 x 1) / (2 x 1 + 1 x 1); they name different classes in 2 of 5. Features at a right angle.
 */
Test(ensembles, figures_by_hand) {
  static const double z[] = {1, 0, 3, 0, 0, 2, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 4, 0};
  static const double f[] = {2, 0, 0, 3, 2, 0, 0, 3, 2, 0, 0, 3, 2, 0, 0, 3, 2, 0, 0, 3};
  static const int64_t y[] = {0, 1, 0, 0, 1};
  harness_open("float64", "[d]\nuse = metric.diversity\n");
  const tn_component *d = harness_component("d");
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "member_logits", harness_tensor(TN_SHAPE(5, 2, 2), z));
  tn_fields_set(fields, "features", harness_tensor(TN_SHAPE(5, 4), f));
  tn_fields_set(fields, "label", harness_labels(5, y));
  cr_assert(tn_metric_update(d, fields) >= 0, "%s", harness_failure());
  EXPECT_NEAR(harness_figure(d, "q_statistic"), 1.0 / 3, 1e-15);
  EXPECT_NEAR(harness_figure(d, "disagreement"), 0.4, 1e-15);
  EXPECT_NEAR(harness_figure(d, "member_accuracy"), 0.6, 1e-15);
  EXPECT_NEAR(harness_figure(d, "feature_distance"), sqrt(2), 1e-15);
}

Test(ensembles, diversity_of_halves_merged_is_that_of_the_whole) {
  harness_open("float64",
               "[d]\nuse = metric.diversity\n[a]\nuse = metric.diversity\n[b]\nuse = metric.diversity\n");
  const tn_component *d = harness_component("d"), *a = harness_component("a"), *b = harness_component("b");
  const double spreads[] = {0.5, 1.5};
  const tn_component *halves[] = {a, b};
  for (int i = 0; i < 2; i++) {
    cr_assert(tn_metric_update(d, batch(spreads[i])) >= 0);
    cr_assert(tn_metric_update(halves[i], batch(spreads[i])) >= 0);
  }
  cr_assert(((const tn_metric *)a->vtable)->merge(a->self, b->self) >= 0);
  static const char *const names[] = {"disagreement", "q_statistic", "feature_distance", "ensemble_error"};
  for (int i = 0; i < 4; i++) EXPECT_NEAR(harness_figure(a, names[i]), harness_figure(d, names[i]), 1e-14);
}

Test(ensembles, kendalls_tau_by_hand) {
  static const double x[] = {1, 2, 3, 4}, up[] = {1, 3, 5, 9}, down[] = {4, 3, 2, 1}, one[] = {1, 3, 2, 4};
  static const double tied[] = {1, 1, 2, 3}, flat[] = {1, 1, 1, 1};
  EXPECT_REAL(kendall_tau(x, up, 4), 1);
  EXPECT_REAL(kendall_tau(x, down, 4), -1);
  EXPECT_NEAR(kendall_tau(x, one, 4), 4.0 / 6, 1e-15);
  EXPECT_NEAR(kendall_tau(x, tied, 4), 5 / sqrt(30), 1e-15);
  cr_assert(isnan(kendall_tau(x, flat, 4)));
}
