// SPDX-License-Identifier: MIT
/* AdaGrad: each coordinate's rate falls with its own past gradients (Duchi, Hazan and Singer 2011, Figure 1,
 * diagonal matrices, without a constraint set; rate decay as in PyTorch's torch.optim.Adagrad).
 *
 *   g <- g + weight_decay w                          coupled decay: part of the gradient
 *   s <- s + g^2                                     s = initial at the start
 *   w <- w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + epsilon) */
#include <tenon/optimizer.h>
#include <tgmath.h>

struct adagrad {
  double lr, lr_decay, initial, epsilon, weight_decay;
  tn_params *sum; /* s */
};
static const tn_param adagrad_params[] = {
    TN_REAL(struct adagrad, lr, "1e-2", 0, INFINITY, "learning rate"),
    TN_REAL(struct adagrad, lr_decay, "0", 0, INFINITY, "further decay: lr / (1 + (t - 1) lr_decay)"),
    TN_REAL(struct adagrad, initial, "0", 0, INFINITY, "what the sum of squares starts from"),
    TN_REAL(struct adagrad, epsilon, "1e-10", 0, INFINITY, "added to the root of the sum of squares"),
    TN_REAL(struct adagrad, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status adagrad_begin(void *self, const tn_params *params) {
  struct adagrad *adagrad = self;
  tn_params_release(adagrad->sum);
  adagrad->sum = tn_params_like(params);
  return adagrad->sum ? tn_params_fill(adagrad->sum, adagrad->initial) : TN_ERROR_MEMORY;
}

TN_FUSED(adagrad_pass, {
  const struct adagrad *adagrad = self;
  const real lr = (real) * (const double *)arguments, epsilon = (real)adagrad->epsilon;
  const real decay = run->group == TN_DECAY ? (real)adagrad->weight_decay : 0;
  real *restrict w = run->data[0], *restrict s = run->data[2];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    real d = g[i] + decay * w[i];
    s[i] += d * d;
    real root = sqrt(s[i]) + epsilon;
    w[i] -= root > 0 ? lr * d / root : 0; /* 0 / 0 with epsilon 0: no gradient so far, no step */
  }
})

static tn_status adagrad_step(void *self, const tn_optimizer_step *step) {
  const struct adagrad *adagrad = self;
  const double lr = adagrad->lr * step->schedule / (1 + (double)(step->step - 1) * adagrad->lr_decay);
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, adagrad->sum};
  return tn_params_each(&adagrad_pass, adagrad, &lr, sets, 3);
}

static double adagrad_rate(void *self, double schedule) { return ((struct adagrad *)self)->lr * schedule; }
static void adagrad_destroy(void *self) { tn_params_release(((struct adagrad *)self)->sum); }
static tn_status adagrad_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "sum", &((struct adagrad *)self)->sum);
}
static const tn_class adagrad_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "adagrad",
    .summary = "Steps divided by the root of the sum of squared gradients so far",
    .reference = "Duchi, Hazan and Singer 2011, Adaptive Subgradient Methods for Online Learning and "
                 "Stochastic Optimization",
    TN_CLASS_PARAMS(adagrad_params),
    .instance_size = sizeof(struct adagrad),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), adagrad_begin, adagrad_step, adagrad_rate, NULL},
    .destroy = adagrad_destroy,
    .state = adagrad_state};
TN_PLUGIN("adagrad", "1.0.0", "MIT", &adagrad_class)
