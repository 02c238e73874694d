// SPDX-License-Identifier: MIT
/* The run directory: pipeline.ini (resolved), lock.json, log.txt, events, results.json and parameters. */
#include "core/pipeline/internal.h"
#include "core/config/memory.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/measure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double tn_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

tn_status tn_directory_path(const char *path, tn_error *error) {
  char *at = tn_copy_text(path);
  int failed = 0;
  for (char *slash = at + 1; !failed; slash++) {
    if (*slash && *slash != '/') continue;
    char end = *slash;
    *slash = 0;
    failed = mkdir(at, 0777) != 0 && errno != EEXIST;
    *slash = end;
    if (!end) break;
  }
  if (failed) tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  free(at);
  return failed ? TN_ERROR_IO : TN_OK;
}

tn_status tn_directory_free(const char *file, char *path, size_t bytes, tn_error *error) {
  const char *slash = strrchr(file, '/');
  const char *name = slash ? slash + 1 : file;
  const char *dot = strrchr(name, '.');
  int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
  if (mkdir("runs", 0777) != 0 && errno != EEXIST)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "runs: %s", strerror(errno));
  for (int i = 1; i < 1000000; i++) {
    snprintf(path, bytes, "runs/%.*s-%d", length, name, i);
    if (mkdir(path, 0777) == 0) return TN_OK;
    if (errno != EEXIST) break;
  }
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
}

/* Writes `text` to NAME in the run directory: to a temporary name, then renamed, so that a killed run leaves
 * the old file or the new one. Unlike parameters these can be made again: they are not worth waiting for the
 * disk. */
static tn_status write_file(const tn_pipeline *p, const char *name, const char *text, tn_error *error) {
  char path[4096], temporary[4104];
  snprintf(path, sizeof path, "%s/%s", p->directory, name);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  FILE *file = fopen(temporary, "w");
  bool ok = file && fputs(text, file) >= 0 && fflush(file) == 0;
  if (file && fclose(file) != 0) ok = false;
  if (ok && rename(temporary, path) == 0) return TN_OK;
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
}

/* The drawing of the pipeline as the text of a graph event: components, then references. */
static char *graph_text(const tn_pipeline *p) {
  tn_text text = {0};
  for (uint32_t i = 0; i < p->instance_count; i++) {
    const tn_component *c = &p->instances[i]->component;
    char kind[64];
    tn_kind_short_name(c->cls->kind, kind, sizeof kind);
    tn_text_printf(&text, "%s%s%s : %s.%s\n", c->name, *c->part ? ":" : "", c->part, kind, c->cls->name);
  }
  for (uint32_t i = 0; i < p->edge_count; i++) {
    const tn_component *from = p->edges[i].from, *to = p->edges[i].to;
    tn_text_printf(&text, "%s%s%s -> %s%s%s : %s\n", from->name, *from->part ? ":" : "", from->part, to->name,
                   *to->part ? ":" : "", to->part, p->edges[i].key);
  }
  return tn_text_take(&text);
}

/* events.jsonl begins with what the run is, and its drawing. */
static bool begin_events(tn_pipeline *p) {
  char path[4096];
  snprintf(path, sizeof path, "%s/" TN_EVENT_LOG_NAME, p->directory);
  p->events = tn_event_log_open(path, 0);
  if (!p->events) return false;
  tn_text line = {0};
  tn_text_append(&line, "{\"type\":\"run\",\"name\":");
  tn_json_string(&line, p->name);
  tn_text_append(&line, ",\"file\":");
  tn_json_string(&line, tn_config_file(p->config));
  tn_text_printf(&line, ",\"seed\":%lld,\"host\":\"%s\",\"cpu\":\"%s\",\"time\":%lld}", (long long)p->seed,
                 TN_VERSION, tn_engine_cpu(p->engine), (long long)time(NULL));
  bool ok = line.data && !line.failed && tn_event_log_line(p->events, line.data);
  tn_text_free(&line);
  char *drawing = graph_text(p);
  tn_event event = tn_event_of(TN_EVENT_GRAPH, "pipeline");
  event.title = "Pipeline";
  event.text = drawing;
  ok = ok && tn_event_log_add(p->events, &event);
  free(drawing);
  return ok;
}

/* One process at a time works in a run directory; the lock ends with the process. */
static tn_status lock(tn_pipeline *p, tn_error *error) {
  p->folder = open(p->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (p->folder < 0)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", p->directory, strerror(errno));
  if (flock(p->folder, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return TN_OK;
  return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: another process runs in it", p->directory);
}

static tn_status open_log(tn_pipeline *p, const char *mode, tn_error *error) {
  char path[4096];
  snprintf(path, sizeof path, "%s/log.txt", tn_run_directory_of(p));
  p->context.log = fopen(path, mode);
  if (!p->context.log) return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  setvbuf(p->context.log, NULL, _IOLBF, 4096);
  tn_box_log(p->box, fileno(p->context.log));
  fprintf(p->context.log, "tenon %s, %s, seed %lld, %s\n", TN_VERSION, tn_config_file(p->config),
          (long long)p->seed, tn_engine_cpu(p->engine));
  return TN_OK;
}

const char *tn_run_directory_of(const tn_pipeline *p) {
  return p->own_directory ? p->own_directory : p->directory;
}

/* A rank after the first has a log, and nothing else unless a component writes artifacts. */
static tn_status make_own(tn_pipeline *p, const char *mode, tn_error *error) {
  char path[4096];
  snprintf(path, sizeof path, "%s/ranks/%d", p->directory, (int)p->rank);
  free(p->own_directory);
  p->own_directory = tn_copy_text(path);
  const tn_status status = tn_directory_path(path, error);
  return status < 0 ? status : open_log(p, mode, error);
}

/* What an earlier run in the same directory left must not be taken for this one's. */
static void clear(const tn_pipeline *p) {
  static const char *const names[] = {"results.json", "cost.json", "expect.json", "report.html"};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(names); i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", p->directory, names[i]);
    unlink(path);
  }
  tn_checkpoint_prune(p->directory, 0);
}

tn_status tn_directory_make(tn_pipeline *p, tn_error *error) {
  if (p->rank > 0) return make_own(p, "w", error);
  tn_status status = tn_directory_path(p->directory, error);
  if (status >= 0) status = lock(p, error);
  if (status < 0) return status;
  clear(p);
  status = open_log(p, "w", error);
  if (status < 0) return status;
  char *resolved = tn_pipeline_print(p);
  status = resolved ? write_file(p, "pipeline.ini", resolved, error)
                    : tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  free(resolved);
  if (status >= 0) status = tn_lock_write(p, error);
  return status < 0 ? status : tn_directory_events(p, error);
}

tn_status tn_directory_events(tn_pipeline *p, tn_error *error) {
  if (p->rank > 0) return TN_OK;
  char path[4096];
  snprintf(path, sizeof path, "%s/" TN_EVENT_LOG_NAME, p->directory);
  if (p->event_bytes > 0) p->events = tn_event_log_open(path, p->event_bytes);
  if (p->event_bytes > 0 ? p->events != NULL : begin_events(p)) return TN_OK;
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
}

tn_status tn_directory_open(tn_pipeline *p, tn_error *error) {
  if (p->rank > 0) return make_own(p, "a", error);
  tn_status status = lock(p, error);
  return status < 0 ? status : open_log(p, "a", error);
}

/* "NAME": VALUE, the costs or the other results; `after`: something stands before them. */
static void put_results(tn_text *text, const tn_pipeline *p, bool cost, bool after) {
  for (uint32_t i = 0; i < p->record.result_count; i++) {
    const tn_result *result = &p->record.results[i];
    if (result->cost != cost) continue;
    tn_text_append(text, after ? ",\n    " : "\n    ");
    tn_json_string(text, result->name);
    tn_text_append(text, ": ");
    tn_json_number(text, result->value, 10);
    after = true;
  }
}

static char *results_json(const tn_pipeline *p, const char *outcome) {
  tn_text text = {0};
  tn_text_append(&text, "{\n  \"name\": ");
  tn_json_string(&text, p->name);
  tn_text_append(&text, ",\n  \"outcome\": ");
  tn_json_string(&text, outcome);
  if (p->smoke) tn_text_append(&text, ",\n  \"smoke\": true"); /* never to be taken for the whole run */
  tn_text_printf(&text, ",\n  \"seed\": %lld,\n  \"results\": {", (long long)p->seed);
  put_results(&text, p, false, false);
  const tn_run_measure m = tn_pipeline_measure(p);
  tn_text_printf(&text, "\n  },\n  \"parameters\": %lld,\n  \"state_bytes\": %zu\n}\n",
                 (long long)m.parameters, m.state_bytes);
  return tn_text_take(&text);
}

/* What differs from run to run: kept apart, so that results.json is the same every time. */
static tn_status write_cost(const tn_pipeline *p, tn_error *error) {
  const tn_run_measure m = tn_pipeline_measure(p);
  tn_text text = {0};
  tn_text_printf(&text, "{\n  \"seconds\": %.6f,\n  \"memory\": %.0f,\n  \"results\": {", m.seconds,
                 m.memory);
  put_results(&text, p, true, false);
  tn_text_append(&text, "\n  }\n}\n");
  char *json = tn_taken(tn_text_take(&text));
  const tn_status status = write_file(p, "cost.json", json, error);
  free(json);
  return status;
}

/* Each declared component's parameters as params/NAME.safetensors. */
static tn_status save_params(tn_pipeline *p, tn_error *error) {
  char path[4096];
  snprintf(path, sizeof path, "%s/params", p->directory);
  for (uint32_t i = 0; i < p->instance_count; i++) {
    tn_instance *at = p->instances[i];
    if (at->owner || !at->params || tn_params_count(at->params) == 0) continue;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
      return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
    char file[4400];
    snprintf(file, sizeof file, "%s/%s.safetensors", path, at->name);
    tn_status status = tn_params_save(at->params, file);
    if (status < 0) return tn_pipeline_failure(p, &at->component, "save", status, error);
  }
  return TN_OK;
}

/* results.json comes last: that it says "finished" means that everything is there. */
tn_status tn_directory_finish(tn_pipeline *p, const char *outcome, tn_error *error) {
  tn_status status = save_params(p, error);
  if (status >= 0) status = write_cost(p, error);
  char *json = results_json(p, outcome);
  tn_status written = json ? write_file(p, "results.json", json, error)
                           : tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  free(json);
  return status < 0 ? status : written;
}
