// SPDX-License-Identifier: MIT
#include "support.h"

TestSuite(unet, .fini = harness_close);

enum { C = 2, SIDE = 6, KINDS = 3 };

static void describe(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(C, SIDE, SIDE), 0);
  tn_spec_set(spec, "time", TN_FLOAT, (tn_shape){0, {0}}, 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, KINDS);
}
static tn_fields *rows(int64_t first, int64_t count) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", waves(TN_SHAPE(count, C, SIDE, SIDE), first));
  tn_fields_set(fields, "time", tn_cast(tn_arange(TN_F64, 3 + 7 * (double)first, 7, count), tn_precision()));
  tn_tensor *label = tn_empty(TN_I64, TN_SHAPE(count));
  for (int64_t i = 0; i < count; i++) tn_i64(label)[i] = (first + i) % KINDS;
  tn_fields_set(fields, "label", label);
  return fields;
}
static const data images = {describe, rows};

#define SMALL "use = model.unet\nwidth = 4\ngroups = 2\nmultipliers = 1, 2\nzero_init = no\n"

static int64_t conv(int64_t in, int64_t out, int64_t k) { return in * out * k * k + out; }
/* t: of the time embedding */
static int64_t block(int64_t in, int64_t out, int64_t t) {
  return 2 * in + conv(in, out, 3) + t * out + out + 2 * out + conv(out, out, 3) +
         (in != out ? conv(in, out, 1) : 0);
}

/* Kept on the way down: in 4, block 4, shrink 4, block 8. Up: level 1: 8 + 8 -> 8, 8 + 4 -> 8; level 0: 8 + 4
 * -> 4, 4 + 4 -> 4. */
Test(unet, parameters_are_counted) {
  const int64_t t = 16, time = 4 * t + t + t * t + t;
  const int64_t down = conv(C, 4, 3) + block(4, 4, t) + conv(4, 4, 3) + block(4, 8, t);
  const int64_t middle = 2 * block(8, 8, t), attention = 2 * 8 + conv(8, 24, 1) + conv(8, 8, 1);
  const int64_t up = block(16, 8, t) + block(12, 8, t) + conv(8, 8, 3) + block(12, 4, t) + block(8, 4, t) +
                     2 * 4 + conv(4, C, 3);
  EXPECT_INT(size_of(open_model("float32", SMALL, &images)), time + down + middle + attention + up);
  EXPECT_INT(size_of(open_model("float32", SMALL "attention = no\ncondition = label", &images)),
             time + down + middle + up + KINDS * t);
}

Test(unet, keeps_the_size_of_images_odd_ones_too) {
  const tn_component *m = open_model("float32", SMALL, &images);
  expect_shape(m, rows(0, 2), "output", TN_SHAPE(2, C, SIDE, SIDE));
  /* 6 -> 3 -> 2 -> 1 and back */
  m = open_model("float32",
                 "use = model.unet\nwidth = 4\ngroups = 2\nmultipliers = 1, 1, 2, 2\nblocks = 2\noutput = 5",
                 &images);
  expect_shape(m, rows(0, 2), "output", TN_SHAPE(2, 5, SIDE, SIDE));
}

Test(unet, depends_on_time_and_class) {
  const tn_component *m = open_model("float64", SMALL "condition = label", &images);
  tn_fields *a = rows(0, 1), *b = rows(0, 1), *c = rows(0, 1);
  tn_fields_set(b, "time", tn_full(TN_F64, TN_SHAPE(1), 4));
  tn_fields_set(c, "label", tn_full(TN_I64, TN_SHAPE(1), 2));
  const double y = harness_at(output(m, a, TN_EVALUATE, "output"), 0);
  cr_expect(fabs(harness_at(output(m, b, TN_EVALUATE, "output"), 0) - y) > 1e-6);
  cr_expect(fabs(harness_at(output(m, c, TN_EVALUATE, "output"), 0) - y) > 1e-6);
}

Test(unet, starts_at_zero) {
  const tn_component *m =
      open_model("float64", "use = model.unet\nwidth = 4\ngroups = 2\nmultipliers = 1, 2", &images);
  const tn_tensor *y = output(m, rows(0, 2), TN_EVALUATE, "output");
  for (int64_t i = 0; i < tn_numel(y); i++) EXPECT_REAL(harness_at(y, i), 0);
}

Test(unet, gradients_are_central_differences) {
  const tn_component *m = open_model("float64", SMALL "heads = 2\ncondition = label\ndropout = 0.1", &images);
  expect_gradients(m, rows(0, 2), TN_TRAIN, "output");
}

Test(unet, is_a_pure_function) {
  const tn_component *m = open_model("float64", SMALL "dropout = 0.3", &images);
  expect_pure(m, &images, "output");
  expect_rows_alone(m, &images, "output");
}

Test(unet, wrong_keys_are_refused) {
  EXPECT_CONTAINS(refusal("use = model.unet\nwidth = 5\ngroups = 5", NULL), "width 5 is odd");
  EXPECT_CONTAINS(refusal("use = model.unet\nwidth = 12", NULL), "8 groups do not divide width 12");
  EXPECT_CONTAINS(refusal(SMALL "heads = 3", &images), "3 heads do not divide the 8 channels in the middle");
  EXPECT_CONTAINS(refusal(SMALL "condition = time", &images), "'time' must be one class number a sample");
}
