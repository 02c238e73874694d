// SPDX-License-Identifier: MIT
/* NumPy's archives of named arrays: a zip file with an entry NAME.npy for each (numpy.savez and
 * savez_compressed). */
#ifndef TENON_FORMAT_NPZ_H
#define TENON_FORMAT_NPZ_H

#include "core/format/npy.h"

typedef struct tn_npz_array {
  char *name; /* without the ".npy" */
  tn_npy array;
} tn_npz_array;

typedef struct tn_npz {
  size_t count;
  tn_npz_array *arrays; /* in the file's order, of distinct names */
} tn_npz;

/* Reads a file. `limit` bounds the file and, on its own, the sum of what its entries unpack to, in bytes (0:
 * TN_STREAM_LIMIT). An entry that is not an array is refused. On success the caller frees *npz with
 * tn_npz_free; on failure it is empty. */
bool tn_npz_read(const char *path, size_t limit, tn_npz *npz, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_npz_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_npz *npz,
                  tn_format_error *error);

void tn_npz_free(tn_npz *npz);

/* The array of that name, or NULL. */
const tn_npy *tn_npz_find(const tn_npz *npz, const char *name);

/* Writes a file, its entries deflated or stored. Names must be distinct. The same arrays give the same bytes.
 * The file appears whole or not at all. */
bool tn_npz_write(const char *path, const tn_npz *npz, bool deflated, tn_format_error *error);

/* The same into memory, for tn_bytes_free; `file` only names it in errors. On failure *bytes is empty. */
bool tn_npz_pack(const char *file, const tn_npz *npz, bool deflated, tn_bytes *bytes, tn_format_error *error);

#endif
