// SPDX-License-Identifier: MIT
/* Whole files in memory, gzip or plain, and the one form in which every reader says what is wrong with a
 * file. */
#ifndef TENON_FORMAT_STREAM_H
#define TENON_FORMAT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

/* One line without a newline and without control characters, in one of three forms:
 *   FILE: line N: what is wrong      text formats, lines from 1
 *   FILE: offset N: what is wrong    binary formats, bytes from 0
 *   FILE: what is wrong              the file as a whole
 * A file name beyond 256 bytes is shortened at its front, so that the reason always fits. */
typedef struct tn_format_error {
  char text[512];
} tn_format_error;

/* Fill *error (NULL: nobody asks) and return false, so that a reader may `return tn_format_fail(...)`. */
bool tn_format_fail(tn_format_error *error, const char *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool tn_format_fail_line(tn_format_error *error, const char *file, size_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool tn_format_fail_offset(tn_format_error *error, const char *file, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Owned bytes. data[size] is 0 and not part of the content, so text can be given to strtod and the like. */
typedef struct tn_bytes {
  unsigned char *data;
  size_t size;
} tn_bytes;

/* Most bytes a reader takes, packed or unpacked, unless told otherwise: 2 GiB. */
#define TN_STREAM_LIMIT ((size_t)1 << 31)

/* Reads all of `path`; a file that begins with the gzip magic is unpacked (several members are joined, as
 * gzip does). `limit` bounds the result in bytes (0: TN_STREAM_LIMIT), which stops a small file that unpacks
 * to a huge one before the memory is taken. On success the caller frees *bytes with tn_bytes_free; on failure
 * *bytes is empty. */
bool tn_stream_read(const char *path, size_t limit, tn_bytes *bytes, tn_format_error *error);

/* The same for bytes already in memory; `file` only names them in errors. *bytes is always a copy. */
bool tn_stream_unpack(const char *file, const void *data, size_t size, size_t limit, tn_bytes *bytes,
                      tn_format_error *error);

void tn_bytes_free(tn_bytes *bytes);

#endif
