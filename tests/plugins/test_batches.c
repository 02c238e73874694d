// SPDX-License-Identifier: MIT
/* Samplers and transforms. */
#include "harness.h"
#include <tenon/dataset.h>
#include <tenon/sampler.h>
#include <tenon/transform.h>

TestSuite(batches, .fini = harness_close);

#define DIGITS "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nscale = 16\n"

enum { ROWS = 103, BATCH = 10 };

/* One epoch's order; the number of batches. */
static int64_t epoch_of(const tn_component *sampler, int64_t *order, int64_t *rows) {
  int64_t batches = 0, count;
  bool ends = false;
  for (*rows = 0; !ends; batches++) {
    cr_assert(tn_sampler_next(sampler, order + *rows, &count, &ends) >= 0);
    cr_assert(count >= 1 && count <= BATCH);
    *rows += count;
  }
  return batches;
}
static void expect_all_once(const int64_t *order, int64_t count) {
  int times[ROWS] = {0};
  for (int64_t i = 0; i < count; i++) times[order[i]]++;
  for (int i = 0; i < ROWS; i++) EXPECT_INT(times[i], 1);
}

Test(batches, samplers_show_every_row_once_an_epoch) {
  harness_open("float32", DIGITS "[s]\nuse = sampler.shuffle\n[q]\nuse = sampler.sequential\n");
  const tn_component *data = harness_component("d"), *shuffle = harness_component("s");
  int64_t first[ROWS], second[ROWS], rows;
  tn_sampler_begin(shuffle, data, ROWS, BATCH);
  EXPECT_INT(epoch_of(shuffle, first, &rows), 11);
  EXPECT_INT(rows, ROWS);
  epoch_of(shuffle, second, &rows);
  expect_all_once(first, ROWS);
  expect_all_once(second, ROWS);
  cr_assert(memcmp(first, second, sizeof first) != 0, "a fresh order each epoch");
  tn_sampler_begin(shuffle, data, ROWS, BATCH);
  epoch_of(shuffle, second, &rows);
  cr_assert(memcmp(first, second, sizeof first) == 0, "the same beginning, the same order");
  EXPECT_INT(tn_sampler_batches(shuffle, ROWS, BATCH), 11);

  const tn_component *sequential = harness_component("q");
  tn_sampler_begin(sequential, data, ROWS, BATCH);
  for (int round = 0; round < 2; round++) {
    EXPECT_INT(epoch_of(sequential, first, &rows), 11);
    for (int64_t i = 0; i < ROWS; i++) EXPECT_INT(first[i], i);
  }
}

Test(batches, drop_last_leaves_only_whole_batches) {
  harness_open("float32", DIGITS "[s]\nuse = sampler.shuffle\ndrop_last = yes\n");
  const tn_component *shuffle = harness_component("s");
  int64_t order[ROWS], rows;
  tn_sampler_begin(shuffle, harness_component("d"), ROWS, BATCH);
  EXPECT_INT(epoch_of(shuffle, order, &rows), 10);
  EXPECT_INT(rows, 100);
  EXPECT_INT(tn_sampler_batches(shuffle, ROWS, BATCH), 10);
}

Test(batches, samplers_resume_where_they_were) {
  harness_open("float32", DIGITS "[s]\nuse = sampler.shuffle\n[t]\nuse = sampler.shuffle\n"
                                 "[q]\nuse = sampler.sequential\n[r]\nuse = sampler.sequential\n");
  const char *const pairs[][2] = {{"s", "t"}, {"q", "r"}};
  for (int p = 0; p < 2; p++) {
    const tn_component *one = harness_component(pairs[p][0]), *two = harness_component(pairs[p][1]);
    int64_t a[BATCH], b[BATCH], count, other;
    bool ends;
    tn_sampler_begin(one, harness_component("d"), ROWS, BATCH);
    tn_sampler_begin(two, harness_component("d"), ROWS, BATCH);
    for (int i = 0; i < 17; i++) tn_sampler_next(one, a, &count, &ends);
    harness_state *state = harness_save(one);
    harness_load(two, state);
    harness_forget(state);
    for (int i = 0; i < 30; i++) {
      tn_sampler_next(one, a, &count, &ends);
      tn_sampler_next(two, b, &other, &ends);
      EXPECT_INT(other, count);
      cr_assert(memcmp(a, b, (size_t)count * sizeof *a) == 0, "batch %d after resuming", i);
    }
  }
}

/* Fields of the first `count` rows. */
static tn_fields *rows_of(const tn_component *data, int64_t count) {
  int64_t index[2000];
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < count; i++) index[i] = i;
  cr_assert(tn_dataset_read(data, index, count, fields) >= 0, "%s", harness_failure());
  return fields;
}
static void apply(const tn_component *transform, tn_fields *fields) {
  const tn_transform_call call = {.size = sizeof call, .progress = {.size = sizeof call.progress}};
  cr_assert(tn_transform_apply(transform, fields, &call) >= 0, "%s", harness_failure());
}

/* On the training part itself: mean 0 and variance 1 for every pixel that varies, 0 for those that do not. */
Test(batches, standardise_features) {
  harness_open("float64", DIGITS "[t]\nuse = transform.standardise\n");
  const tn_component *data = harness_component("d"), *t = harness_component("t");
  const int64_t n = tn_dataset_rows(data);
  cr_assert(tn_transform_fit(t, data, NULL) >= 0, "%s", harness_failure());
  tn_fields *raw = rows_of(data, n), *done = rows_of(data, n);
  apply(t, done);
  for (int64_t j = 0; j < 64; j++) {
    double mean = 0, square = 0, low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
      const double x = harness_at(tn_field(done, "input"), i * 64 + j),
                   was = harness_at(tn_field(raw, "input"), i * 64 + j);
      mean += x / (double)n;
      square += x * x / (double)n;
      low = fmin(low, was), high = fmax(high, was);
    }
    EXPECT_NEAR(mean, 0, 1e-11);
    EXPECT_NEAR(square, high > low ? 1 : 0, 1e-11);
  }
}

Test(batches, standardise_channels_of_images) {
  harness_open("float64", DIGITS "image = 4, 4, 4\n[t]\nuse = transform.standardise\n");
  const tn_component *data = harness_component("d"), *t = harness_component("t");
  const int64_t n = tn_dataset_rows(data);
  cr_assert(tn_transform_fit(t, data, NULL) >= 0, "%s", harness_failure());
  tn_fields *done = rows_of(data, n);
  apply(t, done);
  EXPECT_INT(tn_ndim(tn_field(done, "image")), 4);
  for (int64_t c = 0; c < 4; c++) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
      for (int64_t k = 0; k < 16; k++) {
        const double x = harness_at(tn_field(done, "image"), (i * 4 + c) * 16 + k);
        mean += x / (double)(16 * n);
        square += x * x / (double)(16 * n);
      }
    EXPECT_NEAR(mean, 0, 1e-11);
    EXPECT_NEAR(square, 1, 1e-11);
  }
}

/* The second of two standardisations sees what the first makes: there is nothing left to do. */
Test(batches, transforms_learn_behind_each_other) {
  harness_open("float64", DIGITS "[a]\nuse = transform.standardise\n[b]\nuse = transform.standardise\n");
  const tn_component *data = harness_component("d"), *a = harness_component("a"), *b = harness_component("b");
  const tn_references before = {&a, 1};
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs;
  tn_dataset_describe(data, spec);
  cr_assert(tn_declare_component(a, spec, &outputs) >= 0 && tn_declare_component(b, outputs, &outputs) >= 0);
  tn_spec_release(spec);
  cr_assert(tn_transform_fit(a, data, NULL) >= 0 && tn_transform_fit(b, data, &before) >= 0, "%s",
            harness_failure());
  tn_fields *once = rows_of(data, 50), *twice = rows_of(data, 50);
  apply(a, once);
  apply(a, twice);
  apply(b, twice);
  for (int64_t i = 0; i < 50 * 64; i++)
    EXPECT_NEAR(harness_at(tn_field(twice, "input"), i), harness_at(tn_field(once, "input"), i), 1e-9);
}

Test(batches, standardise_keeps_what_it_learnt) {
  harness_open("float32", DIGITS "[t]\nuse = transform.standardise\n[u]\nuse = transform.standardise\n");
  const tn_component *data = harness_component("d"), *t = harness_component("t"), *u = harness_component("u");
  tn_fields *one = rows_of(data, 20), *two = rows_of(data, 20);
  const tn_transform_call call = {.size = sizeof call};
  cr_assert(tn_transform_apply(u, two, &call) < 0, "not fitted");
  EXPECT_CONTAINS(harness_failure(), "not fitted");
  tn_transform_fit(t, data, NULL);
  harness_state *state = harness_save(t);
  harness_load(u, state);
  harness_forget(state);
  apply(t, one);
  apply(u, two);
  for (int64_t i = 0; i < 20 * 64; i++)
    EXPECT_REAL(harness_at(tn_field(two, "input"), i), harness_at(tn_field(one, "input"), i));
}
