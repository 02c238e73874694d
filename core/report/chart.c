// SPDX-License-Identifier: MIT
/* Marks first, frame last: scales are made from the data, then legend, axes, bands, lines and dots are
 * written in the order in which they lie on top of each other. All coordinates are pixels from the top left.
 */
#include "core/report/svg.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/axis.h"

static const double margin = 24, narrow_margin = 2; // px around everything: alone, and in a page
static const double title_size = 18;                // px
static const double legend_size = 13;               // px
static const double tick_size = 12;                 // px
static const double legend_line = 22;               // px from one line of the legend to the next
static const double swatch = 22;                    // px, the piece of line in the legend
static const double swatch_gap = 8;                 // px from it to the name
static const double entry_gap = 22;                 // px from a name to the next entry
static const size_t marker_count = 24;              // a series of at most so many points shows each of them

typedef struct frame {
  const tn_svg_chart *chart;
  tn_axis x, y;
  double width, height;
  double left, right, top, bottom; // of the plot
  double edge;                     // px, from the edge of the drawing to what is in it
  bool limited;                    // points may lie above or below
  bool direct;                     // names stand at the ends of their lines
} frame;

typedef struct point {
  double x, y; // pixels
} point;

static double series_x(const tn_svg_series *s, size_t i) { return s->x ? s->x[i] : (double)i; }

static bool visible(const frame *f, const tn_svg_series *s, size_t i) {
  return tn_axis_takes(&f->x, series_x(s, i)) && tn_axis_takes(&f->y, s->y[i]);
}

static bool alone(const frame *f, const tn_svg_series *s, size_t i) {
  return visible(f, s, i) && !(i > 0 && visible(f, s, i - 1)) && !(i + 1 < s->count && visible(f, s, i + 1));
}

static point place(const frame *f, const tn_svg_series *s, size_t i) {
  return (point){tn_axis_place(&f->x, series_x(s, i)), tn_axis_place(&f->y, s->y[i])};
}

/* On a logarithmic axis a band may reach to zero and below: it then ends at the bottom. */
static bool band_visible(const frame *f, const tn_svg_series *s, size_t i) {
  if (!tn_axis_takes(&f->x, series_x(s, i)) || !tn_axis_takes(&f->y, s->high[i])) return false;
  return tn_axis_takes(&f->y, s->low[i]) || (f->chart->log_y && s->low[i] <= 0);
}

static double band_place(const frame *f, double value) {
  return f->chart->log_y && value <= 0 ? f->bottom : tn_axis_place(&f->y, value);
}

/* ---- what the axes must hold ---- */

static void include(const tn_axis *axis, double value, double *low, double *high) {
  if (!tn_axis_takes(axis, value)) return;
  *low = fmin(*low, value);
  *high = fmax(*high, value);
}

/* Spans both axes over all visible points. Whole x values (steps, epochs) get whole ticks. */
static void span(frame *f, bool *whole_x) {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  *whole_x = true;
  for (size_t k = 0; k < f->chart->series_count; k++) {
    const tn_svg_series *s = &f->chart->series[k];
    if (s->form == TN_SVG_FAINT && f->chart->series_count > 1) continue; // it is cut at the edges
    for (size_t i = 0; i < s->count; i++) {
      bool banded = s->low && s->high && band_visible(f, s, i);
      if (!banded && !visible(f, s, i)) continue;
      double x = series_x(s, i);
      include(&f->x, x, &x_low, &x_high);
      include(&f->y, s->y[i], &y_low, &y_high);
      if (banded) include(&f->y, s->low[i], &y_low, &y_high);
      if (banded) include(&f->y, s->high[i], &y_low, &y_high);
      if (x != floor(x)) *whole_x = false;
    }
  }
  bool dots = f->chart->series_count > 0; // a cloud of points does not begin at the axis
  for (size_t k = 0; k < f->chart->series_count; k++)
    dots &= f->chart->series[k].form == TN_SVG_POINTS || f->chart->series[k].form == TN_SVG_STAIRS;
  tn_axis_span(&f->x, x_low, x_high, dots);
  tn_axis_span(&f->y, y_low, y_high, true);
  f->limited = f->chart->y_low < f->chart->y_high && tn_axis_takes(&f->y, f->chart->y_low) &&
               tn_axis_takes(&f->y, f->chart->y_high);
  if (f->limited) f->y.low = f->chart->y_low, f->y.high = f->chart->y_high;
}

/* ---- legend ---- */

static bool in_legend(const tn_svg_series *s) { return s->name && *s->name && s->form != TN_SVG_FAINT; }

static size_t color_of(const frame *f, size_t k) {
  return f->chart->series[k].color > 0 ? f->chart->series[k].color - 1 : k;
}

/* Colours first; from the ninth series on the same colours with dashes, then with dots. */
static void append_line_class(tn_text *out, const frame *f, size_t k) {
  size_t color = color_of(f, k), dash = color / TN_SVG_COLORS % 3;
  tn_text_printf(out, "tn-line tn-c%zu", color % TN_SVG_COLORS);
  if (dash > 0) tn_text_printf(out, " tn-d%zu", dash);
}

static double entry_width(const frame *f, const tn_svg_series *s) {
  return fmin(swatch + swatch_gap + tn_svg_text_width(s->name, legend_size) * 1.03, f->width - 2 * f->edge);
}

/* Lines of the legend; with `out`, draws them from height `top` on. What does not fit in one line stands in
 * columns as wide as the widest entry. */
static size_t legend(const frame *f, tn_text *out, double top) {
  double total = 0, widest = 0, x = f->edge;
  for (size_t k = 0; k < f->chart->series_count; k++) {
    if (!in_legend(&f->chart->series[k])) continue;
    double width = entry_width(f, &f->chart->series[k]);
    total += width + entry_gap;
    widest = fmax(widest, width);
  }
  bool columns = total - entry_gap > f->width - 2 * f->edge;
  size_t lines = 0;
  for (size_t k = 0; k < f->chart->series_count && !f->chart->plain && !f->direct; k++) {
    const tn_svg_series *s = &f->chart->series[k];
    if (!in_legend(s)) continue;
    double width = columns ? widest : entry_width(f, s);
    if (lines == 0 || x + width > f->width - f->edge + 0.5) {
      lines++;
      x = f->edge;
    }
    if (out) {
      double y = top + ((double)lines - 0.5) * legend_line;
      tn_text_append(out, "<path class=\"");
      append_line_class(out, f, k);
      tn_text_printf(out, "\" style=\"stroke-width:3.2\" d=\"M%.1f %.1fh%.0f\"/>", x + 1.5, y, swatch - 3);
      tn_text_printf(out, "<text class=\"tn-key\" x=\"%.1f\" y=\"%.1f\">", x + swatch + swatch_gap, y + 4.5);
      tn_svg_append_fitted(out, s->name, legend_size, width - swatch - swatch_gap);
      tn_text_append(out, "</text>\n");
    }
    x += width + entry_gap;
  }
  return lines;
}

/* ---- marks ---- */

/* The points of one pixel column: enough of them to look like all of them. */
typedef struct column {
  double pixel;
  size_t first, last, lowest, highest; // indices of points
  double low, high;                    // their heights
} column;

static void append_point(tn_text *out, const frame *f, const tn_svg_series *s, size_t i, bool begins) {
  point p = place(f, s, i);
  tn_text_printf(out, "%c%.1f %.1f", begins ? 'M' : 'L', p.x, p.y);
}

static void append_column(tn_text *out, const frame *f, const tn_svg_series *s, const column *c,
                          bool begins) {
  size_t a = c->lowest < c->highest ? c->lowest : c->highest;
  size_t b = c->lowest < c->highest ? c->highest : c->lowest;
  append_point(out, f, s, c->first, begins);
  if (a != c->first && a != c->last) append_point(out, f, s, a, false);
  if (b != a && b != c->first && b != c->last) append_point(out, f, s, b, false);
  if (c->last != c->first) append_point(out, f, s, c->last, false);
}

static void draw_line(tn_text *out, const frame *f, size_t k) {
  const tn_svg_series *s = &f->chart->series[k];
  column c = {0};
  bool open = false, begins = true; // a column is being filled; it begins a piece of the line
  if (s->form == TN_SVG_POINTS || s->form == TN_SVG_STAIRS) return;
  tn_text_append(out, "<path class=\"");
  append_line_class(out, f, k);
  if (s->form == TN_SVG_FAINT) tn_text_append(out, " tn-raw");
  if ((double)s->count > 2 * (f->right - f->left)) tn_text_append(out, " tn-fine"); // several points a pixel
  tn_text_append(out, "\" d=\"");
  for (size_t i = 0; i < s->count; i++) {
    if (!visible(f, s, i) || alone(f, s, i)) {
      if (open) append_column(out, f, s, &c, begins);
      open = false;
      begins = true;
      continue;
    }
    point p = place(f, s, i);
    if (open && floor(p.x) != c.pixel) {
      append_column(out, f, s, &c, begins);
      open = begins = false;
    }
    if (!open) c = (column){floor(p.x), i, i, i, i, p.y, p.y};
    open = true;
    c.last = i;
    if (p.y > c.low) c.low = p.y, c.lowest = i;
    if (p.y < c.high) c.high = p.y, c.highest = i;
  }
  if (open) append_column(out, f, s, &c, begins);
  tn_text_append(out, "\"/>\n");
}

static int by_x(const void *a, const void *b) {
  const point *p = a, *q = b;
  return p->x < q->x ? -1 : p->x > q->x ? 1 : (p->y > q->y) - (p->y < q->y);
}

/* From left to right, each height kept until the next point. */
static void draw_stairs(tn_text *out, const frame *f, size_t k) {
  const tn_svg_series *s = &f->chart->series[k];
  point *points = s->form == TN_SVG_STAIRS ? calloc(s->count + 1, sizeof *points) : NULL;
  if (s->form == TN_SVG_STAIRS && !points) out->failed = true;
  if (!points) return;
  size_t count = 0;
  for (size_t i = 0; i < s->count; i++)
    if (visible(f, s, i)) points[count++] = place(f, s, i);
  qsort(points, count, sizeof *points, by_x);
  tn_text_append(out, "<path class=\"");
  append_line_class(out, f, k);
  tn_text_append(out, "\" d=\"");
  for (size_t i = 0; i < count; i++) {
    if (i == 0)
      tn_text_printf(out, "M%.1f %.1f", points[i].x, points[i].y);
    else
      tn_text_printf(out, "H%.1fV%.1f", points[i].x, points[i].y);
  }
  tn_text_append(out, "\"/>\n");
  free(points);
}

/* Every point of a short series, and those that no line reaches. */
static void draw_dots(tn_text *out, const frame *f, size_t k) {
  const tn_svg_series *s = &f->chart->series[k];
  const bool all = s->count <= marker_count || s->form == TN_SVG_POINTS || s->form == TN_SVG_STAIRS;
  point last = {-1, -1};
  if (s->form == TN_SVG_FAINT && s->count > 1) return;
  for (size_t i = 0; i < s->count; i++) {
    if (all ? !visible(f, s, i) : !alone(f, s, i)) continue;
    point p = place(f, s, i);
    if (p.y < f->top - 1 || p.y > f->bottom + 1) continue;              // beyond the limits
    if (fabs(p.x - last.x) < 0.5 && fabs(p.y - last.y) < 0.5) continue; // hidden by the last dot
    last = p;
    tn_text_printf(out, "<circle class=\"tn-dot tn-f%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n",
                   color_of(f, k) % TN_SVG_COLORS, p.x, p.y,
                   s->count > 200   ? 2.6
                   : alone(f, s, i) ? 4.2
                                    : 3.6);
  }
}

/* One edge of a band over the points [begin, end), `upper` left to right, the lower one back: one vertex a
 * pixel column, the outermost. */
static void append_edge(tn_text *out, const frame *f, const tn_svg_series *s, size_t begin, size_t end,
                        bool upper) {
  double pixel = NAN, outermost = 0, x = 0;
  bool begins = upper;
  for (size_t n = 0; n < end - begin; n++) {
    size_t i = upper ? begin + n : end - 1 - n;
    double here = tn_axis_place(&f->x, series_x(s, i));
    double y = band_place(f, upper ? s->high[i] : s->low[i]);
    if (floor(here) != pixel) {
      if (n > 0) tn_text_printf(out, "%c%.1f %.1f", begins ? 'M' : 'L', x, outermost), begins = false;
      pixel = floor(here);
      outermost = y;
      x = here;
    }
    outermost = upper ? fmin(outermost, y) : fmax(outermost, y);
  }
  tn_text_printf(out, "%c%.1f %.1f", begins ? 'M' : 'L', x, outermost);
}

static void draw_band(tn_text *out, const frame *f, size_t k) {
  const tn_svg_series *s = &f->chart->series[k];
  if (!s->low || !s->high) return;
  for (size_t begin = 0, end; begin < s->count; begin = end + 1) {
    for (end = begin; end < s->count && band_visible(f, s, end);) end++;
    if (end == begin) continue;
    if (end == begin + 1) { // the band of a single point
      tn_text_printf(out, "<path class=\"tn-whisker tn-c%zu\" d=\"M%.1f %.1fV%.1f\"/>\n",
                     color_of(f, k) % TN_SVG_COLORS, tn_axis_place(&f->x, series_x(s, begin)),
                     band_place(f, s->low[begin]), band_place(f, s->high[begin]));
      continue;
    }
    tn_text_printf(out, "<path class=\"tn-band tn-f%zu\" d=\"", color_of(f, k) % TN_SVG_COLORS);
    append_edge(out, f, s, begin, end, true);
    append_edge(out, f, s, begin, end, false);
    tn_text_append(out, "Z\"/>\n");
  }
}

/* ---- frame ---- */

/* The lines 2 to 9 between the powers of ten, which show a logarithmic axis for what it is. */
static void draw_faint_lines(tn_text *out, const frame *f) {
  if (f->y.high / f->y.low > 1e7) return;
  tn_text_append(out, "<path class=\"tn-faint\" d=\"");
  for (double power = pow(10, floor(log10(f->y.low))); power < f->y.high; power *= 10)
    for (int k = 2; k <= 9; k++)
      if (k * power > f->y.low && k * power < f->y.high)
        tn_text_printf(out, "M%.1f %.1fH%.1f", f->left, tn_axis_place(&f->y, k * power), f->right);
  tn_text_append(out, "\"/>\n");
}

static void draw_axes(tn_text *out, const frame *f) {
  if (f->y.logarithmic) draw_faint_lines(out, f);
  for (size_t i = 0; i < f->y.tick_count; i++) {
    double y = tn_axis_place(&f->y, f->y.ticks[i]);
    tn_text_printf(out, "<path class=\"tn-grid\" d=\"M%.1f %.1fH%.1f\"/>", f->left, y, f->right);
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                   f->left - 10, y + 4, f->y.labels[i]);
  }
  for (size_t i = 0; i < f->x.tick_count; i++) {
    double x = tn_axis_place(&f->x, f->x.ticks[i]);
    tn_text_printf(out, "<path class=\"tn-axis\" d=\"M%.1f %.1fv5\"/>", x, f->bottom);
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                   x, f->bottom + 20, f->x.labels[i]);
  }
  tn_text_printf(out, "<path class=\"tn-axis\" d=\"M%.1f %.1fH%.1f\"/>\n", f->left, f->bottom, f->right);
}

static void draw_string(tn_text *out, const char *classes, double x, double y, const char *anchor,
                        const char *string, double size, double width) {
  if (!string || !*string) return;
  tn_text_printf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", classes, x, y, anchor);
  tn_svg_append_fitted(out, string, size, width);
  tn_text_append(out, "</text>\n");
}

/* ---- names at the ends of the lines ---- */

typedef struct end_label {
  size_t series;
  double x, y, at; // the end of the line, and the height of its name
} end_label;

enum { ENDS_MOST = 12 };
static const double end_pace = 14, end_widest = 96; // px

static double end_width(const tn_svg_chart *chart) {
  double width = 0;
  for (size_t k = 0; k < chart->series_count; k++)
    if (in_legend(&chart->series[k]))
      width = fmax(width, tn_svg_text_width(chart->series[k].name, tick_size) * 1.05);
  return fmin(width, end_widest);
}

static bool fits_ends(const tn_svg_chart *chart) {
  size_t count = 0;
  for (size_t k = 0; k < chart->series_count; k++) count += in_legend(&chart->series[k]);
  return chart->direct && count > 1 && count <= ENDS_MOST;
}

static int by_height(const void *a, const void *b) {
  const end_label *p = a, *q = b;
  return (p->y > q->y) - (p->y < q->y);
}

/* Names stand as near to the ends as they can without touching: neighbours that are too close are pushed
 * apart, and all stay between top and bottom. */
static void draw_ends(tn_text *out, const frame *f) {
  end_label ends[ENDS_MOST];
  size_t count = 0;
  if (!f->direct) return;
  for (size_t k = 0; k < f->chart->series_count && count < ENDS_MOST; k++) {
    const tn_svg_series *s = &f->chart->series[k];
    size_t last = s->count;
    while (last > 0 && !visible(f, s, last - 1)) last--;
    if (!in_legend(s) || last == 0) continue;
    point p = place(f, s, last - 1);
    const double y = fmin(fmax(p.y, f->top), f->bottom);
    ends[count++] = (end_label){k, p.x, y, y};
  }
  qsort(ends, count, sizeof *ends, by_height);
  for (size_t i = 1; i < count; i++) ends[i].at = fmax(ends[i].at, ends[i - 1].at + end_pace);
  double floor_at = f->bottom;
  for (size_t i = count; i-- > 0;) {
    ends[i].at = fmin(ends[i].at, floor_at);
    floor_at = ends[i].at - end_pace;
  }
  for (size_t i = 0; i < count; i++) {
    const double x = f->right + 16;
    tn_text_printf(out, "<path class=\"tn-lead tn-c%zu\" d=\"M%.1f %.1fL%.1f %.1f\"/>",
                   color_of(f, ends[i].series) % TN_SVG_COLORS, ends[i].x + 2, ends[i].y, x - 3, ends[i].at);
    tn_text_printf(out, "<text class=\"tn-end\" x=\"%.1f\" y=\"%.1f\">", x, ends[i].at + 4);
    tn_svg_append_middle(out, f->chart->series[ends[i].series].name, tick_size, end_widest);
    tn_text_append(out, "</text>\n");
  }
}

/* ---- values for the page's script ---- */

/* data-p="px,py,x,y ...": at most so many points, evenly chosen. */
static void draw_values(tn_text *out, const frame *f, size_t k) {
  enum { MOST = 240 };
  const tn_svg_series *s = &f->chart->series[k];
  if (s->form == TN_SVG_FAINT || s->count == 0) return;
  const bool free_points = s->form == TN_SVG_POINTS || s->form == TN_SVG_STAIRS;
  tn_text_printf(out, "<g data-c=\"%zu\"%s data-n=\"", color_of(f, k) % TN_SVG_COLORS,
                 free_points ? " data-free=\"1\"" : "");
  tn_text_append_xml(out, s->name);
  tn_text_append(out, "\" data-x=\"");
  tn_text_append_xml(out, f->chart->x_label ? f->chart->x_label : "x");
  tn_text_append(out, "\" data-p=\"");
  const size_t stride = 1 + (s->count - 1) / MOST;
  for (size_t i = (s->count - 1) % stride; i < s->count; i += stride) {
    if (!visible(f, s, i)) continue;
    point p = place(f, s, i);
    tn_text_printf(out, "%.1f,%.1f,%.6g,%.5g", p.x, p.y, series_x(s, i), s->y[i]);
    if (s->low && s->high && isfinite(s->low[i]) && isfinite(s->high[i]))
      tn_text_printf(out, ",%.3g,%.3g", s->low[i], s->high[i]);
    tn_text_append(out, " ");
  }
  tn_text_append(out, "\"/>\n");
}

/* ---- the whole ---- */

/* From the outside in: margins, title, legend and labels leave the plot; the ticks' labels take their share.
 */
static double lay_out(frame *f) {
  const tn_svg_chart *chart = f->chart;
  f->width = chart->width > 0 ? chart->width : 860;
  f->height = chart->height > 0 ? chart->height : 480;
  f->edge = chart->plain ? narrow_margin : margin;
  f->direct = fits_ends(chart);
  double top = chart->plain ? 0 : chart->title && *chart->title ? f->edge + title_size + 8 : f->edge - 8;
  size_t lines = legend(f, NULL, 0);
  if (lines > 1) f->height += (double)(lines - 1) * legend_line;
  f->top = top + (double)lines * legend_line +
           (chart->y_label && *chart->y_label ? 34
            : chart->plain                    ? 8
                                              : 16);
  double below = f->edge + 16 + (chart->plain ? 8 : 0) + (chart->x_label && *chart->x_label ? 22 : 0);
  f->height = fmax(f->height, f->top + 40 + below);
  f->bottom = f->height - below;

  bool whole_x;
  span(f, &whole_x);
  tn_axis_mark(&f->y, (size_t)fmin((f->bottom - f->top) / 42, 12), false);
  double widest = 0;
  for (size_t i = 0; i < f->y.tick_count; i++)
    widest = fmax(widest, tn_svg_text_width(f->y.labels[i], tick_size));
  f->left = f->edge + widest + 10;
  f->width = fmax(f->width, f->left + 40 + f->edge + 8);
  f->right = f->width - f->edge - 8 - (f->direct ? end_width(chart) + 14 : 0);
  tn_axis_mark(&f->x, (size_t)fmin((f->right - f->left) / (chart->plain ? 48 : 80), 12), whole_x);
  f->y.start = f->bottom;
  f->y.stop = f->top;
  f->x.start = f->left + 6; // dots at the ends stay clear of the labels
  f->x.stop = f->right - 6;
  return top;
}

void tn_svg_line_chart(const tn_svg_chart *chart, tn_text *out) {
  frame f = {.chart = chart};
  f.x.logarithmic = chart->log_x;
  f.y.logarithmic = chart->log_y;
  double top = lay_out(&f);
  tn_svg_open(out, f.width, f.height, chart->title, chart->plain);
  if (!chart->plain)
    draw_string(out, "tn-title", f.edge, f.edge + title_size - 2, "start", chart->title, title_size * 1.08,
                f.width - 2 * f.edge);
  legend(&f, out, top);
  draw_string(out, "tn-quiet", f.edge, f.top - 16, "start", chart->y_label, tick_size, f.width - 2 * f.edge);
  draw_axes(out, &f);
  // A drawing of its own cuts what leaves the plot: pale lines, and what lies beyond given limits.
  const double room = f.limited ? 0 : 4;
  tn_text_printf(
      out,
      "<svg class=\"tn-plot\" overflow=\"hidden\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
      "viewBox=\"%.1f %.1f %.1f %.1f\">\n",
      f.left, f.top - room, f.right - f.left + room, f.bottom - f.top + 2 * room, f.left, f.top - room,
      f.right - f.left + room, f.bottom - f.top + 2 * room);
  for (size_t k = 0; k < chart->series_count; k++)
    if (chart->series[k].form == TN_SVG_FAINT) draw_line(out, &f, k);
  for (size_t k = 0; k < chart->series_count; k++) draw_band(out, &f, k);
  for (size_t k = 0; k < chart->series_count; k++)
    if (chart->series[k].form != TN_SVG_FAINT) draw_line(out, &f, k);
  for (size_t k = 0; k < chart->series_count; k++) draw_stairs(out, &f, k);
  tn_svg_close(out);
  for (size_t k = 0; k < chart->series_count; k++) draw_dots(out, &f, k);
  draw_string(out, "tn-quiet", (f.left + f.right) / 2, f.bottom + 42, "middle", chart->x_label, tick_size,
              f.right - f.left);
  draw_ends(out, &f);
  for (size_t k = 0; k < chart->series_count && chart->plain; k++) draw_values(out, &f, k);
  tn_svg_close(out);
}
