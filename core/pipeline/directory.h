// SPDX-License-Identifier: MIT
/* Folders of runs. */
#ifndef TENON_CORE_DIRECTORY_H
#define TENON_CORE_DIRECTORY_H

#include "core/config/error.h"

/* Makes the folder and those above it. */
tn_status tn_directory_path(const char *path, tn_error *error);
/* runs/NAME-N with the smallest N that is free; made at once, so that two runs never share one. NAME is the
 * file's without its ending. */
tn_status tn_directory_free(const char *file, char *path, size_t bytes, tn_error *error);
double tn_seconds(void); /* monotonic */

#endif
