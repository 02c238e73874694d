// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/axis.h"
#include "core/report/svg.h"
#include "tests/expect.h"

static char *drawn;

static void release(void) {
  free(drawn);
  drawn = NULL;
}

TestSuite(text, .fini = release);
TestSuite(axis, .fini = release);
TestSuite(svg, .fini = release);

static const char *draw(const tn_svg_chart *chart) {
  tn_text text = {0};
  tn_svg_line_chart(chart, &text);
  free(drawn);
  drawn = tn_text_take(&text);
  cr_assert(drawn != NULL);
  return drawn;
}

static size_t count(const char *text, const char *part) {
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, part)); at++) n++;
  return n;
}

/* The d attribute of the n-th line in the plot (legend swatches are no lines of the plot: they have a style).
 */
static const char *line_path(const char *svg, size_t n) {
  static char path[100000];
  const char *at = svg;
  for (;;) {
    at = strstr(at, "<path class=\"tn-line");
    cr_assert(at != NULL, "no line %zu", n);
    const char *end = strstr(at, "/>"), *style = strstr(at, "style="), *d = strstr(at, " d=\"") + 4;
    if ((!style || style > end) && n-- == 0) {
      snprintf(path, sizeof path, "%.*s", (int)(strchr(d, '"') - d), d);
      return path;
    }
    at = end;
  }
}

/* ---- text ---- */

Test(text, grows_and_keeps_what_was_appended) {
  tn_text text = {0};
  for (int i = 0; i < 1000; i++) tn_text_printf(&text, "%d,", i % 10);
  EXPECT_INT(text.size, 2000);
  EXPECT_INT(strlen(text.data), 2000);
  drawn = tn_text_take(&text);
  cr_assert(strncmp(drawn + 1990, "5,6,7,8,9,", 10) == 0);
  cr_assert(text.data == NULL);
}

Test(text, printf_longer_than_the_first_buffer_is_whole) {
  tn_text text = {0};
  tn_text_printf(&text, "%*d", 5000, 7);
  EXPECT_INT(text.size, 5000);
  drawn = tn_text_take(&text);
  EXPECT_INT(drawn[4999], '7');
}

Test(text, empty_text_is_an_empty_string) {
  tn_text text = {0};
  drawn = tn_text_take(&text);
  EXPECT_TEXT(drawn, "");
}

Test(text, xml_is_escaped_and_always_well_formed) {
  struct {
    const char *raw, *wanted;
  } cases[] = {
      {"a<b> & \"c\" 'd'", "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;"},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"},
      {"\x01\t\x1b", "\xef\xbf\xbd\t\xef\xbf\xbd"},                                 // control characters
      {"\xff|\xc3|\xe2\x82", "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd"}, // cut or no UTF-8
      {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                     // '/' in two bytes
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                     // a surrogate
      {NULL, ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_text text = {0};
    tn_text_append_xml(&text, cases[i].raw);
    free(drawn);
    drawn = tn_text_take(&text);
    EXPECT_TEXT(drawn, cases[i].wanted);
  }
}

/* ---- axis ---- */

static void expect_ticks(bool logarithmic, double low, double high, size_t at_most, bool whole,
                         const char *wanted) {
  tn_axis axis = {.logarithmic = logarithmic, .start = 0, .stop = 100};
  tn_axis_span(&axis, low, high, false);
  tn_axis_mark(&axis, at_most, whole);
  char labels[1000] = "";
  for (size_t i = 0; i < axis.tick_count; i++) {
    strcat(labels, i ? " " : "");
    strcat(labels, axis.labels[i]);
  }
  EXPECT_TEXT(labels, wanted);
}

Test(axis, ticks_are_round_and_labelled_shortly) {
  expect_ticks(false, 0, 1, 5, false, "0 0.2 0.4 0.6 0.8 1.0");
  expect_ticks(false, -3, 7, 5, false, "−2 0 2 4 6");
  expect_ticks(false, 0, 3, 12, true, "0 1 2 3");
  expect_ticks(false, 0, 60000, 6, true, "0 10k 20k 30k 40k 50k 60k");
  expect_ticks(false, 1e6, 3e6, 4, false, "1.0M 1.5M 2.0M 2.5M 3.0M");
  expect_ticks(false, 0.97315, 0.9736, 5, false, "0.9732 0.9733 0.9734 0.9735 0.9736");
  expect_ticks(false, -2e-7, 2e-7, 4, false, "−2×10⁻⁷ −10⁻⁷ 0 10⁻⁷ 2×10⁻⁷");
}

Test(axis, logarithmic_ticks_are_powers_of_ten) {
  expect_ticks(true, 0.01, 100, 6, false, "0.01 0.1 1 10 100");
  expect_ticks(true, 1e-6, 1, 3, false, "10⁻⁶ 10⁻⁴ 10⁻² 1");
  expect_ticks(true, 2.6e-8, 8e-4, 2, false, "10⁻⁶ 10⁻⁴"); // two are enough: a linear scale would mislead
  expect_ticks(true, 2e-5, 8e-3, 2, false, "10⁻⁴ 10⁻³");
  expect_ticks(true, 3, 30, 6, false, "5 10 20");
  expect_ticks(true, 4.2, 4.9, 4, false, "4.2 4.4 4.6 4.8"); // too narrow for powers
}

Test(axis, equal_values_and_no_values_have_a_span) {
  tn_axis axis = {0};
  tn_axis_span(&axis, 5, 5, true);
  cr_assert(axis.low < 5 && axis.high > 5);
  tn_axis_span(&axis, 0, 0, true);
  cr_assert(axis.low < 0 && axis.high > 0);
  tn_axis_span(&axis, INFINITY, -INFINITY, true);
  cr_assert(axis.low < axis.high);
  axis.logarithmic = true;
  tn_axis_span(&axis, 2, 2, true);
  cr_assert(axis.low > 0 && axis.low < 2 && axis.high > 2);
}

Test(axis, values_are_placed_in_proportion) {
  tn_axis axis = {.low = 10, .high = 20, .start = 100, .stop = 200};
  EXPECT_REAL(tn_axis_place(&axis, 15), 150.0);
  tn_axis logarithmic = {.low = 1, .high = 100, .start = 300, .stop = 100, .logarithmic = true};
  cr_assert(fabs(tn_axis_place(&logarithmic, 10) - 200) < 1e-9);
}

Test(axis, extreme_values_never_make_nonsense) {
  double values[] = {5e-324, 1e-308, 1e-140, 1e-9, 1, 1e140, 1e300};
  for (size_t i = 0; i < 7; i++)
    for (size_t j = i; j < 7; j++)
      for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
        tn_axis axis = {.logarithmic = logarithmic, .start = 0, .stop = 100};
        if (!tn_axis_takes(&axis, values[i]) || !tn_axis_takes(&axis, values[j])) continue;
        tn_axis_span(&axis, values[i], values[j], true);
        tn_axis_mark(&axis, 6, false);
        cr_assert(isfinite(axis.low) && isfinite(axis.high) && axis.low < axis.high, "%g to %g", values[i],
                  values[j]);
        for (size_t k = 0; k < axis.tick_count; k++) {
          double place = tn_axis_place(&axis, axis.ticks[k]);
          cr_assert(place > -1 && place < 101, "%g to %g: tick at %g px", values[i], values[j], place);
        }
      }
}

/* ---- chart ---- */

Test(svg, chart_is_one_element_with_title_labels_and_legend) {
  double y[] = {3, 2, 1};
  tn_svg_series series = {.name = "a < b", .y = y, .count = 3};
  const char *svg = draw(&(tn_svg_chart){
      .title = "R&D", .x_label = "epoch", .y_label = "loss", .series = &series, .series_count = 1});
  cr_assert(strncmp(svg, "<svg ", 5) == 0);
  cr_assert(strcmp(svg + strlen(svg) - 7, "</svg>\n") == 0);
  EXPECT_CONTAINS(svg, "<title>R&amp;D</title>");
  EXPECT_CONTAINS(svg, ">epoch</text>");
  EXPECT_CONTAINS(svg, ">loss</text>");
  EXPECT_CONTAINS(svg, ">a &lt; b</text>");
  EXPECT_CONTAINS(svg, "prefers-color-scheme:dark");
  cr_assert(strstr(svg, "http://www.w3.org/2000/svg") && count(svg, "http") == 1,
            "refers to something outside");
}

Test(svg, line_has_one_vertex_a_point) {
  double x[] = {0, 1, 3}, y[] = {1, 5, 2};
  tn_svg_series series = {.x = x, .y = y, .count = 3};
  const char *path = line_path(draw(&(tn_svg_chart){.series = &series, .series_count = 1}), 0);
  double px[3], py[3];
  EXPECT_INT(sscanf(path, "M%lf %lfL%lf %lfL%lf %lf", &px[0], &py[0], &px[1], &py[1], &px[2], &py[2]), 6);
  // the scale is linear: (1 - 0) / (3 - 0) of the way, and (5 - 2) / (5 - 1) of the height; 0.1 px is the
  // rounding
  cr_assert(fabs((px[1] - px[0]) / (px[2] - px[0]) - 1.0 / 3) < 1e-3);
  cr_assert(fabs((py[2] - py[1]) / (py[0] - py[1]) - 3.0 / 4) < 1e-3);
}

Test(svg, points_that_are_not_finite_break_the_line) {
  double y[] = {1, 2, NAN, 3, 4, INFINITY, 5};
  tn_svg_series series = {.y = y, .count = 7};
  const char *svg = draw(&(tn_svg_chart){.series = &series, .series_count = 1});
  const char *path = line_path(svg, 0);
  EXPECT_INT(count(path, "M"), 2); // 1-2 and 3-4; the 5 stands alone
  EXPECT_INT(count(path, "L"), 2);
  EXPECT_INT(count(svg, "<circle"), 5);
  cr_assert(!strstr(svg, "nan") && !strstr(svg, "inf"));
}

Test(svg, lone_points_of_a_long_series_are_dots) {
  double y[101];
  for (int i = 0; i < 101; i++) y[i] = i % 2 ? (double)NAN : i;
  tn_svg_series series = {.y = y, .count = 101};
  const char *svg = draw(&(tn_svg_chart){.series = &series, .series_count = 1});
  EXPECT_INT(count(svg, "<circle"), 51);
  EXPECT_TEXT(line_path(svg, 0), "");
}

Test(svg, values_below_zero_break_a_logarithmic_line) {
  double y[] = {1, 10, 0, -1, 100, 1000};
  tn_svg_series series = {.y = y, .count = 6};
  const char *path = line_path(draw(&(tn_svg_chart){.series = &series, .series_count = 1, .log_y = true}), 0);
  EXPECT_INT(count(path, "M"), 2);
  EXPECT_INT(count(path, "L"), 2);
}

Test(svg, dense_lines_are_thinned_but_keep_their_extremes) {
  enum { POINTS = 100000 };
  static double y[POINTS];
  for (int i = 0; i < POINTS; i++) y[i] = sin(i * 0.7);
  y[54321] = 40; // one spike among 120 points of its pixel column
  tn_svg_series series = {.y = y, .count = POINTS};
  const char *svg = draw(&(tn_svg_chart){.series = &series, .series_count = 1});
  const char *path = line_path(svg, 0);
  size_t vertices = count(path, "L") + 1;
  cr_assert(vertices <= 4 * 860, "%zu vertices", vertices);
  double highest = INFINITY, px, py;
  for (const char *at = path; at && *at; at = strpbrk(at + 1, "ML"))
    if (sscanf(at + 1, "%lf %lf", &px, &py) == 2) highest = fmin(highest, py);
  const char *frame = strstr(svg, "tn-axis");
  cr_assert(frame && highest < 60, "the spike is at %g px", highest); // top of the plot: there is no title
}

Test(svg, band_surrounds_its_line) {
  double y[] = {2, 3, 4}, low[] = {1, 2, 3}, high[] = {3, 4, 5};
  tn_svg_series series = {.y = y, .low = low, .high = high, .count = 3};
  const char *svg = draw(&(tn_svg_chart){.series = &series, .series_count = 1});
  EXPECT_INT(count(svg, "\"tn-band tn-f0\""), 1);
  const char *d = strstr(strstr(svg, "\"tn-band tn-f0\""), " d=\"") + 4;
  double p[12];
  EXPECT_INT(sscanf(d, "M%lf %lfL%lf %lfL%lf %lfL%lf %lfL%lf %lfL%lf %lfZ", &p[0], &p[1], &p[2], &p[3], &p[4],
                    &p[5], &p[6], &p[7], &p[8], &p[9], &p[10], &p[11]),
             12);
  EXPECT_REAL(p[0], p[10]);                              // starts and ends at the first x
  EXPECT_REAL(p[4], p[6]);                               // turns at the last x
  cr_assert(fabs((p[11] - p[1]) - (p[7] - p[5])) < 0.2); // equally wide at both ends
  cr_assert(p[1] < p[11], "the upper edge is not above the lower one");
}

Test(svg, band_below_zero_ends_at_the_bottom_of_a_logarithmic_axis) {
  double y[] = {1, 1}, low[] = {-1, 0.5}, high[] = {3, 2};
  tn_svg_series series = {.y = y, .low = low, .high = high, .count = 2};
  const char *svg = draw(&(tn_svg_chart){.series = &series, .series_count = 1, .log_y = true});
  EXPECT_INT(count(svg, "\"tn-band tn-f0\""), 1);
  cr_assert(!strstr(svg, "nan"));
}

Test(svg, charts_without_data_are_charts) {
  tn_svg_series series = {.name = "nothing", .count = 0};
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.series = &series, .series_count = 1}), ">nothing</text>");
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.title = "empty"}), "</svg>");
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.series = &series, .series_count = 1, .log_y = true}), "</svg>");
}

Test(svg, long_legends_wrap_and_add_to_the_height) {
  char names[12][48];
  tn_svg_series series[12];
  for (int k = 0; k < 12; k++) {
    snprintf(names[k], sizeof names[k], "a rather long name of series %d", k);
    series[k] = (tn_svg_series){.name = names[k]};
  }
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.series = series, .series_count = 2}), "height=\"480\"");
  // 3 columns of about 240 px fit into 812 px: 4 lines, 3 of them extra, 22 px each
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.series = series, .series_count = 12}), "height=\"546\"");
}

Test(svg, ninth_series_has_the_first_colour_with_dashes) {
  double y[] = {1, 2};
  tn_svg_series series[9];
  for (int k = 0; k < 9; k++) series[k] = (tn_svg_series){.y = y, .count = 2};
  EXPECT_CONTAINS(draw(&(tn_svg_chart){.series = series, .series_count = 9}), "\"tn-line tn-c0 tn-d1\"");
}

Test(svg, long_titles_are_cut_with_an_ellipsis) {
  char title[400];
  memset(title, 'm', sizeof title - 1);
  title[sizeof title - 1] = 0;
  const char *svg = draw(&(tn_svg_chart){.title = title});
  EXPECT_CONTAINS(svg, "m…</text>");
}

Test(svg, tiny_charts_grow_to_hold_their_frame) {
  double y[] = {1, 2};
  tn_svg_series series = {.name = "x", .y = y, .count = 2};
  const char *svg =
      draw(&(tn_svg_chart){.title = "t", .series = &series, .series_count = 1, .width = 1, .height = 1});
  cr_assert(!strstr(svg, "nan") && !strstr(svg, "inf"));
}

Test(svg, names_that_are_too_long_lose_their_middle) {
  const struct {
    const char *name;
    double width;
    const char *wanted;
  } cases[] = {{"short", 100, "short"},
               {"run-with-a-long-name-17", 80,
                "run-\xe2\x80\xa6"
                "ame-17"},
               {"a<b>&c-very-long-name-1", 60,
                "a&lt;\xe2\x80\xa6"
                "ame-1"},
               {"nothing fits", 0, "\xe2\x80\xa6"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_text text = {0};
    tn_svg_append_middle(&text, cases[i].name, 12, cases[i].width);
    free(drawn);
    drawn = tn_text_take(&text);
    EXPECT_TEXT(drawn, cases[i].wanted);
  }
}
