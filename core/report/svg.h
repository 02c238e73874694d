// SPDX-License-Identifier: MIT
/* Line charts as one self-contained SVG: no script, no font, no reference to anything outside, light or dark
 * as the reader's system asks (prefers-color-scheme). The same frame and the same measures of text serve
 * graph.h. */
#ifndef TENON_REPORT_SVG_H
#define TENON_REPORT_SVG_H

#include "core/report/text.h"

/* The colours of the palette, after Okabe and Ito 2008, "Color Universal Design", told apart with
 * the common colour blindnesses; CSS classes tn-c0 to tn-c7 stroke with them, tn-f0 to tn-f7 fill. */
#define TN_SVG_COLORS 8

typedef enum tn_svg_form {
  TN_SVG_LINE,
  TN_SVG_POINTS, /* dots alone */
  TN_SVG_STAIRS, /* dots in any order, joined from left to right, each value kept until the next */
  TN_SVG_FAINT   /* a fine, pale line behind the others, in no legend */
} tn_svg_form;

/* One line. Points with a coordinate that is not finite, or not positive on a logarithmic axis (see
 * tn_axis_takes in axis.h), are left out and break the line; a point without neighbours is drawn as a dot.
 * Neighbouring points that fall on one pixel column are drawn as first, lowest, highest and last. */
typedef struct tn_svg_series {
  const char *name;         /* in the legend; NULL or "": not in it */
  const double *x;          /* count values; NULL: 0, 1, 2, ... */
  const double *y;          /* count values */
  const double *low, *high; /* count values each: a shaded band, e.g. mean -+ deviation; NULL: none */
  size_t count;             /* 0 is allowed: the series stands in the legend only */
  tn_svg_form form;
  unsigned color; /* 0: by its place among the series; else colour number color - 1, with dashes from the
                     ninth on */
} tn_svg_series;

typedef struct tn_svg_chart {
  const char *title;   /* NULL: none; cut to fit */
  const char *x_label; /* NULL: none */
  const char *y_label; /* NULL: none */
  const tn_svg_series *series;
  size_t series_count;
  bool log_x, log_y;
  double width, height; /* pixels; 0: 860 and 480. Legend lines beyond the first add to the height */
  /* For a page (html.h): without style, title and background, and with the values for its script. */
  bool plain;
  double y_low, y_high; /* the axis ends there, and lines are cut; y_low >= y_high: as the data need */
  bool direct;          /* names at the right ends of their lines, not in a legend */
} tn_svg_chart;

/* Appends the chart. Memory is the only failure: see tn_text. */
void tn_svg_line_chart(const tn_svg_chart *chart, tn_text *out);

/* The <svg> element with style, background and accessible title (NULL: none), and its end; `plain`: without
 * style and background, for a page that has them. */
void tn_svg_open(tn_text *out, double width, double height, const char *title, bool plain);
void tn_svg_close(tn_text *out);

/* Width in pixels of a string in the fonts of the style at `size` pixels: Helvetica's advance widths. */
double tn_svg_text_width(const char *string, double size);

/* Appends a string as XML, cut with an ellipsis where it is wider than `width` pixels. */
void tn_svg_append_fitted(tn_text *out, const char *string, double size, double width);

/* The same, cut in the middle: names of runs differ at their ends. */
void tn_svg_append_middle(tn_text *out, const char *string, double size, double width);

#endif
