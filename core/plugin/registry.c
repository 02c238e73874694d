// SPDX-License-Identifier: MIT
#include "core/plugin/registry.h"
#include "core/config/kind.h"
#include "core/plugin/library.h"
#include "core/plugin/scan.h"
#include <stdlib.h>
#include <string.h>

/* A file that is in use. */
typedef struct plugin {
  const tn_catalogue_entry *entry;
  tn_library *library; /* NULL: not loaded */
} plugin;

typedef struct item {
  tn_registry_item view;
  uint32_t plugin;
} item;

struct tn_registry {
  tn_arena arena;
  tn_catalogue catalogue;
  tn_plugin_search search;
  plugin *plugins;
  uint32_t plugin_count;
  item *items; /* sorted by full name */
  uint32_t item_count;
  tn_table names; /* items by full name, tag 0; plugins by name, tag 1 */
  tn_registry_item *loaded;
  uint32_t loaded_count;
};

enum { ITEMS, PLUGINS };

static tn_status no_memory(tn_error *error) {
  return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
}

/* A file named with --plugin must load; others are only passed over. */
static tn_status refuse(tn_registry *r, const tn_found *file, const char *reason, tn_error *error) {
  if (file->named) return tn_error_set(error, TN_ERROR_INVALID, file->path, 0, "%s", reason);
  return tn_search_refuse(&r->search, file->path, reason, error);
}

static tn_status find_files(tn_registry *r, const tn_registry_options *options, tn_error *error) {
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < options->file_count && status == TN_OK; i++)
    status = tn_search_file(&r->search, options->files[i], error);
  const char *path = options->path ? options->path : getenv("TENON_PLUGIN_PATH");
  const char *builtin = options->builtin ? options->builtin : tn_search_builtin(&r->arena);
  if (status == TN_OK) status = tn_search_folders(&r->search, path, error);
  if (status == TN_OK) status = tn_search_folders(&r->search, builtin, error);
  return status;
}

/* Looks into the files that the catalogue does not know. */
static tn_status scan_new(tn_registry *r, tn_error *error) {
  const tn_found **unknown = calloc(r->search.count + 1, sizeof(tn_found *));
  if (!unknown) return no_memory(error);
  uint32_t count = 0;
  for (uint32_t i = 0; i < r->search.count; i++)
    if (!tn_catalogue_find(&r->catalogue, r->search.files[i].path, &r->search.files[i].id))
      unknown[count++] = &r->search.files[i];
  tn_status status = tn_scan_files(&r->catalogue, unknown, count, error);
  free(unknown);
  return status;
}

static tn_status add_item(tn_registry *r, const tn_found *file, const tn_catalogue_class *cls, uint32_t owner,
                          tn_error *error) {
  char full[TN_FULL_NAME], reason[4096 + 256];
  const tn_catalogue_entry *entry = r->plugins[owner].entry;
  tn_class_full_name(&(tn_class){.kind = cls->kind, .name = cls->name}, full);
  uint32_t first = tn_table_find(&r->names, ITEMS, full);
  if (first != TN_TABLE_NONE) {
    const item *other = &r->items[first];
    if (other->plugin == owner)
      snprintf(reason, sizeof reason, "offers %s twice", full);
    else
      snprintf(reason, sizeof reason, "%s is already in %s, which comes first", full, other->view.file);
    return refuse(r, file, reason, error);
  }
  char *name = tn_arena_text(&r->arena, full, strlen(full));
  if (!name || !tn_table_add(&r->names, ITEMS, name, r->item_count)) return no_memory(error);
  r->items[r->item_count++] = (item){
      {cls->kind, cls->name, name, cls->summary, entry->plugin, entry->version, entry->licence, entry->path},
      owner};
  return TN_OK;
}

static tn_status add_plugin(tn_registry *r, const tn_found *file, tn_error *error) {
  const tn_catalogue_entry *entry = tn_catalogue_find(&r->catalogue, file->path, &file->id);
  if (!entry) return refuse(r, file, "changed while it was looked at", error);
  if (entry->refusal) return refuse(r, file, entry->refusal, error);
  uint32_t first = tn_table_find(&r->names, PLUGINS, entry->plugin);
  if (first != TN_TABLE_NONE) {
    char reason[4096 + 128];
    snprintf(reason, sizeof reason, "plugin '%s' is already in %s, which comes first", entry->plugin,
             r->plugins[first].entry->path);
    return refuse(r, file, reason, error);
  }
  uint32_t owner = r->plugin_count;
  if (!tn_table_add(&r->names, PLUGINS, entry->plugin, owner)) return no_memory(error);
  r->plugins[r->plugin_count++] = (plugin){entry, NULL};
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < entry->class_count && status == TN_OK; i++)
    status = add_item(r, file, &entry->classes[i], owner, error);
  return status;
}

static int by_full_name(const void *a, const void *b) {
  return strcmp(((const item *)a)->view.full, ((const item *)b)->view.full);
}

static tn_status collect(tn_registry *r, tn_error *error) {
  uint32_t classes = 0;
  for (uint32_t i = 0; i < r->catalogue.count; i++) classes += r->catalogue.entries[i].class_count;
  r->plugins = calloc(r->search.count + 1, sizeof *r->plugins);
  r->loaded = calloc(r->search.count + 1, sizeof *r->loaded);
  r->items = calloc(classes + 1, sizeof *r->items);
  if (!r->plugins || !r->items || !r->loaded) return no_memory(error);
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < r->search.count && status == TN_OK; i++)
    status = add_plugin(r, &r->search.files[i], error);
  if (status != TN_OK) return status;
  /* From the order of the search to that of the names. */
  qsort(r->items, r->item_count, sizeof *r->items, by_full_name);
  tn_table_free(&r->names);
  for (uint32_t i = 0; i < r->item_count; i++)
    if (!tn_table_add(&r->names, ITEMS, r->items[i].view.full, i)) return no_memory(error);
  return TN_OK;
}

/* Every entry that this search met; the others belong to other searches. */
static void save_index(const tn_registry *r) {
  if (!r->catalogue.changed) return;
  bool *seen = calloc(r->catalogue.count + 1, sizeof *seen);
  for (uint32_t i = 0; seen && i < r->search.count; i++) {
    uint32_t entry = tn_table_find(&r->catalogue.paths, 0, r->search.files[i].path);
    if (entry != TN_TABLE_NONE) seen[entry] = true;
  }
  tn_catalogue_save(&r->catalogue, seen);
  free(seen);
}

tn_registry *tn_registry_open(const tn_registry_options *options, tn_error *error) {
  const tn_registry_options none = {0};
  if (!options) options = &none;
  tn_registry *r = calloc(1, sizeof *r);
  if (!r) {
    no_memory(error);
    return NULL;
  }
  r->search.arena = &r->arena;
  tn_status status = find_files(r, options, error);
  if (status == TN_OK) {
    tn_catalogue_open(&r->catalogue);
    status = scan_new(r, error);
    save_index(r);
  }
  if (status == TN_OK) status = collect(r, error);
  if (status == TN_OK) return r;
  tn_registry_close(r);
  return NULL;
}

void tn_registry_close(tn_registry *r) {
  if (!r) return;
  /* In the reverse order of loading, as a plugin may use what another brought. */
  for (uint32_t i = r->loaded_count; i-- > 0;)
    for (uint32_t p = 0; p < r->plugin_count; p++)
      if (r->plugins[p].entry->path == r->loaded[i].file) tn_library_unload(r->plugins[p].library);
  free(r->loaded);
  free(r->plugins);
  free(r->items);
  tn_table_free(&r->names);
  tn_search_free(&r->search);
  tn_catalogue_free(&r->catalogue);
  tn_arena_free(&r->arena);
  free(r);
}

uint32_t tn_registry_count(const tn_registry *r) { return r->item_count; }
const tn_registry_item *tn_registry_item_at(const tn_registry *r, uint32_t catalogue) {
  return &r->items[catalogue].view;
}
uint32_t tn_registry_refused(const tn_registry *r, const char *const **lines) {
  if (lines) *lines = r->search.refused;
  return r->search.refused_count;
}
uint32_t tn_registry_loaded(const tn_registry *r) { return r->loaded_count; }
const tn_registry_item *tn_registry_loaded_at(const tn_registry *r, uint32_t catalogue) {
  return &r->loaded[catalogue];
}

static const item *find(const tn_registry *r, const char *full) {
  uint32_t catalogue = tn_table_find(&r->names, ITEMS, full);
  return catalogue == TN_TABLE_NONE ? NULL : &r->items[catalogue];
}

const tn_registry_item *tn_registry_find(const tn_registry *r, const char *full) {
  const item *found = find(r, full);
  return found ? &found->view : NULL;
}

static tn_status unknown(const tn_registry *r, const char *full, const char *file, uint32_t line,
                         tn_error *error) {
  char room[TN_SHOWN], hint[TN_SUGGESTION], refused[96] = "";
  const char **names = calloc(r->item_count + 1, sizeof *names);
  if (!names) return no_memory(error);
  for (uint32_t i = 0; i < r->item_count; i++) names[i] = r->items[i].view.full;
  tn_suggest(hint, full, names, r->item_count);
  free(names);
  if (!hint[0] && r->search.refused_count > 0)
    snprintf(refused, sizeof refused, " (%u plugin%s refused: `tenon list` says why)",
             r->search.refused_count, r->search.refused_count == 1 ? " was" : "s were");
  return tn_error_set(error, TN_ERROR_MISSING, file, line, "no component '%s'%s%s", tn_shown(room, full),
                      hint, refused);
}

const tn_class *tn_registry_load(tn_registry *r, const char *full, const char *file, uint32_t line,
                                 tn_error *error) {
  const item *found = find(r, full);
  if (!found) {
    unknown(r, full, file, line, error);
    return NULL;
  }
  plugin *owner = &r->plugins[found->plugin];
  if (!owner->library) {
    tn_error reason = {0};
    owner->library = tn_library_load(owner->entry->path, &reason);
    if (!owner->library) {
      tn_error_set(error, reason.status, file, line, "%s: %s", full, reason.text);
      return NULL;
    }
    r->loaded[r->loaded_count] = found->view;
    r->loaded[r->loaded_count].kind = r->loaded[r->loaded_count].summary = NULL;
    r->loaded[r->loaded_count].name = r->loaded[r->loaded_count].full = found->view.plugin;
    r->loaded_count++;
  }
  const tn_class *cls = tn_library_class(owner->library, found->view.kind, found->view.name);
  if (!cls)
    tn_error_set(error, TN_ERROR_INVALID, file, line, "%s: %s no longer offers it", full, owner->entry->path);
  return cls;
}
