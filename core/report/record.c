// SPDX-License-Identifier: MIT
#include "core/report/record.h"
#include "core/config/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tn_record_result(tn_run_record *record, const char *stage, const char *name, double value, bool cost) {
  char full[256];
  snprintf(full, sizeof full, "%s%s%s", stage, *stage ? "." : "", name);
  for (uint32_t i = 0; i < record->result_count; i++)
    if (strcmp(record->results[i].name, full) == 0) {
      record->results[i].value = value;
      return;
    }
  tn_result *result = tn_grow(&record->results, record->result_count, &record->result_room, sizeof *result);
  result->name = tn_copy_text(full);
  result->value = value;
  result->cost = cost;
  record->result_count++;
}

static tn_curve *find(const tn_run_record *record, const char *stage, const char *name) {
  for (uint32_t i = 0; i < record->curve_count; i++)
    if (strcmp(record->curves[i].stage, stage) == 0 && strcmp(record->curves[i].name, name) == 0)
      return &record->curves[i];
  return NULL;
}

const tn_curve *tn_record_curve(const tn_run_record *record, const char *stage, const char *name) {
  return find(record, stage, name);
}

void tn_record_step(tn_run_record *record, const char *stage, const char *name, double step, double value) {
  tn_curve *curve = find(record, stage, name);
  if (!curve) {
    curve = tn_grow(&record->curves, record->curve_count, &record->curve_room, sizeof *curve);
    *curve = (tn_curve){.stage = tn_copy_text(stage), .name = tn_copy_text(name)};
    record->curve_count++;
  }
  uint32_t room = curve->room;
  double *x = tn_grow(&curve->x, curve->count, &room, sizeof *x);
  double *y = tn_grow(&curve->y, curve->count, &curve->room, sizeof *y);
  *x = step;
  *y = value;
  curve->count++;
}

void tn_record_free(tn_run_record *record) {
  for (uint32_t i = 0; i < record->result_count; i++) free((void *)(uintptr_t)record->results[i].name);
  for (uint32_t i = 0; i < record->curve_count; i++) {
    free(record->curves[i].stage);
    free(record->curves[i].name);
    free(record->curves[i].x);
    free(record->curves[i].y);
  }
  free(record->results);
  free(record->curves);
  *record = (tn_run_record){0};
}
