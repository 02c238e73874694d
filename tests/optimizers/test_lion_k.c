// SPDX-License-Identifier: MIT
/* The family of Lion: what it is in special cases, and the sets in which its weights stay. */
#include "fixture.h"
#include <string.h>
#include <tenon/kappa.h>

TestSuite(lion_k, .fini = harness_close, .timeout = 60);

/* K = l1 is optimizer.lion: the same bits at every step, also where momentum and gradient are exactly 0. */
static void same_bits(const char *precision) {
  harness_open(precision, "[lion]\nuse = optimizer.lion\nlr = 3e-3\nweight_decay = 0.7\n"
                          "[lion_k]\nuse = optimizer.lion_k\nlr = 3e-3\nweight_decay = 0.7\n");
  const tn_component *o[2] = {harness_component("lion"), harness_component("lion_k")};
  tn_params *w[2] = {fixture_params(), fixture_params()}, *g = tn_params_like(w[0]);
  for (int k = 0; k < 2; k++) {
    fixture_set(w[k], 0, -0.0);
    fixture_begin(o[k], w[k]);
  }
  for (int64_t t = 1; t <= 200; t++) {
    fixture_gradient(w[0], g, t);
    for (int64_t i = 0; i < 4; i++) fixture_set(g, i, 0);
    for (int k = 0; k < 2; k++) fixture_update(o[k], w[k], g, 1 / sqrt((double)t), t);
    for (uint32_t e = 0; e < ENTRIES; e++) {
      const tn_tensor *a = tn_param_tensor(w[0], e), *b = tn_param_tensor(w[1], e);
      cr_assert(memcmp(tn_data(a), tn_data(b), (size_t)a->numel * a->dl.dtype.bits / 8) == 0,
                "step %d, entry %u", (int)t, e);
    }
  }
  for (int k = 0; k < 2; k++) tn_params_release(w[k]);
  tn_params_release(g);
}
Test(lion_k, l1_is_lion_in_float32) { same_bits("float32"); }
Test(lion_k, l1_is_lion_in_float64) { same_bits("float64"); }

/* Runs `keys` (lines of the section) on the fixture for some steps, and calls `check` after each. */
typedef void check_function(const tn_params *before, const tn_params *after, const tn_params *gradient,
                            int64_t t);
static void walk(const char *sections, int64_t steps, check_function *check) {
  harness_open("float64", sections);
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_params(), *g = tn_params_like(w);
  fixture_begin(o, w);
  for (int64_t t = 1; t <= steps; t++) {
    tn_params *before = tn_params_clone(w);
    fixture_gradient(w, g, t);
    fixture_update(o, w, g, 1, t);
    check(before, w, g, t);
    tn_params_release(before);
  }
  tn_params_release(w);
  tn_params_release(g);
}

/* beta1 = beta2 = 0, lambda = 1: x + eps (vertex - x), the vertex of the box that minimises <g, .>. */
static void is_frank_wolfe(const tn_params *before, const tn_params *after, const tn_params *g, int64_t t) {
  (void)t;
  for (int64_t i = 0; i < ALL; i++) {
    const double slope = fixture_get(g, i), vertex = slope > 0 ? -1 : 1, x = fixture_get(before, i);
    const double wanted = fixture_decays(i) ? 0.99 * x + 0.01 * vertex : x + 0.01 * vertex;
    EXPECT_NEAR(fixture_get(after, i), wanted, 1e-14);
  }
}
Test(lion_k, without_momentum_is_frank_wolfe) {
  walk("[o]\nuse = optimizer.lion_k\nlr = 0.01\nbeta1 = 0\nbeta2 = 0\nweight_decay = 1\n", 50,
       is_frank_wolfe);
}

static double average[ALL];
/* K = |m|^2 / 2, lambda = 0: gradient descent with (damped) momentum. */
static void is_momentum(const tn_params *before, const tn_params *after, const tn_params *g, int64_t t) {
  if (t == 1) memset(average, 0, sizeof average);
  for (int64_t i = 0; i < ALL; i++) {
    average[i] = 0.9 * average[i] + (1 - 0.9) * fixture_get(g, i);
    EXPECT_NEAR(fixture_get(after, i), fixture_get(before, i) - 0.01 * average[i], 1e-14);
  }
}
Test(lion_k, quadratic_is_momentum) {
  walk("[o]\nuse = optimizer.lion_k\nkappa = kappa.quadratic\nlr = 0.01\nbeta2 = 0.9\nnesterov = no\n", 20,
       is_momentum);
}
static void is_nesterov(const tn_params *before, const tn_params *after, const tn_params *g, int64_t t) {
  if (t == 1) memset(average, 0, sizeof average);
  for (int64_t i = 0; i < ALL; i++) {
    average[i] = 0.9 * average[i] + (1 - 0.9) * fixture_get(g, i);
    const double ahead = 0.9 * average[i] + (1 - 0.9) * fixture_get(g, i);
    EXPECT_NEAR(fixture_get(after, i), fixture_get(before, i) - 0.01 * ahead, 1e-14);
  }
}
Test(lion_k, quadratic_is_nesterov) {
  walk("[o]\nuse = optimizer.lion_k\nkappa = kappa.quadratic\nlr = 0.01\nbeta2 = 0.9\nnesterov = yes\n", 20,
       is_nesterov);
}

static double moved(const tn_params *before, const tn_params *after, int64_t first, int64_t end) {
  double sum = 0;
  for (int64_t i = first; i < end; i++)
    sum +=
        (fixture_get(after, i) - fixture_get(before, i)) * (fixture_get(after, i) - fixture_get(before, i));
  return sqrt(sum);
}
static void steps_of_one_length(const tn_params *before, const tn_params *after, const tn_params *g,
                                int64_t t) {
  (void)g, (void)t;
  EXPECT_NEAR(moved(before, after, AT_WEIGHT, AT_BIAS), 0.01, 1e-14);
  EXPECT_NEAR(moved(before, after, AT_BIAS, AT_KERNEL), 0.01, 1e-14);
  EXPECT_NEAR(moved(before, after, AT_KERNEL, AT_SCALE), 0.01, 1e-14);
}
Test(lion_k, l2_normalises_each_tensor) {
  walk("[o]\nuse = optimizer.lion_k\nkappa = kappa.l2\nlr = 0.01\n", 20, steps_of_one_length);
}
/* weight and kernel decay, bias and scale do not: two vectors */
static void steps_of_one_length_in_all(const tn_params *before, const tn_params *after, const tn_params *g,
                                       int64_t t) {
  (void)g, (void)t;
  const double weight = moved(before, after, AT_WEIGHT, AT_BIAS),
               kernel = moved(before, after, AT_KERNEL, AT_SCALE);
  const double bias = moved(before, after, AT_BIAS, AT_KERNEL), scale = moved(before, after, AT_SCALE, ALL);
  EXPECT_NEAR(hypot(weight, kernel), 0.01, 1e-14);
  EXPECT_NEAR(hypot(bias, scale), 0.01, 1e-14);
}
Test(lion_k, scope_global_normalises_all) {
  walk("[o]\nuse = optimizer.lion_k\nkappa = kappa.l2\nscope = global\nlr = 0.01\n", 20,
       steps_of_one_length_in_all);
}
static void signs_for_vectors(const tn_params *before, const tn_params *after, const tn_params *g,
                              int64_t t) {
  (void)g, (void)t;
  EXPECT_NEAR(moved(before, after, AT_WEIGHT, AT_BIAS), 0.01, 1e-14);
  for (int64_t i = AT_BIAS; i < AT_KERNEL; i++)
    EXPECT_NEAR(fabs(fixture_get(after, i) - fixture_get(before, i)), 0.01, 1e-14);
}
Test(lion_k, vectors_may_have_a_kappa_of_their_own) {
  walk("[o]\nuse = optimizer.lion_k\nkappa = kappa.l2\nvector_kappa = kappa.l1\nlr = 0.01\n", 20,
       signs_for_vectors);
}

/* Implicit decay with eps is explicit decay with eps / (1 + eps lambda). */
Test(lion_k, implicit_is_explicit_with_a_shorter_step) {
  static const char *const kappas[] = {"l1", "l2",   "huber",    "tanh",    "relativistic",
                                       "lp", "topk", "deadzone", "group_l2"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kappas); k++) {
    char text[512];
    snprintf(text, sizeof text,
             "[i]\nuse = optimizer.lion_k\nkappa = kappa.%s\nlr = 0.02\nweight_decay = 1.5\nimplicit = yes\n"
             "[e]\nuse = optimizer.lion_k\nkappa = kappa.%s\nlr = %.17g\nweight_decay = 1.5\n",
             kappas[k], kappas[k], 0.02 / (1 + 0.02 * 1.5));
    harness_open("float64", text);
    const tn_component *o[2] = {harness_component("i"), harness_component("e")};
    tn_params *w[2] = {fixture_params(), fixture_params()}, *g = tn_params_like(w[0]);
    for (int j = 0; j < 2; j++) fixture_begin(o[j], w[j]);
    for (int64_t t = 1; t <= 100; t++)
      for (int j = 0; j < 2; j++) {
        fixture_gradient(w[j], g, t);
        fixture_update(o[j], w[j], g, 1, t);
      }
    for (int64_t i = 0; i < ALL; i++)
      if (fixture_decays(i))
        cr_assert(fabs(fixture_get(w[0], i) - fixture_get(w[1], i)) <= 1e-12, "%s: %.17g and %.17g",
                  kappas[k], fixture_get(w[0], i), fixture_get(w[1], i));
    for (int j = 0; j < 2; j++) tn_params_release(w[j]);
    tn_params_release(g);
  }
}

/* What lies inside stays inside, and what lies outside comes nearer by the factor (1 - eps lambda) a step,
 * whatever the gradients are. */
Test(lion_k, weights_enter_the_set_and_stay) {
  static const char *const kappas[] = {"l1",   "lp",    "l2",           "group_l2", "deadzone",
                                       "topk", "huber", "relativistic", "tanh",     "spectral"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kappas); k++)
    for (int large = 0; large < 2; large++) {
      char text[256];
      snprintf(text, sizeof text,
               "[k]\nuse = kappa.%s\n[o]\nuse = optimizer.lion_k\nkappa = k\nlr = 0.1\n"
               "weight_decay = 4\n",
               kappas[k]);
      harness_open("float64", text);
      const tn_component *o = harness_component("o"), *kappa = harness_component("k");
      tn_params *w = fixture_params(), *g = tn_params_like(w);
      for (int64_t i = 0; i < ALL; i++) fixture_set(w, i, fixture_get(w, i) * (large ? 50 : 1e-3));
      fixture_begin(o, w);
      double excess = INFINITY;
      for (int64_t t = 1; t <= 60; t++) {
        tn_rng rng = tn_rng_at("test", "noise", (uint64_t)t);
        tn_scope_open();
        const double before = tn_kappa_norm(kappa, tn_scale(tn_param_tensor(w, WEIGHT), 4)) - 1;
        for (int64_t i = 0; i < ALL; i++) fixture_set(g, i, tn_random_normal(&rng));
        fixture_update(o, w, g, 1, t);
        excess = tn_kappa_norm(kappa, tn_scale(tn_param_tensor(w, WEIGHT), 4)) - 1;
        cr_assert(excess <= (1 - 0.1 * 4) * fmax(before, 0) + 1e-12, "%s: step %d: from %g to %g", kappas[k],
                  (int)t, before, excess);
        tn_scope_close();
      }
      cr_assert(excess <= 1e-9, "%s: %g", kappas[k], excess);
      tn_params_release(w);
      tn_params_release(g);
    }
}

Test(lion_k, refuses_two_kappas_for_one_vector) {
  const char *text =
      harness_refusal("float64", "[o]\nuse = optimizer.lion_k\nscope = global\nvector_kappa = kappa.l1\n");
  cr_assert(strstr(text, "vector_kappa"), "%s", text);
}
