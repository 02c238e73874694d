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
TN_EXPORT const char *tn_embed_version(void);

#ifdef __cplusplus
}
#endif

#endif
