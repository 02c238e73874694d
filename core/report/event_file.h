// SPDX-License-Identifier: MIT
/* events.jsonl of a run directory, read again for the report: of a run that has ended, is running, or was
 * killed in the middle of a line. Nothing in the file is trusted: a line that is not what it should be is
 * left out and noted. */
#ifndef TENON_REPORT_EVENT_FILE_H
#define TENON_REPORT_EVENT_FILE_H

#include "core/format/stream.h"
#include "core/report/record.h"
#include <stdbool.h>
#include <stddef.h>

struct json_t; /* jansson's */

typedef struct tn_stage_span {
  char *name;
  double began, ended; /* seconds since the run began; ended NAN: it has not */
} tn_stage_span;

typedef struct tn_event_file {
  /* What the run says of itself; NULL, -1 or 0 where it does not. */
  char *name, *file, *host, *cpu;
  int64_t seed, time; /* time: seconds since 1970 */
  char *outcome;      /* NULL: the end is not in the file */
  double seconds;     /* of the last event */
  tn_stage_span *stages;
  uint32_t stage_count, stage_room;
  tn_run_record record; /* results and curves */
  /* Pictures, tables and texts in the order of the file, with the members that their kind needs (see
   * tn_event_line), and events of kinds that are not known here. */
  struct json_t **items;
  uint32_t item_count, item_room;
  char **notes; /* what is wrong with the file, a line each: "line 7: ..." */
  uint32_t note_count, note_room;
  uint32_t unnoted; /* further ones */
} tn_event_file;

/* False with one line if the file cannot be read; `events` is then empty. */
bool tn_event_file_read(const char *path, tn_event_file *events, tn_format_error *error);
void tn_event_file_parse(const char *text, size_t bytes, tn_event_file *events);
void tn_event_file_free(tn_event_file *events);

/* Members of an item. Texts are "" where there is none. */
const char *tn_item_text(const struct json_t *item, const char *key);
int64_t tn_item_integer(const struct json_t *item, const char *key); /* 0 where there is none */
/* The i-th text of an array; NULL if there is none. */
const char *tn_item_label(const struct json_t *item, const char *key, size_t i);
size_t tn_item_count(const struct json_t *item, const char *key);
/* The numbers of an array, null as NAN; the caller frees them. */
double *tn_item_numbers(const struct json_t *item, const char *key);
int64_t tn_item_size(const struct json_t *item, size_t axis); /* of "shape" */
bool tn_item_known(const struct json_t *item);                /* its kind has a view */

#endif
