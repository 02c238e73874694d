// SPDX-License-Identifier: MIT
/* Signum: the sign of the momentum. m <- beta m + (1 - beta) g; w <- w - lr (sign(m) + weight_decay w). */
#include <tenon/optimizer.h>

typedef struct signum {
  double lr, beta, weight_decay;
  tn_params *m;
} signum;

static const tn_param signum_params[] = {
    TN_REAL(signum, lr, "1e-3", 0, 10, "learning rate"),
    TN_REAL(signum, beta, "0.9", 0, 1, "decay of the momentum"),
    TN_REAL(signum, weight_decay, "0", 0, 100, "decoupled weight decay"),
};

TN_FUSED(signum_pass, {
  const signum *o = self;
  const double lr = o->lr * *(const double *)arguments;
  const real step = (real)lr, beta = (real)o->beta;
  const real keep = (real)(run->group == TN_DECAY ? 1 - lr * o->weight_decay : 1);
  real *restrict w = run->data[0], *restrict m = run->data[2];
  const real *restrict g = run->data[1];
  for (int64_t i = 0; i < run->count; i++) {
    m[i] = beta * m[i] + (1 - beta) * g[i];
    w[i] = keep * w[i] - step * (real)((m[i] > 0) - (m[i] < 0));
  }
})

static tn_status signum_begin(void *self, const tn_params *params) {
  signum *o = self;
  tn_params_release(o->m);
  o->m = tn_params_like(params);
  return o->m ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status signum_step(void *self, const tn_optimizer_step *step) {
  signum *o = self;
  tn_params *sets[] = {step->params, (tn_params *)step->gradient, o->m};
  return tn_params_each(&signum_pass, o, &step->schedule, sets, 3);
}

static tn_status signum_state(void *self, const tn_visitor *visitor) {
  return tn_visit_params(visitor, "m", &((signum *)self)->m);
}
static void signum_destroy(void *self) { tn_params_release(((signum *)self)->m); }

static const tn_optimizer signum_optimizer = {
    .size = sizeof(tn_optimizer), .begin = signum_begin, .step = signum_step};
static const tn_class signum_class = {
    .size = sizeof(tn_class),
    .kind = TN_OPTIMIZER,
    .name = "signum",
    .summary = "sign of the momentum",
    .reference = "Bernstein et al. 2018, signSGD: Compressed Optimisation for Non-Convex Problems",
    TN_CLASS_PARAMS(signum_params),
    .instance_size = sizeof(signum),
    .vtable = &signum_optimizer,
    .destroy = signum_destroy,
    .state = signum_state,
};
TN_PLUGIN("signum", "1.0.0", "MIT", &signum_class)
