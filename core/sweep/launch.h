// SPDX-License-Identifier: MIT
/* Runs the cells of a plan, each as a process of its own: `tenon run FILE --single ... --directory CELL`. */
#ifndef TENON_CORE_LAUNCH_H
#define TENON_CORE_LAUNCH_H

#include "core/sweep/outcome.h"
#include "core/sweep/plan.h"

typedef struct tn_launch_options {
  const char *file;
  const char *directory;        /* of the sweep */
  const char *const *overrides; /* of the command line, which the plan's cells have too */
  uint32_t override_count;
  const char *const *plugins;
  uint32_t plugin_count;
  int64_t jobs; /* cells at a time; 0: the plan's, else 1, or all of them where jobs queue */
  const struct tn_launcher *launcher; /* NULL: local */
  bool smoke, quiet;
} tn_launch_options;

/* Runs what has not finished yet; fills outcomes[i] of every cell (outcome NULL: it has not run) and keeps
 * sweep.json. Finished cells whose configuration is what it was are kept, and of cells with the same
 * configuration one runs for all. TN_OK also if cells failed (their outcome says why); TN_ERROR_INTERRUPTED
 * after SIGINT or SIGTERM, which the running cells get too. */
tn_status tn_launch(const tn_plan *plan, const tn_launch_options *options, tn_outcome_record *outcomes,
                    tn_error *error);
/* Asks tn_launch to stop. Async-signal-safe. */
void tn_launch_interrupt(void);

#endif
