// SPDX-License-Identifier: MIT
/* Running sums and products, sorting, the largest k. */
#include "internal.h"

#include <math.h>

/* x with `axis` exchanged for the last one: its own inverse. */
tn_node *tn_op_swap_last(tn_node *x, int32_t axis) {
  int32_t order[TN_MAX_DIMS], last = x->t.dl.ndim - 1;
  if (axis == last || tn_is_poison(x)) return x;
  for (int32_t i = 0; i <= last; i++) order[i] = i;
  order[axis] = last;
  order[last] = axis;
  return tn_op_permute(x, order);
}

/* cumsum along the last axis, from the left or from the right */
static tn_node *running_sum(tn_node *x, bool reverse);
static void running_sum_backward(tn_backward *b) { tn_deliver(b, 0, running_sum(b->g, !b->node->op)); }
TN_RULE(running_sum_rule, "cumsum", running_sum_backward);

#define RUN(type, join)                                                     \
  for (int64_t r = 0; r < rows; r++) {                                      \
    const type *s = (const type *)x->t.dl.data + r * n;                     \
    type *t = (type *)y->t.dl.data + r * n, total = s[reverse ? n - 1 : 0]; \
    t[reverse ? n - 1 : 0] = total;                                         \
    for (int64_t i = 1; i < n; i++) {                                       \
      int64_t at = reverse ? n - 1 - i : i;                                 \
      total = (type)(total join s[at]);                                     \
      t[at] = total;                                                        \
    }                                                                       \
  }
static tn_node *running(tn_node *x, bool reverse, bool product) {
  tn_node *y = tn_node_like(x);
  if (tn_is_poison(y) || x->t.numel == 0) return y;
  int64_t n = x->shape[x->t.dl.ndim - 1], rows = x->t.numel / n;
  if (product) {
    if (x->t.dtype == TN_F32)
      RUN(float, *)
    else
      RUN(double, *)
  } else {
    if (x->t.dtype == TN_F32)
      RUN(float, +)
    else if (x->t.dtype == TN_F64)
      RUN(double, +)
    else
      RUN(int64_t, +)
  }
  return y;
}

static tn_node *running_sum(tn_node *x, bool reverse) {
  if (tn_is_poison(x)) return x;
  double start = tn_trace_begin(x);
  tn_node *y = running(x, reverse, false);
  if (!tn_is_poison(y) && tn_recording1(x)) {
    tn_record1(y, &running_sum_rule, x);
    y->op = reverse;
  }
  return tn_trace_end("cumsum", start, y);
}

/* Products by doubling distances (Hillis and Steele 1986): right at zeros, at any order of derivative. */
static tn_node *running_product(tn_node *x) {
  int32_t last = x->t.dl.ndim - 1;
  if (!tn_recording1(x)) return running(x, false, true);
  for (int64_t distance = 1, n = x->shape[last]; distance < n && !tn_is_poison(x); distance *= 2) {
    tn_node *head = tn_op_slice(x, last, 0, distance, 1);
    tn_node *tail = MUL(tn_op_slice(x, last, distance, n, 1), tn_op_slice(x, last, 0, n - distance, 1));
    x = tn_op_concatenate((tn_node *[]){head, tail}, 2, last);
  }
  return x;
}

tn_tensor *tn_api_cumulative(tn_cumulative_op op, tn_tensor *t, int32_t axis) {
  tn_node *x = tn_node_of(t);
  const char *name = op == TN_CUMSUM ? "cumsum" : "cumprod";
  if (tn_is_poison(x)) return t;
  if (!tn_axis_resolve(name, x, &axis)) return &tn_poison()->t;
  if (!tn_is_float(x->t.dtype) && !(op == TN_CUMSUM && x->t.dtype == TN_I64))
    return &tn_shape_error(name, "not for %s", tn_dtype_name(x->t.dtype))->t;
  tn_node *y = tn_op_swap_last(x, axis);
  if (tn_is_poison(y)) return &y->t;
  y = op == TN_CUMSUM ? running_sum(y, false) : running_product(y);
  return &tn_op_swap_last(y, axis)->t;
}

/* Sorting: a stable merge sort of row positions. NaN goes last. */
typedef struct row_order {
  const void *row;
  tn_dtype dtype;
  bool descending;
} row_order;

static double value_at(const row_order *o, int64_t i) {
  switch (o->dtype) {
  case TN_F32: return (double)((const float *)o->row)[i];
  case TN_F64: return ((const double *)o->row)[i];
  case TN_I32: return ((const int32_t *)o->row)[i];
  default: return ((const uint8_t *)o->row)[i];
  }
}

static bool comes_before(const row_order *o, int64_t i, int64_t j) {
  if (o->dtype == TN_I64) {
    const int64_t *v = o->row;
    return o->descending ? v[i] > v[j] : v[i] < v[j];
  }
  double x = value_at(o, i), y = value_at(o, j);
  if (isnan(x) || isnan(y)) return !isnan(x) && isnan(y);
  return o->descending ? x > y : x < y;
}

static void merge_sort(const row_order *o, int64_t *items, int64_t *spare, int64_t n) {
  if (n <= 12) {
    for (int64_t i = 1; i < n; i++) {
      int64_t item = items[i], k = i;
      for (; k > 0 && comes_before(o, item, items[k - 1]); k--) items[k] = items[k - 1];
      items[k] = item;
    }
    return;
  }
  int64_t half = n / 2, i = 0, j = half, k = 0;
  merge_sort(o, items, spare, half);
  merge_sort(o, items + half, spare, n - half);
  memcpy(spare, items, (size_t)n * sizeof *items);
  while (i < half && j < n) items[k++] = comes_before(o, spare[j], spare[i]) ? spare[j++] : spare[i++];
  while (i < half) items[k++] = spare[i++];
  while (j < n) items[k++] = spare[j++];
}

/* The k first of a row in that order, by a heap whose root is the last of them. */
static void sift(const row_order *o, int64_t *heap, int64_t k, int64_t at) {
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= k) return;
    // the heap's order: who comes later is nearer to the root; equal values by position
    if (child + 1 < k && (comes_before(o, heap[child], heap[child + 1]) ||
                          (!comes_before(o, heap[child + 1], heap[child]) && heap[child + 1] > heap[child])))
      child++;
    bool later = comes_before(o, heap[at], heap[child]) ||
                 (!comes_before(o, heap[child], heap[at]) && heap[child] > heap[at]);
    if (!later) return;
    int64_t item = heap[at];
    heap[at] = heap[child];
    heap[child] = item;
    at = child;
  }
}

static void select_first(const row_order *o, int64_t *heap, int64_t *spare, int64_t k, int64_t n) {
  for (int64_t i = 0; i < k; i++) heap[i] = i;
  for (int64_t i = k / 2; i-- > 0;) sift(o, heap, k, i);
  for (int64_t i = k; i < n; i++) {
    if (!comes_before(o, i, heap[0])) continue;
    heap[0] = i;
    sift(o, heap, k, 0);
  }
  // equal values must be in the order of their positions
  for (int64_t i = 1; i < k; i++)
    for (int64_t j = i; j > 0 && k <= 64 && heap[j] < heap[j - 1]; j--) {
      int64_t item = heap[j];
      heap[j] = heap[j - 1];
      heap[j - 1] = item;
    }
  merge_sort(o, heap, spare, k);
}

typedef struct sort_job {
  const tn_node *x;
  int64_t *index, *spare;
  int64_t n, k;
  bool descending;
} sort_job;

static void sort_row(void *context, int64_t row) {
  const sort_job *j = context;
  row_order o = {(const char *)j->x->t.dl.data + (size_t)(row * j->n) * tn_dtype_size(j->x->t.dtype),
                 j->x->t.dtype, j->descending};
  int64_t *index = j->index + row * j->k, *spare = j->spare + row * j->k;
  if (j->k < j->n && j->k <= 64) {
    select_first(&o, index, spare, j->k, j->n);
    return;
  }
  int64_t *all = j->k < j->n ? j->spare + row * 2 * j->n : index;
  if (all != index) spare = all + j->n;
  for (int64_t i = 0; i < j->n; i++) all[i] = i;
  merge_sort(&o, all, spare, j->n);
  if (all != index) memcpy(index, all, (size_t)j->k * sizeof *index);
}

/* Positions of the k first along the last axis. */
static tn_node *sorted_index(const tn_node *x, int64_t k, bool descending) {
  int32_t last = x->t.dl.ndim - 1;
  int64_t shape[TN_MAX_DIMS] = {0}, n = x->shape[last];
  memcpy(shape, x->shape, sizeof shape);
  shape[last] = k;
  tn_node *index = tn_node_new(TN_I64, x->t.dl.ndim, shape);
  if (tn_is_poison(index) || index->t.numel == 0) return index;
  int64_t rows = x->t.numel / n;
  bool partial = k < n && k > 64;
  sort_job j = {.x = x, .index = index->t.dl.data, .n = n, .k = k, .descending = descending};
  j.spare = tn_workspace_take((size_t)(rows * (partial ? 2 * n : k)) * sizeof(int64_t));
  if (!j.spare) return tn_poison();
  tn_parallel(rows, 20.0 * (double)x->t.numel, sort_row, &j);
  tn_workspace_give(j.spare);
  return index;
}

static void sort_along(const char *op, tn_node *x, int32_t axis, int64_t k, bool descending,
                       tn_tensor **values, tn_tensor **index) {
  tn_node *poison = tn_poison(), *v = poison, *at = poison;
  if (!tn_is_poison(x) && tn_axis_resolve(op, x, &axis)) {
    if (k < 0) k = x->shape[axis];
    if (k > x->shape[axis]) {
      tn_shape_error(op, "%lld of %lld along axis %d of %s", (long long)k, (long long)x->shape[axis], axis,
                     tn_shape_text(x));
    } else {
      double start = tn_trace_begin(x);
      tn_node *rows = tn_op_swap_last(x, axis);
      at = tn_is_poison(rows) ? rows : sorted_index(rows, k, descending);
      if (!tn_is_poison(at)) v = tn_op_swap_last(tn_op_gather(rows, at), axis);
      if (!tn_is_poison(at)) at = tn_op_swap_last(at, axis);
      tn_trace_end(op, start, v);
    }
  }
  if (values) *values = &v->t;
  if (index) *index = &at->t;
}

void tn_api_sort(tn_tensor *x, int32_t axis, bool descending, tn_tensor **values, tn_tensor **index) {
  sort_along("sort", tn_node_of(x), axis, -1, descending, values, index);
}
void tn_api_top_k(tn_tensor *x, int64_t k, int32_t axis, bool largest, tn_tensor **values,
                  tn_tensor **index) {
  if (k < 0) k = INT64_MAX; // refused there
  sort_along("top_k", tn_node_of(x), axis, k, largest, values, index);
}
