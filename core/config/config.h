// SPDX-License-Identifier: MIT
/* Pipeline files as sections of keys, each value with the place it came from.
 *
 * INI as inih reads it (";" and "#" comments, indented continuation lines), and on top: `include = other.ini`
 * before the first section or in [pipeline] (relative to the including file; sections merge, later keys win;
 * cycles refused), `base = section` (inherits keys, chains allowed, cycles refused), `${section.key}`,
 * `${env:NAME}`,
 * `${data}`, `${run}`, `${examples}` (expanded after overrides; cycles refused; `$${` gives a literal `${`),
 * and overrides "section.key=value" from the command line, which may add keys and sections (they are reported
 * with file "command line"). Refused with a line: duplicate sections or keys in one file, keys outside
 * sections, lines that are neither, NUL bytes and other control characters, values over 64 KiB, files over 16
 * MiB, empty files, byte sequences that are not UTF-8.
 *
 * Narrower than inih, which would misread them without a word: keys and section headers start in the first
 * column; an indented `name = value` is refused instead of being appended to the value above; names are
 * letters, digits,
 * `_`, `-` and `.`, of sections at most 49. Of "section.key" in overrides and ${...}, the longest section
 * that exists is meant; a new section ends at the first dot ("arm.x.y.z=1": at the second). A `;` after a
 * blank begins a comment, so no value, also no override or environment variable, may hold one. */
#ifndef TENON_CORE_CONFIG_H
#define TENON_CORE_CONFIG_H

#include "core/config/error.h"

typedef struct tn_key {
  const char *name, *value; /* value expanded and trimmed */
  const char *file;
  uint32_t line;
} tn_key;

typedef struct tn_section {
  const char *name;
  const char *file;
  uint32_t line;
  const tn_key *keys; /* with those inherited through base; without `base` itself */
  uint32_t key_count;
} tn_section;

typedef struct tn_config tn_config;
typedef struct tn_config_variable {
  const char *name,
      *value; /* "data" for ${data}; value NULL: using it is an error that says why in `missing` */
  const char *missing;
} tn_config_variable;

tn_config *tn_config_load(const char *file, const char *const *overrides, uint32_t override_count,
                          const tn_config_variable *variables, uint32_t variable_count, tn_error *error);
/* The same from memory, for tests and fuzzing; `file` is used in messages and to resolve includes. */
tn_config *tn_config_parse(const char *text, size_t bytes, const char *file, const char *const *overrides,
                           uint32_t override_count, const tn_config_variable *variables,
                           uint32_t variable_count, tn_error *error);
void tn_config_free(tn_config *config);
const char *tn_config_file(const tn_config *config);
uint32_t tn_config_count(const tn_config *config);
const tn_section *tn_config_at(const tn_config *config, uint32_t index);     /* in the order of the files */
const tn_section *tn_config_find(const tn_config *config, const char *name); /* NULL: none */
const tn_key *tn_section_find(const tn_section *section, const char *key);   /* NULL: none */
/* The resolved file as INI text (what the run directory keeps): everything expanded, no include, no base. */
char *tn_config_print(const tn_config *config); /* freed with free() */
/* The same without what concerns many runs and not this one: [sweep], [arm.NAME], [expect] and [paper]. */
char *tn_config_print_single(const tn_config *config);

#endif
