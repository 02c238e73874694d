// SPDX-License-Identifier: MIT
/* What the log writes, the reader reads; what is no event is noted in one line and left out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/plugin/host.h"
#include "core/report/event_file.h"
#include "core/report/event_log.h"
#include "core/tensor/engine.h"
#include "tests/expect.h"

static tn_engine *engine;
static tn_event_file file;

static void begin(void) {
  tn_host_start();
  engine = tn_engine_create(1, TN_F64);
  tn_engine_enter(engine);
  tn_scope_open();
}

static void end(void) {
  tn_event_file_free(&file);
  tn_scope_close();
  tn_engine_enter(NULL);
  tn_engine_destroy(engine);
}

TestSuite(event_file, .init = begin, .fini = end);

static void read_text(const char *text) {
  tn_event_file_free(&file);
  tn_event_file_parse(text, strlen(text), &file);
}

/* Through the log's own line and back. */
static const struct json_t *back(const tn_event *event) {
  tn_text line = {0};
  cr_assert(tn_event_line(event, &line), "the event does not fit its type");
  read_text(line.data);
  tn_text_free(&line);
  cr_assert(file.note_count == 0, "%s", file.note_count ? file.notes[0] : "");
  EXPECT_INT(file.item_count, 1);
  cr_assert(tn_item_known(file.items[0]));
  return file.items[0];
}

static tn_tensor *numbers(tn_shape shape) {
  tn_tensor *t = tn_empty(TN_F64, shape);
  for (int64_t i = 0; i < tn_numel(t); i++) tn_f64(t)[i] = 0.5 * (double)i;
  return t;
}

/* ---- kinds ---- */

Test(event_file, matrices_scatters_series_and_bars_keep_shape_values_and_labels) {
  const char *const rows[] = {"a", "b"}, *const columns[] = {"x", "y", "z"};
  const tn_event_type types[] = {TN_EVENT_MATRIX, TN_EVENT_SCATTER, TN_EVENT_SERIES, TN_EVENT_BARS};
  const char *const kinds[] = {"matrix", "scatter", "series", "bars"};
  for (int i = 0; i < 4; i++) {
    tn_event event = tn_event_of(types[i], "name");
    event.tensor = numbers(TN_SHAPE(2, 3));
    event.rows = 2, event.columns = 3;
    event.row_labels = rows, event.column_labels = columns;
    event.style = TN_STYLE_LOG_X;
    event.x_label = "across";
    if (types[i] == TN_EVENT_SERIES) event.spread = numbers(TN_SHAPE(2, 2));
    if (types[i] == TN_EVENT_BARS) event.spread = numbers(TN_SHAPE(2, 3));
    const struct json_t *item = back(&event);
    EXPECT_TEXT(tn_item_text(item, "type"), kinds[i]);
    EXPECT_INT(tn_item_size(item, 0), 2);
    EXPECT_INT(tn_item_size(item, 1), 3);
    EXPECT_INT(tn_item_count(item, "values"), 6);
    double *values = tn_item_numbers(item, "values");
    EXPECT_REAL(values[5], 2.5);
    free(values);
    EXPECT_TEXT(tn_item_label(item, "row_labels", 1), "b");
    EXPECT_TEXT(tn_item_label(item, "column_labels", 2), "z");
    EXPECT_TEXT(tn_item_text(item, "x_label"), "across");
    EXPECT_INT(tn_item_integer(item, "style"), TN_STYLE_LOG_X);
  }
}

Test(event_file, numbers_that_are_not_finite_come_back_as_nan) {
  tn_event event = tn_event_of(TN_EVENT_MATRIX, "m");
  tn_tensor *t = numbers(TN_SHAPE(1, 2));
  tn_f64(t)[1] = INFINITY;
  event.tensor = t;
  double *values = tn_item_numbers(back(&event), "values");
  cr_assert(isnan(values[1]));
  free(values);
}

Test(event_file, histograms_come_back_as_counts_over_a_range) {
  tn_event event = tn_event_of(TN_EVENT_HISTOGRAM, "h");
  event.tensor = numbers(TN_SHAPE(5, 2)); /* 0, 1 ... 4 and 0.5, 1.5 ... 4.5 */
  const struct json_t *item = back(&event);
  double *range = tn_item_numbers(item, "range"), *counts = tn_item_numbers(item, "values"), sum = 0;
  EXPECT_REAL(range[0], 0);
  EXPECT_REAL(range[1], 4.5);
  for (int64_t i = 0; i < tn_item_size(item, 1); i++) sum += counts[i];
  EXPECT_REAL(sum, 5);
  free(range);
  free(counts);
}

Test(event_file, images_come_back_as_png) {
  tn_event event = tn_event_of(TN_EVENT_IMAGES, "i");
  event.tensor = numbers(TN_SHAPE(2, 3, 4, 5));
  const struct json_t *item = back(&event);
  EXPECT_INT(tn_item_count(item, "png"), 2);
  cr_assert(strncmp(tn_item_label(item, "png", 1), "iVBORw0KGgo", 11) == 0); /* the signature of PNG */
}

Test(event_file, tables_graphs_and_texts_keep_their_texts) {
  const char *const cells[] = {"1", "two \"quoted\"", "3", "\xff"};
  tn_event event = tn_event_of(TN_EVENT_TABLE, "t");
  event.rows = event.columns = 2;
  event.cells = cells;
  const struct json_t *item = back(&event);
  EXPECT_TEXT(tn_item_label(item, "cells", 1), "two \"quoted\"");
  EXPECT_TEXT(tn_item_label(item, "cells", 3), "\xef\xbf\xbd");
  event = tn_event_of(TN_EVENT_GRAPH, "g");
  event.text = "a -> b : c\n";
  EXPECT_TEXT(tn_item_text(back(&event), "text"), "a -> b : c\n");
  event.type = TN_EVENT_TEXT;
  EXPECT_TEXT(tn_item_text(back(&event), "text"), "a -> b : c\n");
}

Test(event_file, steps_are_curves_and_results_replace_each_other) {
  read_text("{\"type\":\"run\",\"name\":\"n\",\"seed\":7,\"host\":\"1\",\"cpu\":\"avx2\",\"time\":5}\n"
            "{\"type\":\"stage_begin\",\"stage\":\"train\",\"seconds\":1.5}\n"
            "{\"type\":\"step\",\"stage\":\"train\",\"seconds\":2,\"step\":3,\"scalars\":{\"loss\":0.25,"
            "\"lr\":null}}\n"
            "{\"type\":\"step\",\"stage\":\"train\",\"seconds\":2,\"step\":4,\"scalars\":{\"loss\":0.5}}\n"
            "{\"type\":\"result\",\"stage\":\"train\",\"scalars\":{\"loss\":1}}\n"
            "{\"type\":\"result\",\"stage\":\"train\",\"scalars\":{\"loss\":2}}\n"
            "{\"type\":\"stage_end\",\"stage\":\"train\",\"seconds\":4}\n"
            "{\"type\":\"run_end\",\"seconds\":5,\"text\":\"finished\"}\n");
  EXPECT_TEXT(file.name, "n");
  EXPECT_INT(file.seed, 7);
  EXPECT_TEXT(file.outcome, "finished");
  EXPECT_REAL(file.seconds, 5);
  EXPECT_INT(file.stage_count, 1);
  EXPECT_REAL(file.stages[0].began, 1.5);
  EXPECT_REAL(file.stages[0].ended, 4);
  const tn_curve *loss = tn_record_curve(&file.record, "train", "loss"),
                 *lr = tn_record_curve(&file.record, "train", "lr");
  EXPECT_INT(loss->count, 2);
  EXPECT_REAL(loss->x[1], 4);
  EXPECT_REAL(loss->y[1], 0.5);
  cr_assert(isnan(lr->y[0]));
  EXPECT_INT(file.record.result_count, 1);
  EXPECT_REAL(file.record.results[0].value, 2);
  EXPECT_INT(file.note_count, 0);
}

/* ---- what is wrong ---- */

Test(event_file, wrong_lines_are_noted_and_the_others_stay) {
  read_text("{\"type\":\"text\",\"name\":\"a\",\"text\":\"good\"}\n"
            "rubbish\n"
            "[1]\n"
            "{\"no\":\"type\"}\n"
            "{\"type\":\"matrix\",\"name\":\"m\",\"shape\":[2,2],\"values\":[1,2,3]}\n"
            "{\"type\":\"matrix\",\"name\":\"m\",\"shape\":[-1,2],\"values\":[]}\n"
            "{\"type\":\"matrix\",\"name\":\"m\",\"shape\":[1,1],\"values\":[\"x\"]}\n"
            "{\"type\":\"images\",\"name\":\"i\",\"shape\":[1,1,1,1],\"png\":[\"\\\"><script>\"]}\n"
            "{\"type\":\"table\",\"name\":\"t\",\"rows\":2,\"columns\":2,\"cells\":[\"1\"]}\n"
            "{\"type\":\"graph\",\"name\":\"g\"}\n"
            "{\"type\":\"text\",\"name\":\"b\",\"text\":\"also go");
  EXPECT_INT(file.item_count, 1);
  EXPECT_INT(file.note_count, 10);
  cr_assert(strncmp(file.notes[0], "line 2: ", 8) == 0, "%s", file.notes[0]);
  EXPECT_TEXT(file.notes[1], "line 3: not an object");
  EXPECT_TEXT(file.notes[2], "line 4: an event without a type");
  EXPECT_TEXT(file.notes[3],
              "line 5: matrix 'm' is not whole; it needs a shape of two sizes and as many values");
  EXPECT_TEXT(file.notes[9], "line 11 is cut off: the run was writing it, or was killed");
}

Test(event_file, notes_are_one_line_whatever_names_hold) {
  read_text("{\"type\":\"graph\",\"name\":\"two\\nlines\"}\n");
  EXPECT_TEXT(file.notes[0], "line 1: graph 'two lines' is not whole; it needs a text");
}

Test(event_file, many_wrong_lines_are_counted) {
  char text[400] = "";
  for (int i = 0; i < 40; i++) strcat(text, "x\n");
  read_text(text);
  EXPECT_INT(file.note_count + file.unnoted, 40);
  cr_assert(file.unnoted > 20);
}

Test(event_file, events_of_other_versions_are_kept_as_unknown) {
  read_text("{\"type\":\"hologram\",\"stage\":\"s\",\"name\":\"deep\",\"depth\":[1,2,3]}\n");
  EXPECT_INT(file.item_count, 1);
  cr_assert(!tn_item_known(file.items[0]));
  EXPECT_INT(file.note_count, 0);
}

Test(event_file, missing_and_empty_files) {
  char path[] = "/tmp/tenon-events-XXXXXX";
  close(mkstemp(path));
  tn_format_error why;
  cr_assert(tn_event_file_read(path, &file, &why), "%s", why.text);
  EXPECT_INT(file.item_count + file.note_count, 0);
  unlink(path);
  cr_assert(!tn_event_file_read(path, &file, &why));
  EXPECT_CONTAINS(why.text, "No such file");
}
