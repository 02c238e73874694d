// SPDX-License-Identifier: MIT
/* Minimises a vector problem with an optimizer. One step is one of the optimizer's, along the gradient at the
 * point, through the transforms of the gradient. The point is a parameter set with one vector `x` in the
 * run's precision; the problem's own numbers are float64.
 *
 * Step events, the first of them at the start, carry `value` at the point that the optimizer names as its
 * final one (its iterate, unless it averages), `best` of the values seen, `gap` = value - optimum and
 * `distance` from the solution where the problem knows them, `lr`, `gradient_norm` (before gradient
 * transforms), and what `metrics` find: they probe the point, with the problem as their subject. The last
 * event's figures are the stage's results. The final point is published as text `best`, like that of
 * stage.solve, and as parameters `point`. */
#include "pass.h"
#include "update.h"
#include "text.h"
#include <tenon/optimizer.h>
#include <tenon/problem.h>
#include <tenon/schedule.h>

struct minimise {
  const tn_component *problem, *optimizer, *schedule;
  tn_references gradient, metrics, observers;
  int64_t steps, log_every;
  const char *output;

  int64_t planned;
  tn_problem_info info;
  tn_params *point;     /* x (variables) */
  tn_params *gradients; /* like point */
  double *x, *slope;    /* (variables) */

  int64_t step; /* finished ones */
  double best;
};
static const tn_param minimise_params[] = {
    TN_REFERENCE(struct minimise, problem, TN_PARAM_REQUIRED, TN_PROBLEM, NULL,
                 "what is minimised: a vector problem with one objective, a gradient and no constraints"),
    TN_REFERENCE(struct minimise, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "how it is minimised"),
    TN_REFERENCE(struct minimise, schedule, 0, TN_SCHEDULE, NULL,
                 "factor on the learning rate over time; empty: constant"),
    TN_REFERENCES(struct minimise, gradient, 0, TN_GRADIENT, "",
                  "transforms of the gradient in front of the optimizer, in order"),
    TN_INTEGER(struct minimise, steps, "1000", 1, 1e15, "steps", "length"),
    TN_REFERENCES(struct minimise, metrics, 0, TN_METRIC, "", "probe the point at each event"),
    TN_REFERENCES(struct minimise, observers, 0, TN_OBSERVER, "",
                  "see the point and its gradient at each step"),
    TN_INTEGER(struct minimise, log_every, "0", 0, 1e15, "steps",
               "how often to emit an event; 0: some 500 in all"),
    TN_STRING(struct minimise, output, "", "artifact with the final point as text; empty: none"),
};

/* There are no fields to read. */
static tn_status declare_metrics(const tn_references *metrics) {
  tn_spec *none = tn_spec_new();
  const tn_status status = none ? pass_declare_metrics(metrics, none) : TN_ERROR_MEMORY;
  tn_spec_release(none);
  return status;
}

static tn_status minimise_check(void *self) {
  struct minimise *stage = self;
  const tn_status status = tn_problem_describe(stage->problem, &stage->info);
  if (status < 0) return status;
  if (stage->info.variables == 0 || stage->info.objectives != 1 || stage->info.constraints != 0)
    return tn_fail(
        TN_ERROR_INVALID,
        "'%s' has %lld variables, %u objectives and %lld constraints: expected a vector problem with "
        "one objective and no constraints",
        stage->problem->name, (long long)stage->info.variables, stage->info.objectives,
        (long long)stage->info.constraints);
  if (!tn_problem_has_gradient(stage->problem))
    return tn_fail(TN_ERROR_MISSING, "'%s' has no gradient, which optimizers need", stage->problem->name);
  for (uint32_t m = 0; m < stage->metrics.count; m++)
    if (!tn_metric_probes(stage->metrics.items[m]))
      return tn_fail(TN_ERROR_INVALID, "'%s' reads the fields of batches; there are none here",
                     stage->metrics.items[m]->name);
  const tn_status seen = update_check_observers(&stage->observers);
  return seen < 0 ? seen : declare_metrics(&stage->metrics);
}

static void minimise_release(struct minimise *stage) {
  tn_params_release(stage->point);
  tn_params_release(stage->gradients);
  tn_free(stage->x);
  tn_free(stage->slope);
  stage->point = stage->gradients = NULL;
  stage->x = stage->slope = NULL;
}

/* ---- between the optimizer's tensors and the problem's numbers ---- */

static void read_point(const tn_params *params, double *x) {
  const tn_tensor *from = tn_param_tensor(params, 0);
  for (int64_t i = 0; i < from->numel; i++)
    x[i] = from->dtype == TN_F64 ? tn_f64(from)[i] : (double)tn_f32(from)[i];
}
static void write_point(const double *x, tn_params *params) {
  const tn_tensor *to = tn_param_tensor(params, 0);
  for (int64_t i = 0; i < to->numel; i++)
    if (to->dtype == TN_F64)
      tn_f64(to)[i] = x[i];
    else
      tn_f32(to)[i] = (float)x[i];
}

/* The value at `params` and, if `gradient` is not NULL, the gradient there. */
static tn_status evaluate(struct minimise *stage, const tn_params *params, tn_params *gradient,
                          double *value) {
  read_point(params, stage->x);
  if (!gradient) return tn_problem_evaluate(stage->problem, stage->x, 1, value);
  const tn_status status = tn_problem_gradient(stage->problem, stage->x, stage->slope, value);
  if (status >= 0) write_point(stage->slope, gradient);
  return status;
}

struct objective {
  tn_closure closure; /* first: the closure is the objective */
  struct minimise *stage;
};
static tn_status objective_evaluate(tn_closure *closure, const tn_params *params, tn_params *gradient,
                                    double *loss) {
  closure->evaluations++;
  return evaluate(((struct objective *)closure)->stage, params, gradient, loss);
}

/* ---- beginning ---- */

static tn_status start(struct minimise *stage) {
  const tn_problem *problem = stage->problem->vtable;
  tn_rng rng = tn_rng_at(stage->problem->name, "start", 0);
  if (TN_HAS(problem, tn_problem, start)) return problem->start(stage->problem->self, stage->x, &rng);
  for (int64_t i = 0; i < stage->info.variables; i++) {
    const double low = stage->info.lower ? stage->info.lower[i] : -INFINITY;
    const double high = stage->info.upper ? stage->info.upper[i] : INFINITY;
    stage->x[i] = isfinite(low) && isfinite(high) ? (low + high) / 2 : fmin(fmax(0, low), high);
  }
  return TN_OK;
}

static tn_status minimise_begin(void *self) {
  struct minimise *stage = self;
  minimise_release(stage);
  stage->step = 0;
  stage->best = INFINITY;
  stage->planned = tn_smoke() && stage->steps > 3 ? 3 : stage->steps;
  tn_status status = tn_problem_begin(stage->problem);
  if (status >= 0) status = tn_problem_describe(stage->problem, &stage->info);
  if (status < 0) return status;
  const int64_t n = stage->info.variables;
  stage->x = tn_alloc((size_t)n * sizeof *stage->x);
  stage->slope = tn_alloc((size_t)n * sizeof *stage->slope);
  const tn_param_entry entry = {sizeof entry, TN_DECAY, "x", tn_zeros(tn_precision(), TN_SHAPE(n))};
  if (tn_failed() || !(stage->point = tn_params_make(&entry, 1))) return TN_ERROR_MEMORY;
  if (!(stage->gradients = tn_params_like(stage->point))) return TN_ERROR_MEMORY;
  status = start(stage);
  if (status < 0) return status;
  write_point(stage->x, stage->point);
  status = tn_optimizer_begin(stage->optimizer, stage->point);
  if (status >= 0) status = update_begin_gradient(&stage->gradient, stage->point);
  for (uint32_t m = 0; m < stage->metrics.count; m++) tn_metric_reset(stage->metrics.items[m]);
  return status;
}

static void minimise_progress(void *self, tn_progress *progress) {
  const struct minimise *stage = self;
  *progress =
      (tn_progress){.size = sizeof *progress, .mode = TN_TRAIN, .step = stage->step, .steps = stage->planned};
}

/* ---- one step ---- */

/* The point to judge and to keep; *own is to be released (NULL: nothing is). */
static const tn_params *final_point(const struct minimise *stage, tn_params **own) {
  *own = NULL;
  if (!tn_optimizer_has_final(stage->optimizer)) return stage->point;
  *own = tn_params_clone(stage->point);
  if (!*own || tn_optimizer_final(stage->optimizer, stage->point, *own) < 0) return NULL;
  return *own;
}

static double distance(const double *x, const double *y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sqrt(sum);
}

static tn_status measure(struct minimise *stage, const tn_params *point, struct figures *figures) {
  const tn_metric_probe probe = {.size = sizeof probe, .params = point, .subject = stage->problem};
  double value;
  tn_status status = evaluate(stage, point, NULL, &value);
  if (status < 0) return status;
  stage->best = fmin(stage->best, value);
  figures_add(figures, "", "value", value);
  figures_add(figures, "", "best", stage->best);
  if (isfinite(stage->info.optimum)) figures_add(figures, "", "gap", value - stage->info.optimum);
  if (stage->info.solution)
    figures_add(figures, "", "distance", distance(stage->x, stage->info.solution, stage->info.variables));
  for (uint32_t m = 0; status >= 0 && m < stage->metrics.count; m++)
    status = tn_metric_measure(stage->metrics.items[m], &probe, &figures->sink);
  return status;
}

static tn_status report(struct minimise *stage, double lr, double gradient_norm, bool last) {
  tn_progress progress;
  struct figures figures;
  tn_params *own;
  figures_start(&figures);
  const tn_params *point = final_point(stage, &own);
  tn_status status = point ? measure(stage, point, &figures) : TN_ERROR_INVALID;
  tn_params_release(own);
  if (status < 0) return status;
  for (uint32_t i = 0; last && i < figures.count; i++)
    tn_emit_result(figures.values[i].name, figures.values[i].value);
  if (!isnan(lr)) figures_add(&figures, "", "lr", lr);
  figures_add(&figures, "", "gradient_norm", gradient_norm);
  minimise_progress(stage, &progress);
  tn_emit_step(&progress, figures.values, figures.count);
  return TN_OK;
}

static tn_status minimise_step(void *self) {
  struct minimise *stage = self;
  struct objective objective = {.closure = {sizeof objective.closure, 1, objective_evaluate, NULL, NULL},
                                .stage = stage};
  tn_progress progress;
  double value;
  minimise_progress(stage, &progress);
  tn_status status = evaluate(stage, stage->point, stage->gradients, &value);
  if (status < 0) return status;
  const double norm = tn_params_norm(stage->gradients);
  const double factor = stage->schedule ? tn_schedule_factor(stage->schedule, &progress) : 1;
  const double lr = tn_optimizer_learning_rate(stage->optimizer, factor);
  if (!isfinite(value) || !isfinite(norm))
    return tn_fail(TN_ERROR_DIVERGED,
                   "the objective became %g, its gradient %g long, in step %lld (learning rate %g)", value,
                   norm, (long long)stage->step + 1, lr);
  stage->best = fmin(stage->best, value);
  if (stage->step == 0) status = report(stage, lr, norm, false);
  if (status >= 0)
    status = update_observe(&stage->observers, stage->point, stage->gradients, stage->optimizer, &progress);
  if (status >= 0)
    status = update_gradient(&stage->gradient, stage->point, stage->gradients, value, &progress);
  if (status < 0) return status;
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = stage->point,
                                  .gradient = stage->gradients,
                                  .loss = value,
                                  .schedule = factor,
                                  .step = stage->step + 1,
                                  .closure = &objective.closure,
                                  .steps = stage->planned};
  status = tn_optimizer_update(stage->optimizer, &step);
  if (status < 0) return status;
  stage->step++;
  const bool last = stage->step >= stage->planned;
  const int64_t every = stage->log_every > 0 ? stage->log_every : (stage->planned + 499) / 500;
  minimise_progress(stage, &progress);
  if (stage->schedule && tn_schedule_observes(stage->schedule))
    tn_schedule_observe(stage->schedule, &progress, value, norm);
  if (last) status = update_observe(&stage->observers, stage->point, NULL, stage->optimizer, &progress);
  if (status >= 0 && (last || stage->step % every == 0)) status = report(stage, lr, norm, last);
  return status < 0 ? status : last ? TN_DONE : TN_OK;
}

/* ---- the end ---- */

static tn_status publish(const struct minimise *stage, const tn_params *point) {
  enum { NUMBER = 32 };
  const size_t bytes = (size_t)(stage->info.variables + 1) * NUMBER;
  char *text = tn_alloc(bytes);
  size_t used = 0;
  if (!text) return TN_ERROR_MEMORY;
  read_point(point, stage->x);
  for (int64_t i = 0; i < stage->info.variables; i++)
    used += (size_t)snprintf(text + used, bytes - used, "%.17g\n", stage->x[i]);
  tn_status status = text_publish("best", text, stage->output);
  tn_free(text);
  return status < 0 ? status : tn_publish_params("point", point);
}

static tn_status minimise_end(void *self) {
  struct minimise *stage = self;
  tn_params *own;
  const tn_params *point = final_point(stage, &own);
  const tn_status status = point ? publish(stage, point) : TN_ERROR_INVALID;
  tn_params_release(own);
  minimise_release(stage);
  return status;
}

static void minimise_destroy(void *self) { minimise_release(self); }

static tn_status minimise_state(void *self, const tn_visitor *visitor) {
  struct minimise *stage = self;
  tn_visit_integer(visitor, "step", &stage->step);
  tn_visit_real(visitor, "best", &stage->best);
  return tn_visit_params(visitor, "point", &stage->point);
}

static const tn_stage minimise_table = {sizeof minimise_table, minimise_check, minimise_begin,
                                        minimise_step,         minimise_end,   minimise_progress};
static const tn_class minimise_class = {.size = sizeof(tn_class),
                                        .kind = TN_STAGE,
                                        .name = "minimise",
                                        .summary = "Minimises a vector problem with an optimizer",
                                        TN_CLASS_PARAMS(minimise_params),
                                        .instance_size = sizeof(struct minimise),
                                        .vtable = &minimise_table,
                                        .destroy = minimise_destroy,
                                        .state = minimise_state};
TN_PLUGIN("stage_minimise", "1.0.0", "MIT", &minimise_class)
