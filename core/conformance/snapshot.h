// SPDX-License-Identifier: MIT
/* A component's state in memory, through its own visitor: saved, loaded into another instance, hashed. */
#ifndef TENON_CORE_SNAPSHOT_H
#define TENON_CORE_SNAPSHOT_H

#include "core/conformance/digest.h"

typedef struct tn_snapshot tn_snapshot;

/* NULL if the class has no state function; failures are recorded in the context. */
tn_snapshot *tn_snapshot_save(const tn_component *component);
tn_status tn_snapshot_load(const tn_snapshot *state, const tn_component *component);
void tn_snapshot_digest(const tn_snapshot *state, tn_digest *digest);
size_t tn_snapshot_bytes(const tn_snapshot *state);
/* The first item that differs, NULL if none does. */
const char *tn_snapshot_difference(const tn_snapshot *a, const tn_snapshot *b);
void tn_snapshot_free(tn_snapshot *state);

#endif
