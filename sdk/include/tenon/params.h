// SPDX-License-Identifier: MIT
/* tenon.params/1: parameter sets, and how components declare theirs.
 *
 * A parameter set is an ordered list of named tensors in one contiguous, aligned buffer, sorted by group, so
 * that every group is one run of memory. It is a value: clone it, interpolate, add, mask, save. Sets with the
 * same layout (made by tn_params_like or clone) can be combined. A joined set lists the tensors of several
 * sets and shares their memory; it has the runs of all of them. Ownership: sets live until tn_params_release,
 * except what the pipeline lends (pipeline.h). Threads: [main]. */
#ifndef TENON_PARAMS_H
#define TENON_PARAMS_H

#include <tenon/tensor.h>

#define TN_PARAMS_SERVICE "tenon.params/1"

/* What may happen to a tensor of a set. */
typedef int32_t tn_group;
enum {
  TN_DECAY = 0,    /* trained, weight decay applies: matrices, kernels */
  TN_NO_DECAY = 1, /* trained, never decayed: biases, scales and shifts of normalisation */
  TN_FIXED = 2,    /* saved and shared, never updated nor decayed */
  TN_BUFFER = 3,   /* not trained, replaced by what the model reports: running statistics */
  TN_GROUP_COUNT = 4
};

/* Initialisers, named as in the literature. fan_in and fan_out come from the shape (out, in, kernel...):
 * fan_in = in x kernel elements, fan_out = out x kernel elements. */
typedef int32_t tn_init_kind;
enum {
  TN_INIT_CONSTANT,       /* a */
  TN_INIT_NORMAL,         /* mean 0, standard deviation a */
  TN_INIT_UNIFORM,        /* in [-a, a] */
  TN_INIT_TRUNCATED,      /* normal with standard deviation a, redrawn outside 2 a */
  TN_INIT_XAVIER_UNIFORM, /* in +- a sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010); a: gain */
  TN_INIT_XAVIER_NORMAL,  /* standard deviation a sqrt(2 / (fan_in + fan_out)) */
  TN_INIT_HE_UNIFORM,     /* in +- a sqrt(3 / fan_in) (He et al. 2015); a: gain, sqrt 2 for ReLU */
  TN_INIT_HE_NORMAL,      /* standard deviation a / sqrt(fan_in) */
  TN_INIT_HE_NORMAL_OUT,  /* standard deviation a / sqrt(fan_out) */
  TN_INIT_LECUN_UNIFORM,  /* in +- a / sqrt(fan_in): PyTorch's default for linear layers and convolutions */
  TN_INIT_LECUN_NORMAL,   /* standard deviation a / sqrt(fan_in) with a = 1 (LeCun et al. 1998) */
  TN_INIT_ORTHOGONAL,     /* rows or columns orthonormal, times a (Saxe et al. 2014) */
  TN_INIT_IDENTITY,       /* a on the diagonal */
  TN_INIT_KIND_COUNT
};
typedef struct tn_init {
  tn_init_kind kind;
  int32_t reserved;
  double a;
} tn_init;
static inline tn_init tn_init_of(tn_init_kind kind, double a) {
  tn_init init;
  init.kind = kind;
  init.reserved = 0;
  init.a = a;
  return init;
}
static inline tn_init tn_init_zeros(void) { return tn_init_of(TN_INIT_CONSTANT, 0); }
static inline tn_init tn_init_ones(void) { return tn_init_of(TN_INIT_CONSTANT, 1); }

/* What a component's `declare` function fills (model.h, loss.h): its parameters and, in data.h, its outputs.
 */
typedef struct tn_declaration tn_declaration;

/* One stretch of memory of one group, at the same place of every set that takes part in a pass. */
#define TN_MAX_RUN_SETS 8
typedef struct tn_run {
  uint32_t size;
  tn_group group;
  int64_t count;               /* elements */
  int64_t offset;              /* of its first element in the set */
  void *data[TN_MAX_RUN_SETS]; /* float or double, one pointer a set, in the order given */
} tn_run;

/* A fused pass over the trainable memory of sets: the host cuts it into runs of a fixed size (so results do
 * not depend on the number of threads) and calls the function for each, in parallel. Write it with TN_FUSED.
 */
typedef void (*tn_run_function)(const void *self, const void *arguments, const tn_run *run);
enum { TN_CPU_BASE = 0, TN_CPU_AVX2 = 1, TN_CPU_AVX512 = 2, TN_CPU_LEVELS = 3 };
typedef struct tn_kernel {
  uint32_t size;
  uint32_t levels; /* TN_CPU_LEVELS */
  tn_run_function f32[TN_CPU_LEVELS], f64[TN_CPU_LEVELS];
} tn_kernel;

#if defined(__x86_64__) && !defined(TN_NO_CPU_LEVELS)
#define TN_TARGET_AVX2   __attribute__((target("avx2,fma")))
#define TN_TARGET_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma")))
#else
#define TN_TARGET_AVX2
#define TN_TARGET_AVX512
#endif
/* TN_FUSED(name, body): defines the kernel `name`. In the body `real` is float or double; self, arguments and
 * run are tn_run_function's. [worker] */
#define TN_FUSED_(name, type, target, ...)                                              \
  target static void name(const void *self, const void *arguments, const tn_run *run) { \
    typedef type real;                                                                  \
    __VA_ARGS__(void) self, (void)arguments;                                            \
  }
#define TN_FUSED(name, ...)                                                        \
  TN_FUSED_(name##_f32, float, , __VA_ARGS__)                                      \
  TN_FUSED_(name##_f64, double, , __VA_ARGS__)                                     \
  TN_FUSED_(name##_f32_avx2, float, TN_TARGET_AVX2, __VA_ARGS__)                   \
  TN_FUSED_(name##_f64_avx2, double, TN_TARGET_AVX2, __VA_ARGS__)                  \
  TN_FUSED_(name##_f32_avx512, float, TN_TARGET_AVX512, __VA_ARGS__)               \
  TN_FUSED_(name##_f64_avx512, double, TN_TARGET_AVX512, __VA_ARGS__)              \
  static const tn_kernel name = {sizeof(tn_kernel),                                \
                                 TN_CPU_LEVELS,                                    \
                                 {name##_f32, name##_f32_avx2, name##_f32_avx512}, \
                                 {name##_f64, name##_f64_avx2, name##_f64_avx512}};

/* What an entry of a set is. `name` and `tensor` belong to the set. */
typedef struct tn_param_entry {
  uint32_t size;
  tn_group group;
  const char *name; /* "layers.0.weight" */
  tn_tensor *tensor;
} tn_param_entry;

typedef struct tn_params_service {
  uint32_t size;
  /* Declaring. The index of the new entry; names must be unique within a declaration. dtype TN_FLOAT: the
   * run's. */
  uint32_t (*declare)(tn_declaration *declaration, const char *name, tn_dtype dtype, const tn_shape *shape,
                      tn_group group, tn_init init);
  /* Using. */
  tn_tensor *(*tensor)(const tn_params *params,
                       uint32_t index); /* belongs to the set; trainable ones are leaves */
  uint32_t (*count)(const tn_params *params);
  tn_status (*entry)(const tn_params *params, uint32_t index,
                     tn_param_entry *entry); /* sets entry->size itself */
  int64_t (*numel)(const tn_params *params, bool trainable_only);
  size_t (*bytes)(const tn_params *params);
  tn_params *(*like)(const tn_params *params); /* zeros; only trainable entries if the set is a gradient's */
  tn_params *(*clone)(const tn_params *params);
  void (*release)(tn_params *params);
  tn_params *(*join)(tn_params *const *sets, uint32_t count);
  /* A set whose tensors are those given, one an entry, in order, with their derivative history: for unrolled
   * inner loops (w' = w - lr g as recorded tensors). Belongs to the scope. */
  tn_params *(*from_tensors)(const tn_params *layout, tn_tensor *const *tensors);
  /* Arithmetic over the trainable entries (copy: over all). Reductions are exact to their order: fixed
   * blocks. */
  tn_status (*copy)(tn_params *y, const tn_params *x);
  tn_status (*fill)(tn_params *y, double value);
  tn_status (*axpy)(tn_params *y, double a, const tn_params *x); /* y += a x */
  tn_status (*scale)(tn_params *y, double a);
  tn_status (*lerp)(tn_params *y, const tn_params *x, double t); /* y += t (x - y) */
  tn_status (*multiply)(tn_params *y, const tn_params *x);       /* y *= x, a mask for example */
  double (*dot)(const tn_params *x, const tn_params *y);
  double (*norm)(const tn_params *x);
  tn_status (*each)(const tn_kernel *kernel, const void *self, const void *arguments, tn_params *const *sets,
                    uint32_t count);
  /* safetensors files. load: names and shapes must match; the message names the first that does not. */
  tn_status (*save)(const tn_params *params, const char *path);
  tn_status (*load)(tn_params *params, const char *path);

  /* The trainable values as one vector, entries in the order of memory (by group, then by index); recorded
   * like any operation. assign: the way back, values only. */
  tn_tensor *(*flatten)(const tn_params *params);
  tn_status (*assign)(tn_params *params, const tn_tensor *flat);
  /* A set that lends the entries listed, in that order: gradients and updates of a part. Released by whoever
   * made it, before the original. */
  tn_params *(*select)(const tn_params *params, const uint32_t *indices, uint32_t count);
  /* A set of your own: names, groups and values of the entries are copied. NULL if out of memory. */
  tn_params *(*make)(const tn_param_entry *entries, uint32_t count);
} tn_params_service;

static inline uint32_t tn_declare(tn_declaration *declaration, const char *name, tn_shape shape,
                                  tn_group group, tn_init init) {
  return tn_sdk.params->declare(declaration, name, TN_FLOAT, &shape, group, init);
}
static inline tn_tensor *tn_param_tensor(const tn_params *params, uint32_t index) {
  return tn_sdk.params->tensor(params, index);
}
static inline uint32_t tn_params_count(const tn_params *params) { return tn_sdk.params->count(params); }
static inline tn_status tn_params_entry(const tn_params *params, uint32_t index, tn_param_entry *entry) {
  entry->size = sizeof *entry;
  return tn_sdk.params->entry(params, index, entry);
}
static inline int64_t tn_params_numel(const tn_params *params) { return tn_sdk.params->numel(params, true); }
static inline size_t tn_params_bytes(const tn_params *params) { return tn_sdk.params->bytes(params); }
/* Zeros with the layout of the trainable part of `params`: gradients, momenta. NULL if out of memory. Indices
 * are those of `params`; tn_param_tensor gives NULL for the entries that are not trained. */
static inline tn_params *tn_params_like(const tn_params *params) { return tn_sdk.params->like(params); }
static inline tn_params *tn_params_clone(const tn_params *params) { return tn_sdk.params->clone(params); }
static inline void tn_params_release(tn_params *params) { tn_sdk.params->release(params); } /* NULL is fine */
static inline tn_params *tn_params_join(tn_params *const *sets, uint32_t count) {
  return tn_sdk.params->join(sets, count);
}
static inline tn_params *tn_params_from_tensors(const tn_params *layout, tn_tensor *const *tensors) {
  return tn_sdk.params->from_tensors(layout, tensors);
}
static inline tn_status tn_params_copy(tn_params *y, const tn_params *x) { return tn_sdk.params->copy(y, x); }
static inline tn_status tn_params_fill(tn_params *y, double value) { return tn_sdk.params->fill(y, value); }
static inline tn_status tn_params_axpy(tn_params *y, double a, const tn_params *x) {
  return tn_sdk.params->axpy(y, a, x);
}
static inline tn_status tn_params_scale(tn_params *y, double a) { return tn_sdk.params->scale(y, a); }
static inline tn_status tn_params_lerp(tn_params *y, const tn_params *x, double t) {
  return tn_sdk.params->lerp(y, x, t);
}
static inline tn_status tn_params_multiply(tn_params *y, const tn_params *x) {
  return tn_sdk.params->multiply(y, x);
}
static inline double tn_params_dot(const tn_params *x, const tn_params *y) {
  return tn_sdk.params->dot(x, y);
}
static inline double tn_params_norm(const tn_params *x) { return tn_sdk.params->norm(x); }
static inline tn_status tn_params_each(const tn_kernel *kernel, const void *self, const void *arguments,
                                       tn_params *const *sets, uint32_t count) {
  return tn_sdk.params->each(kernel, self, arguments, sets, count);
}
static inline tn_status tn_params_save(const tn_params *params, const char *path) {
  return tn_sdk.params->save(params, path);
}
static inline tn_status tn_params_load(tn_params *params, const char *path) {
  return tn_sdk.params->load(params, path);
}
static inline tn_tensor *tn_params_flatten(const tn_params *params) { return tn_sdk.params->flatten(params); }
static inline tn_status tn_params_assign(tn_params *params, const tn_tensor *flat) {
  return tn_sdk.params->assign(params, flat);
}
static inline tn_params *tn_params_select(const tn_params *params, const uint32_t *indices, uint32_t count) {
  return tn_sdk.params->select(params, indices, count);
}
static inline tn_params *tn_params_make(const tn_param_entry *entries, uint32_t count) {
  if (TN_HAS(tn_sdk.params, tn_params_service, make)) return tn_sdk.params->make(entries, count);
  return NULL;
}

#endif
