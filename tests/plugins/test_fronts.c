// SPDX-License-Identifier: MIT
/* Metrics of sets of objectives, and preferences: closed forms. */
#include "harness.h"
#include <string.h>
#include <tenon/metric.h>
#include <tenon/environment.h>
#include <tenon/preference.h>
#include <tenon/transform.h>

TestSuite(fronts, .fini = harness_close);

static void give(const char *metric, int64_t n, int64_t objectives, const double *rows) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "objectives", tn_from(TN_F64, TN_SHAPE(n, objectives), rows));
  cr_assert(tn_metric_update(harness_component(metric), fields) >= 0, "%s", harness_failure());
}

Test(fronts, hypervolume_of_three_steps_is_six) {
  harness_open("float64", "[h]\nuse = metric.hypervolume\n[low]\nuse = metric.hypervolume\nreference = -1\n"
                          "[cost]\nuse = metric.hypervolume\nminimise = yes\nreference = 4, 4\n");
  give("h", 5, 2, (const double[]){1, 3, 2, 2, 3, 1, 1, 1, 2, 2});
  EXPECT_NEAR(harness_figure(harness_component("h"), "hypervolume"), 6, 0);
  EXPECT_NEAR(harness_figure(harness_component("h"), "front_size"), 3, 0);
  /* from (-1, -1): squares of the staircase 2 x 4, 1 x 3, 1 x 2 */
  give("low", 3, 2, (const double[]){1, 3, 2, 2, 3, 1});
  EXPECT_NEAR(harness_figure(harness_component("low"), "hypervolume"), 13, 0);
  /* costs below 4: mirrored, (3, 1), (2, 2), (1, 3) */
  give("cost", 3, 2, (const double[]){1, 3, 2, 2, 3, 1});
  EXPECT_NEAR(harness_figure(harness_component("cost"), "hypervolume"), 6, 0);
}

Test(fronts, points_below_the_reference_count_nothing) {
  harness_open("float64", "[h]\nuse = metric.hypervolume\nreference = 1\n");
  give("h", 2, 3, (const double[]){2, 2, 1, 0.5, 9, 9});
  EXPECT_NEAR(harness_figure(harness_component("h"), "hypervolume"), 0, 0);
}

/* The union of boxes by inclusion and exclusion. */
static double union_of_boxes(const double *rows, int n, int objectives) {
  double volume = 0;
  for (int set = 1; set < 1 << n; set++) {
    double box = 1;
    for (int k = 0; k < objectives; k++) {
      double least = INFINITY;
      for (int i = 0; i < n; i++)
        if (set >> i & 1) least = fmin(least, rows[i * objectives + k]);
      box *= least;
    }
    volume += __builtin_popcount((unsigned)set) % 2 ? box : -box;
  }
  return volume;
}

Test(fronts, hypervolume_of_one_to_six_objectives_is_the_union_of_boxes) {
  enum { POINTS = 9 };
  for (int objectives = 1; objectives <= 6; objectives++) {
    double rows[POINTS * 6];
    harness_open("float64", "[h]\nuse = metric.hypervolume\n");
    tn_rng rng = tn_rng_at("fronts", "rows", (uint64_t)objectives);
    for (int i = 0; i < POINTS * objectives; i++)
      rows[i] = 0.1 + (double)tn_random_below(&rng, 12) / 4; /* with ties */
    give("h", POINTS, objectives, rows);
    EXPECT_NEAR(harness_figure(harness_component("h"), "hypervolume"),
                union_of_boxes(rows, POINTS, objectives), 1e-9);
  }
}

Test(fronts, halves_merge_to_the_whole_and_the_best_of_each_group_can_be_asked_for) {
  harness_open("float64", "[a]\nuse = metric.hypervolume\n[b]\nuse = metric.hypervolume\n"
                          "[best]\nuse = metric.hypervolume\nselect = best\n");
  give("a", 2, 2, (const double[]){1, 3, 2, 2});
  give("b", 1, 2, (const double[]){3, 1});
  const tn_component *a = harness_component("a");
  cr_assert(((const tn_metric *)a->vtable)->merge(a->self, harness_component("b")->self) >= 0);
  EXPECT_NEAR(harness_figure(a, "hypervolume"), 6, 0);
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "objectives", tn_from(TN_F64, TN_SHAPE(3, 2), (const double[]){1, 3, 2, 2, 3, 1}));
  tn_fields_set(fields, "utility", tn_from(TN_F64, TN_SHAPE(3), (const double[]){1, 2, 1}));
  tn_fields_set(fields, "group", tn_from(TN_I64, TN_SHAPE(3), (const int64_t[]){7, 7, 4}));
  cr_assert(tn_metric_update(harness_component("best"), fields) >= 0, "%s", harness_failure());
  EXPECT_NEAR(harness_figure(harness_component("best"), "hypervolume"), 5, 0); /* (2, 2) and (3, 1) */
}

Test(fronts, r2_of_the_ideal_point_is_zero_and_of_one_point_is_by_hand) {
  harness_open("float64", "[ideal]\nuse = metric.r2\n[one]\nuse = metric.r2\ndivisions = 2\n");
  give("ideal", 2, 2, (const double[]){1, 1, 0, 0});
  EXPECT_NEAR(harness_figure(harness_component("ideal"), "r2"), 0, 0);
  /* weights (0, 1), (1/2, 1/2), (1, 0); distances from (1, 1) are 0.2 and 0.6 */
  give("one", 1, 2, (const double[]){0.8, 0.4});
  EXPECT_NEAR(harness_figure(harness_component("one"), "r2"), (0.6 + 0.3 + 0.2) / sqrt(2.5), 1e-15);
}

static const char three[] = "[grid]\nuse = environment.hypergrid\nside = 4\nobjectives = branin, currin\n"
                            "[igd]\nuse = metric.igd\nenvironment = grid\n"
                            "[plus]\nuse = metric.igd\nenvironment = grid\nplus = yes\n"
                            "[entropy]\nuse = metric.pareto_entropy\nenvironment = grid\n";
Test(fronts, the_true_front_is_at_distance_zero_and_covers_itself_evenly) {
  harness_open("float64", three);
  const tn_component *grid = harness_component("grid");
  const tn_environment *e = grid->vtable;
  double states[16 * 3], values[16 * 2], front[16 * 2];
  int64_t size = 0;
  for (int i = 0; i < 16; i++) states[3 * i] = i / 4, states[3 * i + 1] = i % 4, states[3 * i + 2] = 1;
  cr_assert(e->reward(grid->self, states, 16, values) >= 0);
  for (int i = 0; i < 16; i++) {
    bool dominated = false;
    for (int j = 0; j < 16; j++)
      dominated =
          dominated || (j != i && values[2 * j] >= values[2 * i] && values[2 * j + 1] >= values[2 * i + 1]);
    if (!dominated) memcpy(front + 2 * size++, values + 2 * i, 2 * sizeof *front);
  }
  cr_assert(size >= 2);
  give("igd", size, 2, front);
  give("plus", size, 2, front);
  give("entropy", size, 2, front);
  EXPECT_NEAR(harness_figure(harness_component("igd"), "igd"), 0, 1e-15);
  EXPECT_NEAR(harness_figure(harness_component("plus"), "igd_plus"), 0, 1e-15);
  EXPECT_NEAR(harness_figure(harness_component("entropy"), "pareto_entropy"), log((double)size), 1e-12);
  EXPECT_NEAR(harness_figure(harness_component("entropy"), "coverage"), 1, 1e-12);
  tn_metric_reset(harness_component("igd"));
  tn_metric_reset(harness_component("plus"));
  give("igd", 1, 2, (const double[]){9, 9}); /* better than all: far, but not worse */
  give("plus", 1, 2, (const double[]){9, 9});
  cr_assert(harness_figure(harness_component("igd"), "igd") > 8);
  EXPECT_NEAR(harness_figure(harness_component("plus"), "igd_plus"), 0, 0);
}

/* Two groups; in the first, two of the best three are the same. */
static double top(const char *metric, const char *figure) {
  static const double objects[] = {0, 0, 3, 4, 3, 4, 9, 9, 1, -1, 2, 5};
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "objectives", tn_from(TN_F64, TN_SHAPE(6, 1), (const double[]){1, 2, 2, 0, 5, 4}));
  tn_fields_set(fields, "utility", tn_from(TN_F64, TN_SHAPE(6), (const double[]){1, 2, 2, 0, 5, 4}));
  tn_fields_set(fields, "group", tn_from(TN_I64, TN_SHAPE(6), (const int64_t[]){0, 0, 0, 0, 1, 1}));
  tn_fields_set(fields, "object", tn_from(TN_F64, TN_SHAPE(6, 2), objects));
  tn_metric_reset(harness_component(metric));
  cr_assert(tn_metric_update(harness_component(metric), fields) >= 0, "%s", harness_failure());
  return harness_figure(harness_component(metric), figure);
}
Test(fronts, top_objects_are_the_best_and_distances_are_those_of_distinct_ones) {
  harness_open("float64", "[l2]\nuse = metric.topk_diversity\nk = 2\n"
                          "[hamming]\nuse = metric.topk_diversity\nk = 2\ndistance = hamming\n"
                          "[edit]\nuse = metric.topk_diversity\nk = 2\ndistance = edit\nscale = 2\n");
  EXPECT_NEAR(top("l2", "topk_reward"), (2 + 4.5) / 2, 1e-15);
  EXPECT_NEAR(top("l2", "topk_diversity"), (5 + sqrt(37)) / 2, 1e-15);
  EXPECT_NEAR(top("l2", "topk_distinct"), 2, 0);
  EXPECT_NEAR(top("hamming", "topk_diversity"), 2, 0);
  EXPECT_NEAR(top("edit", "topk_diversity"), (2 + 2) / 2.0 / 2,
              0); /* "1" to "2 5": a substitution, an insertion */
}

/* ---- preferences ---- */

static const tn_preference *table(const char *name) { return harness_component(name)->vtable; }

Test(fronts, weights_are_on_the_simplex_and_the_grid_has_every_point_once) {
  double rows[64 * 4];
  tn_preference_info info;
  harness_open("float64", "[p]\nuse = preference.simplex\nalpha = 0.3\nbeta = 8\n"
                          "[g]\nuse = preference.simplex\ndivisions = 5\n");
  tn_rng rng = tn_rng_at("fronts", "draw", 0);
  cr_assert(tn_preference_draw(harness_component("p"), 3, 0, 64, rows, &rng) >= 0);
  for (int i = 0; i < 64; i++) {
    EXPECT_NEAR(rows[4 * i] + rows[4 * i + 1] + rows[4 * i + 2], 1, 1e-12);
    cr_assert(rows[4 * i] >= 0 && rows[4 * i + 1] >= 0 && rows[4 * i + 2] >= 0);
    EXPECT_NEAR(rows[4 * i + 3], 8, 0);
  }
  cr_assert(tn_preference_describe(harness_component("g"), 3, &info) >= 0);
  cr_assert_eq(info.count, 21);
  cr_assert_eq(info.conditions, (uint32_t)TN_CONDITION_WEIGHTS);
  cr_assert(tn_preference_draw(harness_component("g"), 3, 0, 42, rows, &rng) >= 0);
  for (int i = 0; i < 21; i++) {
    EXPECT_NEAR(rows[4 * i] + rows[4 * i + 1] + rows[4 * i + 2], 1, 1e-12);
    cr_assert(memcmp(rows + 4 * i, rows + 4 * (i + 21), 4 * sizeof *rows) == 0, "it starts over");
    for (int j = 0; j < i; j++) cr_assert(memcmp(rows + 4 * i, rows + 4 * j, 3 * sizeof *rows) != 0);
  }
}

Test(fronts, dirichlet_draws_have_its_mean_and_variance) {
  enum { N = 20000 };
  static double rows[N * 4];
  double sum = 0, square = 0;
  harness_open("float64", "[p]\nuse = preference.simplex\nalpha = 1.5\n");
  tn_rng rng = tn_rng_at("fronts", "moments", 0);
  cr_assert(tn_preference_draw(harness_component("p"), 3, 0, N, rows, &rng) >= 0);
  for (int i = 0; i < N; i++) sum += rows[4 * i], square += rows[4 * i] * rows[4 * i];
  const double variance = 1.0 / 3 * 2 / 3 / (4.5 + 1); /* m (1 - m) / (3 alpha + 1) */
  EXPECT_NEAR(sum / N, 1.0 / 3, 5 * sqrt(variance / N));
  EXPECT_NEAR(square / N - 1.0 / 9, variance, 0.1 * variance);
}

static double reward(const char *name, const double *asked, const double *r, double *utility) {
  double log_r;
  cr_assert(table(name)->reward(harness_component(name)->self, 2, asked, r, 1, utility, &log_r) >= 0);
  return log_r;
}
Test(fronts, scalarisations_are_those_of_the_formulas) {
  const double asked[] = {0.25, 0.75, 4}, r[] = {0.4, 0.8};
  double u;
  harness_open("float64",
               "[sum]\nuse = preference.simplex\n[log]\nuse = preference.simplex\n"
               "scalarisation = weighted_log_sum\n[far]\nuse = preference.simplex\n"
               "scalarisation = tchebycheff\n[least]\nuse = preference.simplex\nreward_min = 0.9\n");
  EXPECT_NEAR(reward("sum", asked, r, &u), 4 * log(0.7), 1e-14);
  EXPECT_NEAR(u, 0.7, 1e-15);
  EXPECT_NEAR(reward("log", asked, r, &u), 4 * (0.25 * log(0.4) + 0.75 * log(0.8)), 1e-14);
  EXPECT_NEAR(reward("far", asked, r, &u), 4 * log(1 - 0.15), 1e-14); /* max(0.25 0.6, 0.75 0.2) */
  EXPECT_NEAR(reward("least", asked, r, &u), 4 * log(0.9), 1e-14);
}

Test(fronts, goals_pay_inside_their_cone_and_failures_are_relabelled) {
  const double along[] = {0.6, 0.8, 1}, r[] = {0.3, 0.4}, off[] = {0.4, 0.3};
  double u, rows[] = {0.6, 0.8, 1, 0.6, 0.8, 1}, values[] = {0.3, 0.4, 0.4, 0.3};
  harness_open("float64", "[goal]\nuse = preference.focus\n");
  EXPECT_NEAR(reward("goal", along, r, &u), log(0.35), 1e-12); /* cosine 1 */
  EXPECT_NEAR(reward("goal", along, off, &u), -75, 0);         /* cosine 0.96 */
  EXPECT_NEAR(u, 0, 0);
  const double edge = acos(0.98) + atan2(0.8, 0.6), at[] = {cos(edge - 1e-9), sin(edge - 1e-9)};
  EXPECT_NEAR(reward("goal", along, at, &u), log((at[0] + at[1]) / 2) + log(0.1), 1e-6);
  tn_rng rng = tn_rng_at("fronts", "relabel", 0);
  cr_assert(tn_preference_relabel(harness_component("goal"), 2, rows, values, 2, 1, &rng) >= 0);
  EXPECT_NEAR(rows[0], 0.6, 0); /* reached: kept */
  EXPECT_NEAR(rows[3], 0.8, 1e-15);
  EXPECT_NEAR(rows[4], 0.6, 1e-15);
}

/* ---- the thermometer ---- */

Test(fronts, a_thermometer_is_empty_at_low_full_but_its_last_bin_at_high_and_monotone) {
  enum { BINS = 5, N = 41 };
  double x[N];
  harness_open("float64", "[t]\nuse = transform.thermometer\nbins = 5\nlow = -1\nhigh = 3\n");
  for (int i = 0; i < N; i++) x[i] = -2 + 0.15 * i;
  x[0] = -1, x[N - 1] = 3;
  tn_fields *fields = tn_fields_new();
  tn_spec *spec = tn_spec_new();
  tn_spec_set(spec, "preference", TN_FLOAT, (tn_shape){0, {0}}, 0);
  cr_assert(tn_declare_component(harness_component("t"), spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  tn_fields_set(fields, "preference", harness_tensor(TN_SHAPE(N), x));
  const tn_transform_call call = {.size = sizeof call};
  cr_assert(tn_transform_apply(harness_component("t"), fields, &call) >= 0, "%s", harness_failure());
  const tn_tensor *code = tn_field(fields, "preference");
  cr_assert_eq(tn_dim(code, 1), BINS);
  for (int k = 0; k < BINS; k++) {
    EXPECT_NEAR(harness_at(code, k), 0, 0);
    EXPECT_NEAR(harness_at(code, (N - 1) * BINS + k), k < BINS - 1, 1e-12);
    for (int i = 2; i < N - 1; i++)
      cr_assert(harness_at(code, i * BINS + k) >= harness_at(code, (i - 1) * BINS + k), "not monotone");
  }
  EXPECT_NEAR(harness_at(code, (N - 2) * BINS + BINS - 1), 0.85,
              1e-12); /* 3.85: above high the last bin fills */
  /* -0.05 fills 0.95 of the first bin */
  double half[] = {-0.05, 1.5};
  tn_fields_set(fields, "preference", harness_tensor(TN_SHAPE(1, 2), half));
  cr_assert(tn_transform_apply(harness_component("t"), fields, &call) >= 0, "%s", harness_failure());
  code = tn_field(fields, "preference");
  const double wanted[2 * BINS] = {0.95, 0, 0, 0, 0, 1, 1, 0.5, 0, 0};
  for (int k = 0; k < 2 * BINS; k++) EXPECT_NEAR(harness_at(code, k), wanted[k], 1e-12);
}
