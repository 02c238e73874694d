// SPDX-License-Identifier: MIT
/* Gradient clipping by the global norm (Pascanu et al. 2013, algorithm 1):
 *   g <- g min(1, max_norm / ||g||) */
#include <tenon/gradient.h>

struct clip_norm {
  double max_norm;
};
static const tn_param clip_norm_params[] = {
    TN_PARAM_(struct clip_norm, max_norm, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL,
              NULL, "longest gradient that passes unchanged (2-norm over all parameters)"),
};

static tn_status clip_norm_apply(void *self, const tn_gradient_call *call) {
  const struct clip_norm *clip = self;
  const double norm = tn_params_norm(call->gradients[0]);
  if (!(norm > clip->max_norm)) return TN_OK;
  return tn_params_scale(call->gradients[0], clip->max_norm / norm);
}

static const tn_class clip_norm_class = {
    .size = sizeof(tn_class),
    .kind = TN_GRADIENT,
    .name = "clip_norm",
    .summary = "Shortens the gradient to a largest norm",
    .reference = "Pascanu et al. 2013, On the difficulty of training recurrent neural networks",
    TN_CLASS_PARAMS(clip_norm_params),
    .instance_size = sizeof(struct clip_norm),
    .vtable = &(const tn_gradient){sizeof(tn_gradient), clip_norm_apply, NULL}};
TN_PLUGIN("gradient_clip_norm", "1.0.0", "MIT", &clip_norm_class)
