// SPDX-License-Identifier: MIT
/* stage.export: what is in the files is what is in the run. */
#include "core/format/npz.h"
#include "core/tensor/safetensors.h"
#include "harness.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static tn_registry *registry;
static char folder[] = "/tmp/tenon-export-XXXXXX";

static void start(void) {
  const tn_registry_options options = {.builtin = TN_BUILD_ROOT "/plugins", .path = ""};
  tn_error error = {0};
  registry = tn_registry_open(&options, &error);
  cr_assert(registry != NULL, "%s", error.text);
  cr_assert(mkdtemp(folder) != NULL);
}
static void stop(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  cr_assert(system(command) == 0);
}
TestSuite(export, .init = start, .fini = stop, .timeout = 60);

static const char digits[] = "[pipeline]\n"
                             "stages = train, test, out\n"
                             "observers =\n"
                             "[digits]\n"
                             "use = dataset.csv\n"
                             "file = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
                             "[net]\n"
                             "use = model.mlp\n"
                             "hidden = 16\n"
                             "norm = batch\n"
                             "[train]\n"
                             "use = stage.supervised\n"
                             "data = digits\n"
                             "model = net\n"
                             "loss = loss.cross_entropy\n"
                             "optimizer = optimizer.adam\n"
                             "epochs = 1\n"
                             "[test]\n"
                             "use = stage.evaluate\n"
                             "data = digits:test\n"
                             "model = net\n"
                             "metrics = metric.accuracy\n"
                             "[out]\n"
                             "use = stage.export\n"
                             "data = digits:test\n"
                             "model = net\n"
                             "parameters = net\n"
                             "batch = 100\n";

static tn_pipeline *run(const char *text, const char *const *overrides, uint32_t count, tn_error *error) {
  const tn_pipeline_options options = {.file = "/tmp/export.ini",
                                       .text = text,
                                       .overrides = overrides,
                                       .override_count = count,
                                       .directory = folder,
                                       .quiet = true};
  tn_pipeline *p = tn_pipeline_open(registry, &options, error);
  if (p && tn_pipeline_run(p, error) >= 0) return p;
  tn_pipeline_close(p);
  return NULL;
}
static tn_npz archive(const char *name) {
  char path[128];
  tn_npz npz = {0};
  tn_format_error why;
  snprintf(path, sizeof path, "%s/artifacts/%s", folder, name);
  cr_assert(tn_npz_read(path, 0, &npz, &why), "%s", why.text);
  return npz;
}

/* The largest logit of each row, against the label of each row: the accuracy that the stage before measured.
 */
Test(export, fields_are_those_that_were_evaluated) {
  tn_error error = {0};
  tn_pipeline *p = run(digits, NULL, 0, &error);
  cr_assert(p != NULL, "%s", error.text);
  tn_npz npz = archive("fields.npz");
  const tn_npy *logits = tn_npz_find(&npz, "logits"), *labels = tn_npz_find(&npz, "label"),
               *input = tn_npz_find(&npz, "input");
  cr_assert(logits && labels && input);
  const size_t rows = labels->count;
  cr_assert(labels->type == TN_NPY_I64 && labels->dims == 1 && rows > 300, "%zu labels", rows);
  cr_assert(logits->type == TN_NPY_F32 && logits->dims == 2 && logits->shape[0] == rows &&
            logits->shape[1] == 10);
  cr_assert(input->dims == 2 && input->shape[0] == rows && input->shape[1] == 64);
  double right = 0;
  for (size_t i = 0; i < rows; i++) {
    const float *row = (const float *)logits->data + 10 * i;
    int64_t best = 0;
    for (int64_t c = 1; c < 10; c++)
      if (row[c] > row[best]) best = c;
    right += best == ((const int64_t *)labels->data)[i];
  }
  const tn_result *results;
  tn_pipeline_results(p, &results);
  double accuracy = -1;
  for (uint32_t i = 0; i < tn_pipeline_results(p, &results); i++)
    if (strcmp(results[i].name, "test.accuracy") == 0) accuracy = results[i].value;
  cr_expect(right / (double)rows == accuracy, "expected %g, got %g", accuracy, right / (double)rows);
  tn_npz_free(&npz);
  tn_pipeline_close(p);
}

/* Both formats hold every entry of the model, running statistics too. */
Test(export, parameters_in_both_formats) {
  tn_error error = {0};
  char path[128];
  tn_pipeline *p =
      run(digits, (const char *[]){"out.format=safetensors", "out.fields=label", "out.most=7"}, 3, &error);
  cr_assert(p != NULL, "%s", error.text);
  tn_npz fields = archive("fields.npz");
  cr_expect(fields.count == 1 && fields.arrays[0].array.count == 7);
  tn_npz_free(&fields);
  tn_pipeline_close(p);
  p = run(digits, (const char *[]){"out.compress=no"}, 1, &error);
  cr_assert(p != NULL, "%s", error.text);
  tn_npz npz = archive("net.npz");
  tn_safetensors *file = NULL;
  snprintf(path, sizeof path, "%s/artifacts/net.safetensors", folder);
  cr_assert(tn_safetensors_open(path, &file) == TN_OK);
  const tn_params *params = tn_pipeline_parameters(p, tn_pipeline_find(p, "net"));
  cr_expect(npz.count == tn_params_count(params) && tn_safetensors_count(file) == npz.count &&
            npz.count == 8);
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    tn_params_entry(params, i, &entry);
    const tn_npy *array = tn_npz_find(&npz, entry.name);
    const tn_safetensor *tensor = tn_safetensors_find(file, entry.name);
    const size_t bytes = (size_t)tn_numel(entry.tensor) * sizeof(float);
    cr_assert(array && tensor, "%s", entry.name);
    cr_expect(array->dims == (size_t)tn_ndim(entry.tensor) &&
              array->shape[0] == (size_t)tn_dim(entry.tensor, 0));
    cr_expect(memcmp(array->data, tn_data(entry.tensor), bytes) == 0, "%s in net.npz", entry.name);
    cr_expect(memcmp(tensor->data, tn_data(entry.tensor), bytes) == 0, "%s in net.safetensors", entry.name);
  }
  tn_safetensors_close(file);
  tn_npz_free(&npz);
  tn_pipeline_close(p);
}

static void put(const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  fputs(text, file);
  fclose(file);
}

/* Graphs of 2, 3 and 1 nodes, two a batch: offsets go on over batches. */
Test(export, ragged_fields_count_over_batches) {
  char text[512];
  tn_error error = {0};
  put("G_A.txt", "1, 2\n2, 1\n3, 5\n5, 3\n");
  put("G_graph_indicator.txt", "1\n1\n2\n2\n2\n3\n");
  put("G_graph_labels.txt", "1\n2\n1\n");
  put("G_node_labels.txt", "0\n1\n0\n0\n1\n1\n");
  snprintf(text, sizeof text,
           "[pipeline]\nstages = out\nobservers =\n[g]\nuse = dataset.tu\nfolder = %s\nname = G\ntest = 0\n"
           "order = file\n[out]\nuse = stage.export\ndata = g\nbatch = 2\nfile = graphs\n",
           folder);
  tn_pipeline *p = run(text, NULL, 0, &error);
  cr_assert(p != NULL, "%s", error.text);
  tn_npz npz = archive("graphs.npz");
  const tn_npy *offset = tn_npz_find(&npz, "node.offset"), *node = tn_npz_find(&npz, "node"),
               *edges = tn_npz_find(&npz, "edge.offset");
  cr_assert(offset && node && edges && offset->count == 4 && edges->count == 4, "%zu offsets", offset->count);
  const int64_t nodes[] = {0, 2, 5, 6}, ends[] = {0, 2, 4, 4};
  cr_expect(memcmp(offset->data, nodes, sizeof nodes) == 0);
  cr_expect(memcmp(edges->data, ends, sizeof ends) == 0);
  cr_expect(node->shape[0] == 6);
  tn_npz_free(&npz);
  tn_pipeline_close(p);
}

Test(export, wrong_ones_are_refused) {
  const struct {
    const char *override, *said;
  } cases[] = {
      {"out.fields=label, logit", "did you mean 'logits'"},
      {"out.data=", "there is nothing to write"},
      {"out.file=../up", "leaves the run directory"},
  };
  for (size_t i = 0; i < TN_ARRAY_LENGTH(cases); i++) {
    tn_error error = {0};
    const char *overrides[] = {cases[i].override, "out.parameters="};
    tn_pipeline *p = run(digits, overrides, 2, &error);
    cr_expect(!p && strstr(error.text, cases[i].said), "%s: %s", cases[i].override, error.text);
    tn_pipeline_close(p);
  }
}
