// SPDX-License-Identifier: MIT
/* sweep.json in the directory of a sweep: what was asked for, and how far each cell is. */
#ifndef TENON_CORE_SWEEP_FILE_H
#define TENON_CORE_SWEEP_FILE_H

#include "core/sweep/launch.h"

/* What cell i is now. */
typedef struct tn_cell_state {
  const char *directory; /* where its results are: another cell's if that has the same configuration */
  const char *outcome;   /* "finished", "running", "pending" or why it failed */
  double seconds;        /* NAN: not known */
} tn_cell_state;

/* {"name", "file", "given": overrides of all cells, "plugins", "smoke", "arms", "axes": [{"key", "values"}],
 *  "cells": [{"directory", "arm", "seed", "setting", "label", "variant", "overrides", "outcome", "seconds"}]}
 */
tn_status tn_sweep_file_write(const tn_plan *plan, const tn_launch_options *options,
                              const tn_cell_state *states, tn_error *error);

/* What goes on with a sweep needs to know. */
typedef struct tn_sweep_start {
  char *file, **overrides, **plugins;
  uint32_t override_count, plugin_count;
  bool smoke;
} tn_sweep_start;
tn_status tn_sweep_file_read(const char *directory, tn_sweep_start *start, tn_error *error);
void tn_sweep_start_free(tn_sweep_start *start);

#endif
