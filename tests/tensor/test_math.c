// SPDX-License-Identifier: MIT
/* The elementary functions in float32 against libm in float64, over their whole ranges, at every CPU level.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "core/tensor/kernels/kernels.h"
#include "support.h"

typedef double (*reference)(double x);
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

/* The worst error in units in the last place (of a normal number) of y near the exact value. */
static double worst_error(const tn_kernels *k, tn_unary_op op, reference f, double low, double high,
                          bool geometric) {
  enum { N = 1 << 20 };
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  for (int i = 0; i < N; i++) {
    double t = (double)i / (N - 1);
    x[i] = (float)(geometric ? exp(log(low) + t * (log(high) - log(low))) : low + t * (high - low));
  }
  k->real[0]->unary[op](x, y, N, 0, 0);
  double worst = 0;
  for (int i = 0; i < N; i++) {
    double exact = f((double)x[i]);
    int exponent;
    frexp(exact, &exponent);
    double ulp = ldexp(1, (exponent > -125 ? exponent : -125) - 24);
    if (fabs(exact) > (double)FLT_MAX)
      cr_expect(isinf(y[i]), "op %d of %g is %g", op, (double)x[i], (double)y[i]);
    else if (fabs((double)y[i] - exact) / ulp > worst)
      worst = fabs((double)y[i] - exact) / ulp;
  }
  free(x);
  free(y);
  return worst;
}

static void check_level(const tn_kernels *k, const char *level) {
  const struct {
    const char *name;
    tn_unary_op op;
    reference f;
    double low, high;
    bool geometric;
    double limit;
  } cases[] = {{"exp", TN_EXP, exp, -110, 95, false, 1.5},
               {"exp near 0", TN_EXP, exp, -1, 1, false, 1.5},
               {"expm1", TN_EXPM1, expm1, -30, 90, false, 2},
               {"expm1 near 0", TN_EXPM1, expm1, 1e-30, 1, true, 2},
               {"log", TN_LOG, log, 1e-44, 3e38, true, 1.5},
               {"log near 1", TN_LOG, log, .5, 2, false, 1.5},
               {"log1p", TN_LOG1P, log1p, 1e-30, 3e38, true, 2.5},
               {"log1p negative", TN_LOG1P, log1p, -.999999, 0, false, 2.5},
               {"tanh", TN_TANH, tanh, -12, 12, false, 2.5},
               {"tanh near 0", TN_TANH, tanh, 1e-30, 1, true, 2.5},
               {"erf", TN_ERF, erf, -6, 6, false, 2},
               {"erf near 0", TN_ERF, erf, 1e-30, 1, true, 2},
               {"sigmoid", TN_SIGMOID, sigmoid, -80, 90, false, 2.5},
               {"softplus", TN_SOFTPLUS, softplus, -80, 90, false, 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double error = worst_error(k, cases[i].op, cases[i].f, cases[i].low, cases[i].high, cases[i].geometric);
    cr_expect_lt(error, cases[i].limit, "%s at level %s: %.2f units in the last place, expected %.1f at most",
                 cases[i].name, level, error, cases[i].limit);
  }
}

Test(math, accuracy_in_units_in_the_last_place) {
  check_level(&tn_kernels_base, "base");
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check_level(&tn_kernels_avx2, "avx2");
  if (__builtin_cpu_supports("avx512f")) check_level(&tn_kernels_avx512, "avx512");
#endif
}

Test(math, special_values) {
  const float x[] = {0, -0.0f, INFINITY, -INFINITY, NAN, -1};
  const struct {
    tn_unary_op op;
    reference f;
  } cases[] = {{TN_EXP, exp},   {TN_EXPM1, expm1}, {TN_LOG, log},         {TN_LOG1P, log1p},
               {TN_TANH, tanh}, {TN_ERF, erf},     {TN_SIGMOID, sigmoid}, {TN_FLOOR, floor},
               {TN_CEIL, ceil}, {TN_ROUND, rint},  {TN_ABS, fabs}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float y[6];
    tn_kernels_base.real[0]->unary[cases[i].op](x, y, 6, 0, 0);
    for (int k = 0; k < 6; k++) {
      double exact = cases[i].f((double)x[k]);
      bool same = isnan(exact) ? isnan(y[k]) : fabs(exact - (double)y[k]) <= 1e-6 || exact == (double)y[k];
      cr_expect(same, "op %d of %g is %g, expected %g", cases[i].op, (double)x[k], (double)y[k], exact);
    }
  }
}

Test(math, rounding_is_half_to_even) {
  float y[8];
  const float x[8] = {.5f, 1.5f, 2.5f, -.5f, -1.5f, 8388609, -2.7f, 1e30f};
  const float expected[8] = {0, 2, 2, 0, -2, 8388609, -3, 1e30f};
  tn_kernels_base.real[0]->unary[TN_ROUND](x, y, 8, 0, 0);
  for (int i = 0; i < 8; i++) cr_expect_eq(y[i], expected[i], "%g rounds to %g", (double)x[i], (double)y[i]);
}
