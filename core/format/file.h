// SPDX-License-Identifier: MIT
/* Whole files out of memory. */
#ifndef TENON_FORMAT_FILE_H
#define TENON_FORMAT_FILE_H

#include "core/format/stream.h"

/* Writes all of `path` or leaves what was there: the bytes go to a temporary file beside it, are flushed to
 * the disk, and take the name last. Two threads must not write the same path at once. */
bool tn_file_write(const char *path, const void *data, size_t size, tn_format_error *error);

#endif
