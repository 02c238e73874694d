// SPDX-License-Identifier: MIT
/* Where this program or library lies decides where its own plugins are. */
#define _GNU_SOURCE /* dladdr */
#include "core/plugin/search.h"
#include "paths.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the file that this function is in: the tenon command, libtenon.so or a test. */
static char *own_folder(tn_arena *arena) {
  static const char here = 0;
  Dl_info info;
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = '\0';
  if (dladdr(&here, &info) && info.dli_fname && strstr(info.dli_fname, ".so")) {
    char *real = realpath(info.dli_fname, NULL);
    if (real && strlen(real) < sizeof path) memcpy(path, real, strlen(real) + 1);
    free(real);
  }
  char *slash = strrchr(path, '/');
  return slash ? tn_arena_text(arena, path, (size_t)(slash - path)) : NULL;
}

/* The folder without "..", in the arena; NULL: there is none. */
static const char *real_folder(tn_arena *arena, const char *path) {
  struct stat s;
  if (!path || stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) return NULL;
  char *real = realpath(path, NULL);
  char *copy = real ? tn_arena_text(arena, real, strlen(real)) : NULL;
  free(real);
  return copy;
}

#ifdef TN_BUILD_PLUGIN_DIR
/* In the build tree: its folders (a list whose first is BUILD/plugins) if we lie in BUILD. */
static const char *in_build_tree(tn_arena *arena, const char *folder) {
  static const char folders[] = TN_BUILD_PLUGIN_DIR;
  size_t first = strcspn(folders, ":");
  char *root = tn_arena_text(arena, folders, first);
  char *real = root ? realpath(root, NULL) : NULL;
  char *slash = real ? strrchr(real, '/') : NULL;
  bool inside = false;
  if (slash) {
    *slash = '\0';
    size_t length = strlen(real);
    inside = strncmp(folder, real, length) == 0 && (folder[length] == '/' || folder[length] == '\0');
  }
  free(real);
  return inside ? folders : NULL;
}
#endif

/* Installed below some prefix, perhaps another than was configured: the longest end of the configured path
 * that exists above our own folder ("/usr/bin/.." + "/lib/x86_64-linux-gnu/tenon/plugins"). */
static const char *installed(tn_arena *arena, const char *folder) {
  static const char configured[] = TN_INSTALL_PLUGIN_DIR;
  const char *bases[] = {"/..", "/../..", ""};
  for (const char *end = configured; end; end = strchr(end + 1, '/')) {
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
      char *base = tn_arena_join(arena, folder, bases[i]);
      char *path = base ? tn_arena_join(arena, base, end) : NULL;
      const char *real = real_folder(arena, path);
      if (real) return real;
    }
  }
  return configured;
}

const char *tn_search_builtin(tn_arena *arena) {
  const char *override = getenv("TENON_BUILTIN_PLUGINS");
  if (override) return override;
  const char *folder = own_folder(arena);
  if (!folder) return TN_INSTALL_PLUGIN_DIR;
#ifdef TN_BUILD_PLUGIN_DIR
  const char *built = in_build_tree(arena, folder);
  if (built) return built;
#endif
  return installed(arena, folder);
}
