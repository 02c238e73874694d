// SPDX-License-Identifier: MIT
/* Numbers from text files: separated by blanks, commas or line ends; # begins a comment. A first line of
 * names makes it a table, of which one column is read. */
#ifndef TENON_PLUGINS_NUMBERS_H
#define TENON_PLUGINS_NUMBERS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

struct numbers {
  const char *path;
  const char *column; /* NULL: tables are refused, as are numbers that are negative or not finite */
  const char *what;   /* "a factor", for messages */
  double *values;     /* the caller frees them */
  int64_t count;
  size_t room;
  int64_t line; /* the last read */
  int32_t at;   /* column of a table, from 0; -1: plain numbers */
};

#define NUMBERS_BETWEEN " ,\t\r\n"

static inline tn_status numbers_add(struct numbers *numbers, double value) {
  if ((size_t)numbers->count == numbers->room) {
    numbers->room = numbers->room > 0 ? 2 * numbers->room : 256;
    double *more = tn_resize(numbers->values, numbers->room * sizeof *more);
    if (!more) return TN_ERROR_MEMORY;
    numbers->values = more;
  }
  numbers->values[numbers->count++] = value;
  return TN_OK;
}

/* Finds the column in a line of names. */
static inline tn_status numbers_names(struct numbers *numbers, char *line) {
  const size_t length = strlen(numbers->column);
  int32_t column = 0;
  for (char *at = line; *(at += strspn(at, NUMBERS_BETWEEN)); column++) {
    const size_t word = strcspn(at, NUMBERS_BETWEEN);
    if (word == length && strncmp(at, numbers->column, word) == 0) numbers->at = column;
    at += word;
  }
  if (numbers->at >= 0) return TN_OK;
  return tn_fail(TN_ERROR_MISSING, "%s:%lld: no column '%s'", numbers->path, (long long)numbers->line,
                 numbers->column);
}

static inline tn_status numbers_line(struct numbers *numbers, char *line) {
  char *comment = strchr(line, '#');
  if (comment) *comment = 0;
  int32_t column = 0;
  tn_status status = TN_OK;
  for (char *at = line; status >= 0 && *(at += strspn(at, NUMBERS_BETWEEN)); column++) {
    char *end;
    const double value = strtod(at, &end);
    const bool number = end != at && (*end == 0 || strchr(NUMBERS_BETWEEN, *end));
    if (!number && numbers->column && numbers->count == 0 && numbers->at < 0)
      return numbers_names(numbers, line);
    if (!number || (!numbers->column && (!isfinite(value) || value < 0)))
      return tn_fail(TN_ERROR_INVALID, "%s:%lld: %s is a %snumber%s, got '%.*s'", numbers->path,
                     (long long)numbers->line, numbers->what, numbers->column ? "" : "finite ",
                     numbers->column ? "" : ", not negative", (int)strcspn(at, NUMBERS_BETWEEN), at);
    if (numbers->at < 0 || numbers->at == column) status = numbers_add(numbers, value);
    at = end;
  }
  return status;
}

/* All of them, at least one. Sets path, column and what before. */
static inline tn_status numbers_read(struct numbers *numbers) {
  FILE *file = fopen(numbers->path, "r");
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", numbers->path, strerror(errno));
  char line[4096];
  tn_status status = TN_OK;
  numbers->at = -1;
  while (status >= 0 && fgets(line, sizeof line, file)) {
    numbers->line++;
    if (!strchr(line, '\n') && !feof(file))
      status = tn_fail(TN_ERROR_INVALID, "%s:%lld: the line is longer than %zu bytes", numbers->path,
                       (long long)numbers->line, sizeof line - 2);
    else
      status = numbers_line(numbers, line);
  }
  if (status >= 0 && ferror(file)) status = tn_fail(TN_ERROR_IO, "%s: %s", numbers->path, strerror(errno));
  fclose(file);
  if (status >= 0 && numbers->count == 0)
    return tn_fail(TN_ERROR_INVALID, "%s: there is no number in it", numbers->path);
  return status;
}

#endif
