// SPDX-License-Identifier: MIT
/* What a run leaves for tables and charts: final results, and the curves of its steps. */
#ifndef TENON_CORE_RECORD_H
#define TENON_CORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

/* A final figure "STAGE.NAME". */
typedef struct tn_result {
  const char *name;
  double value;
  bool cost; /* differs from run to run */
} tn_result;

/* One curve: the values of one scalar of one stage over its steps. */
typedef struct tn_curve {
  char *stage, *name;
  double *x, *y;
  uint32_t count, room;
} tn_curve;

typedef struct tn_run_record {
  tn_result *results;
  uint32_t result_count, result_room;
  tn_curve *curves;
  uint32_t curve_count, curve_room;
} tn_run_record;

/* Adds a result; one of the same name is replaced. */
void tn_record_result(tn_run_record *record, const char *stage, const char *name, double value, bool cost);
void tn_record_step(tn_run_record *record, const char *stage, const char *name, double step, double value);
const tn_curve *tn_record_curve(const tn_run_record *record, const char *stage,
                                const char *name); /* NULL: none */
void tn_record_free(tn_run_record *record);

#endif
