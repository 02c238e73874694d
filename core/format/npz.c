// SPDX-License-Identifier: MIT
#include "core/format/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/file.h"
#include "core/format/zip.h"

static const char ending[] = ".npy";
enum { ENDING = sizeof ending - 1 };

void tn_npz_free(tn_npz *npz) {
  for (size_t i = 0; i < npz->count; i++) {
    free(npz->arrays[i].name);
    tn_npy_free(&npz->arrays[i].array);
  }
  free(npz->arrays);
  *npz = (tn_npz){0};
}

const tn_npy *tn_npz_find(const tn_npz *npz, const char *name) {
  for (size_t i = 0; i < npz->count; i++)
    if (strcmp(npz->arrays[i].name, name) == 0) return &npz->arrays[i].array;
  return NULL;
}

/* ---- reading ---- */

/* "FILE(ENTRY)", as errors inside an entry call it: their offsets count from its unpacked start. For free. */
static char *place(const char *file, const char *entry) {
  size_t size = strlen(file) + strlen(entry) + 3;
  char *text = malloc(size);
  if (text) snprintf(text, size, "%s(%s)", file, entry);
  return text;
}

static bool read_array(const char *file, const tn_bytes *bytes, tn_zip_entry *entry, size_t *limit,
                       tn_npz_array *array, tn_format_error *error) {
  size_t length = strlen(entry->name);
  if (length < ENDING || strcmp(entry->name + length - ENDING, ending) != 0)
    return tn_format_fail_offset(error, file, entry->header, "entry '%.80s' is not an array (%s)",
                                 entry->name, ending);
  tn_bytes content;
  if (!tn_zip_unpack(file, bytes, entry, *limit, &content, error)) return false;
  *limit -= content.size;
  char *name = place(file, entry->name);
  bool ok = name ? tn_npy_parse(name, content.data, content.size, content.size + 1, &array->array, error)
                 : tn_format_fail(error, file, "out of memory");
  free(name);
  tn_bytes_free(&content);
  if (!ok) return false;
  entry->name[length - ENDING] = 0;
  array->name = entry->name; // moves to the array
  entry->name = NULL;
  return true;
}

static bool parse(const char *file, const tn_bytes *bytes, size_t limit, tn_npz *npz,
                  tn_format_error *error) {
  if (limit == 0) limit = TN_STREAM_LIMIT;
  tn_zip zip;
  if (!tn_zip_parse(file, bytes, &zip, error)) return false;
  npz->arrays = calloc(zip.count + 1, sizeof *npz->arrays);
  bool ok = npz->arrays || tn_format_fail(error, file, "out of memory");
  for (size_t i = 0; ok && i < zip.count; i++) {
    ok = read_array(file, bytes, &zip.entries[i], &limit, &npz->arrays[i], error);
    if (ok) npz->count++;
  }
  tn_zip_free(&zip);
  return ok;
}

static bool parse_and_release(const char *file, tn_bytes *bytes, size_t limit, tn_npz *npz,
                              tn_format_error *error) {
  bool ok = parse(file, bytes, limit, npz, error);
  if (!ok) tn_npz_free(npz);
  tn_bytes_free(bytes);
  return ok;
}

bool tn_npz_read(const char *path, size_t limit, tn_npz *npz, tn_format_error *error) {
  *npz = (tn_npz){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, limit, npz, error);
}

bool tn_npz_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_npz *npz,
                  tn_format_error *error) {
  *npz = (tn_npz){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, limit, npz, error);
}

/* ---- writing ---- */

static bool add_array(tn_zip_writer *writer, const char *file, const tn_npz_array *array, bool deflated,
                      tn_format_error *error) {
  tn_bytes content;
  if (!tn_npy_pack(file, &array->array, &content, error)) return false;
  size_t length = strlen(array->name);
  char *name = malloc(length + sizeof ending);
  if (name) {
    memcpy(name, array->name, length);
    memcpy(name + length, ending, sizeof ending);
  }
  bool ok = name ? tn_zip_add(writer, file, name, content.data, content.size, deflated, error)
                 : tn_format_fail(error, file, "out of memory");
  free(name);
  tn_bytes_free(&content);
  return ok;
}

bool tn_npz_pack(const char *file, const tn_npz *npz, bool deflated, tn_bytes *bytes,
                 tn_format_error *error) {
  *bytes = (tn_bytes){0};
  tn_zip_writer writer = {0};
  for (size_t i = 0; i < npz->count; i++) {
    if (add_array(&writer, file, &npz->arrays[i], deflated, error)) continue;
    tn_zip_writer_free(&writer);
    return false;
  }
  return tn_zip_finish(&writer, file, bytes, error);
}

bool tn_npz_write(const char *path, const tn_npz *npz, bool deflated, tn_format_error *error) {
  tn_bytes bytes;
  if (!tn_npz_pack(path, npz, deflated, &bytes, error)) return false;
  bool ok = tn_file_write(path, bytes.data, bytes.size, error);
  tn_bytes_free(&bytes);
  return ok;
}
