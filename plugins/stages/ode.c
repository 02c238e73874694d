// SPDX-License-Identifier: MIT
/* The continuous-time limit of Lion-K on a problem (Chen et al. 2023), from m = 0 and the problem's start:
 *   m' = -alpha grad f(x) - gamma m
 *   mt = m + epsilon m'
 *   x' = grad K(mt) - lambda x
 * by the classical Runge-Kutta method of order 4 in float64. One step of the stage is one of the method. With
 * c = (1 - epsilon gamma) / (1 + epsilon lambda),
 *   H = alpha f(x) + gamma / lambda K*(lambda x) + c (K*(lambda x) + K(m) - <lambda x, m>)
 *   dH/dt = - (lambda + gamma) / (1 + epsilon lambda) <grad K(mt) - lambda x, mt - grad K*(lambda x)>
 *           - c / epsilon <mt - m, grad K(mt) - grad K(m)>  <= 0
 * as soon as K*(lambda x) is finite. Results: `value` of f, `H`, `rate` by the formula, `increase`: the
 * largest step of H upwards, `rate_error`: the largest difference of the formula from (H(t + h) - H(t - h)) /
 * 2h, `norm`, the gauge of lambda x. */
#include "pass.h"
#include <tenon/kappa.h>
#include <tenon/problem.h>

enum { HISTORY = 5 };
struct ode {
  const tn_component *problem, *kappa;
  double alpha, gamma, epsilon, lambda, step, horizon;
  int64_t log_every;

  int64_t variables, planned;
  int64_t done;
  double *state; /* (2 variables + 2 HISTORY): x, m, and H and dH/dt at the last points, newest first */
  size_t state_bytes;
  double increase, rate_error;
};
#define POSITIVE(field, fallback, doc)                                                                   \
  TN_PARAM_(struct ode, field, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, fallback, 0, INFINITY, NULL, NULL, \
            NULL, doc)
static const tn_param ode_params[] = {
    TN_REFERENCE(struct ode, problem, TN_PARAM_REQUIRED, TN_PROBLEM, NULL,
                 "a vector problem with a gradient"),
    TN_REFERENCE(struct ode, kappa, 0, TN_KAPPA, "kappa.relativistic", "the convex function K"),
    POSITIVE(alpha, "1", "strength of the gradient"),
    POSITIVE(gamma, "1", "damping of the momentum"),
    POSITIVE(epsilon, "0.1", "how far the momentum looks ahead; at most 1 / gamma"),
    POSITIVE(lambda, "1", "weight decay"),
    POSITIVE(step, "1e-3", "length of a step"),
    POSITIVE(horizon, "10", "time at the end"),
    TN_INTEGER(struct ode, log_every, "0", 0, 1e15, "steps",
               "how often to emit an event; 0: some 500 in all"),
};

static tn_status ode_check(void *self) {
  struct ode *ode = self;
  tn_problem_info info;
  const tn_status status = tn_problem_describe(ode->problem, &info);
  if (status < 0) return status;
  if (info.variables == 0 || info.objectives != 1 || !tn_problem_has_gradient(ode->problem))
    return tn_fail(TN_ERROR_INVALID, "'%s': expected a vector problem with one objective and a gradient",
                   ode->problem->name);
  if (ode->epsilon * ode->gamma > 1)
    return tn_fail(TN_ERROR_INVALID, "epsilon = %g: expected at most 1 / gamma = %g", ode->epsilon,
                   1 / ode->gamma);
  ode->variables = info.variables;
  return TN_OK;
}

static tn_status ode_begin(void *self) {
  struct ode *ode = self;
  const tn_problem *problem = ode->problem->vtable;
  tn_free(ode->state);
  ode->done = 0;
  ode->increase = -INFINITY;
  ode->rate_error = 0;
  ode->planned = (int64_t)ceil(ode->horizon / ode->step - 1e-9);
  if (tn_smoke() && ode->planned > 3) ode->planned = 3;
  ode->state_bytes = (size_t)(2 * ode->variables + 2 * HISTORY) * sizeof *ode->state;
  if (!(ode->state = tn_alloc(ode->state_bytes))) return TN_ERROR_MEMORY;
  for (int i = 0; i < 2 * HISTORY; i++) ode->state[2 * ode->variables + i] = NAN;
  tn_rng rng = tn_rng_at(ode->problem->name, "start", 0);
  const tn_status status = tn_problem_begin(ode->problem);
  if (status < 0 || !TN_HAS(problem, tn_problem, start)) return status;
  return problem->start(ode->problem->self, ode->state, &rng);
}

/* ---- the flow ---- */

struct point {
  tn_tensor *x, *m; /* (variables) */
};
static struct point plus(struct point a, double t, struct point b) {
  return (struct point){tn_add(a.x, tn_scale(b.x, t)), tn_add(a.m, tn_scale(b.m, t))};
}
static double inner(tn_tensor *a, tn_tensor *b) { return tn_item(tn_sum(tn_mul(a, b))); }

/* What the equations name at a point. */
struct view {
  double value;          /* f */
  tn_tensor *mt, *slope; /* slope: grad K(mt) */
  struct point velocity;
};
static struct view look(const struct ode *ode, struct point p) {
  struct view v = {0};
  tn_tensor *g = tn_empty(TN_F64, TN_SHAPE(ode->variables));
  if (!tn_poisoned(g) && !tn_poisoned(p.x))
    tn_problem_gradient(ode->problem, tn_f64(p.x), tn_f64(g), &v.value);
  v.velocity.m = tn_neg(tn_add(tn_scale(g, ode->alpha), tn_scale(p.m, ode->gamma)));
  v.mt = tn_add(p.m, tn_scale(v.velocity.m, ode->epsilon));
  v.slope = tn_kappa_gradient(ode->kappa, v.mt);
  v.velocity.x = tn_sub(v.slope, tn_scale(p.x, ode->lambda));
  return v;
}

static double lyapunov(const struct ode *ode, struct point p, double value, double *rate) {
  const double lambda = ode->lambda, gamma = ode->gamma, epsilon = ode->epsilon;
  const double c = (1 - epsilon * gamma) / (1 + epsilon * lambda);
  tn_tensor *y = tn_scale(p.x, lambda);
  const struct view v = look(ode, p);
  const double conjugate = tn_kappa_conjugate(ode->kappa, y);
  const double one = inner(tn_sub(v.slope, y), tn_sub(v.mt, tn_kappa_conjugate_gradient(ode->kappa, y)));
  const double two = inner(tn_sub(v.mt, p.m), tn_sub(v.slope, tn_kappa_gradient(ode->kappa, p.m))) / epsilon;
  *rate = -(lambda + gamma) / (1 + epsilon * lambda) * one - c * two;
  return ode->alpha * value + gamma / lambda * conjugate +
         c * (conjugate + tn_kappa_value(ode->kappa, p.m) - inner(y, p.m));
}

/* ---- steps ---- */

static void ode_progress(void *self, tn_progress *progress) {
  const struct ode *ode = self;
  *progress =
      (tn_progress){.size = sizeof *progress, .mode = TN_TRAIN, .step = ode->done, .steps = ode->planned};
}

static double *history(const struct ode *ode) { return ode->state + 2 * ode->variables; }

/* Takes note of H and dH/dt at a further point. */
static void note(struct ode *ode, double H, double rate) {
  double *h = history(ode), *rates = h + HISTORY;
  memmove(h + 1, h, (HISTORY - 1) * sizeof *h);
  memmove(rates + 1, rates, (HISTORY - 1) * sizeof *rates);
  h[0] = H;
  rates[0] = rate;
  const double slope = (-h[0] + 8 * h[1] - 8 * h[3] + h[4]) / (12 * ode->step); /* at the middle one */
  if (isfinite(h[0]) && isfinite(h[1])) ode->increase = fmax(ode->increase, h[0] - h[1]);
  if (isfinite(slope)) ode->rate_error = fmax(ode->rate_error, fabs(slope - rates[2]));
}

static void report(const struct ode *ode, struct point p, double value, bool last) {
  const tn_scalar_value figures[] = {{"value", value},
                                     {"H", history(ode)[0]},
                                     {"rate", history(ode)[HISTORY]},
                                     {"increase", ode->increase},
                                     {"rate_error", ode->rate_error},
                                     {"norm", tn_kappa_norm(ode->kappa, tn_scale(p.x, ode->lambda))},
                                     {"time", (double)ode->done * ode->step}};
  tn_progress progress;
  ode_progress((void *)(uintptr_t)ode, &progress);
  tn_emit_step(&progress, figures, TN_ARRAY_LENGTH(figures));
  for (uint32_t i = 0; last && i < TN_ARRAY_LENGTH(figures); i++)
    if (isfinite(figures[i].value)) tn_emit_result(figures[i].name, figures[i].value);
}

static tn_status ode_step(void *self) {
  struct ode *ode = self;
  const int64_t n = ode->variables;
  const double h = ode->step;
  const bool recording = tn_record(false);
  struct point p = {tn_from(TN_F64, TN_SHAPE(n), ode->state), tn_from(TN_F64, TN_SHAPE(n), ode->state + n)};
  const struct view a = look(ode, p);
  double rate;
  if (ode->done == 0) {
    const double H = lyapunov(ode, p, a.value, &rate);
    note(ode, H, rate);
    report(ode, p, a.value, false);
  }
  const struct point b = look(ode, plus(p, h / 2, a.velocity)).velocity;
  const struct point c = look(ode, plus(p, h / 2, b)).velocity;
  const struct point d = look(ode, plus(p, h, c)).velocity;
  p = plus(plus(plus(plus(p, h / 6, a.velocity), h / 3, b), h / 3, c), h / 6, d);
  ode->done++;
  const double value = look(ode, p).value, H = lyapunov(ode, p, value, &rate);
  tn_record(recording);
  if (tn_failed()) return tn_outcome();
  memcpy(ode->state, tn_f64(p.x), (size_t)n * sizeof *ode->state);
  memcpy(ode->state + n, tn_f64(p.m), (size_t)n * sizeof *ode->state);
  if (!isfinite(value))
    return tn_fail(TN_ERROR_DIVERGED, "f became %g at time %g", value, (double)ode->done * h);
  note(ode, H, rate);
  const bool last = ode->done >= ode->planned;
  const int64_t every = ode->log_every > 0 ? ode->log_every : (ode->planned + 499) / 500;
  if (last || ode->done % every == 0) report(ode, p, value, last);
  return last ? TN_DONE : TN_OK;
}

static void ode_destroy(void *self) { tn_free(((struct ode *)self)->state); }
static tn_status ode_state(void *self, const tn_visitor *visitor) {
  struct ode *ode = self;
  void *state = ode->state;
  tn_visit_integer(visitor, "done", &ode->done);
  tn_visit_real(visitor, "increase", &ode->increase);
  tn_visit_real(visitor, "rate_error", &ode->rate_error);
  const tn_status status = tn_visit_block(visitor, "point", &state, &ode->state_bytes);
  ode->state = state;
  return status;
}

static const tn_stage ode_table = {sizeof ode_table, ode_check, ode_begin, ode_step, NULL, ode_progress};
static const tn_class ode_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "ode",
    .summary = "Integrates Lion-K's continuous-time flow and watches its Lyapunov function",
    .reference = "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    TN_CLASS_PARAMS(ode_params),
    .instance_size = sizeof(struct ode),
    .vtable = &ode_table,
    .destroy = ode_destroy,
    .state = ode_state};
TN_PLUGIN("stage_ode", "1.0.0", "MIT", &ode_class)
