// SPDX-License-Identifier: MIT
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tenon/log.h>

enum { HEADER_MAX = 100 << 20 /* bytes: what the reference implementation allows */ };

static const struct {
  const char *name;
  size_t size;
} types[] = {{"F32", 4}, {"F64", 8}, {"I64", 8}, {"I32", 4}, {"U8", 1}, {"BOOL", 1}};

static size_t numel_of(const tn_shape *shape) {
  size_t n = 1;
  for (uint32_t i = 0; i < shape->ndim; i++) n *= (size_t)shape->dim[i];
  return n;
}

/* Writing. */
typedef struct text {
  char *data;
  size_t used, room;
  bool failed;
} text;

static void put(text *t, const char *bytes, size_t count) {
  if (t->used + count > t->room) {
    size_t room = (t->used + count) * 2;
    char *data = realloc(t->data, room);
    if (!data) t->failed = true;
    if (!data) return;
    t->data = data;
    t->room = room;
  }
  memcpy(t->data + t->used, bytes, count);
  t->used += count;
}
static void put_text(text *t, const char *s) { put(t, s, strlen(s)); }
static void put_number(text *t, size_t n) {
  char digits[24];
  put(t, digits, (size_t)snprintf(digits, sizeof digits, "%zu", n));
}
static void put_string(text *t, const char *s) {
  put_text(t, "\"");
  for (; *s; s++) {
    char escape[8];
    if (*s == '"' || *s == '\\')
      put(t, (char[]){'\\', *s}, 2);
    else if ((unsigned char)*s < 0x20)
      put(t, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *s));
    else
      put(t, s, 1);
  }
  put_text(t, "\"");
}

static bool write_all(int fd, const void *data, size_t size) {
  const char *p = data;
  while (size) {
    ssize_t n = write(fd, p, size < 1 << 30 ? size : 1 << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    p += n;
    size -= (size_t)n;
  }
  return true;
}

static bool sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int length = slash == path ? 1 : (slash ? (int)(slash - path) : 1);
  snprintf(folder, sizeof folder, "%.*s", length, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0 || errno == EINVAL; // some file systems cannot
  close(fd);
  return ok;
}

tn_status tn_safetensors_save(const char *path, const tn_safetensor *items, uint32_t count) {
  text header = {0};
  size_t offset = 0;
  put(&header, "\0\0\0\0\0\0\0\0{", 9);
  for (uint32_t i = 0; i < count; i++) {
    if (i) put_text(&header, ",");
    put_string(&header, items[i].name);
    put_text(&header, ":{\"dtype\":\"");
    put_text(&header, types[items[i].dtype].name);
    put_text(&header, "\",\"shape\":[");
    for (uint32_t d = 0; d < items[i].shape.ndim; d++) {
      if (d) put_text(&header, ",");
      put_number(&header, (size_t)items[i].shape.dim[d]);
    }
    put_text(&header, "],\"data_offsets\":[");
    put_number(&header, offset);
    offset += numel_of(&items[i].shape) * types[items[i].dtype].size;
    put_text(&header, ",");
    put_number(&header, offset);
    put_text(&header, "]}");
  }
  put_text(&header, "}");
  while (header.used % 8 && !header.failed)
    put_text(&header, " "); // values aligned, as the specification asks
  char temporary[PATH_MAX];
  int fits = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
  if (header.failed || fits < 0 || (size_t)fits >= sizeof temporary) {
    free(header.data);
    return tn_fail(header.failed ? TN_ERROR_MEMORY : TN_ERROR_INVALID, "%s: %s", path,
                   header.failed ? "out of memory for the header" : "the path is too long");
  }
  for (int i = 0; i < 8; i++) header.data[i] = (char)(((uint64_t)header.used - 8) >> 8 * i & 255);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool ok = fd >= 0 && write_all(fd, header.data, header.used);
  for (uint32_t i = 0; i < count && ok; i++)
    ok = write_all(fd, items[i].data, numel_of(&items[i].shape) * types[items[i].dtype].size);
  ok = ok && fsync(fd) == 0;
  int error = errno;
  if (fd >= 0 && close(fd) != 0 && ok) {
    ok = false;
    error = errno;
  }
  if (ok && rename(temporary, path) != 0) {
    ok = false;
    error = errno;
  }
  if (ok)
    ok = sync_folder(path), error = errno;
  else if (fd >= 0)
    unlink(temporary);
  free(header.data);
  return ok ? TN_OK : tn_fail(TN_ERROR_IO, "%s: cannot write: %s", path, strerror(error));
}

/* Reading. */
struct tn_safetensors {
  tn_safetensor *items;
  uint32_t count, room;
  char *names;  /* all of them, decoded */
  void *bytes;  /* owned, or NULL */
  size_t *used; /* scratch */
};

typedef struct parser {
  const char *path, *start, *at, *end;
  char *names; /* where the next name goes */
  tn_status status;
} parser;

static bool wrong(parser *p, const char *what) {
  if (p->status == TN_OK)
    p->status =
        tn_fail(TN_ERROR_INVALID, "%s: offset %zu: %s", p->path, (size_t)(p->at - p->start) + 8, what);
  return false;
}
static void blanks(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')) p->at++;
}
static bool expect(parser *p, char c) {
  char message[] = "expected 'x'";
  blanks(p);
  if (p->at < p->end && *p->at == c) {
    p->at++;
    return true;
  }
  message[10] = c;
  return wrong(p, message);
}
static bool next_is(parser *p, char c) {
  blanks(p);
  if (p->at >= p->end || *p->at != c) return false;
  p->at++;
  return true;
}

static bool unicode(parser *p, uint32_t *code) {
  *code = 0;
  for (int i = 0; i < 4; i++, p->at++) {
    if (p->at >= p->end) return wrong(p, "the header ends inside a string");
    char c = *p->at;
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16u;
    if (digit > 15) return wrong(p, "not four hexadecimal digits");
    *code = *code << 4 | digit;
  }
  return true;
}

/* A string, decoded to the names' memory (never longer than its source). */
static bool string(parser *p, const char **result) {
  if (!expect(p, '"')) return false;
  char *out = p->names;
  *result = out;
  for (;;) {
    if (p->at >= p->end) return wrong(p, "the header ends inside a string");
    char c = *p->at++;
    if (c == '"') break;
    if ((unsigned char)c < 0x20) return wrong(p, "a control character in a string");
    if (c != '\\') {
      *out++ = c;
      continue;
    }
    if (p->at >= p->end) return wrong(p, "the header ends inside a string");
    c = *p->at++;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
      *out++ = to[found - from];
      continue;
    }
    uint32_t code, low;
    if (c != 'u') return wrong(p, "an unknown escape in a string");
    if (!unicode(p, &code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u') return wrong(p, "half a surrogate pair");
      p->at += 2;
      if (!unicode(p, &low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return wrong(p, "half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code == 0 || (code >= 0xdc00 && code < 0xe000))
      return wrong(p, "a character that cannot be in a name");
    if (code < 0x80) {
      *out++ = (char)code;
    } else if (code < 0x800) {
      *out++ = (char)(0xc0 | code >> 6);
      *out++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
      *out++ = (char)(0xe0 | code >> 12);
      *out++ = (char)(0x80 | (code >> 6 & 63));
      *out++ = (char)(0x80 | (code & 63));
    } else {
      *out++ = (char)(0xf0 | code >> 18);
      *out++ = (char)(0x80 | (code >> 12 & 63));
      *out++ = (char)(0x80 | (code >> 6 & 63));
      *out++ = (char)(0x80 | (code & 63));
    }
  }
  *out++ = 0;
  p->names = out;
  return true;
}

static bool number(parser *p, uint64_t *value) {
  blanks(p);
  const char *first = p->at;
  *value = 0;
  while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
    if (*value > (UINT64_MAX >> 2) / 10) return wrong(p, "a number that is too large");
    *value = *value * 10 + (uint64_t)(*p->at++ - '0');
  }
  if (p->at == first) return wrong(p, "expected a number");
  if (*first == '0' && p->at - first > 1) return wrong(p, "a number with a leading zero");
  return true;
}

/* [a, b, ...] of at most `room` numbers */
static bool numbers(parser *p, uint64_t *values, uint32_t room, uint32_t *count) {
  *count = 0;
  if (!expect(p, '[')) return false;
  if (next_is(p, ']')) return true;
  for (;;) {
    if (*count == room) return wrong(p, "too many numbers in a list");
    if (!number(p, &values[(*count)++])) return false;
    if (next_is(p, ']')) return true;
    if (!expect(p, ',')) return false;
  }
}

static bool metadata(parser *p) {
  const char *ignored;
  if (!expect(p, '{')) return false;
  if (next_is(p, '}')) return true;
  for (;;) {
    if (!string(p, &ignored) || !expect(p, ':') || !string(p, &ignored)) return false;
    if (next_is(p, '}')) return true;
    if (!expect(p, ',')) return false;
  }
}

static bool tensor(parser *p, tn_safetensor *item, const char *values, size_t value_bytes) {
  uint64_t dims[TN_MAX_DIMS], offsets[2];
  uint32_t count = 0, seen = 0;
  const char *key, *dtype = NULL;
  if (!expect(p, '{')) return false;
  do {
    char *names = p->names; // keys and types are not kept
    if (!string(p, &key) || !expect(p, ':')) return false;
    uint32_t bit;
    if (!strcmp(key, "dtype")) {
      bit = 1;
      if (!string(p, &dtype)) return false;
      item->dtype = -1;
      for (tn_dtype i = 0; i < 6; i++)
        if (!strcmp(dtype, types[i].name)) item->dtype = i;
      if (item->dtype < 0) return wrong(p, "a dtype that is not F32, F64, I64, I32, U8 or BOOL");
    } else if (!strcmp(key, "shape")) {
      bit = 2;
      if (!numbers(p, dims, TN_MAX_DIMS, &count)) return false;
      item->shape.ndim = count;
    } else if (!strcmp(key, "data_offsets")) {
      uint32_t pair;
      bit = 4;
      if (!numbers(p, offsets, 2, &pair)) return false;
      if (pair != 2) return wrong(p, "data_offsets are not two numbers");
    } else {
      return wrong(p, "a key that is not dtype, shape or data_offsets");
    }
    p->names = names;
    if (seen & bit) return wrong(p, "a key occurs twice");
    seen |= bit;
  } while (next_is(p, ','));
  if (!expect(p, '}')) return false;
  if (seen != 7) return wrong(p, "dtype, shape or data_offsets is missing");
  uint64_t bytes = types[item->dtype].size;
  for (uint32_t i = 0; i < count; i++) {
    item->shape.dim[i] = (int64_t)dims[i];
    if (__builtin_mul_overflow(bytes, dims[i], &bytes)) return wrong(p, "a shape that is too large");
  }
  if (offsets[0] > offsets[1] || offsets[1] > value_bytes || offsets[1] - offsets[0] != bytes)
    return wrong(p, "data_offsets do not fit the shape or the file");
  item->data = values + offsets[0];
  return true;
}

static int by_data(const void *a, const void *b) {
  const tn_safetensor *x = a, *y = b;
  if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
  size_t nx = numel_of(&x->shape), ny = numel_of(&y->shape); // empty ones first
  return nx < ny ? -1 : nx > ny;
}

static tn_safetensor *add_item(tn_safetensors *file) {
  if (file->count == file->room) {
    uint32_t room = file->room ? 2 * file->room : 16;
    tn_safetensor *items = realloc(file->items, room * sizeof *items);
    if (!items) return NULL;
    file->items = items;
    file->room = room;
  }
  return &file->items[file->count];
}

static bool header(parser *p, tn_safetensors *file, const char *values, size_t value_bytes) {
  if (!expect(p, '{')) return false;
  if (!next_is(p, '}')) {
    do {
      const char *name;
      if (!string(p, &name) || !expect(p, ':')) return false;
      if (!strcmp(name, "__metadata__")) {
        if (!metadata(p)) return false;
        continue;
      }
      tn_safetensor *item = add_item(file);
      if (!item) {
        p->status = tn_fail(TN_ERROR_MEMORY, "%s: out of memory for the header", p->path);
        return false;
      }
      *item = (tn_safetensor){.name = name};
      if (!tensor(p, item, values, value_bytes)) return false;
      if (tn_safetensors_find(file, name)) return wrong(p, "a tensor occurs twice");
      file->count++;
    } while (next_is(p, ','));
    if (!expect(p, '}')) return false;
  }
  blanks(p);
  if (p->at != p->end) return wrong(p, "something follows the header");
  // the values are all of the rest, in stretches that neither overlap nor leave holes
  size_t covered = 0;
  if (file->count) qsort(file->items, file->count, sizeof *file->items, by_data);
  for (uint32_t i = 0; i < file->count; i++) {
    if ((const char *)file->items[i].data != values + covered)
      return wrong(p, "the tensors overlap or leave holes");
    covered += numel_of(&file->items[i].shape) * types[file->items[i].dtype].size;
  }
  if (covered != value_bytes) return wrong(p, "bytes that belong to no tensor");
  return true;
}

tn_status tn_safetensors_parse(const char *path, const void *bytes, size_t size, tn_safetensors **result) {
  const unsigned char *raw = bytes;
  uint64_t length = 0;
  *result = NULL;
  if (size < 8) return tn_fail(TN_ERROR_INVALID, "%s: %zu bytes are no safetensors file", path, size);
  for (int i = 0; i < 8; i++) length |= (uint64_t)raw[i] << 8 * i;
  if (length > size - 8 || length > HEADER_MAX)
    return tn_fail(TN_ERROR_INVALID, "%s: offset 0: a header of %llu bytes in a file of %zu", path,
                   (unsigned long long)length, size);
  tn_safetensors *file = calloc(1, sizeof *file);
  if (file) file->names = malloc((size_t)length + 1);
  if (!file || !file->names) {
    free(file);
    return tn_fail(TN_ERROR_MEMORY, "%s: out of memory for the header", path);
  }
  const char *start = (const char *)raw + 8;
  parser p = {.path = path, .start = start, .at = start, .end = start + length, .names = file->names};
  if (header(&p, file, start + length, size - 8 - (size_t)length)) {
    *result = file;
    return TN_OK;
  }
  tn_safetensors_close(file);
  return p.status;
}

tn_status tn_safetensors_open(const char *path, tn_safetensors **file) {
  struct stat status;
  *file = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) {
    int error = errno;
    if (fd >= 0) close(fd);
    return tn_fail(TN_ERROR_IO, "%s: cannot open: %s", path, strerror(error));
  }
  size_t size = status.st_size > 0 ? (size_t)status.st_size : 0, have = 0;
  char *bytes = S_ISREG(status.st_mode) ? malloc(size + 1) : NULL;
  bool ok = bytes != NULL;
  while (ok && have < size) {
    ssize_t n = read(fd, bytes + have, size - have < 1 << 30 ? size - have : 1 << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      ok = false;
    else
      have += (size_t)n;
  }
  close(fd);
  if (!ok) {
    free(bytes);
    return tn_fail(TN_ERROR_IO, "%s: cannot read", path);
  }
  tn_status result = tn_safetensors_parse(path, bytes, size, file);
  if (result == TN_OK)
    (*file)->bytes = bytes;
  else
    free(bytes);
  return result;
}

uint32_t tn_safetensors_count(const tn_safetensors *file) { return file->count; }
const tn_safetensor *tn_safetensors_at(const tn_safetensors *file, uint32_t index) {
  return &file->items[index];
}
const tn_safetensor *tn_safetensors_find(const tn_safetensors *file, const char *name) {
  for (uint32_t i = 0; i < file->count; i++)
    if (!strcmp(file->items[i].name, name)) return &file->items[i];
  return NULL;
}
void tn_safetensors_close(tn_safetensors *file) {
  if (!file) return;
  free(file->items);
  free(file->names);
  free(file->bytes);
  free(file);
}
