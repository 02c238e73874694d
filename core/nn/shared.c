// SPDX-License-Identifier: MIT
/* What the operations have in common. */
#include "derivative.h"

bool tn_slots_take(tn_slots *slots, size_t bytes) {
  slots->bytes = tn_round64(bytes) + 64; // not a power of two, so that threads do not meet in one cache set
  slots->count = omp_in_parallel() ? 1 : omp_get_max_threads();
  slots->base = tn_workspace_take((size_t)slots->count * slots->bytes);
  return slots->base != NULL;
}

bool tn_check_floats(const char *op, const tn_node *x, const tn_node *y) {
  if (tn_is_float(x->t.dtype) && x->t.dtype == y->t.dtype) return true;
  tn_shape_error(op, "dtypes %s and %s", tn_dtype_name(x->t.dtype), tn_dtype_name(y->t.dtype));
  return false;
}

/* h = d (x - mean), d = 1 / sqrt(mean((x - mean)^2) + epsilon); x' = d (e - mean(e) - h mean(e h)), e =
 * weight g
 */
void tn_normal_derivative(tn_normalised *n) {
  tn_node *x = n->x;
  if (n->center) x = SUB(x, tn_op_reduce(TN_MEAN, x, n->axes, true));
  tn_node *square = tn_op_reduce(TN_MEAN, UNARY(TN_SQUARE, x), n->axes, true);
  tn_node *d = UNARY(TN_RSQRT, AFFINE(square, 1, n->epsilon)), *h = MUL(x, d);
  tn_node *e = n->weight ? MUL(n->g, n->weight) : n->g;
  n->gh = MUL(n->g, h);
  tn_node *eh = n->weight ? MUL(n->gh, n->weight) : n->gh;
  tn_node *sum = MUL(h, tn_op_reduce(TN_MEAN, eh, n->axes, true));
  if (n->center) sum = ADD(sum, tn_op_reduce(TN_MEAN, e, n->axes, true));
  n->gx = MUL(d, SUB(e, sum));
}
