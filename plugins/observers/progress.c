// SPDX-License-Identifier: MIT
/* What a person sees of a run: on a terminal one live line a stage (bar, step, figures, rate, time left),
 * elsewhere plain lines, first every two seconds and then less and less often; a table of the results at the
 * end. NO_COLOR (no-color.org) turns colours off, TENON_QUIET=1 everything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <tenon/observer.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 20, FIGURES = 8, FIGURE = 48, LINE = 512 };
static const double live_pace = 0.1, first_pace = 2, last_pace = 60; /* seconds */

struct result {
  char stage[48], name[64];
  double value;
};

struct progress {
  bool quiet, terminal, colour, unicode;
  char stage[48];
  double began;                  /* of the stage */
  double shown, pace;            /* when the last line was, and how long to wait for the next */
  int64_t first_step;            /* seen in this process: rates after a resume */
  bool narrow;                   /* no room for a bar */
  bool drawn;                    /* a live line is on the screen */
  tn_progress at;                /* where the stage stands */
  char figures[FIGURES][FIGURE]; /* of the last step event: "loss 0.123" */
  uint32_t figure_count;
  struct result *results;
  uint32_t result_count, result_room;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool set(const char *name) {
  const char *value = getenv(name);
  return value && *value;
}

static tn_status progress_create(void *self) {
  struct progress *p = self;
  const char *quiet = getenv("TENON_QUIET"), *term = getenv("TERM");
  const char *locale = set("LC_ALL")     ? getenv("LC_ALL")
                       : set("LC_CTYPE") ? getenv("LC_CTYPE")
                                         : getenv("LANG");
  p->quiet = quiet && strcmp(quiet, "1") == 0;
  p->terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
  p->colour = p->terminal && !set("NO_COLOR");
  p->unicode = locale && (strstr(locale, "UTF-8") || strstr(locale, "utf8") || strstr(locale, "UTF8"));
  return TN_OK;
}

static int columns(void) {
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

/* 12.3k, 4.56M, 789 */
static void short_number(char *text, size_t bytes, double value) {
  if (value >= 1e6)
    snprintf(text, bytes, "%.3gM", value / 1e6);
  else if (value >= 1e4)
    snprintf(text, bytes, "%.3gk", value / 1e3);
  else
    snprintf(text, bytes, "%.*f", value < 10 ? 1 : 0, value);
}
static void duration(char *text, size_t bytes, double seconds) {
  const long long s = seconds > 0 ? (long long)(seconds + 0.5) : 0;
  if (seconds < 10)
    snprintf(text, bytes, "%.1f s", seconds);
  else if (s < 3600)
    snprintf(text, bytes, "%lld:%02lld", s / 60, s % 60);
  else
    snprintf(text, bytes, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

/* "step 450/1000  loss 0.123 ...  210 steps/s  ETA 0:12" in at most `room` columns: where not all of it fits,
 * figures are left out from the last one on, then the rate. */
static void describe(const struct progress *p, double time, bool finished, int room, char line[LINE]) {
  char head[64], rate[32] = "", end[32] = "", number[16], left[24];
  const double seconds = time - p->began;
  const double speed = seconds > 0 ? (double)(p->at.step - p->first_step) / seconds : 0;
  int used = snprintf(head, sizeof head, "step %lld", (long long)p->at.step);
  if (p->at.steps > 0) snprintf(head + used, sizeof head - (size_t)used, "/%lld", (long long)p->at.steps);
  short_number(number, sizeof number, speed);
  if (speed > 0) snprintf(rate, sizeof rate, "  %s steps/s", number);
  duration(left, sizeof left, finished ? seconds : (double)(p->at.steps - p->at.step) / speed);
  if (finished || (p->at.steps > 0 && speed > 0))
    snprintf(end, sizeof end, finished ? "  %s" : "  ETA %s", left);
  int rest = room - (int)(strlen(head) + strlen(end) + strlen(rate));
  if (rest < 0) *rate = 0;
  used = snprintf(line, LINE, "%s", head);
  for (uint32_t i = 0; i < p->figure_count; i++) {
    rest -= 2 + (int)strlen(p->figures[i]);
    if (rest < 0) break;
    used += snprintf(line + used, LINE - (size_t)used, "  %s", p->figures[i]);
  }
  snprintf(line + used, LINE - (size_t)used, "%s%s", rate, end);
}

static void draw_bar(const struct progress *p) {
  if (p->at.steps <= 0) return;
  const int full = (int)((double)BAR * (double)p->at.step / (double)p->at.steps);
  if (p->colour) fputs("\033[32m", stdout);
  for (int i = 0; i < full && i < BAR; i++) fputs(p->unicode ? "━" : "#", stdout);
  if (p->colour) fputs("\033[90m", stdout);
  for (int i = full; i < BAR; i++) fputs(p->unicode ? "━" : ".", stdout);
  if (p->colour) fputs("\033[0m", stdout);
  fputs("  ", stdout);
}

static void draw_live(struct progress *p, double time, bool finished) {
  char line[LINE];
  const int room = columns() - 1 - (int)strlen(p->stage) - 2;
  describe(p, time, finished, room, line);
  if ((int)strlen(line) + BAR + 2 > room) p->narrow = true; /* and stays so: a bar must not come and go */
  const bool bar = p->at.steps > 0 && !(p->unicode && !p->colour) && !p->narrow;
  printf("\r\033[K%s%s%s  ", p->colour ? "\033[1m" : "", p->stage, p->colour ? "\033[0m" : "");
  if (bar) draw_bar(p);
  printf("%.*s", room > 0 ? room : 0, line);
  if (finished) putchar('\n');
  fflush(stdout);
  p->drawn = !finished;
}

static void draw_plain(struct progress *p, double time, bool finished) {
  char line[LINE];
  describe(p, time, finished, LINE - 1, line);
  printf("%s  %s\n", p->stage, line);
  fflush(stdout);
}

static void show(struct progress *p, double time, bool finished) {
  if (p->terminal)
    draw_live(p, time, finished);
  else
    draw_plain(p, time, finished);
  p->shown = time;
}

static void progress_tick(void *self, const char *stage, const tn_progress *at) {
  struct progress *p = self;
  (void)stage;
  if (p->quiet) return;
  p->at = *at;
  const double time = now();
  if (p->first_step < 0) p->first_step = at->step > 0 ? at->step - 1 : 0;
  if (time - p->shown < p->pace) return;
  show(p, time, false);
  if (!p->terminal) p->pace = p->pace < last_pace ? p->pace * 1.5 : last_pace;
}

static void keep_figures(struct progress *p, const tn_event *event) {
  p->figure_count = event->scalar_count < FIGURES ? event->scalar_count : FIGURES;
  for (uint32_t i = 0; i < p->figure_count; i++)
    snprintf(p->figures[i], FIGURE, "%.30s %.4g", event->scalars[i].name, event->scalars[i].value);
}

static tn_status keep_result(struct progress *p, const tn_event *event) {
  for (uint32_t i = 0; i < event->scalar_count; i++) {
    struct result entry = {.value = event->scalars[i].value};
    snprintf(entry.stage, sizeof entry.stage, "%s", event->stage ? event->stage : "");
    snprintf(entry.name, sizeof entry.name, "%s", event->scalars[i].name);
    uint32_t at = 0;
    while (at < p->result_count &&
           (strcmp(p->results[at].stage, entry.stage) != 0 || strcmp(p->results[at].name, entry.name) != 0))
      at++;
    if (at == p->result_room) {
      const uint32_t room = p->result_room > 0 ? 2 * p->result_room : 16;
      struct result *more = tn_resize(p->results, room * sizeof *more);
      if (!more) return TN_ERROR_MEMORY;
      p->results = more;
      p->result_room = room;
    }
    p->results[at] = entry;
    if (at == p->result_count) p->result_count++;
  }
  return TN_OK;
}

/* Results aligned in three columns; a stage's name only in its first line. */
static void print_results(const struct progress *p) {
  int stage_width = 0, name_width = 0;
  for (uint32_t i = 0; i < p->result_count; i++) {
    const int stage = (int)strlen(p->results[i].stage), name = (int)strlen(p->results[i].name);
    if (stage > stage_width) stage_width = stage;
    if (name > name_width) name_width = name;
  }
  if (p->result_count > 0) putchar('\n');
  for (uint32_t i = 0; i < p->result_count; i++) {
    const struct result *r = &p->results[i];
    const bool again = i > 0 && strcmp(p->results[i - 1].stage, r->stage) == 0;
    printf("%s%-*s%s  %-*s  %.6g\n", p->colour ? "\033[1m" : "", stage_width, again ? "" : r->stage,
           p->colour ? "\033[0m" : "", name_width, r->name, r->value);
  }
  fflush(stdout);
}

static tn_status progress_event(void *self, const tn_event *event) {
  struct progress *p = self;
  if (p->quiet) return TN_OK;
  switch (event->type) {
  case TN_EVENT_STAGE_BEGIN:
    snprintf(p->stage, sizeof p->stage, "%s", event->stage ? event->stage : "");
    p->began = p->shown = now();
    p->pace = p->terminal ? live_pace : first_pace;
    p->first_step = -1;
    p->figure_count = 0;
    p->narrow = false;
    p->at = (tn_progress){.size = sizeof p->at};
    break;
  case TN_EVENT_STEP: keep_figures(p, event); break;
  case TN_EVENT_RESULT:
  case TN_EVENT_COST: return keep_result(p, event);
  case TN_EVENT_STAGE_END: show(p, now(), true); break;
  case TN_EVENT_RUN_END:
    if (p->drawn) putchar('\n');
    p->drawn = false;
    if (event->text && strcmp(event->text, "finished") == 0) print_results(p);
    break;
  default: break;
  }
  return TN_OK;
}

static void progress_destroy(void *self) {
  struct progress *p = self;
  if (p->drawn) putchar('\n');
  tn_free(p->results);
}

static const tn_class progress_class = {
    .size = sizeof(tn_class),
    .kind = TN_OBSERVER,
    .name = "progress",
    .summary = "A live line a stage on the terminal, and the table of results",
    .instance_size = sizeof(struct progress),
    .vtable =
        &(const tn_observer){.size = sizeof(tn_observer), .event = progress_event, .tick = progress_tick},
    .create = progress_create,
    .destroy = progress_destroy};
TN_PLUGIN("observer_progress", "1.0.0", "MIT", &progress_class)
