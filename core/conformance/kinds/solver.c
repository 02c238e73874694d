// SPDX-License-Identifier: MIT
/* Solvers, on the plainest problem installed that they accept. */
#include "core/conformance/drivers.h"
#include "core/conformance/subject.h"
#include <math.h>
#include <tenon/solver.h>

enum { MOST_VARIABLES = 4096, MOST_OUTPUTS = 256 };

static const tn_component *problem_of(const tn_bench *bench) {
  for (uint32_t i = 0; i < tn_pipeline_count(bench->pipeline); i++) {
    const tn_component *c = tn_pipeline_at(bench->pipeline, i);
    if (__builtin_strcmp(c->cls->kind, TN_PROBLEM) == 0) return c;
  }
  return NULL;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  const tn_component *problem = problem_of(bench);
  tn_problem_info info;
  if (!problem) return tn_fail(TN_ERROR_MISSING, "no problem is installed that needs no keys of its own");
  tn_status status = tn_problem_describe(problem, &info);
  if (status >= 0) status = tn_problem_begin(problem);
  return status < 0 ? status : tn_solver_begin(c, problem);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_solver_status s = {.size = sizeof s};
  (void)unit;
  const tn_status status = tn_solver_step(c, &s);
  tn_fingerprint_real(&bench->digest, s.value);
  tn_fingerprint_real(&bench->digest, s.bound);
  return status;
}

static void improves(tn_trial *t) {
  static double point[MOST_VARIABLES], values[MOST_OUTPUTS];
  tn_bench bench;
  double best = INFINITY;
  int64_t evaluations = 0;
  tn_bench_ready(&bench, t, NULL);
  for (int i = 0; i < 20; i++) {
    tn_solver_status s = {.size = sizeof s};
    tn_scope_open();
    const tn_status status = tn_solver_step(bench.subject, &s);
    tn_scope_close();
    tn_trial_expect(status, "step");
    if (isnan(s.value) || s.value > best)
      tn_trial_fail("the best value went from %.9g to %.9g", best, s.value);
    if (s.evaluations < evaluations) tn_trial_fail("evaluations are counted backwards");
    if (s.bound > s.value) tn_trial_fail("the lower bound %.9g is above the value %.9g", s.bound, s.value);
    best = s.value;
    evaluations = s.evaluations;
    if (status == TN_DONE) break;
  }
  const tn_solver *solver = bench.subject->vtable;
  const tn_component *problem = problem_of(&bench);
  const tn_problem *table = problem->vtable;
  tn_problem_info info = {.size = sizeof info};
  tn_trial_expect(table->describe(problem->self, &info), "describe");
  if (TN_HAS(solver, tn_solver, best) && info.variables > 0 && info.variables <= MOST_VARIABLES &&
      info.objectives == 1 && info.constraints == 0) {
    tn_trial_expect(solver->best(bench.subject->self, point), "best");
    tn_trial_expect(table->evaluate(problem->self, point, 1, values), "evaluate");
    if (fabs(values[0] - best) > 1e-9 * (1 + fabs(best)))
      tn_trial_fail("the best point has the value %.9g, not %.9g", values[0], best);
  }
  tn_trial_note("best %.9g after %lld evaluations", best, (long long)evaluations);
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"improves", "the best value never gets worse, and is that of the best point", improves}};
const tn_driver tn_driver_solver = {.kind = TN_SOLVER,
                                    .prepare = prepare,
                                    .work = work,
                                    .checks = checks,
                                    .check_count = TN_ARRAY_LENGTH(checks),
                                    .needs = {TN_PROBLEM}};
