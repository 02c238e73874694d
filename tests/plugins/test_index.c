// SPDX-License-Identifier: MIT
/* index.flat against all products in double precision, and other indexes in its place behind a predictor. */
#include "predicting.h"
#include <string.h>
#include <tenon/index.h>

static void third_party(void) { harness_fixture("plugins/fixtures/scan.c"); }
TestSuite(index, .fini = harness_close);

enum { WIDTH = 16, N = 9000, Q = 6 };
static double vectors[N * WIDTH], queries[Q * WIDTH];

/* Vectors of length 1 as float32 has them, so that both precisions hold the same numbers; from `N / 2` on
 * every third is one of the first half. */
static void draw(void) {
  tn_rng rng = tn_rng_at("index", "vectors", 0);
  for (int64_t i = 0; i < N + Q; i++) {
    double *v = i < N ? vectors + i * WIDTH : queries + (i - N) * WIDTH, square = 0;
    for (int d = 0; d < WIDTH; d++) v[d] = tn_random_normal(&rng), square += v[d] * v[d];
    for (int d = 0; d < WIDTH; d++) v[d] = (double)(float)(v[d] / sqrt(square));
    if (i >= N / 2 && i < N && i % 3 == 0) memcpy(v, vectors + (i - N / 2) * WIDTH, WIDTH * sizeof *v);
  }
}
static tn_tensor *rows(const double *from, int64_t first, int64_t n) {
  return harness_tensor(TN_SHAPE(n, WIDTH), from + first * WIDTH);
}
static void open_index(const char *precision, const char *sections) {
  harness_open(precision, sections);
  draw();
}
static void good(tn_status status) { cr_assert(status >= 0, "%s", harness_failure()); }
/* The first `count` vectors in pieces of a length that divides no block. */
static const tn_component *filled(const char *section, int64_t count) {
  const tn_component *index = harness_component(section);
  tn_index_clear(index);
  for (int64_t first = 0, n; first < count; first += n) {
    n = count - first < 700 ? count - first : 700;
    good(tn_index_append(index, rows(vectors, first, n)));
  }
  EXPECT_INT(tn_index_count(index), count);
  return index;
}
static double product(int64_t query, int64_t number) {
  double sum = 0;
  for (int d = 0; d < WIDTH; d++) sum += queries[query * WIDTH + d] * vectors[number * WIDTH + d];
  return sum;
}
static bool bits_equal(const tn_tensor *a, const tn_tensor *b) {
  const size_t size = a->dtype == TN_F32 ? sizeof(float) : sizeof(double); /* int64 is as long */
  return a->dtype == b->dtype && tn_numel(a) == tn_numel(b) &&
         memcmp(tn_data(a), tn_data(b), (size_t)tn_numel(a) * size) == 0;
}
static void expect_row(const tn_component *index, int64_t number, const double *wanted) {
  tn_tensor *row;
  good(tn_index_range(index, number, 1, &row));
  for (int d = 0; d < WIDTH; d++) EXPECT_REAL(harness_at(row, d), wanted[d]);
}

#define BLOCKS                                                                     \
  "[one]\nuse = index.flat\nblock = 1024\n[two]\nuse = index.flat\nblock = 2048\n" \
  "[four]\nuse = index.flat\n[five]\nuse = index.flat\nblock = 5120\n"             \
  "[all]\nuse = index.flat\nblock = 16384\n"
static const char *const blocks[] = {"one", "two", "four", "five", "all"};
enum { COUNT = sizeof blocks / sizeof *blocks };
static const int64_t ks[] = {1, 10, 4096, 4097, N};
enum { KS = sizeof ks / sizeof *ks };

static neighbour sorted[N];
static void sort_all(int64_t query) {
  for (int64_t v = 0; v < N; v++) sorted[v] = (neighbour){product(query, v), v, 0};
  qsort(sorted, N, sizeof *sorted, nearer);
}

/* In double precision the order is that of the reference but where two products differ by rounding; exact
 * duplicates come in the order of their numbers. */
Test(index, search_finds_the_largest_of_all_products) {
  open_index("float64", BLOCKS);
  const tn_component *index = filled("one", N);
  cr_assert(tn_index_exact(index));
  for (int k = 0; k < KS; k++) {
    tn_tensor *products, *numbers;
    good(tn_index_search(index, rows(queries, 0, Q), ks[k], &products, &numbers));
    EXPECT_INT(tn_numel(products), Q * ks[k]);
    for (int64_t i = 0; i < Q; i++) {
      const int64_t *number = tn_i64(numbers) + i * ks[k];
      sort_all(i);
      for (int64_t j = 0; j < ks[k]; j++) {
        EXPECT_NEAR(harness_at(products, i * ks[k] + j), sorted[j].cosine, 1e-14);
        EXPECT_NEAR(product(i, number[j]), sorted[j].cosine, 1e-14);
        if (j > 0 &&
            memcmp(vectors + number[j] * WIDTH, vectors + number[j - 1] * WIDTH, WIDTH * sizeof(double)) == 0)
          cr_assert(number[j] > number[j - 1], "duplicates %lld and %lld in the wrong order",
                    (long long)number[j - 1], (long long)number[j]);
      }
    }
  }
}

/* Of equal vectors the older come first, within a block and across blocks. */
Test(index, ties_go_to_the_older) {
  open_index("float32", BLOCKS);
  const tn_component *index = harness_component("one");
  tn_tensor *products, *numbers, *same = rows(vectors, 0, 1);
  good(tn_index_append(index, rows(vectors, 1, 1)));
  for (int i = 0; i < 3; i++) {
    tn_tensor *many = tn_broadcast_to(same, TN_SHAPE(900, WIDTH));
    good(tn_index_append(index, many));
  }
  good(tn_index_search(index, same, 2700, &products, &numbers));
  for (int64_t j = 0; j < 2700; j++) {
    EXPECT_INT(tn_i64(numbers)[j], j + 1);
    EXPECT_REAL(harness_at(products, j), harness_at(products, 0));
  }
}

Test(index, every_block_size_gives_the_same_bits) {
  for (int precision = 0; precision < 2; precision++) {
    open_index(precision ? "float64" : "float32", BLOCKS);
    for (int64_t count = N - 1000; count <= N; count += 500) {
      for (int b = 0; b < COUNT; b++) filled(blocks[b], count);
      for (int k = 0; k < KS - 1; k++) {
        tn_tensor *products[COUNT], *numbers[COUNT];
        for (int b = 0; b < COUNT; b++) {
          good(tn_index_search(harness_component(blocks[b]), rows(queries, 0, 3), ks[k], &products[b],
                               &numbers[b]));
          cr_assert(bits_equal(products[b], products[0]) && bits_equal(numbers[b], numbers[0]),
                    "[%s] differs at k = %lld of %lld", blocks[b], (long long)ks[k], (long long)count);
        }
      }
    }
  }
}

/* A block that is not whole tiles would make other products. */
Test(index, a_block_of_broken_tiles_is_refused) {
  EXPECT_CONTAINS(harness_refusal("float32", "[i]\nuse = index.flat\nblock = 4000\n"),
                  "block = 4000 is no multiple of 1024");
}

/* `scan` leaves set and truncate to the defaults. */
Test(index, contents_are_overwritten_and_forgotten, .init = third_party) {
  static const char *const sections[] = {"one", "scan"};
  for (int s = 0; s < 2; s++) {
    open_index("float64", BLOCKS "[scan]\nuse = index.scan\n");
    const tn_component *index = filled(sections[s], 3000);
    good(tn_index_set(index, 1000, rows(vectors, 5000, 50))); /* over the end of a block */
    EXPECT_INT(tn_index_count(index), 3000);
    for (int64_t i = 990; i < 1060; i++)
      expect_row(index, i, vectors + (i >= 1000 && i < 1050 ? i + 4000 : i) * WIDTH);
    good(tn_index_truncate(index, 1010));
    good(tn_index_truncate(index, 2000));
    EXPECT_INT(tn_index_count(index), 1010);
    good(tn_index_append(index, rows(vectors, 6000, 100)));
    EXPECT_INT(tn_index_count(index), 1110);
    expect_row(index, 999, vectors + 999 * WIDTH);
    expect_row(index, 1009, vectors + 5009 * WIDTH);
    expect_row(index, 1010, vectors + 6000 * WIDTH);
    expect_row(index, 1109, vectors + 6099 * WIDTH);
    good(tn_index_truncate(index, 0));
    EXPECT_INT(tn_index_count(index), 0);
    good(tn_index_append(index,
                         tn_zeros(TN_F32, TN_SHAPE(3, 2)))); /* an empty one takes any width and dtype */
    EXPECT_INT(tn_index_count(index), 3);
  }
}

/* After a larger content was truncated, and into an index that holds something else. */
Test(index, a_state_is_loaded_to_the_bit) {
  open_index("float32", BLOCKS "[other]\nuse = index.flat\nblock = 1024\n");
  const tn_component *index = filled("one", 5000), *other = filled("other", 1500);
  good(tn_index_truncate(index, 2500));
  good(tn_index_set(index, 7, rows(vectors, 8000, 1)));
  tn_index_clear(other);
  good(tn_index_append(other, tn_zeros(TN_F64, TN_SHAPE(4, 3))));
  for (int round = 0; round < 2; round++) {
    hand_over("one", "other");
    expect_same_state("one", "other");
    EXPECT_INT(tn_index_count(other), round ? 0 : 2500);
    for (int k = 0; k < 2 && !round; k++) {
      tn_tensor *products[2], *numbers[2];
      good(tn_index_search(index, rows(queries, 0, Q), ks[k], &products[0], &numbers[0]));
      good(tn_index_search(other, rows(queries, 0, Q), ks[k], &products[1], &numbers[1]));
      cr_assert(bits_equal(products[0], products[1]) && bits_equal(numbers[0], numbers[1]));
    }
    tn_index_clear(index);
  }
}

static void bad(const tn_component *index, tn_status status, const char *message) {
  cr_assert(status < 0, "taken: %s", message);
  const char *text = harness_failure();
  EXPECT_CONTAINS(text, message);
  cr_assert(strchr(text, '\n') == NULL, "more than a line: %s", text);
  EXPECT_INT(tn_index_count(index), 20);
}
Test(index, errors_say_what_is_wrong) {
  static const int64_t beyond[] = {3, 20};
  open_index("float32", BLOCKS);
  const tn_component *index = filled("one", 20);
  tn_tensor *x, *y, *wide = tn_zeros(TN_F32, TN_SHAPE(1, 7)), *flat = tn_zeros(TN_F32, TN_SHAPE(WIDTH));
  tn_tensor *doubles = tn_zeros(TN_F64, TN_SHAPE(1, WIDTH)), *q = rows(queries, 0, 1);
  tn_tensor *nan = tn_full(TN_F32, TN_SHAPE(1, WIDTH), NAN);
  bad(index, tn_index_search(index, q, 21, &x, &y), "k = 21, but the index holds 20 vectors");
  bad(index, tn_index_search(index, q, 0, &x, &y), "k = 0, but the index holds 20 vectors");
  bad(index, tn_index_search(index, wide, 1, &x, &y),
      "vectors of width 7, but the index holds vectors of width 16");
  bad(index, tn_index_search(index, doubles, 1, &x, &y),
      "vectors of float64, but the index holds vectors of float32");
  bad(index, tn_index_search(index, nan, 1, &x, &y), "a product of query 0 is not a number");
  bad(index, tn_index_append(index, wide), "vectors of width 7, but the index holds vectors of width 16");
  bad(index, tn_index_append(index, doubles), "vectors of float64, but the index holds vectors of float32");
  bad(index, tn_index_append(index, flat), "rows (n, width) of float32 or float64 expected");
  bad(index, tn_index_set(index, 20, q), "1 vectors from number 20 on, but the index holds 20");
  bad(index, tn_index_get(index, tn_from(TN_I64, TN_SHAPE(2), beyond), &x),
      "number 20, but the index holds 20 vectors");
  bad(index, tn_index_truncate(index, -1), "an index of -1 vectors");
}

/* ---- behind a predictor ---- */

#define PREDICTOR(name, index, keys) \
  "[" name "]\nuse = predictor.adanpc\nmodel = net\nindex = " index "\n" keys "\n"
#define PAIR(name, keys) \
  PREDICTOR("flat." name, "index.flat", keys) PREDICTOR("scan." name, "index.scan", keys)

/* The same neighbours, whichever index finds them: a memory that grows, a ring, a herded one, a normalised
 * one; and again after a reset. */
Test(index, a_predictor_works_with_any_index, .init = third_party) {
  static const char *const names[][2] = {{"flat.grow", "scan.grow"},
                                         {"flat.ring", "scan.ring"},
                                         {"flat.herd", "scan.herd"},
                                         {"flat.bn", "scan.bn"}};
  harness_open("float64", DIGITS PAIR("grow", "radius = 0.9") PAIR("ring", "capacity = 25")
                              PAIR("herd", "capacity = 160\nreplace = herding")
                                  PAIR("bn", "bn = yes\nbn_memory = normalised"));
  for (int i = 0; i < 4; i++) {
    const tn_component *flat = fitted(names[i][0], "d"), *scan = fitted(names[i][1], "d");
    for (int round = 0; round < 2; round++) {
      for (int64_t first = 0; first < 60; first += 20) {
        const tn_fields *a = predict_and_adapt(flat, test_rows(first, 20));
        const tn_fields *b = predict_and_adapt(scan, test_rows(first, 20));
        for (int64_t j = 0; j < 20 * CLASSES; j++)
          EXPECT_NEAR(probability(b, 0, j), probability(a, 0, j), 1e-9);
      }
      EXPECT_INT(memory_of(flat), memory_of(scan));
      cr_assert(tn_predictor_reset(flat) >= 0 && tn_predictor_reset(scan) >= 0);
    }
  }
}

/* A radius that all entries are within: every one of more than 4,096 votes. */
Test(index, a_radius_may_hold_any_number_of_entries) {
  harness_open(
      "float64", DIGITS
      "[wide]\nuse = dataset.domains\ndata = d\nview = contrast\nlevels = 1, 0.9, 0.8, 0.7\n" PREDICTOR(
          "p", "index.flat", "radius = -1\ntemperature = 1"));
  const tn_component *p = fitted("p", "wide"), *wide = harness_component("wide");
  const int64_t n = tn_dataset_rows(wide);
  cr_assert(n > 4096);
  const tn_fields *memory = rows_of(wide, "", 0, n), *asked = test_rows(0, 3), *outputs = predict(p, asked);
  for (int64_t i = 0; i < 3; i++) expect_vote(neighbours(memory, asked, i), n, 1, outputs, i);
}

/* Contents that do not belong to the labels are noticed. */
Test(index, an_index_that_lost_entries_is_refused) {
  harness_open("float64", DIGITS "[i]\nuse = index.flat\n" PREDICTOR("p", "i", ""));
  const tn_component *p = fitted("p", "d");
  good(tn_index_truncate(harness_component("i#1"), 12));
  cr_assert(tn_predictor_predict(p, test_rows(0, 3), tn_fields_new()) < 0);
  EXPECT_CONTAINS(harness_failure(), "the index holds 12 entries");
}
