// SPDX-License-Identifier: MIT
/* The subcommands of `tenon`. Each gets its own arguments (argv[0] is its name) and returns an exit code. */
#ifndef TENON_CORE_COMMAND_H
#define TENON_CORE_COMMAND_H

#include "core/pipeline/pipeline.h"
#include "core/plugin/registry.h"

/* Exit codes, documented in the manual page. */
enum {
  TN_EXIT_OK = 0,
  TN_EXIT_FAILED = 1,       /* the run failed: diverged, out of memory, disk full */
  TN_EXIT_USAGE = 2,        /* wrong usage, or a pipeline file that cannot be run */
  TN_EXIT_PLUGIN = 3,       /* a plugin was refused or crashed */
  TN_EXIT_EXPECTATION = 4,  /* the run's expectations do not hold */
  TN_EXIT_INTERRUPTED = 130 /* stopped by a signal, after finishing the step */
};

int tn_command_run(int argc, char **argv);
int tn_command_resume(int argc, char **argv);
int tn_command_check(int argc, char **argv);
int tn_command_graph(int argc, char **argv);
int tn_command_list(int argc, char **argv);
int tn_command_info(int argc, char **argv);
int tn_command_test(int argc, char **argv);
int tn_command_new(int argc, char **argv);
int tn_command_data(int argc, char **argv);
int tn_command_sweep(int argc, char **argv);
int tn_command_compare(int argc, char **argv);
int tn_command_report(int argc, char **argv);
int tn_command_reproduce(int argc, char **argv);

/* Options that several commands share. */
#define TN_MAX_PLUGIN_FILES 64
typedef struct tn_shared_options {
  const char *files[TN_MAX_PLUGIN_FILES]; /* --plugin FILE, repeated */
  uint32_t file_count;
} tn_shared_options;
/* Opens the registry; NULL after printing why. */
tn_registry *tn_command_registry(const tn_shared_options *shared);
/* Prints "error: TEXT" and gives the exit code that belongs to the error: before a run begins it is the
 * pipeline file that cannot be used. */
int tn_command_error(const tn_error *error, bool running);
/* Writes report.html in the directory of a run or sweep, and names it: the last line of a command. */
int tn_command_report_line(const char *directory);
/* Says how a run ended if it did not finish, with the way to go on, and gives the exit code. */
int tn_command_outcome(const tn_pipeline *pipeline, tn_status status, const tn_error *error);

#endif
