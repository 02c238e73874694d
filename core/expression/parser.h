// SPDX-License-Identifier: MIT
/* From an expression's text to its graph. */
#ifndef TENON_CORE_EXPRESSION_PARSER_H
#define TENON_CORE_EXPRESSION_PARSER_H

#include "core/expression/expression.h"
#include "core/expression/graph.h"

#define TN_EXPRESSION_BYTES     8192u /* of a text */
#define TN_EXPRESSION_VARIABLES 256u
#define TN_EXPRESSION_DEPTH     200u

/* Which names an expression may use. */
typedef enum tn_vocabulary {
  TN_NAMES_GIVEN, /* those in `variables` */
  TN_NAMES_ANY,   /* any; they become `variables` in order of appearance */
  TN_NAMES_CLAIM  /* results of runs; each becomes a variable */
} tn_vocabulary;

typedef struct tn_formula_parsed {
  tn_vocabulary vocabulary;
  uint32_t variable_count;
  const char *variables[TN_EXPRESSION_VARIABLES];
  char words[TN_EXPRESSION_BYTES + 1]; /* what the variables' names point to */
  uint32_t words_used;
  tn_formula_graph graph; /* the last node is the value */
} tn_formula_parsed;

/* Fills the graph and, unless they are given, the variables. TN_OK, or an error that is recorded. */
tn_status tn_formula_parse(const char *text, tn_formula_parsed *parsed);

#endif
