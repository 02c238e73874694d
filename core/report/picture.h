// SPDX-License-Identifier: MIT
/* Pictures of the report page beside line charts (svg.h): heat maps, bars, dots by run, distributions over
 * time. All are `plain` SVG for a page with the style of html.h: colours follow its theme, and values that
 * do not stand in the picture are in <title> elements. Memory is the only failure: see tn_text. */
#ifndef TENON_REPORT_PICTURE_H
#define TENON_REPORT_PICTURE_H

#include "core/report/text.h"

/* A number as people read it: four significant digits, 1,234 and 12.3k rather than 1234.000; "–" of NAN. */
void tn_picture_number(char text[32], double value);

typedef struct tn_matrix_picture {
  const char *title, *x_label, *y_label; /* NULL: none */
  size_t rows, columns;
  const double *values;          /* (rows, columns); NAN: an empty cell */
  const char *const *row_labels; /* rows texts, or NULL: 0, 1, 2 ... */
  const char *const *column_labels;
  bool diverging; /* colours for both signs, none at zero */
  bool confusion; /* colours by the share in the row, hits and errors apart */
  double width;   /* px */
} tn_matrix_picture;
/* Coloured cells, with their numbers where they fit; beyond 4,096 cells as an image. */
void tn_picture_matrix(const tn_matrix_picture *picture, tn_text *out);

typedef struct tn_bars_picture {
  const char *title;
  size_t groups, bars;             /* bars in each group */
  const double *values;            /* (groups, bars); NAN: no bar */
  const double *spread;            /* (groups, bars) half lengths of whiskers; NULL: none */
  const char *const *group_labels; /* or NULL */
  const char *const *bar_labels;   /* for <title>; or NULL */
  double width;
} tn_bars_picture;
/* Horizontal bars from zero, with their numbers. */
void tn_picture_bars(const tn_bars_picture *picture, tn_text *out);

typedef struct tn_strip {
  const char *label;
  unsigned color;
  const double *values; /* one a run; NAN is left out */
  size_t count;
  const char *text; /* stands at the right: "0.971 ± 0.004" */
  bool strong;      /* the text is bold: the best one */
} tn_strip;
/* A line for each arm: a dot for each run, a bar for mean -+ standard deviation, a mark for the mean. */
void tn_picture_strips(const char *title, const tn_strip *strips, size_t count, double width, tn_text *out);

typedef struct tn_ridge {
  double low, high;     /* of the bins */
  const double *counts; /* bins values */
  size_t bins;
  const char *label; /* "step 400" */
} tn_ridge;
/* One distribution below the other on one axis, the newest in front. */
void tn_picture_ridges(const char *title, const char *x_label, const tn_ridge *ridges, size_t count,
                       double width, tn_text *out);

#endif
