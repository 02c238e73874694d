// SPDX-License-Identifier: MIT
/* Folds, thresholds and cross-validation: 8 against the other digits. */
#include "harness.h"
#include "plugins/datasets/folds.h"
#include "plugins/stages/threshold.h"
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/stage.h>

TestSuite(cross_validate, .fini = harness_close, .timeout = 60);

#define PARTS_OF_IT                                          \
  "[digits]\nuse = dataset.csv\nlabel = last\nheader = no\n" \
  "file = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"  \
  "positive = 8\ntest = 0\n"                                 \
  "[folded]\nuse = dataset.folds\ndata = digits\nfolds = 3\n"

static const char text[] = "[pipeline]\nstages = compare\nprecision = float64\nobservers =\n" PARTS_OF_IT
                           "[scale]\nuse = transform.standardise\n"
                           "[net]\nuse = model.mlp\nhidden = 4\noutput = 1\n"
                           "[adam]\nuse = optimizer.adam\nlr = 0.02\n"
                           "[any]\nuse = loss.confusion_metric\n"
                           "[fit]\nuse = stage.supervised\ndata = folded\ntransforms = scale\nmodel = net\n"
                           "loss = any\noptimizer = adam\nbatch = 300\nepochs = 4\n"
                           "[figures]\nuse = metric.confusion\nmetrics = f1, recall\n"
                           "[test]\nuse = stage.evaluate\ndata = folded:test\ntransforms = scale\n"
                           "model = net\nmetrics = figures\n"
                           "[tuned]\nuse = predictor.threshold\nmodel = net\nmetric = f1\n"
                           "[tuned_test]\nuse = stage.evaluate\ndata = folded:test\nfit = folded\n"
                           "transforms = scale\npredictor = tuned\nmetrics = figures\n"
                           "[compare]\nuse = stage.cross_validate\ndata = folded\ninner = fit\n"
                           "transforms = scale\nmodel = net\nmetrics = figures\n";

static tn_registry *registry;
static tn_pipeline *open_it(const char *const *overrides, uint32_t count) {
  tn_error error = {0};
  if (!registry) {
    const tn_registry_options options = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
    registry = tn_registry_open(&options, &error);
    cr_assert(registry != NULL, "%s", error.text);
  }
  const tn_pipeline_options options = {
      .file = "/tmp/folds.ini", .text = text, .overrides = overrides, .override_count = count, .quiet = true};
  tn_pipeline *p = tn_pipeline_open(registry, &options, &error);
  cr_assert(p != NULL, "%s", error.text);
  return p;
}
static tn_pipeline *run(const char *const *overrides, uint32_t count) {
  tn_error error = {0};
  tn_pipeline *p = open_it(overrides, count);
  cr_assert(tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  return p;
}
static double result(const tn_pipeline *p, const char *name) {
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  cr_assert_fail("no result '%s'", name);
  return NAN;
}

/* ---- folds ---- */

/* Sums of pixels say which row it is; (rows, positives) of a part. */
static double fingerprint(const tn_component *data, const char *part, int64_t *rows, int64_t *positives) {
  tn_component c = *data;
  c.part = part;
  double sum = 0;
  *rows = tn_dataset_rows(&c);
  *positives = 0;
  for (int64_t i = 0; i < *rows; i++) {
    tn_scope_open();
    tn_fields *fields = tn_fields_new();
    cr_assert(tn_dataset_read(&c, &i, 1, fields) >= 0);
    const tn_tensor *x = tn_field(fields, "input");
    for (int64_t k = 0; k < tn_numel(x); k++) sum += harness_at(x, k) * (double)(k * k + 1);
    *positives += tn_i64(tn_field(fields, "label"))[0];
    tn_scope_close();
  }
  return sum;
}

/* 1,797 rows, 174 positive: 599 and 58 a fold. */
Test(cross_validate, folds_are_stratified_and_cover_every_row_once) {
  harness_open("float64", PARTS_OF_IT);
  const tn_component *folded = harness_component("folded");
  const tn_folds *folds = tn_extension(folded, TN_FOLDS);
  cr_assert(folds != NULL && folds->count(folded->self) == 3);
  int64_t rows, positives;
  const double whole = fingerprint(folded, "all", &rows, &positives);
  cr_assert_eq(rows, 1797);
  double sum = 0;
  for (int64_t f = 0; f < 3; f++) {
    cr_assert(folds->choose(folded->self, f) == TN_OK);
    const double test = fingerprint(folded, "test", &rows, &positives);
    cr_assert_eq(rows, 599);
    cr_assert_eq(positives, 58);
    sum += test;
    EXPECT_NEAR(test + fingerprint(folded, "train", &rows, &positives), whole, 0);
    cr_assert_eq(rows, 1198);
    cr_assert_eq(positives, 116);
  }
  EXPECT_NEAR(sum, whole, 0);
  cr_assert(folds->choose(folded->self, 3) < 0);
  EXPECT_CONTAINS(harness_failure(), "below 3");
}

/* ---- thresholds ---- */

static double value_at(const struct scored *samples, int n, int32_t metric, double cut) {
  struct binary_counts c = {0, 0, 0, 0};
  for (int i = 0; i < n; i++) {
    const bool predicted = samples[i].score > cut;
    c.tp += predicted && samples[i].positive;
    c.fp += predicted && !samples[i].positive;
    c.fn += !predicted && samples[i].positive;
    c.tn += !predicted && !samples[i].positive;
  }
  return binary_metric(metric, 2, c);
}

/* Against every cut there is, with scores that often tie. */
Test(cross_validate, tuned_thresholds_are_the_best_of_all) {
  enum { N = 40 };
  tn_rng rng = {.key = 7};
  harness_open("float64", "");
  for (int round = 0; round < 50; round++) {
    struct scored samples[N];
    for (int i = 0; i < N; i++) {
      samples[i].positive = tn_random_uniform(&rng) < 0.3;
      samples[i].score = floor(8 * tn_random_uniform(&rng) + 2 * samples[i].positive) - 5;
    }
    for (int32_t metric = 0; metric < BINARY_COUNT; metric++) {
      const double cut = threshold_best(samples, N, metric, 2);
      double best = 0;
      for (double at = -6.5; at < 6; at++) best = fmax(best, value_at(samples, N, metric, at));
      EXPECT_NEAR(value_at(samples, N, metric, cut), best, 1e-15);
    }
  }
}

/* (2 positives above, 1 negative, 1 positive, ...): F1 is best below the third positive, at the middle. */
Test(cross_validate, thresholds_lie_halfway_between_scores) {
  struct scored samples[] = {{-3, false}, {4, true}, {2, true}, {1, false}, {0, true}, {-1, false}};
  EXPECT_NEAR(threshold_best(samples, 6, BINARY_F1, 1), -0.5, 0);      /* 6 / 7 */
  EXPECT_NEAR(threshold_best(samples, 6, BINARY_PRECISION, 1), 3, 0);  /* 1 */
  EXPECT_NEAR(threshold_best(samples, 6, BINARY_ACCURACY, 1), 1.5, 0); /* 5 / 6, the highest of equals */
}

/* ---- the stage ---- */

/* Each fold is what training and evaluation on it alone give, to the bit: nothing leaks from fold to fold. */
Test(cross_validate, folds_are_independent_runs) {
  tn_pipeline *p = run(NULL, 0);
  double f1[3], mean = 0, square = 0;
  for (int k = 0; k < 3; k++) {
    char fold[32];
    snprintf(fold, sizeof fold, "folded.fold=%d", k);
    const char *const overrides[] = {"pipeline.stages=fit, test", fold};
    tn_pipeline *alone = run(overrides, 2);
    f1[k] = result(alone, "test.f1");
    mean += f1[k] / 3;
    tn_pipeline_close(alone);
  }
  for (int k = 0; k < 3; k++) square += (f1[k] - mean) * (f1[k] - mean);
  cr_assert(mean > 0.5, "nothing is learnt: %g", mean);
  EXPECT_NEAR(result(p, "compare.f1"), mean, 1e-14);
  EXPECT_NEAR(result(p, "compare.f1_std"), sqrt(square / 2), 1e-14);
  tn_pipeline_close(p);
}

/* Recall is best where everything is positive. */
Test(cross_validate, thresholds_are_tuned_and_used) {
  const char *const overrides[] = {"compare.threshold=recall", "fit.epochs=1"};
  tn_pipeline *p = run(overrides, 2);
  cr_assert(result(p, "compare.recall") > 0.95, "got %g", result(p, "compare.recall"));
  cr_assert(result(p, "compare.threshold") > 0 && result(p, "compare.threshold") < 1);
  tn_pipeline_close(p);
}

/* A fold alone, its threshold tuned by the predictor, gives the same figure. */
Test(cross_validate, the_predictor_tunes_the_same_thresholds) {
  const char *const tuned[] = {"compare.threshold=f1"};
  tn_pipeline *p = run(tuned, 1);
  double mean = 0;
  for (int k = 0; k < 3; k++) {
    char fold[32];
    snprintf(fold, sizeof fold, "folded.fold=%d", k);
    const char *const overrides[] = {"pipeline.stages=fit, tuned_test", fold};
    tn_pipeline *alone = run(overrides, 2);
    mean += result(alone, "tuned_test.f1") / 3;
    tn_pipeline_close(alone);
  }
  EXPECT_NEAR(result(p, "compare.f1"), mean, 1e-14);
  tn_pipeline_close(p);
}

static tn_status call(tn_status (*function)(void *), const tn_component *stage) {
  tn_scope_open();
  const tn_status status = function(stage->self);
  tn_scope_close();
  cr_assert(status >= 0, "%s", harness_failure());
  return status;
}

/* Two folds, all states into fresh components, and the third fold there. */
Test(cross_validate, resume_bit_for_bit) {
  enum { MOST = 32 };
  const char *const overrides[] = {"compare.threshold=f1"};
  harness_state *states[MOST] = {NULL};
  tn_pipeline *whole = run(overrides, 1);
  const double f1 = result(whole, "compare.f1"), spread = result(whole, "compare.f1_std"),
               threshold = result(whole, "compare.threshold");
  tn_pipeline_close(whole);

  tn_error error = {0};
  tn_pipeline *p = open_it(overrides, 1);
  cr_assert(tn_pipeline_check(p, &error) >= 0, "%s", error.text);
  const tn_component *compare = tn_pipeline_find(p, "compare");
  const tn_stage *stage = compare->vtable;
  call(stage->begin, compare);
  for (int k = 0; k < 2; k++) cr_assert(call(stage->step, compare) == TN_OK);
  const uint32_t count = tn_pipeline_count(p);
  cr_assert(count <= MOST);
  for (uint32_t i = 0; i < count; i++)
    if (TN_HAS(tn_pipeline_at(p, i)->cls, tn_class, state)) states[i] = harness_save(tn_pipeline_at(p, i));

  tn_pipeline *q = open_it(overrides, 1);
  cr_assert(tn_pipeline_check(q, &error) >= 0, "%s", error.text);
  compare = tn_pipeline_find(q, "compare");
  call(stage->begin, compare);
  for (uint32_t i = 0; i < count; i++)
    if (states[i]) harness_load(tn_pipeline_at(q, i), states[i]);
  cr_assert(call(stage->step, compare) == TN_DONE);
  call(stage->end, compare);
  EXPECT_REAL(result(q, "f1"), f1);
  EXPECT_REAL(result(q, "f1_std"), spread);
  EXPECT_REAL(result(q, "threshold"), threshold);
  tn_pipeline_close(q);
  for (uint32_t i = 0; i < count; i++)
    if (states[i]) harness_forget(states[i]);
  tn_pipeline_close(p);
}

Test(cross_validate, data_without_folds_are_refused) {
  const char *const overrides[] = {"compare.data=digits"};
  tn_error error = {0};
  tn_pipeline *p = open_it(overrides, 1);
  cr_assert(tn_pipeline_check(p, &error) < 0);
  EXPECT_CONTAINS(error.text, "expected a dataset.folds");
  tn_pipeline_close(p);
}
