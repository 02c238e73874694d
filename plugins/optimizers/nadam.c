// SPDX-License-Identifier: MIT
/* NAdam: Adam with Nesterov's momentum and a warm-up of the momentum (Dozat 2016, Algorithm 2, with
 * the schedule of mu that its author used).
 *
 *   mu_t = beta1 (1 - 0.96^(momentum_decay t) / 2)
 *   g <- g + weight_decay w                            coupled decay: part of the gradient
 *   m <- mu_t m + (1 - mu_t) g                         scheduled = no: beta1, as PyTorch and Keras do
 *   v <- beta2 v + (1 - beta2) g^2
 *   h  = mu_(t+1) m / (1 - prod_(i <= t+1) mu_i) + (1 - mu_t) g / (1 - prod_(i <= t) mu_i)
 *   w <- w - lr h / (sqrt(v / (1 - beta2^t)) + epsilon) */
#include <tenon/optimizer.h>
#include <tgmath.h>

struct nadam {
  double lr, beta1, beta2, epsilon, momentum_decay, weight_decay;
  bool scheduled;
  double product;           /* of mu_1 .. mu_t */
  tn_params *mean, *square; /* m, v */
};
static const tn_param nadam_params[] = {
    TN_REAL(struct nadam, lr, "2e-3", 0, INFINITY, "learning rate"),
    TN_PARAM_(struct nadam, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "limit of the decay of the mean of the gradient"),
    TN_PARAM_(struct nadam, beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.999", 0, 1, NULL, NULL, NULL,
              "decay of the mean of its square"),
    TN_REAL(struct nadam, epsilon, "1e-8", 0, INFINITY, "added to the root of the mean square"),
    TN_REAL(struct nadam, momentum_decay, "4e-3", 0, INFINITY, "how fast mu rises from beta1 / 2 to beta1"),
    TN_BOOL(struct nadam, scheduled, "yes", "decay the mean by mu (Dozat); no: by beta1 (PyTorch, Keras)"),
    TN_REAL(struct nadam, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status nadam_begin(void *self, const tn_params *params) {
  struct nadam *nadam = self;
  tn_params_release(nadam->mean);
  tn_params_release(nadam->square);
  nadam->product = 1;
  nadam->mean = tn_params_like(params);
  nadam->square = tn_params_like(params);
  return nadam->mean && nadam->square ? TN_OK : TN_ERROR_MEMORY;
}

struct nadam_rates {
  double decay;          /* of the mean */
  double fresh, lasting; /* lr times the factors of g and of m in h */
  double bias2;          /* 1 - beta2^t */
};

TN_FUSED(nadam_pass, {
  const struct nadam *nadam = self;
  const struct nadam_rates *rates = arguments;
  const real beta1 = (real)rates->decay, keep1 = (real)(1 - rates->decay), beta2 = (real)nadam->beta2;
  const real epsilon = (real)nadam->epsilon, bias2 = (real)(1 / rates->bias2);
  const real fresh = (real)rates->fresh, lasting = (real)rates->lasting;
  const real decay = run->group == TN_DECAY ? (real)nadam->weight_decay : 0;
  real *restrict w = run->data[0], *restrict m = run->data[2], *restrict v = run->data[3];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    real d = g[i] + decay * w[i];
    m[i] = beta1 * m[i] + keep1 * d;
    v[i] = beta2 * v[i] + (1 - beta2) * d * d;
    real root = sqrt(bias2 * v[i]) + epsilon;
    w[i] -= root > 0 ? (fresh * d + lasting * m[i]) / root : 0;
  }
})

static double nadam_mu(const struct nadam *nadam, double t) {
  return nadam->beta1 * (1 - pow(0.96, nadam->momentum_decay * t) / 2);
}

static tn_status nadam_step(void *self, const tn_optimizer_step *step) {
  struct nadam *nadam = self;
  const double t = (double)step->step, lr = nadam->lr * step->schedule;
  const double mu = nadam_mu(nadam, t), next = nadam_mu(nadam, t + 1);
  nadam->product *= mu;
  const struct nadam_rates rates = {.decay = nadam->scheduled ? mu : nadam->beta1,
                                    .fresh = lr * (1 - mu) / (1 - nadam->product),
                                    .lasting = lr * next / (1 - nadam->product * next),
                                    .bias2 = 1 - pow(nadam->beta2, t)};
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, nadam->mean, nadam->square};
  return tn_params_each(&nadam_pass, nadam, &rates, sets, 4);
}

static double nadam_rate(void *self, double schedule) { return ((struct nadam *)self)->lr * schedule; }
static void nadam_destroy(void *self) {
  struct nadam *nadam = self;
  tn_params_release(nadam->mean);
  tn_params_release(nadam->square);
}
static tn_status nadam_state(void *self, const tn_visitor *visitor) {
  struct nadam *nadam = self;
  tn_status status = tn_visit_real(visitor, "product", &nadam->product);
  if (status >= 0) status = tn_visit_params(visitor, "mean", &nadam->mean);
  return status < 0 ? status : tn_visit_params(visitor, "square", &nadam->square);
}
static const tn_class nadam_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "nadam",
    .summary = "Adam with Nesterov's momentum, which warms up",
    .reference = "Dozat 2016, Incorporating Nesterov Momentum into Adam",
    TN_CLASS_PARAMS(nadam_params),
    .instance_size = sizeof(struct nadam),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), nadam_begin, nadam_step, nadam_rate, NULL},
    .destroy = nadam_destroy,
    .state = nadam_state};
TN_PLUGIN("nadam", "1.0.0", "MIT", &nadam_class)
