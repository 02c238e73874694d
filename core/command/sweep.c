// SPDX-License-Identifier: MIT
/* tenon sweep DIR: goes on with a sweep that was stopped. */
#include "core/command/arguments.h"
#include "core/command/experiment.h"
#include "core/sweep/sweep_file.h"
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: tenon sweep DIR [options]\n\n"
    "Goes on with the sweep in the directory DIR: cells that have finished are kept, the others run. The "
    "pipeline\n"
    "file is read again, with the overrides of the first call; paths count from the current folder, as "
    "then.\n\n"
    "  -j N             N cells at a time\n"
    "  --launcher NAME  where they run: local (default), mpi, slurm\n"
    "  --quiet          only claims, warnings and errors\n";

int tn_command_sweep(int argc, char **argv) {
  static tn_command_options o; /* large */
  const char *jobs = NULL, *launcher = NULL;
  const tn_option options[] = {
      {"-j", &jobs, NULL}, {"--launcher", &launcher, NULL}, {"--quiet", NULL, &o.pipeline.quiet}};
  tn_arguments arguments = {.most_words = 1, .options = options, .option_count = TN_ARRAY_LENGTH(options)};
  int code = tn_arguments_parse(argc, argv, help, &arguments);
  if (code >= 0) return code;
  if (arguments.word_count == 0) {
    fputs("error: tenon sweep needs the directory of a sweep; `tenon sweep --help` says more\n", stderr);
    return TN_EXIT_USAGE;
  }
  if (launcher && !(o.launcher = tn_command_launcher(launcher))) return TN_EXIT_USAGE;
  if (jobs && !tn_command_jobs("-j", jobs, &o.jobs)) return TN_EXIT_USAGE;
  tn_sweep_start start;
  tn_error error = {0};
  if (tn_sweep_file_read(arguments.words[0], &start, &error) < 0) return tn_command_error(&error, false);
  o.pipeline.file = start.file;
  o.pipeline.directory = arguments.words[0];
  o.pipeline.overrides = (const char *const *)start.overrides;
  o.pipeline.override_count = start.override_count;
  o.pipeline.smoke = start.smoke;
  o.shared = arguments.shared;
  for (uint32_t i = 0; i < start.plugin_count && o.shared.file_count < TN_MAX_PLUGIN_FILES; i++)
    o.shared.files[o.shared.file_count++] = start.plugins[i];
  code = tn_experiment_command(&o);
  tn_sweep_start_free(&start);
  return code;
}
