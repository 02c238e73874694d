// SPDX-License-Identifier: MIT
/* Whole pipelines: a program in supervised training, a search and what follows it. */
#include "../expect.h"
#include "core/pipeline/pipeline.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAMS TN_SOURCE_ROOT "/examples/programs/"
#define TASK_A                                                                           \
  "observers =\n"                                                                        \
  "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n" \
  "scale = 8\ntest = 0\nvalidation = 797\n"                                              \
  "[centre]\nuse = transform.affine\nshift = -1\n"                                       \
  "[net]\nuse = model.mlp\nhidden = 32\n"
static const char training[] =
    "[pipeline]\nstages = train\n" TASK_A "[raw]\nuse = optimizer.program\nfile = " PROGRAMS
    "lion-clear.opt\n"
    "[lion]\nuse = optimizer.lion\nlr = 0.0002\nbeta1 = 0.899\nbeta2 = 0.996991\n"
    "weight_decay = 0.4602\n"
    "[train]\nuse = stage.supervised\ndata = digits\ntransforms = centre\nmodel = net\n"
    "loss = loss.cross_entropy\noptimizer = lion\nschedule = schedule.cosine\nbatch = 64\n"
    "steps = 60\n";
static const char searching[] =
    "[pipeline]\nstages = discover, select, shorten\n" TASK_A
    "[small]\nuse = problem.optimizer_search\ndata = digits\n"
    "validation = digits:validation\ntransforms = centre\nmodel = net\nsteps = 15\n"
    "initial = " PROGRAMS "adamw.opt\n"
    "[large]\nbase = small\nsteps = 30\n"
    "[evolution]\nuse = solver.regularized_evolution\npopulation = 20\n"
    "tournament = 5\nevaluations = 60\n"
    "[discover]\nuse = stage.solve\nproblem = small\nsolver = evolution\n"
    "[select]\nuse = stage.funnel\ntasks = small, large\nsolver = evolution\n"
    "baseline = " PROGRAMS "adamw.opt\nscales = 0.3, 1, 3\nentrants = 4\n"
    "[shorten]\nuse = stage.simplify\nproblem = large\nfrom = select\n";

static tn_registry *registry;
static void start(void) {
  const tn_registry_options options = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
  tn_error error = {0};
  registry = tn_registry_open(&options, &error);
  cr_assert(registry != NULL, "%s", error.text);
}
TestSuite(stages, .init = start, .timeout = 120);

static tn_pipeline *open_pipeline(const char *text, const char *const *overrides, uint32_t count,
                                  tn_error *error) {
  char path[] = "/tmp/tenon-programs-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "w");
  fputs(text, file);
  fclose(file);
  const tn_pipeline_options options = {
      .file = path, .overrides = overrides, .override_count = count, .quiet = true};
  tn_pipeline *p = tn_pipeline_open(registry, &options, error);
  unlink(path);
  return p;
}
static tn_pipeline *run(const char *text, const char *override) {
  tn_error error = {0};
  tn_pipeline *p = open_pipeline(text, &override, override ? 1 : 0, &error);
  cr_assert(p != NULL, "%s", error.text);
  cr_assert(tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  return p;
}
static double result(const tn_pipeline *p, const char *name) {
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  return NAN;
}
static const char *refusal(const char *override) {
  static tn_error error;
  error = (tn_error){0};
  tn_pipeline *p = open_pipeline(searching, &override, 1, &error);
  if (p) {
    cr_assert(tn_pipeline_check(p, &error) < 0, "taken: %s", override);
    tn_pipeline_close(p);
  }
  return error.text;
}

/* The trained numbers of the net, at most `room`. */
static int64_t weights(tn_pipeline *p, float *values, int64_t room) {
  const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
  int64_t count = 0;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    const tn_tensor *x = tn_param_tensor(params, i);
    for (int64_t k = 0; k < tn_numel(x) && count < room; k++) values[count++] = tn_f32(x)[k];
  }
  return count;
}

/* m / sqrt(m m) is sign(m) but for the 1e-8 in the division, and v is one moving average, so the program that
 * was found is Lion with beta2 = 1 - 0.003009: within 1 % of the way that the weights have gone. Biases,
 * which optimizer.lion does not decay, are part of what remains. */
Test(stages, the_discovered_program_follows_lion) {
  enum { MOST = 4096 };
  static float program[MOST], lion[MOST], before[MOST];
  tn_pipeline *p = run(training, "train.optimizer=raw");
  const int64_t count = weights(p, program, MOST);
  tn_pipeline_close(p);
  p = run(training, "train.optimizer=lion");
  EXPECT_INT(weights(p, lion, MOST), count);
  tn_pipeline_close(p);
  p = run(training, "lion.lr=0");
  EXPECT_INT(weights(p, before, MOST), count);
  tn_pipeline_close(p);
  EXPECT_INT(count, 64 * 32 + 32 + 32 * 10 + 10);
  double apart = 0, way = 0;
  for (int64_t i = 0; i < count; i++) {
    apart += (program[i] - lion[i]) * (double)(program[i] - lion[i]);
    way += (lion[i] - before[i]) * (double)(lion[i] - before[i]);
  }
  cr_assert(way > 0 && sqrt(apart / way) <= 0.01, "apart by %g of the way", sqrt(apart / way));
}

Test(stages, a_search_improves_and_its_candidates_go_through_the_funnel) {
  tn_pipeline *p = run(searching, NULL);
  EXPECT_REAL(result(p, "discover.evaluations"), 60);
  cr_assert(result(p, "discover.value") < result(p, "discover.initial"));
  cr_assert(result(p, "discover.hit_rate") > 0);
  EXPECT_REAL(result(p, "select.entrants"), 4);
  cr_assert(result(p, "select.survivors_large") <= result(p, "select.survivors_small"));
  /* the best factor of three, one of which is 1 */
  cr_assert(result(p, "select.value") <= result(p, "select.unscaled") || result(p, "select.rank") > 1);
  /* what is shortened is the winner on the same task */
  EXPECT_REAL(result(p, "shorten.value_before"), result(p, "select.value"));
  cr_assert(result(p, "shorten.value") <= result(p, "shorten.value_before"));
  cr_assert(result(p, "shorten.parts") <= result(p, "shorten.parts_before"));
  tn_pipeline_close(p);
}

Test(stages, the_same_search_gives_the_same_program_on_any_number_of_threads) {
  double fingerprints[2], values[2];
  for (int i = 0; i < 2; i++) {
    omp_set_num_threads(i + 1);
    tn_pipeline *p = run(searching, "pipeline.stages=discover");
    fingerprints[i] = result(p, "discover.fingerprint");
    values[i] = result(p, "discover.value");
    tn_pipeline_close(p);
  }
  EXPECT_REAL(fingerprints[0], fingerprints[1]);
  EXPECT_REAL(values[0], values[1]);
}

Test(stages, the_objective_may_be_the_share_of_errors) {
  tn_pipeline *p = run(searching, "small.metric=accuracy");
  const double errors = result(p, "discover.value") * 797;
  cr_assert(fabs(errors - round(errors)) < 1e-9 && errors < 0.9 * 797, "%g errors", errors);
  tn_pipeline_close(p);
}

Test(stages, refuses_what_cannot_be_searched) {
  EXPECT_CONTAINS(refusal("select.tasks=small"), "give two tasks or more");
  EXPECT_CONTAINS(refusal("select.baseline="), "give a baseline");
  EXPECT_CONTAINS(refusal("shorten.candidate=" PROGRAMS "adamw.opt"), "give candidate or from, not both");
  EXPECT_CONTAINS(refusal("small.model=model.gpt"), "tokens");
  EXPECT_CONTAINS(refusal("small.initial=" TN_SOURCE_ROOT "/meson.build"), "meson.build:2: expected");
}
