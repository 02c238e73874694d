// SPDX-License-Identifier: MIT
/* tenon.autograd/1: derivatives of any order.
 *
 * Define-by-run. An operation is recorded if recording is on (it is, unless the host or tn_record turns it
 * off) and one of its inputs requires a gradient: a trainable parameter, a tensor from tn_leaf, or something
 * computed from one. Gradients are values: tn_grad returns them, nothing accumulates anywhere. A history
 * lives as long as the scope in which it was recorded. */
#ifndef TENON_AUTOGRAD_H
#define TENON_AUTOGRAD_H

#include <tenon/tensor.h>

#define TN_AUTOGRAD_SERVICE "tenon.autograd/1"

enum { TN_CREATE_GRAPH = 1u << 0 /* the gradients are recorded too and can be differentiated again */ };

/* An operation of a plugin's own. The plugin computes the value as it likes (recording off) and says how a
 * gradient passes through it, by differentiable operations. */
typedef struct tn_custom_op {
  uint32_t size;
  const char *name; /* for messages and profiles */
  /* [main] `gradient` has `value`'s shape. Writes one gradient an input to `gradients`, NULL for none.
   * `saved` is what was given to tn_custom. */
  void (*backward)(void *saved, tn_tensor *const *inputs, uint32_t count, tn_tensor *value,
                   tn_tensor *gradient, tn_tensor **gradients);
} tn_custom_op;

typedef struct tn_autograd_service {
  uint32_t size;
  bool (*record)(bool on); /* the former setting */
  tn_tensor *(*leaf)(tn_tensor *x);
  tn_tensor *(*stop_gradient)(tn_tensor *x);
  bool (*requires_gradient)(const tn_tensor *x);
  /* Gradients of the scalar `y` with respect to `xs`; zeros where y does not depend on x. */
  void (*grad)(tn_tensor *y, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients, uint32_t flags);
  /* Vector-Jacobian product: as grad for a `y` of any shape, with the gradient `seed` (y's shape) put in. */
  void (*vjp)(tn_tensor *y, tn_tensor *seed, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients,
              uint32_t flags);
  /* Gradient with respect to all trainable tensors of `params`, written to `into` (same layout). */
  tn_status (*grad_params)(tn_tensor *y, const tn_params *params, tn_params *into);
  tn_tensor *(*custom)(const tn_custom_op *op, void *saved, tn_tensor *value, tn_tensor *const *inputs,
                       uint32_t count);
  /* f(context, inputs) without keeping what it computes inside: recomputed when a gradient asks for it. `f`
   * must be a pure function of the inputs. `context` must outlive the scope. */
  tn_tensor *(*checkpoint)(tn_tensor *(*f)(void *context, tn_tensor *const *inputs), void *context,
                           tn_tensor *const *inputs, uint32_t count);
  /* x itself, whose gradient is multiplied by `factor` on the way back: reversal with -1, damping, freezing.
   */
  tn_tensor *(*scale_gradient)(tn_tensor *x, double factor);
} tn_autograd_service;

static inline bool tn_record(bool on) { return tn_sdk.autograd->record(on); }
/* The same values as a new independent variable. */
static inline tn_tensor *tn_leaf(tn_tensor *x) { return tn_sdk.autograd->leaf(x); }
/* The same values as a constant. */
static inline tn_tensor *tn_stop_gradient(tn_tensor *x) { return tn_sdk.autograd->stop_gradient(x); }
static inline bool tn_requires_gradient(const tn_tensor *x) { return tn_sdk.autograd->requires_gradient(x); }
static inline void tn_grad(tn_tensor *y, tn_tensor *const *xs, uint32_t count, tn_tensor **gradients,
                           uint32_t flags) {
  tn_sdk.autograd->grad(y, xs, count, gradients, flags);
}
static inline void tn_vjp(tn_tensor *y, tn_tensor *seed, tn_tensor *const *xs, uint32_t count,
                          tn_tensor **gradients, uint32_t flags) {
  tn_sdk.autograd->vjp(y, seed, xs, count, gradients, flags);
}
static inline tn_status tn_grad_params(tn_tensor *y, const tn_params *params, tn_params *into) {
  return tn_sdk.autograd->grad_params(y, params, into);
}
static inline tn_tensor *tn_custom(const tn_custom_op *op, void *saved, tn_tensor *value,
                                   tn_tensor *const *inputs, uint32_t count) {
  return tn_sdk.autograd->custom(op, saved, value, inputs, count);
}
static inline tn_tensor *tn_checkpoint(tn_tensor *(*f)(void *context, tn_tensor *const *inputs),
                                       void *context, tn_tensor *const *inputs, uint32_t count) {
  return tn_sdk.autograd->checkpoint(f, context, inputs, count);
}
static inline tn_tensor *tn_scale_gradient(tn_tensor *x, double factor) {
  return tn_sdk.autograd->scale_gradient(x, factor);
}

#endif
