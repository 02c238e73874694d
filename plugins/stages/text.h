// SPDX-License-Identifier: MIT
/* Texts that stages read and leave behind. */
#ifndef TENON_PLUGINS_TEXT_H
#define TENON_PLUGINS_TEXT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tenon/plugin.h>

/* The whole file, which the caller frees; NULL and an error if it cannot be read. */
static inline char *text_read(const char *path) {
  FILE *file = fopen(path, "rb");
  char *text = NULL;
  size_t bytes = 0, got = 1;
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno)), NULL;
  while (got > 0) {
    char *grown = tn_resize(text, bytes + 4096 + 1);
    if (!grown) break;
    text = grown;
    got = fread(text + bytes, 1, 4096, file);
    bytes += got;
    text[bytes] = 0;
  }
  const bool whole = text && got == 0 && !ferror(file);
  fclose(file);
  if (whole) return text;
  tn_free(text);
  return tn_fail(TN_ERROR_IO, "%s: cannot be read", path), NULL;
}

static inline tn_status text_write(const char *artifact, const char *text) {
  const char *path = tn_artifact(artifact);
  if (!path) return TN_ERROR_IO;
  FILE *file = fopen(path, "w");
  if (!file) return tn_fail(TN_ERROR_IO, "%s: %s", path, strerror(errno));
  const bool written = fputs(text, file) >= 0;
  return fclose(file) == 0 && written ? TN_OK : tn_fail(TN_ERROR_IO, "%s: writing failed", path);
}

/* For later stages, for the report, and, where the run has a directory and `artifact` is not empty, as a
 * file. */
static inline tn_status text_publish(const char *name, const char *text, const char *artifact) {
  tn_status status = tn_publish_text(name, text);
  if (status >= 0 && *artifact && tn_run_directory()) status = text_write(artifact, text);
  tn_event event = tn_event_of(TN_EVENT_TEXT, name);
  event.text = text;
  if (status >= 0) tn_emit(&event);
  return status;
}

#endif
