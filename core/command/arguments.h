// SPDX-License-Identifier: MIT
/* Arguments of the commands that take words and a few options. */
#ifndef TENON_CORE_ARGUMENTS_H
#define TENON_CORE_ARGUMENTS_H

#include "core/command/command.h"

typedef struct tn_option {
  const char *name;   /* "--dir" */
  const char **value; /* NULL: a flag */
  bool *flag;
} tn_option;

#define TN_MAX_WORDS 256
typedef struct tn_arguments {
  const char *words[TN_MAX_WORDS];
  uint32_t word_count, most_words;
  const tn_option *options;
  uint32_t option_count;
  tn_shared_options shared;
} tn_arguments;

/* Returns an exit code if the command is over (help, wrong usage), else -1. `--plugin FILE` is always known.
 */
int tn_arguments_parse(int argc, char **argv, const char *help, tn_arguments *arguments);

#endif
