// SPDX-License-Identifier: MIT
/* More ways to pick and to place elements, made of the operations in shape.c. */
#include "internal.h"

tn_tensor *tn_api_gather(tn_tensor *t, int32_t axis, tn_tensor *index) {
  tn_node *x = tn_node_of(t), *i = tn_node_of(index);
  if (tn_is_poison(x)) return t;
  if (tn_is_poison(i)) return index;
  if (!tn_axis_resolve("gather", x, &axis)) return &tn_poison()->t;
  if (i->t.dl.ndim != x->t.dl.ndim)
    return &tn_shape_error("gather", "index %s does not fit %s", tn_shape_text(i), tn_shape_text(x))->t;
  return &tn_op_swap_last(tn_op_gather(tn_op_swap_last(x, axis), tn_op_swap_last(i, axis)), axis)->t;
}

tn_tensor *tn_api_scatter_add(tn_tensor *t, int32_t axis, tn_tensor *index, int64_t size) {
  tn_node *x = tn_node_of(t), *i = tn_node_of(index);
  if (tn_is_poison(x)) return t;
  if (tn_is_poison(i)) return index;
  if (!tn_axis_resolve("scatter_add", x, &axis)) return &tn_poison()->t;
  if (i->t.dl.ndim != x->t.dl.ndim || size < 0)
    return &tn_shape_error("scatter_add", "index %s does not fit %s", tn_shape_text(i), tn_shape_text(x))->t;
  return &tn_op_swap_last(tn_op_scatter(tn_op_swap_last(x, axis), tn_op_swap_last(i, axis), size), axis)->t;
}

tn_tensor *tn_api_index_add(tn_tensor *x, int32_t axis, tn_tensor *index, int64_t size) {
  return &tn_op_index_add(tn_node_of(x), axis, tn_node_of(index), size)->t;
}

tn_tensor *tn_api_nonzero(tn_tensor *t) {
  tn_node *c = tn_node_of(t);
  if (tn_is_poison(c)) return t;
  if (c->t.dtype != TN_B8) return &tn_shape_error("nonzero", "%s is not bool", tn_dtype_name(c->t.dtype))->t;
  const uint8_t *truth = c->t.dl.data;
  int64_t count = 0, k = 0;
  for (int64_t i = 0; i < c->t.numel; i++) count += truth[i] != 0;
  tn_node *index = tn_node_new(TN_I64, 1, &count);
  if (tn_is_poison(index)) return &index->t;
  for (int64_t i = 0; i < c->t.numel; i++)
    if (truth[i]) ((int64_t *)index->t.dl.data)[k++] = i;
  return &index->t;
}

tn_tensor *tn_api_stack(tn_tensor *const *xs, uint32_t count, int32_t axis) {
  if (count == 0) return &tn_shape_error("stack", "nothing to stack")->t;
  const tn_node *first = tn_node_of(xs[0]);
  int32_t n = first->t.dl.ndim;
  if (tn_is_poison(first)) return xs[0];
  if (axis < 0) axis += n + 1;
  if (axis < 0 || axis > n || n == TN_MAX_DIMS)
    return &tn_shape_error("stack", "no place for axis %d in %s", axis, tn_shape_text(first))->t;
  tn_node **parts = tn_workspace_take(count * sizeof *parts);
  if (!parts) return &tn_poison()->t;
  for (uint32_t i = 0; i < count; i++) {
    tn_node *x = tn_node_of(xs[i]);
    int64_t shape[TN_MAX_DIMS];
    if (x->t.dl.ndim == n) {
      memcpy(shape, x->shape, (size_t)axis * sizeof *shape);
      shape[axis] = 1;
      memcpy(shape + axis + 1, x->shape + axis, (size_t)(n - axis) * sizeof *shape);
    }
    parts[i] = tn_is_poison(x)     ? x
               : x->t.dl.ndim == n ? tn_op_reshape(x, n + 1, shape)
                                   : tn_shape_error("stack", "shapes %s and %s differ", tn_shape_text(first),
                                                    tn_shape_text(x));
  }
  tn_node *y = tn_op_concatenate(parts, count, axis);
  tn_workspace_give(parts);
  return &y->t;
}

/* The elements at start, start + step ... along an axis, by index. */
static tn_node *indices(int64_t n) { return tn_node_new(TN_I64, 1, &n); }

tn_tensor *tn_api_flip(tn_tensor *t, int32_t axis) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  if (!tn_axis_resolve("flip", x, &axis)) return &tn_poison()->t;
  int64_t n = x->shape[axis];
  tn_node *index = indices(n);
  for (int64_t i = 0; i < n && !tn_is_poison(index); i++) ((int64_t *)index->t.dl.data)[i] = n - 1 - i;
  return &tn_op_index_select(x, axis, index)->t;
}

tn_tensor *tn_api_roll(tn_tensor *t, int32_t axis, int64_t shift) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  if (!tn_axis_resolve("roll", x, &axis)) return &tn_poison()->t;
  int64_t n = x->shape[axis];
  tn_node *index = indices(n);
  for (int64_t i = 0; i < n && !tn_is_poison(index); i++)
    ((int64_t *)index->t.dl.data)[i] = ((i - shift) % n + n) % n;
  return &tn_op_index_select(x, axis, index)->t;
}

tn_tensor *tn_api_pad(tn_pad_op op, tn_tensor *t, int32_t axis, int64_t before, int64_t after, double value) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  if (!tn_axis_resolve("pad", x, &axis)) return &tn_poison()->t;
  int64_t n = x->shape[axis];
  if (before < 0 || after < 0 || before > INT32_MAX || after > INT32_MAX || op < TN_PAD_CONSTANT ||
      op > TN_PAD_CIRCULAR || (op == TN_PAD_REFLECT && (before >= n || after >= n)) ||
      (op != TN_PAD_CONSTANT && n == 0))
    return &tn_shape_error("pad", "%lld and %lld around axis %d of %s", (long long)before, (long long)after,
                           axis, tn_shape_text(x))
                ->t;
  if (op == TN_PAD_CONSTANT) {
    int64_t shape[TN_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] = before;
    tn_node *head = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, value);
    shape[axis] = after;
    tn_node *tail = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, value);
    return &tn_op_concatenate((tn_node *[]){head, x, tail}, 3, axis)->t;
  }
  int64_t m = before + n + after;
  tn_node *index = indices(m);
  for (int64_t i = 0; i < m && !tn_is_poison(index); i++) {
    int64_t k = i - before;
    if (op == TN_PAD_REFLECT)
      k = k < 0 ? -k : (k >= n ? 2 * (n - 1) - k : k);
    else if (op == TN_PAD_REPLICATE)
      k = k < 0 ? 0 : (k >= n ? n - 1 : k);
    else
      k = (k % n + n) % n;
    ((int64_t *)index->t.dl.data)[i] = k;
  }
  return &tn_op_index_select(x, axis, index)->t;
}

tn_tensor *tn_api_triangle(tn_tensor *t, bool upper, int64_t diagonal) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  int32_t n = x->t.dl.ndim;
  if (n < 2) return &tn_shape_error("triangle", "%s is not a matrix", tn_shape_text(x))->t;
  int64_t rows = x->shape[n - 2], columns = x->shape[n - 1];
  tn_node *mask = tn_node_new(TN_B8, 2, (int64_t[]){rows, columns});
  if (tn_is_poison(mask)) return &mask->t;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++)
      ((uint8_t *)mask->t.dl.data)[i * columns + j] = upper ? j - i >= diagonal : j - i <= diagonal;
  return &tn_op_where(mask, x, tn_op_scalar(x->t.dtype, 0))->t;
}

/* (..., n, 1) positions 0 .. n - 1 down the rows */
static tn_node *row_numbers(const tn_node *x, int32_t ndim) {
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[ndim - 1] = 1;
  tn_node *index = tn_node_new(TN_I64, ndim, shape);
  int64_t n = shape[ndim - 2];
  for (int64_t i = 0; i < index->t.numel && !tn_is_poison(index); i++)
    ((int64_t *)index->t.dl.data)[i] = i % n;
  return index;
}

tn_tensor *tn_api_diagonal(tn_tensor *t) {
  tn_node *x = tn_node_of(t);
  int32_t n = x->t.dl.ndim;
  if (tn_is_poison(x)) return t;
  if (n < 2 || x->shape[n - 1] != x->shape[n - 2])
    return &tn_shape_error("diagonal", "%s is not a square matrix", tn_shape_text(x))->t;
  return &tn_op_reshape(tn_op_gather(x, row_numbers(x, n)), n - 1, x->shape)->t;
}

tn_tensor *tn_api_diagonal_matrix(tn_tensor *t) {
  tn_node *x = tn_node_of(t);
  int32_t n = x->t.dl.ndim;
  if (tn_is_poison(x)) return t;
  if (n < 1 || n == TN_MAX_DIMS)
    return &tn_shape_error("diagonal_matrix", "no matrices from %s", tn_shape_text(x))->t;
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[n] = 1;
  tn_node *column = tn_op_reshape(x, n + 1, shape);
  if (tn_is_poison(column)) return &column->t;
  return &tn_op_scatter(column, row_numbers(column, n + 1), x->shape[n - 1])->t;
}
