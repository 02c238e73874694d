// SPDX-License-Identifier: MIT
/* An expression as a graph of operations in which equal subexpressions are one node and constants are folded.
 * Nodes are numbered so that operands come first: running them in order is running a program. */
#ifndef TENON_CORE_EXPRESSION_GRAPH_H
#define TENON_CORE_EXPRESSION_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

typedef enum tn_formula_operation {
  TN_OP_CONSTANT,
  TN_OP_VARIABLE,
  // of one operand
  TN_OP_NEGATE,
  TN_OP_NOT,
  TN_OP_ABS,
  TN_OP_SQRT,
  TN_OP_EXP,
  TN_OP_LOG,
  TN_OP_LOG1P,
  TN_OP_SIN,
  TN_OP_COS,
  TN_OP_TANH,
  TN_OP_SIGMOID,
  TN_OP_SIGN,
  TN_OP_FLOOR,
  TN_OP_CEIL,
  // of one operand that is a number for every run, in claims
  TN_OP_MEAN,
  TN_OP_STD,
  TN_OP_MEDIAN,
  TN_OP_SMALLEST,
  TN_OP_LARGEST,
  TN_OP_SUM,
  TN_OP_COUNT,
  TN_OP_ALL,
  TN_OP_ANY,
  TN_OP_BEST,
  TN_OP_LEAST,
  // of two
  TN_OP_ADD,
  TN_OP_SUBTRACT,
  TN_OP_MULTIPLY,
  TN_OP_DIVIDE,
  TN_OP_POWER,
  TN_OP_MINIMUM,
  TN_OP_MAXIMUM,
  TN_OP_LESS,
  TN_OP_LESS_EQUAL,
  TN_OP_GREATER,
  TN_OP_GREATER_EQUAL,
  TN_OP_EQUAL,
  TN_OP_NOT_EQUAL,
  TN_OP_AND,
  TN_OP_OR,
  // of three
  TN_OP_WHERE
} tn_formula_operation;

typedef struct tn_formula_node {
  tn_formula_operation operation;
  uint32_t operand[3]; /* nodes; VARIABLE: operand[0] is the variable's number */
  double constant;     /* of CONSTANT */
} tn_formula_node;

#define TN_FORMULA_NODES 1024u

typedef struct tn_formula_graph {
  uint32_t count;
  tn_formula_node nodes[TN_FORMULA_NODES];
} tn_formula_graph;

uint32_t tn_formula_arity(tn_formula_operation operation);
/* True for those over runs. */
bool tn_formula_gathers(tn_formula_operation operation);
/* The operation on numbers; those over runs as if there were one run. */
double tn_formula_value(tn_formula_operation operation, double x, double y, double z);

/* The node for an operation on nodes: an old one, a constant, or a new one. TN_FORMULA_NODES if it is full.
 */
uint32_t tn_formula_add(tn_formula_graph *graph, tn_formula_node node);
uint32_t tn_formula_constant(tn_formula_graph *graph, double value);
/* Drops what `root` does not need; the root is the last node then. */
void tn_formula_trim(tn_formula_graph *graph, uint32_t root);

#endif
