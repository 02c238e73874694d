// SPDX-License-Identifier: MIT
/* Claims over made-up results: arm a has x = 1, 2, 3 for seeds 1, 2, 3; arm b has x = 3, 1, 2; arm c has the
 * settings lr = 1 (x = 0, 1, 2) and lr = 2 (x = 5, 6, 1); arm d has lr = 3 and lr = 4, and x = 0. */
#include "../expect.h"
#include "core/plugin/host.h"
#include "core/sweep/claim.h"
#include <stdlib.h>
#include <string.h>

enum { CELLS = 18 };
static const double x[CELLS] = {1, 2, 3, 3, 1, 2, 0, 5, 1, 6, 2, 1};
static tn_result results[CELLS][3];
static tn_outcome_record outcomes[CELLS];

/* `claims`: lines of [expect]. */
static tn_plan *plan_of(const char *claims, tn_error *error) {
  char text[2000];
  snprintf(text, sizeof text,
           "[pipeline]\nstages = test\n[o]\n[sweep]\nseeds = 1..3\n[arm.a]\n[arm.b]\n[arm.c]\no.lr = 1 | "
           "2\n[arm.d]\no.lr = 3 | 4\n"
           "[expect]\n%s\n",
           claims);
  tn_host_start();
  tn_config *config = tn_config_parse(text, strlen(text), "p.ini", NULL, 0, NULL, 0, error);
  cr_assert(config, "%s", error->text);
  tn_plan *plan = tn_plan_make(config, NULL, 0, false, error);
  cr_assert(plan, "%s", error->text);
  EXPECT_INT(plan->cell_count, CELLS);
  for (int i = 0; i < CELLS; i++) {
    results[i][0] = (tn_result){"test.x", x[i], false};
    results[i][1] = (tn_result){"seconds", 10, true};
    results[i][2] = (tn_result){"test.accuracy", 0.5, false};
    outcomes[i] = (tn_outcome_record){.outcome = (char *)(uintptr_t) "finished",
                                      .record = {.results = results[i], .result_count = 3}};
  }
  return plan;
}

static void expect(const char *claim, bool holds, const char *said) {
  tn_error error = {0};
  char line[600];
  snprintf(line, sizeof line, "claim = %s", claim);
  tn_plan *plan = plan_of(line, &error);
  tn_verdict *verdicts;
  EXPECT_INT(tn_claims_judge(plan, outcomes, &verdicts), 1);
  char text[768];
  tn_verdict_print(&verdicts[0], text, sizeof text);
  EXPECT_TEXT(text, said);
  EXPECT_INT(verdicts[0].holds, holds);
  free(verdicts);
  tn_plan_free(plan);
}

Test(claim, functions_over_seeds) {
  expect("mean(a.test.x) == 2", true, "2 == 2");
  expect("std(a.test.x) <= 0.5", false, "1 <= 0.5, off by 0.5"); // squares 1, 0, 1 over n - 1 = 2
  expect("median(c.test.x) == 1.5", true, "1.5 == 1.5");
  expect("min(a.test.x) + max(b.test.x) == 4", true, "4 == 4");
  expect("count(a.test.x >= 2) == 2", true, "2 == 2");
  expect("sum(a.seconds) == 30", true, "30 == 30");
  expect("all(a.test.x > 0) and any(a.test.x > 2)", true, "true");
  expect("mean(a.test.x) > 1 and mean(b.test.x) > 3", false, "2 > 3, off by 1"); // the part that fails
}

/* a - b: -2, 1, 1. */
Test(claim, arms_are_paired_by_seed) {
  expect("mean(a.test.x - b.test.x) == 0", true, "0 == 0");
  expect("count(a.test.x > b.test.x) == 2", true, "2 == 2");
  expect("max(abs(a.test.x - b.test.x)) == 2", true, "2 == 2");
  expect("all(a.test.x <= b.test.x)", false, "2 <= 1, off by 1, in 2 of 3 runs");
  expect("all(a.test.x <= b.test.x + 1)", true, "2 <= 2, the closest of 3 runs");
}

/* c with lr = 1 minus a: -1, -1, -1. With both values of lr there is no telling which belongs to a run of c
 * and a run of a: a, which has no axis, goes with both. */
Test(claim, an_arm_without_axes_goes_with_every_setting) {
  expect("mean(c[lr=1].test.x - a.test.x) == -1", true, "-1 == -1");
  expect("mean(c.test.x - a.test.x) == 0.5", true, "0.5 == 0.5"); // (-1 -1 -1 + 4 + 4 - 2) / 6
}

/* Seed 3 of c: 2 with lr = 1, 1 with lr = 2. */
Test(claim, runs_are_chosen_by_the_values_of_axes) {
  expect("mean(c[lr=2].test.x) == 4", true, "4 == 4");
  expect("mean(c[ o.lr = 2.0 ].test.x) == 4", true, "4 == 4");
  expect("sum(c[lr=1, seed=3].test.x) == 2", true, "2 == 2");
  expect("mean(c[best=test.x].seconds) == 10", true, "10 == 10");
  expect("mean(c[best=test.x].test.x) == 4", true, "4 == 4");
  expect("mean(c[least=test.x].test.x) == 1", true, "1 == 1");
  expect("max(c[best=test.x, seed=3].test.x) == 2", true, "2 == 2");
  expect("count(*.test.x > 2) == 4", true, "4 == 4"); // a: 3; b: 3; c: 5, 6
  expect("best(*.test.x) == 4", true, "4 == 4");
}

/* Means of c: lr 1: (0 + 1 + 2)/3 = 1; lr 2: (5 + 6 + 1)/3 = 4. */
Test(claim, the_best_setting_is_that_of_the_means) {
  expect("best(c.test.x) == 4", true, "4 == 4");
  expect("least(c.test.x) == 1", true, "1 == 1");
  expect("max(mean(a.test.x), best(c.test.x), 3) == 4", true, "4 == 4");
}

Test(claim, without_a_function_it_must_hold_for_every_seed) {
  expect("a.test.x >= 1", true, "1 >= 1, the closest of 3 runs");
  expect("a.test.x >= 2", false, "1 >= 2, off by 1, in 1 of 3 runs");
}

Test(claim, what_is_not_there_is_said) {
  expect("mean(a.test.acuracy) > 1", false,
         "'a.test.acuracy': the run has no result 'test.acuracy'; did you mean 'test.accuracy'?");
  expect("mean(c.test.x - d.test.x) > 1", false,
         "runs are paired, and not all have one of 'o.lr=1': choose, as in arm[key=value] or "
         "arm[best=stage.result], or compare best(...)");
}

Test(claim, a_run_that_failed_fails_its_claims) {
  tn_error error = {0};
  tn_plan *plan = plan_of("k = mean(b.test.x) > 0\nl = mean(a.test.x) > 0", &error);
  outcomes[4].outcome = (char *)(uintptr_t) "diverged at step 7";
  tn_verdict *verdicts;
  EXPECT_INT(tn_claims_judge(plan, outcomes, &verdicts), 2);
  cr_assert(!verdicts[0].holds && !verdicts[0].judged && verdicts[1].holds);
  EXPECT_TEXT(verdicts[0].why, "'b.test.x': cells/b/seed=2 did not finish: diverged at step 7");
  free(verdicts);
  tn_plan_free(plan);
}

static void refuse(const char *claim, const char *message) {
  tn_error error = {0};
  tn_plan *plan = plan_of(claim, &error);
  cr_assert(tn_claims_check(plan, &error) < 0, "accepted: %s", claim);
  EXPECT_TEXT(error.text, message);
  tn_plan_free(plan);
}

Test(claim, wrong_claims_are_refused_before_anything_runs) {
  refuse("k = mean(e.test.x) > 1", "p.ini:13: [expect] k: 'e.test.x': no arm 'e'");
  refuse("k = mean(a.tset.x) > 1", "p.ini:13: [expect] k: 'a.tset.x': no stage 'tset'; did you mean 'test'?");
  refuse("k = max(a.memroy) > 1",
         "p.ini:13: [expect] k: 'a.memroy': no stage 'memroy'; did you mean 'memory'?");
  refuse("k = mean(c[rl=1].test.x) > 1", "p.ini:13: [expect] k: 'c[rl=1].test.x': arm c has no axis 'rl'");
  refuse("k = mean(c[lr=3].test.x) > 1", "p.ini:13: [expect] k: 'c[lr=3].test.x': o.lr takes no value '3'");
  refuse("k = mean(c[lr].test.x) > 1",
         "p.ini:13: [expect] k: 'c[lr].test.x': 'lr' is no condition; expected key=value");
  refuse("k = mean(c[best=tset.x].test.x) > 1",
         "p.ini:13: [expect] k: 'c[best=tset.x].test.x': no stage 'tset'; did you mean 'test'?");
  refuse("k = mean(a.test.x)", "p.ini:13: [expect] k: it is a number; expected a relation, as in ... >= 0.5");
  refuse("k = 2 > 1", "p.ini:13: [expect] k: it names no result");
  refuse("k = mean(a.test.x > 1",
         "p.ini:13: [expect] k: expression 'mean(a.test.x > 1': column 18: ',' or ')' expected at the end");
  refuse("k = meen(a.test.x) > 1", "p.ini:13: [expect] k: expression 'meen(a.test.x) > 1': column 1: unknown "
                                   "function 'meen'; did you mean 'mean'?");
}
