// SPDX-License-Identifier: MIT
#include "core/config/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The last byte of a message that had to be cut must not split a UTF-8 character. */
static void cut_character(char *text, size_t length) {
  while (length > 0 && ((unsigned char)text[length - 1] & 0xc0) == 0x80) length--;
  if (length > 0 && (unsigned char)text[length - 1] >= 0xc0) length--;
  text[length] = '\0';
}

tn_status tn_error_set(tn_error *error, tn_status status, const char *file, uint32_t line, const char *text,
                       ...) {
  if (!error || error->status != TN_OK) return status;
  error->status = status;
  size_t room = sizeof error->text;
  int used = 0;
  if (file && line > 0)
    used = snprintf(error->text, room, "%s:%u: ", file, line);
  else if (file)
    used = snprintf(error->text, room, "%s: ", file);
  size_t start = used < 0 ? 0 : (size_t)used;
  if (start >= room) start = room - 1;
  va_list arguments;
  va_start(arguments, text);
  int more = vsnprintf(error->text + start, room - start, text, arguments);
  va_end(arguments);
  if (more >= 0 && start + (size_t)more >= room) cut_character(error->text, room - 1);
  for (char *c = error->text; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
  return status;
}

const char *tn_shown(char text[TN_SHOWN], const char *value) {
  size_t length = strlen(value), limit = TN_SHOWN - 4;
  if (length <= limit) {
    memcpy(text, value, length + 1);
    return text;
  }
  memcpy(text, value, limit);
  text[limit] = '\0';
  if (((unsigned char)value[limit] & 0xc0) == 0x80) cut_character(text, limit);
  memcpy(text + strlen(text), "...", 4);
  return text;
}

const char *tn_suggest(char text[TN_SUGGESTION], const char *name, const char *const *candidates,
                       uint32_t count) {
  const char *nearest = tn_nearest(name, candidates, count);
  text[0] = '\0';
  if (nearest && strlen(nearest) < TN_SUGGESTION - 32)
    snprintf(text, TN_SUGGESTION, "; did you mean '%s'?", nearest);
  return text;
}
