// SPDX-License-Identifier: MIT
#include "core/plugin/scan.h"
#include "core/plugin/check.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 10 }; /* that a file may take */

/* In the child. */

static tn_status describe(tn_dylib *library, tn_catalogue_entry *entry, tn_catalogue_class **classes,
                          tn_error *error) {
  static tn_plugin plugin;
  tn_status status = tn_plugin_read(library, &plugin, error);
  if (status != TN_OK) return status;
  entry->plugin = plugin.name;
  entry->version = plugin.version;
  entry->licence = plugin.licence;
  *classes = calloc(plugin.class_count, sizeof **classes);
  if (!*classes) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  for (uint32_t i = 0; i < plugin.class_count && status == TN_OK; i++) {
    tn_class cls;
    status = tn_class_read(&plugin, i, &cls, error);
    (*classes)[i] = (tn_catalogue_class){cls.kind, cls.name, cls.summary};
  }
  for (uint32_t i = 0; i < plugin.class_count && status == TN_OK; i++)
    for (uint32_t k = 0; k < i && status == TN_OK; k++)
      if (strcmp((*classes)[i].kind, (*classes)[k].kind) == 0 &&
          strcmp((*classes)[i].name, (*classes)[k].name) == 0)
        status = tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "offers '%s' of kind %s twice",
                              (*classes)[i].name, (*classes)[i].kind);
  entry->classes = *classes;
  entry->class_count = plugin.class_count;
  return status;
}

static void look(FILE *out, const tn_found *file) {
  tn_catalogue_entry entry = {.path = file->path, .id = file->id};
  tn_catalogue_class *classes = NULL;
  tn_error error = {0};
  char reason[512];
  tn_dylib *library = tn_plugin_open(file->path, reason, sizeof reason);
  if (!library) {
    entry.refusal = reason; /* a missing library may be installed later */
  } else if (describe(library, &entry, &classes, &error) != TN_OK) {
    entry.refusal = error.text;
    entry.class_count = 0;
    entry.lasting = error.status != TN_ERROR_MEMORY;
  }
  tn_catalogue_write(out, &entry);
  fflush(out);
  free(classes);
  if (library) tn_dylib_close(library);
}

_Noreturn static void child(int pipe_end, const tn_found *const *files, uint32_t count) {
  /* Nothing that a plugin prints or dumps belongs to what the user asked for. */
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (pipe_end < 3)
    pipe_end = fcntl(pipe_end, F_DUPFD, 3); /* where the caller had closed a standard stream */
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) signal(faults[i], SIG_DFL);
  int nowhere = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3 && nowhere >= 0; i++) dup2(nowhere, i);
  FILE *out = fdopen(pipe_end, "w");
  for (uint32_t i = 0; i < count && out; i++) look(out, files[i]);
  _exit(out ? 0 : 1);
}

/* In the parent. */

typedef struct text {
  char *bytes;
  size_t count, room;
} text;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Reads until the child is done or has said nothing for too long; false: too long, or no memory. */
static bool receive(int pipe_end, text *received) {
  double limit = now() + SECONDS;
  for (;;) {
    if (received->room - received->count < 65536) {
      char *more = realloc(received->bytes, 2 * received->room + 65536);
      if (!more) return false;
      received->bytes = more;
      received->room = 2 * received->room + 65536;
    }
    struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
    double left = limit - now();
    int ready = poll(&wait, 1, left > 0 ? (int)(1000 * left) : 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    ssize_t got = read(pipe_end, received->bytes + received->count, received->room - received->count);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    received->count += (size_t)got;
    limit = now() + SECONDS;
  }
}

static void refuse(tn_catalogue *catalogue, const tn_found *file, const char *reason, bool lasting) {
  char *line = NULL;
  size_t bytes = 0;
  FILE *out = open_memstream(&line, &bytes);
  if (!out) return;
  tn_catalogue_write(
      out, &(tn_catalogue_entry){.path = file->path, .id = file->id, .refusal = reason, .lasting = lasting});
  if (fclose(out) == 0) {
    char *copy = tn_arena_text(&catalogue->arena, line, bytes);
    if (copy) tn_catalogue_parse(catalogue, copy, bytes);
  }
  free(line);
}

/* How the child ended, if it did not get to the end. */
static void explain(char *reason, size_t bytes, int status, bool in_time) {
  if (!in_time)
    snprintf(reason, bytes, "did not load within %d seconds", (int)SECONDS);
  else if (WIFSIGNALED(status))
    snprintf(reason, bytes, "crashed when it was loaded (%s)", strsignal(WTERMSIG(status)));
  else
    snprintf(reason, bytes, "ended the program when it was loaded (exit code %d)", WEXITSTATUS(status));
}

/* One child for as many files as it survives; *done counts those that have an entry now. */
static tn_status scan_some(tn_catalogue *catalogue, const tn_found *const *files, uint32_t count,
                           uint32_t *done, tn_error *error) {
  int ends[2];
  if (pipe(ends) != 0)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "cannot look at plugins: %s", strerror(errno));
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(ends[1], files, count);
  }
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "cannot look at plugins: %s", strerror(errno));
  }
  text received = {0};
  bool in_time = receive(ends[0], &received);
  close(ends[0]);
  if (!in_time) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  char *kept = tn_arena_text(&catalogue->arena, received.bytes ? received.bytes : "", received.count);
  *done = kept ? tn_catalogue_parse(catalogue, kept, received.count) : 0;
  free(received.bytes);
  if (!kept) return tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
  if (*done < count) {
    char reason[256];
    explain(reason, sizeof reason, status, in_time);
    refuse(catalogue, files[(*done)++], reason, true);
  }
  return TN_OK;
}

tn_status tn_scan_files(tn_catalogue *catalogue, const tn_found *const *files, uint32_t count,
                        tn_error *error) {
  tn_status status = TN_OK;
  for (uint32_t at = 0, done = 0; at < count && status == TN_OK; at += done)
    status = scan_some(catalogue, files + at, count - at, &done, error);
  if (count > 0) catalogue->changed = true;
  return status;
}
