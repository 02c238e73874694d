// SPDX-License-Identifier: MIT
/* events.jsonl in a run directory: everything the report is made from, one JSON object a line, only ever
 * added to. A resumed run cuts it back to the length it had at its checkpoint. */
#ifndef TENON_REPORT_EVENT_LOG_H
#define TENON_REPORT_EVENT_LOG_H

#include <stdio.h>
#include <tenon/report.h>

#include "core/report/text.h"

#define TN_EVENT_LOG_NAME "events.jsonl"

typedef struct tn_event_log tn_event_log;

/* Opens the file and keeps its first `keep` bytes (0: a new file). NULL with errno on failure. */
tn_event_log *tn_event_log_open(const char *path, int64_t keep);
/* Adds an event and hands it to the system. False with errno on failure. */
bool tn_event_log_add(tn_event_log *log, const tn_event *event);
/* A line about the run itself. `text` is a whole JSON object without newlines. */
bool tn_event_log_line(tn_event_log *log, const char *text);
int64_t tn_event_log_bytes(const tn_event_log *log); /* written so far: what a checkpoint records */
void tn_event_log_close(tn_event_log *log);

/* The line of an event, without the newline. Tensors are kept as a report needs them: numbers with 7 digits,
 * images as PNG in base64, values of a histogram as counts. False if the event does not fit its type (no
 * tensor, wrong number of axes): nothing is appended. */
bool tn_event_line(const tn_event *event, tn_text *out);

/* A quoted JSON string; bytes that are not UTF-8 become U+FFFD. */
void tn_json_string(tn_text *text, const char *string);
/* null if it is not finite. */
void tn_json_number(tn_text *text, double value, int digits);

#endif
