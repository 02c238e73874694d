// SPDX-License-Identifier: MIT
#include "core/format/cells.h"

#include <stdint.h>
#include <string.h>

#include "core/format/csv.h"

typedef struct splitter {
  const char *file;
  tn_format_error *error;
  const char *read, *end; // the bytes not yet split; *end is 0
  char *write;            // cells are never longer than their source, so this stays behind `read`
  size_t line;
  bool special[256]; // bytes that end a plain cell or are refused in it
  char delimiter;
} splitter;

/* Takes the line end at s->read, if there is one. A carriage return counts before a line feed or the end. */
static bool take_line_end(splitter *s) {
  const char *c = s->read;
  if (*c == '\r') c++;
  if (*c == '\n') {
    s->read = c + 1;
    s->line++;
    return true;
  }
  if (c == s->end) {
    s->read = c;
    return true;
  }
  return false;
}

/* The inside of a quoted cell, up to and with the closing quote. */
static bool split_quoted(splitter *s) {
  size_t first_line = s->line;
  char *start = s->write;
  s->read++;
  for (;;) {
    if (s->read == s->end) return tn_format_fail_line(s->error, s->file, first_line, "unterminated quote");
    char c = *s->read++;
    if (c == '"') {
      if (*s->read != '"') return true;
      s->read++; // "" inside quotes is one quote
    }
    if (c == 0) return tn_format_fail_line(s->error, s->file, s->line, "NUL byte");
    if (c == '\n') s->line++;
    *s->write++ = c;
    if ((size_t)(s->write - start) > TN_CSV_CELL_MAX)
      return tn_format_fail_line(s->error, s->file, first_line,
                                 "quoted cell longer than %zu bytes, or its closing quote is missing",
                                 TN_CSV_CELL_MAX);
  }
}

static bool split_plain(splitter *s) {
  const char *start = s->read;
  while (!s->special[(unsigned char)*s->read]) s->read++;
  size_t length = (size_t)(s->read - start);
  if (length > TN_CSV_CELL_MAX)
    return tn_format_fail_line(s->error, s->file, s->line, "cell longer than %zu bytes", TN_CSV_CELL_MAX);
  if (s->write != start) memmove(s->write, start, length);
  s->write += length;
  return true;
}

/* One cell and what ends it. *last: it was the last of its row. */
static bool split_cell(splitter *s, bool *last) {
  bool quoted = *s->read == '"';
  if (!(quoted ? split_quoted(s) : split_plain(s))) return false;
  *last = false;
  char stop = *s->read;
  if (stop == s->delimiter) {
    s->read++;
  } else if (take_line_end(s)) {
    *last = true;
  } else if (stop == 0) {
    return tn_format_fail_line(s->error, s->file, s->line, "NUL byte");
  } else if (stop == '\r') {
    return tn_format_fail_line(s->error, s->file, s->line, "carriage return without a line feed");
  } else if (quoted) {
    return tn_format_fail_line(s->error, s->file, s->line, "text after a closing quote");
  } else {
    return tn_format_fail_line(s->error, s->file, s->line, "quote inside an unquoted cell");
  }
  *s->write++ = 0;
  return true;
}

static bool split_row(splitter *s, size_t *cells) {
  bool last = false;
  for (*cells = 0; !last; ++*cells) {
    if (*cells == TN_CSV_COLUMNS_MAX)
      return tn_format_fail_line(s->error, s->file, s->line, "more than %zu columns", TN_CSV_COLUMNS_MAX);
    if (!split_cell(s, &last)) return false;
  }
  return true;
}

/* All rows. The buffer then holds rows * columns strings. */
static bool split(splitter *s, size_t *rows, size_t *columns) {
  *rows = 0;
  while (s->read < s->end) {
    size_t line = s->line, cells = 0;
    if (take_line_end(s)) { // blank lines may follow the last row, and nothing else may follow them
      while (s->read < s->end && take_line_end(s)) {
      }
      if (s->read < s->end) return tn_format_fail_line(s->error, s->file, line, "blank line");
      break;
    }
    if (!split_row(s, &cells)) return false;
    if (*rows == 0) *columns = cells;
    if (cells != *columns)
      return tn_format_fail_line(s->error, s->file, line, "%zu cell%s, but line 1 has %zu", cells,
                                 cells == 1 ? "" : "s", *columns);
    if (++*rows > INT32_MAX)
      return tn_format_fail_line(s->error, s->file, line, "more than %ld rows", (long)INT32_MAX);
  }
  return *rows > 0 || tn_format_fail(s->error, s->file, "empty file");
}

bool tn_cells_split(const char *file, tn_bytes *bytes, char delimiter, size_t *rows, size_t *columns,
                    tn_format_error *error) {
  static const unsigned char mark[] = {0xef, 0xbb, 0xbf}; // U+FEFF in UTF-8
  char *text = (char *)bytes->data;
  splitter s = {
      .file = file, .error = error, .line = 1, .read = text, .end = text + bytes->size, .write = text};
  s.delimiter = delimiter;
  if (bytes->size >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) s.read += sizeof mark;
  s.special[0] = s.special['"'] = s.special['\r'] = s.special['\n'] = true;
  s.special[(unsigned char)delimiter] = true;
  return split(&s, rows, columns);
}
