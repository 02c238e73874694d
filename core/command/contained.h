// SPDX-License-Identifier: MIT
/* Work in a child process, so that a plugin can hurt only its own run. */
#ifndef TENON_CORE_CONTAINED_H
#define TENON_CORE_CONTAINED_H

#include "core/pipeline/box.h"
#include <stdbool.h>

/* Runs `work` in a child and returns its exit code; if the child dies, says in one line where and why, and
 * returns TN_EXIT_PLUGIN, or TN_EXIT_FAILED if it was killed from outside. SIGINT and SIGTERM reach the work
 * in either process. `contained` false: works in this process, with no box. */
int tn_contain(bool contained, int (*work)(void *context, tn_box *box), void *context);

#endif
