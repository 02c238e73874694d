// SPDX-License-Identifier: MIT
/* Claims, final figures, and figures over the values of a key. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/config/number.h"
#include "core/page/html.h"
#include "core/page/page.h"
#include "core/report/picture.h"
#include "core/report/svg.h"
#include "core/sweep/statistics.h"
#include <tenon/abi.h>

enum { TILES = 6, CHARTS = 3, FURTHER = 18, TABLE_RESULTS = 24, AXES_MOST = 4 };

/* ---- claims ---- */

void tn_page_claims(tn_study *s, tn_text *out) {
  if (s->claim_count == 0) return;
  tn_html_section(out, "claims", "Claims",
                  "What the pipeline file expects ([expect]), and what was measured.");
  tn_text_append(out, "<div class=\"claims\">");
  for (uint32_t i = 0; i < s->claim_count; i++) {
    const tn_study_claim *c = &s->claims[i];
    tn_text_append(out, c->holds ? "<div class=\"mark good\">\xe2\x9c\x93 holds</div>"
                                 : "<div class=\"mark bad\">\xe2\x9c\x97 fails</div>");
    tn_html_tag(out, "<div class=\"what\">", c->place, *c->place ? " " : "");
    tn_html_tag(out, "<b>", c->name, "</b></div>");
    tn_html_tag(out, "<div class=\"said\">", c->measured, "</div>");
    tn_html_tag(out, "<div class=\"rel\"><code>", c->text, "</code></div>\n");
  }
  tn_text_append(out, "</div>\n");
  tn_html_section_end(out);
}

/* ---- numbers ---- */

/* Mean and deviation with the digits that the deviation leaves certain: "0.9713 ± 0.0030". */
static void put_mean(char text[64], double mean, double deviation, uint32_t count) {
  char number[32];
  if (count == 0)
    snprintf(text, 64, "\xe2\x80\x93");
  else if (count == 1 || !(deviation > 0)) {
    tn_picture_number(number, mean);
    snprintf(text, 64, "%s", number);
  } else {
    int digits = 1 - (int)floor(log10(deviation));
    if (digits >= 0 && digits <= 6 && fabs(mean) < 1e6)
      snprintf(text, 64, "%.*f \xc2\xb1 %.*f", digits, mean, digits, deviation);
    else
      snprintf(text, 64, "%.4g \xc2\xb1 %.2g", mean, deviation);
  }
}

/* The shown group whose mean is best; group_count if there is none or the direction is not known. */
static uint32_t best_of(const tn_study *s, const char *result, int direction) {
  uint32_t best = s->group_count;
  double found = -INFINITY;
  for (uint32_t g = 0; g < s->group_count && direction; g++) {
    uint32_t count;
    double *values = s->groups[g].shown ? tn_study_values(s, g, result, &count) : NULL;
    if (values && count > 0 && direction * tn_mean_of(values, count) > found)
      found = direction * tn_mean_of(values, count), best = g;
    free(values);
  }
  return best;
}

/* ---- one result over the groups shown ---- */

/* What runs of two arms must share to be a pair: the seed, and of whole arms the setting too. */
static int64_t pair_of(const tn_study *s, const tn_study_run *run) {
  if (!s->wholes || run->seed < 0) return run->seed;
  uint32_t setting = 0;
  while (strcmp(s->groups[setting].variant, s->groups[run->group].variant) != 0) setting++;
  return run->seed * s->group_count + setting;
}

/* Finished runs of the groups shown, in their order. The samples borrow the outcomes. */
static tn_samples samples_of(const tn_study *s) {
  tn_samples samples = {0};
  for (uint32_t g = 0; g < s->group_count; g++)
    for (uint32_t i = 0; i < s->run_count; i++)
      if (s->groups[g].shown && tn_study_in(&s->runs[i], g) && s->runs[i].finished)
        tn_samples_add(&samples, s->groups[g].name, pair_of(s, &s->runs[i]))->outcome = s->runs[i].outcome;
  return samples;
}

/* Decimals that show three digits of the largest difference. */
static int decimals_of(const tn_samples *samples, const char *result) {
  double most = 0;
  for (uint32_t i = 0; i < samples->count; i++) {
    if (!tn_samples_first_of_group(samples, i)) continue;
    const tn_comparison c = tn_comparison_of(samples, i, result);
    const double figures[] = {c.difference, c.low, c.high};
    for (int k = 0; k < 3; k++)
      if (isfinite(figures[k])) most = fmax(most, fabs(figures[k]));
  }
  const double digits = most > 0 ? 2 - floor(log10(most)) : 0;
  return digits < 0 ? 0 : digits > 12 ? 12 : (int)digits;
}

static void put_differences(const tn_study *s, const tn_samples *samples, const char *result, tn_text *out) {
  bool any = false;
  const int digits = decimals_of(samples, result);
  for (uint32_t i = 0; i < samples->count && !any; i++)
    any = tn_samples_first_of_group(samples, i) && tn_comparison_of(samples, i, result).pairs > 0;
  if (!any) return;
  const char *baseline = "";
  for (uint32_t g = s->group_count; g-- > 0;)
    if (s->groups[g].shown && strcmp(s->groups[g].name, samples->items[0].group) == 0)
      baseline = s->groups[g].shown_name;
  char head[160];
  snprintf(head, sizeof head, "minus %.100s", baseline);
  tn_html_table(out, (const char *[]){"", head, "95 %", "pairs"}, 4);
  for (uint32_t i = 0; i < samples->count; i++) {
    if (!tn_samples_first_of_group(samples, i)) continue;
    const tn_comparison c = tn_comparison_of(samples, i, result);
    if (c.pairs == 0) continue;
    const char *name = c.group;
    for (uint32_t g = 0; g < s->group_count; g++)
      if (strcmp(s->groups[g].name, c.group) == 0) name = s->groups[g].shown_name;
    const bool clear = c.low > 0 || c.high < 0; /* zero lies outside the interval */
    tn_html_tag(out, "<tr><td>", name, "</td>");
    tn_text_printf(out, clear ? "<td><b>%+.*f</b></td>" : "<td>%+.*f</td>", digits, c.difference);
    if (isnan(c.low))
      tn_text_append(out, "<td>\xe2\x80\x93</td>");
    else
      tn_text_printf(out, "<td>%+.*f \xe2\x80\xa6 %+.*f</td>", digits, c.low, digits, c.high);
    tn_text_printf(out, "<td>%u</td></tr>\n", c.pairs);
  }
  tn_html_table_end(out);
}

static void draw_result(const tn_study *s, const tn_samples *samples, const tn_study_result *r,
                        tn_text *out) {
  tn_strip *strips = tn_take((s->group_count + 1) * sizeof *strips);
  char(*texts)[64] = tn_take((s->group_count + 1) * sizeof *texts);
  const uint32_t best = best_of(s, r->name, r->direction);
  size_t count = 0;
  uint32_t most = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    if (!s->groups[g].shown) continue;
    uint32_t n;
    double *values = tn_study_values(s, g, r->name, &n);
    put_mean(texts[count], tn_mean_of(values, n), tn_deviation_of(values, n), n);
    strips[count] =
        (tn_strip){s->groups[g].shown_name, s->groups[g].color, values, n, texts[count], g == best};
    if (n > most) most = n;
    count++;
  }
  tn_html_figure(out, r->name,
                 r->direction > 0   ? "more is better"
                 : r->direction < 0 ? "less is better"
                                    : NULL);
  if (most > 0)
    tn_picture_strips(r->name, strips, count, TN_PAGE_COLUMN, out);
  else
    tn_text_append(out, "<p class=\"quiet\">No finished run has it.</p>\n");
  put_differences(s, samples, r->name, out);
  tn_html_figure_end(out);
  for (size_t k = 0; k < count; k++) free((double *)(uintptr_t)strips[k].values);
  free(strips);
  free(texts);
}

/* ---- the table of everything ---- */

static void put_table(const tn_study *s, tn_text *out) {
  const uint32_t results = s->result_count < TABLE_RESULTS ? s->result_count : TABLE_RESULTS;
  const char *head[TABLE_RESULTS + 4] = {"", "runs"};
  for (uint32_t r = 0; r < results; r++) head[r + 2] = s->results[r].name;
  head[results + 2] = "seconds";
  tn_html_table(out, head, results + 3);
  for (uint32_t g = 0; g < s->group_count; g++) {
    const tn_study_group *group = &s->groups[g];
    const bool bold = group->shown && (s->criterion || s->wholes);
    tn_html_tag(out, bold ? "<tr><td><b>" : "<tr><td>", group->name, bold ? "</b></td>" : "</td>");
    if (group->finished == group->runs)
      tn_text_printf(out, "<td>%u</td>", group->runs);
    else
      tn_text_printf(out, "<td>%u of %u</td>", group->finished, group->runs);
    for (uint32_t r = 0; r <= results; r++) {
      uint32_t n;
      char text[64];
      double *values = tn_study_values(s, g, head[r + 2], &n);
      put_mean(text, tn_mean_of(values, n), tn_deviation_of(values, n), n);
      tn_text_printf(out, "<td>%s</td>", text);
      free(values);
    }
    tn_text_append(out, "</tr>\n");
  }
  tn_html_table_end(out);
}

/* ---- a single run ---- */

static const tn_run_record *record_of(tn_study *s) {
  tn_study_run *run = &s->runs[0];
  if (run->read) return &run->outcome.record;
  return tn_study_open(s, run) ? &run->events.record : NULL;
}

static void put_tiles(tn_study *s, const tn_run_record *record, tn_text *out) {
  tn_text_append(out, "<div class=\"tiles\">");
  uint32_t shown = 0;
  for (uint32_t r = 0; r < s->result_count && shown < TILES; r++)
    for (uint32_t i = 0; i < record->result_count; i++) {
      if (strcmp(record->results[i].name, s->results[r].name) != 0) continue;
      char number[32];
      tn_picture_number(number, record->results[i].value);
      tn_text_printf(out, "<div class=\"tile\"><b>%s</b>", number);
      tn_html_tag(out, "<span>", record->results[i].name, "</span></div>");
      shown++;
    }
  tn_text_append(out, "</div>\n");
  if (shown == s->result_count && shown < TILES) return;
  tn_html_details(out, "All figures");
  tn_html_table(out, NULL, 0);
  for (uint32_t i = 0; i < record->result_count; i++) {
    tn_html_tag(out, "<tr><td>", record->results[i].name, "</td>");
    tn_text_printf(out, "<td>%.6g</td></tr>\n", record->results[i].value);
  }
  tn_html_table_end(out);
  tn_html_details_end(out);
}

static void put_run(tn_study *s, tn_text *out) {
  const tn_run_record *record = record_of(s);
  if (!record || record->result_count == 0) return;
  if (s->result_count == 0) /* of a run that has not left its results yet */
    for (uint32_t i = 0; i < record->result_count; i++) {
      if (!strchr(record->results[i].name, '.')) continue; /* seconds and the like */
      tn_study_result *r = tn_grow(&s->results, s->result_count, &s->result_room, sizeof *r);
      *r = (tn_study_result){.name = tn_copy_text(record->results[i].name)};
      s->result_count++;
    }
  if (s->result_count == 0) return;
  tn_html_section(out, "results", "Results",
                  s->runs[0].finished ? NULL : "So far; the run has not finished.");
  put_tiles(s, record, out);
  tn_html_section_end(out);
}

void tn_page_results(tn_study *s, tn_text *out) {
  char note[512] = "";
  if (s->run_count == 1) {
    put_run(s, out);
    return;
  }
  if (s->result_count == 0) return;
  if (s->criterion)
    snprintf(note, sizeof note,
             "Each arm at its setting with the %s mean of %.120s%s. A dot is a run, the mark their mean, "
             "the bar one standard deviation.",
             s->criterion_direction > 0 ? "largest" : "smallest", s->criterion,
             s->criterion_claimed            ? ", as the claims choose"
             : strstr(s->criterion, "valid") ? ""
                                             : ", the figure itself: a choice that flatters");
  else if (s->wholes)
    snprintf(note, sizeof note,
             "Each arm in all its settings, as the claims take it. A dot is a run, the mark their mean, the "
             "bar one standard deviation; runs of the same seed and setting make a pair.");
  else
    snprintf(note, sizeof note, "A dot is a run, the mark the mean, the bar one standard deviation.");
  tn_html_section(out, "results", "Results", note);
  tn_samples samples = samples_of(s);
  tn_html_grid(out);
  for (uint32_t r = 0; r < s->result_count && r < CHARTS; r++) draw_result(s, &samples, &s->results[r], out);
  tn_html_grid_end(out);
  if (s->result_count > CHARTS) {
    tn_html_details(out, "Further figures");
    tn_html_grid(out);
    for (uint32_t r = CHARTS; r < s->result_count && r < CHARTS + FURTHER; r++)
      draw_result(s, &samples, &s->results[r], out);
    tn_html_grid_end(out);
    tn_html_details_end(out);
  }
  free(samples.items);
  tn_html_details(out, s->criterion || s->wholes ? "All settings, all figures" : "All figures");
  put_table(s, out);
  tn_html_details_end(out);
  tn_html_section_end(out);
}

/* ---- figures over the values of a key ---- */

/* "method.lr=1e-3": the only key of the variant, with a number. */
static bool read_variant(const char *variant, char key[96], double *value) {
  const char *equals = strchr(variant, '=');
  if (!equals || strchr(equals + 1, '=') || equals - variant >= 96) return false;
  snprintf(key, 96, "%.*s", (int)(equals - variant), variant);
  return tn_number_real(equals + 1, false, value) == TN_NUMBER_OK && isfinite(*value);
}

typedef struct setting_line {
  const char *name;
  unsigned color;
  double *x, *y, *low, *high;
  size_t count;
} setting_line;

/* Points of the groups of one arm over the values of the key, from the least to the largest. */
static setting_line line_of(const tn_study *s, const char *arm, const char *key, const char *result) {
  setting_line l = {.x = tn_take((s->group_count + 1) * sizeof(double)),
                    .y = tn_take((s->group_count + 1) * sizeof(double)),
                    .low = tn_take((s->group_count + 1) * sizeof(double)),
                    .high = tn_take((s->group_count + 1) * sizeof(double))};
  for (uint32_t g = 0; g < s->group_count; g++) {
    char own[96];
    double x;
    uint32_t n;
    if (strcmp(s->groups[g].arm, arm) != 0) continue;
    if (s->groups[g].shown) l.name = s->groups[g].shown_name, l.color = s->groups[g].color;
    if (!read_variant(s->groups[g].variant, own, &x) || strcmp(own, key) != 0) continue;
    double *values = tn_study_values(s, g, result, &n);
    const double mean = tn_mean_of(values, n), deviation = n ? tn_deviation_of(values, n) : 0;
    free(values);
    if (n == 0) continue;
    size_t at = l.count++;
    for (; at > 0 && l.x[at - 1] > x; at--)
      l.x[at] = l.x[at - 1], l.y[at] = l.y[at - 1], l.low[at] = l.low[at - 1], l.high[at] = l.high[at - 1];
    l.x[at] = x, l.y[at] = mean, l.low[at] = mean - deviation, l.high[at] = mean + deviation;
  }
  return l;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Where the axis ends so that a setting that went wrong does not flatten all others: points much farther from
 * the best than three quarters of them lie outside, and `outside` names them. */
static bool limit(const setting_line *lines, size_t count, int direction, double *low, double *high,
                  tn_text *outside) {
  double *distances, best = NAN, reach = 0;
  uint32_t n = 0;
  size_t most = 0;
  for (size_t k = 0; k < count; k++) most += lines[k].count;
  distances = tn_take((most + 1) * sizeof *distances);
  for (size_t k = 0; k < count; k++)
    for (size_t i = 0; i < lines[k].count; i++) distances[n++] = lines[k].y[i];
  best = direction > 0 ? tn_greatest_of(distances, n) : tn_least_of(distances, n);
  for (uint32_t i = 0; i < n; i++) distances[i] = fabs(distances[i] - best);
  qsort(distances, n, sizeof *distances, by_value);
  if (n > 0) reach = 3 * distances[n * 3 / 4];
  free(distances);
  if (direction == 0 || n < 4 || !(reach > 0)) return false;
  *low = INFINITY, *high = -INFINITY;
  for (size_t k = 0; k < count; k++)
    for (size_t i = 0; i < lines[k].count; i++) {
      const double y = lines[k].y[i];
      if (fabs(y - best) <= reach) {
        *low = fmin(*low, y), *high = fmax(*high, y);
        continue;
      }
      char number[32];
      tn_picture_number(number, y);
      tn_text_printf(outside, "%s%s at %g: %s", outside->size ? ", " : "", lines[k].name, lines[k].x[i],
                     number);
    }
  const double room = 0.12 * (*high - *low);
  *low -= room, *high += room;
  return outside->size > 0;
}

static void draw_settings(const tn_study *s, const char *key, const tn_study_result *result, tn_text *out) {
  tn_svg_series series[64];
  setting_line lines[64];
  size_t count = 0;
  double least = INFINITY, most = -INFINITY, low = INFINITY, high = -INFINITY, y_low = 0, y_high = 0;
  for (uint32_t g = 0; g < s->group_count && count < 64; g++) {
    bool first = true;
    for (uint32_t k = 0; k < g; k++) first &= strcmp(s->groups[k].arm, s->groups[g].arm) != 0;
    if (!first) continue;
    setting_line l = line_of(s, s->groups[g].arm, key, result->name);
    const bool arms = *s->groups[g].arm != 0;
    l.name = arms ? s->groups[g].arm : key;
    for (size_t i = 0; i < l.count; i++) {
      least = fmin(least, l.x[i]), most = fmax(most, l.x[i]);
      low = fmin(low, l.y[i]), high = fmax(high, l.y[i]);
    }
    lines[count] = l;
    series[count++] = (tn_svg_series){.name = arms ? l.name : "",
                                      .x = l.x,
                                      .y = l.y,
                                      .low = l.low,
                                      .high = l.high,
                                      .count = l.count,
                                      .color = (arms ? l.color : 0) + 1};
  }
  const bool log_y = low > 0 && high / low >= 30;
  tn_text outside = {0}, note = {0};
  const bool limited = !log_y && limit(lines, count, result->direction, &y_low, &y_high, &outside);
  tn_text_append(&note, "band: \xc2\xb1 1 standard deviation over seeds");
  if (limited) tn_text_printf(&note, "; outside: %s", outside.data);
  tn_html_figure(out, result->name, note.data);
  const tn_svg_chart chart = {.title = result->name,
                              .x_label = key,
                              .series = series,
                              .series_count = count,
                              .log_x = least > 0 && most / least >= 8,
                              .log_y = log_y,
                              .width = TN_PAGE_COLUMN,
                              .height = 236,
                              .y_low = limited ? y_low : 0,
                              .y_high = limited ? y_high : 0,
                              .plain = true};
  tn_svg_line_chart(&chart, out);
  tn_html_figure_end(out);
  tn_text_free(&outside);
  tn_text_free(&note);
  for (size_t k = 0; k < count; k++) {
    free(lines[k].x);
    free(lines[k].y);
    free(lines[k].low);
    free(lines[k].high);
  }
}

/* The result that settings are chosen by; NULL: none is. */
static const tn_study_result *criterion_of(const tn_study *s) {
  for (uint32_t r = 0; s->criterion && r < s->result_count; r++)
    if (strcmp(s->results[r].name, s->criterion) == 0) return &s->results[r];
  return NULL;
}

static bool varies(const tn_study *s, const char *arm) {
  char key[96];
  double value;
  for (uint32_t g = 0; g < s->group_count; g++)
    if (strcmp(s->groups[g].arm, arm) == 0 && read_variant(s->groups[g].variant, key, &value)) return true;
  return false;
}

/* Names of the arms with settings of their own. */
static void put_arms(const tn_study *s, tn_text *out) {
  const char *names[64];
  unsigned colors[64];
  size_t count = 0;
  for (uint32_t g = 0; g < s->group_count && count < 64; g++) {
    if (!s->groups[g].shown || !*s->groups[g].arm || !varies(s, s->groups[g].arm)) continue;
    colors[count] = s->groups[g].color;
    names[count++] = s->groups[g].shown_name;
  }
  if (count > 1) tn_html_key(out, names, colors, count);
}

void tn_page_settings(tn_study *s, tn_text *out) {
  char keys[AXES_MOST][96];
  uint32_t key_count = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    char key[96];
    double value;
    bool known = !read_variant(s->groups[g].variant, key, &value);
    for (uint32_t k = 0; k < key_count && !known; k++) known = strcmp(keys[k], key) == 0;
    if (!known && key_count < AXES_MOST) memcpy(keys[key_count++], key, sizeof key);
  }
  if (key_count == 0 || s->result_count == 0) return;
  tn_html_section(out, "settings", "Settings", "Final figures over the values that were tried.");
  put_arms(s, out);
  tn_html_grid(out);
  for (uint32_t k = 0; k < key_count; k++) {
    const tn_study_result *criterion = criterion_of(s);
    if (criterion) draw_settings(s, keys[k], criterion, out);
    for (uint32_t r = 0, drawn = 0; r < s->result_count && drawn < 2; r++) {
      if (&s->results[r] == criterion) continue;
      draw_settings(s, keys[k], &s->results[r], out);
      drawn++;
    }
  }
  tn_html_grid_end(out);
  tn_html_section_end(out);
}
