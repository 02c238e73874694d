// SPDX-License-Identifier: MIT
/* Character language model: 4 layers of width 128 with 4 heads, context 64, batch 16, vocabulary 65; AdamW.
 */
#include "../bench.h"

enum { VOCABULARY = 65, WIDTH = 128, HEADS = 4, HEAD = WIDTH / HEADS, LAYERS = 4, CONTEXT = 64, BATCH = 16 };

typedef struct norm {
  uint32_t weight, bias;
} norm;
typedef struct block {
  norm before_attention, before_mlp;
  bench_linear qkv, projection, up, down;
} block;

static bench_training training;
static uint32_t embedding, position;
static block blocks[LAYERS];
static norm last;
static bench_linear head;
static tn_tensor *tokens, *labels; /* (BATCH x CONTEXT) each */

static norm declare_norm(tn_declaration *declaration) {
  static const char *const names[][2] = {{"n0.w", "n0.b"}, {"n1.w", "n1.b"}, {"n2.w", "n2.b"},
                                         {"n3.w", "n3.b"}, {"n4.w", "n4.b"}, {"n5.w", "n5.b"},
                                         {"n6.w", "n6.b"}, {"n7.w", "n7.b"}, {"n8.w", "n8.b"}};
  static int count;
  const char *const *name = names[count++];
  return (norm){tn_declare(declaration, name[0], TN_SHAPE(WIDTH), TN_NO_DECAY, tn_init_ones()),
                tn_declare(declaration, name[1], TN_SHAPE(WIDTH), TN_NO_DECAY, tn_init_zeros())};
}

static bool begin(void) {
  tn_declaration *d = tn_declaration_new();
  const tn_init normal = tn_init_of(TN_INIT_NORMAL, 1);
  embedding = tn_declare(d, "embedding", TN_SHAPE(VOCABULARY, WIDTH), TN_DECAY, normal);
  position = tn_declare(d, "position", TN_SHAPE(CONTEXT, WIDTH), TN_DECAY, normal);
  for (int i = 0; i < LAYERS; i++)
    blocks[i] = (block){declare_norm(d),
                        declare_norm(d),
                        bench_linear_declare(d, WIDTH, 3 * WIDTH),
                        bench_linear_declare(d, WIDTH, WIDTH),
                        bench_linear_declare(d, WIDTH, 4 * WIDTH),
                        bench_linear_declare(d, 4 * WIDTH, WIDTH)};
  last = declare_norm(d);
  head = bench_linear_declare(d, WIDTH, VOCABULARY);
  tokens = bench_labels(BATCH * CONTEXT, VOCABULARY);
  labels = bench_labels(BATCH * CONTEXT, VOCABULARY);
  return bench_training_begin(&training, d, "optimizer.adamw", "lr = 1e-3");
}

static tn_tensor *apply_norm(norm n, tn_tensor *x) {
  return tn_layer_norm(x, 1, tn_param_tensor(training.params, n.weight),
                       tn_param_tensor(training.params, n.bias), 1e-5);
}

/* (BATCH, CONTEXT, WIDTH) to the same */
static tn_tensor *attend(const block *b, tn_tensor *x) {
  tn_tensor *qkv = bench_linear_apply(b->qkv, training.params, x);
  tn_tensor *y = tn_self_attention(qkv, HEADS, true, 0);
  return bench_linear_apply(b->projection, training.params, y);
}

static tn_tensor *apply_block(const block *b, tn_tensor *x) {
  x = tn_add(x, attend(b, apply_norm(b->before_attention, x)));
  tn_tensor *h = tn_gelu(bench_linear_apply(b->up, training.params, apply_norm(b->before_mlp, x)));
  return tn_add(x, bench_linear_apply(b->down, training.params, h));
}

static double step(void) {
  tn_scope_open();
  tn_tensor *x = tn_index_select(tn_param_tensor(training.params, embedding), 0, tokens);
  x = tn_reshape(x, TN_SHAPE(BATCH, CONTEXT, WIDTH));
  x = tn_add(x, tn_param_tensor(training.params, position));
  for (int i = 0; i < LAYERS; i++) x = apply_block(&blocks[i], x);
  x = bench_linear_apply(head, training.params, apply_norm(last, x));
  x = tn_reshape(x, TN_SHAPE(BATCH * CONTEXT, VOCABULARY));
  double loss = bench_training_step(&training, tn_mean(tn_cross_entropy(x, labels, 0)));
  tn_scope_close();
  return loss;
}

const bench_row bench_gpt = {"gpt", BATCH *CONTEXT, begin, step};
