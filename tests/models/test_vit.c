// SPDX-License-Identifier: MIT
#include "images.h"

TestSuite(vit, .fini = harness_close);

#define SMALL "use = model.vit\nlayers = 2\nwidth = 8\nheads = 2\n"

/* d: width. Blocks 12 d^2 + 13 d (test_gpt.c); patches c p^2 d + d, class d, positions (8/4)^2 + 1 of d, norm
 * 2 d, head. */
Test(vit, parameters_are_counted) {
  const int64_t d = 8, block = 12 * d * d + 13 * d, head = CLASSES * d + CLASSES;
  EXPECT_INT(size_of(open_model("float32", SMALL, &images)),
             2 * block + CHANNELS * 16 * d + d + d + 5 * d + 2 * d + head);
  EXPECT_INT(size_of(open_model("float32", SMALL "pool = mean\npatch = 2", &images)),
             2 * block + CHANNELS * 4 * d + d + 16 * d + 2 * d + head);
}

Test(vit, outputs_have_their_shapes) {
  const tn_component *m = open_model("float32", SMALL, &images);
  expect_shape(m, image_rows(0, 3), "logits", TN_SHAPE(3, CLASSES));
  expect_shape(m, image_rows(0, 3), "features", TN_SHAPE(3, 8));
}

/* Without positions (all equal) the mean of the patches does not know where a patch was. */
Test(vit, positions_tell_patches_apart) {
  const tn_component *m = open_model("float64", SMALL "pool = mean", &images);
  tn_fields *rows = image_rows(0, 1), *moved = tn_fields_new();
  tn_fields_set(moved, "image",
                tn_roll(tn_field(rows, "image"), 3, 4)); /* patches of 4: two columns change places */
  cr_assert(fabs(harness_at(output(m, rows, TN_EVALUATE, "logits"), 0) -
                 harness_at(output(m, moved, TN_EVALUATE, "logits"), 0)) > 1e-9);
  tn_params *params = tn_parameters(m);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry e;
    tn_params_entry(params, p, &e);
    if (strcmp(e.name, "positions.weight") == 0) memset(tn_data(e.tensor), 0, 8 * (size_t)tn_numel(e.tensor));
  }
  EXPECT_NEAR(harness_at(output(m, rows, TN_EVALUATE, "logits"), 0),
              harness_at(output(m, moved, TN_EVALUATE, "logits"), 0), 1e-12);
}

Test(vit, gradients_are_central_differences) {
  static const char *const kinds[] = {SMALL, SMALL "pool = mean\nactivation = gelu_tanh\ndropout = 0.2"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    const tn_component *m = open_model("float64", kinds[k], &images);
    expect_gradients(m, image_rows(0, 2), TN_TRAIN, "logits");
  }
}

Test(vit, is_a_pure_function) {
  const tn_component *m = open_model("float64", SMALL "dropout = 0.3", &images);
  expect_pure(m, &images, "logits");
  expect_rows_alone(m, &images, "logits");
}

Test(vit, wrong_keys_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.vit\nwidth = 10\nheads = 4", NULL), "4 heads do not divide width 10");
  EXPECT_CONTAINS(refusal(SMALL "patch = 3", &images), "patches of 3 do not divide images of 8 x 8");
}
