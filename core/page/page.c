// SPDX-License-Identifier: MIT
#include "core/page/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/page/html.h"

tn_study_run *tn_page_run_of(tn_study *s, uint32_t group) {
  for (int finished = 1; finished >= 0; finished--)
    for (uint32_t i = 0; i < s->run_count; i++)
      if (tn_study_in(&s->runs[i], group) && s->runs[i].finished == (bool)finished &&
          tn_study_open(s, &s->runs[i]))
        return &s->runs[i];
  return NULL;
}

/* ---- the head ---- */

static void put_duration(tn_text *out, double seconds) {
  const long long s = (long long)(seconds + 0.5);
  if (seconds < 10)
    tn_text_printf(out, "%.2g s", seconds);
  else if (s < 120)
    tn_text_printf(out, "%lld s", s);
  else if (s < 7200)
    tn_text_printf(out, "%lld min %lld s", s / 60, s % 60);
  else
    tn_text_printf(out, "%lld h %lld min", s / 3600, s / 60 % 60);
}

static void put_fact(tn_text *out, const char *name, const char *value) {
  tn_html_tag(out, "<span>", name, " ");
  tn_html_tag(out, "<b>", value, "</b></span>\n");
}

static uint32_t count_arms(const tn_study *s) {
  uint32_t arms = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    bool first = true;
    for (uint32_t k = 0; k < g; k++) first &= strcmp(s->groups[k].arm, s->groups[g].arm) != 0;
    arms += first;
  }
  return arms;
}

static uint32_t count_seeds(const tn_study *s) {
  uint32_t seeds = 0;
  for (uint32_t i = 0; i < s->run_count; i++) {
    bool first = true;
    for (uint32_t k = 0; k < i; k++) first &= s->runs[k].seed != s->runs[i].seed;
    seeds += first;
  }
  return seeds;
}

static void put_counts(const tn_study *s, tn_text *out) {
  char text[64];
  if (s->run_count == 1) {
    if (s->runs[0].seed < 0) return;
    snprintf(text, sizeof text, "%lld", (long long)s->runs[0].seed);
    put_fact(out, "seed", text);
    return;
  }
  const uint32_t arms = count_arms(s), seeds = count_seeds(s);
  tn_text_printf(out, "<span><b>%u</b> runs</span>\n", s->run_count);
  if (arms > 1)
    tn_text_printf(out, "<span><b>%u</b> %s</span>\n", arms,
                   !s->several ? "arms"
                   : s->sweep  ? "directories and arms"
                               : "directories");
  uint32_t settings = 0;
  for (uint32_t g = 0; g < s->group_count; g++) settings += !s->groups[g].whole;
  if (settings > arms) tn_text_printf(out, "<span><b>%u</b> settings</span>\n", settings);
  tn_text_printf(out, "<span><b>%u</b> %s</span>\n", seeds, seeds == 1 ? "seed" : "seeds");
}

static const char *cpu_name(const char *cpu) {
  return strcmp(cpu, "avx512") == 0 ? "AVX-512" : strcmp(cpu, "avx2") == 0 ? "AVX2" : cpu;
}

static void put_facts(tn_study *s, tn_text *out) {
  double seconds = 0, memory = 0;
  const tn_event_file *events = NULL;
  for (uint32_t i = 0; i < s->run_count; i++) {
    const double took = tn_outcome_value(&s->runs[i].outcome, "seconds");
    const double bytes = tn_outcome_value(&s->runs[i].outcome, "memory");
    if (took > 0) seconds += took;
    if (bytes > memory) memory = bytes;
    if (!events && s->runs[i].opened && s->runs[i].events.name) events = &s->runs[i].events;
  }
  tn_text_append(out, "<div class=\"facts\">");
  put_counts(s, out);
  if (seconds > 0) {
    tn_text_append(out, s->run_count > 1 ? "<span>computed for <b>" : "<span>took <b>");
    put_duration(out, seconds);
    tn_text_append(out, "</b></span>\n");
  }
  if (memory > 0) tn_text_printf(out, "<span>peak memory <b>%.0f MB</b></span>\n", ceil(memory / 1e6));
  if (events && events->time > 0) {
    char when[64];
    const time_t time = (time_t)events->time;
    struct tm utc;
    if (gmtime_r(&time, &utc) && strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc))
      put_fact(out, "on", when);
  }
  if (events && events->host) put_fact(out, "tenon", events->host);
  if (events && events->cpu) put_fact(out, "instructions", cpu_name(events->cpu));
  tn_text_append(out, "</div>\n");
}

/* Of a run that has not finished. */
static const char *badge_of(const tn_study_run *run) {
  if (strncmp(run->state, "interrupted", strlen("interrupted")) == 0) return "interrupted";
  return run->read || (run->opened && run->events.outcome) ? "failed" : "not finished";
}

static void put_badges(const tn_study *s, tn_text *out) {
  uint32_t finished = 0, holding = 0, smoke = 0;
  for (uint32_t i = 0; i < s->run_count; i++)
    finished += s->runs[i].finished, smoke += s->runs[i].outcome.smoke;
  for (uint32_t i = 0; i < s->claim_count; i++) holding += s->claims[i].holds;
  tn_text_append(out, "<div class=\"badges\">");
  const char *class = finished == s->run_count ? "good" : "bad";
  if (s->run_count == 1 && finished == 1)
    tn_text_append(out, "<span class=\"badge good\">finished</span>");
  else if (s->run_count == 1)
    tn_text_printf(out, "<span class=\"badge bad\">%s</span>", badge_of(&s->runs[0]));
  else
    tn_text_printf(out, "<span class=\"badge %s\">%u of %u runs finished</span>", class, finished,
                   s->run_count);
  if (s->claim_count)
    tn_text_printf(out, "<span class=\"badge %s\">%u of %u claims hold</span>",
                   holding == s->claim_count ? "good" : "bad", holding, s->claim_count);
  if (smoke) tn_text_append(out, "<span class=\"badge bad\">shortened (--smoke): no results</span>");
  tn_text_append(out, "</div>\n");
  if (s->run_count == 1 && !finished) tn_html_tag(out, "<p class=\"state bad\">", s->runs[0].state, "</p>\n");
}

/* ---- stages ---- */

/* Stages in the order in which the runs that are shown had them; the caller frees the list. */
static const char **stages_of(tn_study *s, uint32_t *count) {
  const char **stages = NULL;
  uint32_t room = 0;
  *count = 0;
  for (uint32_t g = 0; g < s->group_count; g++) {
    const tn_study_run *run = s->groups[g].shown ? tn_page_run_of(s, g) : NULL;
    for (uint32_t i = 0; run && i < run->events.stage_count; i++) {
      bool known = false;
      for (uint32_t k = 0; k < *count; k++) known |= strcmp(stages[k], run->events.stages[i].name) == 0;
      if (known) continue;
      *(const char **)tn_grow(&stages, *count, &room, sizeof *stages) = run->events.stages[i].name;
      ++*count;
    }
  }
  return stages;
}

/* ---- the whole ---- */

typedef struct body {
  tn_text sections, links;
} body;

/* Appends what a part has to say, with a link to it. */
static void add(body *b, tn_text *section, const char *id, const char *title) {
  if (section->failed) b->sections.failed = true;
  if (section->size) {
    tn_text_append_bytes(&b->sections, section->data, section->size);
    tn_text_printf(&b->links, "<a href=\"#%s\">", id);
    tn_html_tag(&b->links, "", title, "</a>\n");
  }
  tn_text_free(section);
}

static void add_part(body *b, tn_study *s, void (*part)(tn_study *, tn_text *), const char *id,
                     const char *title) {
  tn_text section = {0};
  part(s, &section);
  add(b, &section, id, title);
}

static void add_stage(body *b, tn_study *s, const char *stage, uint32_t number) {
  tn_text section = {0}, inside = {0};
  char id[32];
  snprintf(id, sizeof id, "stage-%u", number);
  tn_page_curves(s, stage, &inside);
  tn_page_pictures(s, stage, &inside);
  if (inside.failed) b->sections.failed = true;
  if (inside.size) {
    tn_html_section(&section, id, *stage ? stage : "The run", NULL);
    tn_text_append_bytes(&section, inside.data, inside.size);
    tn_html_section_end(&section);
  }
  tn_text_free(&inside);
  add(b, &section, id, *stage ? stage : "The run");
}

char *tn_page_make(tn_study *s) {
  tn_text out = {0};
  body b = {0};
  uint32_t count;
  const char **stages = stages_of(s, &count);
  add_part(&b, s, tn_page_claims, "claims", "Claims");
  add_part(&b, s, tn_page_results, "results", "Results");
  add_part(&b, s, tn_page_settings, "settings", "Settings");
  for (uint32_t i = 0; i < count; i++) add_stage(&b, s, stages[i], i + 1);
  add_stage(&b, s, "", 0);
  add_part(&b, s, tn_page_pipeline, "pipeline", "Pipeline");
  add_part(&b, s, tn_page_cost, "cost", "Cost");
  add_part(&b, s, tn_page_runs, "runs", "Runs");
  add_part(&b, s, tn_page_notes, "notes", "Notes");
  free(stages);
  tn_html_begin(&out, s->name);
  tn_html_tag(&out, "<header><div class=\"top\"><h1>", s->name,
              "</h1><button class=\"theme\" hidden title=\"light or dark\" aria-label=\"light or dark\">"
              "\xe2\x97\x90</button></div>\n");
  put_facts(s, &out);
  put_badges(s, &out);
  tn_text_append(&out, "</header>\n<nav>");
  if (b.links.data) tn_text_append(&out, b.links.data);
  tn_text_append(&out, "</nav>\n<main>\n");
  if (b.sections.data) tn_text_append(&out, b.sections.data);
  tn_text_append(&out, "</main>\n<footer>Made by tenon report.</footer>\n");
  tn_html_end(&out);
  if (b.sections.failed || b.links.failed) out.failed = true;
  tn_text_free(&b.sections);
  tn_text_free(&b.links);
  return tn_text_take(&out);
}

tn_status tn_page_write(const char *const *directories, uint32_t count, const char *path, const char *figures,
                        uint32_t *figure_count, tn_error *error) {
  tn_study study;
  tn_format_error why;
  tn_status status = tn_study_read(directories, count, &study, error);
  char *page = status < 0 ? NULL : tn_page_make(&study);
  if (status >= 0 && !page) status = tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  if (page && !tn_file_write(path, page, strlen(page), &why))
    status = tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", why.text);
  if (status >= 0 && figures) status = tn_page_write_figures(page, figures, figure_count, error);
  free(page);
  tn_study_free(&study);
  return status;
}
