// SPDX-License-Identifier: MIT
/* JSON lines (jsonlines.org): an object a line, through jansson. */
#ifndef TENON_FORMAT_JSONL_H
#define TENON_FORMAT_JSONL_H

#include "core/format/stream.h"

struct json_t; /* jansson's */

typedef struct tn_jsonl {
  size_t count;            /* rows, at least 1; row i is line i + 1 */
  struct json_t **objects; /* one a row */
  char *file;              /* names the rows in errors */
} tn_jsonl;

/* Reads a file, plain or gzip. `limit` bounds its unpacked bytes (0: TN_STREAM_LIMIT); the objects take
 * several times as much memory. Refused with the line and the column: lines that are not JSON or not an
 * object, keys that occur twice in an object, U+0000 in a text, numbers beyond a double or an int64, bytes
 * that are not UTF-8, blank lines before the end. On success the caller frees *rows with tn_jsonl_free; on
 * failure it is empty. */
bool tn_jsonl_read(const char *path, size_t limit, tn_jsonl *rows, tn_format_error *error);

/* The same for the bytes of a file in memory; `file` only names them in errors. */
bool tn_jsonl_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_jsonl *rows,
                    tn_format_error *error);

void tn_jsonl_free(tn_jsonl *rows);

/* A field of a row (below count). `field` is a key of its object, or else keys with points between them lead
 * into objects within ("blackbox.passed"). They fail with the row's line if it is absent or of another type.
 */
bool tn_jsonl_text(const tn_jsonl *rows, size_t row, const char *field, const char **text,
                   tn_format_error *error); /* *text is UTF-8 and lives as long as the rows */
bool tn_jsonl_number(const tn_jsonl *rows, size_t row, const char *field, double *number,
                     tn_format_error *error); /* an integer beyond 2^53 is rounded */
bool tn_jsonl_boolean(const tn_jsonl *rows, size_t row, const char *field, bool *boolean,
                      tn_format_error *error);

/* True if the row has the field, of whatever type but null. */
bool tn_jsonl_has(const tn_jsonl *rows, size_t row, const char *field);

#endif
