// SPDX-License-Identifier: MIT
#include "core/sweep/launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child. */
static void become(const tn_cell_job *job, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* no cell outlives a sweep that was killed */
  if (getppid() != parent) _exit(127);
  char text[4200];
  snprintf(text, sizeof text, "%u", job->threads);
  setenv("OMP_NUM_THREADS", text, 0);
  snprintf(text, sizeof text, "%s/output.txt", job->directory);
  const int output = open(text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (output >= 0) dup2(output, STDOUT_FILENO), dup2(output, STDERR_FILENO);
  static const char itself[] = "/proc/self/exe"; // this very program, even if another now has its name
  execv(itself, (char *const *)(uintptr_t)job->words);
  dprintf(STDERR_FILENO, "error: %s: %s\n", itself, strerror(errno));
  _exit(127);
}

static tn_status start(const tn_cell_job *job, int64_t *handle, tn_error *error) {
  fflush(stdout);
  const pid_t parent = getpid(), process = fork();
  if (process < 0) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "fork: %s", strerror(errno));
  if (process == 0) become(job, parent);
  *handle = process;
  return TN_OK;
}

static bool poll_process(int64_t handle, int *code) {
  int status;
  const pid_t ended = waitpid((pid_t)handle, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
  *code = ended < 0 ? 127 : WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return true;
}

static void stop(int64_t handle) { kill((pid_t)handle, SIGTERM); }

const tn_launcher tn_launcher_local = {"local", NULL, start, poll_process, stop, NULL};
