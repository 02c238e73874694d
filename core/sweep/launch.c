// SPDX-License-Identifier: MIT
#include "core/sweep/launch.h"
#include "core/config/memory.h"
#include "core/format/file.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/places.h"
#include "core/report/event_log.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAITING, KEPT, RUNNING, ENDED };

typedef struct task {
  int state;
  pid_t process;
  double began, seconds;
  bool failed;
  char why[512];
} task;

typedef struct launch {
  const tn_plan *plan;
  const tn_launch_options *options;
  tn_outcome_record *outcomes;
  task *tasks; /* one a cell */
  uint32_t ended, kept, failed;
  double began;
  bool live; /* a terminal shows one line that changes */
} launch;

static volatile sig_atomic_t interrupted;
void tn_launch_interrupt(void) { interrupted = 1; }

static void cell_path(const launch *l, uint32_t i, char *path, size_t bytes) {
  snprintf(path, bytes, "%s/%s", l->options->directory, l->plan->cells[i].directory);
}

/* ---- what a cell's directory holds already ---- */

/* The configuration that the cell would run now, as pipeline.ini would hold it. NULL: the cell itself will
 * say what is wrong. */
static char *resolved(const launch *l, uint32_t i, const char *directory) {
  const tn_cell *cell = &l->plan->cells[i];
  tn_places places;
  tn_places_find(&places);
  tn_config_variable variables[3];
  tn_places_variables(&places, directory, variables);
  tn_error error = {0};
  tn_config *config = tn_config_load(l->options->file, (const char *const *)cell->overrides,
                                     cell->override_count, variables, 3, &error);
  char *text = config ? tn_config_print(config) : NULL;
  tn_config_free(config);
  return text;
}

static bool is_finished(const launch *l, uint32_t i) {
  char directory[4096], path[4120];
  cell_path(l, i, directory, sizeof directory);
  tn_error error = {0};
  tn_outcome_record *outcome = &l->outcomes[i];
  if (!tn_outcome_read(directory, outcome, &error)) return false;
  snprintf(path, sizeof path, "%s/pipeline.ini", directory);
  tn_bytes bytes = {0};
  char *now = resolved(l, i, directory);
  const bool same = now && tn_stream_read(path, 0, &bytes, NULL) && strlen(now) == bytes.size &&
                    memcmp(now, bytes.data, bytes.size) == 0;
  tn_bytes_free(&bytes);
  free(now);
  if (same && strcmp(outcome->outcome, "finished") == 0) return true;
  tn_outcome_free(outcome);
  return false;
}

/* ---- processes ---- */

static const char *own_program(void) {
  static char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  return path;
}

/* In the child. */
static void become(const launch *l, uint32_t i, const char *directory, int64_t jobs) {
  const tn_cell *cell = &l->plan->cells[i];
  const tn_launch_options *o = l->options;
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* no cell outlives a sweep that was killed */
  const char **words = tn_take((16 + cell->override_count + 2 * (size_t)o->plugin_count) * sizeof *words);
  uint32_t n = 0;
  words[n++] = "tenon";
  words[n++] = "run";
  words[n++] = o->file;
  words[n++] = "--single";
  words[n++] = "--quiet";
  if (o->smoke) words[n++] = "--smoke";
  words[n++] = "--directory";
  words[n++] = directory;
  for (uint32_t p = 0; p < o->plugin_count; p++) words[n++] = "--plugin", words[n++] = o->plugins[p];
  for (uint32_t k = 0; k < cell->override_count; k++) words[n++] = cell->overrides[k];
  words[n] = NULL;
  if (!getenv("OMP_NUM_THREADS")) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    char threads[32];
    snprintf(threads, sizeof threads, "%ld", processors > jobs ? processors / (long)jobs : 1);
    setenv("OMP_NUM_THREADS", threads, 1);
  }
  char path[4120];
  snprintf(path, sizeof path, "%s/output.txt", directory);
  const int output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (output >= 0) dup2(output, STDOUT_FILENO), dup2(output, STDERR_FILENO);
  execv(own_program(), (char *const *)(uintptr_t)words);
  dprintf(STDERR_FILENO, "error: %s: %s\n", own_program(), strerror(errno));
  _exit(127);
}

static tn_status start(launch *l, uint32_t i, int64_t jobs, tn_error *error) {
  char directory[4096];
  cell_path(l, i, directory, sizeof directory);
  tn_status status = tn_directory_path(directory, error);
  if (status < 0) return status;
  char path[4120];
  snprintf(path, sizeof path, "%s/results.json", directory);
  if (unlink(path) != 0 && errno != ENOENT) /* what is there is of another configuration */
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  fflush(stdout);
  const pid_t process = fork();
  if (process < 0) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "fork: %s", strerror(errno));
  if (process == 0) become(l, i, directory, jobs);
  l->tasks[i] = (task){.state = RUNNING, .process = process, .began = tn_seconds()};
  return TN_OK;
}

/* The last "error: ..." line of a cell's output. */
static void read_error(const launch *l, uint32_t i, int status, char *why, size_t bytes) {
  char directory[4096], path[4120], line[1200];
  cell_path(l, i, directory, sizeof directory);
  snprintf(path, sizeof path, "%s/output.txt", directory);
  if (WIFSIGNALED(status))
    snprintf(why, bytes, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else
    snprintf(why, bytes, "exit code %d", WEXITSTATUS(status));
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, "error: ", 7) != 0) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(why, bytes, "%.500s", line + 7);
  }
  if (file) fclose(file);
}

static void end(launch *l, uint32_t i, int status) {
  task *t = &l->tasks[i];
  char directory[4096];
  cell_path(l, i, directory, sizeof directory);
  t->state = ENDED;
  t->seconds = tn_seconds() - t->began;
  l->ended++;
  tn_error unread = {0};
  tn_outcome_read(directory, &l->outcomes[i], &unread);
  t->failed = status != 0;
  l->failed += t->failed;
  if (t->failed) read_error(l, i, status, t->why, sizeof t->why);
}

/* ---- what is said ---- */

static const char *name_of(const launch *l, uint32_t i) { return l->plan->cells[i].directory + 6; }

static void say_ended(const launch *l, uint32_t i) {
  const task *t = &l->tasks[i];
  if (l->options->quiet && !t->failed) return;
  if (l->live) printf("\r\033[K");
  printf("%u/%u  %s  ", l->kept + l->ended, l->plan->cell_count, name_of(l, i));
  if (t->failed)
    printf("failed: %s\n", t->why);
  else
    printf("%.1f s\n", t->seconds);
  fflush(stdout);
}

static void say_live(const launch *l) {
  if (!l->live) return;
  const double spent = tn_seconds() - l->began;
  const uint32_t left = l->plan->cell_count - l->kept - l->ended;
  char line[200];
  int used = snprintf(line, sizeof line, "%u of %u cells", l->kept + l->ended, l->plan->cell_count);
  if (l->failed) used += snprintf(line + used, sizeof line - (size_t)used, ", %u failed", l->failed);
  if (l->ended) {
    const double eta = spent / l->ended * left;
    used += snprintf(line + used, sizeof line - (size_t)used, ", ETA %d:%02d", (int)eta / 60, (int)eta % 60);
  }
  for (uint32_t i = 0; i < l->plan->cell_count && used < 90; i++)
    if (l->tasks[i].state == RUNNING)
      used += snprintf(line + used, sizeof line - (size_t)used, "  %.40s %.0f s", name_of(l, i),
                       tn_seconds() - l->tasks[i].began);
  printf("\r\033[K%.*s", 110, line);
  fflush(stdout);
}

/* ---- sweep.json ---- */

static const char *outcome_of(const launch *l, uint32_t i) {
  if (l->outcomes[i].outcome) return l->outcomes[i].outcome;
  return l->tasks[i].state == ENDED ? l->tasks[i].why : "pending";
}

static tn_status write_overview(const launch *l, tn_error *error) {
  const tn_plan *plan = l->plan;
  tn_text text = {0};
  tn_text_append(&text, "{\n  \"file\": ");
  tn_json_string(&text, l->options->file);
  tn_text_append(&text, ",\n  \"arms\": [");
  for (uint32_t i = 0; i < plan->arm_count; i++) {
    if (i) tn_text_append(&text, ", ");
    tn_json_string(&text, plan->arms[i].name);
  }
  tn_text_append(&text, "],\n  \"cells\": [");
  for (uint32_t i = 0; i < plan->cell_count; i++) {
    const tn_cell *cell = &plan->cells[i];
    tn_text_append(&text, i ? ",\n    {\"directory\": " : "\n    {\"directory\": ");
    tn_json_string(&text, cell->directory);
    tn_text_append(&text, ", \"arm\": ");
    tn_json_string(&text, plan->arms[cell->arm].name);
    tn_text_printf(&text, ", \"seed\": %lld, \"setting\": %u, \"label\": ", (long long)cell->seed,
                   cell->setting);
    tn_json_string(&text, cell->label);
    tn_text_append(&text, ", \"overrides\": [");
    for (uint32_t k = 0; k < cell->override_count; k++) {
      if (k) tn_text_append(&text, ", ");
      tn_json_string(&text, cell->overrides[k]);
    }
    tn_text_append(&text, "], \"outcome\": ");
    tn_json_string(&text, outcome_of(l, i));
    const double seconds = tn_outcome_value(&l->outcomes[i], "seconds");
    if (isfinite(seconds)) tn_text_printf(&text, ", \"seconds\": %.3f", seconds);
    tn_text_append(&text, "}");
  }
  tn_text_append(&text, "\n  ]\n}\n");
  char path[4120];
  snprintf(path, sizeof path, "%s/sweep.json", l->options->directory);
  const size_t size = text.size;
  char *json = tn_text_take(&text);
  tn_format_error why;
  const bool written = json && tn_file_write(path, json, size, &why);
  free(json);
  return written ? TN_OK : tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", json ? why.text : "out of memory");
}

/* ---- the whole ---- */

static void stop_all(launch *l) {
  for (uint32_t i = 0; i < l->plan->cell_count; i++)
    if (l->tasks[i].state == RUNNING) kill(l->tasks[i].process, SIGTERM);
}

/* Waits for one of the running cells; a fifth of a second at most. */
static void collect(launch *l, uint32_t *running) {
  for (uint32_t i = 0; i < l->plan->cell_count; i++) {
    int status;
    if (l->tasks[i].state != RUNNING || waitpid(l->tasks[i].process, &status, WNOHANG) <= 0) continue;
    (*running)--;
    end(l, i, status);
    say_ended(l, i);
  }
}

static tn_status run_all(launch *l, tn_error *error) {
  int64_t jobs = l->options->jobs ? l->options->jobs : l->plan->jobs ? l->plan->jobs : 1;
  uint32_t running = 0, next = 0;
  double shown = 0;
  bool stopping = false;
  tn_status status = TN_OK;
  while (running > 0 || (next < l->plan->cell_count && !stopping)) {
    while (next < l->plan->cell_count && running < jobs && !stopping) {
      if (l->tasks[next].state == WAITING) {
        status = start(l, next, jobs, error);
        if (status < 0) stopping = true, stop_all(l);
        running += status >= 0;
      }
      next++;
    }
    collect(l, &running);
    if (interrupted && !stopping) stopping = true, stop_all(l);
    const double now = tn_seconds();
    if (now - shown > 0.2) say_live(l), shown = now;
    const struct timespec pause = {0, 2000000};
    if (running > 0) nanosleep(&pause, NULL);
  }
  if (l->live) printf("\r\033[K");
  if (interrupted) {
    interrupted = 0;
    status = tn_error_set(error, TN_ERROR_INTERRUPTED, NULL, 0,
                          "interrupted; `tenon run %s --directory %s` goes on", l->options->file,
                          l->options->directory);
  }
  return status;
}

tn_status tn_launch(const tn_plan *plan, const tn_launch_options *options, tn_outcome_record *outcomes,
                    tn_error *error) {
  launch l = {.plan = plan, .options = options, .outcomes = outcomes, .began = tn_seconds()};
  l.tasks = tn_take((plan->cell_count + 1) * sizeof *l.tasks);
  l.live = !options->quiet && isatty(STDOUT_FILENO);
  tn_status status = tn_directory_path(options->directory, error);
  for (uint32_t i = 0; i < plan->cell_count && status >= 0; i++)
    if (is_finished(&l, i)) l.tasks[i].state = KEPT, l.kept++;
  if (l.kept && !options->quiet) printf("%u of %u cells are finished\n", l.kept, plan->cell_count);
  if (status >= 0) status = write_overview(&l, error);
  if (status >= 0) status = run_all(&l, error);
  tn_error later = {0};
  const tn_status written = write_overview(&l, &later);
  if (status >= 0 && written < 0) *error = later, status = written;
  free(l.tasks);
  return status;
}
