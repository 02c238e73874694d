// SPDX-License-Identifier: MIT
/* Stochastic gradient descent with momentum (Polyak 1964; Nesterov 1983; Sutskever et al. 2013, in the form
 * of PyTorch's torch.optim.SGD).
 *
 *   g <- g + weight_decay w                       coupled decay: part of the gradient
 *   v <- momentum v + (1 - dampening) g           the first step takes v = g
 *   w <- w - lr v                                 or, Nesterov: w - lr (g + momentum v) */
#include <tenon/optimizer.h>

struct sgd {
  double lr, momentum, dampening, weight_decay;
  bool nesterov;
  tn_params *velocity; /* v; NULL without momentum */
};
static const tn_param sgd_params[] = {
    TN_REAL(struct sgd, lr, "0.1", 0, INFINITY, "learning rate"),
    TN_REAL(struct sgd, momentum, "0", 0, 1, "decay of the velocity; 0: plain gradient descent"),
    TN_REAL(struct sgd, dampening, "0", 0, 1, "share of the gradient kept out of the velocity"),
    TN_BOOL(struct sgd, nesterov, "no", "step from where the velocity leads (Nesterov)"),
    TN_REAL(struct sgd, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status sgd_create(void *self) {
  const struct sgd *sgd = self;
  if (sgd->nesterov && (sgd->momentum <= 0 || sgd->dampening > 0))
    return tn_fail(TN_ERROR_INVALID, "nesterov needs momentum above 0 and dampening 0, got %g and %g",
                   sgd->momentum, sgd->dampening);
  return TN_OK;
}

static tn_status sgd_begin(void *self, const tn_params *params) {
  struct sgd *sgd = self;
  tn_params_release(sgd->velocity);
  sgd->velocity = NULL;
  if (sgd->momentum == 0) return TN_OK;
  return (sgd->velocity = tn_params_like(params)) ? TN_OK : TN_ERROR_MEMORY;
}

struct sgd_rates {
  double lr, keep; /* keep: share of the gradient that enters the velocity */
};

TN_FUSED(sgd_pass, {
  const struct sgd *sgd = self;
  const struct sgd_rates *rates = arguments;
  const real lr = (real)rates->lr, decay = run->group == TN_DECAY ? (real)sgd->weight_decay : 0;
  real *restrict w = run->data[0];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) w[i] -= lr * (g[i] + decay * w[i]);
})

TN_FUSED(sgd_momentum_pass, {
  const struct sgd *sgd = self;
  const struct sgd_rates *rates = arguments;
  const real lr = (real)rates->lr, keep = (real)rates->keep, momentum = (real)sgd->momentum;
  const real decay = run->group == TN_DECAY ? (real)sgd->weight_decay : 0;
  /* w moves by lr (a g + b v): plain momentum a = 0, b = 1; Nesterov a = 1, b = momentum */
  const real a = sgd->nesterov ? 1 : 0, b = sgd->nesterov ? momentum : 1;
  real *restrict w = run->data[0], *restrict v = run->data[2];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    real d = g[i] + decay * w[i];
    v[i] = momentum * v[i] + keep * d;
    w[i] -= lr * (a * d + b * v[i]);
  }
})

static tn_status sgd_step(void *self, const tn_optimizer_step *step) {
  const struct sgd *sgd = self;
  const struct sgd_rates rates = {sgd->lr * step->schedule, step->step <= 1 ? 1 : 1 - sgd->dampening};
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, sgd->velocity};
  if (!sgd->velocity) return tn_params_each(&sgd_pass, sgd, &rates, sets, 2);
  return tn_params_each(&sgd_momentum_pass, sgd, &rates, sets, 3);
}

static double sgd_rate(void *self, double schedule) { return ((struct sgd *)self)->lr * schedule; }
static void sgd_destroy(void *self) { tn_params_release(((struct sgd *)self)->velocity); }
static tn_status sgd_state(void *self, const tn_visitor *visitor) {
  struct sgd *sgd = self;
  return sgd->momentum == 0 ? TN_OK : tn_visit_params(visitor, "velocity", &sgd->velocity);
}
static const tn_class sgd_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "sgd",
    .summary = "Stochastic gradient descent: plain, with momentum, or Nesterov's",
    .reference = "Polyak 1964; Nesterov 1983; Sutskever et al. 2013",
    TN_CLASS_PARAMS(sgd_params),
    .instance_size = sizeof(struct sgd),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), sgd_begin, sgd_step, sgd_rate, NULL},
    .create = sgd_create,
    .destroy = sgd_destroy,
    .state = sgd_state};
TN_PLUGIN("optimizer_sgd", "1.0.0", "MIT", &sgd_class)
