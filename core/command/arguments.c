// SPDX-License-Identifier: MIT
#include "core/command/arguments.h"
#include <stdio.h>
#include <string.h>

static int unknown(const tn_arguments *a, const char *command, const char *word) {
  const char *names[16];
  char hint[TN_SUGGESTION];
  uint32_t count = 0;
  for (uint32_t i = 0; i < a->option_count; i++) names[count++] = a->options[i].name;
  names[count++] = "--plugin";
  names[count++] = "--help";
  fprintf(stderr, "error: tenon %s has no option '%s'%s\n", command, word,
          tn_suggest(hint, word, names, count));
  return TN_EXIT_USAGE;
}

static int plugin(tn_arguments *a, const char *file) {
  if (a->shared.file_count == TN_MAX_PLUGIN_FILES) {
    fprintf(stderr, "error: more than %d --plugin options\n", TN_MAX_PLUGIN_FILES);
    return TN_EXIT_USAGE;
  }
  a->shared.files[a->shared.file_count++] = file;
  return -1;
}

/* One option; *next is the argument behind it, set to NULL if it was used. */
static int option(tn_arguments *a, const char *command, const char *word, const char **next) {
  const tn_option *found = NULL;
  for (uint32_t i = 0; i < a->option_count; i++)
    if (strcmp(word, a->options[i].name) == 0) found = &a->options[i];
  bool is_plugin = strcmp(word, "--plugin") == 0;
  if (!found && !is_plugin) return unknown(a, command, word);
  if (found && found->flag) {
    *found->flag = true;
    return -1;
  }
  if (!*next) {
    fprintf(stderr, "error: %s needs a value\n", word);
    return TN_EXIT_USAGE;
  }
  const char *value = *next;
  *next = NULL;
  if (is_plugin) return plugin(a, value);
  *found->value = value;
  return -1;
}

int tn_arguments_parse(int argc, char **argv, const char *help, tn_arguments *a) {
  for (int i = 1; i < argc; i++) {
    const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL, *given = next;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
      fputs(help, stdout);
      return TN_EXIT_OK;
    }
    if (word[0] == '-' && word[1]) {
      int code = option(a, argv[0], word, &next);
      if (code >= 0) return code;
      if (given && !next) i++;
    } else if (a->word_count == a->most_words) {
      fprintf(stderr, "error: tenon %s: one argument too many: '%s'\n", argv[0], word);
      return TN_EXIT_USAGE;
    } else {
      a->words[a->word_count++] = word;
    }
  }
  return -1;
}
