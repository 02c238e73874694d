// SPDX-License-Identifier: MIT
/* Pictures of the report: what stands in them, at which place, and that odd numbers do no harm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/graph.h"
#include "core/report/picture.h"
#include "core/report/svg.h"
#include "tests/expect.h"

static tn_text out;

static void release(void) { tn_text_free(&out); }

TestSuite(picture, .fini = release);

static size_t count(const char *part) {
  size_t n = 0;
  for (const char *at = out.data; (at = strstr(at, part)); at++) n++;
  return n;
}

static void expect_sane(void) {
  cr_assert(out.data && !out.failed);
  cr_assert(!strstr(out.data, "nan") && !strstr(out.data, "inf"), "%s", out.data);
  EXPECT_INT(count("<svg"), count("</svg>"));
  EXPECT_INT(count("<g>"), count("</g>"));
}

Test(picture, numbers_are_short) {
  const struct {
    double value;
    const char *text;
  } cases[] = {
      {0, "0"},        {36, "36"},           {0.97771, "0.9777"},   {26122, "26122"}, {123456.5, "123.5k"},
      {1e-7, "1e-07"}, {2.5e6 + .5, "2.5M"}, {NAN, "\xe2\x80\x93"}, {-3, "-3"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[32];
    tn_picture_number(text, cases[i].value);
    EXPECT_TEXT(text, cases[i].text);
  }
}

/* ---- matrices ---- */

Test(picture, confusion_tells_hits_from_errors_by_the_share_in_the_row) {
  const double values[] = {9, 1, 0, 4};
  tn_picture_matrix(
      &(tn_matrix_picture){.rows = 2, .columns = 2, .values = values, .confusion = true, .width = 366}, &out);
  expect_sane();
  EXPECT_CONTAINS(out.data, "<rect class=\"tn-f0\" fill-opacity=\"0.810\""); /* 0.9 * 9 / 10 */
  EXPECT_CONTAINS(out.data, "<rect class=\"tn-f1\" fill-opacity=\"0.300\""); /* 0.95 * sqrt(1 / 10) */
  EXPECT_CONTAINS(out.data, "<title>0 \xe2\x86\x92 1: 1 (10.0 % of the row)</title>");
  EXPECT_INT(count("class=\"tn-num"), 3); /* no zero among the errors */
}

Test(picture, diverging_matrices_have_a_colour_for_each_sign) {
  const double values[] = {-2, 0, 2};
  tn_picture_matrix(
      &(tn_matrix_picture){.rows = 1, .columns = 3, .values = values, .diverging = true, .width = 366}, &out);
  expect_sane();
  EXPECT_CONTAINS(out.data, "<g><rect class=\"tn-f0\" fill-opacity=\"0.950\"");
  EXPECT_CONTAINS(out.data, "<g><rect class=\"tn-f1\" fill-opacity=\"0.950\"");
}

Test(picture, large_matrices_are_images) {
  static double values[100 * 100];
  tn_picture_matrix(&(tn_matrix_picture){.rows = 100, .columns = 100, .values = values, .width = 366}, &out);
  expect_sane();
  EXPECT_INT(count("<image"), 1);
  cr_assert(out.size < 20000, "%zu bytes", out.size);
}

Test(picture, matrices_of_nothing_of_one_and_of_no_number) {
  const double values[] = {NAN, INFINITY, -INFINITY};
  tn_picture_matrix(&(tn_matrix_picture){.rows = 0, .columns = 5, .values = values, .width = 366}, &out);
  tn_picture_matrix(&(tn_matrix_picture){.rows = 1, .columns = 1, .values = values, .width = 366}, &out);
  tn_picture_matrix(&(tn_matrix_picture){.rows = 1, .columns = 3, .values = values, .width = 366}, &out);
  expect_sane();
}

/* ---- bars, strips, ridges ---- */

Test(picture, bars_begin_at_zero_on_both_sides) {
  const double values[] = {4, -2, NAN};
  const char *const names[] = {"a & b", "c", "d"};
  tn_picture_bars(
      &(tn_bars_picture){.groups = 3, .bars = 1, .values = values, .group_labels = names, .width = 400},
      &out);
  expect_sane();
  double x[2], width[2];
  const char *at = out.data;
  for (int i = 0; i < 2; i++) {
    at = strstr(at, "<rect class=\"tn-f0\"") + 1;
    cr_assert(sscanf(strstr(at, " x=\""), " x=\"%lf\" y=\"%*f\" width=\"%lf\"", &x[i], &width[i]) == 2);
  }
  cr_assert(fabs(width[0] - 2 * width[1]) < 0.2, "%g and %g", width[0], width[1]);
  cr_assert(fabs(x[1] + width[1] - x[0]) < 0.2);
  EXPECT_INT(count("<rect"), 2);
  EXPECT_CONTAINS(out.data, "a &amp; b");
}

Test(picture, strips_show_each_run_and_the_mean) {
  const double values[] = {0.5, 0.7, NAN}, none[] = {NAN};
  const tn_strip strips[] = {{"lion", 2, values, 3, "0.6", true}, {"adam", 3, none, 1, "-", false}};
  tn_picture_strips("accuracy", strips, 2, 366, &out);
  expect_sane();
  EXPECT_INT(count("<circle"), 2);
  EXPECT_INT(count("class=\"tn-mark\""), 1);
  EXPECT_INT(count("tn-num tn-strong"), 1);
}

Test(picture, ridges_have_one_axis) {
  const double counts[] = {1, 5, 1};
  const tn_ridge ridges[] = {
      {-1, 1, counts, 3, "step 1"}, {-2, 2, counts, 3, "step 2"}, {0, 0, counts, 3, "step 3"}};
  tn_picture_ridges("weights", "value", ridges, 3, 366, &out);
  expect_sane();
  EXPECT_INT(count("class=\"tn-ridge"), 3);
}

/* ---- charts in a page ---- */

Test(picture, page_charts_carry_their_values_and_no_style) {
  const double x[] = {1, 10, 100}, y[] = {3, 2, 1}, low[] = {2, 1, 0.5}, high[] = {4, 3, 1.5};
  const tn_svg_series series[] = {{.name = "a", .x = x, .y = y, .low = low, .high = high, .count = 3},
                                  {.name = "b<", .x = x, .y = y, .count = 3, .form = TN_SVG_STAIRS}};
  tn_svg_line_chart(
      &(tn_svg_chart){.series = series, .series_count = 2, .log_x = true, .plain = true, .direct = true},
      &out);
  expect_sane();
  cr_assert(!strstr(out.data, "<style>") && !strstr(out.data, "tn-ground"));
  EXPECT_CONTAINS(out.data, "data-n=\"a\" data-x=\"x\" data-p=\"");
  EXPECT_CONTAINS(out.data, ",10,2,1,3 "); /* x, y, low, high of the second point */
  EXPECT_CONTAINS(out.data, "data-free=\"1\" data-n=\"b&lt;\"");
  EXPECT_INT(count("class=\"tn-end\""), 2);
}

Test(picture, names_at_the_ends_do_not_touch) {
  enum { N = 8 };
  double y[N][2];
  tn_svg_series series[N];
  for (int k = 0; k < N; k++) {
    y[k][0] = k;
    y[k][1] = 0.5; /* all end at one point */
    series[k] = (tn_svg_series){.name = "name", .y = y[k], .count = 2};
  }
  tn_svg_line_chart(&(tn_svg_chart){.series = series, .series_count = N, .plain = true, .direct = true},
                    &out);
  expect_sane();
  double last = -1000, at;
  size_t seen = 0;
  for (const char *c = out.data; (c = strstr(c, "class=\"tn-end\"")); c++, seen++) {
    cr_assert(sscanf(c, "class=\"tn-end\" x=\"%*f\" y=\"%lf\"", &at) == 1);
    cr_assert(at - last >= 13.9, "names at %g and %g", last, at);
    last = at;
  }
  EXPECT_INT(seen, N);
}

Test(picture, limits_cut_what_lies_beyond) {
  const double y[] = {1, 2, 1000};
  const tn_svg_series series[] = {{.name = "a", .y = y, .count = 3}};
  tn_svg_line_chart(
      &(tn_svg_chart){.series = series, .series_count = 1, .plain = true, .y_low = 0, .y_high = 3}, &out);
  expect_sane();
  EXPECT_INT(count("<circle"), 2);
  EXPECT_CONTAINS(out.data, "overflow=\"hidden\"");
}

/* ---- graphs in a page ---- */

Test(picture, page_graphs_run_from_left_to_right) {
  const tn_graph_node nodes[] = {
      {"train", NULL, "stage.supervised", 0}, {"net", NULL, "model.mlp", 1}, {"ce", NULL, NULL, 2}};
  const tn_graph_edge edges[] = {
      {"train", "net", "model"}, {"train", "ce", "loss"}, {"net", "net", "again"}, {"ce", "train", "back"}};
  char why[200];
  cr_assert(
      tn_graph_draw(
          &(tn_graph){
              .title = "t", .nodes = nodes, .node_count = 3, .edges = edges, .edge_count = 4, .plain = true},
          &out, why, sizeof why),
      "%s", why);
  expect_sane();
  EXPECT_INT(count("class=\"tn-head\""), 4);
  double x[2];
  const char *at = out.data;
  for (int i = 0; i < 2; i++) {
    at = strstr(at, "class=\"tn-box\"") + 1;
    cr_assert(sscanf(strstr(at, "x=\""), "x=\"%lf\"", &x[i]) == 1);
  }
  cr_assert(x[1] > x[0] + 100, "train at %g, net at %g", x[0], x[1]);
  const char *const names[] = {">model<", ">loss<", ">again<", ">back<"};
  for (int i = 0; i < 4; i++) EXPECT_INT(count(names[i]), 1);
}
