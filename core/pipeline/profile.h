// SPDX-License-Identifier: MIT
/* The profile of a run: what each component's functions and each operation of the engine cost, the memory of
 * each stage, and a trace file in the Trace Event Format that ui.perfetto.dev and chrome://tracing open.
 * Components are seen through the call stack's hook, operations through the engine's trace; both are NULL
 * unless a profile is taken. */
#ifndef TENON_CORE_PROFILE_H
#define TENON_CORE_PROFILE_H

#include "core/plugin/host.h"
#include "core/tensor/engine.h"
#include <stdio.h>

typedef struct tn_profile tn_profile;

/* Begins at once; `trace_file` NULL: only tables. The components must live until
 * the tables are printed. NULL and an error if the file cannot be made. */
tn_profile *tn_profile_begin(tn_context *context, tn_engine *engine, const char *trace_file, tn_error *error);
/* Around each stage. */
void tn_profile_stage_begin(tn_profile *profile, const char *name);
void tn_profile_stage_end(tn_profile *profile);
/* Takes the hooks away and completes the trace file. */
tn_status tn_profile_end(tn_profile *profile, tn_error *error);
void tn_profile_print(const tn_profile *profile, FILE *to);
void tn_profile_free(tn_profile *profile);

#endif
