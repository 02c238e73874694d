// SPDX-License-Identifier: MIT
/* Runs any solver on any problem. One step is one of the solver's iterations.
 *
 * Step events carry `value` (the best so far), `evaluations`, `bound` if there is one, the solver's own
 * figures, and, with `validation`, the value of the best candidate on another problem whenever it has
 * changed: a search that fits its own problem too well shows there. The last event's figures are the stage's
 * results, with `gap` where the optimum is known. The best candidate is published as text `best`. */
#include "pass.h"
#include "text.h"
#include <tenon/solver.h>

struct solve {
  const tn_component *problem, *solver, *validation;
  int64_t steps, log_every;
  const char *output;
  const tn_problem_genome *genome; /* NULL: a vector problem */
  tn_problem_info info;
  /* state */
  int64_t step, evaluations;
  double value, bound, validated; /* validated: value on `validation` of the best so far */
  double *curve;                  /* (points, 3): evaluations, value, validated */
  size_t curve_bytes;
};
static const tn_param solve_params[] = {
    TN_REFERENCE(struct solve, problem, TN_PARAM_REQUIRED, TN_PROBLEM, NULL, "what is to be solved"),
    TN_REFERENCE(struct solve, solver, TN_PARAM_REQUIRED, TN_SOLVER, NULL, "how"),
    TN_REFERENCE(struct solve, validation, 0, TN_PROBLEM, NULL,
                 "another problem on which each new best candidate is evaluated, for the record"),
    TN_INTEGER(struct solve, steps, "0", 0, 1e15, "steps", "most iterations; 0: until the solver is done"),
    TN_INTEGER(struct solve, log_every, "10", 1, 1e15, "steps",
               "how often to emit an event, besides when the best changes"),
    TN_STRING(struct solve, output, "best.txt", "artifact with the best candidate as text; empty: none"),
};

static const tn_solver *solver_of(const struct solve *stage) { return stage->solver->vtable; }

static tn_status solve_check(void *self) {
  struct solve *stage = self;
  stage->genome = tn_extension(stage->problem, TN_PROBLEM_GENOME);
  tn_status status = tn_problem_describe(stage->problem, &stage->info);
  if (status < 0) return status;
  if (!stage->genome && !TN_HAS(solver_of(stage), tn_solver, best))
    return tn_fail(TN_ERROR_INVALID, "'%s' is a problem over vectors, '%s' solves those over genomes",
                   stage->problem->name, stage->solver->name);
  if (stage->genome && !TN_HAS(solver_of(stage), tn_solver, best_genome))
    return tn_fail(TN_ERROR_INVALID, "'%s' is a problem over genomes, '%s' solves those over vectors",
                   stage->problem->name, stage->solver->name);
  if (!stage->validation) return status;
  tn_problem_info info;
  if (!tn_extension(stage->validation, TN_PROBLEM_GENOME) != !stage->genome)
    return tn_fail(TN_ERROR_INVALID, "'%s' and '%s' are over different candidates", stage->problem->name,
                   stage->validation->name);
  status = tn_problem_describe(stage->validation, &info);
  if (status >= 0 && (info.objectives != 1 || info.variables != stage->info.variables))
    return tn_fail(TN_ERROR_INVALID, "'%s' has %u objectives and %lld variables, '%s' 1 and %lld",
                   stage->validation->name, info.objectives, (long long)info.variables, stage->problem->name,
                   (long long)stage->info.variables);
  return status;
}

static void solve_release(struct solve *stage) {
  tn_free(stage->curve);
  stage->curve = NULL;
  stage->curve_bytes = 0;
}

static tn_status solve_begin(void *self) {
  struct solve *stage = self;
  solve_release(stage);
  stage->step = stage->evaluations = 0;
  stage->value = stage->validated = INFINITY;
  stage->bound = -INFINITY;
  tn_status status = tn_problem_begin(stage->problem);
  if (status >= 0 && stage->validation) status = tn_problem_begin(stage->validation);
  return status < 0 ? status : tn_solver_begin(stage->solver, stage->problem);
}

static void solve_progress(void *self, tn_progress *progress) {
  const struct solve *stage = self;
  *progress =
      (tn_progress){.size = sizeof *progress, .mode = TN_TRAIN, .step = stage->step, .steps = stage->steps};
}

/* ---- the best candidate ---- */

/* The best point (variables), which the caller frees; NULL and an error if the solver has none. */
static double *best_point(const struct solve *stage) {
  double *point = tn_alloc((size_t)stage->info.variables * sizeof *point);
  if (!TN_HAS(solver_of(stage), tn_solver, best)) {
    tn_fail(TN_ERROR_MISSING, "'%s' does not give its best point", stage->solver->name);
    tn_free(point);
    return NULL;
  }
  if (point && solver_of(stage)->best(stage->solver->self, point) == TN_OK) return point;
  tn_free(point);
  return NULL;
}

static tn_status best_genome(const struct solve *stage, tn_genome *genome) {
  if (!TN_HAS(solver_of(stage), tn_solver, best_genome))
    return tn_fail(TN_ERROR_MISSING, "'%s' does not give its best candidate", stage->solver->name);
  return solver_of(stage)->best_genome(stage->solver->self, genome);
}

static tn_status validate(struct solve *stage) {
  const tn_problem *problem = stage->validation->vtable;
  if (!stage->genome) {
    double *point = best_point(stage);
    tn_status status =
        point ? problem->evaluate(stage->validation->self, point, 1, &stage->validated) : TN_ERROR_INVALID;
    tn_free(point);
    return status;
  }
  const tn_problem_genome *genomes = tn_extension(stage->validation, TN_PROBLEM_GENOME);
  tn_genome genome = {NULL, 0};
  tn_status status = best_genome(stage, &genome);
  if (status >= 0) status = genomes->evaluate(stage->validation->self, &genome, &stage->validated);
  tn_free(genome.data);
  return status;
}

/* Its text, which the caller frees; NULL and an error if that fails. */
static char *best_text(const struct solve *stage) {
  enum { NUMBER = 32 };
  const tn_problem *problem = stage->problem->vtable;
  char *text = NULL;
  if (stage->genome) {
    tn_genome genome = {NULL, 0};
    if (best_genome(stage, &genome) >= 0) stage->genome->print(stage->problem->self, &genome, &text);
    tn_free(genome.data);
    return text;
  }
  double *point = best_point(stage);
  const size_t bytes = (size_t)(stage->info.variables + 1) * NUMBER;
  if (point && (text = tn_alloc(bytes))) {
    size_t used = 0;
    if (TN_HAS(problem, tn_problem, print))
      problem->print(stage->problem->self, point, text, bytes);
    else
      for (int64_t i = 0; i < stage->info.variables; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%.17g\n", point[i]);
  }
  tn_free(point);
  return text;
}

/* ---- steps ---- */

static tn_status add_point(struct solve *stage) {
  const size_t bytes = stage->curve_bytes + 3 * sizeof(double);
  double *curve = tn_resize(stage->curve, bytes);
  if (!curve) return TN_ERROR_MEMORY;
  double *point = curve + stage->curve_bytes / sizeof(double);
  point[0] = (double)stage->evaluations;
  point[1] = stage->value;
  point[2] = stage->validated;
  stage->curve = curve;
  stage->curve_bytes = bytes;
  return TN_OK;
}

static tn_status report(struct solve *stage, bool last) {
  struct figures figures;
  tn_progress progress;
  figures_start(&figures);
  figures_add(&figures, "", "value", stage->value);
  figures_add(&figures, "", "evaluations", (double)stage->evaluations);
  if (isfinite(stage->bound)) figures_add(&figures, "", "bound", stage->bound);
  if (isfinite(stage->info.optimum)) figures_add(&figures, "", "gap", stage->value - stage->info.optimum);
  if (stage->validation) figures_add(&figures, "", "validation", stage->validated);
  tn_status status = TN_OK;
  if (TN_HAS(solver_of(stage), tn_solver, figures))
    status = solver_of(stage)->figures(stage->solver->self, &figures.sink);
  solve_progress(stage, &progress);
  tn_emit_step(&progress, figures.values, figures.count);
  for (uint32_t i = 0; last && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  return status;
}

static tn_status solve_step(void *self) {
  struct solve *stage = self;
  tn_solver_status now = {.size = sizeof now, .value = INFINITY, .bound = -INFINITY};
  tn_status status = tn_solver_step(stage->solver, &now);
  if (status < 0) return status;
  const bool better = now.value < stage->value;
  stage->step++;
  const bool stops = (stage->steps > 0 && stage->step >= stage->steps) || (tn_smoke() && stage->step >= 3);
  const bool last = status == TN_DONE || stops;
  stage->value = now.value;
  stage->bound = now.bound;
  stage->evaluations = now.evaluations;
  status = better && stage->validation ? validate(stage) : TN_OK;
  if (status >= 0 && (better || last)) status = add_point(stage);
  if (status >= 0 && (better || last || stage->step % stage->log_every == 0)) status = report(stage, last);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

/* ---- the end ---- */

/* The best so far over evaluations, as steps. */
static void emit_curve(const struct solve *stage) {
  static const char *const labels[] = {"best so far", "on the validation problem"};
  const uint32_t lines = stage->validation ? 2 : 1;
  const int64_t points = (int64_t)(stage->curve_bytes / (3 * sizeof(double)));
  tn_tensor *curve = tn_empty(TN_F64, TN_SHAPE(2 * points, 1 + lines));
  if (points == 0 || tn_poisoned(curve)) return;
  double *to = tn_f64(curve);
  for (int64_t i = 0; i < points; i++)
    for (int64_t k = i > 0 ? i - 1 : i; k <= i; k++, to += 1 + lines) {
      to[0] = stage->curve[3 * i];
      for (uint32_t l = 1; l <= lines; l++) to[l] = stage->curve[3 * k + l];
    }
  tn_event event = tn_event_of(TN_EVENT_SERIES, "best");
  curve = tn_slice(curve, 0, 0, 2 * points - 1);
  event.tensor = curve;
  event.columns = lines;
  event.column_labels = labels;
  event.x_label = "evaluations";
  event.y_label = "objective";
  if (!tn_poisoned(curve)) tn_emit(&event);
}

static tn_status solve_end(void *self) {
  struct solve *stage = self;
  emit_curve(stage);
  if (!isfinite(stage->value)) {
    tn_warn("no candidate has a finite value");
    return TN_OK;
  }
  char *text = best_text(stage);
  tn_status status = text ? text_publish("best", text, stage->output) : TN_ERROR_INVALID;
  tn_free(text);
  return status;
}

static void solve_destroy(void *self) { solve_release(self); }

static tn_status solve_state(void *self, const tn_visitor *visitor) {
  struct solve *stage = self;
  void *curve = stage->curve;
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_integer(visitor, "evaluations", &stage->evaluations);
  tn_visit_real(visitor, "value", &stage->value);
  tn_visit_real(visitor, "bound", &stage->bound);
  tn_visit_real(visitor, "validated", &stage->validated);
  tn_status status = tn_visit_block(visitor, "curve", &curve, &stage->curve_bytes);
  stage->curve = curve;
  return status;
}

static const tn_stage solve_table = {sizeof solve_table, solve_check, solve_begin,
                                     solve_step,         solve_end,   solve_progress};
static const tn_class solve_class = {.size = sizeof(tn_class),
                                     .kind = TN_STAGE,
                                     .name = "solve",
                                     .summary = "Runs a solver on a problem",
                                     TN_CLASS_PARAMS(solve_params),
                                     .instance_size = sizeof(struct solve),
                                     .vtable = &solve_table,
                                     .destroy = solve_destroy,
                                     .state = solve_state};
TN_PLUGIN("stage_solve", "1.0.0", "MIT", &solve_class)
