// SPDX-License-Identifier: MIT
/* ResNet-8 (He et al. 2016) on 32x32x3: 16, 32, 64 channels; batch 64, SGD with momentum. */
#include "../bench.h"

enum { BATCH = 64, CLASSES = 10, BLOCKS = 3 };

typedef struct block {
  bench_conv first, second, shortcut;
  bench_norm first_norm, second_norm, shortcut_norm;
  bool projected;
} block;

static bench_training training;
static bench_conv stem;
static bench_norm stem_norm;
static block blocks[BLOCKS];
static bench_linear head;
static tn_tensor *x, *labels; /* (BATCH, 3, 32, 32), (BATCH) */

static block declare_block(tn_declaration *declaration, int64_t in, int64_t out, int64_t stride) {
  block b = {.projected = in != out || stride != 1};
  b.first = bench_conv_declare(declaration, in, out, 3, stride, 1, 1);
  b.first_norm = bench_norm_declare(declaration, out, true);
  b.second = bench_conv_declare(declaration, out, out, 3, 1, 1, 1);
  b.second_norm = bench_norm_declare(declaration, out, true);
  if (!b.projected) return b;
  b.shortcut = bench_conv_declare(declaration, in, out, 1, stride, 1, 1);
  b.shortcut_norm = bench_norm_declare(declaration, out, true);
  return b;
}

static tn_tensor *apply_block(const block *b, const tn_params *params, tn_tensor *input) {
  tn_tensor *shortcut = input;
  if (b->projected)
    shortcut =
        bench_norm_apply(&b->shortcut_norm, params, bench_conv_apply(&b->shortcut, params, input), NULL, 0);
  tn_tensor *h = bench_conv_apply(&b->first, params, input);
  h = bench_norm_apply(&b->first_norm, params, h, NULL, TN_NORM_RELU);
  h = bench_conv_apply(&b->second, params, h);
  return bench_norm_apply(&b->second_norm, params, h, shortcut, TN_NORM_RELU);
}

static bool begin(void) {
  tn_declaration *declaration = tn_declaration_new();
  stem = bench_conv_declare(declaration, 3, 16, 3, 1, 1, 1);
  stem_norm = bench_norm_declare(declaration, 16, true);
  blocks[0] = declare_block(declaration, 16, 16, 1);
  blocks[1] = declare_block(declaration, 16, 32, 2);
  blocks[2] = declare_block(declaration, 32, 64, 2);
  head = bench_linear_declare(declaration, 64, CLASSES);
  x = bench_normal(TN_SHAPE(BATCH, 3, 32, 32));
  labels = bench_labels(BATCH, CLASSES);
  return bench_training_begin(&training, declaration, "optimizer.sgd", "lr = 0.05\nmomentum = 0.9");
}

static double step(void) {
  tn_scope_open();
  const tn_params *params = training.params;
  tn_tensor *h = bench_conv_apply(&stem, params, x);
  h = bench_norm_apply(&stem_norm, params, h, NULL, TN_NORM_RELU);
  for (int i = 0; i < BLOCKS; i++) h = apply_block(&blocks[i], params, h);
  h = bench_linear_apply(head, params, tn_global_mean_pool(h));
  double loss = bench_training_step(&training, tn_mean(tn_cross_entropy(h, labels, 0)));
  tn_scope_close();
  return loss;
}

const bench_row bench_resnet = {"resnet", BATCH, begin, step};
