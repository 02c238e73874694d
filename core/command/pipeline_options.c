// SPDX-License-Identifier: MIT
#include "core/command/pipeline_options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which commands know an option. */
static const struct {
  const char *name, *commands;
  bool has_value;
} known[] = {{"--directory", "run", true},
             {"--smoke", "run check reproduce", false},
             {"--quiet", "run check reproduce", false},
             {"--profile", "run", false},
             {"--trap-nan", "run", false},
             {"--plugin", "run check graph reproduce", true},
             {"--output", "graph", true},
             {"-j", "run reproduce", true},
             {"--launcher", "run reproduce", true},
             {"--ranks", "run", true},
             {"--single", "run", false},
             {"--locked", "run", true},
             {"--no-fork", "run", false}};

static int wrong(const char *command, const char *argument) {
  const char *names[sizeof known / sizeof *known];
  uint32_t count = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strstr(known[i].commands, command)) names[count++] = known[i].name;
  const char *near = tn_nearest(argument, names, count);
  fprintf(stderr, "error: tenon %s has no option '%s'%s%s%s\n", command, argument,
          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  return TN_EXIT_USAGE;
}

bool tn_command_jobs(const char *option, const char *text, int64_t *jobs) {
  char *end;
  *jobs = strtoll(text, &end, 10);
  if (end != text && !*end && *jobs >= 1 && *jobs <= 4096) return true;
  fprintf(stderr, "error: %s %s: expected a whole number from 1 to 4096\n", option, text);
  return false;
}

const tn_launcher *tn_command_launcher(const char *name) {
  tn_error error = {0};
  const tn_launcher *launcher = tn_launcher_find(name, &error);
  if (!launcher) tn_command_error(&error, false);
  return launcher;
}

int tn_command_parse(int argc, char **argv, const char *command, const char *help, tn_command_options *o) {
  o->pipeline.overrides = o->overrides;
  for (int i = 1; i < argc; i++) {
    const char *argument = argv[i];
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
      fputs(help, stdout);
      return TN_EXIT_OK;
    }
    if (argument[0] == '-' && argument[1]) {
      size_t k = 0;
      while (k < sizeof known / sizeof *known &&
             (strcmp(argument, known[k].name) != 0 || !strstr(known[k].commands, command)))
        k++;
      if (k == sizeof known / sizeof *known) return wrong(command, argument);
      if (known[k].has_value && i + 1 == argc) {
        fprintf(stderr, "error: %s needs a value\n", argument);
        return TN_EXIT_USAGE;
      }
      const char *value = known[k].has_value ? argv[++i] : NULL;
      if (strcmp(argument, "--directory") == 0) o->pipeline.directory = value;
      if (strcmp(argument, "--output") == 0) o->output = value;
      if (strcmp(argument, "--single") == 0) o->single = true;
      if (strcmp(argument, "-j") == 0 && !tn_command_jobs(argument, value, &o->jobs)) return TN_EXIT_USAGE;
      if (strcmp(argument, "--launcher") == 0 && !(o->launcher = tn_command_launcher(value)))
        return TN_EXIT_USAGE;
      if (strcmp(argument, "--ranks") == 0 && !tn_command_jobs(argument, value, &o->ranks))
        return TN_EXIT_USAGE;
      if (strcmp(argument, "--locked") == 0) o->lock = value;
      if (strcmp(argument, "--no-fork") == 0) o->no_fork = true;
      if (strcmp(argument, "--smoke") == 0) o->pipeline.smoke = true;
      if (strcmp(argument, "--quiet") == 0) o->pipeline.quiet = true;
      if (strcmp(argument, "--profile") == 0) o->pipeline.profile = true;
      if (strcmp(argument, "--trap-nan") == 0) o->pipeline.trap_nan = true;
      if (strcmp(argument, "--plugin") == 0) {
        if (o->shared.file_count == TN_MAX_PLUGIN_FILES) {
          fprintf(stderr, "error: more than %d --plugin options\n", TN_MAX_PLUGIN_FILES);
          return TN_EXIT_USAGE;
        }
        o->shared.files[o->shared.file_count++] = value;
      }
    } else if (!o->pipeline.file) {
      o->pipeline.file = argument;
    } else {
      const char *equals = strchr(argument, '='), *dot = strchr(argument, '.');
      if (!equals || !dot || dot > equals || o->pipeline.override_count == TN_MAX_OVERRIDES) {
        fprintf(stderr, "error: '%s' is not an override; expected section.key=value\n", argument);
        return TN_EXIT_USAGE;
      }
      o->overrides[o->pipeline.override_count++] = argument;
    }
  }
  if (!o->pipeline.file) {
    fprintf(stderr, "error: tenon %s needs a pipeline file; `tenon %s --help` says more\n", command, command);
    return TN_EXIT_USAGE;
  }
  return -1;
}
