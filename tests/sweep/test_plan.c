// SPDX-License-Identifier: MIT
/* Arms, axes and seeds become cells. */
#include "../expect.h"
#include "core/sweep/plan.h"
#include <string.h>

static tn_error error;

static tn_plan *plan_of(const char *text, bool first_only) {
  error = (tn_error){0};
  tn_config *config = tn_config_parse(text, strlen(text), "p.ini", NULL, 0, NULL, 0, &error);
  cr_assert(config, "%s", error.text);
  return tn_plan_make(config, NULL, 0, first_only, &error);
}

static tn_plan *good(const char *text) {
  tn_plan *plan = plan_of(text, false);
  cr_assert(plan, "%s", error.text);
  return plan;
}

static void expect_refused(const char *text, const char *message) {
  tn_plan *plan = plan_of(text, false);
  cr_assert(!plan, "accepted:\n%s", text);
  EXPECT_TEXT(error.text, message);
}

Test(plan, seeds_are_ranges_and_lists) {
  tn_plan *plan = good("[pipeline]\nname = p\n[sweep]\nseeds = 1..3, 7\n");
  EXPECT_INT(plan->cell_count, 4);
  EXPECT_INT(plan->cells[2].seed, 3);
  EXPECT_INT(plan->cells[3].seed, 7);
  EXPECT_TEXT(plan->cells[3].overrides[0], "pipeline.seed=7");
  EXPECT_TEXT(plan->cells[3].directory, "cells/seed=7");
  tn_plan_free(plan);
}

/* 2 arms, 2 seeds; one arm has an axis of 3 of its own: 2 + 2 x 3 cells. */
Test(plan, arms_span_their_own_axes) {
  tn_plan *plan = good("[pipeline]\nname = p\n[o]\n[sweep]\nseeds = 1, 2\n[arm.a]\no.use = x\n[arm.b]\n"
                       "o.use = y\no.lr = 1e-3 | 3e-3 | 1e-2\n");
  EXPECT_INT(plan->cell_count, 8);
  EXPECT_INT(plan->cells[1].arm, 0);
  EXPECT_INT(plan->cells[2].arm, 1);
  EXPECT_TEXT(plan->cells[2].label, "seed=1,o.lr=1e-3");
  EXPECT_TEXT(plan->cells[7].label, "seed=2,o.lr=1e-2");
  EXPECT_INT(plan->cells[4].setting, 2);
  EXPECT_INT(plan->cells[7].setting, 2);
  EXPECT_TEXT(plan->cells[2].overrides[0], "o.use=y");
  EXPECT_TEXT(plan->cells[2].directory, "cells/b/seed=1,o.lr=1e-3");
  tn_plan_free(plan);
}

Test(plan, values_with_commas_are_separated_by_bars) {
  tn_plan *plan = good("[pipeline]\nname = p\n[net]\n[sweep]\nnet.hidden = 64, 64 | 128\nnet.x = 1, 2\n");
  EXPECT_INT(plan->cell_count, 4);
  EXPECT_TEXT(plan->cells[0].overrides[0], "net.hidden=64, 64");
  EXPECT_TEXT(plan->cells[3].overrides[0], "net.hidden=128");
  EXPECT_TEXT(plan->cells[0].directory, "cells/net.hidden=64,_64,net.x=1");
  tn_plan_free(plan);
}

Test(plan, a_file_without_arms_is_one_cell) {
  tn_plan *plan = good("[pipeline]\nname = p\n");
  EXPECT_INT(plan->cell_count, 1);
  cr_assert(!tn_plan_wanted(plan->config));
  tn_plan_free(plan);
}

Test(plan, a_shortened_run_takes_the_first_seed) {
  tn_plan *plan = plan_of("[pipeline]\nname = p\n[o]\n[sweep]\nseeds = 1..5\n[arm.a]\no.x = 1 | 2\n", true);
  EXPECT_INT(plan->cell_count, 2);
  tn_plan_free(plan);
}

Test(plan, what_is_wrong_is_said) {
  expect_refused("[pipeline]\nname = p\n[sweep]\nseeds = 3..1\n",
                 "p.ini:4: seeds: '3..1' is neither a whole number nor a range; expected 1..5 or 1, 2, 3");
  expect_refused(
      "[pipeline]\nname = p\n[sweep]\nseed = 3\n",
      "p.ini:4: [sweep] has no key 'seed': expected seeds, jobs or section.key; did you mean 'seeds'?");
  expect_refused("[pipeline]\nname = p\n[sweep]\njobs = 0\n",
                 "p.ini:4: jobs = 0: expected a whole number from 1 to 4096");
  expect_refused("[pipeline]\nname = p\n[train]\n[sweep]\ntrian.lr = 1, 2\n",
                 "p.ini:5: trian.lr: no section [trian]; did you mean 'train'?");
  expect_refused(
      "[pipeline]\nname = p\n[arm.a]\nlr = 1\n",
      "p.ini:4: [arm.a] has the key 'lr': expected section.key, which overrides a key of the file");
  expect_refused("[pipeline]\nname = p\n[o]\n[sweep]\no.x = 1, , 2\n", "p.ini:5: o.x: value 2 is empty");
  expect_refused(
      "[pipeline]\nname = p\n[sweep]\nseeds = 1..200000\n",
      "p.ini:4: seeds: '1..200000' is neither a whole number nor a range; expected 1..5 or 1, 2, 3");
  expect_refused("[pipeline]\nname = p\n[o]\n[sweep]\nseeds = 1..1000\no.x = 1, 2\n[arm.a]\n"
                 "o.y = 1|2|3|4|5|6|7|8|9|10\no.z = 1|2|3|4|5|6\n",
                 "p.ini: the sweep has more than 100000 cells");
}
