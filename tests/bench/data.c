// SPDX-License-Identifier: MIT
#include "bench.h"

static tn_rng *source(void) {
  static tn_rng rng;
  if (!rng.key) rng = tn_rng_at("bench", "data", 0);
  return &rng;
}

static tn_tensor *kept(tn_tensor *t) {
  tn_tensor *copy = tn_persist(t);
  tn_scope_close();
  return copy;
}

tn_tensor *bench_normal(tn_shape shape) {
  tn_scope_open();
  return kept(tn_normal(source(), TN_F32, shape, 0, 1));
}

tn_tensor *bench_labels(int64_t count, int64_t classes) {
  tn_scope_open();
  tn_tensor *labels = tn_empty(TN_I64, TN_SHAPE(count));
  for (int64_t i = 0; i < count && !tn_poisoned(labels); i++)
    tn_i64(labels)[i] = (int64_t)tn_random_below(source(), (uint64_t)classes);
  return kept(labels);
}
