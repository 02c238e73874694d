// SPDX-License-Identifier: MIT
#include "fixture.h"

TestSuite(lbfgs, .fini = harness_close);

/* An objective on the row of numbers of a parameter set, as a closure. */
typedef double (*objective)(int64_t n, const double *x, double *gradient);
struct problem {
  tn_closure closure; /* first: the closure is the problem */
  objective f;
  int64_t evaluations;
};
enum { MOST = 64 };

static double value_at(objective f, const tn_params *params, tn_params *gradient) {
  double x[MOST], g[MOST];
  const int64_t n = tn_params_numel(params);
  for (int64_t i = 0; i < n; i++) x[i] = fixture_get(params, i);
  const double value = f(n, x, g);
  for (int64_t i = 0; gradient && i < n; i++) fixture_set(gradient, i, g[i]);
  return value;
}
static tn_status evaluate(tn_closure *closure, const tn_params *params, tn_params *gradient, double *loss) {
  struct problem *problem = (struct problem *)closure;
  problem->evaluations++;
  *loss = value_at(problem->f, params, gradient);
  return TN_OK;
}
static struct problem problem_of(objective f) {
  return (struct problem){.closure = {.size = sizeof(tn_closure), .evaluate = evaluate}, .f = f};
}

/* One step; the loss before it. */
static double iterate(const tn_component *o, struct problem *problem, tn_params *w, tn_params *g, int64_t t) {
  const double loss = value_at(problem->f, w, g);
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = w,
                                  .gradient = g,
                                  .loss = loss,
                                  .schedule = 1,
                                  .step = t,
                                  .closure = &problem->closure};
  cr_assert(tn_optimizer_update(o, &step) >= 0, "%s", harness_failure());
  return loss;
}

/* sum of i (x_i - i)^2 / 2 and a coupling of neighbours: condition number about 20 */
static double quadratic(int64_t n, const double *x, double *g) {
  double value = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = x[i] - (double)i;
    value += (double)(i + 1) * d * d / 2;
    g[i] = (double)(i + 1) * d;
  }
  for (int64_t i = 0; i + 1 < n; i++) {
    const double d = x[i] - x[i + 1] + 1; /* 0 at the optimum x_i = i */
    value += d * d / 2;
    g[i] += d;
    g[i + 1] -= d;
  }
  return value;
}
static double rosenbrock(int64_t n, const double *x, double *g) {
  double value = 0;
  for (int64_t i = 0; i < n; i++) g[i] = 0;
  for (int64_t i = 0; i + 1 < n; i++) {
    const double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
    value += a * a + 100 * b * b;
    g[i] += -2 * a - 400 * b * x[i];
    g[i + 1] += 200 * b;
  }
  return value;
}

/* With a full memory and exact searches L-BFGS is the conjugate gradient method on a quadratic: n steps; two
 * more for rounding. */
Test(lbfgs, ends_on_a_quadratic_after_as_many_steps_as_there_are_unknowns) {
  for (int64_t n = 2; n <= 12; n += 5) {
    harness_open("float64", "[o]\nuse = optimizer.lbfgs\nmemory = 20\nc1 = 1e-8\nc2 = 1e-7\n");
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_matrix(1, n), *g = tn_params_like(w);
    struct problem problem = problem_of(quadratic);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= n + 2; t++) iterate(o, &problem, w, g, t);
    for (int64_t i = 0; i < n; i++) EXPECT_NEAR(fixture_get(w, i), (double)i, 1e-7);
    tn_params_release(w);
    tn_params_release(g);
  }
}

Test(lbfgs, finds_rosenbrocks_minimum) {
  static const struct {
    const char *precision;
    int64_t n, steps;
    double tolerance;
  } cases[] = {{"float64", 2, 40, 1e-8}, {"float64", 10, 100, 1e-8}, {"float32", 2, 60, 1e-3}};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    harness_open(cases[k].precision, "[o]\nuse = optimizer.lbfgs\n");
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_matrix(1, cases[k].n), *g = tn_params_like(w);
    for (int64_t i = 0; i < cases[k].n; i++) fixture_set(w, i, i % 2 ? 1 : -1.2);
    struct problem problem = problem_of(rosenbrock);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= cases[k].steps; t++) iterate(o, &problem, w, g, t);
    for (int64_t i = 0; i < cases[k].n; i++) EXPECT_NEAR(fixture_get(w, i), 1, cases[k].tolerance);
    cr_assert(problem.evaluations < 3 * cases[k].steps, "%d evaluations", (int)problem.evaluations);
    tn_params_release(w);
    tn_params_release(g);
  }
}

/* Both conditions hold after every step, hence the loss never rises. */
Test(lbfgs, every_step_meets_the_strong_wolfe_conditions) {
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\nc1 = 1e-4\nc2 = 0.5\n");
  const tn_component *o = harness_component("o");
  enum { N = 6 };
  tn_params *w = fixture_matrix(1, N), *g = tn_params_like(w);
  for (int64_t i = 0; i < N; i++) fixture_set(w, i, i % 2 ? 1 : -1.2);
  struct problem problem = problem_of(rosenbrock);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= 25; t++) {
    double before[N], slopes[N], after[N], x[N];
    for (int64_t i = 0; i < N; i++) before[i] = fixture_get(w, i);
    const double loss = iterate(o, &problem, w, g, t);
    rosenbrock(N, before, slopes);
    for (int64_t i = 0; i < N; i++) x[i] = fixture_get(w, i);
    const double now = rosenbrock(N, x, after);
    double first = 0, last = 0; /* a times the slopes at both ends */
    for (int64_t i = 0; i < N; i++)
      first += slopes[i] * (x[i] - before[i]), last += after[i] * (x[i] - before[i]);
    cr_assert(first < 0, "step %d goes up: slope %g", (int)t, first);
    cr_assert(now <= loss + 1e-4 * first + 1e-15 * loss, "step %d: from %g to %g", (int)t, loss, now);
    cr_assert(fabs(last) <= -0.5 * first * (1 + 1e-9), "step %d: slopes %g and %g", (int)t, first, last);
  }
  tn_params_release(w);
  tn_params_release(g);
}

/* First step from 0: d = -g, a first tried at 1 / ||g||, and the minimum along -g if c2 is tiny:
 * f = (x^2 + 9 y^2) / 2 at (9, 1): g = (9, 9), a* = g'g / g'Ag = 162 / 810 = 0.2. */
static double bowl(int64_t n, const double *x, double *g) {
  (void)n;
  g[0] = x[0], g[1] = 9 * x[1];
  return (x[0] * x[0] + 9 * x[1] * x[1]) / 2;
}
Test(lbfgs, the_first_step_is_steepest_descent) {
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\nc2 = 1e-9\nc1 = 1e-10\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 2), *g = tn_params_like(w);
  fixture_set(w, 0, 9), fixture_set(w, 1, 1);
  struct problem problem = problem_of(bowl);
  fixture_begin(o, w);
  iterate(o, &problem, w, g, 1);
  EXPECT_NEAR(fixture_get(w, 0), 9 - 0.2 * 9, 1e-8);
  EXPECT_NEAR(fixture_get(w, 1), 1 - 0.2 * 9, 1e-8);
  tn_params_release(w);
  tn_params_release(g);
}

/* min (w - 1)^2 / 2 + 3 w^2 / 2 in what decays: w = 1 / 4; w = 1 in what does not. */
static double pull(int64_t n, const double *x, double *g) {
  double value = 0;
  for (int64_t i = 0; i < n; i++) value += (x[i] - 1) * (x[i] - 1) / 2, g[i] = x[i] - 1;
  return value;
}
Test(lbfgs, decay_is_part_of_the_objective) {
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\nweight_decay = 3\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_params(), *g = tn_params_like(w);
  struct problem problem = problem_of(pull);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= 12; t++) iterate(o, &problem, w, g, t);
  for (int64_t i = 0; i < ALL; i++) EXPECT_NEAR(fixture_get(w, i), fixture_decays(i) ? 0.25 : 1, 1e-9);
  EXPECT_REAL(harness_at(tn_param_tensor(w, RUNNING), 0), 7);
  tn_params_release(w);
  tn_params_release(g);
}

/* exp(x) - x overflows far to the right, log(x) does not exist to the left of 0: too long steps are taken
 * back. */
static double cliff(int64_t n, const double *x, double *g) {
  (void)n;
  g[0] = 1 - 1e-3 / x[0];
  return x[0] > 0 ? x[0] - 1e-3 * log(x[0]) : NAN;
}
Test(lbfgs, comes_back_from_where_the_loss_does_not_exist) {
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 1), *g = tn_params_like(w);
  fixture_set(w, 0, 0.7);
  struct problem problem = problem_of(cliff);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= 30; t++) iterate(o, &problem, w, g, t);
  EXPECT_NEAR(fixture_get(w, 0), 1e-3, 1e-9);
  tn_params_release(w);
  tn_params_release(g);
}

Test(lbfgs, stays_at_the_optimum) {
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 5), *g = tn_params_like(w);
  for (int64_t i = 0; i < 5; i++) fixture_set(w, i, (double)i);
  struct problem problem = problem_of(quadratic);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= 3; t++) iterate(o, &problem, w, g, t);
  for (int64_t i = 0; i < 5; i++) EXPECT_REAL(fixture_get(w, i), (double)i);
  tn_params_release(w);
  tn_params_release(g);
}

/* More steps than the memory holds, so that pairs have been pushed out. */
Test(lbfgs, a_saved_state_goes_on_bit_for_bit) {
  harness_open("float32",
               "[o]\nuse = optimizer.lbfgs\nmemory = 3\n[other]\nuse = optimizer.lbfgs\nmemory = 3\n");
  const tn_component *o = harness_component("o"), *other = harness_component("other");
  tn_params *w = fixture_params(), *g = tn_params_like(w), *kept = NULL;
  struct problem problem = problem_of(rosenbrock);
  harness_state *state = NULL;
  fixture_begin(o, w);
  for (int64_t t = 1; t <= 12; t++) {
    iterate(o, &problem, w, g, t);
    if (t == 6) state = harness_save(o), kept = tn_params_clone(w);
  }
  harness_load(other, state);
  for (int64_t t = 7; t <= 12; t++) iterate(other, &problem, kept, g, t);
  for (int64_t i = 0; i < ALL; i++) EXPECT_REAL(fixture_get(kept, i), fixture_get(w, i));
  harness_forget(state);
  tn_params_release(w);
  tn_params_release(g);
  tn_params_release(kept);
}

Test(lbfgs, refuses_what_cannot_be) {
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.lbfgs\nc1 = 0.5\nc2 = 0.1\n"), "c1");
  harness_open("float64", "[o]\nuse = optimizer.lbfgs\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 1), *g = tn_params_like(w);
  fixture_begin(o, w);
  const tn_optimizer_step step = {.size = sizeof step, .params = w, .gradient = g, .schedule = 1, .step = 1};
  cr_assert(tn_optimizer_update(o, &step) < 0);
  EXPECT_CONTAINS(harness_failure(), "evaluate");
  tn_params_release(w);
  tn_params_release(g);
}
