// SPDX-License-Identifier: MIT
/* Schedules: finite, non-negative, a function of where the procedure stands. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <tenon/schedule.h>

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_progress progress = tn_bench_progress(10 * unit, TN_TRAIN);
  tn_fingerprint_real(&bench->digest, tn_schedule_factor(c, &progress));
  tn_schedule_observe(c, &progress, 1.0 / (double)(unit + 1), 2.0 / (double)(unit + 2));
  return TN_OK;
}

static void expect_factor(const tn_component *c, tn_progress progress) {
  const double factor = tn_schedule_factor(c, &progress);
  tn_trial_expect(tn_outcome(), "factor");
  if (!isfinite(factor) || factor < 0)
    tn_trial_fail("the factor at step %lld of %lld is %g, expected finite and not negative",
                  (long long)progress.step, (long long)progress.steps, factor);
  const double again = tn_schedule_factor(c, &progress);
  if (again != factor)
    tn_trial_fail("the factor at step %lld is %.17g, asked again %.17g", (long long)progress.step, factor,
                  again);
}

static void factors(tn_trial *t) {
  static const int64_t horizons[] = {0, 1, 2, 10, 1000};
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  tn_scope_open();
  for (uint32_t h = 0; h < TN_ARRAY_LENGTH(horizons); h++) {
    const int64_t steps = horizons[h], last = steps > 0 ? steps + 3 : 50; /* a few past the end */
    for (int64_t step = 0; step <= last; step += 1 + last / 100)
      expect_factor(bench.subject, (tn_progress){sizeof(tn_progress), TN_TRAIN, step, steps, (double)step / 5,
                                                 steps > 0 ? (double)steps / 5 : 0});
  }
  tn_scope_close();
  tn_bench_close(&bench);
}

/* Unknown horizons may be refused with a reason; then the known ones are what is asked. */
static void refuses(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  tn_progress progress = {sizeof progress, TN_TRAIN, 3, 0, 0.5, 0};
  tn_scope_open();
  (void)tn_schedule_factor(bench.subject, &progress);
  if (tn_failed()) tn_trial_note("it needs to know the number of steps: %.200s", tn_trial_message());
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"factors", "factors are finite, not negative, and the same when asked again", factors},
    {"horizon", "an unknown number of steps is handled", refuses}};
const tn_driver tn_driver_schedule = {
    .kind = TN_SCHEDULE, .work = work, .checks = checks, .check_count = TN_ARRAY_LENGTH(checks)};
