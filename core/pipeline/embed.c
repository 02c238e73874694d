// SPDX-License-Identifier: MIT
#include "core/pipeline/embed.h"
#include "core/config/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

tn_embed *tn_embed_open(const char *plugin_path) {
  tn_host_start();
  tn_embed *host = tn_take(sizeof *host);
  tn_registry_options options = {.path = plugin_path};
  host->registry = tn_registry_open(&options, &host->error);
  return host;
}

void tn_embed_close(tn_embed *host) {
  if (!host) return;
  tn_pipeline_close(host->pipeline);
  if (host->registry) tn_registry_close(host->registry);
  free(host);
}

const char *tn_embed_error(const tn_embed *host) { return host->error.text; }

tn_status tn_embed_run(tn_embed *host, const char *file, const char *const *overrides, uint32_t count,
                       const char *directory) {
  if (!host->registry) return host->error.status;
  tn_pipeline_close(host->pipeline);
  host->error = (tn_error){0};
  tn_pipeline_options options = {
      .file = file, .overrides = overrides, .override_count = count, .directory = directory, .quiet = true};
  host->pipeline = tn_pipeline_open(host->registry, &options, &host->error);
  return host->pipeline ? tn_pipeline_run(host->pipeline, &host->error) : host->error.status;
}

double tn_embed_result(const tn_embed *host, const char *name) {
  const tn_result *results = NULL;
  uint32_t count = host->pipeline ? tn_pipeline_results(host->pipeline, &results) : 0;
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  return NAN;
}

tn_dl_managed *tn_embed_tensor(tn_embed *host, const char *section, const char *name) {
  const tn_component *component = host->pipeline ? tn_pipeline_find(host->pipeline, section) : NULL;
  tn_params *params = component ? tn_pipeline_parameters(host->pipeline, component) : NULL;
  for (uint32_t i = 0; params && i < tn_params_count(params); i++) {
    tn_param_entry entry;
    if (tn_params_entry(params, i, &entry) == TN_OK && strcmp(entry.name, name) == 0)
      return tn_dl_export(entry.tensor);
  }
  tn_error_set(&host->error, TN_ERROR_MISSING, NULL, 0, "no tensor '%s' in section '%s'", name, section);
  return NULL;
}

const char *tn_embed_tensor_name(tn_embed *host, const char *section, uint32_t index) {
  const tn_component *component = host->pipeline ? tn_pipeline_find(host->pipeline, section) : NULL;
  tn_params *params = component ? tn_pipeline_parameters(host->pipeline, component) : NULL;
  tn_param_entry entry;
  if (!params || index >= tn_params_count(params)) return NULL;
  return tn_params_entry(params, index, &entry) == TN_OK ? entry.name : NULL;
}

const char *tn_embed_version(void) { return TN_VERSION; }
