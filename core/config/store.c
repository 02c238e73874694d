// SPDX-License-Identifier: MIT
#include "core/config/store.h"
#include <stdlib.h>
#include <string.h>

static const uint32_t section_tag = UINT32_MAX; /* keys are tagged with the index of their section */

void tn_store_free(tn_store *store) {
  for (uint32_t i = 0; i < store->count; i++) free(store->sections[i].keys);
  free(store->sections);
  tn_table_free(&store->names);
  tn_arena_free(&store->arena);
  *store = (tn_store){0};
}

uint32_t tn_store_find(const tn_store *store, const char *section) {
  return tn_table_find(&store->names, section_tag, section);
}

tn_key *tn_store_key(const tn_store *store, uint32_t section, const char *key) {
  uint32_t index = tn_table_find(&store->names, section, key);
  return index == TN_TABLE_NONE ? NULL : &store->sections[section].keys[index];
}

tn_status tn_store_section_add(tn_store *store, const char *name, const char *file, uint32_t line,
                               uint32_t *section) {
  *section = tn_store_find(store, name);
  if (*section != TN_TABLE_NONE) return TN_OK;
  if (store->count == store->capacity) {
    uint32_t capacity = store->capacity ? 2 * store->capacity : 16;
    tn_store_section *more = realloc(store->sections, capacity * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    store->sections = more;
    store->capacity = capacity;
  }
  char *copy = tn_arena_text(&store->arena, name, strlen(name));
  if (!copy || !tn_table_add(&store->names, section_tag, copy, store->count)) return TN_ERROR_MEMORY;
  store->sections[store->count] = (tn_store_section){.view = {.name = copy, .file = file, .line = line}};
  *section = store->count++;
  return TN_OK;
}

static tn_status add_key(tn_store *store, uint32_t section, const tn_key *key) {
  tn_store_section *s = &store->sections[section];
  if (store->keys >= TN_STORE_MAX_KEYS) return TN_ERROR_INVALID;
  if (s->view.key_count == s->capacity) {
    uint32_t capacity = s->capacity ? 2 * s->capacity : 8;
    tn_key *more = realloc(s->keys, capacity * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    s->keys = more;
    s->view.keys = more;
    s->capacity = capacity;
  }
  if (!tn_table_add(&store->names, section, key->name, s->view.key_count)) return TN_ERROR_MEMORY;
  s->keys[s->view.key_count++] = *key;
  store->keys++;
  return TN_OK;
}

tn_status tn_store_put(tn_store *store, uint32_t section, const tn_key *key) {
  tn_key *old = tn_store_key(store, section, key->name);
  if (!old) return add_key(store, section, key);
  const char *name = old->name; /* the table points to it */
  *old = *key;
  old->name = name;
  return TN_OK;
}

tn_status tn_store_set(tn_store *store, uint32_t section, const char *key, const char *value,
                       const char *file, uint32_t line) {
  char *text = tn_arena_text(&store->arena, value, strlen(value));
  char *name = tn_arena_text(&store->arena, key, strlen(key));
  if (!text || !name) return TN_ERROR_MEMORY;
  return tn_store_put(store, section, &(tn_key){name, text, file, line});
}

tn_status tn_store_failed(tn_status status, const char *file, uint32_t line, tn_error *error) {
  if (status == TN_ERROR_MEMORY) return tn_error_set(error, status, file, line, "out of memory");
  return tn_error_set(error, status, file, line, "more than %d keys", (int)TN_STORE_MAX_KEYS);
}
