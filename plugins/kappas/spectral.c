// SPDX-License-Identifier: MIT
/* K the nuclear norm of a matrix M = U S V' (thin singular value decomposition, singular values that are not
 * 0): K(M) = sum S,  grad K(M) = U V',  K* = 0 where the largest singular value is at most 1, else infinite
 * Tensors of higher rank are matrices (first axis, all others); vectors are matrices of one row, where K is
 * the 2-norm. method = newton_schulz: grad K by that iteration (Jordan et al. 2024, Muon), singular values in
 * about 0.7 .. 1.2 instead of 1; everything else stays exact. */
#include "../optimizers/newton_schulz.h"
#include "numbers.h"

enum { METHOD_SVD, METHOD_NEWTON_SCHULZ };
struct spectral {
  int32_t method;
  int64_t iterations;
};
static const tn_param spectral_params[] = {
    TN_CHOICE(struct spectral, method, "svd", "svd|newton_schulz", "how the gradient is computed"),
    TN_INTEGER(struct spectral, iterations, "5", 1, 100, NULL, "of Newton and Schulz"),
};

static tn_tensor *as_matrix(tn_tensor *x) {
  if (tn_ndim(x) < 2) return tn_reshape(x, TN_SHAPE(1, x->numel));
  return tn_reshape(x, TN_SHAPE(tn_dim(x, 0), -1));
}

struct factors {
  tn_tensor *u, *s, *vt; /* (m, r), (r), (r, n), float64 */
};
static bool decompose(tn_tensor *x, struct factors *f) {
  return x->numel > 0 && tn_svd(tn_cast(as_matrix(x), TN_F64), &f->u, &f->s, &f->vt) >= 0 && !tn_failed();
}
/* u diag(f(s)) vt in x's shape and precision */
static tn_tensor *compose(const struct factors *f, tn_tensor *s, const tn_tensor *x) {
  tn_tensor *product = tn_matmul(tn_mul(f->u, tn_reshape(s, TN_SHAPE(1, s->numel))), f->vt);
  return tn_cast(tn_reshape(product, tn_shape_of(x)), x->dtype);
}

static tn_tensor *spectral_gradient(void *self, tn_tensor *m) {
  const struct spectral *spectral = self;
  struct factors f;
  if (spectral->method == METHOD_NEWTON_SCHULZ && m->numel > 0)
    return tn_reshape(newton_schulz(as_matrix(m), spectral->iterations), tn_shape_of(m));
  if (!decompose(m, &f)) return m;
  const int64_t longer = m->numel / f.s->numel;
  const double rounding = (m->dtype == TN_F64 ? 2.2e-16 : 1.2e-7) * (double)longer * tn_f64(f.s)[0];
  tn_tensor *ones = numbers_like(f.s);
  for (int64_t i = 0; !tn_poisoned(ones) && i < f.s->numel; i++) tn_f64(ones)[i] = tn_f64(f.s)[i] > rounding;
  return compose(&f, ones, m);
}
static double spectral_value(void *self, tn_tensor *m) {
  struct factors f;
  (void)self;
  return decompose(m, &f) ? tn_item(tn_sum(f.s)) : 0;
}
static double spectral_norm(void *self, tn_tensor *y) {
  struct factors f;
  (void)self;
  return decompose(y, &f) ? tn_f64(f.s)[0] : 0;
}
static double spectral_conjugate(void *self, tn_tensor *y) { return inside(y, spectral_norm(self, y)); }
static tn_tensor *spectral_conjugate_gradient(void *self, tn_tensor *y) {
  (void)self;
  return tn_zeros(y->dtype, tn_shape_of(y));
}
static tn_tensor *spectral_project(void *self, tn_tensor *y) {
  struct factors f;
  (void)self;
  if (!decompose(y, &f) || tn_f64(f.s)[0] <= 1) return y;
  return compose(&f, tn_clamp(f.s, 0, 1), y);
}
static tn_tensor *spectral_constraints(void *self, tn_tensor *y) {
  struct factors f;
  (void)self;
  return decompose(y, &f) ? f.s : tn_zeros(TN_F64, TN_SHAPE(1));
}

static const tn_kappa spectral_table = {
    sizeof(tn_kappa), spectral_value,   spectral_gradient,   spectral_conjugate, spectral_conjugate_gradient,
    spectral_norm,    spectral_project, spectral_constraints};
KAPPA_CLASS(spectral_class, "spectral",
            "Nuclear norm: orthogonalised momentum, bounded singular values (Muon)",
            "Chen et al. 2023, Lion Secretly Solves Constrained Optimization; Jordan et al. 2024, Muon",
            struct spectral, spectral_params, &spectral_table);
TN_PLUGIN("kappas_spectral", "1.0.0", "MIT", &spectral_class)
