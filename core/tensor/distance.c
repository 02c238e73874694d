// SPDX-License-Identifier: MIT
/* Distances between all pairs of rows, and nearest neighbours without keeping them all. */
#include "internal.h"

#include <cblas.h>
#include <math.h>

static bool check_rows(const char *op, const tn_node *x, const tn_node *y) {
  if (x->t.dl.ndim == 2 && y->t.dl.ndim == 2 && x->shape[1] == y->shape[1] && x->t.dtype == y->t.dtype &&
      tn_is_float(x->t.dtype))
    return true;
  tn_shape_error(op, "%s of %s and %s of %s are not rows of one length", tn_shape_text(x),
                 tn_dtype_name(x->t.dtype), tn_shape_text(y), tn_dtype_name(y->t.dtype));
  return false;
}

/* rows divided by their length (zero rows stay zero) */
static tn_node *unit_rows(tn_node *x) {
  tn_node *length = tn_op_reduce(TN_NORM, x, 2, true);
  return DIV(x, tn_op_unary(TN_CLAMP, length, 1e-12, INFINITY));
}

/* |x|^2 - 2 x y + |y|^2, not below 0 */
static tn_node *squared(tn_node *x, tn_node *y) {
  tn_node *xx = tn_op_reduce(TN_SUM, UNARY(TN_SQUARE, x), 2, true);
  tn_node *yy = tn_op_reduce(TN_SUM, UNARY(TN_SQUARE, y), 2, false);
  tn_node *xy = tn_op_matmul(x, y, false, true);
  return tn_op_unary(TN_CLAMP, ADD(AFFINE(xy, -2, 0), ADD(xx, yy)), 0, INFINITY);
}

tn_tensor *tn_api_distances(tn_distance_op op, tn_tensor *tx, tn_tensor *ty) {
  tn_node *x = tn_node_of(tx), *y = tn_node_of(ty);
  if (tn_is_poison(x)) return tx;
  if (tn_is_poison(y)) return ty;
  if (!check_rows("distances", x, y)) return &tn_poison()->t;
  switch (op) {
  case TN_INNER_PRODUCT: return &tn_op_matmul(x, y, false, true)->t;
  case TN_COSINE: return &tn_op_matmul(unit_rows(x), unit_rows(y), false, true)->t;
  case TN_SQUARED_EUCLIDEAN: return &squared(x, y)->t;
  case TN_EUCLIDEAN: { // derivative 0 at distance 0
    tn_node *s = squared(x, y), *zero = tn_op_binary(TN_LE, s, tn_op_scalar(x->t.dtype, 0));
    tn_node *safe = tn_op_where(zero, tn_op_scalar(x->t.dtype, 1), s);
    return &tn_op_where(zero, tn_op_scalar(x->t.dtype, 0), UNARY(TN_SQRT, safe))->t;
  }
  case TN_MANHATTAN: {
    tn_node *a = tn_op_reshape(x, 3, (int64_t[]){x->shape[0], 1, x->shape[1]});
    return &tn_op_reduce(TN_SUM, UNARY(TN_ABS, SUB(a, y)), 4, false)->t;
  }
  default: return &tn_shape_error("distances", "there is no distance %d", op)->t;
  }
}

/* Nearest neighbours: a block of queries meets tiles of keys; a score enters a query's list only if it beats
 * the last one there. Scores are "the larger the nearer". */
enum { QUERIES = 512, KEYS = 1024 }; // packing a tile costs less the larger it is; scores stay in cache

typedef struct neighbours {
  const tn_real_kernels *kernels;
  tn_distance_op op;
  tn_dtype dtype;
  const char *queries, *keys, *key_squares; /* |key|^2 / 2; read for Euclidean distances only */
  int64_t nq, nk, d, k;
  double *score; /* (nq, k) */
  int64_t *index;
  char *scratch;
  size_t scratch_each;
} neighbours;

static void insert(double *score, int64_t *index, int64_t k, double s, int64_t at) {
  int64_t i = k - 1;
  for (; i > 0 && s > score[i - 1]; i--) {
    score[i] = score[i - 1];
    index[i] = index[i - 1];
  }
  score[i] = s;
  index[i] = at;
}

static void query_block(void *context, int64_t block) {
  const neighbours *j = context;
  size_t size = tn_dtype_size(j->dtype);
  int64_t q0 = block * QUERIES, nq = tn_min64(QUERIES, j->nq - q0);
  char *tile = j->scratch + (size_t)block * j->scratch_each;
  for (int64_t i = q0 * j->k; i < (q0 + nq) * j->k; i++) {
    j->score[i] = -INFINITY;
    j->index[i] = -1;
  }
  for (int64_t k0 = 0; k0 < j->nk; k0 += KEYS) {
    int64_t nk = tn_min64(KEYS, j->nk - k0);
    const char *q = j->queries + (size_t)(q0 * j->d) * size, *key = j->keys + (size_t)(k0 * j->d) * size;
    bool euclidean = j->op == TN_EUCLIDEAN || j->op == TN_SQUARED_EUCLIDEAN;
    for (int64_t i = 0; i < nq && euclidean; i++)
      memcpy(tile + (size_t)(i * nk) * size, j->key_squares + (size_t)k0 * size, (size_t)nk * size);
    blasint m = (blasint)nq, n = (blasint)nk, d = (blasint)j->d;
    if (j->dtype == TN_F32)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, d, 1, (const void *)q, d, (const void *)key,
                  d, euclidean ? -1 : 0, (void *)tile, n);
    else
      cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, d, 1, (const void *)q, d, (const void *)key,
                  d, euclidean ? -1 : 0, (void *)tile, n);
    for (int64_t i = 0; i < nq; i++) {
      double *score = j->score + (q0 + i) * j->k;
      int64_t *index = j->index + (q0 + i) * j->k;
      const char *row = tile + (size_t)(i * nk) * size;
      for (int64_t at = 0; at < nk; at++) {
        at = j->kernels->first_above(row, at, nk, score[j->k - 1]);
        if (at >= nk) break;
        double s = j->dtype == TN_F32 ? (double)((const float *)(const void *)row)[at]
                                      : ((const double *)(const void *)row)[at];
        insert(score, index, j->k, s, k0 + at);
      }
    }
  }
}

static double final_value(const neighbours *j, int64_t query, double score) {
  if (j->op == TN_INNER_PRODUCT || j->op == TN_COSINE) return score;
  double square = -2 * score;
  for (int64_t i = 0; i < j->d; i++) {
    double v = j->dtype == TN_F32 ? (double)((const float *)(const void *)j->queries)[query * j->d + i]
                                  : ((const double *)(const void *)j->queries)[query * j->d + i];
    square += v * v;
  }
  if (square < 0) square = 0;
  return j->op == TN_EUCLIDEAN ? sqrt(square) : square;
}

void tn_api_nearest(tn_distance_op op, tn_tensor *tq, tn_tensor *tk, int64_t k, tn_tensor **values,
                    tn_tensor **indices) {
  tn_node *q = tn_node_of(tq), *keys = tn_node_of(tk), *poison = tn_poison();
  if (values) *values = &poison->t;
  if (indices) *indices = &poison->t;
  if (tn_is_poison(q) || tn_is_poison(keys) || !check_rows("nearest", q, keys)) return;
  if (op < TN_SQUARED_EUCLIDEAN || op > TN_INNER_PRODUCT || k < 1 || k > keys->shape[0] || k > 4096) {
    tn_shape_error("nearest", "%lld neighbours among %s by distance %d", (long long)k, tn_shape_text(keys),
                   op);
    return;
  }
  bool former = tn_api_record(false);
  double start = tn_trace_begin(q, keys);
  if (op == TN_COSINE) {
    q = unit_rows(q);
    keys = unit_rows(keys);
  }
  const bool euclidean = op == TN_EUCLIDEAN || op == TN_SQUARED_EUCLIDEAN;
  tn_node *squares =
      euclidean ? AFFINE(tn_op_reduce(TN_SUM, UNARY(TN_SQUARE, keys), 2, false), 0.5, 0) : keys;
  int64_t shape[2] = {q->shape[0], k};
  tn_node *out = tn_node_new(q->t.dtype, 2, shape), *index = tn_node_new(TN_I64, 2, shape);
  neighbours j = {.kernels = tn_here->k->real[q->t.dtype],
                  .op = op,
                  .dtype = q->t.dtype,
                  .queries = q->t.dl.data,
                  .keys = keys->t.dl.data,
                  .key_squares = squares->t.dl.data,
                  .nq = q->shape[0],
                  .nk = keys->shape[0],
                  .d = q->shape[1],
                  .k = k,
                  .index = index->t.dl.data};
  int64_t blocks = tn_ceil_div(j.nq, QUERIES);
  j.scratch_each = QUERIES * KEYS * tn_dtype_size(q->t.dtype);
  j.scratch = tn_workspace_take((size_t)blocks * j.scratch_each + 64);
  j.score = j.scratch ? tn_workspace_take((size_t)(j.nq * k) * sizeof(double) + 64) : NULL;
  bool ok = j.score && !tn_is_poison(squares) && !tn_is_poison(out) && !tn_is_poison(index);
  if (ok) {
    tn_parallel(blocks, 0.02 * (double)j.nq * (double)j.nk * (double)j.d, query_block, &j);
    for (int64_t i = 0; i < j.nq * k; i++) {
      double v = final_value(&j, i / k, j.score[i]);
      if (q->t.dtype == TN_F32)
        ((float *)out->t.dl.data)[i] = (float)v;
      else
        ((double *)out->t.dl.data)[i] = v;
    }
    if (values) *values = &out->t;
    if (indices) *indices = &index->t;
  }
  tn_workspace_give(j.score);
  tn_workspace_give(j.scratch);
  tn_trace_end("nearest", start, ok ? out : NULL);
  tn_api_record(former);
}
