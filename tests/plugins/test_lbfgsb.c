// SPDX-License-Identifier: MIT
/* L-BFGS-B on functions whose minimisers within bounds are known. */
#include "harness.h"
#include "plugins/solvers/lbfgsb.h"
#include <string.h>
#include <tenon/solver.h>

static void start(void) { harness_open("float64", "[c]\nuse = schedule.constant\n"); }
TestSuite(lbfgsb, .init = start, .fini = harness_close, .timeout = 60);

/* Minimises from `from`, in place; the number of iterations. */
static int minimise(lbfgsb_function function, void *context, int64_t n, const double *lower,
                    const double *upper, double *x, double *residual) {
  struct lbfgsb core = {
      .n = n, .memory = 10, .lower = lower, .upper = upper, .function = function, .context = context};
  int iterations = 0;
  tn_status status = lbfgsb_begin(&core, x);
  double before = core.value;
  while (status == TN_OK && iterations < 2000) {
    status = lbfgsb_iterate(&core, 1e-10);
    iterations++;
    cr_assert(core.value <= before, "iteration %d: %.17g, before %.17g", iterations, core.value, before);
    before = core.value;
    for (int64_t i = 0; i < n; i++)
      cr_assert((!lower || core.x[i] >= lower[i]) && (!upper || core.x[i] <= upper[i]), "out of bounds");
  }
  cr_assert(status == TN_DONE, "%s", harness_failure());
  memcpy(x, core.x, (size_t)n * sizeof *x);
  *residual = lbfgsb_residual(&core);
  lbfgsb_release(&core);
  return iterations;
}

/* Rosenbrock's function, chained: sum 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2. */
static tn_status valley(void *context, const double *x, double *g, double *value) {
  const int64_t n = *(const int64_t *)context;
  *value = 0;
  for (int64_t i = 0; i < n; i++) g[i] = 0;
  for (int64_t i = 0; i + 1 < n; i++) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    *value += 100 * a * a + b * b;
    g[i] -= 400 * a * x[i] + 2 * b;
    g[i + 1] += 200 * a;
  }
  return TN_OK;
}

Test(lbfgsb, follows_a_curved_valley) {
  double x[20], residual;
  for (int64_t n = 2; n <= 20; n += 6) {
    for (int64_t i = 0; i < n; i++) x[i] = i % 2 ? 1 : -1.2;
    const int iterations = minimise(valley, &n, n, NULL, NULL, x, &residual);
    for (int64_t i = 0; n == 2 && i < n; i++) EXPECT_NEAR(x[i], 1, 1e-8);
    cr_assert(residual < 1e-6 && iterations < 300, "%g after %d", residual, iterations);
  }
}

/* x_0 <= 0.5: along the bound the best x_1 is 0.25. */
Test(lbfgsb, stops_at_a_bound) {
  const int64_t two = 2;
  const double lower[] = {-INFINITY, -INFINITY}, upper[] = {0.5, INFINITY};
  double x[] = {-1.2, 1}, residual;
  minimise(valley, (void *)(uintptr_t)&two, 2, lower, upper, x, &residual);
  EXPECT_NEAR(x[0], 0.5, 0);
  EXPECT_NEAR(x[1], 0.25, 1e-9);
  cr_assert(residual < 1e-8, "%g", residual);
}

/* (x - c)' A (x - c) / 2 with A tridiagonal (2, -1), n = 50, bounds +- 1 and c outside for many. */
enum { N = 50 };
static tn_status bowl(void *context, const double *x, double *g, double *value) {
  const double *c = context;
  *value = 0;
  for (int i = 0; i < N; i++) {
    const double d = x[i] - c[i], left = i > 0 ? x[i - 1] - c[i - 1] : 0,
                 right = i + 1 < N ? x[i + 1] - c[i + 1] : 0;
    g[i] = 2 * d - left - right;
    *value += d * g[i] / 2;
  }
  return TN_OK;
}

Test(lbfgsb, box_constrained_quadratic_meets_the_optimality_conditions) {
  double c[N], lower[N], upper[N], x[N], g[N], value, residual;
  int bound = 0, free = 0;
  for (int i = 0; i < N; i++) {
    c[i] = 2 * sin(0.7 * i);
    lower[i] = -1;
    upper[i] = i % 7 == 0 ? INFINITY : 1;
    x[i] = 0;
  }
  const int iterations = minimise(bowl, c, N, lower, upper, x, &residual);
  bowl(c, x, g, &value);
  for (int i = 0; i < N; i++) {
    if (x[i] == lower[i]) {
      cr_assert(g[i] >= -1e-6);
      bound++;
    } else if (x[i] == upper[i]) {
      cr_assert(g[i] <= 1e-6);
      bound++;
    } else {
      EXPECT_NEAR(g[i], 0, 1e-6); /* as far as the value of some 50 tells points apart */
      free++;
    }
  }
  cr_assert(bound >= 10 && free >= 10, "%d at bounds, %d free", bound, free);
  cr_assert(iterations < 100, "%d iterations", iterations);
}

/* Condition 1e4 in 30 variables. Without bounds the step is that of the two-loop recursion (Nocedal and
 * Wright 2006, algorithm 7.4), here with 10 pairs: 12 steps of length 1 lead to the value below. */
static tn_status stiff(void *context, const double *x, double *g, double *value) {
  (void)context;
  *value = 0;
  for (int i = 0; i < 30; i++) {
    const double a = pow(1e4, i / 29.);
    g[i] = a * (x[i] - 1);
    *value += a * (x[i] - 1) * (x[i] - 1) / 2;
  }
  return TN_OK;
}
Test(lbfgsb, badly_scaled_quadratic) {
  double x[30] = {0}, residual;
  struct lbfgsb core = {.n = 30, .memory = 10, .function = stiff};
  lbfgsb_begin(&core, x);
  for (int i = 0; i < 12; i++) cr_assert(lbfgsb_iterate(&core, 1e-10) == TN_OK);
  EXPECT_NEAR(core.value, 67.0670969535128, 1e-6);
  lbfgsb_release(&core);
  const int iterations = minimise(stiff, NULL, 30, NULL, NULL, x, &residual);
  for (int i = 0; i < 30; i++) EXPECT_NEAR(x[i], 1, 1e-8);
  cr_assert(iterations < 1500, "%d iterations", iterations);
}

/* log x is nowhere below 0: the search has to come back from where the function is not defined. */
static tn_status barrier(void *context, const double *x, double *g, double *value) {
  (void)context;
  *value = x[0] - log(x[0]);
  g[0] = 1 - 1 / x[0];
  return TN_OK;
}
Test(lbfgsb, comes_back_from_where_there_is_no_value) {
  double x[] = {30}, residual;
  minimise(barrier, NULL, 1, NULL, NULL, x, &residual);
  EXPECT_NEAR(x[0], 1, 1e-8);
}

/* As a solver of any problem; its state goes on with the same bits. */
Test(lbfgsb, solves_a_problem_and_goes_on) {
  static const char text[] = "[q]\nuse = problem.quadratic\ndimension = 12\nridge = 0.01\n"
                             "[s]\nuse = solver.lbfgsb\nmemory = 5\n";
  harness_open("float64", text);
  const tn_component *s = harness_component("s");
  double x[12], y[12];
  tn_solver_status status = {.size = sizeof status};
  cr_assert(tn_solver_begin(s, harness_component("q")) >= 0, "%s", harness_failure());
  for (int i = 0; i < 7; i++) tn_solver_step(s, &status);
  harness_state *state = harness_save(s);
  for (int i = 0; i < 7; i++) tn_solver_step(s, &status);
  ((const tn_solver *)s->vtable)->best(s->self, x);
  cr_assert(tn_solver_begin(s, harness_component("q")) >= 0);
  harness_load(s, state);
  for (int i = 0; i < 7; i++) tn_solver_step(s, &status);
  ((const tn_solver *)s->vtable)->best(s->self, y);
  cr_assert(memcmp(x, y, sizeof x) == 0, "other bits after loading");
  tn_status last = TN_OK;
  while (last == TN_OK) last = tn_solver_step(s, &status);
  cr_assert(last == TN_DONE && status.value < 1e-18, "%g", status.value);
  harness_forget(state);
}
