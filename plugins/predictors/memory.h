// SPDX-License-Identifier: MIT
/* A memory of vectors with labels, in the order in which they came. */
#ifndef TENON_PLUGINS_MEMORY_H
#define TENON_PLUGINS_MEMORY_H

#include "flat_index.h"
#include <stdio.h>

struct memory {
  struct flat_index index;
  int64_t *labels, room; /* (room) */
};

static inline void memory_release(struct memory *memory) {
  flat_index_clear(&memory->index);
  tn_free(memory->labels);
  memory->labels = NULL;
  memory->room = 0;
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
  const int64_t first = memory->index.count, n = tn_dim(vectors, 0);
  const tn_status status = memory_reserve(memory, first + n);
  if (status < 0) return status;
  memcpy(memory->labels + first, labels, (size_t)n * sizeof *labels);
  return flat_index_add(&memory->index, vectors);
}

static inline tn_status memory_copy(struct memory *to, const struct memory *from) {
  flat_index_truncate(&to->index, 0);
  tn_status status = TN_OK;
  for (int64_t b = 0; status >= 0 && b * FLAT_BLOCK < from->index.count; b++) {
    const int64_t left = from->index.count - b * FLAT_BLOCK, size = left < FLAT_BLOCK ? left : FLAT_BLOCK;
    tn_scope_open();
    status = memory_add(to, tn_slice(from->index.blocks[b], 0, 0, size), from->labels + b * FLAT_BLOCK);
    if (status >= 0) status = tn_outcome();
    tn_scope_close();
  }
  return status;
}

/* Forgets the entries that are not `kept` (count); the others stay in their order. */
static inline void memory_keep(struct memory *memory, const bool *kept) {
  int64_t count = 0;
  for (int64_t i = 0; i < memory->index.count; i++) {
    if (!kept[i]) continue;
    if (i != count)
      flat_index_set(&memory->index, count, memory->index.blocks[i / FLAT_BLOCK], i % FLAT_BLOCK);
    memory->labels[count++] = memory->labels[i];
  }
  flat_index_truncate(&memory->index, count);
}

static inline tn_status memory_visit_blocks(const tn_visitor *visitor, const char *prefix,
                                            struct flat_index *index, int64_t blocks) {
  if (visitor->loading && blocks != index->block_count) {
    for (int64_t b = blocks; b < index->block_count; b++) tn_release(index->blocks[b]);
    tn_tensor **more = tn_resize(index->blocks, (size_t)(blocks + 1) * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    for (int64_t b = index->block_count; b < blocks; b++) more[b] = NULL;
    index->blocks = more;
    index->block_count = blocks;
  }
  tn_status status = TN_OK;
  for (int64_t b = 0; status >= 0 && b < blocks; b++) {
    char name[48];
    snprintf(name, sizeof name, "%sblock.%lld", prefix, (long long)b);
    status = tn_visit_tensor(visitor, name, &index->blocks[b]);
  }
  return status;
}

/* The state; its names begin with `prefix`. */
static inline tn_status memory_visit(const tn_visitor *visitor, const char *prefix, struct memory *memory) {
  static const char *const names[] = {"count", "width", "blocks", "labels"};
  char full[4][32];
  for (int i = 0; i < 4; i++) snprintf(full[i], sizeof full[i], "%s%s", prefix, names[i]);
  void *labels = memory->labels;
  int64_t blocks = memory->index.block_count;
  tn_visit_integer(visitor, full[0], &memory->index.count);
  tn_visit_integer(visitor, full[1], &memory->index.width);
  tn_status status = tn_visit_integer(visitor, full[2], &blocks);
  size_t bytes = (size_t)memory->index.count * sizeof *memory->labels;
  if (status >= 0) status = tn_visit_block(visitor, full[3], &labels, &bytes);
  if (status < 0) return status;
  memory->labels = labels;
  if (visitor->loading) memory->room = (int64_t)(bytes / sizeof *memory->labels);
  if (blocks < 0 || blocks > 1 << 20 || memory->index.count > memory->room ||
      memory->index.count > blocks * FLAT_BLOCK)
    return tn_fail(TN_ERROR_INVALID, "the saved memory is damaged");
  return memory_visit_blocks(visitor, prefix, &memory->index, blocks);
}

#endif
