// SPDX-License-Identifier: MIT
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */
#include "core/conformance/isolation.h"
#include "core/plugin/host.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static tn_finding *here;
tn_finding *tn_finding_here(void) { return here; }
_Noreturn void tn_finding_end(tn_verdict verdict) {
  here->verdict = (int32_t)verdict;
  _exit(0);
}

/* Async-signal-safe: reads the call stack and copies texts that do not change. */
static void note_place(void) {
  const tn_call_stack *stack = &tn_context_current()->stack;
  if (stack->depth == 0) return;
  const tn_call *call = &stack->calls[(stack->depth - 1) % TN_CALL_DEPTH];
  const char *parts[] = {call->component && call->component->name ? call->component->name : "", " ",
                         call->function ? call->function : ""};
  size_t used = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    for (const char *at = parts[i]; *at && used + 1 < sizeof here->where; at++) here->where[used++] = *at;
  here->where[used] = '\0';
}

static void on_fault(int number) {
  note_place();
  signal(number, SIG_DFL);
  raise(number);
}

/* Faults are noted on a stack of their own: the ordinary one may be what has run over. */
static void catch_faults(void) {
  static char stack[64 * 1024];
  const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&own, NULL);
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)(SA_ONSTACK | SA_NODEFER)};
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTERM};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigaction(faults[i], &action, NULL);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

_Noreturn static void child(void (*work)(void *), void *context, int alive) {
  const struct rlimit none = {0, 0};
  (void)alive; /* its closing tells the parent that this process is gone */
  setrlimit(RLIMIT_CORE, &none);
  int nowhere = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3 && nowhere >= 0; i++) dup2(nowhere, i);
  catch_faults();
  work(context);
  tn_finding_end(TN_PASSED);
}

/* Waits until the pipe's other end is closed; false: too long. */
static bool wait_for_end(int end, double limit) {
  const double until = now() + limit;
  for (;;) {
    struct pollfd wait = {.fd = end, .events = POLLIN};
    const double left = until - now();
    const int ready = poll(&wait, 1, left > 0 ? (int)(1000 * left) + 1 : 0);
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

static void explain(tn_finding *outcome, int status, bool in_time, double limit) {
  const char *at = outcome->where;
  char place[160] = "";
  if (*at) snprintf(place, sizeof place, " in %s", at);
  outcome->verdict = TN_FAILED;
  if (!in_time)
    snprintf(outcome->text, sizeof outcome->text, "did not end within %g seconds%s", limit, place);
  else if (WIFSIGNALED(status))
    snprintf(outcome->text, sizeof outcome->text, "crashed (%s)%s", strsignal(WTERMSIG(status)), place);
  else
    snprintf(outcome->text, sizeof outcome->text, "ended the program (exit code %d)", WEXITSTATUS(status));
}

void tn_isolate(void (*work)(void *), void *context, double limit, tn_finding *outcome) {
  static tn_finding *shared;
  int ends[2];
  const double start = now();
  if (!shared) shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *outcome = (tn_finding){.verdict = TN_FAILED, .text = "no child process could be made"};
  if (shared == MAP_FAILED || pipe(ends) != 0) return;
  *shared = (tn_finding){.verdict = -1};
  here = shared;
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(work, context, ends[1]);
  }
  close(ends[1]);
  bool in_time = pid > 0 && wait_for_end(ends[0], limit);
  if (pid > 0 && !in_time) {
    kill(pid, SIGTERM); /* lets it say where it is */
    if (!wait_for_end(ends[0], 1)) kill(pid, SIGKILL);
  }
  close(ends[0]);
  int status = 0;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (pid < 0) return;
  *outcome = *shared;
  if (outcome->verdict < 0 || !in_time || !WIFEXITED(status)) explain(outcome, status, in_time, limit);
  if (outcome->verdict == TN_FAILED && *outcome->doing) {
    const size_t used = strlen(outcome->text);
    snprintf(outcome->text + used, sizeof outcome->text - used, "; %s", outcome->doing);
  }
  outcome->seconds = now() - start;
}
