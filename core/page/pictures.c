// SPDX-License-Identifier: MIT
/* A view for every kind of event: the newest of each name, of several groups side by side. Matrices of
 * several runs are averaged; of other pictures the first run's is shown. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/page/html.h"
#include "core/page/page.h"
#include "core/report/graph.h"
#include "core/report/picture.h"
#include "core/report/svg.h"
#include <tenon/report.h>

enum { HISTORY_MOST = 12, EARLIER_MOST = 6, SERIES_MOST = 24 };

/* ---- texts of an item ---- */

/* `count` labels, or NULL if there are less. */
static const char **labels_of(const json_t *item, const char *key, size_t count) {
  if (count == 0 || tn_item_count(item, key) < count) return NULL;
  const char **labels = tn_take(count * sizeof *labels);
  for (size_t i = 0; i < count; i++) labels[i] = tn_item_label(item, key, i);
  return labels;
}

static const char *or_null(const char *text) { return *text ? text : NULL; }

static const char *title_of(const json_t *item) {
  const char *keys[] = {"title", "name", "type"};
  for (int i = 0; i < 3; i++)
    if (*tn_item_text(item, keys[i])) return tn_item_text(item, keys[i]);
  return "";
}

/* ---- kinds ---- */

static bool is_kind(const json_t *item, const char *kind) {
  return strcmp(tn_item_text(item, "type"), kind) == 0;
}

static bool is_pipeline(const json_t *item) {
  return is_kind(item, "graph") && !*tn_item_text(item, "stage") &&
         strcmp(tn_item_text(item, "name"), "pipeline") == 0;
}

static bool is_confusion(const json_t *item) {
  return tn_item_size(item, 0) == tn_item_size(item, 1) &&
         (strstr(tn_item_text(item, "name"), "confusion") ||
          (strcmp(tn_item_text(item, "x_label"), "prediction") == 0 &&
           strcmp(tn_item_text(item, "y_label"), "truth") == 0));
}

static void draw_matrix(const json_t *item, const double *values, tn_text *out) {
  const size_t rows = (size_t)tn_item_size(item, 0), columns = (size_t)tn_item_size(item, 1);
  const char **row_labels = labels_of(item, "row_labels", rows);
  const char **column_labels = labels_of(item, "column_labels", columns);
  const tn_matrix_picture picture = {.title = title_of(item),
                                     .x_label = or_null(tn_item_text(item, "x_label")),
                                     .y_label = or_null(tn_item_text(item, "y_label")),
                                     .rows = rows,
                                     .columns = columns,
                                     .values = values,
                                     .row_labels = row_labels,
                                     .column_labels = column_labels,
                                     .diverging = tn_item_integer(item, "style") & TN_STYLE_DIVERGING,
                                     .confusion = is_confusion(item),
                                     .width = TN_PAGE_COLUMN};
  tn_picture_matrix(&picture, out);
  free(row_labels);
  free(column_labels);
}

static void draw_bars(const json_t *item, tn_text *out) {
  const size_t groups = (size_t)tn_item_size(item, 0), bars = (size_t)tn_item_size(item, 1);
  double *values = tn_item_numbers(item, "values");
  double *spread = tn_item_count(item, "spread") ? tn_item_numbers(item, "spread") : NULL;
  const char **group_labels = labels_of(item, "row_labels", groups);
  const char **bar_labels = labels_of(item, "column_labels", bars);
  const tn_bars_picture picture = {.title = title_of(item),
                                   .groups = groups,
                                   .bars = bars,
                                   .values = values,
                                   .spread = spread,
                                   .group_labels = group_labels,
                                   .bar_labels = bar_labels,
                                   .width = TN_PAGE_COLUMN};
  if (bar_labels && bars > 1) tn_html_key(out, bar_labels, NULL, bars);
  tn_picture_bars(&picture, out);
  free(values);
  free(spread);
  free(group_labels);
  free(bar_labels);
}

/* Series of a chart, with the memory behind them. */
typedef struct chart {
  tn_svg_series series[SERIES_MOST];
  double *memory[4 * SERIES_MOST];
  char names[SERIES_MOST][32];
  size_t count, blocks;
} chart;

static double *take(chart *c, size_t count) {
  return c->memory[c->blocks++] = tn_take((count + 1) * sizeof(double));
}

static void draw_chart(chart *c, const json_t *item, bool direct, tn_text *out) {
  const int64_t style = tn_item_integer(item, "style");
  const char *names[SERIES_MOST];
  bool fit = direct, named = c->count > 1;
  for (size_t k = 0; k < c->count; k++) {
    names[k] = c->series[k].name ? c->series[k].name : "";
    fit &= tn_svg_text_width(names[k], 12) * 1.05 < 96;
    named &= *names[k] != 0;
  }
  if (named && !fit) tn_html_key(out, names, NULL, c->count);
  const tn_svg_chart picture = {.title = title_of(item),
                                .x_label = or_null(tn_item_text(item, "x_label")),
                                .y_label = or_null(tn_item_text(item, "y_label")),
                                .series = c->series,
                                .series_count = c->count,
                                .log_x = style & TN_STYLE_LOG_X,
                                .log_y = style & TN_STYLE_LOG_Y,
                                .width = TN_PAGE_COLUMN,
                                .height = 250,
                                .plain = true,
                                .direct = fit};
  tn_svg_line_chart(&picture, out);
  for (size_t i = 0; i < c->blocks; i++) free(c->memory[i]);
  free(c);
}

static void draw_series(const json_t *item, tn_text *out) {
  const size_t rows = (size_t)tn_item_size(item, 0), lines = (size_t)tn_item_size(item, 1) - 1;
  double *values = tn_item_numbers(item, "values");
  double *spread = tn_item_count(item, "spread") ? tn_item_numbers(item, "spread") : NULL;
  chart *c = tn_take(sizeof *c);
  double *x = take(c, rows);
  for (size_t i = 0; i < rows; i++) x[i] = values[i * (lines + 1)];
  for (size_t k = 0; k < lines && k < SERIES_MOST; k++) {
    double *y = take(c, rows), *low = spread ? take(c, rows) : NULL, *high = spread ? take(c, rows) : NULL;
    for (size_t i = 0; i < rows; i++) {
      y[i] = values[i * (lines + 1) + k + 1];
      if (spread) low[i] = y[i] - spread[i * lines + k], high[i] = y[i] + spread[i * lines + k];
    }
    c->series[c->count++] = (tn_svg_series){.name = tn_item_label(item, "column_labels", k),
                                            .x = x,
                                            .y = y,
                                            .low = low,
                                            .high = high,
                                            .count = rows};
  }
  free(values);
  free(spread);
  draw_chart(c, item, true, out);
}

/* Of a point; what is no number of a class, or one of too many, goes into the last series. */
static size_t class_of(double number) {
  return number >= 0 && number < SERIES_MOST - 1 && number == floor(number) ? (size_t)number
                                                                            : SERIES_MOST - 1;
}

/* The third column numbers the classes, each a series. */
static void draw_scatter(const json_t *item, tn_text *out) {
  const size_t rows = (size_t)tn_item_size(item, 0), columns = (size_t)tn_item_size(item, 1);
  const bool join = tn_item_integer(item, "style") & TN_STYLE_JOIN;
  double *values = tn_item_numbers(item, "values");
  chart *c = tn_take(sizeof *c);
  for (size_t k = 0; k < SERIES_MOST; k++) {
    double *x = take(c, rows), *y = take(c, rows);
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) {
      if (columns == 3 ? class_of(values[3 * i + 2]) != k : k > 0) continue;
      x[count] = values[columns * i];
      y[count++] = values[columns * i + 1];
    }
    if (count == 0) continue;
    const char *label = tn_item_label(item, "column_labels", k);
    snprintf(c->names[k], sizeof c->names[k], k < SERIES_MOST - 1 ? "class %zu" : "others", k);
    c->series[c->count++] = (tn_svg_series){.name = label && k < SERIES_MOST - 1 ? label
                                                    : columns == 3               ? c->names[k]
                                                                                 : "",
                                            .x = x,
                                            .y = y,
                                            .count = count,
                                            .color = (unsigned)k + 1,
                                            .form = join ? TN_SVG_STAIRS : TN_SVG_POINTS};
  }
  free(values);
  draw_chart(c, item, false, out);
}

/* Neighbouring bins joined, as areas with the outline of their bars. */
static void draw_histogram(const json_t *item, tn_text *out) {
  enum { JOINED = 3 };
  const size_t lines = (size_t)tn_item_size(item, 0), bins = (size_t)tn_item_size(item, 1);
  double *values = tn_item_numbers(item, "values"), *range = tn_item_numbers(item, "range");
  const size_t joined = bins % JOINED == 0 && bins > 40 ? JOINED : 1, wide = bins / joined;
  const double bin = (range[1] - range[0]) / (double)(wide ? wide : 1);
  chart *c = tn_take(sizeof *c);
  double *x = take(c, 2 * wide + 2);
  for (size_t b = 0; b <= wide; b++) x[2 * b] = x[2 * b + 1] = range[0] + (double)b * bin;
  for (size_t k = 0; k < lines && k < SERIES_MOST - 1; k++) {
    double *y = take(c, 2 * wide + 2), *low = take(c, 2 * wide + 2);
    for (size_t b = 0; b < wide; b++) {
      double sum = 0;
      for (size_t j = 0; j < joined; j++) sum += fmax(0, values[k * bins + b * joined + j]);
      y[2 * b + 1] = y[2 * b + 2] = sum;
    }
    c->series[c->count++] = (tn_svg_series){.name = tn_item_label(item, "column_labels", k),
                                            .x = x,
                                            .y = y,
                                            .low = low,
                                            .high = y,
                                            .count = 2 * wide + 2};
  }
  free(values);
  free(range);
  draw_chart(c, item, false, out);
}

static void draw_images(const json_t *item, tn_text *out) {
  const size_t count = tn_item_count(item, "png"), all = (size_t)tn_item_size(item, 0);
  size_t columns = (size_t)tn_item_integer(item, "columns");
  if (columns == 0 || columns > 64 || columns > count) columns = (size_t)ceil(sqrt((double)count));
  if (columns == 0) {
    tn_text_append(out, "<p class=\"quiet\">No images.</p>\n");
    return;
  }
  tn_text_printf(out, "<div class=\"images\" style=\"grid-template-columns:repeat(%zu,1fr)\">", columns);
  for (size_t i = 0; i < count; i++) {
    const char *label = tn_item_label(item, "row_labels", i);
    tn_text_append(out, "<figure><img alt=\"");
    tn_text_append_xml(out, label ? label : "");
    tn_text_printf(out, "\" src=\"data:image/png;base64,%s\">", tn_item_label(item, "png", i));
    if (label && *label) tn_html_tag(out, "<figcaption>", label, "</figcaption>");
    tn_text_append(out, "</figure>\n");
  }
  tn_text_append(out, "</div>\n");
  if (count < all) tn_text_printf(out, "<p class=\"quiet\">The first %zu of %zu.</p>\n", count, all);
}

static bool is_number(const char *text) {
  char *end;
  strtod(text, &end);
  return end != text && (*end == 0 || *end == '%' || *end == ' ');
}

static void draw_table(const json_t *item, tn_text *out) {
  const size_t rows = (size_t)tn_item_integer(item, "rows"),
               columns = (size_t)tn_item_integer(item, "columns");
  const bool named = tn_item_count(item, "row_labels") >= rows && rows > 0;
  tn_html_table(out, NULL, 0);
  if (tn_item_count(item, "column_labels") >= columns) {
    tn_text_append(out, named ? "<tr><th></th>" : "<tr>");
    for (size_t j = 0; j < columns; j++) {
      const char *below = rows > 0 ? tn_item_label(item, "cells", j) : "";
      tn_html_tag(out, is_number(below) ? "<th>" : "<th class=\"l\">",
                  tn_item_label(item, "column_labels", j), "</th>");
    }
    tn_text_append(out, "</tr>\n");
  }
  for (size_t i = 0; i < rows; i++) {
    tn_text_append(out, "<tr>");
    if (named) tn_html_tag(out, "<td>", tn_item_label(item, "row_labels", i), "</td>");
    for (size_t j = 0; j < columns; j++) {
      const char *cell = tn_item_label(item, "cells", i * columns + j);
      tn_html_tag(out, is_number(cell) ? "<td>" : "<td class=\"l\">", cell, "</td>");
    }
    tn_text_append(out, "</tr>\n");
  }
  tn_html_table_end(out);
}

/* ---- graphs ---- */

typedef struct parsed {
  tn_graph_node nodes[TN_GRAPH_NODES_MAX];
  tn_graph_edge edges[TN_GRAPH_EDGES_MAX];
  size_t node_count, edge_count, left_out;
} parsed;

static char *trim(char *text) {
  while (*text == ' ') text++;
  for (size_t n = strlen(text); n > 0 && text[n - 1] == ' ';) text[--n] = 0;
  return text;
}

static tn_graph_node *node_of(parsed *p, const char *id) {
  for (size_t i = 0; i < p->node_count; i++)
    if (strcmp(p->nodes[i].id, id) == 0) return &p->nodes[i];
  if (p->node_count == TN_GRAPH_NODES_MAX) return NULL;
  p->nodes[p->node_count] = (tn_graph_node){.id = id};
  return &p->nodes[p->node_count++];
}

/* One colour for what stands in front of the first dot of a note, in order of appearance. */
static unsigned color_of(parsed *p, const char *note) {
  const size_t length = strcspn(note, ". ");
  unsigned count = 0;
  for (size_t i = 0; i < p->node_count; i++) {
    const char *other = p->nodes[i].subtitle;
    if (!other || other == note) continue;
    if (strcspn(other, ". ") == length && strncmp(other, note, length) == 0) return p->nodes[i].color;
    if (p->nodes[i].color >= count) count = p->nodes[i].color + 1;
  }
  return count;
}

/* `from -> to : label` or `node : note`, a line each; the text is cut to pieces. */
static void parse(char *text, parsed *p) {
  for (char *line = text, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    char *arrow = strstr(line, "->"), *colon = strstr(arrow ? arrow : line, " : ");
    if (colon) *colon = 0;
    char *note = colon ? trim(colon + 3) : NULL;
    if (!*trim(line)) continue;
    if (!arrow) {
      tn_graph_node *node = node_of(p, trim(line));
      if (!node) p->left_out++;
      if (!node || !note) continue;
      node->subtitle = note;
      node->color = color_of(p, note);
      continue;
    }
    *arrow = 0;
    const tn_graph_node *from = node_of(p, trim(line)), *to = node_of(p, trim(arrow + 2));
    if (from && to && p->edge_count < TN_GRAPH_EDGES_MAX)
      p->edges[p->edge_count++] = (tn_graph_edge){from->id, to->id, note};
    else
      p->left_out++;
  }
}

/* Observers that nothing refers to say nothing about a pipeline. */
static void drop_observers(parsed *p) {
  size_t kept = 0;
  for (size_t i = 0; i < p->node_count; i++) {
    bool used = false;
    for (size_t e = 0; e < p->edge_count && !used; e++)
      used = strcmp(p->edges[e].from, p->nodes[i].id) == 0 || strcmp(p->edges[e].to, p->nodes[i].id) == 0;
    const char *what = p->nodes[i].subtitle ? p->nodes[i].subtitle : p->nodes[i].id;
    if (used || strncmp(what, "observer.", 9) != 0) p->nodes[kept++] = p->nodes[i];
  }
  p->node_count = kept;
}

static void draw_graph(const json_t *item, tn_text *out) {
  parsed *p = tn_take(sizeof *p);
  char *text = tn_copy_text(tn_item_text(item, "text")), why[256];
  parse(text, p);
  if (is_pipeline(item)) drop_observers(p);
  for (size_t i = 0; i < p->node_count;
       i++) /* a component without a name of its own is called after itself */
    if (p->nodes[i].subtitle && strcmp(p->nodes[i].subtitle, p->nodes[i].id) == 0)
      p->nodes[i].subtitle = NULL;
  const tn_graph graph = {.title = title_of(item),
                          .nodes = p->nodes,
                          .node_count = p->node_count,
                          .edges = p->edges,
                          .edge_count = p->edge_count,
                          .plain = true};
  tn_text drawn = {0};
  tn_text_append(out, "<div class=\"scroll\">");
  if (tn_graph_draw(&graph, &drawn, why, sizeof why))
    tn_text_append(out, drawn.data);
  else
    tn_html_tag(out, "<p class=\"quiet\">", why, "</p>");
  tn_text_append(out, "</div>\n");
  if (p->left_out) tn_text_printf(out, "<p class=\"quiet\">%zu lines of it are left out.</p>\n", p->left_out);
  tn_text_free(&drawn);
  free(text);
  free(p);
}

/* ---- one picture ---- */

static void draw_item(const json_t *item, tn_text *out) {
  if (is_kind(item, "matrix")) {
    double *values = tn_item_numbers(item, "values");
    draw_matrix(item, values, out);
    free(values);
  } else if (is_kind(item, "bars")) {
    draw_bars(item, out);
  } else if (is_kind(item, "series")) {
    draw_series(item, out);
  } else if (is_kind(item, "scatter")) {
    draw_scatter(item, out);
  } else if (is_kind(item, "histogram")) {
    draw_histogram(item, out);
  } else if (is_kind(item, "images")) {
    draw_images(item, out);
  } else if (is_kind(item, "table")) {
    draw_table(item, out);
  } else if (is_kind(item, "graph")) {
    draw_graph(item, out);
  } else {
    tn_html_tag(out, "<pre>", tn_item_text(item, "text"), "</pre>\n");
  }
}

static bool is_wide(const json_t *item) {
  return is_kind(item, "graph") || is_kind(item, "table") || is_kind(item, "text") ||
         (is_kind(item, "images") && tn_item_integer(item, "columns") > 12);
}

static void begin_figure(const json_t *item, const char *title, const char *note, tn_text *out) {
  if (is_wide(item)) tn_text_append(out, "<div class=\"wide\">");
  tn_html_figure(out, title, note);
}

static void end_figure(const json_t *item, tn_text *out) {
  tn_html_figure_end(out);
  if (is_wide(item)) tn_text_append(out, "</div>\n");
}

/* ---- all of one name ---- */

static bool same_picture(const json_t *a, const json_t *b) {
  static const char *const keys[] = {"type", "stage", "name"};
  for (int i = 0; i < 3; i++)
    if (strcmp(tn_item_text(a, keys[i]), tn_item_text(b, keys[i])) != 0) return false;
  return true;
}

/* Those like `like` in the run, oldest first; the caller frees the list. */
static const json_t **find_all(const tn_study_run *run, const json_t *like, size_t *count) {
  const json_t **found = tn_take((run->events.item_count + 1) * sizeof *found);
  *count = 0;
  for (uint32_t i = 0; i < run->events.item_count; i++)
    if (same_picture(run->events.items[i], like)) found[(*count)++] = run->events.items[i];
  return found;
}

static void when(const json_t *item, char text[48]) {
  const int64_t step = tn_item_integer(item, "step");
  const json_t *seconds = json_object_get(item, "seconds");
  if (step > 0)
    snprintf(text, 48, "step %lld", (long long)step);
  else
    snprintf(text, 48, "%.1f s", json_is_number(seconds) ? json_number_value(seconds) : 0);
}

/* Histograms over the course of a run, at most so many, evenly chosen. */
static void draw_ridges(const json_t *const *items, size_t count, tn_text *out) {
  tn_ridge ridges[HISTORY_MOST];
  char labels[HISTORY_MOST][48];
  const size_t shown = count < HISTORY_MOST ? count : HISTORY_MOST;
  for (size_t k = 0; k < shown; k++) {
    const json_t *item = items[shown > 1 ? k * (count - 1) / (shown - 1) : 0];
    double *range = tn_item_numbers(item, "range");
    when(item, labels[k]);
    ridges[k] = (tn_ridge){range[0], range[1], tn_item_numbers(item, "values"), (size_t)tn_item_size(item, 1),
                           labels[k]};
    free(range);
  }
  tn_picture_ridges(title_of(items[0]), tn_item_text(items[0], "x_label"), ridges, shown, TN_PAGE_COLUMN,
                    out);
  for (size_t k = 0; k < shown; k++) free((double *)(uintptr_t)ridges[k].counts);
}

/* The newest, and the way there. */
static void draw_history(const json_t *const *items, size_t count, tn_text *out) {
  const json_t *last = items[count - 1];
  char note[96] = "", text[48];
  if (count > 1) {
    when(last, text);
    snprintf(note, sizeof note, "%s, the last of %zu", text, count);
  }
  if (count > 1 && is_kind(last, "histogram") && tn_item_size(last, 0) == 1) {
    tn_html_figure(out, title_of(last), "over the course of the run");
    draw_ridges(items, count, out);
    tn_html_figure_end(out);
    return;
  }
  begin_figure(last, title_of(last), note, out);
  draw_item(last, out);
  if (count > 1) {
    const size_t shown = count - 1 < EARLIER_MOST ? count - 1 : EARLIER_MOST;
    snprintf(note, sizeof note, shown < count - 1 ? "Earlier: %zu of %zu" : "Earlier", shown, count - 1);
    tn_html_details(out, note);
    for (size_t k = 0; k < shown; k++) {
      const json_t *item = items[shown > 1 ? k * (count - 2) / (shown - 1) : 0];
      when(item, text);
      tn_html_tag(out, "<p class=\"quiet\">", text, "</p>\n");
      draw_item(item, out);
    }
    tn_html_details_end(out);
  }
  end_figure(last, out);
}

/* The mean of the newest matrices of a group's runs that have the shape of `like`; the number of runs. */
static uint32_t mean_matrix(tn_study *s, uint32_t group, const json_t *like, double **mean) {
  const size_t size = tn_item_count(like, "values");
  *mean = tn_take((size + 1) * sizeof **mean);
  uint32_t runs = 0;
  for (uint32_t r = 0; r < s->run_count; r++) {
    if (!tn_study_in(&s->runs[r], group) || !tn_study_open(s, &s->runs[r])) continue;
    size_t count;
    const json_t **items = find_all(&s->runs[r], like, &count);
    const json_t *last = count > 0 ? items[count - 1] : NULL;
    free(items);
    if (!last || tn_item_size(last, 0) != tn_item_size(like, 0) ||
        tn_item_size(last, 1) != tn_item_size(like, 1))
      continue;
    double *values = tn_item_numbers(last, "values");
    for (size_t i = 0; i < size; i++) (*mean)[i] += (values[i] - (*mean)[i]) / (runs + 1);
    runs++;
    free(values);
  }
  return runs;
}

static void draw_group(tn_study *s, uint32_t group, const json_t *like, bool titled, tn_text *out) {
  const tn_study_run *run = tn_page_run_of(s, group);
  size_t count = 0;
  const json_t **items = run ? find_all(run, like, &count) : NULL;
  const json_t *last = count > 0 ? items[count - 1] : NULL;
  const char *title = titled && last ? title_of(last) : s->groups[group].shown_name;
  char note[96] = "";
  if (last && is_kind(last, "matrix") && s->groups[group].runs > 1) {
    double *mean;
    const uint32_t runs = mean_matrix(s, group, last, &mean);
    if (runs > 1) snprintf(note, sizeof note, "mean of %u runs", runs);
    tn_html_figure(out, title, note);
    draw_matrix(last, mean, out);
    tn_html_figure_end(out);
    free(mean);
  } else if (last && titled && s->groups[group].runs == 1) {
    draw_history(items, count, out);
  } else if (last) {
    if (s->groups[group].runs > 1)
      snprintf(note, sizeof note, "seed %lld of %u runs", (long long)run->seed, s->groups[group].runs);
    begin_figure(last, title, note, out);
    draw_item(last, out);
    end_figure(last, out);
  }
  free(items);
}

/* One of each picture of the stage in any group. */
static const json_t **list(tn_study *s, const char *stage, bool known, uint32_t *count) {
  const json_t **items = NULL;
  uint32_t room = 0;
  *count = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    const tn_study_run *run = s->groups[g].shown ? tn_page_run_of(s, g) : NULL;
    for (uint32_t i = 0; run && i < run->events.item_count; i++) {
      const json_t *item = run->events.items[i];
      bool seen = strcmp(tn_item_text(item, "stage"), stage) != 0 || is_pipeline(item) ||
                  tn_item_known(item) != known;
      for (uint32_t k = 0; k < *count && !seen; k++) seen = same_picture(items[k], item);
      if (seen) continue;
      *(const json_t **)tn_grow(&items, *count, &room, sizeof *items) = item;
      ++*count;
    }
  }
  return items;
}

/* Events that this version has no view for are not kept secret. */
static void tell_unknown(tn_study *s, const char *stage, tn_text *out) {
  uint32_t count;
  const json_t **items = list(s, stage, false, &count);
  if (count > 0) tn_text_append(out, "<ul class=\"notes\">");
  for (uint32_t i = 0; i < count; i++) {
    tn_html_tag(out, "<li>An event of kind \xe2\x80\x9c", tn_item_text(items[i], "type"), "\xe2\x80\x9d");
    if (*tn_item_text(items[i], "name")) tn_html_tag(out, ", ", tn_item_text(items[i], "name"), ",");
    tn_text_append(out, " for which this version has no view");
    if (*tn_item_text(items[i], "text")) tn_html_tag(out, ": ", tn_item_text(items[i], "text"), "");
    tn_text_append(out, "</li>\n");
  }
  if (count > 0) tn_text_append(out, "</ul>\n");
  free(items);
}

void tn_page_pictures(tn_study *s, const char *stage, tn_text *out) {
  uint32_t count;
  const json_t **items = list(s, stage, true, &count);
  const bool single = s->shown_count == 1;
  if (count > 0 && single) tn_html_grid(out);
  for (uint32_t i = 0; i < count; i++) {
    if (!single) tn_html_tag(out, "<h3>", title_of(items[i]), "</h3>\n");
    if (!single) tn_html_grid(out);
    for (uint32_t g = 0; g < s->group_count; g++)
      if (s->groups[g].shown) draw_group(s, g, items[i], single, out);
    if (!single) tn_html_grid_end(out);
  }
  if (count > 0 && single) tn_html_grid_end(out);
  free(items);
  tell_unknown(s, stage, out);
}

void tn_page_pipeline(tn_study *s, tn_text *out) {
  for (uint32_t g = 0; g < s->group_count; g++) {
    const tn_study_run *run = s->groups[g].shown ? tn_page_run_of(s, g) : NULL;
    for (uint32_t i = 0; run && i < run->events.item_count; i++) {
      if (!is_pipeline(run->events.items[i])) continue;
      char note[256] = "";
      if (s->run_count > 1)
        snprintf(note, sizeof note, "Of %.120s; others differ in their overrides.", run->label);
      tn_html_section(out, "pipeline", "Pipeline", note);
      draw_graph(run->events.items[i], out);
      tn_html_section_end(out);
      return;
    }
  }
}
