// SPDX-License-Identifier: MIT
/* The state of components as named values: what their state functions name, copied, as one list that can be
 * written, read, hashed, and put into other instances.
 *
 * Every value becomes an array of the safetensors format, called PREFIX/NAME: truth values and numbers are
 * scalars (BOOL, I64, F64), texts and blocks are bytes, tensors are themselves. A parameter set is a text
 * PREFIX/NAME that lists its entries ("GROUP NAME" a line) and an array PREFIX/NAME/INDEX.ENTRY for each that
 * it holds. What is NULL is an empty array called "PREFIX/NAME (none)". */
#ifndef TENON_CORE_STATE_H
#define TENON_CORE_STATE_H

#include "core/tensor/safetensors.h"
#include <tenon/component.h>
#include <tenon/tensor.h>

typedef struct tn_state tn_state;
#define TN_STATE_HASH 32 /* bytes: SHA-256 */

tn_state *tn_state_new(void);
void tn_state_free(tn_state *state);

/* A visitor of the SDK that adds to the state or, loading, takes from it. The first failure sticks: it is in
 * `status` and recorded. Scopes must be open. */
typedef struct tn_state_visitor {
  tn_visitor visitor; /* first */
  tn_state *state;
  const char *prefix;
  tn_status status;
} tn_state_visitor;
tn_state_visitor tn_state_visit(tn_state *state, const char *prefix, bool loading);

/* The component's state under its name; components without a state function have none. */
tn_status tn_state_save(tn_state *state, const tn_component *component);
tn_status tn_state_load(tn_state *state, const tn_component *component);
/* Forgets what has been taken so far: the state can be loaded again. */
void tn_state_rewind(tn_state *state);
/* A value that nobody has taken since the last rewind, of those whose name does not begin with a slash; NULL:
 * none. */
const char *tn_state_untaken(const tn_state *state);
bool tn_state_has(const tn_state *state, const char *prefix, const char *name);

/* What the values under a prefix take. */
size_t tn_state_bytes(const tn_state *state, const char *prefix);
/* The name of a value that only one of them has, or that they have with other bits; NULL: none. */
const char *tn_state_difference(const tn_state *a, const tn_state *b);

/* Over names, types, shapes and values. TN_ERROR_INTERNAL if a name occurs twice. */
tn_status tn_state_hash(const tn_state *state, unsigned char hash[TN_STATE_HASH]);
/* The file is there entirely or not at all, and holds its own hash; reading checks it. Writing may be done by
 * another thread than the one that saves. */
tn_status tn_state_write(tn_state *state, const char *path);
tn_status tn_state_read(const char *path, tn_state **state);
/* Of a file whose checksum nobody asks for; takes it over. */
tn_state *tn_state_of(tn_safetensors *file);
tn_status tn_state_parse(const char *path, const void *bytes, size_t size, tn_state **state);

#endif
