// SPDX-License-Identifier: MIT
#include "images.h"

TestSuite(resnet, .fini = harness_close);

/* conv (in, out) 3x3 and its scale and shift */
static int64_t unit(int64_t in, int64_t out) { return 9 * in * out + 2 * out; }

/* ResNet-20 has n = 3: 0.27 million parameters with option A (He et al. 2016, table 6). */
Test(resnet, parameters_are_those_of_the_paper) {
  int64_t size = unit(CHANNELS, 16) + 64 * CLASSES + CLASSES;
  for (int64_t c = 16, in = 16; c <= 64; in = c, c *= 2) size += unit(in, c) + 5 * unit(c, c);
  const tn_component *m = open_model("float32", "use = model.resnet\nshortcut = padding", &images);
  EXPECT_INT(size_of(m), size);
  m = open_model("float32", "use = model.resnet", &images);
  EXPECT_INT(size_of(m), size + (16 * 32 + 64) + (32 * 64 + 128));
}

/* The benchmark's ResNet-8. */
Test(resnet, blocks_replace_depth) {
  const tn_component *m = open_model("float32", "use = model.resnet\nblocks = 1, 1, 1\nwidth = 0.5", &images);
  const int64_t size = unit(CHANNELS, 8) + 2 * unit(8, 8) + unit(8, 16) + unit(16, 16) + (8 * 16 + 32) +
                       unit(16, 32) + unit(32, 32) + (16 * 32 + 64) + 32 * CLASSES + CLASSES;
  EXPECT_INT(size_of(m), size);
  expect_shape(m, image_rows(0, 3), "features", TN_SHAPE(3, 32));
  expect_shape(m, image_rows(0, 3), "logits", TN_SHAPE(3, CLASSES));
  tn_model_call call = {.taps = 1};
  const tn_tensor *last = tn_field(apply(m, image_rows(0, 2), TN_EVALUATE, &call), "tap.stages.2.0");
  EXPECT_INT(tn_dim(last, 2), SIDE / 4);
}

Test(resnet, gradients_are_central_differences) {
  static const char *const kinds[] = {"norm = batch", "shortcut = padding\nnorm = group\ngroups = 2",
                                      "norm = none\ndropout = 0.2", "norm = instance"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    char keys[160];
    snprintf(keys, sizeof keys, "use = model.resnet\nblocks = 1, 1\nwidth = 0.25\n%s", kinds[k]);
    const tn_component *m = open_model("float64", keys, &images);
    expect_gradients(m, image_rows(0, 4), TN_TRAIN, "logits");
  }
}

Test(resnet, is_a_pure_function) {
  const tn_component *m =
      open_model("float64", "use = model.resnet\nblocks = 1, 1\nwidth = 0.25\ndropout = 0.5", &images);
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
  m = open_model("float64", "use = model.resnet\nblocks = 1, 1\nwidth = 0.25", &images);
  expect_norm_modes(m, &images, "logits", 2 * 6);
}

/* With the last scales at 0 every block is ReLU of its shortcut: those of the first stage change nothing. */
Test(resnet, zero_gamma_starts_with_shortcuts) {
  const tn_component *m = open_model("float64", "use = model.resnet\nblocks = 2\nzero_gamma = yes", &images);
  tn_model_call call = {.taps = 1};
  tn_fields *outputs = apply(m, image_rows(0, 4), TN_TRAIN, &call);
  const tn_tensor *stem = tn_field(outputs, "tap.stem"), *last = tn_field(outputs, "tap.stages.0.1");
  for (int64_t i = 0; i < tn_numel(stem); i++) EXPECT_NEAR(harness_at(last, i), harness_at(stem, i), 1e-12);
}

Test(resnet, wrong_keys_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.resnet\ndepth = 21", NULL),
                  "depth 21 is not 6 n + 2; the nearest are 20 and 26");
  EXPECT_CONTAINS(refusal("use = model.resnet\nblocks = 1,1,1,1,1,1,1,1,1", NULL),
                  "9 stages in blocks; at most 8");
  EXPECT_CONTAINS(refusal("use = model.resnet\nnorm = group\ngroups = 5", &images),
                  "5 groups do not divide 16 channels");
  EXPECT_CONTAINS(refusal("use = model.resnet\ninput = picture", &images), "picture");
}
