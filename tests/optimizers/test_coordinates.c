// SPDX-License-Identifier: MIT
/* Optimizers that treat every number by itself, against their formulas written again in float64. */
#include "fixture.h"

TestSuite(coordinates, .fini = harness_close);

/* One step of a coordinate: w, gradient, rate, decay (0 where there is none), three state numbers. */
typedef void (*formula)(double *w, double g, double lr, double decay, int64_t t, double *state);

static void adagrad(double *w, double g, double lr, double decay, int64_t t, double *s) {
  g += decay * *w;
  s[0] += g * g;
  *w -= lr / (1 + (double)(t - 1) * 0.1) * g / (sqrt(s[0] + 0.25) + 1e-10);
}
static void rmsprop(double *w, double g, double lr, double decay, int64_t t, double *s) {
  (void)t;
  g += decay * *w;
  s[0] = 0.99 * s[0] + 0.01 * g * g;
  *w -= lr * g / (sqrt(s[0]) + 1e-8);
}
static void rmsprop_inside(double *w, double g, double lr, double decay, int64_t t, double *s) {
  (void)t;
  g += decay * *w;
  s[0] = 0.9 * s[0] + 0.1 * g * g;
  s[1] = 0.5 * s[1] + g / sqrt(s[0] + 0.01);
  *w -= lr * s[1];
}
static void rmsprop_centred(double *w, double g, double lr, double decay, int64_t t, double *s) {
  (void)t;
  g += decay * *w;
  s[0] = 0.9 * s[0] + 0.1 * g * g;
  s[1] = 0.9 * s[1] + 0.1 * g;
  s[2] = 0.8 * s[2] + g / (sqrt(s[0] - s[1] * s[1]) + 1e-8);
  *w -= lr * s[2];
}
static double mu(int64_t t) { return 0.9 * (1 - 0.5 * pow(0.96, 0.004 * (double)t)); }
static void nadam(double *w, double g, double lr, double decay, int64_t t, double *s) {
  g += decay * *w;
  double product = 1;
  for (int64_t i = 1; i <= t; i++) product *= mu(i);
  s[0] = mu(t) * s[0] + (1 - mu(t)) * g;
  s[1] = 0.999 * s[1] + 0.001 * g * g;
  const double h = mu(t + 1) * s[0] / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product);
  *w -= lr * h / (sqrt(s[1] / (1 - pow(0.999, (double)t))) + 1e-8);
}

static const struct {
  const char *keys;
  formula step;
  double lr, decay;
} cases[] = {
    {"use = optimizer.adagrad\nlr = 0.1\nlr_decay = 0.1\ninitial = 0.25\nweight_decay = 0.02\n", adagrad, 0.1,
     0.02},
    {"use = optimizer.rmsprop\nlr = 0.02\nweight_decay = 0.02\n", rmsprop, 0.02, 0.02},
    {"use = optimizer.rmsprop\nlr = 0.02\nbeta2 = 0.9\nepsilon = 0.01\nepsilon_inside = yes\n"
     "momentum = 0.5\n",
     rmsprop_inside, 0.02, 0},
    {"use = optimizer.rmsprop\nlr = 0.02\nbeta2 = 0.9\nmomentum = 0.8\ncentred = yes\nweight_decay = 0.1\n",
     rmsprop_centred, 0.02, 0.1},
    {"use = optimizer.nadam\nlr = 0.02\nweight_decay = 0.02\n", nadam, 0.02, 0.02},
};

static void compare(const char *precision, double tolerance) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    char text[256];
    snprintf(text, sizeof text, "[o]\n%s", cases[k].keys);
    harness_open(precision, text);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_params(), *g = tn_params_like(w);
    double wanted[ALL], state[ALL][3] = {{0}};
    for (int64_t i = 0; i < ALL; i++) wanted[i] = fixture_get(w, i);
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 6; t++) {
      const double schedule = 1 / (double)t;
      for (int64_t i = 0; i < ALL; i++) fixture_set(g, i, fixture_slope(wanted[i], i, t));
      fixture_update(o, w, g, schedule, t);
      for (int64_t i = 0; i < ALL; i++)
        cases[k].step(&wanted[i], fixture_slope(wanted[i], i, t), cases[k].lr * schedule,
                      fixture_decays(i) ? cases[k].decay : 0, t, state[i]);
    }
    for (int64_t i = 0; i < ALL; i++)
      cr_assert(fabs(fixture_get(w, i) - wanted[i]) <= tolerance,
                "case %zu, coordinate %d: expected %.17g, got %.17g", k, (int)i, wanted[i],
                fixture_get(w, i));
    EXPECT_NEAR(tn_optimizer_learning_rate(o, 0.5), cases[k].lr / 2, 1e-15);
    tn_params_release(w);
    tn_params_release(g);
  }
}
Test(coordinates, follow_their_formulas_in_float64) { compare("float64", 1e-12); }
Test(coordinates, follow_their_formulas_in_float32) { compare("float32", 2e-5); }

/* What the first step must be, whatever the size of the gradient. */
static double first_step(const char *keys, double g) {
  harness_open("float64", keys);
  const tn_component *o = harness_component("o");
  tn_params *w = fixture_matrix(1, 1), *gradient = tn_params_like(w);
  fixture_begin(o, w);
  fixture_set(gradient, 0, g);
  fixture_update(o, w, gradient, 1, 1);
  const double moved = fixture_get(w, 0);
  tn_params_release(w);
  tn_params_release(gradient);
  return moved;
}
Test(coordinates, first_steps_in_closed_form) {
  /* s = g^2: lr sign(g) */
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.adagrad\nlr = 0.1\nepsilon = 0\n", 3), -0.1, 1e-15);
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.adagrad\nlr = 0.1\nepsilon = 0\n", -1e-3), 0.1, 1e-15);
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.adagrad\nlr = 0.1\nepsilon = 0\n", 0), 0, 0);
  /* v = (1 - beta2) g^2: lr sign(g) / sqrt(0.01) */
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.rmsprop\nlr = 0.1\nepsilon = 0\n", 5), -1, 1e-14);
  /* centred: v - a^2 = (0.01 - 0.0001) g^2 */
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.rmsprop\nlr = 0.1\nepsilon = 0\ncentred = yes\n", 5),
              -0.1 / sqrt(0.0099), 1e-13);
  /* m = (1 - mu_1) g, so h = g (1 - mu_1) (mu_2 / (1 - mu_1 mu_2) + 1 / (1 - mu_1)); v / (1 - beta2) = g^2 */
  EXPECT_NEAR(first_step("[o]\nuse = optimizer.nadam\nlr = 0.1\nepsilon = 0\n", -2),
              0.1 * (1 + mu(2) * (1 - mu(1)) / (1 - mu(1) * mu(2))), 1e-14);
}

/* Constants from compare_torch.py: PyTorch 1.13 on the same five coordinates (sin(i), i = 0 .. 4). */
static const struct {
  const char *keys;
  double wanted[5];
} oracles[] = {
    {"use = optimizer.adagrad\nlr = 0.1\n",
     {0.078351714929833255, 0.58074066127352109, 0.61179094540748036, 0.11683969225144886,
      -0.49868219074505715}},
    {"use = optimizer.adagrad\nlr = 0.1\nlr_decay = 0.05\ninitial = 0.1\nweight_decay = 0.02\n",
     {0.061355860026572943, 0.60332314068827952, 0.64102815787851741, 0.10791890521130862,
      -0.51859260841177401}},
    {"use = optimizer.rmsprop\nlr = 0.02\n",
     {0.25136463094927092, 0.3829439348936412, 0.3728956930271069, 0.081368077093928889,
      -0.29606833945205541}},
    {"use = optimizer.rmsprop\nlr = 0.02\nbeta2 = 0.9\nmomentum = 0.8\ncentred = yes\nepsilon = "
     "1e-6\nweight_decay = 0.02\n",
     {-0.068485546923600704, 0.35589080893893693, 0.36699127834294692, 0.1571065376804634,
      -0.27673738728820768}},
    {"use = optimizer.nadam\nlr = 0.02\nscheduled = no\n",
     {0.0096273135347980481, 0.76938350293239433, 0.82944858568751201, 0.13520830406343018,
      -0.68607666236947784}},
    {"use = optimizer.nadam\nlr = 0.02\nbeta1 = 0.8\nbeta2 = 0.95\nmomentum_decay = 0.05\nscheduled = "
     "no\nweight_decay = 0.02\n",
     {0.012078696189413322, 0.7602184640265901, 0.81994688363839086, 0.13260260095263185,
      -0.67710523412292478}},
};
Test(coordinates, agree_with_pytorch) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(oracles); k++) {
    char text[256];
    snprintf(text, sizeof text, "[o]\n%s", oracles[k].keys);
    harness_open("float64", text);
    const tn_component *o = harness_component("o");
    tn_params *w = fixture_matrix(1, 5), *g = tn_params_like(w);
    for (int64_t i = 0; i < 5; i++) fixture_set(w, i, sin((double)i));
    fixture_begin(o, w);
    for (int64_t t = 1; t <= 5; t++) {
      fixture_gradient(w, g, t);
      fixture_update(o, w, g, 1, t);
    }
    for (int64_t i = 0; i < 5; i++)
      cr_assert(fabs(fixture_get(w, i) - oracles[k].wanted[i]) < 1e-13,
                "%s coordinate %d: expected %.17g, got %.17g", oracles[k].keys, (int)i, oracles[k].wanted[i],
                fixture_get(w, i));
    tn_params_release(w);
    tn_params_release(g);
  }
}
