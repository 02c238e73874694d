// SPDX-License-Identifier: MIT
#include "support.h"

TestSuite(rnn, .fini = harness_close);

enum { T = 5, V = 4, D = 3, H = 6, CLASSES = 2 };

static void describe_tokens(tn_spec *spec) {
  tn_spec_set(spec, "tokens", TN_I64, TN_SHAPE(T), V);
  tn_spec_set(spec, "label", TN_I64, TN_SHAPE(T), V);
}
static tn_fields *token_rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_tensor *x = tn_empty(TN_I64, TN_SHAPE(count, T)), *y = tn_empty(TN_I64, TN_SHAPE(count, T));
  for (int64_t i = 0; i < count * T; i++) {
    tn_i64(x)[i] = (first * T + i) * 7 / 3 % V;
    tn_i64(y)[i] = (first * T + i + 1) * 7 / 3 % V;
  }
  tn_fields_set(fields, "tokens", x);
  tn_fields_set(fields, "label", y);
  return fields;
}
static const data text = {describe_tokens, token_rows};

static void describe_numbers(tn_spec *spec) {
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(T, D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}
static tn_fields *number_rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "input", waves(TN_SHAPE(count, T, D), first));
  return fields;
}
static const data series = {describe_numbers, number_rows};

#define GRU  "use = model.gru\nwidth = 6\n"
#define LSTM "use = model.lstm\nwidth = 6\n"

/* A layer: gates (h in + h h + 2 h). */
Test(rnn, parameters_are_counted) {
  EXPECT_INT(size_of(open_model("float32", GRU, &series)), 3 * H * (D + H + 2) + CLASSES * H + CLASSES);
  EXPECT_INT(size_of(open_model("float32", LSTM "layers = 2", &series)),
             4 * H * (D + H + 2) + 4 * H * (H + H + 2) + CLASSES * H + CLASSES);
  EXPECT_INT(size_of(open_model("float32", LSTM "embedding = 2", &text)),
             V * 2 + 4 * H * (2 + H + 2) + V * H + V);
}

Test(rnn, classifies_sequences_and_models_language) {
  const tn_component *m = open_model("float32", GRU, &series);
  expect_shape(m, number_rows(0, 3), "logits", TN_SHAPE(3, CLASSES));
  m = open_model("float32", LSTM, &text);
  expect_shape(m, token_rows(0, 3), "logits", TN_SHAPE(3 * T, V));
  expect_shape(m, token_rows(0, 3), "label", TN_SHAPE(3 * T));
  m = open_model("float32", LSTM "positions = all", &text);
  expect_shape(m, token_rows(0, 3), "logits", TN_SHAPE(3, T, V));
}

static void set_all(const tn_component *m, double value) {
  tn_params *params = tn_parameters(m);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_tensor *t = tn_param_tensor(params, p);
    for (int64_t i = 0; i < tn_numel(t); i++) tn_f64(t)[i] = value;
  }
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* All weights and biases 0.1, all h of a layer equal: a scalar recursion. */
Test(rnn, follows_the_equations) {
  const tn_component *m = open_model("float64", GRU "positions = all", &series);
  set_all(m, 0.1);
  tn_fields *rows = number_rows(0, 1);
  const tn_tensor *x = tn_field(rows, "input"), *y = output(m, rows, TN_EVALUATE, "features");
  double h = 0;
  for (int64_t t = 0; t < T; t++) {
    const double in =
        0.1 * (harness_at(x, 3 * t) + harness_at(x, 3 * t + 1) + harness_at(x, 3 * t + 2)) + 0.1;
    const double own = 0.1 * H * h + 0.1, r = sigmoid(in + own), z = sigmoid(in + own);
    h = (1 - z) * tanh(in + r * own) + z * h;
    for (int64_t i = 0; i < H; i++) EXPECT_NEAR(harness_at(y, t * H + i), h, 1e-14);
  }

  m = open_model("float64", LSTM "positions = all", &series);
  set_all(m, 0.1);
  rows = number_rows(0, 1);
  x = tn_field(rows, "input"), y = output(m, rows, TN_EVALUATE, "features");
  double s = h = 0;
  for (int64_t t = 0; t < T; t++) {
    const double in =
        0.1 * (harness_at(x, 3 * t) + harness_at(x, 3 * t + 1) + harness_at(x, 3 * t + 2)) + 0.1;
    const double a = in + 0.1 * H * h + 0.1;
    s = sigmoid(a) * s + sigmoid(a) * tanh(a);
    h = sigmoid(a) * tanh(s);
    for (int64_t i = 0; i < H; i++) EXPECT_NEAR(harness_at(y, t * H + i), h, 1e-14);
  }
}

Test(rnn, orthogonal_columns) {
  const tn_component *m = open_model("float64", GRU "init = orthogonal", &series);
  const tn_params *params = tn_parameters(m);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry e;
    tn_params_entry(params, p, &e);
    if (!strstr(e.name, "weight_hidden")) continue;
    const tn_tensor *gram = tn_matmul_tn(e.tensor, e.tensor); /* (h, h) */
    for (int64_t i = 0; i < H * H; i++) EXPECT_NEAR(harness_at(gram, i), i % (H + 1) == 0, 1e-12);
  }
}

Test(rnn, gradients_are_central_differences) {
  static const char *const kinds[] = {GRU "layers = 2\ndropout = 0.2", LSTM "layers = 2",
                                      LSTM "init = orthogonal\npositions = all"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    const tn_component *m = open_model("float64", kinds[k], &series);
    expect_gradients(m, number_rows(0, 2), TN_TRAIN, "logits");
    m = open_model("float64", kinds[k], &text);
    expect_gradients(m, token_rows(0, 2), TN_TRAIN, "logits");
  }
}

Test(rnn, is_a_pure_function) {
  const tn_component *m = open_model("float64", GRU "dropout = 0.3", &series);
  expect_pure(m, &series, "logits");
  expect_rows_alone(m, &series, "logits");
  m = open_model("float64", LSTM, &text);
  expect_pure(m, &text, "logits");
  expect_rows_alone(m, &text, "logits");
}

static void describe_flat(tn_spec *spec) {
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}

Test(rnn, wrong_inputs_are_refused) {
  const data flat = {describe_flat, NULL};
  EXPECT_CONTAINS(refusal(GRU, &flat), "'input' must be int64 tokens (t) or numbers (t, d) of one length");
  EXPECT_CONTAINS(refusal(LSTM "vocabulary = 3", &text), "vocabulary 3 is below the 4 classes of 'tokens'");
}
