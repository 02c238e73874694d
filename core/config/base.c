// SPDX-License-Identifier: MIT
/* `base = section`: the keys of another section, unless the section has them itself. */
#include "core/config/store.h"
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, ON_THE_WAY, DONE };

/* The section that section `i` inherits from; TN_TABLE_NONE if it has no base or (with an error) a wrong one.
 */
static uint32_t base_of(const tn_store *store, uint32_t i, tn_error *error) {
  const tn_key *base = tn_store_key(store, i, "base");
  if (!base) return TN_TABLE_NONE;
  uint32_t parent = tn_store_find(store, base->value);
  if (parent != TN_TABLE_NONE) return parent;
  char room[TN_SHOWN], hint[TN_SUGGESTION];
  const char **names = calloc(store->count, sizeof *names);
  for (uint32_t k = 0; names && k < store->count; k++) names[k] = store->sections[k].view.name;
  tn_error_set(error, TN_ERROR_INVALID, base->file, base->line, "base = %s: no such section%s",
               tn_shown(room, base->value), tn_suggest(hint, base->value, names, names ? store->count : 0));
  free(names);
  return TN_TABLE_NONE;
}

/* Writes the keys of section `i` to `out`: those of its base, which is done, then its own. */
static tn_status fill(tn_store *out, const tn_store *store, uint32_t i, uint32_t parent, tn_error *error) {
  const tn_section *own = &store->sections[i].view;
  const tn_key *base = tn_store_key(store, i, "base");
  tn_status status = TN_OK;
  for (uint32_t k = 0; parent != TN_TABLE_NONE && k < out->sections[parent].view.key_count; k++) {
    tn_key key = out->sections[parent].keys[k];
    // what only a file may do, at a place that is past by now
    if (strcmp(own->name, "pipeline") == 0 && strcmp(key.name, "include") == 0)
      return tn_error_set(error, TN_ERROR_INVALID, base->file, base->line,
                          "base = %s: [pipeline] cannot inherit a key named 'include'", base->value);
    if (status == TN_OK) status = tn_store_put(out, i, &key);
  }
  for (uint32_t k = 0; k < own->key_count && status == TN_OK; k++)
    if (&own->keys[k] != base) status = tn_store_put(out, i, &own->keys[k]);
  return status == TN_OK ? status : tn_store_failed(status, own->file, own->line, error);
}

/* Follows the bases of section `i` to the first that is done, then fills them on the way back. */
static tn_status resolve(tn_store *out, const tn_store *store, uint32_t i, uint8_t *state, uint32_t *way,
                         tn_error *error) {
  uint32_t steps = 0;
  while (i != TN_TABLE_NONE && state[i] == UNKNOWN) {
    state[i] = ON_THE_WAY;
    way[steps++] = i;
    i = base_of(store, i, error);
    if (error->status != TN_OK) return error->status;
  }
  if (i != TN_TABLE_NONE && state[i] == ON_THE_WAY) {
    const tn_key *base = tn_store_key(store, way[steps - 1], "base");
    return tn_error_set(error, TN_ERROR_INVALID, base->file, base->line,
                        "base = %s makes a cycle: [%s] inherits from itself", base->value,
                        store->sections[i].view.name);
  }
  while (steps > 0) {
    uint32_t section = way[--steps];
    tn_status status = fill(out, store, section, i, error);
    if (status != TN_OK) return status;
    state[section] = DONE;
    i = section;
  }
  return TN_OK;
}

tn_status tn_store_inherit(tn_store *store, tn_error *error) {
  tn_store out = {.arena = store->arena}; /* the texts stay where they are */
  store->arena = (tn_arena){0};
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < store->count && status == TN_OK; i++) {
    const tn_section *section = &store->sections[i].view;
    uint32_t index;
    status = tn_store_section_add(&out, section->name, section->file, section->line, &index);
  }
  uint8_t *state = calloc(store->count + 1, sizeof *state);
  uint32_t *way = calloc(store->count + 1, sizeof *way);
  if (status != TN_OK || !state || !way) status = tn_store_failed(TN_ERROR_MEMORY, NULL, 0, error);
  for (uint32_t i = 0; i < store->count && status == TN_OK; i++)
    status = resolve(&out, store, i, state, way, error);
  free(state);
  free(way);
  tn_store_free(store);
  *store = out;
  return status;
}
