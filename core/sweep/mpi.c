// SPDX-License-Identifier: MIT
/* Cells spread over the ranks of one mpirun. A rank is a shell that runs whatever script appears under its
 * number in the sweep's folder `ranks`, where all machines see it; no MPI is linked. */
#define _DEFAULT_SOURCE /* prctl's header */
#include "core/config/memory.h"
#include "core/pipeline/directory.h"
#include "core/sweep/script.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const double look_pace = 0.05; /* seconds */

static const char worker[] =
    "#!/bin/sh\n"
    "# Runs FOLDER/RANK.sh whenever it is there, until FOLDER/done is. FOLDER/RANK.stop ends what runs.\n"
    "folder=$1\n"
    "rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-${SLURM_PROCID:?}}}}\n"
    "while [ ! -e \"$folder/done\" ]; do\n"
    "  [ -e \"$folder/$rank.sh\" ] || { sleep 0.1; continue; }\n"
    "  mv \"$folder/$rank.sh\" \"$folder/$rank.running\"\n"
    "  sh \"$folder/$rank.running\" &\n"
    "  cell=$!\n"
    "  while kill -0 $cell 2>/dev/null; do\n"
    "    [ ! -e \"$folder/$rank.stop\" ] || { rm \"$folder/$rank.stop\"; kill -TERM $cell; }\n"
    "    sleep 0.1\n"
    "  done\n"
    "done\n";

typedef struct cell {
  char script[4200];
  uint32_t rank;
  double looked;
} cell;

static cell *cells;
static uint32_t cell_count, cell_room;
static bool *busy; /* one a rank */
static uint32_t ranks;
static char folder[PATH_MAX];
static pid_t mpirun; /* 0: it has ended */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void path_of(const char *name, char *path) { snprintf(path, PATH_MAX, "%.4000s/%s", folder, name); }

static tn_status write_to(const char *name, const char *text, tn_error *error) {
  char path[PATH_MAX], temporary[PATH_MAX + 8];
  path_of(name, path);
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  FILE *file = fopen(temporary, "w");
  bool ok = file && fputs(text, file) >= 0;
  if (file && fclose(file) != 0) ok = false;
  if (ok && rename(temporary, path) == 0) return TN_OK;
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
}

/* What an earlier sweep left would be run, or end this one's ranks. */
static void clear(void) {
  static const char *const endings[] = {"sh", "running", "stop"};
  char name[64], path[PATH_MAX];
  path_of("done", path);
  unlink(path);
  for (uint32_t rank = 0; rank < ranks; rank++)
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
      snprintf(name, sizeof name, "%u.%s", rank, endings[i]);
      path_of(name, path);
      unlink(path);
    }
}

/* In the child: a process group of its own, so that Ctrl-C reaches the sweep alone, which stops its cells. */
static void become_mpirun(pid_t parent) {
  char count[24], script[PATH_MAX], output[PATH_MAX];
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);
  setpgid(0, 0);
  tn_mpirun_environment();
  path_of("worker.sh", script);
  path_of("mpirun.txt", output);
  snprintf(count, sizeof count, "%u", ranks);
  const int in = open("/dev/null", O_RDONLY), out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (in >= 0) dup2(in, STDIN_FILENO);
  if (out >= 0) dup2(out, STDOUT_FILENO), dup2(out, STDERR_FILENO);
  execlp("mpirun", "mpirun", "-n", count, "sh", script, folder, (char *)NULL);
  dprintf(STDERR_FILENO, "mpirun: %s\n", strerror(errno));
  _exit(127);
}

static tn_status open_mpi(const char *directory, uint32_t at_a_time, tn_error *error) {
  char whole[PATH_MAX], said[512];
  const char *const version[] = {"mpirun", "--version", NULL};
  if (tn_program_run(version, said, sizeof said) != 0)
    return tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "--launcher mpi needs mpirun: %s", said);
  if (!realpath(directory, whole))
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", directory, strerror(errno));
  snprintf(folder, sizeof folder, "%.3900s/ranks", whole);
  ranks = at_a_time;
  busy = tn_take(ranks * sizeof *busy);
  tn_status status = tn_directory_path(folder, error);
  if (status < 0) return status;
  clear();
  status = write_to("worker.sh", worker, error);
  if (status < 0) return status;
  fflush(NULL);
  const pid_t parent = getpid();
  mpirun = fork();
  if (mpirun == 0) become_mpirun(parent);
  if (mpirun > 0) return TN_OK;
  mpirun = 0;
  return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "fork: %s", strerror(errno));
}

static tn_status start(const tn_cell_job *job, int64_t *handle, tn_error *error) {
  cell c = {0};
  char line[4300], name[32];
  while (c.rank < ranks && busy[c.rank]) c.rank++;
  tn_status status = tn_script_write(job, c.script, sizeof c.script, error);
  snprintf(line, sizeof line, "exec sh '%s'\n", c.script); 
  snprintf(name, sizeof name, "%u.sh", c.rank);
  if (status >= 0 && strchr(c.script, '\''))
    status = tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: the path has a quote", c.script);
  if (status >= 0) status = write_to(name, line, error);
  if (status < 0) return status;
  busy[c.rank] = true;
  cell *place = tn_grow(&cells, cell_count, &cell_room, sizeof *place);
  *place = c;
  *handle = cell_count++;
  return TN_OK;
}

static bool poll_cell(int64_t handle, int *code) {
  cell *c = &cells[handle];
  const double t = now();
  int status;
  if (t - c->looked < look_pace) return false;
  c->looked = t;
  if (mpirun > 0 && waitpid(mpirun, &status, WNOHANG) == mpirun) mpirun = 0;
  if (tn_script_ended(c->script, code)) {
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "%u.running", c->rank);
    path_of(name, path);
    unlink(path);
    busy[c->rank] = false;
    return true;
  }
  *code = 127; /* ranks/mpirun.txt says why */
  return mpirun == 0;
}

static void stop(int64_t handle) {
  char name[32], path[PATH_MAX];
  tn_error unsaid = {0};
  const cell *c = &cells[handle];
  snprintf(name, sizeof name, "%u.sh", c->rank);
  path_of(name, path);
  if (unlink(path) == 0) { /* it has not begun, and will not */
    snprintf(path, sizeof path, "%.*s/exit", (int)(strrchr(c->script, '/') - c->script), c->script);
    FILE *file = fopen(path, "w");
    if (file) fputs("130\n", file), fclose(file);
    return;
  }
  snprintf(name, sizeof name, "%u.stop", c->rank);
  write_to(name, "", &unsaid);
}

static void close_mpi(void) {
  tn_error unsaid = {0};
  if (mpirun > 0) {
    write_to("done", "", &unsaid);
    while (waitpid(mpirun, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  mpirun = 0;
  free(cells);
  free(busy);
  cells = NULL;
  busy = NULL;
  cell_count = cell_room = 0;
}

const tn_launcher tn_launcher_mpi = {"mpi", open_mpi, start, poll_cell, stop, close_mpi};
