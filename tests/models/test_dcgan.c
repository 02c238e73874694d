// SPDX-License-Identifier: MIT
#include "support.h"

TestSuite(dcgan, .fini = harness_close);

enum { Z = 5, C = 2, SIDE = 16 };

static void describe(tn_spec *spec) {
  tn_spec_set(spec, "noise", TN_FLOAT, TN_SHAPE(Z), 0);
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(C, SIDE, SIDE), 0);
}
static tn_fields *rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "noise", waves(TN_SHAPE(count, Z), first));
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, C, SIDE, SIDE), first));
  return fields;
}
static const data both = {describe, rows};

#define GENERATOR     "use = model.dcgan_generator\nwidth = 3\n"
#define DISCRIMINATOR "use = model.dcgan_discriminator\nwidth = 3\n"

/* 16 = 4 x 2 x 2: Z -> 6 of 4x4, 6 -> 3, 3 -> C with a bias; norms of 6 and 3. */
Test(dcgan, parameters_are_counted) {
  EXPECT_INT(size_of(open_model("float32", GENERATOR, &both)),
             Z * 6 * 16 + 2 * 6 + 6 * 3 * 16 + 2 * 3 + 3 * C * 16 + C);
  EXPECT_INT(size_of(open_model("float32", DISCRIMINATOR, &both)),
             C * 3 * 16 + 3 + 3 * 6 * 16 + 2 * 6 + 6 * 16 + 1);
}

Test(dcgan, images_from_noise_and_numbers_from_images) {
  const tn_component *m = open_model("float32", GENERATOR, &both);
  expect_shape(m, rows(0, 3), "image", TN_SHAPE(3, C, SIDE, SIDE));
  m = open_model("float32", GENERATOR "side = 28\nchannels = 1", &both);
  expect_shape(m, rows(0, 3), "image", TN_SHAPE(3, 1, 28, 28));
  m = open_model("float32", DISCRIMINATOR, &both);
  expect_shape(m, rows(0, 3), "logits", TN_SHAPE(3, 1));
  expect_shape(m, rows(0, 3), "features", TN_SHAPE(3, 6 * 16));
}

Test(dcgan, gradients_are_central_differences) {
  static const char *const ranges[] = {GENERATOR, GENERATOR "range = sigmoid", GENERATOR "range = free"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(ranges); k++) {
    const tn_component *m = open_model("float64", ranges[k], &both);
    expect_gradients(m, rows(0, 3), TN_TRAIN, "image");
  }
  const tn_component *m = open_model("float64", DISCRIMINATOR, &both);
  expect_gradients(m, rows(0, 3), TN_TRAIN, "logits");
}

Test(dcgan, is_a_pure_function) {
  const tn_component *g = open_model("float64", GENERATOR, &both);
  expect_pure(g, &both, "image");
  expect_rows_alone(g, &both, "image");
  expect_norm_modes(g, &both, "image", 4);
  const tn_component *d = open_model("float64", DISCRIMINATOR, &both);
  expect_pure(d, &both, "logits");
  expect_rows_alone(d, &both, "logits");
  expect_norm_modes(d, &both, "logits", 2);
}

Test(dcgan, wrong_sizes_are_refused) {
  EXPECT_CONTAINS(refusal(GENERATOR "side = 15", &both), "images of side 15 cannot be halved");
  EXPECT_CONTAINS(refusal(GENERATOR "input = image", &both), "'image' must be numbers (z)");
}
