// SPDX-License-Identifier: MIT
/* Which rows make a batch, by group or weight. */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/dataset.h>
#include <tenon/sampler.h>
#include <unistd.h>

TestSuite(samplers, .fini = harness_close);

enum { ROWS = 60, BATCH = 12 };
static int label_of(int row) { return row < 30 ? 0 : row < 50 ? 1 : 2; } /* 30, 20 and 10 rows */

/* [d]: 60 rows, labels as above, regression target 1 in row 7 and 3 in row 40, else 0. */
static void open_with(const char *sections) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/tmp/tenon-%d-groups.csv", (int)getpid());
  FILE *file = fopen(path, "w");
  fputs("x,w,label\n", file);
  for (int i = 0; i < ROWS; i++) fprintf(file, "%d,%d,%d\n", i, i == 7 ? 1 : i == 40 ? 3 : 0, label_of(i));
  fclose(file);
  snprintf(text, sizeof text,
           "[d]\nuse = dataset.csv\nfile = %s\ntest = 0\nlabel = label\ntarget = w\nheader = yes\n%s", path,
           sections);
  harness_open("float64", text);
}

/* One epoch; the number of batches. */
static int64_t epoch_of(const tn_component *sampler, int64_t *rows, int64_t *sizes) {
  int64_t batches = 0, at = 0;
  for (bool ends = false; !ends; batches++) {
    cr_assert(tn_sampler_next(sampler, rows + at, &sizes[batches], &ends) >= 0, "%s", harness_failure());
    at += sizes[batches];
  }
  return batches;
}

/* Two batches of six rows each hold their share 1/2, 1/3, 1/6 of 12 rows: 6, 4, 2, to within two rows (one of
 * each class at either end of the stretch). */
Test(samplers, stratified_batches_have_each_class_share) {
  open_with("[s]\nuse = sampler.stratified\n");
  const tn_component *s = harness_component("s");
  cr_assert(tn_sampler_begin(s, harness_component("d"), ROWS, BATCH) >= 0, "%s", harness_failure());
  int64_t rows[2][ROWS], sizes[ROWS];
  for (int epoch = 0; epoch < 2; epoch++) {
    int times[ROWS] = {0};
    EXPECT_INT(epoch_of(s, rows[epoch], sizes), 5);
    for (int i = 0; i < ROWS; i++) times[rows[epoch][i]]++;
    for (int i = 0; i < ROWS; i++) EXPECT_INT(times[i], 1);
    for (int b = 0; b < 5; b++) {
      int count[3] = {0};
      for (int i = 0; i < BATCH; i++) count[label_of((int)rows[epoch][b * BATCH + i])]++;
      const int share[3] = {6, 4, 2};
      for (int c = 0; c < 3; c++) cr_assert(abs(count[c] - share[c]) <= 2, "%d of class %d", count[c], c);
    }
  }
  cr_assert(memcmp(rows[0], rows[1], sizeof rows[0]) != 0, "a fresh order each epoch");
}

Test(samplers, pk_has_k_distinct_rows_of_p_classes) {
  open_with("[s]\nuse = sampler.pk\nclasses = 2\nsamples = 5\n");
  const tn_component *s = harness_component("s");
  cr_assert(tn_sampler_begin(s, harness_component("d"), ROWS, BATCH) >= 0, "%s", harness_failure());
  int64_t rows[2 * ROWS], sizes[ROWS];
  EXPECT_INT(epoch_of(s, rows, sizes), 6);
  for (int b = 0; b < 6; b++) {
    EXPECT_INT(sizes[b], 10);
    int count[3] = {0};
    for (int i = 0; i < 10; i++) {
      count[label_of((int)rows[10 * b + i])]++;
      for (int k = 0; k < i; k++) cr_assert(rows[10 * b + i] != rows[10 * b + k]);
    }
    int present = 0;
    for (int c = 0; c < 3; c++) {
      cr_assert(count[c] == 0 || count[c] == 5);
      present += count[c] > 0;
    }
    EXPECT_INT(present, 2);
  }
  cr_assert(tn_sampler_begin(s, harness_component("d"), ROWS, 9) < 0);
  EXPECT_CONTAINS(harness_failure(), "a batch of 9 rows cannot hold 5 rows of 2 classes");
}

/* Groups equally likely: of 6,000 draws each class has 2,000 with a deviation of sqrt(6000 * 2/9) = 36.5. */
Test(samplers, weights_from_groups_and_fields) {
  open_with("[s]\nuse = sampler.weighted\nfield = label\n[t]\nuse = sampler.weighted\nfield = target\n");
  const tn_component *s = harness_component("s"), *t = harness_component("t");
  cr_assert(tn_sampler_begin(s, harness_component("d"), ROWS, BATCH) >= 0, "%s", harness_failure());
  int64_t rows[ROWS], sizes[ROWS];
  int count[3] = {0};
  for (int epoch = 0; epoch < 100; epoch++) {
    EXPECT_INT(epoch_of(s, rows, sizes), 5);
    for (int i = 0; i < ROWS; i++) count[label_of((int)rows[i])]++;
  }
  for (int c = 0; c < 3; c++) EXPECT_NEAR(count[c], 2000, 5 * 36.5);
  /* weights 1 and 3 of two rows: the second three quarters of the time; nothing else is drawn */
  cr_assert(tn_sampler_begin(t, harness_component("d"), ROWS, BATCH) >= 0, "%s", harness_failure());
  int second = 0;
  for (int epoch = 0; epoch < 100; epoch++) {
    epoch_of(t, rows, sizes);
    for (int i = 0; i < ROWS; i++) {
      cr_assert(rows[i] == 7 || rows[i] == 40);
      second += rows[i] == 40;
    }
  }
  EXPECT_NEAR(second, 4500, 5 * sqrt(6000 * 0.75 * 0.25));
}

/* Four of each class in every batch of twelve; the largest class has 30 rows: 8 batches an epoch. */
Test(samplers, balanced_batches_have_equal_groups) {
  open_with("[s]\nuse = sampler.balanced\nfield = label\n");
  const tn_component *s = harness_component("s");
  cr_assert(tn_sampler_begin(s, harness_component("d"), ROWS, BATCH) >= 0, "%s", harness_failure());
  int64_t rows[4 * ROWS], sizes[ROWS];
  EXPECT_INT(epoch_of(s, rows, sizes), 8);
  int times[ROWS] = {0};
  for (int b = 0; b < 8; b++) {
    int count[3] = {0};
    for (int i = 0; i < BATCH; i++) count[label_of((int)rows[b * BATCH + i])]++, times[rows[b * BATCH + i]]++;
    for (int c = 0; c < 3; c++) EXPECT_INT(count[c], 4);
  }
  for (int i = 0; i < ROWS; i++) cr_assert(times[i] >= 1, "row %d is in no batch", i);
}

Test(samplers, every_sampler_resumes_where_it_was) {
  static const char *const kinds[] = {"balanced\nfield = label", "weighted\nfield = label",
                                      "pk\nclasses = 2\nsamples = 3", "stratified"};
  for (size_t k = 0; k < TN_ARRAY_LENGTH(kinds); k++) {
    char text[256];
    snprintf(text, sizeof text, "[s]\nuse = sampler.%s\n[t]\nuse = sampler.%s\n", kinds[k], kinds[k]);
    open_with(text);
    const tn_component *one = harness_component("s"), *two = harness_component("t");
    int64_t a[BATCH], b[BATCH], count, other;
    bool ends;
    tn_sampler_begin(one, harness_component("d"), ROWS, BATCH);
    tn_sampler_begin(two, harness_component("d"), ROWS, BATCH);
    for (int i = 0; i < 13; i++) tn_sampler_next(one, a, &count, &ends);
    harness_state *state = harness_save(one);
    harness_load(two, state);
    harness_forget(state);
    for (int i = 0; i < 20; i++) {
      tn_sampler_next(one, a, &count, &ends);
      tn_sampler_next(two, b, &other, &ends);
      EXPECT_INT(other, count);
      cr_assert(memcmp(a, b, (size_t)count * sizeof *a) == 0, "%s: batch %d", kinds[k], i);
    }
  }
}
