// SPDX-License-Identifier: MIT
/* Elementwise operations of one, two and three operands, with broadcasting and derivatives. */
#include "internal.h"

#include <math.h>

enum { CHUNK = 16384 };

static const char *const unary_names[TN_UNARY_COUNT] = {
    "neg",   "abs",     "sign",        "square",   "sqrt",  "rsqrt", "reciprocal", "exp",  "expm1", "log",
    "log1p", "sin",     "cos",         "tan",      "asin",  "acos",  "atan",       "sinh", "cosh",  "tanh",
    "erf",   "sigmoid", "log_sigmoid", "softplus", "relu",  "gelu",  "gelu_tanh",  "silu", "floor", "ceil",
    "round", "not",     "is_finite",   "affine",   "power", "clamp", "leaky_relu", "elu"};
static const char *const unary_backward_names[TN_UNARY_COUNT] = {
    "neg.backward",   "abs.backward",        "sign.backward",        "square.backward",   "sqrt.backward",
    "rsqrt.backward", "reciprocal.backward", "exp.backward",         "expm1.backward",    "log.backward",
    "log1p.backward", "sin.backward",        "cos.backward",         "tan.backward",      "asin.backward",
    "acos.backward",  "atan.backward",       "sinh.backward",        "cosh.backward",     "tanh.backward",
    "erf.backward",   "sigmoid.backward",    "log_sigmoid.backward", "softplus.backward", "relu.backward",
    "gelu.backward",  "gelu_tanh.backward",  "silu.backward",        "floor.backward",    "ceil.backward",
    "round.backward", "not.backward",        "is_finite.backward",   "affine.backward",   "power.backward",
    "clamp.backward", "leaky_relu.backward", "elu.backward"};
/* Nanoseconds an element, roughly: what decides about threads. */
static const float unary_cost[TN_UNARY_COUNT] = {
    [TN_EXP] = .3f,       [TN_EXPM1] = .3f,  [TN_LOG] = .3f,  [TN_LOG1P] = .5f,     [TN_SIN] = 8,
    [TN_COS] = 8,         [TN_TAN] = 15,     [TN_ASIN] = 8,   [TN_ACOS] = 8,        [TN_ATAN] = 8,
    [TN_SINH] = 15,       [TN_COSH] = 15,    [TN_TANH] = .5f, [TN_ERF] = .6f,       [TN_SIGMOID] = .4f,
    [TN_LOG_SIGMOID] = 1, [TN_SOFTPLUS] = 1, [TN_GELU] = .7f, [TN_GELU_TANH] = .7f, [TN_SILU] = .5f,
    [TN_POWER] = 5,       [TN_ELU] = .4f};

static double work_of(tn_dtype dtype, double cost, int64_t n) {
  double each = 0.15 + cost * (dtype == TN_F64 && cost > 0 && cost < 5 ? 15 : 1);
  return each * (double)n;
}

typedef struct span_unary {
  tn_unary_kernel kernel;
  const char *x;
  char *y;
  size_t x_size, y_size;
  int64_t n;
  double a, b;
} span_unary;

static void unary_chunk(void *context, int64_t index) {
  const span_unary *s = context;
  int64_t start = index * CHUNK, n = tn_min64(CHUNK, s->n - start);
  s->kernel(s->x + (size_t)start * s->x_size, s->y + (size_t)start * s->y_size, n, s->a, s->b);
}

typedef struct span_grad {
  tn_unary_grad_kernel kernel;
  const char *g, *x, *y;
  char *out;
  size_t size;
  int64_t n;
  double a, b;
} span_grad;

static void grad_chunk(void *context, int64_t index) {
  const span_grad *s = context;
  int64_t start = index * CHUNK, n = tn_min64(CHUNK, s->n - start);
  size_t o = (size_t)start * s->size;
  s->kernel(s->g + o, s->x + o, s->y + o, s->out + o, n, s->a, s->b);
}

/* 1 where the condition holds, else 0, as a constant. */
static tn_node *mask_of(tn_binary_op op, tn_node *x, double bound) {
  return tn_op_cast(tn_op_binary(op, x, tn_op_scalar(x->t.dtype, bound)), x->t.dtype);
}

/* g f'(x) made of differentiable operations; y = f(x). */
static tn_node *unary_derivative(tn_unary_op op, tn_node *g, tn_node *x, tn_node *y, double a, double b) {
  switch (op) {
  case TN_NEG: return NEG(g);
  case TN_ABS: return MUL(g, UNARY(TN_SIGN, x));
  case TN_SQUARE: return MUL(g, AFFINE(x, 2, 0));
  case TN_SQRT: return DIV(AFFINE(g, 0.5, 0), y);
  case TN_RSQRT: return AFFINE(MUL(g, MUL(y, UNARY(TN_SQUARE, y))), -0.5, 0);
  case TN_RECIPROCAL: return NEG(MUL(g, UNARY(TN_SQUARE, y)));
  case TN_EXP: return MUL(g, y);
  case TN_EXPM1: return MUL(g, AFFINE(y, 1, 1));
  case TN_LOG: return DIV(g, x);
  case TN_LOG1P: return DIV(g, AFFINE(x, 1, 1));
  case TN_SIN: return MUL(g, UNARY(TN_COS, x));
  case TN_COS: return NEG(MUL(g, UNARY(TN_SIN, x)));
  case TN_TAN: return MUL(g, AFFINE(UNARY(TN_SQUARE, y), 1, 1));
  case TN_ASIN: return MUL(g, UNARY(TN_RSQRT, AFFINE(UNARY(TN_SQUARE, x), -1, 1)));
  case TN_ACOS: return NEG(MUL(g, UNARY(TN_RSQRT, AFFINE(UNARY(TN_SQUARE, x), -1, 1))));
  case TN_ATAN: return DIV(g, AFFINE(UNARY(TN_SQUARE, x), 1, 1));
  case TN_SINH: return MUL(g, UNARY(TN_COSH, x));
  case TN_COSH: return MUL(g, UNARY(TN_SINH, x));
  case TN_TANH: return MUL(g, AFFINE(UNARY(TN_SQUARE, y), -1, 1));
  case TN_ERF: // 2 / sqrt(pi) e^(-x^2)
    return MUL(g, AFFINE(UNARY(TN_EXP, NEG(UNARY(TN_SQUARE, x))), 1.12837916709551257390, 0));
  case TN_SIGMOID: return MUL(g, SUB(y, UNARY(TN_SQUARE, y)));
  case TN_LOG_SIGMOID: return MUL(g, UNARY(TN_SIGMOID, NEG(x)));
  case TN_SOFTPLUS: return MUL(g, UNARY(TN_SIGMOID, x));
  case TN_RELU:
    return tn_op_where(tn_op_binary(TN_GT, x, tn_op_scalar(x->t.dtype, 0)), g, tn_op_scalar(g->t.dtype, 0));
  case TN_GELU: { // cdf(x) + x pdf(x)
    tn_node *cdf = AFFINE(UNARY(TN_ERF, AFFINE(x, 0.70710678118654752440, 0)), 0.5, 0.5);
    tn_node *pdf = AFFINE(UNARY(TN_EXP, AFFINE(UNARY(TN_SQUARE, x), -0.5, 0)), 0.39894228040143267794, 0);
    return MUL(g, ADD(cdf, MUL(x, pdf)));
  }
  case TN_GELU_TANH: { // y = x (1 + tanh u) / 2, u = c (x + 0.044715 x^3)
    const double c = 0.79788456080286535588;
    tn_node *xx = UNARY(TN_SQUARE, x);
    tn_node *t = UNARY(TN_TANH, MUL(AFFINE(x, c, 0), AFFINE(xx, 0.044715, 1)));
    tn_node *du = AFFINE(xx, 3 * 0.044715 * c, c);
    tn_node *slope = MUL(MUL(x, AFFINE(UNARY(TN_SQUARE, t), -1, 1)), du);
    return MUL(g, AFFINE(ADD(AFFINE(t, 1, 1), slope), 0.5, 0));
  }
  case TN_SILU: { // s (1 + x (1 - s))
    tn_node *s = UNARY(TN_SIGMOID, x);
    return MUL(g, MUL(s, AFFINE(MUL(x, AFFINE(s, -1, 1)), 1, 1)));
  }
  case TN_AFFINE: return AFFINE(g, a, 0);
  case TN_POWER:
    if (a == 0) return AFFINE(g, 0, 0);
    return MUL(g, AFFINE(tn_op_unary(TN_POWER, x, a - 1, 0), a, 0));
  case TN_CLAMP: return MUL(g, MUL(mask_of(TN_GE, x, a), mask_of(TN_LE, x, b)));
  case TN_LEAKY_RELU: return MUL(g, AFFINE(mask_of(TN_GT, x, 0), 1 - a, a));
  case TN_ELU: { // 1 where x > 0, else y + a
    tn_node *positive = tn_op_binary(TN_GT, x, tn_op_scalar(x->t.dtype, 0));
    return tn_op_where(positive, g, MUL(g, AFFINE(y, 1, a)));
  }
  default: return tn_shape_error(unary_names[op], "has no derivative");
  }
}

static void unary_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0];
  tn_unary_op op = node->op;
  tn_unary_grad_kernel kernel = tn_here->k->real[x->t.dtype]->unary_grad[op];
  if (b->graph || !kernel) {
    tn_deliver(b, 0, unary_derivative(op, b->g, x, node, node->a.d[0], node->a.d[1]));
  } else {
    tn_node *g = b->g, *out = tn_reuse_gradient(b);
    if (!tn_is_poison(out)) {
      span_grad s = {kernel,          g->t.dl.data,   x->t.dl.data,
                     node->t.dl.data, out->t.dl.data, tn_dtype_size(x->t.dtype),
                     x->t.numel,      node->a.d[0],   node->a.d[1]};
      tn_parallel(tn_ceil_div(s.n, CHUNK), work_of(x->t.dtype, (double)unary_cost[op], s.n), grad_chunk, &s);
    }
    tn_deliver(b, 0, out);
  }
}
TN_RULE_FAMILY(unary_rule, "elementwise", unary_backward, unary_backward_names);

static bool has_derivative(tn_unary_op op) {
  return op != TN_SIGN && op != TN_FLOOR && op != TN_CEIL && op != TN_ROUND && op != TN_NOT &&
         op != TN_IS_FINITE;
}

static inline int int_index(tn_dtype dtype) { return dtype == TN_I64 ? 0 : (dtype == TN_I32 ? 1 : 2); }

tn_node *tn_op_unary(tn_unary_op op, tn_node *x, double a, double b) {
  if (tn_is_poison(x)) return x;
  if ((uint32_t)op >= TN_UNARY_COUNT) return tn_shape_error("unary", "there is no operation %d", op);
  tn_dtype dtype = x->t.dtype;
  double start = tn_trace_begin(x);
  const tn_kernels *k = tn_here->k;
  tn_unary_kernel kernel =
      tn_is_float(dtype) ? k->real[dtype]->unary[op] : k->int_unary[int_index(dtype)][op];
  if (!kernel || (dtype == TN_B8 && op != TN_NOT))
    return tn_shape_error(unary_names[op], "not for %s", tn_dtype_name(dtype));
  tn_dtype result = op == TN_NOT || op == TN_IS_FINITE ? TN_B8 : dtype;
  tn_node *y = tn_node_new(result, x->t.dl.ndim, x->shape);
  if (tn_is_poison(y)) return y;
  int64_t n = x->t.numel;
  if (n <= CHUNK) {
    kernel(x->t.dl.data, y->t.dl.data, n, a, b);
  } else {
    span_unary s = {kernel, x->t.dl.data, y->t.dl.data, tn_dtype_size(dtype), tn_dtype_size(result), n, a, b};
    tn_parallel(tn_ceil_div(n, CHUNK), work_of(dtype, (double)unary_cost[op], n), unary_chunk, &s);
  }
  if (tn_recording1(x) && has_derivative(op)) {
    tn_record1(y, &unary_rule, x);
    y->op = op;
    y->a.d[0] = a;
    y->a.d[1] = b;
  }
  return tn_trace_end(unary_names[op], start, y);
}

static const char *const binary_names[TN_BINARY_COUNT] = {
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "atan2", "logaddexp",
    "eq",  "ne",  "lt",  "le",  "gt",  "ge",      "and",     "or"};
static const char *const binary_backward_names[TN_BINARY_COUNT] = {"add.backward",
                                                                   "sub.backward",
                                                                   "mul.backward",
                                                                   "div.backward",
                                                                   "pow.backward",
                                                                   "maximum.backward",
                                                                   "minimum.backward",
                                                                   "atan2.backward",
                                                                   "logaddexp.backward",
                                                                   "",
                                                                   "",
                                                                   "",
                                                                   "",
                                                                   "",
                                                                   "",
                                                                   "",
                                                                   ""};

/* The common shape of two operands, and its dimensions with the operands' strides (0: broadcast), where
 * neighbours that both operands walk through alike are one. */
typedef struct layout {
  int32_t ndim; /* of the result */
  int64_t shape[TN_MAX_DIMS];
  int32_t count; /* of joined dimensions */
  int64_t size[TN_MAX_DIMS], xs[TN_MAX_DIMS], ys[TN_MAX_DIMS];
} layout;

static bool lay_out(const tn_node *x, const tn_node *y, layout *l) {
  int32_t nx = x->t.dl.ndim, ny = y->t.dl.ndim, n = nx > ny ? nx : ny;
  int64_t sx = 1, sy = 1, size[TN_MAX_DIMS], xs[TN_MAX_DIMS], ys[TN_MAX_DIMS];
  l->ndim = n;
  for (int32_t i = 1; i <= n; i++) {
    int64_t dx = i <= nx ? x->shape[nx - i] : 1, dy = i <= ny ? y->shape[ny - i] : 1;
    if (dx != dy && dx != 1 && dy != 1) return false;
    int64_t d = dx == 1 ? dy : dx;
    l->shape[n - i] = size[n - i] = d;
    xs[n - i] = dx == 1 ? 0 : sx;
    ys[n - i] = dy == 1 ? 0 : sy;
    sx *= dx;
    sy *= dy;
  }
  l->count = 0;
  for (int32_t i = 0; i < n; i++) {
    if (size[i] == 1) continue;
    int32_t last = l->count - 1;
    if (last >= 0 && l->xs[last] == xs[i] * size[i] && l->ys[last] == ys[i] * size[i]) {
      l->size[last] *= size[i];
      l->xs[last] = xs[i];
      l->ys[last] = ys[i];
    } else {
      l->size[l->count] = size[i];
      l->xs[l->count] = xs[i];
      l->ys[l->count++] = ys[i];
    }
  }
  return true;
}

typedef struct span_binary {
  tn_binary_kernel kernel;
  const layout *l;
  const char *x, *y;
  char *out;
  size_t size, out_size;
  int64_t rows, inner;           /* the result as a matrix */
  int64_t row_step, column_step; /* of a block */
  int64_t column_blocks;
} span_binary;

/* Offset in elements of the operands at a row of the result. */
static void row_offsets(const layout *l, int64_t row, int64_t *x, int64_t *y) {
  *x = *y = 0;
  for (int32_t i = l->count - 2; i >= 0; i--) {
    int64_t index = row % l->size[i];
    row /= l->size[i];
    *x += index * l->xs[i];
    *y += index * l->ys[i];
  }
}

static void binary_block(void *context, int64_t index) {
  const span_binary *s = context;
  const layout *l = s->l;
  int32_t in = l->count - 1;
  int64_t row = index / s->column_blocks * s->row_step, column = index % s->column_blocks * s->column_step;
  int64_t row_end = tn_min64(row + s->row_step, s->rows), width = tn_min64(s->column_step, s->inner - column);
  int64_t xi = l->xs[in], yi = l->ys[in], period = in > 0 ? l->size[in - 1] : 1;
  int64_t xo = in > 0 ? l->xs[in - 1] : 0, yo = in > 0 ? l->ys[in - 1] : 0;
  if (width < s->inner) period = 1; // rows are not adjacent in the result then
  while (row < row_end) {
    int64_t x, y, some = tn_min64(period - row % period, row_end - row);
    row_offsets(l, row, &x, &y);
    s->kernel(s->x + (size_t)(x + column * xi) * s->size, xo, xi, s->y + (size_t)(y + column * yi) * s->size,
              yo, yi, s->out + (size_t)(row * s->inner + column) * s->out_size, some, width);
    row += some;
  }
}

static tn_node *binary_broadcast(tn_binary_op op, tn_binary_kernel kernel, tn_node *x, tn_node *y,
                                 tn_dtype result) {
  layout l;
  if (!lay_out(x, y, &l))
    return tn_shape_error(binary_names[op], "shapes %s and %s do not broadcast", tn_shape_text(x),
                          tn_shape_text(y));
  tn_node *out = tn_node_new(result, l.ndim, l.shape);
  if (tn_is_poison(out) || out->t.numel == 0) return out;
  if (l.count == 0) {
    kernel(x->t.dl.data, 0, 0, y->t.dl.data, 0, 0, out->t.dl.data, 1, 1);
    return out;
  }
  int64_t n = out->t.numel, inner = l.size[l.count - 1];
  span_binary s = {.kernel = kernel,
                   .l = &l,
                   .x = x->t.dl.data,
                   .y = y->t.dl.data,
                   .out = out->t.dl.data,
                   .size = tn_dtype_size(x->t.dtype),
                   .out_size = tn_dtype_size(result),
                   .rows = n / inner,
                   .inner = inner};
  s.column_step = tn_min64(inner, CHUNK);
  s.column_blocks = tn_ceil_div(inner, s.column_step);
  s.row_step = s.column_blocks > 1 ? 1 : tn_max64(1, CHUNK / inner);
  int64_t blocks = tn_ceil_div(s.rows, s.row_step) * s.column_blocks;
  tn_parallel(blocks, work_of(x->t.dtype, op == TN_POW || op == TN_ATAN2 ? 10 : 0, n), binary_block, &s);
  return out;
}

static void same_chunk(void *context, int64_t index) {
  const span_binary *s = context;
  int64_t start = index * CHUNK, n = tn_min64(CHUNK, s->inner - start);
  s->kernel(s->x + (size_t)start * s->size, 0, 1, s->y + (size_t)start * s->size, 0, 1,
            s->out + (size_t)start * s->out_size, 1, n);
}

/* out = op(x, y) elementwise for equal shapes; out may be x or y. */
static void binary_same(tn_binary_op op, tn_binary_kernel kernel, const tn_node *x, const tn_node *y,
                        tn_node *out) {
  int64_t n = x->t.numel;
  if (n <= CHUNK) {
    kernel(x->t.dl.data, 0, 1, y->t.dl.data, 0, 1, out->t.dl.data, 1, n);
    return;
  }
  span_binary s = {.kernel = kernel,
                   .x = x->t.dl.data,
                   .y = y->t.dl.data,
                   .out = out->t.dl.data,
                   .size = tn_dtype_size(x->t.dtype),
                   .out_size = tn_dtype_size(out->t.dtype),
                   .inner = n};
  tn_parallel(tn_ceil_div(n, CHUNK), work_of(x->t.dtype, op == TN_POW || op == TN_ATAN2 ? 10 : 0, n),
              same_chunk, &s);
}

static inline bool same_shape(const tn_node *x, const tn_node *y) {
  if (x->t.dl.ndim != y->t.dl.ndim || x->t.numel != y->t.numel) return false;
  for (int32_t i = 0; i < x->t.dl.ndim; i++)
    if (x->shape[i] != y->shape[i]) return false;
  return true;
}

/* Where y = f(a, b) with equal shapes and g may be overwritten, g a or g b is made in place. */
static void mul_backward_fast(tn_backward *b, tn_node *x, tn_node *y) {
  tn_binary_kernel mul = tn_here->k->real[x->t.dtype]->binary[TN_MUL];
  tn_node *g = b->g;
  if (tn_wants(b, 0) && tn_wants(b, 1)) {
    tn_node *gx = tn_node_like(x);
    if (!tn_is_poison(gx)) binary_same(TN_MUL, mul, g, y, gx);
    tn_deliver(b, 0, gx);
  }
  uint32_t last = tn_wants(b, 1) ? 1 : 0;
  tn_node *other = last ? x : y, *out = tn_reuse_gradient(b);
  if (!tn_is_poison(out)) binary_same(TN_MUL, mul, g, other, out);
  tn_deliver(b, last, out);
}

typedef struct span_dot {
  const tn_real_kernels *k;
  const char *x, *y;
  double *partial;
  int64_t n;
  size_t size;
} span_dot;

static void dot_chunk(void *context, int64_t index) {
  const span_dot *s = context;
  size_t at = (size_t)(index * CHUNK) * s->size;
  s->partial[index] = s->k->dot(s->x + at, s->y + at, tn_min64(CHUNK, s->n - index * CHUNK));
}

/* f = x s with a single number s: g x summed without keeping it, g s in place. */
static void scale_backward_fast(tn_backward *b, uint32_t number) {
  tn_node *s = b->node->in[number], *x = b->node->in[1 - number], *g = b->g;
  if (tn_wants(b, number)) {
    span_dot d = {.k = tn_here->k->real[x->t.dtype],
                  .x = g->t.dl.data,
                  .y = x->t.dl.data,
                  .n = x->t.numel,
                  .size = tn_dtype_size(x->t.dtype)};
    int64_t chunks = tn_ceil_div(d.n, CHUNK);
    d.partial = tn_workspace_take((size_t)chunks * sizeof(double) + 8);
    if (!d.partial) return;
    tn_parallel(chunks, 0.15 * (double)d.n, dot_chunk, &d);
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) total += d.partial[i];
    tn_workspace_give(d.partial);
    tn_deliver(b, number, tn_op_full(s->t.dtype, s->t.dl.ndim, s->shape, total));
  }
  if (tn_wants(b, 1 - number)) {
    double factor =
        s->t.dtype == TN_F32 ? (double)*(const float *)s->t.dl.data : *(const double *)s->t.dl.data;
    tn_node *out = tn_reuse_gradient(b);
    if (!tn_is_poison(out)) {
      span_unary u = {tn_here->k->real[x->t.dtype]->unary[TN_AFFINE],
                      g->t.dl.data,
                      out->t.dl.data,
                      tn_dtype_size(x->t.dtype),
                      tn_dtype_size(x->t.dtype),
                      x->t.numel,
                      factor,
                      0};
      tn_parallel(tn_ceil_div(u.n, CHUNK), work_of(x->t.dtype, 0, u.n), unary_chunk, &u);
    }
    tn_deliver(b, 1 - number, out);
  }
}

typedef struct span_add {
  const tn_real_kernels *k;
  const char *x;
  char *y;
  int64_t n;
  size_t size;
} span_add;

static void add_chunk(void *context, int64_t index) {
  const span_add *s = context;
  size_t at = (size_t)(index * CHUNK) * s->size;
  s->k->axpy(1, s->x + at, s->y + at, tn_min64(CHUNK, s->n - index * CHUNK));
}

void tn_add_into(tn_dtype dtype, const void *x, void *y, int64_t n) {
  span_add s = {tn_here->k->real[dtype], x, y, n, tn_dtype_size(dtype)};
  if (n <= CHUNK)
    s.k->axpy(1, x, y, n);
  else
    tn_parallel(tn_ceil_div(n, CHUNK), 0.15 * (double)n, add_chunk, &s);
}

static void binary_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *y = node->in[1], *g = b->g;
  bool dx = tn_wants(b, 0), dy = tn_wants(b, 1);
  switch (node->op) {
  case TN_ADD:
    if (dx) tn_deliver_reduced(b, 0, g);
    if (dy) tn_deliver_reduced(b, 1, g);
    break;
  case TN_SUB:
    if (dx) tn_deliver_reduced(b, 0, g);
    if (dy) tn_deliver_reduced(b, 1, NEG(g));
    break;
  case TN_MUL:
    if (!b->graph && same_shape(x, y)) {
      mul_backward_fast(b, x, y);
      break;
    }
    if (!b->graph && ((y->t.numel == 1 && same_shape(x, node)) || (x->t.numel == 1 && same_shape(y, node)))) {
      scale_backward_fast(b, y->t.numel == 1 && same_shape(x, node) ? 1 : 0);
      break;
    }
    if (dx) tn_deliver_reduced(b, 0, MUL(g, y));
    if (dy) tn_deliver_reduced(b, 1, MUL(g, x));
    break;
  case TN_DIV: {
    tn_node *q = DIV(g, y);
    if (dx) tn_deliver_reduced(b, 0, q);
    if (dy) tn_deliver_reduced(b, 1, NEG(MUL(q, node)));
    break;
  }
  case TN_POW: // y x^(y - 1) and x^y log x, the latter 0 at x = 0
    if (dx) tn_deliver_reduced(b, 0, MUL(g, MUL(y, tn_op_binary(TN_POW, x, AFFINE(y, 1, -1)))));
    if (dy) {
      tn_node *zero = tn_op_binary(TN_EQ, x, tn_op_scalar(x->t.dtype, 0));
      tn_node *safe = tn_op_where(zero, tn_op_scalar(x->t.dtype, 1), x);
      tn_deliver_reduced(b, 1, MUL(g, MUL(node, UNARY(TN_LOG, safe))));
    }
    break;
  case TN_MAXIMUM:
  case TN_MINIMUM: {
    tn_node *first = tn_op_binary(node->op == TN_MAXIMUM ? TN_GE : TN_LE, x, y);
    tn_node *zero = tn_op_scalar(x->t.dtype, 0);
    if (dx) tn_deliver_reduced(b, 0, tn_op_where(first, g, zero));
    if (dy) tn_deliver_reduced(b, 1, tn_op_where(first, zero, g));
    break;
  }
  case TN_ATAN2: {
    tn_node *q = DIV(g, ADD(UNARY(TN_SQUARE, x), UNARY(TN_SQUARE, y)));
    if (dx) tn_deliver_reduced(b, 0, MUL(q, y));
    if (dy) tn_deliver_reduced(b, 1, NEG(MUL(q, x)));
    break;
  }
  case TN_LOGADDEXP: {
    tn_node *d = SUB(x, y);
    if (dx) tn_deliver_reduced(b, 0, MUL(g, UNARY(TN_SIGMOID, d)));
    if (dy) tn_deliver_reduced(b, 1, MUL(g, UNARY(TN_SIGMOID, NEG(d))));
    break;
  }
  default: break;
  }
}
TN_RULE_FAMILY(binary_rule, "elementwise", binary_backward, binary_backward_names);

tn_node *tn_op_binary(tn_binary_op op, tn_node *x, tn_node *y) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(y)) return y;
  if ((uint32_t)op >= TN_BINARY_COUNT) return tn_shape_error("binary", "there is no operation %d", op);
  tn_dtype dtype = x->t.dtype;
  if (dtype != y->t.dtype)
    return tn_shape_error(binary_names[op], "dtypes %s and %s differ", tn_dtype_name(dtype),
                          tn_dtype_name(y->t.dtype));
  double start = tn_trace_begin(x, y);
  const tn_kernels *k = tn_here->k;
  tn_binary_kernel kernel =
      tn_is_float(dtype) ? k->real[dtype]->binary[op] : k->int_binary[int_index(dtype)][op];
  if (!kernel || (dtype == TN_B8 && op <= TN_DIV))
    return tn_shape_error(binary_names[op], "not for %s", tn_dtype_name(dtype));
  tn_dtype result = op >= TN_EQ ? TN_B8 : dtype;
  tn_node *out;
  if (same_shape(x, y)) {
    out = tn_node_new(result, x->t.dl.ndim, x->shape);
    if (!tn_is_poison(out)) binary_same(op, kernel, x, y, out);
  } else {
    out = binary_broadcast(op, kernel, x, y, result);
  }
  if (tn_is_poison(out)) return out;
  if (tn_recording2(x, y) && op < TN_EQ) {
    tn_record2(out, &binary_rule, x, y);
    out->op = op;
  }
  return tn_trace_end(binary_names[op], start, out);
}

static void where_backward(tn_backward *b) {
  tn_node *node = b->node, *condition = node->in[2], *zero = tn_op_scalar(node->t.dtype, 0);
  if (tn_wants(b, 0)) tn_deliver_reduced(b, 0, tn_op_where(condition, b->g, zero));
  if (tn_wants(b, 1)) tn_deliver_reduced(b, 1, tn_op_where(condition, zero, b->g));
}
TN_RULE(where_rule, "where", where_backward);

typedef struct span_where {
  tn_where_kernel kernel;
  const uint8_t *c;
  const char *x, *y;
  char *out;
  int64_t ci, xi, yi, n;
  size_t size;
} span_where;

static void where_chunk(void *context, int64_t index) {
  const span_where *s = context;
  int64_t start = index * CHUNK, n = tn_min64(CHUNK, s->n - start);
  s->kernel(s->c + start * s->ci, s->ci, s->x + (size_t)(start * s->xi) * s->size, s->xi,
            s->y + (size_t)(start * s->yi) * s->size, s->yi, s->out + (size_t)start * s->size, n);
}

tn_node *tn_op_where(tn_node *c, tn_node *x, tn_node *y) {
  if (tn_is_poison(c)) return c;
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(y)) return y;
  if (c->t.dtype != TN_B8)
    return tn_shape_error("where", "the condition is %s, not bool", tn_dtype_name(c->t.dtype));
  if (x->t.dtype != y->t.dtype)
    return tn_shape_error("where", "dtypes %s and %s differ", tn_dtype_name(x->t.dtype),
                          tn_dtype_name(y->t.dtype));
  double start = tn_trace_begin(x, y);
  layout l, l2;
  tn_node shape = {.t.dl.ndim = 0};
  if (lay_out(c, x, &l)) {
    shape.t.dl.ndim = l.ndim;
    memcpy(shape.shape, l.shape, sizeof l.shape);
  }
  if (!lay_out(c, x, &l) || !lay_out(&shape, y, &l2))
    return tn_shape_error("where", "shapes %s, %s and %s do not broadcast", tn_shape_text(c),
                          tn_shape_text(x), tn_shape_text(y));
  tn_node *out = tn_node_new(x->t.dtype, l2.ndim, l2.shape);
  if (tn_is_poison(out)) return out;
  int64_t n = out->t.numel;
  // an operand is a single number, or as large as the result
  if (c->t.numel != n && c->t.numel != 1) c = tn_op_broadcast(c, l2.ndim, l2.shape);
  if (x->t.numel != n && x->t.numel != 1) x = tn_op_broadcast(x, l2.ndim, l2.shape);
  if (y->t.numel != n && y->t.numel != 1) y = tn_op_broadcast(y, l2.ndim, l2.shape);
  if (tn_is_poison(c) || tn_is_poison(x) || tn_is_poison(y)) return tn_poison();
  size_t size = tn_dtype_size(x->t.dtype);
  span_where s = {tn_here->k->where[size == 4 ? 0 : (size == 8 ? 1 : 2)],
                  c->t.dl.data,
                  x->t.dl.data,
                  y->t.dl.data,
                  out->t.dl.data,
                  c->t.numel != 1,
                  x->t.numel != 1,
                  y->t.numel != 1,
                  n,
                  size};
  tn_parallel(tn_ceil_div(n, CHUNK), 0.2 * (double)n, where_chunk, &s);
  if (tn_recording2(x, y)) {
    tn_record2(out, &where_rule, x, y);
    out->in[2] = c;
  }
  return tn_trace_end("where", start, out);
}

tn_tensor *tn_api_unary(tn_unary_op op, tn_tensor *x, double a, double b) {
  return &tn_op_unary(op, tn_node_of(x), a, b)->t;
}
tn_tensor *tn_api_binary(tn_binary_op op, tn_tensor *x, tn_tensor *y) {
  return &tn_op_binary(op, tn_node_of(x), tn_node_of(y))->t;
}
tn_tensor *tn_api_where(tn_tensor *condition, tn_tensor *x, tn_tensor *y) {
  return &tn_op_where(tn_node_of(condition), tn_node_of(x), tn_node_of(y))->t;
}
