// SPDX-License-Identifier: MIT
#include "core/sweep/launch.h"
#include "core/config/memory.h"
#include "core/format/stream.h"
#include "core/pipeline/checkpoint.h"
#include "core/pipeline/directory.h"
#include "core/pipeline/lock.h"
#include "core/pipeline/places.h"
#include "core/sweep/launcher.h"
#include "core/sweep/overview.h"
#include "core/sweep/sweep_file.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { WAITING, TWIN, KEPT, RUNNING, ENDED };
enum { REFUSED = 2 }; /* the exit code of `tenon resume` where nothing was run */
static const double draw_pace = 0.2, file_pace = 2; /* seconds */

typedef struct task {
  int state;
  uint32_t twin;  /* TWIN: the cell that runs for this one too */
  bool has_begun; /* the directory holds a checkpoint of this very run */
  int64_t handle;
  double began;
  tn_cell_progress progress;
} task;

typedef struct launch {
  const tn_plan *plan;
  const tn_launch_options *options;
  const tn_launcher *launcher;
  tn_outcome_record *outcomes;
  task *tasks;       /* one a cell */
  uint32_t *running; /* cells */
  uint32_t running_count, jobs, twins, kept, ended, failed;
  double began;
  tn_overview overview;
} launch;

static volatile sig_atomic_t interrupted;
void tn_launch_interrupt(void) { interrupted = 1; }

static void cell_path(const launch *l, uint32_t i, char *path, size_t bytes) {
  snprintf(path, bytes, "%s/%s", l->options->directory, l->plan->cells[i].directory);
}

static const char *name_of(const launch *l, uint32_t i) {
  return l->plan->cells[i].directory + strlen(TN_CELLS_FOLDER);
}

/* ---- what does not have to run ---- */

/* The configuration of the cell, as its pipeline.ini would hold it. NULL: the cell itself will say what is
 * wrong. */
static char *resolved(const launch *l, uint32_t i) {
  const tn_cell *cell = &l->plan->cells[i];
  char directory[4096];
  cell_path(l, i, directory, sizeof directory);
  tn_places places;
  tn_places_find(&places);
  tn_config_variable variables[3];
  tn_places_variables(&places, directory, variables);
  tn_error error = {0};
  tn_config *config = tn_config_load(l->options->file, (const char *const *)cell->overrides,
                                     cell->override_count, variables, 3, &error);
  char *text = config ? tn_config_print_single(config) : NULL;
  tn_config_free(config);
  return text;
}

typedef struct digest {
  uint64_t hash; /* FNV-1a of the configuration */
  uint32_t cell;
} digest;

static int by_hash(const void *a, const void *b) {
  const digest *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->cell > y->cell) - (x->cell < y->cell);
}

static bool same_configuration(const launch *l, uint32_t a, uint32_t b) {
  char *x = resolved(l, a), *y = resolved(l, b);
  const bool same = x && y && strcmp(x, y) == 0;
  free(x);
  free(y);
  return same;
}

/* Of cells with the same configuration, in several arms say, the first runs. */
static void find_twins(launch *l) {
  const uint32_t count = l->plan->cell_count;
  digest *digests = tn_take((count + 1) * sizeof *digests);
  for (uint32_t i = 0; i < count; i++) {
    char *text = resolved(l, i);
    digests[i] = (digest){.hash = 0xcbf29ce484222325u, .cell = i};
    for (const char *c = text; c && *c; c++)
      digests[i].hash = (digests[i].hash ^ (unsigned char)*c) * 0x100000001b3u;
    free(text);
  }
  qsort(digests, count, sizeof *digests, by_hash);
  for (uint32_t i = 1, first = 0; i < count; i++) {
    if (digests[i].hash != digests[first].hash ||
        !same_configuration(l, digests[first].cell, digests[i].cell)) {
      first = i;
      continue;
    }
    l->tasks[digests[i].cell] = (task){.state = TWIN, .twin = digests[first].cell};
    l->twins++;
  }
  free(digests);
}

/* True if the directory is of a run with the configuration that the cell has now. */
static bool is_same(const launch *l, uint32_t i, const char *directory) {
  char path[4120];
  snprintf(path, sizeof path, "%s/pipeline.ini", directory);
  tn_bytes bytes = {0};
  char *now = resolved(l, i);
  const bool same = now && tn_stream_read(path, 0, &bytes, NULL) && strlen(now) == bytes.size &&
                    memcmp(now, bytes.data, bytes.size) == 0;
  tn_bytes_free(&bytes);
  free(now);
  return same;
}

static bool is_finished(const launch *l, uint32_t i, const char *directory) {
  tn_error unread = {0};
  tn_outcome_record *outcome = &l->outcomes[i];
  if (tn_outcome_read(directory, outcome, &unread) && tn_outcome_finished(outcome) &&
      outcome->smoke == l->options->smoke)
    return true;
  tn_outcome_free(outcome);
  return false;
}

static bool has_begun(const launch *l, const char *directory) {
  int64_t step;
  tn_lock_start start;
  tn_error unread = {0};
  if (!tn_checkpoint_newest(directory, &step) || tn_lock_read_start(directory, &start, &unread) < 0)
    return false;
  const bool same = start.smoke == l->options->smoke && start.single;
  tn_lock_free_start(&start);
  return same;
}

static void find_finished(launch *l) {
  for (uint32_t i = 0; i < l->plan->cell_count; i++) {
    char directory[4096];
    cell_path(l, i, directory, sizeof directory);
    if (l->tasks[i].state != WAITING || !is_same(l, i, directory)) continue;
    if (is_finished(l, i, directory))
      l->tasks[i].state = KEPT, l->kept++;
    else
      l->tasks[i].has_begun = has_begun(l, directory);
  }
  if (l->options->quiet) return;
  if (l->twins) printf("%u cells have the configuration of another\n", l->twins);
  if (l->kept) printf("%u of %u cells are finished\n", l->kept, l->plan->cell_count - l->twins);
}

/* ---- one cell ---- */

/* The arguments of a run from its beginning. Returns their number. */
static uint32_t run_words(const launch *l, uint32_t i, const char *directory, const char **words) {
  const tn_cell *cell = &l->plan->cells[i];
  const tn_launch_options *o = l->options;
  uint32_t n = 0;
  words[n++] = "run";
  words[n++] = o->file;
  words[n++] = "--single";
  if (o->smoke) words[n++] = "--smoke";
  words[n++] = "--directory";
  words[n++] = directory;
  for (uint32_t p = 0; p < o->plugin_count; p++) words[n++] = "--plugin", words[n++] = o->plugins[p];
  for (uint32_t k = 0; k < cell->override_count; k++) words[n++] = cell->overrides[k];
  return n;
}

static tn_status start(launch *l, uint32_t i, tn_error *error) {
  char directory[4096], path[4120];
  cell_path(l, i, directory, sizeof directory);
  tn_status status = tn_directory_path(directory, error);
  if (status < 0) return status;
  snprintf(path, sizeof path, "%s/results.json", directory);
  if (unlink(path) != 0 && errno != ENOENT) /* what is there is not of the whole run */
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  const uint32_t most = 16 + l->plan->cells[i].override_count + 2 * l->options->plugin_count;
  const char **words = tn_take(most * sizeof *words);
  uint32_t n = 0;
  words[n++] = "tenon";
  if (l->tasks[i].has_begun)
    words[n++] = "resume", words[n++] = directory;
  else
    n += run_words(l, i, directory, words + n);
  words[n++] = "--quiet";
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  const tn_cell_job job = {.directory = directory,
                           .words = words,
                           .threads = processors > (long)l->jobs ? (uint32_t)processors / l->jobs : 1};
  l->tasks[i] = (task){.state = RUNNING, .has_begun = l->tasks[i].has_begun, .began = tn_seconds()};
  status = l->launcher->start(&job, &l->tasks[i].handle, error);
  if (status >= 0) l->running[l->running_count++] = i;
  free(words);
  return status;
}

/* The last "error: ..." line of a cell's output. */
static void read_error(const char *directory, int code, char *why, size_t bytes) {
  char path[4120], line[1200];
  if (code < 0)
    snprintf(why, bytes, "ended by signal %d (%s)", -code, strsignal(-code));
  else
    snprintf(why, bytes, "exit code %d", code);
  snprintf(path, sizeof path, "%s/output.txt", directory);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, "error: ", 7) != 0) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(why, bytes, "%.500s", line + 7);
  }
  if (file) fclose(file);
}

static void end(launch *l, uint32_t i, int code, bool stopping) {
  task *t = &l->tasks[i];
  char directory[4096], why[512];
  cell_path(l, i, directory, sizeof directory);
  t->state = ENDED;
  l->ended++;
  tn_error unread = {0};
  tn_outcome_read(directory, &l->outcomes[i], &unread);
  const bool failed = code != 0 || !tn_outcome_finished(&l->outcomes[i]);
  if (failed) {
    read_error(directory, code, why, sizeof why);
    free(l->outcomes[i].outcome);
    l->outcomes[i].outcome = tn_copy_text(stopping ? "interrupted" : why);
  }
  if (stopping && failed) { /* it was asked to */
    l->ended--;
    return;
  }
  l->failed += failed;
  tn_overview_ended(&l->overview, l->kept + l->ended, l->plan->cell_count - l->twins, name_of(l, i),
                    tn_seconds() - t->began, failed ? why : NULL);
}

/* ---- all of them ---- */

static tn_status write_file(const launch *l, tn_error *error) {
  tn_cell_state *states = tn_take((l->plan->cell_count + 1) * sizeof *states);
  for (uint32_t i = 0; i < l->plan->cell_count; i++) {
    const uint32_t from = l->tasks[i].state == TWIN ? l->tasks[i].twin : i;
    const tn_outcome_record *outcome = &l->outcomes[from];
    states[i] = (tn_cell_state){.directory = l->plan->cells[from].directory,
                                .outcome = outcome->outcome                  ? outcome->outcome
                                           : l->tasks[from].state == RUNNING ? "running"
                                                                             : "pending",
                                .seconds = tn_outcome_value(outcome, "seconds")};
  }
  const tn_status status = tn_sweep_file_write(l->plan, l->options, states, error);
  free(states);
  return status;
}

/* Runs that have ended. One that cannot go on, with other plugins than it began with, begins anew. */
static tn_status collect(launch *l, bool stopping, tn_error *error) {
  tn_status status = TN_OK;
  for (uint32_t k = 0; k < l->running_count;) {
    const uint32_t i = l->running[k];
    int code;
    if (!l->launcher->poll(l->tasks[i].handle, &code)) {
      k++;
      continue;
    }
    l->running[k] = l->running[--l->running_count];
    if (l->tasks[i].has_begun && code == REFUSED && !stopping) {
      l->tasks[i].has_begun = false;
      status = start(l, i, error);
    } else {
      end(l, i, code, stopping);
    }
  }
  return status;
}

static void draw(launch *l) {
  if (!l->overview.live) return;
  tn_overview_cell *cells = tn_take((l->running_count + 1) * sizeof *cells);
  for (uint32_t k = 0; k < l->running_count; k++) {
    task *t = &l->tasks[l->running[k]];
    char directory[4096];
    cell_path(l, l->running[k], directory, sizeof directory);
    tn_cell_progress_read(directory, &t->progress);
    cells[k] = (tn_overview_cell){name_of(l, l->running[k]), tn_seconds() - t->began, t->progress};
  }
  tn_overview_draw(&l->overview, l->kept + l->ended, l->plan->cell_count - l->twins, l->failed,
                   tn_seconds() - l->began, l->ended, cells, l->running_count);
  free(cells);
}

static void stop_all(const launch *l) {
  for (uint32_t k = 0; k < l->running_count; k++) l->launcher->stop(l->tasks[l->running[k]].handle);
}

static tn_status run_all(launch *l, tn_error *error) {
  uint32_t next = 0;
  double drawn = 0, written = tn_seconds();
  bool stopping = false;
  tn_status status = TN_OK;
  while (l->running_count > 0 || (next < l->plan->cell_count && !stopping)) {
    for (; next < l->plan->cell_count && l->running_count < l->jobs && !stopping; next++)
      if (l->tasks[next].state == WAITING && (status = start(l, next, error)) < 0) break;
    if (collect(l, stopping, error) < 0) status = error->status;
    if ((status < 0 || interrupted) && !stopping) stopping = true, stop_all(l);
    const double now = tn_seconds();
    if (now - drawn > draw_pace) draw(l), drawn = now;
    if (now - written > file_pace) {
      tn_error later = {0}; /* the last write tells */
      write_file(l, &later);
      written = now;
    }
    const struct timespec pause = {0, 2000000};
    if (l->running_count > 0) nanosleep(&pause, NULL);
  }
  tn_overview_erase(&l->overview);
  if (interrupted && status >= 0)
    status = tn_error_set(error, TN_ERROR_INTERRUPTED, NULL, 0,
                          "interrupted after %u of %u cells; go on with: tenon sweep %s", l->kept + l->ended,
                          l->plan->cell_count - l->twins, l->options->directory);
  interrupted = 0;
  return status;
}

/* One sweep at a time works in a directory. Cells hold the lock too: those of a sweep that was killed end
 * before the next one begins. Returns the descriptor. */
static int lock(const launch *l, tn_error *error) {
  const char *directory = l->options->directory;
  const int folder = open(directory, O_RDONLY | O_DIRECTORY);
  int locked = folder < 0 ? -1 : flock(folder, LOCK_EX | LOCK_NB);
  if (folder >= 0 && locked < 0 && errno == EWOULDBLOCK) {
    fprintf(stderr, "%s: cells of another sweep still run in it; waiting for them to end\n", directory);
    locked = flock(folder, LOCK_EX);
  }
  if (locked == 0) return folder;
  tn_error_set(error, interrupted ? TN_ERROR_INTERRUPTED : TN_ERROR_IO, NULL, 0, "%s: %s", directory,
               strerror(errno));
  if (folder >= 0) close(folder);
  return -1;
}

/* Twins get what their cell has left. */
static void share(const launch *l) {
  for (uint32_t i = 0; i < l->plan->cell_count; i++) {
    if (l->tasks[i].state != TWIN) continue;
    const tn_outcome_record *from = &l->outcomes[l->tasks[i].twin];
    char directory[4096];
    tn_error unread = {0};
    cell_path(l, l->tasks[i].twin, directory, sizeof directory);
    if (tn_outcome_finished(from))
      tn_outcome_read(directory, &l->outcomes[i], &unread);
    else if (from->outcome)
      l->outcomes[i].outcome = tn_copy_text(from->outcome);
  }
}

tn_status tn_launch(const tn_plan *plan, const tn_launch_options *options, tn_outcome_record *outcomes,
                    tn_error *error) {
  const tn_launcher *launcher = options->launcher ? options->launcher : &tn_launcher_local;
  const int64_t most = launcher == &tn_launcher_slurm ? plan->cell_count + 1 : 1;
  const int64_t jobs = options->jobs ? options->jobs : plan->jobs ? plan->jobs : most;
  launch l = {.plan = plan,
              .options = options,
              .launcher = launcher,
              .outcomes = outcomes,
              .tasks = tn_take((plan->cell_count + 1) * sizeof *l.tasks),
              .running = tn_take((size_t)jobs * sizeof *l.running),
              .jobs = (uint32_t)jobs,
              .began = tn_seconds(),
              .overview = tn_overview_start(options->quiet)};
  tn_status status = tn_directory_path(options->directory, error);
  const int folder = status < 0 ? -1 : lock(&l, error);
  if (folder < 0) status = error->status;
  if (status >= 0) {
    find_twins(&l);
    find_finished(&l);
    status = write_file(&l, error);
  }
  const bool works = l.kept + l.twins < plan->cell_count;
  if (status >= 0 && works && launcher->open) status = launcher->open(options->directory, l.jobs, error);
  if (status >= 0) {
    status = run_all(&l, error);
    tn_error later = {0};
    const tn_status written = write_file(&l, &later);
    if (status >= 0 && written < 0) *error = later, status = written;
  }
  if (works && folder >= 0 && launcher->close) launcher->close();
  share(&l);
  if (folder >= 0) close(folder);
  free(l.tasks);
  free(l.running);
  return status;
}
