// SPDX-License-Identifier: MIT
/* Lion: evolved sign momentum (Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, Algorithm 2).
 *   c <- beta1 m + (1 - beta1) g             what to do now: the momentum and some fresh gradient
 *   w <- w - lr (sign(c) + weight_decay w)   every coordinate moves by lr; decay is decoupled
 *   m <- beta2 m + (1 - beta2) g             what to remember */
#include <tenon/optimizer.h>

struct lion {
  double lr, beta1, beta2, weight_decay, rate; /* rate: lr times the schedule's factor */
  tn_params *momentum;                         /* m */
};
static const tn_param lion_params[] = {
    TN_REAL(struct lion, lr, "1e-4", 0, INFINITY, "learning rate; about a tenth of what Adam wants"),
    TN_REAL(struct lion, beta1, "0.9", 0, 1, "share of the momentum in the update"),
    TN_REAL(struct lion, beta2, "0.99", 0, 1, "decay of the momentum"),
    TN_REAL(struct lion, weight_decay, "0", 0, INFINITY, "decoupled decay; about ten times AdamW's"),
};

static tn_status lion_begin(void *self, const tn_params *params) {
  struct lion *lion = self;
  tn_params_release(lion->momentum);
  return (lion->momentum = tn_params_like(params)) ? TN_OK : TN_ERROR_MEMORY;
}

TN_FUSED(lion_pass, {
  const struct lion *lion = self;
  const real lr = (real)lion->rate, beta1 = (real)lion->beta1, beta2 = (real)lion->beta2;
  const real decay = run->group == TN_DECAY ? (real)lion->weight_decay : 0;
  real *restrict w = run->data[0], *restrict g = run->data[1], *restrict m = run->data[2];
  for (int64_t i = 0; i < run->count; i++) {
    real c = beta1 * m[i] + (1 - beta1) * g[i];
    w[i] -= lr * ((real)((c > 0) - (c < 0)) + decay * w[i]);
    m[i] = beta2 * m[i] + (1 - beta2) * g[i];
  }
})

static tn_status lion_step(void *self, const tn_optimizer_step *step) {
  struct lion *lion = self;
  lion->rate = lion->lr * step->schedule;
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, lion->momentum};
  return tn_params_each(&lion_pass, lion, NULL, sets, 3);
}

static double lion_rate(void *self, double schedule) { return ((struct lion *)self)->lr * schedule; }
static void lion_destroy(void *self) { tn_params_release(((struct lion *)self)->momentum); }
static tn_status lion_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "momentum", &((struct lion *)self)->momentum);
}
static const tn_class lion_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "lion",
    .summary = "Sign of an interpolated momentum, with decoupled weight decay",
    .reference = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms",
    TN_CLASS_PARAMS(lion_params),
    .instance_size = sizeof(struct lion),
    .vtable = &(const tn_optimizer){sizeof(tn_optimizer), lion_begin, lion_step, lion_rate, NULL},
    .destroy = lion_destroy,
    .state = lion_state};
TN_PLUGIN("optimizer_lion", "1.0.0", "MIT", &lion_class)
