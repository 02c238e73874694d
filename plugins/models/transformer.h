// SPDX-License-Identifier: MIT
/* Pre-norm transformer blocks (Vaswani et al. 2017; pre-norm: Xiong et al. 2020), with or without a causal
 * mask:
 *
 *   x <- x + W_o attention(norm1(x)),   x <- x + W_down activation(W_up norm2(x)) */
#ifndef TENON_PLUGINS_TRANSFORMER_H
#define TENON_PLUGINS_TRANSFORMER_H

#include "layers.h"

enum { GELU, GELU_TANH, RELU };
#define ACTIVATION_PARAM(model) \
  TN_CHOICE(struct model, activation, "gelu", "gelu|gelu_tanh|relu", "inside the blocks' perceptrons")

struct transformer_block {
  struct norm norm1, norm2;
  struct linear qkv, out, up, down;
};

struct transformer {
  int64_t width, heads, inner; /* inner: of the perceptrons */
  int32_t activation;
  bool causal, bias;
  double dropout;
  tn_init init, residual_init; /* of all weights; of those that write to the residual stream */
};

/* The checks that all models of such blocks share. */
static inline tn_status transformer_check(int64_t width, int64_t heads) {
  if (width % heads == 0) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "%lld heads do not divide width %lld", (long long)heads, (long long)width);
}

static inline struct transformer_block transformer_declare(const struct transformer *t,
                                                           tn_declaration *declaration, uint32_t number) {
  struct transformer_block block;
  char name[48];
  const tn_init ones = tn_init_ones();
#define NAMED(text) (snprintf(name, sizeof name, "blocks.%u." text, number), name)
  block.norm1 = norm_declare(declaration, NAMED("norm1"), NORM_LAYER, t->width, 1, 0, 1e-5, ones);
  block.qkv = linear_declare(declaration, NAMED("qkv"), t->width, 3 * t->width, t->bias, t->init);
  block.out = linear_declare(declaration, NAMED("out"), t->width, t->width, t->bias, t->residual_init);
  block.norm2 = norm_declare(declaration, NAMED("norm2"), NORM_LAYER, t->width, 1, 0, 1e-5, ones);
  block.up = linear_declare(declaration, NAMED("up"), t->width, t->inner, t->bias, t->init);
  block.down = linear_declare(declaration, NAMED("down"), t->inner, t->width, t->bias, t->residual_init);
#undef NAMED
  return block;
}

/* x (..., d) normalised over its last axis */
static inline tn_tensor *layer_norm_apply(const struct norm *norm, const tn_params *params, tn_tensor *x) {
  return tn_layer_norm(x, 1, tn_param_tensor(params, norm->weight), tn_param_tensor(params, norm->bias),
                       norm->epsilon);
}

/* Keys and values of the positions before x, (n, h, s, d / h); NULL: none. Those with x's behind them come
 * back. */
struct transformer_past {
  tn_tensor *keys, *values;
};

/* x (n, t, d) -> (n, t, d); `past` NULL: nothing was before, and nothing is kept */
static inline tn_tensor *self_attention(const struct transformer *t, const struct transformer_block *block,
                                        const tn_params *params, tn_tensor *x,
                                        struct transformer_past *past) {
  tn_tensor *qkv = linear_apply(&block->qkv, params, x); /* (n, t, 3 d) */
  if (tn_poisoned(qkv)) return qkv;
  if (!past) return linear_apply(&block->out, params, tn_self_attention(qkv, t->heads, t->causal, 0));
  const int64_t n = tn_dim(x, 0), length = tn_dim(x, 1), depth = t->width / t->heads;
  qkv = tn_reshape(qkv, TN_SHAPE(n, length, 3, t->heads, depth)); /* (n, t, 3, h, d / h) */
  qkv = tn_permute(qkv, (const int32_t[]){2, 0, 3, 1, 4});        /* (3, n, h, t, d / h) */
  tn_tensor *part[3];                                             /* q, k, v (n, h, t, d / h) */
  for (int64_t i = 0; i < 3; i++)
    part[i] = tn_reshape(tn_slice(qkv, 0, i, i + 1), TN_SHAPE(n, t->heads, length, depth));
  if (past->keys) {
    part[1] = tn_concatenate((tn_tensor *[]){past->keys, part[1]}, 2, 2);
    part[2] = tn_concatenate((tn_tensor *[]){past->values, part[2]}, 2, 2);
  }
  *past = (struct transformer_past){part[1], part[2]};
  x = tn_attention(part[0], part[1], part[2], NULL, t->causal, 0); /* (n, h, t, d / h) */
  x = tn_reshape(tn_permute(x, (const int32_t[]){0, 2, 1, 3}), TN_SHAPE(n, length, t->width)); /* (n, t, d) */
  return linear_apply(&block->out, params, x);
}

/* x (n, t, d) -> (n, t, d) */
static inline tn_tensor *transformer_continue(const struct transformer *t,
                                              const struct transformer_block *block, tn_model_call *call,
                                              tn_tensor *x, struct transformer_past *past) {
  tn_tensor *h =
      self_attention(t, block, call->params, layer_norm_apply(&block->norm1, call->params, x), past);
  x = tn_add(x, dropout_apply(t->dropout, call, h));
  h = linear_apply(&block->up, call->params,
                   layer_norm_apply(&block->norm2, call->params, x)); /* (n, t, inner) */
  h = t->activation == GELU ? tn_gelu(h) : t->activation == GELU_TANH ? tn_gelu_tanh(h) : tn_relu(h);
  h = linear_apply(&block->down, call->params, h); /* (n, t, d) */
  return tn_add(x, dropout_apply(t->dropout, call, h));
}
static inline tn_tensor *transformer_apply(const struct transformer *t, const struct transformer_block *block,
                                           tn_model_call *call, tn_tensor *x) {
  return transformer_continue(t, block, call, x, NULL);
}

#endif
