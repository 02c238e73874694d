// SPDX-License-Identifier: MIT
#include "component.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/config/bind.h"
#include "core/plugin/host.h"
#include "core/tensor/engine.h"

static const tn_plugin *plugin;
static char folder[512];
static tn_error error;

const char *foreign_folder(void) { return folder; }
const char *foreign_message(void) {
  const char *recorded = tn_context_current()->message;
  return *recorded ? recorded : error.text;
}

/* Tests run in processes of their own, several at once: the first one compiles, the others find the file. */
static void compile(const char *name, const char *source) {
  char command[2048];
  const char *compiler = getenv("CC") ? getenv("CC") : "cc";
  snprintf(
      command, sizeof command,
      "cd %s && { test %s.so -nt %s/%s || { %s -O1 -shared -fPIC -o %s.$$ %s/%s -lm && mv %s.$$ %s.so; }; }",
      folder, name, TN_SOURCE_ROOT, source, compiler, name, TN_SOURCE_ROOT, source, name, name);
  cr_assert(system(command) == 0, "%s", command);
}

void foreign_start(void) {
  tn_host_start();
  tn_engine_enter(tn_engine_create(1, TN_F64));
  tn_scope_open();
  snprintf(folder, sizeof folder, "%s/foreign-libraries", TN_BUILD_ROOT);
  mkdir(folder, 0755);
  compile("functions", "examples/foreign/functions.c");
  compile("odd", "tests/foreign/library/odd.c");
  void *library = dlopen(TN_BUILD_ROOT "/plugins/foreign/foreign.so", RTLD_NOW | RTLD_LOCAL);
  cr_assert(library != NULL, "%s", dlerror());
  plugin = dlsym(library, TN_ENTRY_SYMBOL);
  cr_assert(plugin != NULL && plugin->load(&tn_host_table) == TN_OK);
}

static const tn_class *find_class(const char *kind) {
  char id[64];
  snprintf(id, sizeof id, "tenon.%s/1", kind);
  for (uint32_t i = 0; i < plugin->class_count; i++)
    if (!strcmp(plugin->classes[i]->kind, id)) return plugin->classes[i];
  cr_assert_fail("no class of kind %s", id);
  return NULL;
}

/* A component and what it stands on. */
typedef struct made {
  tn_component component;
  tn_config *config;
  tn_bound *bound;
} made;

/* `section` under a heading, with @ replaced. */
static char *make_file(const char *section) {
  size_t bytes = strlen(section) + 16 * sizeof folder;
  char *text = calloc(1, bytes);
  cr_assert(text != NULL);
  strcpy(text, "[foreign]\n");
  for (const char *c = section; *c; c++) {
    if (*c == '@')
      strcat(text, folder);
    else
      strncat(text, c, 1);
  }
  return text;
}

void foreign_drop(const tn_component *component) {
  made *m = (made *)component;
  m->component.cls->destroy(m->component.self);
  free(m->component.self);
  tn_bound_free(m->bound);
  tn_config_free(m->config);
  free(m);
}

const tn_component *foreign_make(const char *kind, const char *section) {
  tn_context_clear(tn_context_current());
  error = (tn_error){0};
  made *m = calloc(1, sizeof *m);
  char *text = make_file(section);
  m->config = tn_config_parse(text, strlen(text), "t.ini", NULL, 0, NULL, 0, &error);
  free(text);
  cr_assert(m->config != NULL, "%s", error.text);
  const tn_class *cls = find_class(kind);
  m->bound = tn_bound_new();
  m->component = (tn_component){.size = sizeof m->component,
                                .cls = cls,
                                .vtable = cls->vtable,
                                .self = calloc(1, cls->instance_size),
                                .name = "foreign",
                                .part = "",
                                .file = "t.ini"};
  tn_status status = tn_bind(cls, m->component.self, tn_config_find(m->config, "foreign"), "foreign", "t.ini",
                             1, NULL, NULL, m->bound, &error);
  if (status == TN_OK) status = cls->create(m->component.self);
  if (status == TN_OK) return &m->component;
  foreign_drop(&m->component);
  return NULL;
}
