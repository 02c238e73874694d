// SPDX-License-Identifier: MIT
/* NumPy's array files, versions 1.0, 2.0 and 3.0.
 * Layout: the bytes 93 'NUMPY', a version byte pair, the length of the header (little-endian, 2 bytes in 1.0,
 * 4 later), the header, which is a Python dictionary with the keys descr, fortran_order and shape, and the
 * values (numpy.org, "numpy.lib.format").
 *
 * Refused: structured, text, object and complex types, big dimensions before memory is taken, fewer or more
 * bytes than the shape asks for, booleans other than 0 and 1. */
#ifndef TENON_FORMAT_NPY_H
#define TENON_FORMAT_NPY_H

#include "core/format/stream.h"

#define TN_NPY_DIMS_MAX 8

typedef enum tn_npy_type {
  TN_NPY_F32,
  TN_NPY_F64,
  TN_NPY_I8,
  TN_NPY_I16,
  TN_NPY_I32,
  TN_NPY_I64,
  TN_NPY_U8,
  TN_NPY_U16,
  TN_NPY_U32,
  TN_NPY_U64,
  TN_NPY_BOOL /* a byte, 0 or 1 */
} tn_npy_type;

typedef struct tn_npy {
  tn_npy_type type;
  size_t dims;                   /* 0 (a scalar, count 1) to TN_NPY_DIMS_MAX */
  size_t shape[TN_NPY_DIMS_MAX]; /* 1 beyond dims; an extent may be 0 */
  size_t count;                  /* product of the shape */
  void *data; /* count values in host byte order, row-major, aligned for any type; never NULL */
} tn_npy;

/* Reads a file, plain or gzip; column-major arrays are turned row-major. `limit` bounds the unpacked bytes
 * (0: TN_STREAM_LIMIT). On success the caller frees *array with tn_npy_free; on failure it is empty. */
bool tn_npy_read(const char *path, size_t limit, tn_npy *array, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_npy_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_npy *array,
                  tn_format_error *error);

void tn_npy_free(tn_npy *array);

/* Writes a file of version 1.0, row-major, in host byte order. Only type, dims, shape and data are read. The
 * same array gives the same bytes. The file appears whole or not at all. */
bool tn_npy_write(const char *path, const tn_npy *array, tn_format_error *error);

/* The same into memory, for tn_bytes_free; `file` only names it in errors. On failure *bytes is empty. */
bool tn_npy_pack(const char *file, const tn_npy *array, tn_bytes *bytes, tn_format_error *error);

/* Bytes of one value, and the type's name ("float32", "bool", ...); 0 and NULL for a value outside the enum.
 */
size_t tn_npy_type_size(tn_npy_type type);
const char *tn_npy_type_name(tn_npy_type type);

#endif
