// SPDX-License-Identifier: MIT
/* The factor 1 (or another) at every step. */
#include <tenon/schedule.h>

struct constant {
  double factor;
};
static const tn_param constant_params[] = {
    TN_REAL(struct constant, factor, "1", 0, INFINITY, "factor on the optimizer's learning rate"),
};

static double constant_factor(void *self, const tn_progress *progress) {
  (void)progress;
  return ((const struct constant *)self)->factor;
}

static const tn_class constant_class = {.size = sizeof(tn_class),
                                        .kind = TN_SCHEDULE,
                                        .name = "constant",
                                        .summary = "The same learning rate at every step",
                                        TN_CLASS_PARAMS(constant_params),
                                        .instance_size = sizeof(struct constant),
                                        .vtable =
                                            &(const tn_schedule){sizeof(tn_schedule), constant_factor, NULL}};
TN_PLUGIN("schedule_constant", "1.0.0", "MIT", &constant_class)
