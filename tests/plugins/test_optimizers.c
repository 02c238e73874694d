// SPDX-License-Identifier: MIT
#include "harness.h"
#include <tenon/optimizer.h>

enum { DECAYED = 37, FREE = 5, ALL = DECAYED + FREE };

TestSuite(optimizers, .fini = harness_close);

static tn_params *two_groups(void) {
  return harness_params(2, (const tn_group[]){TN_DECAY, TN_NO_DECAY}, (const int64_t[]){DECAYED, FREE});
}
static double get(const tn_params *params, int64_t i) {
  return i < DECAYED ? harness_at(tn_param_tensor(params, 0), i)
                     : harness_at(tn_param_tensor(params, 1), i - DECAYED);
}
static void put(const tn_params *params, int64_t i, double value) {
  tn_tensor *x = tn_param_tensor(params, i < DECAYED ? 0 : 1);
  const int64_t at = i < DECAYED ? i : i - DECAYED;
  if (x->dtype == TN_F64)
    tn_f64(x)[at] = value;
  else
    tn_f32(x)[at] = (float)value;
}
static void update(const tn_component *c, tn_params *params, tn_params *gradient, double schedule,
                   int64_t t) {
  const tn_optimizer_step step = {
      .size = sizeof step, .params = params, .gradient = gradient, .schedule = schedule, .step = t};
  cr_assert(tn_optimizer_update(c, &step) >= 0, "%s", harness_failure());
}

/* Paper's update with w = 1, m = 0.5, g = -1, beta = (0.9, 0.99), lr = 0.1, lambda = 0.1:
 * c = 0.9 * 0.5 - 0.1 = 0.35, w = 1 - 0.1 (1 + 0.1) = 0.89, m = 0.99 * 0.5 - 0.01 = 0.485.
 * The momentum is brought to 0.5 by a first step with g = 50, and read off by a last one: with g = -48.015
 * m becomes exactly 0.99 * 0.485 - 0.48015 = 0 only if it was 0.485. */
Test(optimizers, lion_by_hand) {
  harness_open("float64",
               "[o]\nuse = optimizer.lion\nlr = 0.1\nbeta1 = 0.9\nbeta2 = 0.99\nweight_decay = 0.1\n");
  const tn_component *lion = harness_component("o");
  tn_params *w = two_groups(), *g = tn_params_like(w);
  cr_assert(tn_optimizer_begin(lion, w) >= 0);
  tn_params_fill(g, 50);
  update(lion, w, g, 1, 1);
  tn_params_fill(w, 1);
  tn_params_fill(g, -1);
  update(lion, w, g, 1, 2);
  EXPECT_NEAR(get(w, 0), 0.89, 1e-15);
  EXPECT_NEAR(get(w, DECAYED), 0.9, 1e-15); /* no decay on biases */
  /* c = 0.9 m + 0.1 g changes its sign at g = -9 m = -4.365 */
  tn_params_fill(w, 0);
  for (int64_t i = 0; i < ALL; i++) put(g, i, i % 2 ? -4.365 - 1e-9 : -4.365 + 1e-9);
  update(lion, w, g, 1, 3);
  EXPECT_NEAR(get(w, 0), -0.1, 1e-15);
  EXPECT_NEAR(get(w, 1), 0.1, 1e-15);
  EXPECT_NEAR(tn_optimizer_learning_rate(lion, 0.5), 0.05, 1e-15);
  tn_params_release(w);
  tn_params_release(g);
}

/* A reference written from the paper in float64: w, g, t, decay (0 for the undecayed group) and two state
 * numbers a coordinate. */
typedef void (*reference)(double *w, double g, double lr, double decay, int64_t t, double *a, double *b);

static void adam_reference(double *w, double g, double lr, double decay, int64_t t, double *m, double *v) {
  g += decay * *w;
  *m = 0.9 * *m + 0.1 * g;
  *v = 0.999 * *v + 0.001 * g * g;
  *w -= lr * (*m / (1 - pow(0.9, (double)t))) / (sqrt(*v / (1 - pow(0.999, (double)t))) + 1e-8);
}
static void adamw_reference(double *w, double g, double lr, double decay, int64_t t, double *m, double *v) {
  const double before = *w;
  adam_reference(w, g, lr, 0, t, m, v);
  *w -= lr * decay * before;
}
static void sgd_reference(double *w, double g, double lr, double decay, int64_t t, double *v, double *b) {
  (void)t, (void)v, (void)b;
  *w -= lr * (g + decay * *w);
}
static void momentum_reference(double *w, double g, double lr, double decay, int64_t t, double *v,
                               double *b) {
  (void)b;
  g += decay * *w;
  *v = t == 1 ? g : 0.9 * *v + (1 - 0.25) * g;
  *w -= lr * *v;
}
static void nesterov_reference(double *w, double g, double lr, double decay, int64_t t, double *v,
                               double *b) {
  (void)b;
  g += decay * *w;
  *v = t == 1 ? g : 0.9 * *v + g;
  *w -= lr * (g + 0.9 * *v);
}
static void lion_reference(double *w, double g, double lr, double decay, int64_t t, double *m, double *b) {
  (void)t, (void)b;
  const double c = 0.9 * *m + 0.1 * g;
  *w -= lr * ((c > 0 ? 1 : c < 0 ? -1 : 0) + decay * *w);
  *m = 0.99 * *m + 0.01 * g;
}

static const struct {
  const char *keys;
  reference step;
  double lr, decay;
} cases[] = {
    {"use = optimizer.adam\nlr = 0.01\nweight_decay = 0.02\n", adam_reference, 0.01, 0.02},
    {"use = optimizer.adamw\nlr = 0.01\nweight_decay = 0.05\n", adamw_reference, 0.01, 0.05},
    {"use = optimizer.sgd\nlr = 0.1\nweight_decay = 0.02\n", sgd_reference, 0.1, 0.02},
    {"use = optimizer.sgd\nlr = 0.1\nmomentum = 0.9\ndampening = 0.25\nweight_decay = 0.02\n",
     momentum_reference, 0.1, 0.02},
    {"use = optimizer.sgd\nlr = 0.1\nmomentum = 0.9\nnesterov = yes\n", nesterov_reference, 0.1, 0},
    {"use = optimizer.lion\nlr = 0.01\nweight_decay = 0.3\n", lion_reference, 0.01, 0.3},
};

/* The gradient of a bent bowl, different in every coordinate and step. */
static double slope(double w, int64_t i, int64_t t) {
  return w + 0.3 * sin((double)(i + 1) * (double)t) - 0.1;
}

static void compare(const char *precision, double tolerance) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    char text[256];
    snprintf(text, sizeof text, "[o]\n%s", cases[k].keys);
    harness_open(precision, text);
    const tn_component *c = harness_component("o");
    tn_params *w = two_groups(), *g = tn_params_like(w);
    double wanted[ALL], a[ALL] = {0}, b[ALL] = {0};
    for (int64_t i = 0; i < ALL; i++) put(w, i, wanted[i] = sin((double)i));
    cr_assert(tn_optimizer_begin(c, w) >= 0, "%s", harness_failure());
    for (int64_t t = 1; t <= 6; t++) {
      const double schedule = 1 / (double)t;
      for (int64_t i = 0; i < ALL; i++) put(g, i, slope(wanted[i], i, t));
      update(c, w, g, schedule, t);
      for (int64_t i = 0; i < ALL; i++)
        cases[k].step(&wanted[i], slope(wanted[i], i, t), cases[k].lr * schedule,
                      i < DECAYED ? cases[k].decay : 0, t, &a[i], &b[i]);
    }
    for (int64_t i = 0; i < ALL; i++)
      cr_assert(fabs(get(w, i) - wanted[i]) < tolerance, "case %zu, coordinate %d: expected %.17g, got %.17g",
                k, (int)i, wanted[i], get(w, i));
    tn_params_release(w);
    tn_params_release(g);
  }
}
Test(optimizers, follow_their_papers_in_float64) { compare("float64", 1e-13); }
Test(optimizers, follow_their_papers_in_float32) { compare("float32", 2e-6); }

/* Three steps, saved; two more. Loaded into the same instance and done again: the same bits. */
Test(optimizers, resume_bit_for_bit) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(cases); k++) {
    char text[256];
    snprintf(text, sizeof text, "[o]\n%s[other]\n%s", cases[k].keys, cases[k].keys);
    harness_open("float32", text);
    const tn_component *c = harness_component("o"), *other = harness_component("other");
    tn_params *w = two_groups(), *g = tn_params_like(w), *kept = NULL;
    harness_state *state = NULL;
    for (int64_t i = 0; i < ALL; i++) put(w, i, sin((double)i));
    tn_optimizer_begin(c, w);
    tn_optimizer_begin(other, w);
    for (int64_t t = 1; t <= 5; t++) {
      for (int64_t i = 0; i < ALL; i++) put(g, i, slope(get(w, i), i, t));
      update(c, w, g, 1, t);
      if (t == 3) state = harness_save(c), kept = tn_params_clone(w);
    }
    harness_load(other, state);
    for (int64_t t = 4; t <= 5; t++) {
      for (int64_t i = 0; i < ALL; i++) put(g, i, slope(get(kept, i), i, t));
      update(other, kept, g, 1, t);
    }
    for (int64_t i = 0; i < ALL; i++) EXPECT_REAL(get(kept, i), get(w, i));
    harness_forget(state);
    tn_params_release(w);
    tn_params_release(g);
    tn_params_release(kept);
  }
}

Test(optimizers, begin_again_forgets) {
  harness_open("float64", "[o]\nuse = optimizer.adam\n");
  const tn_component *c = harness_component("o");
  tn_params *w = two_groups(), *g = tn_params_like(w);
  double first = 0;
  for (int round = 0; round < 2; round++) {
    tn_optimizer_begin(c, w);
    tn_params_fill(w, 1);
    for (int64_t t = 1; t <= 3; t++) tn_params_fill(g, (double)t), update(c, w, g, 1, t);
    if (round == 0) first = get(w, 0);
  }
  EXPECT_REAL(get(w, 0), first);
  tn_params_release(w);
  tn_params_release(g);
}

Test(optimizers, refuse_what_cannot_be) {
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.sgd\nnesterov = yes\n"), "momentum");
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.adam\nbeta1 = 1\n"), "beta1");
  EXPECT_CONTAINS(harness_refusal("float32", "[o]\nuse = optimizer.lion\nlr = -1\n"), "lr");
}
