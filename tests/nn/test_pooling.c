// SPDX-License-Identifier: MIT
/* Pooling against naive loops; derivatives; ties and NaN. */
#include "nn_support.h"

static void begin(void) { nn_begin(TN_F64); }
static void finish(void) { engine_end(); }
TestSuite(pooling, .init = begin, .fini = finish);

typedef struct sizes {
  int64_t h, w;
  tn_window window;
} sizes;
static const sizes cases[] = {{6, 6, {{2, 2}, {0, 0}, {0, 0}}},   {7, 5, {{2, 2}, {2, 2}, {0, 0}}},
                              {5, 7, {{3, 3}, {1, 1}, {1, 1}}},   {8, 9, {{3, 3}, {2, 2}, {1, 1}}},
                              {9, 9, {{3, 2}, {3, 4}, {0, 1}}},   {4, 4, {{4, 4}, {1, 1}, {2, 2}}},
                              {1, 6, {{1, 3}, {1, 2}, {0, 0}}},   {1, 1, {{1, 1}, {1, 1}, {0, 0}}},
                              {32, 33, {{3, 3}, {1, 1}, {1, 1}}}, {28, 28, {{2, 2}, {2, 2}, {0, 0}}}};
enum { CASES = sizeof cases / sizeof *cases };

static tn_tensor *naive(tn_pool_op op, tn_tensor *x, const tn_window *w) {
  int64_t out[2], stride[2];
  for (int i = 0; i < 2; i++) {
    stride[i] = w->stride[i] ? w->stride[i] : w->size[i];
    out[i] = (tn_dim(x, 2 + i) + 2 * w->padding[i] - w->size[i]) / stride[i] + 1;
  }
  tn_tensor *y = tn_empty(TN_F64, TN_SHAPE(tn_dim(x, 0), tn_dim(x, 1), out[0], out[1]));
  double *p = tn_f64(y);
  for (int64_t a = 0; a < tn_dim(x, 0); a++)
    for (int64_t b = 0; b < tn_dim(x, 1); b++)
      for (int64_t i = 0; i < out[0]; i++)
        for (int64_t j = 0; j < out[1]; j++) {
          double sum = 0, top = -INFINITY;
          int64_t inside = 0, padded = 0;
          for (int64_t r = i * stride[0] - w->padding[0]; r < i * stride[0] - w->padding[0] + w->size[0]; r++)
            for (int64_t c = j * stride[1] - w->padding[1]; c < j * stride[1] - w->padding[1] + w->size[1];
                 c++) {
              padded += r < tn_dim(x, 2) + w->padding[0] && c < tn_dim(x, 3) + w->padding[1];
              if (r < 0 || c < 0 || r >= tn_dim(x, 2) || c >= tn_dim(x, 3)) continue;
              double v = nn_at(x, a, b, r, c);
              sum += v;
              top = v > top ? v : top;
              inside++;
            }
          *p++ = op == TN_POOL_MAX ? top : sum / (double)(op == TN_POOL_MEAN ? inside : padded);
        }
  return y;
}

Test(pooling, equals_naive_loops) {
  for (int i = 0; i < CASES; i++)
    for (tn_pool_op op = 0; op < TN_POOL_COUNT; op++) {
      tn_tensor *x = nn_random(1, TN_SHAPE(2, 3, cases[i].h, cases[i].w));
      char name[40];
      snprintf(name, sizeof name, "case %d, operation %d", i, op);
      expect_close(name, tn_pool(op, x, &cases[i].window), naive(op, x, &cases[i].window), 1e-14);
      tn_tensor *y = tn_pool(op, tn_cast(x, TN_F32), &cases[i].window);
      expect_close(name, tn_cast(y, TN_F64), naive(op, x, &cases[i].window), 1e-6);
    }
}

typedef struct call {
  tn_pool_op op;
  const tn_window *window;
  int64_t height, width;
} call;
static tn_tensor *apply(const void *context, tn_tensor *const *in) {
  const call *c = context;
  return c->window ? tn_pool(c->op, in[0], c->window) : tn_adaptive_pool(c->op, in[0], c->height, c->width);
}
/* products, so that the second derivative is not zero */
static tn_tensor *squared(const void *context, tn_tensor *const *in) { return tn_square(apply(context, in)); }

Test(pooling, derivatives) {
  for (int i = 0; i < 8; i++)
    for (tn_pool_op op = 0; op < TN_POOL_COUNT; op++) {
      tn_scope_open();
      tn_tensor *in[] = {nn_random(1, TN_SHAPE(1, 2, cases[i].h, cases[i].w))};
      call c = {op, &cases[i].window, 0, 0};
      check_gradients("pool", squared, &c, in, 1);
      tn_scope_close();
    }
}

/* Window i covers floor(i h / oh) to ceil((i + 1) h / oh). */
Test(pooling, adaptive) {
  tn_tensor *x = nn_random(1, TN_SHAPE(2, 2, 7, 5));
  tn_tensor *mean = tn_adaptive_pool(TN_POOL_MEAN, x, 3, 2), *max = tn_adaptive_pool(TN_POOL_MAX, x, 3, 2);
  for (int64_t i = 0; i < 3; i++)
    for (int64_t j = 0; j < 2; j++) {
      double sum = 0, top = -INFINITY, count = 0;
      for (int64_t r = i * 7 / 3; r < ((i + 1) * 7 + 2) / 3; r++)
        for (int64_t c = j * 5 / 2; c < ((j + 1) * 5 + 1) / 2; c++, count++) {
          sum += nn_at(x, 1, 1, r, c);
          top = fmax(top, nn_at(x, 1, 1, r, c));
        }
      cr_expect_float_eq(nn_at(mean, 1, 1, i, j), sum / count, 1e-14);
      EXPECT_REAL(nn_at(max, 1, 1, i, j), top);
    }
  for (tn_pool_op op = TN_POOL_MAX; op <= TN_POOL_MEAN; op++) {
    tn_tensor *in[] = {x};
    call uneven = {op, NULL, 3, 2}, one = {op, NULL, 1, 1}, larger = {op, NULL, 9, 5};
    check_gradients("adaptive", squared, &uneven, in, 1);
    check_gradients("global", squared, &one, in, 1);
    check_gradients("enlarging", squared, &larger, in, 1);
  }
  expect_close("global", tn_reshape(tn_adaptive_pool(TN_POOL_MEAN, x, 1, 1), TN_SHAPE(2, 2)),
               tn_global_mean_pool(x), 1e-14);
}

Test(pooling, the_first_maximum_gets_the_derivative) {
  const double values[] = {1, 3, 3, 0, 3, 2, 1, 3, 0};
  tn_tensor *x = tn_leaf(tn_from(TN_F64, TN_SHAPE(1, 1, 3, 3), values)), *g;
  tn_grad(tn_sum(tn_max_pool(x, 3, 3, 0)), &x, 1, &g, 0);
  for (int i = 0; i < 9; i++) EXPECT_REAL(element(g, i), i == 1 ? 1.0 : 0.0);
}

Test(pooling, nan_wins_and_infinity_is_a_value) {
  const double values[] = {1, NAN, 3, 4, -INFINITY, -INFINITY, -INFINITY, -INFINITY};
  tn_tensor *y = tn_max_pool(tn_from(TN_F64, TN_SHAPE(1, 2, 2, 2), values), 2, 2, 0);
  cr_assert(isnan(element(y, 0)));
  EXPECT_REAL(element(y, 1), -INFINITY);
}

/* Nothing but -infinity inside: the padding must not win. Window (i, j) begins at (max(0, i - 1), max(0, j -
 * 1)), so four windows begin at the corner. */
Test(pooling, padding_is_no_maximum) {
  tn_tensor *x = tn_leaf(tn_full(TN_F64, TN_SHAPE(1, 1, 5, 5), -INFINITY)), *g;
  tn_tensor *y = tn_max_pool(x, 3, 1, 1), *seed = tn_full(TN_F64, TN_SHAPE(1, 1, 5, 5), 1);
  tn_vjp(y, seed, &x, 1, &g, 0);
  for (int i = 0; i < 25; i++) EXPECT_REAL(element(y, i), -INFINITY);
  EXPECT_REAL(element(g, 0), 4.0);
  EXPECT_REAL(element(g, 1), 2.0);
  EXPECT_REAL(element(g, 6), 1.0);
  EXPECT_REAL(tn_item(tn_sum(g)), 25.0);
}

static tn_tensor *everything(void) {
  tn_tensor *x = tn_leaf(tn_cast(nn_random(1, TN_SHAPE(16, 8, 28, 28)), TN_F32)), *all[6];
  for (tn_pool_op op = 0; op < TN_POOL_COUNT; op++) {
    tn_window window = {{3, 3}, {2, 2}, {1, 1}};
    tn_tensor *y = tn_pool(op, x, &window), *g;
    tn_vjp(y, y, &x, 1, &g, 0);
    all[2 * op] = tn_reshape(y, TN_SHAPE(-1));
    all[2 * op + 1] = tn_reshape(g, TN_SHAPE(-1));
  }
  return tn_concatenate(all, 6, 0);
}
Test(pooling, threads_do_not_matter) { nn_same_bits("pooling", everything); }

Test(pooling, no_images_and_wrong_windows) {
  tn_tensor *none = tn_max_pool(nn_random(1, TN_SHAPE(0, 3, 4, 4)), 2, 2, 0);
  EXPECT_INT(tn_numel(none), 0);
  EXPECT_INT(tn_dim(none, 2), 2);
  tn_tensor *x = nn_random(1, TN_SHAPE(1, 1, 4, 4));
  cr_assert(tn_poisoned(tn_max_pool(x, 5, 1, 0)));
  EXPECT_CONTAINS(first_error(), "pool: a window of 5");
  cr_assert(tn_poisoned(tn_max_pool(x, 2, 2, 2)));
  EXPECT_CONTAINS(first_error(), "padding 2");
}
