// SPDX-License-Identifier: MIT
/* Products of matrices: 1024^3, and the first layer of row mlp (128 x 784 by 784 x 512); GFLOP/s. */
#include "../bench.h"

static tn_tensor *x, *y;

static bool begin(int64_t m, int64_t n, int64_t k) {
  x = bench_normal(TN_SHAPE(m, k));
  y = bench_normal(TN_SHAPE(k, n));
  return x && y;
}

static bool begin_large(void) { return begin(1024, 1024, 1024); }
static bool begin_layer(void) { return begin(128, 512, 784); }

static double step(void) {
  tn_scope_open();
  double first = tn_f32(tn_matmul(x, y))[0];
  tn_scope_close();
  return first;
}

const bench_row bench_sgemm = {"sgemm", 2e-9 * 1024 * 1024 * 1024, begin_large, step};
const bench_row bench_sgemm_layer = {"sgemm_layer", 2e-9 * 128 * 512 * 784, begin_layer, step};
