// SPDX-License-Identifier: MIT
/* Resizing, and sampling at given positions. Resizing is linear and separable: each output row is a mixture
 * of two input rows, each column of two columns; it and its adjoint are each other's derivative. Sampling is
 * made of gathers, so that its derivatives of any order with respect to image and positions come by
 * themselves. */
#include "internal.h"

#include <math.h>

typedef struct mixture { /* of input elements, for one output element along one axis */
  int64_t index[2];
  double weight[2];
} mixture;

typedef struct resize_job {
  tn_dtype dtype;
  int64_t in[2], out[2];
  const mixture *rows, *columns;
  const char *x;
  char *y;
} resize_job;

static void fill_mixtures(tn_interpolate_op op, bool align, int64_t in, int64_t out, mixture *m) {
  for (int64_t i = 0; i < out; i++) {
    m[i] = (mixture){{i * in / out, i * in / out}, {1, 0}};
    if (op == TN_INTERPOLATE_NEAREST) continue;
    double at = ((double)i + 0.5) * (double)in / (double)out - 0.5;
    if (align) at = out > 1 ? (double)i * (double)(in - 1) / (double)(out - 1) : 0;
    if (at < 0) at = 0;
    int64_t low = tn_min64((int64_t)at, in - 1);
    m[i].index[0] = low;
    m[i].index[1] = tn_min64(low + 1, in - 1);
    m[i].weight[1] = at - (double)low;
    m[i].weight[0] = 1 - m[i].weight[1];
  }
}

#define RESIZE_PLANE(real)                                                         \
  static void mix_##real(const resize_job *j, const real *x, real *y) {            \
    for (int64_t i = 0; i < j->out[0]; i++) {                                      \
      const mixture *r = &j->rows[i];                                              \
      const real *a = x + r->index[0] * j->in[1], *b = x + r->index[1] * j->in[1]; \
      real wa = (real)r->weight[0], wb = (real)r->weight[1];                       \
      for (int64_t k = 0; k < j->out[1]; k++) {                                    \
        const mixture *c = &j->columns[k];                                         \
        real left = wa * a[c->index[0]] + wb * b[c->index[0]];                     \
        real right = wa * a[c->index[1]] + wb * b[c->index[1]];                    \
        *y++ = (real)c->weight[0] * left + (real)c->weight[1] * right;             \
      }                                                                            \
    }                                                                              \
  }                                                                                \
  static void spread_##real(const resize_job *j, const real *g, real *gx) {        \
    memset(gx, 0, (size_t)(j->in[0] * j->in[1]) * sizeof(real));                   \
    for (int64_t i = 0; i < j->out[0]; i++) {                                      \
      const mixture *r = &j->rows[i];                                              \
      real *a = gx + r->index[0] * j->in[1], *b = gx + r->index[1] * j->in[1];     \
      real wa = (real)r->weight[0], wb = (real)r->weight[1];                       \
      for (int64_t k = 0; k < j->out[1]; k++) {                                    \
        const mixture *c = &j->columns[k];                                         \
        real left = (real)c->weight[0] * *g, right = (real)c->weight[1] * *g;      \
        g++;                                                                       \
        a[c->index[0]] += wa * left;                                               \
        a[c->index[1]] += wa * right;                                              \
        b[c->index[0]] += wb * left;                                               \
        b[c->index[1]] += wb * right;                                              \
      }                                                                            \
    }                                                                              \
  }
RESIZE_PLANE(float)
RESIZE_PLANE(double)

static void mix_body(void *context, int64_t plane) {
  const resize_job *j = context;
  size_t in = (size_t)(plane * j->in[0] * j->in[1]), out = (size_t)(plane * j->out[0] * j->out[1]);
  if (j->dtype == TN_F32)
    mix_float(j, (const float *)(const void *)j->x + in, (float *)(void *)j->y + out);
  else
    mix_double(j, (const double *)(const void *)j->x + in, (double *)(void *)j->y + out);
}
static void spread_body(void *context, int64_t plane) {
  const resize_job *j = context;
  size_t in = (size_t)(plane * j->in[0] * j->in[1]), out = (size_t)(plane * j->out[0] * j->out[1]);
  if (j->dtype == TN_F32)
    spread_float(j, (const float *)(const void *)j->x + out, (float *)(void *)j->y + in);
  else
    spread_double(j, (const double *)(const void *)j->x + out, (double *)(void *)j->y + in);
}

/* Attributes: operation and alignment. */
static tn_node *resize(tn_node *x, const int64_t *shape, tn_interpolate_op op, bool align, bool adjoint);

static void resize_backward(tn_backward *b) {
  tn_node *node = b->node;
  tn_deliver(b, 0, resize(b->g, node->in[0]->shape, node->a.s[0], node->a.s[1], !node->a.s[2]));
}
TN_RULE(resize_rule, "interpolate", resize_backward);

static tn_node *resize(tn_node *x, const int64_t *shape, tn_interpolate_op op, bool align, bool adjoint) {
  if (tn_is_poison(x)) return x;
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(x->t.dtype, 4, shape);
  if (tn_is_poison(y)) return y;
  const int64_t *small = adjoint ? shape : x->shape, *large = adjoint ? x->shape : shape;
  resize_job j = {.dtype = x->t.dtype,
                  .in = {small[2], small[3]},
                  .out = {large[2], large[3]},
                  .x = x->t.dl.data,
                  .y = y->t.dl.data};
  mixture *memory = tn_workspace_take((size_t)(j.out[0] + j.out[1]) * sizeof *memory);
  if (!memory) return tn_poison();
  fill_mixtures(op, align, j.in[0], j.out[0], memory);
  fill_mixtures(op, align, j.in[1], j.out[1], memory + j.out[0]);
  j.rows = memory;
  j.columns = memory + j.out[0];
  tn_parallel(shape[0] * shape[1], 2 * (double)tn_max64(x->t.numel, y->t.numel),
              adjoint ? spread_body : mix_body, &j);
  tn_workspace_give(memory);
  if (tn_recording1(x)) {
    tn_record1(y, &resize_rule, x);
    y->a.s[0] = op;
    y->a.s[1] = align;
    y->a.s[2] = adjoint;
  }
  return tn_trace_end("interpolate", start, y);
}

tn_node *tn_op_interpolate(tn_interpolate_op op, tn_node *x, int64_t height, int64_t width, bool align) {
  static const char name[] = "interpolate";
  if (tn_is_poison(x)) return x;
  if (op < 0 || op >= TN_INTERPOLATE_COUNT) return tn_shape_error(name, "there is no operation %d", op);
  const int64_t large = 1 << 24;
  if (!tn_is_float(x->t.dtype) || x->t.dl.ndim != 4 || x->shape[2] < 1 || x->shape[3] < 1 || height < 1 ||
      width < 1 || height > large || width > large)
    return tn_shape_error(name, "%s of %s to %lld x %lld", tn_shape_text(x), tn_dtype_name(x->t.dtype),
                          (long long)height, (long long)width);
  return resize(x, (const int64_t[]){x->shape[0], x->shape[1], height, width}, op, align, false);
}

tn_node *tn_op_affine_grid(tn_node *theta, int64_t height, int64_t width, bool align) {
  if (tn_is_poison(theta)) return theta;
  if (!tn_is_float(theta->t.dtype) || theta->t.dl.ndim != 3 || theta->shape[1] != 2 || theta->shape[2] != 3 ||
      height < 1 || width < 1)
    return tn_shape_error("affine_grid", "theta %s of %s is not (n, 2, 3)", tn_shape_text(theta),
                          tn_dtype_name(theta->t.dtype));
  tn_node *base = tn_node_new(theta->t.dtype, 2, (const int64_t[]){height * width, 3});
  if (tn_is_poison(base)) return base;
  int64_t size[2] = {width, height};
  for (int64_t i = 0; i < height * width; i++) {
    int64_t at[2] = {i % width, i / width};
    for (int axis = 0; axis < 3; axis++) {
      double v = 1;
      if (axis < 2) {
        double n = (double)size[axis], k = (double)at[axis];
        v = align ? (n > 1 ? 2 * k / (n - 1) - 1 : 0) : (2 * k + 1) / n - 1;
      }
      if (base->t.dtype == TN_F32)
        ((float *)base->t.dl.data)[3 * i + axis] = (float)v;
      else
        ((double *)base->t.dl.data)[3 * i + axis] = v;
    }
  }
  tn_node *grid = tn_op_matmul(base, theta, false, true);
  return tn_op_reshape(grid, 4, (const int64_t[]){theta->shape[0], height, width, 2});
}

/* Positions along one axis, (n, m), from coordinates in -1 .. 1. */
static tn_node *positions(tn_node *grid, int32_t axis, int64_t size, tn_border_op border, bool align) {
  tn_node *u = tn_op_slice(grid, 3, axis, axis + 1, 1);
  u = tn_op_reshape(u, 2, (const int64_t[]){grid->shape[0], grid->shape[1] * grid->shape[2]});
  double n = (double)size;
  u = align ? AFFINE(u, (n - 1) / 2, (n - 1) / 2) : AFFINE(u, n / 2, (n - 1) / 2);
  return border == TN_BORDER_EDGE ? tn_op_unary(TN_CLAMP, u, 0, n - 1) : u;
}

static double value_at(const tn_node *x, int64_t i) {
  return x->t.dtype == TN_F32 ? (double)((const float *)x->t.dl.data)[i] : ((const double *)x->t.dl.data)[i];
}

/* Which elements the corner (row, column) above the floors is, for each channel, and 1 where it is inside. */
static void corner(const tn_node *x, const tn_node *u, const tn_node *v, int64_t row, int64_t column,
                   tn_node *index, tn_node *inside) {
  int64_t n = x->shape[0], c = x->shape[1], h = x->shape[2], w = x->shape[3], m = u->shape[1];
  int64_t *k = index->t.dl.data;
  for (int64_t a = 0; a < n; a++) {
    for (int64_t i = 0; i < m; i++) {
      double q = value_at(u, a * m + i) + (double)column, r = value_at(v, a * m + i) + (double)row;
      bool good = q >= 0 && r >= 0 && q < (double)w && r < (double)h;
      k[a * c * m + i] = good ? (int64_t)r * w + (int64_t)q : 0;
      if (inside->t.dtype == TN_F32)
        ((float *)inside->t.dl.data)[a * m + i] = good;
      else
        ((double *)inside->t.dl.data)[a * m + i] = good;
    }
    for (int64_t b = 1; b < c; b++) memcpy(k + (a * c + b) * m, k + a * c * m, (size_t)m * sizeof *k);
  }
}

tn_node *tn_op_grid_sample(tn_node *x, tn_node *grid, tn_border_op border, bool align) {
  static const char op[] = "grid_sample";
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(grid)) return grid;
  if (!tn_check_floats(op, x, grid)) return tn_poison();
  if (x->t.dl.ndim != 4 || grid->t.dl.ndim != 4 || grid->shape[0] != x->shape[0] || grid->shape[3] != 2 ||
      x->shape[2] < 1 || x->shape[3] < 1 || border < 0 || border >= TN_BORDER_COUNT)
    return tn_shape_error(op, "input %s, grid %s, border %d", tn_shape_text(x), tn_shape_text(grid), border);
  double start = tn_trace_begin(x, grid);
  int64_t n = x->shape[0], c = x->shape[1], m = grid->shape[1] * grid->shape[2];
  tn_node *u = positions(grid, 0, x->shape[3], border, align),
          *v = positions(grid, 1, x->shape[2], border, align);
  tn_node *left = UNARY(TN_FLOOR, u), *top = UNARY(TN_FLOOR, v);
  tn_node *weight_u[2], *weight_v[2], *sum = NULL;
  weight_u[1] = SUB(u, left);
  weight_u[0] = AFFINE(weight_u[1], -1, 1);
  weight_v[1] = SUB(v, top);
  weight_v[0] = AFFINE(weight_v[1], -1, 1);
  tn_node *planes = tn_op_reshape(x, 3, (const int64_t[]){n, c, x->shape[2] * x->shape[3]});
  for (int i = 0; i < 4; i++) {
    tn_node *index = tn_node_new(TN_I64, 3, (const int64_t[]){n, c, m});
    tn_node *inside = tn_node_new(x->t.dtype, 2, (const int64_t[]){n, m});
    if (tn_is_poison(index) || tn_is_poison(inside) || tn_is_poison(left) || tn_is_poison(top))
      return tn_poison();
    if (c) corner(x, left, top, i / 2, i % 2, index, inside);
    tn_node *weight = MUL(MUL(weight_v[i / 2], weight_u[i % 2]), inside);
    tn_node *part = MUL(tn_op_gather(planes, index), tn_op_reshape(weight, 3, (const int64_t[]){n, 1, m}));
    sum = sum ? ADD(sum, part) : part;
  }
  sum = tn_op_reshape(sum, 4, (const int64_t[]){n, c, grid->shape[1], grid->shape[2]});
  return tn_trace_end(op, start, sum);
}
