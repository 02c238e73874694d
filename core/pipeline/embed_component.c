// SPDX-License-Identifier: MIT
/* A loss or an optimizer on arrays of the caller: a pipeline of components alone, entered for each call. */
#include "core/config/memory.h"
#include "core/pipeline/embed.h"
#include "core/pipeline/internal.h"
#include "core/report/text.h"
#include "core/tensor/engine.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/loss.h>
#include <tenon/optimizer.h>

static const char section[] = "component"; /* in which it is */

struct tn_embed_component {
  tn_embed *host;
  tn_pipeline *pipeline;
  const tn_component *component;
  tn_params *params, *gradients; /* of an optimizer, from its first step on */
  int64_t step;
};

/* What the thread worked on before. */
typedef struct place {
  tn_engine *engine;
  tn_context *context;
} place;

static place enter(tn_embed_component *c) {
  return (place){tn_engine_enter(c->pipeline->engine), tn_context_enter(&c->pipeline->context)};
}
static void leave(place before) {
  tn_context_enter(before.context);
  tn_engine_enter(before.engine);
}

/* Ends a call: what was recorded becomes the host's error. */
static tn_status finish(tn_embed_component *c, place before, const char *function, tn_status status) {
  status = tn_pipeline_failure(c->pipeline, c->component, function, status, &c->host->error);
  leave(before);
  return status < 0 ? status : TN_OK;
}

/* ---- making ---- */

static char *pipeline_text(const char *name, const char *const *settings, uint32_t count) {
  tn_text text = {0};
  tn_text_printf(&text, "[pipeline]\nobservers =\n[%s]\nuse = %s\n", section, name);
  for (uint32_t i = 0; i < count; i++) {
    const size_t key = strcspn(settings[i], "=");
    if (!memchr(settings[i], '.', key)) tn_text_printf(&text, "%s\n", settings[i]);
  }
  return tn_text_take(&text);
}

static tn_pipeline *open_components(tn_embed *host, const char *name, const char *const *settings,
                                    uint32_t count) {
  const char **others = tn_take((count + 1) * sizeof *others);
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++)
    if (memchr(settings[i], '.', strcspn(settings[i], "="))) others[n++] = settings[i];
  char *text = pipeline_text(name, settings, count);
  const tn_pipeline_options options = {.file = "component",
                                       .text = text,
                                       .overrides = others,
                                       .override_count = n,
                                       .quiet = true,
                                       .components = true};
  tn_pipeline *pipeline = tn_pipeline_open(host->registry, &options, &host->error);
  free(text);
  free(others);
  return pipeline;
}

tn_embed_component *tn_embed_make(tn_embed *host, const char *name, const char *const *settings,
                                  uint32_t count) {
  if (!host->registry) return NULL;
  host->error = (tn_error){0};
  for (uint32_t i = 0; i <= count; i++) {
    const char *text = i < count ? settings[i] : name;
    if (!strchr(text, '\n') && (i == count || strchr(text, '='))) continue;
    tn_error_set(&host->error, TN_ERROR_INVALID, NULL, 0, "'%s': expected %s in one line", text,
                 i < count ? "key=value" : "a name");
    return NULL;
  }
  tn_pipeline *pipeline = open_components(host, name, settings, count);
  if (!pipeline) return NULL;
  tn_embed_component *c = tn_take(sizeof *c);
  *c = (tn_embed_component){.host = host, .pipeline = pipeline};
  c->component = tn_pipeline_find(pipeline, section);
  leave((place){pipeline->former_engine, pipeline->former_context});
  return c;
}

void tn_embed_free(tn_embed_component *c) {
  if (!c) return;
  const place before = enter(c);
  tn_params_release(c->params);
  tn_params_release(c->gradients);
  tn_pipeline_close(c->pipeline);
  leave(before);
  free(c);
}

/* ---- arrays ---- */

static tn_status type_of(const tn_embed_array *array, tn_dtype *dtype) {
  static const tn_dl_type types[] = {{2, 32, 1}, {2, 64, 1}, {0, 64, 1}, {0, 32, 1}, {1, 8, 1}, {6, 8, 1}};
  const tn_dl_type *type = &array->value.dtype;
  for (*dtype = 0; *dtype < 6; (*dtype)++)
    if (types[*dtype].code == type->code && types[*dtype].bits == type->bits && type->lanes == 1) break;
  if (*dtype == 6)
    return tn_fail(TN_ERROR_INVALID, "'%s' has a type of code %d and %d bits, which tensors have not",
                   array->name, type->code, type->bits);
  if (array->value.ndim < 0 || array->value.ndim > TN_MAX_DIMS)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %d axes, at most %d are possible", array->name,
                   array->value.ndim, TN_MAX_DIMS);
  return TN_OK;
}

static tn_shape shape_of(const tn_dl_tensor *t, int32_t first) {
  tn_shape shape = {.ndim = (uint32_t)(t->ndim - first)};
  for (int32_t d = first; d < t->ndim; d++) shape.dim[d - first] = t->shape[d];
  return shape;
}

static const void *data_of(const tn_embed_array *array) {
  return (const char *)array->value.data + array->value.byte_offset;
}

/* ---- a loss ---- */

static tn_status is_a(const tn_embed_component *c, const char *kind) {
  if (strcmp(c->component->cls->kind, kind) == 0) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "it is of kind %s, expected %s", c->component->cls->kind, kind);
}

static tn_status declare(const tn_embed_component *c, const tn_embed_array *fields, uint32_t count) {
  tn_spec *spec = tn_spec_new();
  tn_status status = spec ? TN_OK : TN_ERROR_MEMORY;
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    tn_dtype dtype;
    status = type_of(&fields[i], &dtype);
    if (status >= 0 && fields[i].value.ndim == 0)
      status = tn_fail(TN_ERROR_SHAPE, "'%s' has no axis of samples", fields[i].name);
    if (status < 0) break;
    const bool is_float = dtype == tn_engine_precision(c->pipeline->engine);
    status = tn_spec_set(spec, fields[i].name, is_float ? TN_FLOAT : dtype, shape_of(&fields[i].value, 1),
                         fields[i].classes);
  }
  if (status >= 0) status = tn_declare_component(c->component, spec, NULL);
  tn_spec_release(spec);
  return status;
}

static tn_status evaluate(const tn_embed_component *c, const tn_embed_array *arrays, uint32_t count,
                          double *value) {
  tn_tensor **wanted = tn_take((count + 1) * sizeof *wanted),
            **gradients = tn_take((count + 1) * sizeof *wanted);
  tn_fields *fields = tn_fields_new();
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++) {
    tn_dtype dtype;
    if (type_of(&arrays[i], &dtype) < 0) break;
    tn_tensor *t = tn_from(dtype, shape_of(&arrays[i].value, 0), data_of(&arrays[i]));
    if (arrays[i].gradient) wanted[n++] = t = tn_leaf(t);
    tn_fields_set(fields, arrays[i].name, t);
  }
  tn_rng rng = tn_rng_at(c->component->name, "train", (uint64_t)c->step);
  tn_params *params = tn_parameters(c->component);
  const tn_loss_call call = {.size = sizeof call,
                             .params = params && tn_params_count(params) > 0 ? params : NULL,
                             .fields = fields,
                             .progress = {.size = sizeof call.progress, .mode = TN_TRAIN, .step = c->step},
                             .rng = &rng,
                             .batch = fields};
  tn_tensor *loss = tn_failed() ? NULL : tn_loss_value(c->component, &call);
  if (!tn_failed()) *value = tn_item(loss);
  if (!tn_failed() && n > 0) tn_grad(loss, wanted, n, gradients, 0);
  n = 0;
  for (uint32_t i = 0; i < count && !tn_failed(); i++) {
    if (!arrays[i].gradient) continue;
    const tn_tensor *g = gradients[n++];
    if (!tn_poisoned(g)) memcpy(arrays[i].gradient, tn_data(g), (size_t)tn_numel(g) * (g->dl.dtype.bits / 8));
  }
  free(wanted);
  free(gradients);
  return tn_outcome();
}

tn_status tn_embed_loss(tn_embed_component *c, const tn_embed_array *fields, uint32_t count, double *value) {
  const place before = enter(c);
  c->host->error = (tn_error){0};
  tn_scope_open();
  tn_status status = is_a(c, TN_LOSS);
  if (status >= 0) status = declare(c, fields, count);
  const bool recording = tn_record(true);
  if (status >= 0) status = evaluate(c, fields, count, value);
  tn_record(recording);
  tn_scope_close();
  if (status >= 0) c->step++;
  return finish(c, before, "value", status);
}

/* ---- an optimizer ---- */

static tn_status begin(tn_embed_component *c, const tn_embed_array *arrays, uint32_t count) {
  tn_param_layout *entries = tn_take((count + 1) * sizeof *entries);
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    const tn_shape shape = shape_of(&arrays[i].value, 0);
    entries[i] = (tn_param_layout){.name = arrays[i].name,
                                   .group = shape.ndim > 1 ? TN_DECAY : TN_NO_DECAY,
                                   .dtype = tn_engine_precision(c->pipeline->engine),
                                   .shape = shape};
  }
  c->params = tn_params_build(entries, count);
  free(entries);
  c->gradients = c->params ? tn_params_like(c->params) : NULL;
  if (!c->gradients) return TN_ERROR_MEMORY;
  return tn_optimizer_begin(c->component, c->params);
}

static tn_status check_array(const tn_embed_component *c, const tn_embed_array *array, uint32_t index) {
  tn_dtype dtype;
  const tn_dtype precision = tn_engine_precision(c->pipeline->engine);
  if (type_of(array, &dtype) < 0) return TN_ERROR_INVALID;
  if (dtype != precision)
    return tn_fail(TN_ERROR_INVALID, "'%s': expected %s, the precision of the pipeline", array->name,
                   precision == TN_F64 ? "float64" : "float32");
  if (!array->gradient) return tn_fail(TN_ERROR_INVALID, "'%s' has no gradient", array->name);
  tn_param_entry entry;
  if (!c->params) return TN_OK;
  tn_params_entry(c->params, index, &entry);
  const tn_shape is = shape_of(&array->value, 0), was = tn_shape_of(entry.tensor);
  if (strcmp(entry.name, array->name) == 0 && is.ndim == was.ndim &&
      memcmp(is.dim, was.dim, is.ndim * sizeof *is.dim) == 0)
    return TN_OK;
  return tn_fail(TN_ERROR_SHAPE, "'%s' is not parameter %u of the first step, '%s', or has another shape",
                 array->name, index + 1, entry.name);
}

static tn_status take_step(tn_embed_component *c, const tn_embed_array *arrays, uint32_t count, double loss,
                           double schedule) {
  tn_status status = is_a(c, TN_OPTIMIZER);
  if (status >= 0 && c->params && count != tn_params_count(c->params))
    status =
        tn_fail(TN_ERROR_SHAPE, "%u parameters, the first step had %u", count, tn_params_count(c->params));
  for (uint32_t i = 0; status >= 0 && i < count; i++) status = check_array(c, &arrays[i], i);
  if (status >= 0 && !c->params) status = begin(c, arrays, count);
  if (status < 0) return status;
  for (uint32_t i = 0; i < count; i++) {
    tn_tensor *value = tn_param_tensor(c->params, i);
    const size_t bytes = (size_t)tn_numel(value) * (value->dl.dtype.bits / 8);
    memcpy(tn_data(value), data_of(&arrays[i]), bytes);
    memcpy(tn_data(tn_param_tensor(c->gradients, i)), arrays[i].gradient, bytes);
  }
  const tn_optimizer_step step = {.size = sizeof step,
                                  .params = c->params,
                                  .gradient = c->gradients,
                                  .loss = loss,
                                  .schedule = schedule,
                                  .step = c->step + 1};
  status = tn_optimizer_update(c->component, &step);
  for (uint32_t i = 0; status >= 0 && i < count; i++) {
    const tn_tensor *value = tn_param_tensor(c->params, i);
    memcpy((char *)(uintptr_t)data_of(&arrays[i]), tn_data(value),
           (size_t)tn_numel(value) * (value->dl.dtype.bits / 8));
  }
  return status;
}

tn_status tn_embed_step(tn_embed_component *c, const tn_embed_array *params, uint32_t count, double loss,
                        double schedule) {
  const place before = enter(c);
  c->host->error = (tn_error){0};
  tn_scope_open();
  const bool recording = tn_record(false);
  const tn_status status = take_step(c, params, count, loss, schedule);
  tn_record(recording);
  tn_scope_close();
  if (status >= 0 && !tn_failed()) c->step++;
  return finish(c, before, "step", status);
}
