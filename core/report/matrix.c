// SPDX-License-Identifier: MIT
/* A cell is the accent colour with the opacity of its value, so that it fits light and dark pages. */
#include "core/report/picture.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/format/png.h"
#include "core/report/base64.h"
#include "core/report/svg.h"

enum { CELLS_MOST = 4096 };
static const double label_size = 12, number_size = 11, cell_most = 46, label_most = 120; /* px */

typedef struct grid {
  const tn_matrix_picture *p;
  double left, top, cell, tall; /* px; cells are `cell` wide and `tall` high */
  double low, high;             /* of the values */
  double turned;                /* px that slanted column labels are high; 0: they lie flat */
} grid;

typedef struct shade {
  unsigned color;
  double opacity;
} shade;

static double at(const grid *g, size_t row, size_t column) {
  return g->p->values[row * g->p->columns + column];
}

static double row_sum(const grid *g, size_t row) {
  double sum = 0;
  for (size_t j = 0; j < g->p->columns; j++)
    if (at(g, row, j) > 0) sum += at(g, row, j);
  return sum;
}

static shade shade_of(const grid *g, size_t row, size_t column) {
  const double value = at(g, row, column);
  if (!isfinite(value)) return (shade){0, 0};
  if (g->p->confusion) { /* the root, so that few errors can be seen */
    const double sum = row_sum(g, row), share = sum > 0 ? fmax(value, 0) / sum : 0;
    return row == column ? (shade){0, 0.9 * share} : (shade){1, 0.95 * sqrt(share)};
  }
  if (g->p->diverging) {
    const double size = fmax(fabs(g->low), fabs(g->high));
    return (shade){value < 0 ? 0u : 1u, size > 0 ? 0.95 * fabs(value) / size : 0};
  }
  return (shade){0, g->high > g->low ? 0.04 + 0.91 * (value - g->low) / (g->high - g->low) : 0.5};
}

static const char *label_of(const char *const *labels, size_t i, char room[24]) {
  if (labels) return labels[i];
  snprintf(room, 24, "%zu", i);
  return room;
}

static double widest(const char *const *labels, size_t count) {
  double width = 0;
  char room[24];
  for (size_t i = 0; i < count; i++)
    width = fmax(width, tn_svg_text_width(label_of(labels, i, room), label_size));
  return fmin(width, label_most);
}

static void lay_out(grid *g) {
  const tn_matrix_picture *p = g->p;
  g->low = INFINITY, g->high = -INFINITY;
  for (size_t i = 0; i < p->rows * p->columns; i++)
    if (isfinite(p->values[i])) g->low = fmin(g->low, p->values[i]), g->high = fmax(g->high, p->values[i]);
  if (g->low > g->high) g->low = g->high = 0;
  g->left = widest(p->row_labels, p->rows) + 12 + (p->y_label && *p->y_label ? 20 : 0);
  g->cell = fmin((p->width - g->left - 2) / (double)p->columns, cell_most);
  const double name = widest(p->column_labels, p->columns);
  const bool flat = name < g->cell - 4 || !p->column_labels;
  g->turned = flat ? 0 : name * 0.72 + 4;
  if (!flat) g->cell = fmin((p->width - g->left - 2 - g->turned * 0.8) / (double)p->columns, cell_most);
  g->tall = fmin(g->cell, 34);
  if (g->tall * (double)p->rows < 60) g->tall = fmin(34, 60 / (double)p->rows);
  g->top = (p->x_label && *p->x_label ? 20 : 4) + (flat ? 16 : g->turned + 4);
}

/* Every n-th label, so that they do not touch; of numbers a round n. */
static size_t stride_of(double pace, double need, bool numbers) {
  static const size_t round[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
  const size_t least = pace >= need ? 1 : (size_t)fmin(ceil(need / pace), 1e6);
  for (size_t i = 0; numbers && i < sizeof round / sizeof *round; i++)
    if (round[i] >= least) return round[i];
  return least;
}

static void draw_labels(tn_text *out, const grid *g) {
  const tn_matrix_picture *p = g->p;
  char room[24];
  size_t stride = stride_of(g->tall, 13, !p->row_labels);
  for (size_t i = 0; i < p->rows; i += stride) {
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", g->left - 7,
                   g->top + ((double)i + 0.5) * g->tall + 4);
    tn_svg_append_fitted(out, label_of(p->row_labels, i, room), label_size, label_most);
    tn_text_append(out, "</text>\n");
  }
  stride =
      stride_of(g->cell, g->turned > 0 ? 13 : widest(p->column_labels, p->columns) + 6, !p->column_labels);
  for (size_t j = 0; j < p->columns; j += stride) {
    const double x = g->left + ((double)j + 0.5) * g->cell, y = g->top - 6;
    if (g->turned > 0)
      tn_text_printf(out, "<text class=\"tn-quiet\" transform=\"translate(%.1f %.1f) rotate(-45)\">", x + 3,
                     y);
    else
      tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x, y);
    tn_svg_append_fitted(out, label_of(p->column_labels, j, room), label_size, label_most);
    tn_text_append(out, "</text>\n");
  }
  if (p->x_label && *p->x_label) {
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"12\" text-anchor=\"middle\">",
                   g->left + g->cell * (double)p->columns / 2);
    tn_svg_append_fitted(out, p->x_label, label_size, p->width - g->left);
    tn_text_append(out, "</text>\n");
  }
  if (p->y_label && *p->y_label) {
    const double tall = g->tall * (double)p->rows;
    tn_text_printf(out,
                   "<text class=\"tn-quiet\" transform=\"translate(11 %.1f) rotate(-90)\" "
                   "text-anchor=\"middle\">",
                   g->top + tall / 2);
    tn_svg_append_fitted(out, p->y_label, label_size, tall);
    tn_text_append(out, "</text>\n");
  }
}

/* The number with as many digits as fit into a cell; "" if none do. */
static void fit_number(const grid *g, double value, char number[32]) {
  if (g->tall < 14 || !isfinite(value)) {
    *number = 0;
    return;
  }
  tn_picture_number(number, value);
  for (int digits = 3; digits > 0 && tn_svg_text_width(number, number_size) > g->cell - 8; digits--)
    snprintf(number, 32, "%.*g", digits, value);
  if (tn_svg_text_width(number, number_size) > g->cell - 3) *number = 0;
}

static void draw_cell(tn_text *out, const grid *g, size_t i, size_t j) {
  const double value = at(g, i, j), x = g->left + (double)j * g->cell, y = g->top + (double)i * g->tall;
  const shade s = shade_of(g, i, j);
  char number[32], a[24], b[24];
  tn_picture_number(number, value);
  tn_text_printf(out,
                 "<g><rect class=\"tn-f%u\" fill-opacity=\"%.3f\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                 "height=\"%.2f\"/>",
                 s.color, s.opacity, x, y, g->cell, g->tall);
  tn_text_append(out, "<title>");
  tn_text_append_xml(out, label_of(g->p->row_labels, i, a));
  tn_text_append(out, " \xe2\x86\x92 ");
  tn_text_append_xml(out, label_of(g->p->column_labels, j, b));
  tn_text_printf(out, ": %s", number);
  const double sum = g->p->confusion ? row_sum(g, i) : 0;
  if (sum > 0 && isfinite(value)) tn_text_printf(out, " (%.1f %% of the row)", 100 * value / sum);
  tn_text_append(out, "</title>");
  fit_number(g, value, number);
  if (*number && !(g->p->confusion && value == 0))
    tn_text_printf(out, "<text class=\"tn-num%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>",
                   s.opacity > 0.55 ? " tn-on" : "", x + g->cell / 2, y + g->tall / 2 + 4, number);
  tn_text_append(out, "</g>\n");
}

/* One pixel a cell. */
static void draw_image(tn_text *out, const grid *g) {
  static const uint8_t colors[2][3] = {{0, 114, 178}, {213, 94, 0}};
  const size_t count = g->p->rows * g->p->columns;
  tn_png image = {g->p->rows, g->p->columns, 4, malloc(count * 4)};
  tn_bytes bytes = {0};
  tn_format_error error;
  for (size_t i = 0; image.pixels && i < count; i++) {
    const shade s = shade_of(g, i / g->p->columns, i % g->p->columns);
    for (size_t c = 0; c < 3; c++) image.pixels[4 * i + c] = colors[s.color][c];
    image.pixels[4 * i + 3] = (uint8_t)(255 * s.opacity + 0.5);
  }
  if (!image.pixels || !tn_png_pack("matrix", &image, &bytes, &error)) out->failed = true;
  tn_text_printf(out,
                 "<image x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" preserveAspectRatio=\"none\" "
                 "style=\"image-rendering:pixelated\" href=\"data:image/png;base64,",
                 g->left, g->top, g->cell * (double)g->p->columns, g->tall * (double)g->p->rows);
  tn_base64_append(out, bytes.data, bytes.size);
  tn_text_append(out, "\"/>\n");
  tn_bytes_free(&bytes);
  tn_png_free(&image);
}

/* What the colours stand for. */
static void draw_scale(tn_text *out, const grid *g, double top) {
  enum { STEPS = 24 };
  static const double width = 132, height = 9;
  const double size = fmax(fabs(g->low), fabs(g->high));
  const double low = g->p->diverging ? -size : g->low, high = g->p->diverging ? size : g->high;
  for (int i = 0; i < STEPS; i++) {
    const double share = (i + 0.5) / STEPS, signed_share = 2 * share - 1;
    tn_text_printf(
        out,
        "<rect class=\"tn-f%d\" fill-opacity=\"%.3f\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\"/>",
        g->p->diverging && signed_share > 0,
        g->p->diverging ? 0.95 * fabs(signed_share) : 0.04 + 0.91 * share, g->left + i * width / STEPS, top,
        width / STEPS, height);
  }
  char text[32];
  snprintf(text, sizeof text, "%.2g", low);
  tn_text_printf(out, "\n<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                 g->left - 7, top + 9, text);
  snprintf(text, sizeof text, "%.2g", high);
  tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", g->left + width + 7,
                 top + 9, text);
}

void tn_picture_matrix(const tn_matrix_picture *picture, tn_text *out) {
  if (picture->rows == 0 || picture->columns == 0) {
    tn_text_append(out, "<p class=\"quiet\">An empty matrix.</p>\n");
    return;
  }
  grid g = {.p = picture};
  lay_out(&g);
  const double bottom = g.top + g.tall * (double)picture->rows;
  tn_svg_open(out, picture->width, bottom + (picture->confusion ? 4 : 26), picture->title, true);
  draw_labels(out, &g);
  if (picture->rows * picture->columns > CELLS_MOST || picture->rows > TN_PNG_SIDE_MAX)
    draw_image(out, &g);
  else
    for (size_t i = 0; i < picture->rows; i++)
      for (size_t j = 0; j < picture->columns; j++) draw_cell(out, &g, i, j);
  tn_text_printf(out, "<rect class=\"tn-frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                 g.left, g.top, g.cell * (double)picture->columns, bottom - g.top);
  if (!picture->confusion) draw_scale(out, &g, bottom + 12);
  tn_svg_close(out);
}
