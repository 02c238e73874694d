// SPDX-License-Identifier: MIT
/* Linear algebra: defining equations, derivatives, small cases by hand. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "support.h"

TestSuite(linalg, .init = engine_begin, .fini = engine_end);

/* x + x^T + 4 on the diagonal, increasing: symmetric, positive definite, eigenvalues apart */
static tn_tensor *symmetric(tn_tensor *x) {
  int64_t n = tn_dim(x, -1);
  tn_tensor *shift = tn_diagonal_matrix(tn_arange(TN_F64, 4, 1.5, n));
  return tn_add(tn_scale(tn_add(x, tn_permute(x, (int32_t[]){1, 0})), .5), shift);
}
static tn_tensor *shifted(tn_tensor *x) { return tn_add(x, tn_scale(tn_identity(TN_F64, tn_dim(x, -1)), 4)); }

static tn_tensor *triangular(const void *context, tn_tensor *const *x) {
  const int *c = context;
  return tn_solve_triangular(shifted(x[0]), x[1], c[0], c[1]);
}
static tn_tensor *inverse(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_inverse(shifted(x[0]));
}
static tn_tensor *log_det(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_log_det(shifted(x[0]));
}
static tn_tensor *eigenvalues(const void *context, tn_tensor *const *x) {
  tn_tensor *w, *v;
  (void)context;
  tn_eigh(symmetric(x[0]), &w, &v);
  return tn_square(w);
}
static tn_tensor *eigenvectors(const void *context, tn_tensor *const *x) {
  tn_tensor *w, *v;
  (void)context;
  tn_eigh(symmetric(x[0]), &w, &v);
  return tn_mul(tn_square(v), w); // free of the vectors' signs
}
static tn_tensor *inverse_root(const void *context, tn_tensor *const *x) {
  return tn_inverse_root(symmetric(x[0]), *(const double *)context, .1);
}
Test(linalg, derivatives) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 3), -1, 1), random_tensor(2, TN_SHAPE(3, 2), -1, 1)};
  for (int c[2] = {0, 0}; c[0] < 2; c[0]++)
    for (c[1] = 0; c[1] < 2; c[1]++) check_gradients("solve_triangular", triangular, c, x, 2);
  check_gradients("inverse", inverse, NULL, x, 1);
  check_gradients("log_det", log_det, NULL, x, 1);
  check_gradients("eigenvalues", eigenvalues, NULL, x, 1);
  check_gradients("eigenvectors", eigenvectors, NULL, x, 1);
  double p = 4;
  check_gradients("inverse_root", inverse_root, &p, x, 1);
}

Test(linalg, factors_multiply_to_the_matrix) {
  const tn_shape shapes[] = {TN_SHAPE(5, 3), TN_SHAPE(3, 5), TN_SHAPE(4, 4), TN_SHAPE(1, 3), TN_SHAPE(0, 3)};
  for (int i = 0; i < 5; i++)
    for (tn_dtype dtype = TN_F32; dtype <= TN_F64; dtype++) {
      tn_tensor *a = tn_cast(random_tensor(1, shapes[i], -1, 1), dtype), *u, *s, *vt, *q, *r;
      cr_assert_eq(tn_svd(a, &u, &s, &vt), TN_OK);
      double tolerance = dtype == TN_F32 ? 1e-5 : 1e-12;
      expect_close("u s vt", tn_matmul(tn_mul(u, s), vt), a, tolerance);
      expect_close("u^T u", tn_matmul_tn(u, u), tn_identity(dtype, tn_dim(s, 0)), tolerance);
      expect_close("vt v", tn_matmul_nt(vt, vt), tn_identity(dtype, tn_dim(s, 0)), tolerance);
      for (int64_t k = 1; k < tn_dim(s, 0); k++) cr_expect(element(s, k) <= element(s, k - 1));
      cr_assert_eq(tn_qr(a, &q, &r), TN_OK);
      expect_close("q r", tn_matmul(q, r), a, tolerance);
      expect_close("q^T q", tn_matmul_tn(q, q), tn_identity(dtype, tn_dim(q, 1)), tolerance);
      expect_close("r is upper", tn_upper_triangle(r, 0), r, 0);
    }
  tn_tensor *a = symmetric(random_tensor(1, TN_SHAPE(6, 6), -1, 1)), *w, *v;
  tn_eigh(a, &w, &v);
  expect_close("v w v^T", tn_matmul_nt(tn_mul(v, w), v), a, 1e-12);
  tn_tensor *l = tn_cholesky(a);
  expect_close("l l^T", tn_matmul_nt(l, l), a, 1e-12);
  tn_tensor *root = tn_inverse_root(a, 2, 0);
  expect_close("root a root", tn_matmul(tn_matmul(root, a), root), tn_identity(TN_F64, 6), 1e-12);
  cr_expect_float_eq(tn_item(tn_log_det(a)), 2 * tn_item(tn_sum(tn_log(tn_diagonal(l)))), 1e-12);
}

Test(linalg, least_squares_leaves_an_orthogonal_rest) {
  tn_tensor *a = random_tensor(1, TN_SHAPE(9, 4), -1, 1), *b = random_tensor(2, TN_SHAPE(9, 2), -1, 1);
  tn_tensor *x = tn_least_squares(a, b), *rest = tn_sub(tn_matmul(a, x), b);
  expect_close("a^T (a x - b)", tn_matmul_tn(a, rest), tn_zeros(TN_F64, TN_SHAPE(4, 2)), 1e-12);
  // rank 1: the shortest solution of x + y = 2 is (1, 1)
  tn_tensor *ones = tn_full(TN_F64, TN_SHAPE(3, 2), 1);
  expect_close("shortest", tn_least_squares(ones, tn_full(TN_F64, TN_SHAPE(3, 1), 2)),
               tn_full(TN_F64, TN_SHAPE(2, 1), 1), 1e-12);
}

static double cheapest(const tn_tensor *cost, int64_t row, uint32_t used) {
  if (row == tn_dim(cost, 0)) return 0;
  double best = INFINITY;
  for (int64_t j = 0; j < tn_dim(cost, 1); j++)
    if (!(used >> j & 1))
      best = fmin(best, element(cost, row * tn_dim(cost, 1) + j) + cheapest(cost, row + 1, used | 1u << j));
  return best;
}
Test(linalg, assignment_is_as_cheap_as_the_best_of_all) {
  for (uint64_t seed = 0; seed < 30; seed++) {
    int64_t n = 1 + (int64_t)seed % 6, m = n + (int64_t)seed % 3;
    tn_tensor *cost = random_tensor(seed, TN_SHAPE(n, m), -1, 1), *columns = tn_assignment(cost);
    double total = 0;
    uint32_t used = 0;
    for (int64_t i = 0; i < n; i++) {
      int64_t j = tn_i64(columns)[i];
      cr_assert(j >= 0 && j < m && !(used >> j & 1));
      used |= 1u << j;
      total += element(cost, i * m + j);
    }
    cr_expect_float_eq(total, cheapest(cost, 0, 0), 1e-12);
    tn_tensor *turned = tn_assignment(tn_permute(cost, (int32_t[]){1, 0}));
    for (int64_t j = 0; j < m; j++) {
      int64_t i = tn_i64(turned)[j];
      cr_expect(i < 0 || tn_i64(columns)[i] == j);
    }
  }
  tn_tensor *forbidden = tn_full(TN_F64, TN_SHAPE(2, 2), INFINITY);
  cr_expect(tn_poisoned(tn_assignment(forbidden)));
  cr_expect_str_eq(first_error(), "assignment: no assignment has a finite cost");
}

Test(linalg, riccati_solves_its_equation) {
  tn_tensor *a = random_tensor(1, TN_SHAPE(4, 4), -1, 1), *b = random_tensor(2, TN_SHAPE(4, 2), -1, 1);
  tn_tensor *q = tn_identity(TN_F64, 4), *r = tn_scale(tn_identity(TN_F64, 2), .5),
            *x = tn_riccati(a, b, q, r);
  tn_tensor *bxa = tn_matmul_tn(b, tn_matmul(x, a)), *s = tn_add(r, tn_matmul_tn(b, tn_matmul(x, b)));
  tn_tensor *again = tn_add(tn_sub(tn_matmul_tn(a, tn_matmul(x, a)), tn_matmul_tn(bxa, tn_solve(s, bxa))), q);
  expect_close("riccati", x, again, 1e-9);
}

Test(linalg, errors_say_what_is_wrong) {
  tn_tensor *zero = tn_zeros(TN_F64, TN_SHAPE(2, 2)), *one = tn_full(TN_F64, TN_SHAPE(2, 1), 1);
  cr_expect(tn_poisoned(tn_solve(zero, one)));
  cr_expect_str_eq(first_error(), "solve: the matrix is singular");
  cr_expect(tn_poisoned(tn_cholesky(zero)));
  cr_expect_str_eq(first_error(), "cholesky: the matrix is not positive definite (leading minor 1)");
  cr_expect(tn_poisoned(tn_solve_triangular(zero, one, true, false)));
  first_error();
  cr_expect(tn_poisoned(tn_inverse(one)));
  cr_expect_str_eq(first_error(), "inverse: (2, 1) is not a square matrix");
}
