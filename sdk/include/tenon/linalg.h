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
  /* Eigenvalues ascending (n), eigenvectors in columns (n, n), of a symmetric matrix. */
  tn_status (*eigh)(tn_tensor *a, tn_tensor **values, tn_tensor **vectors);
} tn_linalg_service;

static inline tn_tensor *tn_cholesky(tn_tensor *a) { return tn_sdk.linalg->cholesky(a); }
static inline tn_tensor *tn_solve(tn_tensor *a, tn_tensor *b) { return tn_sdk.linalg->solve(a, b); }
static inline tn_status tn_eigh(tn_tensor *a, tn_tensor **values, tn_tensor **vectors) {
  return tn_sdk.linalg->eigh(a, values, vectors);
}

#endif
