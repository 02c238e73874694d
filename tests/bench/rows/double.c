// SPDX-License-Identifier: MIT
/* Gradient matching (Zhao et al. 2021, dataset condensation): how 10 synthetic images must change so that the
 * gradient they give a 3-conv net points where that of 64 real ones points. Differentiates a gradient. */
#include "../bench.h"

enum { WIDTH = 32, CLASSES = 10, REAL = 64, LAYERS = 3, PER_LAYER = 4, ENTRIES = LAYERS * PER_LAYER + 2 };

static tn_params *net;
static bench_training images;                         /* one entry: (CLASSES, 1, 28, 28) */
static tn_tensor *real_images, *real_labels, *labels; /* (REAL, 1, 28, 28), (REAL), (CLASSES) */

/* In this order: kernel, bias, scale, shift of each layer; weight and bias of the head. */
static void declare_net(tn_declaration *d) {
  static const char *const names[LAYERS][PER_LAYER] = {
      {"k0", "b0", "s0", "t0"}, {"k1", "b1", "s1", "t1"}, {"k2", "b2", "s2", "t2"}};
  const tn_init uniform = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  const tn_shape channels = TN_SHAPE(WIDTH);
  for (int i = 0; i < LAYERS; i++) {
    tn_declare(d, names[i][0], TN_SHAPE(WIDTH, i == 0 ? 1 : WIDTH, 3, 3), TN_DECAY, uniform);
    tn_declare(d, names[i][1], channels, TN_NO_DECAY, tn_init_zeros());
    tn_declare(d, names[i][2], channels, TN_NO_DECAY, tn_init_ones());
    tn_declare(d, names[i][3], channels, TN_NO_DECAY, tn_init_zeros());
  }
  bench_linear_declare(d, WIDTH * 3 * 3, CLASSES);
}

static bool begin(void) {
  tn_declaration *d = tn_declaration_new(), *synthetic = tn_declaration_new();
  declare_net(d);
  net = tn_params_create(d, "net");
  tn_declaration_free(d);
  tn_declare(synthetic, "images", TN_SHAPE(CLASSES, 1, 28, 28), TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  real_images = bench_normal(TN_SHAPE(REAL, 1, 28, 28));
  real_labels = bench_labels(REAL, CLASSES);
  tn_scope_open();
  labels = tn_persist(tn_arange(TN_I64, 0, 1, CLASSES));
  tn_scope_close();
  return net && bench_training_begin(&images, synthetic, "optimizer.sgd", "lr = 0.1\nmomentum = 0.5");
}

/* The gradient of the mean cross-entropy, one tensor an entry of the net. */
static void gradient(tn_tensor *x, tn_tensor *y, tn_tensor **gradients, uint32_t flags) {
  tn_tensor *w[ENTRIES];
  for (uint32_t i = 0; i < ENTRIES; i++) w[i] = tn_param_tensor(net, i);
  for (int i = 0; i < LAYERS; i++) {
    tn_tensor **layer = w + i * PER_LAYER;
    x = tn_conv2d(x, layer[0], layer[1], 1, 1);
    x = tn_relu(tn_group_norm(x, WIDTH, layer[2], layer[3], 1e-5));
    x = tn_mean_pool(x, 2, 2, 0);
  }
  x = tn_linear(tn_flatten(x), w[ENTRIES - 2], w[ENTRIES - 1]);
  tn_grad(tn_mean(tn_cross_entropy(x, y, 0)), w, ENTRIES, gradients, flags);
}

/* sum over the rows of 1 - cos(a_i, b_i) */
static tn_tensor *distance(tn_tensor *a, tn_tensor *b) {
  a = tn_flatten(a);
  b = tn_flatten(b);
  tn_tensor *norms = tn_mul(tn_reduce(TN_NORM, a, 1, false), tn_reduce(TN_NORM, b, 1, false));
  tn_tensor *cosine = tn_div(tn_sum_axis(tn_mul(a, b), 1), tn_clamp(norms, 1e-6, INFINITY));
  return tn_sum(tn_affine(cosine, -1, 1));
}

static double step(void) {
  tn_tensor *goal[ENTRIES], *got[ENTRIES], *total = NULL;
  tn_scope_open();
  gradient(real_images, real_labels, goal, 0);
  gradient(tn_param_tensor(images.params, 0), labels, got, TN_CREATE_GRAPH);
  for (uint32_t i = 0; i < ENTRIES; i++) {
    if (tn_ndim(got[i]) < 2) continue;
    tn_tensor *d = distance(got[i], goal[i]);
    total = total ? tn_add(total, d) : d;
  }
  double value = bench_training_step(&images, total);
  tn_scope_close();
  return value;
}

const bench_row bench_double = {"double", 1, begin, step};
