// SPDX-License-Identifier: MIT
/* The monitors of Lion-K, reference solutions, and the continuous flow. */
#include "../plugins/harness.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/kappa.h>
#include <tenon/observer.h>
#include <tenon/problem.h>
#include <tenon/solver.h>
#include <unistd.h>

TestSuite(monitors, .fini = harness_close, .timeout = 120);

enum { D = 20 };
#define RUN                                                                                                 \
  "[pipeline]\nstages = run\nprecision = float64\nobservers =\n"                                            \
  "[q]\nuse = problem.quadratic\ndeviation = 0.05\n"                                                        \
  "[lionk]\nuse = optimizer.lion_k\nkappa = k\nlr = 1e-2\nweight_decay = 1.5\n"                             \
  "[ly]\nuse = metric.lyapunov\noptimizer = lionk\n"                                                        \
  "[co]\nuse = metric.constraint\noptimizer = lionk\n"                                                      \
  "[run]\nuse = stage.minimise\nproblem = q\noptimizer = lionk\nsteps = 150\nlog_every = 1\nmetrics = ly, " \
  "co\n"                                                                                                    \
  "[k]\nuse = kappa."

#define WITH(...) ((const char *const[]){__VA_ARGS__}), TN_ARRAY_LENGTH(((const char *const[]){__VA_ARGS__}))

Test(monitors, every_step_is_certified) {
  static const char *const kappas[] = {"l1",    "lp",           "l2",   "group_l2", "deadzone", "topk",
                                       "huber", "relativistic", "tanh", "spectral", "quadratic"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kappas); k++)
    for (int implicit = 0; implicit < 2; implicit++) {
      char text[1024];
      snprintf(text, sizeof text, RUN "%s\n", kappas[k]);
      tn_pipeline *p = harness_run(text, WITH(implicit ? "lionk.implicit=yes" : "lionk.implicit=no"));
      EXPECT_NEAR(harness_result(p, "run.checked"), 150, 0);
      cr_assert(harness_result(p, "run.worst_slack") <= 1e-9, "%s: %g", kappas[k],
                harness_result(p, "run.worst_slack"));
      cr_assert(harness_result(p, "run.least_dissipation") >= -1e-12, "%s", kappas[k]);
      EXPECT_NEAR(harness_result(p, "run.envelope_violations"), 0, 0);
      tn_pipeline_close(p);
    }
}

/* A certificate that cannot fail is none: with a hundredth of L it does. */
Test(monitors, a_certificate_can_fail) {
  tn_pipeline *p = harness_run(RUN "huber\n", WITH("ly.smoothness=0.01", "lionk.beta1=0.5", "lionk.lr=0.1"));
  cr_assert(harness_result(p, "run.violations") > 0);
  cr_assert(harness_result(p, "run.worst_slack") > 1e-6);
  tn_pipeline_close(p);
}

/* H, its parts and the slack, for K = relativistic: the formulas once more, with plain numbers. */
static double square_root(double y) { return sqrt(1 - y * y); }
Test(monitors, lyapunov_is_the_formula) {
  const double lambda = 1.5, eps = 1e-2, beta1 = 0.9, beta2 = 0.99, e = 0.1;
  tn_pipeline *p = harness_run(RUN "relativistic\n", WITH("lionk.implicit=yes"));
  const tn_component *q = tn_pipeline_find(p, "q");
  tn_problem_info info;
  double x[D], m[D] = {0}, g[D], f, H = 0, former = 0, worst = -INFINITY;
  tn_problem_describe(q, &info);
  tn_rng rng = tn_rng_at("q", "start", 0);
  ((const tn_problem *)q->vtable)->start(q->self, x, &rng);
  for (int t = 0; t <= 150; t++) {
    double mt[D], next[D], one = 0, two = 0, length = 0;
    const double c = eps * beta1 / (eps * lambda * (1 - beta1) + (1 - beta2));
    if (t > 0) {
      for (int i = 0; i < D; i++) {
        mt[i] = beta1 * m[i] - (1 - beta1) * g[i];
        next[i] = beta2 * m[i] - (1 - beta2) * g[i];
        const double slope = mt[i] / sqrt(mt[i] * mt[i] + e * e);
        x[i] = (x[i] + eps * slope) / (1 + eps * lambda);
        const double v = slope - lambda * x[i];
        one += v * (mt[i] - e * lambda * x[i] / square_root(lambda * x[i]));
        two += (slope - next[i] / sqrt(next[i] * next[i] + e * e)) * (mt[i] - next[i]);
        length += v * v;
        m[i] = next[i];
      }
    }
    tn_problem_gradient(q, x, g, &f);
    former = H;
    H = f;
    for (int i = 0; i < D; i++) {
      const double y = lambda * x[i], conjugate = e * (1 - square_root(y));
      H += conjugate / lambda + c * (conjugate + sqrt(m[i] * m[i] + e * e) - e - y * m[i]);
    }
    if (t > 0)
      worst =
          fmax(worst, H - former + eps * (1 + c * lambda) * one + c * (1 - beta2) / (beta2 - beta1) * two -
                          info.smoothness / 2 * eps * eps * length);
  }
  EXPECT_NEAR(harness_result(p, "run.H"), H, 1e-10 * fabs(H));
  EXPECT_NEAR(harness_result(p, "run.worst_slack"), worst, 1e-9);
  tn_pipeline_close(p);
}

Test(monitors, lyapunov_needs_two_averages) {
  tn_error error = {0};
  tn_pipeline *p = harness_try(RUN "l1\n", WITH("lionk.nesterov=no"), &error);
  cr_assert(strstr(error.text, "the inequality needs beta1 < beta2"), "%s", error.text);
  tn_pipeline_close(p);
}

/* From outside, along pure noise: within (1 - eps lambda)^t of the start's excess. */
Test(monitors, what_is_outside_comes_in) {
  tn_pipeline *p = harness_run(RUN "l1\n[n]\nuse = gradient.noise\nonly = yes\n",
                               WITH("q.deviation=5", "run.gradient=n", "run.steps=1500", "run.metrics=co"));
  EXPECT_NEAR(harness_result(p, "run.envelope_violations"), 0, 0);
  EXPECT_NEAR(harness_result(p, "run.late_violations"), 0, 0);
  EXPECT_NEAR(harness_result(p, "run.settled"), 1, 0);
  EXPECT_NEAR(harness_result(p, "run.distance"), 0, 1e-6);
  tn_pipeline_close(p);
  p = harness_run(RUN "l1\n", WITH("q.deviation=5", "run.steps=1", "run.metrics=co"));
  cr_assert(harness_result(p, "run.norm") > 5 && harness_result(p, "run.distance") > 5,
            "the start is outside");
  EXPECT_NEAR(harness_result(p, "run.settled"), 0, 0);
  tn_pipeline_close(p);
}

/* The certified gap of a point near the optimum bounds what is left to gain. */
Test(monitors, the_optimum_is_identified) {
  tn_pipeline *p =
      harness_run(RUN "l1\n[projected]\nuse = solver.projected_gradient\nset = box\nradius = 2\n"
                      "[reference]\nuse = stage.solve\nproblem = q\nsolver = projected\n",
                  WITH("pipeline.stages=reference, run", "lionk.weight_decay=0.5", "lionk.lr=1e-3",
                       "run.steps=30000", "run.log_every=1000", "co.reference=reference"));
  const double gap = harness_result(p, "run.composite") - harness_result(p, "reference.value");
  cr_assert(gap <= 1e-4 && gap >= -1e-9, "%g", gap);
  EXPECT_NEAR(harness_result(p, "run.reference_gap"), gap, 1e-12 * harness_result(p, "reference.value"));
  cr_assert(harness_result(p, "run.kkt") >= gap - 1e-9, "%g and %g", harness_result(p, "run.kkt"), gap);
  cr_assert(harness_result(p, "run.kkt") <= 0.05, "%g", harness_result(p, "run.kkt"));
  EXPECT_NEAR(harness_result(p, "run.identified"), 1, 0);
  cr_assert(harness_result(p, "run.reference_active") >= 1);
  EXPECT_NEAR(harness_result(p, "run.reference_distance"), 0, 0.02);
  tn_pipeline_close(p);
}

/* Where smooth part F and penalty are stationary: max over the set of <-grad F, s - x> + lasso (|x| - |s|) is
 * 0. */
static double most_in_box(const double *slope, double lasso) {
  double sum = 0;
  for (int i = 0; i < D; i++) sum += 0.8 * fmax(fabs(slope[i]) - lasso, 0);
  return sum;
}
static double most_in_ball(const double *slope, double lasso) {
  double sum = 0;
  for (int i = 0; i < D; i++) sum += pow(fmax(fabs(slope[i]) - lasso, 0), 2);
  return 0.8 * sqrt(sum);
}
static double most_in_l1(const double *slope, double lasso) {
  double most = 0;
  for (int i = 0; i < D; i++) most = fmax(most, fabs(slope[i]) - lasso);
  return 0.8 * most;
}
static void stationary(const char *set, double ridge, double lasso, const char *problem_keys,
                       double (*most)(const double *slope, double lasso)) {
  char text[512];
  snprintf(text, sizeof text,
           "[q]\nuse = problem.quadratic\n%s\n[s]\nuse = solver.projected_gradient\nset = %s\nradius = "
           "0.8\nridge = "
           "%g\nlasso = %g\n",
           problem_keys, set, ridge, lasso);
  harness_open("float64", text);
  const tn_component *q = harness_component("q"), *s = harness_component("s");
  tn_solver_status now = {.size = sizeof now};
  double x[D], g[D], value, gap = 0;
  tn_status status = tn_solver_begin(s, q);
  while (status == TN_OK) status = tn_solver_step(s, &now);
  cr_assert(status == TN_DONE && now.iterations < 100000, "%s", harness_failure());
  ((const tn_solver *)s->vtable)->best(s->self, x);
  tn_problem_gradient(q, x, g, &value);
  for (int i = 0; i < D; i++) {
    value += ridge / 2 * x[i] * x[i] + lasso * fabs(x[i]);
    g[i] = -(g[i] + ridge * x[i]);
    gap += lasso * fabs(x[i]) - g[i] * x[i];
  }
  gap += most(g, lasso);
  EXPECT_NEAR(gap, 0, 1e-9);
  EXPECT_NEAR(now.value, value, 1e-10 * value);
}
Test(monitors, projected_gradient_ends_in_the_optimum) {
  stationary("box", 0, 0, "", most_in_box);
  stationary("box", 0.3, 0, "", most_in_box);
  stationary("box", 0.3, 0.7, "", most_in_box);
  stationary("ball", 0, 0, "", most_in_ball);
  stationary("ball", 0.1, 0.7, "", most_in_ball);
  stationary("l1", 0, 0, "", most_in_l1);
  stationary("l1", 0.1, 0.7, "", most_in_l1);
  stationary("l1", 0, 0.7, "spread = 0.01", most_in_l1);
}

/* H along the flow: never upwards, and with the slope that the formula says. */
Test(monitors, the_flow_dissipates) {
  static const char *const kappas[] = {"relativistic", "tanh"};
  for (size_t k = 0; k < 2; k++) {
    char text[512];
    snprintf(
        text, sizeof text,
        "[pipeline]\nstages = run\nprecision = float64\nobservers =\n[q]\nuse = problem.quadratic\nspread = "
        "1\n"
        "[k]\nuse = kappa.%s\n[run]\nuse = stage.ode\nproblem = q\nkappa = k\nlambda = 0.5\nhorizon = 6\n",
        kappas[k]);
    tn_pipeline *p = harness_run(text, NULL, 0);
    cr_assert(harness_result(p, "run.increase") <= 1e-9, "%g", harness_result(p, "run.increase"));
    cr_assert(harness_result(p, "run.rate_error") <= 1e-5, "%g", harness_result(p, "run.rate_error"));
    cr_assert(harness_result(p, "run.rate") < 0);
    cr_assert(harness_result(p, "run.norm") <= 1);
    EXPECT_NEAR(harness_result(p, "run.time"), 6, 1e-9);
    tn_pipeline_close(p);
  }
}

/* Runge and Kutta's order: halving the step divides the error by about 16. */
Test(monitors, the_flow_is_of_order_four) {
  double H[3];
  for (int i = 0; i < 3; i++) {
    char step[32];
    snprintf(step, sizeof step, "run.step=%g", 0.04 / (1 << i));
    tn_pipeline *p = harness_run(
        "[pipeline]\nstages = run\nprecision = float64\nobservers =\n[q]\nuse = problem.quadratic\n"
        "spread = 1\n[k]\nuse = kappa.tanh\na = 1\n[run]\nuse = stage.ode\nproblem = q\nkappa = k\n"
        "horizon = 2\n",
        WITH(step));
    H[i] = harness_result(p, "run.H");
    tn_pipeline_close(p);
  }
  const double ratio = (H[0] - H[1]) / (H[1] - H[2]);
  cr_assert(ratio > 12 && ratio < 20, "%g", ratio);
}

/* In training: the observer draws, the metrics see every step, and matrices are confined but biases are not.
 */
static const char digits[] =
    "[pipeline]\nstages = train\nobservers = observer.jsonl\n"
    "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
    "[scale]\nuse = transform.standardise\n"
    "[net]\nuse = model.mlp\nhidden = 16\n"
    "[lionk]\nuse = optimizer.lion_k\nlr = 0.02\nweight_decay = 8\n"
    "[co]\nuse = metric.constraint\noptimizer = lionk\n"
    "[ly]\nuse = metric.lyapunov\noptimizer = lionk\nrows = 200\n"
    "[weights]\nuse = observer.weight_histogram\nevery = 10\nbins = 5\n"
    "[train]\nuse = stage.supervised\ndata = d\ntransforms = scale\nmodel = net\n"
    "loss = loss.cross_entropy\noptimizer = lionk\nmetrics = co, ly\nobservers = weights\n"
    "batch = 100\nsteps = 200\nlog_every = 1\n";
Test(monitors, training_is_watched) {
  char directory[] = "/tmp/tenon-lion-XXXXXX", run_directory[64], path[96], line[1 << 16];
  cr_assert(mkdtemp(directory) != NULL);
  snprintf(run_directory, sizeof run_directory, "%s/run", directory);
  tn_error error = {0};
  tn_pipeline *p = harness_start(digits, run_directory, NULL, 0, &error);
  cr_assert(p && tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  EXPECT_NEAR(harness_result(p, "train.envelope_violations"), 0, 0);
  cr_assert(harness_result(p, "train.norm") <= 1 + 1e-5 && harness_result(p, "train.norm") > 0.9, "%g",
            harness_result(p, "train.norm"));
  cr_assert(harness_result(p, "train.distance") < 1e-3);
  cr_assert(isfinite(harness_result(p, "train.H")) && harness_result(p, "train.kkt") > 0);
  EXPECT_NEAR(harness_result(p, "train.checked"), 0, 0); /* L is unknown */
  tn_pipeline_close(p);
  int maps = 0, lines = 0;
  snprintf(path, sizeof path, "%s/metrics.jsonl", run_directory);
  FILE *file = fopen(path, "r");
  cr_assert(file != NULL);
  while (fgets(line, sizeof line, file)) {
    /* 0, 10, ..., 190, and the end */
    maps += strstr(line, "\"name\":\"weights\"") && strstr(line, "\"shape\":[5,21]");
    lines += strstr(line, "\"name\":\"weight_magnitudes\"") && strstr(line, "\"shape\":[21,4]");
  }
  fclose(file);
  cr_assert(maps == 1 && lines == 1, "%d and %d", maps, lines);
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", directory);
  cr_assert(system(command) == 0);
}

Test(monitors, refuse_other_optimizers) {
  tn_error error = {0};
  tn_pipeline *p =
      harness_try(RUN "l1\n", WITH("ly.optimizer=optimizer.lion", "run.optimizer=optimizer.lion"), &error);
  cr_assert(strstr(error.text, "'optimizer.lion' is not of Lion's family: expected optimizer.lion_k"), "%s",
            error.text);
  tn_pipeline_close(p);
}
