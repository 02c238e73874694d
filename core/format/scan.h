// SPDX-License-Identifier: MIT
/* A cursor over a text that is in memory, for the readers of line-based formats. */
#ifndef TENON_FORMAT_SCAN_H
#define TENON_FORMAT_SCAN_H

#include <stdint.h>

#include "core/format/stream.h"

typedef struct tn_scan {
  const char *file; /* names the text in errors */
  tn_format_error *error;
  const char *at, *end; /* what is left; *end is 0 */
  size_t line;          /* of `at`, from 1 */
} tn_scan;

/* At the first byte of a text, behind a UTF-8 byte order mark. `bytes` must outlive the cursor. */
tn_scan tn_scan_open(const char *file, const tn_bytes *bytes, tn_format_error *error);

/* Fails with the cursor's line; returns false. */
bool tn_scan_fail(const tn_scan *scan, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails with "expected WHAT, got '...'", showing the word at the cursor, the line's end or the text's. */
bool tn_scan_expected(const tn_scan *scan, const char *what);

/* Takes spaces and tabs. */
void tn_scan_blanks(tn_scan *scan);

/* Takes blanks and line ends. */
void tn_scan_space(tn_scan *scan);

/* At the start of a line: true, and at the end, if only blank lines are left; else blanks are taken. */
bool tn_scan_done(tn_scan *scan);

/* At a line feed, a carriage return before one or before the end, or the end of the text. */
bool tn_scan_at_line_end(const tn_scan *scan);

/* Takes blanks and the line end after them; fails if there is anything else. */
bool tn_scan_line_end(tn_scan *scan);

/* Takes everything up to the line end, and the line end. */
void tn_scan_rest(tn_scan *scan);

/* Takes a decimal integer (sign and digits) from low to high. `what` names it in errors ("a node"). */
bool tn_scan_integer(tn_scan *scan, const char *what, int64_t low, int64_t high, int64_t *value);

/* Takes a finite decimal number. */
bool tn_scan_number(tn_scan *scan, const char *what, double *value);

/* An array with room for one more element behind `count` of them, each `size` bytes: `data` itself, or a
 * larger copy that replaces it. NULL without memory; `data` is then as before. */
void *tn_grown(void *data, size_t *capacity, size_t count, size_t size);

#endif
