// SPDX-License-Identifier: MIT
#include "core/config/kind.h"
#include <stdio.h>
#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
enum { LONGEST_NAME = 64 };

void tn_kind_short_name(const char *kind, char *name, size_t bytes) {
  size_t length = strcspn(kind, "/"), start = length;
  while (start > 0 && kind[start - 1] != '.') start--;
  snprintf(name, bytes, "%.*s", (int)(length - start), kind + start);
}

bool tn_name_well_formed(const char *name) {
  size_t length = name ? strlen(name) : 0;
  return length > 0 && length <= LONGEST_NAME && strspn(name, letters) == length;
}

bool tn_kind_well_formed(const char *kind) {
  if (!kind) return false;
  uint32_t parts = 0;
  for (;; kind++) {
    size_t length = strspn(kind, letters);
    if (length == 0 || length > LONGEST_NAME) return false;
    parts++;
    kind += length;
    if (*kind != '.') break;
  }
  if (*kind++ != '/' || parts < 2) return false;
  size_t digits = strspn(kind, "0123456789");
  return digits > 0 && digits < 6 && kind[0] != '0' && kind[digits] == '\0';
}

const char *tn_class_full_name(const tn_class *cls, char text[TN_FULL_NAME]) {
  char kind[LONGEST_NAME + 1];
  tn_kind_short_name(cls->kind, kind, sizeof kind);
  snprintf(text, TN_FULL_NAME, "%s.%s", kind, cls->name);
  return text;
}
