// SPDX-License-Identifier: MIT
/* From sections to components: making instances, resolving references between them. */
#include "core/pipeline/internal.h"
#include "core/config/memory.h"
#include "core/pipeline/places.h"
#include "core/tensor/guard.h"
#include <stdlib.h>
#include <string.h>
#include <tenon/dataset.h>

tn_status tn_pipeline_failure(tn_pipeline *p, const tn_component *component, const char *function,
                              tn_status status, tn_error *error) {
  tn_context *context = &p->context;
  if (context->status == TN_OK && status >= 0) return status;
  if (context->status != TN_OK && context->failed_in.component) {
    component = context->failed_in.component;
    function = context->failed_in.function;
  }
  if (status >= 0) status = context->status;
  const char *message = context->status != TN_OK ? context->message : "failed without saying why";
  const char *file = component->file && *component->file ? component->file : tn_config_file(p->config);
  char full[128], kind[64];
  tn_kind_short_name(component->cls->kind, kind, sizeof kind);
  snprintf(full, sizeof full, "%s.%s", kind, component->cls->name);
  if (strncmp(component->name, full, strlen(full)) == 0)
    tn_error_set(error, status, file, component->line, "%s %s: %s", full, function, message);
  else
    tn_error_set(error, status, file, component->line, "[%s] %s %s: %s", component->name, full, function,
                 message);
  tn_context_clear(context);
  return status;
}

static void *take_self(const tn_pipeline *p, size_t bytes) {
  if (!p->guarded) return tn_take(bytes);
  void *self = tn_guard_take(bytes, _Alignof(max_align_t));
  return self ? self : tn_take(SIZE_MAX / 2); /* says that memory is out, and ends */
}

static tn_instance *new_instance(tn_pipeline *p, const tn_class *cls, const char *name,
                                 const tn_section *section, const tn_key *key) {
  tn_instance *instance = tn_take(sizeof *instance);
  tn_instance **place = tn_grow(&p->instances, p->instance_count, &p->instance_room, sizeof *place);
  *place = instance;
  p->instance_count++;
  instance->section = section;
  instance->guarded = p->guarded;
  instance->name = tn_copy_text(name);
  instance->part = tn_copy_text("");
  instance->bound = tn_bound_new();
  instance->component = (tn_component){.size = sizeof(tn_component),
                                       .line = section ? section->line
                                               : key   ? key->line
                                                       : 0,
                                       .cls = cls,
                                       .vtable = cls->vtable,
                                       .self = take_self(p, cls->instance_size),
                                       .name = instance->name,
                                       .part = instance->part,
                                       .file = section ? section->file
                                               : key   ? key->file
                                                       : ""};
  tn_box_component(p->box, &instance->component);
  return instance;
}

/* Binds the parameters and runs create. */
static tn_status bring_up(tn_pipeline *p, tn_instance *instance, tn_error *error) {
  tn_component *c = &instance->component;
  if (!instance->bound)
    return tn_error_set(error, TN_ERROR_MEMORY, c->file, c->line, "[%s] out of memory", c->name);
  instance->making = true;
  /* References are resolved with the instance in the call stack: that is how an edge knows where it starts.
   */
  tn_status status = tn_bind(c->cls, c->self, instance->section, c->name, c->file, c->line,
                             tn_instance_resolve, p, instance->bound, error);
  const tn_section *section = instance->section;
  for (uint32_t k = 0; status == TN_OK && section && k < section->key_count; k++)
    status = tn_places_check(p->data, section->name, &section->keys[k], error);
  if (status == TN_OK && TN_HAS(c->cls, tn_class, create)) {
    tn_call_stack *stack = tn_enter(c, "create");
    status = c->cls->create(c->self);
    tn_leave(stack);
    status = tn_pipeline_failure(p, c, "create", status, error);
  }
  instance->making = false;
  return status < 0 ? status : TN_OK;
}

static tn_instance *find(const tn_pipeline *p, const char *name) {
  for (uint32_t i = 0; i < p->instance_count; i++)
    if (!p->instances[i]->owner && strcmp(p->instances[i]->name, name) == 0) return p->instances[i];
  return NULL;
}

/* "net -> head -> net": the instances being made, from the one met again. */
static void circle(const tn_pipeline *p, const tn_instance *again, char *text, size_t bytes) {
  size_t used = 0;
  bool inside = false;
  for (uint32_t i = 0; i < p->instance_count && used < bytes; i++) {
    const tn_instance *at = p->instances[i];
    inside |= at == again;
    if (inside && at->making) used += (size_t)snprintf(text + used, bytes - used, "%s -> ", at->name);
  }
  if (used < bytes) snprintf(text + used, bytes - used, "%s", again->name);
}

tn_instance *tn_instance_of_section(tn_pipeline *p, const tn_section *section, tn_error *error) {
  tn_instance *instance = find(p, section->name);
  if (instance) return instance;
  const tn_key *use = tn_section_find(section, "use");
  if (!use) {
    const char *keys[64];
    uint32_t count = 0;
    for (; count < section->key_count && count < 64; count++) keys[count] = section->keys[count].name;
    const char *near = tn_nearest("use", keys, count);
    tn_error_set(error, TN_ERROR_INVALID, section->file, section->line, "[%s] has no 'use = kind.name'%s%s%s",
                 section->name, near ? "; did you mean 'use' by '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
  }
  const tn_class *cls = tn_registry_load(p->registry, use->value, use->file, use->line, error);
  if (!cls) return NULL;
  instance = new_instance(p, cls, section->name, section, NULL);
  return bring_up(p, instance, error) == TN_OK ? instance : NULL;
}

/* A fresh instance with defaults of the component called `full`, for the reference in `key`. */
static tn_instance *bare(tn_pipeline *p, const char *full, const tn_key *key, tn_error *error) {
  const tn_class *cls = tn_registry_load(p->registry, full, key->file, key->line, error);
  if (!cls) return NULL;
  char name[160];
  snprintf(name, sizeof name, "%s", full);
  for (uint32_t i = 2; find(p, name); i++) snprintf(name, sizeof name, "%s#%u", full, i);
  tn_instance *instance = new_instance(p, cls, name, NULL, key);
  return bring_up(p, instance, error) == TN_OK ? instance : NULL;
}

static tn_instance *part_of(tn_pipeline *p, tn_instance *owner, const char *part) {
  if (!*part) return owner;
  for (uint32_t i = 0; i < p->instance_count; i++)
    if (p->instances[i]->owner == owner && strcmp(p->instances[i]->part, part) == 0) return p->instances[i];
  tn_instance *derived = tn_take(sizeof *derived);
  tn_instance **place = tn_grow(&p->instances, p->instance_count, &p->instance_room, sizeof *place);
  *place = derived;
  p->instance_count++;
  *derived = (tn_instance){.component = owner->component, .owner = owner, .section = owner->section};
  derived->name = tn_copy_text(owner->name);
  derived->part = tn_copy_text(part);
  derived->component.name = derived->name;
  derived->component.part = derived->part;
  tn_box_component(p->box, &derived->component);
  return derived;
}

/* A data set must have the part that a reference names. */
static tn_status check_part(const tn_component *c, const tn_key *key, tn_error *error) {
  if (!*c->part || strcmp(c->cls->kind, TN_DATASET) != 0) return TN_OK;
  const char *parts[32];
  uint32_t count = 0;
  for (; count < 32 && (parts[count] = tn_dataset_part(c, count)) != NULL; count++)
    if (strcmp(parts[count], c->part) == 0) return TN_OK;
  char list[256] = "";
  for (uint32_t i = 0, used = 0; i < count && used < sizeof list; i++)
    used += (uint32_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", parts[i]);
  const char *near = tn_nearest(c->part, parts, count);
  return tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                      "%s = %s:%s: [%s] has no part '%s', it has %s%s%s%s", key->name, c->name, c->part,
                      c->name, c->part, *list ? list : "only one", near ? "; did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
}

const tn_component *tn_instance_resolve(void *context, const char *text, const char *kind, const tn_key *key,
                                        tn_error *error) {
  tn_pipeline *p = context;
  char name[160], part[96] = "";
  const char *colon = strchr(text, ':');
  size_t length = colon ? (size_t)(colon - text) : strlen(text);
  if (length >= sizeof name || (colon && strlen(colon) > sizeof part)) {
    tn_error_set(error, TN_ERROR_INVALID, key->file, key->line, "%s: the name '%.40s...' is too long",
                 key->name, text);
    return NULL;
  }
  memcpy(name, text, length);
  name[length] = 0;
  if (colon) snprintf(part, sizeof part, "%s", colon + 1);

  /* Who asks: the innermost instance that is being made. */
  tn_instance *asking = NULL;
  for (uint32_t i = 0; i < p->instance_count; i++)
    if (p->instances[i]->making) asking = p->instances[i];

  char full[224], wanted[64] = "";
  if (kind) tn_kind_short_name(kind, wanted, sizeof wanted);
  snprintf(full, sizeof full, "%s.%s", wanted, name);
  const tn_section *section = tn_config_find(p->config, name);
  tn_instance *instance;
  if (section) {
    instance = find(p, name);
    if (instance && instance->making) {
      char path[512];
      circle(p, instance, path, sizeof path);
      tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                   "%s = %s: sections refer to each other in a circle: %s", key->name, text, path);
      return NULL;
    }
    instance = tn_instance_of_section(p, section, error);
  } else if (strchr(name, '.')) {
    instance = bare(p, name, key, error);
  } else if (kind && tn_registry_find(p->registry, full)) { /* `metrics = accuracy` means metric.accuracy */
    instance = bare(p, full, key, error);
  } else {
    const char *names[512];
    uint32_t count = 0;
    for (uint32_t i = 0; i < tn_config_count(p->config) && count < 256; i++)
      names[count++] = tn_config_at(p->config, i)->name;
    for (uint32_t i = 0; i < tn_registry_count(p->registry) && count < 512; i++) {
      const tn_registry_item *item = tn_registry_item_at(p->registry, i);
      if (!kind || strcmp(item->kind, kind) == 0) names[count++] = item->name;
    }
    const char *near = tn_nearest(name, names, count);
    tn_error_set(error, TN_ERROR_MISSING, key->file, key->line,
                 "%s = %s: no section or %s is called '%s'%s%s%s", key->name, text,
                 *wanted ? wanted : "component", name, near ? "; did you mean '" : "", near ? near : "",
                 near ? "'?" : "");
    return NULL;
  }
  if (!instance) return NULL;
  const tn_class *cls = instance->component.cls;
  if (kind && strcmp(cls->kind, kind) != 0) {
    char is[64];
    tn_kind_short_name(cls->kind, is, sizeof is);
    if (strcmp(is, wanted) == 0)
      tn_error_set(error, TN_ERROR_INVALID, key->file, key->line, "%s = %s: '%s' is a %s, expected a %s",
                   key->name, text, name, cls->kind, kind);
    else
      tn_error_set(error, TN_ERROR_INVALID, key->file, key->line,
                   "%s = %s: '%s' is a %s (%s.%s), expected a %s", key->name, text, name, is, is, cls->name,
                   wanted);
    return NULL;
  }
  instance = part_of(p, instance, part);
  if (check_part(&instance->component, key, error) != TN_OK) return NULL;
  if (asking) {
    tn_edge *edge = tn_grow(&p->edges, p->edge_count, &p->edge_room, sizeof *edge);
    *edge = (tn_edge){&asking->component, &instance->component, key->name};
    p->edge_count++;
  }
  return &instance->component;
}

static tn_instance *copy_as(tn_pipeline *p, tn_instance *original, const char *name, const char *maker,
                            tn_error *error) {
  tn_instance *instance = new_instance(p, original->component.cls, name, original->section, NULL);
  instance->component.line = original->component.line;
  instance->component.file = original->component.file;
  instance->original = original;
  instance->maker = tn_copy_text(maker);
  original->copies++;
  return bring_up(p, instance, error) == TN_OK ? instance : NULL;
}

tn_instance *tn_instance_copy(tn_pipeline *p, tn_instance *original, tn_error *error) {
  if (original->owner) original = original->owner;
  const tn_call_stack *stack = &p->context.stack;
  const tn_component *asks = stack->depth ? stack->calls[(stack->depth - 1) % TN_CALL_DEPTH].component : NULL;
  const char *maker = asks ? asks->name : "";
  for (uint32_t i = 0; i < p->instance_count; i++) {
    tn_instance *at = p->instances[i];
    if (!at->unclaimed || at->original != original || strcmp(at->maker, maker) != 0) continue;
    at->unclaimed = false;
    return at;
  }
  char name[192];
  uint32_t number = original->copies;
  do snprintf(name, sizeof name, "%s#%u", original->name, ++number);
  while (find(p, name)); /* a bare component may be called so */
  return copy_as(p, original, name, maker, error);
}

tn_status tn_instance_restore(tn_pipeline *p, const char *name, const char *original, const char *maker,
                              tn_error *error) {
  if (find(p, name)) return TN_OK;
  tn_instance *from = find(p, original);
  if (!from)
    return tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "there is no '%s' any more to make '%s' of",
                        original, name);
  tn_instance *instance = copy_as(p, from, name, maker, error);
  if (!instance) return error->status;
  instance->remade = instance->unclaimed = true;
  return TN_OK;
}

void tn_instance_free(tn_instance *instance) {
  if (!instance->owner) {
    const tn_class *cls = instance->component.cls;
    if (TN_HAS(cls, tn_class, destroy)) cls->destroy(instance->component.self);
    tn_params_release(instance->params);
    if (instance->declaration) tn_declaration_free(instance->declaration);
    tn_spec_release(instance->inputs);
    tn_spec_release(instance->outputs);
    (instance->guarded ? tn_guard_give : free)(instance->component.self);
    tn_bound_free(instance->bound);
  }
  free(instance->name);
  free(instance->part);
  free(instance->maker);
  free(instance);
}
