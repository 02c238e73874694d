// SPDX-License-Identifier: MIT
/* A chart for each figure of a stage, a line for each group: the mean over its runs with a band of one
 * standard deviation. Of many steps neighbours are averaged; of a single run what is averaged stays visible
 * behind the line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/page/html.h"
#include "core/page/page.h"
#include "core/report/picture.h"
#include "core/report/svg.h"
#include "core/sweep/statistics.h"

enum { BINS = 64, EXACT_MOST = 100, RAW_GROUPS = 3 };
static const double name_most = 96, name_size = 12; /* px, of names at the ends of lines */
static const char validation[] = "validation_";

typedef struct line {
  double *x, *y, *low, *high; /* low NULL: a single run */
  size_t count;
} line;

static void free_line(line *l) {
  free(l->x);
  free(l->y);
  free(l->low);
  free(l->high);
}

/* ---- one line of several runs ---- */

static bool same_steps(const tn_curve *const *curves, size_t count) {
  for (size_t i = 1; i < count; i++)
    if (curves[i]->count != curves[0]->count ||
        memcmp(curves[i]->x, curves[0]->x, curves[0]->count * sizeof *curves[0]->x) != 0)
      return false;
  return true;
}

/* Mean and spread of `count` runs, geometric ones for a logarithmic axis; NAN does not count. */
static void put_point(line *l, double x, const double *values, uint32_t count, bool geometric) {
  uint32_t finite = 0;
  double *kept = tn_take((count + 1) * sizeof *kept);
  for (uint32_t i = 0; i < count; i++)
    if (isfinite(values[i]) && (!geometric || values[i] > 0))
      kept[finite++] = geometric ? log(values[i]) : values[i];
  const double mean = tn_mean_of(kept, finite), deviation = finite ? tn_deviation_of(kept, finite) : 0;
  const double low = mean - deviation, high = mean + deviation;
  l->x[l->count] = x;
  l->y[l->count] = geometric ? exp(mean) : mean;
  if (l->low) l->low[l->count] = geometric ? exp(low) : low, l->high[l->count] = geometric ? exp(high) : high;
  l->count++;
  free(kept);
}

static line average(const tn_curve *const *curves, size_t count, bool geometric) {
  const bool exact = same_steps(curves, count) && curves[0]->count <= EXACT_MOST;
  const size_t most = exact ? curves[0]->count : BINS;
  double low = INFINITY, high = -INFINITY, *sums = tn_take((count + 1) * sizeof *sums);
  line l = {.x = tn_take((most + 1) * sizeof *l.x), .y = tn_take((most + 1) * sizeof *l.y)};
  if (count > 1) l.low = tn_take((most + 1) * sizeof *l.low), l.high = tn_take((most + 1) * sizeof *l.high);
  for (size_t k = 0; k < count; k++)
    for (uint32_t i = 0; i < curves[k]->count; i++)
      low = fmin(low, curves[k]->x[i]), high = fmax(high, curves[k]->x[i]);
  for (size_t b = 0; b < most; b++) {
    const double from = low + (high - low) * (double)b / BINS,
                 to = low + (high - low) * (double)(b + 1) / BINS;
    double x = 0;
    uint32_t points = 0;
    for (size_t k = 0; k < count; k++) {
      double sum = 0;
      uint32_t n = 0;
      for (uint32_t i = 0; i < curves[k]->count && !exact; i++) {
        const double at = curves[k]->x[i];
        if (at < from || (b + 1 < BINS ? at >= to : at > high)) continue;
        x += at, points++;
        if (isfinite(curves[k]->y[i])) sum += curves[k]->y[i], n++;
      }
      sums[k] = exact ? curves[k]->y[b] : n > 0 ? sum / n : NAN;
    }
    if (exact || points > 0)
      put_point(&l, exact ? curves[0]->x[b] : x / points, sums, (uint32_t)count, geometric);
  }
  free(sums);
  return l;
}

/* The curves of the runs of a group. */
static size_t gather(tn_study *s, uint32_t group, const char *stage, const char *name,
                     const tn_curve **curves) {
  size_t count = 0;
  for (uint32_t i = 0; i < s->run_count; i++) {
    if (!tn_study_in(&s->runs[i], group) || !tn_study_open(s, &s->runs[i])) continue;
    const tn_curve *curve = tn_record_curve(&s->runs[i].events.record, stage, name);
    if (curve && curve->count > 0) curves[count++] = curve;
  }
  return count;
}

/* ---- one chart ---- */

typedef struct drawing {
  tn_svg_series series[64];
  line lines[64];
  size_t count, line_count;
  uint32_t runs; /* most of a line */
  bool logarithmic;
} drawing;

static void clear(drawing *d) {
  for (size_t k = 0; k < d->line_count; k++) free_line(&d->lines[k]);
  *d = (drawing){0};
}

static void add_group(drawing *d, tn_study *s, uint32_t group, const char *stage, const char *curve,
                      const char *name, unsigned color) {
  const tn_curve **curves = tn_take((s->run_count + 1) * sizeof *curves);
  const size_t count = gather(s, group, stage, curve, curves);
  if (count > 0 && d->count + 2 <= 64) {
    line l = average(curves, count, d->logarithmic);
    if (count == 1 && curves[0]->count > l.count && s->shown_count <= RAW_GROUPS)
      d->series[d->count++] = (tn_svg_series){.x = curves[0]->x,
                                              .y = curves[0]->y,
                                              .count = curves[0]->count,
                                              .form = TN_SVG_FAINT,
                                              .color = color + 1};
    d->series[d->count++] = (tn_svg_series){
        .name = name, .x = l.x, .y = l.y, .low = l.low, .high = l.high, .count = l.count, .color = color + 1};
    d->lines[d->line_count++] = l;
    if (count > d->runs) d->runs = (uint32_t)count;
  }
  free(curves);
}

static void span(const drawing *d, double *low, double *high) {
  *low = INFINITY, *high = -INFINITY;
  for (size_t k = 0; k < d->line_count; k++)
    for (size_t i = 0; i < d->lines[k].count; i++)
      if (isfinite(d->lines[k].y[i]))
        *low = fmin(*low, d->lines[k].y[i]), *high = fmax(*high, d->lines[k].y[i]);
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Values span decades and most of them lie in the lower ones: a loss that falls, not a schedule. */
static bool wants_log(const drawing *d) {
  double low, high;
  size_t count = 0, most = 0;
  span(d, &low, &high);
  if (!(low > 0) || high / low < 30) return false;
  for (size_t k = 0; k < d->line_count; k++) most += d->lines[k].count;
  double *values = tn_take((most + 1) * sizeof *values);
  for (size_t k = 0; k < d->line_count; k++)
    for (size_t i = 0; i < d->lines[k].count; i++)
      if (isfinite(d->lines[k].y[i])) values[count++] = d->lines[k].y[i];
  qsort(values, count, sizeof *values, by_value);
  const bool lower = values[count / 2] <= 0.15 * high;
  free(values);
  return lower;
}

static bool names_fit(const drawing *d) {
  for (size_t k = 0; k < d->count; k++)
    if (d->series[k].name && tn_svg_text_width(d->series[k].name, name_size) * 1.05 > name_most) return false;
  return true;
}

static void draw(const drawing *d, const char *title, tn_text *out) {
  char note[160] = "";
  if (d->runs > 1)
    snprintf(note, sizeof note, "%s of %u runs, band: \xc2\xb1 1 standard deviation",
             d->logarithmic ? "geometric mean" : "mean", d->runs);
  tn_html_figure(out, title, note);
  tn_svg_chart chart = {.title = title,
                        .x_label = "step",
                        .series = d->series,
                        .series_count = d->count,
                        .log_y = d->logarithmic,
                        .width = TN_PAGE_COLUMN,
                        .height = 236,
                        .plain = true,
                        .direct = names_fit(d)};
  tn_svg_line_chart(&chart, out);
  tn_html_figure_end(out);
}

/* ---- the section ---- */

/* The names of a stage's curves, in order of appearance; the caller frees the list. */
static const char **names_of(tn_study *s, const char *stage, uint32_t *count) {
  const char **names = NULL;
  uint32_t room = 0;
  *count = 0;
  for (uint32_t i = 0; i < s->run_count; i++) {
    if (!tn_study_shows(s, &s->runs[i]) || !tn_study_open(s, &s->runs[i])) continue;
    const tn_run_record *record = &s->runs[i].events.record;
    for (uint32_t c = 0; c < record->curve_count; c++) {
      bool known = strcmp(record->curves[c].stage, stage) != 0;
      for (uint32_t k = 0; k < *count && !known; k++) known = strcmp(names[k], record->curves[c].name) == 0;
      if (known) continue;
      *(const char **)tn_grow(&names, *count, &room, sizeof *names) = record->curves[c].name;
      ++*count;
    }
  }
  return names;
}

static bool has(const char *const *names, uint32_t count, const char *name) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

/* loss and validation_loss of a single group share a chart. */
static void add_lines(drawing *d, tn_study *s, const char *stage, const char *name, const char *twin) {
  for (uint32_t g = 0; g < s->group_count; g++) {
    if (!s->groups[g].shown) continue;
    add_group(d, s, g, stage, name, twin ? "training" : s->groups[g].shown_name, s->groups[g].color);
    if (twin) add_group(d, s, g, stage, twin, "validation", s->groups[g].color + 1);
  }
}

static void put_key(const tn_study *s, tn_text *out) {
  const char *names[64];
  unsigned colors[64];
  size_t count = 0;
  bool fit = true;
  for (uint32_t g = 0; g < s->group_count && count < 64; g++) {
    if (!s->groups[g].shown) continue;
    fit &= tn_svg_text_width(s->groups[g].shown_name, name_size) * 1.05 <= name_most;
    colors[count] = s->groups[g].color;
    names[count++] = s->groups[g].shown_name;
  }
  if (count > 1 && !fit) tn_html_key(out, names, colors, count);
}

void tn_page_curves(tn_study *s, const char *stage, tn_text *out) {
  uint32_t count;
  const char **names = names_of(s, stage, &count);
  tn_text constants = {0};
  if (count > 0) put_key(s, out);
  if (count > 0) tn_html_grid(out);
  for (uint32_t i = 0; i < count; i++) {
    char twin[128], base[128];
    snprintf(twin, sizeof twin, "%s%.100s", validation, names[i]);
    snprintf(base, sizeof base, "%.120s", names[i]);
    const bool single = s->shown_count == 1, paired = single && has(names, count, twin);
    if (single && strncmp(names[i], validation, sizeof validation - 1) == 0 &&
        has(names, count, names[i] + sizeof validation - 1))
      continue;
    drawing *d = tn_take(sizeof *d);
    double low, high;
    add_lines(d, s, stage, names[i], paired ? twin : NULL);
    if (wants_log(d)) {
      clear(d);
      d->logarithmic = true;
      add_lines(d, s, stage, names[i], paired ? twin : NULL);
    }
    span(d, &low, &high);
    if (low == high && d->line_count > 0 && d->lines[0].count > 1) {
      char number[32];
      tn_picture_number(number, low);
      tn_text_append(&constants, constants.size ? ", " : "");
      tn_text_append_xml(&constants, base);
      tn_text_printf(&constants, " = %s", number);
    } else if (d->line_count > 0) {
      draw(d, names[i], out);
    }
    clear(d);
    free(d);
  }
  if (count > 0) tn_html_grid_end(out);
  if (constants.size)
    tn_text_printf(out, "<p class=\"quiet\">The same in every step: %s</p>\n", constants.data);
  tn_text_free(&constants);
  free(names);
}
