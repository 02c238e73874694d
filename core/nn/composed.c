// SPDX-License-Identifier: MIT
/* Operations that are a few lines of others: dropout, weight normalisation, spectral normalisation. */
#include "internal.h"

#include <math.h>

tn_node *tn_op_dropout(tn_node *x, double p, tn_rng *rng) {
  if (tn_is_poison(x)) return x;
  if (!(p >= 0 && p < 1) || !tn_is_float(x->t.dtype))
    return tn_shape_error("dropout", "probability %g for %s of %s", p, tn_shape_text(x),
                          tn_dtype_name(x->t.dtype));
  if (p == 0) return x;
  double start = tn_trace_begin(x);
  tn_shape shape = {(uint32_t)x->t.dl.ndim, {0}};
  memcpy(shape.dim, x->shape, sizeof shape.dim);
  tn_node *keep = tn_node_of(tn_random_table.bernoulli_tensor(rng, x->t.dtype, &shape, 1 - p));
  if (tn_is_poison(keep)) return keep;
  tn_here->k->real[x->t.dtype]->scale(1 / (1 - p), keep->t.dl.data, keep->t.numel);
  return tn_trace_end("dropout", start, MUL(x, keep));
}

/* A parameter as a matrix (o, rest). */
static tn_node *as_matrix(tn_node *w) {
  return tn_op_reshape(w, 2, (const int64_t[]){w->shape[0], w->shape[0] ? w->t.numel / w->shape[0] : 0});
}

tn_node *tn_op_weight_norm(tn_node *direction, tn_node *length) {
  static const char op[] = "weight_norm";
  if (tn_is_poison(direction)) return direction;
  if (tn_is_poison(length)) return length;
  if (!tn_check_floats(op, direction, length)) return tn_poison();
  if (direction->t.dl.ndim < 1 || length->t.numel != direction->shape[0])
    return tn_shape_error(op, "direction %s and length %s do not fit", tn_shape_text(direction),
                          tn_shape_text(length));
  double start = tn_trace_begin(direction, length);
  tn_node *v = as_matrix(direction), *norm = tn_op_reduce(TN_NORM, v, TN_AXIS(1), true);
  tn_node *w = MUL(v, DIV(tn_op_reshape(length, 2, (const int64_t[]){direction->shape[0], 1}), norm));
  return tn_trace_end(op, start, tn_op_like_shape(w, direction));
}

/* x / max(|x|, epsilon) */
static tn_node *unit(tn_node *x, double epsilon) {
  tn_node *norm = tn_op_reduce(TN_NORM, x, TN_ALL_AXES, false);
  return DIV(x, tn_op_unary(TN_CLAMP, norm, epsilon, INFINITY));
}

tn_node *tn_op_spectral_norm(tn_node *weight, tn_node *u, int32_t steps, double epsilon, tn_tensor **next) {
  static const char op[] = "spectral_norm";
  if (next) *next = &tn_poison()->t;
  if (tn_is_poison(weight)) return weight;
  if (tn_is_poison(u)) return u;
  if (!tn_check_floats(op, weight, u)) return tn_poison();
  if (weight->t.dl.ndim < 1 || u->t.numel != weight->shape[0] || steps < 0)
    return tn_shape_error(op, "weight %s and vector %s, %d steps", tn_shape_text(weight), tn_shape_text(u),
                          steps);
  double start = tn_trace_begin(weight, u);
  int64_t o = weight->shape[0];
  bool former = tn_here->record;
  tn_here->record = false; // the singular vectors are constants
  tn_node *w = as_matrix(weight), *left = tn_op_reshape(u, 2, (const int64_t[]){1, o});
  tn_node *right = unit(tn_op_matmul(left, w, false, false), epsilon);
  for (int32_t i = 0; i < steps; i++) {
    left = unit(tn_op_matmul(right, w, false, true), epsilon);
    right = unit(tn_op_matmul(left, w, false, false), epsilon);
  }
  if (next) *next = &tn_op_reshape(left, 1, &o)->t;
  tn_here->record = former;
  tn_node *sigma = tn_op_matmul(tn_op_matmul(left, as_matrix(weight), false, false), right, false, true);
  return tn_trace_end(op, start, DIV(weight, tn_op_reshape(sigma, 0, NULL)));
}
