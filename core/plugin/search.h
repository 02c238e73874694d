// SPDX-License-Identifier: MIT
/* Where plugins are looked for, and whether a place can be trusted.
 *
 * A file or folder is trusted unless others can write to it: everybody, or a group that is neither root's nor
 * the user's own primary group. In a folder that everybody can write to but where only owners may replace
 * files (the sticky bit of /tmp), files named with --plugin are trusted, since nobody else can exchange them.
 */
#ifndef TENON_CORE_SEARCH_H
#define TENON_CORE_SEARCH_H

#include "core/config/arena.h"
#include "core/config/error.h"
#include "core/plugin/catalogue.h"

typedef struct tn_found {
  const char *path;
  tn_file_id id;
  bool named; /* with --plugin: must load */
} tn_found;

typedef struct tn_plugin_search {
  tn_arena *arena;
  tn_found *files; /* in search order, each file once */
  uint32_t count, capacity;
  const char **refused; /* lines about folders and files that are not even looked at */
  uint32_t refused_count, refused_capacity;
} tn_plugin_search;

/* Adds one file that the user named. */
tn_status tn_search_file(tn_plugin_search *search, const char *path, tn_error *error);
/* Adds the *.so files of folders separated by colons, in the order of their names. Folders that do not exist
 * are passed over. */
tn_status tn_search_folders(tn_plugin_search *search, const char *folders, tn_error *error);
tn_status tn_search_refuse(tn_plugin_search *search, const char *path, const char *reason, tn_error *error);
void tn_search_free(tn_plugin_search *search);

/* place.c: the built-in folders: TENON_BUILTIN_PLUGINS, else those next to this program or library. */
const char *tn_search_builtin(tn_arena *arena);

#endif
