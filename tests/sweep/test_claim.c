// SPDX-License-Identifier: MIT
/* Claims over made-up results: arm a has x = 1, 2, 3 for seeds 1, 2, 3; arm b has x = 3, 1, 2; arm c has the
 * settings lr = 1 (x = 0, 1, 2) and lr = 2 (x = 5, 6, 1). */
#include "../expect.h"
#include "core/plugin/host.h"
#include "core/sweep/claim.h"
#include <stdlib.h>
#include <string.h>

static const double x[] = {1, 2, 3, 3, 1, 2, 0, 5, 1, 6, 2, 1};
static tn_result results[12][2];
static tn_outcome_record outcomes[12];

/* `claims`: lines of [expect]. */
static tn_plan *plan_of(const char *claims, tn_error *error) {
  char text[2000];
  snprintf(text, sizeof text,
           "[pipeline]\nname = p\n[o]\n[sweep]\nseeds = 1..3\n[arm.a]\n[arm.b]\n[arm.c]\no.lr = 1 | 2\n"
           "[expect]\n%s\n",
           claims);
  tn_host_start();
  tn_config *config = tn_config_parse(text, strlen(text), "p.ini", NULL, 0, NULL, 0, error);
  cr_assert(config, "%s", error->text);
  tn_plan *plan = tn_plan_make(config, NULL, 0, false, error);
  cr_assert(plan, "%s", error->text);
  EXPECT_INT(plan->cell_count, 12);
  for (int i = 0; i < 12; i++) {
    results[i][0] = (tn_result){"test.x", x[i]};
    results[i][1] = (tn_result){"seconds", 10};
    outcomes[i] = (tn_outcome_record){.outcome = (char *)(uintptr_t) "finished",
                                      .record = {.results = results[i], .result_count = 2}};
  }
  return plan;
}

static void expect(const char *claim, bool holds, const char *said) {
  tn_error error = {0};
  char line[600];
  snprintf(line, sizeof line, "claim = %s", claim);
  tn_plan *plan = plan_of(line, &error);
  tn_evidence evidence = {plan, outcomes};
  tn_verdict *verdicts;
  EXPECT_INT(tn_claims_judge(&evidence, &verdicts), 1);
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
}

/* a - b: -2, 1, 1. */
Test(claim, arms_are_paired_by_seed) {
  expect("mean(a.test.x - b.test.x) == 0", true, "0 == 0");
  expect("count(a.test.x > b.test.x) == 2", true, "2 == 2");
  expect("max(abs(a.test.x - b.test.x)) == 2", true, "2 == 2");
  expect("all(a.test.x <= b.test.x)", false, "false");
}

/* Means of c: lr 1: (0 + 1 + 2)/3 = 1; lr 2: (5 + 6 + 1)/3 = 4. */
Test(claim, the_best_setting_is_that_of_the_means) {
  expect("best(c.test.x) == 4", true, "4 == 4");
  expect("least(c.test.x) == 1", true, "1 == 1");
  expect("max(mean(a.test.x), best(c.test.x), 3) == 4", true, "4 == 4");
}

Test(claim, without_a_function_it_must_hold_for_every_seed) {
  expect("a.test.x >= 1", true, "2 >= 1");
  expect("a.test.x >= 2", false, "2 >= 2, off by 0");
}

Test(claim, what_is_not_there_is_said) {
  expect("mean(a.tset.x) > 1", false, "'a.tset.x': the run has no result 'tset.x'; did you mean 'test.x'?");
}

static void refuse(const char *claim, const char *message) {
  tn_error error = {0};
  tn_plan *plan = plan_of(claim, &error);
  cr_assert(tn_claims_check(plan, &error) < 0, "accepted: %s", claim);
  EXPECT_TEXT(error.text, message);
  tn_plan_free(plan);
}

Test(claim, wrong_claims_are_refused_before_anything_runs) {
  refuse("k = mean(d.test.x) > 1", "p.ini:11: [expect] k: 'd.test.x': no arm 'd'");
  refuse("k = mean(a.test.x > 1", "p.ini:11: [expect] k: the parenthesis behind 'mean' is not closed");
  refuse("k = meen(a.test.x) > 1", "p.ini:11: [expect] k: expression 'meen(a.test.x) > 1': column 1: unknown "
                                   "function 'meen'");
}
