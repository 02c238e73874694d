// SPDX-License-Identifier: MIT
#include "core/format/zip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
  LOCAL = 30,     // bytes of a local header before its name
  DIRECTORY = 46, // bytes of a directory entry before its name
  END = 22,       // bytes of the end record before its comment
  STORED = 0,
  DEFLATED = 8,
  ENCRYPTED = 1,       // flag
  UTF8 = 0x800,        // flag
  RATIO_MAX = 1032,    // unpacked to packed bytes (zlib.net/zlib_tech.html)
  DATE = 1 << 5 | 1,   // 1980-01-01
  VERSION = 20,        // 2.0: deflate
  COUNT_MAX = 0xfffe,  // beyond it ZIP64
  COMMENT_MAX = 0xffff // bytes behind the end record
};
static const uint32_t size_max = 0xfffffffe; // likewise

static const uint32_t local_mark = 0x04034b50, directory_mark = 0x02014b50, end_mark = 0x06054b50;

static uint32_t get16(const unsigned char *b) { return (uint32_t)(b[0] | b[1] << 8); }
static uint32_t get32(const unsigned char *b) { return get16(b) | get16(b + 2) << 16; }

void tn_zip_free(tn_zip *zip) {
  for (size_t i = 0; i < zip->count; i++) free(zip->entries[i].name);
  free(zip->entries);
  *zip = (tn_zip){0};
}

/* ---- reading ---- */

typedef struct reader {
  const char *file;
  tn_format_error *error;
  const unsigned char *data;
  size_t size;
  tn_zip *zip;
} reader;

static bool fail(const reader *r, size_t offset, const char *what) {
  return tn_format_fail_offset(r->error, r->file, offset, "%s", what);
}

/* The end record: the last place where its mark stands and its comment reaches to the end of the file. */
static bool find_end(const reader *r, size_t *end) {
  if (r->size < 2 || memcmp(r->data, "PK", 2) != 0)
    return fail(r, 0, "not a zip file: it does not begin with 'PK'");
  for (size_t comment = 0; comment <= COMMENT_MAX && comment + END <= r->size; comment++) {
    *end = r->size - END - comment;
    if (get32(r->data + *end) == end_mark && get16(r->data + *end + 20) == comment) return true;
  }
  return fail(r, r->size, "the end record of the zip file is missing");
}

/* The local header repeats what the directory says, and only it tells where the bytes begin. */
static bool check_local(const reader *r, size_t directory, tn_zip_entry *entry, size_t name_size) {
  if (entry->header > directory || directory - entry->header < LOCAL)
    return fail(r, entry->header, "an entry lies outside the file");
  const unsigned char *b = r->data + entry->header;
  if (get32(b) != local_mark) return fail(r, entry->header, "an entry does not begin with its mark");
  if (get16(b + 8) != (entry->deflated ? DEFLATED : STORED) || get16(b + 26) != name_size ||
      directory - entry->header - LOCAL < name_size || memcmp(b + LOCAL, entry->name, name_size) != 0)
    return fail(r, entry->header, "an entry differs from the directory");
  entry->offset = entry->header + LOCAL + name_size + get16(b + 28);
  if (entry->offset > directory || directory - entry->offset < entry->packed)
    return fail(r, entry->header, "an entry is longer than the file");
  return true;
}

/* One entry at *at, which moves behind it. `end`: of the directory. */
static bool read_entry(const reader *r, size_t *at, size_t directory, size_t end, tn_zip_entry *entry) {
  const unsigned char *b = r->data + *at;
  if (end - *at < DIRECTORY) return fail(r, *at, "the directory ends inside an entry");
  if (get32(b) != directory_mark) return fail(r, *at, "a directory entry does not begin with its mark");
  size_t name_size = get16(b + 28), length = DIRECTORY + name_size + get16(b + 30) + get16(b + 32);
  if (end - *at < length) return fail(r, *at, "the directory ends inside an entry");
  if (name_size == 0 || memchr(b + DIRECTORY, 0, name_size)) return fail(r, *at, "an entry without a name");
  if (get16(b + 8) & ENCRYPTED) return fail(r, *at, "an encrypted entry");
  uint32_t method = get16(b + 10);
  if (method != STORED && method != DEFLATED)
    return tn_format_fail_offset(r->error, r->file, *at, "compression method %u, expected 0 or 8",
                                 (unsigned)method);
  if (get32(b + 20) > size_max || get32(b + 24) > size_max || get32(b + 42) > size_max)
    return fail(r, *at, "an entry of 4 GiB or more (ZIP64)");
  entry->deflated = method == DEFLATED;
  entry->crc = get32(b + 16);
  entry->packed = get32(b + 20);
  entry->size = get32(b + 24);
  entry->header = get32(b + 42);
  if (!entry->deflated && entry->size != entry->packed)
    return fail(r, *at, "a stored entry with two different sizes");
  entry->name = malloc(name_size + 1);
  if (!entry->name) return tn_format_fail(r->error, r->file, "out of memory");
  memcpy(entry->name, b + DIRECTORY, name_size);
  entry->name[name_size] = 0;
  *at += length;
  return check_local(r, directory, entry, name_size);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool refuse_equal_names(const reader *r) {
  size_t count = r->zip->count;
  const char **names = malloc((count + 1) * sizeof *names);
  if (!names) return tn_format_fail(r->error, r->file, "out of memory");
  for (size_t i = 0; i < count; i++) names[i] = r->zip->entries[i].name;
  qsort(names, count, sizeof *names, compare_names);
  const char *twin = NULL;
  for (size_t i = 1; i < count; i++)
    if (strcmp(names[i - 1], names[i]) == 0) twin = names[i];
  free(names);
  return !twin || tn_format_fail(r->error, r->file, "entry '%.80s' occurs twice", twin);
}

static bool read_directory(reader *r) {
  size_t end = 0;
  if (!find_end(r, &end)) return false;
  const unsigned char *b = r->data + end;
  size_t count = get16(b + 10), size = get32(b + 12), directory = get32(b + 16);
  if (get16(b + 4) != 0 || get16(b + 6) != 0 || get16(b + 8) != count)
    return fail(r, end, "a zip file of several disks");
  if (count > COUNT_MAX || size > size_max || directory > size_max)
    return fail(r, end, "a zip file of 4 GiB or more (ZIP64)");
  if (directory > end || end - directory != size)
    return fail(r, end, "the directory does not lie before its end record");
  if (count > size / DIRECTORY) return fail(r, end, "more entries than the directory can hold");
  r->zip->entries = calloc(count + 1, sizeof *r->zip->entries);
  if (!r->zip->entries) return tn_format_fail(r->error, r->file, "out of memory");
  size_t at = directory;
  for (size_t i = 0; i < count; i++) {
    r->zip->count++; // first, so that a name is freed on failure
    if (!read_entry(r, &at, directory, end, &r->zip->entries[i])) return false;
  }
  if (at != end) return fail(r, at, "bytes after the last directory entry");
  return refuse_equal_names(r);
}

bool tn_zip_parse(const char *file, const tn_bytes *bytes, tn_zip *zip, tn_format_error *error) {
  *zip = (tn_zip){0};
  reader r = {.file = file, .error = error, .data = bytes->data, .size = bytes->size, .zip = zip};
  bool ok = read_directory(&r);
  if (!ok) tn_zip_free(zip);
  return ok;
}

static bool inflate_entry(const char *file, const unsigned char *packed, const tn_zip_entry *entry,
                          tn_bytes *content, tn_format_error *error) {
  z_stream stream = {.next_in = (z_const Bytef *)packed,
                     .avail_in = (uInt)entry->packed, // both sizes fit 32 bits
                     .next_out = content->data,
                     .avail_out = (uInt)entry->size};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return tn_format_fail(error, file, "out of memory");
  int status = inflate(&stream, Z_FINISH);
  size_t taken = entry->packed - stream.avail_in;
  bool whole = status == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
  inflateEnd(&stream);
  if (status == Z_MEM_ERROR) return tn_format_fail(error, file, "out of memory");
  return whole ||
         tn_format_fail_offset(error, file, entry->offset + taken, "damaged entry '%.80s'", entry->name);
}

bool tn_zip_unpack(const char *file, const tn_bytes *bytes, const tn_zip_entry *entry, size_t limit,
                   tn_bytes *content, tn_format_error *error) {
  *content = (tn_bytes){0};
  if (entry->size > limit)
    return tn_format_fail_offset(error, file, entry->header,
                                 "entry '%.80s' of %zu bytes, larger than the limit of %zu bytes",
                                 entry->name, entry->size, limit);
  if (entry->size / RATIO_MAX > entry->packed)
    return tn_format_fail_offset(error, file, entry->header, "%zu bytes cannot unpack to %zu", entry->packed,
                                 entry->size);
  content->data = malloc(entry->size + 1);
  if (!content->data) return tn_format_fail(error, file, "out of memory");
  const unsigned char *packed = bytes->data + entry->offset;
  bool ok = true;
  if (entry->deflated)
    ok = inflate_entry(file, packed, entry, content, error);
  else
    memcpy(content->data, packed, entry->size);
  if (ok && crc32(0, content->data, (uInt)entry->size) != entry->crc)
    ok = tn_format_fail_offset(error, file, entry->offset, "wrong checksum of entry '%.80s'", entry->name);
  if (!ok) {
    tn_bytes_free(content);
    return false;
  }
  content->size = entry->size;
  content->data[content->size] = 0;
  return true;
}

/* ---- writing ---- */

static void put16(unsigned char *b, size_t v) {
  b[0] = (unsigned char)(v & 0xff);
  b[1] = (unsigned char)(v >> 8 & 0xff);
}

static void put32(unsigned char *b, size_t v) {
  put16(b, v & 0xffff);
  put16(b + 2, v >> 16 & 0xffff);
}

/* Room for `size` bytes behind the content; NULL without memory. */
static unsigned char *reserve(tn_bytes *bytes, size_t *capacity, size_t size) {
  if (*capacity - bytes->size < size || !bytes->data) {
    size_t grown = bytes->size + size + bytes->size / 2 + 64;
    unsigned char *data = realloc(bytes->data, grown);
    if (!data) return NULL;
    bytes->data = data;
    *capacity = grown;
  }
  return bytes->data + bytes->size;
}

/* The packed bytes into `to`; their number, 0 without memory. */
static size_t deflate_entry(const void *data, size_t size, unsigned char *to, size_t room) {
  z_stream stream = {
      .next_in = (z_const Bytef *)data, .avail_in = (uInt)size, .next_out = to, .avail_out = (uInt)room};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  int status = deflate(&stream, Z_FINISH);
  deflateEnd(&stream);
  return status == Z_STREAM_END ? room - stream.avail_out : 0;
}

/* The fields that the local header and the directory share, from the flags to the length of the name. */
static void put_fields(unsigned char *b, const tn_zip_entry *entry, size_t name_size) {
  bool ascii = true;
  for (const char *c = entry->name; *c; c++) ascii = ascii && (unsigned char)*c < 0x80;
  put16(b, ascii ? 0 : UTF8);
  put16(b + 2, entry->deflated ? DEFLATED : STORED);
  put16(b + 4, 0); // midnight
  put16(b + 6, DATE);
  put32(b + 8, entry->crc);
  put32(b + 12, entry->packed);
  put32(b + 16, entry->size);
  put16(b + 20, name_size);
}

static bool add_directory(tn_zip_writer *writer, const tn_zip_entry *entry, size_t name_size) {
  unsigned char *b = reserve(&writer->directory, &writer->directory_capacity, DIRECTORY + name_size);
  if (!b) return false;
  memset(b, 0, DIRECTORY);
  put32(b, directory_mark);
  put16(b + 4, VERSION);
  put16(b + 6, VERSION);
  put_fields(b + 8, entry, name_size);
  put32(b + 42, entry->header);
  memcpy(b + DIRECTORY, entry->name, name_size);
  writer->directory.size += DIRECTORY + name_size;
  return true;
}

bool tn_zip_add(tn_zip_writer *writer, const char *file, const char *name, const void *data, size_t size,
                bool deflated, tn_format_error *error) {
  size_t name_size = strlen(name), header = writer->content.size;
  if (name_size == 0 || name_size > 0xffff) return tn_format_fail(error, file, "an entry without a name");
  // deflate adds less than 1/1000 and some bytes to what it cannot pack (zlib.h, deflateBound)
  size_t room = size <= size_max ? size + size / 1000 + 64 : size;
  if (room > size_max - LOCAL - name_size || header > size_max - LOCAL - name_size - room ||
      writer->count == COUNT_MAX)
    return tn_format_fail(error, file, "4 GiB or more, or too many entries, for a zip file");
  unsigned char *b = reserve(&writer->content, &writer->content_capacity, LOCAL + name_size + room);
  if (!b) return tn_format_fail(error, file, "out of memory");
  tn_zip_entry entry = {.name = (char *)name, .header = header, .size = size, .deflated = deflated};
  entry.crc = (uint32_t)(size > 0 ? crc32(0, data, (uInt)size) : 0);
  entry.packed = deflated ? deflate_entry(data, size, b + LOCAL + name_size, room) : size;
  if (deflated && entry.packed == 0) return tn_format_fail(error, file, "out of memory");
  if (!deflated && size > 0) memcpy(b + LOCAL + name_size, data, size);
  put32(b, local_mark);
  put16(b + 4, VERSION);
  put_fields(b + 6, &entry, name_size);
  put16(b + 28, 0);
  memcpy(b + LOCAL, name, name_size);
  if (!add_directory(writer, &entry, name_size)) return tn_format_fail(error, file, "out of memory");
  writer->content.size += LOCAL + name_size + entry.packed;
  writer->count++;
  return true;
}

bool tn_zip_finish(tn_zip_writer *writer, const char *file, tn_bytes *bytes, tn_format_error *error) {
  *bytes = (tn_bytes){0};
  size_t directory = writer->content.size, size = writer->directory.size;
  bool fits = directory <= size_max && size <= size_max - directory;
  unsigned char *b = fits ? reserve(&writer->content, &writer->content_capacity, size + END + 1) : NULL;
  if (!b) {
    tn_zip_writer_free(writer);
    return tn_format_fail(error, file, fits ? "out of memory" : "4 GiB or more, for a zip file");
  }
  if (size > 0) memcpy(b, writer->directory.data, size);
  b += size;
  memset(b, 0, END + 1);
  put32(b, end_mark);
  put16(b + 8, writer->count);
  put16(b + 10, writer->count);
  put32(b + 12, size);
  put32(b + 16, directory);
  *bytes = writer->content;
  bytes->size += size + END;
  writer->content = (tn_bytes){0};
  tn_zip_writer_free(writer);
  return true;
}

void tn_zip_writer_free(tn_zip_writer *writer) {
  tn_bytes_free(&writer->content);
  tn_bytes_free(&writer->directory);
  *writer = (tn_zip_writer){0};
}
