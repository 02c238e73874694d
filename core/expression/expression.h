// SPDX-License-Identifier: MIT
/* Formulas (tenon.expression/1) and claims: formulas over the results of runs.
 *
 * Binding, loosest first: or; and; not; comparisons (which do not chain); + -; * /; unary -; ^ (to the right,
 * and its exponent may begin with a minus). So -2^2 is -4 and 2^-1 is 0.5, as in mathematics. */
#ifndef TENON_CORE_EXPRESSION_H
#define TENON_CORE_EXPRESSION_H

#include <tenon/expression.h>

/* The service that plugins get. Errors go to the current callback's record (tn_fail) in the form
 *     expression 'TP/(TP+FQ)': column 8: unknown name 'FQ'; did you mean 'FP'?
 * Columns count characters from 1. */
extern const tn_expression_service tn_expression_table;

/* A claim, such as `mean(lion.test.accuracy) >= mean(adamw.test.accuracy) + 0.5`: its variables are results
 * of runs. A result is a dotted name, in which a whole part may be * (`*.test.accuracy`), alone or as the
 * only argument of mean, min, max, std, all or any. Everything of the grammar can be built from them. */
tn_expression *tn_claim_compile(const char *text);

/* What the variable `index` of a claim stands for. */
typedef struct tn_claim_result {
  const char *function; /* "mean", "min", "max", "std", "all", "any"; "" for a name alone */
  const char *name;     /* "lion.test.accuracy" */
  uint32_t column;      /* of the name, for messages */
} tn_claim_result;
const tn_claim_result *tn_claim_at(const tn_expression *claim, uint32_t index);

/* Records "expression '...': column N: ..." about a place of the expression; returns TN_ERROR_INVALID. */
TN_PRINTF(3, 4)
tn_status tn_expression_fail(const tn_expression *expression, uint32_t column, const char *format, ...);

/* The value of one result of a claim. Anything but TN_OK fails the claim; the resolver has recorded why. */
typedef tn_status (*tn_claim_resolve)(void *context, const tn_claim_result *result, double *value);

typedef struct tn_claim_verdict {
  double value;           /* of the whole claim: 1 holds, 0 does not */
  const char *comparison; /* "<", "<=", ">", ">=", "==", "!=" if the claim is one comparison, else NULL */
  double left, right;     /* its two sides; NAN without a comparison */
} tn_claim_verdict;
tn_status tn_claim_judge(const tn_expression *claim, tn_claim_resolve resolve, void *context,
                         tn_claim_verdict *verdict);

#endif
