// SPDX-License-Identifier: MIT
/* Refined learning-rate schedules: filter, closed form, bound, what is read and what is refused. */
#include "harness.h"
#include "plugins/schedules/refinement.h"
#include <stdio.h>
#include <string.h>
#include <tenon/metric.h>
#include <tenon/observer.h>
#include <tenon/schedule.h>
#include <unistd.h>

static void start(void) { harness_open("float64", "[c]\nuse = schedule.constant\n"); }
TestSuite(refinement, .init = start, .fini = harness_close, .timeout = 120);

static double at(const tn_component *schedule, int64_t step, int64_t steps) {
  const tn_progress progress = {.size = sizeof progress, .step = step, .steps = steps};
  return tn_schedule_factor(schedule, &progress);
}

/* ---- the closed form ---- */

Test(refinement, constant_norms_give_linear_decay) {
  enum { T = 1000 };
  double norms[T], factors[T];
  for (int power = 1; power <= 2; power++) {
    for (int t = 0; t < T; t++) norms[t] = 7.3;
    refinement_closed_form(norms, T, power, 7.3, factors);
    for (int t = 0; t < T; t++) EXPECT_NEAR(factors[t], (double)(T - 1 - t) / (T - 1), 1e-12);
  }
}

Test(refinement, norms_in_other_units_give_the_same_factors) {
  enum { T = 100 };
  double norms[T], scaled[T], smooth[T], factors[T], others[T];
  for (int method = 0; method < 2; method++) {
    for (int t = 0; t < T; t++) {
      norms[t] = 2 + sin(0.15 * t) + 0.3 * sin(7. * t);
      scaled[t] = ldexp(norms[t], 20);
    }
    double *const from[] = {norms, scaled}, *const to[] = {factors, others};
    for (int k = 0; k < 2; k++) {
      const double unit = refinement_median(from[k], T);
      cr_assert(refinement_smooth(from[k], T, 0.1, smooth) >= 0);
      if (method == 0)
        refinement_closed_form(smooth, T, 2, unit, to[k]);
      else
        cr_assert(refinement_numeric(smooth, T, unit, to[k]) >= 0, "%s", harness_failure());
    }
    for (int t = 0; t < T; t++) EXPECT_NEAR(others[t], factors[t], 1e-12);
  }
}

/* G = 1, then 2: w = 1, then 1/4. The last of T has nothing behind it. */
Test(refinement, doubled_norms_by_hand) {
  enum { T = 200, HALF = T / 2 };
  double norms[T], factors[T];
  for (int t = 0; t < T; t++) norms[t] = t < HALF ? 1 : 2;
  refinement_closed_form(norms, T, 2, 1, factors);
  EXPECT_NEAR(factors[0] / factors[HALF], (HALF - 1 + HALF / 4.) / (HALF / 4. - 0.25) * 4, 1e-10);
  EXPECT_NEAR(factors[0] / factors[HALF], (T / 2. - 1 + T / 8.) / (0.25 * 0.25 * (T / 2. - 1)), 1e-10);
  EXPECT_NEAR(factors[T - 1], 0, 0);
  /* power 1: w = 1, then 1/2 */
  refinement_closed_form(norms, T, 1, 1, factors);
  EXPECT_NEAR(factors[0] / factors[HALF], (HALF - 1 + HALF / 2.) / (0.25 * (HALF - 1)), 1e-10);
}

/* ---- the filter ---- */

Test(refinement, median_filter_keeps_constants_and_drops_spikes) {
  enum { T = 101 };
  double norms[T], smooth[T];
  for (int t = 0; t < T; t++) norms[t] = 3;
  for (double tau = 0; tau <= 1; tau += 0.1) {
    cr_assert(refinement_smooth(norms, T, tau, smooth) >= 0);
    for (int t = 0; t < T; t++) EXPECT_NEAR(smooth[t], 3, 0);
  }
  /* tau T = 3: width 3. The last but one is its own mirror image behind the end, and the first
   * stands for all in front of it. */
  for (int spike = 0; spike < T; spike++) {
    if (spike == T - 2 || spike == 0) continue;
    norms[spike] = 1e30;
    refinement_smooth(norms, T, 3.01 / T, smooth);
    for (int t = 0; t < T; t++) EXPECT_NEAR(smooth[t], 3, 0);
    refinement_smooth(norms, T, 0, smooth); /* no filter */
    EXPECT_NEAR(smooth[spike], 1e30, 0);
    norms[spike] = 3;
  }
}

/* Width 5 over 1 .. 7 and a step at the end: nearest on the left (1 1 1 2 3), reflected on the right (5 6 7 6
 * 5). */
Test(refinement, median_filter_at_the_ends) {
  const double norms[] = {1, 2, 3, 4, 5, 6, 7};
  double smooth[7];
  refinement_smooth(norms, 7, 4.01 / 7, smooth);
  EXPECT_NEAR(smooth[0], 1, 0);
  EXPECT_NEAR(smooth[1], 2, 0);
  EXPECT_NEAR(smooth[3], 4, 0);
  EXPECT_NEAR(smooth[5], 6, 0); /* 4 5 6 7 6 */
  EXPECT_NEAR(smooth[6], 6, 0); /* 5 6 7 6 5 */
  /* against sorting each window */
  enum { T = 400 };
  double many[T], window[T], fast[T];
  for (int t = 0; t < T; t++) many[t] = floor(10 * sin(13. * t)); /* with ties */
  refinement_smooth(many, T, 0.1, fast);
  for (int t = 0; t < T; t++) {
    for (int i = -20; i <= 20; i++) {
      const int k = t + i < 0 ? 0 : t + i >= T ? 2 * (T - 1) - t - i : t + i;
      window[i + 20] = many[k];
    }
    EXPECT_NEAR(fast[t], refinement_median(window, 41), 0);
  }
}

Test(refinement, what_cannot_be_used_is_left_out) {
  const double recorded[] = {9, 1, NAN, 2, INFINITY, 0, 3, 8, 8};
  double norms[9];
  cr_assert(refinement_usable(recorded, 9, false, norms) == 6);
  cr_assert(refinement_usable(recorded, 9, true, norms) == 3);
  EXPECT_NEAR(norms[0], 1, 0);
  EXPECT_NEAR(norms[2], 3, 0);
}

/* ---- the bound ---- */

enum { STEPS = 1000 };
static double scratch[2 * STEPS + 2];
static double best_bound_of(const double *rates, const double *norms, int64_t steps) {
  return last_iterate_best(last_iterate_bound(rates, norms, steps, 1, scratch), NULL) * sqrt((double)steps);
}
static double best_bound(const double *rates, const double *norms) {
  return best_bound_of(rates, norms, STEPS);
}

/* 2.006 for linear decay is 2.008 where base rates come from a grid. */
Test(refinement, theory_ranks_the_schedules) {
  double ones[STEPS], linear[STEPS], cosine[STEPS], root[STEPS];
  for (int t = 1; t <= STEPS; t++) {
    ones[t - 1] = 1;
    linear[t - 1] = 1 - t / (STEPS + 1.);
    cosine[t - 1] = 0.5 * (1 + cos(acos(-1) * (t - 1) / STEPS));
    root[t - 1] = 1 / sqrt(t);
  }
  EXPECT_NEAR(best_bound(linear, ones), 2.008, 3e-3);
  EXPECT_NEAR(best_bound(cosine, ones), 2.064, 3e-3);
  EXPECT_NEAR(best_bound(root, ones), 2.572, 3e-3);
  EXPECT_NEAR(best_bound(ones, ones), 2.913, 3e-3);
}

static void falling(double *norms) {
  for (int t = 1; t <= STEPS; t++) norms[t - 1] = 1 + 9 * exp(-t / 50.);
}

Test(refinement, refined_and_numeric_schedules_lower_the_bound) {
  double norms[STEPS + 1], linear[STEPS], closed[STEPS + 1], numeric[STEPS];
  falling(norms);
  norms[STEPS] = norms[STEPS - 1]; /* one more, whose factor is 0 */
  for (int t = 1; t <= STEPS; t++) linear[t - 1] = 1 - t / (STEPS + 1.);
  refinement_closed_form(norms, STEPS + 1, 2, 1, closed);
  cr_assert(refinement_numeric(norms, STEPS, 1, numeric) >= 0, "%s", harness_failure());
  const double of_linear = best_bound(linear, norms), of_closed = best_bound(closed, norms),
               of_numeric = best_bound(numeric, norms);
  EXPECT_NEAR(of_linear, 3.94, 5e-3);
  EXPECT_NEAR(of_closed, 2.19, 5e-3);
  cr_assert(of_numeric < of_closed - 1e-3 && of_numeric < of_linear, "%g, %g, %g", of_numeric, of_closed,
            of_linear);
  /* theorem 1: sqrt(T) / sqrt(sum G^-2) and sqrt(sum G^2 / T) */
  double weights[STEPS], inverse = 0, square = 0;
  for (int t = 0; t < STEPS; t++) {
    weights[t] = 1 / (norms[t] * norms[t]);
    inverse += weights[t];
    square += norms[t] * norms[t];
  }
  EXPECT_NEAR(weighted_bound(weights, norms, STEPS, 3), 3 / sqrt(inverse), 1e-12);
  EXPECT_NEAR(weighted_bound(NULL, norms, STEPS, 3), 3 * sqrt(square) / STEPS, 1e-12);
}

/* The optimum of the bound is at least as good as both also where norms rise, and for constant ones. */
Test(refinement, numeric_schedule_is_the_best_for_other_norms) {
  enum { FEW = 100 };
  double norms[FEW], linear[FEW], numeric[FEW];
  for (int kind = 0; kind < 2; kind++) {
    for (int t = 1; t <= FEW; t++) {
      norms[t - 1] = kind == 0 ? 1 : 1 + 3. * t / FEW;
      linear[t - 1] = 1 - t / (FEW + 1.);
    }
    cr_assert(refinement_numeric(norms, FEW, 1, numeric) >= 0, "%s", harness_failure());
    const double least = best_bound_of(numeric, norms, FEW);
    cr_assert(least < best_bound_of(linear, norms, FEW), "%g", least);
  }
}

Test(refinement, derivative_of_the_bound) {
  double norms[STEPS], rates[STEPS], gradient[STEPS];
  falling(norms);
  for (int t = 0; t < STEPS; t++) rates[t] = 0.03 * (1.1 + sin(0.9 * t)) * (1 - t / (STEPS + 1.));
  const double value = last_iterate_gradient(rates, norms, STEPS, 1.7, scratch, gradient);
  const struct last_iterate_bound bound = last_iterate_bound(rates, norms, STEPS, 1.7, scratch);
  EXPECT_NEAR(value, bound.distance + bound.noise, 1e-12);
  for (int t = 0; t < STEPS; t += 37) {
    const double h = 1e-5 * rates[t], kept = rates[t];
    double side[2];
    for (int k = 0; k < 2; k++) {
      rates[t] = kept + (k == 0 ? h : -h);
      const struct last_iterate_bound b = last_iterate_bound(rates, norms, STEPS, 1.7, scratch);
      side[k] = b.distance + b.noise;
    }
    rates[t] = kept;
    EXPECT_NEAR(gradient[t], (side[0] - side[1]) / (2 * h), 1e-5 * (1 + fabs(gradient[t])));
  }
}

/* ---- the schedule ---- */

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

Test(refinement, reads_norms_from_files) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/tmp/tenon-norms-%d", (int)getpid());
  /* w = 1, 1/4, 1/4, 1: w_t (w_{t+1} + ...) = 1.5, 5/16, 1/4, 0 */
  write_text(path, "# of a run\n1 2\n2\n1\n");
  snprintf(text, sizeof text, "[r]\nuse = schedule.refined\nfile = %s\nsmoothing = 0\n", path);
  harness_open("float64", text);
  const tn_component *r = harness_component("r");
  const double wanted[] = {1, 0.3125 / 1.5, 0.25 / 1.5, 0};
  for (int t = 0; t < 4; t++) EXPECT_NEAR(at(r, t, 4), wanted[t], 1e-15);
  for (int t = 0; t < 4; t++) EXPECT_NEAR(at(r, 2 * t, 7), wanted[t], 1e-15); /* over more steps */
  EXPECT_NEAR(at(r, 1, 7), (wanted[0] + wanted[1]) / 2, 1e-15);
  EXPECT_NEAR(at(r, 100, 7), 0, 0);
  /* a table, of which power 1 reads column l1 and power 2 column l2 */
  write_text(path, "step,l2,l1\n1,1,4\n2,2,2\n3,1,4\n");
  snprintf(text, sizeof text,
           "[two]\nuse = schedule.refined\nfile = %s\nsmoothing = 0\n[one]\nbase = two\npower = 1\n", path);
  harness_open("float64", text);
  EXPECT_NEAR(at(harness_component("two"), 1, 3), 0.25 * 1 / (1.25 * 1), 1e-15);
  /* w = 1/4, 1/2, 1/4 */
  EXPECT_NEAR(at(harness_component("one"), 0, 3), 1, 1e-15);
  EXPECT_NEAR(at(harness_component("one"), 1, 3), 0.5 * 0.25 / (0.25 * 0.75), 1e-15);
  write_text(path, "step,length\n1,1\n");
  EXPECT_CONTAINS(harness_refusal("float64", text), "no column 'l2'");
  write_text(path, "1\ntwo\n");
  EXPECT_CONTAINS(harness_refusal("float64", text), ":2: a norm is a number, got 'two'");
  unlink(path);
}

Test(refinement, refuses_what_records_no_norms) {
  EXPECT_CONTAINS(harness_refusal("float64", "[r]\nuse = schedule.refined\nnorms = observer.progress\n"),
                  "records no norms");
  EXPECT_CONTAINS(harness_refusal("float64", "[r]\nuse = schedule.refined\nnorms = observer.gradient_norms\n"
                                             "file = /x\n"),
                  "not both");
  EXPECT_CONTAINS(harness_refusal("float64", "[r]\nuse = schedule.refined\nfile = /nowhere\n"), "/nowhere");
}

/* Shows an observer a gradient of one number. */
static void show(const tn_component *observer, double value, int64_t step, int64_t steps) {
  tn_params *w = harness_params(2, (const tn_group[]){TN_DECAY, TN_NO_DECAY}, (const int64_t[]){1, 1}),
            *g = tn_params_like(w);
  tn_f64(tn_param_tensor(g, 0))[0] = -0.6 * value;
  tn_f64(tn_param_tensor(g, 1))[0] = 0.8 * value;
  const tn_observation seen = {.size = sizeof seen,
                               .params = w,
                               .gradient = g,
                               .progress = {.size = sizeof seen.progress, .step = step, .steps = steps}};
  cr_assert(tn_observer_observe(observer, &seen) >= 0, "%s", harness_failure());
  tn_params_release(w);
  tn_params_release(g);
}

static const char observed[] = "[n]\nuse = observer.gradient_norms\n"
                               "[half]\nuse = schedule.constant\nfactor = 0.5\n"
                               "[r]\nuse = schedule.refined\nnorms = n\nsmoothing = 0\nfallback = half\n"
                               "[one]\nbase = r\npower = 1\n";

Test(refinement, follows_an_observer) {
  harness_open("float64", observed);
  const tn_component *n = harness_component("n"), *r = harness_component("r");
  EXPECT_NEAR(at(r, 0, 3), 0.5, 0); /* nothing yet */
  const double norms[] = {1, 2, 1};
  for (int t = 0; t < 3; t++) show(n, norms[t], t, 3);
  EXPECT_NEAR(at(r, 1, 3), 0.5, 0); /* it looks when a run begins */
  EXPECT_NEAR(at(r, 0, 3), 1, 1e-15);
  EXPECT_NEAR(at(r, 1, 3), 0.25 / 1.25, 1e-15);
  EXPECT_NEAR(at(r, 2, 3), 0, 0);
  /* L1: 1.4 times as long everywhere; w = 1, 1/2, 1 */
  at(harness_component("one"), 0, 3);
  EXPECT_NEAR(at(harness_component("one"), 1, 3), 0.5 / 1.5, 1e-15);
  /* the next run begins a new record; the factors survive in the state */
  harness_state *state = harness_save(r);
  show(n, 5, 0, 3);
  EXPECT_NEAR(at(r, 1, 3), 0.25 / 1.25, 1e-15);
  harness_open("float64", observed);
  harness_load(harness_component("r"), state);
  EXPECT_NEAR(at(harness_component("r"), 1, 3), 0.25 / 1.25, 1e-15);
  harness_forget(state);
}

Test(refinement, falls_back_where_norms_vanish) {
  harness_open("float64", observed);
  const tn_component *n = harness_component("n"), *r = harness_component("r");
  for (int t = 0; t < 100; t++) show(n, t < 85 ? 1 : 0.09, t, 100);
  EXPECT_NEAR(at(r, 0, 100), 0.5, 0);
  EXPECT_NEAR(at(r, 50, 100), 0.5, 0);
  for (int t = 0; t < 100; t++) show(n, t < 85 ? 1 : 0.11, t, 100); /* just not */
  at(r, 0, 100);
  cr_assert(at(r, 90, 100) > 0.5 && at(r, 50, 100) < 0.5);
}

/* What metric.schedule_bound says. */
Test(refinement, bound_as_a_metric) {
  harness_open("float64", "[l]\nuse = schedule.linear\n[n]\nuse = observer.gradient_norms\n"
                          "[b]\nuse = metric.schedule_bound\nschedule = l\nsteps = 1000\n"
                          "[fixed]\nuse = metric.schedule_bound\nschedule = l\nrate = 0.05\nname = f\n"
                          "distance = 2\n[seen]\nuse = metric.schedule_bound\nschedule = l\nnorms = n\n");
  for (int t = 0; t < 10; t++) show(harness_component("n"), t < 5 ? 1 : 2, t, 10);
  double rates[STEPS], ones[STEPS];
  for (int t = 0; t < STEPS; t++) rates[t] = 1 - (double)t / STEPS, ones[t] = 1;
  double rate;
  const struct last_iterate_bound bound = last_iterate_bound(rates, ones, STEPS, 1, scratch);
  const double least = last_iterate_best(bound, &rate);
  EXPECT_NEAR(harness_figure(harness_component("b"), "bound"), least, 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("b"), "bound_rate"), rate, 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("b"), "bound_linear"), 1 / sqrt(STEPS), 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("fixed"), "f"), 4 * bound.distance / 0.05 + 0.05 * bound.noise,
              1e-12);
  EXPECT_NEAR(harness_figure(harness_component("seen"), "bound_linear"), sqrt(25.) / 10, 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("seen"), "bound_refined"), 1 / sqrt(6.25), 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("seen"), "bound_tail"), 2 / 1.5, 1e-12);
}
