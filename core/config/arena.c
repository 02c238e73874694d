// SPDX-License-Identifier: MIT
#include "core/config/arena.h"
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 * 1024 };

typedef struct tn_arena_block {
  struct tn_arena_block *next;
  size_t used, size;
  alignas(max_align_t) unsigned char bytes[];
} tn_arena_block;

void *tn_arena_alloc(tn_arena *arena, size_t bytes) {
  size_t unit = alignof(max_align_t);
  if (bytes > SIZE_MAX / 2) return NULL;
  bytes = (bytes + unit - 1) / unit * unit;
  tn_arena_block *block = arena->first;
  if (!block || block->size - block->used < bytes) {
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    block = calloc(1, sizeof *block + size);
    if (!block) return NULL;
    block->size = size;
    /* A large piece gets a block of its own behind the one that still has room. */
    if (arena->first && bytes > BLOCK / 4)
      block->next = arena->first->next, arena->first->next = block;
    else
      block->next = arena->first, arena->first = block;
  }
  void *memory = block->bytes + block->used;
  block->used += bytes;
  return memory;
}

char *tn_arena_text(tn_arena *arena, const char *text, size_t bytes) {
  char *copy = tn_arena_alloc(arena, bytes + 1);
  if (copy && bytes) memcpy(copy, text, bytes);
  return copy;
}

char *tn_arena_join(tn_arena *arena, const char *a, const char *b) {
  size_t m = strlen(a), n = strlen(b);
  char *text = tn_arena_alloc(arena, m + n + 1);
  if (!text) return NULL;
  memcpy(text, a, m);
  memcpy(text + m, b, n);
  return text;
}

void tn_arena_free(tn_arena *arena) {
  for (tn_arena_block *block = arena->first, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  arena->first = NULL;
}
