// SPDX-License-Identifier: MIT
#include "core/command/columns.h"
#include "core/config/memory.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tn_colour(FILE *out) {
  const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
  return isatty(fileno(out)) && !(no && *no) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void tn_print_bold(FILE *out, const char *text) {
  bool colour = tn_colour(out);
  fprintf(out, "%s%s%s", colour ? "\033[1m" : "", text, colour ? "\033[0m" : "");
}

void tn_columns_add(tn_columns *table, const char *const *cells) {
  for (uint32_t i = 0; i < table->columns; i++) {
    char **cell = tn_grow(&table->cells, table->rows * table->columns + i, &table->room, sizeof *cell);
    const char *text = cells[i] ? cells[i] : "";
    *cell = tn_arena_text(&table->arena, text, strlen(text));
  }
  table->rows++;
}

/* Characters, not bytes. */
static uint32_t width(const char *text) {
  uint32_t count = 0;
  for (; text && *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
  return count;
}

void tn_columns_print(FILE *out, tn_columns *table, const char *indent, bool head) {
  uint32_t widths[TN_MAX_COLUMNS] = {0}, last = 0;
  bool used[TN_MAX_COLUMNS] = {false};
  for (uint32_t r = 0; r < table->rows; r++) {
    for (uint32_t c = 0; c < table->columns; c++) {
      uint32_t w = width(table->cells[r * table->columns + c]);
      if (w > widths[c]) widths[c] = w;
      if (w > 0 && !(head && r == 0)) used[c] = true;
    }
  }
  for (uint32_t c = 0; c < table->columns; c++)
    if (used[c]) last = c;
  for (uint32_t r = 0; r < table->rows; r++) {
    uint32_t owed = 0; /* blanks, printed only if something follows */
    fputs(indent, out);
    for (uint32_t c = 0; c <= last; c++) {
      const char *cell = table->cells[r * table->columns + c];
      if (!used[c] || !cell) continue;
      if (*cell) {
        fprintf(out, "%*s", (int)owed, "");
        if (head && r == 0)
          tn_print_bold(out, cell);
        else
          fputs(cell, out);
        owed = 0;
      }
      owed += widths[c] - width(cell) + 2;
    }
    fputc('\n', out);
  }
}

void tn_columns_free(tn_columns *table) {
  free(table->cells);
  tn_arena_free(&table->arena);
  *table = (tn_columns){0};
}
