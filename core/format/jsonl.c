// SPDX-License-Identifier: MIT
#include "core/format/jsonl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/scan.h"

enum { KEY_MAX = 256 };

static const char *const type_names[] = {
    [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a text",
    [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
    [JSON_FALSE] = "a boolean",  [JSON_NULL] = "null"};

void tn_jsonl_free(tn_jsonl *rows) {
  for (size_t i = 0; i < rows->count; i++) json_decref(rows->objects[i]);
  free(rows->objects);
  free(rows->file);
  *rows = (tn_jsonl){0};
}

/* The object of the cursor's line, which it goes behind; NULL on failure. */
static json_t *read_object(tn_scan *scan) {
  if (tn_scan_at_line_end(scan)) {
    tn_scan_fail(scan, "blank line");
    return NULL;
  }
  tn_scan line = *scan;
  tn_scan_rest(scan);
  json_error_t why;
  json_t *object = json_loadb(line.at, (size_t)(scan->at - line.at), JSON_REJECT_DUPLICATES, &why);
  if (!object) {
    tn_scan_fail(&line, "column %d: %s", why.column, why.text);
  } else if (!json_is_object(object)) {
    tn_scan_fail(&line, "expected an object, got %s", type_names[json_typeof(object)]);
    json_decref(object);
    object = NULL;
  }
  return object;
}

static bool parse(const char *file, const tn_bytes *bytes, tn_jsonl *rows, tn_format_error *error) {
  size_t capacity = 0;
  rows->file = strdup(file);
  if (!rows->file) return tn_format_fail(error, file, "out of memory");
  tn_scan scan = tn_scan_open(file, bytes, error);
  while (!tn_scan_done(&scan)) {
    void *grown = tn_grown(rows->objects, &capacity, rows->count, sizeof *rows->objects);
    if (!grown) return tn_format_fail(error, file, "out of memory");
    rows->objects = grown;
    json_t *object = read_object(&scan);
    if (!object) return false;
    rows->objects[rows->count++] = object;
  }
  return rows->count > 0 || tn_format_fail(error, file, "no lines");
}

static bool parse_and_release(const char *file, tn_bytes *bytes, tn_jsonl *rows, tn_format_error *error) {
  bool ok = parse(file, bytes, rows, error);
  tn_bytes_free(bytes);
  if (!ok) tn_jsonl_free(rows);
  return ok;
}

bool tn_jsonl_read(const char *path, size_t limit, tn_jsonl *rows, tn_format_error *error) {
  *rows = (tn_jsonl){0};
  tn_bytes bytes;
  return tn_stream_read(path, limit, &bytes, error) && parse_and_release(path, &bytes, rows, error);
}

bool tn_jsonl_parse(const char *file, const void *bytes, size_t size, size_t limit, tn_jsonl *rows,
                    tn_format_error *error) {
  *rows = (tn_jsonl){0};
  tn_bytes copy;
  return tn_stream_unpack(file, bytes, size, limit, &copy, error) &&
         parse_and_release(file, &copy, rows, error);
}

/* ---- fields ---- */

/* The value of a field, or NULL. */
static const json_t *find(const tn_jsonl *rows, size_t row, const char *field) {
  const json_t *value = rows->objects[row];
  for (;;) {
    const json_t *whole = json_object_get(value, field);
    const char *point = strchr(field, '.');
    if (whole || !point) return whole;
    char key[KEY_MAX];
    size_t length = (size_t)(point - field);
    if (length >= sizeof key) return NULL;
    memcpy(key, field, length);
    key[length] = 0;
    value = json_object_get(value, key); // NULL unless it is an object that has it
    if (!value) return NULL;
    field = point + 1;
  }
}

static bool refuse(const tn_jsonl *rows, size_t row, const char *field, const json_t *value,
                   const char *wanted, tn_format_error *error) {
  if (!value) return tn_format_fail_line(error, rows->file, row + 1, "no field '%.80s'", field);
  return tn_format_fail_line(error, rows->file, row + 1, "field '%.80s' is %s, expected %s", field,
                             type_names[json_typeof(value)], wanted);
}

bool tn_jsonl_has(const tn_jsonl *rows, size_t row, const char *field) {
  const json_t *value = find(rows, row, field);
  return value && !json_is_null(value);
}

bool tn_jsonl_text(const tn_jsonl *rows, size_t row, const char *field, const char **text,
                   tn_format_error *error) {
  const json_t *value = find(rows, row, field);
  *text = json_string_value(value);
  return *text || refuse(rows, row, field, value, "a text", error);
}

bool tn_jsonl_number(const tn_jsonl *rows, size_t row, const char *field, double *number,
                     tn_format_error *error) {
  const json_t *value = find(rows, row, field);
  *number = json_number_value(value);
  return json_is_number(value) || refuse(rows, row, field, value, "a number", error);
}

bool tn_jsonl_boolean(const tn_jsonl *rows, size_t row, const char *field, bool *boolean,
                      tn_format_error *error) {
  const json_t *value = find(rows, row, field);
  *boolean = json_is_true(value);
  return json_is_boolean(value) || refuse(rows, row, field, value, "a boolean", error);
}
