// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>

#include "core/expression/expression.h"
#include "core/plugin/host.h"
#include "core/tensor/engine.h"
#include "tests/expect.h"

static tn_engine *engine;

static void start(void) {
  tn_host_start();
  tn_context_clear(tn_context_current());
  engine = tn_engine_create(1, TN_F64);
  tn_engine_enter(engine);
  tn_scope_open();
}
static void stop(void) {
  tn_scope_close();
  tn_engine_enter(NULL);
  tn_engine_destroy(engine);
}
TestSuite(expression_tensor, .init = start, .fini = stop);

static tn_expression *compile(const char *text, const char *variables) {
  tn_expression *expression = tn_expression_compile(text, variables);
  cr_assert(expression != NULL, "%s", tn_context_current()->message);
  return expression;
}

static void expect_near(const char *text, double got, double wanted, double tolerance) {
  bool close = fabs(got - wanted) <= tolerance * fmax(1, fabs(wanted));
  cr_assert(close || (isnan(got) && isnan(wanted)), "%s: expected %.17g, got %.17g", text, wanted, got);
}

enum { POINTS = 5 };
static const double x_values[POINTS] = {0.5, 1.25, 2.5, 0.75, 3};
static const double y_values[POINTS] = {1.5, 0.25, 2.25, 4, 0.125};

/* Smooth at the points, so that differences apply. */
static const char *const smooth[] = {
    "x + y",
    "x - y",
    "x * y",
    "x / y",
    "x ^ y",
    "-x",
    "x ^ 3",
    "x ^ -0.5",
    "2 ^ x",
    "3 / x",
    "2 * x + 1",
    "1 - x / 4",
    "-(2 * (3 - x) / 5 + 1) * y",
    "x * 1e200 * 1e-200 * 3",
    "x / 1e308 * 1e308",
    "abs(x - 1)",
    "sqrt(x) + exp(-y) + log(x) + log1p(y)",
    "sin(x) * cos(y) + tanh(x)",
    "sigmoid(x - y)",
    "min(x, y) + max(x, y, 1)",
    "max(x, 0) + min(y, 100)",
    "where(x > y, x * x, y)",
    "where(x > 1 and not y > 2, x, 2 * y)",
    "where(x < 1 or y < 1, x ^ 2, y ^ 2)",
    "(x > 1) * x + 3 * (y < 2)",
    "where(x - 0.5, x, 3)",
    "(x + y) * (x + y) / (x + y + 1)",
    "x",
};

static tn_tensor *apply(tn_expression *expression, tn_dtype dtype, tn_tensor **values) {
  tn_shape shape = TN_SHAPE(POINTS);
  values[0] = tn_leaf(tn_cast(tn_from(TN_F64, shape, x_values), dtype));
  values[1] = tn_leaf(tn_cast(tn_from(TN_F64, shape, y_values), dtype));
  tn_tensor *result = tn_expression_apply(expression, values);
  cr_assert(!tn_failed(), "%s: %s", tn_expression_table.text(expression), tn_context_current()->message);
  EXPECT_INT(result->dtype, dtype);
  EXPECT_INT(tn_numel(result), POINTS);
  return result;
}

Test(expression_tensor, elements_are_what_numbers_give) {
  for (size_t i = 0; i < sizeof smooth / sizeof *smooth; i++)
    for (tn_dtype dtype = TN_F32; dtype <= TN_F64; dtype++) {
      if (dtype == TN_F32 && strchr(smooth[i], 'e') && strstr(smooth[i], "1e")) continue; // beyond its range
      tn_expression *expression = compile(smooth[i], "x|y");
      tn_tensor *values[2], *result = tn_cast(apply(expression, dtype, values), TN_F64);
      for (int p = 0; p < POINTS; p++)
        expect_near(smooth[i], tn_f64(result)[p],
                    tn_expression_evaluate(expression, (const double[]){x_values[p], y_values[p]}),
                    dtype == TN_F64 ? 1e-13 : 1e-5);
      tn_expression_release(expression);
    }
}

Test(expression_tensor, derivatives_are_those_of_differences) {
  for (size_t i = 0; i < sizeof smooth / sizeof *smooth; i++) {
    tn_expression *expression = compile(smooth[i], "x|y");
    tn_tensor *values[2], *gradients[2];
    tn_grad(tn_sum(apply(expression, TN_F64, values)), values, 2, gradients, 0);
    cr_assert(!tn_failed(), "%s: %s", smooth[i], tn_context_current()->message);
    for (int p = 0; p < POINTS; p++)
      for (int v = 0; v < 2; v++) {
        double above[2] = {x_values[p], y_values[p]}, below[2] = {x_values[p], y_values[p]}, h = 1e-6;
        above[v] += h;
        below[v] -= h;
        double difference =
            (tn_expression_evaluate(expression, above) - tn_expression_evaluate(expression, below)) / (2 * h);
        if (strstr(smooth[i], "where(x - 0.5") && p == 0) continue; // a jump
        expect_near(smooth[i], tn_f64(gradients[v])[p], difference, 1e-7);
      }
    tn_expression_release(expression);
  }
}

/* (x^3 y)'' in x is 6 x y */
Test(expression_tensor, derivatives_can_be_differentiated_again) {
  tn_expression *expression = compile("x ^ 3 * y", "x|y");
  tn_tensor *values[2], *first[2], *second[1];
  tn_grad(tn_sum(apply(expression, TN_F64, values)), values, 2, first, TN_CREATE_GRAPH);
  tn_grad(tn_sum(first[0]), values, 1, second, 0);
  for (int p = 0; p < POINTS; p++)
    expect_near("x^3 y", tn_f64(second[0])[p], 6 * x_values[p] * y_values[p], 1e-12);
  tn_expression_release(expression);
}

/* A metric's loss: derivative of the Matthews correlation with respect to TP, in closed form
 * FN FP TN factors through the quotient rule. */
Test(expression_tensor, a_confusion_metric_has_the_derivative_of_its_closed_form) {
  tn_expression *mcc = compile("(TP*TN - FP*FN) / sqrt((TP+FP)*(TP+FN)*(TN+FP)*(TN+FN))", "TP|FP|FN|TN");
  const double v[] = {40, 10, 5, 45};
  tn_tensor *values[4], *gradients[4];
  for (int i = 0; i < 4; i++) values[i] = tn_leaf(tn_scalar(TN_F64, v[i]));
  tn_tensor *value = tn_expression_apply(mcc, values);
  double a = 50, b = 45, root = sqrt(50.0 * 45 * 55 * 50), top = 40.0 * 45 - 10.0 * 5;
  expect_near("mcc", tn_item(value), top / root, 1e-14);
  tn_grad(value, values, 4, gradients, 0);
  expect_near("d mcc / d TP", tn_item(gradients[0]), 45 / root - top / root * (1 / a + 1 / b) / 2, 1e-13);
  tn_expression_release(mcc);
}

/* ---- types and shapes ---- */

static tn_tensor *apply_to(const char *text, const char *variables, tn_tensor *const *values) {
  tn_expression *expression = compile(text, variables);
  tn_tensor *result = tn_expression_apply(expression, values);
  tn_expression_release(expression);
  return result;
}

Test(expression_tensor, operands_broadcast) {
  tn_tensor *values[] = {tn_from(TN_F64, TN_SHAPE(2, 1), (const double[]){1, 2}),
                         tn_from(TN_F64, TN_SHAPE(3), (const double[]){10, 20, 30})};
  tn_tensor *sum = apply_to("x + y", "x|y", values);
  EXPECT_INT(tn_ndim(sum), 2);
  EXPECT_INT(tn_dim(sum, 1), 3);
  EXPECT_REAL(tn_f64(sum)[5], 32);
}

Test(expression_tensor, truth_is_one_or_zero_and_whole_numbers_are_numbers) {
  tn_tensor *values[] = {tn_from(TN_F32, TN_SHAPE(3), (const float[]){1, 2, 3}),
                         tn_from(TN_I64, TN_SHAPE(3), (const int64_t[]){3, 2, 1})};
  tn_tensor *truth = apply_to("x >= k and not k == 1", "x|k", values);
  EXPECT_INT(truth->dtype, TN_F32);
  EXPECT_REAL(tn_f32(truth)[0], 0);
  EXPECT_REAL(tn_f32(truth)[1], 1);
  EXPECT_REAL(tn_f32(truth)[2], 0);
  EXPECT_REAL(tn_f32(apply_to("k / 2", "x|k", values))[0], 1.5);
}

Test(expression_tensor, constants_have_the_variables_type) {
  tn_tensor *values[] = {tn_from(TN_F64, TN_SHAPE(3), (const double[]){1, 2, 3}), NULL};
  tn_tensor *constant = apply_to("1 / 4", "x|unused", values);
  EXPECT_INT(constant->dtype, TN_F64);
  EXPECT_REAL(tn_item(constant), 0.25);
  EXPECT_INT(apply_to("7", "", NULL)->dtype, TN_F32);
}

Test(expression_tensor, a_poisoned_value_passes_through) {
  tn_tensor *values[] = {tn_from(TN_F64, TN_SHAPE(3), (const double[]){1, 2, 3}),
                         tn_from(TN_F64, TN_SHAPE(2), (const double[]){1, 2})};
  cr_assert(tn_poisoned(apply_to("2 * sqrt(x + y) - 1", "x|y", values)));
  cr_assert(tn_failed());
}

/* ---- economy ---- */

static void count_operation(void *context, const char *operation, double seconds, size_t bytes,
                            const tn_tensor *output) {
  (void)operation, (void)seconds, (void)bytes, (void)output;
  ++*(int *)context;
}

static int operations(const char *text) {
  tn_tensor *values[] = {tn_from(TN_F64, TN_SHAPE(POINTS), x_values),
                         tn_from(TN_F64, TN_SHAPE(POINTS), y_values)};
  int count = 0;
  tn_engine_set_trace(engine, count_operation, &count);
  apply_to(text, "x|y", values);
  tn_engine_set_trace(engine, NULL, NULL);
  return count;
}

Test(expression_tensor, equal_parts_are_computed_once_and_constants_folded) {
  int sum = operations("x + y");
  cr_assert(sum >= 1);
  EXPECT_INT(operations("x"), 0);
  EXPECT_INT(operations("2 * x * 3 + 1 - 4 / 8"), 1);
  EXPECT_INT(operations("-(2 * (3 - x) / 5 + 1)"), 1);
  EXPECT_INT(operations("x ^ (1 + 2)"), 1);
  EXPECT_INT(operations("(x + y) * (y + x)"), sum + 1);
  EXPECT_INT(operations("sqrt(x) + sqrt(x) * 1"), 2);
}
