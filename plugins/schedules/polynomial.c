// SPDX-License-Identifier: MIT
/* A power of what is left, down to `end` (Chen et al. 2018, DeepLab: the "poly" policy):
 *   factor(t) = end + (1 - end) (1 - min(t / T, 1))^power */
#include "horizon.h"

struct polynomial {
  double power, end;
  int64_t steps;
};
static const tn_param polynomial_params[] = {
    TN_PARAM_(struct polynomial, power, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL, NULL,
              NULL, "above 1: falls early; below: late; 1: a straight line"),
    TN_REAL(struct polynomial, end, "0", 0, INFINITY, "factor at the horizon and after it"),
    TN_INTEGER(struct polynomial, steps, "0", 0, 1e15, "steps", "horizon; 0: all planned steps"),
};

static double polynomial_factor(void *self, const tn_progress *progress) {
  const struct polynomial *polynomial = self;
  const double left = 1 - horizon_done(progress, polynomial->steps);
  return polynomial->end + (1 - polynomial->end) * pow(left, polynomial->power);
}

static const tn_class polynomial_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "polynomial",
    .summary = "A power of the share of steps that is left",
    .reference = "Chen et al. 2018, DeepLab: Semantic Image Segmentation with Deep Convolutional Nets",
    TN_CLASS_PARAMS(polynomial_params),
    .instance_size = sizeof(struct polynomial),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), polynomial_factor, NULL}};
TN_PLUGIN("polynomial", "1.0.0", "MIT", &polynomial_class)
