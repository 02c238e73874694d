// SPDX-License-Identifier: MIT
/* Falls by the same share at every step:
 *   factor(t) = end^min(t / T, 1)        T: the horizon
 *   factor(t) = gamma^n                  with gamma above 0; n: finished epochs or steps, see `unit` */
#include "horizon.h"

enum { EXPONENTIAL_EPOCHS, EXPONENTIAL_STEPS };
struct exponential {
  double end, gamma;
  int64_t steps;
  int32_t unit;
};
static const tn_param exponential_params[] = {
    TN_PARAM_(struct exponential, end, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-2", 0, INFINITY, NULL, NULL,
              NULL, "factor at the horizon and after it"),
    TN_INTEGER(struct exponential, steps, "0", 0, 1e15, "steps", "horizon; 0: all planned steps"),
    TN_REAL(struct exponential, gamma, "0", 0, 1,
            "factor of one `unit`, instead of end and horizon; 0: none"),
    TN_CHOICE(struct exponential, unit, "epochs", "epochs|steps",
              "what gamma counts: whole epochs, or steps"),
};

static double exponential_factor(void *self, const tn_progress *progress) {
  const struct exponential *exponential = self;
  if (exponential->gamma <= 0) return pow(exponential->end, horizon_done(progress, exponential->steps));
  const bool epochs = exponential->unit == EXPONENTIAL_EPOCHS;
  /* An epoch's fraction is a quotient: the end of an epoch may come out a little below the whole number. */
  return pow(exponential->gamma, epochs ? floor(progress->epoch + 1e-9) : (double)progress->step);
}

static const tn_class exponential_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "exponential",
    .summary = "Falls by the same share at every step",
    TN_CLASS_PARAMS(exponential_params),
    .instance_size = sizeof(struct exponential),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), exponential_factor, NULL}};
TN_PLUGIN("exponential", "1.0.0", "MIT", &exponential_class)
