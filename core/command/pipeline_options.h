// SPDX-License-Identifier: MIT
/* The arguments that run, check and graph share. */
#ifndef TENON_CORE_PIPELINE_OPTIONS_H
#define TENON_CORE_PIPELINE_OPTIONS_H

#include "core/command/command.h"
#include "core/pipeline/pipeline.h"
#include "core/sweep/launcher.h"

#define TN_MAX_OVERRIDES 256
typedef struct tn_command_options {
  tn_pipeline_options pipeline;
  tn_shared_options shared;
  const char *output;                 /* graph: --output */
  int64_t jobs;                       /* run: -j; 0: not given */
  const struct tn_launcher *launcher; /* run, reproduce: --launcher */
  int64_t ranks;                      /* run: --ranks; 0: not given */
  bool single;                        /* run: arms, axes and claims are ignored */
  const char *lock;                   /* run: --locked */
  bool no_fork;                       /* run: --no-fork */
  const char *overrides[TN_MAX_OVERRIDES];
} tn_command_options;

/* Returns an exit code if the command is over (help, wrong usage), else -1. */
int tn_command_parse(int argc, char **argv, const char *command, const char *help,
                     tn_command_options *options);

/* The N of -j, or another option; false after printing what is wrong with it. */
bool tn_command_jobs(const char *option, const char *text, int64_t *jobs);

/* NULL after printing what there is. */
const tn_launcher *tn_command_launcher(const char *name);

/* ranks.c: tenon run --ranks N. Becomes mpirun; returns an exit code if it cannot. */
int tn_command_ranks(const tn_command_options *options, int argc, char **argv);

#endif
