// SPDX-License-Identifier: MIT
#include "core/sweep/selection.h"
#include "core/config/memory.h"
#include "core/config/number.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONDITIONS = 8 };

typedef struct condition {
  char *key, *value;
} condition;

/* A name, taken apart. */
typedef struct selection {
  const tn_plan *plan;
  const tn_outcome_record *outcomes;
  const char *name;
  char *arm; /* "lion", "*", "" */
  char *conditions_text;
  condition conditions[MAX_CONDITIONS];
  uint32_t condition_count;
  const char *result; /* "test.accuracy" */
  char *why;
  size_t bytes;
} selection;

static bool fail(const selection *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(const selection *s, const char *format, ...) {
  const int used = snprintf(s->why, s->bytes, "'%s': ", s->name);
  if (used < 0 || (size_t)used >= s->bytes) return false;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(s->why + used, s->bytes - (size_t)used, format, arguments);
  va_end(arguments);
  return false;
}

static char *copy_of(const char *text, size_t length) {
  char *copy = tn_take(length + 1);
  memcpy(copy, text, length);
  return copy;
}

/* ---- taking the name apart ---- */

/* Without blanks around it; `end` is where it ends. */
static char *trim(char *text, char *end) {
  while (end > text && end[-1] == ' ') end--;
  *end = 0;
  return text + strspn(text, " ");
}

/* "net.hidden=64, 64, lr=1e-3": what has no = belongs to the value in front of it. */
static bool read_conditions(selection *s) {
  for (char *at = s->conditions_text, *next; at; at = next) {
    char *equals = strchr(at, '=');
    if (!equals) return fail(s, "'%s' is no condition; expected key=value", at);
    if (s->condition_count == MAX_CONDITIONS) return fail(s, "more than %d conditions", MAX_CONDITIONS);
    char *later = strchr(equals + 1, '='), *end = later;
    while (end && end > equals && *end != ',') end--;
    if (later && end == equals) return fail(s, "two values in '%s'; expected key=value, key=value", at);
    next = later ? end + 1 : NULL;
    if (!later) end = equals + strlen(equals);
    condition *c = &s->conditions[s->condition_count++];
    c->value = trim(equals + 1, end);
    c->key = trim(at, equals);
  }
  return true;
}

static bool take_apart(selection *s) {
  const bool arms = *s->plan->arms[0].name != 0;
  size_t length = 0;
  if (arms) {
    if (s->name[0] == '*') length = 1;
    for (uint32_t i = 0; i < s->plan->arm_count; i++) {
      const size_t l = strlen(s->plan->arms[i].name);
      if (l > length && strncmp(s->name, s->plan->arms[i].name, l) == 0 &&
          (s->name[l] == '.' || s->name[l] == '['))
        length = l;
    }
    if (length == 0) {
      char first[128], hint[TN_SUGGESTION];
      snprintf(first, sizeof first, "%.*s", (int)strcspn(s->name, ".["), s->name);
      const char **names = tn_take((s->plan->arm_count + 1) * sizeof *names);
      for (uint32_t i = 0; i < s->plan->arm_count; i++) names[i] = s->plan->arms[i].name;
      tn_suggest(hint, first, names, s->plan->arm_count);
      free(names);
      return fail(s, "no arm '%s'%s", first, hint);
    }
  }
  s->arm = copy_of(s->name, length);
  const char *at = s->name + length;
  if (*at == '[') {
    const char *close = strchr(at, ']');
    s->conditions_text = copy_of(at + 1, (size_t)(close - at - 1));
    at = close + 1;
  }
  s->result = at + (*at == '.');
  if (!*s->result) return fail(s, "no result behind the arm; expected arm.stage.result");
  return !s->conditions_text || read_conditions(s);
}

/* ---- conditions ---- */

static bool is_choice(const condition *c) { return !strcmp(c->key, "best") || !strcmp(c->key, "least"); }

/* The axis of the arm that the key means: all of it, or what follows its last dot. */
static const tn_axis *axis_of(const tn_arm *arm, const char *key) {
  for (uint32_t pass = 0; pass < 2; pass++)
    for (uint32_t a = 0; a < arm->axis_count; a++) {
      const char *dot = strrchr(arm->axes[a].key, '.');
      if (strcmp(pass && dot ? dot + 1 : arm->axes[a].key, key) == 0) return &arm->axes[a];
    }
  return NULL;
}

/* 1e-3 and 0.001 are equal. */
static bool same_value(const char *a, const char *b) {
  double x, y;
  return strcmp(a, b) == 0 || (tn_number_real(a, false, &x) == TN_NUMBER_OK &&
                               tn_number_real(b, false, &y) == TN_NUMBER_OK && x == y);
}

static bool check_condition(const selection *s, const tn_arm *arm, const condition *c) {
  char hint[TN_SUGGESTION];
  const char *names[TN_MAX_AXES];
  const tn_axis *axis = axis_of(arm, c->key);
  for (uint32_t a = 0; a < arm->axis_count; a++) names[a] = arm->axes[a].key;
  if (!axis)
    return fail(s, "%s%s has no axis '%s'%s", *arm->name ? "arm " : "the sweep", arm->name, c->key,
                tn_suggest(hint, c->key, names, arm->axis_count));
  for (uint32_t v = 0; v < axis->count; v++)
    if (same_value(axis->values[v], c->value)) return true;
  tn_suggest(hint, c->value, (const char *const *)axis->values, axis->count);
  return fail(s, "%s takes no value '%s'%s", axis->key, c->value, hint);
}

/* The value of an axis in a cell. */
static const char *value_in(const tn_cell *cell, const char *key) {
  const size_t length = strlen(key);
  for (uint32_t k = 0; k < cell->override_count; k++)
    if (strncmp(cell->overrides[k], key, length) == 0 && cell->overrides[k][length] == '=')
      return cell->overrides[k] + length + 1;
  return "";
}

static bool is_chosen(const selection *s, const tn_cell *cell) {
  const tn_arm *arm = &s->plan->arms[cell->arm];
  if (strcmp(s->arm, "*") != 0 && strcmp(s->arm, arm->name) != 0) return false;
  for (uint32_t i = 0; i < s->condition_count; i++) {
    const condition *c = &s->conditions[i];
    if (!is_choice(c) && !same_value(value_in(cell, axis_of(arm, c->key)->key), c->value)) return false;
  }
  return true;
}

/* ---- what can be known before anything runs ---- */

static bool is_whole(const char *result) {
  static const char *const whole[] = {TN_WHOLE_FIGURES};
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
    if (strcmp(result, whole[i]) == 0) return true;
  return false;
}

/* The arm's list of stages. */
static const char *stages_of(const tn_plan *plan, const tn_arm *arm) {
  const tn_key *own = arm->from ? tn_section_find(arm->from, "pipeline.stages") : NULL;
  const tn_section *pipeline = tn_config_find(plan->config, "pipeline");
  const tn_key *shared = pipeline ? tn_section_find(pipeline, "stages") : NULL;
  return own ? own->value : shared ? shared->value : NULL;
}

static bool check_stage(const selection *s, const tn_arm *arm, const char *result) {
  const char *stages = stages_of(s->plan, arm);
  if (!result || is_whole(result) || !stages || strchr(stages, '|')) return true;
  static const char *const whole[] = {TN_WHOLE_FIGURES};
  const char *names[64];
  uint32_t count = 0;
  char *copy = tn_copy_text(stages), first[128], hint[TN_SUGGESTION];
  for (char *stage = strtok(copy, ", \t"); stage && count < 60; stage = strtok(NULL, ", \t"))
    names[count++] = stage;
  bool known = false;
  for (uint32_t i = 0; i < count; i++) {
    const size_t length = strlen(names[i]);
    known |= strncmp(result, names[i], length) == 0 && result[length] == '.';
  }
  snprintf(first, sizeof first, "%.*s", (int)strcspn(result, "."), result);
  if (!strchr(result, '.'))
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) names[count++] = whole[i];
  tn_suggest(hint, first, names, count);
  free(copy);
  return known || fail(s, "no stage '%s'%s", first, hint);
}

static bool check(const selection *s) {
  for (uint32_t i = 0; i < s->plan->arm_count; i++) {
    const tn_arm *arm = &s->plan->arms[i];
    if (strcmp(s->arm, "*") != 0 && strcmp(s->arm, arm->name) != 0) continue;
    if (!check_stage(s, arm, s->result)) return false;
    for (uint32_t c = 0; c < s->condition_count; c++) {
      const condition *given = &s->conditions[c];
      if (is_choice(given) ? !check_stage(s, arm, given->value) : !check_condition(s, arm, given))
        return false;
    }
  }
  return true;
}

/* ---- results ---- */

static bool has_result(const tn_outcome_record *outcome, const char *name) {
  for (uint32_t i = 0; i < outcome->record.result_count; i++)
    if (strcmp(outcome->record.results[i].name, name) == 0) return true;
  return false;
}

static bool fail_result(const selection *s, const char *result, const tn_outcome_record *outcome) {
  const uint32_t count = outcome->record.result_count;
  const char **names = tn_take((count + 1) * sizeof *names);
  for (uint32_t i = 0; i < count; i++) names[i] = outcome->record.results[i].name;
  char hint[TN_SUGGESTION];
  tn_suggest(hint, result, names, count);
  free(names);
  return fail(s, "the run has no result '%s'%s", result, hint);
}

/* One result of the chosen cells; `variant` of arm `arm` only unless it is NULL. */
static bool gather(const selection *s, const char *result, const char *variant, uint32_t arm,
                   tn_series *into) {
  for (uint32_t i = 0; i < s->plan->cell_count; i++) {
    const tn_cell *cell = &s->plan->cells[i];
    if (!is_chosen(s, cell) || (variant && (cell->arm != arm || strcmp(cell->variant, variant) != 0)))
      continue;
    const tn_outcome_record *outcome = &s->outcomes[i];
    if (!tn_outcome_finished(outcome))
      return fail(s, "%s did not finish: %s", cell->directory,
                  outcome->outcome ? outcome->outcome : "it did not run");
    if (!has_result(outcome, result)) return fail_result(s, result, outcome);
    tn_series_add(into, (tn_point){.value = tn_outcome_value(outcome, result),
                                   .seed = cell->seed,
                                   .arm = cell->arm,
                                   .variant = cell->variant});
  }
  return true;
}

/* best= and least=: the arm's variant whose mean is the largest or smallest. */
static bool choose(const selection *s, const condition *by, uint32_t arm, const char **variant) {
  const double sign = strcmp(by->key, "best") == 0 ? 1 : -1;
  double found = NAN;
  for (uint32_t i = 0; i < s->plan->cell_count; i++) {
    const tn_cell *cell = &s->plan->cells[i];
    if (cell->arm != arm || !is_chosen(s, cell)) continue;
    tn_series values = {0};
    const bool good = gather(s, by->value, cell->variant, arm, &values);
    const double mean = good ? tn_series_over(TN_OP_MEAN, &values) : NAN;
    tn_series_free(&values);
    if (!good) return false;
    if (!*variant || isnan(found) || sign * mean > sign * found) found = mean, *variant = cell->variant;
  }
  return true;
}

static bool read(const selection *s, tn_series *into) {
  const condition *by = NULL;
  for (uint32_t i = 0; i < s->condition_count; i++)
    if (is_choice(&s->conditions[i])) by = &s->conditions[i];
  if (!by) return gather(s, s->result, NULL, 0, into);
  for (uint32_t arm = 0; arm < s->plan->arm_count; arm++) {
    const char *variant = NULL;
    if (!choose(s, by, arm, &variant)) return false;
    if (variant && !gather(s, s->result, variant, arm, into)) return false;
  }
  return true;
}

bool tn_selection_read(const tn_plan *plan, const tn_outcome_record *outcomes, const char *name,
                       tn_series *into, char *why, size_t bytes) {
  selection s = {.plan = plan, .outcomes = outcomes, .name = name, .why = why, .bytes = bytes};
  *into = (tn_series){0};
  bool good = take_apart(&s) && check(&s);
  if (good && !outcomes)
    *into = tn_series_number(1);
  else
    good = good && read(&s, into);
  if (good && into->count == 0) good = fail(&s, "no run is like that");
  free(s.arm);
  free(s.conditions_text);
  return good;
}
