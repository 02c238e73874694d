// SPDX-License-Identifier: MIT
#include "harness.h"
#include <tenon/metric.h>

TestSuite(metrics, .fini = harness_close);

enum { N = 8, C = 3 };
static const double scores[N * C] = {3, 1, 0, 0, 2, 1, 1, 0, 5, 2, 2, 1, 0, 1, 2, 4, 5, 3, 1, 0, 0, 0, 9, 1};
/*                      predicted:   0        1        2        0 (first) 2        1        0        1 */
static const int64_t labels[N] = {0, 1, 1, 1, 2, 0, -1, 1};

static tn_fields *rows(int first, int count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "logits", harness_tensor(TN_SHAPE(count, C), scores + first * C));
  tn_fields_set(fields, "label", harness_labels(count, labels + first));
  return fields;
}
static void update(const tn_component *metric, const tn_fields *fields) {
  cr_assert(tn_metric_update(metric, fields) >= 0, "%s", harness_failure());
}

/* Labelled rows: 7; right: rows 0, 1, 4, 7. Among the two highest: all but none of them: row 2's label 1 has
 * the lowest score, row 5's label 0 the second. */
Test(metrics, accuracy_by_hand) {
  harness_open("float32", "[a]\nuse = metric.accuracy\n[t]\nuse = metric.accuracy\ntop = 2\n");
  const tn_component *a = harness_component("a"), *t = harness_component("t");
  update(a, rows(0, N));
  update(t, rows(0, N));
  EXPECT_NEAR(harness_figure(a, "accuracy"), 4.0 / 7, 1e-15);
  EXPECT_NEAR(harness_figure(t, "top2_accuracy"), 6.0 / 7, 1e-15);
  tn_metric_reset(a);
  cr_assert(isnan(harness_figure(a, "accuracy")));
}

/* C = (1 1 0; 1 2 1; 0 0 1): precision (1/2 + 2/3 + 1/2) / 3, recall (1/2 + 2/4 + 1) / 3,
 * f1 (2/4 + 4/7 + 2/3) / 3. */
Test(metrics, confusion_by_hand) {
  harness_open("float32", "[c]\nuse = metric.confusion\n");
  const tn_component *c = harness_component("c");
  update(c, rows(0, N));
  EXPECT_NEAR(harness_figure(c, "precision"), (0.5 + 2.0 / 3 + 0.5) / 3, 1e-15);
  EXPECT_NEAR(harness_figure(c, "recall"), (0.5 + 0.5 + 1) / 3, 1e-15);
  EXPECT_NEAR(harness_figure(c, "f1"), (0.5 + 4.0 / 7 + 2.0 / 3) / 3, 1e-15);
}

/* log 4 nats of equal logits, 0 of a sure one, log 2 of two that are equal; a logit z alone is that of class
 * 1: p = 3/4 for log 3. Rows may have several heads; those of two batches count alike. */
Test(metrics, prediction_entropy_by_hand) {
  harness_open("float64", "[e]\nuse = metric.prediction_entropy\nlogits = z\n");
  const tn_component *e = harness_component("e");
  const double heads[3 * 4] = {5, 5, 5, 5, 0, 0, 1e5, 0, -1e5, 7, 7, -1e5}, one[2] = {log(3), 0};
  const double first = (log(4) + 0 + log(2)) / 3, p = 0.75;
  const tn_shape shapes[] = {TN_SHAPE(3, 4), TN_SHAPE(1, 3, 4), TN_SHAPE(3, 1, 4)};
  for (size_t s = 0; s < TN_ARRAY_LENGTH(shapes); s++) {
    tn_fields *fields = tn_fields_new();
    tn_fields_set(fields, "z", harness_tensor(shapes[s], heads));
    tn_metric_reset(e);
    update(e, fields);
    EXPECT_NEAR(harness_figure(e, "prediction_entropy"), first, 1e-15);
  }
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "z", harness_tensor(TN_SHAPE(2, 1), one));
  update(e, fields);
  const double second = (-p * log(p) - (1 - p) * log(1 - p) + log(2)) / 2;
  EXPECT_NEAR(harness_figure(e, "prediction_entropy"), (3 * first + 2 * second) / 5, 1e-15);
  tn_metric_reset(e);
  cr_assert(isnan(harness_figure(e, "prediction_entropy")));
}

Test(metrics, halves_merged_equal_the_whole) {
  harness_open("float64",
               "[a]\nuse = metric.accuracy\n[a1]\nuse = metric.accuracy\n[a2]\nuse = metric.accuracy\n"
               "[c]\nuse = metric.confusion\n[c1]\nuse = metric.confusion\n[c2]\nuse = metric.confusion\n"
               "[l]\nuse = metric.loss\nloss = e\n[l1]\nuse = metric.loss\nloss = e\n"
               "[l2]\nuse = metric.loss\nloss = e\n[e]\nuse = loss.cross_entropy\n");
  static const struct {
    const char *whole, *first, *second, *figure;
  } cases[] = {{"a", "a1", "a2", "accuracy"}, {"c", "c1", "c2", "f1"}, {"l", "l1", "l2", "loss"}};
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "logits", TN_FLOAT, TN_SHAPE(C), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, C);
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    const tn_component *whole = harness_component(cases[k].whole), *first = harness_component(cases[k].first),
                       *second = harness_component(cases[k].second);
    cr_assert(tn_metric_declare(whole, spec) >= 0 && tn_metric_declare(first, spec) >= 0 &&
                  tn_metric_declare(second, spec) >= 0,
              "%s", harness_failure());
    update(whole, rows(0, N));
    update(first, rows(0, 3));
    update(second, rows(3, N - 3));
    cr_assert(((const tn_metric *)first->vtable)->merge(first->self, second->self) >= 0);
    EXPECT_NEAR(harness_figure(first, cases[k].figure), harness_figure(whole, cases[k].figure), 1e-15);

    harness_state *state = harness_save(whole);
    harness_load(second, state);
    harness_forget(state);
    EXPECT_REAL(harness_figure(second, cases[k].figure), harness_figure(whole, cases[k].figure));
  }
  tn_spec_release(spec);
}

Test(metrics, predicted_labels_and_single_logits) {
  harness_open("float32", "[a]\nuse = metric.accuracy\n");
  const tn_component *a = harness_component("a");
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "prediction", harness_labels(3, (const int64_t[]){1, 0, 2}));
  tn_fields_set(fields, "label", harness_labels(3, (const int64_t[]){1, 2, 2}));
  update(a, fields);
  EXPECT_NEAR(harness_figure(a, "accuracy"), 2.0 / 3, 1e-15);
  tn_metric_reset(a);
  fields = tn_fields_new();
  tn_fields_set(fields, "logits", harness_tensor(TN_SHAPE(3, 1), (const double[]){0.1, -4, 7}));
  tn_fields_set(fields, "label", harness_labels(3, (const int64_t[]){1, 0, 0}));
  update(a, fields);
  EXPECT_NEAR(harness_figure(a, "accuracy"), 2.0 / 3, 1e-15);
}
