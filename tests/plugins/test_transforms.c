// SPDX-License-Identifier: MIT
/* Transforms of numbers, labels and images; subsets of data sets. */
#include "harness.h"
#include <stdlib.h>
#include <tenon/dataset.h>
#include <tenon/transform.h>

TestSuite(transforms, .fini = harness_close);

#define DIGITS "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nscale = 16\n"

static double at(const tn_fields *fields, const char *name, int64_t i) {
  return harness_at(tn_field(fields, name), i);
}
static tn_fields *rows_of(const tn_component *data, int64_t first, int64_t count) {
  int64_t *index = malloc((size_t)count * sizeof *index);
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < count; i++) index[i] = first + i;
  cr_assert(tn_dataset_read(data, index, count, fields) >= 0, "%s", harness_failure());
  free(index);
  return fields;
}
static void apply(const char *name, tn_fields *fields, tn_mode mode, uint64_t step) {
  tn_rng rng = tn_rng_at(name, "train", step);
  const tn_transform_call call = {
      .size = sizeof call, .progress = {.size = sizeof call.progress, .mode = mode}, .rng = &rng};
  cr_assert(tn_transform_apply(harness_component(name), fields, &call) >= 0, "%s", harness_failure());
}
static tn_fields *image_of(int64_t count, int64_t h, int64_t w, const double *values) {
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "image", harness_tensor(TN_SHAPE(count, 1, h, w), values));
  return fields;
}

/* On the training part every pixel that varies has extremes 0 and 1, the others are 0. */
Test(transforms, minmax_reaches_both_ends) {
  harness_open("float64", DIGITS "[t]\nuse = transform.minmax\n");
  const tn_component *data = harness_component("d");
  cr_assert(tn_transform_fit(harness_component("t"), data, NULL) >= 0, "%s", harness_failure());
  const int64_t n = tn_dataset_rows(data);
  tn_fields *raw = rows_of(data, 0, n), *done = rows_of(data, 0, n);
  apply("t", done, TN_EVALUATE, 0);
  for (int64_t j = 0; j < 64; j++) {
    double low = INFINITY, high = -INFINITY, first = at(raw, "input", j);
    bool varies = false;
    for (int64_t i = 0; i < n; i++) {
      low = fmin(low, at(done, "input", i * 64 + j));
      high = fmax(high, at(done, "input", i * 64 + j));
      varies |= at(raw, "input", i * 64 + j) != first;
    }
    EXPECT_REAL(low, 0);
    EXPECT_NEAR(high, varies ? 1 : 0, 1e-15);
  }
}

Test(transforms, normalise_by_numbers_and_to_length) {
  harness_open("float64", "[a]\nuse = transform.normalise\nmean = 1\ndeviation = 2\n"
                          "[b]\nuse = transform.normalise\nby = length\n"
                          "[c]\nuse = transform.normalise\nmean = 1, 2\ndeviation = 4, 5\nfield = input\n");
  tn_fields *fields = image_of(1, 1, 2, (const double[]){7, 9});
  apply("a", fields, TN_EVALUATE, 0);
  EXPECT_REAL(at(fields, "image", 0), 3);
  EXPECT_REAL(at(fields, "image", 1), 4);
  apply("b", fields, TN_EVALUATE, 0);
  EXPECT_NEAR(at(fields, "image", 0), 0.6, 1e-15);
  EXPECT_NEAR(at(fields, "image", 1), 0.8, 1e-15);
  tn_fields *vectors = tn_fields_new();
  tn_fields_set(vectors, "input", harness_tensor(TN_SHAPE(2, 2), (const double[]){1, 2, 5, 12}));
  apply("c", vectors, TN_EVALUATE, 0);
  const double wanted[] = {0, 0, 1, 2};
  for (int i = 0; i < 4; i++) EXPECT_REAL(at(vectors, "input", i), wanted[i]);
}

/* Smoothing 0.3 over ten classes: 0.73 at the class and 0.03 elsewhere. */
Test(transforms, one_hot_spreads_its_smoothing) {
  harness_open("float64", DIGITS "[o]\nuse = transform.one_hot\nsmoothing = 0.3\n");
  tn_fields *fields = rows_of(harness_component("d"), 0, 3);
  tn_spec *spec = tn_spec_new();
  tn_dataset_describe(harness_component("d"), spec);
  const tn_spec *outputs;
  cr_assert(tn_declare_component(harness_component("o"), spec, &outputs) >= 0, "%s", harness_failure());
  EXPECT_INT(tn_spec_find(outputs, "target")->shape.dim[0], 10);
  tn_spec_release(spec);
  apply("o", fields, TN_TRAIN, 0);
  for (int i = 0; i < 3; i++)
    for (int c = 0; c < 10; c++)
      EXPECT_NEAR(at(fields, "target", 10 * i + c), c == (int)at(fields, "label", i) ? 0.73 : 0.03, 1e-15);
}

/* Either the image or its mirror image, about as often; nothing in evaluation. */
Test(transforms, flips_happen_in_training_only) {
  enum { N = 400 };
  harness_open("float64", "[f]\nuse = transform.flip\n");
  double values[6 * N];
  for (int i = 0; i < 6 * N; i++) values[i] = i % 6;
  tn_fields *fields = image_of(N, 2, 3, values);
  apply("f", fields, TN_EVALUATE, 0);
  for (int i = 0; i < 6 * N; i++) EXPECT_REAL(at(fields, "image", i), values[i]);
  apply("f", fields, TN_TRAIN, 0);
  int flipped = 0;
  for (int n = 0; n < N; n++) {
    const bool mirror = at(fields, "image", 6 * n) == 2;
    flipped += mirror;
    for (int y = 0; y < 2; y++)
      for (int x = 0; x < 3; x++)
        EXPECT_REAL(at(fields, "image", 6 * n + 3 * y + x), 3 * y + (mirror ? 2 - x : x));
  }
  EXPECT_NEAR(flipped, N / 2, 5 * sqrt(N * 0.25));
}

/* Padding 1 on a 3 x 3 image: nine shifts, all of which occur; what comes from outside is 0. */
Test(transforms, crops_shift_by_at_most_the_padding) {
  enum { N = 200 };
  harness_open("float64", "[c]\nuse = transform.crop\npadding = 1\n[r]\nuse = transform.crop\npadding = 1\n"
                          "border = reflect\n");
  double values[9 * N];
  for (int i = 0; i < 9 * N; i++) values[i] = 1 + i % 9;
  tn_fields *fields = image_of(N, 3, 3, values);
  apply("c", fields, TN_TRAIN, 3);
  bool seen[3][3] = {{false}};
  for (int n = 0; n < N; n++) {
    const int middle = (int)at(fields, "image", 9 * n + 4) - 1; /* 0 .. 8: the pixel that is in the middle */
    const int dy = middle / 3 - 1, dx = middle % 3 - 1;
    seen[dy + 1][dx + 1] = true;
    for (int y = 0; y < 3; y++)
      for (int x = 0; x < 3; x++) {
        const int v = y + dy, u = x + dx;
        const bool inside = v >= 0 && v < 3 && u >= 0 && u < 3;
        EXPECT_REAL(at(fields, "image", 9 * n + 3 * y + x), inside ? 1 + 3 * v + u : 0);
      }
  }
  for (int i = 0; i < 9; i++) cr_assert(seen[i / 3][i % 3], "shift %d never occurs", i);
  tn_fields *reflected = image_of(N, 3, 3, values);
  apply("r", reflected, TN_TRAIN, 3);
  for (int i = 0; i < 9 * N; i++) cr_assert(at(reflected, "image", i) > 0);
}

Test(transforms, cutout_covers_one_square) {
  enum { N = 100 };
  harness_open("float64", "[c]\nuse = transform.cutout\nsize = 3\nvalue = -1\n");
  static double values[64 * N];
  for (int i = 0; i < 64 * N; i++) values[i] = 1;
  tn_fields *fields = image_of(N, 8, 8, values);
  apply("c", fields, TN_TRAIN, 0);
  for (int n = 0; n < N; n++) {
    int covered = 0, top = 8, bottom = -1, left = 8, right = -1;
    for (int i = 0; i < 64; i++) {
      if (at(fields, "image", 64 * n + i) != -1) continue;
      covered++;
      if (i / 8 < top) top = i / 8;
      if (i / 8 > bottom) bottom = i / 8;
      if (i % 8 < left) left = i % 8;
      if (i % 8 > right) right = i % 8;
    }
    cr_assert(covered >= 4 && bottom - top < 3 && right - left < 3); /* its middle is inside */
    EXPECT_INT(covered, (bottom - top + 1) * (right - left + 1));
  }
}

/* Classes 3 and 8 become 0 and 1, the first 5 and 7 rows of them; their names stay. */
Test(transforms, subsets_choose_classes_and_counts) {
  harness_open("float64", "[all]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\n"
                          "test = 0\n[d]\nuse = dataset.subset\ndata = all\nclasses = 3, 8\ncounts = 5, 7\n"
                          "[r]\nuse = dataset.subset\ndata = all\nrange = 100, 110\nhide = yes\ntest = 4\n");
  const tn_component *d = harness_component("d"), *all = harness_component("all");
  EXPECT_INT(tn_dataset_rows(d), 12);
  EXPECT_TEXT(tn_dataset_class_name(d, "label", 1), "8");
  const tn_fields *some = rows_of(d, 0, 12), *every = rows_of(all, 0, 200);
  int count[2] = {0}, row = 0;
  for (int i = 0; i < 12; i++) {
    int digit = (int)at(every, "label", row);
    while (!(digit == 3 && count[0] < 5) && !(digit == 8 && count[1] < 7))
      digit = (int)at(every, "label", ++row);
    EXPECT_INT(at(some, "label", i), digit == 8);
    count[digit == 8]++;
    for (int j = 0; j < 64; j++) EXPECT_REAL(at(some, "input", 64 * i + j), at(every, "input", 64 * row + j));
    row++;
  }
  EXPECT_INT(count[0], 5);
  EXPECT_INT(count[1], 7);
  tn_component r = *harness_component("r");
  EXPECT_INT(tn_dataset_rows(&r), 6);
  r.part = "test";
  EXPECT_INT(tn_dataset_rows(&r), 4);
  const tn_fields *last = rows_of(&r, 0, 4);
  for (int i = 0; i < 4; i++) {
    EXPECT_INT(at(last, "label", i), -1);
    EXPECT_REAL(at(last, "input", 64 * i + 20), at(every, "input", 64 * (106 + i) + 20));
  }
  EXPECT_CONTAINS(harness_refusal("float64", DIGITS "[s]\nuse = dataset.subset\ndata = d\ncounts = 5000\n"),
                  "counts: 5000 rows of class 0 are wanted, there are 1");
}
