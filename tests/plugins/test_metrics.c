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
