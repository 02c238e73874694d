// SPDX-License-Identifier: MIT
#include "core/report/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(tn_text *text, size_t more) {
  if (text->failed) return false;
  if (text->capacity - text->size > more) return true;
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity - text->size <= more && capacity <= SIZE_MAX / 2) capacity *= 2;
  char *data = capacity - text->size > more ? realloc(text->data, capacity) : NULL;
  if (!data) {
    text->failed = true;
    return false;
  }
  if (!text->data) data[0] = 0;
  text->data = data;
  text->capacity = capacity;
  return true;
}

void tn_text_append_bytes(tn_text *text, const char *bytes, size_t size) {
  if (!reserve(text, size)) return;
  memcpy(text->data + text->size, bytes, size);
  text->size += size;
  text->data[text->size] = 0;
}

void tn_text_append(tn_text *text, const char *string) { tn_text_append_bytes(text, string, strlen(string)); }

void tn_text_printf(tn_text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  size_t room = text->data ? text->capacity - text->size : 0;
  int length = vsnprintf(room ? text->data + text->size : NULL, room, format, args);
  va_end(args);
  if (length < 0) text->failed = true;
  if (length >= 0 && reserve(text, (size_t)length)) {
    if ((size_t)length >= room)
      vsnprintf(text->data + text->size, text->capacity - text->size, format, again);
    text->size += (size_t)length;
  }
  va_end(again);
}

unsigned tn_text_next_character(const char **string) {
  const unsigned char *s = (const unsigned char *)*string;
  unsigned lead = s[0];
  *string += 1;
  if (lead < 0x80) return lead;
  size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  unsigned c = lead & (0x3fu >> more);
  for (size_t i = 1; i <= more; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0xfffd; // the final NUL ends here too
    c = c << 6 | (s[i] & 0x3fu);
  }
  static const unsigned least[] = {0, 0x80, 0x800, 0x10000}; // shorter encodings of less are not UTF-8
  if (lead < 0xc2 || lead > 0xf4 || c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return 0xfffd;
  *string += more;
  return c;
}

void tn_text_append_xml(tn_text *text, const char *string) {
  if (!string) return;
  while (*string) {
    const char *start = string;
    unsigned c = tn_text_next_character(&string);
    if (c == '&')
      tn_text_append(text, "&amp;");
    else if (c == '<')
      tn_text_append(text, "&lt;");
    else if (c == '>')
      tn_text_append(text, "&gt;");
    else if (c == '"')
      tn_text_append(text, "&quot;");
    else if (c == '\'')
      tn_text_append(text, "&#39;");
    else if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xfffd || c == 0xfffe || c == 0xffff)
      tn_text_append(text, "\xef\xbf\xbd");
    else
      tn_text_append_bytes(text, start, (size_t)(string - start));
  }
}

char *tn_text_take(tn_text *text) {
  if (!text->data) tn_text_append(text, ""); // an empty string is a string
  char *data = text->failed ? NULL : text->data;
  if (!data) free(text->data);
  *text = (tn_text){0};
  return data;
}

void tn_text_free(tn_text *text) {
  free(text->data);
  *text = (tn_text){0};
}
