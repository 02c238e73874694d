// SPDX-License-Identifier: MIT
/* An expression's graph on tensors. */
#ifndef TENON_CORE_EXPRESSION_TENSOR_H
#define TENON_CORE_EXPRESSION_TENSOR_H

#include "core/expression/graph.h"
#include <tenon/tensor.h>

/* How a node is computed on tensors: as scale * base + shift of an earlier node, or, if it is its own base,
 * by its operation. Chains of sums and products with constants become one step. */
typedef struct tn_formula_step {
  uint32_t base;
  bool needed; /* something uses the node itself */
  double scale, shift;
} tn_formula_step;

void tn_formula_plan(const tn_formula_node *nodes, uint32_t count, tn_formula_step *steps);
tn_tensor *tn_formula_run(const tn_formula_node *nodes, const tn_formula_step *steps, uint32_t count,
                          tn_tensor *const *values, uint32_t value_count);

#endif
