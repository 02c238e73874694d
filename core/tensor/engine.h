// SPDX-License-Identifier: MIT
/* The compute engine inside the host: tensors, derivatives, parameter sets, random numbers, linear algebra.
 *
 * All state lives in a tn_engine and in what it keeps for each thread, so two hosts can live in one process.
 * A thread works on the engine that it has entered; every function of the service tables below needs one. */
#ifndef TENON_TENSOR_ENGINE_H
#define TENON_TENSOR_ENGINE_H

#include <tenon/autograd.h>
#include <tenon/data.h>
#include <tenon/linalg.h>
#include <tenon/params.h>
#include <tenon/random.h>
#include <tenon/tensor.h>

extern const tn_tensor_service tn_tensor_table;
extern const tn_autograd_service tn_autograd_table;
extern const tn_params_service tn_params_table;
extern const tn_random_service tn_random_table;
extern const tn_linalg_service tn_linalg_table;
extern const tn_data_service tn_data_table;

typedef struct tn_engine tn_engine;

/* An engine whose random streams come from `seed`; `precision`, TN_F32 or TN_F64, is what TN_FLOAT means. The
 * environment variable TENON_CPU (base, avx2, avx512) lowers the instruction set, which pins the bits of the
 * results on other machines. NULL if out of memory. */
tn_engine *tn_engine_create(uint64_t seed, tn_dtype precision);
/* Every thread must have left it. What was made with it and not released, persistent tensors for example,
 * must not be touched again. */
void tn_engine_destroy(tn_engine *engine);
/* The calling thread's current engine; returns the former one (NULL at first). NULL leaves. */
tn_engine *tn_engine_enter(tn_engine *engine);

uint64_t tn_engine_seed(const tn_engine *engine);
/* Streams that begin from now on come from another seed. [main] */
void tn_engine_use_seed(tn_engine *engine, uint64_t seed);
tn_dtype tn_engine_precision(const tn_engine *engine);
/* "base", "avx2" or "avx512": recorded in the lock file. */
const char *tn_engine_cpu(const tn_engine *engine);

/* From now on every new tensor lies in memory of its own that shows writes past it (guard.h); slow. [main] */
void tn_engine_guard(tn_engine *engine);

typedef struct tn_engine_statistics {
  size_t bytes_in_use;   /* of tensors alive */
  size_t bytes_high;     /* the most there ever were */
  size_t bytes_cached;   /* kept for reuse */
  uint64_t mallocs;      /* requests to the system so far; a steady state makes none */
  uint64_t live_tensors; /* handles alive, persistent ones and those of parameter sets included */
  uint64_t open_scopes;
} tn_engine_statistics;
/* Sums over threads; exact while no other thread works. */
tn_engine_statistics tn_engine_measure(tn_engine *engine);
/* The high-water mark starts again from what is in use: one figure a stage. */
void tn_engine_reset_high(tn_engine *engine);

/* Called after every operation with its name ("matmul", "matmul.backward"), its duration, the bytes of its
 * output, and the output (of a backward step: the gradient of its first input so far; may be NULL): for
 * profiles and for finding the first NaN. NULL turns it off. [main], between operations. */
typedef void (*tn_trace)(void *context, const char *operation, double seconds, size_t bytes,
                         const tn_tensor *output);
void tn_engine_set_trace(tn_engine *engine, tn_trace trace, void *context);
/* Makes the first operation that gives a non-finite number from finite operands fail with a message that
 * names it, its shapes and the number. Every operation's operands are read once more: for finding, not for
 * training. */
void tn_engine_set_trap(tn_engine *engine, bool on);

/* Declarations: what a component's `declare` function fills. */
tn_declaration *tn_declaration_new(void); /* NULL if out of memory */
void tn_declaration_free(tn_declaration *declaration);
const tn_spec *tn_declaration_outputs(const tn_declaration *declaration);
uint32_t tn_declaration_count(const tn_declaration *declaration); /* of parameters */
/* True if a parameter or output could not be declared: the error is recorded. */
bool tn_declaration_failed(const tn_declaration *declaration);
/* The declared parameters, initialised. Numbers come from the stream of (engine's seed, component, entry's
 * name), so that neither order nor threads matter. NULL and a recorded error if out of memory. */
tn_params *tn_params_create(const tn_declaration *declaration, const char *component);
/* A set of zeros with these entries, in this order: for sets that were saved. */
typedef struct tn_param_layout {
  const char *name;
  tn_group group;
  tn_dtype dtype; /* -1: only listed, as what is not trained is in a gradient's set */
  tn_shape shape;
} tn_param_layout;
tn_params *tn_params_build(const tn_param_layout *entries, uint32_t count);

#endif
