// SPDX-License-Identifier: MIT
/* tenon.tensor/1: dense tensors and the operations on them.
 *
 * Tensors are row-major, contiguous, 64-byte aligned, of rank 0 to 8. The handle begins with a DLTensor in
 * DLPack's layout, so NumPy and PyTorch can view it without a copy.
 *
 * Ownership: whatever an operation returns belongs to the innermost open scope and dies with it. The host
 * opens a scope around every callback and every step, so method code releases nothing; what must live longer
 * is copied with tn_persist. Data are immutable once another operation has seen them: only tensors fresh from
 * tn_empty, tn_zeros or tn_from may be written to, through tn_data.
 *
 * Errors: an operation that cannot be done (shapes, dtypes, axes) records the first error with its name and
 * the shapes, and returns the poisoned tensor, which every later operation passes through. Method code checks
 * nothing; it returns tn_outcome() at the end.
 *
 * Types: unless said otherwise, operands must have one dtype, and broadcast as in NumPy. Everything
 * differentiable works in float32 and float64, and every derivative is made of differentiable operations.
 * Axes count from 0; negative axes count from the end.
 *
 * Threads: [any], each thread with scopes of its own; a tensor may be read by several. */
#ifndef TENON_TENSOR_H
#define TENON_TENSOR_H

#include <tenon/sdk.h>

#define TN_TENSOR_SERVICE "tenon.tensor/1"
#define TN_MAX_DIMS       8

typedef int32_t tn_dtype;
enum {
  TN_F32 = 0,
  TN_F64 = 1,
  TN_I64 = 2,
  TN_I32 = 3,
  TN_U8 = 4,
  TN_B8 = 5,    /* one byte, 0 or 1 */
  TN_FLOAT = -1 /* in declarations: the run's precision, float32 unless the pipeline says float64 */
};

/* DLPack's DLTensor (dmlc/dlpack, version 0.8), member for member: cast freely. */
typedef struct tn_dl_device {
  int32_t device_type; /* 1: CPU */
  int32_t device_id;
} tn_dl_device;
typedef struct tn_dl_type {
  uint8_t code; /* 0 int, 1 unsigned, 2 float, 6 bool */
  uint8_t bits;
  uint16_t lanes;
} tn_dl_type;
typedef struct tn_dl_tensor {
  void *data;
  tn_dl_device device;
  int32_t ndim;
  tn_dl_type dtype;
  int64_t *shape;
  int64_t *strides; /* NULL: row-major and compact */
  uint64_t byte_offset;
} tn_dl_tensor;
/* DLPack's DLManagedTensor. */
typedef struct tn_dl_managed {
  tn_dl_tensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct tn_dl_managed *self);
} tn_dl_managed;

/* The head of a tensor; read-only, the host's own members follow. */
struct tn_tensor {
  tn_dl_tensor dl;
  tn_dtype dtype;
  uint32_t flags; /* the host's */
  int64_t numel;  /* number of elements */
};

typedef struct tn_shape {
  uint32_t ndim;
  int64_t dim[TN_MAX_DIMS];
} tn_shape;
/* TN_SHAPE(batch, 10). C only; in C++ write tn_shape{2, {batch, 10}}. A scalar: tn_scalar. */
#define TN_SHAPE(...) \
  ((tn_shape){(uint32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

static inline int32_t tn_ndim(const tn_tensor *t) { return t->dl.ndim; }
static inline int64_t tn_dim(const tn_tensor *t, int32_t axis) {
  return t->dl.shape[axis < 0 ? axis + t->dl.ndim : axis];
}
static inline int64_t tn_numel(const tn_tensor *t) { return t->numel; }
static inline void *tn_data(const tn_tensor *t) { return t->dl.data; }
static inline float *tn_f32(const tn_tensor *t) { return (float *)t->dl.data; }
static inline double *tn_f64(const tn_tensor *t) { return (double *)t->dl.data; }
static inline int64_t *tn_i64(const tn_tensor *t) { return (int64_t *)t->dl.data; }
static inline tn_shape tn_shape_of(const tn_tensor *t) {
  tn_shape s = {(uint32_t)t->dl.ndim, {0}};
  for (int32_t i = 0; i < t->dl.ndim; i++) s.dim[i] = t->dl.shape[i];
  return s;
}

/* Elementwise operations of one operand, with up to two constants. Integers: NEG ABS SIGN SQUARE AFFINE CLAMP
 * only. */
typedef int32_t tn_unary_op;
enum {
  TN_NEG,
  TN_ABS,
  TN_SIGN,
  TN_SQUARE,
  TN_SQRT,
  TN_RSQRT,
  TN_RECIPROCAL,
  TN_EXP,
  TN_EXPM1,
  TN_LOG,
  TN_LOG1P,
  TN_SIN,
  TN_COS,
  TN_TAN,
  TN_ASIN,
  TN_ACOS,
  TN_ATAN,
  TN_SINH,
  TN_COSH,
  TN_TANH,
  TN_ERF,
  TN_SIGMOID,
  TN_LOG_SIGMOID,
  TN_SOFTPLUS,
  TN_RELU,
  TN_GELU /* exact, by erf */,
  TN_GELU_TANH,
  TN_SILU,
  TN_FLOOR,
  TN_CEIL,
  TN_ROUND /* half to even */,
  TN_NOT /* to bool */,
  TN_IS_FINITE /* to bool */,
  TN_AFFINE,     /* a x + b */
  TN_POWER,      /* x^a */
  TN_CLAMP,      /* min(max(x, a), b); derivative 1 inside and at the bounds, 0 outside */
  TN_LEAKY_RELU, /* x > 0 ? x : a x */
  TN_ELU,        /* x > 0 ? x : a (e^x - 1) */
  TN_UNARY_COUNT
};

/* Elementwise operations of two operands; comparisons and logic give bool and no derivative. MAX and MIN give
 * the whole derivative to the first operand at ties. */
typedef int32_t tn_binary_op;
enum {
  TN_ADD,
  TN_SUB,
  TN_MUL,
  TN_DIV,
  TN_POW,
  TN_MAXIMUM,
  TN_MINIMUM,
  TN_ATAN2,
  TN_LOGADDEXP,
  TN_EQ,
  TN_NE,
  TN_LT,
  TN_LE,
  TN_GT,
  TN_GE,
  TN_AND,
  TN_OR,
  TN_BINARY_COUNT
};

/* Reductions. VAR is the population variance (divided by n). ANY and ALL take bool. An empty reduction gives
 * the operation's neutral element; for MEAN, VAR, MAX, MIN it is an error. MAX, MIN: the derivative goes to
 * the first extremum. */
typedef int32_t tn_reduce_op;
enum {
  TN_SUM,
  TN_MEAN,
  TN_REDUCE_MAX,
  TN_REDUCE_MIN,
  TN_PROD,
  TN_VAR,
  TN_NORM /* 2-norm */,
  TN_LOGSUMEXP,
  TN_ANY,
  TN_ALL,
  TN_ARGMAX /* int64, one axis or all; the first of equals */,
  TN_ARGMIN,
  TN_REDUCE_COUNT
};
#define TN_ALL_AXES   0xffffffffu
#define TN_AXIS(axis) (1u << (axis)) /* non-negative axes only */

typedef int32_t tn_cumulative_op;
enum { TN_CUMSUM, TN_CUMPROD };

typedef int32_t tn_pad_op;
enum { TN_PAD_CONSTANT, TN_PAD_REFLECT /* without the edge */, TN_PAD_REPLICATE, TN_PAD_CIRCULAR };

/* Between rows. COSINE and INNER_PRODUCT are similarities: large is near. */
typedef int32_t tn_distance_op;
enum { TN_SQUARED_EUCLIDEAN, TN_EUCLIDEAN, TN_COSINE, TN_INNER_PRODUCT, TN_MANHATTAN };

typedef struct tn_tensor_service {
  uint32_t size;

  /* Scopes. open/close nest and must pair up on one thread. */
  void (*scope_open)(void);
  void (*scope_close)(void);
  /* A copy that lives until tn_release; it carries no derivative history. NULL if `t` is poisoned. */
  tn_tensor *(*persist)(const tn_tensor *t);
  void (*release)(tn_tensor *t);
  /* Moves `t` to the scope that encloses the innermost one, without its derivative history. */
  tn_tensor *(*keep)(tn_tensor *t);
  bool (*poisoned)(const tn_tensor *t);

  /* Making. */
  tn_tensor *(*empty)(tn_dtype dtype, const tn_shape *shape); /* unspecified contents */
  tn_tensor *(*full)(tn_dtype dtype, const tn_shape *shape, double value);
  tn_tensor *(*from)(tn_dtype dtype, const tn_shape *shape, const void *data); /* copies */
  /* A view of memory that the caller keeps alive and unchanged for the scope's life; 64-byte alignment is
   * best. */
  tn_tensor *(*wrap)(tn_dtype dtype, const tn_shape *shape, void *data);
  tn_tensor *(*arange)(tn_dtype dtype, double start, double step, int64_t count);
  tn_tensor *(*cast)(tn_tensor *x, tn_dtype dtype); /* differentiable between float32 and float64 */
  double (*item)(const tn_tensor *x);               /* the single element as a number; NaN if poisoned */

  /* Elementwise. */
  tn_tensor *(*unary)(tn_unary_op op, tn_tensor *x, double a, double b);
  tn_tensor *(*binary)(tn_binary_op op, tn_tensor *x, tn_tensor *y);
  tn_tensor *(*where)(tn_tensor *condition, tn_tensor *x,
                      tn_tensor *y); /* condition bool; all three broadcast */

  /* Reductions over the axes in the bit mask `axes`; scans; softmax family along one axis. */
  tn_tensor *(*reduce)(tn_reduce_op op, tn_tensor *x, uint32_t axes, bool keep_dims);
  tn_tensor *(*softmax)(tn_tensor *x, int32_t axis);
  tn_tensor *(*log_softmax)(tn_tensor *x, int32_t axis);

  /* Shape. One dimension of reshape may be -1. */
  tn_tensor *(*reshape)(tn_tensor *x, const tn_shape *shape);
  tn_tensor *(*permute)(tn_tensor *x, const int32_t *axes); /* rank entries */
  tn_tensor *(*broadcast_to)(tn_tensor *x, const tn_shape *shape);
  tn_tensor *(*concatenate)(tn_tensor *const *xs, uint32_t count, int32_t axis);
  tn_tensor *(*slice)(tn_tensor *x, int32_t axis, int64_t start, int64_t stop, int64_t step); /* step > 0 */
  tn_tensor *(*index_select)(tn_tensor *x, int32_t axis, tn_tensor *index); /* index int64 (n) */
  tn_tensor *(*one_hot)(tn_tensor *index, int64_t classes,
                        tn_dtype dtype); /* (...) int64 -> (..., classes) */

  /* Linear. matmul: (..., m, k) x (..., k, n) with batch dimensions broadcast, each operand transposed in its
   * last two axes if asked. linear: x (..., in), weight (out, in), bias (out) or NULL -> (..., out). */
  tn_tensor *(*matmul)(tn_tensor *x, tn_tensor *y, bool transpose_x, bool transpose_y);
  tn_tensor *(*linear)(tn_tensor *x, tn_tensor *weight, tn_tensor *bias);

  /* Fused losses, one value a row. cross_entropy: logits (n, c), labels int64 (n), label smoothing in [0, 1);
   * rows with a negative label give 0 and no derivative. */
  tn_tensor *(*cross_entropy)(tn_tensor *logits, tn_tensor *labels, double smoothing);
  tn_tensor *(*bce_with_logits)(tn_tensor *logits, tn_tensor *targets); /* elementwise */

  /* DLPack. export: the receiver calls its deleter; data are shared and kept alive. import: a view; the
   * producer's deleter runs when the last user is gone. Strided or non-CPU input is refused or copied as
   * needed. */
  tn_dl_managed *(*dl_export)(tn_tensor *x);
  tn_tensor *(*dl_import)(tn_dl_managed *managed);

  /* Running sums (int64 too) and products along an axis. */
  tn_tensor *(*cumulative)(tn_cumulative_op op, tn_tensor *x, int32_t axis);
  /* Order along an axis: values (differentiable) and int64 positions, either NULL if not wanted. Stable; NaN
   * last. top_k: the k largest (or smallest) of each, in order. */
  void (*sort)(tn_tensor *x, int32_t axis, bool descending, tn_tensor **values, tn_tensor **index);
  void (*top_k)(tn_tensor *x, int64_t k, int32_t axis, bool largest, tn_tensor **values, tn_tensor **index);
  /* gather: y[.., j, ..] = x[.., index[.., j, ..], ..]; all other axes of x and index agree. scatter_add, its
   * adjoint: zeros of `size` along the axis, x added at index. index_add: zeros with the slices of x added at
   * index (n), the adjoint of index_select. */
  tn_tensor *(*gather)(tn_tensor *x, int32_t axis, tn_tensor *index);
  tn_tensor *(*scatter_add)(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size);
  tn_tensor *(*index_add)(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size);
  /* int64 positions in the flattened `condition` (bool) that are true, ascending. */
  tn_tensor *(*nonzero)(tn_tensor *condition);
  tn_tensor *(*stack)(tn_tensor *const *xs, uint32_t count, int32_t axis); /* along a new axis */
  tn_tensor *(*flip)(tn_tensor *x, int32_t axis);
  tn_tensor *(*roll)(tn_tensor *x, int32_t axis, int64_t shift); /* y[i] = x[i - shift], cyclically */
  tn_tensor *(*pad)(tn_pad_op op, tn_tensor *x, int32_t axis, int64_t before, int64_t after, double value);
  /* Matrices in the last two axes. triangle: zero below (upper) or above the diagonal, counted to the right.
   * diagonal: (..., n, n) -> (..., n); diagonal_matrix: (..., n) -> (..., n, n). */
  tn_tensor *(*triangle)(tn_tensor *x, bool upper, int64_t diagonal);
  tn_tensor *(*diagonal)(tn_tensor *x);
  tn_tensor *(*diagonal_matrix)(tn_tensor *x);
  /* "bij,bjk->bik": at most 8 operands, letters a to z, each at most once in an operand. */
  tn_tensor *(*einsum)(const char *equation, tn_tensor *const *xs, uint32_t count);
  /* Reductions over the rows of x (n, ...) that share a number in `segments` (n) int64, 0 .. count - 1, in
   * any order: SUM MEAN MAX MIN LOGSUMEXP -> (count, ...). An empty segment gives 0 (LOGSUMEXP: -inf).
   * softmax: within each segment. */
  tn_tensor *(*segment)(tn_reduce_op op, tn_tensor *x, tn_tensor *segments, int64_t count);
  tn_tensor *(*segment_softmax)(tn_tensor *x, tn_tensor *segments, int64_t count);
  /* A sparse matrix in CSR form, offsets (rows + 1) and columns (stored) int64, values (stored) or NULL for
   * ones, times x (columns, d) -> (rows, d); differentiable by values and x. */
  tn_tensor *(*sparse_matmul)(tn_tensor *offsets, tn_tensor *columns, tn_tensor *values, tn_tensor *x);
  /* Rows against rows: x (n, d), y (m, d) -> (n, m). nearest: for each query the k nearest keys, nearest
   * first: values and int64 index (n, k); no derivative; MANHATTAN is not offered. */
  tn_tensor *(*distances)(tn_distance_op op, tn_tensor *x, tn_tensor *y);
  void (*nearest)(tn_distance_op op, tn_tensor *queries, tn_tensor *keys, int64_t k, tn_tensor **values,
                  tn_tensor **index);
  /* Sum of weights[i] xs[i] in one pass: `count` tensors of one shape, weights (count); differentiable by
   * all. */
  tn_tensor *(*weighted_sum)(tn_tensor *const *xs, tn_tensor *weights, uint32_t count);
  /* Multiply-adds of the matrix products, linear layers, convolutions, attention and sparse products that
   * this thread has asked for so far; those of derivatives count only where they are such operations. */
  int64_t (*multiply_adds)(void);
} tn_tensor_service;

static inline void tn_scope_open(void) { tn_sdk.tensor->scope_open(); }
static inline void tn_scope_close(void) { tn_sdk.tensor->scope_close(); }
static inline tn_tensor *tn_persist(const tn_tensor *t) { return tn_sdk.tensor->persist(t); }
static inline void tn_release(tn_tensor *t) { tn_sdk.tensor->release(t); }
static inline tn_tensor *tn_keep(tn_tensor *t) { return tn_sdk.tensor->keep(t); }
static inline bool tn_poisoned(const tn_tensor *t) { return tn_sdk.tensor->poisoned(t); }
static inline tn_tensor *tn_empty(tn_dtype dtype, tn_shape shape) {
  return tn_sdk.tensor->empty(dtype, &shape);
}
static inline tn_tensor *tn_full(tn_dtype dtype, tn_shape shape, double value) {
  return tn_sdk.tensor->full(dtype, &shape, value);
}
static inline tn_tensor *tn_zeros(tn_dtype dtype, tn_shape shape) {
  return tn_sdk.tensor->full(dtype, &shape, 0);
}
static inline tn_tensor *tn_from(tn_dtype dtype, tn_shape shape, const void *data) {
  return tn_sdk.tensor->from(dtype, &shape, data);
}
static inline tn_tensor *tn_wrap(tn_dtype dtype, tn_shape shape, void *data) {
  return tn_sdk.tensor->wrap(dtype, &shape, data);
}
static inline tn_tensor *tn_scalar(tn_dtype dtype, double value) {
  tn_shape shape = {0, {0}};
  return tn_sdk.tensor->full(dtype, &shape, value);
}
static inline tn_tensor *tn_arange(tn_dtype dtype, double start, double step, int64_t count) {
  return tn_sdk.tensor->arange(dtype, start, step, count);
}
static inline tn_tensor *tn_cast(tn_tensor *x, tn_dtype dtype) { return tn_sdk.tensor->cast(x, dtype); }
static inline double tn_item(const tn_tensor *x) { return tn_sdk.tensor->item(x); }

#define TN_UNARY_(name, op) \
  static inline tn_tensor *tn_##name(tn_tensor *x) { return tn_sdk.tensor->unary(op, x, 0, 0); }
TN_UNARY_(neg, TN_NEG)
TN_UNARY_(abs, TN_ABS)
TN_UNARY_(sign, TN_SIGN)
TN_UNARY_(square, TN_SQUARE)
TN_UNARY_(sqrt, TN_SQRT)
TN_UNARY_(rsqrt, TN_RSQRT)
TN_UNARY_(reciprocal, TN_RECIPROCAL)
TN_UNARY_(exp, TN_EXP)
TN_UNARY_(expm1, TN_EXPM1)
TN_UNARY_(log, TN_LOG)
TN_UNARY_(log1p, TN_LOG1P)
TN_UNARY_(sin, TN_SIN)
TN_UNARY_(cos, TN_COS)
TN_UNARY_(tan, TN_TAN)
TN_UNARY_(asin, TN_ASIN)
TN_UNARY_(acos, TN_ACOS)
TN_UNARY_(atan, TN_ATAN)
TN_UNARY_(sinh, TN_SINH)
TN_UNARY_(cosh, TN_COSH)
TN_UNARY_(tanh, TN_TANH)
TN_UNARY_(erf, TN_ERF)
TN_UNARY_(sigmoid, TN_SIGMOID)
TN_UNARY_(log_sigmoid, TN_LOG_SIGMOID)
TN_UNARY_(softplus, TN_SOFTPLUS)
TN_UNARY_(relu, TN_RELU)
TN_UNARY_(gelu, TN_GELU)
TN_UNARY_(gelu_tanh, TN_GELU_TANH)
TN_UNARY_(silu, TN_SILU)
TN_UNARY_(floor, TN_FLOOR)
TN_UNARY_(ceil, TN_CEIL)
TN_UNARY_(round, TN_ROUND)
TN_UNARY_(not, TN_NOT)
TN_UNARY_(is_finite, TN_IS_FINITE)
static inline tn_tensor *tn_affine(tn_tensor *x, double a, double b) {
  return tn_sdk.tensor->unary(TN_AFFINE, x, a, b);
}
static inline tn_tensor *tn_scale(tn_tensor *x, double a) { return tn_sdk.tensor->unary(TN_AFFINE, x, a, 0); }
static inline tn_tensor *tn_shift(tn_tensor *x, double b) { return tn_sdk.tensor->unary(TN_AFFINE, x, 1, b); }
static inline tn_tensor *tn_power(tn_tensor *x, double a) { return tn_sdk.tensor->unary(TN_POWER, x, a, 0); }
static inline tn_tensor *tn_clamp(tn_tensor *x, double low, double high) {
  return tn_sdk.tensor->unary(TN_CLAMP, x, low, high);
}
static inline tn_tensor *tn_leaky_relu(tn_tensor *x, double slope) {
  return tn_sdk.tensor->unary(TN_LEAKY_RELU, x, slope, 0);
}
static inline tn_tensor *tn_elu(tn_tensor *x, double alpha) {
  return tn_sdk.tensor->unary(TN_ELU, x, alpha, 0);
}

#define TN_BINARY_(name, op) \
  static inline tn_tensor *tn_##name(tn_tensor *x, tn_tensor *y) { return tn_sdk.tensor->binary(op, x, y); }
TN_BINARY_(add, TN_ADD)
TN_BINARY_(sub, TN_SUB)
TN_BINARY_(mul, TN_MUL)
TN_BINARY_(div, TN_DIV)
TN_BINARY_(pow, TN_POW)
TN_BINARY_(maximum, TN_MAXIMUM)
TN_BINARY_(minimum, TN_MINIMUM)
TN_BINARY_(atan2, TN_ATAN2)
TN_BINARY_(logaddexp, TN_LOGADDEXP)
TN_BINARY_(eq, TN_EQ)
TN_BINARY_(ne, TN_NE)
TN_BINARY_(lt, TN_LT)
TN_BINARY_(le, TN_LE)
TN_BINARY_(gt, TN_GT)
TN_BINARY_(ge, TN_GE)
TN_BINARY_(and, TN_AND)
TN_BINARY_(or, TN_OR)
static inline tn_tensor *tn_where(tn_tensor *condition, tn_tensor *x, tn_tensor *y) {
  return tn_sdk.tensor->where(condition, x, y);
}

/* Reductions over one axis (dropped), or over everything (to a scalar). */
static inline tn_tensor *tn_reduce(tn_reduce_op op, tn_tensor *x, int32_t axis, bool keep_dims) {
  return tn_sdk.tensor->reduce(op, x, 1u << ((axis < 0 ? axis + tn_ndim(x) : axis) & 31), keep_dims);
}
static inline tn_tensor *tn_sum(tn_tensor *x) { return tn_sdk.tensor->reduce(TN_SUM, x, TN_ALL_AXES, false); }
static inline tn_tensor *tn_mean(tn_tensor *x) {
  return tn_sdk.tensor->reduce(TN_MEAN, x, TN_ALL_AXES, false);
}
static inline tn_tensor *tn_norm(tn_tensor *x) {
  return tn_sdk.tensor->reduce(TN_NORM, x, TN_ALL_AXES, false);
}
static inline tn_tensor *tn_sum_axis(tn_tensor *x, int32_t axis) { return tn_reduce(TN_SUM, x, axis, false); }
static inline tn_tensor *tn_mean_axis(tn_tensor *x, int32_t axis) {
  return tn_reduce(TN_MEAN, x, axis, false);
}
static inline tn_tensor *tn_logsumexp(tn_tensor *x, int32_t axis) {
  return tn_reduce(TN_LOGSUMEXP, x, axis, false);
}
static inline tn_tensor *tn_argmax(tn_tensor *x, int32_t axis) {
  return tn_reduce(TN_ARGMAX, x, axis, false);
}
static inline tn_tensor *tn_softmax(tn_tensor *x, int32_t axis) { return tn_sdk.tensor->softmax(x, axis); }
static inline tn_tensor *tn_log_softmax(tn_tensor *x, int32_t axis) {
  return tn_sdk.tensor->log_softmax(x, axis);
}

static inline tn_tensor *tn_reshape(tn_tensor *x, tn_shape shape) {
  return tn_sdk.tensor->reshape(x, &shape);
}
/* (n, ...) -> (n, everything else) */
static inline tn_tensor *tn_flatten(tn_tensor *x) {
  tn_shape shape = {2, {tn_ndim(x) ? tn_dim(x, 0) : 1, -1}};
  return tn_sdk.tensor->reshape(x, &shape);
}
static inline tn_tensor *tn_permute(tn_tensor *x, const int32_t *axes) {
  return tn_sdk.tensor->permute(x, axes);
}
static inline tn_tensor *tn_broadcast_to(tn_tensor *x, tn_shape shape) {
  return tn_sdk.tensor->broadcast_to(x, &shape);
}
static inline tn_tensor *tn_concatenate(tn_tensor *const *xs, uint32_t count, int32_t axis) {
  return tn_sdk.tensor->concatenate(xs, count, axis);
}
static inline tn_tensor *tn_slice(tn_tensor *x, int32_t axis, int64_t start, int64_t stop) {
  return tn_sdk.tensor->slice(x, axis, start, stop, 1);
}
static inline tn_tensor *tn_index_select(tn_tensor *x, int32_t axis, tn_tensor *index) {
  return tn_sdk.tensor->index_select(x, axis, index);
}
static inline tn_tensor *tn_one_hot(tn_tensor *index, int64_t classes, tn_dtype dtype) {
  return tn_sdk.tensor->one_hot(index, classes, dtype);
}

static inline tn_tensor *tn_matmul(tn_tensor *x, tn_tensor *y) {
  return tn_sdk.tensor->matmul(x, y, false, false);
}
/* x^T y and x y^T over the last two axes */
static inline tn_tensor *tn_matmul_tn(tn_tensor *x, tn_tensor *y) {
  return tn_sdk.tensor->matmul(x, y, true, false);
}
static inline tn_tensor *tn_matmul_nt(tn_tensor *x, tn_tensor *y) {
  return tn_sdk.tensor->matmul(x, y, false, true);
}
static inline tn_tensor *tn_linear(tn_tensor *x, tn_tensor *weight, tn_tensor *bias) {
  return tn_sdk.tensor->linear(x, weight, bias);
}
static inline tn_tensor *tn_cross_entropy(tn_tensor *logits, tn_tensor *labels, double smoothing) {
  return tn_sdk.tensor->cross_entropy(logits, labels, smoothing);
}
static inline tn_tensor *tn_bce_with_logits(tn_tensor *logits, tn_tensor *targets) {
  return tn_sdk.tensor->bce_with_logits(logits, targets);
}
static inline tn_dl_managed *tn_dl_export(tn_tensor *x) { return tn_sdk.tensor->dl_export(x); }
static inline tn_tensor *tn_dl_import(tn_dl_managed *managed) { return tn_sdk.tensor->dl_import(managed); }

static inline tn_tensor *tn_cumsum(tn_tensor *x, int32_t axis) {
  return tn_sdk.tensor->cumulative(TN_CUMSUM, x, axis);
}
static inline tn_tensor *tn_cumprod(tn_tensor *x, int32_t axis) {
  return tn_sdk.tensor->cumulative(TN_CUMPROD, x, axis);
}
static inline void tn_sort(tn_tensor *x, int32_t axis, bool descending, tn_tensor **values,
                           tn_tensor **index) {
  tn_sdk.tensor->sort(x, axis, descending, values, index);
}
static inline tn_tensor *tn_argsort(tn_tensor *x, int32_t axis, bool descending) {
  tn_tensor *index;
  tn_sdk.tensor->sort(x, axis, descending, NULL, &index);
  return index;
}
static inline void tn_top_k(tn_tensor *x, int64_t k, int32_t axis, bool largest, tn_tensor **values,
                            tn_tensor **index) {
  tn_sdk.tensor->top_k(x, k, axis, largest, values, index);
}
static inline tn_tensor *tn_gather(tn_tensor *x, int32_t axis, tn_tensor *index) {
  return tn_sdk.tensor->gather(x, axis, index);
}
static inline tn_tensor *tn_scatter_add(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size) {
  return tn_sdk.tensor->scatter_add(x, axis, index, size);
}
static inline tn_tensor *tn_index_add(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size) {
  return tn_sdk.tensor->index_add(x, axis, index, size);
}
static inline tn_tensor *tn_nonzero(tn_tensor *condition) { return tn_sdk.tensor->nonzero(condition); }
/* The rows of x (n, ...) where condition (n) is true. */
static inline tn_tensor *tn_select_rows(tn_tensor *x, tn_tensor *condition) {
  return tn_sdk.tensor->index_select(x, 0, tn_sdk.tensor->nonzero(condition));
}
/* x[i, index[i]]: x (n, c), index (n) -> (n) */
static inline tn_tensor *tn_pick(tn_tensor *x, tn_tensor *index) {
  tn_shape column = {2, {tn_ndim(index) ? tn_dim(index, 0) : 1, 1}}, flat = {1, {-1}};
  return tn_sdk.tensor->reshape(tn_sdk.tensor->gather(x, 1, tn_sdk.tensor->reshape(index, &column)), &flat);
}
/* Rows of weight (words, d) for index of any shape (...) -> (..., d) */
static inline tn_tensor *tn_embedding(tn_tensor *weight, tn_tensor *index) {
  tn_shape flat = {1, {-1}}, shape = tn_shape_of(index);
  if (shape.ndim < TN_MAX_DIMS) shape.dim[shape.ndim++] = tn_ndim(weight) == 2 ? tn_dim(weight, 1) : 0;
  flat.dim[0] = tn_numel(index);
  return tn_sdk.tensor->reshape(tn_sdk.tensor->index_select(weight, 0, tn_sdk.tensor->reshape(index, &flat)),
                                &shape);
}
static inline tn_tensor *tn_stack(tn_tensor *const *xs, uint32_t count, int32_t axis) {
  return tn_sdk.tensor->stack(xs, count, axis);
}
static inline tn_tensor *tn_flip(tn_tensor *x, int32_t axis) { return tn_sdk.tensor->flip(x, axis); }
static inline tn_tensor *tn_roll(tn_tensor *x, int32_t axis, int64_t shift) {
  return tn_sdk.tensor->roll(x, axis, shift);
}
static inline tn_tensor *tn_pad(tn_pad_op op, tn_tensor *x, int32_t axis, int64_t before, int64_t after,
                                double value) {
  return tn_sdk.tensor->pad(op, x, axis, before, after, value);
}
static inline tn_tensor *tn_lower_triangle(tn_tensor *x, int64_t diagonal) {
  return tn_sdk.tensor->triangle(x, false, diagonal);
}
static inline tn_tensor *tn_upper_triangle(tn_tensor *x, int64_t diagonal) {
  return tn_sdk.tensor->triangle(x, true, diagonal);
}
static inline tn_tensor *tn_diagonal(tn_tensor *x) { return tn_sdk.tensor->diagonal(x); }
static inline tn_tensor *tn_diagonal_matrix(tn_tensor *x) { return tn_sdk.tensor->diagonal_matrix(x); }
static inline tn_tensor *tn_identity(tn_dtype dtype, int64_t n) {
  tn_shape shape = {1, {n}};
  return tn_sdk.tensor->diagonal_matrix(tn_sdk.tensor->full(dtype, &shape, 1));
}
static inline tn_tensor *tn_einsum(const char *equation, tn_tensor *const *xs, uint32_t count) {
  return tn_sdk.tensor->einsum(equation, xs, count);
}
/* x (n), y (m) -> (n, m) */
static inline tn_tensor *tn_outer(tn_tensor *x, tn_tensor *y) {
  tn_tensor *xs[2] = {x, y};
  return tn_sdk.tensor->einsum("i,j->ij", xs, 2);
}
/* x (n, i), weight (out, i, j), y (n, j) -> (n, out) */
static inline tn_tensor *tn_bilinear(tn_tensor *x, tn_tensor *weight, tn_tensor *y) {
  tn_tensor *xs[3] = {x, weight, y};
  return tn_sdk.tensor->einsum("ni,oij,nj->no", xs, 3);
}
static inline tn_tensor *tn_segment(tn_reduce_op op, tn_tensor *x, tn_tensor *segments, int64_t count) {
  return tn_sdk.tensor->segment(op, x, segments, count);
}
static inline tn_tensor *tn_segment_softmax(tn_tensor *x, tn_tensor *segments, int64_t count) {
  return tn_sdk.tensor->segment_softmax(x, segments, count);
}
static inline tn_tensor *tn_sparse_matmul(tn_tensor *offsets, tn_tensor *columns, tn_tensor *values,
                                          tn_tensor *x) {
  return tn_sdk.tensor->sparse_matmul(offsets, columns, values, x);
}
static inline tn_tensor *tn_distances(tn_distance_op op, tn_tensor *x, tn_tensor *y) {
  return tn_sdk.tensor->distances(op, x, y);
}
static inline void tn_nearest_neighbours(tn_distance_op op, tn_tensor *queries, tn_tensor *keys, int64_t k,
                                         tn_tensor **values, tn_tensor **index) {
  tn_sdk.tensor->nearest(op, queries, keys, k, values, index);
}
static inline tn_tensor *tn_weighted_sum(tn_tensor *const *xs, tn_tensor *weights, uint32_t count) {
  return tn_sdk.tensor->weighted_sum(xs, weights, count);
}
/* 0 on hosts that do not count. */
static inline int64_t tn_multiply_adds(void) {
  return TN_HAS(tn_sdk.tensor, tn_tensor_service, multiply_adds) ? tn_sdk.tensor->multiply_adds() : 0;
}
/* Kullback-Leibler divergence of softmax(q) from softmax(p), rows of logits (n, c) -> (n): sum p (log p - log
 * q). */
static inline tn_tensor *tn_kl_divergence(tn_tensor *p_logits, tn_tensor *q_logits) {
  tn_tensor *p = tn_log_softmax(p_logits, -1), *q = tn_log_softmax(q_logits, -1);
  return tn_sum_axis(tn_mul(tn_exp(p), tn_sub(p, q)), -1);
}

#endif
