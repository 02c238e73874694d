// SPDX-License-Identifier: MIT
/* What the engine's tests share: an engine, a log table that remembers the first error, and gradient checks
 * against central differences. */
#ifndef TENON_TESTS_TENSOR_SUPPORT_H
#define TENON_TESTS_TENSOR_SUPPORT_H

#include <tenon/plugin.h>

#include "core/tensor/engine.h"

/* Starts an engine (float64 unless said) for the test; ends it and checks that no scope is open and that no
 * handle made since the start is left. */
void engine_begin(void);
void engine_begin_with(uint64_t seed, tn_dtype precision);
void engine_end(void);
tn_engine *engine_here(void);
/* The first error recorded since the last call, "" if none; forgets it. */
const char *first_error(void);

/* Numbers in [low, high) that depend on `seed` alone. */
tn_tensor *random_tensor(uint64_t seed, tn_shape shape, double low, double high);
tn_tensor *random_labels(uint64_t seed, int64_t n, int64_t classes);

/* f(inputs) of any shape; checks first derivatives (recorded and not) and second ones of a random projection
 * with respect to every input. `name` is for the message. */
typedef tn_tensor *(*test_function)(const void *context, tn_tensor *const *inputs);
void check_gradients(const char *name, test_function f, const void *context, tn_tensor *const *inputs,
                     uint32_t count);
/* first derivatives only */
void check_first_gradients(const char *name, test_function f, const void *context, tn_tensor *const *inputs,
                           uint32_t count);

/* |a - b| <= tolerance (1 + |b|) for all elements of equal shapes */
void expect_close(const char *name, const tn_tensor *a, const tn_tensor *b, double tolerance);
double element(const tn_tensor *t, int64_t i);

#endif
