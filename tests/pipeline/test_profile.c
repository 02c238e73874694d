// SPDX-License-Identifier: MIT
/* What a person who asks where the time goes, or where the first NaN comes from, is told. */
#include "../expect.h"
#include "core/pipeline/pipeline.h"
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#define PIPELINE                                                                             \
  "[pipeline]\nstages = train\nobservers =\n"                                                \
  "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT                                      \
  "/examples/data/digits.csv.gz\nheader = no\nlabel = last\nscale = 16\n"                    \
  "[net]\nuse = model.mlp\nhidden = 16\nactivation = square\n"                               \
  "[train]\nuse = stage.supervised\ndata = digits\nmodel = net\nloss = loss.cross_entropy\n" \
  "optimizer = gd\nsteps = 20\nbatch = 10\n[gd]\nuse = optimizer.sgd\n"

static tn_registry *registry;
static char file[64], directory[64];
static tn_error error;

static void begin(void) {
  tn_host_start();
  tn_registry_options options = {0};
  registry = tn_registry_open(&options, &error);
  cr_assert(registry, "%s", error.text);
  snprintf(file, sizeof file, "/tmp/tenon-profile-%d.ini", (int)getpid());
  snprintf(directory, sizeof directory, "/tmp/tenon-profile-%d", (int)getpid());
  FILE *out = fopen(file, "w");
  cr_assert(out && fputs(PIPELINE, out) >= 0 && fclose(out) == 0);
}
static void end(void) {
  char command[256];
  tn_registry_close(registry);
  snprintf(command, sizeof command, "rm -rf %s %s", directory, file);
  cr_expect_eq(system(command), 0);
}
TestSuite(profile, .init = begin, .fini = end);

static tn_pipeline *open_file(bool profile, bool trap, const char *lr) {
  const char *const overrides[] = {lr};
  const tn_pipeline_options options = {.file = file,
                                       .overrides = overrides,
                                       .override_count = 1,
                                       .directory = profile ? directory : NULL,
                                       .quiet = true,
                                       .profile = profile,
                                       .trap_nan = trap};
  tn_pipeline *p = tn_pipeline_open(registry, &options, &error);
  cr_assert(p, "%s", error.text);
  return p;
}

/* Number of events of a category whose name is `name`, and the sum of their durations. */
static int count_events(const json_t *events, const char *category, const char *name, double *duration) {
  int count = 0;
  for (size_t i = 0; i < json_array_size(events); i++) {
    const json_t *e = json_array_get(events, i);
    if (strcmp(json_string_value(json_object_get(e, "cat")), category) != 0 ||
        strcmp(json_string_value(json_object_get(e, "name")), name) != 0)
      continue;
    *duration += json_number_value(json_object_get(e, "dur"));
    count++;
  }
  return count;
}

Test(profile, the_trace_file_holds_every_call_and_operation_inside_its_caller) {
  tn_pipeline *p = open_file(true, false, "gd.lr=0.01");
  cr_assert_eq(tn_pipeline_run(p, &error), TN_OK, "%s", error.text);
  char path[256];
  snprintf(path, sizeof path, "%s/trace.json", directory);
  json_error_t wrong;
  json_t *trace = json_load_file(path, 0, &wrong);
  cr_assert(trace, "%s", wrong.text);
  const json_t *events = json_object_get(trace, "traceEvents");
  double step = 0, apply = 0, square = 0, stage = 0;
  EXPECT_INT(count_events(events, "component", "train step", &step), 20);
  EXPECT_INT(count_events(events, "component", "net apply", &apply), 20);
  EXPECT_INT(count_events(events, "operation", "square", &square), 20); /* one hidden layer */
  EXPECT_INT(count_events(events, "stage", "train", &stage), 1);
  cr_expect(square > 0 && square < apply && apply < step && step < stage, "%g %g %g %g", square, apply, step,
            stage);
  json_decref(trace);

  char *text = NULL;
  size_t bytes;
  FILE *out = open_memstream(&text, &bytes);
  tn_pipeline_print_profile(p, out);
  fclose(out);
  cr_expect(strstr(text, "net (model.mlp) apply                               20"), "%s", text);
  cr_expect(strstr(text, "square.backward                                     20"), "%s", text);
  cr_expect(strstr(text, "\ntrain  "), "%s", text);
  free(text);
  tn_pipeline_close(p);
}

/* With h = (W x + b)^2 and a learning rate of 1e30 the second step squares numbers of about 1e30 in float32.
 */
Test(profile, the_trap_names_the_operation_its_shapes_and_the_component) {
  tn_pipeline *p = open_file(false, true, "gd.lr=1e30");
  cr_expect(tn_pipeline_run(p, &error) < 0);
  char expected[256];
  snprintf(expected, sizeof expected, "%s:10: [net] model.mlp apply: square gives inf at element ", file);
  cr_expect_eq(strncmp(error.text, expected, strlen(expected)), 0, "%s", error.text);
  cr_expect(strstr(error.text, " from finite operands (10, 16) -> (10, 16)"), "%s", error.text);
  tn_pipeline_close(p);
}

/* Without it the run ends later, with the loss. */
Test(profile, without_the_trap_the_loss_is_what_fails) {
  tn_pipeline *p = open_file(false, false, "gd.lr=1e30");
  cr_expect(tn_pipeline_run(p, &error) < 0);
  cr_expect(strstr(error.text, "the loss became"), "%s", error.text);
  tn_pipeline_close(p);
}

Test(profile, a_run_of_finite_numbers_is_the_same_under_the_trap) {
  uint64_t hash[2];
  for (int trap = 0; trap < 2; trap++) {
    tn_pipeline *p = open_file(false, trap, "gd.lr=0.01");
    cr_assert_eq(tn_pipeline_run(p, &error), TN_OK, "%s", error.text);
    const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
    hash[trap] = 14695981039346656037u; /* FNV-1a */
    for (uint32_t i = 0; i < tn_params_count(params); i++) {
      const tn_tensor *t = tn_param_tensor(params, i);
      const unsigned char *bytes = tn_data(t);
      for (int64_t b = 0; b < 4 * tn_numel(t); b++) hash[trap] = (hash[trap] ^ bytes[b]) * 0x100000001b3u;
    }
    tn_pipeline_close(p);
  }
  cr_expect_eq(hash[0], hash[1]);
}
