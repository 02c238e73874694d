// SPDX-License-Identifier: MIT
/* libtenon for programs: run pipelines from C. Link with `pkg-config --libs tenon`.
 *
 * A host owns its plugins, pipelines and results; two hosts in one process do not disturb each other. A host
 * is used by one thread at a time. Functions that fail return NULL or a status, and tn_embed_error says why,
 * in the one-line form of the command line. Texts and tensors belong to the host and live until the next run
 * or its end. */
#ifndef TENON_EMBED_H
#define TENON_EMBED_H

#include <tenon/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tn_embed tn_embed;

/* `plugin_path`: folders separated by colons, searched before the built-in one; NULL: TENON_PLUGIN_PATH. */
TN_EXPORT tn_embed *tn_embed_open(const char *plugin_path);
TN_EXPORT void tn_embed_close(tn_embed *host);
TN_EXPORT const char *tn_embed_error(const tn_embed *host);
/* Loads, checks and runs a pipeline file in this process. `overrides`: "section.key=value". `directory`: the
 * run directory, made if needed; NULL: nothing is written. */
TN_EXPORT tn_status tn_embed_run(tn_embed *host, const char *file, const char *const *overrides,
                                 uint32_t count, const char *directory);
/* After a run: the result `STAGE.NAME` ("test.accuracy"); NAN if there is none. */
TN_EXPORT double tn_embed_result(const tn_embed *host, const char *name);
/* After a run: entry `name` of the parameters of section `section`, as a managed DLPack tensor that shares
 * memory; the receiver calls its deleter, also after tn_embed_close. NULL: no such tensor. */
TN_EXPORT tn_dl_managed *tn_embed_tensor(tn_embed *host, const char *section, const char *name);
/* The name of entry `index` of these parameters; NULL past the last, or if the section has none. */
TN_EXPORT const char *tn_embed_tensor_name(tn_embed *host, const char *section, uint32_t index);
TN_EXPORT const char *tn_embed_version(void);

/* One component on arrays of the caller, without a pipeline. */
typedef struct tn_embed_component tn_embed_component;

/* An array of the caller: on the CPU, row-major and compact. */
typedef struct tn_embed_array {
  uint32_t size;
  uint32_t reserved;
  const char *name;   /* of the field, or of the parameter */
  tn_dl_tensor value; /* a field: its first axis are the samples */
  void *gradient;     /* with value's type and shape; NULL: none */
  int64_t classes;    /* the values are class numbers below it; 0: they are not */
} tn_embed_array;

/* `name`: "loss.cross_entropy". `settings`: "key=value" of the component itself, "section.key=value" of
 * another section, to which a key may refer, or of [pipeline] (seed, precision). NULL: tn_embed_error says
 * why. To be freed before the host is closed. */
TN_EXPORT tn_embed_component *tn_embed_make(tn_embed *host, const char *name, const char *const *settings,
                                            uint32_t count);
TN_EXPORT void tn_embed_free(tn_embed_component *component);
/* The value of a loss on fields, and its derivatives: written to each field's `gradient` that is not NULL.
 * Floating-point fields have the precision of the component's pipeline (float32 unless set). */
TN_EXPORT tn_status tn_embed_loss(tn_embed_component *component, const tn_embed_array *fields, uint32_t count,
                                  double *value);
/* A step of an optimizer: `value` of every array is changed in place, by the derivatives in `gradient`, with
 * `schedule` as the factor on the learning rate. The first call says which parameters there are, all of the
 * pipeline's precision; those with one axis or none are not decayed. `loss`: at these values, for optimizers
 * that look at it. */
TN_EXPORT tn_status tn_embed_step(tn_embed_component *component, const tn_embed_array *params, uint32_t count,
                                  double loss, double schedule);

#ifdef __cplusplus
}
#endif

#endif
