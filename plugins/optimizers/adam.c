// SPDX-License-Identifier: MIT
/* Adam (Kingma and Ba 2015, Algorithm 1), with coupled weight decay.
 *
 *   g <- g + weight_decay w
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   w <- w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) */
#include <tenon/optimizer.h>
#include <tgmath.h>

struct adam {
  double lr, beta1, beta2, epsilon, weight_decay;
  tn_params *mean, *square; /* m, v */
};
static const tn_param adam_params[] = {
    TN_REAL(struct adam, lr, "1e-3", 0, INFINITY, "learning rate"),
    TN_PARAM_(struct adam, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "decay of the mean of the gradient"),
    TN_PARAM_(struct adam, beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.999", 0, 1, NULL, NULL, NULL,
              "decay of the mean of its square"),
    TN_REAL(struct adam, epsilon, "1e-8", 0, INFINITY, "added to the root of the mean square"),
    TN_REAL(struct adam, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status adam_begin(void *self, const tn_params *params) {
  struct adam *adam = self;
  tn_params_release(adam->mean);
  tn_params_release(adam->square);
  adam->mean = tn_params_like(params);
  adam->square = tn_params_like(params);
  return adam->mean && adam->square ? TN_OK : TN_ERROR_MEMORY;
}

struct adam_rates {
  double lr, bias1, bias2; /* bias: 1 - beta^t */
};

TN_FUSED(adam_pass, {
  const struct adam *adam = self;
  const struct adam_rates *rates = arguments;
  const real beta1 = (real)adam->beta1, beta2 = (real)adam->beta2, epsilon = (real)adam->epsilon;
  const real lr = (real)rates->lr, bias1 = (real)(1 / rates->bias1), bias2 = (real)(1 / rates->bias2);
  const real decay = run->group == TN_DECAY ? (real)adam->weight_decay : 0;
  real *restrict w = run->data[0], *restrict m = run->data[2], *restrict v = run->data[3];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    real d = g[i] + decay * w[i];
    m[i] = beta1 * m[i] + (1 - beta1) * d;
    v[i] = beta2 * v[i] + (1 - beta2) * d * d;
    w[i] -= lr * (bias1 * m[i]) / (sqrt(bias2 * v[i]) + epsilon);
  }
})

static tn_status adam_step(void *self, const tn_optimizer_step *step) {
  const struct adam *adam = self;
  const double t = (double)step->step;
  const struct adam_rates rates = {adam->lr * step->schedule, 1 - pow(adam->beta1, t),
                                   1 - pow(adam->beta2, t)};
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, adam->mean, adam->square};
  return tn_params_each(&adam_pass, adam, &rates, sets, 4);
}

static double adam_rate(void *self, double schedule) { return ((struct adam *)self)->lr * schedule; }
static void adam_destroy(void *self) {
  struct adam *adam = self;
  tn_params_release(adam->mean);
  tn_params_release(adam->square);
}
static tn_status adam_state(void *self, const tn_visitor *visitor) {
  struct adam *adam = self;
  tn_status status = tn_visit_params(visitor, "mean", &adam->mean);
  return status < 0 ? status : tn_visit_params(visitor, "square", &adam->square);
}
static const tn_class adam_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "adam",
    .summary = "Steps scaled by running means of the gradient and of its square",
    .reference = "Kingma and Ba 2015, Adam: A Method for Stochastic Optimization",
    TN_CLASS_PARAMS(adam_params),
    .instance_size = sizeof(struct adam),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), adam_begin, adam_step, adam_rate, NULL},
    .destroy = adam_destroy,
    .state = adam_state};
TN_PLUGIN("optimizer_adam", "1.0.0", "MIT", &adam_class)
