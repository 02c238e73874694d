// SPDX-License-Identifier: MIT
/* Mobile blocks, ensemble architectures, their supernet and their network. */
#include "images.h"
#include "plugins/models/ensemble.h"
#include <tenon/metric.h>
#include <tenon/supernet.h>

TestSuite(ensemble, .fini = harness_close, .timeout = 120);

#define SMALL                                            \
  "widths = 4, 4, 6, 6\nstrides = 1, 2, 1\nhidden = 5\n" \
  "choices = mb_k3_e2, mb_k3_e3, mb_k5_e2, mb_k7_e1, skip\n"
#define ARCH "arch = 1, 2, | 0, | 2 | 0 -1 0 | 3 1 0\n"

static const tn_component *supernet(const char *precision, const char *keys) {
  char all[512];
  snprintf(all, sizeof all, "use = model.ensemble_supernet\n" SMALL "%s", keys);
  return open_model(precision, all, &images);
}
static const tn_component *net(const char *precision, const char *arch) {
  char all[512];
  snprintf(all, sizeof all, "use = model.ensemble_net\n" SMALL "arch = %s\n", arch);
  return open_model(precision, all, &images);
}
static void choose(const tn_component *m, tn_params *params, const char *arch) {
  cr_assert(tn_supernet_of(m)->discretise(m->self, params, arch, true) >= 0, "%s", harness_failure());
}
static char *derived(const tn_component *m) {
  char *text = NULL;
  tn_rng rng = tn_rng_at("ensemble", "test", 0);
  cr_assert(tn_supernet_of(m)->derive(m->self, tn_parameters(m), "", &rng, &text) >= 0, "%s",
            harness_failure());
  return text;
}

/* ---- the block ---- */

/* One block of 2 -> 4 channels, expansion 3: 1x1 2 x 6, depthwise 6 x 9, excitation 6 -> 8 -> 6 with biases,
 * 1x1 6 x 4, and two numbers a channel in each of three normalisations. */
Test(ensemble, a_mobile_block_has_its_parameters) {
  const tn_component *m =
      open_model("float32", "use = model.cnn\nhead = no\nlayers = mobile 4 3 2 3", &images);
  EXPECT_INT(size_of(m), 2 * 6 + 6 * 9 + (6 * 8 + 8) + (8 * 6 + 6) + 6 * 4 + 2 * (6 + 6 + 4));
  expect_shape(m, image_rows(0, 3), "features", TN_SHAPE(3, 4, 4, 4));
  m = open_model("float32", "use = model.cnn\nhead = no\nlayers = mobile 2 5 1 1 se=0 act=relu", &images);
  EXPECT_INT(size_of(m), 2 * 25 + 2 * 2 + 2 * (2 + 2));
}

Test(ensemble, a_mobile_block_is_differentiated_and_pure) {
  const char keys[] = "use = model.cnn\nlayers = mobile 4 3 2 3, mobile 4 5 1 2 se=0.5, globalpool";
  const tn_component *m = open_model("float64", keys, &images);
  expect_gradients(m, image_rows(0, 4), TN_TRAIN, "logits");
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
}

Test(ensemble, wrong_blocks_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.cnn\nlayers = mobile 4 4", NULL), "the kernel must be odd");
  EXPECT_CONTAINS(refusal("use = model.cnn\nlayers = mobile 4 3 act=gelu", NULL),
                  "act must be swish or relu");
  EXPECT_CONTAINS(refusal("use = model.cnn\nlayers = mobile 4 3 groups=2", NULL), "no option 'groups'");
  EXPECT_CONTAINS(refusal("use = model.cnn\nlayers = flatten, mobile 4 3", &images), "it needs an image");
}

Test(ensemble, squeezed_channels_are_multiples_of_eight) {
  EXPECT_INT(mobile_squeezed(6, 0.25), 8);
  EXPECT_INT(mobile_squeezed(64, 0.25), 16);
  EXPECT_INT(mobile_squeezed(72, 0.25), 24); /* 18 -> 16 is below 16.2 */
  EXPECT_INT(mobile_squeezed(960, 0.25), 240);
}

/* ---- text ---- */

/* The space of the paper: 20 layers, ImageNet at 224 x 224. */
#define IMAGENET                                                                                            \
  "widths = 16, 24, 24, 24, 24, 40, 40, 40, 40, 80, 80, 80, 80, 112, 112, 112, 112, 160, 160, 160, 160\n"   \
  "strides = 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1\nstem_stride = 2\nseparable = 16\n" \
  "last = 960\nhidden = 1280\n"
static void describe_imagenet(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(3, 224, 224), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 1000);
}
static tn_fields *imagenet_rows(int64_t first, int64_t count) {
  tn_fields *rows = tn_fields_new();
  tn_fields_set(rows, "image", waves(TN_SHAPE(count, 3, 224, 224), first));
  return rows;
}
static double counted(const tn_component *m, tn_fields *inputs) {
  tn_model_call call = {.size = 0};
  const int64_t before = tn_multiply_adds();
  apply(m, inputs, TN_EVALUATE, &call);
  return (double)(tn_multiply_adds() - before);
}

/* The published network of 314 M: 25 numbers, all 20 layers shared. Convolutions and linear layers alone are
 * 301.5 M multiply-adds by the formulas of the paper's space (computed outside of this program). */
Test(ensemble, the_published_network_is_read) {
  static const data imagenet = {describe_imagenet, imagenet_rows};
  const tn_component *m =
      open_model("float32",
                 "use = model.ensemble_net\n" IMAGENET
                 "arch = 20, 2, | 0, | 0 -1 0 2 0 0 2 -1 0 -1 0 3 2 4 0 2 5 0 4 3 | 0 | 0\n",
                 &imagenet);
  expect_shape(m, imagenet_rows(0, 1), "member_logits", TN_SHAPE(1, 2, 1000));
  EXPECT_NEAR(counted(m, imagenet_rows(0, 1)), 301500768, 0);
}

Test(ensemble, texts_go_there_and_back) {
  static const char *const texts[] = {"1, 2, | 0, | 2 | 0 -1 0 | 3 1 0", "3, 2, | 0, | 2 1 -1 | 0 | 0",
                                      "0, 2, | 0, | 1 0 2 0 | 3 3 3 0"};
  for (int i = 0; i < 3; i++) {
    const tn_component *m = supernet("float32", "splits = 1, 3\n");
    choose(m, tn_parameters(m), texts[i]);
    char *text = derived(m);
    EXPECT_TEXT(text, texts[i]);
    tn_free(text);
  }
  const tn_component *m = supernet("float32", "");
  tn_rng rng = tn_rng_at("ensemble", "random", 0);
  for (int i = 0; i < 50; i++) {
    char *random = NULL, *again;
    cr_assert(tn_supernet_of(m)->derive(m->self, tn_parameters(m), "random", &rng, &random) >= 0);
    choose(m, tn_parameters(m), random);
    again = derived(m);
    EXPECT_TEXT(again, random);
    tn_free(random);
    tn_free(again);
  }
}

Test(ensemble, wrong_texts_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\n" SMALL "arch = 1, 2, 0, 2, 0 -1 0, 3 1", NULL),
                  "9 numbers; 1 shared layers and 2 paths of 2 layers need 10");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\n" SMALL "arch = 1, 2, 0, 4, 0 -1 0, 3 1 0", NULL),
                  "choice 4 of layer 1; expected -1 to 3");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\n" SMALL "arch = 1, 2, 0, 2, -1 0 0, 3 1 0", NULL),
                  "layer 2 changes size or width");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\n" SMALL "arch = 4, 2, 0", NULL),
                  "the layers shared, 0 to 3");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\n" SMALL "arch = one", NULL), "'one' is no whole number");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\nchoices = mb_k4_e2", NULL), "'mb_k4_e2' is no block");
  EXPECT_CONTAINS(refusal("use = model.ensemble_net\nstrides = 1, 2\n", NULL), "5 widths and 2 strides");
  EXPECT_CONTAINS(refusal("use = model.ensemble_supernet\nsplits = 3, 2\n", NULL), "splits must ascend");
}

/* ---- multiply-adds ---- */

/* 1, 2 | 2 | 0 -1 | 3 1 on 2 x 8 x 8 images, widths 4, 4, 6, 6, strides 1, 2, 1; every excitation has 8
 * units: stem 64 x 9 x 2 x 4; layer 1 (k5 e2): 64 x 4 x 8 + 64 x 8 x 25 + 2 x 8 x 8 + 64 x 8 x 4, shared;
 * path 1: k3 e2: 64 x 4 x 8 + 16 x 8 x 9 + 2 x 8 x 8 + 16 x 8 x 6, and nothing;
 * path 2: k7 e1: 16 x 4 x 49 + 2 x 4 x 8 + 16 x 4 x 6, and k3 e3: 16 x 6 x 18 + 16 x 18 x 9 + 2 x 18 x 8 +
 * 16 x 18 x 6; two heads of 6 x 5 + 5 x 3. */
Test(ensemble, multiply_adds_by_hand) {
  const double stem = 64 * 9 * 2 * 4, shared = 64 * 4 * 8 + 64 * 8 * 25 + 2 * 8 * 8 + 64 * 8 * 4;
  const double one = 64 * 4 * 8 + 16 * 8 * 9 + 2 * 8 * 8 + 16 * 8 * 6;
  const double two =
      16 * 4 * 49 + 2 * 4 * 8 + 16 * 4 * 6 + 16 * 6 * 18 + 16 * 18 * 9 + 2 * 18 * 8 + 16 * 18 * 6;
  const double wanted = stem + shared + one + two + 2 * (6 * 5 + 5 * 3);
  const tn_component *m = net("float32", "1, 2, | 0, | 2 | 0 -1 0 | 3 1 0");
  EXPECT_REAL(counted(m, image_rows(0, 1)), wanted);
  EXPECT_REAL(counted(m, image_rows(0, 3)), 3 * wanted);
}

/* What the search's formula says is what the engine counts; what is shared counts once. */
Test(ensemble, the_formula_is_what_the_engine_counts) {
  const tn_component *m = supernet("float32", "last = 7\nseparable = 4\n");
  const tn_ensemble *table = tn_extension(m, TN_ENSEMBLE);
  int64_t sets;
  const struct space *space = table->space(m->self, &sets);
  tn_rng rng = tn_rng_at("ensemble", "macs", 0);
  for (int i = 0; i < 20; i++) {
    char *text = NULL;
    struct architecture a;
    cr_assert(tn_supernet_of(m)->derive(m->self, tn_parameters(m), "random", &rng, &text) >= 0);
    choose(m, tn_parameters(m), text);
    cr_assert(architecture_parse(space, text, &a) >= 0);
    EXPECT_REAL(counted(m, image_rows(0, 1)), space_macs(space, &a));
    tn_free(text);
  }
  struct architecture all, first;
  cr_assert(architecture_parse(space, "3 2 0 2 1 0 0 0", &all) >= 0);
  cr_assert(architecture_parse(space, "1 2 0 2 1 0 0 1 0 0", &first) >= 0);
  cr_assert(space_macs(space, &all) < space_macs(space, &first));
}

/* ---- networks ---- */

Test(ensemble, the_network_is_differentiated_and_pure) {
  const tn_component *m = net("float64", "1, 2, | 0, | 2 | 0 -1 0 | 3 1 0");
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "member_logits");
  /* Nothing is divided in evaluation, nor with one path. */
  expect_gradients(m, image_rows(0, 4), TN_EVALUATE, "logits");
  m = net("float64", "3, 1, | 0, | 2 1 0 | 0");
  expect_gradients(m, image_rows(0, 4), TN_TRAIN, "logits");
}

/* logits is the logarithm of the members' mean probability. */
Test(ensemble, the_prediction_is_the_mean_of_the_members) {
  const tn_component *m = net("float64", "1, 2, | 0, | 2 | 0 -1 0 | 3 1 0");
  tn_model_call call = {.size = 0};
  tn_fields *out = apply(m, image_rows(0, 4), TN_EVALUATE, &call);
  const tn_tensor *p = tn_softmax(tn_field(out, "logits"), 1),
                  *q = tn_softmax(tn_field(out, "member_logits"), 2);
  for (int64_t r = 0; r < 4; r++)
    for (int64_t c = 0; c < CLASSES; c++)
      EXPECT_NEAR(harness_at(p, r * CLASSES + c),
                  (harness_at(q, (2 * r) * CLASSES + c) + harness_at(q, (2 * r + 1) * CLASSES + c)) / 2,
                  1e-14);
}

static tn_tensor *named(const tn_params *params, const char *name) {
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry e;
    tn_params_entry(params, i, &e);
    if (strcmp(e.name, name) == 0) return e.tensor;
  }
  return NULL;
}

/* Gradient of the sum of the members' cross-entropies into the trunk's first layer. */
static void trunk_gradient(const tn_component *m, double *g, int64_t *count) {
  const int64_t labels[] = {0, 2, 1, 1};
  tn_model_call call = {.size = 0};
  tn_tensor *z = tn_field(apply(m, image_rows(0, 4), TN_TRAIN, &call), "member_logits");
  tn_tensor *sum = NULL, *w = named(tn_parameters(m), "layers.0.project.weight"), *gradient;
  for (int64_t k = 0; k < tn_dim(z, 1); k++) {
    tn_tensor *own = tn_reshape(tn_slice(z, 1, k, k + 1), TN_SHAPE(4, CLASSES));
    own = tn_mean(tn_cross_entropy(own, harness_labels(4, labels), 0));
    sum = sum ? tn_add(sum, own) : own;
  }
  tn_grad(sum, &w, 1, &gradient, 0);
  *count = tn_numel(gradient);
  for (int64_t i = 0; i < *count; i++) g[i] = harness_at(gradient, i);
}

/* Two equal branches: the sum of two equal gradients, divided by two, is that of one branch. */
Test(ensemble, the_trunk_learns_at_the_scale_of_one_path) {
  double g[2][64];
  int64_t count[2];
  const tn_component *m = net("float64", "1, 1, | 0, | 2 | 0 1 0");
  static double values[4096];
  static char names[256][64];
  int64_t offsets[257] = {0};
  uint32_t entries = tn_params_count(tn_parameters(m));
  for (uint32_t i = 0; i < entries; i++) {
    tn_param_entry e;
    tn_params_entry(tn_parameters(m), i, &e);
    snprintf(names[i], sizeof names[i], "%s", e.name);
    offsets[i + 1] = offsets[i] + tn_numel(e.tensor);
    cr_assert(offsets[i + 1] <= 4096);
    for (int64_t k = 0; k < tn_numel(e.tensor); k++) values[offsets[i] + k] = harness_at(e.tensor, k);
  }
  trunk_gradient(m, g[0], &count[0]);
  m = net("float64", "1, 2, | 0, | 2 | 0 1 0 | 0 1 0");
  for (uint32_t i = 0; i < entries; i++) {
    char other[64];
    tn_tensor *to = named(tn_parameters(m), names[i]);
    cr_assert(to != NULL, "%s", names[i]);
    memcpy(tn_data(to), values + offsets[i], (size_t)tn_numel(to) * sizeof(double));
    snprintf(other, sizeof other, "%s", names[i]);
    char *at = strstr(other, "paths.0")   ? strstr(other, "paths.0") + 6
               : strstr(other, "heads.0") ? strstr(other, "heads.0") + 6
                                          : NULL;
    if (!at) continue;
    *at = '1';
    to = named(tn_parameters(m), other);
    cr_assert(to != NULL, "%s", other);
    memcpy(tn_data(to), values + offsets[i], (size_t)tn_numel(to) * sizeof(double));
  }
  trunk_gradient(m, g[1], &count[1]);
  EXPECT_INT(count[0], count[1]);
  double size = 0;
  for (int64_t i = 0; i < count[0]; i++) {
    EXPECT_NEAR(g[1][i], g[0][i], 1e-12);
    size += fabs(g[0][i]);
  }
  cr_assert(size > 1e-6);
}

/* With the weights of the supernet the network of an architecture is the supernet with its gates. */
Test(ensemble, the_network_is_the_supernets_path) {
  static const char *const shares[] = {"layer", "branch"};
  for (int share = 0; share < 2; share++) {
    char sections[1024], from[96];
    snprintf(sections, sizeof sections,
             "[m]\nuse = model.ensemble_supernet\nshare = %s\n" SMALL
             "[n]\nuse = model.ensemble_net\n" SMALL ARCH,
             shares[share]);
    harness_open("float64", sections);
    const tn_component *m = harness_component("m"), *n = harness_component("n");
    tn_spec *spec = tn_spec_new();
    describe_images(spec);
    cr_assert(tn_declare_component(m, spec, NULL) >= 0, "%s", harness_failure());
    cr_assert(tn_declare_component(n, spec, NULL) >= 0, "%s", harness_failure());
    tn_spec_release(spec);
    static const char *const blocks[][2] = {{"layers.0.", "layers.0.2_mb_k5_e2."},
                                            {"paths.0.layers.1.", "layers.1.0_mb_k3_e2."},
                                            {"paths.1.layers.1.", "layers.1.3_mb_k7_e1."},
                                            {"paths.1.layers.2.", "layers.2.1_mb_k3_e3."}};
    tn_params *derived_params = tn_parameters(n);
    for (uint32_t i = 0; i < tn_params_count(derived_params); i++) {
      tn_param_entry e;
      tn_params_entry(derived_params, i, &e);
      snprintf(from, sizeof from, "%s", e.name);
      for (int b = 0; b < 4; b++)
        if (strncmp(e.name, blocks[b][0], strlen(blocks[b][0])) == 0)
          snprintf(from, sizeof from, "%.*s%s%s", share == 1 && b > 0 ? 8 : 0, e.name, blocks[b][1],
                   e.name + strlen(blocks[b][0]));
      const tn_tensor *source = named(tn_parameters(m), from);
      cr_assert(source != NULL, "%s", from);
      memcpy(tn_data(e.tensor), tn_data(source), (size_t)tn_numel(source) * sizeof(double));
    }
    choose(m, tn_parameters(m), "1, 2, | 0, | 2 | 0 -1 0 | 3 1 0");
    const tn_tensor *x = output(m, image_rows(0, 5), TN_TRAIN, "member_logits");
    const tn_tensor *y = output(n, image_rows(0, 5), TN_TRAIN, "member_logits");
    for (int64_t i = 0; i < tn_numel(x); i++) EXPECT_NEAR(harness_at(x, i), harness_at(y, i), 1e-12);
  }
}

Test(ensemble, supernet_is_a_pure_function) {
  const tn_component *m = supernet("float64", "share = branch\n");
  expect_pure(m, &images, "logits");
  choose(m, tn_parameters(m), "2, 2, | 0, | 2 0 | 0 0 | -1 0");
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
}
