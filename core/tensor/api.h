// SPDX-License-Identifier: MIT
/* The functions behind the service tables. */
#ifndef TENON_TENSOR_API_H
#define TENON_TENSOR_API_H

#include "engine.h"

void tn_api_scope_open(void);
void tn_api_scope_close(void);
tn_tensor *tn_api_persist(const tn_tensor *t);
void tn_api_release(tn_tensor *t);
tn_tensor *tn_api_keep(tn_tensor *t);
bool tn_api_poisoned(const tn_tensor *t);
tn_tensor *tn_api_empty(tn_dtype dtype, const tn_shape *shape);
tn_tensor *tn_api_full(tn_dtype dtype, const tn_shape *shape, double value);
tn_tensor *tn_api_from(tn_dtype dtype, const tn_shape *shape, const void *data);
tn_tensor *tn_api_wrap(tn_dtype dtype, const tn_shape *shape, void *data);
tn_tensor *tn_api_arange(tn_dtype dtype, double start, double step, int64_t count);
tn_tensor *tn_api_cast(tn_tensor *x, tn_dtype dtype);
double tn_api_item(const tn_tensor *x);
tn_tensor *tn_api_unary(tn_unary_op op, tn_tensor *x, double a, double b);
tn_tensor *tn_api_binary(tn_binary_op op, tn_tensor *x, tn_tensor *y);
tn_tensor *tn_api_where(tn_tensor *condition, tn_tensor *x, tn_tensor *y);
tn_tensor *tn_api_reduce(tn_reduce_op op, tn_tensor *x, uint32_t axes, bool keep);
tn_tensor *tn_api_softmax(tn_tensor *x, int32_t axis);
tn_tensor *tn_api_log_softmax(tn_tensor *x, int32_t axis);
tn_tensor *tn_api_reshape(tn_tensor *x, const tn_shape *shape);
tn_tensor *tn_api_permute(tn_tensor *x, const int32_t *axes);
tn_tensor *tn_api_broadcast_to(tn_tensor *x, const tn_shape *shape);
tn_tensor *tn_api_concatenate(tn_tensor *const *xs, uint32_t count, int32_t axis);
tn_tensor *tn_api_slice(tn_tensor *x, int32_t axis, int64_t start, int64_t stop, int64_t step);
tn_tensor *tn_api_index_select(tn_tensor *x, int32_t axis, tn_tensor *index);
tn_tensor *tn_api_one_hot(tn_tensor *index, int64_t classes, tn_dtype dtype);
tn_tensor *tn_api_matmul(tn_tensor *x, tn_tensor *y, bool transpose_x, bool transpose_y);
tn_tensor *tn_api_linear(tn_tensor *x, tn_tensor *weight, tn_tensor *bias);
tn_tensor *tn_api_cross_entropy(tn_tensor *logits, tn_tensor *labels, double smoothing);
tn_tensor *tn_api_bce_with_logits(tn_tensor *logits, tn_tensor *targets);
tn_dl_managed *tn_api_dl_export(tn_tensor *x);
tn_tensor *tn_api_dl_import(tn_dl_managed *managed);
tn_tensor *tn_api_cumulative(tn_cumulative_op op, tn_tensor *x, int32_t axis);
void tn_api_sort(tn_tensor *x, int32_t axis, bool descending, tn_tensor **values, tn_tensor **index);
void tn_api_top_k(tn_tensor *x, int64_t k, int32_t axis, bool largest, tn_tensor **values, tn_tensor **index);
tn_tensor *tn_api_gather(tn_tensor *x, int32_t axis, tn_tensor *index);
tn_tensor *tn_api_scatter_add(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size);
tn_tensor *tn_api_index_add(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size);
tn_tensor *tn_api_nonzero(tn_tensor *condition);
tn_tensor *tn_api_stack(tn_tensor *const *xs, uint32_t count, int32_t axis);
tn_tensor *tn_api_flip(tn_tensor *x, int32_t axis);
tn_tensor *tn_api_roll(tn_tensor *x, int32_t axis, int64_t shift);
tn_tensor *tn_api_pad(tn_pad_op op, tn_tensor *x, int32_t axis, int64_t before, int64_t after, double value);
tn_tensor *tn_api_triangle(tn_tensor *x, bool upper, int64_t diagonal);
tn_tensor *tn_api_diagonal(tn_tensor *x);
tn_tensor *tn_api_diagonal_matrix(tn_tensor *x);
tn_tensor *tn_api_einsum(const char *equation, tn_tensor *const *xs, uint32_t count);
tn_tensor *tn_api_segment(tn_reduce_op op, tn_tensor *x, tn_tensor *segments, int64_t count);
tn_tensor *tn_api_segment_softmax(tn_tensor *x, tn_tensor *segments, int64_t count);
tn_tensor *tn_api_sparse_matmul(tn_tensor *offsets, tn_tensor *columns, tn_tensor *values, tn_tensor *x);
tn_tensor *tn_api_distances(tn_distance_op op, tn_tensor *x, tn_tensor *y);
void tn_api_nearest(tn_distance_op op, tn_tensor *queries, tn_tensor *keys, int64_t k, tn_tensor **values,
                    tn_tensor **index);
tn_tensor *tn_api_assignment(tn_tensor *cost);
tn_tensor *tn_api_weighted_sum(tn_tensor *const *xs, tn_tensor *weights, uint32_t count);
int64_t tn_api_multiply_adds(void);

bool tn_api_record(bool on);
tn_tensor *tn_api_leaf(tn_tensor *x);
tn_tensor *tn_api_stop_gradient(tn_tensor *x);
bool tn_api_requires_gradient(const tn_tensor *x);
void tn_api_grad(tn_tensor *y, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients, uint32_t flags);
void tn_api_vjp(tn_tensor *y, tn_tensor *seed, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients,
                uint32_t flags);
tn_status tn_api_grad_params(tn_tensor *y, const tn_params *params, tn_params *into);
tn_tensor *tn_api_custom(const tn_custom_op *op, void *saved, tn_tensor *value, tn_tensor *const *inputs,
                         uint32_t count);
tn_tensor *tn_api_checkpoint(tn_tensor *(*f)(void *context, tn_tensor *const *inputs), void *context,
                             tn_tensor *const *inputs, uint32_t count);
tn_tensor *tn_api_scale_gradient(tn_tensor *x, double factor);

#endif
