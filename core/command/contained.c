// SPDX-License-Identifier: MIT
#define _DEFAULT_SOURCE /* prctl's header */
#include "core/command/contained.h"
#include "core/command/command.h"
#include "core/pipeline/checkpoint.h"
#include "core/pipeline/pipeline.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The first signal asks; one that comes a second later or more means it. The time between lets pass what
 * `timeout` and terminals send to all processes of a group at once. */
static void on_signal(int number) {
  static struct timespec first;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  if (first.tv_sec == 0) {
    first = t;
  } else if (t.tv_sec - first.tv_sec > 1) {
    signal(number, SIG_DFL);
    raise(number);
  }
  tn_pipeline_interrupt();
}

static void handle_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR2, &action, NULL); /* from mpirun, which passes this one on at once */
}

/* The child: an exit anywhere but here is a plugin's. */
static _Noreturn void work_alone(int (*work)(void *, tn_box *), void *context, tn_box *box, pid_t parent,
                                 const sigset_t *former) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(TN_EXIT_FAILED);
  tn_box_work(box);
  sigprocmask(SIG_SETMASK, former, NULL);
  const int code = work(context, box);
  tn_box_finish(box);
  exit(code);
}

/* Waits for the child's end. True if it was stopped because a step took too long. */
static bool watch(pid_t child, const tn_box *box, const sigset_t *signals, int *status) {
  double patience = -1;
  bool late = false;
  while (waitpid(child, status, WNOHANG) == 0) {
    siginfo_t info;
    struct timespec time = {(time_t)patience, (long)((patience - (double)(time_t)patience) * 1e9)};
    const int number = patience < 0 ? sigwaitinfo(signals, &info) : sigtimedwait(signals, &info, &time);
    /* What the terminal sends, the child gets as well. */
    if ((number == SIGINT || number == SIGTERM || number == SIGUSR2) && info.si_code <= 0)
      kill(child, number);
    if (late && number < 0) kill(child, SIGKILL); /* it had its time for a backtrace */
    patience = late ? 2 : tn_box_patience(box, now());
    if (late || patience != 0) continue;
    late = true;
    patience = 2;
    kill(child, SIGALRM);
  }
  return late;
}

static void cause_of(const tn_box *box, int status, bool late, char *text, size_t bytes) {
  if (late)
    snprintf(text, bytes, "the step takes longer than step_timeout, %g seconds", tn_box_step_limit(box));
  else if (WIFEXITED(status))
    snprintf(text, bytes, "called exit(%d)", WEXITSTATUS(status));
  else if (WTERMSIG(status) == SIGKILL)
    snprintf(text, bytes, "killed (SIGKILL); the system does so when memory runs out");
  else
    snprintf(text, bytes, "crashed: %s",
             *tn_box_cause(box) ? tn_box_cause(box) : strsignal(WTERMSIG(status)));
}

/* How the run goes on. */
static void way_out(const char *directory, char *text, size_t bytes) {
  int64_t step;
  text[0] = 0;
  if (!*directory) return;
  if (tn_checkpoint_newest(directory, &step))
    snprintf(text, bytes, "; `tenon resume %s` goes on from step %lld", directory, (long long)step);
  else
    snprintf(text, bytes, "; there is no checkpoint, `tenon resume %s` begins again", directory);
}

static int post_mortem(const tn_box *box, int status, bool late) {
  char place[1024], cause[256], way[4300], path[4200];
  const char *directory = tn_box_run(box);
  tn_box_place_of_death(box, place, sizeof place);
  cause_of(box, status, late, cause, sizeof cause);
  way_out(directory, way, sizeof way);
  fprintf(stderr, "error: %s%s%s\n", place, cause, way);
  snprintf(path, sizeof path, "%s/log.txt", directory);
  FILE *log = *directory ? fopen(path, "a") : NULL;
  if (log) {
    fprintf(log, "error: %s%s%s\n", place, cause, way);
    fclose(log);
  }
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !late ? TN_EXIT_FAILED : TN_EXIT_PLUGIN;
}

int tn_contain(bool contained, int (*work)(void *context, tn_box *box), void *context) {
  tn_box *box = contained ? tn_box_new() : NULL;
  handle_signals();
  if (!box) return work(context, NULL);
  sigset_t signals, former;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  sigprocmask(SIG_BLOCK, &signals, &former);
  fflush(NULL);
  const pid_t parent = getpid(), child = fork();
  if (child == 0) work_alone(work, context, box, parent, &former);
  if (child < 0) {
    fprintf(stderr, "error: no process for the run: %s\n", strerror(errno));
    return TN_EXIT_FAILED;
  }
  int status = 0;
  const bool late = watch(child, box, &signals, &status);
  sigprocmask(SIG_SETMASK, &former, NULL);
  if (WIFEXITED(status) && tn_box_finished(box)) return WEXITSTATUS(status);
  return post_mortem(box, status, late);
}
