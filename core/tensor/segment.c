// SPDX-License-Identifier: MIT
/* Reductions over segments (graphs, ragged data) and sparse matrices. */
#include "internal.h"

#include <math.h>

static bool check_segments(const char *op, const tn_node *x, const tn_node *ids, int64_t count) {
  bool fits = ids->t.dtype == TN_I64 && ids->t.dl.ndim == 1 && x->t.dl.ndim >= 1 &&
              x->shape[0] == ids->shape[0] && tn_is_float(x->t.dtype) && count >= 0;
  if (!fits)
    tn_shape_error(op, "values %s of %s and segments %s of %s do not fit", tn_shape_text(x),
                   tn_dtype_name(x->t.dtype), tn_shape_text(ids), tn_dtype_name(ids->t.dtype));
  const int64_t *id = ids->t.dl.data;
  for (int64_t i = 0; i < ids->t.numel && fits; i++) {
    fits = id[i] >= 0 && id[i] < count;
    if (!fits) tn_shape_error(op, "segment %lld is not in 0 .. %lld", (long long)id[i], (long long)count - 1);
  }
  return fits;
}

/* (count, 1, ...): how many elements each segment has, at least `least` */
static tn_node *counts(const tn_node *x, const tn_node *ids, int64_t count, double least) {
  int64_t shape[TN_MAX_DIMS] = {count, 1, 1, 1, 1, 1, 1, 1};
  tn_node *n = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, 0);
  if (tn_is_poison(n)) return n;
  const int64_t *id = ids->t.dl.data;
  bool f32 = x->t.dtype == TN_F32;
  float *f = n->t.dl.data;
  double *d = n->t.dl.data;
  for (int64_t i = 0; i < ids->t.numel; i++) {
    if (f32)
      f[id[i]] += 1;
    else
      d[id[i]] += 1;
  }
  for (int64_t i = 0; i < count; i++) {
    if (f32)
      f[i] = f[i] < (float)least ? (float)least : f[i];
    else
      d[i] = d[i] < least ? least : d[i];
  }
  return n;
}

#define SCAN(type)                                                           \
  for (int64_t i = 0; i < n; i++)                                            \
    for (int64_t c = 0; c < inner; c++) {                                    \
      int64_t *best = &winner[id[i] * inner + c];                            \
      type v = ((const type *)x->t.dl.data)[i * inner + c];                  \
      type top = *best < 0 ? v : ((const type *)x->t.dl.data)[*best];        \
      if (*best < 0 || (largest ? v > top : v < top)) *best = i * inner + c; \
    }
/* The first extremum of each segment; 0 for empty ones. */
static tn_node *extremum(tn_node *x, const tn_node *ids, int64_t count, bool largest) {
  int64_t shape[TN_MAX_DIMS], n = ids->t.numel, inner = 1;
  memcpy(shape, x->shape, sizeof shape);
  shape[0] = count;
  for (int32_t i = 1; i < x->t.dl.ndim; i++) inner *= x->shape[i];
  int64_t total = count * inner;
  tn_node *index = tn_node_new(TN_I64, 2, (int64_t[]){1, total});
  tn_node *full = tn_op_full(TN_B8, x->t.dl.ndim, shape, 1);
  if (tn_is_poison(index) || tn_is_poison(full)) return tn_poison();
  int64_t *winner = index->t.dl.data;
  const int64_t *id = ids->t.dl.data;
  for (int64_t i = 0; i < total; i++) winner[i] = -1;
  if (x->t.dtype == TN_F32)
    SCAN(float)
  else
    SCAN(double)
  bool empty = false;
  for (int64_t i = 0; i < total; i++) {
    if (winner[i] >= 0) continue;
    empty = true;
    winner[i] = 0;
    ((uint8_t *)full->t.dl.data)[i] = 0;
  }
  if (x->t.numel == 0) return tn_op_full(x->t.dtype, x->t.dl.ndim, shape, 0);
  tn_node *y = tn_op_gather(tn_op_reshape(x, 2, (int64_t[]){1, x->t.numel}), index);
  y = tn_op_reshape(y, x->t.dl.ndim, shape);
  return empty ? tn_op_where(full, y, tn_op_scalar(x->t.dtype, 0)) : y;
}

static tn_node *stop(tn_node *x) { return tn_node_of(tn_api_stop_gradient(&x->t)); }

/* exp(x - the segment's maximum), and the maximum */
static tn_node *shifted_exp(tn_node *x, tn_node *ids, int64_t count, tn_node **top) {
  *top = stop(extremum(x, ids, count, true));
  return UNARY(TN_EXP, SUB(x, tn_op_index_select(*top, 0, ids)));
}

tn_tensor *tn_api_segment(tn_reduce_op op, tn_tensor *t, tn_tensor *segments, int64_t count) {
  tn_node *x = tn_node_of(t), *ids = tn_node_of(segments);
  if (tn_is_poison(x)) return t;
  if (tn_is_poison(ids)) return segments;
  if (!check_segments("segment", x, ids, count)) return &tn_poison()->t;
  switch (op) {
  case TN_SUM: return &tn_op_index_add(x, 0, ids, count)->t;
  case TN_MEAN: return &DIV(tn_op_index_add(x, 0, ids, count), counts(x, ids, count, 1))->t;
  case TN_REDUCE_MAX: return &extremum(x, ids, count, true)->t;
  case TN_REDUCE_MIN: return &extremum(x, ids, count, false)->t;
  case TN_LOGSUMEXP: {
    tn_node *top, *e = shifted_exp(x, ids, count, &top);
    return &ADD(UNARY(TN_LOG, tn_op_index_add(e, 0, ids, count)), top)->t;
  }
  default: return &tn_shape_error("segment", "only sum, mean, max, min and logsumexp")->t;
  }
}

tn_tensor *tn_api_segment_softmax(tn_tensor *t, tn_tensor *segments, int64_t count) {
  tn_node *x = tn_node_of(t), *ids = tn_node_of(segments), *top;
  if (tn_is_poison(x)) return t;
  if (tn_is_poison(ids)) return segments;
  if (!check_segments("segment_softmax", x, ids, count)) return &tn_poison()->t;
  tn_node *e = shifted_exp(x, ids, count, &top);
  return &DIV(e, tn_op_index_select(tn_op_index_add(e, 0, ids, count), 0, ids))->t;
}

/* Sparse times dense. in: x, values (or none); kept: offsets, columns */
typedef struct sparse_job {
  const tn_real_kernels *k;
  const int64_t *offsets, *columns;
  const char *values, *x;
  char *y;
  int64_t rows, inner, step;
  tn_dtype dtype;
} sparse_job;

static void sparse_rows(void *context, int64_t block) {
  const sparse_job *j = context;
  size_t size = tn_dtype_size(j->dtype), row = (size_t)j->inner * size;
  int64_t end = tn_min64((block + 1) * j->step, j->rows);
  for (int64_t r = block * j->step; r < end; r++) {
    memset(j->y + (size_t)r * row, 0, row);
    for (int64_t e = j->offsets[r]; e < j->offsets[r + 1]; e++) {
      double v = !j->values ? 1
                            : (j->dtype == TN_F32 ? (double)((const float *)(const void *)j->values)[e]
                                                  : ((const double *)(const void *)j->values)[e]);
      j->k->axpy(v, j->x + (size_t)j->columns[e] * row, j->y + (size_t)r * row, j->inner);
    }
  }
}

/* Row number of each stored element. */
static tn_node *row_ids(const tn_node *offsets) {
  const int64_t *o = offsets->t.dl.data;
  int64_t rows = offsets->t.numel - 1, count = o[rows];
  tn_node *ids = tn_node_new(TN_I64, 1, &count);
  for (int64_t r = 0; r < rows && !tn_is_poison(ids); r++)
    for (int64_t e = o[r]; e < o[r + 1]; e++) ((int64_t *)ids->t.dl.data)[e] = r;
  return ids;
}

static void sparse_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0];
  bool weighted = node->inputs == 2;
  tn_node *values = weighted ? node->in[1] : NULL, *offsets = node->in[2], *columns = node->in[3];
  tn_node *g = tn_op_index_select(b->g, 0, row_ids(offsets)); // (stored, d)
  if (tn_wants(b, 0)) {
    tn_node *scaled = weighted ? MUL(g, tn_op_reshape(values, 2, (int64_t[]){values->t.numel, 1})) : g;
    tn_deliver(b, 0, tn_op_index_add(scaled, 0, columns, x->shape[0]));
  }
  if (weighted && tn_wants(b, 1))
    tn_deliver(b, 1, tn_op_reduce(TN_SUM, MUL(g, tn_op_index_select(x, 0, columns)), 2, false));
}
TN_RULE(sparse_rule, "sparse_matmul", sparse_backward);

tn_tensor *tn_api_sparse_matmul(tn_tensor *offsets_t, tn_tensor *columns_t, tn_tensor *values_t,
                                tn_tensor *t) {
  tn_node *x = tn_node_of(t), *offsets = tn_node_of(offsets_t), *columns = tn_node_of(columns_t);
  tn_node *values = values_t ? tn_node_of(values_t) : NULL;
  if (tn_is_poison(x) || tn_is_poison(offsets) || tn_is_poison(columns) || (values && tn_is_poison(values)))
    return &tn_poison()->t;
  bool fits = offsets->t.dtype == TN_I64 && columns->t.dtype == TN_I64 && offsets->t.dl.ndim == 1 &&
              columns->t.dl.ndim == 1 && offsets->t.numel > 0 && x->t.dl.ndim == 2 && tn_is_float(x->t.dtype);
  if (values)
    fits = fits && values->t.dtype == x->t.dtype && values->t.dl.ndim == 1 &&
           values->t.numel == columns->t.numel;
  const int64_t *o = offsets->t.dl.data, *c = columns->t.dl.data;
  int64_t rows = offsets->t.numel - 1;
  for (int64_t r = 0; r < rows && fits; r++) fits = o[r] >= 0 && o[r] <= o[r + 1];
  fits = fits && o[rows] == columns->t.numel && o[0] == 0;
  for (int64_t e = 0; e < columns->t.numel && fits; e++) fits = c[e] >= 0 && c[e] < x->shape[0];
  if (!fits)
    return &tn_shape_error("sparse_matmul", "offsets %s, columns %s and a dense %s are not a product",
                           tn_shape_text(offsets), tn_shape_text(columns), tn_shape_text(x))
                ->t;
  double start = tn_trace_begin(values, x);
  tn_node *y = tn_node_new(x->t.dtype, 2, (int64_t[]){rows, x->shape[1]});
  if (tn_is_poison(y)) return &y->t;
  tn_here->multiply_adds += columns->t.numel * x->shape[1];
  sparse_job j = {tn_here->k->real[x->t.dtype],
                  o,
                  c,
                  values ? values->t.dl.data : NULL,
                  x->t.dl.data,
                  y->t.dl.data,
                  rows,
                  x->shape[1],
                  64,
                  x->t.dtype};
  tn_parallel(tn_ceil_div(rows, j.step), 0.15 * (double)(o[rows] * x->shape[1]) + 8.0 * (double)o[rows],
              sparse_rows, &j);
  if (tn_here->record && (tn_needs(x) || (values && tn_needs(values)))) {
    tn_record1(y, &sparse_rule, x);
    if (values) {
      y->inputs = 2;
      y->in[1] = values;
    }
    y->in[2] = offsets;
    y->in[3] = columns;
  }
  return &tn_trace_end("sparse_matmul", start, y)->t;
}
