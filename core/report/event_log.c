// SPDX-License-Identifier: MIT
#include "core/report/event_log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/format/png.h"
#include "core/report/base64.h"

enum {
  DIGITS = 7, /* of numbers in tensors */
  IMAGES_MOST = 400,
  POINTS_MOST = 20000, /* of a scatter plot: every n-th is kept */
  BINS = 120           /* divisible by many numbers: the report joins neighbours */
};

/* ---- JSON ---- */

void tn_json_string(tn_text *text, const char *string) {
  tn_text_append(text, "\"");
  while (string && *string) {
    const char *start = string;
    unsigned c = tn_text_next_character(&string);
    if (c == '"' || c == '\\')
      tn_text_printf(text, "\\%c", (int)c);
    else if (c < 0x20)
      tn_text_printf(text, "\\u%04x", c);
    else if (c == 0xfffd)
      tn_text_append(text, "\xef\xbf\xbd");
    else
      tn_text_append_bytes(text, start, (size_t)(string - start));
  }
  tn_text_append(text, "\"");
}

void tn_json_number(tn_text *text, double value, int digits) {
  if (isfinite(value))
    tn_text_printf(text, "%.*g", digits, value);
  else
    tn_text_append(text, "null"); // JSON has no other word for it
}

static void put_key(tn_text *out, const char *key) { tn_text_printf(out, ",\"%s\":", key); }

static void put_text(tn_text *out, const char *key, const char *text) {
  if (!text) return;
  put_key(out, key);
  tn_json_string(out, text);
}

static void put_texts(tn_text *out, const char *key, const char *const *texts, size_t count) {
  if (!texts) return;
  put_key(out, key);
  tn_text_append(out, "[");
  for (size_t i = 0; i < count; i++) {
    if (i > 0) tn_text_append(out, ",");
    tn_json_string(out, texts[i]);
  }
  tn_text_append(out, "]");
}

/* ---- tensors ---- */

static double at(const tn_tensor *t, int64_t i) {
  return t->dtype == TN_F64 ? tn_f64(t)[i] : (double)tn_f32(t)[i];
}

/* Float numbers with `axes` axes, or between one and `axes` if negative. */
static bool usable(const tn_tensor *t, int axes) {
  if (!t || tn_poisoned(t) || (t->dtype != TN_F32 && t->dtype != TN_F64)) return false;
  return axes > 0 ? tn_ndim(t) == axes : tn_ndim(t) >= 1 && tn_ndim(t) <= -axes;
}

/* Rows first, first + stride, ... of a matrix. */
static void put_values(tn_text *out, const char *key, const tn_tensor *t, int64_t stride) {
  const int64_t columns = tn_ndim(t) > 1 ? tn_dim(t, 1) : 1;
  const char *separator = "";
  put_key(out, key);
  tn_text_append(out, "[");
  for (int64_t i = 0; i < tn_dim(t, 0); i += stride)
    for (int64_t j = 0; j < columns; j++, separator = ",") {
      tn_text_append(out, separator);
      tn_json_number(out, at(t, i * columns + j), DIGITS);
    }
  tn_text_append(out, "]");
}

static bool put_matrix(tn_text *out, const tn_event *event) {
  const tn_tensor *t = event->tensor;
  if (!usable(t, -2)) return false;
  const int64_t columns = tn_ndim(t) > 1 ? tn_dim(t, 1) : 1;
  int64_t stride = 1;
  if (event->type == TN_EVENT_SCATTER) {
    if (columns < 2 || columns > 3) return false;
    stride = 1 + tn_dim(t, 0) / POINTS_MOST;
  }
  if (event->type == TN_EVENT_SERIES && columns < 2) return false;
  tn_text_printf(out, ",\"shape\":[%lld,%lld]", (long long)((tn_dim(t, 0) + stride - 1) / stride),
                 (long long)columns);
  put_values(out, "values", t, stride);
  if (usable(event->spread, -2)) put_values(out, "spread", event->spread, 1);
  return true;
}

/* One image of (n, channels, height, width) as 8 bits a channel; channels 1 or 3. */
static bool put_image(tn_text *out, const tn_tensor *t, int64_t index) {
  const int64_t channels = tn_dim(t, 1), plane = tn_dim(t, 2) * tn_dim(t, 3);
  tn_png image = {(size_t)tn_dim(t, 2), (size_t)tn_dim(t, 3), (size_t)channels,
                  malloc((size_t)(channels * plane))};
  tn_bytes bytes = {0};
  tn_format_error error;
  bool ok = image.pixels != NULL;
  for (int64_t c = 0; ok && c < channels; c++)
    for (int64_t i = 0; i < plane; i++) {
      double value = at(t, (index * channels + c) * plane + i);
      image.pixels[i * channels + c] = (uint8_t)(value > 0 ? fmin(value, 1) * 255 + 0.5 : 0); // NaN: black
    }
  ok = ok && tn_png_pack("image", &image, &bytes, &error);
  tn_text_append(out, "\"");
  if (ok) tn_base64_append(out, bytes.data, bytes.size);
  tn_text_append(out, "\"");
  tn_bytes_free(&bytes);
  tn_png_free(&image);
  return ok;
}

static bool put_images(tn_text *out, const tn_event *event) {
  const tn_tensor *t = event->tensor;
  if (!usable(t, 4) || (tn_dim(t, 1) != 1 && tn_dim(t, 1) != 3)) return false;
  if (tn_dim(t, 2) < 1 || tn_dim(t, 3) < 1 || tn_dim(t, 2) > TN_PNG_SIDE_MAX ||
      tn_dim(t, 3) > TN_PNG_SIDE_MAX)
    return false;
  const int64_t kept = tn_dim(t, 0) < IMAGES_MOST ? tn_dim(t, 0) : IMAGES_MOST;
  tn_text_printf(out, ",\"shape\":[%lld,%lld,%lld,%lld],\"png\":[", (long long)tn_dim(t, 0),
                 (long long)tn_dim(t, 1), (long long)tn_dim(t, 2), (long long)tn_dim(t, 3));
  bool ok = true;
  for (int64_t i = 0; ok && i < kept; i++) {
    if (i > 0) tn_text_append(out, ",");
    ok = put_image(out, t, i);
  }
  tn_text_append(out, "]");
  return ok;
}

/* k distributions as counts in equal bins from the least to the largest finite value, one row each. */
static bool put_histogram(tn_text *out, const tn_event *event) {
  const tn_tensor *t = event->tensor;
  if (!usable(t, -2)) return false;
  const int64_t rows = tn_dim(t, 0), columns = tn_ndim(t) > 1 ? tn_dim(t, 1) : 1;
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < rows * columns; i++)
    if (isfinite(at(t, i))) low = fmin(low, at(t, i)), high = fmax(high, at(t, i));
  if (low > high) low = high = 0;
  const double width = (high - low) / BINS;
  tn_text_printf(out, ",\"shape\":[%lld,%d],\"range\":[%.9g,%.9g],\"values\":[", (long long)columns, BINS,
                 low, high);
  for (int64_t j = 0; j < columns; j++) {
    int64_t counts[BINS] = {0};
    for (int64_t i = 0; i < rows; i++) {
      double value = at(t, i * columns + j);
      if (!isfinite(value)) continue;
      int64_t bin = width > 0 ? (int64_t)((value - low) / width) : 0;
      counts[bin < BINS ? bin : BINS - 1]++;
    }
    for (int b = 0; b < BINS; b++) tn_text_printf(out, j + b > 0 ? ",%lld" : "%lld", (long long)counts[b]);
  }
  tn_text_append(out, "]");
  return true;
}

static void put_scalars(tn_text *out, const tn_event *event) {
  put_key(out, "scalars");
  tn_text_append(out, "{");
  for (uint32_t i = 0; i < event->scalar_count; i++) {
    if (i > 0) tn_text_append(out, ",");
    tn_json_string(out, event->scalars[i].name);
    tn_text_append(out, ":");
    tn_json_number(out, event->scalars[i].value, 9);
  }
  tn_text_append(out, "}");
}

/* ---- lines ---- */

static const char *type_name(tn_event_type type) {
  static const char *const names[] = {[TN_EVENT_RUN_BEGIN] = "run_begin",
                                      [TN_EVENT_RUN_END] = "run_end",
                                      [TN_EVENT_STAGE_BEGIN] = "stage_begin",
                                      [TN_EVENT_STAGE_END] = "stage_end",
                                      [TN_EVENT_STEP] = "step",
                                      [TN_EVENT_RESULT] = "result",
                                      [TN_EVENT_TABLE] = "table",
                                      [TN_EVENT_MATRIX] = "matrix",
                                      [TN_EVENT_IMAGES] = "images",
                                      [TN_EVENT_GRAPH] = "graph",
                                      [TN_EVENT_SCATTER] = "scatter",
                                      [TN_EVENT_HISTOGRAM] = "histogram",
                                      [TN_EVENT_TEXT] = "text",
                                      [TN_EVENT_SERIES] = "series",
                                      [TN_EVENT_BARS] = "bars",
                                      [TN_EVENT_COST] = "cost"};
  return type > 0 && type < (int32_t)TN_ARRAY_LENGTH(names) ? names[type] : NULL;
}

bool tn_event_line(const tn_event *event, tn_text *out) {
  const char *type = type_name(event->type);
  if (!type) return false;
  const size_t before = out->size;
  tn_text_printf(out, "{\"type\":\"%s\"", type);
  if (event->stage && *event->stage) put_text(out, "stage", event->stage);
  tn_text_printf(out, ",\"seconds\":%.3f", event->seconds);
  if (event->type == TN_EVENT_STEP || event->progress.step > 0)
    tn_text_printf(out, ",\"step\":%lld", (long long)event->progress.step);
  put_text(out, "name", event->name);
  put_text(out, "title", event->title);
  put_text(out, "x_label", event->x_label);
  put_text(out, "y_label", event->y_label);
  if (event->style) tn_text_printf(out, ",\"style\":%u", event->style);
  put_text(out, "text", event->text);
  bool ok = true;
  switch (event->type) {
  case TN_EVENT_IMAGES: ok = put_images(out, event); break;
  case TN_EVENT_HISTOGRAM: ok = put_histogram(out, event); break;
  case TN_EVENT_MATRIX:
  case TN_EVENT_SCATTER:
  case TN_EVENT_SERIES:
  case TN_EVENT_BARS: ok = put_matrix(out, event); break;
  default: break;
  }
  if (event->scalar_count > 0) put_scalars(out, event);
  if (event->rows > 0 || event->columns > 0)
    tn_text_printf(out, ",\"rows\":%u,\"columns\":%u", event->rows, event->columns);
  put_texts(out, "row_labels", event->row_labels, event->rows);
  put_texts(out, "column_labels", event->column_labels, event->columns);
  put_texts(out, "cells", event->cells, (size_t)event->rows * event->columns);
  tn_text_append(out, "}");
  if (!ok && out->data) { // no half lines
    out->size = before;
    out->data[before] = 0;
  }
  return ok && !out->failed;
}

/* ---- the file ---- */

struct tn_event_log {
  FILE *file;
  int64_t bytes;
  tn_text line; /* its memory serves every event */
};

tn_event_log *tn_event_log_open(const char *path, int64_t keep) {
  tn_event_log *log = calloc(1, sizeof *log);
  if (!log) return NULL;
  log->bytes = keep;
  log->file = fopen(path, keep > 0 ? "r+" : "w");
  if (log->file && (keep == 0 || (ftruncate(fileno(log->file), (off_t)keep) == 0 &&
                                  fseeko(log->file, (off_t)keep, SEEK_SET) == 0)))
    return log;
  int code = errno;
  tn_event_log_close(log);
  errno = code;
  return NULL;
}

bool tn_event_log_line(tn_event_log *log, const char *text) {
  errno = 0;
  int length = fprintf(log->file, "%s\n", text);
  if (length > 0) log->bytes += length;
  if (length > 0 && fflush(log->file) == 0) return true;
  if (errno == 0) errno = EIO;
  return false;
}

bool tn_event_log_add(tn_event_log *log, const tn_event *event) {
  if (log->line.data) log->line.data[log->line.size = 0] = 0;
  if (tn_event_line(event, &log->line)) return tn_event_log_line(log, log->line.data);
  if (!log->line.failed) return true; // an event of a type unknown here, or without what its type needs
  tn_text_free(&log->line);
  errno = ENOMEM;
  return false;
}

int64_t tn_event_log_bytes(const tn_event_log *log) { return log->bytes; }

void tn_event_log_close(tn_event_log *log) {
  if (!log) return;
  if (log->file) fclose(log->file);
  tn_text_free(&log->line);
  free(log);
}
