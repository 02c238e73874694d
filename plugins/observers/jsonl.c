// SPDX-License-Identifier: MIT
/* metrics.jsonl in the run directory: every event as one JSON object a line (jsonlines.org). Keys: `type`,
 * `stage`, `seconds`, and what the event has of `name`, `title`, `mode`, `step`, `steps`, `epoch`, `epochs`,
 * `scalars` (an object), `text`, `shape` and `values` (a tensor, row-major), `rows`, `columns`, `row_labels`,
 * `column_labels`, `cells`, `x_label`, `y_label`, `style`. Numbers that are not finite are null. */
#include "file.h"

struct jsonl {
  int64_t most_values;
  struct observer_file file;
};
static const tn_param jsonl_params[] = {
    TN_INTEGER(struct jsonl, most_values, "1e6", 0, INFINITY, NULL,
               "tensors with more numbers are left out (their shape is written)"),
};

static const char *type_name(tn_event_type type) {
  static const char *const names[] = {
      "",       "run_begin", "run_end", "stage_begin", "stage_end", "step", "result", "table",
      "matrix", "images",    "graph",   "scatter",     "histogram", "text", "series", "bars"};
  return type > 0 && type < (int32_t)TN_ARRAY_LENGTH(names) ? names[type] : "other";
}

static void put_text(FILE *stream, const char *text) {
  fputc('"', stream);
  for (const unsigned char *c = (const unsigned char *)(text ? text : ""); *c; c++) {
    if (*c == '"' || *c == '\\')
      fprintf(stream, "\\%c", *c);
    else if (*c < 0x20)
      fprintf(stream, "\\u%04x", *c);
    else
      fputc(*c, stream);
  }
  fputc('"', stream);
}
static void put_number(FILE *stream, double value) {
  if (isfinite(value))
    fprintf(stream, "%.17g", value);
  else
    fputs("null", stream);
}
static void put_text_key(FILE *stream, const char *key, const char *text) {
  if (!text) return;
  fprintf(stream, ",\"%s\":", key);
  put_text(stream, text);
}
static void put_texts(FILE *stream, const char *key, const char *const *texts, size_t count) {
  if (!texts) return;
  fprintf(stream, ",\"%s\":[", key);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) fputc(',', stream);
    put_text(stream, texts[i]);
  }
  fputc(']', stream);
}

static void put_progress(FILE *stream, const tn_progress *p) {
  fprintf(stream, ",\"mode\":\"%s\",\"step\":%lld", p->mode == TN_TRAIN ? "train" : "evaluate",
          (long long)p->step);
  if (p->steps > 0) fprintf(stream, ",\"steps\":%lld", (long long)p->steps);
  fprintf(stream, ",\"epoch\":%.10g", p->epoch);
  if (p->epochs > 0) fprintf(stream, ",\"epochs\":%.10g", p->epochs);
}

static void put_tensor(FILE *stream, const tn_tensor *t, int64_t most) {
  fputs(",\"shape\":[", stream);
  for (int32_t i = 0; i < tn_ndim(t); i++) fprintf(stream, i > 0 ? ",%lld" : "%lld", (long long)tn_dim(t, i));
  fputc(']', stream);
  if (tn_numel(t) > most || (t->dtype != TN_F32 && t->dtype != TN_F64)) return;
  fputs(",\"values\":[", stream);
  for (int64_t i = 0; i < tn_numel(t); i++) {
    const double value = t->dtype == TN_F64 ? tn_f64(t)[i] : (double)tn_f32(t)[i];
    if (i > 0) fputc(',', stream);
    if (isfinite(value))
      fprintf(stream, "%.9g", value);
    else
      fputs("null", stream);
  }
  fputc(']', stream);
}

static tn_status jsonl_event(void *self, const tn_event *event) {
  struct jsonl *jsonl = self;
  bool ready;
  const tn_status status = observer_file_open(&jsonl->file, "metrics.jsonl", &ready);
  if (status < 0 || !ready) return status;
  FILE *stream = jsonl->file.stream;
  fprintf(stream, "{\"type\":\"%s\"", type_name(event->type));
  if (event->stage && *event->stage) put_text_key(stream, "stage", event->stage);
  fprintf(stream, ",\"seconds\":%.6f", event->seconds);
  put_text_key(stream, "name", event->name);
  put_text_key(stream, "title", event->title);
  if (event->type == TN_EVENT_STEP) put_progress(stream, &event->progress);
  if (event->scalar_count > 0) {
    fputs(",\"scalars\":{", stream);
    for (uint32_t i = 0; i < event->scalar_count; i++) {
      if (i > 0) fputc(',', stream);
      put_text(stream, event->scalars[i].name);
      fputc(':', stream);
      put_number(stream, event->scalars[i].value);
    }
    fputc('}', stream);
  }
  put_text_key(stream, "text", event->text);
  if (event->tensor && !tn_poisoned(event->tensor)) put_tensor(stream, event->tensor, jsonl->most_values);
  if (event->rows > 0) fprintf(stream, ",\"rows\":%u,\"columns\":%u", event->rows, event->columns);
  put_texts(stream, "row_labels", event->row_labels, event->rows);
  put_texts(stream, "column_labels", event->column_labels, event->columns);
  put_texts(stream, "cells", event->cells, (size_t)event->rows * event->columns);
  put_text_key(stream, "x_label", event->x_label);
  put_text_key(stream, "y_label", event->y_label);
  if (event->style) fprintf(stream, ",\"style\":%u", event->style);
  fputs("}\n", stream);
  return observer_file_flush(&jsonl->file, "metrics.jsonl");
}

static void jsonl_destroy(void *self) { observer_file_close(&((struct jsonl *)self)->file); }
static tn_status jsonl_state(void *self, const tn_visitor *visitor) {
  return observer_file_state(&((struct jsonl *)self)->file, visitor);
}

static const tn_class jsonl_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "jsonl",
    .summary = "Every event as a line of metrics.jsonl in the run directory",
    .reference = "jsonlines.org",
    TN_CLASS_PARAMS(jsonl_params),
    .instance_size = sizeof(struct jsonl),
    .vtable = &(const tn_observer){.size = sizeof(tn_observer), .event = jsonl_event},
    .destroy = jsonl_destroy,
    .state = jsonl_state};
TN_PLUGIN("observer_jsonl", "1.0.0", "MIT", &jsonl_class)
