// SPDX-License-Identifier: MIT
/* Convex test problems, and the stage that minimises with optimizers. */
#include "harness.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/problem.h>
#include <tenon/stage.h>

TestSuite(minimise, .fini = harness_close, .timeout = 60);

enum { D = 6 };
static void point_of(uint64_t turn, double *x) {
  tn_rng rng = tn_rng_at("test", "point", turn);
  for (int i = 0; i < D; i++) x[i] = 2 * tn_random_normal(&rng);
}

Test(minimise, quadratic_is_what_it_says) {
  harness_open("float64", "[q]\nuse = problem.quadratic\ndimension = 6\nridge = 0.1\n");
  const tn_component *q = harness_component("q");
  tn_problem_info info;
  double x[D], y[D], gx[D], gy[D], fx, fy;
  cr_assert(tn_problem_describe(q, &info) >= 0, "%s", harness_failure());
  cr_assert(info.variables == D && info.optimum == 0);
  cr_assert(tn_problem_gradient(q, info.solution, gx, &fx) >= 0);
  for (int i = 0; i < D; i++) EXPECT_NEAR(gx[i], 0, 0);
  EXPECT_NEAR(fx, 0, 0);
  cr_assert(info.strong_convexity >= 0.1 - 1e-12, "A = Q Q' / d + 0.1: %g", info.strong_convexity);
  for (uint64_t k = 0; k < 200; k++) {
    point_of(2 * k, x);
    point_of(2 * k + 1, y);
    tn_problem_gradient(q, x, gx, &fx);
    tn_problem_gradient(q, y, gy, &fy);
    double linear = fx, distance = 0;
    for (int i = 0; i < D; i++) {
      linear += gx[i] * (y[i] - x[i]);
      distance += (y[i] - x[i]) * (y[i] - x[i]);
    }
    cr_assert(fy <= linear + info.smoothness / 2 * distance + 1e-10);
    cr_assert(fy >= linear + info.strong_convexity / 2 * distance - 1e-10);
  }
}

Test(minimise, max_affine_has_its_minimum_and_slope) {
  harness_open("float64", "[f]\nuse = problem.max_affine\ndimension = 6\npieces = 12\ndistance = 0.7\n");
  const tn_component *f = harness_component("f");
  tn_problem_info info;
  double x[D], y[D], gx[D], fx, fy, distance = 0;
  cr_assert(tn_problem_describe(f, &info) >= 0, "%s", harness_failure());
  tn_problem_evaluate(f, info.solution, 1, &fx);
  EXPECT_NEAR(fx, 0, 1e-14);
  for (uint64_t k = 0; k < 500; k++) {
    point_of(2 * k, x);
    point_of(2 * k + 1, y);
    tn_problem_gradient(f, x, gx, &fx);
    tn_problem_evaluate(f, y, 1, &fy);
    double linear = fx, norm = 0;
    for (int i = 0; i < D; i++) {
      linear += gx[i] * (y[i] - x[i]);
      norm += gx[i] * gx[i];
    }
    cr_assert(fx >= -1e-12, "below the minimum: %g", fx);
    cr_assert(fy >= linear - 1e-12, "no subgradient");
    cr_assert(sqrt(norm) <= info.lipschitz + 1e-12);
  }
  tn_rng rng = tn_rng_at("test", "start", 0);
  ((const tn_problem *)f->vtable)->start(f->self, x, &rng);
  for (int i = 0; i < D; i++) distance += (x[i] - info.solution[i]) * (x[i] - info.solution[i]);
  EXPECT_NEAR(sqrt(distance), 0.7, 1e-14);
}

Test(minimise, refuses_an_active_set_of_one) {
  cr_assert(strstr(harness_refusal("float64", "[f]\nuse = problem.max_affine\nactive = 1\n"), "active = 1"));
}

/* Gradient descent: x <- x - lr A (x - c) in float64. */
Test(minimise, follows_the_optimizer) {
  const char text[] = "[pipeline]\nstages = run\nprecision = float64\nobservers =\n"
                      "[q]\nuse = problem.quadratic\ndimension = 6\ndeviation = 1\n"
                      "[sgd]\nuse = optimizer.sgd\nlr = 0.1\n"
                      "[run]\nuse = stage.minimise\nproblem = q\noptimizer = sgd\nsteps = 25\n";
  double x[D], g[D], value, least = INFINITY, distance = 0;
  tn_problem_info info;
  tn_pipeline *p = harness_run(text, NULL, 0);
  const tn_component *q = tn_pipeline_find(p, "q");
  tn_rng rng = tn_rng_at("q", "start", 0);
  tn_problem_describe(q, &info);
  ((const tn_problem *)q->vtable)->start(q->self, x, &rng);
  for (int t = 0; t < 25; t++) {
    tn_problem_gradient(q, x, g, &value);
    least = fmin(least, value);
    for (int i = 0; i < D; i++) x[i] -= 0.1 * g[i];
  }
  tn_problem_evaluate(q, x, 1, &value);
  for (int i = 0; i < D; i++) distance += (x[i] - info.solution[i]) * (x[i] - info.solution[i]);
  EXPECT_NEAR(harness_result(p, "run.value"), value, 1e-12);
  EXPECT_NEAR(harness_result(p, "run.gap"), value, 1e-12);
  EXPECT_NEAR(harness_result(p, "run.best"), fmin(least, value), 1e-12);
  EXPECT_NEAR(harness_result(p, "run.distance"), sqrt(distance), 1e-12);
  tn_pipeline_close(p);
}

Test(minimise, refuses_what_it_cannot_use) {
  harness_open("float64",
               "[q]\nuse = problem.quadratic\n"
               "[accuracy]\nuse = metric.accuracy\n"
               "[csv]\nuse = observer.csv\n"
               "[one]\nuse = stage.minimise\nproblem = q\noptimizer = optimizer.sgd\nmetrics = "
               "accuracy\n"
               "[two]\nuse = stage.minimise\nproblem = q\noptimizer = optimizer.sgd\nobservers = csv\n");
  const tn_component *one = harness_component("one"), *two = harness_component("two");
  cr_assert(((const tn_stage *)one->vtable)->check(one->self) < 0);
  cr_assert(strstr(harness_failure(), "'accuracy' reads the fields of batches"));
  cr_assert(((const tn_stage *)two->vtable)->check(two->self) < 0);
  cr_assert(strstr(harness_failure(), "'csv' sees events only"));
}
