// SPDX-License-Identifier: MIT
/* tenon.nn/1: the operations that neural networks are made of, beyond the elementwise ones and products of
 * tensor.h.
 *
 * Everything works in float32 and float64, all operands of one dtype, and has derivatives of any order with
 * respect to every floating operand, as far as they exist. Ownership, errors and poison are those of
 * tensor.h; shapes that do not fit are errors with the shapes in their message. Images are (n, c, h, w):
 * batch, channels, rows, columns. What has one spatial dimension is an image of height 1.
 *
 * The same operands give the same bits on one machine type, whatever the number of threads.
 *
 * Threads: [any], each thread with scopes of its own. */
#ifndef TENON_NN_H
#define TENON_NN_H

#include <tenon/random.h>
#include <tenon/tensor.h>

#define TN_NN_SERVICE "tenon.nn/1"

/* A convolution's geometry; zeroed is the common case. Pairs are (rows, columns). */
typedef struct tn_conv {
  int64_t stride[2];   /* 0 means 1 */
  int64_t padding[2];  /* zeros on both sides */
  int64_t dilation[2]; /* 0 means 1 */
  int64_t groups;      /* divides both channel counts; 0 means 1; the channels: depthwise */
} tn_conv;

typedef int32_t tn_pool_op;
enum {
  TN_POOL_MAX,         /* padding counts as -infinity; the derivative goes to the first maximum; NaN wins */
  TN_POOL_MEAN,        /* of the elements inside the image */
  TN_POOL_MEAN_PADDED, /* of all elements of the window, padding counting as zeros */
  TN_POOL_COUNT
};
typedef struct tn_window {
  int64_t size[2];
  int64_t stride[2];  /* 0 means the size */
  int64_t padding[2]; /* at most half the size */
} tn_window;

/* Activations that a normalisation may apply before it stores its result. */
enum { TN_NORM_RELU = 1u << 0 };

typedef int32_t tn_interpolate_op;
enum { TN_INTERPOLATE_NEAREST, TN_INTERPOLATE_BILINEAR, TN_INTERPOLATE_COUNT };
typedef int32_t tn_border_op; /* what lies outside the image */
enum { TN_BORDER_ZEROS, TN_BORDER_EDGE, TN_BORDER_COUNT };

typedef struct tn_nn_service {
  uint32_t size;

  /* x (n, c, h, w), weight (o, c / groups, kh, kw), bias (o) or NULL -> (n, o, oh, ow) with
   * oh = floor((h + 2 padding - dilation (kh - 1) - 1) / stride) + 1. `conv` NULL: zeroed. */
  tn_tensor *(*convolution)(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, const tn_conv *conv);
  /* The derivative of the former with respect to its input, as an operation: x (n, c, h, w), weight
   * (c, o / groups, kh, kw) -> (n, o, oh, ow), oh = (h - 1) stride - 2 padding + dilation (kh - 1) +
   * extra + 1. extra (output padding): NULL or two numbers below max(stride, dilation). */
  tn_tensor *(*convolution_transposed)(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, const tn_conv *conv,
                                       const int64_t *extra);

  /* x (n, c, h, w) -> (n, c, oh, ow), oh = floor((h + 2 padding - size) / stride) + 1. */
  tn_tensor *(*pool)(tn_pool_op op, tn_tensor *x, const tn_window *window);
  /* To a given size: window i covers floor(i h / oh) to ceil((i + 1) h / oh). MAX or MEAN. */
  tn_tensor *(*adaptive_pool)(tn_pool_op op, tn_tensor *x, int64_t height, int64_t width);

  /* Batch normalisation (Ioffe and Szegedy 2015) of x (n, c, ...) by the mean and the population variance of
   * each channel over everything else; weight, bias (c) or NULL. If `mean` and `variance` are given they
   * receive the statistics (c) as constants, the variance divided by count - 1 as running statistics want it.
   * residual, of x's shape or NULL, is added before the activation in `flags`. */
  tn_tensor *(*batch_norm)(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, tn_tensor *residual,
                           double epsilon, uint32_t flags, tn_tensor **mean, tn_tensor **variance);
  /* The same with statistics (c) from elsewhere, which are operands like the others. */
  tn_tensor *(*batch_norm_fixed)(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, tn_tensor *residual,
                                 tn_tensor *mean, tn_tensor *variance, double epsilon, uint32_t flags);
  /* Layer normalisation (Ba et al. 2016) over the last `axes` axes; weight, bias of their shape or NULL. */
  tn_tensor *(*layer_norm)(tn_tensor *x, int32_t axes, tn_tensor *weight, tn_tensor *bias, double epsilon);
  /* Group normalisation (Wu and He 2018) of x (n, c, ...); weight, bias (c) or NULL. As many groups as
   * channels: instance normalisation. */
  tn_tensor *(*group_norm)(tn_tensor *x, int64_t groups, tn_tensor *weight, tn_tensor *bias, double epsilon,
                           uint32_t flags);
  /* x / sqrt(mean(x^2) + epsilon) over the last `axes` axes (Zhang and Sennrich 2019), times weight or NULL.
   */
  tn_tensor *(*rms_norm)(tn_tensor *x, int32_t axes, tn_tensor *weight, double epsilon);
  /* direction (o, ...) scaled to length (o) along its first axis (Salimans and Kingma 2016). */
  tn_tensor *(*weight_norm)(tn_tensor *direction, tn_tensor *length);
  /* weight (o, ...) over its largest singular value as a matrix (o, rest) (Miyato et al. 2018), by `steps`
   * power iterations from u (o), a constant. `next`, if given, receives the new u as a constant. */
  tn_tensor *(*spectral_norm)(tn_tensor *weight, tn_tensor *u, int32_t steps, double epsilon,
                              tn_tensor **next);

  /* x (n, c, h, w) -> (n, c, height, width). align: the centres of the corner elements coincide (bilinear
   * only); otherwise the corners of the image do. */
  tn_tensor *(*interpolate)(tn_interpolate_op op, tn_tensor *x, int64_t height, int64_t width, bool align);
  /* theta (n, 2, 3) -> sampling positions (n, height, width, 2), x before y, -1 to 1 over the image. */
  tn_tensor *(*affine_grid)(tn_tensor *theta, int64_t height, int64_t width, bool align);
  /* x (n, c, h, w) at positions grid (n, oh, ow, 2), bilinear -> (n, c, oh, ow) (Jaderberg et al. 2015). */
  tn_tensor *(*grid_sample)(tn_tensor *x, tn_tensor *grid, tn_border_op border, bool align);

  /* softmax(scale q k^T + mask) v over the last two axes: q (..., t, d), k (..., s, d), v (..., s, e) ->
   * (..., t, e), leading axes equal. causal: query i sees keys 0 .. i + s - t. mask: NULL, or a constant that
   * broadcasts to (..., t, s), bool (true: seen) or of q's dtype (added). scale 0 means 1 / sqrt(d). A query
   * that sees nothing gives zeros. */
  tn_tensor *(*attention)(tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_tensor *mask, bool causal,
                          double scale);

  /* Zero with probability p, else x / (1 - p). 0 <= p < 1. */
  tn_tensor *(*dropout)(tn_tensor *x, double p, tn_rng *rng);

  /* Attention of rows to the rows of the same sequence, queries, keys and values of all heads side by side,
   * as one linear layer gives them: x (n, t, 3 heads d) -> (n, t, heads d). causal, scale: see attention. */
  tn_tensor *(*self_attention)(tn_tensor *x, int64_t heads, bool causal, double scale);
} tn_nn_service;

static inline tn_tensor *tn_convolution(tn_tensor *x, tn_tensor *weight, tn_tensor *bias,
                                        const tn_conv *conv) {
  return tn_sdk.nn->convolution(x, weight, bias, conv);
}
/* Square kernels: one number for both axes. */
static inline tn_tensor *tn_conv2d(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, int64_t stride,
                                   int64_t padding) {
  tn_conv conv = {{stride, stride}, {padding, padding}, {1, 1}, 1};
  return tn_sdk.nn->convolution(x, weight, bias, &conv);
}
/* x (n, c, t), weight (o, c, k) -> (n, o, ...) */
static inline tn_tensor *tn_conv1d(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, int64_t stride,
                                   int64_t padding, int64_t dilation) {
  tn_conv conv = {{1, stride}, {0, padding}, {1, dilation}, 1};
  tn_shape sx = {4, {0, 0, 1, 0}}, sw = {4, {0, 0, 1, 0}};
  tn_tensor *y;
  if (tn_ndim(x) != 3 || tn_ndim(weight) != 3) return tn_sdk.nn->convolution(x, weight, bias, &conv);
  sx.dim[0] = tn_dim(x, 0), sx.dim[1] = tn_dim(x, 1), sx.dim[3] = tn_dim(x, 2);
  sw.dim[0] = tn_dim(weight, 0), sw.dim[1] = tn_dim(weight, 1), sw.dim[3] = tn_dim(weight, 2);
  y = tn_sdk.nn->convolution(tn_reshape(x, sx), tn_reshape(weight, sw), bias, &conv);
  if (tn_poisoned(y)) return y;
  sx.ndim = 3;
  sx.dim[1] = tn_dim(y, 1), sx.dim[2] = tn_dim(y, 3);
  return tn_reshape(y, sx);
}
static inline tn_tensor *tn_convolution_transposed(tn_tensor *x, tn_tensor *weight, tn_tensor *bias,
                                                   const tn_conv *conv, const int64_t *extra) {
  return tn_sdk.nn->convolution_transposed(x, weight, bias, conv, extra);
}
static inline tn_tensor *tn_pool(tn_pool_op op, tn_tensor *x, const tn_window *window) {
  return tn_sdk.nn->pool(op, x, window);
}
static inline tn_tensor *tn_max_pool(tn_tensor *x, int64_t size, int64_t stride, int64_t padding) {
  tn_window window = {{size, size}, {stride, stride}, {padding, padding}};
  return tn_sdk.nn->pool(TN_POOL_MAX, x, &window);
}
static inline tn_tensor *tn_mean_pool(tn_tensor *x, int64_t size, int64_t stride, int64_t padding) {
  tn_window window = {{size, size}, {stride, stride}, {padding, padding}};
  return tn_sdk.nn->pool(TN_POOL_MEAN, x, &window);
}
static inline tn_tensor *tn_adaptive_pool(tn_pool_op op, tn_tensor *x, int64_t height, int64_t width) {
  return tn_sdk.nn->adaptive_pool(op, x, height, width);
}
/* (n, c, h, w) -> (n, c) */
static inline tn_tensor *tn_global_mean_pool(tn_tensor *x) {
  return tn_sdk.tensor->reduce(TN_MEAN, x, TN_AXIS(2) | TN_AXIS(3), false);
}
static inline tn_tensor *tn_batch_norm(tn_tensor *x, tn_tensor *weight, tn_tensor *bias, double epsilon,
                                       tn_tensor **mean, tn_tensor **variance) {
  return tn_sdk.nn->batch_norm(x, weight, bias, NULL, epsilon, 0, mean, variance);
}
/* relu(batch_norm(x) + residual), touching memory once; residual may be NULL. */
static inline tn_tensor *tn_batch_norm_relu(tn_tensor *x, tn_tensor *weight, tn_tensor *bias,
                                            tn_tensor *residual, double epsilon, tn_tensor **mean,
                                            tn_tensor **variance) {
  return tn_sdk.nn->batch_norm(x, weight, bias, residual, epsilon, TN_NORM_RELU, mean, variance);
}
static inline tn_tensor *tn_batch_norm_fixed(tn_tensor *x, tn_tensor *weight, tn_tensor *bias,
                                             tn_tensor *mean, tn_tensor *variance, double epsilon) {
  return tn_sdk.nn->batch_norm_fixed(x, weight, bias, NULL, mean, variance, epsilon, 0);
}
static inline tn_tensor *tn_layer_norm(tn_tensor *x, int32_t axes, tn_tensor *weight, tn_tensor *bias,
                                       double epsilon) {
  return tn_sdk.nn->layer_norm(x, axes, weight, bias, epsilon);
}
static inline tn_tensor *tn_group_norm(tn_tensor *x, int64_t groups, tn_tensor *weight, tn_tensor *bias,
                                       double epsilon) {
  return tn_sdk.nn->group_norm(x, groups, weight, bias, epsilon, 0);
}
static inline tn_tensor *tn_rms_norm(tn_tensor *x, int32_t axes, tn_tensor *weight, double epsilon) {
  return tn_sdk.nn->rms_norm(x, axes, weight, epsilon);
}
static inline tn_tensor *tn_weight_norm(tn_tensor *direction, tn_tensor *length) {
  return tn_sdk.nn->weight_norm(direction, length);
}
static inline tn_tensor *tn_spectral_norm(tn_tensor *weight, tn_tensor *u, int32_t steps, double epsilon,
                                          tn_tensor **next) {
  return tn_sdk.nn->spectral_norm(weight, u, steps, epsilon, next);
}
static inline tn_tensor *tn_interpolate(tn_interpolate_op op, tn_tensor *x, int64_t height, int64_t width,
                                        bool align) {
  return tn_sdk.nn->interpolate(op, x, height, width, align);
}
static inline tn_tensor *tn_affine_grid(tn_tensor *theta, int64_t height, int64_t width, bool align) {
  return tn_sdk.nn->affine_grid(theta, height, width, align);
}
static inline tn_tensor *tn_grid_sample(tn_tensor *x, tn_tensor *grid, tn_border_op border, bool align) {
  return tn_sdk.nn->grid_sample(x, grid, border, align);
}
static inline tn_tensor *tn_attention(tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_tensor *mask, bool causal,
                                      double scale) {
  return tn_sdk.nn->attention(q, k, v, mask, causal, scale);
}
static inline tn_tensor *tn_self_attention(tn_tensor *x, int64_t heads, bool causal, double scale) {
  return tn_sdk.nn->self_attention(x, heads, causal, scale);
}
static inline tn_tensor *tn_dropout(tn_tensor *x, double p, tn_rng *rng) {
  return tn_sdk.nn->dropout(x, p, rng);
}

#endif
