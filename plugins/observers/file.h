// SPDX-License-Identifier: MIT
/* A text file in the run directory to which events are added, and which a resumed run cuts back to where its
 * checkpoint was: what the lost steps had written is written again. */
#ifndef TENON_PLUGINS_OBSERVER_FILE_H
#define TENON_PLUGINS_OBSERVER_FILE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tenon/observer.h>
#include <unistd.h>

struct observer_file {
  FILE *stream;
  int64_t bytes; /* kept of an earlier run, from the state; else 0 */
};

/* Opens NAME in the run directory at the first event; *ready is false if the run has no directory. */
static inline tn_status observer_file_open(struct observer_file *file, const char *name, bool *ready) {
  const char *directory = tn_run_directory();
  char path[4096];
  *ready = file->stream != NULL;
  if (file->stream || !directory) return TN_OK;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  file->stream = fopen(path, file->bytes > 0 ? "r+" : "w");
  if (!file->stream) return tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno));
  if (file->bytes > 0 && (ftruncate(fileno(file->stream), (off_t)file->bytes) != 0 ||
                          fseeko(file->stream, (off_t)file->bytes, SEEK_SET) != 0))
    return tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno));
  *ready = true;
  return TN_OK;
}

/* Hands what was written to the system; for events that end something. */
static inline tn_status observer_file_flush(struct observer_file *file, const char *name) {
  if (fflush(file->stream) == 0 && !ferror(file->stream)) return TN_OK;
  return tn_fail(TN_ERROR_IO, "%s: %s", name, strerror(errno));
}

static inline void observer_file_close(struct observer_file *file) {
  if (file->stream) fclose(file->stream);
  file->stream = NULL;
}

static inline tn_status observer_file_state(struct observer_file *file, const tn_visitor *visitor) {
  if (!visitor->loading && file->stream) {
    if (fflush(file->stream) != 0)
      return tn_fail(TN_ERROR_IO, "a log could not be written: %s", strerror(errno));
    file->bytes = (int64_t)ftello(file->stream);
  }
  if (visitor->loading) observer_file_close(file);
  return tn_visit_integer(visitor, "bytes", &file->bytes);
}

#endif
