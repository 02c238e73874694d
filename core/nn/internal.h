// SPDX-License-Identifier: MIT
/* What the files of the neural-network operations share: their kernels, memory for threads, and the
 * operations as plain functions. */
#ifndef TENON_NN_INTERNAL_H
#define TENON_NN_INTERNAL_H

#include <omp.h>

#include "core/tensor/internal.h"
#include "kernels/nn_kernels.h"
#include "nn.h"

/* The kernels of the engine's CPU level. */
static inline const tn_nn_real *tn_nn_real_of(tn_dtype dtype) {
  const tn_nn_kernels *k = &tn_nn_kernels_base;
#if defined(__x86_64__)
  if (tn_here->k == &tn_kernels_avx512)
    k = &tn_nn_kernels_avx512;
  else if (tn_here->k == &tn_kernels_avx2)
    k = &tn_nn_kernels_avx2;
#endif
  return k->real[dtype];
}

/* Scratch memory, one piece a thread of the parallel loop that follows; from the workspace. */
typedef struct tn_slots {
  unsigned char *base;
  size_t bytes; /* of a piece */
  int count;
} tn_slots;
bool tn_slots_take(tn_slots *slots, size_t bytes);
static inline void tn_slots_give(const tn_slots *slots) { tn_workspace_give(slots->base); }
/* The calling thread's. */
static inline void *tn_slot(const tn_slots *slots) {
  return slots->base + (slots->count > 1 ? (size_t)omp_get_thread_num() * slots->bytes : 0);
}

static inline size_t tn_round64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static inline bool tn_same_shape(const tn_node *x, const tn_node *y) {
  return x->t.dl.ndim == y->t.dl.ndim &&
         memcmp(x->shape, y->shape, (size_t)x->t.dl.ndim * sizeof *x->shape) == 0;
}
/* convolution.c, for pooling. Lays out phases that taps read `extent` positions wide, `outputs` a row. */
void tn_lay_out_columns(tn_conv_pack *pack, int64_t extent, int64_t outputs);
/* depthwise.c: convolutions with one kernel a channel, of n images of c small planes. False and an error if
 * out of memory. */
enum { TN_DEPTHWISE_PIXELS = 196 }; /* largest plane */
bool tn_depthwise_fits(tn_dtype dtype, int64_t groups, int64_t in_group, int64_t outputs, const int64_t *in,
                       const int64_t *dilation);
bool tn_depthwise_forward(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *x,
                          const tn_node *w, const tn_node *bias, tn_node *y);
bool tn_depthwise_input(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *gy,
                        const tn_node *w, tn_node *gx);
bool tn_depthwise_weights(tn_dtype dtype, int64_t n, int64_t c, const tn_depthwise *d, const tn_node *gy,
                          const tn_node *x, tn_node *gw);
/* Sums over windows of planes, or the adjoint of that; sizes of the planes, of the results and of the
 * windows. False and an error if out of memory. */
typedef struct tn_window_sums {
  tn_dtype dtype;
  int64_t planes, in[2], out[2], size[2], stride[2], padding[2];
} tn_window_sums;
bool tn_sum_windows(const tn_window_sums *s, const void *x, void *y);
bool tn_spread_windows(const tn_window_sums *s, const void *g, void *gx);
/* False and an error unless both are floating and of one dtype. */
bool tn_check_floats(const char *op, const tn_node *x, const tn_node *y);

tn_node *tn_op_convolution(tn_node *x, tn_node *weight, tn_node *bias, const tn_conv *conv);
tn_node *tn_op_convolution_transposed(tn_node *x, tn_node *weight, tn_node *bias, const tn_conv *conv,
                                      const int64_t *extra);
tn_node *tn_op_pool(tn_pool_op op, tn_node *x, const tn_window *window);
tn_node *tn_op_adaptive_pool(tn_pool_op op, tn_node *x, int64_t height, int64_t width);
tn_node *tn_op_batch_norm(tn_node *x, tn_node *weight, tn_node *bias, tn_node *residual, double epsilon,
                          uint32_t flags, tn_tensor **mean, tn_tensor **variance);
tn_node *tn_op_batch_norm_fixed(tn_node *x, tn_node *weight, tn_node *bias, tn_node *residual, tn_node *mean,
                                tn_node *variance, double epsilon, uint32_t flags);
tn_node *tn_op_layer_norm(tn_node *x, int32_t axes, tn_node *weight, tn_node *bias, double epsilon);
tn_node *tn_op_group_norm(tn_node *x, int64_t groups, tn_node *weight, tn_node *bias, double epsilon,
                          uint32_t flags);
tn_node *tn_op_rms_norm(tn_node *x, int32_t axes, tn_node *weight, double epsilon);
tn_node *tn_op_weight_norm(tn_node *direction, tn_node *length);
tn_node *tn_op_spectral_norm(tn_node *weight, tn_node *u, int32_t steps, double epsilon, tn_tensor **next);
tn_node *tn_op_interpolate(tn_interpolate_op op, tn_node *x, int64_t height, int64_t width, bool align);
tn_node *tn_op_affine_grid(tn_node *theta, int64_t height, int64_t width, bool align);
tn_node *tn_op_grid_sample(tn_node *x, tn_node *grid, tn_border_op border, bool align);
tn_node *tn_op_attention(tn_node *q, tn_node *k, tn_node *v, tn_node *mask, bool causal, double scale);
tn_node *tn_op_self_attention(tn_node *x, int64_t heads, bool causal, double scale);
tn_node *tn_op_dropout(tn_node *x, double p, tn_rng *rng);

#endif
