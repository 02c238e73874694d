// SPDX-License-Identifier: MIT
/* Sections and keys while they are read, merged, inherited and expanded: what a tn_config is made of.
 * Sections and keys are named by their index, which stays valid when more are added. Failures to allocate are
 * TN_ERROR_MEMORY; the caller words them. */
#ifndef TENON_CORE_STORE_H
#define TENON_CORE_STORE_H

#include "core/config/arena.h"
#include "core/config/config.h"
#include "core/config/table.h"

typedef struct tn_store_section {
  tn_section view; /* what others see; view.keys == keys */
  tn_key *keys;
  uint32_t capacity;
} tn_store_section;

typedef struct tn_store {
  tn_arena arena; /* all texts */
  tn_store_section *sections;
  uint32_t count, capacity;
  uint32_t keys;      /* of all sections */
  tn_table names;     /* sections by name, keys by section and name */
  tn_key includes[2]; /* `include` before the first section, and in [pipeline]; value NULL: not there */
} tn_store;

/* One file, included files and inherited keys together. */
enum { TN_STORE_MAX_KEYS = 1 << 20, TN_STORE_MAX_VALUE = 64 * 1024, TN_STORE_MAX_FILE = 16 * 1024 * 1024 };

void tn_store_free(tn_store *store);
uint32_t tn_store_find(const tn_store *store, const char *section);             /* TN_TABLE_NONE: none */
tn_key *tn_store_key(const tn_store *store, uint32_t section, const char *key); /* NULL: none */
/* The section called `name`, added if it is not there. The name is copied, `file` is not. */
tn_status tn_store_section_add(tn_store *store, const char *name, const char *file, uint32_t line,
                               uint32_t *section);
/* Adds the key or replaces its value. Name and value are copied, `file` is not. TN_ERROR_INVALID: too many
 * keys. */
tn_status tn_store_set(tn_store *store, uint32_t section, const char *key, const char *value,
                       const char *file, uint32_t line);
/* The same without copying the texts, which must live as long as the store. */
tn_status tn_store_put(tn_store *store, uint32_t section, const tn_key *key);
/* Records why tn_store_set or the like failed. */
tn_status tn_store_failed(tn_status status, const char *file, uint32_t line, tn_error *error);

/* The steps from text to configuration, one file each (parse.c, include.c, override.c, base.c, expand.c). */
tn_status tn_store_parse(tn_store *store, const char *text, size_t bytes, const char *file, tn_error *error);
tn_status tn_store_include(tn_store *store, const char *text, size_t bytes, const char *file,
                           const tn_config_variable *variables, uint32_t variable_count, tn_error *error);
tn_status tn_store_override(tn_store *store, const char *override, tn_error *error);
tn_status tn_store_inherit(tn_store *store, tn_error *error);
tn_status tn_store_expand(tn_store *store, const tn_config_variable *variables, uint32_t variable_count,
                          tn_error *error);
/* The whole file, not NUL-terminated, freed with free(). */
char *tn_read_ini(const char *file, size_t *bytes, tn_error *error);
/* One text with variables and the environment only. */
char *tn_expand_text(tn_arena *arena, const char *text, const tn_config_variable *variables,
                     uint32_t variable_count, const char *file, uint32_t line, tn_error *error);
/* Refuses what a value in an INI file cannot hold: control characters, a `;` that would begin a comment,
 * broken UTF-8, more than TN_STORE_MAX_VALUE bytes. `what` names the value in the message. */
tn_status tn_value_check(const char *value, const char *what, const char *file, uint32_t line,
                         tn_error *error);

#endif
