// SPDX-License-Identifier: MIT
/* 28x28x1: conv 32, conv 64, max-pool, conv 64, max-pool, 128, 10; batch norm after each conv; batch 64, SGD.
 */
#include "../bench.h"

enum { BATCH = 64, CLASSES = 10 };

static bench_training training;
static bench_conv convs[3];
static bench_norm norms[3];
static bench_linear hidden, head;
static tn_tensor *x, *labels; /* (BATCH, 1, 28, 28), (BATCH) */

static bool begin(void) {
  static const int64_t channels[] = {1, 32, 64, 64};
  tn_declaration *declaration = tn_declaration_new();
  for (int i = 0; i < 3; i++) {
    convs[i] = bench_conv_declare(declaration, channels[i], channels[i + 1], 3, 1, 1, 1);
    norms[i] = bench_norm_declare(declaration, channels[i + 1], true);
  }
  hidden = bench_linear_declare(declaration, 64 * 7 * 7, 128);
  head = bench_linear_declare(declaration, 128, CLASSES);
  x = bench_normal(TN_SHAPE(BATCH, 1, 28, 28));
  labels = bench_labels(BATCH, CLASSES);
  return bench_training_begin(&training, declaration, "optimizer.sgd", "lr = 0.05\nmomentum = 0.9");
}

static double step(void) {
  tn_scope_open();
  const tn_params *params = training.params;
  tn_tensor *h = x;
  for (int i = 0; i < 3; i++) {
    h = bench_conv_apply(&convs[i], params, h);
    h = bench_norm_apply(&norms[i], params, h, NULL, TN_NORM_RELU);
    if (i > 0) h = tn_max_pool(h, 2, 2, 0);
  }
  h = tn_relu(bench_linear_apply(hidden, params, tn_flatten(h)));
  h = bench_linear_apply(head, params, h);
  double loss = bench_training_step(&training, tn_mean(tn_cross_entropy(h, labels, 0)));
  tn_scope_close();
  return loss;
}

const bench_row bench_cnn = {"cnn", BATCH, begin, step};
