// SPDX-License-Identifier: MIT
/* The cells of a delimited text (RFC 4180, see csv.h for what is taken and refused). */
#ifndef TENON_FORMAT_CELLS_H
#define TENON_FORMAT_CELLS_H

#include "core/format/stream.h"

/* Rewrites `bytes` in place as *rows times *columns NUL-terminated strings in row-major order, one after the
 * other: no index is kept, the next cell is the next string. All rows have as many cells as the first, and
 * there is at least one. `file` names the text in errors. */
bool tn_cells_split(const char *file, tn_bytes *bytes, char delimiter, size_t *rows, size_t *columns,
                    tn_format_error *error);

#endif
