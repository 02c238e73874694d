// SPDX-License-Identifier: MIT
/* sharpDARTS: Max-W coefficients, SharpSepConv, the HyperCuboid, paths through it and their networks. */
#include "../models/support.h"
#include "plugins/models/mixture.h"
#include "plugins/models/path.h"
#include <tenon/cost.h>
#include <tenon/dataset.h>
#include <tenon/metric.h>
#include <tenon/search.h>
#include <tenon/supernet.h>

TestSuite(paths, .fini = harness_close, .timeout = 60);

enum { SIDE = 7 };
static void describe(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(3, SIDE, SIDE), 0);
  tn_spec_set(spec, "label", TN_I64, tn_shape_of(tn_scalar(TN_I64, 0)), 10);
}
static tn_fields *rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, 3, SIDE, SIDE), first));
  return fields;
}
static const data images = {describe, rows};

#define CUBE "use = model.hypercuboid\nwidths = 2, 3, 4\nlayers = 4\nfinal = 5\n"

static tn_supernet_table table_of(const tn_component *m) {
  tn_supernet_table table;
  cr_assert(tn_supernet_of(m)->table(m->self, 0, &table) >= 0);
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
  tn_rng rng = tn_rng_at("paths", "test", 0);
  tn_model_call call = {.size = sizeof call, .params = params, .inputs = inputs, .rng = &rng};
  call.outputs = tn_fields_new();
  call.progress = (tn_progress){.size = sizeof call.progress, .mode = TN_TRAIN};
  cr_assert(tn_model_apply(m, &call) >= 0, "%s", harness_failure());
  return tn_field(call.outputs, "logits");
}
static void expect_near(const tn_tensor *x, const tn_tensor *y, double tolerance) {
  EXPECT_INT(tn_numel(x), tn_numel(y));
  for (int64_t i = 0; i < tn_numel(x); i++) EXPECT_NEAR(harness_at(x, i), harness_at(y, i), tolerance);
}

/* ---- Max-W ---- */

static void open_nothing(void) { harness_open("float64", "[nothing]\nuse = loss.cross_entropy\n"); }
static void expect_coefficients(const double *w, int32_t weighting, const double *wanted) {
  double alpha[3];
  for (int i = 0; i < 3; i++) alpha[i] = w[i] > 0 ? log(w[i]) : -1e4;
  const tn_tensor *c = mixture_coefficients(harness_tensor(TN_SHAPE(1, 3), alpha), weighting, false);
  for (int i = 0; i < 3; i++) EXPECT_NEAR(harness_at(c, i), wanted[i], 1e-15);
}

Test(paths, max_w_adds_what_the_strongest_lacks) {
  open_nothing();
  const double w[] = {.5, .3, .2}, one_hot[] = {1, 0, 0}, uniform[] = {1. / 3, 1. / 3, 1. / 3};
  expect_coefficients(w, WEIGHTING_SCALAR, w);
  expect_coefficients(w, WEIGHTING_MAX_W, (const double[]){1, .8, .7});
  expect_coefficients(one_hot, WEIGHTING_MAX_W, one_hot);
  expect_coefficients(uniform, WEIGHTING_MAX_W, (const double[]){1, 1, 1});
}

/* d (sum_o g_o c_o) / d alpha */
static void slope_of(const double *alpha, const double *g, bool detach, double *slope) {
  tn_tensor *x = tn_leaf(harness_tensor(TN_SHAPE(1, 4), alpha)), *d;
  tn_tensor *c = mixture_coefficients(x, WEIGHTING_MAX_W, detach);
  tn_grad(tn_sum(tn_mul(c, harness_tensor(TN_SHAPE(1, 4), g))), &x, 1, &d, 0);
  cr_assert(!tn_poisoned(d), "%s", harness_failure());
  for (int i = 0; i < 4; i++) slope[i] = harness_at(d, i);
}
static double mixed(const double *alpha, const double *g) {
  const tn_tensor *c = mixture_coefficients(harness_tensor(TN_SHAPE(1, 4), alpha), WEIGHTING_MAX_W, false);
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += g[i] * harness_at(c, i);
  return sum;
}
Test(paths, the_strongest_has_no_derivative_through_its_own_coefficient) {
  open_nothing();
  const double alpha[] = {0.3, 1.1, -0.4, 0.7}, strongest[] = {0, 1, 0, 0}, all[] = {0.9, -1.3, 0.4, 2};
  double slope[4];
  slope_of(alpha, strongest, false, slope);
  for (int i = 0; i < 4; i++) EXPECT_NEAR(slope[i], 0, 1e-16);
  slope_of(alpha, strongest, true, slope); /* detached: that of its softmax, w_1 (1 - w_1) and - w_1 w_i */
  double sum = 0, w[4];
  for (int i = 0; i < 4; i++) sum += exp(alpha[i]);
  for (int i = 0; i < 4; i++) w[i] = exp(alpha[i]) / sum;
  for (int i = 0; i < 4; i++) EXPECT_NEAR(slope[i], i == 1 ? w[1] * (1 - w[1]) : -w[1] * w[i], 1e-15);
  slope_of(alpha, all, false, slope);
  for (int i = 0; i < 4; i++) {
    double above[4], below[4];
    memcpy(above, alpha, sizeof alpha), memcpy(below, alpha, sizeof alpha);
    above[i] += 1e-5, below[i] -= 1e-5;
    EXPECT_NEAR(slope[i], (mixed(above, all) - mixed(below, all)) / 2e-5, 1e-9);
  }
}

/* ---- SharpSepConv ---- */

static int64_t sharp_size(int64_t out, int64_t k, const char *more) {
  char keys[256];
  snprintf(keys, sizeof keys, "use = model.sharp_sep_conv\nchannels = %d\nkernel = %d\n%s", (int)out, (int)k,
           more);
  return size_of(open_model("float32", keys, &images));
}
Test(paths, sharp_sep_conv_has_its_parameters) {
  static const struct {
    int64_t out, k, mid;
    const char *more;
  } cases[] = {{8, 3, 8, ""},
               {8, 3, 32, "mid_factor = 4\n"},
               {5, 5, 3, "mid_factor = 0.5\nstride = 2\n"},
               {16, 3, 32, "mid = 32\ndilation = 2\n"}};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(cases); i++) {
    const int64_t k2 = cases[i].k * cases[i].k, in = 3, mid = cases[i].mid, out = cases[i].out;
    EXPECT_INT(sharp_size(out, cases[i].k, cases[i].more),
               k2 * in + in * mid + k2 * mid + mid * out + 2 * (mid + out));
  }
}

/* DARTS's sep_conv by hand: ReLU, depthwise, pointwise, normalisation, twice. */
Test(paths, sharp_sep_conv_of_one_width_is_sep_conv) {
  const tn_component *m =
      open_model("float64", "use = model.sharp_sep_conv\nchannels = 3\nstride = 2", &images);
  const tn_params *p = tn_parameters(m);
  tn_fields *inputs = rows(0, 5);
  tn_tensor *x = tn_field(inputs, "image");
  static const char *const halves[] = {"block.first", "block.second"};
  for (int i = 0; i < 2; i++) {
    char names[4][64];
    static const char *const parts[] = {"depthwise.weight", "pointwise.weight", "norm.weight", "norm.bias"};
    for (int n = 0; n < 4; n++) snprintf(names[n], sizeof names[n], "%s.%s", halves[i], parts[n]);
    const int64_t stride = i == 0 ? 2 : 1;
    const tn_conv depthwise = {{stride, stride}, {1, 1}, {1, 1}, 3};
    x = tn_convolution(tn_relu(x), entry_named(p, names[0]), NULL, &depthwise);
    x = tn_conv2d(x, entry_named(p, names[1]), NULL, 1, 0);
    x = tn_batch_norm(x, entry_named(p, names[2]), entry_named(p, names[3]), 1e-5, NULL, NULL);
  }
  expect_near(output(m, inputs, TN_TRAIN, "features"), x, 1e-12);
  EXPECT_INT(tn_dim(x, 2), (SIDE + 1) / 2);
}
/* Cells of sep_conv are the same with either block; those of dil_conv have another half. */
Test(paths, sharp_cells_differ_in_dilated_convolutions_alone) {
#define CELLS(op)                                                                                        \
  "use = model.genotype_net\nchannels = 4\ncells = 2\nreductions = 1\nstem_multiplier = 2\ndrop_path = " \
  "0\ngenotype = "                                                                                       \
  "normal = " op ":0 " op ":1, reduce = " op ":0 " op ":1\n"
  double sums[2][2];
  int64_t sizes[2][2];
  static const char *const keys[2][2] = {{CELLS("sep_conv_3x3"), CELLS("sep_conv_3x3") "block = sharp\n"},
                                         {CELLS("dil_conv_3x3"), CELLS("dil_conv_3x3") "block = sharp\n"}};
  for (int i = 0; i < 2; i++)
    for (int b = 0; b < 2; b++) {
      const tn_component *m = open_model("float64", keys[i][b], &images);
      sizes[i][b] = size_of(m);
      sums[i][b] = tn_item(tn_sum(tn_square(output(m, rows(0, 4), TN_TRAIN, "logits"))));
    }
  EXPECT_INT(sizes[0][0], sizes[0][1]);
  EXPECT_REAL(sums[0][0], sums[0][1]);
  /* four operations: depthwise 9 c, pointwise c c, normalisation 2 c; cells of 4 and 8 channels */
  EXPECT_INT(sizes[1][1] - sizes[1][0], 2 * (9 * 4 + 16 + 8) + 2 * (9 * 8 + 64 + 16));
}
/* DARTS V2 has 3,349,342 parameters; a second half in the only dilated convolution of its normal cells, six
 * each of 36, 72 and 144 channels, makes the paper's 3.5 million of "DARTS + SSC". */
Test(paths, the_published_cell_with_sharp_blocks_has_its_parameters) {
  const tn_component *m = open_model(
      "float32",
      "use = model.genotype_net\nblock = sharp\ngenotype = normal = sep_conv_3x3:0 sep_conv_3x3:1 "
      "sep_conv_3x3:0 sep_conv_3x3:1 sep_conv_3x3:1 skip_connect:0 skip_connect:0 dil_conv_3x3:2, reduce = "
      "max_pool_3x3:0 max_pool_3x3:1 skip_connect:2 max_pool_3x3:1 max_pool_3x3:0 skip_connect:2 "
      "skip_connect:2 max_pool_3x3:1",
      &images);
  int64_t more = 0;
  for (int64_t c = 36; c <= 144; c *= 2) more += 6 * (9 * c + c * c + 2 * c);
  EXPECT_INT(size_of(m), 3349342 + more);
}
Test(paths, the_first_input_of_sharp_cells_is_taken_as_it_is) {
#define FIRST "use = model.darts_supernet\nchannels = 4\ncells = 2\nreductions = 1\nnodes = 1\n"
  const tn_component *m = open_model("float64", FIRST "ops = sharp\nstem_multiplier = 1", &images);
  cr_assert(!entry_named(tn_parameters(m), "cells.0.first.weight"));
  cr_assert(entry_named(tn_parameters(m), "cells.0.second.weight"));
  expect_pure(m, &images, "logits");
  m = open_model("float32", FIRST "ops = sharp\nstem_multiplier = 2", &images);
  cr_assert(entry_named(tn_parameters(m), "cells.0.first.weight"));
  m = open_model("float32", FIRST "stem_multiplier = 1", &images);
  cr_assert(entry_named(tn_parameters(m), "cells.0.first.weight"));
}

/* ---- routes ---- */

enum { WIDTHS = 3, LAYERS = 4, OPS = 2, ENTRIES = WIDTHS * WIDTHS * OPS, ROUTES = 3888 };

/* Route number `n` of all 3 * 6^4. */
static struct route route_numbered(int64_t n) {
  struct route r = {0};
  r.at[0] = n % WIDTHS, n /= WIDTHS;
  for (int k = 0; k < LAYERS; k++) {
    r.at[k + 1] = n % WIDTHS, n /= WIDTHS;
    r.operation[k] = n % OPS, n /= OPS;
  }
  return r;
}
static bool same_route(const struct route *a, const struct route *b) {
  return memcmp(a->at, b->at, (LAYERS + 1) * sizeof *a->at) == 0 &&
         memcmp(a->operation, b->operation, LAYERS * sizeof *a->operation) == 0;
}
/* softmax of normal numbers, one sublayer after the other */
static void draw_weights(uint64_t number, double *w) {
  tn_rng rng = tn_rng_at("paths", "weights", number);
  for (int k = 0; k < LAYERS; k++) {
    double sum = 0;
    for (int e = 0; e < ENTRIES; e++) sum += w[k * ENTRIES + e] = exp(tn_random_normal(&rng));
    for (int e = 0; e < ENTRIES; e++) w[k * ENTRIES + e] /= sum;
  }
}

Test(paths, the_longest_is_the_longest_of_all) {
  double w[LAYERS * ENTRIES];
  open_nothing();
  for (uint64_t number = 0; number < 20; number++) {
    draw_weights(number, w);
    const struct grid grid = {LAYERS, WIDTHS, OPS, w};
    struct route longest = {0}, best = {0};
    double most = -INFINITY;
    for (int64_t n = 0; n < ROUTES; n++) {
      const struct route r = route_numbered(n);
      const double length = route_length(&grid, &r);
      if (length > most) most = length, best = r;
    }
    route_longest(&grid, &longest);
    EXPECT_NEAR(route_length(&grid, &longest), most, 1e-15);
    cr_assert(same_route(&longest, &best), "weights %d", (int)number);
    /* neither constants of a sublayer nor Max-W change it */
    double moved[LAYERS * ENTRIES], mixed_w[LAYERS * ENTRIES];
    for (int k = 0; k < LAYERS; k++) {
      double top = 0;
      for (int e = 0; e < ENTRIES; e++) top = fmax(top, w[k * ENTRIES + e]);
      for (int e = 0; e < ENTRIES; e++) {
        moved[k * ENTRIES + e] = w[k * ENTRIES + e] + 0.75 * k - 1;
        mixed_w[k * ENTRIES + e] = 1 - top + w[k * ENTRIES + e];
      }
    }
    struct route other = {0};
    route_longest(&(const struct grid){LAYERS, WIDTHS, OPS, moved}, &other);
    cr_assert(same_route(&longest, &other));
    route_longest(&(const struct grid){LAYERS, WIDTHS, OPS, mixed_w}, &other);
    cr_assert(same_route(&longest, &other));
  }
}

/* Two widths, two sublayers, one operation. The strongest first step, 0 -> 1 by 5, leads to a weak second
 * one; the strongest last step, 0 -> 0 by 4, is reached from 0 or 1. Longest: 0 -> 0 -> 0 with 4.5 + 4. */
Test(paths, greedy_ways_by_hand) {
  const double w[] = {4.5, 5, 1, 2, /* 0-0, 0-1, 1-0, 1-1 */ 4, 0.5, 1.5, 1};
  const struct grid grid = {2, 2, 1, w};
  struct route r = {0};
  route_longest(&grid, &r);
  EXPECT_INT(r.at[0] * 4 + r.at[1] * 2 + r.at[2], 0);
  route_greedy_top(&grid, &r);
  EXPECT_INT(r.at[0] * 4 + r.at[1] * 2 + r.at[2], 2); /* 0, 1, 0 by 5 and 1.5 */
  const double back[] = {1, 3, 2, 4, 4, 4.5, 0.5, 0};
  route_greedy_bottom(&(const struct grid){2, 2, 1, back}, &r);
  EXPECT_INT(r.at[0] * 4 + r.at[1] * 2 + r.at[2], 4 + 0 + 1); /* back from 0 -> 1 by 4.5: 1 -> 0 by 2 */
  const double equal[8] = {0};
  route_longest(&(const struct grid){2, 2, 1, equal}, &r); /* ties: the lower */
  EXPECT_INT(r.at[0] * 4 + r.at[1] * 2 + r.at[2], 0);
}

Test(paths, random_routes_are_uniform) {
  open_nothing();
  const struct grid grid = {LAYERS, WIDTHS, OPS, NULL};
  int64_t starts[WIDTHS] = {0}, ends[WIDTHS] = {0}, second = 0;
  for (uint64_t n = 0; n < 3000; n++) {
    tn_rng rng = tn_rng_at("paths", "routes", n);
    struct route r = {0};
    route_random(&grid, &rng, &r);
    starts[r.at[0]]++, ends[r.at[LAYERS]]++, second += r.operation[2];
  }
  for (int i = 0; i < WIDTHS; i++) { /* 1000 +- 4 standard deviations */
    cr_assert(llabs(starts[i] - 1000) < 104 && llabs(ends[i] - 1000) < 104);
  }
  cr_assert(llabs(second - 1500) < 110);
}

/* ---- text ---- */

Test(paths, text_is_read_as_it_is_written) {
  open_nothing();
  static const char text[] = "4 -> sharp_sep_conv 4, resizable_pool 4, choke_conv_3x3 8, sharp_sep_conv 16";
  struct path path;
  cr_assert(path_parse(text, &path) >= 0, "%s", harness_failure());
  EXPECT_INT(path.layers, 4);
  char *again = path_text(&path);
  cr_assert_str_eq(again, text);
  tn_free(again);
}
Test(paths, wrong_paths_are_refused) {
  static const char *const wrong[][2] = {
      {"sharp_sep_conv 4", "expected a width from 1 to 65536 at 'sharp_sep_conv 4'"},
      {"4, sharp_sep_conv 4", "expected '->' at ', sharp_sep_conv 4'"},
      {"4 -> sharp_sep_con 4, resizable_pool 4", "did you mean 'sharp_sep_conv'?"},
      {"4 -> skip_connect 4, resizable_pool 4", "no operation 'skip_connect' that may change the width"},
      {"4 -> sharp_sep_conv 4", "expected two operations a layer, got 1"},
      {"4 -> sharp_sep_conv 0, resizable_pool 4",
       "expected a width from 1 to 65536 at ' 0, resizable_pool 4'"},
      {"4 -> sharp_sep_conv 4 resizable_pool 4", "expected ',' at 'resizable_pool 4'"},
      {"4 ->", "expected OPERATION WIDTH"}};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(wrong); i++) {
    char keys[160];
    snprintf(keys, sizeof keys, "use = model.path_net\npath = %s", wrong[i][0]);
    EXPECT_CONTAINS(refusal(keys, NULL), wrong[i][1]);
  }
  EXPECT_CONTAINS(refusal("use = model.path_net", NULL), "give a path or `of`");
  EXPECT_CONTAINS(refusal("use = model.hypercuboid\nlayers = 3", NULL), "even number of sublayers, got 3");
  EXPECT_CONTAINS(refusal("use = model.hypercuboid\nwidths = 8, 4", NULL), "growing widths, got 4 after 8");
  EXPECT_CONTAINS(refusal("use = model.hypercuboid\nprimitives = resizable_poo", NULL),
                  "did you mean 'resizable_pool'?");
}

/* ---- the HyperCuboid ---- */

Test(paths, the_cube_mixes_all_widths_by_one_softmax) {
  const tn_component *m = open_model("float64", CUBE, &images);
  const tn_supernet_table table = table_of(m);
  EXPECT_INT(table.rows, 4);
  EXPECT_INT(table.operations, 18);
  bool parameter_free;
  cr_assert_str_eq(tn_supernet_of(m)->operation(m->self, 3, &parameter_free), "resizable_pool:2:3");
  cr_assert(!parameter_free);
  cr_assert_str_eq(tn_supernet_of(m)->operation(m->self, 1, &parameter_free), "resizable_pool:2:2");
  cr_assert(parameter_free);
  cr_assert(tn_supernet_of(m)->operation(m->self, 18, NULL) == NULL);
  /* stem, head, alpha; per sublayer nine convolutions and, of pools, pointwise ones between other widths */
  int64_t size = 27 * 9 + 5 * 10 + 10 + 4 * 18;
  for (int i = 2; i <= 4; i++) {
    for (int j = 2; j <= 4; j++) size += 4 * (9 * i + i * j + 9 * j + j * j + (i != j ? i * j : 0));
    size += 9 * i + i * 5 + 9 * 5 + 25;
  }
  EXPECT_INT(size_of(m), size);
}
Test(paths, gradients_of_the_cube_are_central_differences) {
  static const char *const weightings[] = {"scalar", "max_w"};
  for (int i = 0; i < 2; i++) {
    char keys[256];
    snprintf(keys, sizeof keys,
             "use = model.hypercuboid\nwidths = 2, 3\nlayers = 2\nfinal = 4\nweighting = %s", weightings[i]);
    const tn_component *m = open_model("float64", keys, &images);
    expect_gradients_by(m, rows(0, 5), TN_TRAIN, "logits", 1e-6);
    expect_pure(m, &images, "logits");
  }
}

/* With one gate a sublayer, rescaled, the cube is the network of the path, whose normalisations start with
 * scale 1 and shift 0. A pool that keeps the width is normalised in the cube alone, and one that changes it
 * by another epsilon, 1e-3; so the path has convolutions. */
Test(paths, one_hot_is_the_network_of_the_path) {
#define PATH "2 -> sharp_sep_conv 4, sharp_sep_conv 2, choke_conv_3x3 3, sharp_sep_conv 3"
  static const char *const weightings[] = {"scalar", "max_w"};
  for (int i = 0; i < 2; i++) {
    char sections[512];
    snprintf(sections, sizeof sections,
             "[m]\n" CUBE "primitives = resizable_pool, sharp_sep_conv, choke_conv_3x3\nweighting = %s\n"
             "[n]\nuse = model.path_net\nfinal = 5\npath = " PATH "\n",
             weightings[i]);
    harness_open("float64", sections);
    const tn_component *m = harness_component("m"), *n = harness_component("n");
    tn_spec *spec = tn_spec_new();
    describe(spec);
    cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
    cr_assert(tn_declare_component(n, spec, NULL) >= 0, "%s", harness_failure());
    tn_params *super = tn_params_clone(tn_parameters(m)), *derived = tn_parameters(n);
    cr_assert(tn_supernet_of(m)->discretise(m->self, super, PATH, true) >= 0, "%s", harness_failure());
    for (uint32_t p = 0; p < tn_params_count(derived); p++) {
      tn_param_entry e;
      tn_params_entry(derived, p, &e);
      const tn_tensor *from = entry_named(super, e.name);
      cr_assert(from || strstr(e.name, "norm"), "%s is not in the supernet", e.name);
      if (!from) continue;
      /* the stem of the first width, 2, comes first in that of all */
      memcpy(tn_data(e.tensor), tn_data(from), (size_t)tn_numel(e.tensor) * sizeof(double));
    }
    tn_fields *inputs = rows(0, 6);
    expect_near(logits_at(m, super, inputs), logits_at(n, derived, inputs), 1e-9);
    tn_params_release(super);
    tn_spec_release(spec);
    EXPECT_CONTAINS((tn_supernet_of(m)->discretise(m->self, tn_parameters(m),
                                                   "9 -> sharp_sep_conv 2, "
                                                   "sharp_sep_conv 2, sharp_sep_conv 2, sharp_sep_conv 2",
                                                   false),
                     harness_failure()),
                    "the supernet has no width 9");
  }
}

/* What weighs less than prune_below is as if its gate were 0. */
Test(paths, weak_operations_are_pruned) {
  const tn_component *m = open_model("float64", CUBE "weighting = max_w\nprune_below = 0.00308", &images);
  tn_params *params = tn_params_clone(tn_parameters(m)), *gated = tn_params_clone(params);
  tn_fields *inputs = rows(0, 4);
  const tn_supernet_table table = table_of(m);
  const tn_tensor *whole = logits_at(m, params, inputs);
  for (int64_t k = 0; k < 4; k++)
    for (int64_t e = 0; e < 18; e++) {
      const bool weak = (k + e) % 3 == 0;
      set_element(tn_param_tensor(params, table.alpha), k * 18 + e, weak ? -4 : 0.1);
      set_element(tn_param_tensor(gated, table.alpha), k * 18 + e, weak ? -4 : 0.1);
      if (weak) set_element(tn_param_tensor(gated, table.gate), k * 18 + e, 0);
    }
  const tn_tensor *pruned = logits_at(m, params, inputs);
  expect_near(pruned, logits_at(m, gated, inputs), 0);
  double apart = 0;
  for (int64_t i = 0; i < tn_numel(whole); i++) apart += fabs(harness_at(whole, i) - harness_at(pruned, i));
  cr_assert(apart > 1e-3);
  tn_params_release(params);
  tn_params_release(gated);
}

/* ---- deriving ---- */

static const char *derived(const tn_component *m, const char *method, uint64_t draw) {
  static char text[256];
  char *genotype = NULL;
  tn_rng rng = tn_rng_at(m->name, "derive", draw);
  if (tn_supernet_of(m)->derive(m->self, tn_parameters(m), method, &rng, &genotype) < 0) return NULL;
  snprintf(text, sizeof text, "%s", genotype);
  tn_free(genotype);
  return text;
}
static void set_alpha(const tn_component *m, int64_t k, int64_t i, int64_t j, int64_t o, double value) {
  set_element(tn_param_tensor(tn_parameters(m), table_of(m).alpha), k * 18 + (i * 3 + j) * 2 + o, value);
}
Test(paths, paths_of_a_cube_by_hand) {
  const tn_component *m = open_model("float64", CUBE, &images);
  set_alpha(m, 0, 1, 2, 0, 2);
  set_alpha(m, 1, 2, 0, 1, 2);
  set_alpha(m, 2, 0, 0, 0, 2);
  set_alpha(m, 3, 0, 1, 1, 2);
  static const char longest[] = "3 -> sharp_sep_conv 4, resizable_pool 2, sharp_sep_conv 2, resizable_pool 3";
  cr_assert_str_eq(derived(m, "", 0), longest);
  cr_assert_str_eq(derived(m, "longest", 0), longest);
  set_alpha(m, 3, 2, 2, 1, 2.3); /* strongest of its sublayer, but nothing strong leads to it */
  cr_assert_str_eq(derived(m, "longest", 0), longest);
  cr_assert_str_eq(derived(m, "greedy_top", 0), longest);
  cr_assert(strstr(derived(m, "greedy_bottom", 0), "4, resizable_pool 4"), "%s",
            derived(m, "greedy_bottom", 0));
  char first[256];
  snprintf(first, sizeof first, "%s", derived(m, "random", 0));
  cr_assert_str_eq(derived(m, "random", 0), first);
  int other = 0;
  for (uint64_t draw = 1; draw < 4; draw++) other += strcmp(derived(m, "random", draw), first) != 0;
  cr_assert(other >= 2);
  cr_assert(derived(m, "longes", 0) == NULL);
  EXPECT_CONTAINS(harness_failure(), "no way 'longes' to derive a path; did you mean 'longest'?");
}

/* search.path takes no step and derives what it is told to. */
Test(paths, search_path_derives_without_a_step) {
  harness_open("float32", "[m]\n" CUBE "[r]\nuse = search.path\nmethod = random\ndraw = 3\n"
                          "[w]\nuse = search.path\nmethod = strongest\n");
  const tn_component *m = harness_component("m"), *r = harness_component("r");
  tn_spec *spec = tn_spec_new();
  describe(spec);
  cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  const tn_search_setting setting = {.size = sizeof setting, .model = m, .steps = 9};
  const tn_progress progress = {.size = sizeof progress, .mode = TN_TRAIN, .steps = 9};
  cr_assert(tn_search_begin(r, &setting) >= 0, "%s", harness_failure());
  EXPECT_INT(tn_search_step(r, &progress), TN_DONE);
  char *text = NULL;
  cr_assert(tn_search_derive(r, &text) >= 0, "%s", harness_failure());
  cr_assert_str_eq(text, derived(m, "random", 3));
  tn_free(text);
  cr_assert(tn_search_begin(harness_component("w"), &setting) < 0);
  EXPECT_CONTAINS(harness_failure(), "no way 'strongest' to derive a path");
}

/* ---- the network of a path ---- */

Test(paths, path_net_is_a_model) {
  const tn_component *m = open_model(
      "float64",
      "use = model.path_net\nfinal = 6\npath = 4 -> sharp_sep_conv 4, resizable_pool 4, resizable_pool 8, "
      "sharp_sep_conv 5",
      &images);
  expect_gradients_by(m, rows(0, 5), TN_TRAIN, "logits", 1e-6);
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
  expect_norm_modes(m, &images, "logits", 2 * (1 + 2 + 1 + 2 + 2));
  /* 27 * 4 + 2 * 4; 4 to 4; pool; 4 * 8 + 2 * 8; 8 to 5; 5 to 6; head */
  EXPECT_INT(size_of(m),
             116 + (2 * 36 + 2 * 16 + 16) + 48 + (72 + 40 + 45 + 25 + 20) + (45 + 30 + 54 + 36 + 24) + 70);
  /* sizes 7, 7, 4, 4, 2, 2 */
  const tn_cost *cost = tn_extension(m, TN_COST);
  EXPECT_REAL(cost->macs(m->self),
              (27 * 4 + 72 + 32) * 49. + 32 * 16. + (72 + 40 + 45 + 25) * 4. + (45 + 30 + 54 + 36) * 4. + 60);
}
static void describe_large(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(1, 17, 20), 0);
  tn_spec_set(spec, "label", TN_I64, tn_shape_of(tn_scalar(TN_I64, 0)), 3);
}
static tn_fields *large_rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, 1, 17, 20), first));
  return fields;
}
Test(paths, path_net_has_a_second_head) {
  static const data large = {describe_large, large_rows};
#define SECOND \
  "use = model.path_net\nfinal = 6\nauxiliary = yes\npath = 4 -> sharp_sep_conv 4, resizable_pool 4"
  const tn_component *m = open_model("float64", SECOND, &large);
  expect_shape(m, large_rows(0, 3), "auxiliary_logits", TN_SHAPE(3, 3));
  expect_pure(m, &large, "auxiliary_logits");
  EXPECT_CONTAINS(refusal(SECOND, &images), "the auxiliary head needs 8 pixels");
}

/* ---- metrics ---- */

typedef struct sink {
  tn_metric_sink head; /* first: the sink is this */
  const char *name;
  double value;
} sink;
static void take(tn_metric_sink *head, const char *name, double value) {
  sink *s = (sink *)head;
  if (strcmp(name, s->name) == 0) s->value = value;
}
static double probed(const tn_component *metric, const tn_component *m, const char *name) {
  sink s = {{sizeof s.head, take}, name, NAN};
  const tn_metric_probe probe = {.size = sizeof probe, .model = m, .params = tn_parameters(m)};
  cr_assert(tn_metric_measure(metric, &probe, &s.head) >= 0, "%s", harness_failure());
  return s.value;
}
Test(paths, balance_of_a_table_by_hand) {
  harness_open("float64",
               "[m]\nuse = model.darts_supernet\nchannels = 2\ncells = 1\nnodes = 1\nkeep_none = yes\n"
               "ops = none, skip_connect, sep_conv_3x3\n[b]\nuse = metric.alpha_balance\n"
               "[z]\nuse = metric.model_size\n");
  const tn_component *m = harness_component("m"), *b = harness_component("b");
  tn_spec *spec = tn_spec_new();
  describe(spec);
  cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  /* normal: none, skip, sep a row; reduce: uniform, where equals share the ranks 1 to 3 */
  const double w[2][3] = {{.5, .3, .2}, {.1, .2, .7}};
  tn_supernet_table table;
  for (uint32_t t = 0; t < 2; t++) {
    cr_assert(tn_supernet_of(m)->table(m->self, t, &table) >= 0);
    for (int64_t i = 0; i < 6; i++)
      set_element(tn_param_tensor(tn_parameters(m), table.alpha), i, t == 0 ? log(w[i / 3][i % 3]) : 0);
  }
  double entropy = 2 * log(3);
  for (int i = 0; i < 6; i++) entropy -= w[i / 3][i % 3] * log(w[i / 3][i % 3]);
  EXPECT_NEAR(probed(b, m, "entropy"), entropy / 4, 1e-12);
  EXPECT_NEAR(probed(b, m, "mass_none"), (.5 + .1 + 2. / 3) / 4, 1e-12);
  EXPECT_NEAR(probed(b, m, "parameter_free"), (.8 + .3 + 4. / 3) / 4, 1e-12);
  EXPECT_NEAR(probed(b, m, "rank_none"), (1 + 3 + 2 + 2) / 4., 1e-12);
  EXPECT_NEAR(probed(b, m, "rank_sep_conv_3x3"), (3 + 1 + 2 + 2) / 4., 1e-12);
  /* kept: none and sep_conv of the normal cell; of equals the first, none, in the other */
  EXPECT_NEAR(probed(b, m, "kept_none"), 3 / 4., 1e-12);
  EXPECT_NEAR(probed(b, m, "kept_sep_conv_3x3"), 1 / 4., 1e-12);
  EXPECT_REAL(probed(harness_component("z"), m, "parameters"), (double)size_of(m));
  cr_assert(isnan(probed(harness_component("z"), m, "macs")));
}
Test(paths, balance_of_a_cube_is_by_operation) {
  harness_open("float64", "[m]\n" CUBE "[b]\nuse = metric.alpha_balance\n");
  const tn_component *m = harness_component("m"), *b = harness_component("b");
  tn_spec *spec = tn_spec_new();
  describe(spec);
  cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
  tn_spec_release(spec);
  tn_tensor *alpha = tn_param_tensor(tn_parameters(m), table_of(m).alpha);
  for (int64_t i = 0; i < tn_numel(alpha); i++) set_element(alpha, i, i % 2 ? log(3) : 0);
  EXPECT_NEAR(probed(b, m, "mass_resizable_pool"), 0.75, 1e-12);
  EXPECT_NEAR(probed(b, m, "parameter_free"), 0.25, 1e-12); /* of nine pools three keep the width */
  EXPECT_NEAR(probed(b, m, "rank_resizable_pool"), 1, 0);
  EXPECT_NEAR(probed(b, m, "kept_resizable_pool"), 1, 0);
  EXPECT_NEAR(probed(b, m, "kept_sharp_sep_conv"), 0, 0);
}
