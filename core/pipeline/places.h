// SPDX-License-Identifier: MIT
/* Where data sets and examples are: TENON_DATA, else ../shared/data or ~/.local/share/tenon; TENON_EXAMPLES,
 * else next to the program in a source tree, else as installed. */
#ifndef TENON_CORE_PLACES_H
#define TENON_CORE_PLACES_H

#include "core/config/config.h"

typedef struct tn_places {
  const char *data, *examples; /* NULL: not found; point into the buffers below */
  char data_text[4096], examples_text[4096];
} tn_places;

void tn_places_find(tn_places *places);
/* ${data}, ${examples} and ${run}; `run` may be NULL. */
void tn_places_variables(const tn_places *places, const char *run, tn_config_variable variables[3]);

#endif
