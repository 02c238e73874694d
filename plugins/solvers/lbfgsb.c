// SPDX-License-Identifier: MIT
/* Bound-constrained quasi-Newton minimisation of any vector problem with a gradient; see lbfgsb.h. One step
 * is one iteration. */
#include "lbfgsb.h"
#include <tenon/solver.h>

struct solver {
  int64_t memory, iterations;
  double tolerance;
  const tn_component *problem;
  struct lbfgsb core;
  int64_t done; /* iterations */
};
static const tn_param solver_params[] = {
    TN_INTEGER(struct solver, memory, "20", 1, 1000, NULL, "pairs of steps and gradient changes kept"),
    TN_REAL(struct solver, tolerance, "1e-10", 0, INFINITY,
            "ends when no component of the projected gradient is larger"),
    TN_INTEGER(struct solver, iterations, "0", 0, 1e15, NULL, "ends after so many; 0: when it has converged"),
};

static tn_status evaluate(void *context, const double *point, double *gradient, double *value) {
  const struct solver *solver = context;
  const tn_problem *table = solver->problem->vtable;
  tn_call_stack *stack = tn_enter(solver->problem, "gradient");
  const tn_status status = table->gradient(solver->problem->self, point, gradient, value);
  tn_leave(stack);
  return status;
}

static tn_status check(const tn_component *problem, const tn_problem_info *info) {
  const tn_problem *table = problem->vtable;
  if (info->variables < 1 || info->objectives != 1 || info->constraints > 0)
    return tn_fail(TN_ERROR_INVALID,
                   "'%s' has %lld variables, %u objectives and %lld constraints; expected a vector, one "
                   "objective, and bounds at most",
                   problem->name, (long long)info->variables, info->objectives, (long long)info->constraints);
  if (!TN_HAS(table, tn_problem, gradient))
    return tn_fail(TN_ERROR_INVALID, "'%s' has no gradient, which L-BFGS-B needs", problem->name);
  for (int64_t i = 0; info->step && i < info->variables; i++)
    if (info->step[i] > 0)
      return tn_fail(TN_ERROR_INVALID, "variable %lld of '%s' is discrete", (long long)i + 1, problem->name);
  return TN_OK;
}

/* Where the problem wants to start, else the middle of its bounds, else zeros or the bound next to them. */
static tn_status find_start(const tn_component *problem, const tn_problem_info *info, double *point) {
  const tn_problem *table = problem->vtable;
  if (TN_HAS(table, tn_problem, start)) {
    tn_rng rng = tn_rng_at("solver.lbfgsb", "start", 0);
    tn_call_stack *stack = tn_enter(problem, "start");
    const tn_status status = table->start(problem->self, point, &rng);
    tn_leave(stack);
    return status;
  }
  for (int64_t i = 0; i < info->variables; i++) {
    const double lower = info->lower ? info->lower[i] : -INFINITY;
    const double upper = info->upper ? info->upper[i] : INFINITY;
    const bool both = isfinite(lower) && isfinite(upper);
    point[i] = both ? lower + (upper - lower) / 2 : fmin(fmax(0, lower), upper);
  }
  return TN_OK;
}

static tn_status begin(void *self, const tn_component *problem) {
  struct solver *solver = self;
  tn_problem_info info;
  tn_status status = tn_problem_describe(problem, &info);
  if (status >= 0) status = check(problem, &info);
  if (status < 0) return status;
  double *start = tn_alloc((size_t)info.variables * sizeof *start);
  if (!start) return TN_ERROR_MEMORY;
  solver->problem = problem;
  solver->done = 0;
  struct lbfgsb *core = &solver->core;
  core->n = info.variables;
  core->memory = solver->memory;
  core->lower = info.lower;
  core->upper = info.upper;
  core->function = evaluate;
  core->context = solver;
  status = find_start(problem, &info, start);
  if (status >= 0) status = lbfgsb_begin(core, start);
  tn_free(start);
  return status;
}

static tn_status step(void *self, tn_solver_status *result) {
  struct solver *solver = self;
  const tn_status status = lbfgsb_iterate(&solver->core, solver->tolerance);
  if (status < 0) return status;
  solver->done++;
  result->iterations = solver->done;
  result->evaluations = solver->core.evaluations;
  result->value = solver->core.value;
  result->bound = -INFINITY;
  return status == TN_DONE || solver->done == solver->iterations ? TN_DONE : TN_OK;
}

static tn_status best(void *self, double *point) {
  const struct lbfgsb *core = &((const struct solver *)self)->core;
  if (!core->block) return tn_fail(TN_ERROR_INVALID, "no problem has been begun");
  memcpy(point, core->x, (size_t)core->n * sizeof *point);
  return TN_OK;
}

static tn_status figures(void *self, tn_metric_sink *sink) {
  const struct lbfgsb *core = &((const struct solver *)self)->core;
  if (core->block) sink->value(sink, "residual", lbfgsb_residual(core));
  return TN_OK;
}

static void destroy(void *self) { lbfgsb_release(&((struct solver *)self)->core); }

static tn_status state(void *self, const tn_visitor *visitor) {
  struct solver *solver = self;
  struct lbfgsb *core = &solver->core;
  size_t bytes = core->block ? lbfgsb_bytes(core) : 0;
  const size_t expected = bytes;
  void *block = core->block;
  tn_visit_integer(visitor, "iterations", &solver->done);
  tn_visit_integer(visitor, "evaluations", &core->evaluations);
  tn_visit_integer(visitor, "pairs", &core->count);
  tn_visit_integer(visitor, "first", &core->first);
  tn_visit_real(visitor, "value", &core->value);
  tn_visit_real(visitor, "theta", &core->theta);
  const tn_status status = tn_visit_block(visitor, "arrays", &block, &bytes);
  core->block = block;
  if (status < 0 || !visitor->loading || !block) return status;
  if (core->n == 0) return TN_OK;
  if (bytes != expected || core->count < 0 || core->count > core->memory || core->first < 0 ||
      core->first >= core->memory)
    return tn_fail(TN_ERROR_INVALID, "the saved arrays are those of another problem");
  lbfgsb_place(core);
  return TN_OK;
}

static const tn_solver table = {
    .size = sizeof table, .begin = begin, .step = step, .best = best, .figures = figures};
static const tn_class solver_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "lbfgsb",
    .summary = "Limited-memory quasi-Newton within bounds",
    .reference = "Byrd, Lu, Nocedal and Zhu 1995, A Limited Memory Algorithm for Bound Constrained "
                 "Optimization; Morales and Nocedal 2011, Remark on Algorithm 778",
    TN_CLASS_PARAMS(solver_params),
    .instance_size = sizeof(struct solver),
    .vtable = &table,
    .destroy = destroy,
    .state = state};
TN_PLUGIN("solver_lbfgsb", "1.0.0", "MIT", &solver_class)
