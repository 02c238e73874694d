// SPDX-License-Identifier: MIT
/* Half a cosine wave from 1 to `end` (Loshchilov and Hutter 2017, SGDR, equation 5, without restarts):
 *   factor(t) = end + (1 - end) (1 + cos(pi min(t / T, 1))) / 2 */
#include "horizon.h"

struct cosine {
  double end;
  int64_t steps;
};
static const tn_param cosine_params[] = {
    TN_REAL(struct cosine, end, "0", 0, INFINITY, "factor at the horizon and after it"),
    TN_INTEGER(struct cosine, steps, "0", 0, INFINITY, "steps", "horizon; 0: all planned steps"),
};

static double cosine_factor(void *self, const tn_progress *progress) {
  const struct cosine *cosine = self;
  const double pi = 3.14159265358979323846;
  return cosine->end + (1 - cosine->end) * (1 + cos(pi * horizon_done(progress, cosine->steps))) / 2;
}

static const tn_class cosine_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "cosine",
    .summary = "Half a cosine wave down to a final factor",
    .reference = "Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts",
    TN_CLASS_PARAMS(cosine_params),
    .instance_size = sizeof(struct cosine),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), cosine_factor, NULL}};
TN_PLUGIN("schedule_cosine", "1.0.0", "MIT", &cosine_class)
