// SPDX-License-Identifier: MIT
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/dataset.h>
#include <tenon/model.h>
#include <unistd.h>

TestSuite(models, .fini = harness_close);

enum { N = 5, D = 6, C = 3 };

static void declare(const tn_component *model) {
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(D), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, C);
  cr_assert(tn_declare_component(model, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
}
static tn_tensor *some_rows(int64_t first, int64_t count) {
  double values[N * D];
  for (int64_t i = 0; i < count * D; i++) values[i] = sin((double)(first * D + i) * 1.7);
  return harness_tensor(TN_SHAPE(count, D), values);
}
static tn_tensor *apply(const tn_component *model, const tn_params *params, tn_tensor *x, tn_mode mode,
                        tn_model_call *call) {
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  static tn_rng rng;
  rng = tn_rng_at(model->name, "test", 3);
  tn_fields_set(inputs, "input", x);
  call->size = sizeof *call;
  call->params = params;
  call->inputs = inputs;
  call->outputs = outputs;
  call->progress = (tn_progress){.size = sizeof call->progress, .mode = mode};
  call->rng = &rng;
  cr_assert(tn_model_apply(model, call) >= 0, "%s", harness_failure());
  return tn_field(outputs, "logits");
}
static const tn_tensor *entry(const tn_params *params, const char *name) {
  tn_param_entry found = {.tensor = NULL};
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) found = e;
  }
  cr_assert(found.tensor != NULL, "no parameter '%s'", name);
  return found.tensor;
}

Test(models, mlp_is_its_formula) {
  harness_open("float64", "[m]\nuse = model.mlp\nhidden = 4\nactivation = tanh\n");
  const tn_component *m = harness_component("m");
  declare(m);
  const tn_params *params = tn_parameters(m);
  const tn_tensor *w0 = entry(params, "layers.0.weight"), *b0 = entry(params, "layers.0.bias"),
                  *w1 = entry(params, "layers.1.weight"), *b1 = entry(params, "layers.1.bias");
  tn_tensor *x = some_rows(0, N);
  tn_model_call call = {0};
  const tn_tensor *logits = apply(m, params, x, TN_TRAIN, &call);
  EXPECT_INT(tn_dim(logits, 1), C);
  EXPECT_INT(tn_dim(tn_field(call.outputs, "features"), 1), 4);
  for (int n = 0; n < N; n++)
    for (int c = 0; c < C; c++) {
      double y = harness_at(b1, c);
      for (int h = 0; h < 4; h++) {
        double sum = harness_at(b0, h);
        for (int d = 0; d < D; d++) sum += harness_at(w0, h * D + d) * harness_at(x, n * D + d);
        y += harness_at(w1, c * 4 + h) * tanh(sum);
      }
      EXPECT_NEAR(harness_at(logits, n * C + c), y, 1e-14);
    }
}

/* Training normalises by the batch and reports statistics; evaluation uses those of the parameter set. */
/* Windows of a text through an embedding and one layer: the vectors of the tokens behind each other; the
 * label is what follows the window. */
Test(models, mlp_embeds_tokens) {
  enum { CONTEXT = 3, WIDTH = 2 };
  char path[] = "/tmp/tenon-text-XXXXXX", text[512];
  FILE *file = fdopen(mkstemp(path), "w");
  cr_assert(file && fputs("abcabdaccb", file) >= 0 && fclose(file) == 0);
  snprintf(text, sizeof text,
           "[t]\nuse = dataset.text\nfile = %s\ncontext = 3\nstride = 1\ntarget = next\n"
           "[m]\nuse = model.mlp\nhidden =\nembedding = 2\n[plain]\nuse = model.mlp\ninput = tokens\n",
           path);
  harness_open("float64", text);
  unlink(path);
  const tn_component *t = harness_component("t"), *m = harness_component("m");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(t, spec) >= 0 && tn_declare_component(m, spec, NULL) >= 0, "%s",
            harness_failure());
  cr_assert(tn_declare_component(harness_component("plain"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "'tokens' must be numbers");
  tn_spec_release(spec);
  EXPECT_INT(tn_dataset_rows(t), 7);
  const int64_t index[] = {0, 3}; /* abc -> a, abd -> a */
  tn_fields *rows = tn_fields_new(), *outputs = tn_fields_new();
  cr_assert(tn_dataset_read(t, index, 2, rows) >= 0, "%s", harness_failure());
  const tn_tensor *tokens = tn_field(rows, "tokens"), *label = tn_field(rows, "label");
  EXPECT_INT(tn_ndim(label), 1);
  EXPECT_INT(tn_i64(label)[0], 0);
  EXPECT_INT(tn_i64(label)[1], 0);
  EXPECT_INT(tn_i64(tokens)[5], 3);
  const tn_params *params = tn_parameters(m);
  const tn_tensor *table = entry(params, "embedding.weight"), *w = entry(params, "layers.0.weight"),
                  *b = entry(params, "layers.0.bias");
  tn_model_call call = {.size = sizeof call,
                        .params = params,
                        .inputs = rows,
                        .outputs = outputs,
                        .progress = {.size = sizeof call.progress, .mode = TN_TRAIN}};
  cr_assert(tn_model_apply(m, &call) >= 0, "%s", harness_failure());
  for (int n = 0; n < 2; n++)
    for (int c = 0; c < 4; c++) {
      double y = harness_at(b, c);
      for (int i = 0; i < CONTEXT * WIDTH; i++)
        y += harness_at(w, c * CONTEXT * WIDTH + i) *
             harness_at(table, tn_i64(tokens)[n * CONTEXT + i / WIDTH] * WIDTH + i % WIDTH);
      EXPECT_NEAR(harness_at(tn_field(outputs, "logits"), n * 4 + c), y, 1e-14);
    }
}

Test(models, batch_norm_statistics) {
  harness_open("float64",
               "[m]\nuse = model.mlp\nhidden = 4\nnorm = batch\nactivation = identity\nbias = no\n");
  const tn_component *m = harness_component("m");
  declare(m);
  tn_params *params = tn_parameters(m);
  tn_buffer_update updates[8];
  tn_model_call call = {.updates = updates};
  tn_tensor *x = some_rows(0, N);
  apply(m, params, x, TN_TRAIN, &call);
  EXPECT_INT(call.update_count, 2);
  const tn_tensor *w0 = entry(params, "layers.0.weight");
  for (int h = 0; h < 4; h++) {
    double mean = 0, square = 0;
    for (int n = 0; n < N; n++) {
      double sum = 0;
      for (int d = 0; d < D; d++) sum += harness_at(w0, h * D + d) * harness_at(x, n * D + d);
      mean += sum / N;
      square += sum * sum;
    }
    EXPECT_NEAR(harness_at(updates[0].value, h), 0.1 * mean, 1e-14);
    EXPECT_NEAR(harness_at(updates[1].value, h), 0.9 + 0.1 * (square - N * mean * mean) / (N - 1), 1e-13);
  }
  /* frozen: the batch's statistics, reported to nobody */
  tn_model_call frozen = {.updates = updates, .norm = TN_NORM_FROZEN};
  apply(m, params, x, TN_TRAIN, &frozen);
  EXPECT_INT(frozen.update_count, 0);
  /* in evaluation a row's result does not depend on the others */
  tn_model_call one = {.updates = updates}, all = {0};
  const tn_tensor *alone = apply(m, params, some_rows(1, 1), TN_EVALUATE, &one);
  const tn_tensor *together = apply(m, params, x, TN_EVALUATE, &all);
  EXPECT_INT(one.update_count, 0);
  for (int c = 0; c < C; c++) EXPECT_NEAR(harness_at(alone, c), harness_at(together, C + c), 1e-14);
}

Test(models, dropout_acts_in_training_only_and_repeats) {
  harness_open("float64", "[m]\nuse = model.mlp\nhidden = 64\ndropout = 0.5\n");
  const tn_component *m = harness_component("m");
  declare(m);
  const tn_params *params = tn_parameters(m);
  tn_model_call a = {0}, b = {0}, e = {0};
  const tn_tensor *x = apply(m, params, some_rows(0, N), TN_TRAIN, &a);
  const tn_tensor *y = apply(m, params, some_rows(0, N), TN_TRAIN, &b);
  const tn_tensor *z = apply(m, params, some_rows(0, N), TN_EVALUATE, &e);
  double difference = 0;
  for (int i = 0; i < N * C; i++) {
    EXPECT_REAL(harness_at(x, i), harness_at(y, i));
    difference += fabs(harness_at(x, i) - harness_at(z, i));
  }
  cr_assert(difference > 1e-3);
}

/* Central differences through every kind of layer. */
Test(models, gradients_are_central_differences) {
  static const char *const kinds[] = {"norm = none\nactivation = gelu\n", "norm = batch\nactivation = tanh\n",
                                      "norm = layer\nactivation = silu\nnorm_output = yes\n",
                                      "dropout = 0.3\nactivation = softplus\nhidden = 5\n"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    char sections[256];
    snprintf(sections, sizeof sections, "[m]\nuse = model.mlp\n%s%s", kinds[k],
             k < 3 ? "hidden = 4, 3\n" : "");
    harness_open("float64", sections);
    const tn_component *m = harness_component("m");
    declare(m);
    tn_params *params = tn_parameters(m), *gradient = tn_params_like(params);
    tn_model_call call = {0};
    cr_assert(tn_grad_params(tn_mean(tn_square(apply(m, params, some_rows(0, N), TN_TRAIN, &call))), params,
                             gradient) >= 0,
              "%s", harness_failure());
    for (uint32_t p = 0; p < tn_params_count(params); p++) {
      tn_param_entry e, ge;
      tn_params_entry(params, p, &e);
      if (e.group != TN_DECAY && e.group != TN_NO_DECAY) continue;
      tn_params_entry(gradient, p, &ge);
      cr_assert_str_eq(ge.name, e.name);
      for (int64_t i = 0; i < tn_numel(e.tensor); i += 3) {
        double *w = &tn_f64(e.tensor)[i], two[2];
        const double at = *w, h = 1e-5;
        for (int side = 0; side < 2; side++) {
          *w = at + (side ? h : -h);
          tn_model_call other = {0};
          two[side] = tn_item(tn_mean(tn_square(apply(m, params, some_rows(0, N), TN_TRAIN, &other))));
        }
        *w = at;
        const double wanted = (two[1] - two[0]) / (2 * h), got = harness_at(ge.tensor, i);
        cr_assert(fabs(got - wanted) < 1e-8, "%s %s %d: expected %.12g, got %.12g", kinds[k], e.name, (int)i,
                  wanted, got);
      }
    }
    tn_params_release(gradient);
  }
}

Test(models, mlp_says_what_it_lacks) {
  harness_open(
      "float32",
      "[m]\nuse = model.mlp\n[n]\nuse = model.mlp\ninput = picture\n[o]\nuse = model.mlp\noutput = 7\n");
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs;
  tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(D), 0);
  cr_assert(tn_declare_component(harness_component("m"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "output");
  cr_assert(tn_declare_component(harness_component("n"), spec, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "picture");
  cr_assert(tn_declare_component(harness_component("o"), spec, &outputs) >= 0);
  EXPECT_INT(tn_spec_find(outputs, "output")->shape.dim[0], 7);
  EXPECT_INT(tn_spec_find(outputs, "features")->shape.dim[0], 128);
  tn_spec_release(spec);
}
