// SPDX-License-Identifier: MIT
/* tenon.random/1: counter-based random numbers (Philox 4x32-10; Salmon et al. 2011).
 *
 * A generator is a value: key and counter. There is no hidden state, so whoever asks for the same stream at
 * the same step draws the same numbers, after a resume, in another thread, or on another machine. Threads:
 * [any]; a generator belongs to one thread at a time. */
#ifndef TENON_RANDOM_H
#define TENON_RANDOM_H

#include <tenon/tensor.h>

#define TN_RANDOM_SERVICE "tenon.random/1"

/* Plain data: copy it, or save it as a block. */
typedef struct tn_rng {
  uint64_t key;      /* of (run's seed, component, stream) */
  uint64_t step;     /* upper half of the counter */
  uint64_t position; /* lower half: 32-bit words drawn so far */
} tn_rng;

typedef struct tn_random_service {
  uint32_t size;
  uint64_t (*key)(const char *component, const char *stream); /* with the run's seed mixed in */
  uint32_t (*bits)(tn_rng *rng);
  double (*uniform)(tn_rng *rng); /* [0, 1), 53 bits */
  double (*normal)(tn_rng *rng);
  uint64_t (*below)(tn_rng *rng, uint64_t bound);                  /* 0 <= x < bound, unbiased; bound > 0 */
  void (*permutation)(tn_rng *rng, int64_t *items, int64_t count); /* a random order of 0 .. count - 1 */
  /* Tensors of independent numbers; element i uses words fixed by i, so threads do not matter. */
  tn_tensor *(*uniform_tensor)(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double low, double high);
  tn_tensor *(*normal_tensor)(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double mean,
                              double deviation);
  /* 1 with probability p, else 0, in `dtype` */
  tn_tensor *(*bernoulli_tensor)(tn_rng *rng, tn_dtype dtype, const tn_shape *shape, double p);
  /* One class a row, drawn in proportion to non-negative weights (n, classes) -> int64 (n). */
  tn_tensor *(*categorical)(tn_rng *rng, tn_tensor *weights);
} tn_random_service;

/* The generator of (seed, component, stream) at `step`. */
static inline tn_rng tn_rng_at(const char *component, const char *stream, uint64_t step) {
  tn_rng rng;
  rng.key = tn_sdk.random->key(component, stream);
  rng.step = step;
  rng.position = 0;
  return rng;
}
static inline uint32_t tn_random_bits(tn_rng *rng) { return tn_sdk.random->bits(rng); }
static inline double tn_random_uniform(tn_rng *rng) { return tn_sdk.random->uniform(rng); }
static inline double tn_random_normal(tn_rng *rng) { return tn_sdk.random->normal(rng); }
static inline uint64_t tn_random_below(tn_rng *rng, uint64_t bound) {
  return tn_sdk.random->below(rng, bound);
}
static inline void tn_random_permutation(tn_rng *rng, int64_t *items, int64_t count) {
  tn_sdk.random->permutation(rng, items, count);
}
static inline tn_tensor *tn_uniform(tn_rng *rng, tn_dtype dtype, tn_shape shape, double low, double high) {
  return tn_sdk.random->uniform_tensor(rng, dtype, &shape, low, high);
}
static inline tn_tensor *tn_normal(tn_rng *rng, tn_dtype dtype, tn_shape shape, double mean,
                                   double deviation) {
  return tn_sdk.random->normal_tensor(rng, dtype, &shape, mean, deviation);
}
static inline tn_tensor *tn_bernoulli(tn_rng *rng, tn_dtype dtype, tn_shape shape, double p) {
  return tn_sdk.random->bernoulli_tensor(rng, dtype, &shape, p);
}
/* One class a row of probabilities or other weights (n, classes) -> int64 (n). */
static inline tn_tensor *tn_categorical(tn_rng *rng, tn_tensor *weights) {
  return tn_sdk.random->categorical(rng, weights);
}

#endif
