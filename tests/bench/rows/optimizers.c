// SPDX-License-Identifier: MIT
/* One optimizer step over ten million parameters; the figure is GB/s of what a step must read and write. */
#include <string.h>

#include "../bench.h"

enum { TENSORS = 10, SIDE = 1000 };

static bench_training training;

static bool begin(const char *optimizer, const char *keys) {
  tn_declaration *declaration = tn_declaration_new();
  static const char *const names[TENSORS] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  for (int i = 0; i < TENSORS; i++)
    tn_declare(declaration, names[i], TN_SHAPE(SIDE, SIDE), TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  if (!bench_training_begin(&training, declaration, optimizer, keys)) return false;
  for (uint32_t i = 0; i < TENSORS; i++) {
    tn_tensor *g = tn_param_tensor(training.gradient, i), *normal = bench_normal(TN_SHAPE(SIDE, SIDE));
    memcpy(tn_data(g), tn_data(normal), (size_t)tn_numel(g) * sizeof(float));
    tn_release(normal);
  }
  return true;
}

static bool begin_lion(void) { return begin("optimizer.lion", "lr = 1e-4\nweight_decay = 0.01"); }
static bool begin_adamw(void) { return begin("optimizer.adamw", "lr = 1e-4\nweight_decay = 0.01"); }

static double step(void) {
  bench_training_update(&training, 0);
  return 0;
}

/* Lion reads w, g, m and writes w, m; AdamW reads w, g, m, v and writes w, m, v: 4 bytes each. */
const bench_row bench_lion = {"lion", TENSORS *SIDE *SIDE * 20e-9, begin_lion, step};
const bench_row bench_adamw = {"adamw", TENSORS *SIDE *SIDE * 28e-9, begin_adamw, step};
