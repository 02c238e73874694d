// SPDX-License-Identifier: MIT
#include "core/pipeline/measure.h"
#include "core/pipeline/internal.h"
#include <string.h>
#include <sys/resource.h>
#include <tenon/optimizer.h>

/* A visitor that saves nothing and adds up the tensors' bytes. */
typedef struct counter {
  tn_visitor visitor; /* first */
  size_t bytes;
} counter;

static tn_status skip_boolean(const tn_visitor *v, const char *name, bool *value) {
  return (void)v, (void)name, (void)value, TN_OK;
}
static tn_status skip_integer(const tn_visitor *v, const char *name, int64_t *value) {
  return (void)v, (void)name, (void)value, TN_OK;
}
static tn_status skip_real(const tn_visitor *v, const char *name, double *value) {
  return (void)v, (void)name, (void)value, TN_OK;
}
static tn_status skip_text(const tn_visitor *v, const char *name, char **value) {
  return (void)v, (void)name, (void)value, TN_OK;
}
static tn_status skip_block(const tn_visitor *v, const char *name, void **data, size_t *bytes) {
  return (void)v, (void)name, (void)data, (void)bytes, TN_OK;
}
static tn_status count_tensor(const tn_visitor *v, const char *name, tn_tensor **value) {
  (void)name;
  if (*value) ((counter *)(uintptr_t)v)->bytes += (size_t)(*value)->numel * ((*value)->dl.dtype.bits / 8);
  return TN_OK;
}
static tn_status count_params(const tn_visitor *v, const char *name, tn_params **value) {
  (void)name;
  tn_param_entry entry;
  for (uint32_t i = 0; *value && i < tn_params_count(*value); i++)
    if (tn_params_entry(*value, i, &entry) == TN_OK && entry.tensor) count_tensor(v, name, &entry.tensor);
  return TN_OK;
}

static size_t state_of(const tn_component *component) {
  counter c = {.visitor = {sizeof(tn_visitor), false, skip_boolean, skip_integer, skip_real, skip_text,
                           skip_block, count_tensor, count_params}};
  const tn_class *cls = component->cls;
  if (strcmp(cls->kind, TN_OPTIMIZER) == 0 && TN_HAS(cls, tn_class, state))
    cls->state(component->self, &c.visitor);
  return c.bytes;
}

tn_run_measure tn_pipeline_measure(const tn_pipeline *p) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  tn_run_measure m = {.seconds = tn_seconds() - p->began, .memory = 1024.0 * (double)usage.ru_maxrss};
  for (uint32_t i = 0; i < p->instance_count; i++) {
    const tn_instance *at = p->instances[i];
    if (at->owner) continue;
    m.state_bytes += state_of(&at->component);
    if (at->params) m.parameters += tn_params_numel(at->params);
  }
  return m;
}
