// SPDX-License-Identifier: MIT
/* Lion-K (Chen et al. 2023, Lion Secretly Solves Constrained Optimization), the family of optimizers that a
 * convex function K names. With weight decay lambda it minimises f(w) + K*(lambda w) / lambda.
 *
 *   c <- beta1 m + (1 - beta1) g
 *   w <- w - lr (-grad K(-c) + lambda w)               explicit decay, or
 *   w <- (w + lr grad K(-c)) / (1 + lr lambda)         implicit: lambda acts on the new w
 *   m <- beta2 m + (1 - beta2) g
 *
 * m averages gradients as in Lion; the paper's m is its negative, and -c is the paper's m tilde. With K = l1
 * and explicit decay this is optimizer.lion, operation by operation.
 *
 * K is taken of each tensor, or (scope = global) of all tensors with decay as one vector, and of those
 * without. nesterov = no: beta1 = beta2, so c is the new m; nesterov = yes: beta1 = beta2^2, so that
 * c = beta2 m' + (1 - beta2) g with the new m', Nesterov's momentum. */
#include "../kappas/blocks.h"
#include <tenon/optimizer.h>

enum { SCOPE_TENSOR, SCOPE_GLOBAL };
enum { NESTEROV_BETAS, NESTEROV_NO, NESTEROV_YES };
struct lion_k {
  const tn_component *kappa, *vector_kappa;
  double lr, beta1, beta2, weight_decay;
  bool implicit;
  int32_t nesterov, scope;

  double rate;         /* lr times the schedule's factor, of the last step */
  double first;        /* beta1 in force */
  tn_params *momentum; /* m */
  tn_params *mixture;  /* -c of the last step */
  tn_params *descent;  /* -grad K(-c) of the last step */
  int64_t step;
  double remaining; /* product of 1 - lr lambda, or 1 / (1 + lr lambda) */
};
static const tn_param lion_k_params[] = {
    TN_REFERENCE(struct lion_k, kappa, 0, TN_KAPPA, "kappa.l1", "the convex function K"),
    TN_REFERENCE(struct lion_k, vector_kappa, 0, TN_KAPPA, NULL,
                 "K of tensors with fewer than two axes, as biases; empty: as of all others"),
    TN_REAL(struct lion_k, lr, "1e-4", 0, INFINITY, "learning rate"),
    TN_REAL(struct lion_k, beta1, "0.9", 0, 1, "share of the momentum in the update"),
    TN_REAL(struct lion_k, beta2, "0.99", 0, 1, "decay of the momentum"),
    TN_REAL(struct lion_k, weight_decay, "0", 0, INFINITY,
            "lambda, decoupled: with K = l1 weights end within 1 / lambda"),
    TN_BOOL(struct lion_k, implicit, "no", "decay of the new weights instead of the old ones"),
    TN_CHOICE(struct lion_k, nesterov, "betas", "betas|no|yes",
              "betas: beta1 as given; no: beta1 = beta2; yes: beta1 = beta2^2"),
    TN_CHOICE(struct lion_k, scope, "tensor", "tensor|global", "what K is taken of"),
};

static tn_status lion_k_create(void *self) {
  struct lion_k *lion = self;
  const double beta2 = lion->beta2;
  lion->first = lion->nesterov == NESTEROV_BETAS ? lion->beta1
                : lion->nesterov == NESTEROV_NO  ? beta2
                                                 : beta2 * beta2;
  if (lion->scope == SCOPE_GLOBAL && lion->vector_kappa)
    return tn_fail(TN_ERROR_INVALID, "vector_kappa: with scope = global there is one K for all tensors");
  return TN_OK;
}

static void lion_k_release(struct lion_k *lion) {
  tn_params_release(lion->momentum);
  tn_params_release(lion->mixture);
  tn_params_release(lion->descent);
  lion->momentum = lion->mixture = lion->descent = NULL;
}

static tn_status lion_k_begin(void *self, const tn_params *params) {
  struct lion_k *lion = self;
  lion_k_release(lion);
  lion->step = 0;
  lion->remaining = 1;
  lion->rate = 0;
  lion->momentum = tn_params_like(params);
  lion->mixture = tn_params_like(params);
  lion->descent = tn_params_like(params);
  return lion->momentum && lion->mixture && lion->descent ? TN_OK : TN_ERROR_MEMORY;
}

TN_FUSED(mix_pass, {
  const struct lion_k *lion = self;
  const real beta1 = (real)lion->first, beta2 = (real)lion->beta2;
  real *restrict g = run->data[0], *restrict m = run->data[1], *restrict mixture = run->data[2];
  for (int64_t i = 0; i < run->count; i++) {
    real c = beta1 * m[i] + (1 - beta1) * g[i];
    mixture[i] = -c;
    m[i] = beta2 * m[i] + (1 - beta2) * g[i];
  }
})

TN_FUSED(move_pass, {
  const struct lion_k *lion = self;
  const real lr = (real)lion->rate, decay = run->group == TN_DECAY ? (real)lion->weight_decay : 0;
  real *restrict w = run->data[0], *restrict d = run->data[1];
  for (int64_t i = 0; i < run->count; i++) w[i] -= lr * (d[i] + decay * w[i]);
})

TN_FUSED(move_implicit_pass, {
  const struct lion_k *lion = self;
  const real lr = (real)lion->rate, decay = run->group == TN_DECAY ? (real)lion->weight_decay : 0;
  real *restrict w = run->data[0], *restrict d = run->data[1];
  for (int64_t i = 0; i < run->count; i++) w[i] = (w[i] - lr * d[i]) / (1 + lr * decay);
})

static const tn_component *lion_k_kappa(void *self, const tn_param_entry *entry) {
  const struct lion_k *lion = self;
  return lion->vector_kappa && tn_ndim(entry->tensor) < 2 ? lion->vector_kappa : lion->kappa;
}

/* 0 - x: the same zero as sign(c) has in Lion. */
#define NEGATE(type)                      \
  for (int64_t i = 0; i < to->numel; i++) \
  ((type *)to->dl.data)[i] = 0 - ((const type *)value->dl.data)[first + i]
static void write_negative(tn_tensor *to, const tn_tensor *value, int64_t first) {
  if (to->dtype == TN_F64)
    NEGATE(double);
  else
    NEGATE(float);
}

static tn_status descend(const struct lion_k *lion) {
  struct block_walk walk = blocks_start(lion->mixture, lion->scope == SCOPE_GLOBAL);
  while (blocks_next(&walk)) {
    tn_scope_open();
    tn_tensor *mixture = block_of(&walk, lion->mixture);
    const tn_tensor *slope = tn_kappa_gradient(lion_k_kappa((void *)(uintptr_t)lion, &walk.entry), mixture);
    const bool fits = !tn_poisoned(slope) && slope->numel == mixture->numel && slope->dtype == mixture->dtype;
    if (fits) block_each(&walk, lion->descent, slope, write_negative);
    tn_scope_close();
    if (tn_failed()) return tn_outcome();
    if (!fits) return tn_fail(TN_ERROR_SHAPE, "'%s' gives a gradient of another shape", lion->kappa->name);
  }
  return TN_OK;
}

static tn_status lion_k_step(void *self, const tn_optimizer_step *step) {
  struct lion_k *lion = self;
  tn_params *averages[] = {(tn_params *)step->gradient, lion->momentum, lion->mixture};
  tn_params *moved[] = {step->params, lion->descent};
  lion->rate = lion->lr * step->schedule;
  tn_status status = tn_params_each(&mix_pass, lion, NULL, averages, 3);
  const bool recording = tn_record(false);
  if (status >= 0) status = descend(lion);
  tn_record(recording);
  if (status >= 0)
    status = tn_params_each(lion->implicit ? &move_implicit_pass : &move_pass, lion, NULL, moved, 2);
  const double decay = lion->rate * lion->weight_decay;
  lion->remaining *= lion->implicit ? 1 / (1 + decay) : 1 - decay;
  lion->step++;
  return status;
}

static tn_status lion_k_describe(void *self, tn_kappa_state *state) {
  const struct lion_k *lion = self;
  const tn_kappa_state full = {.size = sizeof full,
                               .implicit = lion->implicit,
                               .global = lion->scope == SCOPE_GLOBAL,
                               .step = lion->step,
                               .lr = lion->rate,
                               .beta1 = lion->first,
                               .beta2 = lion->beta2,
                               .decay = lion->weight_decay,
                               .remaining = lion->remaining,
                               .average = lion->momentum,
                               .mixture = lion->mixture};
  const uint32_t size = state->size;
  memcpy(state, &full, size < sizeof full ? size : sizeof full);
  state->size = size;
  return TN_OK;
}
static const void *lion_k_extension(void *self, const char *id) {
  static const tn_optimizer_kappa shown = {sizeof shown, lion_k_describe, lion_k_kappa};
  (void)self;
  return strcmp(id, TN_OPTIMIZER_KAPPA) == 0 ? &shown : NULL;
}

static double lion_k_rate(void *self, double schedule) { return ((struct lion_k *)self)->lr * schedule; }
static void lion_k_destroy(void *self) { lion_k_release(self); }
static tn_status lion_k_state(void *self, const tn_visitor *visitor) {
  struct lion_k *lion = self;
  tn_visit_integer(visitor, "step", &lion->step);
  tn_visit_real(visitor, "remaining", &lion->remaining);
  return tn_visit_params(visitor, "momentum", &lion->momentum);
}
static const tn_class lion_k_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "lion_k",
    .summary = "Steps along the gradient of a convex function of the momentum: Lion's family",
    .reference = "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    TN_CLASS_PARAMS(lion_k_params),
    .instance_size = sizeof(struct lion_k),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), lion_k_begin, lion_k_step, lion_k_rate, NULL},
    .create = lion_k_create,
    .destroy = lion_k_destroy,
    .state = lion_k_state,
    .extension = lion_k_extension};
TN_PLUGIN("optimizer_lion_k", "1.0.0", "MIT", &lion_k_class)
