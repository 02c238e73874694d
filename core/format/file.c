// SPDX-License-Identifier: MIT
#include "core/format/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool cannot_write(tn_format_error *error, const char *path, int code) {
  return tn_format_fail(error, path, "cannot write: %s", strerror(code ? code : EIO));
}

static bool write_temporary(const char *temporary, const void *data, size_t size) {
  FILE *output = fopen(temporary, "wb");
  if (!output) return false;
  errno = 0;
  bool ok = fwrite(data, 1, size, output) == size && fflush(output) == 0;
  ok = ok && (fsync(fileno(output)) == 0 || errno == EINVAL); // some file systems cannot
  int code = errno;
  if (fclose(output) != 0 && ok) return false;
  errno = code;
  return ok;
}

bool tn_file_write(const char *path, const void *data, size_t size, tn_format_error *error) {
  size_t capacity = strlen(path) + 40;
  char *temporary = malloc(capacity);
  if (!temporary) return tn_format_fail(error, path, "out of memory");
  snprintf(temporary, capacity, "%s.%ld.tmp", path, (long)getpid());
  bool ok = write_temporary(temporary, data, size) && rename(temporary, path) == 0;
  int code = errno;
  if (!ok) unlink(temporary);
  free(temporary);
  return ok || cannot_write(error, path, code);
}
