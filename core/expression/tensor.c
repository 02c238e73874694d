// SPDX-License-Identifier: MIT
#include "core/expression/tensor.h"

#include <math.h>

/* Makes `step` the step `of` times a plus b, unless that leaves the numbers' range. */
static void compose(tn_formula_step *step, const tn_formula_step *of, double a, double b) {
  double scale = a * of->scale, shift = a * of->shift + b;
  bool vanished = !isnormal(scale) && a != 0 && of->scale != 0;
  if (!isfinite(scale) || !isfinite(shift) || vanished) return;
  step->base = of->base;
  step->scale = scale;
  step->shift = shift;
}

void tn_formula_plan(const tn_formula_node *nodes, uint32_t count, tn_formula_step *steps) {
  for (uint32_t i = 0; i < count; i++) {
    const tn_formula_node *n = &nodes[i];
    steps[i] = (tn_formula_step){i, false, 1, 0};
    uint32_t arity = tn_formula_arity(n->operation);
    if (n->operation == TN_OP_NEGATE) compose(&steps[i], &steps[n->operand[0]], -1, 0);
    if (arity != 2) continue;
    const tn_formula_node *x = &nodes[n->operand[0]], *y = &nodes[n->operand[1]];
    const tn_formula_step *of_x = &steps[n->operand[0]], *of_y = &steps[n->operand[1]];
    bool left = x->operation == TN_OP_CONSTANT, right = y->operation == TN_OP_CONSTANT;
    switch (n->operation) {
    case TN_OP_ADD:
      if (left) compose(&steps[i], of_y, 1, x->constant);
      if (right) compose(&steps[i], of_x, 1, y->constant);
      break;
    case TN_OP_SUBTRACT:
      if (left) compose(&steps[i], of_y, -1, x->constant);
      if (right) compose(&steps[i], of_x, 1, -y->constant);
      break;
    case TN_OP_MULTIPLY:
      if (left) compose(&steps[i], of_y, x->constant, 0);
      if (right) compose(&steps[i], of_x, y->constant, 0);
      break;
    case TN_OP_DIVIDE:
      if (right && isnormal(1 / y->constant)) compose(&steps[i], of_x, 1 / y->constant, 0);
      break;
    default: break;
    }
  }
  steps[count - 1].needed = true;
  for (uint32_t i = count; i-- > 0;) {
    if (!steps[i].needed) continue;
    if (steps[i].base != i) {
      steps[steps[i].base].needed = true;
      continue;
    }
    uint32_t arity = tn_formula_arity(nodes[i].operation);
    bool power = nodes[i].operation == TN_OP_POWER;
    for (uint32_t j = 0; j < arity; j++) {
      bool folded = power && j == 1 && nodes[nodes[i].operand[1]].operation == TN_OP_CONSTANT;
      if (!folded) steps[nodes[i].operand[j]].needed = true;
    }
  }
}

static bool is_real(tn_dtype dtype) { return dtype == TN_F32 || dtype == TN_F64; }

/* The dtype of the computation: that of the first floating variable. */
static tn_dtype choose_dtype(tn_tensor *const *values, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (values[i] && is_real(values[i]->dtype)) return values[i]->dtype;
  return TN_F32;
}

static tn_tensor *as_number(tn_tensor *x, tn_dtype dtype) {
  return is_real(x->dtype) ? x : tn_cast(x, dtype);
}
static tn_tensor *as_truth(tn_tensor *x, tn_dtype dtype) {
  return x->dtype == TN_B8 ? x : tn_ne(as_number(x, dtype), tn_scalar(dtype, 0));
}

static tn_tensor *unary(tn_formula_operation operation, tn_tensor *x) {
  static const tn_unary_op ops[] = {
      [TN_OP_NEGATE] = TN_NEG, [TN_OP_ABS] = TN_ABS,         [TN_OP_SQRT] = TN_SQRT,
      [TN_OP_EXP] = TN_EXP,    [TN_OP_LOG] = TN_LOG,         [TN_OP_LOG1P] = TN_LOG1P,
      [TN_OP_SIN] = TN_SIN,    [TN_OP_COS] = TN_COS,         [TN_OP_TANH] = TN_TANH,
      [TN_OP_SIGN] = TN_SIGN,  [TN_OP_SIGMOID] = TN_SIGMOID, [TN_OP_FLOOR] = TN_FLOOR,
      [TN_OP_CEIL] = TN_CEIL};
  return tn_sdk.tensor->unary(ops[operation], x, 0, 0);
}

static tn_tensor *binary(tn_formula_operation operation, tn_tensor *x, tn_tensor *y) {
  static const tn_binary_op ops[] = {
      [TN_OP_ADD] = TN_ADD,         [TN_OP_SUBTRACT] = TN_SUB,     [TN_OP_MULTIPLY] = TN_MUL,
      [TN_OP_DIVIDE] = TN_DIV,      [TN_OP_POWER] = TN_POW,        [TN_OP_MINIMUM] = TN_MINIMUM,
      [TN_OP_MAXIMUM] = TN_MAXIMUM, [TN_OP_LESS] = TN_LT,          [TN_OP_LESS_EQUAL] = TN_LE,
      [TN_OP_GREATER] = TN_GT,      [TN_OP_GREATER_EQUAL] = TN_GE, [TN_OP_EQUAL] = TN_EQ,
      [TN_OP_NOT_EQUAL] = TN_NE};
  return tn_sdk.tensor->binary(ops[operation], x, y);
}

static tn_tensor *power(tn_tensor *x, double exponent) {
  if (exponent == 2) return tn_square(x);
  return tn_power(x, exponent);
}

tn_tensor *tn_formula_run(const tn_formula_node *nodes, const tn_formula_step *steps, uint32_t count,
                          tn_tensor *const *values, uint32_t value_count) {
  tn_tensor *slots[TN_FORMULA_NODES];
  tn_dtype dtype = choose_dtype(values, value_count);
  for (uint32_t i = 0; i < count; i++) {
    if (!steps[i].needed) continue;
    if (steps[i].base != i) {
      slots[i] = tn_affine(as_number(slots[steps[i].base], dtype), steps[i].scale, steps[i].shift);
      continue;
    }
    const tn_formula_node *n = &nodes[i];
    uint32_t arity = tn_formula_arity(n->operation), a = n->operand[0], b = n->operand[1];
    switch (n->operation) {
    case TN_OP_CONSTANT: slots[i] = tn_scalar(dtype, n->constant); break;
    case TN_OP_VARIABLE: slots[i] = as_number(values[a], dtype); break;
    case TN_OP_NOT: slots[i] = tn_not(as_truth(slots[a], dtype)); break;
    case TN_OP_AND: slots[i] = tn_and(as_truth(slots[a], dtype), as_truth(slots[b], dtype)); break;
    case TN_OP_OR: slots[i] = tn_or(as_truth(slots[a], dtype), as_truth(slots[b], dtype)); break;
    case TN_OP_WHERE:
      slots[i] = tn_where(as_truth(slots[a], dtype), as_number(slots[b], dtype),
                          as_number(slots[n->operand[2]], dtype));
      break;
    case TN_OP_POWER:
      if (nodes[b].operation == TN_OP_CONSTANT) {
        slots[i] = power(as_number(slots[a], dtype), nodes[b].constant);
        break;
      } // fallthrough
    default:
      slots[i] = arity == 1 ? unary(n->operation, as_number(slots[a], dtype))
                            : binary(n->operation, as_number(slots[a], dtype), as_number(slots[b], dtype));
    }
  }
  return as_number(slots[count - 1], dtype);
}
