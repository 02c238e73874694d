// SPDX-License-Identifier: MIT
/* The report of one run: a self-contained HTML page with the final figures and the curves. */
#ifndef TENON_REPORT_PAGE_H
#define TENON_REPORT_PAGE_H

#include "core/report/record.h"
#include "core/report/text.h"

/* NULL if memory ran out; freed with free(). */
char *tn_page_of_run(const char *name, const char *outcome, const tn_run_record *record);

#endif
