// SPDX-License-Identifier: MIT
#include "core/config/table.h"
#include <stdlib.h>
#include <string.h>

/* FNV-1a (Fowler, Noll, Vo), started from the tag; the fold spreads the high bits. */
static uint32_t hash(uint32_t tag, const char *name) {
  uint64_t h = 14695981039346656037u ^ ((uint64_t)tag * 0x9e3779b97f4a7c15u);
  for (const char *c = name; *c; c++) h = (h ^ (unsigned char)*c) * 1099511628211u;
  return (uint32_t)(h ^ (h >> 32));
}

/* The slot of the name, or the empty slot where it would go. Open addressing, linear probing. */
static tn_table_slot *slot_of(tn_table_slot *slots, uint32_t capacity, uint32_t tag, const char *name) {
  uint32_t i = hash(tag, name) & (capacity - 1);
  while (slots[i].name && (slots[i].tag != tag || strcmp(slots[i].name, name) != 0))
    i = (i + 1) & (capacity - 1);
  return &slots[i];
}

uint32_t tn_table_find(const tn_table *table, uint32_t tag, const char *name) {
  if (!table->capacity) return TN_TABLE_NONE;
  const tn_table_slot *slot = slot_of(table->slots, table->capacity, tag, name);
  return slot->name ? slot->value : TN_TABLE_NONE;
}

static bool grow(tn_table *table) {
  uint32_t capacity = table->capacity ? 2 * table->capacity : 64;
  tn_table_slot *slots = calloc(capacity, sizeof *slots);
  if (!slots) return false;
  for (uint32_t i = 0; i < table->capacity; i++) {
    const tn_table_slot *old = &table->slots[i];
    if (old->name) *slot_of(slots, capacity, old->tag, old->name) = *old;
  }
  free(table->slots);
  table->slots = slots;
  table->capacity = capacity;
  return true;
}

bool tn_table_add(tn_table *table, uint32_t tag, const char *name, uint32_t value) {
  if (2 * (table->count + 1) > table->capacity && !grow(table)) return false;
  tn_table_slot *slot = slot_of(table->slots, table->capacity, tag, name);
  *slot = (tn_table_slot){name, tag, value};
  table->count++;
  return true;
}

void tn_table_free(tn_table *table) {
  free(table->slots);
  *table = (tn_table){0};
}
