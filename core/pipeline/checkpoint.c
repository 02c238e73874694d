// SPDX-License-Identifier: MIT
/* Checkpoints of a run: checkpoints/step-N.safetensors in the run directory. The state is copied between two
 * steps; a thread hashes, writes and synchronises the copy while the run goes on. */
#include "core/pipeline/checkpoint.h"
#include "core/pipeline/internal.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool step_of(const char *name, long long *step) {
  int end = 0;
  return sscanf(name, "step-%lld.safetensors%n", step, &end) == 1 && end > 0 && !name[end];
}

/* Names of the checkpoints in a run directory, newest first; -1 if there is no such folder. */
static int by_step(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}
static int list(const char *directory, int64_t **steps) {
  char path[4096];
  snprintf(path, sizeof path, "%s/checkpoints", directory);
  DIR *folder = opendir(path);
  *steps = NULL;
  if (!folder) return -1;
  int count = 0, room = 0;
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    long long step;
    if (!step_of(entry->d_name, &step)) continue;
    if (count == room) {
      int64_t *more = realloc(*steps, (size_t)(room = room ? 2 * room : 8) * sizeof *more);
      if (!more) break;
      *steps = more;
    }
    (*steps)[count++] = step;
  }
  closedir(folder);
  if (count) qsort(*steps, (size_t)count, sizeof **steps, by_step);
  return count;
}

static void path_of(const char *directory, int64_t step, char *path, size_t bytes) {
  snprintf(path, bytes, "%s/checkpoints/step-%lld.safetensors", directory, (long long)step);
}

bool tn_checkpoint_newest(const char *directory, int64_t *step) {
  int64_t *steps;
  const int count = list(directory, &steps);
  if (count > 0) *step = steps[0];
  free(steps);
  return count > 0;
}

/* Removes all but the newest `keep`, and what a killed writer left. */
void tn_checkpoint_prune(const char *directory, int64_t keep) {
  int64_t *steps;
  char path[4096];
  const int count = list(directory, &steps);
  for (int i = 0; i < count; i++) {
    if (i < keep) continue;
    path_of(directory, steps[i], path, sizeof path);
    unlink(path);
  }
  free(steps);
  snprintf(path, sizeof path, "%s/checkpoints", directory);
  DIR *folder = opendir(path);
  if (!folder) return;
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (!dot || strcmp(dot, ".tmp") != 0) continue;
    snprintf(path, sizeof path, "%s/checkpoints/%s", directory, entry->d_name);
    unlink(path);
  }
  closedir(folder);
}

static void *write_state(void *argument) {
  tn_checkpointer *w = argument;
  char path[4096];
  path_of(w->directory, w->step, path, sizeof path);
  w->status = tn_state_write(w->state, path);
  if (w->status < 0) {
    tn_context *context = tn_context_current();
    snprintf(w->message, sizeof w->message, "%s", context->message);
    tn_context_clear(context);
  } else {
    tn_checkpoint_prune(w->directory, w->keep);
  }
  tn_state_free(w->state);
  w->state = NULL;
  __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
  return NULL;
}

/* Waits for the writer; its failure becomes the error. */
static tn_status await_writer(tn_checkpointer *w, tn_error *error) {
  if (!w->writing) return TN_OK;
  pthread_join(w->thread, NULL);
  w->writing = false;
  return w->status < 0 ? tn_error_set(error, w->status, NULL, 0, "%s", w->message) : TN_OK;
}

static tn_status start_writer(tn_pipeline *p, tn_state *state, tn_error *error) {
  tn_checkpointer *w = &p->checkpointer;
  char path[4096];
  snprintf(path, sizeof path, "%s/checkpoints", p->directory);
  if (mkdir(path, 0777) != 0 && errno != EEXIST) {
    tn_state_free(state);
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
  }
  w->directory = p->directory;
  w->keep = p->checkpoint_keep;
  w->step = p->steps;
  w->state = state;
  w->done = false;
  /* Signals are for the thread that runs the steps, except those of its own faults. */
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  sigset_t others, former;
  sigfillset(&others);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(own); i++) sigdelset(&others, own[i]);
  pthread_sigmask(SIG_SETMASK, &others, &former);
  const int failed = pthread_create(&w->thread, NULL, write_state, w);
  pthread_sigmask(SIG_SETMASK, &former, NULL);
  w->writing = !failed;
  if (failed) write_state(w); /* then without a thread */
  return failed && w->status < 0 ? tn_error_set(error, w->status, NULL, 0, "%s", w->message) : TN_OK;
}

tn_status tn_checkpoint_save(tn_pipeline *p, bool wait, tn_error *error) {
  tn_state *state = tn_state_new();
  tn_checkpointer *w = &p->checkpointer;
  const double began = tn_seconds();
  tn_status status = tn_run_save(p, state, error);
  const tn_status former = await_writer(w, error);
  w->last = tn_seconds();
  w->copying += w->last - began;
  w->count++;
  if (status >= 0)
    status = start_writer(p, state, error);
  else
    tn_state_free(state);
  if (status >= 0 && wait) status = await_writer(w, error);
  return status < 0 ? status : former;
}

bool tn_checkpoint_due(tn_pipeline *p) {
  tn_checkpointer *w = &p->checkpointer;
  if (!p->directory || p->rank > 0) return false;
  if (p->checkpoint_every > 0 && p->steps % p->checkpoint_every == 0) return true;
  return p->checkpoint_seconds > 0 && tn_seconds() - w->last >= p->checkpoint_seconds &&
         !(w->writing && !__atomic_load_n(&w->done, __ATOMIC_ACQUIRE));
}

void tn_checkpoint_finish(tn_pipeline *p) {
  tn_error error = {0};
  tn_checkpointer *w = &p->checkpointer;
  if (await_writer(w, &error) < 0) tn_warn("a checkpoint was not written: %s", error.text);
  if (w->count > 0)
    tn_info("%lld checkpoints, for which the run stood still %.3f s", (long long)w->count, w->copying);
  w->count = 0;
}

tn_status tn_checkpoint_open(tn_pipeline *p, tn_state **state, tn_error *error) {
  int64_t *steps;
  const int count = list(p->directory, &steps);
  *state = NULL;
  for (int i = 0; i < count && !*state; i++) {
    char path[4096];
    path_of(p->directory, steps[i], path, sizeof path);
    if (tn_state_read(path, state) >= 0) continue;
    if (i + 1 == count)
      tn_error_set(error, TN_ERROR_IO, NULL, 0, "no checkpoint can be read: %s", p->context.message);
    char reason[sizeof p->context.message];
    snprintf(reason, sizeof reason, "%s", p->context.message);
    tn_context_clear(&p->context);
    tn_warn("passed over: %s", reason);
  }
  free(steps);
  return error->status;
}
