// SPDX-License-Identifier: MIT
/* What programs compute, against closed forms and the optimizers of the same names. */
#include "../plugins/harness.h"
#include "plugins/programs/program.h"
#include <tenon/optimizer.h>

#define EXAMPLE(name) TN_SOURCE_ROOT "/examples/programs/" name ".opt"
enum { LENGTH_A = 3, LENGTH_B = 2, ALL = LENGTH_A + LENGTH_B };

static void start(void) { harness_open("float64", ""); }
static void stop(void) { harness_close(); }
TestSuite(interpreter, .init = start, .fini = stop, .timeout = 60);

static const double w_values[ALL] = {0.5, -0.25, 0.75, -1.5, 2};
static const double g_values[ALL] = {0.1, 0.2, -0.3, 0.4, -0.05};

static tn_params *two_tensors(void) {
  const tn_group groups[] = {TN_DECAY, TN_DECAY};
  const int64_t sizes[] = {LENGTH_A, LENGTH_B};
  return harness_params(2, groups, sizes);
}

static struct program parse(const char *text) {
  struct program program;
  cr_assert(program_parse(text, "text", &program) == TN_OK, "%s", harness_failure());
  return program;
}

/* update of a program at the values above, with m = 1, v = 2 and lr = 0.5; statement types agree with shapes
 */
static struct program_step run(const char *text) {
  tn_params *params = two_tensors();
  struct layout layout = {0};
  EXPECT_INT(layout_make(&layout, params), TN_OK);
  EXPECT_INT(layout.leaves, 2);
  const struct program program = parse(text);
  struct analysis analysis;
  program_analyse(&program, &analysis);
  struct program_step step = {.w = harness_tensor(TN_SHAPE(ALL), w_values),
                              .g = harness_tensor(TN_SHAPE(ALL), g_values),
                              .m = tn_full(TN_F64, TN_SHAPE(ALL), 1),
                              .v = tn_full(TN_F64, TN_SHAPE(ALL), 2),
                              .lr = 0.5};
  cr_assert(program_run(&program, &analysis, &layout, &step) == TN_OK, "%s", harness_failure());
  layout_release(&layout);
  tn_params_release(params);
  return step;
}
static void expect_update(const char *text, const double *wanted) {
  const struct program_step step = run(text);
  EXPECT_INT(tn_numel(step.update), ALL);
  for (int i = 0; i < ALL; i++)
    cr_assert(fabs(harness_at(step.update, i) - wanted[i]) <= 1e-12 * (1 + fabs(wanted[i])),
              "%s: number %d: expected %.17g, got %.17g", text, i, wanted[i], harness_at(step.update, i));
}

static double log_of_one_plus(double x) { return log(fabs(1 + x)); }
static double log_abs_of(double x) { return log(fabs(x)); }
static double log10_of(double x) { return log10(fabs(x)); }
static double log2_of(double x) { return log2(fabs(x)); }
static double sqrt_of(double x) { return sqrt(fabs(x)); }
static double square_of(double x) { return x * x; }
static double cube_of(double x) { return x * x * x; }
static double sign_of(double x) { return (x > 0) - (x < 0); }
static double negative_of(double x) { return -x; }
static double reciprocal_of(double x) { return 1 / x; }
static double exp10_of(double x) { return pow(10, x); }

Test(interpreter, elementwise_functions_are_those_of_the_c_library) {
  static const struct {
    const char *name;
    double (*function)(double);
    double shift; /* into the domain */
  } table[] = {{"abs", fabs, 0},
               {"cos", cos, 0},
               {"sin", sin, 0},
               {"tan", tan, 0},
               {"arcsin", asin, 0},
               {"arccos", acos, 0},
               {"arctan", atan, 0},
               {"sinh", sinh, 0},
               {"cosh", cosh, 0},
               {"tanh", tanh, 0},
               {"arcsinh", asinh, 0},
               {"arccosh", acosh, 1.5},
               {"arctanh", atanh, 0},
               {"exp", exp, 0},
               {"exp2", exp2, 0},
               {"exp10", exp10_of, 0},
               {"expm1", expm1, 0},
               {"log", log_abs_of, 0},
               {"log10", log10_of, 0},
               {"log2", log2_of, 0},
               {"log1p", log_of_one_plus, 0},
               {"log1p", log_of_one_plus, -2},
               {"square", square_of, 0},
               {"sqrt", sqrt_of, 0},
               {"cube", cube_of, 0},
               {"cbrt", cbrt, 0},
               {"sign", sign_of, 0},
               {"reciprocal", reciprocal_of, 0},
               {"negative", negative_of, 0}};
  for (size_t f = 0; f < TN_ARRAY_LENGTH(table); f++) {
    char text[96];
    double wanted[ALL];
    snprintf(text, sizeof text, "x = g + %g; update = %s(x)", table[f].shift, table[f].name);
    for (int i = 0; i < ALL; i++) wanted[i] = table[f].function(g_values[i] + table[f].shift);
    expect_update(text, wanted);
  }
}

Test(interpreter, functions_of_two_act_elementwise) {
  double sum[ALL], ratio[ALL], power[ALL], largest[ALL], smallest[ALL];
  for (int i = 0; i < ALL; i++) {
    sum[i] = g_values[i] + w_values[i];
    ratio[i] = g_values[i] / (w_values[i] + 1e-8);
    power[i] = pow(fabs(w_values[i]), g_values[i]);
    largest[i] = fmax(g_values[i], w_values[i]);
    smallest[i] = fmin(g_values[i], w_values[i]);
  }
  expect_update("update = g + w", sum);
  expect_update("update = g / w", ratio);
  expect_update("a = abs(w); update = power(a, g)", power);
  expect_update("update = max(g, w)", largest);
  expect_update("update = min(g, w)", smallest);
}

Test(interpreter, interpolation_goes_from_its_first_argument_to_its_second) {
  double at_g[ALL], between[ALL];
  for (int i = 0; i < ALL; i++) {
    at_g[i] = g_values[i];
    between[i] = 0.75 * g_values[i] + 0.25 * w_values[i];
  }
  expect_update("update = interp(g, w, 0)", at_g);
  expect_update("update = interp(w, g, 1)", at_g);
  expect_update("update = interp(g, w, 0.25)", between);
}

Test(interpreter, norms_and_products_are_over_a_tensor_or_over_all) {
  double a = 0, b = 0, dot = 0, ww = 0, wanted[ALL], all[ALL], cosine[ALL], clipped[ALL], same[ALL];
  for (int i = 0; i < ALL; i++) {
    *(i < LENGTH_A ? &a : &b) += g_values[i] * g_values[i];
    dot += g_values[i] * w_values[i];
    ww += w_values[i] * w_values[i];
  }
  for (int i = 0; i < ALL; i++) {
    wanted[i] = w_values[i] * sqrt(i < LENGTH_A ? a : b);
    all[i] = w_values[i] * sqrt(a + b) + dot;
    cosine[i] = w_values[i] * dot / sqrt((a + b) * ww);
    clipped[i] = g_values[i] * 0.1 / sqrt(a + b);
    same[i] = g_values[i];
  }
  expect_update("n = norm(g); update = w * n", wanted);
  expect_update("n = global_norm(g); d = dot(g, w); u = w * n; update = u + d", all);
  expect_update("c = cosine_sim(g, w); update = w * c", cosine);
  expect_update("update = clip(g, 0.1)", clipped);
  expect_update("update = clip(g, 10)", same);
}

Test(interpreter, constants_are_pi_e_and_eps) {
  double wanted[ALL];
  for (int i = 0; i < ALL; i++) wanted[i] = w_values[i] * (acos(-1) + exp(1) + 1e-8) * 0.5;
  expect_update("p = get_pi(); e = get_e(); z = get_eps(); s = p + e; s = s + z; s = s * lr; update = w * s",
                wanted);
}

/* With g' = arcsin(g min(1, 0.5 / |g|)), where |g| = 0.55: v' = -0.109 g' + 1.109 (0.101 g' + 0.899 v) =
 * 0.003009 g' + 0.996991 v with v = 2. */
Test(interpreter, the_raw_program_keeps_one_moving_average) {
  struct program raw;
  EXPECT_INT(program_load(EXAMPLE("lion-raw"), &raw), TN_OK);
  char *text = program_print(&raw);
  const struct program_step step = run(text);
  tn_free(text);
  double norm = 0;
  for (int i = 0; i < ALL; i++) norm += g_values[i] * g_values[i];
  for (int i = 0; i < ALL; i++) {
    const double g = asin(g_values[i] * fmin(1, 0.5 / sqrt(norm)));
    EXPECT_NEAR(harness_at(step.v, i), 0.003009 * g + 0.996991 * 2, 1e-12);
  }
  EXPECT_REAL(harness_at(step.m, 0), 1); /* not kept: as it came in */
}

Test(interpreter, every_mutant_runs_and_its_types_are_those_inferred) {
  tn_params *params = two_tensors();
  struct layout layout = {0};
  struct program program, child;
  EXPECT_INT(layout_make(&layout, params), TN_OK);
  EXPECT_INT(program_load(EXAMPLE("adamw"), &program), TN_OK);
  const tn_tensor *zeros = tn_zeros(TN_F64, TN_SHAPE(ALL));
  for (int i = 0; i < 10000; i++) {
    struct analysis analysis;
    tn_rng rng = tn_rng_at("test", "mutants", (uint64_t)i);
    EXPECT_INT(program_mutate(&program, &rng, 60, &child), TN_OK);
    program_analyse(&child, &analysis);
    analysis.live = ~(uint64_t)0; /* dead statements too */
    tn_scope_open();
    struct program_step step = {.w = harness_tensor(TN_SHAPE(ALL), w_values),
                                .g = harness_tensor(TN_SHAPE(ALL), g_values),
                                .m = tn_from(TN_F64, TN_SHAPE(ALL), tn_f64(zeros)),
                                .v = tn_from(TN_F64, TN_SHAPE(ALL), tn_f64(zeros)),
                                .lr = 1};
    cr_assert(program_run(&child, &analysis, &layout, &step) == TN_OK, "%s", harness_failure());
    cr_assert(tn_ndim(step.update) == 1 && tn_numel(step.update) == ALL);
    cr_assert(tn_numel(step.m) == ALL && tn_numel(step.v) == ALL);
    tn_scope_close();
    if (i % 3 == 0) program = child;
  }
  layout_release(&layout);
  tn_params_release(params);
}

/* ---- as optimizers ---- */

enum { MANY = 257 };
static tn_params *vector(void) {
  const tn_group decayed = TN_DECAY;
  const int64_t size = MANY;
  tn_params *params = harness_params(1, &decayed, &size);
  for (int i = 0; i < MANY; i++) tn_f32(tn_param_tensor(params, 0))[i] = (float)sin(i + 1);
  return params;
}
/* The gradient of step t: smooth, different everywhere, both signs. */
static double slope(int i, int t) { return sin(0.7 * i + 0.3 * t) + 0.2 * cos(2.1 * i * t); }
static void fill_gradient(tn_params *gradient, int t) {
  for (int i = 0; i < MANY; i++) tn_f32(tn_param_tensor(gradient, 0))[i] = (float)slope(i, t);
}
static void step(const tn_component *optimizer, tn_params *params, const tn_params *gradient, int t) {
  const tn_optimizer_step call = {
      .size = sizeof call, .params = params, .gradient = gradient, .schedule = 1 - 0.005 * t, .step = t};
  cr_assert(tn_optimizer_update(optimizer, &call) == TN_OK, "%s", harness_failure());
}

Test(interpreter, the_lion_text_is_lion) {
  harness_open(
      "float32",
      "[text]\nuse = optimizer.program\nfile = " EXAMPLE(
          "lion") "\n"
                  "[lion]\nuse = optimizer.lion\nlr = 1e-4\nbeta1 = 0.9\nbeta2 = 0.99\nweight_decay = 0.1\n");
  const tn_component *text = harness_component("text"), *lion = harness_component("lion");
  tn_params *a = vector(), *b = vector(), *gradient = tn_params_like(a);
  EXPECT_INT(tn_optimizer_begin(text, a), TN_OK);
  EXPECT_INT(tn_optimizer_begin(lion, b), TN_OK);
  for (int t = 1; t <= 100; t++) {
    fill_gradient(gradient, t);
    step(text, a, gradient, t);
    step(lion, b, gradient, t);
  }
  int moved = 0;
  for (int i = 0; i < MANY; i++) {
    const double got = tn_f32(tn_param_tensor(a, 0))[i], wanted = tn_f32(tn_param_tensor(b, 0))[i];
    cr_assert(fabs(got - wanted) <= 1e-6 * (fabs(wanted) + 0.01), "number %d: expected %.9g, got %.9g", i,
              wanted, got);
    moved += fabs(wanted - sin(i + 1)) > 1e-4;
  }
  cr_assert(moved > MANY / 2, "%d of %d have moved", moved, MANY);
  tn_params_release(a);
  tn_params_release(b);
  tn_params_release(gradient);
}

/* m <- 0.9 m + 0.1 g; v <- 0.999 v + 0.001 g^2; w <- w - 0.001 s (m / (sqrt v + 1e-8) + 0.01 w), in double */
Test(interpreter, the_adamw_text_is_adamw_without_bias_correction) {
  harness_open("float32", "[text]\nuse = optimizer.program\nfile = " EXAMPLE("adamw") "\n");
  const tn_component *text = harness_component("text");
  tn_params *params = vector(), *gradient = tn_params_like(params);
  double w[MANY], m[MANY] = {0}, v[MANY] = {0};
  for (int i = 0; i < MANY; i++) w[i] = sin(i + 1);
  EXPECT_INT(tn_optimizer_begin(text, params), TN_OK);
  for (int t = 1; t <= 100; t++) {
    fill_gradient(gradient, t);
    step(text, params, gradient, t);
    for (int i = 0; i < MANY; i++) {
      const double g = slope(i, t);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      w[i] -= 0.001 * (1 - 0.005 * t) * (m[i] / (sqrt(v[i]) + 1e-8) + 0.01 * w[i]);
    }
  }
  for (int i = 0; i < MANY; i++) EXPECT_NEAR(tn_f32(tn_param_tensor(params, 0))[i], w[i], 3e-6);
  tn_params_release(params);
  tn_params_release(gradient);
}

Test(interpreter, an_interrupted_program_goes_on_where_it_was) {
  harness_open("float32", "[text]\nuse = optimizer.program\nfile = " EXAMPLE(
                              "adamw") "\n"
                                       "[again]\nuse = optimizer.program\nfile = " EXAMPLE("adamw") "\n");
  const tn_component *text = harness_component("text"), *again = harness_component("again");
  tn_params *a = vector(), *gradient = tn_params_like(a);
  EXPECT_INT(tn_optimizer_begin(text, a), TN_OK);
  for (int t = 1; t <= 5; t++) fill_gradient(gradient, t), step(text, a, gradient, t);
  tn_params *b = tn_params_clone(a);
  harness_state *saved = harness_save(text);
  EXPECT_INT(tn_optimizer_begin(again, b), TN_OK);
  harness_load(again, saved);
  for (int t = 6; t <= 10; t++) {
    fill_gradient(gradient, t);
    step(text, a, gradient, t);
    step(again, b, gradient, t);
  }
  for (int i = 0; i < MANY; i++)
    EXPECT_REAL(tn_f32(tn_param_tensor(a, 0))[i], tn_f32(tn_param_tensor(b, 0))[i]);
  harness_forget(saved);
  tn_params_release(a);
  tn_params_release(b);
  tn_params_release(gradient);
}
