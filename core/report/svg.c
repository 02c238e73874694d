// SPDX-License-Identifier: MIT
/* Marks first, frame last: scales are made from the data, then legend, axes, bands, lines and dots are
 * written in the order in which they lie on top of each other. All coordinates are pixels from the top left.
 */
#include "core/report/svg.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/report/axis.h"

static const double margin = 24;       // around everything
static const double title_size = 18;   // px
static const double legend_size = 13;  // px
static const double tick_size = 12;    // px
static const double legend_line = 22;  // px from one line of the legend to the next
static const double swatch = 22;       // px, the piece of line in the legend
static const double swatch_gap = 8;    // px from it to the name
static const double entry_gap = 22;    // px from a name to the next entry
static const size_t marker_count = 24; // a series of at most so many points shows each of them

/* ---- document ---- */

static const char style[] =
    "<style>"
    ".tn-svg{font-family:\"Helvetica Neue\",Helvetica,Arial,\"Liberation Sans\",sans-serif}"
    ".tn-svg text{fill:#1f2933;font-size:12px}"
    ".tn-svg .tn-title{font-size:18px;font-weight:600}"
    ".tn-svg .tn-key{font-size:13px}"
    ".tn-svg .tn-quiet{fill:#5f6b7a}"
    ".tn-svg .tn-ground{fill:#ffffff}"
    ".tn-svg .tn-grid{stroke:#e4e8ee;stroke-width:1;fill:none}"
    ".tn-svg .tn-faint{stroke:#f1f3f7;stroke-width:1;fill:none}"
    ".tn-svg .tn-axis{stroke:#9aa5b4;stroke-width:1.2;fill:none}"
    ".tn-svg .tn-line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}"
    ".tn-svg .tn-fine{stroke-width:1.3}"
    ".tn-svg .tn-band{stroke:none;fill-opacity:.16}"
    ".tn-svg .tn-whisker{fill:none;stroke-width:5;stroke-opacity:.25}"
    ".tn-svg .tn-dot{stroke:#ffffff;stroke-width:1.2}"
    ".tn-svg .tn-d1{stroke-dasharray:8 5}.tn-svg .tn-d2{stroke-dasharray:2 5}"
    ".tn-svg .tn-box{fill:#f7f9fc;stroke:#c3ccd8;stroke-width:1.2}"
    ".tn-svg .tn-name{font-size:14px;font-weight:600}"
    ".tn-svg .tn-edge{fill:none;stroke:#8491a3;stroke-width:1.6;stroke-linecap:round}"
    ".tn-svg .tn-head{fill:#8491a3;stroke:none}"
    ".tn-svg .tn-note{font-size:11px;fill:#4a5665;stroke:#ffffff;stroke-width:5;stroke-linejoin:round;"
    "paint-order:stroke}"
    ".tn-svg .tn-c0{stroke:#0072b2}.tn-svg .tn-f0{fill:#0072b2}"
    ".tn-svg .tn-c1{stroke:#d55e00}.tn-svg .tn-f1{fill:#d55e00}"
    ".tn-svg .tn-c2{stroke:#009e73}.tn-svg .tn-f2{fill:#009e73}"
    ".tn-svg .tn-c3{stroke:#cc79a7}.tn-svg .tn-f3{fill:#cc79a7}"
    ".tn-svg .tn-c4{stroke:#e69f00}.tn-svg .tn-f4{fill:#e69f00}"
    ".tn-svg .tn-c5{stroke:#56b4e9}.tn-svg .tn-f5{fill:#56b4e9}"
    ".tn-svg .tn-c6{stroke:#3b3f46}.tn-svg .tn-f6{fill:#3b3f46}"
    ".tn-svg .tn-c7{stroke:#8f7d00}.tn-svg .tn-f7{fill:#8f7d00}"
    "@media (prefers-color-scheme:dark){"
    ".tn-svg text{fill:#e6eaf0}"
    ".tn-svg .tn-quiet{fill:#9aa6b6}"
    ".tn-svg .tn-ground{fill:#14181f}"
    ".tn-svg .tn-grid{stroke:#2a313c}"
    ".tn-svg .tn-faint{stroke:#1e242d}"
    ".tn-svg .tn-axis{stroke:#5b6676}"
    ".tn-svg .tn-band{fill-opacity:.24}"
    ".tn-svg .tn-whisker{stroke-opacity:.35}"
    ".tn-svg .tn-dot{stroke:#14181f}"
    ".tn-svg .tn-box{fill:#1d232c;stroke:#3d4756}"
    ".tn-svg .tn-edge{stroke:#76839a}.tn-svg .tn-head{fill:#76839a}"
    ".tn-svg .tn-note{fill:#b4bfcd;stroke:#14181f}"
    ".tn-svg .tn-c0{stroke:#4098e0}.tn-svg .tn-f0{fill:#4098e0}"
    ".tn-svg .tn-c1{stroke:#f0803c}.tn-svg .tn-f1{fill:#f0803c}"
    ".tn-svg .tn-c2{stroke:#2cc295}.tn-svg .tn-f2{fill:#2cc295}"
    ".tn-svg .tn-c3{stroke:#e39cc4}.tn-svg .tn-f3{fill:#e39cc4}"
    ".tn-svg .tn-c4{stroke:#f5b93a}.tn-svg .tn-f4{fill:#f5b93a}"
    ".tn-svg .tn-c5{stroke:#8fd0f7}.tn-svg .tn-f5{fill:#8fd0f7}"
    ".tn-svg .tn-c6{stroke:#d5dae2}.tn-svg .tn-f6{fill:#d5dae2}"
    ".tn-svg .tn-c7{stroke:#f0e442}.tn-svg .tn-f7{fill:#f0e442}"
    "}</style>\n";

void tn_svg_open(tn_text *out, double width, double height, const char *title) {
  tn_text_printf(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tn-svg\" role=\"img\" width=\"%.0f\" "
                 "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" style=\"max-width:100%%;height:auto\">\n",
                 width, height, width, height);
  if (title && *title) {
    tn_text_append(out, "<title>");
    tn_text_append_xml(out, title);
    tn_text_append(out, "</title>\n");
  }
  tn_text_append(out, style);
  tn_text_printf(out, "<rect class=\"tn-ground\" width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
}

void tn_svg_close(tn_text *out) { tn_text_append(out, "</svg>\n"); }

/* em/1000, from the Helvetica font metrics (Adobe Core 14 AFM); others: 600, wide scripts and emoji: 1000 */
static double character_width(unsigned c) {
  static const uint16_t ascii[] = {
      278,  278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // space to /
      556,  556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
      1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
      667,  778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
      333,  556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
      556,  556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};     // p to ~
  if (c < 0x20 || c == 0x7f) return 600;
  if (c < 0x7f) return ascii[c - 0x20];
  return c >= 0x1100 ? (c >= 0x2000 && c < 0x2e80 ? 600 : 1000) : 600;
}

double tn_svg_text_width(const char *string, double size) {
  double width = 0;
  while (*string) width += character_width(tn_text_next_character(&string));
  return width * size / 1000;
}

void tn_svg_append_fitted(tn_text *out, const char *string, double size, double width) {
  if (tn_svg_text_width(string, size) <= width) {
    tn_text_append_xml(out, string);
    return;
  }
  double room = width * 1000 / size - 1000; // the ellipsis is one em wide
  for (const char *c = string; *c;) {
    const char *start = c;
    room -= character_width(tn_text_next_character(&c));
    if (room < 0) break;
    char one[5] = {0};
    memcpy(one, start, (size_t)(c - start));
    tn_text_append_xml(out, one);
  }
  tn_text_append(out, "\xe2\x80\xa6");
}

/* ---- chart ---- */

typedef struct frame {
  const tn_svg_chart *chart;
  tn_axis x, y;
  double width, height;
  double left, right, top, bottom; // of the plot
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
  tn_axis_span(&f->x, x_low, x_high, false);
  tn_axis_span(&f->y, y_low, y_high, true);
}

/* ---- legend ---- */

static bool in_legend(const tn_svg_series *s) { return s->name && *s->name; }

/* Colours first; from the ninth series on the same colours with dashes, then with dots. */
static void append_line_class(tn_text *out, size_t series) {
  size_t dash = series / TN_SVG_COLORS % 3;
  tn_text_printf(out, "tn-line tn-c%zu", series % TN_SVG_COLORS);
  if (dash > 0) tn_text_printf(out, " tn-d%zu", dash);
}

static double entry_width(const frame *f, const tn_svg_series *s) {
  return fmin(swatch + swatch_gap + tn_svg_text_width(s->name, legend_size) * 1.03, f->width - 2 * margin);
}

/* Lines of the legend; with `out`, draws them from height `top` on. What does not fit in one line stands in
 * columns as wide as the widest entry. */
static size_t legend(const frame *f, tn_text *out, double top) {
  double total = 0, widest = 0, x = margin;
  for (size_t k = 0; k < f->chart->series_count; k++) {
    if (!in_legend(&f->chart->series[k])) continue;
    double width = entry_width(f, &f->chart->series[k]);
    total += width + entry_gap;
    widest = fmax(widest, width);
  }
  bool columns = total - entry_gap > f->width - 2 * margin;
  size_t lines = 0;
  for (size_t k = 0; k < f->chart->series_count; k++) {
    const tn_svg_series *s = &f->chart->series[k];
    if (!in_legend(s)) continue;
    double width = columns ? widest : entry_width(f, s);
    if (lines == 0 || x + width > f->width - margin + 0.5) {
      lines++;
      x = margin;
    }
    if (out) {
      double y = top + ((double)lines - 0.5) * legend_line;
      tn_text_append(out, "<path class=\"");
      append_line_class(out, k);
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
  tn_text_append(out, "<path class=\"");
  append_line_class(out, k);
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

/* Every point of a short series, and those that no line reaches. */
static void draw_dots(tn_text *out, const frame *f, size_t k) {
  const tn_svg_series *s = &f->chart->series[k];
  point last = {-1, -1};
  for (size_t i = 0; i < s->count; i++) {
    if (s->count <= marker_count ? !visible(f, s, i) : !alone(f, s, i)) continue;
    point p = place(f, s, i);
    if (fabs(p.x - last.x) < 0.5 && fabs(p.y - last.y) < 0.5) continue; // hidden by the last dot
    last = p;
    tn_text_printf(out, "<circle class=\"tn-dot tn-f%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n",
                   k % TN_SVG_COLORS, p.x, p.y, alone(f, s, i) ? 4.2 : 3.6);
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
      tn_text_printf(out, "<path class=\"tn-whisker tn-c%zu\" d=\"M%.1f %.1fV%.1f\"/>\n", k % TN_SVG_COLORS,
                     tn_axis_place(&f->x, series_x(s, begin)), band_place(f, s->low[begin]),
                     band_place(f, s->high[begin]));
      continue;
    }
    tn_text_printf(out, "<path class=\"tn-band tn-f%zu\" d=\"", k % TN_SVG_COLORS);
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

/* From the outside in: margins, title, legend and labels leave the plot; the ticks' labels take their share.
 */
static double lay_out(frame *f) {
  const tn_svg_chart *chart = f->chart;
  f->width = chart->width > 0 ? chart->width : 860;
  f->height = chart->height > 0 ? chart->height : 480;
  double top = chart->title && *chart->title ? margin + title_size + 8 : margin - 8;
  size_t lines = legend(f, NULL, 0);
  if (lines > 1) f->height += (double)(lines - 1) * legend_line;
  f->top = top + (double)lines * legend_line + (chart->y_label && *chart->y_label ? 34 : 16);
  double below = margin + 16 + (chart->x_label && *chart->x_label ? 22 : 0);
  f->height = fmax(f->height, f->top + 40 + below);
  f->bottom = f->height - below;

  bool whole_x;
  span(f, &whole_x);
  tn_axis_mark(&f->y, (size_t)fmin((f->bottom - f->top) / 42, 12), false);
  double widest = 0;
  for (size_t i = 0; i < f->y.tick_count; i++)
    widest = fmax(widest, tn_svg_text_width(f->y.labels[i], tick_size));
  f->left = margin + widest + 10;
  f->width = fmax(f->width, f->left + 40 + margin + 8);
  f->right = f->width - margin - 8;
  tn_axis_mark(&f->x, (size_t)fmin((f->right - f->left) / 80, 12), whole_x);
  f->y.start = f->bottom;
  f->y.stop = f->top;
  f->x.start = f->left + 6; // dots at the ends stay clear of the labels
  f->x.stop = f->right - 6;
  return top;
}

void tn_svg_line_chart(const tn_svg_chart *chart, tn_text *out) {
  frame f = {.chart = chart};
  f.y.logarithmic = chart->log_y;
  double top = lay_out(&f);
  tn_svg_open(out, f.width, f.height, chart->title);
  draw_string(out, "tn-title", margin, margin + title_size - 2, "start", chart->title, title_size * 1.08,
              f.width - 2 * margin);
  legend(&f, out, top);
  draw_string(out, "tn-quiet", margin, f.top - 16, "start", chart->y_label, tick_size, f.width - 2 * margin);
  draw_axes(out, &f);
  for (size_t k = 0; k < chart->series_count; k++) draw_band(out, &f, k);
  for (size_t k = 0; k < chart->series_count; k++) draw_line(out, &f, k);
  for (size_t k = 0; k < chart->series_count; k++) draw_dots(out, &f, k);
  draw_string(out, "tn-quiet", (f.left + f.right) / 2, f.bottom + 42, "middle", chart->x_label, tick_size,
              f.right - f.left);
  tn_svg_close(out);
}
