// SPDX-License-Identifier: MIT
/* Domains, views and sizes of images. */
#include "harness.h"
#include <stdlib.h>
#include <tenon/dataset.h>
#include <tenon/transform.h>

TestSuite(views, .fini = harness_close);

#define DIGITS                                                                                            \
  "[digits]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nimage = 1, 8, 8\n" \
  "scale = 16\ntest = 0\n"

static tn_component part(const char *name) {
  tn_component c = *harness_component("d");
  c.part = name;
  return c;
}
static int64_t rows(const char *name) {
  const tn_component c = part(name);
  return tn_dataset_rows(&c);
}
static tn_fields *row(const char *name, int64_t index) {
  const tn_component c = part(name);
  tn_fields *fields = tn_fields_new();
  cr_assert(tn_dataset_read(&c, &index, 1, fields) >= 0, "%s", harness_failure());
  return fields;
}
static double at(const tn_fields *fields, const char *name, int64_t i) {
  return harness_at(tn_field(fields, name), i);
}

/* A quarter turn to the left moves pixel (y, x) to (7 - x, y). */
Test(views, rotation_by_a_right_angle_permutes_pixels) {
  harness_open("float64", DIGITS "[d]\nuse = dataset.domains\ndata = digits\nlevels = 0, 90\nsize = 20\n");
  EXPECT_INT(rows("train"), 40);
  for (int64_t i = 0; i < 20; i++) {
    const tn_fields *straight = row("domain.0", i), *turned = row("domain.1", i);
    EXPECT_INT(at(straight, "domain", 0), 0);
    EXPECT_INT(at(turned, "domain", 0), 1);
    EXPECT_REAL(at(turned, "label", 0), at(straight, "label", 0));
    for (int64_t y = 0; y < 8; y++)
      for (int64_t x = 0; x < 8; x++)
        EXPECT_NEAR(at(turned, "image", (7 - x) * 8 + y), at(straight, "image", y * 8 + x), 1e-12);
  }
}

/* Left-out levels are numbered behind the others; held-out rows are in no other training part. */
Test(views, parts_of_domains) {
  harness_open("float64",
               DIGITS "[d]\nuse = dataset.domains\ndata = digits\nview = brightness\n"
                      "levels = 1, 2, 3\nleave_out = 1\nsize = 10\nvalidation = 3\ndistinct = yes\n");
  EXPECT_INT(rows("train"), 14);
  EXPECT_INT(rows("validation"), 6);
  EXPECT_INT(rows("left_out"), 10);
  EXPECT_INT(rows("domain.2"), 10);
  EXPECT_INT(rows("all"), 30);
  cr_assert(rows("domain.3") < 0);
  EXPECT_CONTAINS(harness_failure(), "there are train, all, left_out, validation, domain.0 to domain.2");
  EXPECT_INT(at(row("train", 0), "domain", 0), 0);
  EXPECT_INT(at(row("train", 7), "domain", 0), 1);
  EXPECT_INT(at(row("validation", 2), "domain", 0), 0);
  EXPECT_INT(at(row("validation", 3), "domain", 0), 1);
  EXPECT_INT(at(row("left_out", 0), "domain", 0), 2);
  /* brightness 2 of the first row of a digit's corner, which is 0, and 1 for the level left out */
  EXPECT_REAL(at(row("train", 0), "image", 0), 2);
  EXPECT_REAL(at(row("left_out", 0), "image", 0), 1);
  /* domain.0 is train's seven rows and then validation's three */
  for (int64_t i = 0; i < 10; i++) {
    const tn_fields *whole = row("domain.0", i), *piece = i < 7 ? row("train", i) : row("validation", i - 7);
    for (int64_t k = 0; k < 64; k++) EXPECT_REAL(at(whole, "image", k), at(piece, "image", k));
  }
}

/* The image of one view and that of level 0, which changes nothing. */
static void open_view(const char *view, const char *levels) {
  char text[1024];
  snprintf(text, sizeof text,
           DIGITS "[d]\nuse = dataset.domains\ndata = digits\nview = %s\nlevels = %s\nsize = 50\n", view,
           levels);
  harness_open("float64", text);
}

/* A blurred row keeps what a flat line would: here the mean stays within the edges' share; a pixelated image
 * has the mean of each square; contrast pulls towards 1/2. */
Test(views, corruptions_do_what_they_say) {
  open_view("pixelate", "1, 4");
  for (int64_t i = 0; i < 50; i++) {
    const tn_fields *plain = row("domain.0", i), *coarse = row("domain.1", i);
    double sum = 0;
    for (int64_t y = 0; y < 4; y++)
      for (int64_t x = 4; x < 8; x++) sum += at(plain, "image", y * 8 + x);
    EXPECT_NEAR(at(coarse, "image", 3 * 8 + 7), sum / 16, 1e-12);
    EXPECT_NEAR(at(coarse, "image", 4), sum / 16, 1e-12);
  }
  open_view("contrast", "1, 0.5");
  EXPECT_NEAR(at(row("domain.1", 3), "image", 20), 0.25 + 0.5 * at(row("domain.0", 3), "image", 20), 1e-12);
  open_view("noise", "0, 0.25");
  double square = 0;
  for (int64_t i = 0; i < 50; i++)
    for (int64_t k = 0; k < 64; k++) {
      const double d = at(row("domain.1", i), "image", k) - at(row("domain.0", i), "image", k);
      square += d * d / 3200;
    }
  EXPECT_NEAR(sqrt(square), 0.25, 0.25 * 5 / sqrt(2 * 3200)); /* five standard errors of a deviation */
  open_view("occlusion", "0, 3");
  for (int64_t i = 0; i < 50; i++) {
    int64_t changed = 0;
    for (int64_t k = 0; k < 64; k++) {
      const double was = at(row("domain.0", i), "image", k), is = at(row("domain.1", i), "image", k);
      changed += was != is;
      cr_assert(is == was || is == 0);
    }
    cr_assert(changed <= 9);
  }
}

/* The blur of a lone pixel is the outer product of two normalised Gaussians; far from the edges their sums
 * are 1, so the image's sum stays. sigma 0.5: radius 2, weights 1, e^-2, e^-8. */
Test(views, blur_is_a_gaussian) {
  harness_open("float64", "[t]\nuse = transform.corrupt\nview = blur\nlevel = 0.5\n");
  double values[81] = {0};
  values[4 * 9 + 4] = 1;
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", harness_tensor(TN_SHAPE(1, 1, 9, 9), values));
  tn_rng rng = {0};
  const tn_transform_call call = {
      .size = sizeof call, .progress = {.size = sizeof call.progress}, .rng = &rng};
  cr_assert(tn_transform_apply(harness_component("t"), fields, &call) >= 0, "%s", harness_failure());
  const double sum = 1 + 2 * exp(-2) + 2 * exp(-8);
  EXPECT_NEAR(at(fields, "image", 4 * 9 + 4), 1 / (sum * sum), 1e-14);
  EXPECT_NEAR(at(fields, "image", 4 * 9 + 5), exp(-2) / (sum * sum), 1e-14);
  EXPECT_NEAR(at(fields, "image", 2 * 9 + 3), exp(-10) / (sum * sum), 1e-14);
}

/* A blur's time grows with its width, which means nothing beyond the image. */
Test(views, a_blur_wider_than_the_image_is_refused) {
  harness_open("float64", "[t]\nuse = transform.corrupt\nview = blur\nlevel = 1e6\n");
  double values[81] = {0};
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", harness_tensor(TN_SHAPE(1, 1, 9, 9), values));
  tn_rng rng = {0};
  const tn_transform_call call = {
      .size = sizeof call, .progress = {.size = sizeof call.progress}, .rng = &rng};
  cr_assert(tn_transform_apply(harness_component("t"), fields, &call) < 0);
  EXPECT_TEXT(harness_failure(), "a blur of 1e+06 pixels is wider than the image, 9 x 9");
}

/* Red digits for label 0 and green ones for label 1 with the domain's probability; a quarter of the labels
 * disagree with digit >= 5. */
Test(views, colours_agree_as_often_as_they_should) {
  harness_open("float64", DIGITS "[d]\nuse = dataset.colored_digits\ndata = digits\nlevels = 0.9, 0.2\n");
  const double wanted[] = {0.9, 0.2};
  for (int d = 0; d < 2; d++) {
    const char *name = d ? "domain.1" : "domain.0";
    const int64_t n = rows(name);
    EXPECT_INT(n, 1797);
    double agree = 0;
    for (int64_t i = 0; i < n; i++) {
      const tn_fields *fields = row(name, i);
      double ink[2] = {0};
      for (int64_t k = 0; k < 128; k++) ink[k / 64] += at(fields, "image", k);
      cr_assert(ink[0] == 0 || ink[1] == 0);
      agree += (ink[1] > 0) == (at(fields, "label", 0) == 1);
    }
    EXPECT_NEAR(agree / (double)n, wanted[d], 5 * sqrt(0.25 / (double)n));
  }
}

Test(views, pooled_repeated_and_resized_images) {
  harness_open("float64",
               "[p]\nuse = transform.average_pool\nsize = 2\n[r]\nuse = transform.repeat_channels\n"
               "channels = 2\n[s]\nuse = transform.resize\nheight = 4\nmethod = nearest\n");
  double values[16];
  for (int i = 0; i < 16; i++) values[i] = i;
  const tn_transform_call call = {.size = sizeof call, .progress = {.size = sizeof call.progress}};
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", harness_tensor(TN_SHAPE(1, 1, 4, 4), values));
  tn_transform_apply(harness_component("p"), fields, &call);
  const double means[] = {2.5, 4.5, 10.5, 12.5};
  for (int i = 0; i < 4; i++) EXPECT_REAL(at(fields, "image", i), means[i]);
  tn_transform_apply(harness_component("r"), fields, &call);
  EXPECT_INT(tn_dim(tn_field(fields, "image"), 1), 2);
  for (int i = 0; i < 8; i++) EXPECT_REAL(at(fields, "image", i), means[i % 4]);
  tn_transform_apply(harness_component("s"), fields, &call);
  EXPECT_INT(tn_numel(tn_field(fields, "image")), 32);
  EXPECT_REAL(at(fields, "image", 16 + 15), 12.5);
  EXPECT_REAL(at(fields, "image", 16 + 5), 2.5);
}
