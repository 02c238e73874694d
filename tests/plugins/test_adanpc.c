// SPDX-License-Identifier: MIT
/* AdaNPC's batch normalisation and its herded memory, against plain loops in double precision and finite
 * differences. */
#include "plugins/predictors/herding.h"
#include "predicting.h"
#include <string.h>
#include <tenon/optimizer.h>

TestSuite(adanpc, .fini = harness_close);

#define ADANPC(section, keys) "[" section "]\nuse = predictor.adanpc\nmodel = net\n" keys "\n"

/* ---- herding ---- */

/* mu = 3.25. Alone 2 is nearest; (2 + 1) / 2 = 1.5 beats 1 and 6; (3 + 10) / 3 = 4.33 beats 1; 0 is left. */
Test(adanpc, herding_of_four_numbers) {
  static const double x[] = {0, 1, 2, 10};
  static const int64_t expected[] = {2, 1, 3, 0};
  int64_t chosen[4];
  harness_open("float64", DIGITS);
  cr_assert(herding_choose(x, 4, 1, 4, chosen) >= 0);
  for (int t = 0; t < 4; t++) EXPECT_INT(chosen[t], expected[t]);
}

static double distance_of_mean(const double *x, int64_t n, int64_t width, const double *sum, int64_t added,
                               int64_t t) {
  double square = 0;
  for (int64_t d = 0; d < width; d++) {
    double mean = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i * width + d] / (double)n;
    const double apart = mean - (sum[d] + x[added * width + d]) / (double)t;
    square += apart * apart;
  }
  return sqrt(square);
}

/* Every choice against all that are left, by the definition. */
Test(adanpc, herding_takes_what_brings_the_mean_closest) {
  enum { N = 9, WIDTH = 3 };
  harness_open("float64", DIGITS);
  for (uint64_t set = 0; set < 50; set++) {
    double x[N * WIDTH], sum[WIDTH] = {0};
    int64_t chosen[N];
    bool taken[N] = {false};
    tn_rng rng = tn_rng_at("herding", "set", set);
    for (int i = 0; i < N * WIDTH; i++) x[i] = tn_random_normal(&rng);
    cr_assert(herding_choose(x, N, WIDTH, N, chosen) >= 0);
    for (int64_t t = 1; t <= N; t++) {
      const int64_t got = chosen[t - 1];
      cr_assert(got >= 0 && got < N && !taken[got], "set %llu: taken twice", (unsigned long long)set);
      const double distance = distance_of_mean(x, N, WIDTH, sum, got, t);
      for (int64_t i = 0; i < N; i++)
        cr_assert(taken[i] || distance <= distance_of_mean(x, N, WIDTH, sum, i, t) + 1e-12,
                  "set %llu, choice %lld: %lld is closer than %lld", (unsigned long long)set, (long long)t,
                  (long long)i, (long long)got);
      taken[got] = true;
      for (int d = 0; d < WIDTH; d++) sum[d] += x[got * WIDTH + d];
    }
  }
}

/* Rows of `fields` scaled to length 1. */
static void unit_pixels(const tn_fields *fields, double *u) {
  const tn_tensor *image = tn_field(fields, "image");
  for (int64_t i = 0; i < tn_dim(image, 0); i++) {
    double square = 0;
    for (int d = 0; d < D; d++) square += tn_f64(image)[i * D + d] * tn_f64(image)[i * D + d];
    for (int d = 0; d < D; d++) u[i * D + d] = tn_f64(image)[i * D + d] / sqrt(square);
  }
}

/* Of the training rows `keep` a class, chosen by the definition: vectors and labels in the order of the rows.
 */
static int64_t herded_rows(const tn_fields *rows, int64_t keep, double *vectors, int64_t *labels) {
  const int64_t n = tn_numel(tn_field(rows, "label"));
  double *u = malloc((size_t)(n * D) * sizeof *u), *class = malloc((size_t)(n * D) * sizeof *class);
  int64_t *of = malloc((size_t)n * sizeof *of), count = 0;
  bool *kept = calloc((size_t)n, sizeof *kept);
  unit_pixels(rows, u);
  for (int c = 0; c < CLASSES; c++) {
    double sum[D] = {0};
    int64_t members = 0;
    for (int64_t i = 0; i < n; i++)
      if (label(rows, i) == c) memcpy(class + members * D, u + i * D, D * sizeof *u), of[members++] = i;
    for (int64_t t = 1; t <= keep; t++) {
      int64_t best = -1;
      double least = INFINITY;
      for (int64_t i = 0; i < members; i++) {
        const double distance = kept[of[i]] ? INFINITY : distance_of_mean(class, members, D, sum, i, t);
        if (distance < least) least = distance, best = i;
      }
      kept[of[best]] = true;
      for (int d = 0; d < D; d++) sum[d] += class[best * D + d];
    }
  }
  for (int64_t i = 0; i < n; i++)
    if (kept[i]) memcpy(vectors + count * D, u + i * D, D * sizeof *u), labels[count++] = label(rows, i);
  free(u);
  free(class);
  free(of);
  free(kept);
  return count;
}

Test(adanpc, a_herded_memory_holds_what_follows_the_means_of_the_classes) {
  enum { SHARE = 6 };
  static double vectors[SHARE * CLASSES * D];
  int64_t labels[SHARE * CLASSES];
  harness_open("float64", DIGITS ADANPC("p", "k = 5\ncapacity = 69\nreplace = herding"));
  const tn_component *p = fitted("p", "d"), *d = harness_component("d");
  const int64_t count = herded_rows(rows_of(d, "train", 0, tn_dataset_rows(d)), SHARE, vectors, labels);
  EXPECT_INT(count, SHARE * CLASSES);
  EXPECT_INT(memory_of(p), count);
  const tn_fields *queries = test_rows(0, QUERIES), *outputs = predict(p, queries);
  for (int64_t i = 0; i < QUERIES; i++)
    expect_vote(neighbours_among(vectors, labels, count, tn_f64(tn_field(queries, "image")) + i * D), 5, 0.1,
                outputs, i);
}

/* A class that has outgrown its share of 16 goes down to 14; the memory never exceeds its capacity. */
Test(adanpc, a_herded_memory_is_bounded) {
  harness_open("float64", DIGITS ADANPC("p", "capacity = 160\nreplace = herding"));
  const tn_component *p = fitted("p", "d");
  int64_t held[CLASSES], herded = 0;
  for (int c = 0; c < CLASSES; c++) held[c] = 16;
  EXPECT_INT(memory_of(p), 160);
  for (int64_t first = 0; first < 300; first += 20) {
    const tn_fields *outputs = predict_and_adapt(p, test_rows(first, 20));
    int64_t expected = 0;
    for (int64_t i = 0; i < 20; i++) held[label(outputs, i)]++;
    for (int c = 0; c < CLASSES; c++) {
      herded += held[c] > 16;
      if (held[c] > 16) held[c] = 14;
      expected += held[c];
    }
    EXPECT_INT(memory_of(p), expected);
  }
  cr_assert(herded >= 2 * CLASSES, "%lld herdings are too few to show anything", (long long)herded);
}

Test(adanpc, a_capacity_without_room_for_each_class_is_refused) {
  harness_open("float64", DIGITS ADANPC("p", "k = 1\ncapacity = 9\nreplace = herding"));
  const tn_component *p = harness_component("p"), *d = harness_component("d");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(d, spec) >= 0 && tn_declare_component(p, spec, NULL) >= 0);
  tn_spec_release(spec);
  cr_assert(tn_predictor_fit(p, d, NULL) < 0);
  EXPECT_CONTAINS(harness_failure(), "capacity = 9 is less than one entry for each of 10 classes");
}

/* ---- bn ---- */

/* Columns of x (n, D) minus mean, over the root of variance + 1e-5; NULL: those of x itself. */
static void standardise(double *x, int64_t n, const double *mean, const double *variance) {
  double m[D] = {0}, v[D] = {0};
  for (int64_t i = 0; i < n * D; i++) m[i % D] += x[i] / (double)n;
  for (int64_t i = 0; i < n * D; i++) v[i % D] += (x[i] - m[i % D]) * (x[i] - m[i % D]) / (double)n;
  for (int64_t i = 0; i < n * D; i++)
    x[i] = (x[i] - (mean ? mean : m)[i % D]) / sqrt((variance ? variance : v)[i % D] + 1e-5);
}
static double *pixels(const tn_fields *fields) {
  const tn_tensor *image = tn_field(fields, "image");
  double *x = malloc((size_t)tn_numel(image) * sizeof *x);
  memcpy(x, tn_f64(image), (size_t)tn_numel(image) * sizeof *x);
  return x;
}

/* With scale 1 and shift 0: queries by their batch, one query alone by the training rows; these in the memory
 * as they are or by their own statistics. */
Test(adanpc, bn_normalises_queries_by_their_batch) {
  harness_open("float64", DIGITS ADANPC("p", "k = 7\nbn = yes\nbn_steps = 0")
                              ADANPC("q", "k = 7\nbn = yes\nbn_steps = 0\nbn_memory = normalised"));
  const tn_component *d = harness_component("d");
  const int64_t n = tn_dataset_rows(d);
  const tn_fields *rows = rows_of(d, "train", 0, n);
  const int64_t *labels = tn_i64(tn_field(rows, "label"));
  double *memory = pixels(rows), mean[D] = {0}, variance[D] = {0};
  for (int64_t i = 0; i < n * D; i++) mean[i % D] += memory[i] / (double)n;
  for (int64_t i = 0; i < n * D; i++)
    variance[i % D] += (memory[i] - mean[i % D]) * (memory[i] - mean[i % D]) / (double)n;
  for (int normalised = 0; normalised < 2; normalised++) {
    const tn_component *p = fitted(normalised ? "q" : "p", "d");
    if (normalised) standardise(memory, n, NULL, NULL);
    for (int alone = 0; alone < 2; alone++) {
      const int64_t count = alone ? 1 : QUERIES;
      const tn_fields *queries = test_rows(0, count), *outputs = predict(p, queries);
      double *q = pixels(queries);
      standardise(q, count, alone ? mean : NULL, alone ? variance : NULL);
      for (int64_t i = 0; i < count; i++)
        expect_vote(neighbours_among(memory, labels, n, q + i * D), 7, 0.1, outputs, i);
      free(q);
    }
  }
  free(memory);
}

static double entropy_of(const tn_fields *outputs) {
  const tn_tensor *p = tn_field(outputs, "probability");
  double sum = 0;
  for (int64_t i = 0; i < tn_numel(p); i++)
    if (harness_at(p, i) > 0) sum -= harness_at(p, i) * log(harness_at(p, i));
  return sum / (double)tn_dim(p, 0);
}
/* The mean entropy of the prediction where one element of scale or shift is moved by h. */
static double entropy_at(const tn_component *p, const harness_state *state, const tn_fields *queries,
                         uint32_t entry, int64_t element, double h) {
  double *x = tn_f64(tn_param_tensor(harness_set(state, "norm.params"), entry)) + element;
  const double kept = *x;
  *x = kept + h;
  harness_load(p, state);
  *x = kept;
  return entropy_of(predict(p, queries));
}

/* One step of gradient descent at rate 1 moves by minus the gradient of the mean entropy of the prediction.
 */
static void check_gradient(const char *section) {
  const tn_component *p = fitted(section, "d");
  const tn_fields *queries = test_rows(0, QUERIES);
  harness_state *before = harness_save(p);
  predict_and_adapt(p, queries);
  harness_state *after = harness_save(p);
  int64_t checked = 0;
  for (uint32_t entry = 0; entry < 2; entry++)
    for (int64_t d = 0; d < D; d += 5) {
      const double h = 1e-6;
      const double up = entropy_at(p, before, queries, entry, d, h),
                   down = entropy_at(p, before, queries, entry, d, -h);
      const double gradient = tn_f64(tn_param_tensor(harness_set(before, "norm.params"), entry))[d] -
                              tn_f64(tn_param_tensor(harness_set(after, "norm.params"), entry))[d];
      EXPECT_NEAR(gradient, (up - down) / (2 * h), 1e-8);
      checked += fabs(gradient) > 1e-4;
    }
  cr_assert(checked > 10, "only %lld derivatives differ from 0", (long long)checked);
  harness_forget(before);
  harness_forget(after);
}
#define DESCENDING "k = 10\nbn = yes\nbeta = 2\noptimizer = sgd\n"
Test(adanpc, bn_descends_the_gradient_of_the_entropy) {
  harness_open("float64", DIGITS "[sgd]\nuse = optimizer.sgd\nlr = 1\nmomentum = 0\n" ADANPC("p", DESCENDING)
                              ADANPC("q", DESCENDING "bn_memory = normalised")
                                  ADANPC("r", DESCENDING "bn_memory = normalised\nradius = 0.4"));
  check_gradient("p");
  check_gradient("q");
  check_gradient("r");
  const tn_fields *queries = test_rows(0, QUERIES), *nearest = predict(fitted("q", "d"), queries),
                  *within = predict(fitted("r", "d"), queries);
  bool differ = false;
  for (int64_t i = 0; i < QUERIES * CLASSES; i++)
    differ |= probability(nearest, 0, i) != probability(within, 0, i);
  cr_assert(differ, "the radius is not used");
}

/* After one step the entropy of the same batch is lower, after three still lower. */
Test(adanpc, bn_lowers_the_entropy_of_a_batch) {
  harness_open("float64",
               DIGITS ADANPC("p", "bn = yes\nbeta = 2") ADANPC("q", "bn = yes\nbn_steps = 3\nbeta = 2"));
  const tn_component *one = fitted("p", "d"), *three = fitted("q", "d");
  const tn_fields *queries = test_rows(0, QUERIES);
  const double start = entropy_of(predict_and_adapt(one, queries));
  predict_and_adapt(three, queries);
  const double once = entropy_of(predict(one, queries)), thrice = entropy_of(predict(three, queries));
  cr_assert(once < start && thrice < once, "entropies %g, %g, %g", start, once, thrice);
}

/* A batch of equal rows normalises to zeros: finite, and nothing to learn from. */
Test(adanpc, bn_of_equal_rows_stays_finite) {
  harness_open("float64", DIGITS ADANPC("p", "bn = yes\nbeta = 2"));
  const tn_component *p = fitted("p", "d");
  tn_fields *equal = test_rows(0, 2);
  double *x = tn_f64(tn_field(equal, "image"));
  memcpy(x + D, x, D * sizeof *x);
  predict_and_adapt(p, equal);
  const tn_fields *outputs = predict(p, test_rows(0, QUERIES));
  for (int64_t i = 0; i < QUERIES * CLASSES; i++) cr_assert(isfinite(probability(outputs, 0, i)));
}

/* ---- both ---- */

#define BOTH "bn = yes\nbn_steps = 3\ncapacity = 160\nreplace = herding\nindex = i\n"

/* Half a stream, the state into an instance that was never fitted, the rest on both: the same bits. */
Test(adanpc, normalised_and_herded_memories_go_on_from_their_state) {
  static const char *const pairs[][2] = {{"a", "b"}, {"oa", "ob"}, {"i#1", "i#3"}, {"i#2", "i#4"}};
  harness_open("float32",
               DIGITS "[i]\nuse = index.flat\n"
                      "[oa]\nuse = optimizer.adam\nlr = 1e-2\n[ob]\nuse = optimizer.adam\nlr = 1e-2\n" ADANPC(
                          "a", BOTH "optimizer = oa") ADANPC("b", BOTH "optimizer = ob"));
  const tn_component *a = fitted("a", "d"), *b = harness_component("b"), *d = harness_component("d");
  tn_spec *spec = tn_spec_new();
  cr_assert(tn_dataset_describe(d, spec) >= 0 && tn_declare_component(b, spec, NULL) >= 0);
  tn_spec_release(spec);
  for (int64_t first = 0; first < 100; first += 20) predict_and_adapt(a, test_rows(first, 20));
  for (int i = 0; i < 4; i++) hand_over(pairs[i][0], pairs[i][1]);
  for (int64_t first = 100; first < 200; first += 20)
    expect_same(predict_and_adapt(a, test_rows(first, 20)), predict_and_adapt(b, test_rows(first, 20)));
  cr_assert(tn_predictor_reset(a) >= 0 && tn_predictor_reset(b) >= 0);
  for (int64_t first = 200; first < 300; first += 20)
    expect_same(predict_and_adapt(a, test_rows(first, 20)), predict_and_adapt(b, test_rows(first, 20)));
  for (int i = 0; i < 4; i++) expect_same_state(pairs[i][0], pairs[i][1]);
}
