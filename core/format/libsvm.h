// SPDX-License-Identifier: MIT
/* Sparse data with labels, in the text format of LIBSVM and SVMlight: a line a row,
 *   LABEL INDEX:VALUE INDEX:VALUE ... # comment
 * (csie.ntu.edu.tw/~cjlin/libsvm, README, "the format of training and testing data files").
 *
 * Taken: LF or CRLF line ends, spaces and tabs, comments, blank lines, rows without values, a UTF-8 byte
 * order mark, gzip. Refused with the line number: a missing label, several labels, query ids, indices that do
 * not ascend, numbers that are not finite, an index 0 in a file whose indices count from 1. */
#ifndef TENON_FORMAT_LIBSVM_H
#define TENON_FORMAT_LIBSVM_H

#include <stdint.h>

#include "core/format/stream.h"

/* From what the indices count. AUTO: from 0 if the index 0 occurs, else from 1. Parts of one set (train and
 * test) need the same base, so a set that may lack the index 0 in one part must be told. */
typedef enum tn_libsvm_base { TN_LIBSVM_BASE_AUTO, TN_LIBSVM_BASE_ONE, TN_LIBSVM_BASE_ZERO } tn_libsvm_base;

typedef struct tn_libsvm_options {
  tn_libsvm_base base;
  size_t columns; /* of the set: an index beyond is refused; 0: as many as the largest index asks for */
  size_t limit;   /* most bytes, unpacked; 0: TN_STREAM_LIMIT */
} tn_libsvm_options;

/* Compressed sparse rows: row i has the values indptr[i] to indptr[i + 1] - 1. */
typedef struct tn_libsvm {
  size_t row_count;    /* at least 1 */
  size_t column_count; /* at most INT32_MAX; a short file may name a large column, so check before a dense
                          copy */
  size_t value_count;
  double *labels;   /* (row_count), as written */
  size_t *indptr;   /* (row_count + 1), from 0, not descending */
  int32_t *indices; /* (value_count), columns from 0, ascending in a row */
  double *values;   /* (value_count), finite; a written 0 is kept */

  /* Where every label is an integer, the labels also as classes; else class_count is 0 and both are NULL. */
  size_t class_count;
  double *classes; /* (class_count), ascending */
  int32_t *codes;  /* (row_count): classes[codes[i]] == labels[i] */
} tn_libsvm;

/* Reads a file. `options` may be NULL for the defaults (all fields 0). On success the caller frees *set with
 * tn_libsvm_free; on failure it is empty. */
bool tn_libsvm_read(const char *path, const tn_libsvm_options *options, tn_libsvm *set,
                    tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_libsvm_parse(const char *file, const void *bytes, size_t size, const tn_libsvm_options *options,
                     tn_libsvm *set, tn_format_error *error);

void tn_libsvm_free(tn_libsvm *set);

#endif
