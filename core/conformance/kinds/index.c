// SPDX-License-Identifier: MIT
/* Indexes: vectors, and those with the largest inner products. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <string.h>
#include <tenon/index.h>

enum { WIDTH = 7, QUERIES = 6, NEAREST = 5, START = 40, MANY = 5000 };

/* Rows of length 1 (n, WIDTH), the same for the same `first`; every tenth is the row before it. */
static tn_tensor *rows(const tn_trial *t, int64_t first, int64_t n) {
  tn_tensor *x = tn_empty(TN_F32, TN_SHAPE(n, WIDTH));
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    const int64_t row = first + i - (first + i > 0 && (first + i) % 10 == 0);
    double numbers[WIDTH], square = 0;
    for (int64_t d = 0; d < WIDTH; d++) {
      numbers[d] = tn_trial_normal(t, "vector", (uint64_t)(row * WIDTH + d));
      square += numbers[d] * numbers[d];
    }
    for (int64_t d = 0; d < WIDTH; d++) tn_f32(x)[i * WIDTH + d] = (float)(numbers[d] / sqrt(square));
  }
  return x;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  tn_index_clear(c);
  return tn_index_append(c, rows(bench->trial, 0, START));
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_tensor *products, *numbers, *found;
  tn_status status =
      tn_index_search(c, rows(bench->trial, 1000 * (unit + 1), QUERIES), NEAREST, &products, &numbers);
  if (status >= 0) status = tn_index_get(c, tn_reshape(numbers, TN_SHAPE(-1)), &found);
  if (status < 0) return status;
  tn_fingerprint_tensor(&bench->digest, products);
  tn_fingerprint_tensor(&bench->digest, numbers);
  tn_fingerprint_tensor(&bench->digest, found);
  status = tn_index_append(c, rows(bench->trial, START + QUERIES * unit, QUERIES));
  return status < 0 ? status : tn_index_set(c, unit, rows(bench->trial, 500 + unit, 1));
}

static double product(const tn_tensor *queries, int64_t i, const tn_tensor *vectors, int64_t j) {
  double sum = 0;
  for (int64_t d = 0; d < WIDTH; d++)
    sum += (double)tn_f32(queries)[i * WIDTH + d] * (double)tn_f32(vectors)[j * WIDTH + d];
  return sum;
}

/* What came for one query against the products with all `vectors`. Returns how many of the largest are there.
 */
static int64_t expect_nearest(bool exact, const tn_tensor *queries, int64_t i, const tn_tensor *vectors,
                              const float *products, const int64_t *numbers, int64_t k) {
  static bool taken[MANY];
  const int64_t count = tn_dim(vectors, 0);
  const double tolerance = 1e-5;
  int64_t missed = 0;
  memset(taken, 0, sizeof taken);
  for (int64_t j = 0; j < k; j++) {
    if (numbers[j] < 0 || numbers[j] >= count || taken[numbers[j]])
      tn_trial_fail("number %lld is none, or comes twice", (long long)numbers[j]);
    taken[numbers[j]] = true;
    const double is = product(queries, i, vectors, numbers[j]);
    if (!(fabs(is - (double)products[j]) <= tolerance))
      tn_trial_fail("the product with vector %lld is %.9g, search says %.9g", (long long)numbers[j], is,
                    (double)products[j]);
    if (j > 0 &&
        (products[j] > products[j - 1] || (products[j] == products[j - 1] && numbers[j] < numbers[j - 1])))
      tn_trial_fail("vector %lld with %.9g comes behind vector %lld with %.9g", (long long)numbers[j],
                    (double)products[j], (long long)numbers[j - 1], (double)products[j - 1]);
  }
  for (int64_t v = 0; v < count; v++) {
    if (taken[v] || product(queries, i, vectors, v) <= (double)products[k - 1] + tolerance) continue;
    if (exact) tn_trial_fail("an exact search for %lld misses vector %lld", (long long)k, (long long)v);
    missed++;
  }
  return missed < k ? k - missed : 0;
}

static void nearest(tn_trial *t) {
  static const int64_t ks[] = {1, 10, MANY};
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_component *c = bench.subject;
  const bool exact = tn_index_exact(c);
  int64_t found = 0, wanted = 0;
  tn_index_clear(c);
  for (int64_t first = 0; first < MANY; first += MANY / 5) { /* over several calls */
    tn_scope_open();
    tn_trial_expect(tn_index_append(c, rows(t, first, MANY / 5)), "append");
    tn_scope_close();
  }
  if (tn_index_count(c) != MANY)
    tn_trial_fail("count is %lld after %d vectors", (long long)tn_index_count(c), MANY);
  tn_scope_open();
  tn_tensor *vectors = rows(t, 0, MANY), *queries = rows(t, 17, QUERIES), *products, *numbers;
  for (uint32_t k = 0; k < TN_ARRAY_LENGTH(ks); k++) {
    tn_trial_expect(tn_index_search(c, queries, ks[k], &products, &numbers), "search");
    const bool shaped = products->dtype == TN_F32 && numbers->dtype == TN_I64 && tn_ndim(products) == 2 &&
                        tn_ndim(numbers) == 2 && tn_dim(products, 0) == QUERIES &&
                        tn_dim(products, 1) == ks[k] && tn_dim(numbers, 0) == QUERIES &&
                        tn_dim(numbers, 1) == ks[k];
    if (!shaped) tn_trial_fail("search gives something else than (queries, k) products and numbers");
    for (int64_t i = 0; i < QUERIES; i++)
      found += expect_nearest(exact, queries, i, vectors, tn_f32(products) + i * ks[k],
                              tn_i64(numbers) + i * ks[k], ks[k]);
    wanted += QUERIES * ks[k];
  }
  tn_scope_close();
  tn_bench_close(&bench);
  tn_trial_note("%s, %.2f%% of the largest", exact ? "exact" : "approximate",
                100 * (double)found / (double)wanted);
}

static void expect_rows(const tn_component *c, int64_t first, const tn_tensor *wanted) {
  tn_tensor *is;
  tn_trial_expect(tn_index_range(c, first, tn_dim(wanted, 0), &is), "get");
  if (is->dtype != TN_F32 || tn_ndim(is) != 2 || tn_numel(is) != tn_numel(wanted))
    tn_trial_fail("get gives another dtype or shape");
  if (memcmp(tn_data(is), tn_data(wanted), (size_t)tn_numel(is) * sizeof(float)) != 0)
    tn_trial_fail("the vectors from number %lld on are not those that were put there", (long long)first);
}
static void expect_count(const tn_component *c, int64_t wanted) {
  if (tn_index_count(c) != wanted)
    tn_trial_fail("count is %lld, expected %lld", (long long)tn_index_count(c), (long long)wanted);
}

static void contents(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_component *c = bench.subject;
  tn_scope_open();
  tn_trial_expect(tn_index_set(c, 3, rows(t, 700, 4)), "set");
  expect_count(c, START);
  expect_rows(c, 0, rows(t, 0, 3));
  expect_rows(c, 3, rows(t, 700, 4));
  expect_rows(c, 7, rows(t, 7, START - 7));
  tn_trial_expect(tn_index_truncate(c, 5), "truncate");
  expect_count(c, 5);
  tn_trial_expect(tn_index_truncate(c, 6), "truncate to more than there are");
  tn_trial_expect(tn_index_append(c, rows(t, 800, 9)), "append");
  expect_count(c, 14);
  expect_rows(c, 3, rows(t, 700, 2));
  expect_rows(c, 5, rows(t, 800, 9));
  tn_index_clear(c);
  expect_count(c, 0);
  tn_trial_expect(tn_index_append(c, tn_zeros(TN_F64, TN_SHAPE(2, WIDTH + 1))), "another width and dtype");
  expect_count(c, 2);
  tn_scope_close();
  tn_bench_close(&bench);
}

static void must_refuse(const tn_component *c, tn_status status, const char *what) {
  if (status >= 0) tn_trial_fail("%s is taken", what);
  if (!*tn_trial_message()) tn_trial_fail("%s is refused without a message", what);
  expect_count(c, START);
}

static void refusals(tn_trial *t) {
  static const int64_t none[] = {START, -1};
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_component *c = bench.subject;
  tn_tensor *x, *y;
  tn_scope_open();
  tn_tensor *queries = rows(t, 0, 2), *wide = tn_zeros(TN_F32, TN_SHAPE(2, WIDTH + 1));
  tn_tensor *doubles = tn_cast(queries, TN_F64), *bad = rows(t, 0, 2);
  tn_f32(bad)[0] = NAN;
  must_refuse(c, tn_index_search(c, queries, 0, &x, &y), "a search for k = 0");
  must_refuse(c, tn_index_search(c, queries, START + 1, &x, &y), "a k beyond the count");
  must_refuse(c, tn_index_search(c, wide, 1, &x, &y), "a query of another width");
  must_refuse(c, tn_index_search(c, doubles, 1, &x, &y), "a query of another dtype");
  must_refuse(c, tn_index_search(c, bad, 1, &x, &y), "a query that is not a number");
  must_refuse(c, tn_index_append(c, wide), "a vector of another width");
  must_refuse(c, tn_index_append(c, doubles), "a vector of another dtype");
  must_refuse(c, tn_index_set(c, 0, wide), "overwriting by another width");
  must_refuse(c, tn_index_set(c, START - 1, queries), "overwriting beyond the count");
  must_refuse(c, tn_index_truncate(c, -1), "a count below 0");
  for (int i = 0; i < 2; i++)
    must_refuse(c, tn_index_get(c, tn_from(TN_I64, TN_SHAPE(1), &none[i]), &x), "a number that there is not");
  expect_rows(c, 0, rows(t, 0, START));
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"nearest", "products are true and in order; an exact search finds the largest", nearest},
    {"contents", "what was appended, overwritten and forgotten shows, to the bit", contents},
    {"refusals", "impossible requests are refused with a reason and change nothing", refusals},
};
const tn_driver tn_driver_index = {.kind = TN_INDEX,
                                   .prepare = prepare,
                                   .work = work,
                                   .checks = checks,
                                   .check_count = TN_ARRAY_LENGTH(checks)};
