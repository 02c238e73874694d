// SPDX-License-Identifier: MIT
/* problem.foreign: the objective, and possibly its gradient, are C functions. */
#include "binding.h"
#include "foreign.h"
#include "number.h"

#include <float.h>
#include <tenon/problem.h>

typedef struct problem {
  foreign_keys keys;
  int64_t variables, objectives, constraints;
  tn_reals lower, upper, step, start, optimum;
  const char *gradient, *gradient_signature;
  bool concurrent;
  double *bounds; /* lower, upper, step: (3, variables) */
  foreign_keys slope_keys;
  foreign_binding function, slope; /* slope: the gradient as a function of its own */
} problem;

enum { N, M, X, Y, G, DATA };
static const foreign_role roles[] = {
    [N] = {"n", FOREIGN_NUMBER}, [M] = {"m", FOREIGN_NUMBER}, [X] = {"x", FOREIGN_INPUT},
    [Y] = {"y", FOREIGN_OUTPUT}, [G] = {"g", FOREIGN_OUTPUT}, [DATA] = {"data", FOREIGN_POINTER},
};

/* ---- configuration ---- */

/* One value for all variables, or one for each. */
static tn_status spread(const char *key, tn_reals list, int64_t n, double fallback, double *values) {
  if (list.count > 1 && list.count != n)
    return tn_fail(TN_ERROR_INVALID, "%s: 1 value or %lld expected, got %u", key, (long long)n, list.count);
  for (int64_t i = 0; i < n; i++)
    values[i] = list.count == 0 ? fallback : list.items[list.count == 1 ? 0 : i];
  return TN_OK;
}

static tn_status fill_bounds(problem *p) {
  int64_t n = p->variables;
  p->bounds = tn_alloc((size_t)n * 3 * sizeof(double));
  if (!p->bounds) return TN_ERROR_MEMORY;
  double *lower = p->bounds, *upper = lower + n, *step = upper + n, ignored[1];
  tn_status status = spread("lower", p->lower, n, -INFINITY, lower);
  if (status == TN_OK) status = spread("upper", p->upper, n, INFINITY, upper);
  if (status == TN_OK) status = spread("step", p->step, n, 0, step);
  if (status == TN_OK && p->start.count > 1) // only counted here
    status = p->start.count == n ? TN_OK : spread("start", p->start, n, 0, ignored);
  for (int64_t i = 0; status == TN_OK && i < n; i++)
    if (!(lower[i] <= upper[i]))
      return tn_fail(TN_ERROR_INVALID, "lower: %g is above upper, %g, in variable %lld", lower[i], upper[i],
                     (long long)i + 1);
  return status;
}

static tn_status bind_function(problem *p) {
  tn_status status = foreign_signature_parse(p->keys.signature, &p->function.signature);
  if (status == TN_OK)
    status = foreign_bind(&p->function, &p->keys, roles, TN_ARRAY_LENGTH(roles), !p->concurrent);
  if (status != TN_OK) return status;
  if (!foreign_plays(&p->function, X))
    return foreign_signature_fail(p->keys.signature, 1, "no argument is the point, const double *x");
  int64_t figures = p->objectives + p->constraints;
  bool outputs = foreign_plays(&p->function, Y) != NULL;
  if (!outputs && p->function.signature.function.result.class == FOREIGN_VOID)
    return foreign_signature_fail(p->keys.signature, 1, "it returns no number and writes none to double *y");
  if (!outputs && figures > 1)
    return foreign_signature_fail(p->keys.signature, 1,
                                  "%lld objectives and constraints need an argument double *y",
                                  (long long)figures);
  return TN_OK;
}

static tn_status bind_slope(problem *p) {
  p->slope_keys = (foreign_keys){p->keys.library, p->gradient, p->gradient_signature, NULL};
  tn_status status = foreign_signature_parse(p->gradient_signature, &p->slope.signature);
  if (status == TN_OK)
    status = foreign_bind(&p->slope, &p->slope_keys, roles, TN_ARRAY_LENGTH(roles), !p->concurrent);
  if (status == TN_OK && !foreign_plays(&p->slope, G))
    return foreign_signature_fail(p->gradient_signature, 1, "no argument is the gradient, double *g");
  return status;
}

static tn_status create(void *self) {
  problem *p = self;
  tn_status status = bind_function(p);
  if (status == TN_OK && p->gradient[0]) status = bind_slope(p);
  return status == TN_OK ? fill_bounds(p) : status;
}

static void destroy(void *self) {
  problem *p = self;
  foreign_unbind(&p->function);
  foreign_unbind(&p->slope);
  tn_free(p->bounds);
}

static tn_status describe(void *self, tn_problem_info *info) {
  const problem *p = self;
  info->objectives = (uint32_t)p->objectives;
  info->variables = p->variables;
  info->constraints = p->constraints;
  info->optimum = p->optimum.count ? p->optimum.items[0] : NAN;
  info->lower = p->lower.count ? p->bounds : NULL;
  info->upper = p->upper.count ? p->bounds + p->variables : NULL;
  info->step = p->step.count ? p->bounds + 2 * p->variables : NULL;
  return TN_OK;
}

/* ---- evaluation ---- */

/* Calls `binding` at the point (variables) and unpacks what it wrote and returned. Memory for the arguments,
 * `room`, holds 8 bytes for each of variables + figures + variables. y and g may be NULL. */
static tn_status call(problem *p, foreign_binding *binding, const double *point, char *room, double *y,
                      double *g) {
  size_t n = (size_t)p->variables, figures = (size_t)(p->objectives + p->constraints);
  const foreign_argument *x_argument = foreign_plays(binding, X), *y_argument = foreign_plays(binding, Y),
                         *g_argument = foreign_plays(binding, G);
  void *x_room = room, *y_room = room + 8 * n, *g_room = room + 8 * (n + figures);
  if (x_argument && !foreign_write_all(x_argument->type, point, n, x_room))
    return tn_fail(TN_ERROR_INVALID, "a variable does not fit the type of x in '%s'", p->keys.signature);
  const foreign_value values[] = {
      [N] = {.number = (double)n},
      [M] = {.number = (double)figures},
      [X] = {.pointer = x_room},
      [Y] = {.pointer = y_room},
      [G] = {.pointer = g ? g_room : NULL}, // NULL: no gradient wanted, as in
                                            // NLopt
      [DATA] = {.pointer = NULL},
  };
  double result = NAN;
  tn_status status = foreign_call(binding, values, &result);
  if (status != TN_OK) return status;
  if (y && y_argument)
    foreign_read_all(y_argument->type, y_room, figures, y);
  else if (y)
    y[0] = result;
  if (g && g_argument) foreign_read_all(g_argument->type, g_room, n, g);
  return TN_OK;
}

static char *make_room(const problem *p) {
  return tn_alloc(8 * (size_t)(2 * p->variables + p->objectives + p->constraints));
}

static tn_status evaluate(void *self, const double *points, int64_t n, double *values) {
  problem *p = self;
  char *room = make_room(p);
  if (!room) return TN_ERROR_MEMORY;
  tn_status status = TN_OK;
  for (int64_t i = 0; i < n && status == TN_OK; i++)
    status = call(p, &p->function, points + i * p->variables, room,
                  values + i * (p->objectives + p->constraints), NULL);
  tn_free(room);
  return status;
}

/* (f(x + h) - f(x - h)) / 2h along every axis, h about the cube root of the rounding error; one-sided at a
 * bound. */
static tn_status differences(problem *p, const double *point, char *room, double *gradient, double *value) {
  int64_t n = p->variables;
  const double *lower = p->bounds, *upper = lower + n;
  size_t figures = (size_t)(p->objectives + p->constraints);
  double *work = tn_alloc(((size_t)n + 2 * figures) * sizeof(double));
  if (!work) return TN_ERROR_MEMORY;
  double *x = work, *above = work + n, *below = above + figures;
  for (int64_t i = 0; i < n; i++) x[i] = point[i];
  tn_status status = call(p, &p->function, point, room, above, NULL);
  *value = above[0];
  for (int64_t i = 0; i < n && status == TN_OK; i++) {
    double h = cbrt(DBL_EPSILON) * fmax(1, fabs(point[i]));
    double right = fmin(point[i] + h, upper[i]), left = fmax(point[i] - h, lower[i]);
    x[i] = right;
    status = call(p, &p->function, x, room, above, NULL);
    x[i] = left;
    if (status == TN_OK) status = call(p, &p->function, x, room, below, NULL);
    x[i] = point[i];
    gradient[i] = right > left ? (above[0] - below[0]) / (right - left) : 0;
  }
  tn_free(work);
  return status;
}

static tn_status gradient(void *self, const double *point, double *g, double *value) {
  problem *p = self;
  char *room = make_room(p);
  if (!room) return TN_ERROR_MEMORY;
  size_t figures = (size_t)(p->objectives + p->constraints);
  double *y = tn_alloc(figures * sizeof(double));
  tn_status status = y ? TN_OK : TN_ERROR_MEMORY;
  if (y && p->gradient[0]) {
    status = call(p, &p->function, point, room, y, NULL);
    if (status == TN_OK) status = call(p, &p->slope, point, room, NULL, g);
    *value = y[0];
  } else if (y && foreign_plays(&p->function, G)) {
    status = call(p, &p->function, point, room, y, g);
    *value = y[0];
  } else if (y)
    status = differences(p, point, room, g, value);
  tn_free(y);
  tn_free(room);
  return status;
}

static tn_status start(void *self, double *point, tn_rng *rng) {
  const problem *p = self;
  (void)rng;
  const double *lower = p->bounds, *upper = lower + p->variables;
  for (int64_t i = 0; i < p->variables; i++) {
    if (p->start.count)
      point[i] = p->start.items[p->start.count == 1 ? 0 : i];
    else if (isfinite(lower[i]) && isfinite(upper[i]))
      point[i] = lower[i] + (upper[i] - lower[i]) / 2;
    else
      point[i] = fmin(fmax(0, lower[i]), upper[i]);
  }
  return TN_OK;
}

static const tn_problem vtable = {
    .size = sizeof vtable,
    .describe = describe,
    .evaluate = evaluate,
    .gradient = gradient,
    .start = start,
};
static const tn_param params[] = {
    FOREIGN_KEYS(problem),
    {"variables", TN_PARAM_INTEGER, TN_PARAM_REQUIRED, offsetof(problem, variables), NULL, 1, 1e8, NULL, NULL,
     NULL, "number of variables, n"},
    TN_INTEGER(problem, objectives, "1", 1, 1000, NULL, "number of objectives, the first values in y"),
    TN_INTEGER(problem, constraints, "0", 0, 1e6, NULL, "number of constraints g(x) <= 0, after them in y"),
    TN_REALS(problem, lower, "", -INFINITY, INFINITY, "lower bounds: one for all variables, or one for each"),
    TN_REALS(problem, upper, "", -INFINITY, INFINITY, "upper bounds"),
    TN_REALS(problem, step, "", 0, INFINITY, "grid steps of discrete variables, 0 for continuous ones"),
    TN_REALS(problem, start, "", -INFINITY, INFINITY, "point to start from; empty: the middle of the bounds"),
    TN_REALS(problem, optimum, "", -INFINITY, INFINITY, "best known value; empty: unknown"),
    TN_STRING(
        problem, gradient, "",
        "function that computes the gradient; empty: the argument g of `symbol`, or central differences"),
    TN_STRING(problem, gradient_signature, "void (int n, const double *x, double *g)", "its C prototype"),
    TN_BOOL(problem, concurrent, "no", "the functions may run in several threads at once"),
};
const tn_class foreign_problem_class = {
    .size = sizeof(tn_class),
    .kind = TN_PROBLEM,
    .name = "foreign",
    .summary = "Objective from a C function of any shared library",
    .reference = "libffi, https://sourceware.org/libffi",
    TN_CLASS_PARAMS(params),
    .instance_size = sizeof(problem),
    .vtable = &vtable,
    .create = create,
    .destroy = destroy,
};
