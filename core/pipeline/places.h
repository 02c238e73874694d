// SPDX-License-Identifier: MIT
/* Where data sets and examples are: TENON_DATA, else ../shared/data or ~/.local/share/tenon; TENON_EXAMPLES,
 * else next to the program in a source tree, else as installed. Without any data the folder is the person's
 * own, where `tenon data fetch` puts them. */
#ifndef TENON_CORE_PLACES_H
#define TENON_CORE_PLACES_H

#include "core/config/config.h"

typedef struct tn_places {
  const char *data, *examples; /* NULL: not found; point into the buffers below */
  bool data_given;             /* by TENON_DATA */
  char data_text[4096], data_own[4096], examples_text[4096]; /* own: ~/.local/share/tenon, "" without HOME */
} tn_places;

void tn_places_find(tn_places *places);
/* ${data}, ${examples} and ${run}; `run` may be NULL. */
void tn_places_variables(const tn_places *places, const char *run, tn_config_variable variables[3]);

/* If a value, a path or a list of them, names something below `data` that does not exist: says so in terms of
 * the data set it belongs to. TN_OK otherwise. */
tn_status tn_places_check(const char *data, const char *section, const tn_key *key, tn_error *error);

#endif
