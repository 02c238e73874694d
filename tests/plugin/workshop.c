// SPDX-License-Identifier: MIT
#include "workshop.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char workshop[64];

void workshop_open(void) {
  char cache[80];
  strcpy(workshop, "/tmp/tenon-plugin-XXXXXX");
  umask(022);
  cr_assert(mkdtemp(workshop) && chdir(workshop) == 0);
  mkdir("plugins", 0755);
  snprintf(cache, sizeof cache, "%s/cache", workshop);
  setenv("XDG_CACHE_HOME", cache, 1);
  setenv("TENON_BUILTIN_PLUGINS", "/nonexistent", 1);
  unsetenv("TENON_PLUGIN_PATH");
  unsetenv("LD_PRELOAD");
  tn_host_start();
}

void workshop_close(void) {
  char command[192];
  snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", workshop, workshop);
  if (chdir("/") != 0 || system(command) != 0) fprintf(stderr, "cannot remove %s\n", workshop);
}

void workshop_run(const char *command, ...) {
  char text[4096];
  va_list arguments;
  va_start(arguments, command);
  vsnprintf(text, sizeof text, command, arguments);
  va_end(arguments);
  cr_assert(system(text) == 0, "failed: %s", text);
}

void workshop_build(const char *file, const char *options) {
  workshop_run("cc -std=c17 -D_POSIX_C_SOURCE=200809L -O0 -w -fPIC -shared -I%s/sdk/include %s "
               "%s/tests/plugin/zoo/tiny.c -o %s",
               TN_SOURCE_ROOT, options, TN_SOURCE_ROOT, file);
}

void workshop_write(const char *file, const void *data, size_t bytes) {
  FILE *out = fopen(file, "wb");
  cr_assert(out && fwrite(data, 1, bytes, out) == bytes && fclose(out) == 0);
}

tn_registry *workshop_registry(const char *path) {
  tn_error error = {0};
  tn_registry *registry = tn_registry_open(&(tn_registry_options){.path = path}, &error);
  cr_assert(registry, "%s", error.text);
  return registry;
}

const char *workshop_refused(const tn_registry *registry) {
  static char text[16384];
  const char *const *lines;
  uint32_t count = tn_registry_refused(registry, &lines);
  text[0] = '\0';
  for (uint32_t i = 0; i < count; i++) {
    const char *line = lines[i];
    if (strncmp(line, "plugins/", 8) == 0) line += 8;
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? "\n" : "", line);
  }
  return text;
}

const char *workshop_refusals(const char *path) {
  tn_registry *registry = workshop_registry(path);
  const char *text = workshop_refused(registry);
  tn_registry_close(registry);
  return text;
}

uint32_t workshop_mapped(const char *part) {
  char line[4096], seen[64][256];
  uint32_t count = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  cr_assert(maps);
  while (fgets(line, sizeof line, maps)) {
    char *path = strchr(line, '/');
    if (!path || !strstr(path, workshop) || !strstr(path, part)) continue;
    path[strcspn(path, "\n")] = '\0';
    uint32_t i = 0;
    while (i < count && strcmp(seen[i], path) != 0) i++;
    if (i == count && count < 64) snprintf(seen[count++], sizeof seen[0], "%s", path);
  }
  fclose(maps);
  return count;
}
