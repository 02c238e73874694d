// SPDX-License-Identifier: MIT
#include "core/sweep/claim.h"
#include "core/config/memory.h"
#include "core/expression/expression.h"
#include "core/plugin/host.h"
#include "core/sweep/selection.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct judge {
  const tn_plan *plan;
  const tn_outcome_record *outcomes; /* NULL: only what can be known before is checked */
  tn_expression *claim;
  const tn_formula_node *nodes;
  uint32_t node_count;
  tn_series *values; /* one a node */
  uint32_t runs;     /* most that a name stood for */
  char *why;
  size_t bytes;
} judge;

static const char *comparison_sign(tn_formula_operation operation) {
  switch (operation) {
  case TN_OP_LESS: return "<";
  case TN_OP_LESS_EQUAL: return "<=";
  case TN_OP_GREATER: return ">";
  case TN_OP_GREATER_EQUAL: return ">=";
  case TN_OP_EQUAL: return "==";
  case TN_OP_NOT_EQUAL: return "!=";
  default: return NULL;
  }
}

/* True or false, not a number. */
static bool is_relation(tn_formula_operation operation) {
  return comparison_sign(operation) || operation == TN_OP_AND || operation == TN_OP_OR ||
         operation == TN_OP_NOT || operation == TN_OP_ALL || operation == TN_OP_ANY;
}

static bool take_error(judge *j) {
  tn_context *context = tn_context_current();
  snprintf(j->why, j->bytes, "%s", context->message);
  tn_context_clear(context);
  return false;
}

static bool compile(judge *j, const char *text) {
  j->claim = tn_claim_compile(text);
  if (!j->claim) return take_error(j);
  j->nodes = tn_claim_nodes(j->claim, &j->node_count);
  j->values = tn_take(j->node_count * sizeof *j->values);
  if (tn_sdk.expression->variable_count(j->claim) == 0)
    return snprintf(j->why, j->bytes, "it names no result"), false;
  if (!is_relation(j->nodes[j->node_count - 1].operation))
    return snprintf(j->why, j->bytes, "it is a number; expected a relation, as in ... >= 0.5"), false;
  return true;
}

static bool evaluate(judge *j) {
  for (uint32_t i = 0; i < j->node_count; i++) {
    const tn_formula_node *n = &j->nodes[i];
    tn_series *value = &j->values[i];
    if (n->operation == TN_OP_CONSTANT) {
      *value = tn_series_number(n->constant);
    } else if (n->operation == TN_OP_VARIABLE) {
      const char *name = tn_sdk.expression->variable(j->claim, n->operand[0]);
      if (!tn_selection_read(j->plan, j->outcomes, name, value, j->why, j->bytes)) return false;
      if (value->count > j->runs) j->runs = value->count;
    } else if (tn_formula_gathers(n->operation)) {
      *value = tn_series_number(tn_series_over(n->operation, &j->values[n->operand[0]]));
    } else {
      const tn_series *operands[3];
      for (uint32_t k = 0; k < tn_formula_arity(n->operation); k++) operands[k] = &j->values[n->operand[k]];
      if (!tn_series_apply(n->operation, operands, value, j->why, j->bytes)) return false;
    }
  }
  return true;
}

static void finish(judge *j) {
  for (uint32_t i = 0; j->values && i < j->node_count; i++) tn_series_free(&j->values[i]);
  free(j->values);
  tn_expression_release(j->claim);
}

/* ---- the verdict ---- */

static bool is_true(const tn_series *s) {
  for (uint32_t i = 0; i < s->count; i++)
    if (s->points[i].value != 1) return false;
  return true;
}

/* The part of the claim that decides it: of `a and b` the one that does not hold, of all(c) c. */
static uint32_t decisive(const judge *j) {
  uint32_t at = j->node_count - 1;
  for (;;) {
    const tn_formula_node *n = &j->nodes[at];
    if (n->operation == TN_OP_ALL)
      at = n->operand[0];
    else if (n->operation == TN_OP_AND && !is_true(&j->values[n->operand[0]]))
      at = n->operand[0];
    else if (n->operation == TN_OP_AND && !is_true(&j->values[n->operand[1]]))
      at = n->operand[1];
    else
      return at;
  }
}

/* How far from holding `x sign y` is; NAN counts as farthest. */
static double shortfall(tn_formula_operation operation, double x, double y) {
  const double d = operation == TN_OP_LESS || operation == TN_OP_LESS_EQUAL         ? x - y
                   : operation == TN_OP_GREATER || operation == TN_OP_GREATER_EQUAL ? y - x
                   : operation == TN_OP_EQUAL                                       ? fabs(x - y)
                                                                                    : -fabs(x - y);
  return isnan(d) ? INFINITY : d;
}

/* The sides of a comparison: where it is made run by run, of the run where it holds least. */
static void show_sides(const judge *j, uint32_t at, tn_verdict *v) {
  const tn_formula_node *n = &j->nodes[at];
  const tn_series *made = &j->values[at];
  if (!comparison_sign(n->operation)) return;
  snprintf(v->comparison, sizeof v->comparison, "%s", comparison_sign(n->operation));
  v->compared = made->scalar ? 0 : made->count;
  double worst = -INFINITY;
  for (uint32_t i = 0; i < made->count; i++) {
    double left, right;
    tn_series_at(&j->values[n->operand[0]], &made->points[i], &left);
    tn_series_at(&j->values[n->operand[1]], &made->points[i], &right);
    v->failing += made->points[i].value != 1;
    if (i > 0 && shortfall(n->operation, left, right) <= worst) continue;
    worst = shortfall(n->operation, left, right);
    v->left = left;
    v->right = right;
  }
}

static void judge_claim(const tn_plan *plan, const tn_outcome_record *outcomes, const tn_key *key,
                        tn_verdict *v) {
  *v = (tn_verdict){
      .name = key->name, .text = key->value, .file = key->file, .line = key->line, .left = NAN, .right = NAN};
  judge j = {.plan = plan, .outcomes = outcomes, .why = v->why, .bytes = sizeof v->why};
  v->judged = compile(&j, key->value) && evaluate(&j);
  if (v->judged) {
    v->holds = is_true(&j.values[j.node_count - 1]);
    show_sides(&j, decisive(&j), v);
  }
  v->runs = j.runs;
  finish(&j);
}

uint32_t tn_claims_judge(const tn_plan *plan, const tn_outcome_record *outcomes, tn_verdict **verdicts) {
  const tn_section *expect = tn_config_find(plan->config, "expect");
  const uint32_t count = expect ? expect->key_count : 0;
  *verdicts = tn_take((count + 1) * sizeof **verdicts);
  for (uint32_t i = 0; i < count; i++) judge_claim(plan, outcomes, &expect->keys[i], &(*verdicts)[i]);
  return count;
}

tn_status tn_claims_check(const tn_plan *plan, tn_error *error) {
  const tn_section *expect = tn_config_find(plan->config, "expect");
  for (uint32_t i = 0; expect && i < expect->key_count; i++) {
    tn_verdict verdict;
    judge_claim(plan, NULL, &expect->keys[i], &verdict);
    if (!verdict.judged)
      return tn_error_set(error, TN_ERROR_INVALID, verdict.file, verdict.line, "[expect] %s: %s",
                          verdict.name, verdict.why);
  }
  return TN_OK;
}

void tn_verdict_print(const tn_verdict *v, char *text, size_t bytes) {
  if (!v->judged) {
    snprintf(text, bytes, "%s", v->why);
    return;
  }
  if (!*v->comparison) {
    snprintf(text, bytes, "%s", v->holds ? "true" : "false");
    return;
  }
  size_t used = (size_t)snprintf(text, bytes, "%.6g %s %.6g", v->left, v->comparison, v->right);
  if (!v->holds && used < bytes && strchr("<>=", v->comparison[0]))
    used += (size_t)snprintf(text + used, bytes - used, ", off by %.3g", fabs(v->left - v->right));
  if (v->compared < 2 || used >= bytes) return;
  if (v->holds)
    snprintf(text + used, bytes - used, ", the closest of %u runs", v->compared);
  else
    snprintf(text + used, bytes - used, ", in %u of %u runs", v->failing, v->compared);
}
