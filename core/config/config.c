// SPDX-License-Identifier: MIT
#include "core/config/store.h"
#include <stdlib.h>
#include <string.h>

struct tn_config {
  tn_store store;
  const char *file;
};

static tn_status build(tn_config *config, const char *text, size_t bytes, const char *file,
                       const char *const *overrides, uint32_t override_count,
                       const tn_config_variable *variables, uint32_t variable_count, tn_error *error) {
  tn_store *store = &config->store;
  config->file = tn_arena_text(&store->arena, file, strlen(file));
  if (!config->file) return tn_store_failed(TN_ERROR_MEMORY, file, 0, error);
  tn_status status = tn_store_include(store, text, bytes, config->file, variables, variable_count, error);
  for (uint32_t i = 0; i < override_count && status == TN_OK; i++)
    status = tn_store_override(store, overrides[i], error);
  if (status == TN_OK) status = tn_store_inherit(store, error);
  if (status == TN_OK) status = tn_store_expand(store, variables, variable_count, error);
  return status;
}

tn_config *tn_config_parse(const char *text, size_t bytes, const char *file, const char *const *overrides,
                           uint32_t override_count, const tn_config_variable *variables,
                           uint32_t variable_count, tn_error *error) {
  tn_error own = {0};
  if (!error) error = &own;
  tn_config *config = calloc(1, sizeof *config);
  if (!config) {
    tn_store_failed(TN_ERROR_MEMORY, file, 0, error);
    return NULL;
  }
  tn_status status =
      build(config, text, bytes, file, overrides, override_count, variables, variable_count, error);
  if (status == TN_OK) return config;
  tn_config_free(config);
  return NULL;
}

tn_config *tn_config_load(const char *file, const char *const *overrides, uint32_t override_count,
                          const tn_config_variable *variables, uint32_t variable_count, tn_error *error) {
  size_t bytes;
  char *text = tn_read_ini(file, &bytes, error);
  if (!text) return NULL;
  tn_config *config =
      tn_config_parse(text, bytes, file, overrides, override_count, variables, variable_count, error);
  free(text);
  return config;
}

void tn_config_free(tn_config *config) {
  if (!config) return;
  tn_store_free(&config->store);
  free(config);
}

const char *tn_config_file(const tn_config *config) { return config->file; }
uint32_t tn_config_count(const tn_config *config) { return config->store.count; }
const tn_section *tn_config_at(const tn_config *config, uint32_t index) {
  return &config->store.sections[index].view;
}
const tn_section *tn_config_find(const tn_config *config, const char *name) {
  uint32_t index = tn_store_find(&config->store, name);
  return index == TN_TABLE_NONE ? NULL : &config->store.sections[index].view;
}
const tn_key *tn_section_find(const tn_section *section, const char *key) {
  for (uint32_t i = 0; i < section->key_count; i++)
    if (strcmp(section->keys[i].name, key) == 0) return &section->keys[i];
  return NULL;
}
