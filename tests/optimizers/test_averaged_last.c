// SPDX-License-Identifier: MIT
/* optimizer.averaged_last: theorem 1 of Defazio et al. 2023. */
#include "fixture.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/problem.h>

TestSuite(averaged_last, .fini = harness_close, .timeout = 120);

enum { T = 60, D = 8, TRIALS = 200 };

static void update(const tn_component *o, tn_params *w, tn_params *g, double schedule, int64_t t,
                   int64_t steps) {
  const tn_optimizer_step step = {
      .size = sizeof step, .params = w, .gradient = g, .schedule = schedule, .step = t, .steps = steps};
  cr_assert(tn_optimizer_update(o, &step) >= 0, "%s", harness_failure());
}

/* With equal weights the factors are 1 - t / T, whatever makes the steps. */
static void equals_linear_decay(const char *base) {
  char text[256];
  snprintf(text, sizeof text,
           "[a]\nuse = optimizer.averaged_last\ninner = inner\n[inner]\nuse = optimizer.%s\nlr = 0.1\n"
           "[plain]\nbase = inner\n",
           base);
  harness_open("float64", text);
  const tn_component *a = harness_component("a"), *plain = harness_component("plain");
  tn_params *x = fixture_params(), *y = fixture_params(), *g = tn_params_like(x);
  fixture_begin(a, x);
  fixture_begin(plain, y);
  for (int64_t t = 1; t <= T; t++) {
    /* the same gradients for both: of x */
    fixture_gradient(x, g, t);
    update(a, x, g, 1, t, T);
    update(plain, y, g, 1 - (double)t / T, t, T);
  }
  double farthest = 0, largest = 0;
  for (int64_t i = 0; i < ALL; i++) {
    farthest = fmax(farthest, fabs(fixture_get(x, i) - fixture_get(y, i)));
    largest = fmax(largest, fabs(fixture_get(y, i)));
  }
  cr_assert(farthest <= 1e-14 * largest, "%s: %g of %g", base, farthest, largest);
  EXPECT_NEAR(tn_optimizer_learning_rate(a, 0.5), 0.05, 1e-15);
  tn_params_release(x);
  tn_params_release(y);
  tn_params_release(g);
}

Test(averaged_last, equal_weights_are_linear_decay) {
  equals_linear_decay("sgd");
  equals_linear_decay("adam");
}

/* f(x_T) - f(u) <= (1 / w_{1:T}) sum_t w_t <g_t, z_t - u> on piecewise linear functions, for random weights,
 * rates and u, around gradient descent and around Adam. z comes from a second instance of the base. */
Test(averaged_last, theorem_1_holds) {
  const size_t room = (size_t)TRIALS * (T * 24 + 400);
  char *text = malloc(room);
  double *weights = malloc(sizeof(double) * TRIALS * T), worst = -INFINITY, least_slack = INFINITY;
  cr_assert(text && weights);
  size_t used = (size_t)snprintf(text, room, "[f]\nuse = problem.max_affine\ndimension = 8\npieces = 30\n");
  srand(38);
  for (int k = 0; k < TRIALS; k++) {
    const double lr = exp(4. * rand() / RAND_MAX - 4);
    used += (size_t)snprintf(text + used, room - used,
                             "[a%d]\nuse = optimizer.averaged_last\ninner = b%d\nweights = w%d\n"
                             "[b%d]\nuse = optimizer.%s\nlr = %.6g\n[c%d]\nbase = b%d\n"
                             "[w%d]\nuse = schedule.table\nfactors = ",
                             k, k, k, k, k % 2 ? "adam" : "sgd", lr, k, k, k);
    for (int t = 0; t < T; t++) {
      weights[k * T + t] = (1 + rand() % 1000000) / 1e6;
      used += (size_t)snprintf(text + used, room - used, "%s%.6f", t ? ", " : "", weights[k * T + t]);
    }
    used += (size_t)snprintf(text + used, room - used, "\n");
  }
  harness_open("float64", text);
  const tn_component *f = harness_component("f");
  tn_problem_info info;
  cr_assert(tn_problem_describe(f, &info) >= 0);
  for (int k = 0; k < TRIALS; k++) {
    char name[16];
    snprintf(name, sizeof name, "a%d", k);
    const tn_component *a = harness_component(name);
    snprintf(name, sizeof name, "c%d", k);
    const tn_component *c = harness_component(name);
    const double *w = weights + k * T;
    tn_params *x = fixture_matrix(1, D), *g = tn_params_like(x);
    double *at = tn_f64(tn_param_tensor(x, 0)), u[D], value, of_u, regret = 0, sum = 0;
    tn_rng rng = tn_rng_at("test", "points", (uint64_t)k);
    ((const tn_problem *)f->vtable)->start(f->self, at, &rng);
    /* the minimiser, or anywhere */
    for (int i = 0; i < D; i++) u[i] = k % 3 == 0 ? info.solution[i] : 2 * tn_random_normal(&rng);
    tn_params *z = tn_params_clone(x);
    const double *free = tn_f64(tn_param_tensor(z, 0));
    fixture_begin(a, x);
    fixture_begin(c, z);
    for (int64_t t = 1; t <= T; t++) {
      double *slope = tn_f64(tn_param_tensor(g, 0));
      tn_problem_gradient(f, at, slope, &value);
      for (int i = 0; i < D; i++) regret += w[t - 1] * slope[i] * (free[i] - u[i]);
      sum += w[t - 1];
      if (t == T) break; /* x_T is the answer */
      update(a, x, g, 1, t, T);
      update(c, z, g, w[t - 1], t, T);
    }
    tn_problem_evaluate(f, u, 1, &of_u);
    const double violation = value - of_u - regret / sum;
    worst = fmax(worst, violation);
    least_slack = fmin(least_slack, violation);
    tn_params_release(x);
    tn_params_release(z);
    tn_params_release(g);
  }
  cr_assert(worst <= 1e-9, "exceeded by %g", worst);
  cr_assert(least_slack < -1e-3, "the test compares nothing"); /* sides differ */
  free(text);
  free(weights);
}

Test(averaged_last, the_last_step_moves_nothing_and_state_goes_on) {
  static const char text[] = "[a]\nuse = optimizer.averaged_last\ninner = b\n[b]\nuse = optimizer.sgd\n"
                             "momentum = 0.9\n";
  harness_open("float64", text);
  const tn_component *a = harness_component("a");
  tn_params *x = fixture_params(), *g = tn_params_like(x);
  fixture_begin(a, x);
  for (int64_t t = 1; t < 10; t++) {
    fixture_gradient(x, g, t);
    update(a, x, g, 1, t, 10);
  }
  const double before = fixture_get(x, 3);
  update(a, x, g, 1, 10, 10);
  EXPECT_NEAR(fixture_get(x, 3), before, 0);
  tn_params_release(x);
  tn_params_release(g);
}

Test(averaged_last, needs_to_know_the_end) {
  harness_open("float64",
               "[a]\nuse = optimizer.averaged_last\n[t]\nuse = optimizer.averaged_last\nsteps = 3\n");
  tn_params *x = fixture_params(), *g = tn_params_like(x);
  const tn_optimizer_step step = {.size = sizeof step, .params = x, .gradient = g, .schedule = 1, .step = 1};
  fixture_begin(harness_component("a"), x);
  cr_assert(tn_optimizer_update(harness_component("a"), &step) < 0);
  EXPECT_CONTAINS(harness_failure(), "give `steps`");
  fixture_begin(harness_component("t"), x);
  cr_assert(tn_optimizer_update(harness_component("t"), &step) >= 0, "%s", harness_failure());
  tn_params_release(x);
  tn_params_release(g);
}
