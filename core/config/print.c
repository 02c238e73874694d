// SPDX-License-Identifier: MIT
/* A configuration as INI text that parses to the same configuration. */
#include "core/config/config.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `${` in a value is what `$${` was in the file. */
static void print_value(FILE *out, const char *value) {
  for (; *value; value++) {
    if (value[0] == '$' && value[1] == '{') fputc('$', out);
    fputc(*value, out);
  }
}

static bool concerns_many(const char *section) {
  return strcmp(section, "sweep") == 0 || strncmp(section, "arm.", 4) == 0 ||
         strcmp(section, "expect") == 0 || strcmp(section, "paper") == 0;
}

static char *print(const tn_config *config, bool single) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&text, &bytes);
  if (!out) return NULL;
  for (uint32_t i = 0; i < tn_config_count(config); i++) {
    const tn_section *section = tn_config_at(config, i);
    if (single && concerns_many(section->name)) continue;
    fprintf(out, "%s[%s]\n", ftell(out) > 0 ? "\n" : "", section->name);
    for (uint32_t k = 0; k < section->key_count; k++) {
      const char *value = section->keys[k].value;
      bool blank = value[0] && value[0] != ';'; /* after a blank, ';' would begin a comment */
      fprintf(out, "%s =%s", section->keys[k].name, blank ? " " : "");
      print_value(out, value);
      fputc('\n', out);
    }
  }
  bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) {
    free(text);
    return NULL;
  }
  return text;
}

char *tn_config_print(const tn_config *config) { return print(config, false); }
char *tn_config_print_single(const tn_config *config) { return print(config, true); }
