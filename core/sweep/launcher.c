// SPDX-License-Identifier: MIT
#include "core/sweep/launcher.h"
#include <string.h>

const tn_launcher *tn_launcher_find(const char *name, tn_error *error) {
  static const tn_launcher *const all[] = {&tn_launcher_local, &tn_launcher_mpi, &tn_launcher_slurm};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i]->name, name) == 0) return all[i];
  tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "--launcher %s: expected local, mpi or slurm", name);
  return NULL;
}
