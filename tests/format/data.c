// SPDX-License-Identifier: MIT
#include "tests/format/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/expect.h"

const char *data_path(const char *name) {
  static char path[1024];
  const char *folder = getenv("TENON_DATA");
  if (!folder) cr_skip_test("TENON_DATA is not set");
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (access(path, F_OK) != 0) cr_skip_test("no %s", path);
  return path;
}

static char folder[64];

static void remove_folder(void) {
  char command[96];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", folder);
}

const char *scratch_path(const char *name) {
  static char path[1024];
  if (!folder[0]) {
    strcpy(folder, "/tmp/tenon-format-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    atexit(remove_folder);
  }
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}
