// SPDX-License-Identifier: MIT
/* The state of a whole run: where it stands, results and curves, what was published, fresh instances that
 * stages made, parameters, and the state of every component. What belongs to the host has names that begin
 * with a slash, which no component has. */
#include "core/config/memory.h"
#include "core/pipeline/internal.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/stage.h>

enum { FORMAT = 2, NAME = 512 };

/* results/I, results/I/value, results/I/cost */
static tn_status visit_results(tn_run_record *record, const tn_visitor *v) {
  int64_t count = record->result_count;
  tn_status status = tn_visit_integer(v, "results", &count);
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    char key[64];
    char *name = v->loading ? NULL : (char *)(uintptr_t)record->results[i].name;
    double value = v->loading ? 0 : record->results[i].value;
    int64_t cost = v->loading ? 0 : record->results[i].cost;
    snprintf(key, sizeof key, "results/%lld", (long long)i);
    tn_visit_text(v, key, &name);
    snprintf(key, sizeof key, "results/%lld/value", (long long)i);
    status = tn_visit_real(v, key, &value);
    snprintf(key, sizeof key, "results/%lld/cost", (long long)i);
    if (status >= 0) status = tn_visit_integer(v, key, &cost);
    if (!v->loading) continue;
    if (status >= 0) tn_record_result(record, "", name, value, cost != 0);
    tn_free(name);
  }
  return status;
}

/* curves/I/stage, name, x, y */
static tn_status visit_curve(tn_curve *curve, int64_t index, const tn_visitor *v) {
  char key[64];
  void *x = curve->x, *y = curve->y;
  size_t x_bytes = curve->count * sizeof *curve->x, y_bytes = x_bytes;
  snprintf(key, sizeof key, "curves/%lld/stage", (long long)index);
  tn_visit_text(v, key, &curve->stage);
  snprintf(key, sizeof key, "curves/%lld/name", (long long)index);
  tn_visit_text(v, key, &curve->name);
  snprintf(key, sizeof key, "curves/%lld/x", (long long)index);
  tn_visit_block(v, key, &x, &x_bytes);
  snprintf(key, sizeof key, "curves/%lld/y", (long long)index);
  const tn_status status = tn_visit_block(v, key, &y, &y_bytes);
  curve->x = x;
  curve->y = y;
  if (v->loading) curve->count = curve->room = (uint32_t)(x_bytes / sizeof *curve->x);
  if (status < 0 || x_bytes == y_bytes) return status;
  return tn_fail(TN_ERROR_INVALID, "curve %lld has %zu and %zu bytes", (long long)index, x_bytes, y_bytes);
}

static tn_status visit_record(tn_run_record *record, const tn_visitor *v) {
  if (v->loading) tn_record_free(record);
  tn_status status = visit_results(record, v);
  int64_t count = record->curve_count;
  if (status >= 0) status = tn_visit_integer(v, "curves", &count);
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    if (v->loading) {
      tn_curve *curve = tn_grow(&record->curves, record->curve_count, &record->curve_room, sizeof *curve);
      *curve = (tn_curve){0};
      record->curve_count++;
    }
    status = visit_curve(&record->curves[i], i, v);
  }
  return status;
}

/* published/I/stage, name, text, params. What is there already stays where it is: a stage may hold it. */
static tn_status visit_published(tn_pipeline *p, const tn_visitor *v) {
  int64_t count = 0;
  for (const tn_published *at = p->published; at; at = at->next) count++;
  tn_status status = tn_visit_integer(v, "published", &count);
  tn_published *at = p->published;
  for (int64_t i = 0; status >= 0 && i < count; i++, at = at ? at->next : NULL) {
    char key[64];
    char *stage = v->loading ? NULL : (char *)(uintptr_t)at->stage->name;
    char *name = v->loading ? NULL : at->name, *text = v->loading ? NULL : at->text;
    snprintf(key, sizeof key, "published/%lld/stage", (long long)i);
    tn_visit_text(v, key, &stage);
    snprintf(key, sizeof key, "published/%lld/name", (long long)i);
    tn_visit_text(v, key, &name);
    snprintf(key, sizeof key, "published/%lld/text", (long long)i);
    status = tn_visit_text(v, key, &text);
    tn_published *item = at;
    if (v->loading && status >= 0) {
      const tn_component *c = stage ? tn_pipeline_find(p, stage) : NULL;
      item = c && name ? tn_pipeline_publish(p, c, name) : NULL;
      if (!item) status = tn_fail(TN_ERROR_MISSING, "there is no stage '%s' any more", stage ? stage : "");
      if (item && !(item->text && text && strcmp(item->text, text) == 0)) {
        free(item->text);
        item->text = text;
        text = NULL;
      }
    }
    snprintf(key, sizeof key, "published/%lld/params", (long long)i);
    if (status >= 0) status = tn_visit_params(v, key, &item->params);
    if (!v->loading) continue;
    tn_free(stage);
    tn_free(name);
    tn_free(text);
  }
  return status;
}

/* copies/I/name, original, maker: fresh instances, made again if they are not there. */
static tn_status visit_copies(tn_pipeline *p, const tn_visitor *v) {
  int64_t count = 0;
  for (uint32_t i = 0; i < p->instance_count; i++) count += p->instances[i]->original != NULL;
  tn_status status = tn_visit_integer(v, "copies", &count);
  uint32_t at = 0;
  for (int64_t i = 0; status >= 0 && i < count; i++, at++) {
    char key[64];
    char *name = NULL, *original = NULL, *maker = NULL;
    if (!v->loading) {
      while (!p->instances[at]->original) at++;
      name = p->instances[at]->name;
      original = p->instances[at]->original->name;
      maker = p->instances[at]->maker;
    }
    snprintf(key, sizeof key, "copies/%lld/name", (long long)i);
    tn_visit_text(v, key, &name);
    snprintf(key, sizeof key, "copies/%lld/original", (long long)i);
    tn_visit_text(v, key, &original);
    snprintf(key, sizeof key, "copies/%lld/maker", (long long)i);
    status = tn_visit_text(v, key, &maker);
    if (!v->loading) continue;
    if (status >= 0 && !(name && original && maker))
      status = tn_fail(TN_ERROR_INVALID, "the saved list of copies is malformed");
    tn_error error = {0};
    if (status >= 0 && tn_instance_restore(p, name, original, maker, &error) < 0)
      status = tn_fail(error.status, "%s", error.text);
    tn_free(name);
    tn_free(original);
    tn_free(maker);
  }
  return status;
}

/* Parameters of an instance that is not declared yet wait for its declaration. */
static tn_status visit_parameters(tn_pipeline *p, tn_state *state, const tn_visitor *v) {
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < p->instance_count; i++) {
    tn_instance *at = p->instances[i];
    char key[NAME];
    snprintf(key, sizeof key, "params/%s", at->name);
    if (at->owner || (v->loading ? !tn_state_has(state, "", key) : !at->params)) continue;
    if (v->loading && !at->params) {
      if (at->declaration)
        tn_parameters(&at->component);
      else
        at->restored = true;
    }
    status = tn_visit_params(v, key, &at->params);
  }
  return status;
}

static tn_status visit_host(tn_pipeline *p, tn_state *state, bool loading) {
  tn_state_visitor own = tn_state_visit(state, "", loading);
  const tn_visitor *v = &own.visitor;
  int64_t format = FORMAT, index = p->stage_index;
  double seconds = tn_seconds() - p->began;
  char *stage = NULL;
  if (!loading) stage = (char *)(uintptr_t)p->stages[index]->name;
  tn_status status = tn_visit_integer(v, "format", &format);
  if (status >= 0 && format != FORMAT)
    return tn_fail(TN_ERROR_INVALID, "a checkpoint of format %lld, expected %d", (long long)format, FORMAT);
  tn_visit_integer(v, "steps", &p->steps);
  tn_visit_integer(v, "stage", &index);
  tn_visit_text(v, "stage_name", &stage);
  tn_visit_boolean(v, "begun", &p->begun);
  if (!loading) p->event_bytes = p->events ? tn_event_log_bytes(p->events) : 0;
  tn_visit_integer(v, "event_bytes", &p->event_bytes);
  status = tn_visit_real(v, "seconds", &seconds);
  if (loading && status >= 0) {
    if (index < 0 || index >= p->stage_count || !stage || strcmp(p->stages[index]->name, stage) != 0)
      status = tn_fail(TN_ERROR_INVALID, "it stands in stage '%s', which is not stage %lld any more",
                       stage ? stage : "", (long long)index + 1);
    p->stage_index = (uint32_t)index;
    p->began = tn_seconds() - seconds;
  }
  if (loading) tn_free(stage);
  if (status >= 0) status = visit_record(&p->record, v);
  if (status >= 0) status = visit_published(p, v);
  if (status >= 0) status = visit_copies(p, v);
  if (status >= 0) status = visit_parameters(p, state, v);
  return status;
}

/* Runs what may fail, and turns what it recorded into an error of the run. */
static tn_status outcome(tn_pipeline *p, const tn_component *c, const char *what, tn_status status,
                         tn_error *error) {
  if (c) return tn_pipeline_failure(p, c, what, status, error);
  if (status >= 0 && p->context.status == TN_OK) return TN_OK;
  status = status < 0 ? status : p->context.status;
  tn_error_set(error, status, NULL, 0, "checkpoint: %s",
               *p->context.message ? p->context.message : "failed without saying why");
  tn_context_clear(&p->context);
  return status;
}

static tn_status visit_run(tn_pipeline *p, tn_state *state, bool loading, bool early, tn_error *error) {
  tn_scope_open();
  tn_status status = outcome(p, NULL, "", visit_host(p, state, loading), error);
  tn_scope_close();
  for (uint32_t i = 0; status >= 0 && i < p->instance_count; i++) {
    const tn_instance *at = p->instances[i];
    const tn_component *c = &at->component;
    if (at->owner || (early && (at->original || strcmp(c->cls->kind, TN_STAGE) == 0))) continue;
    status = outcome(p, c, "state", loading ? tn_state_load(state, c) : tn_state_save(state, c), error);
  }
  return status;
}

tn_status tn_run_save(tn_pipeline *p, tn_state *state, tn_error *error) {
  return visit_run(p, state, false, false, error);
}

tn_status tn_run_load_early(tn_pipeline *p, tn_state *state, tn_error *error) {
  const tn_status status = visit_run(p, state, true, true, error);
  tn_state_rewind(state);
  for (uint32_t i = 0; i < p->instance_count; i++) p->instances[i]->unclaimed = p->instances[i]->remade;
  return status;
}

tn_status tn_run_load(tn_pipeline *p, tn_state *state, tn_error *error) {
  tn_status status = visit_run(p, state, true, false, error);
  for (uint32_t i = 0; i < p->instance_count; i++) p->instances[i]->unclaimed = false;
  const char *left = tn_state_untaken(state);
  if (status >= 0 && left && p->rank == 0) /* observers are the first rank's alone */
    status = tn_error_set(error, TN_ERROR_INVALID, NULL, 0,
                          "checkpoint: '%s' belongs to nothing in this pipeline", left);
  return status;
}
