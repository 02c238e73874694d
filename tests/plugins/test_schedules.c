// SPDX-License-Identifier: MIT
#include "harness.h"
#include <tenon/gradient.h>
#include <tenon/schedule.h>

TestSuite(schedules, .fini = harness_close);

static double at(const char *section, int64_t step, int64_t steps, double epoch) {
  const tn_progress progress = {
      .size = sizeof progress, .step = step, .steps = steps, .epoch = epoch, .epochs = 10};
  return tn_schedule_factor(harness_component(section), &progress);
}

Test(schedules, values_in_closed_form) {
  harness_open("float32", "[c]\nuse = schedule.constant\nfactor = 0.5\n"
                          "[l]\nuse = schedule.linear\nend = 0.2\n"
                          "[short]\nuse = schedule.linear\nsteps = 10\n"
                          "[cos]\nuse = schedule.cosine\nend = 0.1\n"
                          "[s]\nuse = schedule.step\nmilestones = 0.5, 0.75\ngamma = 0.1\n"
                          "[e]\nuse = schedule.step\nmilestones = 3\ngamma = 0.5\nunit = epochs\n");
  EXPECT_NEAR(at("c", 7, 100, 0), 0.5, 0);
  EXPECT_NEAR(at("l", 0, 100, 0), 1, 0);
  EXPECT_NEAR(at("l", 50, 100, 0), 0.6, 1e-15);
  EXPECT_NEAR(at("l", 100, 100, 0), 0.2, 1e-15);
  EXPECT_NEAR(at("l", 1000, 100, 0), 0.2, 1e-15);
  EXPECT_NEAR(at("l", 5, 0, 0), 1, 0); /* nobody knows the horizon */
  EXPECT_NEAR(at("short", 5, 100, 0), 0.5, 1e-15);
  EXPECT_NEAR(at("cos", 0, 100, 0), 1, 1e-15);
  EXPECT_NEAR(at("cos", 50, 100, 0), 0.55, 1e-15); /* cos(pi / 2) = 0 */
  EXPECT_NEAR(at("cos", 25, 100, 0), 0.1 + 0.45 * (1 + sqrt(0.5)), 1e-15);
  EXPECT_NEAR(at("cos", 100, 100, 0), 0.1, 1e-15);
  EXPECT_NEAR(at("s", 49, 100, 0), 1, 0);
  EXPECT_NEAR(at("s", 50, 100, 0), 0.1, 1e-15);
  EXPECT_NEAR(at("s", 75, 100, 0), 0.01, 1e-15);
  EXPECT_NEAR(at("e", 10, 100, 2.9), 1, 0);
  EXPECT_NEAR(at("e", 11, 100, 3), 0.5, 1e-15);
}

/* 20 of 100 steps up, then what follows runs over its own 80. */
Test(schedules, warmup_hands_over) {
  harness_open("float32", "[w]\nuse = schedule.warmup\nsteps = 20%\nafter = a\n[a]\nuse = schedule.linear\n"
                          "[n]\nuse = schedule.warmup\nsteps = 10\nstart = 0.5\n"
                          "[z]\nuse = schedule.warmup\nsteps = 0\n"
                          "[m]\nuse = schedule.warmup\nsteps = 20%\nafter = a\nover = all\n");
  EXPECT_NEAR(at("m", 9, 100, 0), 0.5 * 0.91, 1e-15);
  EXPECT_NEAR(at("m", 60, 100, 0), 0.4, 1e-15);
  EXPECT_NEAR(at("w", 0, 100, 0), 0.05, 1e-15);
  EXPECT_NEAR(at("w", 9, 100, 0), 0.5, 1e-15);
  EXPECT_NEAR(at("w", 19, 100, 0), 1, 1e-15);
  EXPECT_NEAR(at("w", 20, 100, 0), 1, 1e-15);
  EXPECT_NEAR(at("w", 60, 100, 0), 0.5, 1e-15);
  EXPECT_NEAR(at("w", 100, 100, 0), 0, 1e-15);
  EXPECT_NEAR(at("n", 4, 0, 0), 0.75, 1e-15);
  EXPECT_NEAR(at("z", 0, 100, 0), 1, 0);
}

Test(schedules, finite_and_never_negative) {
  harness_open("float32",
               "[l]\nuse = schedule.linear\n[cos]\nuse = schedule.cosine\n[s]\nuse = schedule.step\n"
               "[w]\nuse = schedule.warmup\nafter = cos\n");
  const char *const names[] = {"l", "cos", "s", "w"};
  for (size_t n = 0; n < TN_ARRAY_LENGTH(names); n++)
    for (int64_t steps = 0; steps < 4; steps++)
      for (int64_t step = 0; step < 8; step++) {
        const double factor = at(names[n], step, steps, (double)step);
        cr_assert(isfinite(factor) && factor >= 0, "%s: %g at %d of %d", names[n], factor, (int)step,
                  (int)steps);
      }
}

/* ||(3, 4)|| = 5, shortened to 1; ||(0.3, 0.4)|| = 0.5 passes. */
Test(schedules, clip_norm_shortens_only_long_gradients) {
  harness_open("float64", "[g]\nuse = gradient.clip_norm\nmax_norm = 1\n");
  tn_params *w = harness_params(1, (const tn_group[]){TN_DECAY}, (const int64_t[]){2}),
            *g = tn_params_like(w);
  double *values = tn_f64(tn_param_tensor(g, 0));
  const tn_gradient_call call = {.size = sizeof call, .count = 1, .params = w, .gradients = &g};
  values[0] = 3, values[1] = 4;
  cr_assert(tn_gradient_apply(harness_component("g"), &call) >= 0);
  EXPECT_NEAR(values[0], 0.6, 1e-15);
  EXPECT_NEAR(values[1], 0.8, 1e-15);
  values[0] = 0.3, values[1] = 0.4;
  tn_gradient_apply(harness_component("g"), &call);
  EXPECT_REAL(values[0], 0.3);
  EXPECT_REAL(values[1], 0.4);
  tn_params_release(w);
  tn_params_release(g);
}
