// SPDX-License-Identifier: MIT
/* Inverse time (Robbins and Monro 1951), or a power of it (Ganin et al. 2016, with power 0.75
 * and an offset of a tenth of the steps): factor(t) = (1 + t / offset)^(-power) */
#include "offset.h"

struct inverse_time {
  tn_count offset;
  double power;
};
static const tn_param inverse_time_params[] = {
    TN_COUNT(struct inverse_time, offset, "5%", "after so many steps (or share of them) it is 2^(-power)"),
    TN_REAL(struct inverse_time, power, "1", 0, INFINITY, "how fast it falls in the long run"),
};

static double inverse_time_factor(void *self, const tn_progress *progress) {
  const struct inverse_time *inverse = self;
  return pow(1 + offset_done(progress, inverse->offset), -inverse->power);
}

static const tn_class inverse_time_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "inverse_time",
    .summary = "One over time, or a power of it",
    .reference = "Robbins and Monro 1951, A Stochastic Approximation Method; Ganin et al. 2016, "
                 "Domain-Adversarial Training of Neural Networks",
    TN_CLASS_PARAMS(inverse_time_params),
    .instance_size = sizeof(struct inverse_time),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), inverse_time_factor, NULL}};
TN_PLUGIN("inverse_time", "1.0.0", "MIT", &inverse_time_class)
