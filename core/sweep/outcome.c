// SPDX-License-Identifier: MIT
#include "core/sweep/outcome.h"
#include "core/config/memory.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Figures of the run as a whole. */
static const char *const whole[] = {"parameters", "state_bytes"}; /* in results.json */
static const char *const cost[] = {"seconds", "memory"};          /* in cost.json */

static void add(tn_run_record *record, const char *name, double value, bool is_cost) {
  record->results = tn_take_again(record->results, (record->result_count + 1) * sizeof *record->results);
  record->results[record->result_count++] = (tn_result){tn_copy_text(name), value, is_cost};
}

static void add_numbers(tn_run_record *record, const json_t *object, const char *const *names, size_t count,
                        bool is_cost) {
  for (size_t i = 0; i < count; i++) {
    const json_t *value = json_object_get(object, names[i]);
    if (json_is_number(value)) add(record, names[i], json_number_value(value), is_cost);
  }
}

bool tn_outcome_read(const char *directory, tn_outcome_record *outcome, tn_error *error) {
  *outcome = (tn_outcome_record){0};
  char path[4200];
  snprintf(path, sizeof path, "%s/results.json", directory);
  json_error_t why;
  json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
  json_t *results = json_object_get(root, "results"), *text = json_object_get(root, "outcome");
  if (!json_is_object(results) || !json_is_string(text)) {
    tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path,
                 root ? "expected an object with outcome and results" : why.text);
    json_decref(root);
    return false;
  }
  outcome->outcome = tn_copy_text(json_string_value(text));
  outcome->seed = json_integer_value(json_object_get(root, "seed"));
  outcome->smoke = json_is_true(json_object_get(root, "smoke"));
  const char *name;
  json_t *value;
  json_object_foreach(results, name, value)
      add(&outcome->record, name, json_is_number(value) ? json_number_value(value) : NAN, false);
  add_numbers(&outcome->record, root, whole, 2, false);
  json_decref(root);
  snprintf(path, sizeof path, "%s/cost.json", directory);
  root = json_load_file(path, 0, NULL); /* a copy of a run may lack it */
  add_numbers(&outcome->record, root, cost, 2, true);
  json_object_foreach(json_object_get(root, "results"), name, value)
      add(&outcome->record, name, json_is_number(value) ? json_number_value(value) : NAN, true);
  json_decref(root);
  return true;
}

bool tn_outcome_finished(const tn_outcome_record *outcome) {
  return outcome->outcome && strcmp(outcome->outcome, "finished") == 0;
}

void tn_outcome_free(tn_outcome_record *outcome) {
  for (uint32_t i = 0; i < outcome->record.result_count; i++)
    free((char *)(uintptr_t)outcome->record.results[i].name);
  free(outcome->record.results);
  free(outcome->outcome);
  *outcome = (tn_outcome_record){0};
}

double tn_outcome_value(const tn_outcome_record *outcome, const char *name) {
  for (uint32_t i = 0; i < outcome->record.result_count; i++)
    if (strcmp(outcome->record.results[i].name, name) == 0) return outcome->record.results[i].value;
  return NAN;
}
