// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "component.h"
#include "tests/expect.h"
#include <tenon/metric.h>
#include <tenon/problem.h>
#include <tenon/schedule.h>
#include <tenon/solver.h>

TestSuite(foreign, .init = foreign_start);

static const tn_component *make(const char *kind, const char *section) {
  const tn_component *component = foreign_make(kind, section);
  cr_assert(component != NULL, "%s", foreign_message());
  return component;
}

static void expect_refused(const char *kind, const char *section, const char *wanted) {
  const tn_component *component = foreign_make(kind, section);
  cr_assert(component == NULL, "expected \"%s\", got success", wanted);
  EXPECT_CONTAINS(foreign_message(), wanted);
  cr_assert(strchr(foreign_message(), '\n') == NULL);
}

static void expect_near(double got, double wanted, double tolerance) {
  cr_assert(fabs(got - wanted) <= tolerance, "expected %.17g, got %.17g", wanted, got);
}

/* ---- schedules ---- */

static double factor_of(const char *section, int64_t step) {
  const tn_component *schedule = make("schedule", section);
  tn_progress progress = {sizeof progress, TN_TRAIN, step, 100, (double)step / 10, 10};
  double factor = tn_schedule_factor(schedule, &progress);
  foreign_drop(schedule);
  return factor;
}

/* The argument of libm's exp is a formula over what a schedule knows. */
Test(foreign, the_c_library_makes_an_exponential_decay) {
  const char *section =
      "library = libm.so.6\nsymbol = exp\nsignature = double exp(double x)\narguments = x = -5 * t\n";
  for (int64_t step = 0; step <= 100; step += 25)
    EXPECT_REAL(factor_of(section, step), exp(-5 * (double)step / 100));
}

Test(foreign, the_c_library_makes_a_cosine_decay) {
  const char *section = "library = libm.so.6\nsymbol = cos\nsignature = double (double x)\n"
                        "arguments = x = 3.141592653589793 * step / steps\nresult = (1 + value) / 2\n";
  expect_near(factor_of(section, 0), 1, 0);
  expect_near(factor_of(section, 50), 0.5, 1e-15);
  expect_near(factor_of(section, 100), 0, 1e-15);
}

Test(foreign, roles_are_passed_by_name_and_constants_by_arguments) {
  const char *section = "library = @/functions.so\nsymbol = staircase\n"
                        "signature = double (long step, long every, double drop)\n"
                        "arguments = every = 10, drop = min(0.5, 3)\n";
  EXPECT_REAL(factor_of(section, 9), 1);
  EXPECT_REAL(factor_of(section, 10), 0.5);
  EXPECT_REAL(factor_of(section, 35), 0.125);
}

Test(foreign, every_scalar_type_arrives) {
  const char *section =
      "library = @/odd.so\nsymbol = mixed\n"
      "signature = double (int8_t a, uint8_t b, int16_t c, uint16_t d, int32_t e, uint32_t f, int64_t g, "
      "uint64_t h,"
      " float i, double j, bool k, char l, size_t m, unsigned long long o)\n"
      "arguments = a=-128, b=255, c=-32768, d=65535, e=-2147483648, f=4294967295, g=-9007199254740992,"
      " h=9007199254740992, i=0.5, j=0.25, k=7, l=1, m=2, o=2147483648\n";
  double wanted =
      -128 + 255 - 32768 + 65535 - 2147483648.0 + 4294967295.0 + 0.5 + 0.25 + 1 + 1 + 2 + 2147483648.0;
  EXPECT_REAL(factor_of(section, 0), wanted);
}

Test(foreign, every_result_type_returns) {
  static const struct {
    const char *signature, *symbol;
    double value;
  } cases[] = {
      {"signed char (void)", "narrow_negative", -5}, {"unsigned char ()", "narrow_positive", 250},
      {"short (void)", "short_negative", -300},      {"bool (void)", "yes", 1},
      {"float (float t)", "single", 0.25},           {"int64_t (void)", "wide", -1099511627776.0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char section[512];
    snprintf(section, sizeof section,
             "library = @/odd.so\nsymbol = %s\nsignature = %s\nresult = value + 2000000000000\n",
             cases[i].symbol, cases[i].signature);
    EXPECT_REAL(factor_of(section, 50), cases[i].value + 2e12);
  }
}

Test(foreign, a_factor_that_is_none_is_an_error) {
  EXPECT_REAL(factor_of("library = @/odd.so\nsymbol = not_finite\nsignature = double (void)\n", 3), 0);
  EXPECT_TEXT(foreign_message(), "the factor at step 3 is nan; it must be finite and not negative");
  EXPECT_REAL(factor_of("library = @/odd.so\nsymbol = negative\nsignature = double (void)\n", 3), 0);
  EXPECT_TEXT(foreign_message(), "the factor at step 3 is -1; it must be finite and not negative");
  const char *section =
      "library = @/functions.so\nsymbol = staircase\n"
      "signature = double (long step, long every, double drop)\narguments = every = t, drop = 1\n";
  EXPECT_REAL(factor_of(section, 50), 0);
  EXPECT_TEXT(foreign_message(), "argument 'every' cannot hold 0.5");
}

/* ---- problems ---- */

static const char *const rosenbrock = "library = @/functions.so\nsymbol = rosenbrock\n"
                                      "signature = double (int n, const double *x)\nvariables = 3\n";

static void evaluate(const tn_component *problem, const double *points, int64_t n, double *values) {
  tn_status status = ((const tn_problem *)problem->vtable)->evaluate(problem->self, points, n, values);
  cr_assert(status == TN_OK, "%s", foreign_message());
}
static double gradient(const tn_component *problem, const double *point, double *g) {
  double value = NAN;
  tn_status status = ((const tn_problem *)problem->vtable)->gradient(problem->self, point, g, &value);
  cr_assert(status == TN_OK, "%s", foreign_message());
  return value;
}

Test(foreign, a_function_is_a_problem) {
  const tn_component *problem = make("problem", rosenbrock);
  const double points[] = {1, 1, 1, 0, 0, 0, -1, 2, 3};
  double values[3];
  evaluate(problem, points, 3, values);
  EXPECT_REAL(values[0], 0);
  EXPECT_REAL(values[1], 2);
  EXPECT_REAL(values[2], 4 + 100 + 1 + 100);
  tn_problem_info info = {.size = sizeof info};
  ((const tn_problem *)problem->vtable)->describe(problem->self, &info);
  EXPECT_INT(info.variables, 3);
  EXPECT_INT(info.objectives, 1);
  cr_assert(info.lower == NULL && info.upper == NULL && info.step == NULL && isnan(info.optimum));
  foreign_drop(problem);
}

Test(foreign, gradients_come_from_a_symbol_an_argument_or_differences) {
  const double point[] = {-1.5, 0.75, 2};
  double exact[3], g[3];
  char section[512];
  snprintf(section, sizeof section, "%sgradient = rosenbrock_gradient\n", rosenbrock);
  const tn_component *with = make("problem", section), *without = make("problem", rosenbrock);
  double value;
  evaluate(with, point, 1, &value);
  EXPECT_REAL(gradient(with, point, exact), value);
  // d/dx0 = -2 (1 - x0) - 400 x0 (x1 - x0^2)
  EXPECT_REAL(exact[0], -2 * 2.5 - 400 * -1.5 * (0.75 - 2.25));
  EXPECT_REAL(gradient(without, point, g), value);
  for (int i = 0; i < 3; i++) expect_near(g[i], exact[i], 1e-6 * fabs(exact[i]));
  foreign_drop(with);
  foreign_drop(without);

  const tn_component *nlopt =
      make("problem", "library = @/odd.so\nsymbol = nlopt_form\nvariables = 3\n"
                      "signature = double (unsigned n, const double *x, double *g, void *data)\n");
  EXPECT_REAL(gradient(nlopt, point, g), 2.25 + 0.0625);
  EXPECT_REAL(g[0], -3);
  EXPECT_REAL(g[1], -0.5);
  EXPECT_REAL(g[2], 0);
  foreign_drop(nlopt);
}

Test(foreign, several_figures_and_other_types_are_converted) {
  const tn_component *problem = make(
      "problem",
      "library = @/odd.so\nsymbol = three\nsignature = void (float *x, int n, float *y, int m)\n"
      "variables = 2\nobjectives = 2\nconstraints = 1\nlower = -1, -2\nupper = 5\nstep = 0.5\noptimum = 1\n");
  const double points[] = {0.5, 0.25, 3, 4};
  double values[6];
  evaluate(problem, points, 2, values);
  const double wanted[] = {0.5, 0.25, 3, 3, 4, 3};
  for (int i = 0; i < 6; i++) EXPECT_REAL(values[i], wanted[i]);
  EXPECT_REAL(points[0], 0.5); // the function spoils its copy only
  tn_problem_info info = {.size = sizeof info};
  ((const tn_problem *)problem->vtable)->describe(problem->self, &info);
  EXPECT_REAL(info.lower[1], -2);
  EXPECT_REAL(info.upper[1], 5);
  EXPECT_REAL(info.step[0], 0.5);
  EXPECT_REAL(info.optimum, 1);
  double start[2];
  tn_rng rng = {0, 0, 0};
  ((const tn_problem *)problem->vtable)->start(problem->self, start, &rng);
  EXPECT_REAL(start[0], 2);
  EXPECT_REAL(start[1], 1.5);
  foreign_drop(problem);
}

Test(foreign, whole_variables_must_be_whole) {
  const tn_component *problem = make("problem", "library = @/odd.so\nsymbol = on_grid\nvariables = 2\n"
                                                "signature = int (const int32_t *x, long n)\n");
  double value;
  evaluate(problem, (const double[]){-7, 0}, 1, &value);
  EXPECT_REAL(value, -14);
  tn_status status =
      ((const tn_problem *)problem->vtable)->evaluate(problem->self, (const double[]){0.5, 0}, 1, &value);
  EXPECT_INT(status, TN_ERROR_INVALID);
  EXPECT_TEXT(foreign_message(), "a variable does not fit the type of x in 'int (const int32_t *x, long n)'");
  foreign_drop(problem);
}

/* ---- solvers ---- */

static tn_solver_status solve(const tn_component *solver, const tn_component *problem, double *best) {
  cr_assert(tn_solver_begin(solver, problem) == TN_OK, "%s", foreign_message());
  tn_solver_status status = {.size = sizeof status};
  tn_status result;
  while ((result = tn_solver_step(solver, &status)) == TN_OK) {
  }
  cr_assert(result == TN_DONE, "%s", foreign_message());
  ((const tn_solver *)solver->vtable)->best(solver->self, best);
  return status;
}

Test(foreign, a_library_minimises_a_problem_through_a_callback) {
  char section[512];
  snprintf(section, sizeof section, "%sstart = -1\n", rosenbrock);
  const tn_component *problem = make("problem", section);
  const tn_component *solver =
      make("solver", "library = @/functions.so\nsymbol = compass_search\n"
                     "signature = double (double (*f)(int, const double *), int n, double *x, double step,"
                     " double tolerance)\narguments = step = 0.5, tolerance = 1e-7\ncalls = 2\n");
  double best[3];
  tn_solver_status status = solve(solver, problem, best);
  EXPECT_INT(status.iterations, 2);
  cr_assert(status.evaluations > 100 && status.value < 1e-5, "value %g", status.value);
  for (int i = 0; i < 3; i++) expect_near(best[i], 1, 1e-2);
  double value;
  evaluate(problem, best, 1, &value);
  EXPECT_REAL(value, status.value);
  foreign_drop(solver);
  foreign_drop(problem);
}

Test(foreign, a_callback_serves_values_gradients_floats_and_bounds) {
  const tn_component *problem =
      make("problem", "library = @/odd.so\nsymbol = nlopt_form\nvariables = 3\nlower = 0\nupper = 1, 1, 1.5\n"
                      "signature = double (unsigned n, const double *x, double *g, void *data)\n");
  const tn_component *solver = make(
      "solver", "library = @/odd.so\nsymbol = descend\n"
                "signature = int (void (*f)(const float *x, int n, float *y, float *g, void *data), int n,"
                " float *x, long iterations, void *data, const double *lower, const double *upper)\n"
                "arguments = iterations = 40\n");
  double best[3];
  tn_solver_status status = solve(solver, problem, best);
  expect_near(best[0], 0, 1e-6);
  expect_near(best[1], 1, 1e-6);
  expect_near(best[2], 1.5, 0); // at its bound
  expect_near(status.value, 0.25, 1e-6);
  EXPECT_INT(status.evaluations, 41); // and the point it leaves
  foreign_drop(solver);
  foreign_drop(problem);
}

Test(foreign, points_outside_the_bounds_are_worth_nothing) {
  const tn_component *problem =
      make("problem", "library = @/odd.so\nsymbol = nlopt_form\nvariables = 2\nlower = -5\nupper = 5\n"
                      "signature = double (unsigned n, const double *x, double *g, void *data)\n");
  const tn_component *solver =
      make("solver", "library = @/odd.so\nsymbol = careless\n"
                     "signature = double (double (*)(int, const double *), int n, double *x)\n");
  double best[2];
  tn_solver_status status = solve(solver, problem, best);
  EXPECT_INT(status.evaluations, 1);
  EXPECT_REAL(status.value, 0); // the point it left, (0, 1)
  EXPECT_REAL(best[1], 1);
  foreign_drop(solver);
  foreign_drop(problem);
}

Test(foreign, a_problem_of_another_shape_is_refused) {
  const tn_component *problem = make(
      "problem", "library = @/odd.so\nsymbol = three\nsignature = void (float *x, int n, float *y, int m)\n"
                 "variables = 2\nobjectives = 2\nconstraints = 1\n");
  const tn_component *solver =
      make("solver", "library = @/odd.so\nsymbol = careless\n"
                     "signature = double (double (*f)(int, const double *), int n, double *x)\n");
  EXPECT_INT(tn_solver_begin(solver, problem), TN_ERROR_INVALID);
  EXPECT_TEXT(foreign_message(), "foreign has 2 objectives and 1 constraints; one and none are needed");
  foreign_drop(solver);
  foreign_drop(problem);
}

/* ---- metrics ---- */

static double reported;
static char reported_name[64];
static void keep_value(tn_metric_sink *sink, const char *name, double value) {
  (void)sink;
  reported = value;
  snprintf(reported_name, sizeof reported_name, "%s", name);
}
static double values_of(const tn_component *metric) {
  tn_metric_sink sink = {sizeof sink, keep_value};
  cr_assert(tn_metric_values(metric, &sink) == TN_OK, "%s", foreign_message());
  return reported;
}

/* rows [start, stop) of four samples with three classes; the last label is the smallest logit */
static const tn_fields *batch(int64_t start, int64_t stop) {
  static const float logits[] = {3, 2, 1, 1, 2, 3, 2, 3, 1, 3, 2, 1};
  static const int64_t labels[] = {0, 1, 1, 2};
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "logits", tn_from(TN_F32, TN_SHAPE(stop - start, 3), logits + 3 * start));
  tn_fields_set(fields, "label", tn_from(TN_I64, TN_SHAPE(stop - start), labels + start));
  return fields;
}

static const char *const top2 =
    "library = @/functions.so\nsymbol = top2\n"
    "signature = double (const float *logits, const long *labels, int n, int classes)\n";

Test(foreign, a_metric_sees_all_rows_in_one_call) {
  const tn_component *metric = make("metric", top2);
  tn_metric_reset(metric);
  cr_assert(isnan(values_of(metric)));
  EXPECT_INT(tn_metric_update(metric, batch(0, 1)), TN_OK);
  EXPECT_INT(tn_metric_update(metric, batch(1, 4)), TN_OK);
  EXPECT_REAL(values_of(metric), 0.75);
  EXPECT_TEXT(reported_name, "top2");
  tn_metric_reset(metric);
  EXPECT_INT(tn_metric_update(metric, batch(3, 4)), TN_OK);
  EXPECT_REAL(values_of(metric), 0);
  foreign_drop(metric);
}

Test(foreign, batches_are_weighted_by_their_rows) {
  char section[512];
  snprintf(section, sizeof section, "%sover = batches\nname = top\n", top2);
  const tn_component *metric = make("metric", section);
  tn_metric_reset(metric);
  EXPECT_INT(tn_metric_update(metric, batch(0, 1)), TN_OK);
  EXPECT_INT(tn_metric_update(metric, batch(1, 4)), TN_OK);
  expect_near(values_of(metric), (1 * 1.0 + 3 * (2.0 / 3)) / 4, 1e-15);
  EXPECT_TEXT(reported_name, "top");
  foreign_drop(metric);
}

Test(foreign, merged_halves_equal_the_whole) {
  for (int over = 0; over < 2; over++) {
    char section[512];
    snprintf(section, sizeof section, "%sover = %s\n", top2, over ? "batches" : "all");
    const tn_component *a = make("metric", section), *b = make("metric", section);
    tn_metric_reset(a);
    tn_metric_reset(b);
    tn_metric_update(a, batch(0, 2));
    tn_metric_update(b, batch(2, 4));
    EXPECT_INT(((const tn_metric *)a->vtable)->merge(a->self, b->self), TN_OK);
    EXPECT_REAL(values_of(a), 0.75);
    foreign_drop(a);
    foreign_drop(b);
  }
}

Test(foreign, any_field_can_be_an_argument) {
  const tn_component *metric = make(
      "metric", "library = @/odd.so\nsymbol = mean_absolute_error\n"
                "signature = double (const double *output, const double *target, int64_t n, int classes)\n");
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "output", tn_from(TN_F32, TN_SHAPE(2, 2), (const float[]){1, 2, 3, 4}));
  tn_fields_set(fields, "target", tn_from(TN_F64, TN_SHAPE(2, 2), (const double[]){1, 1, 1, 1}));
  tn_metric_reset(metric);
  EXPECT_INT(tn_metric_update(metric, fields), TN_OK);
  EXPECT_REAL(values_of(metric), 1.5);
  foreign_drop(metric);
}

Test(foreign, fields_that_do_not_fit_are_refused) {
  const tn_component *metric = make("metric", "library = @/odd.so\nsymbol = labels_as_bytes\n"
                                              "signature = double (const uint8_t *labels, int n)\n");
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "label", tn_from(TN_I64, TN_SHAPE(2), (const int64_t[]){3, -1}));
  tn_metric_reset(metric);
  EXPECT_INT(tn_metric_update(metric, fields), TN_ERROR_INVALID);
  EXPECT_TEXT(foreign_message(), "field 'label': its value -1 does not fit the signature's type");
  foreign_drop(metric);
  metric = make("metric", top2);
  tn_metric_reset(metric);
  EXPECT_INT(tn_metric_update(metric, fields), TN_ERROR_MISSING); // no logits
  foreign_drop(metric);
}

/* ---- state ---- */

/* Saves items in order and loads them again. */
typedef struct saved {
  const char *name;
  void *data;
  size_t bytes;
} saved;
static saved items[16];
static uint32_t item;

static tn_status visit(bool loading, const char *name, void *data, size_t bytes) {
  saved *s = &items[item++];
  if (!loading) {
    *s = (saved){name, malloc(bytes + 1), bytes};
    memcpy(s->data, data, bytes);
    return TN_OK;
  }
  EXPECT_INT(s->bytes, bytes);
  memcpy(data, s->data, bytes);
  free(s->data);
  return TN_OK;
}
static tn_status visit_integer(const tn_visitor *v, const char *name, int64_t *value) {
  return visit(v->loading, name, value, sizeof *value);
}
static tn_status visit_real(const tn_visitor *v, const char *name, double *value) {
  return visit(v->loading, name, value, sizeof *value);
}
static tn_status visit_block(const tn_visitor *v, const char *name, void **data, size_t *bytes) {
  if (v->loading) {
    free(*data);
    *bytes = items[item].bytes;
    *data = malloc(*bytes + 1);
  }
  return visit(v->loading, name, *data, *bytes);
}
static void carry(const tn_component *from, const tn_component *to) {
  tn_visitor visitor = {
      .size = sizeof visitor, .integer = visit_integer, .real = visit_real, .block = visit_block};
  item = 0;
  EXPECT_INT(from->cls->state(from->self, &visitor), TN_OK);
  item = 0;
  visitor.loading = true;
  EXPECT_INT(to->cls->state(to->self, &visitor), TN_OK);
}

Test(foreign, a_metric_goes_on_where_it_was_saved) {
  const tn_component *a = make("metric", top2), *b = make("metric", top2);
  tn_metric_reset(a);
  tn_metric_update(a, batch(0, 3));
  carry(a, b);
  EXPECT_INT(tn_metric_update(b, batch(3, 4)), TN_OK);
  EXPECT_REAL(values_of(b), 0.75);
  foreign_drop(a);
  foreign_drop(b);
}

Test(foreign, a_solver_goes_on_where_it_was_saved) {
  const tn_component *problem = make("problem", rosenbrock);
  const char *section = "library = @/functions.so\nsymbol = compass_search\n"
                        "signature = double (double (*f)(int, const double *), int n, double *x, double step,"
                        " double tolerance)\narguments = step = 0.5, tolerance = 1e-3\ncalls = 3\n";
  for (int begun = 0; begun < 2; begun++) { // the state arrives before or after the problem
    const tn_component *a = make("solver", section), *b = make("solver", section);
    tn_solver_status first = {.size = sizeof first}, second = {.size = sizeof second};
    EXPECT_INT(tn_solver_step(b, &second), TN_ERROR_INTERNAL); // no problem yet
    EXPECT_INT(tn_solver_begin(a, problem), TN_OK);
    EXPECT_INT(tn_solver_step(a, &first), TN_OK);
    if (begun) EXPECT_INT(tn_solver_begin(b, problem), TN_OK);
    carry(a, b);
    if (!begun) EXPECT_INT(tn_solver_begin(b, problem), TN_OK);
    EXPECT_INT(tn_solver_step(a, &first), TN_OK);
    EXPECT_INT(tn_solver_step(b, &second), TN_OK);
    EXPECT_INT(second.iterations, 2);
    EXPECT_INT(second.evaluations, first.evaluations);
    EXPECT_REAL(second.value, first.value);
    foreign_drop(a);
    foreign_drop(b);
  }
  foreign_drop(problem);
}

/* ---- what is refused, and how it reads ---- */

Test(foreign, libraries_and_symbols_that_are_not_there_are_named) {
  expect_refused("schedule", "library = libnothing.so\nsymbol = f\nsignature = double (double t)\n",
                 "no such file, and the system's linker does not know 'libnothing.so'");
  expect_refused("schedule", "library = libm.so.6\nsymbol = expp\nsignature = double (double t)\n",
                 "has no function 'expp'; did you mean 'exp'?");
  static const char *const slips[] = {"stiarcase", "starcase", "staircasse", "staircaze", "Staircase"};
  for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
    char section[256];
    snprintf(section, sizeof section,
             "library = @/functions.so\nsymbol = %s\nsignature = double (long step)\n", slips[i]);
    expect_refused("schedule", section, "; did you mean 'staircase'?");
  }
  expect_refused("schedule", "library = @/functions.so\nsymbol = nowhere\nsignature = double (long step)\n",
                 "has no function 'nowhere'");
  cr_assert(strstr(foreign_message(), "mean") == NULL);
  char section[512];
  snprintf(section, sizeof section,
           "library = %s/tests/foreign/test_foreign.c\nsymbol = f\nsignature = double (double t)\n",
           TN_SOURCE_ROOT);
  expect_refused("schedule", section, "test_foreign.c': invalid ELF header");
  expect_refused("schedule", "library = libm.so.6\nsymbol = exp\n", "signature");
}

Test(foreign, arguments_without_a_value_are_refused_at_their_column) {
  const char *libm = "library = libm.so.6\nsymbol = exp\n";
  static const char *const cases[][2] = {
      {"signature = double (double stpe)\n",
       "signature 'double (double stpe)': column 16: 'stpe' has no role; did you mean 'step'?"},
      {"signature = double (double)\n", "signature 'double (double)': column 9: this argument needs a name; "
                                        "known are step, steps, epoch, epochs, t, "
                                        "data"},
      {"signature = double (double q)\n", "signature 'double (double q)': column 16: 'q' has no role (known "
                                          "are step, steps, epoch, epochs, t, data): "
                                          "name another, or give its value with arguments = q = ..."},
      {"signature = double (const double *t)\n",
       "signature 'double (const double *t)': column 23: 't' must be a number, not a pointer"},
      {"signature = void (double t)\n",
       "signature 'void (double t)': column 1: a schedule must return a number"},
      {"signature = double (double q)\narguments = r = 1\n", "arguments: the signature has no argument 'r'"},
      {"signature = double (double scale)\narguments = scael = 1\n",
       "arguments: the signature has no argument 'scael'; did you mean 'scale'?"},
      {"signature = double (double q)\narguments = q\n", "arguments: 'name = value' expected instead of 'q'"},
      {"signature = double (double q)\narguments = q = 1, q = 2\n", "arguments: 'q' is given twice"},
      {"signature = double (double q, void *data)\narguments = q = 1, data = 0\n",
       "arguments: 'data' is a pointer; only numbers can be given"},
      {"signature = double (double q)\narguments = q = 2 * stepp\n",
       "expression '2 * stepp': column 5: unknown name 'stepp'; did you mean 'step'?"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char section[512];
    snprintf(section, sizeof section, "%s%s", libm, cases[i][0]);
    expect_refused("schedule", section, cases[i][1]);
  }
}

Test(foreign, roles_must_have_their_shape) {
  const char *lib = "library = @/odd.so\nsymbol = three\n";
  static const char *const cases[][3] = {
      {"problem", "variables = 2\nsignature = double (int n, double x)\n",
       "column 23: 'x' must be a pointer to numbers, such as const double *"},
      {"problem", "variables = 2\nsignature = void (const double *x, const double *y)\n",
       "column 38: 'y' must be written to, so it cannot be const"},
      {"problem", "variables = 2\nsignature = double (int n)\n", "no argument is the point, const double *x"},
      {"problem", "variables = 2\nsignature = void (const double *x)\n",
       "it returns no number and writes none to double *y"},
      {"problem", "variables = 2\nobjectives = 2\nsignature = double (const double *x)\n",
       "2 objectives and constraints need an argument double *y"},
      {"problem", "variables = 3\nlower = 1, 2\nsignature = double (const double *x)\n",
       "lower: 1 value or 3 expected, got 2"},
      {"problem", "variables = 2\nlower = 1\nupper = 0\nsignature = double (const double *x)\n",
       "lower: 1 is above upper, 0, in variable 1"},
      {"solver", "signature = double (int n, double *x)\n",
       "a solver takes at least a function f and a point double *x"},
      {"solver", "signature = double (double (*f)(int), double *x)\n",
       "a callback has no argument for the point, const double *x"},
      {"solver", "signature = double (double (*f)(double, double *), double *x)\n",
       "column 21: argument 1 of a callback has no role; name it n, x, y, g or data"},
      {"solver", "signature = double (double (*f)(const double *x, const double *g), double *x)\n",
       "column 52: 'g' must be a pointer that can be written to, such as double *"},
      {"metric", "signature = double (int n)\n", "no argument is a field"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char section[512];
    snprintf(section, sizeof section, "%s%s", lib, cases[i][1]);
    expect_refused(cases[i][0], section, cases[i][2]);
  }
}

Test(foreign, a_library_that_everybody_can_write_is_refused) {
  char command[512];
  snprintf(command, sizeof command, "cp %s/functions.so %s/open.so && chmod 777 %s/open.so", foreign_folder(),
           foreign_folder(), foreign_folder());
  cr_assert(system(command) == 0);
  expect_refused("schedule", "library = @/open.so\nsymbol = staircase\nsignature = double (long step)\n",
                 "open.so': everybody can write to it; refused");
}
