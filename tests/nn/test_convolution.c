// SPDX-License-Identifier: MIT
/* Convolutions: values against naive loops, derivatives against differences, threads. */
#include "nn_support.h"

static void finish(void) { engine_end(); }
static void f64(void) { nn_begin(TN_F64); }
TestSuite(convolution, .init = f64, .fini = finish);

typedef struct sizes {
  int64_t n, c, h, w, o, kh, kw;
  tn_conv conv;
} sizes;

static const sizes cases[] = {
    {2, 3, 5, 6, 4, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1}},
    {1, 1, 7, 7, 1, 1, 1, {{1, 1}, {0, 0}, {1, 1}, 1}},
    {3, 4, 7, 5, 9, 1, 1, {{1, 1}, {0, 0}, {1, 1}, 1}},
    {2, 4, 8, 8, 6, 1, 1, {{2, 2}, {0, 0}, {1, 1}, 1}},
    {2, 3, 9, 8, 17, 3, 3, {{2, 2}, {1, 1}, {1, 1}, 1}},
    {2, 2, 9, 11, 3, 5, 3, {{3, 2}, {2, 0}, {1, 1}, 1}},
    {1, 2, 10, 9, 2, 3, 3, {{1, 1}, {2, 2}, {2, 2}, 1}},
    {2, 6, 7, 7, 6, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 6}},
    {2, 6, 8, 8, 6, 5, 5, {{2, 2}, {4, 4}, {2, 2}, 6}},
    {2, 6, 8, 7, 9, 3, 2, {{1, 2}, {1, 1}, {1, 2}, 3}},
    {9, 8, 6, 6, 16, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 2}},
    {2, 3, 1, 20, 5, 1, 5, {{1, 2}, {0, 2}, {1, 1}, 1}},
    {2, 2, 3, 3, 2, 3, 3, {{1, 1}, {4, 5}, {1, 1}, 1}},
    {1, 2, 3, 3, 2, 3, 3, {{1, 1}, {0, 0}, {1, 1}, 1}},
    {1, 2, 4, 4, 2, 2, 2, {{4, 4}, {3, 3}, {1, 1}, 1}},
    {1, 2, 9, 9, 3, 2, 2, {{1, 3}, {0, 1}, {4, 2}, 1}},
    {0, 2, 4, 4, 2, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1}},
    {2, 0, 4, 4, 2, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1}},
    {2, 2, 4, 4, 0, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1}},
    {12, 16, 10, 10, 40, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1}},
    {2, 3, 14, 14, 33, 3, 3, {{2, 1}, {1, 1}, {1, 1}, 1}},
    {1, 1, 20, 20, 3, 16, 16, {{16, 16}, {0, 0}, {1, 1}, 1}},
    {2, 2, 20, 20, 3, 3, 3, {{9, 9}, {1, 1}, {1, 1}, 1}},
    /* depthwise, small planes */
    {3, 20, 7, 7, 20, 7, 7, {{1, 1}, {3, 3}, {1, 1}, 20}},
    {9, 33, 4, 4, 33, 5, 5, {{2, 2}, {2, 2}, {1, 1}, 33}},
    {2, 18, 5, 9, 18, 5, 3, {{3, 2}, {4, 1}, {1, 1}, 18}},
    {2, 16, 4, 5, 16, 3, 3, {{1, 1}, {5, 4}, {1, 1}, 16}},
    {1, 17, 9, 3, 17, 2, 2, {{1, 1}, {0, 1}, {1, 1}, 17}},
    {2, 16, 1, 12, 16, 1, 12, {{1, 1}, {0, 11}, {1, 1}, 16}},
    {2, 24, 6, 8, 24, 3, 3, {{4, 4}, {0, 0}, {1, 1}, 24}},
    {2, 16, 17, 12, 16, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 16}},
};
enum { CASES = sizeof cases / sizeof *cases };

static tn_tensor *input_of(const sizes *s, uint64_t seed) {
  return nn_random(seed, TN_SHAPE(s->n, s->c, s->h, s->w));
}
static tn_tensor *weight_of(const sizes *s, uint64_t seed) {
  return nn_random(seed, TN_SHAPE(s->o, s->c / s->conv.groups, s->kh, s->kw));
}

static tn_tensor *naive(tn_tensor *x, tn_tensor *w, tn_tensor *bias, const tn_conv *conv) {
  int64_t n = tn_dim(x, 0), h = tn_dim(x, 2), wide = tn_dim(x, 3), o = tn_dim(w, 0), per = tn_dim(w, 1);
  int64_t kh = tn_dim(w, 2), kw = tn_dim(w, 3);
  int64_t oh = (h + 2 * conv->padding[0] - conv->dilation[0] * (kh - 1) - 1) / conv->stride[0] + 1;
  int64_t ow = (wide + 2 * conv->padding[1] - conv->dilation[1] * (kw - 1) - 1) / conv->stride[1] + 1;
  tn_tensor *y = tn_zeros(TN_F64, TN_SHAPE(n, o, oh, ow));
  double *p = tn_f64(y);
  for (int64_t a = 0; a < n; a++)
    for (int64_t b = 0; b < o; b++)
      for (int64_t i = 0; i < oh; i++)
        for (int64_t j = 0; j < ow; j++, p++) {
          double sum = bias ? element(bias, b) : 0;
          for (int64_t c = 0; c < per; c++)
            for (int64_t r = 0; r < kh; r++)
              for (int64_t q = 0; q < kw; q++) {
                int64_t row = i * conv->stride[0] - conv->padding[0] + r * conv->dilation[0];
                int64_t column = j * conv->stride[1] - conv->padding[1] + q * conv->dilation[1];
                if (row < 0 || row >= h || column < 0 || column >= wide) continue;
                sum += nn_at(w, b, c, r, q) * nn_at(x, a, b / (o / conv->groups) * per + c, row, column);
              }
          *p = sum;
        }
  return y;
}

Test(convolution, equals_naive_loops) {
  for (int i = 0; i < CASES; i++) {
    tn_scope_open();
    tn_tensor *x = input_of(&cases[i], 1), *w = weight_of(&cases[i], 2),
              *b = nn_random(3, TN_SHAPE(cases[i].o));
    char name[32];
    snprintf(name, sizeof name, "case %d", i);
    expect_close(name, tn_convolution(x, w, NULL, &cases[i].conv), naive(x, w, NULL, &cases[i].conv), 1e-13);
    expect_close(name, tn_convolution(x, w, b, &cases[i].conv), naive(x, w, b, &cases[i].conv), 1e-13);
    tn_tensor *x32 = tn_cast(x, TN_F32), *w32 = tn_cast(w, TN_F32);
    expect_close(name, tn_cast(tn_convolution(x32, w32, NULL, &cases[i].conv), TN_F64),
                 naive(x, w, NULL, &cases[i].conv), 2e-5);
    tn_scope_close();
  }
}

/* <g, conv(x, w)> = <conv_input(g, w), x> = <conv_weight(g, x), w>, element by element through unit vectors
 * of the naive loops: the derivative of a sum weighted by g. */
static void check_backward(const sizes *s, tn_dtype dtype, double tolerance) {
  tn_tensor *x = tn_leaf(tn_cast(input_of(s, 1), dtype)), *w = tn_leaf(tn_cast(weight_of(s, 2), dtype));
  tn_tensor *y = tn_convolution(x, w, NULL, &s->conv), *xs[] = {x, w}, *got[2];
  tn_tensor *g = tn_cast(nn_random(4, tn_shape_of(y)), dtype);
  tn_vjp(y, g, xs, 2, got, 0);
  tn_tensor *gx = tn_zeros(TN_F64, tn_shape_of(x)), *gw = tn_zeros(TN_F64, tn_shape_of(w));
  int64_t per = tn_dim(w, 1), at = 0;
  for (int64_t a = 0; a < tn_dim(y, 0); a++)
    for (int64_t b = 0; b < tn_dim(y, 1); b++)
      for (int64_t i = 0; i < tn_dim(y, 2); i++)
        for (int64_t j = 0; j < tn_dim(y, 3); j++, at++)
          for (int64_t c = 0; c < per; c++)
            for (int64_t r = 0; r < s->kh; r++)
              for (int64_t q = 0; q < s->kw; q++) {
                int64_t row = i * s->conv.stride[0] - s->conv.padding[0] + r * s->conv.dilation[0];
                int64_t column = j * s->conv.stride[1] - s->conv.padding[1] + q * s->conv.dilation[1];
                if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
                int64_t channel = b / (s->o / s->conv.groups) * per + c;
                int64_t xi = ((a * s->c + channel) * s->h + row) * s->w + column;
                int64_t wi = ((b * per + c) * s->kh + r) * s->kw + q;
                tn_f64(gx)[xi] += element(g, at) * element(w, wi);
                tn_f64(gw)[wi] += element(g, at) * element(x, xi);
              }
  expect_close("input", tn_cast(got[0], TN_F64), gx, tolerance);
  expect_close("weight", tn_cast(got[1], TN_F64), gw, tolerance);
}

Test(convolution, backwards_equal_naive_loops) {
  for (int i = 0; i < CASES; i++) {
    tn_scope_open();
    check_backward(&cases[i], TN_F64, 1e-12);
    check_backward(&cases[i], TN_F32, 1e-4);
    tn_scope_close();
  }
}

static tn_tensor *apply(const void *context, tn_tensor *const *in) {
  return tn_convolution(in[0], in[1], in[2], context);
}

Test(convolution, first_and_second_derivatives) {
  static const int small[] = {0, 4, 5, 7, 9, 14, 16};
  for (int i = 0; i < (int)(sizeof small / sizeof *small); i++) {
    sizes s = cases[small[i]];
    s.n = s.n > 1 ? 2 : s.n;
    s.h = s.h > 6 ? 6 : s.h;
    s.w = s.w > 6 ? 6 : s.w;
    s.o = s.conv.groups > 1 ? s.o : 2;
    tn_scope_open();
    tn_tensor *in[] = {input_of(&s, 1), weight_of(&s, 2), nn_random(3, TN_SHAPE(s.o))};
    check_gradients("convolution", apply, &s.conv, in, 3);
    tn_scope_close();
  }
}

static tn_tensor *transposed(const void *context, tn_tensor *const *in) {
  const int64_t extra[2] = {1, 0};
  return tn_convolution_transposed(in[0], in[1], in[2], context, extra);
}

/* y[o, i stride - padding + r dilation] += w[c, o, r] x[c, i] */
Test(convolution, transposed_equals_naive_loops) {
  tn_conv conv = {{2, 3}, {1, 0}, {1, 2}, 1};
  tn_tensor *x = nn_random(1, TN_SHAPE(2, 3, 4, 5)), *w = nn_random(2, TN_SHAPE(3, 2, 3, 2)),
            *b = nn_random(3, TN_SHAPE(2));
  tn_tensor *in[] = {x, w, b}, *y = transposed(&conv, in);
  int64_t oh = 3 * 2 - 2 + 2 + 1 + 1, ow = 4 * 3 + 2 + 1;
  tn_tensor *expected = tn_zeros(TN_F64, TN_SHAPE(2, 2, oh, ow));
  for (int64_t n = 0; n < 2; n++)
    for (int64_t o = 0; o < 2; o++) {
      double *plane = tn_f64(expected) + (n * 2 + o) * oh * ow;
      for (int64_t i = 0; i < oh * ow; i++) plane[i] = element(b, o);
      for (int64_t c = 0; c < 3; c++)
        for (int64_t i = 0; i < 4; i++)
          for (int64_t j = 0; j < 5; j++)
            for (int64_t r = 0; r < 3; r++)
              for (int64_t q = 0; q < 2; q++) {
                int64_t row = i * 2 - 1 + r, column = j * 3 + q * 2;
                if (row >= 0 && row < oh && column < ow)
                  plane[row * ow + column] += nn_at(w, c, o, r, q) * nn_at(x, n, c, i, j);
              }
    }
  expect_close("transposed", y, expected, 1e-13);
  check_gradients("transposed", transposed, &conv, in, 3);
}

Test(convolution, one_dimension) {
  tn_tensor *x = nn_random(1, TN_SHAPE(2, 3, 10)), *w = nn_random(2, TN_SHAPE(4, 3, 3));
  tn_tensor *y = tn_conv1d(x, w, NULL, 2, 1, 1);
  EXPECT_INT(tn_ndim(y), 3);
  tn_conv conv = {{1, 2}, {0, 1}, {1, 1}, 1};
  tn_tensor *expected =
      naive(tn_reshape(x, TN_SHAPE(2, 3, 1, 10)), tn_reshape(w, TN_SHAPE(4, 3, 1, 3)), NULL, &conv);
  expect_close("conv1d", y, tn_reshape(expected, tn_shape_of(y)), 1e-13);
}

/* Gradient matching: the derivative, with respect to the images, of a distance between weight gradients. */
static tn_tensor *matching(const void *context, tn_tensor *const *in) {
  (void)context;
  tn_tensor *w = tn_leaf(nn_random(2, TN_SHAPE(3, 2, 3, 3))), *real = nn_random(9, tn_shape_of(w)), *g;
  tn_tensor *loss = tn_sum(tn_square(tn_mean_pool(tn_softplus(tn_conv2d(in[0], w, NULL, 1, 1)), 2, 2, 0)));
  tn_grad(loss, &w, 1, &g, TN_CREATE_GRAPH);
  return tn_div(tn_sum(tn_mul(g, real)), tn_norm(g));
}
Test(convolution, gradient_matching) {
  tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 2, 4, 4))};
  check_first_gradients("gradient matching", matching, NULL, in, 1);
}

static tn_tensor *everything(void) {
  static const int chosen[] = {8, 10, 19, 20};
  tn_tensor *all[12];
  for (int i = 0; i < 4; i++) {
    const sizes *s = &cases[chosen[i]];
    tn_tensor *x = tn_leaf(tn_cast(input_of(s, 1), TN_F32)), *w = tn_leaf(tn_cast(weight_of(s, 2), TN_F32));
    tn_tensor *y = tn_convolution(x, w, NULL, &s->conv), *xs[] = {x, w}, *got[2];
    tn_vjp(y, y, xs, 2, got, 0);
    all[3 * i] = tn_reshape(y, TN_SHAPE(-1));
    all[3 * i + 1] = tn_reshape(got[0], TN_SHAPE(-1));
    all[3 * i + 2] = tn_reshape(got[1], TN_SHAPE(-1));
  }
  return tn_concatenate(all, 12, 0);
}
Test(convolution, threads_do_not_matter) { nn_same_bits("convolution", everything); }

Test(convolution, steady_state_allocates_nothing) {
  uint64_t before = 0;
  for (int i = 0; i < 4; i++) {
    tn_scope_open();
    everything();
    tn_scope_close();
    if (i == 2) before = tn_engine_measure(engine_here()).mallocs;
  }
  EXPECT_INT(tn_engine_measure(engine_here()).mallocs, before);
}

Test(convolution, what_does_not_fit_is_an_error) {
  tn_tensor *x = nn_random(1, TN_SHAPE(1, 3, 4, 4)), *w = nn_random(2, TN_SHAPE(2, 3, 5, 5));
  cr_assert(tn_poisoned(tn_conv2d(x, w, NULL, 1, 0)));
  EXPECT_CONTAINS(first_error(), "convolution: a kernel (2, 3, 5, 5) is larger");
  cr_assert(tn_poisoned(tn_conv2d(x, nn_random(3, TN_SHAPE(2, 2, 3, 3)), NULL, 1, 0)));
  EXPECT_CONTAINS(first_error(), "(1, 3, 4, 4)");
  cr_assert(tn_poisoned(tn_conv2d(x, tn_cast(nn_random(3, TN_SHAPE(2, 3, 3, 3)), TN_F32), NULL, 1, 0)));
  EXPECT_CONTAINS(first_error(), "float32");
  cr_assert(tn_poisoned(tn_conv2d(x, nn_random(3, TN_SHAPE(2, 3, 3, 3)), NULL, -1, 0)));
  EXPECT_CONTAINS(first_error(), "stride (-1, -1)");
}
