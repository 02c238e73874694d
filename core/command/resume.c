// SPDX-License-Identifier: MIT
/* tenon resume DIR: goes on with a run from its newest checkpoint, bit for bit. */
#include "core/command/command.h"
#include "core/command/arguments.h"
#include "core/command/contained.h"
#include "core/command/experiment.h"
#include "core/pipeline/lock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: tenon resume DIR [options]\n\n"
    "Goes on with the run in the directory DIR from its newest checkpoint; the result is that of a run which "
    "was\n"
    "never stopped, bit for bit. A run without a checkpoint starts from the beginning; one that has finished "
    "says\n"
    "so. The run is refused if plugins, host, BLAS or instruction set are not those of lock.json.\n\n"
    "  --unlocked       go on in spite of such differences\n"
    "  --quiet          no progress, only warnings and errors\n"
    "  --no-fork        in this process, for debuggers\n"
    "  --plugin FILE    also load this plugin (may be repeated)\n";

typedef struct job {
  const char *directory;
  bool quiet, unlocked;
  tn_lock_start start;
  tn_shared_options shared;
  char *text;   /* pipeline.ini of the directory */
  bool changed; /* the pipeline file is not what it was */
} job;

static char *read_text(const char *directory, tn_error *error) {
  char path[4096], *text = NULL;
  size_t room = 0;
  snprintf(path, sizeof path, "%s/pipeline.ini", directory);
  FILE *file = fopen(path, "r");
  if (!file || (getdelim(&text, &room, 0, file) < 0 && ferror(file)))
    tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  if (file) fclose(file);
  return text;
}

/* Opens the file that the run was started with if it still says the same, for its lines in messages; else
 * what the run directory has kept of it, whose paths count from where the file was. */
static tn_pipeline *open_again(tn_registry *registry, job *j, tn_box *box, tn_error *error) {
  tn_error changed = {0};
  tn_pipeline_options options = {.file = j->start.file,
                                 .overrides = j->start.overrides,
                                 .override_count = j->start.override_count,
                                 .plugins = j->start.plugins,
                                 .plugin_count = j->start.plugin_count,
                                 .directory = j->directory,
                                 .smoke = j->start.smoke,
                                 .single = j->start.single,
                                 .resume = true,
                                 .box = box,
                                 .quiet = j->quiet};
  tn_pipeline *pipeline = tn_pipeline_open(registry, &options, &changed);
  char *now = pipeline ? tn_pipeline_print(pipeline) : NULL;
  const bool same = now && strcmp(now, j->text) == 0;
  free(now);
  if (same) return pipeline;
  tn_pipeline_close(pipeline);
  j->changed = true;
  options.text = j->text;
  options.override_count = 0;
  pipeline = tn_pipeline_open(registry, &options, error);
  if (pipeline && !j->quiet)
    printf("%s has changed; the run goes on with %s/pipeline.ini\n", j->start.file, j->directory);
  return pipeline;
}

/* 0: as locked; else an exit code, after printing what differs. */
static int compare(const tn_pipeline *pipeline, const job *j, tn_error *error) {
  char file[4096];
  uint32_t differences = 0;
  snprintf(file, sizeof file, "%s/lock.json", j->directory);
  if (j->unlocked) return 0;
  if (tn_lock_compare(pipeline, file, stderr, &differences, error) < 0) return tn_command_error(error, false);
  return differences ? TN_EXIT_USAGE : 0;
}

/* Claims and report of a run that has finished; a cell's are those of its sweep. */
static int end(const job *j) {
  static tn_command_options o; /* large */
  char file[4096];
  snprintf(file, sizeof file, "%s/pipeline.ini", j->directory);
  if (j->start.single) return TN_EXIT_OK;
  o.pipeline.file = j->changed ? file : j->start.file;
  o.pipeline.overrides = j->start.overrides;
  o.pipeline.override_count = j->changed ? 0 : j->start.override_count;
  o.pipeline.smoke = j->start.smoke;
  o.pipeline.quiet = j->quiet;
  return tn_experiment_end(&o, j->directory);
}

static int resume(void *context, tn_box *box) {
  job *j = context;
  tn_error error = {0};
  tn_registry *registry = tn_command_registry(&j->shared);
  if (!registry) return TN_EXIT_PLUGIN;
  tn_pipeline *pipeline = open_again(registry, j, box, &error);
  tn_status status = pipeline ? tn_pipeline_check(pipeline, &error) : error.status;
  int code = status < 0 ? tn_command_error(&error, false) : compare(pipeline, j, &error);
  if (code == 0) code = tn_command_outcome(pipeline, tn_pipeline_run(pipeline, &error), &error);
  const bool leads = !pipeline || tn_pipeline_leads(pipeline);
  tn_pipeline_close(pipeline);
  if (leads && code == TN_EXIT_OK) code = end(j);
  tn_registry_close(registry);
  return code;
}

/* Everything about the run that its directory tells. */
static tn_status look(job *j, tn_arguments *arguments, tn_error *error) {
  if (tn_lock_read_start(j->directory, &j->start, error) < 0) return error->status;
  j->text = read_text(j->directory, error);
  j->shared = arguments->shared;
  for (uint32_t i = 0; i < j->start.plugin_count && j->shared.file_count < TN_MAX_PLUGIN_FILES; i++)
    j->shared.files[j->shared.file_count++] = j->start.plugins[i];
  return error->status;
}

int tn_command_resume(int argc, char **argv) {
  job j = {0};
  bool no_fork = false;
  const tn_option options[] = {
      {"--unlocked", NULL, &j.unlocked}, {"--quiet", NULL, &j.quiet}, {"--no-fork", NULL, &no_fork}};
  tn_arguments arguments = {.most_words = 1, .options = options, .option_count = TN_ARRAY_LENGTH(options)};
  int code = tn_arguments_parse(argc, argv, help, &arguments);
  if (code >= 0) return code;
  if (arguments.word_count == 0) {
    fputs("error: tenon resume needs a run directory; `tenon resume --help` says more\n", stderr);
    return TN_EXIT_USAGE;
  }
  j.directory = arguments.words[0];
  char outcome[64];
  tn_run_outcome(j.directory, outcome, sizeof outcome);
  if (strcmp(outcome, "finished") == 0) {
    if (!j.quiet) printf("%s: the run has finished\n", j.directory);
    return TN_EXIT_OK;
  }
  tn_error error = {0};
  code =
      look(&j, &arguments, &error) < 0 ? tn_command_error(&error, false) : tn_contain(!no_fork, resume, &j);
  if (j.start.memory) tn_lock_free_start(&j.start);
  free(j.text);
  return code;
}
