// SPDX-License-Identifier: MIT
/* predictor.threshold on networks with one and with two logits: 8 against the other digits. */
#include "harness.h"
#include "plugins/metrics/binary.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/model.h>
#include <tenon/predictor.h>

TestSuite(threshold, .fini = harness_close);

#define SECTIONS                                                      \
  "[d]\nuse = dataset.csv\nlabel = last\nheader = no\npositive = 8\n" \
  "file = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"           \
  "[one]\nuse = model.mlp\nhidden = 4\noutput = 1\n"                  \
  "[two]\nuse = model.mlp\nhidden = 4\noutput = 2\n"

static tn_fields *rows_of(const char *part, int64_t count) {
  const tn_component *d = harness_component("d");
  int64_t *index = malloc((size_t)count * sizeof *index);
  for (int64_t i = 0; i < count; i++) index[i] = i;
  tn_fields *fields = tn_fields_new();
  cr_assert(((const tn_dataset *)d->vtable)->read(d->self, part, index, count, fields) >= 0);
  free(index);
  return fields;
}
static const tn_component *fitted(const char *section) {
  const tn_component *p = harness_component(section), *d = harness_component("d");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(d, spec) >= 0 && tn_declare_component(p, spec, NULL) >= 0, "%s",
            harness_failure());
  tn_spec_release(spec);
  cr_assert(tn_predictor_fit(p, d, NULL) >= 0, "%s", harness_failure());
  return p;
}
static tn_fields *predict(const tn_component *p, const tn_fields *inputs) {
  tn_fields *outputs = tn_fields_new();
  cr_assert(tn_predictor_predict(p, inputs, outputs) >= 0, "%s", harness_failure());
  return outputs;
}
/* The logit of class 1, of two their difference, as the network has it. */
static double logit(const char *model, const tn_fields *inputs, int64_t row) {
  const tn_component *c = harness_component(model);
  static tn_fields *made;
  static const tn_fields *of;
  if (of != inputs) {
    made = tn_fields_new();
    of = inputs;
    tn_model_call call = {.size = sizeof call,
                          .params = tn_parameters(c),
                          .inputs = inputs,
                          .outputs = made,
                          .progress = {.size = sizeof(tn_progress), .mode = TN_EVALUATE}};
    cr_assert(tn_model_apply(c, &call) >= 0, "%s", harness_failure());
  }
  const tn_tensor *z = tn_field(made, "logits");
  const int64_t width = tn_numel(z) / tn_dim(z, 0);
  return harness_at(z, row * width + width - 1) - (width == 2 ? harness_at(z, row * width) : 0);
}

static double value_of(const tn_fields *truth, const bool *predicted, int32_t metric) {
  struct binary_counts c = {0, 0, 0, 0};
  for (int64_t i = 0; i < tn_numel(tn_field(truth, "label")); i++) {
    const bool positive = tn_i64(tn_field(truth, "label"))[i] == 1;
    c.tp += predicted[i] && positive;
    c.fp += predicted[i] && !positive;
    c.fn += !predicted[i] && positive;
    c.tn += !predicted[i] && !positive;
  }
  return binary_metric(metric, 1, c);
}

/* On the data of fit no other cut is better, every sample's logit and both ends tried; `label` and the moved
 * logits agree; the probabilities are the network's. */
static void check_best(const char *section, const char *model, int32_t metric) {
  const int64_t n = tn_dataset_rows(harness_component("d"));
  const tn_component *p = fitted(section);
  const tn_fields *rows = rows_of("train", n), *outputs = predict(p, rows);
  const tn_tensor *moved = tn_field(outputs, "logits"), *q = tn_field(outputs, "probability");
  const int64_t width = tn_dim(moved, 1), *label = tn_i64(tn_field(outputs, "label"));
  bool *predicted = calloc((size_t)n, sizeof *predicted);
  double best = 0, natural;
  for (int64_t at = -1; at < n; at++) {
    for (int64_t i = 0; i < n; i++) predicted[i] = at < 0 || logit(model, rows, i) > logit(model, rows, at);
    best = fmax(best, value_of(rows, predicted, metric));
  }
  for (int64_t i = 0; i < n; i++) predicted[i] = logit(model, rows, i) > 0;
  natural = value_of(rows, predicted, metric);
  for (int64_t i = 0; i < n; i++) {
    predicted[i] = label[i] == 1;
    const double side =
        harness_at(moved, i * width + width - 1) - (width == 2 ? harness_at(moved, i * width) : 0);
    EXPECT_INT(side > 0, label[i]);
    EXPECT_NEAR(harness_at(q, 2 * i + 1), 1 / (1 + exp(-logit(model, rows, i))), 1e-12);
  }
  EXPECT_NEAR(value_of(rows, predicted, metric), best, 1e-15);
  cr_assert(best > natural, "the threshold of an untrained network is as good as any: %g", natural);
  free(predicted);
}
Test(threshold, is_the_best_on_the_data_of_fit_one_logit) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.threshold\nmodel = one\n");
  check_best("p", "one", BINARY_F1);
}
Test(threshold, is_the_best_on_the_data_of_fit_two_logits) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.threshold\nmodel = two\nmetric = g_mean\n");
  check_best("p", "two", BINARY_G_MEAN);
}

Test(threshold, goes_on_from_its_state) {
  harness_open("float64", SECTIONS "[p]\nuse = predictor.threshold\nmodel = one\n"
                                   "[q]\nuse = predictor.threshold\nmodel = one\n");
  const tn_component *p = fitted("p"), *q = harness_component("q");
  const tn_fields *rows = rows_of("test", 50);
  tn_fields *outputs = tn_fields_new();
  cr_assert(tn_predictor_predict(q, rows, outputs) < 0);
  EXPECT_CONTAINS(harness_failure(), "not fitted");
  harness_state *state = harness_save(p);
  harness_load(q, state);
  harness_forget(state);
  const tn_fields *a = predict(p, rows), *b = predict(q, rows);
  for (int64_t i = 0; i < 50; i++)
    EXPECT_REAL(harness_at(tn_field(a, "logits"), i), harness_at(tn_field(b, "logits"), i));
}

Test(threshold, more_than_two_classes_are_refused) {
  harness_open("float64", "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
                          "[net]\nuse = model.mlp\nhidden = 4\n"
                          "[p]\nuse = predictor.threshold\nmodel = net\n");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(harness_component("d"), spec) >= 0);
  cr_assert(tn_declare_component(harness_component("p"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "a threshold is for two classes, there are 10");
  tn_spec_release(spec);
}
