// SPDX-License-Identifier: MIT
/* tenon.pipeline/1: what stages need from the run they are part of.
 * Threads: [main]. */
#ifndef TENON_PIPELINE_H
#define TENON_PIPELINE_H

#include <tenon/data.h>
#include <tenon/params.h>

#define TN_PIPELINE_SERVICE "tenon.pipeline/1"

/* Extension "tenon.declare/1": how a component of a kind of your own declares parameters and outputs (the
 * host's own kinds have it in their tables). */
#define TN_DECLARE "tenon.declare/1"
typedef struct tn_declarer {
  uint32_t size;
  tn_status (*declare)(void *self, const tn_spec *inputs, tn_declaration *declaration); /* [main] */
} tn_declarer;

/* One of several independent pieces of work. It runs in a scope of its own; what it gives may depend on
 * nothing but its index. */
typedef tn_status (*tn_parallel_body)(void *argument, int64_t index);

typedef struct tn_pipeline_service {
  uint32_t size;
  /* Specifications and parameters. declare: runs the component's declaration (model, loss, transform) for
   * inputs `inputs` and gives its outputs, merged over the inputs (the pipeline's; valid until it ends).
   * Called again with an equal specification it gives the same; with another one it is an error. To be called
   * from `check`. */
  tn_status (*declare)(const tn_component *component, const tn_spec *inputs, const tn_spec **outputs);
  /* The live parameters of a declared component, initialised at first use; the pipeline's. An empty set if it
   * has none; NULL and a recorded error if it was never declared. */
  tn_params *(*parameters)(const tn_component *component);
  /* Instances. instantiate: a fresh instance with the configuration of `component` (an optimizer for a second
   * network), named NAME#1, NAME#2 ...; checkpointed like any other. On resume a component gets the same
   * instances, in the same order, when it asks again: in `begin`, and for those made later when its state is
   * loaded. */
  const tn_component *(*instantiate)(const tn_component *component);
  /* The run. */
  uint64_t (*seed)(void);
  tn_dtype (*precision)(void);    /* TN_F32 or TN_F64 */
  const char *(*directory)(void); /* the run directory; NULL while checking */
  bool (*smoke)(void);            /* a shortened run: a few steps on a little data */
  /* Named results that later stages and sections refer to: genotypes, texts, parameter sets. */
  tn_status (*publish_text)(const char *name, const char *text);
  const char *(*text)(const tn_component *stage, const char *name);       /* NULL if not published */
  tn_status (*publish_params)(const char *name, const tn_params *params); /* cloned */
  const tn_params *(*params)(const tn_component *stage, const char *name);
  /* A file below the run directory's artifacts/, for writing; its path is valid until the next call. */
  const char *(*artifact)(const char *name);
  /* In a `declare` that depends on a result of an earlier stage (a genotype) which is not there yet: what was
   * declared so far counts for checking, and the host runs `declare` again, with the same inputs, when the
   * component's parameters are first asked for. Returns the status to return. */
  tn_status (*declare_later)(void);
  /* body(argument, i) for i in 0 .. count - 1, on the host's worker threads: [worker] functions and tensor
   * operations may be called there. Fails as the piece with the lowest index that failed. */
  tn_status (*parallel)(int64_t count, tn_parallel_body body, void *argument);
  /* The live parameters of a declared component as they were at first, in place; under another seed (below)
   * another draw. */
  tn_status (*initialise)(const tn_component *component);
  /* From now on random numbers follow from `seed` instead of the run's, which `seed` above still gives: for
   * repetitions within one step of a stage, which sets it back before it returns. */
  void (*use_seed)(uint64_t seed);
} tn_pipeline_service;

static inline tn_status tn_declare_component(const tn_component *component, const tn_spec *inputs,
                                             const tn_spec **outputs) {
  return tn_sdk.pipeline->declare(component, inputs, outputs);
}
static inline tn_params *tn_parameters(const tn_component *component) {
  return tn_sdk.pipeline->parameters(component);
}
static inline const tn_component *tn_instantiate(const tn_component *component) {
  return tn_sdk.pipeline->instantiate(component);
}
static inline tn_status tn_initialise(const tn_component *component) {
  if (TN_HAS(tn_sdk.pipeline, tn_pipeline_service, initialise)) return tn_sdk.pipeline->initialise(component);
  return TN_ERROR_MISSING;
}
/* Hosts before it keep the run's seed. */
static inline void tn_use_seed(uint64_t seed) {
  if (TN_HAS(tn_sdk.pipeline, tn_pipeline_service, use_seed)) tn_sdk.pipeline->use_seed(seed);
}
static inline uint64_t tn_seed(void) { return tn_sdk.pipeline->seed(); }
static inline tn_dtype tn_precision(void) { return tn_sdk.pipeline->precision(); }
static inline const char *tn_run_directory(void) { return tn_sdk.pipeline->directory(); }
static inline bool tn_smoke(void) { return tn_sdk.pipeline->smoke(); }
static inline tn_status tn_publish_text(const char *name, const char *text) {
  return tn_sdk.pipeline->publish_text(name, text);
}
static inline const char *tn_published_text(const tn_component *stage, const char *name) {
  return tn_sdk.pipeline->text(stage, name);
}
static inline tn_status tn_publish_params(const char *name, const tn_params *params) {
  return tn_sdk.pipeline->publish_params(name, params);
}
static inline const tn_params *tn_published_params(const tn_component *stage, const char *name) {
  return tn_sdk.pipeline->params(stage, name);
}
static inline const char *tn_artifact(const char *name) { return tn_sdk.pipeline->artifact(name); }
/* Returns TN_OK; hosts before it cannot wait. */
static inline tn_status tn_declare_later(void) {
  if (TN_HAS(tn_sdk.pipeline, tn_pipeline_service, declare_later)) return tn_sdk.pipeline->declare_later();
  return TN_ERROR_MISSING;
}
/* Older hosts: one after the other. */
static inline tn_status tn_parallel_for(int64_t count, tn_parallel_body body, void *argument) {
  if (TN_HAS(tn_sdk.pipeline, tn_pipeline_service, parallel))
    return tn_sdk.pipeline->parallel(count, body, argument);
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < count; i++) {
    tn_scope_open();
    status = body(argument, i);
    tn_scope_close();
  }
  return status < 0 ? status : TN_OK;
}

#endif
