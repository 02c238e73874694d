// SPDX-License-Identifier: MIT
#include "core/plugin/library.h"
#include "core/plugin/check.h"
#include "core/plugin/host.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tn_library {
  tn_library *next;
  tn_dylib *dylib; /* the linker gives the same one for the same file */
  uint32_t users;
  tn_plugin plugin;
  tn_class classes[]; /* plugin.class_count */
};

static tn_library *loaded; /* by all hosts of the process */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static tn_status start(const tn_plugin *plugin, tn_error *error) {
  if (!plugin->load) return TN_OK;
  tn_context *context = tn_context_current();
  tn_context_clear(context);
  tn_status status = plugin->load(&tn_host_table);
  if (status != TN_OK)
    tn_error_set(error, status, NULL, 0, "its load function failed%s%s", context->message[0] ? ": " : "",
                 context->message);
  tn_context_clear(context);
  return status;
}

static tn_library *read_library(tn_dylib *dylib, tn_error *error) {
  tn_plugin plugin;
  if (tn_plugin_read(dylib, &plugin, error) != TN_OK) return NULL;
  tn_library *library = calloc(1, sizeof *library + plugin.class_count * sizeof(tn_class));
  if (!library) {
    tn_error_set(error, TN_ERROR_MEMORY, NULL, 0, "out of memory");
    return NULL;
  }
  library->dylib = dylib;
  library->plugin = plugin;
  library->users = 1;
  tn_status status = TN_OK;
  for (uint32_t i = 0; i < plugin.class_count && status == TN_OK; i++)
    status = tn_class_read(&plugin, i, &library->classes[i], error);
  if (status == TN_OK) status = start(&plugin, error);
  if (status == TN_OK) return library;
  free(library);
  return NULL;
}

static tn_library *load(const char *file, tn_error *error) {
  char reason[512];
  tn_dylib *dylib = tn_plugin_open(file, reason, sizeof reason);
  if (!dylib) {
    tn_error_set(error, TN_ERROR_INVALID, NULL, 0, "%s", reason);
    return NULL;
  }
  for (tn_library *l = loaded; l; l = l->next) {
    if (l->dylib != dylib) continue;
    tn_dylib_close(dylib); /* ours is open already */
    l->users++;
    return l;
  }
  tn_library *library = read_library(dylib, error);
  if (!library) {
    tn_dylib_close(dylib);
    return NULL;
  }
  library->next = loaded;
  return loaded = library;
}

tn_library *tn_library_load(const char *file, tn_error *error) {
  tn_error reason = {0};
  pthread_mutex_lock(&lock);
  tn_library *library = load(file, &reason);
  pthread_mutex_unlock(&lock);
  if (!library) tn_error_set(error, reason.status, NULL, 0, "%s: %s", file, reason.text);
  return library;
}

void tn_library_unload(tn_library *library) {
  pthread_mutex_lock(&lock);
  if (--library->users == 0) {
    tn_library **link = &loaded;
    while (*link != library) link = &(*link)->next;
    *link = library->next;
    if (library->plugin.unload) library->plugin.unload();
    tn_dylib_close(library->dylib);
    free(library);
  }
  pthread_mutex_unlock(&lock);
}

const tn_class *tn_library_class(const tn_library *library, const char *kind, const char *name) {
  for (uint32_t i = 0; i < library->plugin.class_count; i++) {
    const tn_class *cls = &library->classes[i];
    if (strcmp(cls->kind, kind) == 0 && strcmp(cls->name, name) == 0) return cls;
  }
  return NULL;
}
