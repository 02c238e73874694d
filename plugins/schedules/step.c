// SPDX-License-Identifier: MIT
/* Multiplied by `gamma` at each milestone (as in He et al. 2016: by 0.1 after half and three quarters). */
#include "horizon.h"

enum { STEP_FRACTION, STEP_EPOCHS, STEP_STEPS };

struct step {
  tn_reals milestones;
  double gamma;
  int32_t unit;
};
static const tn_param step_params[] = {
    TN_REALS(struct step, milestones, "0.5, 0.75", 0, INFINITY, "where the factor drops, in `unit`"),
    TN_REAL(struct step, gamma, "0.1", 0, INFINITY, "what the factor is multiplied by there"),
    TN_CHOICE(struct step, unit, "fraction", "fraction|epochs|steps",
              "fraction of the planned steps, epochs, or steps"),
};

static double step_factor(void *self, const tn_progress *progress) {
  const struct step *step = self;
  const double done = step->unit == STEP_FRACTION ? horizon_done(progress, 0)
                      : step->unit == STEP_EPOCHS ? progress->epoch
                                                  : (double)progress->step;
  double factor = 1;
  for (uint32_t i = 0; i < step->milestones.count; i++)
    if (done >= step->milestones.items[i]) factor *= step->gamma;
  return factor;
}

static const tn_class step_class = {.size = sizeof(tn_class),
                                    .kind = TN_SCHEDULE,
                                    .name = "step",
                                    .summary = "Drops by a factor at each milestone",
                                    .reference =
                                        "He et al. 2016, Deep Residual Learning for Image Recognition",
                                    TN_CLASS_PARAMS(step_params),
                                    .instance_size = sizeof(struct step),
                                    .vtable = &(const tn_schedule){sizeof(tn_schedule), step_factor, NULL}};
TN_PLUGIN("schedule_step", "1.0.0", "MIT", &step_class)
