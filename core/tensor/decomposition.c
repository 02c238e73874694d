// SPDX-License-Identifier: MIT
/* Triangular systems, determinants, least squares, SVD, QR, inverse roots, Riccati equations, and the table
 * of linear algebra. */
#include "linalg.h"

#include <math.h>

void strtrs_(const char *uplo, const char *trans, const char *diag, const int *n, const int *k,
             const float *a, const int *lda, float *b, const int *ldb, int *info, size_t, size_t, size_t);
void dtrtrs_(const char *uplo, const char *trans, const char *diag, const int *n, const int *k,
             const double *a, const int *lda, double *b, const int *ldb, int *info, size_t, size_t, size_t);
void sgetrf_(const int *m, const int *n, float *a, const int *lda, int *pivots, int *info);
void dgetrf_(const int *m, const int *n, double *a, const int *lda, int *pivots, int *info);
void dgelsd_(const int *m, const int *n, const int *k, double *a, const int *lda, double *b, const int *ldb,
             double *s, const double *rcond, int *rank, double *work, const int *lwork, int *iwork,
             int *info);
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *lda, double *s, double *u,
             const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork, int *iwork,
             int *info, size_t);
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

static bool check_matrix(const char *op, const tn_node *a) {
  if (a->t.dl.ndim == 2 && tn_is_float(a->t.dtype) && a->shape[0] <= 1 << 20 && a->shape[1] <= 1 << 20)
    return true;
  tn_shape_error(op, "%s of %s is not a matrix", tn_shape_text(a), tn_dtype_name(a->t.dtype));
  return false;
}

/* Triangular systems. The gradient of a keeps to its triangle. */
static tn_node *solve_triangular(tn_node *a, tn_node *b, bool upper, bool transposed);
static void triangular_backward(tn_backward *b) {
  bool upper = b->node->op & 1, transposed = b->node->op & 2;
  tn_node *a = b->node->in[0], *x = b->node;
  tn_node *gb = solve_triangular(a, b->g, upper, !transposed);
  if (tn_wants(b, 0)) {
    tn_node *ga = NEG(transposed ? tn_op_matmul(x, gb, false, true) : tn_op_matmul(gb, x, false, true));
    tn_deliver(b, 0, tn_node_of(tn_api_triangle(&ga->t, upper, 0)));
  }
  if (tn_wants(b, 1)) tn_deliver(b, 1, gb);
}
TN_RULE(triangular_rule, "solve_triangular", triangular_backward);

static tn_node *solve_triangular(tn_node *a, tn_node *b, bool upper, bool transposed) {
  if (tn_is_poison(a)) return a;
  if (tn_is_poison(b)) return b;
  if (!tn_check_square("solve_triangular", a)) return tn_poison();
  int32_t nd = a->t.dl.ndim;
  bool fits = b->t.dl.ndim == nd && b->t.dtype == a->t.dtype;
  for (int32_t i = 0; i + 1 < nd && fits; i++) fits = a->shape[i] == b->shape[i];
  if (!fits)
    return tn_shape_error("solve_triangular", "shapes %s and %s do not fit", tn_shape_text(a),
                          tn_shape_text(b));
  int64_t n = a->shape[nd - 1], k = b->shape[nd - 1], count = n ? a->t.numel / (n * n) : 0;
  size_t size = tn_dtype_size(a->t.dtype);
  bool former = tn_api_record(false);
  tn_node *columns = tn_op_transpose(b);
  tn_api_record(former);
  if (tn_is_poison(columns)) return columns;
  // in LAPACK's eyes our matrix is transposed: upper is lower, and not transposed is transposed
  int order = (int)n, right = (int)k, info = 0;
  for (int64_t i = 0; i < count && k && !info; i++) {
    const char *m = (const char *)a->t.dl.data + (size_t)(i * n * n) * size;
    char *x = (char *)columns->t.dl.data + (size_t)(i * n * k) * size;
    if (a->t.dtype == TN_F32)
      strtrs_(upper ? "L" : "U", transposed ? "N" : "T", "N", &order, &right, (const void *)m, &order,
              (void *)x, &order, &info, 1, 1, 1);
    else
      dtrtrs_(upper ? "L" : "U", transposed ? "N" : "T", "N", &order, &right, (const void *)m, &order,
              (void *)x, &order, &info, 1, 1, 1);
  }
  if (info)
    return tn_shape_error("solve_triangular", "the matrix is singular: its diagonal has a zero at %d",
                          info - 1);
  tn_api_record(false);
  tn_node *x = tn_op_transpose(columns);
  tn_api_record(former);
  tn_node_drop(columns);
  if (!tn_is_poison(x) && tn_recording2(a, b)) {
    tn_record2(x, &triangular_rule, a, b);
    x->op = (upper ? 1 : 0) | (transposed ? 2 : 0);
  }
  return x;
}

static tn_node *identity_like(const tn_node *a) {
  int64_t n = a->shape[a->t.dl.ndim - 1];
  tn_node *ones = tn_op_full(a->t.dtype, 1, &n, 1), *eye = tn_node_of(tn_api_diagonal_matrix(&ones->t));
  return tn_op_broadcast(eye, a->t.dl.ndim, a->shape);
}

static tn_node *inverse(tn_node *a) {
  if (tn_is_poison(a)) return a;
  if (!tn_check_square("inverse", a)) return tn_poison();
  return tn_op_solve(a, identity_like(a));
}

/* log |det a| of (..., n, n) -> (...); its gradient is a^-T */
static void log_det_backward(tn_backward *b) {
  tn_node *a = b->node->in[0];
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, a->shape, sizeof shape);
  shape[a->t.dl.ndim - 1] = shape[a->t.dl.ndim - 2] = 1;
  tn_deliver(b, 0, MUL(tn_op_transpose(inverse(a)), tn_op_reshape(b->g, a->t.dl.ndim, shape)));
}
TN_RULE(log_det_rule, "log_det", log_det_backward);

static tn_node *log_det(tn_node *a) {
  if (tn_is_poison(a)) return a;
  if (!tn_check_square("log_det", a)) return tn_poison();
  int64_t n = a->shape[a->t.dl.ndim - 1], count = n ? a->t.numel / (n * n) : 1;
  size_t size = tn_dtype_size(a->t.dtype), bytes = (size_t)(n * n) * size;
  tn_node *out = tn_node_new(a->t.dtype, a->t.dl.ndim - 2, a->shape);
  char *lu = tn_workspace_take(bytes + (size_t)n * sizeof(int) + 64);
  if (!lu || tn_is_poison(out)) return tn_poison();
  int *pivots = (int *)(void *)(lu + (bytes + 7) / 8 * 8), order = (int)n, info = 0;
  for (int64_t i = 0; i < count; i++) {
    double total = 0;
    memcpy(lu, (const char *)a->t.dl.data + (size_t)i * bytes, bytes);
    if (n && a->t.dtype == TN_F32)
      sgetrf_(&order, &order, (void *)lu, &order, pivots, &info);
    else if (n)
      dgetrf_(&order, &order, (void *)lu, &order, pivots, &info);
    for (int64_t d = 0; d < n; d++)
      total += log(fabs(a->t.dtype == TN_F32 ? (double)((float *)(void *)lu)[d * n + d]
                                             : ((double *)(void *)lu)[d * n + d]));
    if (a->t.dtype == TN_F32)
      ((float *)out->t.dl.data)[i] = (float)total;
    else
      ((double *)out->t.dl.data)[i] = total;
  }
  tn_workspace_give(lu);
  if (tn_recording1(a)) tn_record1(out, &log_det_rule, a);
  return out;
}

/* The rest works in float64 on LAPACK's order and converts at both ends. */
static tn_node *to_columns(tn_node *a) { return tn_op_cast(tn_op_transpose(a), TN_F64); }
static tn_node *from_columns(tn_node *a, tn_dtype dtype) { return tn_op_cast(tn_op_transpose(a), dtype); }
static tn_node *matrix64(int64_t rows, int64_t columns) {
  return tn_node_new(TN_F64, 2, (int64_t[]){rows, columns});
}

static tn_node *least_squares(tn_node *a, tn_node *b) {
  if (tn_is_poison(a)) return a;
  if (tn_is_poison(b)) return b;
  if (!check_matrix("least_squares", a) || !check_matrix("least_squares", b)) return tn_poison();
  if (a->shape[0] != b->shape[0] || a->t.dtype != b->t.dtype)
    return tn_shape_error("least_squares", "shapes %s and %s do not fit", tn_shape_text(a), tn_shape_text(b));
  int m = (int)a->shape[0], n = (int)a->shape[1], k = (int)b->shape[1], tall = m > n ? m : n, rank, info,
      query = -1;
  if (!m || !n || !k) return tn_op_full(a->t.dtype, 2, (int64_t[]){n, k}, 0);
  int least = m < n ? m : n, size, whole;
  double best, rcond = -1;
  tn_node *columns = to_columns(a), *right = tn_op_full(TN_F64, 2, (int64_t[]){k, tall}, 0),
          *bt = to_columns(b);
  tn_node *singular = tn_node_new(TN_F64, 1, (int64_t[]){least});
  if (tn_is_poison(columns) || tn_is_poison(right) || tn_is_poison(bt) || tn_is_poison(singular))
    return tn_poison();
  // `to_columns` may hand back a's own memory when nothing had to move: LAPACK overwrites
  columns = tn_op_unary(TN_AFFINE, columns, 1, 0);
  for (int i = 0; i < k; i++)
    memcpy((double *)right->t.dl.data + (int64_t)i * tall, (double *)bt->t.dl.data + (int64_t)i * m,
           (size_t)m * sizeof(double));
  dgelsd_(&m, &n, &k, columns->t.dl.data, &m, right->t.dl.data, &tall, singular->t.dl.data, &rcond, &rank,
          &best, &query, &whole, &info);
  size = (int)best + 1;
  double *work = tn_workspace_take((size_t)size * sizeof(double) + (size_t)whole * sizeof(int));
  if (!work) return tn_poison();
  dgelsd_(&m, &n, &k, columns->t.dl.data, &m, right->t.dl.data, &tall, singular->t.dl.data, &rcond, &rank,
          work, &size, (int *)(void *)(work + size), &info);
  tn_workspace_give(work);
  if (info) return tn_shape_error("least_squares", "the iteration does not converge");
  return from_columns(tn_op_slice(right, 1, 0, n, 1), a->t.dtype);
}

static tn_status svd(tn_node *a, tn_node **u, tn_node **s, tn_node **vt) {
  *u = *s = *vt = tn_poison();
  if (tn_is_poison(a) || !check_matrix("svd", a)) return TN_ERROR_SHAPE;
  int64_t rows = a->shape[0], columns = a->shape[1], r = rows < columns ? rows : columns;
  // LAPACK sees a^T = V S U^T: what it calls u is our v^T by rows, what it calls vt is our u by columns
  tn_node *copy = tn_op_unary(TN_AFFINE, tn_op_cast(a, TN_F64), 1, 0);
  tn_node *right = matrix64(r, columns), *left = matrix64(rows, r), *values = tn_node_new(TN_F64, 1, &r);
  if (tn_is_poison(copy) || tn_is_poison(right) || tn_is_poison(left) || tn_is_poison(values))
    return TN_ERROR_MEMORY;
  int m = (int)columns, n = (int)rows, least = (int)r, info = 0, query = -1;
  if (r) {
    double best;
    int *whole = tn_workspace_take((size_t)(8 * r) * sizeof(int));
    if (!whole) return TN_ERROR_MEMORY;
    dgesdd_("S", &m, &n, copy->t.dl.data, &m, values->t.dl.data, right->t.dl.data, &m, left->t.dl.data,
            &least, &best, &query, whole, &info, 1);
    int size = (int)best + 1;
    double *work = tn_workspace_take((size_t)size * sizeof(double));
    if (work)
      dgesdd_("S", &m, &n, copy->t.dl.data, &m, values->t.dl.data, right->t.dl.data, &m, left->t.dl.data,
              &least, work, &size, whole, &info, 1);
    tn_workspace_give(work);
    tn_workspace_give(whole);
    if (!work) return TN_ERROR_MEMORY;
  }
  if (info) {
    tn_shape_error("svd", "the iteration does not converge");
    return TN_ERROR_DIVERGED;
  }
  *u = tn_op_cast(left, a->t.dtype);
  *s = tn_op_cast(values, a->t.dtype);
  *vt = tn_op_cast(right, a->t.dtype);
  return TN_OK;
}

static tn_status qr(tn_node *a, tn_node **q, tn_node **r) {
  *q = *r = tn_poison();
  if (tn_is_poison(a) || !check_matrix("qr", a)) return TN_ERROR_SHAPE;
  int64_t rows = a->shape[0], columns = a->shape[1], least = rows < columns ? rows : columns;
  tn_node *work_matrix = tn_op_unary(TN_AFFINE, to_columns(a), 1, 0), *tau = tn_node_new(TN_F64, 1, &least);
  if (tn_is_poison(work_matrix) || tn_is_poison(tau)) return TN_ERROR_MEMORY;
  tn_node *upper = tn_op_full(TN_F64, 2, (int64_t[]){least, columns}, 0);
  if (tn_is_poison(upper)) return TN_ERROR_MEMORY;
  if (least) {
    int m = (int)rows, n = (int)columns, k = (int)least, info, size = 64 * (int)(rows + columns);
    double *work = tn_workspace_take((size_t)size * sizeof(double)), *w = work_matrix->t.dl.data;
    if (!work) return TN_ERROR_MEMORY;
    dgeqrf_(&m, &n, w, &m, tau->t.dl.data, work, &size, &info);
    for (int64_t i = 0; i < least; i++)
      for (int64_t j = i; j < columns; j++) ((double *)upper->t.dl.data)[i * columns + j] = w[j * rows + i];
    dorgqr_(&m, &k, &k, w, &m, tau->t.dl.data, work, &size, &info);
    tn_workspace_give(work);
  }
  *q = from_columns(tn_op_slice(work_matrix, 0, 0, least, 1), a->t.dtype);
  *r = tn_op_cast(upper, a->t.dtype);
  return TN_OK;
}

/* (a + epsilon)^(-1/p) of a symmetric matrix without negative eigenvalues */
static tn_node *inverse_root(tn_node *a, double p, double epsilon) {
  tn_node *w, *v;
  if (tn_is_poison(a)) return a;
  if (!(p > 0)) return tn_shape_error("inverse_root", "the root %g is not positive", p);
  if (tn_op_eigh(a, &w, &v) != TN_OK) return tn_poison();
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, a->shape, sizeof shape);
  shape[a->t.dl.ndim - 2] = 1;
  tn_node *root = tn_op_unary(TN_POWER, AFFINE(tn_op_unary(TN_CLAMP, w, 0, INFINITY), 1, epsilon), -1 / p, 0);
  return tn_op_matmul(MUL(v, tn_op_reshape(root, a->t.dl.ndim, shape)), v, false, true);
}

/* x = a^T x a - a^T x b (r + b^T x b)^-1 b^T x a + q by structure-preserving doubling (Chu, Fan, Lin and Wang
 * 2004): every step squares the error. */
static tn_node *riccati(tn_node *a, tn_node *b, tn_node *q, tn_node *r) {
  tn_node *in[4] = {a, b, q, r};
  for (int i = 0; i < 4; i++) {
    if (tn_is_poison(in[i])) return in[i];
    if (!check_matrix("riccati", in[i])) return tn_poison();
  }
  int64_t n = a->shape[0], m = b->shape[1];
  if (a->shape[1] != n || b->shape[0] != n || q->shape[0] != n || q->shape[1] != n || r->shape[0] != m ||
      r->shape[1] != m)
    return tn_shape_error("riccati", "shapes %s, %s, %s and %s do not fit", tn_shape_text(a),
                          tn_shape_text(b), tn_shape_text(q), tn_shape_text(r));
  bool former = tn_api_record(false);
  tn_node *A = tn_op_cast(a, TN_F64), *H = tn_op_cast(q, TN_F64), *B = tn_op_cast(b, TN_F64),
          *eye = identity_like(A);
  tn_node *G = tn_op_matmul(B, tn_op_solve(tn_op_cast(r, TN_F64), tn_op_transpose(B)), false, false);
  bool done = false;
  for (int i = 0; i < 60 && !done && !tn_is_poison(G) && !tn_is_poison(H); i++) {
    tn_node *w = ADD(eye, tn_op_matmul(G, H, false, false));
    tn_node *wa = tn_op_solve(w, A), *wg = tn_op_solve(w, G);
    tn_node *step = tn_op_matmul(A, tn_op_matmul(H, wa, false, false), true, false);
    G = ADD(G, tn_op_matmul(tn_op_matmul(A, wg, false, false), A, false, true));
    A = tn_op_matmul(A, wa, false, false);
    H = ADD(H, step);
    if (tn_is_poison(H)) break;
    double change = tn_api_item(&tn_op_reduce(TN_NORM, step, TN_ALL_AXES, false)->t);
    double size = tn_api_item(&tn_op_reduce(TN_NORM, H, TN_ALL_AXES, false)->t);
    done = change <= 1e-15 * size;
    if (!isfinite(size)) break;
  }
  tn_node *x = done ? tn_op_cast(H, a->t.dtype)
                    : (tn_is_poison(H) ? H : tn_shape_error("riccati", "no stabilising solution was found"));
  tn_api_record(former);
  return x;
}

static tn_tensor *api_cholesky(tn_tensor *a) { return &tn_op_cholesky(tn_node_of(a))->t; }
static tn_tensor *api_solve(tn_tensor *a, tn_tensor *b) {
  return &tn_op_solve(tn_node_of(a), tn_node_of(b))->t;
}
static tn_status api_eigh(tn_tensor *a, tn_tensor **values, tn_tensor **vectors) {
  tn_node *w, *v;
  tn_status status = tn_op_eigh(tn_node_of(a), &w, &v);
  *values = &w->t;
  *vectors = &v->t;
  return status;
}
static tn_tensor *api_solve_triangular(tn_tensor *a, tn_tensor *b, bool upper, bool transposed) {
  return &solve_triangular(tn_node_of(a), tn_node_of(b), upper, transposed)->t;
}
static tn_tensor *api_inverse(tn_tensor *a) { return &inverse(tn_node_of(a))->t; }
static tn_tensor *api_log_det(tn_tensor *a) { return &log_det(tn_node_of(a))->t; }

/* Without derivatives: recording would only keep conversions. */
static tn_tensor *api_least_squares(tn_tensor *a, tn_tensor *b) {
  bool former = tn_api_record(false);
  tn_node *x = least_squares(tn_node_of(a), tn_node_of(b));
  tn_api_record(former);
  return &x->t;
}
static tn_status api_svd(tn_tensor *a, tn_tensor **u, tn_tensor **s, tn_tensor **vt) {
  tn_node *nodes[3];
  bool former = tn_api_record(false);
  tn_status status = svd(tn_node_of(a), &nodes[0], &nodes[1], &nodes[2]);
  tn_api_record(former);
  *u = &nodes[0]->t;
  *s = &nodes[1]->t;
  *vt = &nodes[2]->t;
  return status;
}
static tn_status api_qr(tn_tensor *a, tn_tensor **q, tn_tensor **r) {
  tn_node *nodes[2];
  bool former = tn_api_record(false);
  tn_status status = qr(tn_node_of(a), &nodes[0], &nodes[1]);
  tn_api_record(former);
  *q = &nodes[0]->t;
  *r = &nodes[1]->t;
  return status;
}
static tn_tensor *api_inverse_root(tn_tensor *a, double p, double epsilon) {
  return &inverse_root(tn_node_of(a), p, epsilon)->t;
}
static tn_tensor *api_riccati(tn_tensor *a, tn_tensor *b, tn_tensor *q, tn_tensor *r) {
  return &riccati(tn_node_of(a), tn_node_of(b), tn_node_of(q), tn_node_of(r))->t;
}

const tn_linalg_service tn_linalg_table = {.size = sizeof(tn_linalg_service),
                                           .cholesky = api_cholesky,
                                           .solve = api_solve,
                                           .eigh = api_eigh,
                                           .solve_triangular = api_solve_triangular,
                                           .inverse = api_inverse,
                                           .log_det = api_log_det,
                                           .least_squares = api_least_squares,
                                           .svd = api_svd,
                                           .qr = api_qr,
                                           .inverse_root = api_inverse_root,
                                           .assignment = tn_api_assignment,
                                           .riccati = api_riccati};
