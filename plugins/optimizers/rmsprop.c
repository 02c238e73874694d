// SPDX-License-Identifier: MIT
/* RMSProp (Tieleman and Hinton 2012, lecture 6e), optionally centred and with momentum (Graves 2013,
 * equations 38 to 41; in the form of PyTorch's torch.optim.RMSprop).
 *
 *   g <- g + weight_decay w                  coupled decay: part of the gradient
 *   v <- beta2 v + (1 - beta2) g^2
 *   a <- beta2 a + (1 - beta2) g             centred: s = v - a^2, else s = v
 *   u  = g / (sqrt(s) + epsilon)             or, epsilon_inside: g / sqrt(s + epsilon), as TensorFlow does
 *   b <- momentum b + u                      without momentum b = u
 *   w <- w - lr b */
#include <tenon/optimizer.h>
#include <tgmath.h>

struct rmsprop {
  double lr, beta2, epsilon, momentum, weight_decay;
  bool centred, epsilon_inside;
  tn_params *square, *mean, *velocity; /* v, a (centred), b (with momentum); else NULL */
};
static const tn_param rmsprop_params[] = {
    TN_REAL(struct rmsprop, lr, "1e-2", 0, INFINITY, "learning rate"),
    TN_PARAM_(struct rmsprop, beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.99", 0, 1, NULL, NULL, NULL,
              "decay of the mean of the squared gradient"),
    TN_REAL(struct rmsprop, epsilon, "1e-8", 0, INFINITY, "keeps the divisor away from 0"),
    TN_BOOL(struct rmsprop, epsilon_inside, "no", "add epsilon under the root (TensorFlow)"),
    TN_PARAM_(struct rmsprop, momentum, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL,
              "decay of a sum of past steps; 0: none"),
    TN_BOOL(struct rmsprop, centred, "no", "divide by the deviation instead of the root mean square"),
    TN_REAL(struct rmsprop, weight_decay, "0", 0, INFINITY, "coupled weight decay (L2 penalty on weights)"),
};

static tn_status rmsprop_begin(void *self, const tn_params *params) {
  struct rmsprop *rms = self;
  tn_params **sets[] = {&rms->square, &rms->mean, &rms->velocity};
  const bool wanted[] = {true, rms->centred, rms->momentum > 0};
  for (int i = 0; i < 3; i++) {
    tn_params_release(*sets[i]);
    *sets[i] = wanted[i] ? tn_params_like(params) : NULL;
    if (wanted[i] && !*sets[i]) return TN_ERROR_MEMORY;
  }
  return TN_OK;
}

/* A set that is not wanted is replaced by the gradient in the call; it is not touched. */
TN_FUSED(rmsprop_pass, {
  const struct rmsprop *rms = self;
  const real lr = (real) * (const double *)arguments, beta2 = (real)rms->beta2;
  const real momentum = (real)rms->momentum;
  const real inside = rms->epsilon_inside ? (real)rms->epsilon : 0;
  const real outside = rms->epsilon_inside ? 0 : (real)rms->epsilon;
  const real decay = run->group == TN_DECAY ? (real)rms->weight_decay : 0;
  const bool centred = rms->centred, moving = rms->momentum > 0;
  real *restrict w = run->data[0], *restrict v = run->data[2];
  const real *g = run->data[1];
  real *a = run->data[3], *b = run->data[4];
  for (int64_t i = 0; i < run->count; i++) {
    real d = g[i] + decay * w[i];
    v[i] = beta2 * v[i] + (1 - beta2) * d * d;
    real s = v[i];
    if (centred) {
      a[i] = beta2 * a[i] + (1 - beta2) * d;
      s -= a[i] * a[i];
      s = s > 0 ? s : 0; /* rounding may take it below 0 */
    }
    real root = sqrt(s + inside) + outside;
    real u = root > 0 ? d / root : 0;
    if (moving) u = b[i] = momentum * b[i] + u;
    w[i] -= lr * u;
  }
})

static tn_status rmsprop_step(void *self, const tn_optimizer_step *step) {
  const struct rmsprop *rms = self;
  const double lr = rms->lr * step->schedule;
  tn_params *gradient = (tn_params *)step->gradient;
  tn_params *sets[] = {step->params, gradient, rms->square, rms->centred ? rms->mean : gradient,
                       rms->momentum > 0 ? rms->velocity : gradient};
  return tn_params_each(&rmsprop_pass, rms, &lr, sets, 5);
}

static double rmsprop_rate(void *self, double schedule) { return ((struct rmsprop *)self)->lr * schedule; }
static void rmsprop_destroy(void *self) {
  struct rmsprop *rms = self;
  tn_params_release(rms->square);
  tn_params_release(rms->mean);
  tn_params_release(rms->velocity);
}
static tn_status rmsprop_state(void *self, const tn_visitor *visitor) {
  struct rmsprop *rms = self;
  tn_status status = tn_visit_params(visitor, "square", &rms->square);
  if (status >= 0 && rms->centred) status = tn_visit_params(visitor, "mean", &rms->mean);
  if (status >= 0 && rms->momentum > 0) status = tn_visit_params(visitor, "velocity", &rms->velocity);
  return status;
}
static const tn_class rmsprop_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "rmsprop",
    .summary = "Steps divided by a running root mean square of the gradient",
    .reference = "Tieleman and Hinton 2012, Neural Networks for Machine Learning, lecture 6e; Graves 2013, "
                 "Generating Sequences With Recurrent Neural Networks",
    TN_CLASS_PARAMS(rmsprop_params),
    .instance_size = sizeof(struct rmsprop),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), rmsprop_begin, rmsprop_step, rmsprop_rate, NULL},
    .destroy = rmsprop_destroy,
    .state = rmsprop_state};
TN_PLUGIN("rmsprop", "1.0.0", "MIT", &rmsprop_class)
