// SPDX-License-Identifier: MIT
/* 784-512-256-10, ReLU, batch 128, cross-entropy, AdamW. */
#include "../bench.h"

enum { BATCH = 128, CLASSES = 10 };

static bench_training training;
static bench_linear layers[3];
static tn_tensor *x, *labels; /* (BATCH, 784), (BATCH) */

static bool begin(void) {
  static const int64_t widths[] = {784, 512, 256, CLASSES};
  tn_declaration *declaration = tn_declaration_new();
  for (int i = 0; i < 3; i++) layers[i] = bench_linear_declare(declaration, widths[i], widths[i + 1]);
  x = bench_normal(TN_SHAPE(BATCH, widths[0]));
  labels = bench_labels(BATCH, CLASSES);
  return bench_training_begin(&training, declaration, "optimizer.adamw", "lr = 1e-3");
}

static double step(void) {
  tn_scope_open();
  tn_tensor *h = x;
  for (int i = 0; i < 3; i++) {
    if (i > 0) h = tn_relu(h);
    h = bench_linear_apply(layers[i], training.params, h);
  }
  double loss = bench_training_step(&training, tn_mean(tn_cross_entropy(h, labels, 0)));
  tn_scope_close();
  return loss;
}

const bench_row bench_mlp = {"mlp", BATCH, begin, step};
