// SPDX-License-Identifier: MIT
/* Which components are installed, and loading the plugins that hold them.
 *
 * Plugins are looked for in files named with --plugin, then in the folders of TENON_PLUGIN_PATH, then in the
 * built-in folder, and nowhere else. What each file offers comes from an index in the user's cache folder,
 * keyed by path, size, inode and time of change; only files that are new or changed are opened to look, and
 * only plugins whose components are used are loaded. */
#ifndef TENON_CORE_REGISTRY_H
#define TENON_CORE_REGISTRY_H

#include "core/config/error.h"
#include "core/config/kind.h" /* tn_kind_short_name */
#include <tenon/component.h>

typedef struct tn_registry tn_registry;

typedef struct tn_registry_options {
  const char *path;         /* folders separated by colons; NULL: the environment's TENON_PLUGIN_PATH */
  const char *const *files; /* plugin files, each of which must load */
  uint32_t file_count;
  const char *builtin; /* NULL: the folder found next to the program or library, or as installed */
} tn_registry_options;

/* What is known of a component without loading its plugin. */
typedef struct tn_registry_item {
  const char *kind; /* id: "tenon.optimizer/1" */
  const char *name; /* "lion" */
  const char *full; /* "optimizer.lion" */
  const char *summary;
  const char *plugin, *version, *licence, *file;
} tn_registry_item;

tn_registry *tn_registry_open(const tn_registry_options *options, tn_error *error);
void tn_registry_close(tn_registry *registry);
/* Items sorted by full name. Files that were refused are not among them; each has a line in `refused`. */
uint32_t tn_registry_count(const tn_registry *registry);
const tn_registry_item *tn_registry_item_at(const tn_registry *registry, uint32_t index);
uint32_t tn_registry_refused(const tn_registry *registry, const char *const **lines);
const tn_registry_item *tn_registry_find(const tn_registry *registry, const char *full); /* NULL: none */
/* The class "optimizer.lion", loading its plugin if needed. Unknown names: an error at file:line that names
 * the nearest. */
const tn_class *tn_registry_load(tn_registry *registry, const char *full, const char *file, uint32_t line,
                                 tn_error *error);
/* Plugins loaded so far (for the lock file): name, version, file. */
uint32_t tn_registry_loaded(const tn_registry *registry);
const tn_registry_item *tn_registry_loaded_at(const tn_registry *registry, uint32_t index);

#endif
