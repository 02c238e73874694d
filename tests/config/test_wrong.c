// SPDX-License-Identifier: MIT
/* Every file in tests/config/wrong is refused with exactly the line in its .expected file. */
#include "../expect.h"
#include "samples.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static void expected_line(const char *ini, char *line, int bytes) {
  char path[300];
  snprintf(path, sizeof path, "%.*s.expected", (int)strlen(ini) - 4, ini);
  FILE *file = fopen(path, "r");
  cr_assert(file, "%s is missing", path);
  cr_assert(fgets(line, bytes, file), "%s is empty", path);
  fclose(file);
  line[strcspn(line, "\n")] = '\0';
}

Test(wrong, every_file_is_refused_with_its_line) {
  char line[2048];
  int count = 0;
  cr_assert(chdir(TN_SOURCE_ROOT "/tests/config/wrong") == 0);
  DIR *folder = opendir(".");
  for (struct dirent *entry; (entry = readdir(folder));) {
    size_t length = strlen(entry->d_name);
    if (length < 5 || strcmp(entry->d_name + length - 4, ".ini") != 0) continue;
    if (entry->d_name[0] == '_') continue; /* included by others */
    expected_line(entry->d_name, line, sizeof line);
    const char *got = sample_check(entry->d_name);
    cr_expect(strcmp(got, line) == 0, "%s\n  expected: %s\n  got:      %s", entry->d_name, line, got);
    count++;
  }
  closedir(folder);
  cr_assert(count >= 30, "only %d files", count);
}
