// SPDX-License-Identifier: MIT
/* The report: one HTML document about runs, sweeps, or several of them side by side. */
#ifndef TENON_PAGE_PAGE_H
#define TENON_PAGE_PAGE_H

#include "core/page/study.h"
#include "core/report/text.h"

/* The page of a study that has been read; opens the events of the runs it shows. NULL if memory ran out;
 * freed with free(). The host must have been started (bootstrap intervals). */
char *tn_page_make(tn_study *study);
/* tn_study_read, tn_page_make, and the file: whole or not at all. With `figures` (NULL: none), a directory
 * that is made if it is not there, also every drawn picture of the page as a file "section-title.svg" of its
 * own; *figure_count is their number. */
tn_status tn_page_write(const char *const *directories, uint32_t count, const char *path, const char *figures,
                        uint32_t *figure_count, tn_error *error);
/* The pictures of a page that tn_page_make made. */
tn_status tn_page_write_figures(const char *page, const char *directory, uint32_t *count, tn_error *error);

/* Its parts, each of which appends nothing if it has nothing to say. */
void tn_page_claims(tn_study *study, tn_text *out);
void tn_page_results(tn_study *study, tn_text *out);
void tn_page_settings(tn_study *study, tn_text *out); /* figures over the values of a key */
/* Curves and pictures of a stage; "": what belongs to none. */
void tn_page_curves(tn_study *study, const char *stage, tn_text *out);
void tn_page_pictures(tn_study *study, const char *stage, tn_text *out);
void tn_page_pipeline(tn_study *study, tn_text *out);
void tn_page_cost(tn_study *study, tn_text *out);
void tn_page_runs(tn_study *study, tn_text *out);
void tn_page_notes(tn_study *study, tn_text *out);

/* The first run of a group whose events are there, the finished ones first; NULL: none. */
tn_study_run *tn_page_run_of(tn_study *study, uint32_t group);

#endif
