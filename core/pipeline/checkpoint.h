// SPDX-License-Identifier: MIT
/* Checkpoints as the command line sees them. */
#ifndef TENON_CORE_CHECKPOINT_H
#define TENON_CORE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

/* The step of the newest checkpoint in a run directory; false: there is none. */
bool tn_checkpoint_newest(const char *directory, int64_t *step);

#endif
