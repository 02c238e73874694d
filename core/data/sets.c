// SPDX-License-Identifier: MIT
#include "core/data/sets.h"
#include "core/config/memory.h"
#include "core/pipeline/digest.h"
#include "paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *value_of(const tn_section *section, const char *key) {
  const tn_key *found = tn_section_find(section, key);
  return found && *found->value ? found->value : NULL;
}

static bool is_hash(const char *text) { return strspn(text, "0123456789abcdef") == 64; }

/* "HASH" or "HASH NAME". */
static tn_status read_file(const tn_key *key, tn_set_file *file, tn_error *error) {
  const char *rest = key->value;
  char *hash = tn_take(65);
  *file = (tn_set_file){.name = key->name, .hash = hash, .remote = key->name};
  if (!is_hash(rest) || (rest[64] && rest[64] != ' '))
    return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                        "%s: expected the SHA-256 of its content, 64 hexadecimal digits", key->name);
  memcpy(hash, rest, 64);
  rest += 64 + strspn(rest + 64, " ");
  if (*rest) file->remote = rest;
  return TN_OK;
}

static tn_status read_set(const tn_section *section, tn_set *set, tn_error *error) {
  static const char *const known[] = {"summary", "licence", "folder", "source", "get"};
  *set = (tn_set){.name = section->name,
                  .summary = value_of(section, "summary"),
                  .licence = value_of(section, "licence"),
                  .folder = value_of(section, "folder"),
                  .source = value_of(section, "source"),
                  .get = value_of(section, "get")};
  if (!set->folder) set->folder = set->name;
  if (!set->summary) set->summary = "";
  set->files = tn_take((section->key_count + 1) * sizeof *set->files);
  for (uint32_t i = 0; i < section->key_count; i++) {
    bool is_file = true;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
      is_file &= strcmp(section->keys[i].name, known[k]) != 0;
    if (!is_file) continue;
    const tn_status status = read_file(&section->keys[i], &set->files[set->file_count++], error);
    if (status < 0) return status;
  }
  return TN_OK;
}

tn_status tn_sets_open(tn_sets *sets, tn_error *error) {
  *sets = (tn_sets){NULL, NULL, 0};
  const char *given = getenv("TENON_DATA_SETS");
  const char *file = given && *given                         ? given
                     : access(TN_BUILD_SETS_FILE, R_OK) == 0 ? TN_BUILD_SETS_FILE
                                                             : TN_INSTALL_SETS_FILE;
  sets->config = tn_config_load(file, NULL, 0, NULL, 0, error);
  if (!sets->config) return error->status;
  const uint32_t count = tn_config_count(sets->config);
  sets->sets = tn_take((count + 1) * sizeof *sets->sets);
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < count; i++)
    status = read_set(tn_config_at(sets->config, i), &sets->sets[sets->count++], error);
  return status;
}

void tn_sets_free(tn_sets *sets) {
  for (uint32_t i = 0; i < sets->count; i++) {
    for (uint32_t f = 0; f < sets->sets[i].file_count; f++)
      free((char *)(uintptr_t)sets->sets[i].files[f].hash);
    free(sets->sets[i].files);
  }
  free(sets->sets);
  if (sets->config) tn_config_free(sets->config);
}

const tn_set *tn_sets_find(const tn_sets *sets, const char *name, tn_error *error) {
  const char **names = tn_take((sets->count + 1) * sizeof *names);
  const tn_set *found = NULL;
  for (uint32_t i = 0; i < sets->count; i++) {
    names[i] = sets->sets[i].name;
    if (strcmp(names[i], name) == 0) found = &sets->sets[i];
  }
  char hint[TN_SUGGESTION];
  if (!found)
    tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "no data set '%s'%s", name,
                 tn_suggest(hint, name, names, sets->count));
  free(names);
  return found;
}

uint32_t tn_set_present(const tn_set *set, const char *folder) {
  char path[4096];
  uint32_t count = 0;
  for (uint32_t f = 0; folder && f < set->file_count; f++) {
    snprintf(path, sizeof path, "%s/%s/%s", folder, set->folder, set->files[f].name);
    count += access(path, R_OK) == 0;
  }
  return count;
}

bool tn_set_file_check(const char *path, const char *hash, tn_format_error *error) {
  tn_bytes content;
  unsigned char digest[32];
  char text[65];
  if (!tn_stream_read(path, 0, &content, error)) return false;
  tn_digest *sum = tn_digest_new();
  if (sum) tn_digest_add(sum, content.data, content.size);
  tn_digest_end(sum, digest);
  tn_bytes_free(&content);
  for (size_t i = 0; i < sizeof digest; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return strcmp(text, hash) == 0 ||
         tn_format_fail(error, path, "SHA-256 of the content is %.16s..., expected %.16s...", text, hash);
}
