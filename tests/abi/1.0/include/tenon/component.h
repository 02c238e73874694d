// SPDX-License-Identifier: MIT
/* Component classes (what a plugin offers) and components (what a pipeline section makes of them).
 *
 * Life of an instance, all [main]: the host allocates `instance_size` zeroed bytes, writes the parameters
 * (schema.h), calls `create`, lets other components use it through its kind's table, and calls `destroy`
 * once. `destroy` also runs after a failed `create`. The host frees the bytes. */
#ifndef TENON_COMPONENT_H
#define TENON_COMPONENT_H

#include <tenon/abi.h>
#include <tenon/schema.h>

typedef struct tn_tensor tn_tensor;
typedef struct tn_params tn_params;

/* Names everything of an instance that must survive: the host saves, loads, hashes and compares with the same
 * function. Call one function for each item, always in the same order and with the same names.
 * Saving: the pointer is only read. Loading: the value behind it is replaced; a tensor or parameter set that
 * is NULL is created, one that exists must have the saved shape and is overwritten in place; a text or block
 * is replaced by one that the host allocated with tn_alloc (log.h), the old one is freed by tn_free. Each
 * function returns a status; the first failure may be ignored: it sticks, and the host reports it. NULL is
 * saved as such. On resume a state is loaded into a fresh instance, or one that a stage has begun with, and
 * may be loaded twice, before and after the stage's begin. [main] */
typedef struct tn_visitor tn_visitor;
struct tn_visitor {
  uint32_t size;
  bool loading; /* values are being replaced: derived data must be rebuilt afterwards */
  tn_status (*boolean)(const tn_visitor *visitor, const char *name, bool *value);
  tn_status (*integer)(const tn_visitor *visitor, const char *name, int64_t *value);
  tn_status (*real)(const tn_visitor *visitor, const char *name, double *value);
  tn_status (*text)(const tn_visitor *visitor, const char *name, char **value);
  tn_status (*block)(const tn_visitor *visitor, const char *name, void **data, size_t *bytes);
  tn_status (*tensor)(const tn_visitor *visitor, const char *name, tn_tensor **value);
  tn_status (*params)(const tn_visitor *visitor, const char *name, tn_params **value);
};
static inline tn_status tn_visit_boolean(const tn_visitor *v, const char *name, bool *value) {
  return v->boolean(v, name, value);
}
static inline tn_status tn_visit_integer(const tn_visitor *v, const char *name, int64_t *value) {
  return v->integer(v, name, value);
}
static inline tn_status tn_visit_real(const tn_visitor *v, const char *name, double *value) {
  return v->real(v, name, value);
}
static inline tn_status tn_visit_text(const tn_visitor *v, const char *name, char **value) {
  return v->text(v, name, value);
}
static inline tn_status tn_visit_block(const tn_visitor *v, const char *name, void **data, size_t *bytes) {
  return v->block(v, name, data, bytes);
}
static inline tn_status tn_visit_tensor(const tn_visitor *v, const char *name, tn_tensor **value) {
  return v->tensor(v, name, value);
}
static inline tn_status tn_visit_params(const tn_visitor *v, const char *name, tn_params **value) {
  return v->params(v, name, value);
}

/* A class: constant, in the plugin's memory. REQUIRED: size to summary, instance_size, vtable.
 * OPTIONAL: reference, params, create (default: nothing), destroy (nothing), state (no state), extension
 * (none). */
struct tn_class {
  uint32_t size;
  uint32_t flags;        /* 0 */
  const char *kind;      /* id of its kind: TN_OPTIMIZER, "acme.fusion/1" */
  const char *name;      /* [a-z0-9_]+; with the kind's short name it makes the INI name: optimizer.lion */
  const char *summary;   /* one line */
  const char *reference; /* literature */
  const tn_param *params;
  uint32_t param_count;
  uint32_t param_size;  /* stride of params: sizeof(tn_param) */
  size_t instance_size; /* of the struct behind self */
  const void *vtable;   /* the kind's table; begins with its size */
  tn_status (*create)(void *self);
  void (*destroy)(void *self);
  tn_status (*state)(void *self, const tn_visitor *visitor);
  /* A further table that this kind or another plugin defines ("tenon.problem.blocks/1"); NULL if not offered.
   */
  const void *(*extension)(void *self, const char *id);
};
#define TN_CLASS_PARAMS(array) \
  .params = array, .param_count = TN_ARRAY_LENGTH(array), .param_size = sizeof(tn_param)

/* A live instance as other components see it. Made and owned by the host; lives until the pipeline ends. */
struct tn_component {
  uint32_t size;
  uint32_t line; /* of its section in `file`; 0 if it was made from a bare name */
  const tn_class *cls;
  const void *vtable; /* cls->vtable */
  void *self;
  const char *name; /* of the section, or the component name */
  const char *part; /* what follows the colon in a reference (`digits:test`); "" if nothing does */
  const char *file; /* the pipeline file; "" if there is none */
};

/* The extension table `id` of a component, or NULL. [main] */
static inline const void *tn_extension(const tn_component *component, const char *id) {
  const tn_class *cls = component->cls;
  return TN_HAS(cls, tn_class, extension) ? cls->extension(component->self, id) : NULL;
}

#endif
