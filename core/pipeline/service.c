// SPDX-License-Identifier: MIT
/* tenon.pipeline/1: declarations, parameters, instances, what is published, facts about the run. */
#include "core/pipeline/internal.h"
#include "core/config/memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tenon/loss.h>
#include <tenon/model.h>
#include <tenon/predictor.h>
#include <tenon/transform.h>

typedef tn_status (*declare_function)(void *self, const tn_spec *inputs, tn_declaration *declaration);

/* A kind of which the host knows nothing declares through the extension TN_DECLARE. */
static declare_function declare_of(const tn_component *c) {
  const char *kind = c->cls->kind;
#define TN_DECLARE_OF(type) \
  TN_HAS((const type *)c->vtable, type, declare) ? ((const type *)c->vtable)->declare : NULL
  if (strcmp(kind, TN_MODEL) == 0) return TN_DECLARE_OF(tn_model);
  if (strcmp(kind, TN_LOSS) == 0) return TN_DECLARE_OF(tn_loss);
  if (strcmp(kind, TN_TRANSFORM) == 0) return TN_DECLARE_OF(tn_transform);
  if (strcmp(kind, TN_PREDICTOR) == 0) return TN_DECLARE_OF(tn_predictor);
#undef TN_DECLARE_OF
  const tn_declarer *declarer = tn_extension(c, TN_DECLARE);
  return declarer ? declarer->declare : NULL;
}

static tn_instance *instance_of(const tn_component *c) {
  tn_instance *instance = (tn_instance *)(uintptr_t)c; /* a handle is the head of its instance */
  return instance->owner ? instance->owner : instance;
}

static void field_text(const tn_field_spec *f, char *text, size_t bytes) {
  size_t used = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < f->shape.ndim && used < bytes; i++)
    used += (size_t)snprintf(text + used, bytes - used, "%s%lld", i ? ", " : "", (long long)f->shape.dim[i]);
}

/* The first difference between two specifications as text; false if there is none. */
static bool differ(const tn_spec *a, const tn_spec *b, char *text, size_t bytes) {
  const char *name;
  for (uint32_t i = 0; i < tn_spec_count(a); i++) {
    const tn_field_spec *x = tn_spec_at(a, i, &name), *y = tn_spec_find(b, name);
    if (!y) return snprintf(text, bytes, "field '%s' is missing", name), true;
    bool same = x->dtype == y->dtype && x->classes == y->classes && x->shape.ndim == y->shape.ndim &&
                memcmp(x->shape.dim, y->shape.dim, x->shape.ndim * sizeof *x->shape.dim) == 0;
    if (same) continue;
    char was[128], is[128];
    field_text(x, was, sizeof was);
    field_text(y, is, sizeof is);
    if (x->classes != y->classes)
      snprintf(text, bytes, "'%s' had %lld classes, now %lld", name, (long long)x->classes,
               (long long)y->classes);
    else
      snprintf(text, bytes, "'%s' was (%s), now (%s)", name, was, is);
    return true;
  }
  return false;
}

/* Runs the component's declaration; NULL, with a recorded error, if it fails. */
static tn_declaration *run_declaration(const tn_component *c, const tn_spec *inputs, bool *later,
                                       tn_status *status) {
  tn_pipeline *p = tn_pipeline_current();
  tn_declaration *declaration = tn_declaration_new();
  declare_function function = declare_of(c);
  p->declare_later = false;
  *status = TN_OK;
  if (function) {
    tn_call_stack *stack = tn_enter(c, "declare");
    *status = function(c->self, inputs, declaration);
    /* A failure that the function did not return is still a failure. */
    if (*status >= 0 && tn_failed()) *status = TN_ERROR_INVALID;
    if (*status < 0) *status = tn_fail(*status, "the declaration failed without saying why");
    tn_leave(stack);
  }
  *later = p->declare_later;
  if (*status >= 0) return declaration;
  tn_declaration_free(declaration);
  return NULL;
}

static tn_status declare(const tn_component *c, const tn_spec *inputs, const tn_spec **outputs) {
  tn_instance *instance = instance_of(c);
  if (instance->declaration) {
    char text[320];
    if (differ(instance->inputs, inputs, text, sizeof text))
      return tn_fail(TN_ERROR_SHAPE, "'%s' is used with two kinds of data: %s", c->name, text);
    if (outputs) *outputs = instance->outputs;
    return TN_OK;
  }
  tn_status status;
  tn_declaration *declaration = run_declaration(c, inputs, &instance->later, &status);
  if (!declaration) return status;
  instance->declaration = declaration;
  instance->inputs = tn_spec_clone(inputs);
  instance->outputs = tn_spec_clone(inputs);
  const tn_spec *more = tn_declaration_outputs(declaration);
  for (uint32_t i = 0; more && i < tn_spec_count(more); i++) {
    const char *name;
    const tn_field_spec *field = tn_spec_at(more, i, &name);
    tn_sdk.data->spec_set(instance->outputs, name, field);
  }
  if (outputs) *outputs = instance->outputs;
  return TN_OK;
}

static tn_status declare_later(void) {
  tn_pipeline_current()->declare_later = true;
  return TN_OK;
}

/* Makes up for a declaration that had to wait. */
static tn_status declare_now(tn_instance *instance) {
  tn_status status;
  tn_declaration *declaration =
      run_declaration(&instance->component, instance->inputs, &instance->later, &status);
  if (!declaration) return status;
  if (instance->later) {
    tn_declaration_free(declaration);
    return tn_fail(TN_ERROR_MISSING, "'%s' depends on a result that no stage has published yet",
                   instance->name);
  }
  tn_declaration_free(instance->declaration);
  instance->declaration = declaration;
  return TN_OK;
}

static tn_params *parameters(const tn_component *c) {
  tn_instance *instance = instance_of(c);
  if (!instance->declaration) {
    tn_fail(TN_ERROR_INTERNAL, "the parameters of '%s' are asked for, but no stage declared it", c->name);
    return NULL;
  }
  if (instance->later && declare_now(instance) < 0) return NULL;
  if (instance->params && !instance->restored) return instance->params;
  tn_params *params = tn_params_create(instance->declaration, instance->name);
  if (params && instance->restored && tn_params_copy(params, instance->params) < 0) {
    tn_params_release(params);
    return NULL;
  }
  tn_params_release(instance->params);
  instance->restored = false;
  return instance->params = params;
}

static tn_status initialise(const tn_component *c) {
  tn_instance *instance = instance_of(c);
  tn_params *live = parameters(c);
  if (!live) return TN_ERROR_MISSING;
  tn_params *fresh = tn_params_create(instance->declaration, instance->name);
  const tn_status status = fresh ? tn_params_copy(live, fresh) : TN_ERROR_MEMORY;
  tn_params_release(fresh);
  return status;
}

static const tn_component *instantiate(const tn_component *c) {
  tn_error error = {0};
  tn_instance *copy = tn_instance_copy(tn_pipeline_current(), instance_of(c), &error);
  if (!copy) tn_fail(error.status, "%s", error.text);
  return copy ? &copy->component : NULL;
}

static uint64_t seed(void) { return (uint64_t)tn_pipeline_current()->seed; }
static void use_seed(uint64_t seed) { tn_engine_use_seed(tn_pipeline_current()->engine, seed); }
static tn_dtype precision(void) { return tn_pipeline_current()->precision; }
static const char *directory(void) {
  const tn_pipeline *p = tn_pipeline_current();
  return p->running ? tn_run_directory_of(p) : NULL;
}
static bool smoke(void) { return tn_pipeline_current()->smoke; }

static tn_published *published(const tn_component *stage, const char *name) {
  for (tn_published *at = tn_pipeline_current()->published; at; at = at->next)
    if (instance_of(at->stage) == instance_of(stage) && strcmp(at->name, name) == 0) return at;
  return NULL;
}

tn_published *tn_pipeline_publish(tn_pipeline *p, const tn_component *stage, const char *name) {
  tn_published *item = published(stage, name);
  if (item) return item;
  item = tn_take(sizeof *item);
  item->stage = stage;
  item->name = tn_copy_text(name);
  item->next = p->published;
  return p->published = item;
}

/* The entry of the stage that runs, emptied. */
static tn_published *publish(const char *name) {
  tn_pipeline *p = tn_pipeline_current();
  if (!p->stage) {
    tn_fail(TN_ERROR_INTERNAL, "'%s' is published outside a stage", name);
    return NULL;
  }
  tn_published *item = tn_pipeline_publish(p, p->stage, name);
  free(item->text);
  tn_params_release(item->params);
  item->text = NULL;
  item->params = NULL;
  return item;
}

static tn_status publish_text(const char *name, const char *text) {
  tn_published *item = publish(name);
  if (!item) return TN_ERROR_INTERNAL;
  item->text = tn_copy_text(text);
  return TN_OK;
}

static const char *text_of(const tn_component *stage, const char *name) {
  tn_published *item = published(stage, name);
  return item ? item->text : NULL;
}

static tn_status publish_params(const char *name, const tn_params *params) {
  tn_params *clone = tn_params_clone(params);
  tn_published *item = clone ? publish(name) : NULL;
  if (!item) {
    tn_params_release(clone);
    return TN_ERROR_MEMORY;
  }
  item->params = clone;
  return TN_OK;
}

static const tn_params *params_of(const tn_component *stage, const char *name) {
  tn_published *item = published(stage, name);
  return item ? item->params : NULL;
}

static const char *artifact(const char *name) {
  tn_pipeline *p = tn_pipeline_current();
  const char *directory_of_run = directory();
  if (!directory_of_run) {
    tn_fail(TN_ERROR_IO, "'%s' cannot be written: this run has no directory", name);
    return NULL;
  }
  if (strstr(name, "..") || *name == '/') {
    tn_fail(TN_ERROR_INVALID, "'%s' leaves the run directory", name);
    return NULL;
  }
  snprintf(p->artifact, sizeof p->artifact, "%s/artifacts", directory_of_run);
  if (mkdir(p->artifact, 0777) != 0 && errno != EEXIST) {
    tn_fail(TN_ERROR_IO, "%s: %s", p->artifact, strerror(errno));
    return NULL;
  }
  snprintf(p->artifact, sizeof p->artifact, "%s/artifacts/%s", directory_of_run, name);
  return p->artifact;
}

const tn_pipeline_service tn_pipeline_table = {
    .size = sizeof(tn_pipeline_service),
    .declare = declare,
    .parameters = parameters,
    .instantiate = instantiate,
    .seed = seed,
    .precision = precision,
    .directory = directory,
    .smoke = smoke,
    .publish_text = publish_text,
    .text = text_of,
    .publish_params = publish_params,
    .params = params_of,
    .artifact = artifact,
    .declare_later = declare_later,
    .parallel = tn_pipeline_parallel,
    .initialise = initialise,
    .use_seed = use_seed,
};
