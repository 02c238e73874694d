// SPDX-License-Identifier: MIT
#include "core/data/fetch.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Makes a folder and those it lies in. */
static tn_status make_folder(const char *path, tn_error *error) {
  char text[4096];
  snprintf(text, sizeof text, "%s", path);
  for (char *slash = text; slash;) {
    slash = strchr(slash + 1, '/');
    if (slash) *slash = '\0';
    if (mkdir(text, 0777) != 0 && errno != EEXIST)
      return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", text, strerror(errno));
    if (slash) *slash = '/';
  }
  return TN_OK;
}

static bool is_packed(const char *path) {
  unsigned char magic[2] = {0, 0};
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  const bool packed = fread(magic, 1, 2, file) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
  fclose(file);
  return packed;
}

/* Replaces `path` by its gzip form. */
static tn_status pack(const char *path, tn_error *error) {
  char packed[4300];
  tn_format_error reason;
  tn_bytes content;
  snprintf(packed, sizeof packed, "%s.gz", path);
  if (!tn_stream_read(path, 0, &content, &reason))
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s", reason.text);
  gzFile file = gzopen(packed, "wb9");
  bool good = file != NULL;
  for (size_t at = 0; good && at < content.size;) {
    const unsigned piece = content.size - at < 1 << 20 ? (unsigned)(content.size - at) : 1 << 20;
    good = gzwrite(file, content.data + at, piece) == (int)piece;
    at += piece;
  }
  if (file) good = gzclose(file) == Z_OK && good;
  tn_bytes_free(&content);
  if (good && rename(packed, path) == 0) return TN_OK;
  unlink(packed);
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: cannot be written: %s", packed, strerror(errno));
}

static tn_status put_in_place(const char *part, const char *path, tn_error *error) {
  const char *dot = strrchr(path, '.');
  if (dot && strcmp(dot, ".gz") == 0 && !is_packed(part)) {
    const tn_status status = pack(part, error);
    if (status < 0) return status;
  }
  if (rename(part, path) == 0) return TN_OK;
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
}

tn_status tn_set_fetch(const tn_set *set, const tn_set_file *file, const char *folder,
                       tn_download_progress progress, void *context, bool *was_here, tn_error *error) {
  char path[4096], part[4104], url[4096];
  tn_format_error reason;
  snprintf(path, sizeof path, "%s/%s", folder, set->folder);
  tn_status status = make_folder(path, error);
  snprintf(path, sizeof path, "%s/%s/%s", folder, set->folder, file->name);
  snprintf(part, sizeof part, "%s.part", path);
  *was_here = status >= 0 && access(path, R_OK) == 0 && tn_set_file_check(path, file->hash, &reason);
  if (status < 0 || *was_here) return status;
  snprintf(url, sizeof url, "%s%s", set->source, file->remote);
  status = tn_download(url, part, progress, context, error);
  if (status < 0) return status;
  if (!tn_set_file_check(part, file->hash, &reason)) {
    unlink(part);
    return tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s: not the file that was expected: %s", url,
                        strstr(reason.text, ": ") ? strstr(reason.text, ": ") + 2 : reason.text);
  }
  return put_in_place(part, path, error);
}
