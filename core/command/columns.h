// SPDX-License-Identifier: MIT
/* Text in aligned columns, and colour where a person looks at it. */
#ifndef TENON_CORE_COLUMNS_H
#define TENON_CORE_COLUMNS_H

#include "core/config/arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TN_MAX_COLUMNS 8
typedef struct tn_columns {
  uint32_t columns;
  tn_arena arena;
  char **cells; /* rows x columns */
  uint32_t rows, room;
} tn_columns;

/* The next row; missing cells are empty. */
void tn_columns_add(tn_columns *table, const char *const *cells);
/* Every column as wide as its widest cell, two blanks between, empty columns left out. `head`: the first row
 * is a heading. */
void tn_columns_print(FILE *out, tn_columns *table, const char *indent, bool head);
void tn_columns_free(tn_columns *table);

/* True if `out` is a terminal and NO_COLOR is not set. */
bool tn_colour(FILE *out);
/* The text in bold on a terminal. */
void tn_print_bold(FILE *out, const char *text);

#endif
