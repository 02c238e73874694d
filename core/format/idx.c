// SPDX-License-Identifier: MIT
#include "core/format/idx.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  tn_idx_type type;
  size_t size; // bytes
  const char *name;
} types[] = {{TN_IDX_U8, 1, "uint8"},  {TN_IDX_I8, 1, "int8"},     {TN_IDX_I16, 2, "int16"},
             {TN_IDX_I32, 4, "int32"}, {TN_IDX_F32, 4, "float32"}, {TN_IDX_F64, 8, "float64"}};

size_t tn_idx_type_size(tn_idx_type type) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].type == type) return types[i].size;
  return 0;
}

const char *tn_idx_type_name(tn_idx_type type) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].type == type) return types[i].name;
  return NULL;
}

void tn_idx_free(tn_idx *idx) {
  free(idx->data);
  *idx = (tn_idx){0};
}

/* Reads type and shape. *header is the number of bytes they take, *size the bytes of data that must follow.
 */
static bool parse_header(const char *file, const tn_bytes *bytes, tn_idx *idx, size_t *header, size_t *size,
                         tn_format_error *error) {
  const unsigned char *b = bytes->data;
  if (bytes->size < 4)
    return tn_format_fail_offset(error, file, bytes->size, "the file ends inside the 4-byte IDX header");
  if (b[0] != 0 || b[1] != 0)
    return tn_format_fail_offset(error, file, 0, "not an IDX file: it begins with %02x %02x, not 00 00", b[0],
                                 b[1]);
  idx->type = (tn_idx_type)b[2];
  size_t bytes_each = tn_idx_type_size(idx->type);
  if (bytes_each == 0) return tn_format_fail_offset(error, file, 2, "unknown IDX type 0x%02x", b[2]);
  idx->dims = b[3];
  if (idx->dims < 1 || idx->dims > TN_IDX_DIMS_MAX)
    return tn_format_fail_offset(error, file, 3, "%zu dimensions, expected 1 to %d", idx->dims,
                                 TN_IDX_DIMS_MAX);
  *header = 4 + 4 * idx->dims;
  if (bytes->size < *header)
    return tn_format_fail_offset(error, file, bytes->size,
                                 "the file ends inside the sizes of its %zu dimensions", idx->dims);

  for (size_t d = 0; d < TN_IDX_DIMS_MAX; d++) idx->shape[d] = 1;
  idx->count = 1;
  for (size_t d = 0; d < idx->dims; d++) {
    size_t at = 4 + 4 * d;
    uint32_t extent =
        (uint32_t)b[at] << 24 | (uint32_t)b[at + 1] << 16 | (uint32_t)b[at + 2] << 8 | b[at + 3];
    if (extent == 0) return tn_format_fail_offset(error, file, at, "dimension %zu is 0", d + 1);
    if (idx->count > SIZE_MAX / bytes_each / extent)
      return tn_format_fail_offset(error, file, at, "dimension %zu of %lu makes the array too large", d + 1,
                                   (unsigned long)extent);
    idx->shape[d] = extent;
    idx->count *= extent;
  }
  *size = idx->count * bytes_each;
  return true;
}

/* "60000 x 28 x 28 uint8" */
static void describe(const tn_idx *idx, char *text, size_t capacity) {
  size_t used = 0;
  for (size_t d = 0; d < idx->dims && used < capacity; d++)
    used += (size_t)snprintf(text + used, capacity - used, "%s%zu", d ? " x " : "", idx->shape[d]);
  if (used < capacity) snprintf(text + used, capacity - used, " %s", tn_idx_type_name(idx->type));
}

/* Big-endian values to host order, in place. Shifts work on any host. */
static void to_host_order(void *data, size_t count, size_t bytes_each) {
  unsigned char *b = data;
  for (size_t i = 0; i < count; i++, b += bytes_each) {
    if (bytes_each == 2) {
      uint16_t v = (uint16_t)(b[0] << 8 | b[1]);
      memcpy(b, &v, sizeof v);
    } else if (bytes_each == 4) {
      uint32_t v = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
      memcpy(b, &v, sizeof v);
    } else {
      uint64_t v = 0;
      for (size_t k = 0; k < 8; k++) v = v << 8 | b[k];
      memcpy(b, &v, sizeof v);
    }
  }
}

/* The array is made of the file's own buffer, so no size that a header claims is ever allocated. */
static bool parse(const char *file, tn_bytes *bytes, tn_idx *idx, tn_format_error *error) {
  size_t header = 0, size = 0;
  if (!parse_header(file, bytes, idx, &header, &size, error)) return false;
  size_t present = bytes->size - header;
  if (present != size) {
    char shape[120];
    describe(idx, shape, sizeof shape);
    return tn_format_fail_offset(error, file, present < size ? bytes->size : header + size,
                                 "%zu bytes of data, but %s need %zu", present, shape, size);
  }
  memmove(bytes->data, bytes->data + header, size);
  size_t bytes_each = size / idx->count;
  if (bytes_each > 1) to_host_order(bytes->data, idx->count, bytes_each);
  idx->data = bytes->data;
  *bytes = (tn_bytes){0};
  return true;
}

static bool parse_and_release(const char *file, tn_bytes *bytes, tn_idx *idx, tn_format_error *error) {
  bool ok = parse(file, bytes, idx, error);
  if (!ok) *idx = (tn_idx){0};
  tn_bytes_free(bytes);
  return ok;
}

bool tn_idx_read(const char *path, size_t limit, tn_idx *idx, tn_format_error *error) {
  *idx = (tn_idx){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, idx, error);
}

bool tn_idx_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_idx *idx,
                  tn_format_error *error) {
  *idx = (tn_idx){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, idx, error);
}
