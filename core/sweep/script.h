// SPDX-License-Identifier: MIT
/* Cells that run elsewhere: a script in the cell's directory starts one, and a file that it leaves says how
 * it ended. The directory is on a file system that all machines share. */
#ifndef TENON_CORE_SCRIPT_H
#define TENON_CORE_SCRIPT_H

#include "core/sweep/launcher.h"
#include <stddef.h>

/* Writes cell.sh, which may be run by sh anywhere, passes SIGTERM on, and leaves the exit code in the file
 * `exit`; takes an earlier `exit` away. `path` gets the script's absolute path. */
tn_status tn_script_write(const tn_cell_job *job, char *path, size_t bytes, tn_error *error);
/* True if the cell with this script has left its exit code: *code as for tn_launcher.poll. */
bool tn_script_ended(const char *path, int *code);

/* Runs a program to its end, with what it prints in `output` (without its last newline). The exit code;
 * 127 with a reason in `output` if it could not be started, negative if
 * there is no process for it. */
int tn_program_run(const char *const *words, char *output, size_t bytes);

/* Tells Open MPI's mpirun, by environment variables that others do not look at, to start more ranks than
 * processors, unbound, also by root, and to leave messages to the ranks. What is set already wins. */
void tn_mpirun_environment(void);

#endif
