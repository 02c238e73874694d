// SPDX-License-Identifier: MIT
/* What the shared objects seen so far offer: lines of text, kept in the user's cache folder.
 *
 * An entry is known by path, device, inode, size and time of change. The catalogue is only a shortcut: one
 * that is missing, damaged, of another host version or not writable costs the time to look again, nothing
 * else. */
#ifndef TENON_CORE_CATALOGUE_H
#define TENON_CORE_CATALOGUE_H

#include "core/config/arena.h"
#include "core/config/table.h"
#include <stdio.h>
#include <sys/stat.h>

typedef struct tn_file_id {
  uint64_t device, inode, size;
  int64_t seconds, nanoseconds; /* of the last change (ctime) */
} tn_file_id;

typedef struct tn_catalogue_class {
  const char *kind, *name, *summary;
} tn_catalogue_class;

typedef struct tn_catalogue_entry {
  const char *path;
  tn_file_id id;
  const char *refusal; /* why the file cannot be used; NULL: it can */
  bool lasting;        /* the refusal depends on nothing but the file */
  const char *plugin, *version, *licence;
  const tn_catalogue_class *classes;
  uint32_t class_count;
} tn_catalogue_entry;

typedef struct tn_catalogue {
  tn_arena arena; /* all texts and arrays */
  tn_catalogue_entry *entries;
  uint32_t count, capacity;
  tn_table paths; /* entries by path */
  bool changed;   /* since it was read */
} tn_catalogue;

tn_file_id tn_file_id_of(const struct stat *s);
/* The entry for exactly this file; NULL: not known, or the file has changed. */
const tn_catalogue_entry *tn_catalogue_find(const tn_catalogue *catalogue, const char *path,
                                            const tn_file_id *id);
/* Reads entries from text[0 .. bytes), which is changed and must outlive the catalogue; stops at the first
 * that is incomplete. Later entries replace earlier ones of the same path. The number of entries read. */
uint32_t tn_catalogue_parse(tn_catalogue *catalogue, char *text, size_t bytes);
void tn_catalogue_write(FILE *out, const tn_catalogue_entry *entry);
/* Reads the catalogue of the cache folder; an empty one if there is none that can be trusted. */
void tn_catalogue_open(tn_catalogue *catalogue);
/* Writes it back if it changed: under another name first, then renamed. `seen` (one per entry, NULL: all)
 * says which entries were met now; others are kept if their file is still the same. */
void tn_catalogue_save(const tn_catalogue *catalogue, const bool *seen);
void tn_catalogue_free(tn_catalogue *catalogue);

#endif
