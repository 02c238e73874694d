// SPDX-License-Identifier: MIT
/* tenon.linalg/1: linear algebra through LAPACK. Matrices are the last two axes, (n, n) unless said; float32
 * and float64. Threads: [any]. */
#ifndef TENON_LINALG_H
#define TENON_LINALG_H

#include <tenon/tensor.h>

#define TN_LINALG_SERVICE "tenon.linalg/1"

typedef struct tn_linalg_service {
  uint32_t size;
  /* Lower factor L of a symmetric positive definite matrix, a = L L^T; differentiable. Poisoned if it is not.
   */
  tn_tensor *(*cholesky)(tn_tensor *a);
  /* x with a x = b, b (n, k); differentiable. Poisoned if a is singular. */
  tn_tensor *(*solve)(tn_tensor *a, tn_tensor *b);
  /* Eigenvalues ascending (n), eigenvectors in columns (n, n), of a symmetric matrix. Differentiable; equal
   * eigenvalues add nothing to the derivative of the vectors. */
  tn_status (*eigh)(tn_tensor *a, tn_tensor **values, tn_tensor **vectors);

  /* x with a x = b or a^T x = b for a triangular a (the other triangle is not read); differentiable. */
  tn_tensor *(*solve_triangular)(tn_tensor *a, tn_tensor *b, bool upper, bool transposed);
  tn_tensor *(*inverse)(tn_tensor *a); /* differentiable */
  tn_tensor *(*log_det)(tn_tensor *a); /* log |det a|, (...); differentiable */
  /* Without derivative, one matrix each. least_squares: the shortest x (n, k) that minimises |a x - b|, a
   * (m, n), b (m, k), any rank. svd: a (m, n) = u (m, r) diag(s) vt (r, n), r = min(m, n), s descending. qr:
   * a = q (m, r) r (r, n). */
  tn_tensor *(*least_squares)(tn_tensor *a, tn_tensor *b);
  tn_status (*svd)(tn_tensor *a, tn_tensor **u, tn_tensor **s, tn_tensor **vt);
  tn_status (*qr)(tn_tensor *a, tn_tensor **q, tn_tensor **r);
  /* (a + epsilon 1)^(-1/p), a symmetric, negative eigenvalues taken as 0; differentiable. */
  tn_tensor *(*inverse_root)(tn_tensor *a, double p, double epsilon);
  /* Cheapest assignment: cost (n, m) -> the column of each row, int64 (n); -1 for rows that stay alone (n >
   * m). An infinite cost forbids a pair. */
  tn_tensor *(*assignment)(tn_tensor *cost);
  /* The stabilising x = a^T x a - a^T x b (r + b^T x b)^-1 b^T x a + q (discrete algebraic Riccati equation):
   * a, q (n, n), b (n, m), r (m, m), q and r symmetric. Poisoned if none is found. */
  tn_tensor *(*riccati)(tn_tensor *a, tn_tensor *b, tn_tensor *q, tn_tensor *r);
} tn_linalg_service;

static inline tn_tensor *tn_cholesky(tn_tensor *a) { return tn_sdk.linalg->cholesky(a); }
static inline tn_tensor *tn_solve(tn_tensor *a, tn_tensor *b) { return tn_sdk.linalg->solve(a, b); }
static inline tn_status tn_eigh(tn_tensor *a, tn_tensor **values, tn_tensor **vectors) {
  return tn_sdk.linalg->eigh(a, values, vectors);
}
static inline tn_tensor *tn_solve_triangular(tn_tensor *a, tn_tensor *b, bool upper, bool transposed) {
  return tn_sdk.linalg->solve_triangular(a, b, upper, transposed);
}
static inline tn_tensor *tn_inverse(tn_tensor *a) { return tn_sdk.linalg->inverse(a); }
static inline tn_tensor *tn_log_det(tn_tensor *a) { return tn_sdk.linalg->log_det(a); }
static inline tn_tensor *tn_least_squares(tn_tensor *a, tn_tensor *b) {
  return tn_sdk.linalg->least_squares(a, b);
}
static inline tn_status tn_svd(tn_tensor *a, tn_tensor **u, tn_tensor **s, tn_tensor **vt) {
  return tn_sdk.linalg->svd(a, u, s, vt);
}
static inline tn_status tn_qr(tn_tensor *a, tn_tensor **q, tn_tensor **r) {
  return tn_sdk.linalg->qr(a, q, r);
}
static inline tn_tensor *tn_inverse_root(tn_tensor *a, double p, double epsilon) {
  return tn_sdk.linalg->inverse_root(a, p, epsilon);
}
static inline tn_tensor *tn_assignment(tn_tensor *cost) { return tn_sdk.linalg->assignment(cost); }
static inline tn_tensor *tn_riccati(tn_tensor *a, tn_tensor *b, tn_tensor *q, tn_tensor *r) {
  return tn_sdk.linalg->riccati(a, b, q, r);
}

#endif
