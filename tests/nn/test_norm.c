// SPDX-License-Identifier: MIT
/* Normalisations against the formulas, made of the engine's elementary operations; derivatives; threads. */
#include "nn_support.h"

static void begin(void) { nn_begin(TN_F64); }
static void finish(void) { engine_end(); }
TestSuite(norm, .init = begin, .fini = finish);

/* (x - mean) / sqrt(variance + epsilon) over the axes in the mask */
static tn_tensor *standard(tn_tensor *x, uint32_t axes, double epsilon) {
  tn_tensor *mean = tn_sdk.tensor->reduce(TN_MEAN, x, axes, true);
  tn_tensor *variance = tn_sdk.tensor->reduce(TN_VAR, x, axes, true);
  return tn_div(tn_sub(x, mean), tn_sqrt(tn_shift(variance, epsilon)));
}
static tn_tensor *scaled(tn_tensor *h, tn_tensor *w, tn_tensor *b, tn_shape shape) {
  return tn_add(tn_mul(h, tn_reshape(w, shape)), tn_reshape(b, shape));
}

static const tn_shape shapes[] = {
    {4, {3, 4, 5, 2}}, {2, {70, 5}}, {3, {4, 2, 7}}, {4, {1, 3, 2, 2}}, {2, {2, 33}}};

Test(norm, batch_equals_the_formula) {
  for (int i = 0; i < 5; i++) {
    tn_tensor *x = nn_random(1, shapes[i]), *mean, *variance;
    int64_t c = shapes[i].dim[1], count = tn_numel(x) / c;
    tn_tensor *w = nn_random(2, TN_SHAPE(c)), *b = nn_random(3, TN_SHAPE(c)), *r = nn_random(4, shapes[i]);
    uint32_t axes = ((1u << shapes[i].ndim) - 1) & ~2u;
    tn_shape wide = {shapes[i].ndim, {1, c, 1, 1}};
    tn_tensor *expected = scaled(standard(x, axes, 1e-3), w, b, wide);
    expect_close("batch_norm", tn_batch_norm(x, w, b, 1e-3, &mean, &variance), expected, 1e-12);
    expect_close("mean", mean, tn_sdk.tensor->reduce(TN_MEAN, x, axes, false), 1e-13);
    expect_close("variance", variance,
                 tn_scale(tn_sdk.tensor->reduce(TN_VAR, x, axes, false), (double)count / (double)(count - 1)),
                 1e-12);
    expect_close("residual", tn_batch_norm_relu(x, w, b, r, 1e-3, NULL, NULL), tn_relu(tn_add(expected, r)),
                 1e-12);
    expect_close("plain", tn_batch_norm_relu(x, NULL, NULL, NULL, 1e-3, NULL, NULL),
                 tn_relu(standard(x, axes, 1e-3)), 1e-12);
    tn_tensor *x32 = tn_cast(x, TN_F32), *w32 = tn_cast(w, TN_F32), *b32 = tn_cast(b, TN_F32);
    expect_close("float32", tn_cast(tn_batch_norm(x32, w32, b32, 1e-3, NULL, NULL), TN_F64), expected, 1e-5);
    tn_tensor *m = nn_random(5, TN_SHAPE(c)), *v = tn_shift(nn_random(6, TN_SHAPE(c)), 1.5);
    tn_tensor *fixed = tn_div(tn_sub(x, tn_reshape(m, wide)), tn_sqrt(tn_shift(tn_reshape(v, wide), 1e-3)));
    expect_close("fixed", tn_batch_norm_fixed(x, w, b, m, v, 1e-3), scaled(fixed, w, b, wide), 1e-12);
    expect_close("fixed", tn_sdk.nn->batch_norm_fixed(x, w, b, r, m, v, 1e-3, TN_NORM_RELU),
                 tn_relu(tn_add(scaled(fixed, w, b, wide), r)), 1e-12);
  }
}

typedef struct call {
  int kind;
  uint32_t flags;
  int64_t groups;
} call;
enum { BATCH, BATCH_PLAIN, BATCH_RESIDUAL, FIXED, GROUP, GROUP_PLAIN, LAYER, LAYER_PLAIN, RMS };
static tn_tensor *apply(const void *context, tn_tensor *const *in) {
  const call *c = context;
  switch (c->kind) {
  case BATCH: return tn_sdk.nn->batch_norm(in[0], in[1], in[2], NULL, 1e-2, c->flags, NULL, NULL);
  case BATCH_PLAIN: return tn_sdk.nn->batch_norm(in[0], NULL, NULL, NULL, 1e-2, c->flags, NULL, NULL);
  case BATCH_RESIDUAL: return tn_sdk.nn->batch_norm(in[0], in[1], in[2], in[3], 1e-2, c->flags, NULL, NULL);
  case FIXED:
    return tn_sdk.nn->batch_norm_fixed(in[0], in[1], in[2], NULL, in[3], tn_shift(tn_square(in[4]), 1), 1e-2,
                                       c->flags);
  case GROUP: return tn_sdk.nn->group_norm(in[0], c->groups, in[1], in[2], 1e-2, c->flags);
  case GROUP_PLAIN: return tn_sdk.nn->group_norm(in[0], c->groups, NULL, NULL, 1e-2, c->flags);
  case LAYER: return tn_layer_norm(in[0], 2, in[1], in[2], 1e-2);
  case LAYER_PLAIN: return tn_layer_norm(in[0], 1, NULL, NULL, 1e-2);
  default: return tn_rms_norm(in[0], 1, in[1], 1e-2);
  }
}

Test(norm, batch_derivatives) {
  static const tn_shape small[] = {{4, {2, 3, 2, 2}}, {2, {6, 3}}};
  for (int i = 0; i < 2; i++)
    for (uint32_t flags = 0; flags < 2; flags++) {
      tn_scope_open();
      tn_tensor *in[] = {nn_random(1, small[i]), nn_random(2, TN_SHAPE(3)), nn_random(3, TN_SHAPE(3)),
                         nn_random(4, small[i])};
      call with = {BATCH, flags, 0}, plain = {BATCH_PLAIN, flags, 0}, residual = {BATCH_RESIDUAL, flags, 0};
      check_gradients("batch_norm", apply, &with, in, 3);
      check_gradients("batch_norm without parameters", apply, &plain, in, 1);
      check_gradients("batch_norm with a residual", apply, &residual, in, 4);
      tn_tensor *all[] = {in[0], in[1], in[2], nn_random(5, TN_SHAPE(3)), nn_random(6, TN_SHAPE(3))};
      call fixed = {FIXED, flags, 0};
      check_gradients("batch_norm_fixed", apply, &fixed, all, 5);
      tn_scope_close();
    }
}

Test(norm, group_equals_the_formula) {
  tn_tensor *x = nn_random(1, TN_SHAPE(3, 6, 4, 5)), *w = nn_random(2, TN_SHAPE(6)),
            *b = nn_random(3, TN_SHAPE(6));
  for (int64_t groups = 1; groups <= 6; groups++) {
    if (6 % groups) continue;
    tn_tensor *h = standard(tn_reshape(x, TN_SHAPE(3, groups, -1)), TN_AXIS(2), 1e-3);
    tn_tensor *expected = scaled(tn_reshape(h, tn_shape_of(x)), w, b, TN_SHAPE(6, 1, 1));
    expect_close("group_norm", tn_group_norm(x, groups, w, b, 1e-3), expected, 1e-12);
    expect_close("relu", tn_sdk.nn->group_norm(x, groups, w, b, 1e-3, TN_NORM_RELU), tn_relu(expected),
                 1e-12);
  }
}

Test(norm, group_derivatives) {
  for (int64_t groups = 1; groups <= 4; groups *= 2)
    for (uint32_t flags = 0; flags < 2; flags++) {
      tn_scope_open();
      tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 4, 2, 3)), nn_random(2, TN_SHAPE(4)),
                         nn_random(3, TN_SHAPE(4))};
      call with = {GROUP, flags, groups}, plain = {GROUP_PLAIN, flags, groups};
      check_gradients("group_norm", apply, &with, in, 3);
      check_gradients("group_norm without parameters", apply, &plain, in, 1);
      tn_scope_close();
    }
}

Test(norm, layer_and_rms_equal_the_formula) {
  tn_tensor *x = nn_random(1, TN_SHAPE(5, 7, 3, 11)), *w = nn_random(2, TN_SHAPE(3, 11)),
            *b = nn_random(3, TN_SHAPE(3, 11));
  tn_tensor *h = standard(x, TN_AXIS(2) | TN_AXIS(3), 1e-3);
  expect_close("layer_norm", tn_layer_norm(x, 2, w, b, 1e-3), tn_add(tn_mul(h, w), b), 1e-12);
  expect_close("layer_norm", tn_layer_norm(x, 2, NULL, NULL, 1e-3), h, 1e-12);
  tn_tensor *square = tn_sdk.tensor->reduce(TN_MEAN, tn_square(x), TN_AXIS(3), true),
            *w1 = nn_random(4, TN_SHAPE(11));
  expect_close("rms_norm", tn_rms_norm(x, 1, w1, 1e-3),
               tn_mul(tn_mul(x, tn_rsqrt(tn_shift(square, 1e-3))), w1), 1e-12);
}

Test(norm, layer_and_rms_derivatives) {
  tn_tensor *in[] = {nn_random(1, TN_SHAPE(20, 2, 3)), nn_random(2, TN_SHAPE(2, 3)),
                     nn_random(3, TN_SHAPE(2, 3))};
  call layer = {LAYER, 0, 0}, plain = {LAYER_PLAIN, 0, 0}, rms = {RMS, 0, 0};
  check_gradients("layer_norm", apply, &layer, in, 3);
  check_gradients("layer_norm without parameters", apply, &plain, in, 1);
  tn_tensor *rows[] = {in[0], nn_random(2, TN_SHAPE(3))};
  check_gradients("rms_norm", apply, &rms, rows, 2);
}

static tn_tensor *everything(void) {
  tn_tensor *all[12];
  for (int i = 0; i < 4; i++) {
    bool rows = i == 1, layer = i == 3;
    tn_shape shape = rows ? TN_SHAPE(500, 40) : TN_SHAPE(20, 40, 9, 9);
    int64_t c = layer ? 9 : 40;
    tn_tensor *x = tn_leaf(tn_cast(nn_random(1, shape), TN_F32)),
              *w = tn_leaf(tn_cast(nn_random(2, TN_SHAPE(c)), TN_F32));
    tn_tensor *y = layer ? tn_layer_norm(x, 1, w, NULL, 1e-5)
                         : (i == 2 ? tn_group_norm(x, 4, w, NULL, 1e-5)
                                   : tn_batch_norm_relu(x, w, NULL, NULL, 1e-5, NULL, NULL));
    tn_tensor *xs[] = {x, w}, *g[2];
    tn_vjp(y, y, xs, 2, g, 0);
    all[3 * i] = tn_reshape(y, TN_SHAPE(-1));
    all[3 * i + 1] = tn_reshape(g[0], TN_SHAPE(-1));
    all[3 * i + 2] = g[1];
  }
  return tn_concatenate(all, 12, 0);
}
Test(norm, threads_do_not_matter) { nn_same_bits("norm", everything); }

Test(norm, what_does_not_fit_is_an_error) {
  tn_tensor *x = nn_random(1, TN_SHAPE(2, 3, 4, 4)), *mean;
  cr_assert(tn_poisoned(tn_batch_norm(x, nn_random(2, TN_SHAPE(4)), NULL, 1e-3, &mean, NULL)));
  cr_assert(tn_poisoned(mean));
  EXPECT_CONTAINS(first_error(), "batch_norm: a parameter (4,) for the channels of (2, 3, 4, 4)");
  cr_assert(tn_poisoned(tn_group_norm(x, 2, NULL, NULL, 1e-3)));
  EXPECT_CONTAINS(first_error(), "2 groups");
  cr_assert(tn_poisoned(tn_layer_norm(x, 5, NULL, NULL, 1e-3)));
  EXPECT_CONTAINS(first_error(), "layer_norm: over the last 5 axes");
}
