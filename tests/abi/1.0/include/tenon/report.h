// SPDX-License-Identifier: MIT
/* tenon.report/1: what a run has to say. Stages and components emit events; observers receive them
 * (observer.h), the run directory keeps them, and the report draws them. Ownership: an event and all it
 * points to belong to the emitter and are valid during the call only. Threads: [main]. */
#ifndef TENON_REPORT_H
#define TENON_REPORT_H

#include <tenon/data.h>

#define TN_REPORT_SERVICE "tenon.report/1"

/* Every event has a type, the stage it comes from, and the part of the union that belongs to its type. */
typedef int32_t tn_event_type;
enum {
  TN_EVENT_RUN_BEGIN = 1,
  TN_EVENT_RUN_END = 2, /* text: "finished", "interrupted" or the error */
  TN_EVENT_STAGE_BEGIN = 3,
  TN_EVENT_STAGE_END = 4, /* scalars: the stage's results */
  TN_EVENT_STEP = 5,      /* scalars of one step: loss, lr, accuracy ...; a point on curves */
  TN_EVENT_RESULT = 6,    /* scalars: final figures, also for expectations and tables */
  TN_EVENT_TABLE = 7,
  TN_EVENT_MATRIX = 8, /* a heat map or confusion matrix */
  TN_EVENT_IMAGES = 9, /* tensor (n, channels, height, width), values in [0, 1], channels 1 or 3 */
  TN_EVENT_GRAPH = 10, /* text: edges, one a line: `from -> to : label`; a line `node : note` names a node */
  TN_EVENT_SCATTER = 11,   /* tensor (n, 2); or (n, 3) with a class number in the third column */
  TN_EVENT_HISTOGRAM = 12, /* tensor (n): the values; or (n, k): k distributions over the same axis */
  TN_EVENT_TEXT = 13,
  /* Lines over any x: accuracy along a stream, a density and its target. tensor (n, 1 + k): x, then the k
   * lines; a value that is not finite is a gap. column_labels (columns = k): their names. */
  TN_EVENT_SERIES = 14,
  /* Groups of bars from zero. tensor (n, k): k bars in each of n groups; row_labels: the groups,
   * column_labels: the bars of a group. */
  TN_EVENT_BARS = 15,
  TN_EVENT_COST = 16 /* scalars: final figures that differ from run to run: seconds, bytes */
};

/* How a picture is drawn; flags. */
enum {
  TN_STYLE_LOG_X = 1, /* SERIES, SCATTER */
  TN_STYLE_LOG_Y = 2, /* SERIES, SCATTER */
  TN_STYLE_JOIN =
      4, /* SCATTER: the points of each class joined as a staircase in order of x: a Pareto front */
  TN_STYLE_DIVERGING = 8 /* MATRIX: colours for both signs, zero in the middle */
};

typedef struct tn_scalar_value {
  const char *name;
  double value;
} tn_scalar_value;

typedef struct tn_event {
  uint32_t size;
  tn_event_type type;
  const char *stage; /* set by the host */
  double seconds;    /* since the run began; set by the host */
  const char *name;  /* of the table, matrix, picture ...; NULL for steps */
  const char *title; /* for people; NULL: the name */
  tn_progress progress;
  const tn_scalar_value *scalars;
  uint32_t scalar_count;
  const char *text;
  const tn_tensor *tensor; /* MATRIX (rows, columns), IMAGES, SCATTER, HISTOGRAM: float32 or float64 */
  /* TABLE: cells row by row. MATRIX: labels may be NULL. IMAGES: columns of the grid, 0: as fits; row_labels
   * (rows: n) stand below each. SCATTER: column_labels name the classes. */
  uint32_t rows, columns;
  const char *const *row_labels;
  const char *const *column_labels;
  const char *const *cells;      /* TABLE: rows x columns texts */
  const char *x_label, *y_label; /* axes of MATRIX, SCATTER, HISTOGRAM, SERIES, BARS */
  /* SERIES, BARS: (n, k), half widths of a band around each line or of a whisker on each bar; NULL: none */
  const tn_tensor *spread;
  uint32_t style; /* TN_STYLE_... */
} tn_event;

typedef struct tn_report_service {
  uint32_t size;
  void (*emit)(const tn_event *event);
} tn_report_service;

static inline void tn_emit(const tn_event *event) { tn_sdk.report->emit(event); }
static inline tn_event tn_event_of(tn_event_type type, const char *name) {
  tn_event event;
  __builtin_memset(&event, 0, sizeof event);
  event.size = sizeof event;
  event.type = type;
  event.name = name;
  return event;
}
/* A point on the stage's curves. */
static inline void tn_emit_step(const tn_progress *progress, const tn_scalar_value *scalars, uint32_t count) {
  tn_event event = tn_event_of(TN_EVENT_STEP, NULL);
  event.progress = *progress;
  event.scalars = scalars;
  event.scalar_count = count;
  tn_emit(&event);
}
/* A final figure of the stage: `STAGE.NAME` in [expect], in tables and in results.json. */
static inline void tn_emit_result(const char *name, double value) {
  tn_scalar_value scalar = {name, value};
  tn_event event = tn_event_of(TN_EVENT_RESULT, NULL);
  event.scalars = &scalar;
  event.scalar_count = 1;
  tn_emit(&event);
}
/* A final figure that differs from run to run, such as seconds: `STAGE.NAME` in [expect] and in cost.json,
 * not in results.json, which is the same every time. */
static inline void tn_emit_cost(const char *name, double value) {
  tn_scalar_value scalar = {name, value};
  tn_event event = tn_event_of(TN_EVENT_COST, NULL);
  event.scalars = &scalar;
  event.scalar_count = 1;
  tn_emit(&event);
}

#endif
