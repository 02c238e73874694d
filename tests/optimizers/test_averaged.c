// SPDX-License-Identifier: MIT
#include "fixture.h"

TestSuite(averaged, .fini = harness_close);

/* Gradient descent with rate 1 and these gradients from 0 makes the iterates -1, -3, -6, -10, -15, -21. */
static const double iterates[] = {0, -1, -3, -6, -10, -15, -21};

static double final_after(const char *keys, int64_t steps) {
  char text[256];
  snprintf(text, sizeof text,
           "[o]\nuse = optimizer.averaged\ninner = sgd\n%s[sgd]\nuse = optimizer.sgd\nlr = 1\n", keys);
  harness_open("float64", text);
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 1), *g = tn_params_like(w), *into = tn_params_clone(w);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= steps; t++) {
    fixture_set(g, 0, (double)t);
    fixture_update(o, w, g, 1, t);
    EXPECT_NEAR(fixture_get(w, 0), iterates[t], 1e-14); /* the iterates are untouched */
  }
  cr_assert(tn_optimizer_has_final(o));
  cr_assert(tn_optimizer_final(o, w, into) >= 0, "%s", harness_failure());
  EXPECT_NEAR(fixture_get(w, 0), iterates[steps], 1e-14);
  EXPECT_NEAR(tn_optimizer_learning_rate(o, 0.25), 0.25, 1e-15);
  const double final = fixture_get(into, 0);
  tn_params_release(w);
  tn_params_release(g);
  tn_params_release(into);
  return final;
}

Test(averaged, uniform_is_the_mean_of_the_iterates) {
  EXPECT_NEAR(final_after("", 1), -1, 0);
  EXPECT_NEAR(final_after("", 6), -(1 + 3 + 6 + 10 + 15 + 21) / 6., 1e-14);
  EXPECT_NEAR(final_after("start = 2\n", 6), -(6 + 10 + 15 + 21) / 4., 1e-14);
  EXPECT_NEAR(final_after("every = 2\n", 6), -(3 + 10 + 21) / 3., 1e-14);
  EXPECT_NEAR(final_after("start = 1\nevery = 3\n", 6), -10, 0); /* the fourth alone */
  EXPECT_NEAR(final_after("start = 10\n", 6), -21, 0);           /* none yet: the iterate */
}

Test(averaged, ema_forgets) {
  /* a = 0.5 a + 0.5 w from w_0 = 0: -0.5, -1.75, -3.875 */
  EXPECT_NEAR(final_after("average = ema\ndecay = 0.5\nwarmup = no\n", 3), -3.875, 1e-14);
  /* from w_2 = -3 on: -4.5 */
  EXPECT_NEAR(final_after("average = ema\ndecay = 0.5\nwarmup = no\nstart = 2\n", 3), -4.5, 1e-14);
  /* d = 2/11, then 3/12 */
  EXPECT_NEAR(final_after("average = ema\n", 2), -(0.25 * (1 - 2. / 11) * 1 + 0.75 * 3), 1e-14);
}

Test(averaged, refuses_what_cannot_be) {
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.averaged\ndecay = 1\naverage = ema\n"),
                  "decay");
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.averaged\ninner = schedule.linear\n"),
                  "optimizer");
}
