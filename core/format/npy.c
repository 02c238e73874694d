// SPDX-License-Identifier: MIT
#include "core/format/npy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/file.h"

static const struct {
  size_t size;         // bytes
  const char descr[3]; // without the byte order
  const char *name;
} types[] = {[TN_NPY_F32] = {4, "f4", "float32"}, [TN_NPY_F64] = {8, "f8", "float64"},
             [TN_NPY_I8] = {1, "i1", "int8"},     [TN_NPY_I16] = {2, "i2", "int16"},
             [TN_NPY_I32] = {4, "i4", "int32"},   [TN_NPY_I64] = {8, "i8", "int64"},
             [TN_NPY_U8] = {1, "u1", "uint8"},    [TN_NPY_U16] = {2, "u2", "uint16"},
             [TN_NPY_U32] = {4, "u4", "uint32"},  [TN_NPY_U64] = {8, "u8", "uint64"},
             [TN_NPY_BOOL] = {1, "b1", "bool"}};

enum { TYPE_COUNT = sizeof types / sizeof *types, PREFIX = 8 /* magic and version */, ALIGNMENT = 64 };

static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

static bool is_type(tn_npy_type type) { return (unsigned)type < TYPE_COUNT; }

size_t tn_npy_type_size(tn_npy_type type) { return is_type(type) ? types[type].size : 0; }

const char *tn_npy_type_name(tn_npy_type type) { return is_type(type) ? types[type].name : NULL; }

void tn_npy_free(tn_npy *array) {
  free(array->data);
  *array = (tn_npy){0};
}

static bool host_is_little(void) {
  const uint16_t one = 1;
  return *(const unsigned char *)&one == 1;
}

/* ---- the header's dictionary ---- */

typedef struct header {
  const char *file;
  tn_format_error *error;
  const char *start; // of the file, for offsets
  const char *at, *end;
  bool has_descr, has_order, has_shape;
  bool swapped, fortran;
  tn_npy *array;
} header;

static bool fail(const header *h, const char *what) {
  return tn_format_fail_offset(h->error, h->file, (size_t)(h->at - h->start), "%s", what);
}

static void skip_blanks(header *h) {
  while (h->at < h->end && (*h->at == ' ' || *h->at == '\t' || *h->at == '\n')) h->at++;
}

/* Takes the text, with blanks before it, if it comes next. */
static bool take(header *h, const char *text) {
  skip_blanks(h);
  size_t length = strlen(text);
  if ((size_t)(h->end - h->at) < length || memcmp(h->at, text, length) != 0) return false;
  h->at += length;
  return true;
}

/* A Python string without escapes. */
static bool read_text(header *h, char *text, size_t capacity) {
  skip_blanks(h);
  if (h->at == h->end || (*h->at != '\'' && *h->at != '"')) return fail(h, "expected a quoted text");
  char quote = *h->at;
  const char *start = h->at + 1, *end = memchr(start, quote, (size_t)(h->end - start));
  if (!end) return fail(h, "a quoted text does not end");
  size_t length = (size_t)(end - start);
  if (length >= capacity) return fail(h, "a quoted text is too long");
  if (memchr(start, 0, length)) return fail(h, "a NUL byte in a quoted text");
  memcpy(text, start, length);
  text[length] = 0;
  h->at = end + 1;
  return true;
}

static bool read_descr(header *h) {
  char text[16];
  skip_blanks(h);
  if (h->at < h->end && *h->at == '[') return fail(h, "structured types are not supported");
  const char *start = h->at;
  if (!read_text(h, text, sizeof text)) return false;
  for (unsigned type = 0; type < TYPE_COUNT; type++) {
    if (strlen(text) != 3 || strcmp(text + 1, types[type].descr) != 0) continue;
    bool one_byte = types[type].size == 1;
    if (!strchr("<>=|", text[0]) || (text[0] == '|' && !one_byte)) continue;
    h->array->type = (tn_npy_type)type;
    h->swapped = !one_byte && text[0] == (host_is_little() ? '>' : '<');
    return true;
  }
  h->at = start;
  return tn_format_fail_offset(h->error, h->file, (size_t)(start - h->start),
                               "type '%s' is not supported, expected f4, f8, i1 to i8, u1 to u8 or b1", text);
}

static bool read_order(header *h) {
  if (take(h, "True"))
    h->fortran = true;
  else if (!take(h, "False"))
    return fail(h, "expected True or False");
  return true;
}

static bool read_extent(header *h, size_t *extent) {
  const char *digits = h->at;
  *extent = 0;
  for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++) {
    size_t digit = (size_t)(*h->at - '0');
    if (*extent > (SIZE_MAX - digit) / 10) return fail(h, "a dimension is too large");
    *extent = *extent * 10 + digit;
  }
  if (h->at == digits) return fail(h, "expected a dimension");
  if (h->at < h->end && *h->at == 'L') h->at++; // Python 2 wrote long integers so
  return true;
}

/* A Python tuple: (), (3,), (3, 4), (3, 4,). */
static bool read_shape(header *h) {
  tn_npy *array = h->array;
  if (!take(h, "(")) return fail(h, "expected a tuple of dimensions");
  while (!take(h, ")")) {
    if (array->dims == TN_NPY_DIMS_MAX)
      return tn_format_fail_offset(h->error, h->file, (size_t)(h->at - h->start), "more than %d dimensions",
                                   TN_NPY_DIMS_MAX);
    if (!read_extent(h, &array->shape[array->dims])) return false;
    array->dims++;
    if (take(h, ",")) continue;
    if (array->dims == 1 || !take(h, ")")) return fail(h, "expected a comma in the tuple of dimensions");
    break;
  }
  array->count = 1;
  for (size_t d = 0; d < array->dims; d++) {
    if (array->shape[d] > 0 && array->count > SIZE_MAX / 8 / array->shape[d])
      return fail(h, "the dimensions make the array too large");
    array->count *= array->shape[d];
  }
  for (size_t d = array->dims; d < TN_NPY_DIMS_MAX; d++) array->shape[d] = 1;
  return true;
}

static bool read_entry(header *h) {
  char key[16];
  skip_blanks(h);
  const char *start = h->at;
  if (!read_text(h, key, sizeof key)) return false;
  if (!take(h, ":")) return fail(h, "expected a colon");
  bool *seen = strcmp(key, "descr") == 0           ? &h->has_descr
               : strcmp(key, "fortran_order") == 0 ? &h->has_order
               : strcmp(key, "shape") == 0         ? &h->has_shape
                                                   : NULL;
  if (!seen || *seen) {
    h->at = start;
    return fail(h, seen ? "a key occurs twice" : "a key other than descr, fortran_order and shape");
  }
  *seen = true;
  return seen == &h->has_descr ? read_descr(h) : seen == &h->has_order ? read_order(h) : read_shape(h);
}

static bool read_dictionary(header *h) {
  if (!take(h, "{")) return fail(h, "expected the header's dictionary");
  while (!take(h, "}")) {
    if (!read_entry(h)) return false;
    if (take(h, ",")) continue;
    if (!take(h, "}")) return fail(h, "expected a comma or the end of the dictionary");
    break;
  }
  skip_blanks(h);
  if (h->at < h->end) return fail(h, "text after the header's dictionary");
  if (!h->has_descr || !h->has_order || !h->has_shape)
    return fail(h, "the header lacks descr, fortran_order or shape");
  return true;
}

/* Everything before the values; *length is how many bytes that is. */
static bool read_header(header *h, const tn_bytes *bytes, size_t *length) {
  const unsigned char *b = bytes->data;
  h->start = h->at = (const char *)b;
  if (bytes->size < sizeof magic || memcmp(b, magic, sizeof magic) != 0)
    return fail(h, "not an NPY file: it does not begin with 93 'NUMPY'");
  size_t major = bytes->size < PREFIX ? 0 : b[6], counter = major == 1 ? 2 : 4; // bytes of the length
  if (bytes->size < PREFIX + counter)
    return tn_format_fail_offset(h->error, h->file, bytes->size, "the file ends inside the header");
  if (major < 1 || major > 3 || b[7] != 0)
    return tn_format_fail_offset(h->error, h->file, 6, "version %u.%u, expected 1.0, 2.0 or 3.0", b[6], b[7]);
  size_t size = 0;
  for (size_t i = counter; i-- > 0;) size = size << 8 | b[PREFIX + i];
  if (size > bytes->size - PREFIX - counter)
    return tn_format_fail_offset(h->error, h->file, bytes->size,
                                 "the file ends inside the header of %zu bytes", size);
  *length = PREFIX + counter + size;
  h->at = (const char *)b + PREFIX + counter;
  h->end = (const char *)b + *length;
  return read_dictionary(h);
}

/* ---- the values ---- */

static void swap_bytes(unsigned char *b, size_t count, size_t size) {
  for (size_t i = 0; i < count; i++, b += size) {
    for (size_t k = 0; k < size / 2; k++) {
      unsigned char c = b[k];
      b[k] = b[size - 1 - k];
      b[size - 1 - k] = c;
    }
  }
}

/* Row-major `to` from column-major `from`: walks the rows in order and keeps the column-major offset. */
static void to_row_major(const tn_npy *array, const unsigned char *from, unsigned char *to) {
  size_t size = types[array->type].size;
  size_t stride[TN_NPY_DIMS_MAX], index[TN_NPY_DIMS_MAX] = {0}, offset = 0;
  for (size_t d = 0, step = size; d < array->dims; step *= array->shape[d++]) stride[d] = step;
  for (size_t i = 0; i < array->count; i++, to += size) {
    memcpy(to, from + offset, size);
    for (size_t d = array->dims; d-- > 0;) {
      offset += stride[d];
      if (++index[d] < array->shape[d]) break;
      offset -= stride[d] * array->shape[d];
      index[d] = 0;
    }
  }
}

static bool check_booleans(const header *h, const unsigned char *data, size_t offset) {
  for (size_t i = 0; i < h->array->count; i++)
    if (data[i] > 1)
      return tn_format_fail_offset(h->error, h->file, offset + i, "boolean %u, expected 0 or 1", data[i]);
  return true;
}

/* "3 x 4 float32" */
static void describe(const tn_npy *array, char *text, size_t capacity) {
  size_t used = 0;
  for (size_t d = 0; d < array->dims && used < capacity; d++)
    used += (size_t)snprintf(text + used, capacity - used, "%s%zu", d ? " x " : "", array->shape[d]);
  if (used < capacity)
    snprintf(text + used, capacity - used, "%s%s", array->dims ? " " : "one ", types[array->type].name);
}

/* The array is made of the file's own buffer, or of a second one as large, so no size that a header claims is
 * ever allocated. */
static bool parse(const char *file, tn_bytes *bytes, tn_npy *array, tn_format_error *error) {
  header h = {.file = file, .error = error, .array = array};
  size_t length = 0;
  if (!read_header(&h, bytes, &length)) return false;
  size_t size = array->count * types[array->type].size, present = bytes->size - length;
  if (present != size) {
    char shape[200];
    describe(array, shape, sizeof shape);
    return tn_format_fail_offset(error, file, present < size ? bytes->size : length + size,
                                 "%zu bytes of data, but %s need %zu", present, shape, size);
  }
  if (array->type == TN_NPY_BOOL && !check_booleans(&h, bytes->data + length, length)) return false;
  if (h.fortran && array->dims > 1) {
    array->data = malloc(size > 0 ? size : 1);
    if (!array->data) return tn_format_fail(error, file, "out of memory");
    to_row_major(array, bytes->data + length, array->data);
  } else {
    memmove(bytes->data, bytes->data + length, size);
    array->data = bytes->data;
    *bytes = (tn_bytes){0};
  }
  if (h.swapped) swap_bytes(array->data, array->count, types[array->type].size);
  return true;
}

static bool parse_and_release(const char *file, tn_bytes *bytes, tn_npy *array, tn_format_error *error) {
  bool ok = parse(file, bytes, array, error);
  if (!ok) tn_npy_free(array);
  tn_bytes_free(bytes);
  return ok;
}

bool tn_npy_read(const char *path, size_t limit, tn_npy *array, tn_format_error *error) {
  *array = (tn_npy){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, array, error);
}

bool tn_npy_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_npy *array,
                  tn_format_error *error) {
  *array = (tn_npy){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, array, error);
}

/* ---- writing ---- */

/* The header, padded with blanks so that the values begin at a multiple of ALIGNMENT. */
static size_t format_header(const tn_npy *array, char *text, size_t capacity) {
  char order = types[array->type].size == 1 ? '|' : host_is_little() ? '<' : '>';
  size_t used = PREFIX + 2;
  used +=
      (size_t)snprintf(text + used, capacity - used, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                       order, types[array->type].descr);
  for (size_t d = 0; d < array->dims; d++)
    used += (size_t)snprintf(text + used, capacity - used, "%s%zu%s", d ? ", " : "", array->shape[d],
                             array->dims == 1 ? "," : "");
  used += (size_t)snprintf(text + used, capacity - used, "), }");
  size_t length = (used + ALIGNMENT) / ALIGNMENT * ALIGNMENT; // one byte more at least: the line feed
  memset(text + used, ' ', length - used);
  text[length - 1] = '\n';
  memcpy(text, magic, sizeof magic);
  text[6] = 1;
  text[7] = 0;
  text[8] = (char)((length - PREFIX - 2) & 0xff);
  text[9] = (char)((length - PREFIX - 2) >> 8);
  return length;
}

bool tn_npy_pack(const char *file, const tn_npy *array, tn_bytes *bytes, tn_format_error *error) {
  *bytes = (tn_bytes){0};
  if (!is_type(array->type) || array->dims > TN_NPY_DIMS_MAX)
    return tn_format_fail(error, file, "not an array: type %d, %zu dimensions", (int)array->type,
                          array->dims);
  char text[512]; // 80 bytes of words and 8 extents of up to 22
  size_t length = format_header(array, text, sizeof text), size = types[array->type].size;
  for (size_t d = 0; d < array->dims; d++) {
    if (array->shape[d] > 0 && size > (SIZE_MAX / 2 - sizeof text) / array->shape[d])
      return tn_format_fail(error, file, "the dimensions make the array too large");
    size *= array->shape[d];
  }
  bytes->data = malloc(length + size + 1);
  if (!bytes->data) return tn_format_fail(error, file, "out of memory");
  memcpy(bytes->data, text, length);
  if (size > 0) memcpy(bytes->data + length, array->data, size);
  bytes->size = length + size;
  bytes->data[bytes->size] = 0;
  return true;
}

bool tn_npy_write(const char *path, const tn_npy *array, tn_format_error *error) {
  tn_bytes bytes;
  if (!tn_npy_pack(path, array, &bytes, error)) return false;
  bool ok = tn_file_write(path, bytes.data, bytes.size, error);
  tn_bytes_free(&bytes);
  return ok;
}
