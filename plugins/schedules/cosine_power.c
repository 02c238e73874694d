// SPDX-License-Identifier: MIT
/* Cosine power annealing: a family between the cosine (order 1) and exponential decay (Hundt, Jain and Hager
 * 2019, sharpDARTS). With epochs e = 1 .. E, W of them warm-up, and p the order:
 *   c_e = (1 + cos(pi (e - W) / (E - W))) / 2
 *   q_e = c_e for p = 1, else p^(c_e + 1)
 *   n_e = (q_e - min q) / (max q - min q)   over all epochs: max q is that of e = W, or 1 without warm-up
 *   n_e = e / (W + 1) for e <= W + 1 instead, if there is a warm-up
 *   factor = min + (max - min) n_e
 * The factor is the same all through an epoch; with unit = steps, steps take the place of epochs. With R
 * restarts (Loshchilov and Hutter 2017) the epochs are cut into R + 1 stretches, as equal as whole numbers
 * can be, each with a curve of its own; the warm-up is part of the first. */
#include "horizon.h"

enum { COSINE_POWER_EPOCHS, COSINE_POWER_STEPS };
struct cosine_power {
  double max, min, order;
  int64_t warmup, epochs, restarts;
  int32_t unit;
};
static const tn_param cosine_power_params[] = {
    TN_REAL(struct cosine_power, max, "1", 0, INFINITY, "factor of the first epoch after the warm-up"),
    TN_REAL(struct cosine_power, min, "1e-4", 0, INFINITY, "factor of the last epoch and after it"),
    TN_REAL(struct cosine_power, order, "10", 1, INFINITY, "p; 1: cosine; larger: falls earlier"),
    TN_INTEGER(struct cosine_power, warmup, "5", 0, 1e15, NULL, "W, in `unit`"),
    TN_INTEGER(struct cosine_power, epochs, "0", 0, 1e15, NULL, "E, in `unit`; 0: all that are planned"),
    TN_INTEGER(struct cosine_power, restarts, "0", 0, 1000, NULL, "R, how often the curve begins anew"),
    TN_CHOICE(struct cosine_power, unit, "epochs", "epochs|steps", "how often the factor changes"),
};

static tn_status cosine_power_create(void *self) {
  const struct cosine_power *curve = self;
  if (curve->min <= curve->max) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "min must not be above max, got %g and %g", curve->min, curve->max);
}

/* q as a function of c */
static double powered(double order, double c) { return order == 1 ? c : pow(order, c + 1); }

/* n_e for e of `last`; 1 where the end is not known. */
static double cosine_power_share(double order, double e, double last, double warmup) {
  const double pi = 3.14159265358979323846;
  if (warmup > 0 && e <= warmup + 1) return e / (warmup + 1);
  if (last <= 0) return 1;
  const double length = last - warmup, first = warmup > 0 ? 0 : 1; /* where the curve is highest */
  if (e >= last) return length > first ? 0 : 1;
  const double lowest = powered(order, 0);
  const double highest = powered(order, (1 + cos(pi * first / length)) / 2);
  return (powered(order, (1 + cos(pi * (e - warmup) / length)) / 2) - lowest) / (highest - lowest);
}

static double cosine_power_factor(void *self, const tn_progress *progress) {
  const struct cosine_power *curve = self;
  const bool epochs = curve->unit == COSINE_POWER_EPOCHS;
  /* An epoch's fraction is a quotient: the end of an epoch may come out a little below the whole number. */
  const double done = epochs ? floor(progress->epoch + 1e-9) : (double)progress->step;
  const double planned = epochs ? ceil(progress->epochs - 1e-9) : (double)progress->steps;
  const double last = curve->epochs > 0 ? (double)curve->epochs : planned;
  double warmup = (double)curve->warmup, first = 0, end = last; /* of the stretch: epochs first + 1 .. end */
  if (curve->restarts > 0 && last > 0) {
    const double stretches = (double)curve->restarts + 1;
    double k = 0;
    while (k + 1 < stretches && done >= floor((k + 1) * last / stretches)) k++;
    first = floor(k * last / stretches), end = floor((k + 1) * last / stretches);
    if (k > 0) warmup = 0;
  }
  return curve->min +
         (curve->max - curve->min) * cosine_power_share(curve->order, done + 1 - first, end - first, warmup);
}

static const tn_class cosine_power_class = {
    .size = sizeof(tn_class),
    .kind = TN_SCHEDULE,
    .name = "cosine_power",
    .summary = "Warm-up, then a curve between the cosine and exponential decay",
    .reference = "Hundt, Jain and Hager 2019, sharpDARTS: Faster and More Accurate Differentiable "
                 "Architecture Search",
    TN_CLASS_PARAMS(cosine_power_params),
    .instance_size = sizeof(struct cosine_power),
    .vtable = &(const tn_schedule){sizeof(tn_schedule), cosine_power_factor, NULL},
    .create = cosine_power_create};
TN_PLUGIN("cosine_power", "1.0.0", "MIT", &cosine_power_class)
