// SPDX-License-Identifier: MIT
/* Domains made from images, and batches balanced over them. */
#include "harness.h"
#include <tenon/dataset.h>
#include <tenon/sampler.h>

TestSuite(domains, .fini = harness_close);

#define DIGITS                                                                                             \
  "[d]\nuse = dataset.csv\nfile = " TN_SOURCE_ROOT "/examples/data/digits.csv.gz\nimage = 1, 8, 8\nscale " \
  "= 16\ntest = 0\n"
enum { SIDE = 8, PIXELS = SIDE * SIDE, ROWS = 1797 };

static tn_fields *read_part(const char *section, const char *part, int64_t first, int64_t count) {
  const tn_component *c = harness_component(section);
  int64_t index[ROWS];
  for (int64_t i = 0; i < count; i++) index[i] = first + i;
  tn_fields *fields = tn_fields_new();
  cr_assert(((const tn_dataset *)c->vtable)->read(c->self, part, index, count, fields) >= 0, "%s",
            harness_failure());
  return fields;
}
static int64_t rows_of(const char *section, const char *part) {
  const tn_component *c = harness_component(section);
  return ((const tn_dataset *)c->vtable)->rows(c->self, part);
}
static double pixel(const tn_fields *fields, int64_t row, int64_t place) {
  return harness_at(tn_field(fields, "image"), row * PIXELS + place);
}
static int64_t label(const tn_fields *fields, int64_t row) { return tn_i64(tn_field(fields, "label"))[row]; }
static int64_t domain(const tn_fields *fields, int64_t row) {
  return tn_i64(tn_field(fields, "domain"))[row];
}

/* The row of the plain digits with the pixels of `row`, within `tolerance`; -1: none. */
static int64_t origin(const tn_fields *plain, const tn_fields *view, int64_t row, double tolerance) {
  for (int64_t r = 0; r < ROWS; r++) {
    int64_t k = 0;
    while (k < PIXELS && fabs(pixel(plain, r, k) - pixel(view, row, k)) <= tolerance) k++;
    if (k == PIXELS) return r;
  }
  return -1;
}

/* A square image turned counter-clockwise by 90 degrees: what was on the right is on top,
 * turned[7 - c][r] = straight[r][c]. By 180: turned[7 - r][7 - c]. */
Test(domains, rotation_is_exact_for_right_angles) {
  enum { N = 20 };
  harness_open("float64", DIGITS "[v]\nuse = dataset.domains\ndata = d\nlevels = 0, 90, 180\n");
  const tn_fields *plain = read_part("d", "", 0, ROWS), *straight = read_part("v", "domain.0", 0, N);
  const tn_fields *quarter = read_part("v", "domain.1", 0, N), *half = read_part("v", "domain.2", 0, N);
  for (int64_t i = 0; i < N; i++) {
    const int64_t from = origin(plain, straight, i, 1e-9);
    cr_assert(from >= 0, "rotation by 0 changed row %d", (int)i);
    EXPECT_INT(label(plain, from), label(straight, i));
    for (int64_t r = 0; r < SIDE; r++)
      for (int64_t c = 0; c < SIDE; c++) {
        EXPECT_NEAR(pixel(quarter, i, (SIDE - 1 - c) * SIDE + r), pixel(straight, i, r * SIDE + c), 1e-9);
        EXPECT_NEAR(pixel(half, i, (SIDE - 1 - r) * SIDE + SIDE - 1 - c), pixel(straight, i, r * SIDE + c),
                    1e-9);
      }
    EXPECT_INT(label(quarter, i), label(straight, i));
  }
}

/* contrast: 1/2 + level (x - 1/2); noise: a standard deviation, the same numbers each time the row is read */
Test(domains, contrast_and_noise_are_what_their_levels_say) {
  enum { N = 100 };
  harness_open("float64", DIGITS "[c]\nuse = dataset.domains\ndata = d\nview = contrast\nlevels = 1, 0.25\n"
                                 "[n]\nuse = dataset.domains\ndata = d\nview = noise\nlevels = 0, 0.3\n");
  const tn_fields *full = read_part("c", "domain.0", 0, N), *faded = read_part("c", "domain.1", 0, N);
  const tn_fields *clean = read_part("n", "domain.0", 0, N), *noisy = read_part("n", "domain.1", 0, N),
                  *again = read_part("n", "domain.1", 0, N);
  double sum = 0, squares = 0;
  for (int64_t k = 0; k < N * PIXELS; k++) {
    EXPECT_NEAR(pixel(faded, 0, k), 0.5 + 0.25 * (pixel(full, 0, k) - 0.5), 1e-15);
    const double noise = pixel(noisy, 0, k) - pixel(clean, 0, k);
    sum += noise;
    squares += noise * noise;
    EXPECT_REAL(pixel(again, 0, k), pixel(noisy, 0, k));
  }
  EXPECT_NEAR(sum / (N * PIXELS), 0, 4 * 0.3 / sqrt(N * PIXELS)); /* 4 standard errors */
  EXPECT_NEAR(sqrt(squares / (N * PIXELS)), 0.3, 4 * 0.3 / sqrt(2. * N * PIXELS));
}

Test(domains, left_out_levels_are_numbered_behind_the_others) {
  harness_open("float32", DIGITS "[v]\nuse = dataset.domains\ndata = d\nlevels = 0, 10, 20, 30\n"
                                 "leave_out = 0, 20\nsize = 50\ndistinct = yes\n");
  EXPECT_INT(rows_of("v", ""), 100);
  EXPECT_INT(rows_of("v", "train"), 100);
  EXPECT_INT(rows_of("v", "left_out"), 100);
  EXPECT_INT(rows_of("v", "all"), 200);
  EXPECT_INT(rows_of("v", "domain.3"), 50);
  cr_assert(rows_of("v", "domain.4") < 0);
  EXPECT_CONTAINS(harness_failure(), "no part 'domain.4'");
  const tn_fields *all = read_part("v", "all", 0, 200), *left = read_part("v", "left_out", 0, 100);
  for (int64_t i = 0; i < 200; i++) EXPECT_INT(domain(all, i), i / 50);
  for (int64_t i = 0; i < 100; i++) EXPECT_INT(domain(left, i), 2 + i / 50);
  /* domain 2 is that of level 0, untouched: where its rows come from is known; no two are the same row */
  const tn_fields *plain = read_part("d", "", 0, ROWS);
  bool seen[ROWS] = {false};
  for (int64_t i = 0; i < 50; i++) {
    const int64_t from = origin(plain, left, i, 1e-5);
    cr_assert(from >= 0 && !seen[from], "row %d", (int)i);
    seen[from] = true;
  }
}

Test(domains, wrong_levels_and_sizes_are_refused) {
  EXPECT_CONTAINS(harness_refusal("float32", DIGITS "[v]\nuse = dataset.domains\ndata = d\nleave_out = 7\n"),
                  "leave_out: 7 is not among the levels");
  EXPECT_CONTAINS(
      harness_refusal("float32", DIGITS "[v]\nuse = dataset.domains\ndata = d\nsize = 400\ndistinct = yes\n"),
      "2400 rows are needed, 'd' has 1797");
}

/* Shares of n rows are within four standard deviations, sqrt(p (1 - p) / n), of their probability. */
static void expect_share(int64_t count, double p) {
  EXPECT_NEAR((double)count / ROWS, p, 4 * sqrt(p * (1 - p) / ROWS));
}
Test(domains, colours_agree_with_the_label_as_often_as_the_level_says) {
  const double level[] = {0.9, 0.8, 0.1};
  harness_open("float64", DIGITS "[v]\nuse = dataset.colored_digits\ndata = d\n"
                                 "[p]\nuse = dataset.domains\ndata = d\nview = noise\nlevels = 0\n");
  const tn_fields *plain = read_part("p", "", 0, ROWS); /* the same rows, with the digits as they are */
  tn_fields *first = NULL;
  for (int d = 0; d < 3; d++) {
    char part[16];
    snprintf(part, sizeof part, "domain.%d", d);
    tn_fields *view = read_part("v", part, 0, ROWS);
    if (d == 0) first = view;
    int64_t agree = 0, flipped = 0;
    for (int64_t i = 0; i < ROWS; i++) {
      double sums[2] = {0, 0};
      for (int64_t k = 0; k < PIXELS; k++) {
        const double red = pixel(view, 2 * i, k), green = pixel(view, 2 * i + 1, k);
        EXPECT_REAL(red + green, pixel(plain, i, k));
        sums[0] += red;
        sums[1] += green;
      }
      cr_assert((sums[0] > 0) != (sums[1] > 0), "one channel has the digit, the other nothing");
      agree += sums[label(view, i)] > 0;
      flipped += label(view, i) != (label(plain, i) >= 5);
      EXPECT_INT(label(view, i), label(first, i)); /* the label's noise does not depend on the domain */
    }
    expect_share(agree, level[d]);
    expect_share(flipped, 0.25);
  }
}

/* ---- balanced batches ---- */

static tn_status next_of(const tn_component *sampler, int64_t *index) {
  int64_t count;
  bool ends;
  const tn_status status = tn_sampler_next(sampler, index, &count, &ends);
  EXPECT_INT(count, 10);
  return status < 0 ? status : ends;
}

/* Three domains of 40 rows in batches of 10: 4 + 3 + 3, an epoch of ceil(40 / 3) batches. */
Test(domains, balanced_batches_hold_as_many_rows_of_every_domain) {
  harness_open("float32", DIGITS "[v]\nuse = dataset.domains\ndata = d\nlevels = 0, 10, 20\nsize = 40\n"
                                 "[s]\nuse = sampler.balanced\n");
  const tn_component *sampler = harness_component("s");
  cr_assert(tn_sampler_begin(sampler, harness_component("v"), 120, 10) >= 0, "%s", harness_failure());
  EXPECT_INT(tn_sampler_batches(sampler, 120, 10), 14);
  int64_t index[10], times[120] = {0};
  for (int64_t b = 1; b <= 140; b++) {
    int64_t held[3] = {0};
    EXPECT_INT(next_of(sampler, index), b % 14 == 0);
    for (int i = 0; i < 10; i++) {
      held[index[i] / 40]++;
      times[index[i]]++;
    }
    EXPECT_INT(held[0], 4);
    EXPECT_INT(held[1], 3);
    EXPECT_INT(held[2], 3);
    if (b % 10 == 0) /* domain 0 has had b / 10 whole passes of 40 rows */
      for (int i = 0; i < 40; i++) EXPECT_INT(times[i], b / 10);
  }
}

Test(domains, balanced_sampling_by_label_goes_on_from_its_state) {
  harness_open("float32", DIGITS "[a]\nuse = sampler.balanced\nfield = label\n"
                                 "[b]\nuse = sampler.balanced\nfield = label\n");
  const tn_component *a = harness_component("a"), *b = harness_component("b"), *data = harness_component("d");
  const tn_fields *plain = read_part("d", "", 0, ROWS);
  int64_t one[10], two[10];
  cr_assert(tn_sampler_begin(a, data, ROWS, 10) >= 0 && tn_sampler_begin(b, data, ROWS, 10) >= 0);
  for (int i = 0; i < 200; i++) { /* into the second pass of most classes */
    next_of(a, one);
    for (int k = 0; k < 10; k++) EXPECT_INT(label(plain, one[k]), k);
  }
  harness_state *state = harness_save(a);
  harness_load(b, state);
  harness_forget(state);
  for (int i = 0; i < 200; i++) {
    next_of(a, one);
    next_of(b, two);
    cr_assert(memcmp(one, two, sizeof one) == 0, "batch %d", i);
  }
}

Test(domains, a_batch_smaller_than_the_number_of_groups_is_refused) {
  harness_open("float32", DIGITS "[s]\nuse = sampler.balanced\nfield = label\n");
  cr_assert(tn_sampler_begin(harness_component("s"), harness_component("d"), ROWS, 9) < 0);
  EXPECT_CONTAINS(harness_failure(), "a batch of 9 rows cannot hold 10 groups");
}
