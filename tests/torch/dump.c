// SPDX-License-Identifier: MIT
/* One call of a model, for comparison with PyTorch (compare.py):
 *
 *   dump init FOLDER    declares section [m] of FOLDER/pipeline.ini and writes FOLDER/initial.safetensors
 *   dump MODE FOLDER    MODE train or evaluate: reads parameters from FOLDER/params.safetensors and fields
 * from FOLDER/fields.safetensors, and writes FOLDER/MODE.safetensors: `output`, the field that
 * FOLDER/spec.txt names; `gradient.NAME`, of sum(output seed); `buffer.NAME`, the new running statistics
 *
 * A line of spec.txt declares a field: NAME DTYPE CLASSES RAGGED RANK SIZES...; the first is the output's
 * name. */
#include "core/pipeline/pipeline.h"
#include "core/tensor/safetensors.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/model.h>

enum { MOST = 1024 };

static int failed(const char *what, const tn_error *error) {
  const char *recorded = tn_context_current()->message;
  fprintf(stderr, "error: %s: %s\n", what, error && *error->text ? error->text : recorded);
  return 1;
}

static void path_of(char *path, size_t bytes, const char *folder, const char *name, const char *ending) {
  snprintf(path, bytes, "%s/%s%s", folder, name, ending);
}

/* The fields of spec.txt, and the output's name. */
static bool read_spec(const char *folder, tn_spec *spec, char *output, size_t bytes) {
  char path[4096], name[64], type[16], format[16];
  path_of(path, sizeof path, folder, "spec", ".txt");
  FILE *file = fopen(path, "r");
  snprintf(format, sizeof format, "%%%zus", bytes - 1);
  bool fine = file && fscanf(file, format, output) == 1;
  long long classes, size;
  int ragged;
  uint32_t rank;
  while (fine && fscanf(file, "%63s %15s %lld %d %u", name, type, &classes, &ragged, &rank) == 5) {
    tn_field_spec field = {
        sizeof field, strcmp(type, "float") == 0 ? TN_FLOAT : TN_I64, {rank, {0}}, classes, ragged};
    for (uint32_t i = 0; i < rank && fine; i++) {
      fine = fscanf(file, "%lld", &size) == 1;
      field.shape.dim[i] = size;
    }
    fine = fine && tn_sdk.data->spec_set(spec, name, &field) >= 0;
  }
  if (file) fclose(file);
  return fine;
}

/* Fields of the file; *seed: the one of that name. */
static tn_fields *read_fields(const char *folder, tn_tensor **seed) {
  char path[4096];
  tn_safetensors *file;
  path_of(path, sizeof path, folder, "fields", ".safetensors");
  if (tn_safetensors_open(path, &file) < 0) return NULL;
  tn_fields *fields = tn_fields_new();
  for (uint32_t i = 0; i < tn_safetensors_count(file); i++) {
    const tn_safetensor *item = tn_safetensors_at(file, i);
    tn_tensor *value = tn_from(item->dtype, item->shape, item->data);
    if (strcmp(item->name, "seed") == 0)
      *seed = value;
    else
      tn_fields_set(fields, item->name, value);
  }
  tn_safetensors_close(file);
  return fields;
}

static void add(tn_safetensor *items, uint32_t *count, const char *prefix, const char *name,
                const tn_tensor *t) {
  static char names[MOST][128];
  snprintf(names[*count], sizeof names[0], "%s%s", prefix, name);
  items[*count] = (tn_safetensor){names[*count], t->dtype, tn_shape_of(t), tn_data(t)};
  ++*count;
}

static bool run(const tn_component *model, const char *folder, const char *mode, const char *output) {
  char path[4096];
  static tn_safetensor items[MOST];
  static tn_buffer_update updates[MOST];
  uint32_t count = 0;
  tn_tensor *seed = NULL;
  tn_params *params = tn_parameters(model);
  path_of(path, sizeof path, folder, "params", ".safetensors");
  if (!params || tn_params_load(params, path) < 0) return false;
  tn_rng rng = tn_rng_at("compare", mode, 0);
  tn_model_call call = {.size = sizeof call,
                        .params = params,
                        .inputs = read_fields(folder, &seed),
                        .outputs = tn_fields_new(),
                        .rng = &rng,
                        .updates = updates};
  call.progress = (tn_progress){.size = sizeof call.progress,
                                .mode = strcmp(mode, "train") == 0 ? TN_TRAIN : TN_EVALUATE};
  tn_params *gradients = tn_params_like(params);
  if (!call.inputs || !seed || !gradients || tn_model_apply(model, &call) < 0) return false;
  tn_tensor *y = tn_field(call.outputs, output);
  if (tn_grad_params(tn_sum(tn_mul(y, seed)), params, gradients) < 0) return false;
  add(items, &count, "", "output", y);
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    const tn_tensor *g = tn_param_tensor(gradients, i);
    tn_params_entry(params, i, &entry);
    if (g) add(items, &count, "gradient.", entry.name, g);
  }
  for (uint32_t u = 0; u < call.update_count; u++) {
    tn_param_entry entry;
    tn_params_entry(params, updates[u].index, &entry);
    add(items, &count, "buffer.", entry.name, updates[u].value);
  }
  path_of(path, sizeof path, folder, mode, ".safetensors");
  const bool saved = tn_safetensors_save(path, items, count) >= 0;
  tn_params_release(gradients);
  return saved;
}

static bool work(const tn_component *model, const char *folder, const char *mode) {
  char output[64], path[4096];
  tn_spec *spec = tn_spec_new();
  const bool declared =
      read_spec(folder, spec, output, sizeof output) && tn_declare_component(model, spec, NULL) >= 0;
  tn_spec_release(spec);
  if (!declared || strcmp(mode, "init") != 0) return declared && run(model, folder, mode, output);
  path_of(path, sizeof path, folder, "initial", ".safetensors");
  const tn_params *params = tn_parameters(model);
  return params && tn_params_save(params, path) >= 0;
}

int main(int argc, char **argv) {
  char path[4096];
  tn_error error = {0};
  if (argc != 3) return failed("usage: dump init|train|evaluate FOLDER", NULL);
  tn_host_start();
  const tn_registry_options places = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
  tn_registry *registry = tn_registry_open(&places, &error);
  if (!registry) return failed("plugins", &error);
  path_of(path, sizeof path, argv[2], "pipeline", ".ini");
  const tn_pipeline_options options = {.file = path, .quiet = true};
  tn_pipeline *pipeline = tn_pipeline_open(registry, &options, &error);
  if (!pipeline) return failed(path, &error);
  tn_scope_open();
  const bool done = work(tn_pipeline_find(pipeline, "m"), argv[2], argv[1]);
  tn_scope_close();
  if (!done) failed(argv[1], NULL);
  tn_pipeline_close(pipeline);
  tn_registry_close(registry);
  return !done;
}
