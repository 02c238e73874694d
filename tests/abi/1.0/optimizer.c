// SPDX-License-Identifier: MIT
/* frozen_optimizer: gradient descent with momentum: m <- beta m + g; w <- w - lr (m + weight_decay w). */
#include <tenon/optimizer.h>

struct frozen_optimizer {
  double lr, beta, weight_decay;
  tn_params *m; /* momentum */
};
static const tn_param frozen_optimizer_params[] = {
    TN_REAL(struct frozen_optimizer, lr, "1e-2", 0, 10, "learning rate"),
    TN_REAL(struct frozen_optimizer, beta, "0.9", 0, 1, "decay of the momentum"),
    TN_REAL(struct frozen_optimizer, weight_decay, "0", 0, 10, "decoupled weight decay"),
};

/* One pass over flat memory; `real` is float or double. Sets: parameters, gradient, momentum. */
TN_FUSED(frozen_optimizer_pass, {
  const struct frozen_optimizer *o = self;
  const double lr = o->lr * *(const double *)arguments;
  const real rate = (real)lr, beta = (real)o->beta;
  const real keep = (real)(run->group == TN_DECAY ? 1 - lr * o->weight_decay : 1);
  real *restrict w = run->data[0];
  const real *restrict g = run->data[1];
  real *restrict m = run->data[2];
  for (int64_t i = 0; i < run->count; i++) {
    m[i] = beta * m[i] + g[i];
    w[i] = keep * w[i] - rate * m[i];
  }
})

static tn_status frozen_optimizer_begin(void *self, const tn_params *params) {
  struct frozen_optimizer *o = self;
  tn_params_release(o->m);
  o->m = tn_params_like(params);
  return o->m ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status frozen_optimizer_step(void *self, const tn_optimizer_step *step) {
  struct frozen_optimizer *o = self;
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, o->m};
  return tn_params_each(&frozen_optimizer_pass, o, &step->schedule, sets, 3);
}

static double frozen_optimizer_learning_rate(void *self, double schedule) {
  return ((const struct frozen_optimizer *)self)->lr * schedule;
}

/* Everything that must survive a restart. */
static tn_status frozen_optimizer_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "m", &((struct frozen_optimizer *)self)->m);
}

static void frozen_optimizer_destroy(void *self) { tn_params_release(((struct frozen_optimizer *)self)->m); }

static const tn_optimizer frozen_optimizer_optimizer = {
    .size = sizeof(tn_optimizer),
    .begin = frozen_optimizer_begin,
    .step = frozen_optimizer_step,
    .learning_rate = frozen_optimizer_learning_rate,
};
static const tn_class frozen_optimizer_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "frozen_optimizer",
    .summary = "what frozen_optimizer does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_optimizer_params),
    .instance_size = sizeof(struct frozen_optimizer),
    .vtable = &frozen_optimizer_optimizer,
    .destroy = frozen_optimizer_destroy,
    .state = frozen_optimizer_state,
};
TN_PLUGIN("optimizer_frozen_optimizer", "0.1.0", "MIT", &frozen_optimizer_class)
