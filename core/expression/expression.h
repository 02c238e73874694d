// SPDX-License-Identifier: MIT
/* Formulas (tenon.expression/1) and claims: formulas over the results of runs.
 *
 * Binding, loosest first: or; and; not; comparisons (which do not chain); + -; * /; unary -; ^ (to the right,
 * and its exponent may begin with a minus). So -2^2 is -4 and 2^-1 is 0.5, as in mathematics. */
#ifndef TENON_CORE_EXPRESSION_H
#define TENON_CORE_EXPRESSION_H

#include "core/expression/graph.h"
#include <tenon/expression.h>

/* The service that plugins get. Errors go to the current callback's record (tn_fail) in the form
 *     expression 'TP/(TP+FQ)': column 8: unknown name 'FQ'; did you mean 'FP'?
 * Columns count characters from 1. */
extern const tn_expression_service tn_expression_table;

/* A claim, such as `mean(lion.test.accuracy) >= mean(adamw.test.accuracy) + 0.5`, has all of this and, over
 * the runs of an experiment, mean std median min max sum count all any best least of one argument. Its
 * variables are results of runs: names of words between dots, in which * may stand for a whole word, - may
 * stand inside a word (so a minus between names has blanks around it), and [...] behind the first word or in
 * its place.
 */
tn_expression *tn_claim_compile(const char *text);
/* The claim as a program: operands come first, the last node is the claim. */
const tn_formula_node *tn_claim_nodes(const tn_expression *claim, uint32_t *count);

#endif
