// SPDX-License-Identifier: MIT
/* Where the cells of a sweep run: a table of functions. A cell is one run of `tenon`. */
#ifndef TENON_CORE_LAUNCHER_H
#define TENON_CORE_LAUNCHER_H

#include "core/config/error.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct tn_cell_job {
  const char *directory;    /* of the cell; it exists, output goes to its output.txt */
  const char *const *words; /* "tenon", "run", ...; NULL at the end */
  uint32_t threads;         /* where OMP_NUM_THREADS does not say it */
} tn_cell_job;

typedef struct tn_launcher {
  const char *name;
  /* Before the first cell of a sweep in `directory`, of which `jobs` run at a time. NULL: nothing to do. */
  tn_status (*open)(const char *directory, uint32_t jobs, tn_error *error);
  /* Begins the run; *handle is the launcher's number of it. */
  tn_status (*start)(const tn_cell_job *job, int64_t *handle, tn_error *error);
  /* True once it has ended, with its exit code or minus the number of the signal that ended it. Called often:
   * it must be quick. */
  bool (*poll)(int64_t handle, int *code);
  /* Asks it to finish its step and end. */
  void (*stop)(int64_t handle);
  /* After the last cell. NULL: nothing to do. */
  void (*close)(void);
} tn_launcher;

/* Processes of this machine. */
extern const tn_launcher tn_launcher_local;
/* The ranks of one mpirun, each running cell after cell. */
extern const tn_launcher tn_launcher_mpi;
/* Jobs of Slurm, one a cell; options come from sbatch's environment variables (SBATCH_PARTITION ...). */
extern const tn_launcher tn_launcher_slurm;

/* NULL: there is none; the error lists them. */
const tn_launcher *tn_launcher_find(const char *name, tn_error *error);

#endif
