// SPDX-License-Identifier: MIT
/* A component's state in memory, through its own visitor: saved, loaded into another instance, hashed. */
#ifndef TENON_CORE_STATE_H
#define TENON_CORE_STATE_H

#include "core/conformance/digest.h"

typedef struct tn_state tn_state;

/* NULL if the class has no state function; failures are recorded in the context. */
tn_state *tn_state_save(const tn_component *component);
tn_status tn_state_load(const tn_state *state, const tn_component *component);
void tn_state_digest(const tn_state *state, tn_digest *digest);
size_t tn_state_bytes(const tn_state *state);
/* The first item that differs, NULL if none does. */
const char *tn_state_difference(const tn_state *a, const tn_state *b);
void tn_state_free(tn_state *state);

#endif
