// SPDX-License-Identifier: MIT
/* The data sets that `tenon data` knows: what share/data.ini lists, and what of it is here. */
#ifndef TENON_CORE_SETS_H
#define TENON_CORE_SETS_H

#include "core/config/config.h"
#include "core/format/stream.h"

typedef struct tn_set_file {
  const char *name;   /* below the set's folder */
  const char *hash;   /* SHA-256 of its content, unpacked, as 64 hexadecimal digits */
  const char *remote; /* behind the set's source */
} tn_set_file;

typedef struct tn_set {
  const char *name, *summary, *licence;
  const char *folder; /* below the folder of data sets */
  const char *source; /* URL of a folder; NULL: cannot be fetched */
  const char *get;    /* how to come by it without fetching; NULL */
  tn_set_file *files;
  uint32_t file_count;
} tn_set;

typedef struct tn_sets {
  tn_config *config; /* owns the texts */
  tn_set *sets;
  uint32_t count;
} tn_sets;

/* Reads the list: TENON_DATA_SETS, else the source tree's, else the installed one. The caller frees it, also
 * after a failure. */
tn_status tn_sets_open(tn_sets *sets, tn_error *error);
void tn_sets_free(tn_sets *sets);
/* NULL and an error that names the nearest if there is none. */
const tn_set *tn_sets_find(const tn_sets *sets, const char *name, tn_error *error);

/* How many of the set's files are in `folder`, the folder of data sets (NULL: none). */
uint32_t tn_set_present(const tn_set *set, const char *folder);

/* True if the content of `path`, unpacked, has the hash; else *error says what is wrong. */
bool tn_set_file_check(const char *path, const char *hash, tn_format_error *error);

#endif
