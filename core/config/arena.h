// SPDX-License-Identifier: MIT
/* Memory that is taken piece by piece and given back at once. */
#ifndef TENON_CORE_ARENA_H
#define TENON_CORE_ARENA_H

#include <stddef.h>

typedef struct tn_arena {
  struct tn_arena_block *first; /* the block that is being filled; the full ones follow */
} tn_arena;

void *tn_arena_alloc(tn_arena *arena, size_t bytes);                  /* zeroed; NULL: out of memory */
char *tn_arena_text(tn_arena *arena, const char *text, size_t bytes); /* a NUL-terminated copy */
char *tn_arena_join(tn_arena *arena, const char *a, const char *b);   /* a followed by b */
void tn_arena_free(tn_arena *arena);

#endif
