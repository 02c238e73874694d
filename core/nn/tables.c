// SPDX-License-Identifier: MIT
/* The service table of the neural-network operations. */
#include "internal.h"

#define N(t) tn_node_of_optional(t)
static inline tn_node *tn_node_of_optional(tn_tensor *t) { return t ? tn_node_of(t) : NULL; }

static tn_tensor *convolution(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, const tn_conv *conv) {
  return &tn_op_convolution(N(x), N(weight), N(bias), conv)->t;
}
static tn_tensor *convolution_transposed(tn_tensor *x, tn_tensor *weight, tn_tensor *bias,
                                         const tn_conv *conv, const int64_t *extra) {
  return &tn_op_convolution_transposed(N(x), N(weight), N(bias), conv, extra)->t;
}
static tn_tensor *pool(tn_pool_op op, tn_tensor *x, const tn_window *window) {
  return &tn_op_pool(op, N(x), window)->t;
}
static tn_tensor *adaptive_pool(tn_pool_op op, tn_tensor *x, int64_t height, int64_t width) {
  return &tn_op_adaptive_pool(op, N(x), height, width)->t;
}
static tn_tensor *batch_norm(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, tn_tensor *residual,
                             double epsilon, uint32_t flags, tn_tensor **mean, tn_tensor **variance) {
  return &tn_op_batch_norm(N(x), N(weight), N(bias), N(residual), epsilon, flags, mean, variance)->t;
}
static tn_tensor *batch_norm_fixed(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, tn_tensor *residual,
                                   tn_tensor *mean, tn_tensor *variance, double epsilon, uint32_t flags) {
  return &tn_op_batch_norm_fixed(N(x), N(weight), N(bias), N(residual), N(mean), N(variance), epsilon, flags)
              ->t;
}
static tn_tensor *layer_norm(tn_tensor *x, int32_t axes, tn_tensor *weight, tn_tensor *bias, double epsilon) {
  return &tn_op_layer_norm(N(x), axes, N(weight), N(bias), epsilon)->t;
}
static tn_tensor *group_norm(tn_tensor *x, int64_t groups, tn_tensor *weight, tn_tensor *bias, double epsilon,
                             uint32_t flags) {
  return &tn_op_group_norm(N(x), groups, N(weight), N(bias), epsilon, flags)->t;
}
static tn_tensor *rms_norm(tn_tensor *x, int32_t axes, tn_tensor *weight, double epsilon) {
  return &tn_op_rms_norm(N(x), axes, N(weight), epsilon)->t;
}
static tn_tensor *weight_norm(tn_tensor *direction, tn_tensor *length) {
  return &tn_op_weight_norm(N(direction), N(length))->t;
}
static tn_tensor *spectral_norm(tn_tensor *weight, tn_tensor *u, int32_t steps, double epsilon,
                                tn_tensor **next) {
  return &tn_op_spectral_norm(N(weight), N(u), steps, epsilon, next)->t;
}
static tn_tensor *interpolate(tn_interpolate_op op, tn_tensor *x, int64_t height, int64_t width, bool align) {
  return &tn_op_interpolate(op, N(x), height, width, align)->t;
}
static tn_tensor *affine_grid(tn_tensor *theta, int64_t height, int64_t width, bool align) {
  return &tn_op_affine_grid(N(theta), height, width, align)->t;
}
static tn_tensor *grid_sample(tn_tensor *x, tn_tensor *grid, tn_border_op border, bool align) {
  return &tn_op_grid_sample(N(x), N(grid), border, align)->t;
}
static tn_tensor *attention(tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_tensor *mask, bool causal,
                            double scale) {
  return &tn_op_attention(N(q), N(k), N(v), N(mask), causal, scale)->t;
}
static tn_tensor *self_attention(tn_tensor *x, int64_t heads, bool causal, double scale) {
  return &tn_op_self_attention(N(x), heads, causal, scale)->t;
}
static tn_tensor *dropout(tn_tensor *x, double p, tn_rng *rng) { return &tn_op_dropout(N(x), p, rng)->t; }

const tn_nn_service tn_nn_table = {
    .size = sizeof(tn_nn_service),
    .convolution = convolution,
    .convolution_transposed = convolution_transposed,
    .pool = pool,
    .adaptive_pool = adaptive_pool,
    .batch_norm = batch_norm,
    .batch_norm_fixed = batch_norm_fixed,
    .layer_norm = layer_norm,
    .group_norm = group_norm,
    .rms_norm = rms_norm,
    .weight_norm = weight_norm,
    .spectral_norm = spectral_norm,
    .interpolate = interpolate,
    .affine_grid = affine_grid,
    .grid_sample = grid_sample,
    .attention = attention,
    .dropout = dropout,
    .self_attention = self_attention,
};
