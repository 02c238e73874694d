// SPDX-License-Identifier: MIT
#include "core/format/stream.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
  FILE_NAME_MAX = 256,
  // deflate spends at least one bit on 258 bytes, and zlib reaches 1032:1 (zlib.net/zlib_tech.html)
  DEFLATE_RATIO_MAX = 1032
};

/* "FILE: [place ]what", with control characters made visible as '?' so that it stays one line. */
__attribute__((format(printf, 4, 0))) static bool fail(tn_format_error *error, const char *file,
                                                       const char *place, const char *format, va_list args) {
  if (!error) return false;
  size_t length = strlen(file);
  bool cut = length > FILE_NAME_MAX;
  int used = snprintf(error->text, sizeof error->text, "%s%s: %s", cut ? "..." : "",
                      cut ? file + length - FILE_NAME_MAX + 3 : file, place);
  if (used >= 0 && (size_t)used < sizeof error->text)
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, args);
  for (char *c = error->text; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
  return false;
}

bool tn_format_fail(tn_format_error *error, const char *file, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fail(error, file, "", format, args);
  va_end(args);
  return false;
}

bool tn_format_fail_line(tn_format_error *error, const char *file, size_t line, const char *format, ...) {
  char place[40];
  snprintf(place, sizeof place, "line %zu: ", line);
  va_list args;
  va_start(args, format);
  fail(error, file, place, format, args);
  va_end(args);
  return false;
}

bool tn_format_fail_offset(tn_format_error *error, const char *file, size_t offset, const char *format, ...) {
  char place[40];
  snprintf(place, sizeof place, "offset %zu: ", offset);
  va_list args;
  va_start(args, format);
  fail(error, file, place, format, args);
  va_end(args);
  return false;
}

void tn_bytes_free(tn_bytes *bytes) {
  free(bytes->data);
  *bytes = (tn_bytes){0};
}

/* Makes room for `capacity` bytes and the final 0. The content is kept. */
static bool bytes_reserve(tn_bytes *bytes, size_t capacity) {
  unsigned char *data = realloc(bytes->data, capacity + 1);
  if (!data) return false;
  bytes->data = data;
  return true;
}

/* A larger capacity that never passes the limit by more than the one byte that shows the limit is broken. */
static size_t grown(size_t capacity, size_t limit) { return capacity > limit / 2 ? limit + 1 : capacity * 2; }

static size_t effective_limit(size_t limit) {
  if (limit == 0) return TN_STREAM_LIMIT;
  return limit > SIZE_MAX - 2 ? SIZE_MAX - 2 : limit; // room for the final 0 and one byte beyond the limit
}

static bool too_large(tn_format_error *error, const char *file, size_t limit) {
  return tn_format_fail(error, file, "larger than the limit of %zu bytes", limit);
}

static bool is_gzip(const unsigned char *data, size_t size) {
  return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

/* All members of a gzip file into `bytes`, whose capacity grows as the content does, not as a header claims.
 */
static bool inflate_members(const char *file, const unsigned char *data, size_t size, size_t limit,
                            z_stream *stream, tn_bytes *bytes, tn_format_error *error) {
  size_t capacity = 1024;
  if (size >= 18) { // the last four bytes: the size of the last member modulo 2^32, a hint and no more
    const unsigned char *end = data + size;
    size_t hint = (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
    if (hint <= limit && hint / DEFLATE_RATIO_MAX <= size) capacity = hint + 1;
  }
  if (!bytes_reserve(bytes, capacity)) return tn_format_fail(error, file, "out of memory");
  size_t taken = 0;
  for (;;) {
    // zlib counts in unsigned int: feed and drain in pieces that fit
    size_t input = size - taken < UINT_MAX ? size - taken : UINT_MAX;
    size_t room = capacity - bytes->size < UINT_MAX ? capacity - bytes->size : UINT_MAX;
    stream->next_in = (z_const Bytef *)(data + taken);
    stream->avail_in = (uInt)input;
    stream->next_out = bytes->data + bytes->size;
    stream->avail_out = (uInt)room;
    int status = inflate(stream, Z_NO_FLUSH);
    taken += input - stream->avail_in;
    bytes->size += room - stream->avail_out;
    if (bytes->size > limit) return too_large(error, file, limit);
    if (status == Z_STREAM_END) {
      while (taken < size && data[taken] == 0) taken++; // tape and disk images pad with zeros
      if (taken == size) return true;
      if (!is_gzip(data + taken, size - taken))
        return tn_format_fail_offset(error, file, taken, "bytes after the end of the gzip data");
      if (inflateReset(stream) != Z_OK) return tn_format_fail(error, file, "out of memory");
    } else if (status == Z_MEM_ERROR) {
      return tn_format_fail(error, file, "out of memory");
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return tn_format_fail_offset(error, file, taken, "damaged gzip data (%s)",
                                   stream->msg ? stream->msg : "preset dictionary");
    } else if (bytes->size == capacity) {
      capacity = grown(capacity, limit);
      if (!bytes_reserve(bytes, capacity)) return tn_format_fail(error, file, "out of memory");
    } else if (taken == size) {
      return tn_format_fail_offset(error, file, size, "the gzip data end early");
    }
  }
}

static bool unpack_gzip(const char *file, const unsigned char *data, size_t size, size_t limit,
                        tn_bytes *bytes, tn_format_error *error) {
  z_stream stream = {0};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) return tn_format_fail(error, file, "out of memory");
  bool ok = inflate_members(file, data, size, limit, &stream, bytes, error);
  inflateEnd(&stream);
  if (!ok) {
    tn_bytes_free(bytes);
    return false;
  }
  bytes->data[bytes->size] = 0;
  return true;
}

bool tn_stream_unpack(const char *file, const void *data, size_t size, size_t limit, tn_bytes *bytes,
                      tn_format_error *error) {
  *bytes = (tn_bytes){0};
  limit = effective_limit(limit);
  if (is_gzip(data, size)) return unpack_gzip(file, data, size, limit, bytes, error);
  if (size > limit) return too_large(error, file, limit);
  if (!bytes_reserve(bytes, size)) return tn_format_fail(error, file, "out of memory");
  if (size > 0) memcpy(bytes->data, data, size);
  bytes->size = size;
  bytes->data[size] = 0;
  return true;
}

static bool read_raw(FILE *input, const char *path, size_t limit, tn_bytes *bytes, tn_format_error *error) {
  size_t capacity = limit < 65536 ? limit + 1 : 65536;
  for (;;) {
    if (!bytes_reserve(bytes, capacity)) return tn_format_fail(error, path, "out of memory");
    errno = 0;
    bytes->size += fread(bytes->data + bytes->size, 1, capacity - bytes->size, input);
    if (ferror(input))
      return tn_format_fail(error, path, "cannot read: %s", errno ? strerror(errno) : "input error");
    if (bytes->size > limit) return too_large(error, path, limit);
    if (bytes->size < capacity) return true;
    capacity = grown(capacity, limit);
  }
}

bool tn_stream_read(const char *path, size_t limit, tn_bytes *bytes, tn_format_error *error) {
  *bytes = (tn_bytes){0};
  limit = effective_limit(limit);
  FILE *input = fopen(path, "rb");
  if (!input) return tn_format_fail(error, path, "cannot open: %s", strerror(errno));
  tn_bytes raw = {0};
  bool ok = read_raw(input, path, limit, &raw, error);
  fclose(input);
  if (ok && is_gzip(raw.data, raw.size)) {
    ok = unpack_gzip(path, raw.data, raw.size, limit, bytes, error);
  } else if (ok) {
    raw.data[raw.size] = 0;
    *bytes = raw;
    return true;
  }
  tn_bytes_free(&raw);
  return ok;
}
