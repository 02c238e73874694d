// SPDX-License-Identifier: MIT
#include "core/report/event_file.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/report/base64.h"

enum { NOTES_MOST = 12, SIDE_MOST = 1 << 20 };

static void note(tn_event_file *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(tn_event_file *f, const char *format, ...) {
  char text[256];
  va_list arguments;
  if (f->note_count == NOTES_MOST) {
    f->unnoted++;
    return;
  }
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < 0x20) *c = ' '; // a name in the file may hold a newline
  *(char **)tn_grow(&f->notes, f->note_count, &f->note_room, sizeof *f->notes) = tn_copy_text(text);
  f->note_count++;
}

/* ---- members ---- */

const char *tn_item_text(const json_t *item, const char *key) {
  const char *text = json_string_value(json_object_get(item, key));
  return text ? text : "";
}

int64_t tn_item_integer(const json_t *item, const char *key) {
  return json_integer_value(json_object_get(item, key));
}

const char *tn_item_label(const json_t *item, const char *key, size_t i) {
  return json_string_value(json_array_get(json_object_get(item, key), i));
}

size_t tn_item_count(const json_t *item, const char *key) {
  return json_array_size(json_object_get(item, key));
}

double *tn_item_numbers(const json_t *item, const char *key) {
  const json_t *array = json_object_get(item, key), *value;
  double *numbers = tn_take((json_array_size(array) + 1) * sizeof *numbers);
  size_t i;
  json_array_foreach(array, i, value) numbers[i] = json_is_number(value) ? json_number_value(value) : NAN;
  return numbers;
}

int64_t tn_item_size(const json_t *item, size_t axis) {
  return json_integer_value(json_array_get(json_object_get(item, "shape"), axis));
}

/* ---- what a kind needs ---- */

static bool all_texts(const json_t *array) {
  size_t i;
  const json_t *value;
  json_array_foreach(array, i, value) if (!json_is_string(value)) return false;
  return true;
}

static bool all_numbers(const json_t *array) {
  size_t i;
  const json_t *value;
  json_array_foreach(array, i, value) if (!json_is_number(value) && !json_is_null(value)) return false;
  return true;
}

static bool has_shape(const json_t *item, size_t axes) {
  const json_t *shape = json_object_get(item, "shape");
  if (json_array_size(shape) != axes) return false;
  for (size_t i = 0; i < axes; i++) {
    const json_t *size = json_array_get(shape, i);
    if (!json_is_integer(size) || json_integer_value(size) < 0 || json_integer_value(size) > SIDE_MOST)
      return false;
  }
  return true;
}

static bool has_matrix(const json_t *item, int64_t least_columns) {
  const json_t *values = json_object_get(item, "values"), *spread = json_object_get(item, "spread");
  return has_shape(item, 2) && tn_item_size(item, 1) >= least_columns && json_is_array(values) &&
         json_array_size(values) == (size_t)(tn_item_size(item, 0) * tn_item_size(item, 1)) &&
         all_numbers(values) && all_numbers(spread);
}

static bool is_matrix(const json_t *item) { return has_matrix(item, 1); }
static bool is_scatter(const json_t *item) { return has_matrix(item, 2) && tn_item_size(item, 1) <= 3; }

/* The spread has a column less than the values: none of x. */
static bool is_series(const json_t *item) {
  const size_t spread = tn_item_count(item, "spread");
  return has_matrix(item, 2) &&
         (spread == 0 || spread == (size_t)(tn_item_size(item, 0) * (tn_item_size(item, 1) - 1)));
}

static bool is_bars(const json_t *item) {
  const size_t spread = tn_item_count(item, "spread");
  return has_matrix(item, 1) && (spread == 0 || spread == tn_item_count(item, "values"));
}

static bool is_histogram(const json_t *item) {
  const json_t *range = json_object_get(item, "range");
  const json_t *low = json_array_get(range, 0), *high = json_array_get(range, 1);
  return has_matrix(item, 1) && json_is_number(low) && json_is_number(high) &&
         json_number_value(low) <= json_number_value(high);
}

static bool is_images(const json_t *item) {
  const json_t *images = json_object_get(item, "png"), *image;
  size_t i;
  if (!has_shape(item, 4) || !json_is_array(images) || !all_texts(images)) return false;
  json_array_foreach(images, i, image) if (!tn_base64_valid(json_string_value(image))) return false;
  return true;
}

static bool is_table(const json_t *item) {
  const json_t *cells = json_object_get(item, "cells");
  const int64_t rows = tn_item_integer(item, "rows"), columns = tn_item_integer(item, "columns");
  return json_is_array(cells) && all_texts(cells) && rows >= 0 && columns >= 0 && rows <= SIDE_MOST &&
         columns <= SIDE_MOST && json_array_size(cells) == (size_t)(rows * columns);
}

static bool is_text(const json_t *item) { return json_is_string(json_object_get(item, "text")); }

static const struct {
  const char *kind;
  bool (*is_whole)(const json_t *item);
  const char *needs;
} views[] = {
    {"table", is_table, "rows x columns cells"},
    {"matrix", is_matrix, "a shape of two sizes and as many values"},
    {"images", is_images, "a shape of four sizes, and PNG images in base64"},
    {"graph", is_text, "a text"},
    {"scatter", is_scatter, "a shape of n x 2 or n x 3 and as many values"},
    {"histogram", is_histogram, "a shape of two sizes, as many values, and a range"},
    {"text", is_text, "a text"},
    {"series", is_series, "a shape of two sizes, as many values, and a spread for each line"},
    {"bars", is_bars, "a shape of two sizes, as many values, and as many spreads"},
};

bool tn_item_known(const json_t *item) {
  for (size_t i = 0; i < sizeof views / sizeof *views; i++)
    if (strcmp(tn_item_text(item, "type"), views[i].kind) == 0) return true;
  return false;
}

static void add_item(tn_event_file *f, json_t *item, uint32_t line) {
  const char *kind = tn_item_text(item, "type");
  for (size_t i = 0; i < sizeof views / sizeof *views; i++)
    if (strcmp(kind, views[i].kind) == 0 &&
        (!views[i].is_whole(item) || !all_texts(json_object_get(item, "row_labels")) ||
         !all_texts(json_object_get(item, "column_labels")))) {
      note(f, "line %u: %s '%.60s' is not whole; it needs %s", line, kind, tn_item_text(item, "name"),
           views[i].needs);
      return;
    }
  *(json_t **)tn_grow(&f->items, f->item_count, &f->item_room, sizeof item) = json_incref(item);
  f->item_count++;
}

/* ---- lines ---- */

static char *copy_member(const json_t *event, const char *key) {
  const char *text = json_string_value(json_object_get(event, key));
  return text ? tn_copy_text(text) : NULL;
}

static void begin_run(tn_event_file *f, const json_t *event) {
  if (f->name) return;
  f->name = tn_copy_text(tn_item_text(event, "name"));
  f->file = copy_member(event, "file");
  f->host = copy_member(event, "host");
  f->cpu = copy_member(event, "cpu");
  const json_t *seed = json_object_get(event, "seed");
  if (json_is_integer(seed)) f->seed = json_integer_value(seed);
  f->time = tn_item_integer(event, "time");
}

static tn_stage_span *stage_of(tn_event_file *f, const char *name) {
  for (uint32_t i = 0; i < f->stage_count; i++)
    if (strcmp(f->stages[i].name, name) == 0) return &f->stages[i];
  tn_stage_span *stage = tn_grow(&f->stages, f->stage_count, &f->stage_room, sizeof *stage);
  *stage = (tn_stage_span){.name = tn_copy_text(name), .began = f->seconds, .ended = NAN};
  f->stage_count++;
  return stage;
}

/* Scalars of a step or a result; null is a number that was not finite. */
static void add_scalars(tn_event_file *f, const json_t *event, bool step) {
  const char *stage = tn_item_text(event, "stage"), *name;
  const double at = (double)tn_item_integer(event, "step");
  json_t *value;
  json_object_foreach(json_object_get(event, "scalars"), name, value) {
    const double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (step)
      tn_record_step(&f->record, stage, name, at, number);
    else
      tn_record_result(&f->record, stage, name, number, false);
  }
}

static void take_event(tn_event_file *f, json_t *event, uint32_t line) {
  const char *kind = tn_item_text(event, "type"), *stage = tn_item_text(event, "stage");
  const json_t *seconds = json_object_get(event, "seconds");
  if (json_is_number(seconds) && json_number_value(seconds) >= 0) f->seconds = json_number_value(seconds);
  if (*stage) {
    tn_stage_span *span = stage_of(f, stage);
    if (strcmp(kind, "stage_begin") == 0) span->began = f->seconds;
    if (strcmp(kind, "stage_end") == 0) span->ended = f->seconds;
  }
  if (!*kind) {
    note(f, "line %u: an event without a type", line);
  } else if (strcmp(kind, "run") == 0) {
    begin_run(f, event);
  } else if (strcmp(kind, "run_end") == 0) {
    free(f->outcome);
    f->outcome = tn_copy_text(tn_item_text(event, "text"));
  } else if (strcmp(kind, "step") == 0) {
    add_scalars(f, event, true);
  } else if (strcmp(kind, "result") == 0 || strcmp(kind, "stage_end") == 0) {
    add_scalars(f, event, false);
  } else if (strcmp(kind, "run_begin") != 0 && strcmp(kind, "stage_begin") != 0) {
    add_item(f, event, line);
  }
}

static void take_line(tn_event_file *f, const char *text, size_t bytes, uint32_t line, bool ended) {
  json_error_t why;
  json_t *event = json_loadb(text, bytes, 0, &why);
  if (json_is_object(event))
    take_event(f, event, line);
  else if (!event && !ended)
    note(f, "line %u is cut off: the run was writing it, or was killed", line);
  else
    note(f, "line %u: %s", line, event ? "not an object" : why.text);
  json_decref(event);
}

void tn_event_file_parse(const char *text, size_t bytes, tn_event_file *f) {
  *f = (tn_event_file){.seed = -1};
  uint32_t line = 0;
  for (const char *at = text, *end = text + bytes; at < end;) {
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
    take_line(f, at, (size_t)(stop - at), ++line, newline != NULL);
    at = newline ? newline + 1 : end;
  }
}

bool tn_event_file_read(const char *path, tn_event_file *f, tn_format_error *error) {
  tn_bytes bytes;
  *f = (tn_event_file){.seed = -1};
  if (!tn_stream_read(path, 0, &bytes, error)) return false;
  tn_event_file_parse((const char *)bytes.data, bytes.size, f);
  tn_bytes_free(&bytes);
  return true;
}

void tn_event_file_free(tn_event_file *f) {
  for (uint32_t i = 0; i < f->item_count; i++) json_decref(f->items[i]);
  for (uint32_t i = 0; i < f->stage_count; i++) free(f->stages[i].name);
  for (uint32_t i = 0; i < f->note_count; i++) free(f->notes[i]);
  free(f->items);
  free(f->stages);
  free(f->notes);
  free(f->name);
  free(f->file);
  free(f->host);
  free(f->cpu);
  free(f->outcome);
  tn_record_free(&f->record);
  *f = (tn_event_file){0};
}
