// SPDX-License-Identifier: MIT
#include "core/expression/expression.h"

#include "core/expression/parser.h"
#include "core/expression/scanner.h"
#include "core/expression/tensor.h"
#include <math.h>
#include <string.h>
#include <tenon/log.h>

struct tn_expression {
  char *text;
  char *words; /* what the names of the variables point to */
  const char **variables;
  uint32_t variable_count;
  uint32_t node_count;
  tn_formula_node *nodes; /* the last one is the value */
  tn_formula_step *steps;
};

static void release(tn_expression *expression) {
  if (!expression) return;
  tn_free(expression->text);
  tn_free(expression->words);
  tn_free(expression->variables);
  tn_free(expression->nodes);
  tn_free(expression->steps);
  tn_free(expression);
}

static void *copy(const void *data, size_t bytes) {
  void *memory = tn_alloc(bytes ? bytes : 1);
  if (memory && bytes) memcpy(memory, data, bytes);
  return memory;
}

/* Splits "TP|FP" into the variables. */
static tn_status give_names(tn_formula_parsed *parsed, const char *names) {
  size_t length = strlen(names);
  if (length >= sizeof parsed->words)
    return tn_fail(TN_ERROR_INTERNAL, "an expression's list of variables is longer than %u bytes",
                   TN_EXPRESSION_BYTES);
  char *word = memcpy(parsed->words, names, length + 1);
  for (char *bar = word; bar && length; word = bar + 1) {
    if (parsed->variable_count == TN_EXPRESSION_VARIABLES)
      return tn_fail(TN_ERROR_INTERNAL, "an expression has more than %u variables", TN_EXPRESSION_VARIABLES);
    bar = strchr(word, '|');
    if (bar) *bar = 0;
    parsed->variables[parsed->variable_count++] = word;
    if (!bar) break;
  }
  parsed->words_used = (uint32_t)length + 1;
  return TN_OK;
}

/* The lasting form of what was parsed. */
static tn_expression *finish(const char *text, const tn_formula_parsed *parsed) {
  tn_expression *expression = tn_alloc(sizeof *expression);
  if (!expression) return NULL;
  expression->variable_count = parsed->variable_count;
  expression->node_count = parsed->graph.count;
  expression->text = copy(text, strlen(text) + 1);
  expression->words = copy(parsed->words, parsed->words_used);
  expression->variables = copy(parsed->variables, parsed->variable_count * sizeof *parsed->variables);
  expression->nodes = copy(parsed->graph.nodes, parsed->graph.count * sizeof *parsed->graph.nodes);
  expression->steps = tn_alloc(parsed->graph.count * sizeof *expression->steps);
  if (!expression->text || !expression->words || !expression->variables || !expression->nodes ||
      !expression->steps) {
    release(expression);
    return NULL;
  }
  for (uint32_t i = 0; i < expression->variable_count; i++)
    expression->variables[i] = expression->words + (parsed->variables[i] - parsed->words);
  tn_formula_plan(expression->nodes, expression->node_count, expression->steps);
  return expression;
}

static tn_expression *compile_with(const char *text, tn_vocabulary vocabulary, const char *names) {
  tn_formula_parsed *parsed = tn_alloc(sizeof *parsed);
  if (!parsed) return NULL;
  parsed->vocabulary = vocabulary;
  tn_status status = vocabulary == TN_NAMES_GIVEN ? give_names(parsed, names) : TN_OK;
  if (status == TN_OK) status = tn_formula_parse(text, parsed);
  tn_expression *expression = status == TN_OK ? finish(text, parsed) : NULL;
  tn_free(parsed);
  return expression;
}

static tn_expression *compile(const char *text, const char *variables) {
  return compile_with(text, variables ? TN_NAMES_GIVEN : TN_NAMES_ANY, variables);
}

static const char *text_of(const tn_expression *expression) { return expression->text; }
static uint32_t variable_count(const tn_expression *expression) { return expression->variable_count; }
static const char *variable(const tn_expression *expression, uint32_t index) {
  return index < expression->variable_count ? expression->variables[index] : NULL;
}

/* The values of all nodes. */
static void run(const tn_expression *expression, const double *values, double *slots) {
  for (uint32_t i = 0; i < expression->node_count; i++) {
    const tn_formula_node *n = &expression->nodes[i];
    if (n->operation == TN_OP_CONSTANT)
      slots[i] = n->constant;
    else if (n->operation == TN_OP_VARIABLE)
      slots[i] = values[n->operand[0]];
    else {
      double operand[3] = {0};
      for (uint32_t j = 0; j < tn_formula_arity(n->operation); j++) operand[j] = slots[n->operand[j]];
      slots[i] = tn_formula_value(n->operation, operand[0], operand[1], operand[2]);
    }
  }
}

static double evaluate(const tn_expression *expression, const double *values) {
  double slots[TN_FORMULA_NODES];
  run(expression, values, slots);
  return slots[expression->node_count - 1];
}

static tn_tensor *apply(const tn_expression *expression, tn_tensor *const *values) {
  return tn_formula_run(expression->nodes, expression->steps, expression->node_count, values,
                        expression->variable_count);
}

const tn_expression_service tn_expression_table = {
    .size = sizeof tn_expression_table,
    .compile = compile,
    .release = release,
    .text = text_of,
    .variable_count = variable_count,
    .variable = variable,
    .evaluate = evaluate,
    .apply = apply,
};

/* ---- claims ---- */

tn_expression *tn_claim_compile(const char *text) { return compile_with(text, TN_NAMES_CLAIM, NULL); }

const tn_formula_node *tn_claim_nodes(const tn_expression *claim, uint32_t *count) {
  *count = claim->node_count;
  return claim->nodes;
}
