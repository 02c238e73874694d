// SPDX-License-Identifier: MIT
#include "core/sweep/overview.h"
#include "core/report/event_log.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TAIL = 16384, MOST_LINES = 8, WIDEST = 256 };

/* ---- one cell ---- */

static bool read_step(const char *line, tn_cell_progress *progress) {
  json_t *event = json_loads(line, 0, NULL);
  const char *type = json_string_value(json_object_get(event, "type")), *name;
  const bool step = type && strcmp(type, "step") == 0;
  if (step) {
    const char *stage = json_string_value(json_object_get(event, "stage"));
    snprintf(progress->stage, sizeof progress->stage, "%s", stage ? stage : "");
    progress->step = json_integer_value(json_object_get(event, "step"));
    progress->steps = json_integer_value(json_object_get(event, "steps"));
    json_t *value;
    json_object_foreach(json_object_get(event, "scalars"), name, value) {
      snprintf(progress->figure, sizeof progress->figure, "%.24s %.4g", name, json_number_value(value));
      break;
    }
  }
  json_decref(event);
  return step;
}

/* The last step in a file of events. False: there is none. */
static bool read_tail(const char *directory, const char *name, tn_cell_progress *progress) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "r");
  if (!file) return false;
  static char tail[TAIL + 1];
  if (fseek(file, -TAIL, SEEK_END) != 0) rewind(file);
  tail[fread(tail, 1, TAIL, file)] = 0;
  fclose(file);
  char *end = strrchr(tail, '\n'); /* what follows is being written */
  while (end) {
    *end = 0;
    end = strrchr(tail, '\n');
    if (end && read_step(end + 1, progress)) return true;
  }
  return false;
}

/* Only observer.jsonl knows how many steps there will be; events.jsonl is always there. */
void tn_cell_progress_read(const char *directory, tn_cell_progress *progress) {
  if (!read_tail(directory, "metrics.jsonl", progress)) read_tail(directory, TN_EVENT_LOG_NAME, progress);
}

/* ---- the whole ---- */

tn_overview tn_overview_start(bool quiet) {
  const char *term = getenv("TERM");
  return (tn_overview){.quiet = quiet,
                       .live = !quiet && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0};
}

double tn_overview_eta(uint32_t done, uint32_t total, double seconds, uint32_t ended,
                       const tn_overview_cell *running, uint32_t running_count) {
  double parts = 0;
  for (uint32_t i = 0; i < running_count; i++)
    if (running[i].progress.steps > 0)
      parts += fmin(1, (double)running[i].progress.step / (double)running[i].progress.steps);
  if (ended + parts <= 0) return NAN;
  return seconds / (ended + parts) * (total - done - parts);
}

void tn_overview_erase(tn_overview *o) {
  if (o->drawn == 0) return;
  for (uint32_t i = 1; i < o->drawn; i++) fputs("\033[A", stdout);
  fputs("\r\033[J", stdout);
  fflush(stdout);
  o->drawn = 0;
}

void tn_overview_ended(tn_overview *o, uint32_t done, uint32_t total, const char *name, double seconds,
                       const char *why) {
  tn_overview_erase(o);
  if (o->quiet && !why) return;
  printf("%u/%u  %s  ", done, total, name);
  if (why)
    printf("failed: %s\n", why);
  else
    printf("%.1f s\n", seconds);
  fflush(stdout);
}

static void put(const char *line, bool first) {
  struct winsize size;
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20;
  printf("%s%.*s", first ? "" : "\n", known ? size.ws_col - 1 : 79, line);
}

void tn_overview_draw(tn_overview *o, uint32_t done, uint32_t total, uint32_t failed, double seconds,
                      uint32_t ended, const tn_overview_cell *running, uint32_t running_count) {
  if (!o->live) return;
  tn_overview_erase(o);
  char line[WIDEST];
  int used = snprintf(line, sizeof line, "%u of %u cells, %u running", done, total, running_count);
  if (failed) used += snprintf(line + used, sizeof line - (size_t)used, ", %u failed", failed);
  const double eta = tn_overview_eta(done, total, seconds, ended, running, running_count);
  if (eta >= 0)
    snprintf(line + used, sizeof line - (size_t)used, ", ETA %lld:%02lld", (long long)eta / 60,
             (long long)eta % 60);
  put(line, true);
  o->drawn = 1;
  for (uint32_t i = 0; i < running_count && i < MOST_LINES; i++, o->drawn++) {
    const tn_overview_cell *cell = &running[i];
    const tn_cell_progress *at = &cell->progress;
    used = snprintf(line, sizeof line, "  %.80s  %.0f s", cell->name, cell->seconds);
    if (at->steps > 0)
      snprintf(line + used, sizeof line - (size_t)used, "  %s %lld/%lld  %s", at->stage, (long long)at->step,
               (long long)at->steps, at->figure);
    else if (*at->stage)
      snprintf(line + used, sizeof line - (size_t)used, "  %s %lld  %s", at->stage, (long long)at->step,
               at->figure);
    put(line, false);
  }
  fflush(stdout);
}
