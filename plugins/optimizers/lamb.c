// SPDX-License-Identifier: MIT
/* LAMB: Adam's direction, rescaled tensor by tensor to the tensor's own length (You et al. 2020, Algorithm
 * 2).
 *
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   r  = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *   u  = r + weight_decay w
 *   w <- w - lr phi(||w||) / ||u|| u           for each tensor; phi clips to [min_norm, max_norm]
 *
 * The ratio is 1 where ||w|| or ||u|| is 0, and, as in the authors' code, for tensors without weight decay
 * (biases, normalisation) unless adapt = all. */
#include "entries.h"
#include <tgmath.h>

enum { ADAPT_DECAYED, ADAPT_ALL };
struct lamb {
  double lr, beta1, beta2, epsilon, weight_decay, min_norm, max_norm;
  int32_t adapt;
  tn_params *mean, *square; /* m, v */
  tn_params *update;        /* u: scratch */
  struct entries entries;   /* of w and u; factor: trust ratio */
};
static const tn_param lamb_params[] = {
    TN_REAL(struct lamb, lr, "1e-3", 0, INFINITY, "learning rate"),
    TN_PARAM_(struct lamb, beta1, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.9", 0, 1, NULL, NULL, NULL,
              "decay of the mean of the gradient"),
    TN_PARAM_(struct lamb, beta2, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0.999", 0, 1, NULL, NULL, NULL,
              "decay of the mean of its square"),
    TN_REAL(struct lamb, epsilon, "1e-6", 0, INFINITY, "added to the root of the mean square"),
    TN_REAL(struct lamb, weight_decay, "0.01", 0, INFINITY, "weight decay, part of the direction"),
    TN_REAL(struct lamb, min_norm, "0", 0, INFINITY, "lower bound of phi"),
    TN_REAL(struct lamb, max_norm, "inf", 0, INFINITY, "upper bound of phi"),
    TN_CHOICE(struct lamb, adapt, "decayed", "decayed|all", "which tensors get a trust ratio"),
};

static tn_status lamb_create(void *self) {
  const struct lamb *lamb = self;
  if (lamb->min_norm <= lamb->max_norm) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "min_norm must not be above max_norm, got %g and %g", lamb->min_norm,
                 lamb->max_norm);
}

static void lamb_release(struct lamb *lamb) {
  tn_params **sets[] = {&lamb->mean, &lamb->square, &lamb->update};
  for (int i = 0; i < 3; i++) {
    tn_params_release(*sets[i]);
    *sets[i] = NULL;
  }
  entries_release(&lamb->entries);
}

static tn_status lamb_begin(void *self, const tn_params *params) {
  struct lamb *lamb = self;
  lamb_release(lamb);
  lamb->mean = tn_params_like(params);
  lamb->square = tn_params_like(params);
  return lamb->mean && lamb->square ? TN_OK : TN_ERROR_MEMORY;
}

struct lamb_rates {
  double lr, bias1, bias2; /* bias: 1 - beta^t */
};

TN_FUSED(lamb_direction, {
  const struct lamb *lamb = self;
  const struct lamb_rates *rates = arguments;
  const real beta1 = (real)lamb->beta1, beta2 = (real)lamb->beta2, epsilon = (real)lamb->epsilon;
  const real bias1 = (real)(1 / rates->bias1), bias2 = (real)(1 / rates->bias2);
  const real decay = run->group == TN_DECAY ? (real)lamb->weight_decay : 0;
  real *restrict m = run->data[2], *restrict v = run->data[3], *restrict u = run->data[4];
  const real *restrict w = run->data[0], *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    m[i] = beta1 * m[i] + (1 - beta1) * g[i];
    v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
    real root = sqrt(bias2 * v[i]) + epsilon;
    u[i] = (root > 0 ? bias1 * m[i] / root : 0) + decay * w[i];
  }
})

TN_FUSED(lamb_move, {
  const struct lamb *lamb = self;
  const struct lamb_rates *rates = arguments;
  real *restrict w = run->data[0];
  const real *restrict u = run->data[1];
  struct span span = entries_start(&lamb->entries, run, sizeof(real));
  while (entries_span(&lamb->entries, run, sizeof(real), &span)) {
    const real lr = (real)(rates->lr * span.entry->factor);
    for (int64_t i = span.first; i < span.last; i++) w[i] -= lr * u[i];
  }
})

/* phi(||w||) / ||u|| of each tensor. */
static void lamb_ratios(struct lamb *lamb) {
  for (uint32_t i = 0; i < lamb->entries.count; i++) {
    struct entry *entry = &lamb->entries.items[i];
    entry->factor = 1;
    if (lamb->adapt == ADAPT_DECAYED && entry->group != TN_DECAY) continue;
    tn_scope_open();
    const double length = tn_item(tn_norm(entry->of[0])), update = tn_item(tn_norm(entry->of[1]));
    tn_scope_close();
    if (length > 0 && update > 0) entry->factor = fmin(fmax(length, lamb->min_norm), lamb->max_norm) / update;
  }
}

static tn_status lamb_step(void *self, const tn_optimizer_step *step) {
  struct lamb *lamb = self;
  const double t = (double)step->step;
  const struct lamb_rates rates = {lamb->lr * step->schedule, 1 - pow(lamb->beta1, t),
                                   1 - pow(lamb->beta2, t)};
  if (!lamb->update && !(lamb->update = tn_params_like(step->params))) return TN_ERROR_MEMORY;
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, lamb->mean, lamb->square, lamb->update};
  tn_status status = tn_params_each(&lamb_direction, lamb, &rates, sets, 5);
  tn_params *moved[] = {step->params, lamb->update};
  if (status >= 0) status = entries_collect(&lamb->entries, moved, 2);
  if (status < 0) return status;
  const bool recording = tn_record(false);
  lamb_ratios(lamb);
  tn_record(recording);
  return tn_params_each(&lamb_move, lamb, &rates, moved, 2);
}

static double lamb_rate(void *self, double schedule) { return ((struct lamb *)self)->lr * schedule; }
static void lamb_destroy(void *self) { lamb_release(self); }
static tn_status lamb_state(void *self, const tn_visitor *visitor) {
  struct lamb *lamb = self;
  tn_status status = tn_visit_params(visitor, "mean", &lamb->mean);
  return status < 0 ? status : tn_visit_params(visitor, "square", &lamb->square);
}
static const tn_class lamb_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "lamb",
    .summary = "Adam with each tensor's step in proportion to the tensor's norm, for large batches",
    .reference = "You et al. 2020, Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
    TN_CLASS_PARAMS(lamb_params),
    .instance_size = sizeof(struct lamb),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), lamb_begin, lamb_step, lamb_rate, NULL},
    .create = lamb_create,
    .destroy = lamb_destroy,
    .state = lamb_state};
TN_PLUGIN("lamb", "1.0.0", "MIT", &lamb_class)
