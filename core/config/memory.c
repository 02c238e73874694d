// SPDX-License-Identifier: MIT
#include "core/config/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*before_end)(void);
void tn_take_failed(void (*last)(void)) { before_end = last; }

void *tn_taken(void *memory) {
  if (!memory) {
    fputs("error: out of memory\n", stderr);
    if (before_end) before_end();
    exit(1);
  }
  return memory;
}

void *tn_take(size_t bytes) { return tn_taken(calloc(1, bytes ? bytes : 1)); }

void *tn_take_again(void *former, size_t bytes) { return tn_taken(realloc(former, bytes ? bytes : 1)); }

char *tn_copy_text(const char *text) {
  size_t bytes = strlen(text) + 1;
  return memcpy(tn_taken(malloc(bytes)), text, bytes);
}

void *tn_grow(void *array, uint32_t count, uint32_t *room, size_t item) {
  char *items;
  memcpy(&items, array, sizeof items);
  if (count == *room) {
    *room = *room ? 2 * *room : 8;
    items = tn_take_again(items, *room * item);
    memcpy(array, &items, sizeof items);
  }
  return items + (size_t)count * item;
}
