// SPDX-License-Identifier: MIT
/* An optimizer out of its shared object, its parameters bound from INI text: what users get. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/config/bind.h"
#include "core/plugin/registry.h"

static const tn_component *failed(const tn_error *error) {
  fprintf(stderr, "error: %s\n", error->text);
  return NULL;
}

static tn_registry *registry(tn_error *error) {
  static tn_registry *opened;
  const tn_registry_options options = {.path = "", .builtin = TN_BUILD_ROOT "/plugins"};
  if (!opened) opened = tn_registry_open(&options, error);
  return opened;
}

const tn_component *bench_optimizer(const char *name, const char *keys) {
  tn_error error = {0};
  char text[256];
  int bytes = snprintf(text, sizeof text, "[optimizer]\nuse = %s\n%s\n", name, keys);
  tn_config *config = tn_config_parse(text, (size_t)bytes, "bench", NULL, 0, NULL, 0, &error);
  tn_registry *plugins = registry(&error);
  if (!config || !plugins) return failed(&error);
  const tn_class *cls = tn_registry_load(plugins, name, "bench", 2, &error);
  if (!cls) return failed(&error);

  void *self = calloc(1, cls->instance_size);
  tn_component *component = calloc(1, sizeof *component);
  tn_bound *bound = tn_bound_new();
  if (!self || !component || !bound) abort();
  const tn_section *section = tn_config_find(config, "optimizer");
  if (tn_bind(cls, self, section, "optimizer", "bench", 1, NULL, NULL, bound, &error) < 0)
    return failed(&error);
  if (TN_HAS(cls, tn_class, create) && cls->create(self) < 0) return NULL;
  *component = (tn_component){sizeof *component, 1, cls, cls->vtable, self, "optimizer", "", "bench"};
  return component;
}
