// SPDX-License-Identifier: MIT
/* What the files of the engine share: handles, memory, recording, and the operations as plain functions. */
#ifndef TENON_TENSOR_INTERNAL_H
#define TENON_TENSOR_INTERNAL_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tenon/log.h>

#include "api.h"
#include "engine.h"
#include "kernels/kernels.h"

/* Memory. A storage is a block of bytes that several handles (views) may share. Owned blocks begin with
 * their tn_storage, 64 bytes, and are recycled through free lists by size class. */
typedef struct tn_storage {
  void *data;
  size_t bytes;            /* that `data` holds */
  int32_t references;      /* atomic */
  int32_t size_class;      /* -1: foreign or too large for a list */
  struct tn_storage *next; /* in the free list */
  void (*release)(void *); /* of foreign memory; may be NULL */
  void *context;           /* its argument */
  uint64_t reserved[2];
} tn_storage;
_Static_assert(sizeof(tn_storage) == 64, "data follow at a cache line");

typedef struct tn_node tn_node;
typedef struct tn_backward tn_backward;

/* How an operation passes a gradient to its inputs. */
typedef struct tn_rule {
  const char *name, *backward_name;
  void (*backward)(tn_backward *b);
  const char *const *backward_names; /* of a family, by tn_node.op */
} tn_rule;
#define TN_RULE(rule, name, function)               static const tn_rule rule = {name, name ".backward", function, NULL}
#define TN_RULE_FAMILY(rule, name, function, names) static const tn_rule rule = {name, NULL, function, names}

enum {
  TN_FLAG_POISON = 1u << 0,
  TN_FLAG_GRADIENT = 1u << 1,  /* requires a gradient */
  TN_FLAG_PERSISTENT = 1u << 2 /* in no scope */
};

#define TN_INLINE_INPUTS 4
/* A handle, and at the same time the node of the recorded graph. The first `inputs` of `in` may get
 * gradients; further entries are what the rule wants to see again. */
struct tn_node {
  tn_tensor t;
  int64_t shape[TN_MAX_DIMS];
  tn_storage *storage;
  const tn_rule *rule; /* NULL: a leaf or a constant */
  tn_node *in[TN_INLINE_INPUTS];
  tn_node **more; /* all inputs, if they are more than fit into `in` */
  uint32_t inputs;
  int32_t op; /* which of the rule's family */
  union {
    double d[6];
    int64_t i[6];
    int32_t s[12];
    const void *p[6];
  } a;            /* attributes */
  uint64_t mark;  /* epoch of the walk that saw it last */
  int32_t slot;   /* in that walk */
  uint32_t scope; /* depth of the scope that owns it */
  uint32_t place; /* in the thread's list */
  uint32_t unused;
};

/* Size classes: 64 bytes, then four steps an octave up to 2^45. */
#define TN_CLASSES 168

/* What --trap-nan keeps of an operation's operands: they may be gone when it ends. */
#define TN_WATCHED_OPERANDS 4
typedef struct tn_watched {
  bool finite;
  uint32_t count;
  int32_t ndim[TN_WATCHED_OPERANDS];
  int64_t shape[TN_WATCHED_OPERANDS][TN_MAX_DIMS];
} tn_watched;

typedef struct tn_thread {
  tn_engine *engine;
  const tn_kernels *k;
  bool record;
  uint32_t depth;       /* open scopes */
  uint32_t trace_depth; /* operations inside operations are not reported */
  tn_watched watched;   /* the outermost one's operands */
  uint32_t count, room; /* of `live` */
  tn_node **live;       /* handles of all scopes, innermost last */
  uint32_t *starts;     /* where each scope begins in `live`; starts[0] is the root */
  uint32_t starts_room;
  tn_node *free_nodes;
  tn_storage *free_views; /* headers of foreign memory */
  tn_storage *free_blocks[TN_CLASSES];
  uint32_t free_count[TN_CLASSES];
  uint32_t free_low[TN_CLASSES]; /* the fewest free since the last trimming */
  uint32_t closes;               /* scopes closed since then */
  void *slabs;                   /* of nodes */
  unsigned char *workspace;      /* a stack for walks over the graph */
  size_t workspace_used, workspace_room;
  struct tn_workspace *workspaces;
  int64_t bytes, high, cached;
  uint64_t mallocs;
  int64_t live_tensors;
  int64_t multiply_adds; /* of products and convolutions that were asked for */
  pthread_t owner;
  struct tn_thread *next;
  char shape_texts[8][192]; /* for messages, in turn */
  uint32_t shape_turn;
} tn_thread;

struct tn_engine {
  uint64_t seed;
  tn_dtype precision;
  int level; /* TN_CPU_* */
  const tn_kernels *k;
  tn_trace trace;
  void *trace_context;
  bool trap;            /* stop at the first operation that makes a non-finite number from finite ones */
  bool watched;         /* trace or trap */
  pthread_mutex_t lock; /* of threads and marks */
  tn_thread *threads;
  uint64_t epoch; /* of walks */
  tn_node poison;
  unsigned char nothing[256]; /* what the poisoned tensor points to */
  bool guarded;               /* new tensors end at a page that nobody may touch */
};

extern _Thread_local tn_thread *tn_here __attribute__((tls_model("initial-exec")));

/* memory.c */
void *tn_system_alloc(size_t bytes); /* counted; NULL if there is none */
void tn_system_free(void *memory);
void *tn_workspace_take(size_t bytes); /* a stack: give back in reverse order; NULL and an error */
void tn_workspace_give(void *memory);
tn_storage *tn_storage_new(size_t bytes);
tn_storage *tn_storage_wrap(void *data, size_t bytes, void (*release)(void *), void *context);
void tn_storage_drop(tn_storage *storage);
static inline tn_storage *tn_storage_share(tn_storage *storage) {
  __atomic_add_fetch(&storage->references, 1, __ATOMIC_RELAXED);
  return storage;
}
void tn_thread_free(tn_thread *thread);
tn_thread *tn_thread_new(tn_engine *engine);

/* scope.c: handles */
/* A handle with its own memory, contents unspecified; NULL never: the poisoned tensor if out of memory. */
tn_node *tn_node_new(tn_dtype dtype, int32_t ndim, const int64_t *shape);
/* A handle on (part of) a storage, whose reference it takes over. */
tn_node *tn_node_view(tn_dtype dtype, int32_t ndim, const int64_t *shape, tn_storage *storage, void *data);
/* Another handle on the data of x, without history. */
tn_node *tn_node_alias(const tn_node *x);
void tn_node_drop(tn_node *node);       /* gives it back before its scope ends */
void tn_node_promote(tn_node *node);    /* to the enclosing scope, history kept */
tn_node *tn_node_detach(tn_node *node); /* from every scope: the caller owns it */
void tn_scope_enter(void);
void tn_scope_leave(void);
void tn_memory_trim(void); /* after a method's scope has closed: gives back what is unused for long */

static inline tn_node *tn_node_of(const tn_tensor *t) { return (tn_node *)(uintptr_t)t; }
static inline tn_node *tn_node_like(const tn_node *x) {
  return tn_node_new(x->t.dtype, x->t.dl.ndim, x->shape);
}
static inline bool tn_is_poison(const tn_node *x) { return (x->t.flags & TN_FLAG_POISON) != 0; }
static inline tn_node *tn_poison(void) { return &tn_here->engine->poison; }
/* Memory of our own that nobody else sees. */
static inline bool tn_is_unique(const tn_node *x) {
  return x->storage->size_class >= 0 && __atomic_load_n(&x->storage->references, __ATOMIC_ACQUIRE) == 1;
}

/* Types. */
static inline size_t tn_dtype_size(tn_dtype dtype) {
  static const uint8_t sizes[] = {4, 8, 8, 4, 1, 1};
  return sizes[dtype];
}
static inline bool tn_is_float(tn_dtype dtype) { return dtype == TN_F32 || dtype == TN_F64; }
const char *tn_dtype_name(tn_dtype dtype);
/* TN_FLOAT to the precision; false and an error for what is no dtype. */
bool tn_dtype_resolve(const char *op, tn_dtype *dtype);

/* errors.c: records and returns the poisoned tensor. */
TN_PRINTF(2, 3) tn_node *tn_shape_error(const char *op, const char *format, ...);
/* "(32, 64)" into one of eight turning buffers */
const char *tn_shape_text(const tn_node *x);
const char *tn_dims_text(int32_t ndim, const int64_t *shape);
bool tn_axis_resolve(const char *op, const tn_node *x, int32_t *axis);
/* False and an error if the shape is negative or overflows. */
bool tn_shape_check(const char *op, const tn_shape *shape, tn_dtype dtype);

/* Recording. */
static inline bool tn_needs(const tn_node *x) { return (x->t.flags & TN_FLAG_GRADIENT) != 0; }
static inline bool tn_recording1(const tn_node *x) { return tn_here->record && tn_needs(x); }
static inline bool tn_recording2(const tn_node *x, const tn_node *y) {
  return tn_here->record && ((x->t.flags | y->t.flags) & TN_FLAG_GRADIENT) != 0;
}
static inline void tn_record1(tn_node *out, const tn_rule *rule, tn_node *x) {
  out->rule = rule;
  out->inputs = 1;
  out->in[0] = x;
  out->t.flags |= TN_FLAG_GRADIENT;
}
static inline void tn_record2(tn_node *out, const tn_rule *rule, tn_node *x, tn_node *y) {
  out->rule = rule;
  out->inputs = 2;
  out->in[0] = x;
  out->in[1] = y;
  out->t.flags |= TN_FLAG_GRADIENT;
}
/* Any number of inputs; false if out of memory (then nothing is recorded). */
bool tn_record_many(tn_node *out, const tn_rule *rule, tn_node *const *inputs, uint32_t count);
static inline tn_node *const *tn_inputs(const tn_node *x) { return x->more ? x->more : x->in; }

/* trace.c: begin at the operation's start with its operands (NULL: none), end with its output. What is 0
 * where nobody watches is the time otherwise. */
double tn_clock(void);
double tn_trace_open(tn_node *const *operands, uint32_t count);
#define tn_trace_begin_all(operands, count) \
  (__builtin_expect(tn_here->engine->watched, 0) ? tn_trace_open(operands, count) : 0.0)
#define tn_trace_begin(...)                             \
  tn_trace_begin_all(((tn_node *const[]){__VA_ARGS__}), \
                     (uint32_t)(sizeof((tn_node *const[]){__VA_ARGS__}) / sizeof(tn_node *)))
/* False: a non-finite number was trapped, the error is recorded. `out` may be NULL. */
bool tn_trace_report(const char *op, double start, const tn_node *out);
static inline tn_node *tn_trace_end(const char *op, double start, tn_node *out) {
  if (__builtin_expect(start != 0, 0) && !tn_trace_report(op, start, out)) return tn_poison();
  return out;
}
/* For what is no tensor's operation: true while --trap-nan watches the outermost one. */
static inline bool tn_trapping(double start) {
  return __builtin_expect(start != 0, 0) && tn_here->engine->trap && tn_here->trace_depth == 1;
}
bool tn_all_finite(tn_dtype dtype, const void *data, int64_t n);

/* parallel.c: body(context, i) for i in 0 .. count - 1; side by side if `work` (about a nanosecond each) is
 * worth it. What is computed for i must not depend on other i. */
typedef void (*tn_body)(void *context, int64_t index);
void tn_parallel(int64_t count, double work, tn_body body, void *context);
static inline int64_t tn_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t tn_max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t tn_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* autograd.c: what a rule works with. */
struct tn_backward {
  tn_node *node; /* the operation */
  tn_node *g;    /* gradient of its output; owned by the rule if taken */
  bool graph;    /* rules must be differentiable */
  bool taken;
  const int32_t *slots; /* of the inputs; -1: no gradient wanted */
  struct tn_walk *walk;
};
static inline bool tn_wants(const tn_backward *b, uint32_t input) { return b->slots[input] >= 0; }
/* Hands over the gradient of an input. Its shape must be the input's. */
void tn_deliver(tn_backward *b, uint32_t input, tn_node *gradient);
/* The same after summing over the axes along which the input was broadcast. */
void tn_deliver_reduced(tn_backward *b, uint32_t input, tn_node *gradient);
/* Memory for the gradient of an input, to be written (*beta 0) or added to (*beta 1) and then delivered with
 * tn_deliver_written. Never in graph mode. */
tn_node *tn_gradient_target(tn_backward *b, uint32_t input, double *beta);
void tn_deliver_written(tn_backward *b, uint32_t input, tn_node *target);
/* A tensor to write g-shaped results to: g itself if nobody else needs it, else a new one. */
tn_node *tn_reuse_gradient(tn_backward *b);

/* y += x, side by side if that is worth it */
void tn_add_into(tn_dtype dtype, const void *x, void *y, int64_t n);

/* Operations, as the tables offer them and as rules use them. */
tn_node *tn_op_full(tn_dtype dtype, int32_t ndim, const int64_t *shape, double value);
tn_node *tn_op_scalar(tn_dtype dtype, double value);
tn_node *tn_op_cast(tn_node *x, tn_dtype dtype);
tn_node *tn_op_unary(tn_unary_op op, tn_node *x, double a, double b);
tn_node *tn_op_binary(tn_binary_op op, tn_node *x, tn_node *y);
tn_node *tn_op_where(tn_node *condition, tn_node *x, tn_node *y);
tn_node *tn_op_reduce(tn_reduce_op op, tn_node *x, uint32_t axes, bool keep);
tn_node *tn_op_softmax(tn_node *x, int32_t axis);
tn_node *tn_op_log_softmax(tn_node *x, int32_t axis);
tn_node *tn_op_reshape(tn_node *x, int32_t ndim, const int64_t *shape);
tn_node *tn_op_permute(tn_node *x, const int32_t *axes);
tn_node *tn_op_broadcast(tn_node *x, int32_t ndim, const int64_t *shape);
tn_node *tn_op_concatenate(tn_node *const *xs, uint32_t count, int32_t axis);
tn_node *tn_op_slice(tn_node *x, int32_t axis, int64_t start, int64_t stop, int64_t step);
tn_node *tn_op_index_select(tn_node *x, int32_t axis, tn_node *index);
/* zeros of `size` along the axis with x's slices added at `index`: the adjoint of index_select */
tn_node *tn_op_index_add(tn_node *x, int32_t axis, tn_node *index, int64_t size);
/* y[i, j] = x[i, index[i, j]] along the last axis, and its adjoint; index (..., m) int64 */
tn_node *tn_op_gather(tn_node *x, tn_node *index);
tn_node *tn_op_scatter(tn_node *x, tn_node *index, int64_t size);
tn_node *tn_op_matmul(tn_node *x, tn_node *y, bool tx, bool ty);
tn_node *tn_op_linear(tn_node *x, tn_node *weight, tn_node *bias);
tn_node *tn_op_reduce_to(tn_node *x, const tn_node *like);  /* sums over the axes that were broadcast */
tn_node *tn_op_swap_last(tn_node *x, int32_t axis);         /* exchanges `axis` and the last one */
tn_node *tn_op_like_shape(tn_node *x, const tn_node *like); /* reshape to the shape of another */

#define NEG(x)          tn_op_unary(TN_NEG, x, 0, 0)
#define AFFINE(x, a, b) tn_op_unary(TN_AFFINE, x, a, b)
#define ADD(x, y)       tn_op_binary(TN_ADD, x, y)
#define SUB(x, y)       tn_op_binary(TN_SUB, x, y)
#define MUL(x, y)       tn_op_binary(TN_MUL, x, y)
#define DIV(x, y)       tn_op_binary(TN_DIV, x, y)
#define UNARY(op, x)    tn_op_unary(op, x, 0, 0)

/* C[m, n] = op(A) op(B) + beta C, leading dimensions in elements; the same bits for any number of threads. */
void tn_gemm(tn_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
             const void *b, int64_t ldb, double beta, void *c, int64_t ldc);
/* `batch` compact products; offsets of the i-th matrices in elements, NULL: one after the other. */
void tn_gemm_batch(tn_dtype dtype, bool ta, bool tb, int64_t batch, int64_t m, int64_t n, int64_t k,
                   const void *a, const int64_t *offsets_a, const void *b, const int64_t *offsets_b,
                   double beta, void *c);

bool tn_gradient_into(tn_node *y, tn_node *const *xs, uint32_t count, tn_node *const *targets);
/* params.c, random.c */
uint64_t tn_random_key(uint64_t seed, const char *component, const char *stream);
/* n numbers, uniform in [a, b) or normal with mean a and deviation b */
void tn_random_fill(tn_rng *rng, tn_dtype dtype, void *out, int64_t n, bool normal, double a, double b);

#endif
