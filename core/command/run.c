// SPDX-License-Identifier: MIT
/* tenon run FILE.ini: the run directory, the lock file, and what is said at the end. */
#include "core/command/contained.h"
#include "core/command/experiment.h"
#include "core/command/pipeline_options.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/lock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: tenon run FILE.ini [section.key=value ...] [options]\n\n"
    "Runs the stages of a pipeline file. Keys of any section can be overridden on the command line:\n"
    "tenon run digits.ini train.epochs=5 lion.lr=1e-3\n\n"
    "  --directory DIR  the run directory; default: runs/NAME-1, -2, ... in the current folder\n"
    "  --smoke          a shortened run: a few steps on a little data\n"
    "  --quiet          no progress, only warnings and errors\n"
    "  --profile        at the end tables of what components and operations cost; DIR/trace.json for "
    "Perfetto\n"
    "  --trap-nan       stop at the first operation that makes a non-finite number from finite ones\n"
    "  --locked FILE    refuse to run unless plugins, host, BLAS and instruction set are those of this lock "
    "file\n"
    "  --no-fork        in this process, for debuggers: a crash ends it without a report\n"
    "  --ranks N        as N processes that share the work, started by mpirun\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n\n"
    "A file with [sweep] or [arm.NAME] sections is a sweep: every cell runs as a process of its own, below "
    "DIR/cells.\n"
    "With --directory a sweep that was stopped goes on.\n\n"
    "  -j N             N cells at a time\n"
    "  --launcher NAME  where they run: local (default), mpi (the ranks of an mpirun), slurm (a job each)\n"
    "  --single         no sweep: the file's own keys, without arms and claims\n";

/* 0: the opened pipeline is as the lock file says; else an exit code, after printing what differs. */
static int compare(const tn_pipeline *pipeline, const char *lock, tn_error *error) {
  uint32_t differences = 0;
  if (!lock) return 0;
  if (tn_lock_compare(pipeline, lock, stderr, &differences, error) < 0) return tn_command_error(error, false);
  return differences ? TN_EXIT_USAGE : 0;
}

static int run(tn_registry *registry, const tn_command_options *o, tn_box *box, tn_error *error) {
  char directory[4096];
  tn_pipeline_options options = o->pipeline;
  bool made = false;
  if (options.directory)
    snprintf(directory, sizeof directory, "%s", options.directory);
  else {
    if (tn_directory_free(options.file, directory, sizeof directory, error) < 0)
      return tn_command_error(error, false);
    made = true;
  }
  options.directory = directory;
  options.plugins = o->shared.files;
  options.plugin_count = o->shared.file_count;
  options.box = box;
  options.single = o->single;
  tn_pipeline *pipeline = tn_pipeline_open(registry, &options, error);
  tn_status status = pipeline ? tn_pipeline_check(pipeline, error) : error->status;
  if (status >= 0 && !o->single) status = tn_experiment_check_claims(o, error);
  int code = status < 0 ? tn_command_error(error, false) : compare(pipeline, o->lock, error);
  if (code == 0) code = tn_command_outcome(pipeline, tn_pipeline_run(pipeline, error), error);
  const bool leads = !pipeline || tn_pipeline_leads(pipeline);
  if (pipeline && leads) tn_pipeline_print_profile(pipeline, stdout);
  tn_pipeline_close(pipeline);
  if (leads && code == TN_EXIT_OK && !o->single) code = tn_experiment_end(o, directory);
  if (made && code != TN_EXIT_OK) {
    /* A file that was refused leaves no empty folder behind; one that holds something stays. */
    (void)remove(directory);
    (void)remove("runs");
  }
  return code;
}

static int work(void *context, tn_box *box) {
  const tn_command_options *options = context;
  tn_registry *registry = tn_command_registry(&options->shared);
  if (!registry) return TN_EXIT_PLUGIN;
  tn_error error = {0};
  const int code = run(registry, options, box, &error);
  tn_registry_close(registry);
  return code;
}

int tn_command_run(int argc, char **argv) {
  tn_command_options options = {0};
  const int code = tn_command_parse(argc, argv, "run", help, &options);
  if (code >= 0) return code;
  const bool experiment = !options.single && tn_experiment_wanted(&options);
  if (options.ranks > 0 && !experiment) return tn_command_ranks(&options, argc, argv);
  if (options.ranks > 0) {
    fputs("error: --ranks is for one run; the cells of a sweep are spread by --launcher mpi\n", stderr);
    return TN_EXIT_USAGE;
  }
  if (experiment) return tn_experiment_command(&options);
  return tn_contain(!options.no_fork, work, &options);
}
