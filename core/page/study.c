// SPDX-License-Identifier: MIT
#include "core/page/study.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config/memory.h"
#include "core/report/event_log.h"

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

void tn_study_note(tn_study *s, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  *(char **)tn_grow(&s->notes, s->note_count, &s->note_room, sizeof *s->notes) = tn_copy_text(text);
  s->note_count++;
}

static bool exists(const char *directory, const char *name) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

/* The file, or NULL with a note if it is there and damaged. */
static json_t *load(tn_study *s, const char *directory, const char *name) {
  char path[4200];
  json_error_t why;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (!exists(directory, name)) return NULL;
  json_t *root = json_load_file(path, 0, &why);
  if (!root) tn_study_note(s, "%s: line %d: %s", path, why.line, why.text);
  return root;
}

/* ---- groups and runs ---- */

/* The place names the directory in groups; "" if there is one. */
static uint32_t group_of(tn_study *s, const char *place, const char *arm, const char *variant) {
  tn_text name = {0}, full = {0};
  const char *parts[] = {place, arm, variant};
  for (int i = 0; i < 3; i++) {
    if (!*parts[i]) continue;
    tn_text_printf(&name, "%s%s", name.size ? " " : "", parts[i]);
    if (i < 2) tn_text_printf(&full, "%s%s", full.size ? " " : "", parts[i]);
  }
  char *text = tn_taken(tn_text_take(&name)), *first = tn_taken(tn_text_take(&full));
  if (!text || !first) abort();
  for (uint32_t g = 0; g < s->group_count; g++)
    if (strcmp(s->groups[g].name, text) == 0) {
      free(text);
      free(first);
      return g;
    }
  tn_study_group *group = tn_grow(&s->groups, s->group_count, &s->group_room, sizeof *group);
  *group = (tn_study_group){.name = text, .arm = first, .variant = tn_copy_text(variant)};
  return s->group_count++;
}

/* `state` NULL: as the run's own files say. */
static void add_run(tn_study *s, const char *directory, const char *label, uint32_t group, int64_t seed,
                    const char *state) {
  tn_study_run *run = tn_grow(&s->runs, s->run_count, &s->run_room, sizeof *run);
  *run = (tn_study_run){
      .directory = tn_copy_text(directory), .label = tn_copy_text(label), .group = group, .arm = group};
  s->run_count++;
  tn_error error = {0};
  run->read = exists(directory, "results.json") && tn_outcome_read(directory, &run->outcome, &error);
  if (error.status < 0) tn_study_note(s, "%s", error.text);
  run->seed = seed >= 0 ? seed : run->read ? run->outcome.seed : -1;
  if (!state) state = run->read ? run->outcome.outcome : NULL;
  const bool opened = !state && tn_study_open(s, run);
  if (opened && run->events.outcome) state = run->events.outcome;
  if (run->seed < 0 && opened) run->seed = run->events.seed;
  run->state = tn_copy_text(state ? state : "not finished: it runs, or was stopped");
  run->finished = strcmp(run->state, "finished") == 0 && run->read;
  s->groups[group].runs++;
  s->groups[group].finished += run->finished;
}

bool tn_study_open(tn_study *s, tn_study_run *run) {
  if (run->opened) return true;
  char path[4200];
  tn_format_error why;
  snprintf(path, sizeof path, "%s/" TN_EVENT_LOG_NAME, run->directory);
  if (!exists(run->directory, TN_EVENT_LOG_NAME)) return false;
  run->opened = tn_event_file_read(path, &run->events, &why);
  if (!run->opened) tn_study_note(s, "%s", why.text);
  for (uint32_t i = 0; i < run->events.note_count; i++)
    tn_study_note(s, "%s: %s", path, run->events.notes[i]);
  if (run->events.unnoted) tn_study_note(s, "%s: %u further lines like these", path, run->events.unnoted);
  return run->opened;
}

static void read_cells(tn_study *s, const char *directory, const char *place, const json_t *root) {
  const json_t *cell;
  size_t i;
  json_array_foreach(json_object_get(root, "cells"), i, cell) {
    char path[4400];
    const char *label = text_of(cell, "label"), *arm = text_of(cell, "arm"),
               *state = text_of(cell, "outcome");
    snprintf(path, sizeof path, "%s/%s", directory, text_of(cell, "directory"));
    const json_t *seed = json_object_get(cell, "seed");
    char name[400];
    snprintf(name, sizeof name, "%.190s%s%.190s", arm, *arm && *label ? " " : "", label);
    add_run(s, path, *name ? name : "the cell", group_of(s, place, arm, text_of(cell, "variant")),
            json_is_integer(seed) ? json_integer_value(seed) : -1, *state ? state : NULL);
  }
  s->sweep = true;
}

static void read_claims(tn_study *s, const char *directory, const char *place) {
  json_t *root = load(s, directory, "expect.json"), *claim;
  size_t i;
  json_array_foreach(root, i, claim) {
    tn_study_claim *c = tn_grow(&s->claims, s->claim_count, &s->claim_room, sizeof *c);
    *c = (tn_study_claim){.place = tn_copy_text(place),
                          .name = tn_copy_text(text_of(claim, "name")),
                          .text = tn_copy_text(text_of(claim, "text")),
                          .measured = tn_copy_text(text_of(claim, "measured")),
                          .holds = json_is_true(json_object_get(claim, "holds"))};
    s->claim_count++;
  }
  json_decref(root);
}

static tn_status read_directory(tn_study *s, const char *directory, const char *place, tn_error *error) {
  json_t *root = load(s, directory, "sweep.json");
  if (json_is_array(json_object_get(root, "cells"))) {
    read_cells(s, directory, place, root);
    if (!s->name) s->name = tn_copy_text(text_of(root, "name"));
  } else if (exists(directory, TN_EVENT_LOG_NAME) || exists(directory, "results.json")) {
    add_run(s, directory, *place ? place : directory, group_of(s, place, "", ""), -1, NULL);
  } else if (exists(directory, "sweep.json")) {
    tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s/sweep.json: not the file of a sweep", directory);
  } else {
    tn_error_set(error, TN_ERROR_MISSING, NULL, 0,
                 "%s: neither a run nor a sweep: no %s, results.json or sweep.json", directory,
                 TN_EVENT_LOG_NAME);
  }
  json_decref(root);
  if (error->status >= 0) read_claims(s, directory, place);
  return error->status;
}

/* The last part of a path, if no other directory ends with it. */
static char *place_of(const char *const *directories, uint32_t count, uint32_t i) {
  if (count == 1) return tn_copy_text("");
  char *place = NULL;
  for (uint32_t k = 0; k < count; k++) {
    const char *path = directories[k];
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    char *last = tn_take(end - begin + 1);
    memcpy(last, path + begin, end - begin);
    if (k == i) {
      free(place);
      place = last;
      k = i;
    } else {
      const char *own = directories[i];
      size_t length = strlen(own);
      while (length > 1 && own[length - 1] == '/') length--;
      const size_t l = strlen(last);
      const bool same = l <= length && strncmp(own + length - l, last, l) == 0 &&
                        (l == length || own[length - l - 1] == '/');
      free(last);
      if (same) {
        free(place);
        return tn_copy_text(own);
      }
    }
  }
  return place;
}

tn_status tn_study_read(const char *const *directories, uint32_t count, tn_study *s, tn_error *error) {
  *s = (tn_study){.several = count > 1};
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < count && status >= 0; i++) {
    char *place = place_of(directories, count, i);
    status = read_directory(s, directories[i], place, error);
    free(place);
  }
  if (status >= 0 && s->run_count == 0)
    status = tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "%s: a sweep without cells", directories[0]);
  if (status < 0) return status;
  if (s->several) {
    free(s->name);
    s->name = tn_copy_text("Comparison");
  } else if (!s->sweep && tn_study_open(s, &s->runs[0]) && s->runs[0].events.name) {
    s->name = tn_copy_text(s->runs[0].events.name);
  }
  if (!s->name) s->name = tn_copy_text(directories[0]);
  tn_study_choose(s);
  return TN_OK;
}

double *tn_study_values(const tn_study *s, uint32_t group, const char *result, uint32_t *count) {
  double *values = tn_take((s->run_count + 1) * sizeof *values);
  *count = 0;
  for (uint32_t i = 0; i < s->run_count; i++) {
    if (!tn_study_in(&s->runs[i], group) || !s->runs[i].finished) continue;
    const double value = tn_outcome_value(&s->runs[i].outcome, result);
    if (!isnan(value)) values[(*count)++] = value;
  }
  return values;
}

void tn_study_free(tn_study *s) {
  for (uint32_t i = 0; i < s->run_count; i++) {
    tn_study_run *run = &s->runs[i];
    free(run->directory);
    free(run->label);
    free(run->state);
    tn_outcome_free(&run->outcome);
    if (run->opened) tn_event_file_free(&run->events);
  }
  for (uint32_t i = 0; i < s->group_count; i++) {
    free(s->groups[i].name);
    free(s->groups[i].arm);
    free(s->groups[i].variant);
  }
  for (uint32_t i = 0; i < s->claim_count; i++) {
    free(s->claims[i].place);
    free(s->claims[i].name);
    free(s->claims[i].text);
    free(s->claims[i].measured);
  }
  for (uint32_t i = 0; i < s->result_count; i++) free(s->results[i].name);
  for (uint32_t i = 0; i < s->note_count; i++) free(s->notes[i]);
  free(s->runs);
  free(s->groups);
  free(s->claims);
  free(s->results);
  free(s->notes);
  free(s->criterion);
  free(s->name);
  *s = (tn_study){0};
}
