// SPDX-License-Identifier: MIT
/* 2-64-64-1, tanh, batch 32, mean squared error, Adam. */
#include "../bench.h"

enum { BATCH = 32 };

static bench_training training;
static bench_linear layers[3];
static tn_tensor *x, *target; /* (BATCH, 2), (BATCH, 1) */

static bool begin(void) {
  static const int64_t widths[] = {2, 64, 64, 1};
  tn_declaration *declaration = tn_declaration_new();
  for (int i = 0; i < 3; i++) layers[i] = bench_linear_declare(declaration, widths[i], widths[i + 1]);
  x = bench_normal(TN_SHAPE(BATCH, 2));
  target = bench_normal(TN_SHAPE(BATCH, 1));
  return bench_training_begin(&training, declaration, "optimizer.adam", "lr = 1e-3");
}

static double step(void) {
  tn_scope_open();
  tn_tensor *h = x;
  for (int i = 0; i < 3; i++) {
    if (i > 0) h = tn_tanh(h);
    h = bench_linear_apply(layers[i], training.params, h);
  }
  double loss = bench_training_step(&training, tn_mean(tn_square(tn_sub(h, target))));
  tn_scope_close();
  return loss;
}

const bench_row bench_mlp_small = {"mlp_small", 1, begin, step};
