// SPDX-License-Identifier: MIT
/* AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, Algorithm 2).
 *
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   w <- w - lr ((m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay w) */
#include <tenon/optimizer.h>
#include <tgmath.h>

struct adamw {
  double lr, beta1, beta2, epsilon, weight_decay;
  tn_params *mean, *square; /* m, v */
};
static const tn_param adamw_params[] = {
    TN_REAL(struct adamw, lr, "1e-3", 0, INFINITY, "learning rate"),
    TN_PARAM_(struct adamw, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "decay of the mean of the gradient"),
    TN_PARAM_(struct adamw, beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.999", 0, 1, NULL, NULL, NULL,
              "decay of the mean of its square"),
    TN_REAL(struct adamw, epsilon, "1e-8", 0, INFINITY, "added to the root of the mean square"),
    TN_REAL(struct adamw, weight_decay, "0.01", 0, INFINITY, "decoupled weight decay"),
};

static tn_status adamw_begin(void *self, const tn_params *params) {
  struct adamw *adam = self;
  tn_params_release(adam->mean);
  tn_params_release(adam->square);
  adam->mean = tn_params_like(params);
  adam->square = tn_params_like(params);
  return adam->mean && adam->square ? TN_OK : TN_ERROR_MEMORY;
}

struct adamw_rates {
  double lr, bias1, bias2; /* bias: 1 - beta^t */
};

TN_FUSED(adamw_pass, {
  const struct adamw *adam = self;
  const struct adamw_rates *rates = arguments;
  const real beta1 = (real)adam->beta1, beta2 = (real)adam->beta2, epsilon = (real)adam->epsilon;
  const real lr = (real)rates->lr, bias1 = (real)(1 / rates->bias1), bias2 = (real)(1 / rates->bias2);
  const real decay = run->group == TN_DECAY ? (real)adam->weight_decay : 0;
  real *restrict w = run->data[0], *restrict m = run->data[2], *restrict v = run->data[3];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
    w[i] -= lr * (bias1 * m[i] / (sqrt(bias2 * v[i]) + epsilon) + decay * w[i]);
  }
})

static tn_status adamw_step(void *self, const tn_optimizer_step *step) {
  const struct adamw *adam = self;
  const double t = (double)step->step;
  const struct adamw_rates rates = {adam->lr * step->schedule, 1 - pow(adam->beta1, t),
                                    1 - pow(adam->beta2, t)};
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, adam->mean, adam->square};
  return tn_params_each(&adamw_pass, adam, &rates, sets, 4);
}

static double adamw_rate(void *self, double schedule) { return ((struct adamw *)self)->lr * schedule; }
static void adamw_destroy(void *self) {
  struct adamw *adam = self;
  tn_params_release(adam->mean);
  tn_params_release(adam->square);
}
static tn_status adamw_state(void *self, const tn_visitor *visitor) {
  struct adamw *adam = self;
  tn_status status = tn_visit_params(visitor, "mean", &adam->mean);
  return status < 0 ? status : tn_visit_params(visitor, "square", &adam->square);
}
static const tn_class adamw_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "adamw",
    .summary = "Adam with decoupled weight decay",
    .reference = "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization",
    TN_CLASS_PARAMS(adamw_params),
    .instance_size = sizeof(struct adamw),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), adamw_begin, adamw_step, adamw_rate, NULL},
    .destroy = adamw_destroy,
    .state = adamw_state};
TN_PLUGIN("optimizer_adamw", "1.0.0", "MIT", &adamw_class)
