// SPDX-License-Identifier: MIT
/* What theory promises of a schedule: bounds on f(x_T) - f* after T steps of stochastic subgradient descent
 * on a convex function (Defazio et al. 2023), for the gradient norms G_t of an earlier run, or constant ones.
 *
 *   NAME          B(eta), with the base rate that makes it smallest, unless `rate` fixes it
 *   NAME_rate     that base rate
 *   NAME_linear   D sqrt(sum G_t^2) / T: linear decay, theorem 1 with equal weights
 *   NAME_refined  D / sqrt(sum G_t^-2): the best weights, never more than NAME_linear
 *   NAME_tail     median of the last tenth of the norms over the median
 *   NAME_start, NAME_late, NAME_end   the factor of the first step, at nine tenths, and of the last, over the
 *                 largest one; NAME_peak: where that is, a share of the steps
 *
 * Last factors that are 0 move nothing: B is then that of the steps before them. */
#include "../observers/norms.h"
#include "../schedules/refinement.h"
#include <stdio.h>
#include <tenon/metric.h>
#include <tenon/schedule.h>

struct schedule_bound {
  const tn_component *schedule, *norms;
  const char *name;
  int64_t steps;
  double gradient, distance, rate;
};
static const tn_param schedule_bound_params[] = {
    TN_REFERENCE(struct schedule_bound, schedule, TN_PARAM_REQUIRED, TN_SCHEDULE, NULL, "the schedule"),
    TN_REFERENCE(struct schedule_bound, norms, 0, TN_OBSERVER, NULL,
                 "an observer.gradient_norms with Euclidean norms; empty: they are all `gradient`"),
    TN_INTEGER(struct schedule_bound, steps, "1000", 1, 1e9, "steps", "T, where norms do not say it"),
    TN_PARAM_(struct schedule_bound, gradient, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL,
              NULL, NULL, "G, where there are no norms"),
    TN_PARAM_(struct schedule_bound, distance, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL,
              NULL, NULL, "D, from the start to a minimiser"),
    TN_REAL(struct schedule_bound, rate, "0", 0, INFINITY, "base rate; 0: the best"),
    TN_STRING(struct schedule_bound, name, "bound", "name of the figure"),
};

static void report(const struct schedule_bound *metric, tn_metric_sink *sink, const char *ending,
                   double value) {
  char name[96];
  snprintf(name, sizeof name, "%s%s", metric->name, ending);
  sink->value(sink, name, value);
}

static void report_shape(const struct schedule_bound *metric, tn_metric_sink *sink, const double *rates,
                         int64_t steps) {
  int64_t peak = 0;
  for (int64_t t = 0; t < steps; t++)
    if (rates[t] > rates[peak]) peak = t;
  report(metric, sink, "_start", rates[0] / rates[peak]);
  report(metric, sink, "_late", rates[9 * steps / 10] / rates[peak]);
  report(metric, sink, "_end", rates[steps - 1] / rates[peak]);
  report(metric, sink, "_peak", (double)peak / (double)steps);
}

/* Norms and rates (steps), scratch (2 steps + 2). */
static void report_all(const struct schedule_bound *metric, tn_metric_sink *sink, const double *norms,
                       double *rates, double *scratch, int64_t steps) {
  int64_t moving = 0;
  for (int64_t t = 0; t < steps; t++) {
    const tn_progress progress = {.size = sizeof progress, .step = t, .steps = steps};
    rates[t] = tn_schedule_factor(metric->schedule, &progress) * (metric->rate > 0 ? metric->rate : 1);
    if (rates[t] > 0) moving = t + 1;
  }
  const struct last_iterate_bound bound = last_iterate_bound(rates, norms, moving, metric->distance, scratch);
  double rate = metric->rate;
  report(metric, sink, "", rate > 0 ? bound.distance + bound.noise : last_iterate_best(bound, &rate));
  report(metric, sink, "_rate", rate);
  report_shape(metric, sink, rates, steps);
  report(metric, sink, "_linear", weighted_bound(NULL, norms, steps, metric->distance));
  for (int64_t t = 0; t < steps; t++) scratch[t] = 1 / (norms[t] * norms[t]);
  report(metric, sink, "_refined", weighted_bound(scratch, norms, steps, metric->distance));
  report(metric, sink, "_tail", refinement_tail(norms, steps));
}

static tn_status schedule_bound_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  const struct schedule_bound *metric = self;
  (void)probe;
  int64_t steps = metric->steps;
  const double *recorded = NULL;
  if (metric->norms && !(recorded = norms_of(metric->norms, NORM_L2, &steps))) return TN_ERROR_INVALID;
  double *norms = tn_alloc((size_t)(4 * steps + 2) * sizeof *norms);
  if (!norms) return TN_ERROR_MEMORY;
  if (recorded) steps = refinement_usable(recorded, steps, false, norms);
  for (int64_t t = 0; !recorded && t < steps; t++) norms[t] = metric->gradient;
  if (steps > 0)
    report_all(metric, sink, norms, norms + steps, norms + 2 * steps, steps);
  else
    tn_fail(TN_ERROR_INVALID, "'%s' has recorded no norms yet", metric->norms->name);
  tn_free(norms);
  return tn_failed() ? TN_ERROR_INVALID : TN_OK;
}

static const tn_class schedule_bound_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "schedule_bound",
    .summary = "What theory promises of a learning-rate schedule for given gradient norms",
    .reference =
        "Defazio et al. 2023, When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
    TN_CLASS_PARAMS(schedule_bound_params),
    .instance_size = sizeof(struct schedule_bound),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric), .measure = schedule_bound_measure}};
TN_PLUGIN("metric_schedule_bound", "1.0.0", "MIT", &schedule_bound_class)
