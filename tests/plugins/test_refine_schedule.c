// SPDX-License-Identifier: MIT
/* Runs that are recorded, refined and repeated. */
#include "harness.h"
#include "plugins/observers/norms.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(refine_schedule, .timeout = 120);

static const char head[] =
    "[pipeline]\nprecision = float64\nobservers =\nstages = %s\n"
    "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nscale = 16\n"
    "[net]\nuse = model.mlp\nhidden = 16\ninit = he_normal\n"
    "[sgd]\nuse = optimizer.sgd\nlr = 0.1\nmomentum = 0.9\n"
    "[norms]\nuse = observer.gradient_norms\nfile = norms.csv\n"
    "[plan]\nuse = schedule.refined\nnorms = norms\n"
    "[first]\nuse = stage.supervised\ndata = digits\nmodel = net\n"
    "loss = loss.cross_entropy\noptimizer = sgd\nschedule = schedule.linear\n"
    "steps = 80\nobservers = norms\n%s";

/* Runs these stages of head and tail; the caller closes it. */
static tn_pipeline *run(const char *stages, const char *tail, const char *directory) {
  char text[4096];
  tn_error error = {0};
  cr_assert(snprintf(text, sizeof text, head, stages, tail) < (int)sizeof text);
  tn_pipeline *p = harness_start(text, directory, NULL, 0, &error);
  cr_assert(p && tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  return p;
}
static const double *norms_in(const tn_pipeline *p, int32_t norm, int64_t *count) {
  const double *norms = norms_of(tn_pipeline_find(p, "norms"), norm, count);
  cr_assert(norms != NULL);
  return norms;
}

/* What a restarted stage does is what the first one did; without `restart` it goes on. */
Test(refine_schedule, restart_begins_as_at_first) {
  tn_pipeline *p = run("first, second", "[second]\nbase = first\nrestart = yes\nobservers =\n", NULL);
  EXPECT_NEAR(harness_result(p, "second.loss"), harness_result(p, "first.loss"), 0);
  tn_pipeline_close(p);
  p = run("first, second", "[second]\nbase = first\nobservers =\n", NULL);
  cr_assert(harness_result(p, "second.loss") < 0.8 * harness_result(p, "first.loss"));
  tn_pipeline_close(p);
}

/* The gradient is recorded as the loss gave it: a clipped run begins with the same norm as another, and norms
 * stay above the largest that passes. */
Test(refine_schedule, norms_are_those_in_front_of_clipping) {
  int64_t count, clipped_count;
  tn_pipeline *p = run("first, second",
                       "[clip]\nuse = gradient.clip_norm\nmax_norm = 0.01\n"
                       "[second]\nbase = first\ngradient = clip\nrestart = yes\n",
                       NULL);
  const double *clipped = norms_in(p, NORM_L2, &clipped_count), *sums = norms_in(p, NORM_L1, &count);
  cr_assert(count == 80 && clipped_count == 80, "%d steps", (int)count);
  for (int t = 0; t < 80; t++) cr_assert(clipped[t] > 0.1 && sums[t] > clipped[t], "%g", clipped[t]);
  tn_pipeline_close(p);
  p = run("first, second",
          "[decayed]\nbase = sgd\nweight_decay = 10\n[second]\nbase = first\noptimizer = decayed\nrestart = "
          "yes\nsteps = 1\n",
          NULL);
  const double decayed = norms_in(p, NORM_L2, &count)[0];
  tn_pipeline_close(p);
  p = run("first, second", "[second]\nbase = first\nrestart = yes\nsteps = 1\n", NULL);
  EXPECT_NEAR(decayed, norms_in(p, NORM_L2, &count)[0], 0); /* nor is weight decay part of it */
  tn_pipeline_close(p);
}

/* A batch computed in four parts, as on four processes, has the norms of the whole. */
Test(refine_schedule, norms_do_not_depend_on_the_parts_of_a_batch) {
  enum { STEPS = 80 };
  double whole[2][STEPS];
  int64_t count;
  tn_pipeline *p = run("first", "", NULL);
  for (int32_t n = NORM_L2; n <= NORM_L1; n++) memcpy(whole[n], norms_in(p, n, &count), sizeof whole[n]);
  tn_pipeline_close(p);
  p = run("parts", "[parts]\nbase = first\nmicro_batches = 4\n", NULL);
  for (int32_t n = NORM_L2; n <= NORM_L1; n++) {
    const double *parts = norms_in(p, n, &count);
    EXPECT_INT(count, STEPS);
    for (int t = 0; t < STEPS; t++) EXPECT_NEAR(parts[t], whole[n][t], 1e-9 * whole[n][t]);
  }
  tn_pipeline_close(p);
}

Test(refine_schedule, file_holds_what_was_recorded) {
  char directory[] = "/tmp/tenon-refine-run-XXXXXX", path[256], line[256];
  cr_assert(mkdtemp(directory));
  int64_t count;
  tn_pipeline *p = run("first", "", directory);
  snprintf(path, sizeof path, "%s/norms.csv", directory);
  FILE *file = fopen(path, "r");
  cr_assert(file && fgets(line, sizeof line, file));
  cr_assert(strcmp(line, "step,l2,l1\n") == 0, "%s", line);
  const double *l2 = norms_in(p, NORM_L2, &count), *l1 = norms_in(p, NORM_L1, &count);
  for (int64_t t = 0; t < count; t++) {
    int step;
    double two, one;
    cr_assert(fgets(line, sizeof line, file) && sscanf(line, "%d,%lf,%lf", &step, &two, &one) == 3);
    cr_assert(step == t + 1);
    EXPECT_NEAR(two, l2[t], 1e-8 * l2[t]);
    EXPECT_NEAR(one, l1[t], 1e-8 * l1[t]);
  }
  cr_assert(!fgets(line, sizeof line, file));
  fclose(file);
  tn_pipeline_close(p);
  snprintf(line, sizeof line, "rm -rf %s", directory);
  cr_assert(system(line) == 0);
}

/* One file instead of a sweep: the linear trial at rate 1 is the plain run, and the refined one is that of a
 * pipeline of two stages. */
Test(refine_schedule, stage_does_what_two_stages_do) {
  static const char tail[] = "[second]\nbase = first\n"
                             "schedule = plan\nobservers =\nrestart = yes\n"
                             "[seen]\nuse = stage.evaluate\ndata = digits:test\nmodel = net\n"
                             "metrics = loss\n[loss]\nuse = metric.loss\nloss = loss.cross_entropy\n";
  static const char stage[] = "[inner]\nbase = first\nschedule = plan\n"
                              "[grid]\nuse = stage.refine_schedule\ninner = inner\nrefined = plan\n"
                              "data = digits:test\nmodel = net\nmetrics = loss\n"
                              "schedules = schedule.linear, schedule.constant\nrates = 1\n"
                              "[loss]\nuse = metric.loss\nloss = loss.cross_entropy\n";
  tn_pipeline *p = run("first, second, seen", tail, NULL);
  const double refined = harness_result(p, "seen.loss");
  tn_pipeline_close(p);
  p = run("grid", stage, NULL);
  EXPECT_NEAR(harness_result(p, "grid.refined"), refined, 0);
  EXPECT_NEAR(harness_result(p, "grid.refined_rate"), 1, 0);
  EXPECT_NEAR(harness_result(p, "grid.collapsed"), 0, 0);
  cr_assert(harness_result(p, "grid.linear") != refined &&
            harness_result(p, "grid.constant") != harness_result(p, "grid.linear"));
  tn_pipeline_close(p);
}

Test(refine_schedule, grid_of_rates_seeds_and_rounds) {
  static const char stage[] = "[inner]\nbase = first\nschedule = plan\nsteps = 20\n"
                              "[grid]\nuse = stage.refine_schedule\ninner = inner\nrefined = plan\n"
                              "data = digits:test\nmodel = net\nmetrics = accuracy\nbest = largest\n"
                              "rates = 0.01, 1\nseeds = %d\nrounds = 2\n";
  char text[640];
  double last[2];
  for (int seeds = 1; seeds <= 2; seeds++) {
    snprintf(text, sizeof text, stage, seeds);
    tn_pipeline *p = run("grid", text, NULL);
    cr_assert(harness_result(p, "grid.linear") > 0.3 && harness_result(p, "grid.linear_rate") == 1);
    cr_assert(harness_result(p, "grid.refined") > 0.3 && harness_result(p, "grid.refined_2") > 0.3);
    last[seeds - 1] = harness_result(p, "grid.linear");
    tn_pipeline_close(p);
  }
  cr_assert(last[0] != last[1], "another seed is another run");
}
