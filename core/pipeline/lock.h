// SPDX-License-Identifier: MIT
/* The lock file of a run, lock.json: everything but the pipeline file that its bits depend on (versions,
 * SHA-256 of the plugins, instruction set, BLAS kernels, precision, seed), and how it was started. */
#ifndef TENON_CORE_LOCK_H
#define TENON_CORE_LOCK_H

#include "core/pipeline/pipeline.h"

tn_status tn_lock_write(const tn_pipeline *pipeline, tn_error *error);
/* Compares the opened pipeline with a lock file; prints one line "FILE: what differs" a difference to `out`.
 * The number of differences, or an error. */
tn_status tn_lock_compare(const tn_pipeline *pipeline, const char *file, FILE *out, uint32_t *differences,
                          tn_error *error);

/* How a run was started, to start it again. */
#define TN_LOCK_WORDS 320
typedef struct tn_lock_start {
  const char *file;
  const char *overrides[TN_LOCK_WORDS], *plugins[TN_LOCK_WORDS]; /* of the command line */
  uint32_t override_count, plugin_count;
  bool smoke, single;
  void *memory;
} tn_lock_start;
tn_status tn_lock_read_start(const char *directory, tn_lock_start *start, tn_error *error);
void tn_lock_free_start(tn_lock_start *start);
/* What results.json in `directory` says of the run: "finished", or why it ended; "" if there is none. */
void tn_run_outcome(const char *directory, char *text, size_t bytes);

#endif
