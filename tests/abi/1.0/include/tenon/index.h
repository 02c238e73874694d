// SPDX-License-Identifier: MIT
/* Kind tenon.index/1: vectors in the order in which they came, and which of them have the largest inner
 * products with a query. Vectors of length 1 make these cosines; whoever appends them sees to it.
 *
 * Vectors and queries are rows (n, width) of float32 or float64; all in an index have the width and the dtype
 * of the first, an empty one takes any. They are called by their numbers, 0 ... count - 1. An index copies
 * what it is given. Tensors that it returns are copies too, belong to the innermost scope and have no
 * derivative. What it holds is its state, which a checkpoint keeps to the bit. Who needs an index that nobody
 * else changes makes one from its reference (tn_instantiate, pipeline.h).
 * Errors are recorded (tn_fail) and change nothing; what a function returns through pointers is then not set.
 * Threads: [main]. */
#ifndef TENON_INDEX_H
#define TENON_INDEX_H

#include <tenon/plugin.h>

#define TN_INDEX "tenon.index/1"

typedef struct tn_index {
  uint32_t size;
  /* REQUIRED */
  /* Forgets everything. */
  void (*clear)(void *self);
  /* Vectors (n, width) behind those that are there, n >= 0. Another width or dtype is an error. */
  tn_status (*append)(void *self, const tn_tensor *vectors);
  /* How many there are. */
  int64_t (*count)(void *self);
  /* For queries (n, width) of the vectors' dtype the k vectors of largest inner product, 1 <= k <= count: the
   * products (n, k) of that dtype, largest first, and the vectors' int64 numbers (n, k), in a row all
   * different; equal products in the order of the numbers. An approximate index may miss some of the largest,
   * but gives k, and the true product of each. Another k, width or dtype is an error, and so are products
   * that are not numbers. Depends on nothing but what the index holds and the queries. */
  tn_status (*search)(void *self, tn_tensor *queries, int64_t k, tn_tensor **products, tn_tensor **numbers);
  /* The vectors (m, width) with the int64 numbers (m), with the bits that they came with. A number that there
   * is not is an error. */
  tn_status (*get)(void *self, const tn_tensor *numbers, tn_tensor **vectors);
  /* OPTIONAL */
  /* Overwrites the n vectors from number `first` on by vectors (n, width). Default: all from `first` on are
   * forgotten and appended again. */
  tn_status (*set)(void *self, int64_t first, const tn_tensor *vectors);
  /* Forgets all but the first `count`; nothing if there are fewer. Default: those are appended to the cleared
   * index. */
  tn_status (*truncate)(void *self, int64_t count);
  /* True if search misses none of the largest. Default: false. */
  bool (*exact)(void *self);
} tn_index;

static inline void tn_index_clear(const tn_component *c) {
  tn_call_stack *stack = tn_enter(c, "clear");
  ((const tn_index *)c->vtable)->clear(c->self);
  tn_leave(stack);
}
static inline tn_status tn_index_append(const tn_component *c, const tn_tensor *vectors) {
  tn_call_stack *stack = tn_enter(c, "append");
  tn_status status =
      tn_poisoned(vectors) ? TN_ERROR_INVALID : ((const tn_index *)c->vtable)->append(c->self, vectors);
  tn_leave(stack);
  return status;
}
static inline int64_t tn_index_count(const tn_component *c) {
  return ((const tn_index *)c->vtable)->count(c->self);
}
static inline tn_status tn_index_search(const tn_component *c, tn_tensor *queries, int64_t k,
                                        tn_tensor **products, tn_tensor **numbers) {
  tn_call_stack *stack = tn_enter(c, "search");
  tn_status status = tn_poisoned(queries)
                         ? TN_ERROR_INVALID
                         : ((const tn_index *)c->vtable)->search(c->self, queries, k, products, numbers);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_index_get(const tn_component *c, const tn_tensor *numbers, tn_tensor **vectors) {
  tn_call_stack *stack = tn_enter(c, "get");
  tn_status status =
      tn_poisoned(numbers) ? TN_ERROR_INVALID : ((const tn_index *)c->vtable)->get(c->self, numbers, vectors);
  tn_leave(stack);
  return status;
}
/* The vectors (count, width) from number `first` on. */
static inline tn_status tn_index_range(const tn_component *c, int64_t first, int64_t count,
                                       tn_tensor **vectors) {
  return tn_index_get(c, tn_arange(TN_I64, (double)first, 1, count), vectors);
}
static inline tn_status tn_index_truncate(const tn_component *c, int64_t count) {
  const tn_index *index = (const tn_index *)c->vtable;
  if (TN_HAS(index, tn_index, truncate)) {
    tn_call_stack *stack = tn_enter(c, "truncate");
    tn_status status = index->truncate(c->self, count);
    tn_leave(stack);
    return status;
  }
  tn_tensor *kept = NULL;
  if (count < 0) return tn_fail(TN_ERROR_INVALID, "an index of %lld vectors", (long long)count);
  if (count >= tn_index_count(c)) return TN_OK;
  tn_status status = count > 0 ? tn_index_range(c, 0, count, &kept) : TN_OK;
  if (status < 0) return status;
  tn_index_clear(c);
  return kept ? tn_index_append(c, kept) : TN_OK;
}
static inline tn_status tn_index_set(const tn_component *c, int64_t first, const tn_tensor *vectors) {
  const tn_index *index = (const tn_index *)c->vtable;
  if (tn_poisoned(vectors)) return TN_ERROR_INVALID;
  if (TN_HAS(index, tn_index, set)) {
    tn_call_stack *stack = tn_enter(c, "set");
    tn_status status = index->set(c->self, first, vectors);
    tn_leave(stack);
    return status;
  }
  const int64_t n = tn_ndim(vectors) == 2 ? tn_dim(vectors, 0) : 0, behind = tn_index_count(c) - first - n;
  if (first < 0 || n < 1 || behind < 0)
    return tn_fail(TN_ERROR_INVALID, "%lld vectors from number %lld on, but the index holds %lld",
                   (long long)n, (long long)first, (long long)tn_index_count(c));
  tn_tensor *old = NULL, *rest = NULL;
  tn_status status = tn_index_range(c, first, n, &old);
  if (status >= 0 && behind > 0) status = tn_index_range(c, first + n, behind, &rest);
  if (status < 0) return status;
  if (old->dtype != vectors->dtype || tn_dim(old, 1) != tn_dim(vectors, 1))
    return tn_fail(TN_ERROR_SHAPE, "vectors of another width or dtype than those that the index holds");
  status = tn_index_truncate(c, first);
  if (status >= 0) status = tn_index_append(c, vectors);
  return status >= 0 && rest ? tn_index_append(c, rest) : status;
}
static inline bool tn_index_exact(const tn_component *c) {
  const tn_index *index = (const tn_index *)c->vtable;
  return TN_HAS(index, tn_index, exact) && index->exact(c->self);
}

#endif
