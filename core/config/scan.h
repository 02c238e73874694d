// SPDX-License-Identifier: MIT
/* The lines of an INI file, before inih sees them: what each is, and a message for what none of them may be.
 *
 * inih reports an error by its line number only, cuts long names silently and takes an indented `key = value`
 * for a continuation; the scan refuses what it would misread. */
#ifndef TENON_CORE_SCAN_H
#define TENON_CORE_SCAN_H

#include "core/config/error.h"

typedef enum tn_line_kind {
  TN_LINE_END,
  TN_LINE_WRONG, /* a message was recorded */
  TN_LINE_SECTION,
  TN_LINE_KEY,
  TN_LINE_CONTINUATION
} tn_line_kind;

/* Pieces of the text, without blanks around them and without comment; not NUL-terminated. */
typedef struct tn_line {
  tn_line_kind kind;
  uint32_t number;
  const char *name; /* of the section or key */
  size_t name_bytes;
  const char *value; /* of the key or continuation */
  size_t value_bytes;
} tn_line;

typedef struct tn_scan {
  const char *at, *end;
  const char *file;
  uint32_t line;
  bool in_section, after_key;
} tn_scan;

enum { TN_SCAN_MAX_NAME = 100, TN_SCAN_MAX_SECTION = 49 };

tn_scan tn_scan_begin(const char *text, size_t bytes, const char *file);
/* The next line that is neither blank nor comment. */
tn_line_kind tn_scan_next(tn_scan *scan, tn_line *line, tn_error *error);
/* The length of the first part of text[0 .. bytes) that no value may hold (a control character other than the
 * tab, broken UTF-8) is found by this: its offset, or `bytes` if there is none. */
size_t tn_scan_bad_byte(const char *text, size_t bytes);
/* Names of sections and keys: letters, digits, `_`, `-`, `.`; at most `limit` bytes. */
bool tn_scan_name(const char *name, size_t bytes, size_t limit);

#endif
