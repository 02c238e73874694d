// SPDX-License-Identifier: MIT
/* First-order DARTS (Liu et al. 2019) on 32x32x3: 8 channels, 4 cells of 4 nodes (the middle two reduce), 8
 * operations an edge, batch 32. One architecture step, then one step of the weights. */
#include "../bench.h"

enum { CHANNELS = 8, CELLS = 4, NODES = 4, EDGES = 14, OPERATIONS = 8, BATCH = 32, CLASSES = 10 };
enum { ZERO, MAX_POOL, MEAN_POOL, SKIP, SEPARABLE_3, SEPARABLE_5, DILATED_3, DILATED_5 };

/* Depthwise, then pointwise, then normalised without scale. */
typedef struct separable {
  bench_conv depthwise, pointwise;
  bench_norm norm;
} separable;
/* Half the size by two pointwise convolutions, one of them a pixel to the side. */
typedef struct reduction {
  bench_conv left, right;
  bench_norm norm;
} reduction;
typedef struct edge {
  int64_t stride;
  bench_norm max_norm, mean_norm;
  reduction skip; /* at stride 2; else the identity */
  separable separable[2][2], dilated[2];
} edge;
typedef struct cell {
  bool reduces, after_reduction;
  reduction first_reduction;
  bench_conv first, second;
  bench_norm first_norm, second_norm;
  edge edges[EDGES];
} cell;

static bench_training weights, architecture; /* architecture: normal, reduction (EDGES, OPERATIONS) */
static bench_conv stem;
static bench_norm stem_norm;
static cell cells[CELLS];
static bench_linear head;
static tn_tensor *images, *labels; /* (BATCH, 3, 32, 32), (BATCH) */

static separable declare_separable(tn_declaration *d, int64_t channels, int64_t kernel, int64_t stride,
                                   int64_t dilation) {
  return (separable){bench_conv_declare(d, channels, channels, kernel, stride, dilation, channels),
                     bench_conv_declare(d, channels, channels, 1, 1, 1, 1),
                     bench_norm_declare(d, channels, false)};
}

static reduction declare_reduction(tn_declaration *d, int64_t in, int64_t out) {
  return (reduction){bench_conv_declare(d, in, out / 2, 1, 1, 1, 1),
                     bench_conv_declare(d, in, out / 2, 1, 1, 1, 1), bench_norm_declare(d, out, false)};
}

static edge declare_edge(tn_declaration *d, int64_t channels, int64_t stride) {
  edge e = {.stride = stride,
            .max_norm = bench_norm_declare(d, channels, false),
            .mean_norm = bench_norm_declare(d, channels, false)};
  if (stride == 2) e.skip = declare_reduction(d, channels, channels);
  for (int i = 0; i < 2; i++) {
    const int64_t kernel = i == 0 ? 3 : 5;
    e.separable[i][0] = declare_separable(d, channels, kernel, stride, 1);
    e.separable[i][1] = declare_separable(d, channels, kernel, 1, 1);
    e.dilated[i] = declare_separable(d, channels, kernel, stride, 2);
  }
  return e;
}

static void declare_cell(tn_declaration *d, cell *c, int64_t before_last, int64_t last, int64_t channels) {
  if (c->after_reduction)
    c->first_reduction = declare_reduction(d, before_last, channels);
  else {
    c->first = bench_conv_declare(d, before_last, channels, 1, 1, 1, 1);
    c->first_norm = bench_norm_declare(d, channels, false);
  }
  c->second = bench_conv_declare(d, last, channels, 1, 1, 1, 1);
  c->second_norm = bench_norm_declare(d, channels, false);
  for (int node = 0, k = 0; node < NODES; node++)
    for (int from = 0; from < 2 + node; from++, k++)
      c->edges[k] = declare_edge(d, channels, c->reduces && from < 2 ? 2 : 1);
}

static bool begin(void) {
  tn_declaration *d = tn_declaration_new(), *alpha = tn_declaration_new();
  int64_t before_last = 3 * CHANNELS, last = 3 * CHANNELS, channels = CHANNELS;
  stem = bench_conv_declare(d, 3, 3 * CHANNELS, 3, 1, 1, 1);
  stem_norm = bench_norm_declare(d, 3 * CHANNELS, true);
  for (int i = 0; i < CELLS; i++) {
    cells[i].reduces = i == CELLS / 3 || i == 2 * CELLS / 3;
    cells[i].after_reduction = i > 0 && cells[i - 1].reduces;
    if (cells[i].reduces) channels *= 2;
    declare_cell(d, &cells[i], before_last, last, channels);
    before_last = last;
    last = NODES * channels;
  }
  head = bench_linear_declare(d, last, CLASSES);
  const tn_init small = tn_init_of(TN_INIT_NORMAL, 1e-3);
  tn_declare(alpha, "normal", TN_SHAPE(EDGES, OPERATIONS), TN_DECAY, small);
  tn_declare(alpha, "reduction", TN_SHAPE(EDGES, OPERATIONS), TN_DECAY, small);
  images = bench_normal(TN_SHAPE(BATCH, 3, 32, 32));
  labels = bench_labels(BATCH, CLASSES);
  return bench_training_begin(&weights, d, "optimizer.sgd",
                              "lr = 0.025\nmomentum = 0.9\nweight_decay = 3e-4") &&
         bench_training_begin(&architecture, alpha, "optimizer.adam",
                              "lr = 3e-4\nbeta1 = 0.5\nweight_decay = 1e-3");
}

static tn_tensor *conv(const bench_conv *layer, tn_tensor *x) {
  return bench_conv_apply(layer, weights.params, x);
}

/* total + weight times the normalised x, in one pass: the weight takes the place of the norm's scale. */
static tn_tensor *add_normalised(const bench_norm *norm, tn_tensor *x, tn_tensor *weight, tn_tensor *total) {
  tn_tensor *mean, *variance;
  tn_tensor *scale = tn_broadcast_to(weight, TN_SHAPE(tn_dim(x, 1)));
  tn_tensor *y = tn_sdk.nn->batch_norm(x, scale, NULL, total, 1e-5, 0, &mean, &variance);
  bench_norm_follow(norm, weights.params, mean, variance);
  return y;
}

static tn_tensor *halve(const reduction *r, tn_tensor *x) {
  tn_tensor *halves[2];
  for (int64_t i = 0; i < 2; i++) {
    tn_tensor *rows = tn_sdk.tensor->slice(x, 2, i, tn_dim(x, 2), 2);
    halves[i] = conv(i == 0 ? &r->left : &r->right, tn_sdk.tensor->slice(rows, 3, i, tn_dim(x, 3), 2));
  }
  return tn_concatenate(halves, 2, 1);
}

static tn_tensor *separate(const separable *s, tn_tensor *x) {
  return conv(&s->pointwise, conv(&s->depthwise, x));
}

/* total + the mixture of the operations on x. ZERO adds nothing. `positive`: relu(x), which five of them
 * want. `mix`: (OPERATIONS, 1), the share of each. */
static tn_tensor *add_edge(const edge *e, tn_tensor *x, tn_tensor *positive, tn_tensor *mix,
                           tn_tensor *total) {
  tn_tensor *share[OPERATIONS];
  for (int i = 1; i < OPERATIONS; i++) share[i] = tn_slice(mix, 0, i, i + 1);
  total = add_normalised(&e->max_norm, tn_max_pool(x, 3, e->stride, 1), share[MAX_POOL], total);
  total = add_normalised(&e->mean_norm, tn_mean_pool(x, 3, e->stride, 1), share[MEAN_POOL], total);
  if (e->stride == 2)
    total = add_normalised(&e->skip.norm, halve(&e->skip, positive), share[SKIP], total);
  else
    total = tn_add(total, tn_mul(x, share[SKIP]));
  for (int i = 0; i < 2; i++) {
    const separable *s = e->separable[i];
    tn_tensor *h = separate(&s[0], positive);
    h = bench_norm_apply(&s[0].norm, weights.params, h, NULL, TN_NORM_RELU);
    total = add_normalised(&s[1].norm, separate(&s[1], h), share[SEPARABLE_3 + i], total);
    h = separate(&e->dilated[i], positive);
    total = add_normalised(&e->dilated[i].norm, h, share[DILATED_3 + i], total);
  }
  return total;
}

static tn_tensor *apply_cell(const cell *c, tn_tensor *before_last, tn_tensor *last, tn_tensor *mixes) {
  tn_tensor *state[2 + NODES], *positive[2 + NODES];
  tn_tensor *first = tn_relu(before_last), *second = conv(&c->second, tn_relu(last));
  first = c->after_reduction ? halve(&c->first_reduction, first) : conv(&c->first, first);
  state[0] = bench_norm_apply(c->after_reduction ? &c->first_reduction.norm : &c->first_norm, weights.params,
                              first, NULL, 0);
  state[1] = bench_norm_apply(&c->second_norm, weights.params, second, NULL, 0);
  for (int node = 0, k = 0; node < NODES; node++) {
    positive[1 + node] = tn_relu(state[1 + node]);
    if (node == 0) positive[0] = tn_relu(state[0]);
    tn_tensor *total = NULL;
    for (int from = 0; from < 2 + node; from++, k++)
      total = add_edge(&c->edges[k], state[from], positive[from],
                       tn_reshape(tn_slice(mixes, 0, k, k + 1), TN_SHAPE(OPERATIONS)), total);
    state[2 + node] = total;
  }
  return tn_concatenate(state + 2, NODES, 1);
}

static tn_tensor *loss(void) {
  tn_tensor *mixes[2];
  for (uint32_t i = 0; i < 2; i++) mixes[i] = tn_softmax(tn_param_tensor(architecture.params, i), 1);
  tn_tensor *a = bench_norm_apply(&stem_norm, weights.params, conv(&stem, images), NULL, 0), *b = a;
  for (int i = 0; i < CELLS; i++) {
    tn_tensor *next = apply_cell(&cells[i], a, b, mixes[cells[i].reduces]);
    a = b;
    b = next;
  }
  b = bench_linear_apply(head, weights.params, tn_global_mean_pool(b));
  return tn_mean(tn_cross_entropy(b, labels, 0));
}

static double step(void) {
  tn_scope_open();
  bench_training_step(&architecture, loss());
  tn_scope_close();
  tn_scope_open();
  tn_tensor *value = loss();
  tn_grad_params(value, weights.params, weights.gradient);
  const double norm = tn_params_norm(weights.gradient);
  if (norm > 5) tn_params_scale(weights.gradient, 5 / norm);
  double number = tn_item(value);
  bench_training_update(&weights, number);
  tn_scope_close();
  return number;
}

const bench_row bench_darts = {"darts", 1, begin, step};
