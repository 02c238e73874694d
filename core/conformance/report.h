// SPDX-License-Identifier: MIT
/* Results as text for people and as JUnit XML for machines. */
#ifndef TENON_CORE_CONFORMANCE_REPORT_H
#define TENON_CORE_CONFORMANCE_REPORT_H

#include "core/conformance/trial.h"

typedef struct tn_case {
  char *owner; /* "optimizer.lion", or the file */
  const char *check;
  tn_finding outcome;
} tn_case;

typedef struct tn_report {
  tn_case *cases;
  uint32_t count, room;
} tn_report;

tn_case *tn_report_add(tn_report *report, const char *owner, const char *check, const tn_finding *outcome);
void tn_report_free(tn_report *report);
/* The cases from `first` on, all of one owner: one line, and one for every failure and skip. */
void tn_report_print(const tn_report *report, uint32_t first, const tn_conformance_options *options,
                     const char *file, FILE *out);
tn_status tn_report_junit(const tn_report *report, const char *path, tn_error *error);

#endif
