// SPDX-License-Identifier: MIT
/* Whole pipelines: training, evaluation, what they report, and going on where they were. */
#include "harness.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <tenon/stage.h>
#include <unistd.h>

static tn_registry *registry;
static char probe[128]; /* the fixtures' plugin */

static void start(void) {
  char command[1024];
  snprintf(probe, sizeof probe, "/tmp/tenon-probe-%d.so", (int)getpid());
  snprintf(command, sizeof command,
           "umask 022; cc -std=c17 -O1 -shared -fPIC -fvisibility=hidden -I%s/sdk/include -o %s "
           "%s/tests/plugins/fixtures/probe.c",
           TN_SOURCE_ROOT, probe, TN_SOURCE_ROOT);
  cr_assert(system(command) == 0);
  const char *files[] = {probe};
  const tn_registry_options options = {
      .builtin = TN_BUILD_ROOT "/plugins", .path = "", .files = files, .file_count = 1};
  tn_error error = {0};
  registry = tn_registry_open(&options, &error);
  cr_assert(registry != NULL, "%s", error.text);
}
static void stop(void) { unlink(probe); }
TestSuite(stages, .init = start, .fini = stop, .timeout = 60);

static const char digits[] = "[pipeline]\n"
                             "stages = train, test\n"
                             "observers =\n"
                             "[digits]\n"
                             "use = dataset.csv\n"
                             "file = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
                             "validation = 10%\n"
                             "[scale]\n"
                             "use = transform.standardise\n"
                             "[net]\n"
                             "use = model.mlp\n"
                             "hidden = 64\n"
                             "[opt]\n"
                             "use = optimizer.adamw\n"
                             "lr = 3e-3\n"
                             "[train]\n"
                             "use = stage.supervised\n"
                             "data = digits\n"
                             "transforms = scale\n"
                             "model = net\n"
                             "loss = loss.cross_entropy\n"
                             "optimizer = opt\n"
                             "epochs = 8\n"
                             "batch = 64\n"
                             "[test]\n"
                             "use = stage.evaluate\n"
                             "data = digits:test\n"
                             "transforms = scale\n"
                             "model = net\n"
                             "metrics = metric.accuracy, metric.confusion\n";

static tn_pipeline *open_pipeline(const char *directory, bool smoke, const char *const *overrides,
                                  uint32_t count, tn_error *error) {
  char path[] = "/tmp/tenon-stages-XXXXXX";
  FILE *file = fdopen(mkstemp(path), "w");
  fputs(digits, file);
  fclose(file);
  const tn_pipeline_options options = {.file = path,
                                       .overrides = overrides,
                                       .override_count = count,
                                       .directory = directory,
                                       .smoke = smoke,
                                       .quiet = true};
  tn_pipeline *p = tn_pipeline_open(registry, &options, error);
  unlink(path);
  return p;
}
#define OVERRIDES(...) \
  ((const char *const[]){__VA_ARGS__}), TN_ARRAY_LENGTH(((const char *const[]){__VA_ARGS__}))

static double result(const tn_pipeline *p, const char *name) {
  const tn_result *results;
  const uint32_t count = tn_pipeline_results(p, &results);
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(results[i].name, name) == 0) return results[i].value;
  cr_assert_fail("no result '%s' among %u", name, count);
  return NAN;
}
/* Runs the digits with overrides; the caller closes the pipeline. */
static tn_pipeline *run(const char *const *overrides, uint32_t count) {
  tn_error error = {0};
  tn_pipeline *p = open_pipeline(NULL, false, overrides, count, &error);
  cr_assert(p != NULL, "%s", error.text);
  cr_assert(tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  return p;
}
static void expect_accuracy(const char *const *overrides, uint32_t count, double least) {
  tn_pipeline *p = run(overrides, count);
  const double accuracy = result(p, "test.accuracy");
  cr_assert(accuracy >= least, "expected at least %g, got %g", least, accuracy);
  tn_pipeline_close(p);
}
/* All bytes of a section's trainable parameters, as a sum that any change of a bit changes. */
static double checksum(tn_pipeline *p, const char *section) {
  const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, section));
  double sum = 0;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    const tn_tensor *x = tn_param_tensor(params, i);
    for (int64_t j = 0; j < tn_numel(x); j++) sum += (double)tn_f32(x)[j] * (double)(1 + (j * 31 + i) % 97);
  }
  return sum;
}

Test(stages, train_and_test) {
  tn_pipeline *p = run(OVERRIDES("train.validation=digits:validation", "train.metrics=metric.accuracy"));
  cr_assert(result(p, "test.accuracy") >= 0.95, "got %g", result(p, "test.accuracy"));
  cr_assert(result(p, "test.f1") >= 0.95);
  cr_assert(result(p, "train.validation_accuracy") >= 0.95, "got %g", result(p, "train.validation_accuracy"));
  cr_assert(result(p, "train.validation_loss") < 0.3, "got %g", result(p, "train.validation_loss"));
  cr_assert(result(p, "train.accuracy") >= 0.98);
  cr_assert(result(p, "train.loss") < 0.1);
  tn_pipeline_close(p);
}

Test(stages, variants_learn) {
  expect_accuracy(OVERRIDES("net.norm=batch", "net.dropout=0.1"), 0.95);
  expect_accuracy(OVERRIDES("net.norm=batch", "net.norm_output=yes", "train.ema=0.95"), 0.94);
  expect_accuracy(OVERRIDES("net.norm=layer", "net.activation=gelu", "train.schedule=schedule.warmup"), 0.95);
  expect_accuracy(OVERRIDES("train.loss=loss.squared_error", "train.gradient=gradient.clip_norm"), 0.94);
  expect_accuracy(OVERRIDES("train.batch=10%", "train.epochs=0", "train.steps=200", "opt.use=optimizer.sgd",
                            "opt.lr=0.1"),
                  0.93);
}

Test(stages, same_seed_same_bits) {
  double sums[3];
  for (int round = 0; round < 3; round++) {
    tn_pipeline *p = run(
        OVERRIDES("train.epochs=2", "net.dropout=0.2", round == 2 ? "pipeline.seed=2" : "pipeline.seed=1"));
    sums[round] = checksum(p, "net");
    tn_pipeline_close(p);
  }
  EXPECT_REAL(sums[1], sums[0]);
  cr_assert(sums[2] != sums[0], "another seed, other numbers");
}

/* Parameters of loss and transform are trained with the model's, and averaged with them. */
Test(stages, losses_and_transforms_may_own_parameters) {
  expect_accuracy(OVERRIDES("train.loss=loss.scaled", "train.transforms=scale, gain",
                            "test.transforms=scale, gain", "gain.use=transform.gain", "train.epochs=8"),
                  0.95);
  tn_pipeline *p =
      run(OVERRIDES("train.loss=temper", "temper.use=loss.scaled", "train.ema=0.9", "net.norm=batch"));
  const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "temper"));
  const float first = tn_f32(tn_param_tensor(params, 0))[0];
  cr_assert(fabsf(first - 1) > 1e-3f, "the temperature did not move: %g", (double)first);
  cr_assert(result(p, "test.accuracy") >= 0.94, "got %g", result(p, "test.accuracy"));
  tn_pipeline_close(p);
}

/* The optimizer itself checks that the closure gives the loss and gradient of the step. */
Test(stages, closures_evaluate_the_same_batch) {
  expect_accuracy(OVERRIDES("opt.use=optimizer.halving", "opt.lr=4", "net.dropout=0.1", "train.steps=60",
                            "train.epochs=0", "train.batch=256"),
                  0.85);
  expect_accuracy(OVERRIDES("opt.use=optimizer.halving", "opt.lr=4", "train.loss=loss.scaled",
                            "train.steps=60", "train.epochs=0", "train.batch=full", "net.norm=batch"),
                  0.85);
}

/* One callback in a scope of its own, as the host does it. */
static tn_status call(tn_status (*function)(void *), const tn_component *stage) {
  tn_scope_open();
  const tn_status status = function(stage->self);
  tn_scope_close();
  cr_assert(status >= 0, "%s", harness_failure());
  return status;
}
static tn_pipeline *begun(const char *const *overrides, uint32_t count, const tn_component **train) {
  tn_error error = {0};
  tn_pipeline *p = open_pipeline(NULL, false, overrides, count, &error);
  cr_assert(p != NULL && tn_pipeline_check(p, &error) >= 0, "%s", error.text);
  *train = tn_pipeline_find(p, "train");
  call(((const tn_stage *)(*train)->vtable)->begin, *train);
  return p;
}
static void finish(const tn_component *train) {
  const tn_stage *stage = train->vtable;
  while (call(stage->step, train) != TN_DONE) {
  }
  call(stage->end, train);
}

/* 30 steps and the rest, against 30 steps, all states into fresh components, and the rest there. */
Test(stages, resume_bit_for_bit) {
  enum { MOST = 32 };
  const char *const overrides[] = {"net.norm=batch",
                                   "net.dropout=0.2",
                                   "train.ema=0.9",
                                   "train.epochs=3",
                                   "train.metrics=metric.accuracy",
                                   "train.validation=digits:validation",
                                   "train.schedule=schedule.cosine"};
  const tn_component *train, *again;
  harness_state *states[MOST] = {NULL};
  tn_pipeline *p = begun(overrides, TN_ARRAY_LENGTH(overrides), &train);
  for (int i = 0; i < 30; i++) call(((const tn_stage *)train->vtable)->step, train);
  const uint32_t count = tn_pipeline_count(p);
  cr_assert(count <= MOST);
  for (uint32_t i = 0; i < count; i++)
    if (TN_HAS(tn_pipeline_at(p, i)->cls, tn_class, state)) states[i] = harness_save(tn_pipeline_at(p, i));
  tn_params *kept = tn_params_clone(tn_pipeline_parameters(p, tn_pipeline_find(p, "net")));
  finish(train);
  /* driven by hand, outside a run: results have no stage in front */
  const double wanted = checksum(p, "net"), loss = result(p, "validation_loss"),
               accuracy = result(p, "accuracy");

  tn_pipeline *q = begun(overrides, TN_ARRAY_LENGTH(overrides), &again);
  for (uint32_t i = 0; i < count; i++)
    if (states[i]) harness_load(tn_pipeline_at(q, i), states[i]);
  tn_params_copy(tn_pipeline_parameters(q, tn_pipeline_find(q, "net")), kept);
  finish(again);
  EXPECT_REAL(checksum(q, "net"), wanted);
  EXPECT_REAL(result(q, "validation_loss"), loss);
  EXPECT_REAL(result(q, "accuracy"), accuracy);
  tn_pipeline_close(q);
  for (uint32_t i = 0; i < count; i++)
    if (states[i]) harness_forget(states[i]);
  tn_params_release(kept);
  tn_pipeline_close(p);
}

static const char *refusal(const char *const *overrides, uint32_t count) {
  static tn_error error;
  error = (tn_error){0};
  tn_pipeline *p = open_pipeline(NULL, false, overrides, count, &error);
  if (p) cr_assert(tn_pipeline_run(p, &error) < 0, "it runs");
  tn_pipeline_close(p);
  return error.text;
}
Test(stages, refusals_name_what_is_wrong) {
  EXPECT_CONTAINS(refusal(OVERRIDES("net.output=7")), "10 classes");
  EXPECT_CONTAINS(refusal(OVERRIDES("train.steps=5")), "not both");
  EXPECT_CONTAINS(refusal(OVERRIDES("scale.field=picture")), "picture");
  EXPECT_CONTAINS(refusal(OVERRIDES("digits.label=none", "digits.target=65")), "'logits'");
  EXPECT_CONTAINS(refusal(OVERRIDES("test.predictor=net")), "predictor");
  const char *diverged = refusal(OVERRIDES("opt.use=optimizer.sgd", "opt.lr=1e30"));
  EXPECT_CONTAINS(diverged, "loss became");
  EXPECT_CONTAINS(diverged, "step");
}

Test(stages, smoke_takes_a_few_steps) {
  tn_error error = {0};
  tn_pipeline *p = open_pipeline(NULL, true, OVERRIDES("train.validation=digits:validation"), &error);
  cr_assert(p != NULL && tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  tn_progress progress;
  const tn_component *train = tn_pipeline_find(p, "train");
  ((const tn_stage *)train->vtable)->progress(train->self, &progress);
  EXPECT_INT(progress.step, 3);
  EXPECT_INT(progress.steps, 3);
  tn_pipeline_close(p);
}

/* A long run leaves some 500 events. */
Test(stages, observers_write_their_files) {
  char directory[] = "/tmp/tenon-run-XXXXXX", path[256], line[4096];
  cr_assert(mkdtemp(directory) != NULL);
  char run_directory[160];
  snprintf(run_directory, sizeof run_directory, "%s/run", directory);
  setenv("TENON_QUIET", "1", 1);
  tn_error error = {0};
  tn_pipeline *p =
      open_pipeline(run_directory, false,
                    OVERRIDES("pipeline.observers=observer.jsonl, observer.csv, observer.progress",
                              "train.epochs=60", "train.metrics=metric.accuracy"),
                    &error);
  cr_assert(p != NULL, "%s", error.text);
  cr_assert(tn_pipeline_run(p, &error) >= 0, "%s", error.text);
  tn_pipeline_close(p);
  int steps = 0, matrices = 0, results = 0, figures = 0;
  snprintf(path, sizeof path, "%s/metrics.jsonl", run_directory);
  FILE *file = fopen(path, "r");
  cr_assert(file != NULL);
  while (fgets(line, sizeof line, file)) {
    cr_assert(line[0] == '{' && strstr(line, "}\n"));
    steps += strstr(line, "\"type\":\"step\"") != NULL;
    results += strstr(line, "\"type\":\"result\"") != NULL;
    matrices +=
        strstr(line, "\"type\":\"matrix\",\"stage\":\"test\"") != NULL && strstr(line, "\"shape\":[10,10]");
  }
  fclose(file);
  cr_assert(steps > 300 && steps <= 520, "%d step events", steps);
  EXPECT_INT(matrices, 1);
  EXPECT_INT(results, 2 + 4);
  snprintf(path, sizeof path, "%s/metrics.csv", run_directory);
  file = fopen(path, "r");
  cr_assert(file != NULL && fgets(line, sizeof line, file) != NULL);
  EXPECT_TEXT(line, "kind,stage,step,epoch,seconds,name,value\n");
  while (fgets(line, sizeof line, file)) figures++;
  EXPECT_INT(figures, 4 * steps + results);
  fclose(file);
  char command[256];
  snprintf(command, sizeof command, "rm -r %s", directory);
  cr_assert(system(command) == 0);
}

/* ---- micro-batches ---- */

/* The largest difference between the parameters of `net` after training in float64 with these overrides and
 * after training on whole batches. */
static double difference_of_parts(const char *parts, const char *more) {
  tn_pipeline *runs[2];
  double worst = 0;
  for (int i = 0; i < 2; i++)
    runs[i] = run(OVERRIDES(i ? parts : "train.micro_batches=1", more, "pipeline.precision=float64",
                            "train.epochs=2", "opt.use=optimizer.sgd", "opt.lr=0.05", "train.batch=50",
                            "train.validation=digits:validation", "train.metrics=metric.accuracy"));
  for (uint32_t k = 0; k < 4; k++) {
    const tn_tensor *x =
        tn_param_tensor(tn_pipeline_parameters(runs[0], tn_pipeline_find(runs[0], "net")), k);
    const tn_tensor *y =
        tn_param_tensor(tn_pipeline_parameters(runs[1], tn_pipeline_find(runs[1], "net")), k);
    for (int64_t j = 0; j < tn_numel(x); j++) worst = fmax(worst, fabs(tn_f64(x)[j] - tn_f64(y)[j]));
  }
  const char *same[] = {"train.accuracy", "train.validation_accuracy", "test.accuracy"};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(same); i++)
    cr_expect(result(runs[0], same[i]) == result(runs[1], same[i]), "%s with %s", same[i], parts);
  const double loss = result(runs[0], "train.loss"), of_parts = result(runs[1], "train.loss");
  cr_expect(fabs(loss - of_parts) <= 1e-12, "loss %.17g and %.17g with %s", loss, of_parts, parts);
  tn_pipeline_close(runs[1]);
  tn_pipeline_close(runs[0]);
  return worst;
}

/* Where a loss is a mean over rows and nothing else looks at the batch, parts change rounding alone; also
 * parts of different sizes, and more parts than the last batch (1 row of 1,201 or so) has rows. */
Test(stages, micro_batches_give_the_gradient_of_the_batch) {
  const char *parts[] = {"train.micro_batches=2", "train.micro_batches=7", "train.micro_batches=50"};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(parts); i++) {
    const double worst = difference_of_parts(parts[i], "train.ema=0.5");
    cr_expect(worst > 0 && worst < 1e-12, "%s: parameters differ by %g", parts[i], worst);
  }
}

/* An optimizer that evaluates at other points sees the same objective. */
Test(stages, micro_batches_evaluate_at_other_points) {
  tn_pipeline *p = run(OVERRIDES("train.micro_batches=4", "opt.use=optimizer.lbfgs", "opt.lr=1",
                                 "train.batch=full", "train.epochs=0", "train.steps=30"));
  cr_expect(result(p, "test.accuracy") >= 0.9, "got %g", result(p, "test.accuracy"));
  tn_pipeline_close(p);
}

/* The sum of a running statistic of the only normalised layer after one step on all rows. */
static double statistic(const char *parts, const char *name) {
  tn_pipeline *p = run(OVERRIDES(parts, "net.norm=batch", "pipeline.precision=float64", "train.batch=full",
                                 "train.epochs=0", "train.steps=1"));
  const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
  double sum = 0;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    tn_params_entry(params, i, &entry);
    if (entry.group != TN_BUFFER || !strstr(entry.name, name)) continue;
    for (int64_t j = 0; j < tn_numel(entry.tensor); j++) sum += tn_f64(entry.tensor)[j];
  }
  tn_pipeline_close(p);
  return sum;
}

/* Means over parts, weighted by their rows, are means over the batch, however uneven the parts. Variances are
 * those within parts: another estimate of the same. */
Test(stages, micro_batches_average_running_statistics) {
  const double mean = statistic("train.micro_batches=1", "mean"),
               of_parts = statistic("train.micro_batches=7", "mean");
  cr_expect(mean != 0 && fabs(mean - of_parts) <= 1e-12, "expected %.17g, got %.17g", mean, of_parts);
  const double variance = statistic("train.micro_batches=1", "variance"),
               within = statistic("train.micro_batches=7", "variance");
  cr_expect(within != variance && fabs(within / variance - 1) < 0.01, "variance %g, within parts %g",
            variance, within);
  tn_pipeline *p = run(OVERRIDES("train.micro_batches=4", "net.norm=batch", "net.dropout=0.1"));
  cr_expect(result(p, "test.accuracy") >= 0.95, "got %g", result(p, "test.accuracy"));
  tn_pipeline_close(p);
}
