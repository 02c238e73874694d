// SPDX-License-Identifier: MIT
/* Projected (proximal) gradient descent with a fixed step, for reference solutions:
 *   minimise f(x) + ridge/2 |x|^2 + lasso |x|_1  over a box, a ball, an L1 ball or the problem's bounds
 *   x <- P(S(x - s (grad f(x) + ridge x), s lasso)),  s = 1 / (L + ridge)
 * S shrinks magnitudes by its second argument, P is the projection; P after S is the proximal map of both,
 * for each of these sets. L is the problem's smoothness, or found by halving s until f lies below its
 * quadratic bound. Done when no coordinate moves by more than `tolerance` (1 + its magnitude). */
#include <string.h>
#include <tenon/solver.h>

enum { SET_BOUNDS, SET_BOX, SET_BALL, SET_L1 };
struct projected_gradient {
  int32_t set;
  double radius, ridge, lasso, tolerance;
  int64_t most;

  const tn_component *problem;
  tn_problem_info info;
  double *x, *next, *slope; /* (variables) */
  double smoothness;        /* L in force */
  double value;             /* at x, with the penalties */
  int64_t iterations, evaluations;
};
static const tn_param projected_gradient_params[] = {
    TN_CHOICE(struct projected_gradient, set, "bounds", "bounds|box|ball|l1",
              "the problem's bounds; max |x_i|, |x| or sum |x_i| at most `radius`"),
    TN_REAL(struct projected_gradient, radius, "1", 0, INFINITY, "size of the set"),
    TN_REAL(struct projected_gradient, ridge, "0", 0, INFINITY, "factor of |x|^2 / 2 in the objective"),
    TN_REAL(struct projected_gradient, lasso, "0", 0, INFINITY, "factor of |x|_1 in the objective"),
    TN_REAL(struct projected_gradient, tolerance, "1e-12", 0, 1, "relative step at which it stops"),
    TN_INTEGER(struct projected_gradient, most, "1000000", 1, 1e15, "iterations",
               "after which it stops anyway"),
};

static void projected_gradient_release(struct projected_gradient *p) {
  tn_free(p->x);
  tn_free(p->next);
  tn_free(p->slope);
  p->x = p->next = p->slope = NULL;
}

/* ---- the set ---- */

static double sign_times(double x, double magnitude) { return x < 0 ? -magnitude : magnitude; }

/* Soft thresholding to sum |x_i| <= radius; the threshold is found by halving (Duchi et al. 2008 find it by
 * sorting). */
static double l1_threshold(const double *x, int64_t n, double radius) {
  double low = 0, high = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += fabs(x[i]);
    high = fmax(high, fabs(x[i]));
  }
  if (sum <= radius) return 0;
  for (int turn = 0; turn < 200 && low < high; turn++) {
    const double middle = (low + high) / 2;
    if (middle == low || middle == high) break;
    sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fmax(fabs(x[i]) - middle, 0);
    if (sum > radius)
      low = middle;
    else
      high = middle;
  }
  return high;
}

static void shrink(double *x, int64_t n, double by) {
  for (int64_t i = 0; i < n; i++) x[i] = sign_times(x[i], fmax(fabs(x[i]) - by, 0));
}

static void project(const struct projected_gradient *p, double *x) {
  const int64_t n = p->info.variables;
  double square = 0;
  switch (p->set) {
  case SET_BOX:
    for (int64_t i = 0; i < n; i++) x[i] = fmin(fmax(x[i], -p->radius), p->radius);
    return;
  case SET_BALL:
    for (int64_t i = 0; i < n; i++) square += x[i] * x[i];
    if (square <= p->radius * p->radius) return;
    for (int64_t i = 0; i < n; i++) x[i] *= p->radius / sqrt(square);
    return;
  case SET_L1: shrink(x, n, l1_threshold(x, n, p->radius)); return;
  default:
    for (int64_t i = 0; i < n; i++) {
      if (p->info.lower) x[i] = fmax(x[i], p->info.lower[i]);
      if (p->info.upper) x[i] = fmin(x[i], p->info.upper[i]);
    }
  }
}

/* ---- the objective ---- */

/* f + ridge/2 |x|^2 and, into `slope` if it is not NULL, its gradient. */
static tn_status smooth_part(struct projected_gradient *p, const double *x, double *slope, double *value) {
  tn_status status =
      slope ? tn_problem_gradient(p->problem, x, slope, value) : tn_problem_evaluate(p->problem, x, 1, value);
  p->evaluations++;
  for (int64_t i = 0; status >= 0 && i < p->info.variables; i++) {
    *value += p->ridge / 2 * x[i] * x[i];
    if (slope) slope[i] += p->ridge * x[i];
  }
  return status;
}
static double absolute_part(const struct projected_gradient *p, const double *x) {
  double sum = 0;
  for (int64_t i = 0; i < p->info.variables; i++) sum += fabs(x[i]);
  return p->lasso * sum;
}

/* ---- solving ---- */

static tn_status projected_gradient_begin(void *self, const tn_component *problem) {
  struct projected_gradient *p = self;
  tn_status status = tn_problem_describe(problem, &p->info);
  if (status < 0) return status;
  if (p->info.objectives != 1 || p->info.variables == 0 || p->info.constraints != 0 ||
      !tn_problem_has_gradient(problem))
    return tn_fail(TN_ERROR_INVALID,
                   "'%s': expected a vector problem with one objective, a gradient and no constraints",
                   problem->name);
  projected_gradient_release(p);
  const size_t bytes = (size_t)p->info.variables * sizeof(double);
  p->problem = problem;
  p->x = tn_alloc(bytes);
  p->next = tn_alloc(bytes);
  p->slope = tn_alloc(bytes);
  if (!p->x || !p->next || !p->slope) return TN_ERROR_MEMORY;
  const tn_problem *table = problem->vtable;
  tn_rng rng = tn_rng_at(problem->name, "start", 0);
  if (TN_HAS(table, tn_problem, start)) status = table->start(problem->self, p->x, &rng);
  if (status < 0) return status;
  project(p, p->x);
  p->iterations = p->evaluations = 0;
  p->smoothness =
      isfinite(p->info.smoothness) && p->info.smoothness > 0 ? p->info.smoothness + p->ridge : 1e-3;
  status = smooth_part(p, p->x, NULL, &p->value);
  p->value += absolute_part(p, p->x);
  return status;
}

/* A step from x to next with L = smoothness; *bound: what its quadratic model says of the smooth part there.
 */
static void move(struct projected_gradient *p, double value, double *bound) {
  const int64_t n = p->info.variables;
  for (int64_t i = 0; i < n; i++) p->next[i] = p->x[i] - p->slope[i] / p->smoothness;
  shrink(p->next, n, p->lasso / p->smoothness);
  project(p, p->next);
  *bound = value;
  for (int64_t i = 0; i < n; i++) {
    const double d = p->next[i] - p->x[i];
    *bound += p->slope[i] * d + p->smoothness / 2 * d * d;
  }
}

static tn_status projected_gradient_step(void *self, tn_solver_status *result) {
  struct projected_gradient *p = self;
  double here, there, bound;
  bool moves = false;
  tn_status status = smooth_part(p, p->x, p->slope, &here);
  do {
    if (status < 0) return status;
    move(p, here, &bound);
    status = smooth_part(p, p->next, NULL, &there);
    if (there <= bound + 1e-12 * (1 + fabs(bound))) break;
    p->smoothness *= 2;
  } while (isfinite(p->smoothness));
  const double next = there + absolute_part(p, p->next);
  for (int64_t i = 0; i < p->info.variables; i++)
    moves = moves || fabs(p->next[i] - p->x[i]) > p->tolerance * (1 + fabs(p->x[i]));
  memcpy(p->x, p->next, (size_t)p->info.variables * sizeof *p->x);
  p->value = fmin(p->value, next); /* rounding, at the end, may lead upwards */
  p->iterations++;
  result->iterations = p->iterations;
  result->evaluations = p->evaluations;
  result->value = p->value;
  result->bound = -INFINITY;
  return status < 0 ? status : moves && p->iterations < p->most ? TN_OK : TN_DONE;
}

static tn_status projected_gradient_best(void *self, double *point) {
  const struct projected_gradient *p = self;
  memcpy(point, p->x, (size_t)p->info.variables * sizeof *point);
  return TN_OK;
}

static void projected_gradient_destroy(void *self) { projected_gradient_release(self); }
static tn_status projected_gradient_state(void *self, const tn_visitor *visitor) {
  struct projected_gradient *p = self;
  size_t bytes = p->x ? (size_t)p->info.variables * sizeof *p->x : 0;
  void *x = p->x;
  tn_visit_integer(visitor, "iterations", &p->iterations);
  tn_visit_integer(visitor, "evaluations", &p->evaluations);
  tn_visit_real(visitor, "smoothness", &p->smoothness);
  tn_visit_real(visitor, "value", &p->value);
  const tn_status status = tn_visit_block(visitor, "x", &x, &bytes);
  p->x = x;
  return status;
}

static const tn_class projected_gradient_class = {
    .size = sizeof(tn_class),
    .kind = TN_SOLVER,
    .name = "projected_gradient",
    .summary = "Projected or proximal gradient descent to high precision, in a box, a ball or an L1 ball",
    .reference = "Beck and Teboulle 2009, A Fast Iterative Shrinkage-Thresholding Algorithm, section 2",
    TN_CLASS_PARAMS(projected_gradient_params),
    .instance_size = sizeof(struct projected_gradient),
    .vtable = &(const tn_solver){.size = sizeof(tn_solver),
                                 .begin = projected_gradient_begin,
                                 .step = projected_gradient_step,
                                 .best = projected_gradient_best},
    .destroy = projected_gradient_destroy,
    .state = projected_gradient_state};
TN_PLUGIN("solver_projected_gradient", "1.0.0", "MIT", &projected_gradient_class)
