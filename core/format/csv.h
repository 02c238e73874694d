// SPDX-License-Identifier: MIT
/* Comma-separated tables after RFC 4180, with typed columns.
 *
 * Taken: LF or CRLF line ends, quoted cells with commas, line breaks and doubled quotes, a UTF-8 byte order
 * mark, gzip. Blanks belong to a text, as the RFC says, but not to a number or a missing value. Refused with
 * the line number: rows of another length than the first, blank lines before the end, NUL bytes, a quote
 * inside an unquoted cell, text after a closing quote, an unterminated quote, a carriage return without a
 * line feed, cells beyond TN_CSV_CELL_MAX, equal column names, a header without rows, an empty file. */
#ifndef TENON_FORMAT_CSV_H
#define TENON_FORMAT_CSV_H

#include <stdint.h>

#include "core/format/stream.h"

#define TN_CSV_CELL_MAX    ((size_t)1 << 20) /* bytes in one cell */
#define TN_CSV_COLUMNS_MAX ((size_t)1 << 20)

/* AUTO takes the first row for a header if none of its cells is a number and some column is numeric below it.
 * Where no column is numeric, it does so if its cells are distinct and none occurs again in its column. */
typedef enum tn_csv_header { TN_CSV_HEADER_AUTO, TN_CSV_HEADER_YES, TN_CSV_HEADER_NO } tn_csv_header;

typedef struct tn_csv_options {
  tn_csv_header header;
  char delimiter;             /* any byte but NUL, quote and line ends; 0: comma */
  const char *const *missing; /* the texts that mean "no value"; NULL: "?" and the empty cell */
  size_t missing_count;       /* of them; not used when missing is NULL */
  size_t limit;               /* most bytes, unpacked; 0: TN_STREAM_LIMIT */
} tn_csv_options;

typedef enum tn_csv_type { TN_CSV_NUMBER, TN_CSV_CATEGORY } tn_csv_type;

/* A column is numeric if all its values are finite decimal numbers (a column without any value is), else
 * categorical. */
typedef struct tn_csv_column {
  const char *name; /* from the header; "c1", "c2", ... without one or where its cell is empty */
  tn_csv_type type;
  size_t missing;     /* cells without a value */
  double *values;     /* numeric: one a row, NaN where missing */
  int32_t *codes;     /* categorical: one a row, index into words, -1 where missing */
  const char **words; /* categorical: the distinct values, sorted by bytes (strcmp) */
  size_t word_count;
} tn_csv_column;

typedef struct tn_csv_table {
  size_t row_count, column_count; /* both at least 1; the header is not a row */
  tn_csv_column *columns;
  bool has_header;
  char *strings; /* what the names and words point into */
} tn_csv_table;

/* Reads a file. `options` may be NULL for the defaults (all fields 0). On success the caller frees *table
 * with tn_csv_free; on failure it is empty. */
bool tn_csv_read(const char *path, const tn_csv_options *options, tn_csv_table *table,
                 tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_csv_parse(const char *file, const void *bytes, size_t size, const tn_csv_options *options,
                  tn_csv_table *table, tn_format_error *error);

void tn_csv_free(tn_csv_table *table);

/* The column of that name, or NULL. */
const tn_csv_column *tn_csv_find(const tn_csv_table *table, const char *name);

#endif
