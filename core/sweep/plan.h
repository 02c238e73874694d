// SPDX-License-Identifier: MIT
/* What a pipeline file with arms and axes asks for: a list of cells, each a plain run with overrides.
 *
 *   [sweep]                          [arm.lion]
 *   seeds  = 1..5                    train.optimizer = lion
 *   net.hidden = 64, 128             lion.lr = 1e-4 | 3e-4 | 1e-3
 *   jobs   = 2
 *
 * Each section [arm.NAME] is an arm: its keys override those of the file. An axis is a key with several
 * values: in [sweep] separated by commas or, where a value holds commas, by `|`; in an arm by `|` only, and
 * then it is an axis of this arm alone. `seeds` is the axis pipeline.seed. Cells are all combinations, arm by
 * arm, the first axis varying slowest. */
#ifndef TENON_CORE_PLAN_H
#define TENON_CORE_PLAN_H

#include "core/config/config.h"
#include <stdbool.h>

#define TN_MAX_CELLS 100000u
#define TN_MAX_AXES  16u
/* Below a sweep's directory. */
#define TN_CELLS_FOLDER "cells/"

typedef struct tn_axis {
  char *key; /* "pipeline.seed" */
  const char *file;
  uint32_t line;
  char **values;
  uint32_t count;
} tn_axis;

typedef struct tn_arm {
  const char *name;       /* "" where the file has no arms */
  const tn_section *from; /* NULL then */
  tn_axis axes[TN_MAX_AXES];
  uint32_t axis_count;
} tn_arm;

typedef struct tn_cell {
  uint32_t arm;
  int64_t seed;     /* -1: not an axis */
  uint32_t setting; /* number of the combination of the arm's axes without the seed */
  char *label;      /* "seed=2,lion.lr=1e-3"; "" if nothing varies */
  char *variant;    /* the same without the seed */
  char *directory;  /* below the sweep's: "cells/lion/seed=2" */
  char **overrides; /* "section.key=value" */
  uint32_t override_count;
} tn_cell;

typedef struct tn_plan {
  tn_config *config;
  tn_arm *arms;
  uint32_t arm_count;
  tn_cell *cells;
  uint32_t cell_count;
  int64_t jobs; /* 0: not given */
} tn_plan;

/* True if the file has [sweep] or an arm. */
bool tn_plan_wanted(const tn_config *config);
/* Reads the sections; takes the configuration over. `base` are overrides of the command line that every cell
 * gets first. `first_only`: only the first value of the seeds (a shortened run). NULL and an error if they
 * are wrong: an empty arm, a malformed range, too many cells. */
tn_plan *tn_plan_make(tn_config *config, const char *const *base, uint32_t base_count, bool first_only,
                      tn_error *error);
void tn_plan_free(tn_plan *plan);

#endif
