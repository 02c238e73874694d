// SPDX-License-Identifier: MIT
/* Dropout, weight normalisation and spectral normalisation. */
#include "nn_support.h"

static void begin(void) { nn_begin(TN_F64); }
static void finish(void) { engine_end(); }
TestSuite(composed, .init = begin, .fini = finish);

Test(composed, dropout_keeps_the_mean) {
  tn_rng rng = {.key = 1}, again = rng;
  tn_tensor *x = tn_full(TN_F64, TN_SHAPE(100, 100), 2), *y = tn_dropout(x, 0.25, &rng);
  double kept = 0;
  for (int i = 0; i < 10000; i++) {
    double v = element(y, i);
    cr_assert(v == 0 || fabs(v - 2 / 0.75) < 1e-14);
    kept += v != 0;
  }
  cr_expect_float_eq(kept / 10000, 0.75, 0.02); /* 4.6 standard deviations */
  expect_close("the same stream", tn_dropout(x, 0.25, &again), y, 0);
  expect_close("probability 0", tn_dropout(x, 0, &rng), x, 0);
  cr_assert(tn_poisoned(tn_dropout(x, 1, &rng)));
  EXPECT_CONTAINS(first_error(), "dropout: probability 1");
}

static tn_tensor *dropped(const void *context, tn_tensor *const *in) {
  tn_rng rng = {.key = 3};
  (void)context;
  return tn_square(tn_dropout(in[0], 0.5, &rng));
}
static tn_tensor *weights(const void *context, tn_tensor *const *in) {
  (void)context;
  return tn_weight_norm(in[0], in[1]);
}
Test(composed, derivatives) {
  tn_tensor *in[] = {nn_random(1, TN_SHAPE(3, 2, 2)), nn_random(2, TN_SHAPE(3))};
  check_gradients("dropout", dropped, NULL, in, 1);
  check_gradients("weight_norm", weights, NULL, in, 2);
}

Test(composed, weight_norm_sets_the_length) {
  tn_tensor *g = nn_random(2, TN_SHAPE(3)), *w = tn_weight_norm(nn_random(1, TN_SHAPE(3, 2, 5)), g);
  expect_close("length", tn_reduce(TN_NORM, tn_reshape(w, TN_SHAPE(3, 10)), 1, false), tn_abs(g), 1e-13);
}

/* diag(3, 2, 1) has the largest singular value 3, with vector e_0. */
Test(composed, spectral_norm_divides_by_the_largest_singular_value) {
  const double diagonal[] = {3, 0, 0, 0, 2, 0, 0, 0, 1}, start[] = {1, 1, 1};
  tn_tensor *w = tn_from(TN_F64, TN_SHAPE(3, 3), diagonal), *u = tn_from(TN_F64, TN_SHAPE(3), start), *next;
  expect_close("normalised", tn_spectral_norm(w, u, 60, 1e-12, &next), tn_scale(w, 1.0 / 3), 1e-12);
  cr_expect_float_eq(fabs(element(next, 0)), 1, 1e-12);
  /* d (w / s)[0, 0] / d w[0, 0] = 0 and d (w / s)[1, 1] / d w[0, 0] = -2 / 9 */
  tn_tensor *x = tn_leaf(w), *y = tn_spectral_norm(x, u, 60, 1e-12, NULL), *g;
  tn_grad(tn_sum(y), &x, 1, &g, 0);
  cr_expect_float_eq(element(g, 0), -2.0 / 9 - 1.0 / 9, 1e-10);
}
