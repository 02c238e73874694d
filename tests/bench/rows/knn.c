// SPDX-License-Identifier: MIT
/* The 10 nearest of 50,000 keys for 10,000 queries by cosine, 512 dimensions, rows of length 1. */
#include "../bench.h"

enum { KEYS = 50000, QUERIES = 10000, DIMENSIONS = 512, NEIGHBOURS = 10 };

static tn_tensor *keys, *queries; /* (KEYS, DIMENSIONS), (QUERIES, DIMENSIONS) */

static tn_tensor *unit_rows(int64_t count) {
  tn_tensor *x = bench_normal(TN_SHAPE(count, DIMENSIONS));
  tn_scope_open();
  tn_tensor *unit = tn_persist(tn_div(x, tn_reduce(TN_NORM, x, 1, true)));
  tn_scope_close();
  tn_release(x);
  return unit;
}

static bool begin(void) {
  keys = unit_rows(KEYS);
  queries = unit_rows(QUERIES);
  return keys && queries;
}

static double step(void) {
  tn_tensor *values, *index;
  tn_scope_open();
  tn_nearest_neighbours(TN_INNER_PRODUCT, queries, keys, NEIGHBOURS, &values, &index);
  double first = (double)tn_f32(values)[0];
  tn_scope_close();
  return first;
}

const bench_row bench_knn = {"knn", QUERIES, begin, step};
