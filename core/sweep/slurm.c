// SPDX-License-Identifier: MIT
/* Cells as jobs of Slurm. A cell's own file says that it has ended; squeue is asked now and then for those
 * that ended without saying so: cancelled, or on a machine that failed. */
#include "core/config/memory.h"
#include "core/sweep/script.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double look_pace = 0.2, ask_pace = 5, grace = 15; /* seconds */

typedef struct job {
  char script[4200], number[32];
  double looked;
  double gone; /* since when the queue does not know it; 0: it does */
  bool ended;
} job;

static job *jobs;
static uint32_t job_count, job_room;
static double asked;
static bool stopping;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static tn_status open_slurm(const char *directory, uint32_t at_a_time, tn_error *error) {
  (void)directory, (void)at_a_time;
  char said[512];
  const char *const words[] = {"sbatch", "--version", NULL};
  asked = now();
  stopping = false;
  if (tn_program_run(words, said, sizeof said) == 0) return TN_OK;
  return tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "--launcher slurm needs sbatch: %s", said);
}

static tn_status start(const tn_cell_job *cell, int64_t *handle, tn_error *error) {
  job j = {0};
  char said[1024], output[4300];
  tn_status status = tn_script_write(cell, j.script, sizeof j.script, error);
  if (status < 0) return status;
  snprintf(output, sizeof output, "--output=%.*s/slurm.txt", (int)(strrchr(j.script, '/') - j.script),
           j.script);
  /* A job that reaches its time limit has a minute for its checkpoint. */
  const char *const words[] = {"sbatch", "--parsable", "--job-name=tenon", "--signal=B:TERM@60", output,
                               j.script, NULL};
  const int code = tn_program_run(words, said, sizeof said);
  if (code != 0 || sscanf(said, "%31[0-9]", j.number) != 1)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "sbatch: %s", said);
  job *place = tn_grow(&jobs, job_count, &job_room, sizeof *place);
  *place = j;
  *handle = job_count++;
  return TN_OK;
}

/* Marks the jobs that the queue does not know any more. */
static void ask(void) {
  const size_t room = 24 * (size_t)job_count + 4096;
  char *said = tn_take(room);
  const char *const words[] = {"squeue", "--me", "--noheader", "--format=%i", NULL};
  asked = now();
  const bool answers = tn_program_run(words, said, room) == 0;
  if (answers || stopping) /* else later */
    for (uint32_t i = 0; i < job_count; i++) {
      job *j = &jobs[i];
      if (j->ended || j->gone > 0) continue;
      bool known = false;
      for (const char *line = said; answers && line && !known; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t length = strlen(j->number);
        known = strncmp(line, j->number, length) == 0 && (line[length] == '\n' || !line[length]);
        if (!*line) break;
      }
      if (!known) j->gone = asked;
    }
  free(said);
}

static bool poll_job(int64_t handle, int *code) {
  job *j = &jobs[handle];
  const double t = now();
  if (t - j->looked < look_pace) return false;
  j->looked = t;
  if (t - asked > ask_pace) ask();
  j->ended = tn_script_ended(j->script, code);
  /* A shared file system may show the file some seconds later. */
  if (!j->ended && j->gone > 0 && t - j->gone > grace) j->ended = true, *code = -SIGKILL;
  return j->ended;
}

static void stop(int64_t handle) {
  char said[256];
  const char *const pending[] = {"scancel", "--state=PENDING", jobs[handle].number, NULL};
  const char *const running[] = {"scancel", "--batch", "--signal=TERM", jobs[handle].number, NULL};
  tn_program_run(pending, said, sizeof said);
  tn_program_run(running, said, sizeof said);
  asked = 0;
  stopping = true;
}

static void close_slurm(void) {
  free(jobs);
  jobs = NULL;
  job_count = job_room = 0;
}

const tn_launcher tn_launcher_slurm = {"slurm", open_slurm, start, poll_job, stop, close_slurm};
