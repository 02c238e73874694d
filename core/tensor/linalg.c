// SPDX-License-Identifier: MIT
/* Linear algebra through LAPACK (in OpenBLAS). LAPACK counts by columns: our row-major matrix is its
 * transpose, so a lower factor of ours is an upper one of LAPACK's. */
#include "internal.h"
#include "linalg.h"

void spotrf_(const char *uplo, const int *n, float *a, const int *lda, int *info, size_t);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void sgetrf_(const int *m, const int *n, float *a, const int *lda, int *pivots, int *info);
void dgetrf_(const int *m, const int *n, double *a, const int *lda, int *pivots, int *info);
void sgetrs_(const char *trans, const int *n, const int *k, const float *a, const int *lda, const int *pivots,
             float *b, const int *ldb, int *info, size_t);
void dgetrs_(const char *trans, const int *n, const int *k, const double *a, const int *lda,
             const int *pivots, double *b, const int *ldb, int *info, size_t);
void ssyevd_(const char *jobz, const char *uplo, const int *n, float *a, const int *lda, float *w,
             float *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);

bool tn_check_square(const char *op, const tn_node *a) {
  int32_t n = a->t.dl.ndim;
  if (!tn_is_float(a->t.dtype)) {
    tn_shape_error(op, "not for %s", tn_dtype_name(a->t.dtype));
    return false;
  }
  if (n < 2 || a->shape[n - 1] != a->shape[n - 2] || a->shape[n - 1] > 46340) {
    tn_shape_error(op, "%s is not a square matrix", tn_shape_text(a));
    return false;
  }
  return true;
}

tn_node *tn_op_transpose(tn_node *x) {
  int32_t axes[TN_MAX_DIMS], n = x->t.dl.ndim;
  for (int32_t i = 0; i < n; i++) axes[i] = i;
  if (n >= 2) {
    axes[n - 1] = n - 2;
    axes[n - 2] = n - 1;
  }
  return tn_op_permute(x, axes);
}

/* (n, n): `below` under the diagonal, `on` on it, 0 above */
static tn_node *triangle(tn_dtype dtype, int64_t n, double below, double on) {
  tn_node *mask = tn_op_full(dtype, 2, (int64_t[]){n, n}, 0);
  if (tn_is_poison(mask)) return mask;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      double v = i == j ? on : below;
      if (dtype == TN_F32)
        ((float *)mask->t.dl.data)[i * n + j] = (float)v;
      else
        ((double *)mask->t.dl.data)[i * n + j] = v;
    }
  return mask;
}

/* cholesky. With P = tril(L^T gL), half on the diagonal, the gradient is the symmetric part of
 * L^-T P L^-1 (Murray, "Differentiation of the Cholesky decomposition", 2016). */
static void cholesky_backward(tn_backward *b) {
  tn_node *l = b->node, *lt = tn_op_transpose(l);
  int64_t n = l->shape[l->t.dl.ndim - 1];
  tn_node *p = MUL(tn_op_matmul(l, b->g, true, false), triangle(l->t.dtype, n, 1, 0.5));
  tn_node *half = tn_op_transpose(tn_op_solve(lt, p)); // P^T L^-1
  tn_node *s = tn_op_solve(lt, half);                  // L^-T P^T L^-1
  tn_deliver(b, 0, AFFINE(ADD(s, tn_op_transpose(s)), 0.5, 0));
}
TN_RULE(cholesky_rule, "cholesky", cholesky_backward);

tn_node *tn_op_cholesky(tn_node *a) {
  if (tn_is_poison(a)) return a;
  if (!tn_check_square("cholesky", a)) return tn_poison();
  double start = tn_trace_begin(a);
  tn_node *l = tn_node_like(a);
  if (tn_is_poison(l)) return l;
  int64_t n = a->shape[a->t.dl.ndim - 1], count = n ? a->t.numel / (n * n) : 0;
  size_t size = tn_dtype_size(a->t.dtype);
  memcpy(l->t.dl.data, a->t.dl.data, (size_t)a->t.numel * size);
  for (int64_t i = 0; i < count; i++) {
    char *m = (char *)l->t.dl.data + (size_t)(i * n * n) * size;
    int order = (int)n, info;
    if (a->t.dtype == TN_F32)
      spotrf_("U", &order, (float *)(void *)m, &order, &info, 1);
    else
      dpotrf_("U", &order, (double *)(void *)m, &order, &info, 1);
    if (info)
      return tn_shape_error("cholesky", "the matrix is not positive definite (leading minor %d)", info);
    for (int64_t r = 0; r < n; r++) memset(m + (size_t)(r * n + r + 1) * size, 0, (size_t)(n - r - 1) * size);
  }
  if (tn_recording1(a)) tn_record1(l, &cholesky_rule, a);
  return tn_trace_end("cholesky", start, l);
}

/* solve: x = a^-1 b; gb = a^-T g, ga = -gb x^T */
static void solve_backward(tn_backward *b) {
  tn_node *gb = tn_op_solve(tn_op_transpose(b->node->in[0]), b->g);
  if (tn_wants(b, 0)) tn_deliver(b, 0, NEG(tn_op_matmul(gb, b->node, false, true)));
  if (tn_wants(b, 1)) tn_deliver(b, 1, gb);
}
TN_RULE(solve_rule, "solve", solve_backward);

tn_node *tn_op_solve(tn_node *a, tn_node *b) {
  if (tn_is_poison(a)) return a;
  if (tn_is_poison(b)) return b;
  if (!tn_check_square("solve", a)) return tn_poison();
  int32_t nd = a->t.dl.ndim;
  bool fits = b->t.dl.ndim == nd && b->t.dtype == a->t.dtype;
  for (int32_t i = 0; i + 1 < nd && fits; i++) fits = a->shape[i] == b->shape[i];
  if (!fits)
    return tn_shape_error("solve", "shapes %s and %s do not fit", tn_shape_text(a), tn_shape_text(b));
  double start = tn_trace_begin(a, b);
  int64_t n = a->shape[nd - 1], k = b->shape[nd - 1], count = n ? a->t.numel / (n * n) : 0;
  size_t size = tn_dtype_size(a->t.dtype);
  bool former = tn_api_record(false);
  tn_node *columns = tn_op_transpose(b); // LAPACK's order
  tn_api_record(former);
  char *lu = tn_workspace_take((size_t)(n * n) * size + (size_t)n * sizeof(int) + 64);
  if (!lu || tn_is_poison(columns)) return tn_poison();
  int *pivots = (int *)(void *)(lu + ((size_t)(n * n) * size + 7) / 8 * 8);
  int order = (int)n, right = (int)k, info = 0;
  for (int64_t i = 0; i < count && k && !info; i++) {
    memcpy(lu, (const char *)a->t.dl.data + (size_t)(i * n * n) * size, (size_t)(n * n) * size);
    char *x = (char *)columns->t.dl.data + (size_t)(i * n * k) * size;
    int unused;
    if (a->t.dtype == TN_F32) {
      sgetrf_(&order, &order, (float *)(void *)lu, &order, pivots, &info);
      if (!info)
        sgetrs_("T", &order, &right, (float *)(void *)lu, &order, pivots, (float *)(void *)x, &order, &unused,
                1);
    } else {
      dgetrf_(&order, &order, (double *)(void *)lu, &order, pivots, &info);
      if (!info)
        dgetrs_("T", &order, &right, (double *)(void *)lu, &order, pivots, (double *)(void *)x, &order,
                &unused, 1);
    }
  }
  tn_workspace_give(lu);
  if (info) return tn_shape_error("solve", "the matrix is singular");
  tn_api_record(false);
  tn_node *x = tn_op_transpose(columns);
  tn_api_record(former);
  tn_node_drop(columns);
  if (!tn_is_poison(x) && tn_recording2(a, b)) tn_record2(x, &solve_rule, a, b);
  return tn_trace_end("solve", start, x);
}

static bool eigh_one(tn_dtype dtype, int64_t n, void *vectors, void *values) {
  int order = (int)n, info = 0, query = -1, iquery[2] = {0};
  if (dtype == TN_F32) {
    float best;
    ssyevd_("V", "U", &order, vectors, &order, values, &best, &query, iquery, &query, &info, 1, 1);
    int work = (int)best + 1, iwork = iquery[0];
    float *w = tn_workspace_take((size_t)work * sizeof *w + (size_t)iwork * sizeof(int) + 8);
    if (!w) return false;
    ssyevd_("V", "U", &order, vectors, &order, values, w, &work, (int *)(void *)(w + work), &iwork, &info, 1,
            1);
    tn_workspace_give(w);
  } else {
    double best;
    dsyevd_("V", "U", &order, vectors, &order, values, &best, &query, iquery, &query, &info, 1, 1);
    int work = (int)best + 1, iwork = iquery[0];
    double *w = tn_workspace_take((size_t)work * sizeof *w + (size_t)iwork * sizeof(int) + 8);
    if (!w) return false;
    dsyevd_("V", "U", &order, vectors, &order, values, w, &work, (int *)(void *)(w + work), &iwork, &info, 1,
            1);
    tn_workspace_give(w);
  }
  if (info) tn_shape_error("eigh", "the iteration does not converge");
  return info == 0;
}

/* eigh: w and V with a = V diag(w) V^T. For gradients gw and gV, a gets V diag(gw) V^T and the symmetric part
 * of V (F o V^T gV) V^T with F_ij = 1 / (w_j - w_i), 0 for equal eigenvalues (Giles 2008). */
static void eigenvalues_backward(tn_backward *b) {
  tn_node *v = b->node->in[1];
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, v->shape, sizeof shape);
  shape[v->t.dl.ndim - 2] = 1; // (..., 1, n)
  tn_node *scaled = MUL(v, tn_op_reshape(b->g, v->t.dl.ndim, shape));
  tn_deliver(b, 0, tn_op_matmul(scaled, v, false, true));
}
TN_RULE(eigenvalues_rule, "eigh", eigenvalues_backward);

static void eigenvectors_backward(tn_backward *b) {
  tn_node *v = b->node, *w = v->in[1];
  int32_t n = v->t.dl.ndim;
  int64_t row[TN_MAX_DIMS], column[TN_MAX_DIMS];
  memcpy(row, v->shape, sizeof row);
  memcpy(column, v->shape, sizeof column);
  row[n - 2] = column[n - 1] = 1;
  tn_node *gap = SUB(tn_op_reshape(w, n, row), tn_op_reshape(w, n, column));
  tn_node *equal = tn_op_binary(TN_EQ, gap, tn_op_scalar(w->t.dtype, 0));
  tn_node *f = UNARY(TN_RECIPROCAL, tn_op_where(equal, tn_op_scalar(w->t.dtype, 1), gap));
  f = tn_op_where(equal, tn_op_scalar(w->t.dtype, 0), f);
  tn_node *inner = MUL(f, tn_op_matmul(v, b->g, true, false));
  tn_node *full = tn_op_matmul(tn_op_matmul(v, inner, false, false), v, false, true);
  tn_deliver(b, 0, AFFINE(ADD(full, tn_op_transpose(full)), 0.5, 0));
}
TN_RULE(eigenvectors_rule, "eigh", eigenvectors_backward);

tn_status tn_op_eigh(tn_node *a, tn_node **values, tn_node **vectors) {
  *values = *vectors = tn_poison();
  if (tn_is_poison(a) || !tn_check_square("eigh", a)) return TN_ERROR_SHAPE;
  double start = tn_trace_begin(a);
  int64_t n = a->shape[a->t.dl.ndim - 1], count = n ? a->t.numel / (n * n) : 0;
  size_t size = tn_dtype_size(a->t.dtype);
  tn_node *columns = tn_node_like(a), *w = tn_node_new(a->t.dtype, a->t.dl.ndim - 1, a->shape);
  if (tn_is_poison(columns) || tn_is_poison(w)) return TN_ERROR_MEMORY;
  memcpy(columns->t.dl.data, a->t.dl.data, (size_t)a->t.numel * size);
  for (int64_t i = 0; i < count; i++)
    if (!eigh_one(a->t.dtype, n, (char *)columns->t.dl.data + (size_t)(i * n * n) * size,
                  (char *)w->t.dl.data + (size_t)(i * n) * size))
      return TN_ERROR_DIVERGED;
  tn_node *v = tn_op_transpose(columns); // LAPACK's columns are our rows
  tn_node_drop(columns);
  if (tn_is_poison(v)) return TN_ERROR_MEMORY;
  if (tn_recording1(a)) {
    tn_record1(w, &eigenvalues_rule, a);
    w->in[1] = v;
    tn_record1(v, &eigenvectors_rule, a);
    v->in[1] = w;
  }
  tn_trace_end("eigh", start, v);
  *values = w;
  *vectors = v;
  return TN_OK;
}
