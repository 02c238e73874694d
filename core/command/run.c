// SPDX-License-Identifier: MIT
/* tenon run FILE.ini: the run directory, signals, and what is said at the end. */
#include "core/command/experiment.h"
#include "core/command/pipeline_options.h"
#include "core/pipeline/directory.h"
#include <errno.h>
#include <signal.h>
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
    "  --profile        at the end tables of what components and operations cost; DIR/trace.json for Perfetto\n"
    "  --trap-nan       stop at the first operation that makes a non-finite number from finite ones\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n";

static void on_signal(int number) {
  (void)number;
  tn_pipeline_interrupt();
}

/* The claims of the file, if it makes any. */
static int judge(const tn_command_options *o, const char *directory, tn_error *error) {
  tn_experiment e;
  const tn_status status = tn_experiment_judge(o, directory, &e, error);
  const int code = status < 0 ? tn_command_error(error, true) : tn_experiment_print_claims(&e);
  tn_experiment_free(&e);
  return code;
}

static int run(tn_registry *registry, const tn_command_options *o, tn_error *error) {
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
  tn_pipeline *pipeline = tn_pipeline_open(registry, &options, error);
  tn_status status = pipeline ? tn_pipeline_check(pipeline, error) : error->status;
  bool good = status >= 0;
  if (good) status = tn_pipeline_run(pipeline, error);
  tn_pipeline_print_profile(pipeline, stdout);
  int code = status < 0 ? tn_command_error(error, good) : TN_EXIT_OK;
  if (code == TN_EXIT_OK && !options.quiet) printf("report: %s/report.html\n", directory);
  tn_pipeline_close(pipeline);
  if (code == TN_EXIT_OK && !o->single && !options.smoke) code = judge(o, directory, error);
  if (made && code != TN_EXIT_OK) {
    /* A file that was refused leaves no empty folder behind; one that holds something stays. */
    (void)remove(directory);
    (void)remove("runs");
  }
  return code;
}

int tn_command_run(int argc, char **argv) {
  tn_command_options options = {0};
  int code = tn_command_parse(argc, argv, "run", help, &options);
  if (code >= 0) return code;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  tn_error error = {0};
  if (!options.single && tn_experiment_wanted(&options)) return tn_experiment_command(&options);
  tn_registry *registry = tn_command_registry(&options.shared);
  if (!registry) return TN_EXIT_PLUGIN;
  code = run(registry, &options, &error);
  tn_registry_close(registry);
  return code;
}
