// SPDX-License-Identifier: MIT
/* Problems: vectors within bounds, or genomes. */
#include "core/conformance/difference.h"
#include "core/conformance/drivers.h"
#include "core/tensor/guard.h"
#include <math.h>
#include <string.h>
#include <tenon/problem.h>

enum { MOST_OUTPUTS = 256, POINTS = 4 };

static tn_status describe(const tn_component *c, tn_problem_info *info) {
  *info = (tn_problem_info){.size = sizeof *info};
  const tn_status status = ((const tn_problem *)c->vtable)->describe(c->self, info);
  if (status < 0) return status;
  if (info->objectives < 1 || info->variables < 0 || info->constraints < 0 ||
      info->objectives + info->constraints > MOST_OUTPUTS)
    return tn_fail(TN_ERROR_INVALID,
                   "describe: impossible numbers (%u objectives, %lld variables, %lld constraints)",
                   info->objectives, (long long)info->variables, (long long)info->constraints);
  for (int64_t i = 0; info->lower && info->upper && i < info->variables; i++)
    if (!(info->lower[i] <= info->upper[i]))
      return tn_fail(TN_ERROR_INVALID, "describe: bounds of variable %lld are %g and %g", (long long)i,
                     info->lower[i], info->upper[i]);
  return TN_OK;
}

/* A point between the bounds, on the grid of discrete variables. */
static void point_in(const tn_trial *t, const tn_problem_info *info, uint64_t turn, double *point) {
  for (int64_t i = 0; i < info->variables; i++) {
    double low = info->lower ? info->lower[i] : -1, high = info->upper ? info->upper[i] : 1;
    if (!isfinite(low)) low = isfinite(high) ? high - 2 : -1;
    if (!isfinite(high)) high = low + 2;
    double x = low + (high - low) * tn_trial_uniform(t, "point", turn * 100003 + (uint64_t)i);
    if (info->step && info->step[i] > 0) x = low + info->step[i] * floor((x - low) / info->step[i]);
    point[i] = x;
  }
}

static double *numbers(int64_t count) {
  double *memory = tn_guard_take((size_t)count * sizeof *memory, sizeof *memory);
  if (!memory) tn_trial_fail("out of memory");
  return memory;
}

static const tn_problem_genome *genome_of(const tn_component *c) {
  return tn_extension(c, TN_PROBLEM_GENOME);
}
static int64_t outputs_of(const tn_problem_info *info) {
  return (int64_t)info->objectives + info->constraints;
}

static tn_status work_genome(tn_bench *bench, const tn_component *c, const tn_problem_info *info,
                             int64_t unit) {
  const tn_problem_genome *g = genome_of(c);
  tn_rng rng = tn_rng_at("conformance", "genome", (uint64_t)unit);
  tn_genome parent = {0}, child = {0};
  double values[MOST_OUTPUTS];
  if (!g) return tn_fail(TN_ERROR_INVALID, "no variables and no genomes");
  tn_status status = g->random(c->self, &rng, &parent);
  if (status >= 0) status = g->mutate(c->self, &parent, &rng, &child);
  if (status >= 0) status = g->evaluate(c->self, &child, values);
  if (status >= 0) {
    tn_fingerprint_bytes(&bench->digest, child.data, child.bytes);
    tn_fingerprint_bytes(&bench->digest, values, (size_t)outputs_of(info) * sizeof *values);
  }
  tn_free(parent.data);
  tn_free(child.data);
  return status;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  tn_problem_info info;
  (void)bench;
  const tn_status status = describe(c, &info);
  return status < 0 ? status : tn_problem_begin(c);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_problem_info info;
  tn_status status = describe(c, &info);
  if (status < 0) return status;
  if (info.variables == 0) return work_genome(bench, c, &info, unit);
  const tn_problem *table = c->vtable;
  if (!TN_HAS(table, tn_problem, evaluate))
    return tn_fail(TN_ERROR_INVALID, "a vector problem without evaluate");
  double *points = numbers(POINTS * info.variables), *values = numbers(POINTS * outputs_of(&info));
  for (int64_t i = 0; i < POINTS; i++)
    point_in(bench->trial, &info, (uint64_t)(unit * POINTS + i), points + i * info.variables);
  status = table->evaluate(c->self, points, POINTS, values);
  tn_fingerprint_bytes(&bench->digest, values, (size_t)(POINTS * outputs_of(&info)) * sizeof *values);
  tn_guard_give(points);
  tn_guard_give(values);
  return status;
}

static void bounds(tn_trial *t) {
  tn_bench bench;
  tn_problem_info info;
  tn_bench_ready(&bench, t, NULL);
  const tn_problem *table = bench.subject->vtable;
  tn_trial_expect(describe(bench.subject, &info), "describe");
  if (info.variables == 0 || !TN_HAS(table, tn_problem, start))
    tn_trial_absent("it has no point to start from");
  double *point = numbers(info.variables);
  tn_rng rng = tn_rng_at("conformance", "start", 0);
  tn_trial_expect(table->start(bench.subject->self, point, &rng), "start");
  for (int64_t i = 0; i < info.variables; i++)
    if (!isfinite(point[i]) || (info.lower && point[i] < info.lower[i]) ||
        (info.upper && point[i] > info.upper[i]))
      tn_trial_fail("the point to start from leaves the bounds: variable %lld is %g", (long long)i, point[i]);
  tn_guard_give(point);
  if (tn_guard_damaged() > 0) tn_trial_fail("start writes more than the variables");
  tn_bench_close(&bench);
}

static void evaluations(tn_trial *t) {
  tn_bench bench;
  tn_problem_info info;
  double together[POINTS * MOST_OUTPUTS], alone[MOST_OUTPUTS];
  tn_bench_ready(&bench, t, NULL);
  const tn_problem *table = bench.subject->vtable;
  tn_trial_expect(describe(bench.subject, &info), "describe");
  if (info.variables == 0) tn_trial_absent("its candidates are genomes");
  double *points = numbers(POINTS * info.variables);
  for (int64_t i = 0; i < POINTS; i++) point_in(t, &info, (uint64_t)i, points + i * info.variables);
  const int64_t outputs = outputs_of(&info);
  tn_trial_expect(table->evaluate(bench.subject->self, points, POINTS, together), "evaluate");
  for (int64_t i = 0; i < POINTS; i++) {
    tn_trial_expect(table->evaluate(bench.subject->self, points + i * info.variables, 1, alone), "evaluate");
    if (memcmp(alone, together + i * outputs, (size_t)outputs * sizeof *alone) != 0)
      tn_trial_fail("the value of a point depends on when and beside which others it is asked");
    for (int64_t k = 0; k < outputs; k++)
      if (isnan(alone[k])) tn_trial_fail("a value within the bounds is NaN");
    if (info.objectives == 1 && info.constraints == 0 && isfinite(info.optimum) &&
        alone[0] < info.optimum - 1e-6 * (1 + fabs(info.optimum)))
      tn_trial_fail("a random point has the value %.9g, better than the optimum %.9g", alone[0],
                    info.optimum);
  }
  tn_guard_give(points);
  tn_bench_close(&bench);
}

typedef struct setting {
  const tn_component *c;
  const double *point;
} setting;
static double objective(void *context) {
  const setting *s = context;
  double values[MOST_OUTPUTS];
  tn_trial_expect(((const tn_problem *)s->c->vtable)->evaluate(s->c->self, s->point, 1, values), "evaluate");
  return values[0];
}

static void gradient(tn_trial *t) {
  tn_bench bench;
  tn_problem_info info;
  double value;
  uint32_t checked = 0;
  tn_bench_ready(&bench, t, NULL);
  const tn_problem *table = bench.subject->vtable;
  tn_trial_expect(describe(bench.subject, &info), "describe");
  if (info.variables == 0 || !TN_HAS(table, tn_problem, gradient)) tn_trial_absent("it has no gradient");
  double *point = numbers(info.variables), *slope = numbers(info.variables);
  point_in(t, &info, 0, point);
  const tn_status status = table->gradient(bench.subject->self, point, slope, &value);
  if (status == TN_ERROR_MISSING) tn_trial_absent("it has no gradient here");
  tn_trial_expect(status, "gradient");
  setting s = {bench.subject, point};
  const double direct = objective(&s);
  if (fabs(direct - value) > 1e-9 * (1 + fabs(direct)))
    tn_trial_fail("gradient gives the value %.12g, evaluate %.12g", value, direct);
  for (int64_t i = 0; i < info.variables && i < 50; i++)
    if (!info.step || info.step[i] == 0)
      checked += tn_difference_check(objective, &s, &point[i], slope[i], "x", i);
  tn_guard_give(slope);
  tn_guard_give(point);
  tn_bench_close(&bench);
  tn_trial_note("%u derivatives", checked);
}

static void expect_values(const tn_problem_genome *g, const tn_component *c, const tn_genome *genome,
                          int64_t outputs, double *values) {
  tn_trial_expect(g->evaluate(c->self, genome, values), "evaluate");
  for (int64_t k = 0; k < outputs; k++)
    if (isnan(values[k])) tn_trial_fail("a genome has the value NaN");
}

static void genomes(tn_trial *t) {
  tn_bench bench;
  tn_problem_info info;
  double first[MOST_OUTPUTS], second[MOST_OUTPUTS];
  tn_bench_ready(&bench, t, NULL);
  const tn_component *c = bench.subject;
  const tn_problem_genome *g = genome_of(c);
  tn_trial_expect(describe(c, &info), "describe");
  if (!g) tn_trial_absent("its candidates are vectors");
  const int64_t outputs = outputs_of(&info);
  for (uint64_t turn = 0; turn < tn_trial_times(t, 20, 4); turn++) {
    tn_rng rng = tn_rng_at("conformance", "genome", turn);
    tn_genome parent = {0}, child = {0}, again = {0};
    char *text = NULL;
    tn_trial_expect(g->random(c->self, &rng, &parent), "random");
    tn_trial_expect(g->mutate(c->self, &parent, &rng, &child), "mutate");
    expect_values(g, c, &child, outputs, first);
    expect_values(g, c, &child, outputs, second);
    if (memcmp(first, second, (size_t)outputs * sizeof *first) != 0)
      tn_trial_fail("evaluating a genome twice gives other values");
    tn_trial_expect(g->print(c->self, &child, &text), "print");
    if (TN_HAS(g, tn_problem_genome, parse)) {
      tn_trial_expect(g->parse(c->self, text, &again), "parse");
      expect_values(g, c, &again, outputs, second);
      if (memcmp(first, second, (size_t)outputs * sizeof *first) != 0)
        tn_trial_fail("a genome printed and parsed has other values");
    }
    tn_free(text), tn_free(parent.data), tn_free(child.data), tn_free(again.data);
  }
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"bounds", "the point to start from lies within the bounds", bounds},
    {"evaluate", "a point's value depends on nothing else, and the optimum is one", evaluations},
    {"gradient", "the gradient agrees with finite differences and with evaluate", gradient},
    {"genomes", "genomes are evaluated alike every time, also printed and parsed", genomes},
};
const tn_driver tn_driver_problem = {.kind = TN_PROBLEM,
                                     .prepare = prepare,
                                     .work = work,
                                     .checks = checks,
                                     .check_count = TN_ARRAY_LENGTH(checks)};
