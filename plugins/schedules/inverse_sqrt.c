// SPDX-License-Identifier: MIT
/* The root of inverse time (Defazio et al. 2023: the classical rate for convex problems):
 *   factor(t) = 1 / sqrt(1 + t / offset)
 * Behind a warm-up of `offset` steps it is the schedule of Vaswani et al. 2017, equation 3, whose factor is
 * sqrt(offset / t') with t' counted from the beginning. */
#include "offset.h"

struct inverse_sqrt {
  tn_count offset;
};
static const tn_param inverse_sqrt_params[] = {
    TN_COUNT(struct inverse_sqrt, offset, "5%", "after so many steps (or share of them) it is sqrt(1/2)"),
};

static double inverse_sqrt_factor(void *self, const tn_progress *progress) {
  return 1 / sqrt(1 + offset_done(progress, ((const struct inverse_sqrt *)self)->offset));
}

static const tn_class inverse_sqrt_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "inverse_sqrt",
    .summary = "One over the root of time",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement; "
        "Vaswani et al. 2017, Attention Is All You Need",
    TN_CLASS_PARAMS(inverse_sqrt_params),
    .instance_size = sizeof(struct inverse_sqrt),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), inverse_sqrt_factor, NULL}};
TN_PLUGIN("inverse_sqrt", "1.0.0", "MIT", &inverse_sqrt_class)
