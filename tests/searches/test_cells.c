// SPDX-License-Identifier: MIT
/* Supernets of cells and the networks of their genotypes. */
#include "../models/support.h"
#include <string.h>
#include <tenon/supernet.h>

TestSuite(cells, .fini = harness_close, .timeout = 60);

enum { SIDE = 7, CLASSES = 10 };
static void describe(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(3, SIDE, SIDE), 0);
  tn_spec_set(spec, "label", TN_I64, tn_shape_of(tn_scalar(TN_I64, 0)), CLASSES);
}
static tn_fields *rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, 3, SIDE, SIDE), first));
  return fields;
}
static const data images = {describe, rows};

#define SMALL "channels = 4\ncells = 2\nreductions = 1\nnodes = 2\nstem_multiplier = 2\n"
/* The published cell DARTS V2 (Liu et al. 2018, figures 4 and 5). */
#define DARTS_V2                                                                          \
  "normal = sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 "  \
  "skip_connect:0 skip_connect:0 dil_conv_3x3:2, reduce = max_pool_3x3:0 max_pool_3x3:1 " \
  "skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 skip_connect:2 max_pool_3x3:1"

static const tn_supernet *net_of(const tn_component *m) { return tn_supernet_of(m); }
static tn_supernet_table table_of(const tn_component *m, uint32_t i) {
  tn_supernet_table table;
  cr_assert(net_of(m)->table(m->self, i, &table) >= 0);
  return table;
}
static tn_tensor *entry_named(const tn_params *params, const char *name) {
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) return e.tensor;
  }
  return NULL;
}
static tn_tensor *logits_at(const tn_component *m, const tn_params *params, tn_fields *inputs) {
  tn_rng rng = tn_rng_at("cells", "test", 0);
  tn_model_call call = {.size = sizeof call, .params = params, .inputs = inputs, .rng = &rng};
  call.outputs = tn_fields_new();
  call.progress = (tn_progress){.size = sizeof call.progress, .mode = TN_TRAIN};
  cr_assert(tn_model_apply(m, &call) >= 0, "%s", harness_failure());
  return tn_field(call.outputs, "logits");
}

Test(cells, fourteen_edges_for_four_nodes_and_five_for_two) {
  const tn_component *m =
      open_model("float32", "use = model.darts_supernet\nchannels = 2\ncells = 1", &images);
  EXPECT_INT(table_of(m, 0).rows, 14);
  EXPECT_INT(table_of(m, 1).operations, 8);
  m = open_model("float32", "use = model.darts_supernet\nops = sharp\n" SMALL, &images);
  EXPECT_INT(table_of(m, 0).rows, 5);
  EXPECT_INT(table_of(m, 0).operations, 9);
}

/* 3,349,342: what the authors' log says of their network, "param size = 3.349342MB", auxiliary head apart. */
Test(cells, the_published_network_has_its_parameters) {
  const tn_component *m = open_model("float32", "use = model.genotype_net\ngenotype = " DARTS_V2, &images);
  EXPECT_INT(size_of(m), 3349342);
}

Test(cells, gradients_are_central_differences) {
  static const char *const weightings[] = {"scalar", "max_w"};
  for (int i = 0; i < 2; i++) {
    char keys[256];
    snprintf(keys, sizeof keys,
             "use = model.darts_supernet\n" SMALL "ops = none, skip_connect, sep_conv_3x3\n"
             "weighting = %s",
             weightings[i]);
    const tn_component *m = open_model("float64", keys, &images);
    expect_gradients_by(m, rows(0, 4), TN_TRAIN, "logits", 1e-6);
    expect_pure(m, &images, "logits");
  }
}

/* With the gates of a genotype, rescaled, every kept operation has the coefficient 1: the network is that of
 * the genotype, whose normalisations start with scale 1 and shift 0. */
Test(cells, one_hot_is_the_derived_network) {
  static const char genotype[] = "normal = sep_conv_3x3:0 skip_connect:1 dil_conv_3x3:0 sep_conv_3x3:2, "
                                 "reduce = skip_connect:0 dil_conv_3x3:1 sep_conv_3x3:1 skip_connect:2";
  char sections[1600];
  snprintf(sections, sizeof sections,
           "[m]\nuse = model.darts_supernet\n" SMALL "[n]\nuse = model.genotype_net\ndrop_path = 0\n"
           "genotype = %s\n" SMALL,
           genotype);
  /* genotype_net has no key `nodes`: the genotype says it. */
  char *at = strstr(strstr(sections, "[n]"), "nodes = 2\n");
  memmove(at, at + 10, strlen(at + 10) + 1);
  harness_open("float64", sections);
  const tn_component *m = harness_component("m"), *n = harness_component("n");
  tn_spec *spec = tn_spec_new();
  describe(spec);
  cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
  cr_assert(tn_declare_component(n, spec, NULL) >= 0, "%s", harness_failure());
  tn_params *super = tn_params_clone(tn_parameters(m)), *derived = tn_parameters(n);
  cr_assert(net_of(m)->discretise(m->self, super, genotype, true) >= 0, "%s", harness_failure());
  for (uint32_t i = 0; i < tn_params_count(derived); i++) {
    tn_param_entry e;
    tn_params_entry(derived, i, &e);
    const tn_tensor *from = entry_named(super, e.name);
    cr_assert(from || strstr(e.name, "norm"), "%s is not in the supernet", e.name);
    if (from) memcpy(tn_data(e.tensor), tn_data(from), (size_t)tn_numel(from) * sizeof(double));
  }
  tn_fields *inputs = rows(0, 6);
  const tn_tensor *x = logits_at(m, super, inputs), *y = logits_at(n, derived, inputs);
  for (int64_t i = 0; i < tn_numel(x); i++) EXPECT_NEAR(harness_at(x, i), harness_at(y, i), 1e-10);
  tn_params_release(super);
  tn_spec_release(spec);
}

/* One node and one cell: the logits are affine in the coefficients, and softmax gives all of them 1/K. So the
 * supernet is the mean over the operations of networks that have nothing but this one, with coefficient 1. */
Test(cells, uniform_weights_are_the_mean_of_the_operations) {
  const tn_component *m = open_model("float64",
                                     "use = model.darts_supernet\nchannels = 4\ncells = 1\nreductions = 0\n"
                                     "nodes = 1\nstem_multiplier = 2",
                                     &images);
  tn_params *params = tn_params_clone(tn_parameters(m));
  const tn_supernet_table table = table_of(m, 1); /* reduce */
  const int64_t operations = table.operations, edges = table.rows;
  tn_tensor *alpha = tn_param_tensor(params, table.alpha), *gate = tn_param_tensor(params, table.gate);
  for (int64_t i = 0; i < tn_numel(alpha); i++) tn_f64(alpha)[i] = 0.3; /* any, but all alike */
  tn_fields *inputs = rows(0, 6);
  const tn_tensor *mixed = logits_at(m, params, inputs);
  double mean[6 * CLASSES] = {0}, apart = 0;
  for (int64_t o = 0; o < operations; o++) {
    for (int64_t i = 0; i < edges * operations; i++)
      tn_f64(gate)[i] = i % operations == o ? (double)operations : 0;
    const tn_tensor *one = logits_at(m, params, inputs);
    for (int64_t i = 0; i < 6 * CLASSES; i++) {
      mean[i] += harness_at(one, i) / (double)operations;
      apart += fabs(harness_at(one, i) - harness_at(mixed, i));
    }
  }
  cr_assert(apart > 1, "the operations are all alike");
  EXPECT_INT(operations, 8);
  for (int64_t i = 0; i < 6 * CLASSES; i++) EXPECT_NEAR(harness_at(mixed, i), mean[i], 1e-12);
  tn_params_release(params);
}

/* Cells of four nodes and all operations. Of each edge the strongest operation other than none has `best`;
 * everything else is 0 but none, which is strongest on some edges and weakest on others. Node 0 takes both
 * its inputs, the others their two best; node 2 has a tie between inputs 1 and 3, which the lower wins. */
Test(cells, genotype_of_fourteen_edges_by_hand) {
  const tn_component *m =
      open_model("float64", "use = model.darts_supernet\nchannels = 2\ncells = 1\nreductions = 0", &images);
  enum { NONE, MAX, AVG, SKIP, SEP3, SEP5, DIL3, DIL5 };
  static const struct {
    int operation;
    double best, none;
  } edges[14] = {{MAX, 1, 0},  {AVG, 0.5, 5},                                               /* node 0 */
                 {SKIP, 2, 0}, {SEP3, 1, 0},  {SEP5, 3, -1},                                /* node 1 */
                 {DIL3, 1, 0}, {DIL5, 2, 0},  {MAX, 3, 0},   {SKIP, 2, 0},                  /* node 2 */
                 {SEP3, 4, 6}, {DIL5, 2, -3}, {AVG, 1, 0},   {SEP5, 0.5, 0}, {DIL3, 3, 0}}; /* node 3 */
  tn_params *params = tn_parameters(m);
  for (uint32_t k = 0; k < 2; k++) {
    EXPECT_INT(table_of(m, k).rows, 14);
    tn_tensor *alpha = tn_param_tensor(params, table_of(m, k).alpha);
    for (int64_t e = 0; e < 14; e++) {
      double *row = tn_f64(alpha) + 8 * e;
      for (int o = 0; o < 8; o++) row[o] = 0;
      row[NONE] = edges[e].none;
      row[edges[e].operation] = edges[e].best;
    }
  }
  char *text = NULL;
  tn_rng rng = tn_rng_at("cells", "derive", 0);
  cr_assert(net_of(m)->derive(m->self, params, "", &rng, &text) >= 0, "%s", harness_failure());
  /* Softmax weights decide, and none takes its share: of node 3's edges the first has 4 against none's 6,
   * e^4 / (e^4 + e^6 + 6) = 0.12; the second e^2 / (e^2 + e^-3 + 6) = 0.55; the last e^3 / (e^3 + 7) = 0.74.
   */
  cr_assert_str_eq(text,
                   "normal = max_pool_3x3:0 avg_pool_3x3:1 skip_connect:0 sep_conv_5x5:2 dil_conv_5x5:1 "
                   "max_pool_3x3:2 dil_conv_5x5:1 dil_conv_3x3:4, "
                   "reduce = max_pool_3x3:0 avg_pool_3x3:1 skip_connect:0 sep_conv_5x5:2 dil_conv_5x5:1 "
                   "max_pool_3x3:2 dil_conv_5x5:1 dil_conv_3x3:4");
  tn_free(text);
}

/* none dominates everywhere and is never kept; edge and operation by hand: node 0 takes both inputs, node 1
 * the inputs 0 and 2, whose best operations are stronger than that of 1. */
Test(cells, genotype_of_a_table_by_hand) {
  const tn_component *m = open_model(
      "float64", "use = model.darts_supernet\n" SMALL "ops = none, max_pool_3x3, skip_connect", &images);
  tn_params *params = tn_parameters(m);
  static const double alpha[5][3] = {{9, 1, 0}, {9, 0, 1}, {9, 3, 0}, {9, 0, 1}, {9, 0, 2}};
  for (uint32_t k = 0; k < 2; k++)
    memcpy(tn_data(tn_param_tensor(params, table_of(m, k).alpha)), alpha, sizeof alpha);
  char *text = NULL;
  tn_rng rng = tn_rng_at("cells", "derive", 0);
  cr_assert(net_of(m)->derive(m->self, params, "", &rng, &text) >= 0, "%s", harness_failure());
  cr_assert_str_eq(text, "normal = max_pool_3x3:0 skip_connect:1 max_pool_3x3:0 skip_connect:2, "
                         "reduce = max_pool_3x3:0 skip_connect:1 max_pool_3x3:0 skip_connect:2");
  tn_free(text);
}

Test(cells, wrong_keys_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.darts_supernet\nops = none, sep_conv_3x4", NULL),
                  "no operation 'sep_conv_3x4'; did you mean 'sep_conv_3x3'?");
  EXPECT_CONTAINS(refusal("use = model.genotype_net", NULL), "give a genotype or `of`");
  EXPECT_CONTAINS(refusal("use = model.genotype_net\ngenotype = normal = skip_connect:0 skip_connect:5, "
                          "reduce = skip_connect:0 skip_connect:1",
                          NULL),
                  "node 0 has inputs 0 to 1, got 5");
}
