// SPDX-License-Identifier: MIT
/* Pipelines as a whole: wiring, checking, running, results, and two at once. */
#include "../expect.h"
#include "core/pipeline/pipeline.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS                                          \
  "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT \
  "/examples/data/digits.csv.gz\nheader = no\nlabel = last\ntest = 20%\nscale = 16\n"
#define TRAINING                                                                             \
  "[pipeline]\nstages = train, test\n" DIGITS "[net]\nuse = model.mlp\nhidden = 16\n"        \
  "[train]\nuse = stage.supervised\ndata = digits\nmodel = net\nloss = loss.cross_entropy\n" \
  "optimizer = optimizer.adam\nsteps = 60\n"                                                 \
  "[test]\nuse = stage.evaluate\ndata = digits:test\nmodel = net\nmetrics = accuracy\n"

static tn_registry *registry;
static char file[64];
static tn_error error;

static void open_registry(void) {
  tn_host_start();
  tn_registry_options options = {0};
  registry = tn_registry_open(&options, &error);
  cr_assert(registry, "%s", error.text);
}
static void close_registry(void) {
  tn_registry_close(registry);
  unlink(file);
}
TestSuite(pipeline, .init = open_registry, .fini = close_registry);

static tn_pipeline *open_text(const char *text, const char *const *overrides, uint32_t count,
                              const char *directory) {
  if (!*file) {
    snprintf(file, sizeof file, "/tmp/tenon-test-%d.ini", (int)getpid());
    FILE *out = fopen(file, "w");
    cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
  }
  tn_pipeline_options options = {
      .file = file, .overrides = overrides, .override_count = count, .directory = directory, .quiet = true};
  error = (tn_error){0};
  return tn_pipeline_open(registry, &options, &error);
}

static double result(const tn_pipeline *pipeline, const char *name) {
  const tn_result *results;
  uint32_t count = tn_pipeline_results(pipeline, &results);
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  return NAN;
}

Test(pipeline, references_to_one_section_share_the_instance_and_bare_ones_do_not) {
  tn_pipeline *p = open_text(TRAINING "[again]\nbase = test\nuse = stage.evaluate\n", NULL, 0, NULL);
  cr_assert(p, "%s", error.text);
  const tn_edge *edges;
  uint32_t count = tn_pipeline_edges(p, &edges), models = 0;
  const tn_component *model = NULL, *accuracies[2] = {0};
  uint32_t seen = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (strcmp(edges[i].key, "model") == 0) {
      cr_assert(!model || model == edges[i].to);
      model = edges[i].to;
      models++;
    }
    if (strcmp(edges[i].key, "metrics") == 0 && seen < 2) accuracies[seen++] = edges[i].to;
  }
  EXPECT_INT(models, 3);
  EXPECT_INT(seen, 2);
  cr_assert(accuracies[0]->self != accuracies[1]->self);
  tn_pipeline_close(p);
}

Test(pipeline, a_part_is_a_handle_of_its_own_on_the_same_instance) {
  tn_pipeline *p = open_text(TRAINING, NULL, 0, NULL);
  cr_assert(p, "%s", error.text);
  const tn_component *whole = tn_pipeline_find(p, "digits"), *part = NULL;
  const tn_edge *edges;
  for (uint32_t i = 0, n = tn_pipeline_edges(p, &edges); i < n; i++)
    if (strcmp(edges[i].to->part, "test") == 0) part = edges[i].to;
  cr_assert(part && part != whole && part->self == whole->self);
  EXPECT_TEXT(part->name, "digits");
  tn_pipeline_close(p);
}

Test(pipeline, check_declares_without_training) {
  tn_pipeline *p = open_text(TRAINING, NULL, 0, NULL);
  cr_assert(p, "%s", error.text);
  cr_assert_null(tn_pipeline_outputs(p, tn_pipeline_find(p, "net")));
  EXPECT_INT(tn_pipeline_check(p, &error), TN_OK);
  const tn_field_spec *logits = tn_spec_find(tn_pipeline_outputs(p, tn_pipeline_find(p, "net")), "logits");
  cr_assert(logits);
  EXPECT_INT(logits->shape.dim[0], 10);
  EXPECT_INT(tn_params_numel(tn_pipeline_parameters(p, tn_pipeline_find(p, "net"))),
             64 * 16 + 16 + 16 * 10 + 10);
  cr_assert(isnan(result(p, "test.accuracy")));
  tn_pipeline_close(p);
}

/* Runs the training and returns a hash of the final parameters. */
static uint64_t trained(const char *const *overrides, uint32_t count) {
  tn_pipeline *p = open_text(TRAINING, overrides, count, NULL);
  cr_assert(p, "%s", error.text);
  EXPECT_INT(tn_pipeline_run(p, &error), TN_OK);
  cr_assert(result(p, "test.accuracy") > 0.15);
  tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
  uint64_t hash = 1469598103934665603u;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    const tn_tensor *t = tn_param_tensor(params, i);
    const unsigned char *bytes = tn_data(t);
    for (int64_t b = 0; b < 4 * tn_numel(t); b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  tn_pipeline_close(p);
  return hash;
}

Test(pipeline, the_same_seed_gives_the_same_bits_on_any_number_of_threads) {
  const char *one[] = {"pipeline.threads=1"}, *four[] = {"pipeline.threads=4"},
             *other[] = {"pipeline.seed=2"};
  uint64_t hash = trained(NULL, 0);
  cr_assert(trained(one, 1) == hash);
  cr_assert(trained(four, 1) == hash);
  cr_assert(trained(other, 1) != hash);
}

Test(pipeline, two_pipelines_live_in_one_process) {
  uint64_t alone = trained(NULL, 0);
  const char *float64[] = {"pipeline.precision=float64", "pipeline.seed=5"};
  tn_pipeline *other = open_text(TRAINING, float64, 2, NULL);
  cr_assert(other, "%s", error.text);
  cr_assert(trained(NULL, 0) == alone);
  EXPECT_INT(tn_pipeline_run(other, &error), TN_OK);
  const tn_component *net = tn_pipeline_find(other, "net");
  EXPECT_INT(tn_param_tensor(tn_pipeline_parameters(other, net), 0)->dtype, TN_F64);
  tn_pipeline_close(other);
}

Test(pipeline, a_failure_names_section_component_and_function) {
  const char *huge[] = {"train.steps=200",     "train.optimizer=optimizer.sgd", "net.activation=relu",
                        "train.gradient=",     "huge.use=optimizer.sgd",        "huge.lr=1e30",
                        "train.optimizer=huge"};
  tn_pipeline *p = open_text(TRAINING, huge, TN_ARRAY_LENGTH(huge), NULL);
  cr_assert(p, "%s", error.text);
  EXPECT_INT(tn_pipeline_run(p, &error), TN_ERROR_DIVERGED);
  EXPECT_CONTAINS(error.text, "[train] stage.supervised step: the loss became");
  tn_pipeline_close(p);
}

Test(pipeline, an_interrupt_finishes_the_step_and_leaves_the_results_so_far) {
  char directory[] = "/tmp/tenon-run-XXXXXX";
  cr_assert(mkdtemp(directory));
  tn_pipeline *p = open_text(TRAINING, NULL, 0, directory);
  cr_assert(p, "%s", error.text);
  tn_pipeline_interrupt();
  EXPECT_INT(tn_pipeline_run(p, &error), TN_ERROR_INTERRUPTED);
  EXPECT_TEXT(error.text, "interrupted in [train]");
  tn_pipeline_close(p);
  char path[64];
  snprintf(path, sizeof path, "%s/results.json", directory);
  EXPECT_INT(access(path, R_OK), 0);
  snprintf(path, sizeof path, "rm -rf %s", directory);
  EXPECT_INT(system(path), 0);
}

Test(pipeline, a_model_used_with_two_kinds_of_data_is_refused) {
  tn_pipeline *p = open_text(TRAINING "[other]\nbase = digits\nuse = dataset.csv\nlabel = 1\n"
                                      "[odd]\nbase = test\nuse = stage.evaluate\ndata = other\n",
                             (const char *[]){"pipeline.stages=train, odd"}, 1, NULL);
  cr_assert(p, "%s", error.text);
  cr_assert(tn_pipeline_check(p, &error) < 0);
  EXPECT_CONTAINS(error.text, "'net' is used with two kinds of data");
  tn_pipeline_close(p);
}
