// SPDX-License-Identifier: MIT
/* A straight line from `start` to `end` over the horizon, then `end`:
 *   factor(t) = start + (end - start) min(t / T, 1) */
#include "horizon.h"

struct linear {
  double start, end;
  int64_t steps;
};
static const tn_param linear_params[] = {
    TN_REAL(struct linear, start, "1", 0, INFINITY, "factor of the first step"),
    TN_REAL(struct linear, end, "0", 0, INFINITY, "factor at the horizon and after it"),
    TN_INTEGER(struct linear, steps, "0", 0, INFINITY, "steps", "horizon; 0: all planned steps"),
};

static double linear_factor(void *self, const tn_progress *progress) {
  const struct linear *linear = self;
  return linear->start + (linear->end - linear->start) * horizon_done(progress, linear->steps);
}

static const tn_class linear_class = {.size = sizeof(tn_class),
                                      .kind = TN_SCHEDULE,
                                      .name = "linear",
                                      .summary = "A straight line from one factor to another",
                                      TN_CLASS_PARAMS(linear_params),
                                      .instance_size = sizeof(struct linear),
                                      .vtable =
                                          &(const tn_schedule){sizeof(tn_schedule), linear_factor, NULL}};
TN_PLUGIN("schedule_linear", "1.0.0", "MIT", &linear_class)
