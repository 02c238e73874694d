// SPDX-License-Identifier: MIT
/* Stochastic gradients of a problem that has none: g <- g + deviation z, or g <- deviation z if `only`, with
 * fresh standard normal z at every step. */
#include <tenon/gradient.h>

struct noise {
  double deviation;
  bool only;
};
static const tn_param noise_params[] = {
    TN_REAL(struct noise, deviation, "1", 0, INFINITY, "standard deviation of a coordinate"),
    TN_BOOL(struct noise, only, "no", "noise instead of the gradient: what a method does without a signal"),
};

static tn_status noise_apply(void *self, const tn_gradient_call *call) {
  const struct noise *noise = self;
  tn_params *gradient = call->gradients[0];
  tn_rng rng = tn_rng_at("gradient.noise", "noise", (uint64_t)call->progress.step);
  for (uint32_t i = 0; i < tn_params_count(gradient); i++) {
    tn_tensor *g = tn_param_tensor(gradient, i);
    if (!g) continue;
    const tn_tensor *z = tn_normal(&rng, g->dtype, tn_shape_of(g), 0, noise->deviation);
    if (tn_poisoned(z)) return tn_outcome();
    for (int64_t k = 0; k < g->numel; k++)
      if (g->dtype == TN_F64)
        tn_f64(g)[k] = tn_f64(z)[k] + (noise->only ? 0 : tn_f64(g)[k]);
      else
        tn_f32(g)[k] = tn_f32(z)[k] + (noise->only ? 0 : tn_f32(g)[k]);
  }
  return TN_OK;
}

static const tn_class noise_class = {
    .size = sizeof(tn_class),
    .kind = TN_GRADIENT,
    .name = "noise",
    .summary = "Adds normal noise to the gradient, or puts it in its place",
    .reference = "Robbins and Monro 1951, A Stochastic Approximation Method",
    TN_CLASS_PARAMS(noise_params),
    .instance_size = sizeof(struct noise),
    .vtable = &(const tn_gradient){.size = sizeof(tn_gradient), .apply = noise_apply}};
TN_PLUGIN("gradient_noise", "1.0.0", "MIT", &noise_class)
