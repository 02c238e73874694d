// SPDX-License-Identifier: MIT
/* A memory of vectors with labels, in the order in which they came: an index, and the labels beside it. */
#ifndef TENON_PLUGINS_MEMORY_H
#define TENON_PLUGINS_MEMORY_H

#include <stdio.h>
#include <string.h>
#include <tenon/index.h>

struct memory {
  const tn_component *index; /* an instance that nobody else has, which saves itself; NULL: not used */
  int64_t count;
  int64_t *labels, room; /* (room) */
};

/* Without the vectors, which are the index's. */
static inline void memory_release(struct memory *memory) {
  tn_free(memory->labels);
  memory->labels = NULL;
  memory->count = memory->room = 0;
}

static inline void memory_clear(struct memory *memory) {
  memory->count = 0;
  if (memory->index) tn_index_clear(memory->index);
}

static inline tn_status memory_reserve(struct memory *memory, int64_t count) {
  if (count <= memory->room) return TN_OK;
  int64_t *more = tn_resize(memory->labels, (size_t)(2 * count) * sizeof *more);
  if (!more) return TN_ERROR_MEMORY;
  memory->labels = more;
  memory->room = 2 * count;
  return TN_OK;
}

/* Vectors (n, width) with labels (n). */
static inline tn_status memory_add(struct memory *memory, const tn_tensor *vectors, const int64_t *labels) {
  const int64_t n = tn_dim(vectors, 0);
  tn_status status = memory_reserve(memory, memory->count + n);
  if (status >= 0) status = tn_index_append(memory->index, vectors);
  if (status < 0) return status;
  memcpy(memory->labels + memory->count, labels, (size_t)n * sizeof *labels);
  memory->count += n;
  return TN_OK;
}

/* Forgets all but the first `count`. */
static inline tn_status memory_truncate(struct memory *memory, int64_t count) {
  if (count < memory->count) memory->count = count;
  return tn_index_truncate(memory->index, count);
}

static inline tn_status memory_copy(struct memory *to, const struct memory *from) {
  tn_tensor *vectors;
  tn_scope_open();
  tn_status status = memory_truncate(to, 0);
  if (status >= 0) status = tn_index_range(from->index, 0, from->count, &vectors);
  if (status >= 0) status = memory_add(to, vectors, from->labels);
  tn_scope_close();
  return status;
}

/* Forgets the entries that are not `kept` (count); the others stay in their order. */
static inline tn_status memory_keep(struct memory *memory, const bool *kept) {
  int64_t count = 0;
  tn_scope_open();
  tn_tensor *numbers = tn_empty(TN_I64, TN_SHAPE(memory->count)), *vectors;
  for (int64_t i = 0; !tn_failed() && i < memory->count; i++) {
    if (!kept[i]) continue;
    tn_i64(numbers)[count] = i;
    memory->labels[count++] = memory->labels[i];
  }
  tn_status status = tn_index_get(memory->index, tn_slice(numbers, 0, 0, count), &vectors);
  if (status >= 0) status = tn_index_truncate(memory->index, 0);
  if (status >= 0) status = tn_index_append(memory->index, vectors);
  memory->count = count;
  tn_scope_close();
  return status;
}

/* The labels; their names begin with `prefix`. */
static inline tn_status memory_visit(const tn_visitor *visitor, const char *prefix, struct memory *memory) {
  char count[32], labels[32];
  snprintf(count, sizeof count, "%scount", prefix);
  snprintf(labels, sizeof labels, "%slabels", prefix);
  void *data = memory->labels;
  size_t bytes = (size_t)memory->count * sizeof *memory->labels;
  tn_status status = tn_visit_integer(visitor, count, &memory->count);
  if (status >= 0) status = tn_visit_block(visitor, labels, &data, &bytes);
  if (status < 0) return status;
  memory->labels = data;
  if (visitor->loading) memory->room = (int64_t)(bytes / sizeof *memory->labels);
  return memory->count < 0 || memory->count > memory->room
             ? tn_fail(TN_ERROR_INVALID, "the saved memory is damaged")
             : TN_OK;
}

#endif
