// SPDX-License-Identifier: MIT
/* Attention against its definition by products and softmax; derivatives; masks; threads. */
#include "nn_support.h"

static void begin(void) { nn_begin(TN_F64); }
static void finish(void) { engine_end(); }
TestSuite(attention, .init = begin, .fini = finish);

/* -1e30 where a query does not see a key */
static tn_tensor *hidden(int64_t t, int64_t s) {
  tn_tensor *m = tn_zeros(TN_F64, TN_SHAPE(t, s));
  for (int64_t i = 0; i < t; i++)
    for (int64_t j = i + s - t + 1; j < s; j++)
      if (j >= 0) tn_f64(m)[i * s + j] = -1e30;
  return m;
}
static tn_tensor *composed(tn_tensor *q, tn_tensor *k, tn_tensor *v, tn_tensor *mask, bool causal,
                           double scale) {
  tn_tensor *s = tn_scale(tn_sdk.tensor->matmul(q, k, false, true), scale);
  if (mask) s = tn_add(s, mask);
  if (causal) s = tn_add(s, hidden(tn_dim(q, -2), tn_dim(k, -2)));
  return tn_sdk.tensor->matmul(tn_softmax(s, -1), v, false, false);
}

Test(attention, equals_softmax_and_products) {
  static const int64_t sizes[][4] = {
      {1, 1, 1, 1}, {5, 5, 4, 3}, {64, 64, 32, 32}, {3, 9, 7, 33}, {17, 40, 16, 5}};
  for (int i = 0; i < 5; i++) {
    int64_t t = sizes[i][0], s = sizes[i][1], d = sizes[i][2], e = sizes[i][3];
    tn_tensor *q = nn_random(1, TN_SHAPE(2, 3, t, d)), *k = nn_random(2, TN_SHAPE(2, 3, s, d));
    tn_tensor *v = nn_random(3, TN_SHAPE(2, 3, s, e)), *mask = nn_random(4, TN_SHAPE(t, s));
    tn_tensor *each = nn_random(5, TN_SHAPE(2, 1, t, s));
    double scale = 1 / sqrt((double)d);
    expect_close("plain", tn_attention(q, k, v, NULL, false, 0), composed(q, k, v, NULL, false, scale),
                 1e-13);
    expect_close("causal", tn_attention(q, k, v, NULL, true, 0.7), composed(q, k, v, NULL, true, 0.7), 1e-13);
    expect_close("mask", tn_attention(q, k, v, mask, true, 0.7), composed(q, k, v, mask, true, 0.7), 1e-13);
    expect_close("masks", tn_attention(q, k, v, each, false, 0.7), composed(q, k, v, each, false, 0.7),
                 1e-13);
    tn_tensor *y = tn_attention(tn_cast(q, TN_F32), tn_cast(k, TN_F32), tn_cast(v, TN_F32), NULL, true, 0);
    expect_close("float32", tn_cast(y, TN_F64), composed(q, k, v, NULL, true, scale), 1e-5);
  }
}

typedef struct call {
  bool causal;
  int mask; /* 0 none, 1 added, 2 bool with a row that sees nothing */
} call;
static tn_tensor *mask_of(int kind) {
  if (kind == 0) return NULL;
  tn_tensor *m = nn_random(7, TN_SHAPE(2, 3, 4));
  if (kind == 1) return m;
  m = tn_gt(m, tn_scalar(TN_F64, -0.3));
  for (int j = 0; j < 4; j++) ((uint8_t *)tn_data(m))[4 + j] = 0;
  return m;
}
static tn_tensor *apply(const void *context, tn_tensor *const *in) {
  const call *c = context;
  return tn_attention(in[0], in[1], in[2], mask_of(c->mask), c->causal, 0.9);
}

Test(attention, derivatives) {
  for (int mask = 0; mask < 3; mask++)
    for (int causal = 0; causal < 2; causal++) {
      tn_scope_open();
      call c = {causal, mask};
      tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 3, 2)), nn_random(2, TN_SHAPE(2, 4, 2)),
                         nn_random(3, TN_SHAPE(2, 4, 3))};
      check_gradients("attention", apply, &c, in, 3);
      tn_scope_close();
    }
}

Test(attention, who_sees_nothing_gets_zeros) {
  tn_tensor *q = nn_random(1, TN_SHAPE(2, 3, 2)), *k = nn_random(2, TN_SHAPE(2, 4, 2)),
            *v = nn_random(3, TN_SHAPE(2, 4, 3));
  tn_tensor *y = tn_attention(q, k, v, mask_of(2), false, 0);
  for (int i = 0; i < 3; i++) EXPECT_REAL(element(y, 3 + i), 0.0);
  // more queries than keys: the first ones come before every key
  y = tn_attention(nn_random(1, TN_SHAPE(5, 2)), nn_random(2, TN_SHAPE(3, 2)), nn_random(3, TN_SHAPE(3, 2)),
                   NULL, true, 0);
  for (int i = 0; i < 4; i++) EXPECT_REAL(element(y, i), 0.0);
  cr_assert(element(y, 4) != 0);
}

/* The same by its parts: x (n, t, 3 h d) */
static tn_tensor *by_parts(tn_tensor *x, int64_t heads, bool causal, double scale) {
  int64_t n = tn_dim(x, 0), t = tn_dim(x, 1), d = tn_dim(x, 2) / 3 / heads;
  tn_tensor *part[3],
      *parts = tn_permute(tn_reshape(x, TN_SHAPE(n, t, 3, heads, d)), (const int32_t[]){2, 0, 3, 1, 4});
  for (int64_t i = 0; i < 3; i++)
    part[i] = tn_reshape(tn_slice(parts, 0, i, i + 1), TN_SHAPE(n, heads, t, d));
  tn_tensor *y = tn_attention(part[0], part[1], part[2], NULL, causal, scale);
  return tn_reshape(tn_permute(y, (const int32_t[]){0, 2, 1, 3}), TN_SHAPE(n, t, heads * d));
}

Test(attention, packed_rows_give_the_same_bits) {
  static const int64_t sizes[][4] = {
      {1, 1, 1, 1}, {2, 5, 3, 4}, {3, 64, 4, 32}, {2, 70, 2, 5}}; /* n, t, heads, d */
  for (int i = 0; i < 4; i++)
    for (int causal = 0; causal < 2; causal++) {
      const int64_t *s = sizes[i];
      tn_tensor *x = tn_leaf(tn_cast(nn_random(1, TN_SHAPE(s[0], s[1], 3 * s[2] * s[3])), TN_F32)), *dx, *dx2;
      tn_tensor *y = tn_self_attention(x, s[2], causal, 0), *y2 = by_parts(x, s[2], causal, 0);
      expect_close("output", y, y2, 0);
      tn_vjp(y, y, &x, 1, &dx, 0);
      tn_vjp(y2, y2, &x, 1, &dx2, 0);
      expect_close("derivative", dx, dx2, 0);
    }
}

static tn_tensor *apply_packed(const void *context, tn_tensor *const *in) {
  return tn_self_attention(in[0], 2, *(const bool *)context, 0.9);
}
Test(attention, packed_derivatives) {
  for (int causal = 0; causal < 2; causal++) {
    bool c = causal;
    tn_tensor *in[] = {nn_random(1, TN_SHAPE(2, 3, 12))};
    check_gradients("self_attention", apply_packed, &c, in, 1);
  }
}

static tn_tensor *everything(void) {
  tn_tensor *q = tn_leaf(tn_cast(nn_random(1, TN_SHAPE(4, 4, 64, 32)), TN_F32));
  tn_tensor *k = tn_leaf(tn_cast(nn_random(2, TN_SHAPE(4, 4, 64, 32)), TN_F32));
  tn_tensor *v = tn_leaf(tn_cast(nn_random(3, TN_SHAPE(4, 4, 64, 32)), TN_F32));
  tn_tensor *y = tn_attention(q, k, v, NULL, true, 0), *xs[] = {q, k, v}, *all[4];
  tn_vjp(y, y, xs, 3, all + 1, 0);
  all[0] = y;
  return tn_concatenate(all, 4, 0);
}
Test(attention, threads_do_not_matter) { nn_same_bits("attention", everything); }

Test(attention, what_does_not_fit_is_an_error) {
  tn_tensor *q = nn_random(1, TN_SHAPE(2, 3, 2)), *k = nn_random(2, TN_SHAPE(2, 4, 3));
  cr_assert(tn_poisoned(tn_attention(q, k, k, NULL, false, 0)));
  EXPECT_CONTAINS(first_error(), "attention: queries (2, 3, 2), keys (2, 4, 3)");
  cr_assert(tn_poisoned(tn_attention(q, q, q, nn_random(2, TN_SHAPE(3, 4)), false, 0)));
  EXPECT_CONTAINS(first_error(), "broadcast");
  cr_assert(tn_poisoned(tn_self_attention(nn_random(3, TN_SHAPE(2, 3, 8)), 2, false, 0)));
  EXPECT_CONTAINS(first_error(), "self_attention: (2, 3, 8)");
}
