// SPDX-License-Identifier: MIT
#include "core/format/scan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/number.h"

tn_scan tn_scan_open(const char *file, const tn_bytes *bytes, tn_format_error *error) {
  static const unsigned char mark[] = {0xef, 0xbb, 0xbf}; // U+FEFF in UTF-8
  const char *text = (const char *)bytes->data;
  tn_scan scan = {.file = file, .error = error, .at = text, .end = text + bytes->size, .line = 1};
  if (bytes->size >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) scan.at += sizeof mark;
  return scan;
}

bool tn_scan_fail(const tn_scan *scan, const char *format, ...) {
  char what[256];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return tn_format_fail_line(scan->error, scan->file, scan->line, "%s", what);
}

static bool ends_word(char c) { return c == 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool tn_scan_expected(const tn_scan *scan, const char *what) {
  if (scan->at == scan->end) return tn_scan_fail(scan, "expected %s, got the end of the file", what);
  if (tn_scan_at_line_end(scan)) return tn_scan_fail(scan, "expected %s, got the end of the line", what);
  if (*scan->at == 0) return tn_scan_fail(scan, "expected %s, got a NUL byte", what);
  int length = 1;
  while (length < 40 && !ends_word(scan->at[length])) length++;
  return tn_scan_fail(scan, "expected %s, got '%.*s'", what, length, scan->at);
}

void tn_scan_blanks(tn_scan *scan) {
  while (*scan->at == ' ' || *scan->at == '\t') scan->at++;
}

bool tn_scan_at_line_end(const tn_scan *scan) {
  const char *c = scan->at;
  if (*c == '\r') c++;
  return *c == '\n' || c == scan->end;
}

/* Takes a line end without blanks; there must be one. */
static void take_line_end(tn_scan *scan) {
  if (*scan->at == '\r') scan->at++;
  if (scan->at == scan->end) return;
  scan->at++;
  scan->line++;
}

void tn_scan_space(tn_scan *scan) {
  for (;;) {
    tn_scan_blanks(scan);
    if (scan->at == scan->end || !tn_scan_at_line_end(scan)) return;
    take_line_end(scan);
  }
}

bool tn_scan_done(tn_scan *scan) {
  tn_scan ahead = *scan;
  tn_scan_space(&ahead);
  if (ahead.at == scan->end)
    *scan = ahead;
  else
    tn_scan_blanks(scan);
  return scan->at == scan->end;
}

bool tn_scan_line_end(tn_scan *scan) {
  tn_scan_blanks(scan);
  if (!tn_scan_at_line_end(scan)) return tn_scan_expected(scan, "the end of the line");
  take_line_end(scan);
  return true;
}

void tn_scan_rest(tn_scan *scan) {
  const char *feed = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
  scan->at = feed ? feed + 1 : scan->end;
  if (feed) scan->line++;
}

bool tn_scan_integer(tn_scan *scan, const char *what, int64_t low, int64_t high, int64_t *value) {
  const char *c = scan->at;
  bool negative = *c == '-';
  if (*c == '-' || *c == '+') c++;
  const char *digits = c;
  uint64_t magnitude = 0; // UINT64_MAX: does not fit
  for (; *c >= '0' && *c <= '9'; c++)
    magnitude = magnitude > INT64_MAX / 10 ? UINT64_MAX : magnitude * 10 + (uint64_t)(*c - '0');
  if (c == digits) return tn_scan_expected(scan, what);
  bool fits = magnitude <= INT64_MAX;
  *value = !fits ? 0 : negative ? -(int64_t)magnitude : (int64_t)magnitude;
  if (!fits || *value < low || *value > high)
    return tn_scan_fail(scan, "expected %s from %" PRId64 " to %" PRId64 ", got %.*s", what, low, high,
                        (int)(c - scan->at < 40 ? c - scan->at : 40), scan->at);
  scan->at = c;
  return true;
}

bool tn_scan_number(tn_scan *scan, const char *what, double *value) {
  const char *end = scan->at;
  if (!tn_number_read(scan->at, &end, value)) {
    if (end == scan->at) return tn_scan_expected(scan, what);
    return tn_scan_fail(scan, "expected %s, got a number beyond the range of a double", what);
  }
  scan->at = end;
  return true;
}

void *tn_grown(void *data, size_t *capacity, size_t count, size_t size) {
  if (count < *capacity) return data;
  size_t grown = *capacity < 16 ? 32 : *capacity + *capacity / 2;
  if (grown > SIZE_MAX / size) return NULL;
  void *larger = realloc(data, grown * size);
  if (larger) *capacity = grown;
  return larger;
}
