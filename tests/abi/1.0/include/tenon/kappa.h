// SPDX-License-Identifier: MIT
/* Kind tenon.kappa/1: a convex function K of one parameter tensor, K >= K(0) = 0, its subgradient, and its
 * conjugate K*(y) = sup_m <m, y> - K(m) (Chen et al. 2023, Lion Secretly Solves Constrained Optimization).
 *
 * Tensors are float32 or float64 of any shape, recording is off. Numbers are float64; tensors that are
 * returned have the argument's shape and dtype and belong to the innermost scope, or are the argument itself.
 * Errors are recorded (tn_fail, a poisoned tensor). Threads: [main]. */
#ifndef TENON_KAPPA_H
#define TENON_KAPPA_H

#include <tenon/plugin.h>

#define TN_KAPPA "tenon.kappa/1"

typedef struct tn_kappa {
  uint32_t size;
  /* REQUIRED */
  /* K(m) */
  double (*value)(void *self, tn_tensor *m);
  /* A subgradient of K at m, always the same one. */
  tn_tensor *(*gradient)(void *self, tn_tensor *m);
  /* K*(y); INFINITY outside its domain. A relative tn_kappa_tolerance outside counts as on the boundary. */
  double (*conjugate)(void *self, tn_tensor *y);
  /* A subgradient of K* at a y of its domain; 0 where K* is 0. */
  tn_tensor *(*conjugate_gradient)(void *self, tn_tensor *y);
  /* The gauge of the domain of K*: y lies in it exactly if norm(y) <= 1; 0 if the domain is everything. */
  double (*norm)(void *self, tn_tensor *y);
  /* OPTIONAL */
  /* The point of the domain of K* that is nearest to y. Default: y / max(1, norm(y)), which is further away.
   */
  tn_tensor *(*project)(void *self, tn_tensor *y);
  /* float64 (n): the gauges of the n constraints that make up the domain: coordinates, groups, singular
   * values; the largest is norm(y). Default: norm(y) alone. */
  tn_tensor *(*constraints)(void *self, tn_tensor *y);
} tn_kappa;

/* What rounding may add to a norm of 1. */
static inline double tn_kappa_tolerance(const tn_tensor *y) { return y->dtype == TN_F64 ? 1e-10 : 1e-5; }

#define TN_KAPPA_CALL_(type, name, failure)                                                   \
  static inline type tn_kappa_##name(const tn_component *c, tn_tensor *x) {                   \
    tn_call_stack *stack = tn_enter(c, #name);                                                \
    type result = tn_poisoned(x) ? failure : ((const tn_kappa *)c->vtable)->name(c->self, x); \
    tn_leave(stack);                                                                          \
    return result;                                                                            \
  }
TN_KAPPA_CALL_(double, value, NAN)
TN_KAPPA_CALL_(tn_tensor *, gradient, x)
TN_KAPPA_CALL_(double, conjugate, NAN)
TN_KAPPA_CALL_(tn_tensor *, conjugate_gradient, x)
TN_KAPPA_CALL_(double, norm, NAN)

static inline tn_tensor *tn_kappa_project(const tn_component *c, tn_tensor *y) {
  const tn_kappa *kappa = (const tn_kappa *)c->vtable;
  if (TN_HAS(kappa, tn_kappa, project)) return kappa->project(c->self, y);
  const double norm = tn_kappa_norm(c, y);
  return norm > 1 ? tn_scale(y, 1 / norm) : y;
}
static inline tn_tensor *tn_kappa_constraints(const tn_component *c, tn_tensor *y) {
  const tn_kappa *kappa = (const tn_kappa *)c->vtable;
  if (TN_HAS(kappa, tn_kappa, constraints)) return kappa->constraints(c->self, y);
  tn_shape shape = {1, {1}};
  return tn_full(TN_F64, shape, tn_kappa_norm(c, y));
}

/* Extension "tenon.optimizer.kappa/1": optimizers of the Lion-K family show what monitors need.
 *   mt = beta1 m_t - (1 - beta1) grad f(x_t);  m_{t+1} = beta2 m_t - (1 - beta2) grad f(x_t)
 *   x_{t+1} = x_t + lr (grad K(mt) - decay x_t), or with decay x_{t+1} if `implicit` */
#define TN_OPTIMIZER_KAPPA "tenon.optimizer.kappa/1"
typedef struct tn_kappa_state {
  uint32_t size;
  bool implicit;
  bool global;  /* K of one vector: all tensors with, and all without weight decay; else of each tensor */
  int64_t step; /* finished ones since begin */
  double lr, beta1, beta2;  /* lr: of the last step, with the schedule's factor */
  double decay;             /* lambda of tensors with weight decay; 0 for the others */
  double remaining;         /* product over all steps of 1 - lr decay, or 1 / (1 + lr decay) if implicit */
  const tn_params *average; /* -m_{t+1}: with the sign of the gradient; NULL in front of begin */
  const tn_params *mixture; /* mt of the last step, undefined in front of it */
} tn_kappa_state;
typedef struct tn_optimizer_kappa {
  uint32_t size;
  /* [main] Pointers are valid until the optimizer's next call. */
  tn_status (*describe)(void *self, tn_kappa_state *state);
  /* [main] K of a tensor, or of all tensors that have weight decay as it has. */
  const tn_component *(*kappa)(void *self, const tn_param_entry *entry);
} tn_optimizer_kappa;

#endif
