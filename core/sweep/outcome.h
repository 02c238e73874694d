// SPDX-License-Identifier: MIT
/* What a finished run left in its results.json. */
#ifndef TENON_CORE_OUTCOME_H
#define TENON_CORE_OUTCOME_H

#include "core/config/error.h"
#include "core/report/record.h"
#include <stdbool.h>

typedef struct tn_outcome_record {
  char *outcome;        /* "finished", or why not; NULL: it has not run */
  bool smoke;           /* the run was a shortened one */
  int64_t seed;         /* of the run */
  tn_run_record record; /* "test.accuracy" ..., and "seconds", "memory", "parameters", "state_bytes" */
} tn_outcome_record;

bool tn_outcome_finished(const tn_outcome_record *outcome);
/* False (with an error) if there is no such file or it is damaged. */
bool tn_outcome_read(const char *directory, tn_outcome_record *outcome, tn_error *error);
void tn_outcome_free(tn_outcome_record *outcome);
/* NAN if there is none. */
double tn_outcome_value(const tn_outcome_record *outcome, const char *name);

#endif
