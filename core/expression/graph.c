// SPDX-License-Identifier: MIT
#include "core/expression/graph.h"

#include <math.h>
#include <string.h>

uint32_t tn_formula_arity(tn_formula_operation operation) {
  if (operation <= TN_OP_VARIABLE) return 0;
  if (operation < TN_OP_ADD) return 1;
  return operation < TN_OP_WHERE ? 2 : 3;
}

bool tn_formula_gathers(tn_formula_operation operation) {
  return operation >= TN_OP_MEAN && operation <= TN_OP_LEAST;
}

static double sigmoid(double x) {
  double e = exp(-fabs(x)); // never overflows
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

double tn_formula_value(tn_formula_operation operation, double x, double y, double z) {
  switch (operation) {
  case TN_OP_CONSTANT:
  case TN_OP_VARIABLE: return x;
  case TN_OP_NEGATE: return -x;
  case TN_OP_NOT: return x == 0;
  case TN_OP_ABS: return fabs(x);
  case TN_OP_SQRT: return sqrt(x);
  case TN_OP_EXP: return exp(x);
  case TN_OP_LOG: return log(x);
  case TN_OP_LOG1P: return log1p(x);
  case TN_OP_SIN: return sin(x);
  case TN_OP_COS: return cos(x);
  case TN_OP_TANH: return tanh(x);
  case TN_OP_SIGMOID: return sigmoid(x);
  case TN_OP_SIGN: return isnan(x) ? x : (x > 0) - (x < 0);
  case TN_OP_FLOOR: return floor(x);
  case TN_OP_CEIL: return ceil(x);
  case TN_OP_MEAN:
  case TN_OP_MEDIAN:
  case TN_OP_SMALLEST:
  case TN_OP_LARGEST:
  case TN_OP_SUM:
  case TN_OP_BEST:
  case TN_OP_LEAST: return x;
  case TN_OP_STD: return 0;
  case TN_OP_COUNT:
  case TN_OP_ALL:
  case TN_OP_ANY: return x != 0;
  case TN_OP_ADD: return x + y;
  case TN_OP_SUBTRACT: return x - y;
  case TN_OP_MULTIPLY: return x * y;
  case TN_OP_DIVIDE: return x / y;
  case TN_OP_POWER: return pow(x, y);
  case TN_OP_MINIMUM:
    return isnan(x) || x <= y ? x : y; // NaN if one is: a figure that is no number must show
  case TN_OP_MAXIMUM: return isnan(x) || x >= y ? x : y;
  case TN_OP_LESS: return x < y;
  case TN_OP_LESS_EQUAL: return x <= y;
  case TN_OP_GREATER: return x > y;
  case TN_OP_GREATER_EQUAL: return x >= y;
  case TN_OP_EQUAL: return x == y;
  case TN_OP_NOT_EQUAL: return x != y;
  case TN_OP_AND: return x != 0 && y != 0;
  case TN_OP_OR: return x != 0 || y != 0;
  case TN_OP_WHERE: return x != 0 ? y : z;
  }
  return NAN;
}

/* Not comparisons: what a claim compares keeps its sides. */
static bool commutes(tn_formula_operation operation) {
  return operation == TN_OP_ADD || operation == TN_OP_MULTIPLY || operation == TN_OP_AND ||
         operation == TN_OP_OR;
}

/* Equal as bits, so that 0 and -0 stay apart and NaN equals itself. */
static bool same(const tn_formula_node *a, const tn_formula_node *b) {
  return a->operation == b->operation && !memcmp(a->operand, b->operand, sizeof a->operand) &&
         !memcmp(&a->constant, &b->constant, sizeof a->constant);
}

static bool is_constant(const tn_formula_graph *graph, uint32_t node, double value) {
  return graph->nodes[node].operation == TN_OP_CONSTANT && graph->nodes[node].constant == value;
}

/* x * 1, x / 1, x^1 and -(-x) are x, exactly. TN_FORMULA_NODES: nothing of the kind. */
static uint32_t shorter(const tn_formula_graph *graph, const tn_formula_node *node) {
  uint32_t x = node->operand[0], y = node->operand[1];
  switch (node->operation) {
  case TN_OP_MULTIPLY:
    if (is_constant(graph, x, 1)) return y;
    return is_constant(graph, y, 1) ? x : TN_FORMULA_NODES;
  case TN_OP_DIVIDE:
  case TN_OP_POWER: return is_constant(graph, y, 1) ? x : TN_FORMULA_NODES;
  case TN_OP_NEGATE:
    return graph->nodes[x].operation == TN_OP_NEGATE ? graph->nodes[x].operand[0] : TN_FORMULA_NODES;
  default: return TN_FORMULA_NODES;
  }
}

uint32_t tn_formula_add(tn_formula_graph *graph, tn_formula_node node) {
  uint32_t arity = tn_formula_arity(node.operation);
  double value[3] = {0};
  bool constant = arity > 0;
  for (uint32_t i = 0; i < arity; i++) {
    if (node.operand[i] >= graph->count) return TN_FORMULA_NODES; // an operand that found no room
    const tn_formula_node *operand = &graph->nodes[node.operand[i]];
    constant &= operand->operation == TN_OP_CONSTANT;
    value[i] = operand->constant;
  }
  if (constant)
    return tn_formula_constant(graph, tn_formula_value(node.operation, value[0], value[1], value[2]));
  if (arity > 0) {
    uint32_t known = shorter(graph, &node);
    if (known < TN_FORMULA_NODES) return known;
  }
  if (commutes(node.operation) && node.operand[0] > node.operand[1]) {
    uint32_t first = node.operand[0];
    node.operand[0] = node.operand[1];
    node.operand[1] = first;
  }
  for (uint32_t i = 0; i < graph->count; i++)
    if (same(&graph->nodes[i], &node)) return i;
  if (graph->count == TN_FORMULA_NODES) return TN_FORMULA_NODES;
  graph->nodes[graph->count] = node;
  return graph->count++;
}

uint32_t tn_formula_constant(tn_formula_graph *graph, double value) {
  return tn_formula_add(graph, (tn_formula_node){.operation = TN_OP_CONSTANT, .constant = value});
}

void tn_formula_trim(tn_formula_graph *graph, uint32_t root) {
  bool needed[TN_FORMULA_NODES] = {false};
  uint32_t moved[TN_FORMULA_NODES], count = 0;
  needed[root] = true;
  for (uint32_t i = root + 1; i-- > 0;)
    for (uint32_t j = 0; needed[i] && j < tn_formula_arity(graph->nodes[i].operation); j++)
      needed[graph->nodes[i].operand[j]] = true;
  for (uint32_t i = 0; i <= root; i++) {
    if (!needed[i]) continue;
    tn_formula_node node = graph->nodes[i];
    for (uint32_t j = 0; j < tn_formula_arity(node.operation); j++) node.operand[j] = moved[node.operand[j]];
    moved[i] = count;
    graph->nodes[count++] = node;
  }
  graph->count = count;
}
