// SPDX-License-Identifier: MIT
/* Products of matrices: 1024^3, and the first layer of row mlp (128 x 784 by 784 x 512); GFLOP/s. The peer
 * `openblas` calls the library directly, into memory that stays. */
#include <omp.h>

#include <cblas.h>

#include "../bench.h"

static tn_tensor *x, *y, *product;

static bool begin(int64_t m, int64_t n, int64_t k) {
  x = bench_normal(TN_SHAPE(m, k));
  y = bench_normal(TN_SHAPE(k, n));
  product = bench_normal(TN_SHAPE(m, n));
  return x && y && product;
}

static bool begin_large(void) { return begin(1024, 1024, 1024); }
static bool begin_layer(void) { return begin(128, 512, 784); }

static double step(void) {
  tn_scope_open();
  double first = tn_f32(tn_matmul(x, y))[0];
  tn_scope_close();
  return first;
}

/* The library's own threads, which the engine sets to one. */
static bool begin_direct_large(void) {
  return openblas_set_num_threads(omp_get_max_threads()), begin_large();
}
static bool begin_direct_layer(void) {
  return openblas_set_num_threads(omp_get_max_threads()), begin_layer();
}

static double direct_step(void) {
  int m = (int)tn_dim(x, 0), n = (int)tn_dim(y, 1), k = (int)tn_dim(x, 1);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, tn_f32(x), k, tn_f32(y), n, 0,
              tn_f32(product), n);
  return tn_f32(product)[0];
}

const bench_row bench_sgemm = {"sgemm", 2e-9 * 1024 * 1024 * 1024, begin_large, step};
const bench_row bench_sgemm_layer = {"sgemm_layer", 2e-9 * 128 * 512 * 784, begin_layer, step};
const bench_row bench_sgemm_openblas = {"sgemm_openblas", 2e-9 * 1024 * 1024 * 1024, begin_large,
                                        direct_step};
const bench_row bench_sgemm_layer_openblas = {"sgemm_layer_openblas", 2e-9 * 128 * 512 * 784,
                                              begin_direct_layer, direct_step};
