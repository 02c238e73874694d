// SPDX-License-Identifier: MIT
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/expression/expression.h"
#include "core/plugin/host.h"
#include "tests/expect.h"

static void start(void) {
  tn_host_start();
  tn_context_clear(tn_context_current());
}
TestSuite(expression, .init = start);
TestSuite(claim, .init = start);

static const char *message(void) { return tn_context_current()->message; }

static tn_expression *compile(const char *text, const char *variables) {
  tn_expression *expression = tn_expression_compile(text, variables);
  cr_assert(expression != NULL, "%s", message());
  return expression;
}

static double value_with(const char *text, const char *variables, const double *values) {
  tn_expression *expression = compile(text, variables);
  double value = tn_expression_evaluate(expression, values);
  tn_expression_release(expression);
  return value;
}
static double value(const char *text) { return value_with(text, "", NULL); }

static void expect_refused(const char *text, const char *variables, const char *wanted) {
  tn_context_clear(tn_context_current());
  tn_expression *expression = tn_expression_compile(text, variables);
  cr_assert(expression == NULL, "expected \"%s\", got success", wanted);
  EXPECT_TEXT(message(), wanted);
  EXPECT_INT(tn_context_current()->status, TN_ERROR_INVALID);
}

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0; }

/* ---- values ---- */

Test(expression, values_are_those_of_c) {
  const double points[][3] = {{1.5, -2.25, 3}, {0, 0, 0},       {-1, 0.5, 2},      {1e300, -1e300, 1e-300},
                              {-0.0, 7, -7.5}, {NAN, 1, -1},    {INFINITY, 2, 3},  {-INFINITY, -0.5, 0.25},
                              {3, NAN, 1},     {0.1, 0.2, 0.3}, {-2.5, -2.5, 1e9}, {5e-324, 1, 1}};
  for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
    const double x = points[p][0], y = points[p][1], z = points[p][2], *v = points[p];
    const struct {
      const char *text;
      double value;
    } cases[] = {
        {"x + y * z", x + y * z},
        {"(x + y) * z", (x + y) * z},
        {"x - y - z", x - y - z},
        {"x / y / z", x / y / z},
        {"x ^ y", pow(x, y)},
        {"pow(x, y)", pow(x, y)},
        {"-x ^ 2", -pow(x, 2)},
        {"-x", -x},
        {"- -x", x},
        {"x * 1", x},
        {"x ^ 1 / 1", x},
        {"x + 0", x + 0},
        {"x * 0", x * 0},
        {"x - x", x - x},
        {"x / x", x / x},
        {"abs(x)", fabs(x)},
        {"sqrt(x)", sqrt(x)},
        {"exp(y)", exp(y)},
        {"log(x)", log(x)},
        {"log1p(x)", log1p(x)},
        {"sin(z) + cos(z)", sin(z) + cos(z)},
        {"tanh(x)", tanh(x)},
        {"floor(x) + ceil(y)", floor(x) + ceil(y)},
        {"x < y", x < y},
        {"x <= y", x <= y},
        {"x > y", x > y},
        {"x >= y", x >= y},
        {"x == y", x == y},
        {"x != y", x != y},
        {"x and y", x != 0 && y != 0},
        {"x or y", x != 0 || y != 0},
        {"not x", x == 0},
        {"where(x > y, x, y)", x > y ? x : y},
        {"where(x, y, z)", x != 0 ? y : z},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      double got = value_with(cases[i].text, "x|y|z", v);
      cr_assert(same(got, cases[i].value), "%s at (%g, %g, %g): expected %.17g, got %.17g", cases[i].text, x,
                y, z, cases[i].value, got);
    }
  }
}

Test(expression, functions_have_their_textbook_values) {
  EXPECT_REAL(value("sigmoid(0)"), 0.5);
  cr_assert(fabs(value("sigmoid(2)") - 1 / (1 + exp(-2.0))) < 1e-16);
  EXPECT_REAL(value("sigmoid(-1000)"), 0); // no overflow
  EXPECT_REAL(value("sigmoid(1000)"), 1);
  EXPECT_REAL(value("sign(-3)"), -1);
  EXPECT_REAL(value("sign(0)"), 0);
  EXPECT_REAL(value("min(3, 1, 2)"), 1);
  EXPECT_REAL(value("max(3, 1, 4, 2)"), 4);
  EXPECT_REAL(value("max(7)"), 7);
  double nan[] = {NAN};
  cr_assert(isnan(value_with("min(x, 1)", "x", nan)) && isnan(value_with("max(1, x)", "x", nan)));
  cr_assert(isnan(value_with("sign(x)", "x", nan)));
  EXPECT_REAL(value("1/0"), INFINITY);
  cr_assert(isnan(value("0/0")) && isnan(value("sqrt(-1)")));
}

Test(expression, numbers_are_read_exactly) {
  EXPECT_REAL(value("0.1"), 0.1);
  EXPECT_REAL(value(".5"), 0.5);
  EXPECT_REAL(value("5."), 5);
  EXPECT_REAL(value("1e-3"), 1e-3);
  EXPECT_REAL(value("6.02214076E+23"), 6.02214076E+23);
  EXPECT_REAL(value("3.14159265358979323846264338327950288"), 3.14159265358979323846264338327950288);
  EXPECT_REAL(value("2.2250738585072014e-308"), 2.2250738585072014e-308);
}

/* A comma as the decimal point, where the machine has such a locale, changes nothing. */
Test(expression, numbers_do_not_depend_on_the_locale) {
  if (!setlocale(LC_ALL, "de_DE.UTF-8")) setlocale(LC_ALL, "fr_FR.UTF-8");
  EXPECT_REAL(value("1.5 * 2.000000000000000000000000001e-30"), 1.5 * 2e-30);
  setlocale(LC_ALL, "C");
}

/* ---- precedence: each line reads as its neighbour ---- */

Test(expression, operators_bind_as_documented) {
  static const char *const pairs[][2] = {
      {"2^3^2", "2^(3^2)"},
      {"-2^2", "-(2^2)"},
      {"2^-1^2", "2^(-(1^2))"},
      {"2*-3", "2*(-3)"},
      {"-2*3", "(-2)*3"},
      {"8/4/2", "(8/4)/2"},
      {"8-4-2", "(8-4)-2"},
      {"2+3*4", "2+(3*4)"},
      {"2*3^2", "2*(3^2)"},
      {"1+2 < 4", "(1+2) < 4"},
      {"3 < 1+1", "3 < (1+1)"},
      {"not 1 < 2", "not (1 < 2)"},
      {"not not 3", "not (not 3)"},
      {"not 0 and 0", "(not 0) and 0"},
      {"1 or 1 and 0", "1 or (1 and 0)"},
      {"0 and 0 or 1", "(0 and 0) or 1"},
      {"1 < 2 and 3 < 2", "(1 < 2) and (3 < 2)"},
      {"1 and not 0", "1 and (not 0)"},
      {"1 - -1", "1 - (-1)"},
      {"2 == 2 or 1/0", "(2 == 2) or (1/0)"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    double got = value(pairs[i][0]), wanted = value(pairs[i][1]);
    cr_assert(same(got, wanted), "%s: expected %g, got %g", pairs[i][0], wanted, got);
  }
  EXPECT_REAL(value("2^3^2"), 512);
  EXPECT_REAL(value("-2^2"), -4);
  EXPECT_REAL(value("2^-1^2"), 0.5);
  EXPECT_REAL(value("1 or 1 and 0"), 1);
  EXPECT_REAL(value("not 1 < 2"), 0);
}

/* ---- names ---- */

Test(expression, given_variables_keep_their_order_and_number) {
  tn_expression *expression = compile("FP / TP", "TP|FP|FN|TN");
  EXPECT_INT(tn_expression_table.variable_count(expression), 4);
  EXPECT_TEXT(tn_expression_table.variable(expression, 0), "TP");
  EXPECT_TEXT(tn_expression_table.variable(expression, 3), "TN");
  cr_assert(tn_expression_table.variable(expression, 4) == NULL);
  EXPECT_TEXT(tn_expression_table.text(expression), "FP / TP");
  EXPECT_REAL(tn_expression_evaluate(expression, (const double[]){4, 2, NAN, NAN}), 0.5);
  tn_expression_release(expression);
}

Test(expression, free_variables_come_in_order_of_appearance) {
  tn_expression *expression = compile("b.loss + a * b.loss - min", NULL);
  EXPECT_INT(tn_expression_table.variable_count(expression), 3);
  EXPECT_TEXT(tn_expression_table.variable(expression, 0), "b.loss");
  EXPECT_TEXT(tn_expression_table.variable(expression, 1), "a");
  EXPECT_TEXT(tn_expression_table.variable(expression, 2), "min"); // a function's name, not called
  EXPECT_REAL(tn_expression_evaluate(expression, (const double[]){3, 2, 1}), 8);
  tn_expression_release(expression);
}

Test(expression, the_matthews_correlation_is_the_closed_form) {
  const double v[] = {40, 10, 5, 45}; // TP FP FN TN
  double wanted = (40.0 * 45 - 10.0 * 5) / sqrt(50.0 * 45 * 55 * 50);
  double got = value_with("(TP*TN - FP*FN) / sqrt((TP+FP)*(TP+FN)*(TN+FP)*(TN+FN))", "TP|FP|FN|TN", v);
  cr_assert(fabs(got - wanted) < 1e-15, "expected %.17g, got %.17g", wanted, got);
}

/* ---- what is refused, and how it reads ---- */

Test(expression, unknown_names_are_told_with_the_nearest) {
  const char *confusion = "TP|FP|FN|TN|P|N";
  expect_refused("TP/(TP+FQ)", confusion,
                 "expression 'TP/(TP+FQ)': column 8: unknown name 'FQ'; did you mean 'FP'?");
  expect_refused("sqr(TP)", confusion,
                 "expression 'sqr(TP)': column 1: unknown function 'sqr'; did you mean 'sqrt'?");
  expect_refused("accuracy", confusion,
                 "expression 'accuracy': column 1: unknown name 'accuracy'; known are TP, FP, FN, TN, P, N");
  expect_refused("x", "", "expression 'x': column 1: unknown name 'x'; numbers only");
  expect_refused("frobnicate(1)", "", "expression 'frobnicate(1)': column 1: unknown function 'frobnicate'");
}

Test(expression, malformed_texts_are_refused_at_their_column) {
  static const char *const cases[][2] = {
      {"", "expression '': column 1: the expression is empty"},
      {"  \t", "expression '   ': column 4: the expression is empty"},
      {"1 +", "expression '1 +': column 4: a number or a name expected at the end"},
      {"1 + * 2", "expression '1 + * 2': column 5: a number or a name expected before '*'"},
      {"(1 + 2", "expression '(1 + 2': column 1: this parenthesis is not closed"},
      {"1 + 2)", "expression '1 + 2)': column 6: this parenthesis was never opened"},
      {"()", "expression '()': column 2: a number or a name expected before ')'"},
      {"2x", "expression '2x': column 2: an operator expected before 'x'"},
      {"(x x)", "expression '(x x)': column 4: an operator or ')' expected before 'x'"},
      {"x = 1", "expression 'x = 1': column 3: unexpected '='; did you mean '=='?"},
      {"x ** 2", "expression 'x ** 2': column 3: unexpected '**'; did you mean '^'?"},
      {"x && 1", "expression 'x && 1': column 3: unexpected '&&'; did you mean 'and'?"},
      {"!x", "expression '!x': column 1: unexpected '!'; did you mean 'not'?"},
      {"x $ 1", "expression 'x $ 1': column 3: unexpected '$'"},
      {"2 \xc3\x97 x", "expression '2 \xc3\x97 x': column 3: unexpected '\xc3\x97'"},
      {"\xc3\xa4 + x", "expression '\xc3\xa4 + x': column 1: unexpected '\xc3\xa4'"},
      {"x +\n\xff", "expression 'x + ?': column 5: unexpected '?'"},
      {"1e999", "expression '1e999': column 1: unexpected '1e999'; the number is too large"},
      {"0x10", "expression '0x10': column 2: an operator expected before 'x10'"},
      {"x < 1 < 2", "expression 'x < 1 < 2': column 7: comparisons do not chain; write a < b and b < c"},
      {"1 + not x", "expression '1 + not x': column 5: 'not' needs parentheses here: (not ...)"},
      {"sqrt()", "expression 'sqrt()': column 1: sqrt takes 1 argument, not 0"},
      {"sqrt(1, 2)", "expression 'sqrt(1, 2)': column 1: sqrt takes 1 argument, not 2"},
      {"where(x, 1)", "expression 'where(x, 1)': column 1: where takes 3 arguments, not 2"},
      {"min()", "expression 'min()': column 1: min takes 1 argument or more, not 0"},
      {"min(1,)", "expression 'min(1,)': column 7: a number or a name expected before ')'"},
      {"sqrt(1", "expression 'sqrt(1': column 7: ',' or ')' expected at the end"},
      {"x(1)", "expression 'x(1)': column 1: unknown function 'x'"},
      {"and", "expression 'and': column 1: a number or a name expected before 'and'"},
      {"x.", "expression 'x.': column 2: unexpected '.'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) expect_refused(cases[i][0], "x", cases[i][1]);
}

static char *repeat(const char *part, uint32_t times, const char *end) {
  size_t length = strlen(part);
  char *text = malloc(length * times + strlen(end) + 1);
  cr_assert(text != NULL);
  for (uint32_t i = 0; i < times; i++) memcpy(text + i * length, part, length);
  strcpy(text + length * times, end);
  return text;
}

static void expect_refused_with(char *text, const char *part) {
  tn_context_clear(tn_context_current());
  cr_assert(tn_expression_compile(text, NULL) == NULL);
  EXPECT_CONTAINS(message(), part);
  cr_assert(strlen(message()) < 400, "%s", message());
  free(text);
}

Test(expression, depth_and_size_are_limited) {
  expect_refused_with(repeat("(", 100000, "1"), "longer than 8192 bytes");
  expect_refused_with(repeat("(", 5000, "1"), "nested more than 200 deep");
  expect_refused_with(repeat("-", 5000, "1"), "nested more than 200 deep");
  expect_refused_with(repeat("2^", 3000, "1"), "nested more than 200 deep");
  expect_refused_with(repeat("sqrt(", 1000, "1"), "nested more than 200 deep");
  char *text = repeat("x+", 3000, "x"); // long, not deep; 3000 different sums
  expect_refused_with(text, "more than 1024 different operations");
  text = repeat("(", 150, "2");
  char *closed = repeat(")", 150, "");
  char *both = malloc(400);
  snprintf(both, 400, "%s%s", text, closed);
  EXPECT_REAL(value(both), 2);
  free(text);
  free(closed);
  free(both);
}

/* ---- claims ---- */

/* The names of a claim, in order. */
static void expect_names(const char *text, const char *names) {
  char got[256] = "";
  tn_expression *claim = tn_claim_compile(text);
  cr_assert(claim != NULL, "%s", message());
  for (uint32_t i = 0; i < tn_expression_table.variable_count(claim); i++) {
    strcat(got, i ? " | " : "");
    strcat(got, tn_expression_table.variable(claim, i));
  }
  EXPECT_TEXT(got, names);
  tn_expression_release(claim);
}

Test(claim, names_are_words_between_dots) {
  expect_names("mean(lion.test.accuracy) > std(lion.test.accuracy) + b", "lion.test.accuracy | b");
  expect_names("all(*.test.finite) and not lr-small.*.loss < 97", "*.test.finite | lr-small.*.loss");
  expect_names("2 * *.loss == 2*a.b*c.d", "*.loss | a.b | c.d");
  expect_names("a.x - b.x > a.x-b.x", "a.x | b.x | a.x-b.x"); // a minus has blanks
  expect_names("a[lr=1e-3, h=64, 64].test.x > [best=v.x].test.x",
               "a[lr=1e-3, h=64, 64].test.x | [best=v.x].test.x");
  expect_names("mean > 1", "mean");
}

static void expect_program(const char *text, const tn_formula_operation *operations, uint32_t count) {
  tn_expression *claim = tn_claim_compile(text);
  cr_assert(claim != NULL, "%s", message());
  uint32_t got;
  const tn_formula_node *nodes = tn_claim_nodes(claim, &got);
  EXPECT_INT(got, count);
  for (uint32_t i = 0; i < count; i++) EXPECT_INT(nodes[i].operation, operations[i]);
  tn_expression_release(claim);
}

/* min and max are functions over runs of one argument, and of numbers of several. */
Test(claim, functions_over_runs_take_any_expression) {
  expect_program("mean(a.x - b.x) > 0",
                 (tn_formula_operation[]){TN_OP_VARIABLE, TN_OP_VARIABLE, TN_OP_SUBTRACT, TN_OP_MEAN,
                                          TN_OP_CONSTANT, TN_OP_GREATER},
                 6);
  expect_program(
      "min(max(a.x), least(b.x))",
      (tn_formula_operation[]){TN_OP_VARIABLE, TN_OP_LARGEST, TN_OP_VARIABLE, TN_OP_LEAST, TN_OP_MINIMUM}, 5);
  expect_program("sum(3) + count(2) + std(7)", (tn_formula_operation[]){TN_OP_CONSTANT}, 1);
}

Test(claim, malformed_claims_are_refused) {
  static const char *const cases[][2] = {
      {"mean(a.b, 1) > 2", "expression 'mean(a.b, 1) > 2': column 1: mean takes 1 argument, not 2"},
      {"maen(a.b) > 2",
       "expression 'maen(a.b) > 2': column 1: unknown function 'maen'; did you mean 'mean'?"},
      {"mean(a..b) > 2", "expression 'mean(a..b) > 2': column 7: unexpected '.'"},
      {"a[lr=1.b > 2", "expression 'a[lr=1.b > 2': column 2: unexpected '['"},
      {"mean(a.b > 2", "expression 'mean(a.b > 2': column 13: ',' or ')' expected at the end"},
      {"* > 2", "expression '* > 2': column 1: a number or a name expected before '*'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_context_clear(tn_context_current());
    cr_assert(tn_claim_compile(cases[i][0]) == NULL, "accepted: %s", cases[i][0]);
    EXPECT_TEXT(message(), cases[i][1]);
  }
}
