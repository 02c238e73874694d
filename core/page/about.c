// SPDX-License-Identifier: MIT
/* What it took, the runs one by one, their configuration, and what could not be read. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/memory.h"
#include "core/page/html.h"
#include "core/page/page.h"
#include "core/report/picture.h"
#include <tenon/abi.h>

enum { RUNS_OPEN = 12, RUNS_MOST = 2000, NOTES_MOST = 60 };

/* ---- cost ---- */

/* Figures of runs as a whole over the groups: a row of dots each. */
static void draw_figure(tn_study *s, const char *name, const char *title, double unit, tn_text *out) {
  tn_strip *strips = tn_take((s->group_count + 1) * sizeof *strips);
  char(*texts)[48] = tn_take((s->group_count + 1) * sizeof *texts);
  size_t count = 0, runs = 0;
  double least = INFINITY, most = -INFINITY;
  for (uint32_t g = 0; g < s->group_count; g++) {
    if (!s->groups[g].shown) continue;
    uint32_t n;
    double *values = tn_study_values(s, g, name, &n), sum = 0;
    for (uint32_t i = 0; i < n; i++) {
      values[i] /= unit;
      sum += values[i];
      least = fmin(least, values[i]), most = fmax(most, values[i]);
    }
    tn_picture_number(texts[count], n ? sum / n : NAN);
    if (n && fabs(sum / n) >= 0.01 && fabs(sum / n) < 1000) snprintf(texts[count], 48, "%.3g", sum / n);
    strips[count] = (tn_strip){s->groups[g].shown_name, s->groups[g].color, values, n, texts[count], false};
    runs += n;
    count++;
  }
  if (runs > 0 && most > least) {
    tn_html_figure(out, title, NULL);
    tn_picture_strips(title, strips, count, TN_PAGE_COLUMN, out);
    tn_html_figure_end(out);
  }
  for (size_t k = 0; k < count; k++) free((double *)(uintptr_t)strips[k].values);
  free(strips);
  free(texts);
}

/* Seconds of each stage of a run, as bars. */
static void draw_stages(tn_study *s, tn_text *out) {
  const tn_study_run *run = tn_page_run_of(s, 0);
  for (uint32_t g = 0; g < s->group_count && (!run || !tn_study_shows(s, run)); g++)
    run = tn_page_run_of(s, g);
  if (!run || run->events.stage_count == 0) return;
  const uint32_t count = run->events.stage_count;
  double *seconds = tn_take(count * sizeof *seconds);
  const char **names = tn_take(count * sizeof *names);
  for (uint32_t i = 0; i < count; i++) {
    const tn_stage_span *stage = &run->events.stages[i];
    names[i] = stage->name;
    seconds[i] = (isnan(stage->ended) ? run->events.seconds : stage->ended) - stage->began;
  }
  char note[200] = "";
  if (s->run_count > 1) snprintf(note, sizeof note, "of %.150s", run->label);
  tn_html_figure(out, "Seconds by stage", note);
  const tn_bars_picture bars = {.title = "Seconds by stage",
                                .groups = count,
                                .bars = 1,
                                .values = seconds,
                                .group_labels = names,
                                .width = TN_PAGE_COLUMN};
  tn_picture_bars(&bars, out);
  tn_html_figure_end(out);
  free(seconds);
  free(names);
}

void tn_page_cost(tn_study *s, tn_text *out) {
  tn_text inside = {0};
  draw_stages(s, &inside);
  if (s->run_count > 1) {
    draw_figure(s, "seconds", "Seconds a run", 1, &inside);
    draw_figure(s, "memory", "Peak memory, MB", 1e6, &inside);
    draw_figure(s, "parameters", "Trained numbers", 1, &inside);
    draw_figure(s, "state_bytes", "Optimizer state, MB", 1e6, &inside);
  }
  if (inside.size) {
    tn_html_section(out, "cost", "Cost", NULL);
    tn_html_grid(out);
    tn_text_append_bytes(out, inside.data, inside.size);
    tn_html_grid_end(out);
    tn_html_section_end(out);
  }
  if (inside.failed) out->failed = true;
  tn_text_free(&inside);
}

/* ---- runs ---- */

/* `most` of all, or of those that have not finished. */
static void put_runs(const tn_study *s, bool all, uint32_t most, tn_text *out) {
  uint32_t left_out = 0;
  tn_html_table(out, (const char *[]){"run", "seed", "state", "seconds", "memory, MB"}, 5);
  for (uint32_t i = 0; i < s->run_count; i++) {
    const tn_study_run *run = &s->runs[i];
    char seconds[32], memory[32];
    if (run->finished && !all) continue;
    if (most-- == 0) {
      left_out++, most++;
      continue;
    }
    tn_picture_number(seconds, tn_outcome_value(&run->outcome, "seconds"));
    tn_picture_number(memory, ceil(tn_outcome_value(&run->outcome, "memory") / 1e6));
    tn_html_tag(out, "<tr><td>", run->directory, "</td>");
    if (run->seed >= 0)
      tn_text_printf(out, "<td>%lld</td>", (long long)run->seed);
    else
      tn_text_append(out, "<td>\xe2\x80\x93</td>");
    tn_html_tag(out, run->finished ? "<td class=\"l\">" : "<td class=\"l wrap bad\">", run->state, "</td>");
    tn_text_printf(out, "<td>%s</td><td>%s</td></tr>\n", seconds, memory);
  }
  tn_html_table_end(out);
  if (left_out) tn_text_printf(out, "<p class=\"quiet\">and %u more</p>\n", left_out);
}

/* A text file of the run, if it is there. */
static void put_file(const tn_study_run *run, const char *name, const char *summary, tn_text *out) {
  enum { MOST = 1 << 20 };
  char path[4300];
  snprintf(path, sizeof path, "%s/%s", run->directory, name);
  tn_bytes bytes;
  if (!tn_stream_read(path, MOST, &bytes, NULL)) return;
  if (strlen((const char *)bytes.data) > 0) {
    tn_html_details(out, summary);
    tn_html_tag(out, "<pre>", (const char *)bytes.data, "</pre>\n");
    tn_html_details_end(out);
  }
  tn_bytes_free(&bytes);
}

/* What the bits depend on, of lock.json. */
static void put_lock(const tn_study_run *run, tn_text *out) {
  char path[4300];
  snprintf(path, sizeof path, "%s/lock.json", run->directory);
  json_t *lock = json_load_file(path, 0, NULL), *facts = json_object_get(lock, "facts"), *value;
  const char *key;
  if (json_object_size(facts) > 0) {
    tn_html_details(out, "What the bits depend on");
    tn_html_table(out, NULL, 0);
    json_object_foreach(facts, key, value) {
      char number[32];
      snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
      tn_html_tag(out, "<tr><td>", key, "</td>");
      tn_html_tag(out, "<td class=\"l\">", json_is_string(value) ? json_string_value(value) : number,
                  "</td></tr>\n");
    }
    json_object_foreach(json_object_get(lock, "plugins"), key, value) {
      const char *version = json_string_value(json_object_get(value, "version"));
      tn_html_tag(out, "<tr><td>plugin ", key, "</td>");
      tn_html_tag(out, "<td class=\"l\">", version ? version : "", "</td></tr>\n");
    }
    tn_html_table_end(out);
    tn_html_details_end(out);
  }
  json_decref(lock);
}

void tn_page_runs(tn_study *s, tn_text *out) {
  tn_html_section(out, "runs", s->run_count > 1 ? "Runs" : "The run", NULL);
  if (s->run_count > RUNS_OPEN) {
    char summary[64];
    bool failed = false;
    for (uint32_t i = 0; i < s->run_count; i++) failed |= !s->runs[i].finished;
    if (failed) put_runs(s, false, RUNS_OPEN, out);
    snprintf(summary, sizeof summary, "All %u runs", s->run_count);
    tn_html_details(out, summary);
    put_runs(s, true, RUNS_MOST, out);
    tn_html_details_end(out);
  } else {
    put_runs(s, true, RUNS_OPEN, out);
  }
  const tn_study_run *run = NULL;
  for (uint32_t g = 0; g < s->group_count && !run; g++)
    run = s->groups[g].shown ? tn_page_run_of(s, g) : NULL;
  if (!run) run = &s->runs[0];
  char summary[300] = "Configuration";
  if (s->run_count > 1) snprintf(summary, sizeof summary, "Configuration of %.200s", run->label);
  put_file(run, "pipeline.ini", summary, out);
  put_lock(run, out);
  put_file(run, "log.txt", "Log", out);
  tn_html_section_end(out);
}

/* ---- notes ---- */

void tn_page_notes(tn_study *s, tn_text *out) {
  if (s->note_count == 0) return;
  tn_html_section(out, "notes", "Notes", "What could not be read is left out above.");
  tn_text_append(out, "<ul class=\"notes\">");
  for (uint32_t i = 0; i < s->note_count && i < NOTES_MOST; i++)
    tn_html_tag(out, "<li>", s->notes[i], "</li>\n");
  if (s->note_count > NOTES_MOST) tn_text_printf(out, "<li>and %u more</li>\n", s->note_count - NOTES_MOST);
  tn_text_append(out, "</ul>\n");
  tn_html_section_end(out);
}
