// SPDX-License-Identifier: MIT
/* From names to numbers, in constant time. A tag keeps several name spaces apart in one table. */
#ifndef TENON_CORE_TABLE_H
#define TENON_CORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tn_table_slot {
  const char *name; /* NULL: empty */
  uint32_t tag, value;
} tn_table_slot;
typedef struct tn_table {
  tn_table_slot *slots;
  uint32_t capacity, count; /* capacity: 0 or a power of two */
} tn_table;

#define TN_TABLE_NONE UINT32_MAX
uint32_t tn_table_find(const tn_table *table, uint32_t tag, const char *name); /* TN_TABLE_NONE: not there */
/* Adds a name that is not there yet; it is not copied. false: out of memory. */
bool tn_table_add(tn_table *table, uint32_t tag, const char *name, uint32_t value);
void tn_table_free(tn_table *table);

#endif
