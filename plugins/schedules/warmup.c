// SPDX-License-Identifier: MIT
/* Linear warm-up in front of another schedule (Goyal et al. 2017, section 2.2). With W warm-up steps:
 *   factor(t) = start + (1 - start) (t + 1) / W     t < W, times after's first factor
 *   factor(t) = after(t - W) over T - W steps       t >= W
 * With `over` = all the warm-up multiplies: `after` runs over all T steps from the first one on. */
#include "horizon.h"

enum { OVER_REST, OVER_ALL };

struct warmup {
  tn_count steps;
  double start;
  const tn_component *after;
  int32_t over;
};
static const tn_param warmup_params[] = {
    TN_COUNT(struct warmup, steps, "5%", "length of the warm-up: steps, or a share of the planned steps"),
    TN_REAL(struct warmup, start, "0", 0, 1, "factor from which it rises"),
    TN_REFERENCE(struct warmup, after, 0, TN_SCHEDULE, "schedule.constant", "what follows the warm-up"),
    TN_CHOICE(struct warmup, over, "rest", "rest|all", "which steps `after` runs over"),
};

/* What `after` is told: its own beginning and horizon. */
static tn_progress warmup_rest(const tn_progress *progress, int64_t length) {
  tn_progress rest = *progress;
  const double done = progress->step > 0 ? progress->epoch / (double)progress->step : 0;
  rest.step = progress->step > length ? progress->step - length : 0;
  rest.steps = progress->steps > length ? progress->steps - length : progress->steps > 0 ? 1 : 0;
  rest.epoch = done * (double)rest.step;
  if (progress->steps > 0) rest.epochs *= (double)rest.steps / (double)progress->steps;
  return rest;
}

static double warmup_factor(void *self, const tn_progress *progress) {
  const struct warmup *warmup = self;
  const bool none = warmup->steps.number <= 0 && !(warmup->steps.fraction > 0);
  const int64_t length = none ? 0 : tn_count_of(warmup->steps, progress->steps);
  const tn_progress rest = warmup->over == OVER_ALL ? *progress : warmup_rest(progress, length);
  const double after = tn_schedule_factor(warmup->after, &rest);
  if (progress->step >= length) return after;
  return after * (warmup->start + (1 - warmup->start) * (double)(progress->step + 1) / (double)length);
}

static void warmup_observe(void *self, const tn_progress *progress, double loss, double gradient_norm) {
  const struct warmup *warmup = self;
  if (tn_schedule_observes(warmup->after)) tn_schedule_observe(warmup->after, progress, loss, gradient_norm);
}

static const tn_class warmup_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "warmup",
    .summary = "Linear warm-up, then another schedule",
    .reference = "Goyal et al. 2017, Accurate, Large Minibatch SGD",
    TN_CLASS_PARAMS(warmup_params),
    .instance_size = sizeof(struct warmup),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), warmup_factor, warmup_observe}};
TN_PLUGIN("schedule_warmup", "1.0.0", "MIT", &warmup_class)
