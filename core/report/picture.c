// SPDX-License-Identifier: MIT
#include "core/report/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/axis.h"
#include "core/report/svg.h"

static const double label_size = 12, label_most = 150; /* px */

void tn_picture_number(char text[32], double value) {
  const double size = fabs(value);
  if (isnan(value))
    strcpy(text, "\xe2\x80\x93");
  else if (isinf(value))
    strcpy(text, value > 0 ? "\xe2\x88\x9e" : "\xe2\x88\x92\xe2\x88\x9e");
  else if (value == floor(value) && size < 1e7)
    snprintf(text, 32, "%.0f", value);
  else if (size >= 1e4 && size < 1e9)
    snprintf(text, 32, size >= 1e6 ? "%.4gM" : "%.4gk", value / (size >= 1e6 ? 1e6 : 1e3));
  else
    snprintf(text, 32, "%.4g", value);
}

static void put_text(tn_text *out, const char *classes, double x, double y, const char *anchor,
                     const char *text, double width) {
  tn_text_printf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", classes, x, y, anchor);
  tn_svg_append_middle(out, text, label_size, width);
  tn_text_append(out, "</text>\n");
}

static void put_grid(tn_text *out, const tn_axis *axis, double top, double bottom) {
  for (size_t i = 0; i < axis->tick_count; i++) {
    const double x = tn_axis_place(axis, axis->ticks[i]);
    tn_text_printf(out, "<path class=\"tn-grid\" d=\"M%.1f %.1fV%.1f\"/>", x, top, bottom);
    put_text(out, "tn-quiet", x, bottom + 16, "middle", axis->labels[i], 80);
  }
}

/* ---- bars ---- */

void tn_picture_bars(const tn_bars_picture *p, tn_text *out) {
  static const double bar = 15, gap = 2, between = 10;
  double low = 0, high = 0, left = 0;
  const size_t count = p->groups * p->bars;
  for (size_t i = 0; i < count; i++) {
    const double spread = p->spread && isfinite(p->spread[i]) ? fabs(p->spread[i]) : 0;
    if (!(fabs(p->values[i]) <= 1e300) || !(spread <= 1e300)) continue;
    low = fmin(low, p->values[i] - spread);
    high = fmax(high, p->values[i] + spread);
  }
  for (size_t g = 0; p->group_labels && g < p->groups; g++)
    left = fmax(left, fmin(tn_svg_text_width(p->group_labels[g], label_size), label_most) + 10);
  if (low == high) high = 1;
  const double group = (double)p->bars * (bar + gap) + between, height = (double)p->groups * group + 4;
  tn_axis axis = {.low = low, .high = high, .start = left + (low < 0 ? 52 : 0), .stop = p->width - 58};
  tn_svg_open(out, p->width, height, p->title, true);
  const double zero = tn_axis_place(&axis, 0);
  for (size_t i = 0; i < count; i++) {
    const double y = (double)(i / p->bars) * group + (double)(i % p->bars) * (bar + gap) + between / 2;
    if (i % p->bars == 0 && p->group_labels)
      put_text(out, "tn-label", left - 10, y + (group - between) / 2 + 4, "end", p->group_labels[i / p->bars],
               label_most);
    if (!(fabs(p->values[i]) <= 1e300)) continue;
    const double x = tn_axis_place(&axis, p->values[i]);
    const double spread =
        p->spread && isfinite(p->spread[i]) && fabs(p->spread[i]) <= 1e300 ? fabs(p->spread[i]) : 0;
    char number[32];
    tn_picture_number(number, p->values[i]);
    tn_text_printf(
        out, "<g><rect class=\"tn-f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"2\"/>",
        i % p->bars % TN_SVG_COLORS, fmin(x, zero), y, fmax(fabs(x - zero), 0.5), bar);
    if (spread > 0)
      tn_text_printf(out, "<path class=\"tn-axis\" d=\"M%.1f %.1fH%.1f\"/>",
                     tn_axis_place(&axis, p->values[i] - spread), y + bar / 2,
                     tn_axis_place(&axis, p->values[i] + spread));
    tn_text_append(out, "<title>");
    if (p->group_labels) tn_text_append_xml(out, p->group_labels[i / p->bars]);
    if (p->bar_labels) tn_text_printf(out, "%s", p->group_labels ? ", " : "");
    if (p->bar_labels) tn_text_append_xml(out, p->bar_labels[i % p->bars]);
    tn_text_printf(out, ": %s", number);
    if (spread > 0) tn_text_printf(out, " \xc2\xb1 %.3g", spread);
    tn_text_append(out, "</title></g>");
    const double end =
        spread > 0 ? tn_axis_place(&axis, p->values[i] + (p->values[i] < 0 ? -spread : spread)) : x;
    put_text(out, "tn-num", end + (p->values[i] < 0 ? -5 : 5), y + bar / 2 + 4,
             p->values[i] < 0 ? "end" : "start", number, 56);
  }
  tn_text_printf(out, "<path class=\"tn-axis\" d=\"M%.1f 0V%.1f\"/>\n", zero, height);
  tn_svg_close(out);
}

/* ---- dots by run ---- */

static double mean_of(const tn_strip *s, double *deviation, size_t *finite) {
  double sum = 0, square = 0;
  *finite = 0;
  for (size_t i = 0; i < s->count; i++)
    if (fabs(s->values[i]) <= 1e300) sum += s->values[i], ++*finite;
  const double mean = *finite ? sum / (double)*finite : NAN;
  for (size_t i = 0; i < s->count; i++)
    if (fabs(s->values[i]) <= 1e300) square += (s->values[i] - mean) * (s->values[i] - mean);
  *deviation = *finite > 1 ? sqrt(square / (double)(*finite - 1)) : 0;
  return mean;
}

void tn_picture_strips(const char *title, const tn_strip *strips, size_t count, double width, tn_text *out) {
  static const double line = 30;
  double low = INFINITY, high = -INFINITY, left = 0, right = 0, widest_low = INFINITY,
         widest_high = -INFINITY;
  for (size_t k = 0; k < count; k++) {
    left = fmax(left, fmin(tn_svg_text_width(strips[k].label, label_size) * 1.04, label_most));
    if (strips[k].text) right = fmax(right, tn_svg_text_width(strips[k].text, label_size) * 1.04 + 12);
    for (size_t i = 0; i < strips[k].count; i++)
      if (fabs(strips[k].values[i]) <= 1e300)
        low = fmin(low, strips[k].values[i]), high = fmax(high, strips[k].values[i]);
    double deviation;
    size_t finite;
    const double mean = mean_of(&strips[k], &deviation, &finite);
    if (finite > 1)
      widest_low = fmin(widest_low, mean - deviation), widest_high = fmax(widest_high, mean + deviation);
  }
  tn_axis axis = {.start = left + 18,
                  .stop = width - right - 8,
                  .logarithmic = low > 1e-140 && high / low >= 30 && high < 1e140};
  if (!axis.logarithmic) low = fmin(low, widest_low), high = fmax(high, widest_high);
  tn_axis_span(&axis, low, high, axis.logarithmic);
  const double room = axis.logarithmic ? 0 : (axis.high - axis.low) * 0.04; /* dots stay clear of the edges */
  axis.low -= room, axis.high += room;
  tn_axis_mark(&axis, (size_t)fmax(2, (axis.stop - axis.start) / 50), false);
  const double bottom = (double)count * line + 4;
  tn_svg_open(out, width, bottom + 22, title, true);
  put_grid(out, &axis, 2, bottom);
  for (size_t k = 0; k < count; k++) {
    const tn_strip *s = &strips[k];
    const double y = ((double)k + 0.5) * line + 2;
    double deviation;
    size_t finite;
    const double mean = mean_of(s, &deviation, &finite);
    const unsigned color = s->color % TN_SVG_COLORS;
    put_text(out, "tn-label", left, y + 4, "end", s->label, label_most);
    if (finite > 1)
      tn_text_printf(out, "<path class=\"tn-whisker tn-c%u\" d=\"M%.1f %.1fH%.1f\"/>", color,
                     fmax(axis.start, tn_axis_place(&axis, fmax(axis.low, mean - deviation))), y,
                     fmin(axis.stop, tn_axis_place(&axis, fmin(axis.high, mean + deviation))));
    for (size_t i = 0; i < s->count; i++)
      if (fabs(s->values[i]) <= 1e300)
        tn_text_printf(
            out,
            "<circle class=\"tn-dot tn-f%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.2\"><title>%.6g</title></circle>",
            color, tn_axis_place(&axis, s->values[i]), y, s->values[i]);
    if (finite > 1)
      tn_text_printf(out, "<path class=\"tn-mark\" d=\"M%.1f %.1fv18\"/>", tn_axis_place(&axis, mean), y - 9);
    if (s->text) put_text(out, s->strong ? "tn-num tn-strong" : "tn-num", width, y + 4, "end", s->text, 200);
  }
  tn_svg_close(out);
}

/* ---- distributions over time ---- */

void tn_picture_ridges(const char *title, const char *x_label, const tn_ridge *ridges, size_t count,
                       double width, tn_text *out) {
  static const double pace = 22, peak = 46;
  double low = INFINITY, high = -INFINITY, left = 0;
  for (size_t k = 0; k < count; k++) {
    low = fmin(low, ridges[k].low);
    high = fmax(high, ridges[k].high);
    left = fmax(left, fmin(tn_svg_text_width(ridges[k].label, label_size) + 10, 90));
  }
  tn_axis axis = {.start = left, .stop = width - 10};
  tn_axis_span(&axis, fmax(low, -1e300), fmin(high, 1e300), false);
  tn_axis_mark(&axis, (size_t)fmax(2, (axis.stop - axis.start) / 55), false);
  const bool named = x_label && *x_label;
  const double bottom = peak + pace * (double)count;
  tn_svg_open(out, width, bottom + (named ? 40 : 22), title, true);
  put_grid(out, &axis, 4, bottom);
  for (size_t k = 0; k < count; k++) {
    const tn_ridge *r = &ridges[k];
    const double base = peak + pace * (double)(k + 1),
                 bin = (r->high - r->low) / (double)(r->bins ? r->bins : 1);
    double most = 0; /* of the density, per pixel of the common axis */
    for (size_t b = 0; b < r->bins; b++) most = fmax(most, r->counts[b]);
    tn_text_printf(out, "<g><path class=\"tn-ridge tn-c0\" d=\"M%.1f %.1f",
                   tn_axis_place(&axis, fmax(axis.low, r->low)), base);
    for (size_t b = 0; b < r->bins && bin > 0; b++)
      tn_text_printf(out, "L%.1f %.1f", tn_axis_place(&axis, r->low + ((double)b + 0.5) * bin),
                     base - (most > 0 ? peak * fmax(r->counts[b], 0) / most : 0));
    if (!(bin > 0)) tn_text_printf(out, "v%.1fv%.1f", -peak, peak); /* one value */
    tn_text_printf(out, "L%.1f %.1f\"/><title>", tn_axis_place(&axis, fmin(axis.high, r->high)), base);
    tn_text_append_xml(out, r->label);
    tn_text_printf(out, ": from %.4g to %.4g</title></g>\n", r->low, r->high);
    put_text(out, "tn-quiet", left - 8, base + 3, "end", r->label, 82);
  }
  if (named)
    put_text(out, "tn-quiet", (axis.start + axis.stop) / 2, bottom + 34, "middle", x_label, width - left);
  tn_svg_close(out);
}
