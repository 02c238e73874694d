// SPDX-License-Identifier: MIT
#include "images.h"

TestSuite(cnn, .fini = harness_close);

/* Every kind of layer that has a derivative everywhere. */
static const char smooth[] =
    "use = model.cnn\n"
    "layers = conv 4 3, bn, gelu, conv 4 3 2 1 groups=2, ln, silu, avgpool 2, conv 6 2 1 1 "
    "dilation=2, gn 3, tanh, dropout 0.3, in, flatten, linear 5, bn, tanh";

static void describe_digits(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(1, 28, 28), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, 10);
}

/* LeNet-5: 61,706 parameters when the last layer is a linear one. */
Test(cnn, lenet_is_the_default) {
  const data digits = {describe_digits, NULL};
  EXPECT_INT(size_of(open_model("float32", "use = model.cnn", &digits)), 61706);
  EXPECT_CONTAINS(refusal("use = model.cnn", &images),
                  "item 4 of layers, 'conv 16 5 1 0', gets an image 6 x 4 x 4: the kernel is larger than the "
                  "padded image");
}

/* Weights, biases, scales and shifts, counted by hand; what a normalisation follows has no bias. */
Test(cnn, parameters_are_counted) {
  const tn_component *m = open_model(
      "float32",
      "use = model.cnn\nlayers = conv 4 3, bn, relu, conv 6 3 groups=2, maxpool 2, flatten, linear 5",
      &images);
  EXPECT_INT(size_of(m),
             (2 * 4 * 9) + 2 * 4 + (4 / 2 * 6 * 9 + 6) + (6 * 16 * 5 + 5) + (5 * CLASSES + CLASSES));
  m = open_model("float32", "use = model.cnn\nlayers = gn 1, in, ln, globalpool, bn\nhead = no", &images);
  EXPECT_INT(size_of(m), 4 * 2 * CHANNELS);
}

Test(cnn, shapes_follow_the_formula) {
  /* 8 -> (8 + 2 - 3) / 2 + 1 = 4 -> pool 3 stride 1: 2 -> dilated 3: reach 5, padding 2: 2 */
  const tn_component *m = open_model(
      "float32", "use = model.cnn\nlayers = conv 4 3 2, maxpool 3 1, conv 5 3 dilation=2\nhead = no",
      &images);
  expect_shape(m, image_rows(0, 3), "features", TN_SHAPE(3, 5, 2, 2));
  m = open_model("float32", "use = model.cnn\nlayers = conv 4 3, globalpool\noutput = 7", &images);
  expect_shape(m, image_rows(0, 3), "features", TN_SHAPE(3, 4));
  expect_shape(m, image_rows(0, 3), "logits", TN_SHAPE(3, 7));
  m = open_model("float32", "use = model.cnn\nlayers = flatten", &images);
  expect_shape(m, image_rows(0, 3), "logits", TN_SHAPE(3, CLASSES));
}

Test(cnn, gradients_are_central_differences) {
  const tn_component *m = open_model("float64", smooth, &images);
  expect_gradients(m, image_rows(0, 4), TN_TRAIN, "logits");
  expect_gradients(m, image_rows(0, 4), TN_EVALUATE, "logits");
  m = open_model(
      "float64",
      "use = model.cnn\nlayers = conv 4 3, bn, relu, maxpool 2, leaky 0.2, conv 3 3, gn 3, relu, flatten",
      &images);
  expect_gradients(m, image_rows(0, 4), TN_TRAIN, "logits");
}

Test(cnn, is_a_pure_function) {
  const tn_component *m = open_model("float64", smooth, &images);
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
  m = open_model("float64", "use = model.cnn\nlayers = conv 4 3, bn, relu, gn 2, flatten, linear 5, bn",
                 &images);
  expect_norm_modes(m, &images, "logits", 4);
}

/* The activation that a normalisation does on the way is the one that would have been done behind it. */
Test(cnn, fused_activation_changes_nothing) {
  static const char *const lists[] = {"bn, relu, flatten", "bn, dropout 0, relu, flatten"};
  double values[2][4 * CHANNELS * SIDE * SIDE];
  for (int l = 0; l < 2; l++) {
    char keys[128];
    snprintf(keys, sizeof keys, "use = model.cnn\nhead = no\nlayers = %s", lists[l]);
    const tn_component *m = open_model("float64", keys, &images);
    const tn_tensor *y = output(m, image_rows(0, 4), TN_TRAIN, "features");
    for (int64_t i = 0; i < tn_numel(y); i++) values[l][i] = harness_at(y, i);
  }
  for (size_t i = 0; i < TN_ARRAY_LENGTH(values[0]); i++) EXPECT_NEAR(values[0][i], values[1][i], 1e-12);
}

Test(cnn, inner_activations_can_be_seen) {
  const tn_component *m =
      open_model("float32", "use = model.cnn\nlayers = conv 4 3, bn, relu, globalpool", &images);
  tn_model_call call = {.taps = 1};
  tn_fields *outputs = apply(m, image_rows(0, 2), TN_EVALUATE, &call);
  EXPECT_INT(tn_dim(tn_field(outputs, "tap.layers.1"), 1), 4);
  cr_assert(tn_fields_find(outputs, "tap.layers.2") == NULL, "done together with its normalisation");
}

Test(cnn, wrong_lists_are_refused) {
  static const struct {
    const char *layers, *message;
  } cases[] = {
      {"conv 4 3, rleu", "item 2 of layers, 'rleu': no layer 'rleu'; did you mean 'relu'?"},
      {"wavelet", "item 1 of layers, 'wavelet': no layer 'wavelet'; there are conv, bn, ln, gn, in, relu"},
      {"conv 4", "item 1 of layers, 'conv 4': too short; expected conv OUT KERNEL [STRIDE [PADDING]]"},
      {"relu, conv 4 3 1 1 1",
       "item 2 of layers, 'conv 4 3 1 1 1': '1' is not expected; expected conv OUT KERNEL"},
      {"conv 4 3 gruops=2",
       "item 1 of layers, 'conv 4 3 gruops=2': no option 'gruops'; expected conv OUT KERNEL"},
      {"conv 4 3 groups=0", "groups must be a whole number of at least 1, got '0'"},
      {"conv 4 3 groups=3", "groups must divide the output channels"},
      {"conv 4.5 3", "sizes must be whole numbers of at least 1 (padding: 0)"},
      {"bn 3", "item 1 of layers, 'bn 3': '3' is not expected; expected bn"},
      {"gn", "item 1 of layers, 'gn': too short; expected gn GROUPS"},
      {"dropout 1", "a probability of at least 0 and below 1 is needed"},
  };
  for (size_t c = 0; c < TN_ARRAY_LENGTH(cases); c++) {
    char keys[256];
    snprintf(keys, sizeof keys, "use = model.cnn\nlayers = %s", cases[c].layers);
    EXPECT_CONTAINS(refusal(keys, NULL), cases[c].message);
  }
}

Test(cnn, shapes_that_do_not_fit_are_refused) {
  static const struct {
    const char *layers, *message;
  } cases[] = {
      {"conv 4 11 1 1",
       "item 1 of layers, 'conv 4 11 1 1', gets an image 2 x 8 x 8: the kernel is larger than the padded "
       "image"},
      {"maxpool 3, maxpool 3",
       "item 2 of layers, 'maxpool 3', gets an image 2 x 2 x 2: the window is larger than the image"},
      {"conv 6 3, conv 8 3 groups=4",
       "item 2 of layers, 'conv 8 3 groups=4', gets an image 6 x 8 x 8: groups must divide"},
      {"conv 4 3, linear 5",
       "item 2 of layers, 'linear 5', gets an image 4 x 8 x 8: put `flatten` or `globalpool` in front"},
      {"flatten, conv 4 3", "item 2 of layers, 'conv 4 3', gets 128 numbers: it needs an image"},
      {"gn 3", "item 1 of layers, 'gn 3', gets an image 2 x 8 x 8: the groups must divide the channels"},
      {"conv 4 3", "the layers end with an image 4 x 8 x 8: put `flatten` or `globalpool` at the end"},
  };
  for (size_t c = 0; c < TN_ARRAY_LENGTH(cases); c++) {
    char keys[256];
    snprintf(keys, sizeof keys, "use = model.cnn\nlayers = %s", cases[c].layers);
    EXPECT_CONTAINS(refusal(keys, &images), cases[c].message);
  }
}
