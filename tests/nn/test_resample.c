// SPDX-License-Identifier: MIT
/* Resizing and sampling: values worked out by hand and by naive loops; derivatives. */
#include "nn_support.h"

static void begin(void) { nn_begin(TN_F64); }
static void finish(void) { engine_end(); }
TestSuite(resample, .init = begin, .fini = finish);

static const double four[] = {1, 2, 3, 4};

Test(resample, nearest_repeats) {
  tn_tensor *y =
      tn_interpolate(TN_INTERPOLATE_NEAREST, tn_from(TN_F64, TN_SHAPE(1, 1, 2, 2), four), 4, 3, false);
  const double expected[] = {1, 1, 2, 1, 1, 2, 3, 3, 4, 3, 3, 4}; /* columns 0, floor(2 / 3), floor(4 / 3) */
  for (int i = 0; i < 12; i++) EXPECT_REAL(element(y, i), expected[i]);
}

Test(resample, bilinear_between_centres) {
  tn_tensor *x = tn_from(TN_F64, TN_SHAPE(1, 1, 2, 2), four);
  /* 2 to 4: positions -1/4 (cut to 0), 1/4, 3/4, 5/4 (the last element); f(r, c) = 1 + 2 r + c */
  tn_tensor *y = tn_interpolate(TN_INTERPOLATE_BILINEAR, x, 4, 4, false);
  const double at[] = {0, 0.25, 0.75, 1}, corner[] = {0, 1.0 / 3, 2.0 / 3, 1};
  for (int i = 0; i < 16; i++) cr_expect_float_eq(element(y, i), 1 + 2 * at[i / 4] + at[i % 4], 1e-14);
  y = tn_interpolate(TN_INTERPOLATE_BILINEAR, x, 4, 4, true);
  for (int i = 0; i < 16; i++)
    cr_expect_float_eq(element(y, i), 1 + 2 * corner[i / 4] + corner[i % 4], 1e-14);
}

typedef struct call {
  int32_t op;
  bool align;
  int64_t height, width;
} call;
static tn_tensor *interpolate(const void *context, tn_tensor *const *in) {
  const call *c = context;
  return tn_square(tn_interpolate(c->op, in[0], c->height, c->width, c->align));
}
Test(resample, resizing_derivatives) {
  static const call calls[] = {{TN_INTERPOLATE_NEAREST, false, 7, 5},
                               {TN_INTERPOLATE_BILINEAR, false, 7, 5},
                               {TN_INTERPOLATE_BILINEAR, true, 7, 5},
                               {TN_INTERPOLATE_BILINEAR, false, 2, 1},
                               {TN_INTERPOLATE_BILINEAR, true, 1, 2}};
  tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 2, 3, 4))};
  for (int i = 0; i < 5; i++) check_gradients("interpolate", interpolate, &calls[i], in, 1);
}

static double pixel(const tn_tensor *x, int64_t n, int64_t c, int64_t r, int64_t q, bool edge) {
  int64_t h = tn_dim(x, 2), w = tn_dim(x, 3);
  if (!edge && (r < 0 || q < 0 || r >= h || q >= w)) return 0;
  r = r < 0 ? 0 : (r >= h ? h - 1 : r);
  q = q < 0 ? 0 : (q >= w ? w - 1 : q);
  return nn_at(x, n, c, r, q);
}
Test(resample, sampling_equals_naive_loops) {
  tn_tensor *x = nn_random(1, TN_SHAPE(2, 3, 4, 5)),
            *grid = tn_scale(nn_random(2, TN_SHAPE(2, 3, 6, 2)), 1.5);
  for (int align = 0; align < 2; align++)
    for (tn_border_op border = 0; border < TN_BORDER_COUNT; border++) {
      tn_tensor *y = tn_grid_sample(x, grid, border, align),
                *expected = tn_empty(TN_F64, TN_SHAPE(2, 3, 3, 6));
      double *p = tn_f64(expected);
      for (int64_t n = 0; n < 2; n++)
        for (int64_t c = 0; c < 3; c++)
          for (int64_t i = 0; i < 18; i++) {
            double gx = element(grid, (n * 18 + i) * 2), gy = element(grid, (n * 18 + i) * 2 + 1);
            double u = align ? (gx + 1) * 2 : ((gx + 1) * 5 - 1) / 2,
                   v = align ? (gy + 1) * 1.5 : ((gy + 1) * 4 - 1) / 2;
            if (border == TN_BORDER_EDGE) {
              u = fmin(fmax(u, 0), 4);
              v = fmin(fmax(v, 0), 3);
            }
            double fu = floor(u), fv = floor(v);
            int64_t q = (int64_t)fu, r = (int64_t)fv;
            bool edge = border == TN_BORDER_EDGE;
            *p++ = (1 - v + fv) * ((1 - u + fu) * pixel(x, n, c, r, q, edge) +
                                   (u - fu) * pixel(x, n, c, r, q + 1, edge)) +
                   (v - fv) * ((1 - u + fu) * pixel(x, n, c, r + 1, q, edge) +
                               (u - fu) * pixel(x, n, c, r + 1, q + 1, edge));
          }
      expect_close("grid_sample", y, expected, 1e-13);
    }
}

static tn_tensor *sample(const void *context, tn_tensor *const *in) {
  return tn_grid_sample(in[0], in[1], *(const tn_border_op *)context, false);
}
static tn_tensor *warp(const void *context, tn_tensor *const *in) {
  (void)context;
  return tn_grid_sample(in[0], tn_affine_grid(in[1], 3, 4, false), TN_BORDER_ZEROS, false);
}
Test(resample, sampling_derivatives) {
  tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 2, 4, 5)), nn_random(2, TN_SHAPE(2, 2, 3, 2))};
  for (tn_border_op border = 0; border < TN_BORDER_COUNT; border++)
    check_gradients("grid_sample", sample, &border, in, 2);
  tn_tensor *with[] = {in[0], nn_random(3, TN_SHAPE(2, 2, 3))};
  check_gradients("affine_grid", warp, NULL, with, 2);
}

Test(resample, the_identity_leaves_an_image_alone) {
  const double identity[] = {1, 0, 0, 0, 1, 0};
  tn_tensor *x = nn_random(1, TN_SHAPE(1, 2, 5, 4)), *theta = tn_from(TN_F64, TN_SHAPE(1, 2, 3), identity);
  for (int align = 0; align < 2; align++)
    expect_close("identity", tn_grid_sample(x, tn_affine_grid(theta, 5, 4, align), TN_BORDER_ZEROS, align), x,
                 1e-12);
}

Test(resample, what_does_not_fit_is_an_error) {
  cr_assert(tn_poisoned(tn_interpolate(TN_INTERPOLATE_NEAREST, nn_random(1, TN_SHAPE(2, 2)), 2, 2, false)));
  EXPECT_CONTAINS(first_error(), "interpolate: (2, 2)");
  cr_assert(tn_poisoned(tn_affine_grid(nn_random(1, TN_SHAPE(2, 2)), 2, 2, false)));
  EXPECT_CONTAINS(first_error(), "affine_grid");
}
