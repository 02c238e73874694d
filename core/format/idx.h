// SPDX-License-Identifier: MIT
/* The IDX format of MNIST and its descendants: a dense array of 1 to 4 dimensions.
 * Layout, all numbers big-endian: two zero bytes, one type byte, one byte with the number of dimensions, a
 * uint32 for each dimension, then the values in row-major order (yann.lecun.com/exdb/mnist, "The IDX file
 * format"). */
#ifndef TENON_FORMAT_IDX_H
#define TENON_FORMAT_IDX_H

#include "core/format/stream.h"

#define TN_IDX_DIMS_MAX 4

/* The type byte of the file. */
typedef enum tn_idx_type {
  TN_IDX_U8 = 0x08,
  TN_IDX_I8 = 0x09,
  TN_IDX_I16 = 0x0b,
  TN_IDX_I32 = 0x0c,
  TN_IDX_F32 = 0x0d,
  TN_IDX_F64 = 0x0e
} tn_idx_type;

typedef struct tn_idx {
  tn_idx_type type;
  size_t dims;                   /* 1 to TN_IDX_DIMS_MAX */
  size_t shape[TN_IDX_DIMS_MAX]; /* each at least 1; 1 beyond dims */
  size_t count;                  /* product of the shape */
  void *data;                    /* count values in host byte order, row-major, aligned for any type */
} tn_idx;

/* Reads a file, gzip or plain. `limit` bounds the unpacked bytes (0: TN_STREAM_LIMIT). The file must hold
 * exactly as many bytes as its header says. On success the caller frees *idx with tn_idx_free; on failure it
 * is empty. */
bool tn_idx_read(const char *path, size_t limit, tn_idx *idx, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_idx_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_idx *idx,
                  tn_format_error *error);

void tn_idx_free(tn_idx *idx);

/* Bytes of one value, and the type's name ("uint8", "float32", ...); 0 and NULL for a value outside the enum.
 */
size_t tn_idx_type_size(tn_idx_type type);
const char *tn_idx_type_name(tn_idx_type type);

#endif
