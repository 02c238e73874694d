// SPDX-License-Identifier: MIT
#include "core/config/scan.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool blank(char c) { return c == ' ' || c == '\t'; }

bool tn_scan_name(const char *name, size_t bytes, size_t limit) {
  if (bytes == 0 || bytes > limit) return false;
  for (size_t i = 0; i < bytes; i++) {
    char c = name[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

/* Bytes of the UTF-8 character at text[0 .. bytes), or 0 if it is broken (RFC 3629). */
static size_t character(const unsigned char *text, size_t bytes) {
  unsigned char c = text[0];
  if (c < 0x80) return 1;
  size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || length > bytes) return 0;
  for (size_t i = 1; i < length; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  bool overlong = (c == 0xe0 && text[1] < 0xa0) || (c == 0xf0 && text[1] < 0x90);
  bool surrogate = c == 0xed && text[1] > 0x9f, beyond = c == 0xf4 && text[1] > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

size_t tn_scan_bad_byte(const char *text, size_t bytes) {
  const unsigned char *t = (const unsigned char *)text;
  for (size_t i = 0; i < bytes;) {
    if ((t[i] < 0x20 && t[i] != '\t') || t[i] == 0x7f) return i;
    size_t length = character(t + i, bytes - i);
    if (!length) return i;
    i += length;
  }
  return bytes;
}

tn_scan tn_scan_begin(const char *text, size_t bytes, const char *file) {
  tn_scan scan = {.at = text, .end = text + bytes, .file = file};
  if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) scan.at += 3; /* byte order mark */
  return scan;
}

TN_PRINTF(3, 4)
static tn_line_kind wrong(const tn_scan *scan, tn_error *error, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  tn_error_set(error, TN_ERROR_INVALID, scan->file, scan->line, "%s", text);
  return TN_LINE_WRONG;
}

/* text[0 .. bytes) for a message. */
static const char *shown(char room[TN_SHOWN], const char *text, size_t bytes) {
  char copy[2 * TN_SHOWN];
  size_t n = bytes < sizeof copy - 1 ? bytes : sizeof copy - 1;
  memcpy(copy, text, n);
  copy[n] = '\0';
  return tn_shown(room, copy);
}

static tn_line_kind wrong_byte(const tn_scan *scan, unsigned char byte, tn_error *error) {
  if (byte == 0) return wrong(scan, error, "a NUL byte: not a text file in UTF-8");
  if (byte >= 0x80) return wrong(scan, error, "byte 0x%02x is not UTF-8 text", byte);
  return wrong(scan, error, "control character 0x%02x", byte);
}

static tn_line_kind section(tn_scan *scan, const char *text, size_t bytes, bool indented, tn_line *line,
                            tn_error *error) {
  char room[TN_SHOWN];
  if (indented) return wrong(scan, error, "%s must start in the first column", shown(room, text, bytes));
  const char *close = memchr(text, ']', bytes);
  if (!close) return wrong(scan, error, "'%s' has no closing ']'", shown(room, text, bytes));
  const char *name = text + 1, *end = text + bytes, *after = close + 1;
  size_t length = (size_t)(close - name);
  while (after < end && blank(*after)) after++;
  if (after < end)
    return wrong(scan, error, "expected nothing after the section header, got '%s'",
                 shown(room, after, (size_t)(end - after)));
  if (!tn_scan_name(name, length, TN_SCAN_MAX_SECTION))
    return wrong(scan, error, "section name '%s': expected at most %d letters, digits, '_', '-' and '.'",
                 shown(room, name, length), TN_SCAN_MAX_SECTION);
  scan->in_section = true;
  scan->after_key = false;
  *line = (tn_line){.kind = TN_LINE_SECTION, .number = scan->line, .name = name, .name_bytes = length};
  return line->kind;
}

/* Where the name ends if the line reads as `name = value`; NULL if it does not. inih takes ':' for '='. */
static const char *separator(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (text[i] == '=' || text[i] == ':') return text + i;
  return NULL;
}

static tn_line_kind key(tn_scan *scan, const char *text, size_t bytes, bool indented, tn_line *line,
                        tn_error *error) {
  char room[TN_SHOWN];
  const char *equals = separator(text, bytes), *end = text + bytes;
  if (!equals)
    return wrong(scan, error, "expected 'key = value' or '[section]', got '%s'", shown(room, text, bytes));
  size_t length = (size_t)(equals - text);
  while (length > 0 && blank(text[length - 1])) length--;
  if (!tn_scan_name(text, length, TN_SCAN_MAX_NAME))
    return wrong(scan, error, "key '%s': expected at most %d letters, digits, '_', '-' and '.'",
                 shown(room, text, length), TN_SCAN_MAX_NAME);
  if (indented)
    return wrong(
        scan, error,
        "the key '%s' must start in the first column (an indented line continues the value above it)",
        shown(room, text, length));
  const char *value = equals + 1;
  while (value < end && blank(*value)) value++;
  scan->after_key = true;
  *line = (tn_line){TN_LINE_KEY, scan->line, text, length, value, (size_t)(end - value)};
  return line->kind;
}

/* `  lr = 3` below a key is meant as a key, though inih would append it to the value above; `  >= 3` is not.
 */
static bool looks_like_key(const char *text, size_t bytes) {
  const char *equals = memchr(text, '=', bytes);
  if (!equals || (equals + 1 < text + bytes && equals[1] == '=')) return false;
  size_t length = (size_t)(equals - text);
  while (length > 0 && blank(text[length - 1])) length--;
  return tn_scan_name(text, length, TN_SCAN_MAX_NAME);
}

/* A comment begins with ';' after a blank, as in inih. */
static const char *comment(const char *text, const char *end) {
  for (const char *c = text + 1; c < end; c++)
    if (*c == ';' && blank(c[-1])) return c;
  return end;
}

tn_line_kind tn_scan_next(tn_scan *scan, tn_line *line, tn_error *error) {
  while (scan->at < scan->end) {
    const char *start = scan->at;
    const char *end = memchr(start, '\n', (size_t)(scan->end - start));
    scan->at = end ? end + 1 : scan->end;
    if (!end) end = scan->end;
    scan->line++;
    if (end > start && end[-1] == '\r') end--;
    size_t bytes = (size_t)(end - start), bad = tn_scan_bad_byte(start, bytes);
    if (bad < bytes) return wrong_byte(scan, (unsigned char)start[bad], error);
    const char *text = start;
    while (text < end && blank(*text)) text++;
    if (text == end || *text == ';' || *text == '#') continue;
    end = comment(text, end);
    while (blank(end[-1])) end--;
    bytes = (size_t)(end - text);
    bool indented = text > start;
    if (*text == '[') return section(scan, text, bytes, indented, line, error);
    if (!indented || !scan->after_key || looks_like_key(text, bytes))
      return key(scan, text, bytes, indented, line, error);
    *line =
        (tn_line){.kind = TN_LINE_CONTINUATION, .number = scan->line, .value = text, .value_bytes = bytes};
    return line->kind;
  }
  return TN_LINE_END;
}
