// SPDX-License-Identifier: MIT
/* Reductions over any set of axes, and the softmax family. Sums are cut into blocks of a fixed size that are
 * joined in order, so that threads do not change the result. */
#include "internal.h"

#include <math.h>

static const char *const names[TN_REDUCE_COUNT] = {"sum",  "mean",      "max", "min", "prod",   "var",
                                                   "norm", "logsumexp", "any", "all", "argmax", "argmin"};
static const char *const backward_names[TN_REDUCE_COUNT] = {"sum.backward",
                                                            "mean.backward",
                                                            "max.backward",
                                                            "min.backward",
                                                            "prod.backward",
                                                            "var.backward",
                                                            "norm.backward",
                                                            "logsumexp.backward",
                                                            "",
                                                            "",
                                                            "",
                                                            ""};

/* x as (a, r, b, s): r and s are summed, a and b stay. */
typedef struct plan {
  int64_t a, r, b, s;
} plan;

/* False if the axes alternate more often than that. */
static bool make_plan(const tn_node *x, uint32_t axes, plan *p) {
  int64_t group[TN_MAX_DIMS];
  bool reduced[TN_MAX_DIMS];
  int32_t n = 0;
  for (int32_t i = 0; i < x->t.dl.ndim; i++) {
    bool r = axes >> i & 1;
    if (x->shape[i] == 1) continue;
    if (n && reduced[n - 1] == r) {
      group[n - 1] *= x->shape[i];
    } else {
      group[n] = x->shape[i];
      reduced[n++] = r;
    }
  }
  *p = (plan){1, 1, 1, 1};
  if (n && reduced[n - 1]) p->s = group[--n];
  if (n) p->b = group[--n];
  if (n) p->r = group[--n];
  if (n) p->a = group[--n];
  return n == 0;
}

typedef enum kind { SUM, SUM_SQUARES, MAX, MIN } kind;

typedef struct job {
  const tn_real_kernels *k;
  kind kind;
  tn_dtype dtype;
  const char *x;
  char *out;
  size_t size;
  plan p;
  /* rows: blocks of r; runs: blocks of r s */
  int64_t r_step, s_step, r_blocks, s_blocks, columns;
  void *partial;
} job;

/* s == 1: out[a, :] = sum over r of x[a, r, :], a stretch of columns and a block of r at a time */
static void rows_block(void *context, int64_t index) {
  const job *j = context;
  int64_t column_blocks = tn_ceil_div(j->p.b, j->columns);
  int64_t c = index % column_blocks * j->columns, block = index / column_blocks % j->r_blocks;
  int64_t a = index / column_blocks / j->r_blocks, width = tn_min64(j->columns, j->p.b - c);
  int64_t r = block * j->r_step, end = tn_min64(r + j->r_step, j->p.r);
  char *out = (j->r_blocks > 1 ? (char *)j->partial + (size_t)((a * j->r_blocks + block) * j->p.b) * j->size
                               : j->out + (size_t)(a * j->p.b) * j->size) +
              (size_t)c * j->size;
  const char *row = j->x + (size_t)((a * j->p.r + r) * j->p.b + c) * j->size;
  memcpy(out, row, (size_t)width * j->size);
  for (r++; r < end; r++) {
    row += (size_t)j->p.b * j->size;
    if (j->kind == MAX)
      j->k->row_max(row, out, width);
    else if (j->kind == MIN)
      j->k->row_min(row, out, width);
    else
      j->k->row_add(row, out, width);
  }
}

static bool reduce_rows(job *j) {
  j->columns = tn_min64(j->p.b, 1024);
  j->r_step = tn_max64(64, 8192 / j->columns);
  j->r_blocks = tn_ceil_div(j->p.r, j->r_step);
  if (j->r_blocks > 1) {
    j->partial = tn_workspace_take((size_t)(j->p.a * j->r_blocks * j->p.b) * j->size);
    if (!j->partial) return false;
  }
  double work = 0.1 * (double)(j->p.a * j->p.r * j->p.b);
  tn_parallel(j->p.a * j->r_blocks * tn_ceil_div(j->p.b, j->columns), work, rows_block, j);
  if (j->r_blocks > 1) {
    job join = *j;
    join.x = j->partial;
    join.p.r = j->r_blocks;
    join.r_step = j->r_blocks;
    join.r_blocks = 1;
    tn_parallel(join.p.a * tn_ceil_div(join.p.b, join.columns), 0.1 * (double)(j->p.a * j->r_blocks * j->p.b),
                rows_block, &join);
    tn_workspace_give(j->partial);
  }
  return true;
}

static double join_values(kind k, double x, double y) {
  if (k == MAX) return x > y || x != x ? x : y;
  if (k == MIN) return x < y || x != x ? x : y;
  return x + y;
}

/* s > 1: one number for each output and block */
static void runs_block(void *context, int64_t index) {
  const job *j = context;
  int64_t s_block = index % j->s_blocks, rest = index / j->s_blocks, r_block = rest % j->r_blocks;
  int64_t output = rest / j->r_blocks, a = output / j->p.b, b = output % j->p.b;
  int64_t s = s_block * j->s_step, n = tn_min64(j->s_step, j->p.s - s);
  int64_t r = r_block * j->r_step, end = tn_min64(r + j->r_step, j->p.r);
  double total = j->kind == MAX ? -INFINITY : (j->kind == MIN ? INFINITY : 0);
  for (; r < end; r++) {
    const char *run = j->x + (size_t)(((a * j->p.r + r) * j->p.b + b) * j->p.s + s) * j->size;
    double value;
    if (j->kind == SUM)
      value = j->k->sum(run, n);
    else if (j->kind == SUM_SQUARES)
      value = j->k->square_deviation(run, 0, n);
    else if (j->kind == MAX)
      value = j->k->max(run, n);
    else
      value = j->k->min(run, n);
    total = join_values(j->kind, total, value);
  }
  ((double *)j->partial)[index] = total;
}

/* the same where one output is one run: many outputs a task */
static void short_runs_block(void *context, int64_t block) {
  const job *j = context;
  int64_t end = tn_min64((block + 1) * j->columns, j->p.a * j->p.b);
  for (int64_t o = block * j->columns; o < end; o++) {
    double value;
    const char *run = j->x + (size_t)(o * j->p.s) * j->size;
    if (j->kind == SUM)
      value = j->k->sum(run, j->p.s);
    else if (j->kind == SUM_SQUARES)
      value = j->k->square_deviation(run, 0, j->p.s);
    else if (j->kind == MAX)
      value = j->k->max(run, j->p.s);
    else
      value = j->k->min(run, j->p.s);
    if (j->dtype == TN_F32)
      ((float *)j->out)[o] = (float)value;
    else
      ((double *)j->out)[o] = value;
  }
}

static bool reduce_runs(job *j) {
  enum { RUN = 32768 };
  int64_t outputs = j->p.a * j->p.b;
  double work = 0.1 * (double)(outputs * j->p.r * j->p.s) + 5.0 * (double)(outputs * j->p.r);
  if (j->p.r == 1 && j->p.s <= RUN) {
    j->columns = tn_max64(1, RUN / j->p.s);
    tn_parallel(tn_ceil_div(outputs, j->columns), work, short_runs_block, j);
    return true;
  }
  j->s_step = tn_min64(j->p.s, RUN);
  j->s_blocks = tn_ceil_div(j->p.s, j->s_step);
  j->r_step = j->s_blocks > 1 ? 1 : tn_max64(1, RUN / j->p.s);
  j->r_blocks = tn_ceil_div(j->p.r, j->r_step);
  int64_t blocks = j->r_blocks * j->s_blocks;
  double *partial = tn_workspace_take((size_t)(outputs * blocks) * sizeof(double));
  if (!partial) return false;
  j->partial = partial;
  tn_parallel(outputs * blocks, work, runs_block, j);
  for (int64_t o = 0; o < outputs; o++) {
    double total = partial[o * blocks];
    for (int64_t i = 1; i < blocks; i++) total = join_values(j->kind, total, partial[o * blocks + i]);
    if (j->dtype == TN_F32)
      ((float *)j->out)[o] = (float)total;
    else
      ((double *)j->out)[o] = total;
  }
  tn_workspace_give(partial);
  return true;
}

/* x with the reduced axes last. */
static tn_node *reduced_last(tn_node *x, uint32_t axes) {
  int32_t order[TN_MAX_DIMS], n = 0;
  for (int32_t i = 0; i < x->t.dl.ndim; i++)
    if (!(axes >> i & 1)) order[n++] = i;
  for (int32_t i = 0; i < x->t.dl.ndim; i++)
    if (axes >> i & 1) order[n++] = i;
  for (int32_t i = 0; i < n; i++)
    if (order[i] != i) return tn_op_permute(x, order);
  return x;
}

typedef struct target {
  uint32_t axes;
  int32_t ndim;
  int64_t shape[TN_MAX_DIMS]; /* of the result */
  int64_t kept[TN_MAX_DIMS];  /* with reduced axes of length 1 */
  int64_t outputs, count;     /* elements of the result, elements behind each */
} target;

static tn_node *basic(kind k, tn_node *x, const target *t) {
  tn_node *out = tn_node_new(x->t.dtype, t->ndim, t->shape);
  if (tn_is_poison(out) || t->outputs == 0) return out;
  job j = {.kind = k, .dtype = x->t.dtype, .size = tn_dtype_size(x->t.dtype), .out = out->t.dl.data};
  j.k = tn_here->k->real[x->t.dtype];
  bool former = tn_api_record(false);
  if (t->count == 0) {
    j.k->fill(out->t.dl.data, k == MAX ? -INFINITY : (k == MIN ? INFINITY : 0), t->outputs);
  } else {
    tn_node *source = x;
    if (!make_plan(x, t->axes, &j.p)) {
      source = reduced_last(x, t->axes);
      j.p = (plan){1, 1, t->outputs, t->count};
    }
    bool rows = j.p.s == 1;
    tn_node *squares = rows && k == SUM_SQUARES ? UNARY(TN_SQUARE, source) : NULL;
    if (squares) j.kind = SUM;
    const tn_node *input = squares ? squares : source;
    j.x = input->t.dl.data;
    if (tn_is_poison(input) || !(rows ? reduce_rows(&j) : reduce_runs(&j))) out = tn_poison();
    if (squares) tn_node_drop(squares);
    if (source != x) tn_node_drop(source);
  }
  tn_api_record(former);
  return out;
}

static void scale_in_place(tn_node *x, double factor) {
  if (!tn_is_poison(x)) tn_here->k->real[x->t.dtype]->scale(factor, x->t.dl.data, x->t.numel);
}

/* Integers and truth values, with the reduced axes last. */
static tn_node *whole(tn_reduce_op op, tn_node *x, const target *t) {
  bool logic = op == TN_ANY || op == TN_ALL;
  if (logic != (x->t.dtype == TN_B8) ||
      (op != TN_SUM && op != TN_REDUCE_MAX && op != TN_REDUCE_MIN && op != TN_PROD && !logic))
    return tn_shape_error(names[op], "not for %s", tn_dtype_name(x->t.dtype));
  tn_node *source = reduced_last(x, t->axes), *out = tn_node_new(x->t.dtype, t->ndim, t->shape);
  if (tn_is_poison(source) || tn_is_poison(out)) return tn_poison();
  for (int64_t o = 0; o < t->outputs; o++) {
    uint64_t total = op == TN_PROD || op == TN_ALL;
    for (int64_t i = 0; i < t->count; i++) {
      int64_t at = o * t->count + i, v;
      if (x->t.dtype == TN_I64)
        v = ((const int64_t *)source->t.dl.data)[at];
      else if (x->t.dtype == TN_I32)
        v = ((const int32_t *)source->t.dl.data)[at];
      else
        v = ((const uint8_t *)source->t.dl.data)[at];
      if (op == TN_SUM)
        total += (uint64_t)v;
      else if (op == TN_PROD)
        total *= (uint64_t)v;
      else if (op == TN_ANY)
        total |= v != 0;
      else if (op == TN_ALL)
        total &= v != 0;
      else if (i == 0 || (op == TN_REDUCE_MAX ? v > (int64_t)total : v < (int64_t)total))
        total = (uint64_t)v;
    }
    if (x->t.dtype == TN_I64)
      ((int64_t *)out->t.dl.data)[o] = (int64_t)total;
    else if (x->t.dtype == TN_I32)
      ((int32_t *)out->t.dl.data)[o] = (int32_t)total;
    else
      ((uint8_t *)out->t.dl.data)[o] = (uint8_t)total;
  }
  return out;
}

#define ARG_SCAN(type)                                                         \
  for (int64_t o = 0; o < outer; o++)                                          \
    for (int64_t c = 0; c < inner; c++) {                                      \
      const type *v = (const type *)x->t.dl.data + o * n * inner + c;          \
      int64_t best = 0;                                                        \
      for (int64_t i = 1; i < n; i++) {                                        \
        type w = v[i * inner], top = v[best * inner];                          \
        if (top == top && (w != w || (largest ? w > top : w < top))) best = i; \
      }                                                                        \
      index[o * inner + c] = best;                                             \
    }
/* The first extremum (or NaN) along the middle of (outer, n, inner). */
static void arg_scan(const tn_node *x, int64_t outer, int64_t n, int64_t inner, bool largest,
                     int64_t *index) {
  switch (x->t.dtype) {
  case TN_F32: ARG_SCAN(float) break;
  case TN_F64: ARG_SCAN(double) break;
  case TN_I64: ARG_SCAN(int64_t) break;
  case TN_I32: ARG_SCAN(int32_t) break;
  default: ARG_SCAN(uint8_t) break;
  }
}

static tn_node *arg(tn_reduce_op op, tn_node *x, const target *t) {
  bool all = t->outputs == 1 && t->count == x->t.numel;
  if (!all && (t->axes & (t->axes - 1)))
    return tn_shape_error(names[op], "over one axis or all of %s", tn_shape_text(x));
  if (t->count == 0 && t->outputs)
    return tn_shape_error(names[op], "nothing to choose from in %s", tn_shape_text(x));
  tn_node *out = tn_node_new(TN_I64, t->ndim, t->shape);
  if (tn_is_poison(out)) return out;
  int64_t inner = 1;
  for (int32_t i = x->t.dl.ndim; i-- > 0 && !all && !(t->axes >> i & 1);) inner *= x->shape[i];
  if (t->outputs) arg_scan(x, t->outputs / inner, t->count, inner, op == TN_ARGMAX, out->t.dl.data);
  return out;
}

/* Products as a tree of halves: right at zeros, at any order. */
static tn_node *product(tn_node *x, const target *t) {
  if (t->count == 0) return tn_op_full(x->t.dtype, t->ndim, t->shape, 1);
  tn_node *p = tn_op_reshape(reduced_last(x, t->axes), 2, (int64_t[]){t->outputs, t->count});
  for (int64_t n = t->count; n > 1 && !tn_is_poison(p);) {
    int64_t half = n / 2;
    tn_node *pair = MUL(tn_op_slice(p, 1, 0, half, 1), tn_op_slice(p, 1, half, 2 * half, 1));
    if (n % 2) pair = tn_op_concatenate((tn_node *[]){pair, tn_op_slice(p, 1, n - 1, n, 1)}, 2, 1);
    p = pair;
    n = half + n % 2;
  }
  return tn_op_reshape(p, t->ndim, t->shape);
}

/* Derivatives. A reduced tensor goes back over x's shape by way of its kept shape. */
static tn_node *spread(tn_node *g, const tn_node *x, uint32_t axes) {
  int64_t kept[TN_MAX_DIMS];
  for (int32_t i = 0; i < x->t.dl.ndim; i++) kept[i] = axes >> i & 1 ? 1 : x->shape[i];
  return tn_op_reshape(g, x->t.dl.ndim, kept);
}
static tn_node *over(tn_node *g, const tn_node *x) { return tn_op_broadcast(g, x->t.dl.ndim, x->shape); }

static tn_node *extreme_gradient(tn_backward *b, uint32_t axes, bool largest) {
  tn_node *x = b->node->in[0], *g = b->g;
  int32_t n = x->t.dl.ndim, order[TN_MAX_DIMS], inverse[TN_MAX_DIMS], k = 0;
  int64_t outputs = g->t.numel, count = outputs ? x->t.numel / outputs : 0, shape[TN_MAX_DIMS];
  for (int pass = 0; pass < 2; pass++)
    for (int32_t i = 0; i < n; i++)
      if ((axes >> i & 1) == (uint32_t)pass) order[k++] = i;
  for (int32_t i = 0; i < n; i++) {
    inverse[order[i]] = i;
    shape[i] = x->shape[order[i]];
  }
  bool former = tn_api_record(false);
  tn_node *index = tn_node_new(TN_I64, 2, (int64_t[]){outputs, 1}), *sorted = tn_op_permute(x, order);
  tn_api_record(former);
  if (tn_is_poison(index) || tn_is_poison(sorted)) return tn_poison();
  if (outputs) arg_scan(sorted, outputs, count, 1, largest, index->t.dl.data);
  tn_node *rows = tn_op_scatter(tn_op_reshape(g, 2, (int64_t[]){outputs, 1}), index, count);
  return tn_op_permute(tn_op_reshape(rows, n, shape), inverse);
}

static void reduce_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *g = b->g;
  uint32_t axes = (uint32_t)node->a.i[0];
  double count = node->t.numel ? (double)x->t.numel / (double)node->t.numel : 1;
  switch (node->op) {
  case TN_SUM: tn_deliver(b, 0, over(spread(g, x, axes), x)); break;
  case TN_MEAN: tn_deliver(b, 0, over(AFFINE(spread(g, x, axes), 1 / count, 0), x)); break;
  case TN_REDUCE_MAX:
  case TN_REDUCE_MIN: tn_deliver(b, 0, extreme_gradient(b, axes, node->op == TN_REDUCE_MAX)); break;
  case TN_VAR: {
    tn_node *centred = SUB(x, tn_op_reduce(TN_MEAN, x, axes, true));
    tn_deliver(b, 0, MUL(AFFINE(spread(g, x, axes), 2 / count, 0), centred));
    break;
  }
  case TN_NORM: { // x / |x|, 0 at the origin
    tn_node *zero = tn_op_binary(TN_EQ, node, tn_op_scalar(x->t.dtype, 0));
    tn_node *safe = tn_op_where(zero, tn_op_scalar(x->t.dtype, 1), node);
    tn_deliver(b, 0, MUL(x, spread(DIV(g, safe), x, axes)));
    break;
  }
  case TN_LOGSUMEXP: {
    tn_node *p = UNARY(TN_EXP, SUB(x, spread(node, x, axes)));
    tn_deliver(b, 0, MUL(p, spread(g, x, axes)));
    break;
  }
  default: break;
  }
}
TN_RULE_FAMILY(reduce_rule, "reduce", reduce_backward, backward_names);

static tn_node *logsumexp(tn_node *x, const target *t) {
  tn_node *top = basic(MAX, x, t);
  if (tn_is_poison(top)) return top;
  bool former = tn_api_record(false);
  tn_node *zero = tn_op_scalar(x->t.dtype, 0);
  // an infinite maximum is not subtracted: inf - inf
  tn_node *shift = tn_op_where(UNARY(TN_IS_FINITE, top), top, zero);
  tn_node *e = UNARY(TN_EXP, SUB(x, tn_op_reshape(shift, x->t.dl.ndim, t->kept)));
  tn_node *y = tn_is_poison(e) ? e : basic(SUM, e, t);
  y = ADD(UNARY(TN_LOG, y), shift);
  tn_api_record(former);
  return y;
}

static tn_node *variance(tn_node *x, const target *t) {
  bool former = tn_api_record(false);
  tn_node *mean = basic(SUM, x, t);
  scale_in_place(mean, 1 / (double)t->count);
  tn_node *centred = SUB(x, tn_op_reshape(mean, x->t.dl.ndim, t->kept));
  tn_node *y = tn_is_poison(centred) ? centred : basic(SUM_SQUARES, centred, t);
  scale_in_place(y, 1 / (double)t->count);
  if (!tn_is_poison(centred)) tn_node_drop(centred);
  tn_api_record(former);
  return y;
}

tn_node *tn_op_reduce(tn_reduce_op op, tn_node *x, uint32_t axes, bool keep) {
  if (tn_is_poison(x)) return x;
  if ((uint32_t)op >= TN_REDUCE_COUNT) return tn_shape_error("reduce", "there is no operation %d", op);
  int32_t n = x->t.dl.ndim;
  if (axes == TN_ALL_AXES) axes = (1u << n) - 1;
  if (axes >> n)
    return tn_shape_error(names[op], "shape %s has no axis %d", tn_shape_text(x), 31 - __builtin_clz(axes));
  target t = {.axes = axes, .outputs = 1, .count = 1};
  for (int32_t i = 0; i < n; i++) {
    bool reduced = axes >> i & 1;
    t.kept[i] = reduced ? 1 : x->shape[i];
    *(reduced ? &t.count : &t.outputs) *= x->shape[i];
    if (!reduced || keep) t.shape[t.ndim++] = t.kept[i];
  }
  if (op == TN_ARGMAX || op == TN_ARGMIN) return arg(op, x, &t);
  if (t.count == 0 && t.outputs &&
      (op == TN_MEAN || op == TN_VAR || op == TN_REDUCE_MAX || op == TN_REDUCE_MIN))
    return tn_shape_error(names[op], "nothing to reduce in %s", tn_shape_text(x));
  if (!tn_is_float(x->t.dtype)) return whole(op, x, &t);
  double start = tn_trace_begin(x);
  tn_node *y;
  switch (op) {
  case TN_SUM: y = basic(SUM, x, &t); break;
  case TN_MEAN:
    y = basic(SUM, x, &t);
    scale_in_place(y, 1 / (double)t.count);
    break;
  case TN_REDUCE_MAX: y = basic(MAX, x, &t); break;
  case TN_REDUCE_MIN: y = basic(MIN, x, &t); break;
  case TN_VAR: y = variance(x, &t); break;
  case TN_NORM:
    y = basic(SUM_SQUARES, x, &t);
    if (!tn_is_poison(y))
      tn_here->k->real[x->t.dtype]->unary[TN_SQRT](y->t.dl.data, y->t.dl.data, y->t.numel, 0, 0);
    break;
  case TN_LOGSUMEXP: y = logsumexp(x, &t); break;
  case TN_PROD: return tn_trace_end(names[op], start, product(x, &t));
  default: return tn_shape_error(names[op], "not for %s", tn_dtype_name(x->t.dtype));
  }
  if (!tn_is_poison(y) && tn_recording1(x)) {
    tn_record1(y, &reduce_rule, x);
    y->op = op;
    y->a.i[0] = axes;
  }
  return tn_trace_end(names[op], start, y);
}

tn_tensor *tn_api_reduce(tn_reduce_op op, tn_tensor *x, uint32_t axes, bool keep) {
  return &tn_op_reduce(op, tn_node_of(x), axes, keep)->t;
}

/* Softmax along the last axis. */
typedef struct softmax_job {
  void (*forward)(const void *x, void *y, int64_t rows, int64_t columns);
  void (*backward)(const void *g, const void *y, void *out, int64_t rows, int64_t columns);
  const char *g, *x;
  char *y;
  int64_t rows, columns, step;
  size_t size;
} softmax_job;

static void softmax_block(void *context, int64_t index) {
  const softmax_job *j = context;
  int64_t row = index * j->step, rows = tn_min64(j->step, j->rows - row);
  size_t at = (size_t)(row * j->columns) * j->size;
  if (j->forward)
    j->forward(j->x + at, j->y + at, rows, j->columns);
  else
    j->backward(j->g + at, j->x + at, j->y + at, rows, j->columns);
}

static void softmax_run(softmax_job *j, const tn_node *x) {
  if (x->t.numel == 0) return;
  j->columns = x->shape[x->t.dl.ndim - 1];
  j->rows = x->t.numel / j->columns;
  j->step = tn_max64(1, 8192 / j->columns);
  j->size = tn_dtype_size(x->t.dtype);
  tn_parallel(tn_ceil_div(j->rows, j->step), 0.6 * (double)x->t.numel + 10.0 * (double)j->rows, softmax_block,
              j);
}

static void softmax_backward(tn_backward *b) {
  tn_node *y = b->node, *g = b->g;
  bool log = y->op;
  if (b->graph) {
    uint32_t axis = 1u << (y->t.dl.ndim - 1);
    if (log)
      tn_deliver(b, 0, SUB(g, MUL(UNARY(TN_EXP, y), tn_op_reduce(TN_SUM, g, axis, true))));
    else
      tn_deliver(b, 0, MUL(y, SUB(g, tn_op_reduce(TN_SUM, MUL(g, y), axis, true))));
    return;
  }
  tn_node *out = tn_reuse_gradient(b);
  if (!tn_is_poison(out)) {
    const tn_real_kernels *k = tn_here->k->real[y->t.dtype];
    softmax_job j = {.backward = log ? k->log_softmax_grad : k->softmax_grad,
                     .g = g->t.dl.data,
                     .x = y->t.dl.data,
                     .y = out->t.dl.data};
    softmax_run(&j, y);
  }
  tn_deliver(b, 0, out);
}
TN_RULE(softmax_rule, "softmax", softmax_backward);
TN_RULE(log_softmax_rule, "log_softmax", softmax_backward);

static tn_node *softmax(const char *op, tn_node *x, int32_t axis, bool log) {
  if (tn_is_poison(x)) return x;
  if (!tn_axis_resolve(op, x, &axis)) return tn_poison();
  if (!tn_is_float(x->t.dtype)) return tn_shape_error(op, "not for %s", tn_dtype_name(x->t.dtype));
  if (axis != x->t.dl.ndim - 1) {
    int32_t order[TN_MAX_DIMS]; // swapping two axes is its own inverse
    for (int32_t i = 0; i < x->t.dl.ndim; i++) order[i] = i;
    order[axis] = x->t.dl.ndim - 1;
    order[x->t.dl.ndim - 1] = axis;
    return tn_op_permute(softmax(op, tn_op_permute(x, order), -1, log), order);
  }
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_like(x);
  if (tn_is_poison(y)) return y;
  const tn_real_kernels *k = tn_here->k->real[x->t.dtype];
  softmax_job j = {.forward = log ? k->log_softmax : k->softmax, .x = x->t.dl.data, .y = y->t.dl.data};
  softmax_run(&j, x);
  if (tn_recording1(x)) {
    tn_record1(y, log ? &log_softmax_rule : &softmax_rule, x);
    y->op = log;
  }
  return tn_trace_end(op, start, y);
}

tn_node *tn_op_softmax(tn_node *x, int32_t axis) { return softmax("softmax", x, axis, false); }
tn_node *tn_op_log_softmax(tn_node *x, int32_t axis) { return softmax("log_softmax", x, axis, true); }
tn_tensor *tn_api_softmax(tn_tensor *x, int32_t axis) { return &tn_op_softmax(tn_node_of(x), axis)->t; }
tn_tensor *tn_api_log_softmax(tn_tensor *x, int32_t axis) {
  return &tn_op_log_softmax(tn_node_of(x), axis)->t;
}
