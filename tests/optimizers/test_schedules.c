// SPDX-License-Identifier: MIT
#include "fixture.h"
#include <tenon/schedule.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(rates, .fini = harness_close);

static double at(const char *section, int64_t step, int64_t steps) {
  /* ten steps an epoch */
  const tn_progress progress = {.size = sizeof progress,
                                .step = step,
                                .steps = steps,
                                .epoch = (double)step / 10,
                                .epochs = (double)steps / 10};
  return tn_schedule_factor(harness_component(section), &progress);
}

Test(rates, polynomial_exponential_and_inverse) {
  harness_open("float32", "[p]\nuse = schedule.polynomial\npower = 2\nend = 0.1\n"
                          "[line]\nuse = schedule.polynomial\n"
                          "[e]\nuse = schedule.exponential\nend = 1e-4\n"
                          "[g]\nuse = schedule.exponential\ngamma = 0.5\n"
                          "[gs]\nuse = schedule.exponential\ngamma = 0.5\nunit = steps\n"
                          "[s]\nuse = schedule.inverse_sqrt\n"
                          "[s8]\nuse = schedule.inverse_sqrt\noffset = 8\n"
                          "[t]\nuse = schedule.inverse_time\n"
                          "[d]\nuse = schedule.inverse_time\noffset = 10%\npower = 0.75\n");
  EXPECT_NEAR(at("p", 0, 100), 1, 1e-15);
  EXPECT_NEAR(at("p", 50, 100), 0.1 + 0.9 * 0.25, 1e-15);
  EXPECT_NEAR(at("p", 100, 100), 0.1, 1e-15);
  EXPECT_NEAR(at("p", 200, 100), 0.1, 1e-15);
  EXPECT_NEAR(at("line", 30, 100), 0.7, 1e-15);
  EXPECT_NEAR(at("e", 0, 100), 1, 1e-15);
  EXPECT_NEAR(at("e", 50, 100), 1e-2, 1e-15);
  EXPECT_NEAR(at("e", 100, 100), 1e-4, 1e-18);
  EXPECT_NEAR(at("g", 9, 100), 1, 1e-15);
  EXPECT_NEAR(at("g", 30, 100), 0.125, 1e-15);
  EXPECT_NEAR(at("gs", 3, 100), 0.125, 1e-15);
  EXPECT_NEAR(at("s", 0, 100), 1, 1e-15);
  EXPECT_NEAR(at("s", 15, 100), 0.5, 1e-15); /* 1 / sqrt(1 + 15 / 5) */
  EXPECT_NEAR(at("s8", 24, 100), 0.5, 1e-15);
  EXPECT_NEAR(at("s8", 24, 0), 0.5, 1e-15); /* steps need no horizon, shares do */
  EXPECT_NEAR(at("s", 15, 0), 1, 1e-15);
  EXPECT_NEAR(at("t", 15, 100), 0.25, 1e-15);
  EXPECT_NEAR(at("d", 70, 100), pow(8, -0.75), 1e-15);
}

/* Vaswani et al.: min(t / W, sqrt(W / t)) with t from 1, up to the warm-up's last step. */
Test(rates, inverse_sqrt_behind_a_warmup_is_the_transformers) {
  harness_open("float32", "[w]\nuse = schedule.warmup\nsteps = 16\nafter = s\n"
                          "[s]\nuse = schedule.inverse_sqrt\noffset = 16\n");
  EXPECT_NEAR(at("w", 3, 0), 0.25, 1e-15);
  EXPECT_NEAR(at("w", 15, 0), 1, 1e-15);
  EXPECT_NEAR(at("w", 64, 0), 0.5, 1e-15);
}

/* The rates of the authors' function for 10 epochs from 0.025 to 1e-4 (five digits). */
Test(rates, cosine_power_gives_the_published_values) {
  static const struct {
    const char *name;
    double wanted[10];
  } curves[] = {
      {"p2", {.025, .02257, .01901, .01489, .01077, .00707, .00406, .00186, .00054, .0001}},
      {"p10", {.025, .0208, .01548, .01045, .00647, .00368, .00189, .00082, .00027, .0001}},
      {"p1", {.025, .02319, .02036, .01681, .01286, .00892, .00536, .00254, .00072, .0001}},
  };
  harness_open("float32",
               "[p2]\nuse = schedule.cosine_power\nmax = 0.025\norder = 2\nwarmup = 0\n"
               "[p10]\nuse = schedule.cosine_power\nmax = 0.025\norder = 10\nwarmup = 0\n"
               "[p1]\nuse = schedule.cosine_power\nmax = 0.025\norder = 1\nwarmup = 0\n"
               "[steps]\nuse = schedule.cosine_power\nmax = 0.025\norder = 2\nwarmup = 0\nunit = steps\n");
  for (size_t k = 0; k < TN_ARRAY_LENGTH(curves); k++)
    for (int64_t e = 0; e < 10; e++) {
      EXPECT_NEAR(at(curves[k].name, 10 * e, 100), curves[k].wanted[e], 6e-6);
      EXPECT_NEAR(at(curves[k].name, 10 * e + 9, 100), curves[k].wanted[e], 6e-6);
      if (k == 0) EXPECT_NEAR(at("steps", e, 10), curves[k].wanted[e], 6e-6);
      cr_assert(e == 0 || at(curves[k].name, 10 * e, 100) < at(curves[k].name, 10 * e - 1, 100));
    }
  /* p = 1: (cos(pi e / E) + 1) / 2, rescaled */
  const double pi = acos(-1), top = (cos(pi / 10) + 1) / 2;
  for (int e = 1; e <= 10; e++)
    EXPECT_NEAR(at("p1", 10 * (e - 1), 100), 1e-4 + 0.0249 * (cos(pi * e / 10) + 1) / 2 / top, 1e-15);
}

Test(rates, cosine_power_warms_up) {
  harness_open("float32", "[c]\nuse = schedule.cosine_power\nmax = 1\nmin = 0.1\nwarmup = 4\n");
  for (int64_t e = 1; e <= 5; e++) EXPECT_NEAR(at("c", 10 * (e - 1), 200), 0.1 + 0.9 * (double)e / 5, 1e-15);
  double before = at("c", 40, 200);
  for (int64_t e = 6; e <= 20; e++) {
    const double now = at("c", 10 * (e - 1), 200);
    cr_assert(now < before, "epoch %d: %g after %g", (int)e, now, before);
    before = now;
  }
  EXPECT_NEAR(before, 0.1, 1e-15);
  EXPECT_NEAR(at("c", 300, 200), 0.1, 1e-15);
}

/* Eleven epochs in three stretches: 1 to 3, 4 to 7, 8 to 11; the warm-up is the first one's. */
Test(rates, cosine_power_restarts) {
  harness_open("float32",
               "[c]\nuse = schedule.cosine_power\nmin = 0.1\norder = 2\nwarmup = 1\nrestarts = 2\n"
               "[first]\nuse = schedule.cosine_power\nmin = 0.1\norder = 2\nwarmup = 1\nepochs = 3\n"
               "[alone]\nuse = schedule.cosine_power\nmin = 0.1\norder = 2\nwarmup = 0\nepochs = 4\n");
  for (int64_t e = 0; e < 11; e++) {
    const double wanted = e < 3 ? at("first", 10 * e, 30) : at("alone", 10 * ((e - 3) % 4), 40);
    EXPECT_NEAR(at("c", 10 * e, 110), wanted, 1e-15);
  }
  EXPECT_NEAR(at("c", 30, 110), 1, 1e-15);
  EXPECT_NEAR(at("c", 109, 110), 0.1, 1e-15);
  EXPECT_NEAR(at("c", 200, 110), 0.1, 1e-15);
}

Test(rates, tables_stretch) {
  char path[] = "/tmp/tenon-table-XXXXXX", text[512];
  const int descriptor = mkstemp(path);
  FILE *file = fdopen(descriptor, "w");
  cr_assert(file != NULL);
  fputs("# refined\n0.5, 1\n\n0.25 # the end\n0\n", file);
  fclose(file);
  snprintf(text, sizeof text,
           "[l]\nuse = schedule.table\nfactors = 0.5, 1, 0.25, 0\n[f]\nuse = schedule.table\nfile = %s\n"
           "[one]\nuse = schedule.table\nfactors = 0.3\n[none]\nuse = schedule.table\n",
           path);
  harness_open("float32", text);
  unlink(path);
  const double wanted[] = {0.5, 1, 0.25, 0};
  for (int64_t t = 0; t < 4; t++) {
    EXPECT_NEAR(at("l", t, 4), wanted[t], 1e-15);
    EXPECT_NEAR(at("f", t, 4), wanted[t], 1e-15);
    EXPECT_NEAR(at("f", 10 * t, 31), wanted[t], 1e-15);
  }
  EXPECT_NEAR(at("f", 15, 31), 0.625, 1e-15); /* half way from 1 to 0.25 */
  EXPECT_NEAR(at("f", 99, 31), 0, 0);
  EXPECT_NEAR(at("f", 7, 0), 0.5, 0); /* nobody knows the horizon */
  EXPECT_NEAR(at("one", 3, 10), 0.3, 0);
  EXPECT_NEAR(at("none", 3, 10), 1, 0);
}

Test(rates, tables_refuse_what_is_no_factor) {
  static const char *const wrong[] = {"1, 2x\n", "-1\n", "nan\n", "# nothing\n", "1\n2 inf\n"};
  static const char *const said[] = {":1: a factor", ":1: a factor", ":1: a factor", "no number",
                                     ":2: a factor"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(wrong); k++) {
    char path[] = "/tmp/tenon-table-XXXXXX", text[256];
    FILE *file = fdopen(mkstemp(path), "w");
    fputs(wrong[k], file);
    fclose(file);
    snprintf(text, sizeof text, "[t]\nuse = schedule.table\nfile = %s\n", path);
    EXPECT_CONTAINS(harness_refusal("float32", text), said[k]);
    unlink(path);
  }
  EXPECT_CONTAINS(harness_refusal("float32", "[t]\nuse = schedule.table\nfile = /nowhere\n"), "/nowhere");
  EXPECT_CONTAINS(harness_refusal("float32", "[t]\nuse = schedule.table\nfile = /x\nfactors = 1\n"),
                  "not both");
  EXPECT_CONTAINS(harness_refusal("float32", "[t]\nuse = schedule.cosine_power\nmax = 1\nmin = 2\n"), "min");
}

Test(rates, finite_and_never_negative) {
  static const char *const names[] = {"polynomial",   "exponential",  "inverse_sqrt",
                                      "inverse_time", "cosine_power", "table"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(names); k++) {
    char text[64];
    snprintf(text, sizeof text, "[s]\nuse = schedule.%s\n", names[k]);
    harness_open("float32", text);
    for (int64_t steps = 0; steps < 90; steps += 1 + steps / 3)
      for (int64_t step = 0; step < 100; step++) {
        const double factor = at("s", step, steps);
        cr_assert(isfinite(factor) && factor >= 0 && factor <= 1, "%s: %g at %d of %d", names[k], factor,
                  (int)step, (int)steps);
      }
  }
}
