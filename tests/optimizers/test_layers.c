// SPDX-License-Identifier: MIT
/* LAMB and LARS: the length of a tensor's step. */
#include "fixture.h"

TestSuite(layers, .fini = harness_close);

/* Where the tensors begin in the row. */
static const int64_t ends[] = {AT_WEIGHT, AT_BIAS, AT_KERNEL, AT_SCALE, ALL};

static double norm(const double *x, int64_t first, int64_t last) {
  double sum = 0;
  for (int64_t i = first; i < last; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

/* w = (3, 4), ||w|| = 5. First step of Adam with epsilon 0: r = sign(g) = (1, -1); u = r + 0.1 w =
 * (1.3, -0.6), ||u|| = sqrt(2.05); w <- w - 0.01 5 / sqrt(2.05) u. */
Test(layers, lamb_by_hand) {
  harness_open("float64", "[o]\nuse = optimizer.lamb\nlr = 0.01\nepsilon = 0\nweight_decay = 0.1\n"
                          "[c]\nuse = optimizer.lamb\nlr = 0.01\nepsilon = 0\nweight_decay = 0.1\n"
                          "max_norm = 2\n");
  tn_params *w = fixture_matrix(1, 2), *g = tn_params_like(w);
  const struct {
    const char *name;
    double phi;
  } cases[] = {{"o", 5}, {"c", 2}};
  for (int k = 0; k < 2; k++) {
    fixture_set(w, 0, 3), fixture_set(w, 1, 4);
    fixture_set(g, 0, 7), fixture_set(g, 1, -0.01);
    fixture_begin(harness_component(cases[k].name), w);
    fixture_update(harness_component(cases[k].name), w, g, 1, 1);
    const double ratio = cases[k].phi / sqrt(2.05);
    EXPECT_NEAR(fixture_get(w, 0), 3 - 0.01 * ratio * 1.3, 1e-14);
    EXPECT_NEAR(fixture_get(w, 1), 4 + 0.01 * ratio * 0.6, 1e-14);
  }
  tn_params_release(w);
  tn_params_release(g);
}

/* w = (3, 4), g = (0.6, 0.8): l = 0.1 5 / (1 + 0.2 5) = 0.25; v = 2 0.25 (g + 0.2 w) = (0.6, 0.8);
 * w = (2.4, 3.2). Then with g = (-0.6, -0.8): ||w|| = 4, l = 0.1 4 / (1 + 0.8) = 2/9;
 * v <- 0.9 v + 2 2/9 (g + 0.2 w) = 0.54 + 4/9 (-0.12) in the first coordinate. */
Test(layers, lars_by_hand) {
  harness_open("float64",
               "[o]\nuse = optimizer.lars\nlr = 2\nmomentum = 0.9\ntrust = 0.1\nweight_decay = 0.2\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 2), *g = tn_params_like(w);
  fixture_set(w, 0, 3), fixture_set(w, 1, 4);
  fixture_begin(o, w);
  fixture_set(g, 0, 0.6), fixture_set(g, 1, 0.8);
  fixture_update(o, w, g, 1, 1);
  EXPECT_NEAR(fixture_get(w, 0), 2.4, 1e-14);
  EXPECT_NEAR(fixture_get(w, 1), 3.2, 1e-14);
  fixture_set(g, 0, -0.6), fixture_set(g, 1, -0.8);
  fixture_update(o, w, g, 1, 2);
  EXPECT_NEAR(fixture_get(w, 0), 2.4 - (0.54 - 4. / 9 * 0.12), 1e-14);
  tn_params_release(w);
  tn_params_release(g);
}

/* LARC, Apex: l = min(0.1 5 / 1 / lr, 1): 0.25 at lr 2, and 1 at lr 0.1. */
Test(layers, larc_only_shortens) {
  harness_open("float64", "[o]\nuse = optimizer.lars\nlr = 2\ntrust = 0.1\nweight_decay = 0\nclip = yes\n");
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 2), *g = tn_params_like(w);
  fixture_set(g, 0, 0.6), fixture_set(g, 1, 0.8);
  const double schedules[] = {1, 0.05}, moved[] = {2 * 0.25 * 0.6, 0.1 * 0.6};
  for (int k = 0; k < 2; k++) {
    fixture_set(w, 0, 3), fixture_set(w, 1, 4);
    fixture_begin(o, w);
    fixture_update(o, w, g, schedules[k], 1);
    EXPECT_NEAR(fixture_get(w, 0), 3 - moved[k], 1e-14);
  }
  tn_params_release(w);
  tn_params_release(g);
}

/* Algorithm 2, all tensors, several steps. */
static void lamb_reference(double *w, const double *g, double *m, double *v, double lr, bool all, int64_t t) {
  double u[ALL];
  for (int64_t i = 0; i < ALL; i++) {
    m[i] = 0.9 * m[i] + 0.1 * g[i];
    v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
    u[i] = m[i] / (1 - pow(0.9, (double)t)) / (sqrt(v[i] / (1 - pow(0.999, (double)t))) + 1e-6);
    if (fixture_decays(i)) u[i] += 0.05 * w[i];
  }
  for (int k = 0; k < 4; k++) {
    const double ratio = norm(w, ends[k], ends[k + 1]) / norm(u, ends[k], ends[k + 1]);
    for (int64_t i = ends[k]; i < ends[k + 1]; i++)
      w[i] -= lr * (all || fixture_decays(i) ? ratio : 1) * u[i];
  }
}
static void lars_reference(double *w, const double *g, double *v, double *unused, double lr, bool all,
                           int64_t t) {
  (void)unused, (void)t;
  for (int k = 0; k < 4; k++) {
    const bool decays = fixture_decays(ends[k]);
    const double decay = decays ? 0.05 : 0, length = norm(w, ends[k], ends[k + 1]);
    double l = 0.02 * length / (norm(g, ends[k], ends[k + 1]) + decay * length + 1e-3);
    if (!all && !decays) l = 1;
    for (int64_t i = ends[k]; i < ends[k + 1]; i++) {
      v[i] = 0.9 * v[i] + lr * l * (g[i] + decay * w[i]);
      w[i] -= v[i];
    }
  }
}

static void compare(const char *precision, double tolerance) {
  for (int k = 0; k < 4; k++) {
    const bool lamb = k < 2, all = k % 2;
    char text[256];
    snprintf(text, sizeof text, "[o]\nuse = optimizer.%s\nlr = 0.1\nweight_decay = 0.05\nadapt = %s\n",
             lamb ? "lamb" : "lars\ntrust = 0.02\nepsilon = 1e-3", all ? "all" : "decayed");
    harness_open(precision, text);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *g = tn_params_like(w);
    double wanted[ALL], slopes[ALL], a[ALL] = {0}, b[ALL] = {0};
    for (int64_t i = 0; i < ALL; i++) wanted[i] = fixture_get(w, i);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 5; t++) {
      const double schedule = 1 / (double)t;
      for (int64_t i = 0; i < ALL; i++) fixture_set(g, i, slopes[i] = fixture_slope(wanted[i], i, t));
      fixture_update(o, w, g, schedule, t);
      (lamb ? lamb_reference : lars_reference)(wanted, slopes, a, b, 0.1 * schedule, all, t);
    }
    for (int64_t i = 0; i < ALL; i++)
      cr_assert(fabs(fixture_get(w, i) - wanted[i]) <= tolerance,
                "case %d, coordinate %d: expected %.17g, got %.17g", k, (int)i, wanted[i], fixture_get(w, i));
    tn_params_release(w);
    tn_params_release(g);
  }
}
Test(layers, follow_their_papers_in_float64) { compare("float64", 1e-13); }
Test(layers, follow_their_papers_in_float32) { compare("float32", 2e-5); }

/* With a trust ratio, the gradient's scale does not matter (epsilon and decay 0). */
Test(layers, steps_do_not_depend_on_the_gradients_scale) {
  harness_open("float64", "[lamb]\nuse = optimizer.lamb\nepsilon = 0\nweight_decay = 0\nadapt = all\n"
                          "[lars]\nuse = optimizer.lars\nweight_decay = 0\nadapt = all\n");
  const char *const names[] = {"lamb", "lars"};
  for (int k = 0; k < 2; k++) {
    double moved[2][ALL];
    for (int scaled = 0; scaled < 2; scaled++) {
      tn_params *w = fixture_params(), *g = tn_params_like(w);
      fixture_begin(harness_component(names[k]), w);
      for (int64_t t = 1; t <= 3; t++) {
        for (int64_t i = 0; i < ALL; i++)
          fixture_set(g, i, (scaled ? 1000 : 1) * sin((double)(i + 1) * (double)t));
        fixture_update(harness_component(names[k]), w, g, 1, t);
      }
      for (int64_t i = 0; i < ALL; i++) moved[scaled][i] = fixture_get(w, i);
      tn_params_release(w);
      tn_params_release(g);
    }
    for (int64_t i = 0; i < ALL; i++) EXPECT_NEAR(moved[1][i], moved[0][i], 1e-13);
  }
}

Test(layers, refuse_what_cannot_be) {
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.lamb\nmin_norm = 3\nmax_norm = 2\n"),
                  "min_norm");
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.lars\nadapt = most\n"), "adapt");
}
