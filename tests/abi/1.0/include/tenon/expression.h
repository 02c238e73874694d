// SPDX-License-Identifier: MIT
/* tenon.expression/1: formulas that users write in pipeline files, over numbers or, differentiably, over
 * tensors.
 *
 * Grammar: numbers, names, + - * / ^ (right-associative), unary -, parentheses, comparisons < <= > >= == !=,
 * `and` `or` `not`, calls: abs sqrt exp log log1p sin cos tanh sigmoid sign floor ceil min max pow where(c,
 * a, b). min and max take one or more arguments. Truth is 1 or 0. Names may contain dots. Threads: [any]; a
 * compiled expression is constant. */
#ifndef TENON_EXPRESSION_H
#define TENON_EXPRESSION_H

#include <tenon/tensor.h>

#define TN_EXPRESSION_SERVICE "tenon.expression/1"

typedef struct tn_expression tn_expression;

typedef struct tn_expression_service {
  uint32_t size;
  /* Compiles `text` over `variables` ("TP|FP|FN|TN"; NULL: any name). NULL and a recorded error (with column
   * and the nearest known name) if it is wrong. Released by whoever compiled it. */
  tn_expression *(*compile)(const char *text, const char *variables);
  void (*release)(tn_expression *expression);
  const char *(*text)(const tn_expression *expression);
  uint32_t (*variable_count)(const tn_expression *expression);
  const char *(*variable)(const tn_expression *expression, uint32_t index);
  /* Values in the order of the variables. Division by zero and the like give inf or NaN as in C. */
  double (*evaluate)(const tn_expression *expression, const double *values);
  /* The same with tensors (broadcasting); differentiable. Comparisons give 0 / 1 without derivative. */
  tn_tensor *(*apply)(const tn_expression *expression, tn_tensor *const *values);
} tn_expression_service;

static inline tn_expression *tn_expression_compile(const char *text, const char *variables) {
  return tn_sdk.expression->compile(text, variables);
}
static inline void tn_expression_release(tn_expression *expression) {
  tn_sdk.expression->release(expression);
}
static inline double tn_expression_evaluate(const tn_expression *expression, const double *values) {
  return tn_sdk.expression->evaluate(expression, values);
}
static inline tn_tensor *tn_expression_apply(const tn_expression *expression, tn_tensor *const *values) {
  return tn_sdk.expression->apply(expression, values);
}

#endif
