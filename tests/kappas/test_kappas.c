// SPDX-License-Identifier: MIT
/* Convex functions K, their conjugates, and the sets that these confine weights to. Matrices (4, 6). */
#include "../plugins/harness.h"
#include <string.h>
#include <tenon/kappa.h>

TestSuite(kappas, .fini = harness_close, .timeout = 120);

enum { ROWS = 4, COLUMNS = 6, N = ROWS * COLUMNS };
static const struct {
  const char *keys;
  bool ball;       /* K* is 0 or infinite */
  bool invertible; /* grad K* undoes grad K */
  double kink;     /* K bends sharply at coordinates of this magnitude; < 0: nowhere that counts */
} kappas[] = {
    {"use = kappa.l1", true, false, 0},
    {"use = kappa.lp\np = 1.5", true, false, 0},
    {"use = kappa.lp\np = 1.2", true, false, 0},
    {"use = kappa.lp\np = 3", true, false, 0},
    {"use = kappa.lp\np = 1", true, false, 0},
    {"use = kappa.l2", true, false, -1},
    {"use = kappa.group_l2", true, false, -1},
    {"use = kappa.group_l2\ngroup = 5", true, false, -1},
    {"use = kappa.deadzone\ne = 0.1", false, false, 0.1},
    {"use = kappa.topk\nk = 7", true, false, 0},
    {"use = kappa.topk\nk = 30%", true, false, 0},
    {"use = kappa.huber\ne = 0.3", false, false, 0.3},
    {"use = kappa.relativistic\ne = 0.2", false, true, -1},
    {"use = kappa.tanh\na = 2", false, true, -1},
    {"use = kappa.spectral", true, false, -1},
    {"use = kappa.quadratic", false, true, -1},
};
enum { KAPPAS = sizeof kappas / sizeof *kappas };

static const tn_component *open_kappa(const char *precision, size_t k) {
  char text[128];
  snprintf(text, sizeof text, "[k]\n%s\n", kappas[k].keys);
  harness_open(precision, text);
  return harness_component("k");
}
/* Normal numbers times a scale that goes from 0.01 to 100. */
static tn_tensor *random_matrix(uint64_t turn) {
  double numbers[N];
  tn_rng rng = tn_rng_at("test", "matrix", turn);
  const double scale = pow(10, 4 * tn_random_uniform(&rng) - 2);
  for (int i = 0; i < N; i++) numbers[i] = scale * tn_random_normal(&rng);
  return harness_tensor(TN_SHAPE(ROWS, COLUMNS), numbers);
}
static double dot(tn_tensor *a, tn_tensor *b) {
  return tn_item(tn_sum(tn_mul(tn_cast(a, TN_F64), tn_cast(b, TN_F64))));
}

/* K(m) + K*(y) - <m, y> >= 0, and 0 at y = grad K(m). */
Test(kappas, fenchel_young) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    for (uint64_t turn = 0; turn < 1000; turn++) {
      tn_scope_open();
      tn_tensor *m = random_matrix(2 * turn), *slope = tn_kappa_gradient(c, m);
      tn_tensor *y = tn_kappa_project(c, random_matrix(2 * turn + 1));
      const double value = tn_kappa_value(c, m), tight = tn_kappa_conjugate(c, slope);
      const double size = 1e-10 * (1 + fabs(value) + fabs(dot(m, slope)));
      cr_assert(value >= 0, "%s: K(m) = %g", kappas[k].keys, value);
      cr_assert(fabs(value + tight - dot(m, slope)) <= size, "%s: the gap at grad K is %g", kappas[k].keys,
                value + tight - dot(m, slope));
      const double loose = tn_kappa_conjugate(c, y), product = dot(m, y);
      cr_assert(isfinite(loose), "%s: the projection is outside", kappas[k].keys);
      cr_assert(value + loose - product >= -1e-10 * (1 + value + fabs(product)), "%s: the gap is %g",
                kappas[k].keys, value + loose - product);
      tn_scope_close();
    }
    cr_assert(tn_kappa_value(c, tn_zeros(TN_F64, TN_SHAPE(ROWS, COLUMNS))) == 0);
    cr_assert(tn_kappa_conjugate(c, tn_zeros(TN_F64, TN_SHAPE(ROWS, COLUMNS))) == 0);
  }
}

static bool near_a_kink(size_t k, tn_tensor *m) {
  for (int i = 0; i < N; i++)
    if (kappas[k].kink >= 0 && fabs(fabs(harness_at(m, i)) - kappas[k].kink) < 1e-4) return true;
  return false;
}
Test(kappas, gradients_agree_with_differences) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    int checked = 0;
    for (uint64_t turn = 0; turn < 200; turn++) {
      tn_scope_open();
      tn_tensor *m = random_matrix(turn), *d = random_matrix(1000 + turn);
      d = tn_scale(d, 1 / sqrt(dot(d, d)));
      if (!near_a_kink(k, m)) {
        const double h = 1e-6, slope = dot(tn_kappa_gradient(c, m), d);
        const double up = tn_kappa_value(c, tn_add(m, tn_scale(d, h))),
                     down = tn_kappa_value(c, tn_sub(m, tn_scale(d, h)));
        cr_assert(fabs((up - down) / (2 * h) - slope) <= 2e-6 * (1 + fabs(slope)) + 1e-9 * up,
                  "%s: %.12g and %.12g", kappas[k].keys, (up - down) / (2 * h), slope);
        checked++;
      }
      tn_scope_close();
    }
    cr_assert(checked > 100, "%s: %d", kappas[k].keys, checked);
  }
}

Test(kappas, conjugate_gradients_invert) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    for (uint64_t turn = 0; turn < 50; turn++) {
      tn_scope_open();
      tn_tensor *m = random_matrix(turn);
      const bool huber = strstr(kappas[k].keys, "huber");
      if (huber) m = tn_clamp(m, -0.3, 0.3);            /* inside */
      if (kappas[k].invertible) m = tn_clamp(m, -2, 2); /* further out grad K is 1 to rounding */
      tn_tensor *back = tn_kappa_conjugate_gradient(c, tn_kappa_gradient(c, m));
      for (int i = 0; i < N; i++) {
        if (huber || kappas[k].invertible) EXPECT_NEAR(harness_at(back, i), harness_at(m, i), 1e-9);
        if (kappas[k].ball) cr_assert(harness_at(back, i) == 0);
      }
      tn_scope_close();
    }
  }
}

/* A subgradient of K*: K*(z) >= K*(y) + <g, z - y>. */
Test(kappas, conjugate_gradients_are_subgradients) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    for (uint64_t turn = 0; turn < 200; turn++) {
      tn_scope_open();
      tn_tensor *y = tn_scale(tn_kappa_project(c, random_matrix(2 * turn)), 0.999);
      tn_tensor *z = tn_kappa_project(c, random_matrix(2 * turn + 1)), *g = tn_kappa_conjugate_gradient(c, y);
      const double from = tn_kappa_conjugate(c, y), to = tn_kappa_conjugate(c, z);
      cr_assert(to >= from + dot(g, tn_sub(z, y)) - 1e-10 * (1 + fabs(to) + fabs(from)), "%s",
                kappas[k].keys);
      tn_scope_close();
    }
  }
}

Test(kappas, gradients_are_monotone_and_within_the_dual_ball) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    for (uint64_t turn = 0; turn < 1000; turn++) {
      tn_scope_open();
      tn_tensor *a = random_matrix(2 * turn), *b = random_matrix(2 * turn + 1);
      tn_tensor *ga = tn_kappa_gradient(c, a), *gb = tn_kappa_gradient(c, b);
      cr_assert(dot(tn_sub(ga, gb), tn_sub(a, b)) >= -1e-12 * (1 + fabs(dot(ga, a))), "%s", kappas[k].keys);
      cr_assert(tn_kappa_norm(c, ga) <= 1 + 1e-12, "%s: %.17g", kappas[k].keys, tn_kappa_norm(c, ga));
      tn_scope_close();
    }
  }
}

/* <y - P y, z - P y> <= 0 for every z of the set; and the constraints make up the norm. */
Test(kappas, projections_are_the_nearest_points) {
  for (size_t k = 0; k < KAPPAS; k++) {
    const tn_component *c = open_kappa("float64", k);
    for (uint64_t turn = 0; turn < 100; turn++) {
      tn_scope_open();
      tn_tensor *y = random_matrix(turn), *p = tn_kappa_project(c, y), *off = tn_sub(y, p);
      cr_assert(tn_kappa_norm(c, p) <= 1 + 1e-10, "%s: %.12g", kappas[k].keys, tn_kappa_norm(c, p));
      if (tn_kappa_norm(c, y) <= 1) cr_assert(dot(off, off) <= 1e-24, "%s", kappas[k].keys);
      for (uint64_t other = 0; other < 20; other++) {
        tn_tensor *z = tn_kappa_gradient(c, tn_add(off, tn_scale(random_matrix(5000 + other), 0.01)));
        if (strstr(kappas[k].keys, "quadratic")) break;
        const double size = 1e-8 * (1 + sqrt(dot(off, off)) * sqrt(dot(z, z)));
        cr_assert(dot(off, tn_sub(z, p)) <= size, "%s: %g", kappas[k].keys, dot(off, tn_sub(z, p)));
      }
      tn_tensor *gauges = tn_kappa_constraints(c, y);
      if (tn_kappa_norm(c, y) > 0)
        EXPECT_NEAR(tn_item(tn_sdk.tensor->reduce(TN_REDUCE_MAX, gauges, TN_ALL_AXES, false)) /
                        tn_kappa_norm(c, y),
                    1, 1e-12);
      tn_scope_close();
    }
    cr_assert(strcmp(harness_failure(), "") == 0);
  }
}

/* K and its gradient do not depend on the precision beyond rounding. */
Test(kappas, float32_agrees) {
  for (size_t k = 0; k < KAPPAS; k++) {
    double values[2], slopes[2][N];
    for (int p = 0; p < 2; p++) {
      const tn_component *c = open_kappa(p ? "float64" : "float32", k);
      tn_tensor *m = random_matrix(3);
      if (p) m = tn_cast(tn_cast(m, TN_F32), TN_F64);
      tn_tensor *slope = tn_kappa_gradient(c, m);
      values[p] = tn_kappa_value(c, m);
      cr_assert(slope->dtype == m->dtype);
      for (int i = 0; i < N; i++) slopes[p][i] = harness_at(slope, i);
    }
    EXPECT_NEAR(values[0], values[1], 1e-5 * (1 + fabs(values[1])));
    for (int i = 0; i < N; i++) EXPECT_NEAR(slopes[0][i], slopes[1][i], 2e-5 * (1 + fabs(slopes[1][i])));
  }
}

static double singular_value(tn_tensor *x, int64_t i) {
  tn_tensor *u, *s, *vt;
  cr_assert(tn_svd(x, &u, &s, &vt) >= 0);
  return tn_f64(s)[i];
}
Test(kappas, spectral_updates_have_singular_values_one) {
  harness_open("float64",
               "[k]\nuse = kappa.spectral\n[n]\nuse = kappa.spectral\nmethod = newton_schulz\n[l2]\nuse = "
               "kappa.l2\n");
  const tn_component *k = harness_component("k"), *n = harness_component("n"), *l2 = harness_component("l2");
  for (uint64_t turn = 0; turn < 50; turn++) {
    tn_tensor *m = random_matrix(turn), *tall = tn_reshape(m, TN_SHAPE(8, 3)),
              *row = tn_reshape(m, TN_SHAPE(1, N));
    for (int64_t i = 0; i < 4; i++) {
      EXPECT_NEAR(singular_value(tn_kappa_gradient(k, m), i), 1, 1e-12);
      if (i < 3) EXPECT_NEAR(singular_value(tn_kappa_gradient(k, tall), i), 1, 1e-12);
      EXPECT_NEAR(singular_value(tn_kappa_gradient(n, m), i), 0.95, 0.35);
    }
    tn_tensor *flat = tn_reshape(m, TN_SHAPE(N));
    for (int i = 0; i < N; i++) {
      EXPECT_NEAR(harness_at(tn_kappa_gradient(k, row), i), harness_at(tn_kappa_gradient(l2, row), i), 1e-12);
      EXPECT_NEAR(harness_at(tn_kappa_gradient(k, flat), i), harness_at(tn_kappa_gradient(l2, flat), i),
                  1e-12);
    }
    EXPECT_NEAR(tn_kappa_value(k, row) / tn_kappa_value(l2, row), 1, 1e-12);
    EXPECT_NEAR(tn_kappa_norm(k, row) / tn_kappa_norm(l2, row), 1, 1e-12);
  }
  /* of rank one: a single singular value 1 */
  tn_tensor *outer = tn_outer(tn_slice(tn_reshape(random_matrix(1), TN_SHAPE(N)), 0, 0, 4),
                              tn_slice(tn_reshape(random_matrix(2), TN_SHAPE(N)), 0, 0, 6));
  EXPECT_NEAR(singular_value(tn_kappa_gradient(k, outer), 0), 1, 1e-12);
  EXPECT_NEAR(singular_value(tn_kappa_gradient(k, outer), 1), 0, 1e-12);
}

Test(kappas, topk_takes_exactly_k) {
  harness_open("float64", "[k]\nuse = kappa.topk\nk = 3\n");
  const double numbers[] = {2, -2, 1, 2, 0, 2};
  tn_tensor *slope = tn_kappa_gradient(harness_component("k"), harness_tensor(TN_SHAPE(6), numbers));
  const double wanted[] = {1, -1, 0, 1, 0, 0};
  for (int i = 0; i < 6; i++) cr_assert(harness_at(slope, i) == wanted[i]);
  EXPECT_NEAR(tn_kappa_value(harness_component("k"), harness_tensor(TN_SHAPE(6), numbers)), 6, 0);
}
