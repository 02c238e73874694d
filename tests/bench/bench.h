// SPDX-License-Identifier: MIT
/* What the rows of the benchmark share: the table of rows, a network's layers, a training step with an
 * optimizer plugin. A row is one file of rows/. */
#ifndef TENON_TESTS_BENCH_H
#define TENON_TESTS_BENCH_H

#include <tenon/nn.h>
#include <tenon/optimizer.h>

#include "core/tensor/engine.h"

/* A row, or one of the jobs of a row with several. */
typedef struct bench_row {
  const char *name;
  double work; /* of one step, in units of the figure: samples, GB ...; of all threads together */
  /* Once: parameters and inputs. False: it cannot run, an error is recorded. */
  bool (*begin)(void);
  /* The job, in a scope of its own: returns something that is finite if it went well, the loss usually. */
  double (*step)(void);
} bench_row;
extern const bench_row *const bench_rows[]; /* up to a NULL */

/* memory.c: calls of malloc and its relatives by the core and this program so far. */
uint64_t bench_mallocs(void);
/* limits.c: what the hardware can do with so many threads; prints one line. */
int bench_limits(int threads);

/* profile.c: prints where the time of some steps goes, by operation. */
int bench_profile(const bench_row *row, tn_engine *engine);

/* data.c: inputs that live as long as the program. */
tn_tensor *bench_normal(tn_shape shape);
tn_tensor *bench_labels(int64_t count, int64_t classes); /* int64, 0 <= label < classes */

/* optimizer.c: a live instance of an optimizer plugin as a pipeline makes it. `keys` are INI lines. NULL and
 * a message on standard error if that fails. */
const tn_component *bench_optimizer(const char *name, const char *keys);

/* training.c: a parameter set and what updates it. */
typedef struct bench_training {
  tn_params *params, *gradient;
  const tn_component *optimizer;
  int64_t steps;
} bench_training;
/* Takes over the declaration. */
bool bench_training_begin(bench_training *training, tn_declaration *declaration, const char *optimizer,
                          const char *keys);
/* Gradient of the scalar `loss` and an update; returns the loss. */
double bench_training_step(bench_training *training, tn_tensor *loss);
/* The update alone, with the gradient as it is. */
void bench_training_update(bench_training *training, double loss);

/* layers.c: layers with PyTorch's initialisers. */
typedef struct bench_linear {
  uint32_t weight, bias;
} bench_linear;
bench_linear bench_linear_declare(tn_declaration *declaration, int64_t in, int64_t out);
tn_tensor *bench_linear_apply(bench_linear layer, const tn_params *params, tn_tensor *x);

typedef struct bench_conv {
  uint32_t weight;
  tn_conv geometry;
} bench_conv;
/* Square kernels without bias; padding keeps the size at stride 1. */
bench_conv bench_conv_declare(tn_declaration *declaration, int64_t in, int64_t out, int64_t kernel,
                              int64_t stride, int64_t dilation, int64_t groups);
tn_tensor *bench_conv_apply(const bench_conv *layer, const tn_params *params, tn_tensor *x);

/* Batch normalisation of a training step: by the batch's statistics, and the running ones move. */
typedef struct bench_norm {
  uint32_t weight, bias, mean, variance;
  bool affine;
} bench_norm;
bench_norm bench_norm_declare(tn_declaration *declaration, int64_t channels, bool affine);
tn_tensor *bench_norm_apply(const bench_norm *layer, const tn_params *params, tn_tensor *x,
                            tn_tensor *residual, uint32_t flags);
/* Moves the running statistics a tenth of the way to the batch's. */
void bench_norm_follow(const bench_norm *layer, const tn_params *params, const tn_tensor *mean,
                       const tn_tensor *variance);

#endif
