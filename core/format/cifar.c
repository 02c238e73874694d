// SPDX-License-Identifier: MIT
#include "core/format/cifar.h"

#include <stdlib.h>
#include <string.h>

#include "core/format/scan.h"

enum { CLASSES_10 = 10, COARSE_100 = 20, CLASSES_100 = 100, NAMES_MAX = 256, NAMES_BYTES_MAX = 1 << 20 };

void tn_cifar_free(tn_cifar *set) {
  free(set->images);
  free(set->labels);
  free(set->coarse);
  *set = (tn_cifar){0};
}

static bool check_label(const char *file, size_t offset, unsigned label, unsigned classes,
                        tn_format_error *error) {
  return label < classes ||
         tn_format_fail_offset(error, file, offset, "label %u, expected 0 to %u", label, classes - 1);
}

static bool parse(const char *file, const tn_bytes *bytes, tn_cifar_kind kind, tn_cifar *set,
                  tn_format_error *error) {
  bool hundred = kind == TN_CIFAR_100;
  size_t labels = hundred ? 2 : 1, record = labels + TN_CIFAR_PIXELS;
  if (bytes->size == 0) return tn_format_fail(error, file, "empty file");
  if (bytes->size % record != 0)
    return tn_format_fail_offset(error, file, bytes->size, "the file ends inside a record of %zu bytes",
                                 record);
  set->count = bytes->size / record;
  set->images = malloc(set->count * TN_CIFAR_PIXELS);
  set->labels = malloc(set->count);
  set->coarse = hundred ? malloc(set->count) : NULL;
  if (!set->images || !set->labels || (hundred && !set->coarse))
    return tn_format_fail(error, file, "out of memory");
  for (size_t i = 0; i < set->count; i++) {
    size_t at = i * record;
    const unsigned char *b = bytes->data + at;
    if (hundred) {
      if (!check_label(file, at, b[0], COARSE_100, error)) return false;
      set->coarse[i] = b[0];
    }
    set->labels[i] = b[labels - 1];
    if (!check_label(file, at + labels - 1, set->labels[i], hundred ? CLASSES_100 : CLASSES_10, error))
      return false;
    memcpy(set->images + i * TN_CIFAR_PIXELS, b + labels, TN_CIFAR_PIXELS);
  }
  return true;
}

static bool parse_and_release(const char *file, tn_bytes *bytes, tn_cifar_kind kind, tn_cifar *set,
                              tn_format_error *error) {
  bool ok = parse(file, bytes, kind, set, error);
  tn_bytes_free(bytes);
  if (!ok) tn_cifar_free(set);
  return ok;
}

bool tn_cifar_read(const char *path, tn_cifar_kind kind, size_t limit, tn_cifar *set,
                   tn_format_error *error) {
  *set = (tn_cifar){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, kind, set, error);
}

bool tn_cifar_parse(const char *file, const void *bytes, size_t size, tn_cifar_kind kind, size_t limit,
                    tn_cifar *set, tn_format_error *error) {
  *set = (tn_cifar){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, kind, set, error);
}

/* ---- class names ---- */

void tn_cifar_names_free(tn_cifar_names *names) {
  free(names->names);
  free(names->text);
  *names = (tn_cifar_names){0};
}

/* The name at the cursor, without blanks after it, and its line end. */
static bool read_name(tn_scan *scan, tn_cifar_names *names) {
  if (names->count == NAMES_MAX) return tn_scan_fail(scan, "more than %d names", NAMES_MAX);
  char *name = names->text + (scan->at - (const char *)names->text), *end = name;
  size_t line = scan->line;
  while (!tn_scan_at_line_end(scan)) {
    if (*scan->at == 0) return tn_scan_fail(scan, "NUL byte");
    if (*scan->at != ' ' && *scan->at != '\t') end = name + (scan->at - name) + 1;
    scan->at++;
  }
  tn_scan_line_end(scan);
  *end = 0; // the cursor is behind it
  for (size_t i = 0; i < names->count; i++)
    if (strcmp(names->names[i], name) == 0)
      return tn_format_fail_line(scan->error, scan->file, line, "'%.80s' occurs twice", name);
  names->names[names->count++] = name;
  return true;
}

static bool parse_names(const char *file, tn_bytes *bytes, tn_cifar_names *names, tn_format_error *error) {
  tn_scan scan = tn_scan_open(file, bytes, error);
  names->text = (char *)bytes->data;
  *bytes = (tn_bytes){0};
  names->names = malloc(NAMES_MAX * sizeof *names->names);
  if (!names->names) return tn_format_fail(error, file, "out of memory");
  while (!tn_scan_done(&scan)) {
    if (tn_scan_at_line_end(&scan)) return tn_scan_fail(&scan, "blank line");
    if (!read_name(&scan, names)) return false;
  }
  return names->count > 0 || tn_format_fail(error, file, "no names");
}

static bool parse_names_and_release(const char *file, tn_bytes *bytes, tn_cifar_names *names,
                                    tn_format_error *error) {
  bool ok = parse_names(file, bytes, names, error);
  if (!ok) tn_cifar_names_free(names);
  return ok;
}

bool tn_cifar_names_read(const char *path, tn_cifar_names *names, tn_format_error *error) {
  *names = (tn_cifar_names){0};
  tn_bytes bytes;
  return tn_stream_read(path, NAMES_BYTES_MAX, &bytes, error) &&
         parse_names_and_release(path, &bytes, names, error);
}

bool tn_cifar_names_parse(const char *file, const void *bytes, size_t size, tn_cifar_names *names,
                          tn_format_error *error) {
  *names = (tn_cifar_names){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, NAMES_BYTES_MAX, &copy, error) &&
         parse_names_and_release(file, &copy, names, error);
}
