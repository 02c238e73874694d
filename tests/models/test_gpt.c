// SPDX-License-Identifier: MIT
#include "support.h"

TestSuite(gpt, .fini = harness_close);

enum { T = 6, V = 5 };

static void describe(tn_spec *spec) {
  tn_spec_set(spec, "tokens", TN_I64, TN_SHAPE(T), V);
  tn_spec_set(spec, "label", TN_I64, TN_SHAPE(T), V);
}
static tn_tensor *tokens(int64_t first, int64_t count, int64_t shift) {
  tn_tensor *x = tn_empty(TN_I64, TN_SHAPE(count, T));
  for (int64_t i = 0; i < count * T; i++)
    tn_i64(x)[i] = (7 * (first * T + i + shift) / 3 + (i + shift) % 2) % V;
  return x;
}
static tn_fields *rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "tokens", tokens(first, count, 0));
  tn_fields_set(fields, "label", tokens(first, count, 1));
  return fields;
}
static const data text = {describe, rows};

#define SMALL "use = model.gpt\nlayers = 2\nwidth = 8\nheads = 2\n"

/* d: width. Blocks: two norms 4 d, qkv 3 d^2 + 3 d, out d^2 + d, up and down 8 d^2 + 5 d: 12 d^2 + 13 d. */
Test(gpt, parameters_are_counted) {
  const int64_t d = 8, block = 12 * d * d + 13 * d, rest = (V + T) * d + 2 * d;
  EXPECT_INT(size_of(open_model("float32", SMALL, &text)), 2 * block + rest);
  EXPECT_INT(size_of(open_model("float32", SMALL "tie = no", &text)), 2 * block + rest + V * d);
  EXPECT_INT(size_of(open_model("float32", SMALL "bias = no\ncontext = 9", &text)),
             2 * (12 * d * d + 4 * d) + rest + 3 * d);
}

Test(gpt, every_labelled_position_is_a_row) {
  const tn_component *m = open_model("float32", SMALL, &text);
  expect_shape(m, rows(0, 3), "logits", TN_SHAPE(3 * T, V));
  expect_shape(m, rows(0, 3), "features", TN_SHAPE(3 * T, 8));
  tn_fields *batch = rows(0, 3);
  const tn_tensor *given = tn_field(batch, "label"), *got = output(m, batch, TN_EVALUATE, "label");
  EXPECT_INT(tn_ndim(got), 1);
  for (int64_t i = 0; i < 3 * T; i++) EXPECT_INT(tn_i64(got)[i], tn_i64(given)[i]);
  m = open_model("float32", SMALL "positions = all", &text);
  expect_shape(m, rows(0, 3), "logits", TN_SHAPE(3, T, V));
  m = open_model("float32", SMALL "positions = last", &text);
  expect_shape(m, rows(0, 3), "logits", TN_SHAPE(3, V));
}

/* Whatever comes later changes nothing. */
Test(gpt, no_position_sees_the_future) {
  const tn_component *m = open_model("float64", SMALL "positions = all", &text);
  const tn_tensor *y = output(m, rows(0, 1), TN_EVALUATE, "logits");
  for (int64_t changed = 1; changed < T; changed++) {
    tn_fields *other = tn_fields_new();
    tn_tensor *x = tokens(0, 1, 0);
    for (int64_t t = changed; t < T; t++) tn_i64(x)[t] = (tn_i64(x)[t] + 1) % V;
    tn_fields_set(other, "tokens", x);
    const tn_tensor *z = output(m, other, TN_EVALUATE, "logits");
    for (int64_t i = 0; i < changed * V; i++) EXPECT_NEAR(harness_at(z, i), harness_at(y, i), 1e-14);
    cr_assert(fabs(harness_at(z, changed * V) - harness_at(y, changed * V)) > 1e-6);
  }
}

/* GPT-2: deviation 0.02, over sqrt(2 layers) where blocks write. */
Test(gpt, initialised_as_gpt2) {
  const tn_component *m = open_model("float64", "use = model.gpt\nlayers = 2\nwidth = 64\nheads = 2", &text);
  const tn_params *params = tn_parameters(m);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry e;
    tn_params_entry(params, p, &e);
    if (tn_numel(e.tensor) < 4096) continue;
    double square = 0;
    for (int64_t i = 0; i < tn_numel(e.tensor); i++)
      square += harness_at(e.tensor, i) * harness_at(e.tensor, i);
    const bool writes = strstr(e.name, "out.weight") || strstr(e.name, "down.weight");
    EXPECT_NEAR(sqrt(square / (double)tn_numel(e.tensor)), writes ? 0.01 : 0.02, 0.001);
  }
}

Test(gpt, gradients_are_central_differences) {
  static const char *const kinds[] = {SMALL, SMALL "tie = no\nactivation = gelu_tanh\nbias = no",
                                      SMALL "dropout = 0.3", SMALL "positions = last"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    const tn_component *m = open_model("float64", kinds[k], &text);
    expect_gradients(m, rows(0, 3), TN_TRAIN, "logits");
  }
}

Test(gpt, is_a_pure_function) {
  const tn_component *m = open_model("float64", SMALL "dropout = 0.3", &text);
  expect_pure(m, &text, "logits");
  expect_rows_alone(m, &text, "logits");
  m = open_model("float64", SMALL, &text);
  expect_norm_modes(m, &text, "logits", 0);
}

static void describe_numbers(tn_spec *spec) { tn_spec_set(spec, "tokens", TN_FLOAT, TN_SHAPE(T), 0); }
static void describe_unknown(tn_spec *spec) { tn_spec_set(spec, "tokens", TN_I64, TN_SHAPE(T), 0); }

Test(gpt, wrong_keys_are_refused) {
  const data numbers = {describe_numbers, NULL}, unknown = {describe_unknown, NULL};
  EXPECT_CONTAINS(refusal("use = model.gpt\nwidth = 10\nheads = 4", NULL), "4 heads do not divide width 10");
  EXPECT_CONTAINS(refusal(SMALL "context = 5", &text), "'tokens' has 6 tokens, more than context 5");
  EXPECT_CONTAINS(refusal(SMALL "vocabulary = 4", &text), "vocabulary 4 is below the 5 classes of 'tokens'");
  EXPECT_CONTAINS(refusal(SMALL, &numbers), "'tokens' must be int64 numbers of one length (t)");
  EXPECT_CONTAINS(refusal(SMALL, &unknown), "'tokens' has no number of classes: give `vocabulary`");
  EXPECT_CONTAINS(refusal(SMALL "input = words", &text), "words");
}
