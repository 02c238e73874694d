// SPDX-License-Identifier: MIT
/* "section.key=value" from the command line. */
#include "core/config/scan.h"
#include "core/config/store.h"
#include <string.h>

static const char place[] = "command line";

static tn_status malformed(const char *override, tn_error *error) {
  char room[TN_SHOWN];
  return tn_error_set(error, TN_ERROR_INVALID, place, 0, "expected section.key=value, got '%s'",
                      tn_shown(room, override));
}

/* Names of sections may contain dots: the longest one that exists wins. A new section ends at the first dot,
 * or at the second if it is an arm's ("arm.lion"). */
static char *split(const tn_store *store, char *name) {
  for (char *dot = strrchr(name, '.'); dot;) {
    *dot = '\0';
    bool exists = tn_store_find(store, name) != TN_TABLE_NONE;
    char *shorter = strrchr(name, '.');
    *dot = '.';
    if (exists) return dot;
    dot = shorter;
  }
  char *dot = strchr(name, '.');
  if (dot && strncmp(name, "arm.", 4) == 0 && strchr(dot + 1, '.')) dot = strchr(dot + 1, '.');
  return dot;
}

tn_status tn_store_override(tn_store *store, const char *override, tn_error *error) {
  const char *equals = strchr(override, '=');
  if (!equals) return malformed(override, error);
  size_t length = (size_t)(equals - override);
  while (length > 0 && override[length - 1] == ' ') length--;
  if (!tn_scan_name(override, length, TN_SCAN_MAX_NAME + TN_SCAN_MAX_SECTION))
    return malformed(override, error);
  char name[TN_SCAN_MAX_NAME + TN_SCAN_MAX_SECTION + 1];
  memcpy(name, override, length);
  name[length] = '\0';
  char *dot = split(store, name);
  if (!dot || !tn_scan_name(name, (size_t)(dot - name), TN_SCAN_MAX_SECTION) ||
      !tn_scan_name(dot + 1, strlen(dot + 1), TN_SCAN_MAX_NAME))
    return malformed(override, error);
  *dot = '\0';
  const char *key = dot + 1, *value = equals + 1;
  if (strcmp(name, "pipeline") == 0 && strcmp(key, "include") == 0)
    return tn_error_set(error, TN_ERROR_INVALID, place, 0, "'include' cannot be overridden");
  value += strspn(value, " \t");
  size_t bytes = strlen(value);
  while (bytes > 0 && strchr(" \t", value[bytes - 1])) bytes--;
  char *text = tn_arena_text(&store->arena, value, bytes);
  if (!text) return tn_store_failed(TN_ERROR_MEMORY, place, 0, error);
  tn_status status = tn_value_check(text, key, place, 0, error);
  if (status != TN_OK) return status;
  uint32_t section;
  status = tn_store_section_add(store, name, place, 0, &section);
  if (status == TN_OK) status = tn_store_set(store, section, key, text, place, 0);
  return status == TN_OK ? status : tn_store_failed(status, place, 0, error);
}
