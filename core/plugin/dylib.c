// SPDX-License-Identifier: MIT
#include "core/plugin/dylib.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The linker's messages begin with the name of the file, which the caller says already. */
static const char *without_name(const char *message, const char *file) {
  size_t length = strlen(file);
  if (strncmp(message, file, length) == 0 && strncmp(message + length, ": ", 2) == 0)
    return message + length + 2;
  return message;
}

tn_dylib *tn_dylib_system(const char *name, char *reason, size_t bytes) {
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (handle) return handle;
  const char *message = dlerror();
  message = message ? without_name(message, name) : "unknown reason";
  bool foreign = strstr(message, "ELF") || strstr(message, "file too short");
  snprintf(reason, bytes, foreign ? "not a shared object (%s)" : "cannot be loaded (%s)", message);
  return NULL;
}

tn_dylib *tn_dylib_open(const char *file, char *reason, size_t bytes) {
  char path[4096];
  /* A name without a slash would be searched for in the system's folders. */
  int length = snprintf(path, sizeof path, "%s%s", strchr(file, '/') ? "" : "./", file);
  if (length < 0 || (size_t)length >= sizeof path) {
    snprintf(reason, bytes, "its name is too long");
    return NULL;
  }
  return tn_dylib_system(path, reason, bytes);
}

const void *tn_dylib_symbol(tn_dylib *library, const char *name) { return dlsym(library, name); }

void tn_dylib_close(tn_dylib *library) { dlclose(library); }
