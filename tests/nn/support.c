// SPDX-License-Identifier: MIT
/* The tensor engine's test support, with the neural-network table on top. */
#include "tests/tensor/support.c"

#include "nn_support.h"

void nn_begin(tn_dtype precision) {
  engine_begin_with(1, precision);
  tn_sdk.nn = &tn_nn_table;
}

tn_tensor *nn_random(uint64_t seed, tn_shape shape) { return random_tensor(seed, shape, -1, 1); }

double nn_at(const tn_tensor *x, int64_t a, int64_t b, int64_t c, int64_t d) {
  return element(x, ((a * tn_dim(x, 1) + b) * tn_dim(x, 2) + c) * tn_dim(x, 3) + d);
}

void nn_same_bits(const char *name, tn_tensor *(*f)(void)) {
  size_t bytes = 0;
  unsigned char *first = NULL;
  int former = omp_get_max_threads();
  for (int threads = 1; threads <= 4; threads++) {
    omp_set_num_threads(threads);
    tn_scope_open();
    tn_tensor *y = f();
    cr_assert(!tn_poisoned(y), "%s: %s", name, first_error());
    if (!first) {
      bytes = (size_t)tn_numel(y) * (y->dtype == TN_F32 ? 4 : 8);
      first = malloc(bytes);
      cr_assert_not_null(first);
      memcpy(first, tn_data(y), bytes);
    }
    cr_assert(memcmp(first, tn_data(y), bytes) == 0, "%s: other bits with %d threads", name, threads);
    tn_scope_close();
  }
  omp_set_num_threads(former);
  free(first);
}
