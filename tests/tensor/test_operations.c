// SPDX-License-Identifier: MIT
/* Scans, order, selection, Einstein sums, segments, sparse products, distances: values by hand or by loops,
 * derivatives against central differences. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

TestSuite(operations, .init = engine_begin, .fini = engine_end);

static tn_tensor *vector(int64_t n, const double *values) { return tn_from(TN_F64, TN_SHAPE(n), values); }
static tn_tensor *whole(int64_t n, const int64_t *values) { return tn_from(TN_I64, TN_SHAPE(n), values); }

static tn_tensor *cumsum(const void *context, tn_tensor *const *x) {
  return tn_square(tn_cumsum(x[0], *(const int32_t *)context));
}
static tn_tensor *cumprod(const void *context, tn_tensor *const *x) {
  return tn_square(tn_cumprod(x[0], *(const int32_t *)context));
}
Test(operations, running_sums_and_products) {
  for (int32_t axis = 0; axis < 3; axis++) {
    tn_tensor *x = random_tensor(1, TN_SHAPE(2, 5, 3), -1, 1),
              *empty = random_tensor(1, TN_SHAPE(0, 5, 3), 0, 1);
    check_gradients("cumsum", cumsum, &axis, &x, 1);
    check_gradients("cumprod", cumprod, &axis, &x, 1);
    check_gradients("cumsum of nothing", cumsum, &axis, &empty, 1);
    check_gradients("cumprod of nothing", cumprod, &axis, &empty, 1);
  }
  tn_tensor *zeros = vector(4, (double[]){2, 0, 3, 0});
  int32_t axis = 0;
  check_gradients("cumprod at zeros", cumprod, &axis, &zeros, 1);
  expect_close("cumprod", tn_cumprod(zeros, 0), vector(4, (double[]){2, 0, 0, 0}), 0);
  expect_close("cumsum", tn_cumsum(whole(3, (int64_t[]){1, 2, 3}), 0), whole(3, (int64_t[]){1, 3, 6}), 0);
}

static tn_tensor *sorted(const void *context, tn_tensor *const *x) {
  tn_tensor *values;
  tn_sort(x[0], *(const int32_t *)context, true, &values, NULL);
  return tn_square(values);
}
static tn_tensor *largest(const void *context, tn_tensor *const *x) {
  tn_tensor *values;
  tn_top_k(x[0], 2, *(const int32_t *)context, true, &values, NULL);
  return tn_square(values);
}
Test(operations, sorting_is_stable_and_differentiable) {
  tn_tensor *values, *index, *x = vector(6, (double[]){3, 1, NAN, 3, 2, 1});
  tn_sort(x, 0, false, &values, &index);
  expect_close("values", values, vector(6, (double[]){1, 1, 2, 3, 3, NAN}), 0);
  expect_close("index", index, whole(6, (int64_t[]){1, 5, 4, 0, 3, 2}), 0);
  tn_top_k(x, 3, 0, true, &values, &index);
  expect_close("largest", values, vector(3, (double[]){3, 3, 2}), 0);
  expect_close("where", index, whole(3, (int64_t[]){0, 3, 4}), 0);
  expect_close("int64", tn_argsort(whole(3, (int64_t[]){INT64_MAX, INT64_MAX - 1, 5}), 0, false),
               whole(3, (int64_t[]){2, 1, 0}), 0);
  tn_tensor *apart = tn_mul(tn_reshape(tn_arange(TN_F64, 1, 1, 12), TN_SHAPE(3, 4)),
                            tn_sign(random_tensor(2, TN_SHAPE(3, 4), -1, 1)));
  for (int32_t axis = 0; axis < 2; axis++) {
    check_gradients("sort", sorted, &axis, &apart, 1);
    check_gradients("top_k", largest, &axis, &apart, 1);
  }
}
Test(operations, top_k_agrees_with_sorting) {
  tn_rng rng = {.key = 3};
  tn_tensor *x = tn_uniform(&rng, TN_F32, TN_SHAPE(7, 500), 0, 1);
  for (int64_t i = 0; i < 3500; i++) tn_f32(x)[i] = floorf(tn_f32(x)[i] * 50); // many ties
  for (int64_t k = 1; k <= 500; k = k * 3 + 1)
    for (int up = 0; up < 2; up++) {
      tn_tensor *values, *index, *all_values, *all;
      tn_top_k(x, k, 1, up, &values, &index);
      tn_sort(x, 1, up, &all_values, &all);
      expect_close("index", index, tn_slice(all, 1, 0, k), 0);
      expect_close("values", values, tn_slice(all_values, 1, 0, k), 0);
    }
}

static tn_tensor *index_of(int64_t rows, int64_t columns, const int64_t *values) {
  return tn_from(TN_I64, TN_SHAPE(rows, columns), values);
}
static tn_tensor *gather(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *rows = index_of(3, 2, (int64_t[]){0, 3, 3, 3, 1, 2}),
            *columns = index_of(2, 4, (int64_t[]){0, 2, 1, 1, 2, 2, 0, 1});
  return tn_square(tn_concatenate((tn_tensor *[]){tn_reshape(tn_gather(x[0], 1, rows), TN_SHAPE(-1)),
                                                  tn_reshape(tn_gather(x[0], 0, columns), TN_SHAPE(-1)),
                                                  tn_pick(x[0], whole(3, (int64_t[]){1, 1, 0}))},
                                  3, 0));
}
static tn_tensor *scatter(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *columns = index_of(3, 4, (int64_t[]){0, 2, 1, 1, 2, 2, 0, 1, 4, 4, 4, 4});
  return tn_mul(tn_square(tn_scatter_add(x[0], 0, columns, 5)),
                tn_square(tn_index_add(x[0], 0, whole(3, (int64_t[]){1, 4, 1}), 5)));
}
static tn_tensor *embedding(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_square(tn_embedding(x[0], index_of(2, 3, (int64_t[]){0, 2, 2, 1, 1, 2})));
}
static tn_tensor *selection(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *condition = tn_gt(vector(3, (double[]){1, -1, 2}), tn_scalar(TN_F64, 0));
  return tn_square(tn_select_rows(x[0], condition));
}
Test(operations, gather_scatter_select) {
  tn_tensor *x = random_tensor(1, TN_SHAPE(3, 4), -1, 1);
  check_gradients("gather", gather, NULL, &x, 1);
  check_gradients("scatter_add", scatter, NULL, &x, 1);
  check_gradients("embedding", embedding, NULL, &x, 1);
  check_gradients("selection", selection, NULL, &x, 1);
  cr_expect_eq(tn_dim(tn_embedding(x, index_of(2, 3, (int64_t[]){0, 2, 2, 1, 1, 2})), 2), 4);
}

static tn_tensor *stack(const void *context, tn_tensor *const *x) {
  return tn_square(tn_stack(x, 2, *(const int32_t *)context));
}
static tn_tensor *move(const void *context, tn_tensor *const *x) {
  int32_t axis = *(const int32_t *)context;
  return tn_mul(tn_flip(x[0], axis), tn_mul(tn_roll(x[0], axis, 1), tn_roll(x[0], axis, -5)));
}
static tn_tensor *pad(const void *context, tn_tensor *const *x) {
  const int32_t *c = context;
  return tn_square(tn_pad(c[0], x[0], c[1], 1, 2, .5));
}
static tn_tensor *matrices(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *d = tn_diagonal_matrix(tn_diagonal(x[0]));
  return tn_mul(tn_add(tn_lower_triangle(x[0], 0), d), tn_upper_triangle(tn_exp(x[0]), -1));
}
Test(operations, stack_flip_roll_pad_triangle) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 4), -1, 1), random_tensor(2, TN_SHAPE(3, 4), -1, 1)};
  for (int32_t axis = 0; axis < 3; axis++) check_gradients("stack", stack, &axis, x, 2);
  for (int32_t axis = 0; axis < 2; axis++) check_gradients("flip and roll", move, &axis, x, 1);
  for (int32_t c[2] = {0, 0}; c[0] < 4; c[0]++)
    for (c[1] = 0; c[1] < 2; c[1]++) check_gradients("pad", pad, c, x, 1);
  tn_tensor *v = vector(3, (double[]){1, 2, 3});
  expect_close("reflect", tn_pad(TN_PAD_REFLECT, v, 0, 2, 1, 0), vector(6, (double[]){3, 2, 1, 2, 3, 2}), 0);
  expect_close("replicate", tn_pad(TN_PAD_REPLICATE, v, 0, 2, 1, 0), vector(6, (double[]){1, 1, 1, 2, 3, 3}),
               0);
  expect_close("circular", tn_pad(TN_PAD_CIRCULAR, v, 0, 2, 1, 0), vector(6, (double[]){2, 3, 1, 2, 3, 1}),
               0);
  expect_close("roll", tn_roll(v, 0, 1), vector(3, (double[]){3, 1, 2}), 0);
  tn_tensor *m = random_tensor(3, TN_SHAPE(2, 3, 3), -1, 1);
  check_gradients("triangles and diagonals", matrices, NULL, &m, 1);
}

typedef struct sum_case {
  const char *equation;
  uint32_t count;
  tn_shape shapes[3];
} sum_case;
static tn_tensor *einsum(const void *context, tn_tensor *const *x) {
  const sum_case *c = context;
  return tn_einsum(c->equation, x, c->count);
}
/* The definition: loops over all letters. */
static double einsum_element(const sum_case *c, tn_tensor *const *x, const int64_t *length, int64_t *at,
                             int letter) {
  while (letter < 26 && length[letter] < 0) letter++;
  if (letter == 26) {
    double product = 1;
    const char *axes = c->equation;
    for (uint32_t k = 0; k < c->count; k++, axes++) {
      int64_t offset = 0;
      for (int i = 0; *axes >= 'a' && *axes <= 'z'; axes++, i++)
        offset = offset * tn_dim(x[k], i) + at[*axes - 'a'];
      product *= element(x[k], offset);
    }
    return product;
  }
  double sum = 0;
  for (at[letter] = 0; at[letter] < length[letter]; at[letter]++)
    sum += einsum_element(c, x, length, at, letter + 1);
  return sum;
}
Test(operations, einstein_sums) {
  static const sum_case cases[] = {{"ij,jk->ik", 2, {{2, {2, 3}}, {2, {3, 4}}}},
                                   {"ij,kj->ki", 2, {{2, {2, 3}}, {2, {4, 3}}}},
                                   {"bij,bjk->bik", 2, {{3, {2, 2, 3}}, {3, {2, 3, 2}}}},
                                   {"i,j->ij", 2, {{1, {3}}, {1, {2}}}},
                                   {"i,i->", 2, {{1, {3}}, {1, {3}}}},
                                   {"ij->ji", 1, {{2, {2, 3}}}},
                                   {"ijk->j", 1, {{3, {2, 3, 2}}}},
                                   {"ni,oij,nj->no", 3, {{2, {2, 3}}, {3, {2, 3, 2}}, {2, {2, 2}}}},
                                   {"ij,ij->ij", 2, {{2, {2, 3}}, {2, {2, 3}}}},
                                   {"bhid,bhjd->bhij", 2, {{4, {2, 2, 2, 3}}, {4, {2, 2, 3, 3}}}},
                                   {"ij,kl->", 2, {{2, {2, 3}}, {2, {2, 2}}}},
                                   {"ab,bc,cd->da", 3, {{2, {2, 3}}, {2, {3, 2}}, {2, {2, 2}}}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_tensor *x[3];
    for (uint32_t k = 0; k < cases[i].count; k++) x[k] = random_tensor(k, cases[i].shapes[k], -1, 1);
    check_gradients(cases[i].equation, einsum, &cases[i], x, cases[i].count);
    int64_t length[26], at[26] = {0};
    for (int l = 0; l < 26; l++) length[l] = -1;
    const char *axes = cases[i].equation;
    for (uint32_t k = 0; k < cases[i].count; k++, axes++)
      for (int d = 0; *axes >= 'a' && *axes <= 'z'; axes++, d++) length[*axes - 'a'] = tn_dim(x[k], d);
    tn_tensor *y = einsum(&cases[i], x);
    const char *result = strstr(cases[i].equation, "->") + 2;
    for (int64_t e = 0; e < tn_numel(y); e++) {
      int64_t fixed[26], rest = e;
      memcpy(fixed, length, sizeof fixed);
      for (int d = (int)strlen(result); d-- > 0;) {
        at[result[d] - 'a'] = rest % tn_dim(y, d);
        rest /= tn_dim(y, d);
        fixed[result[d] - 'a'] = -1;
      }
      cr_expect_float_eq(element(y, e), einsum_element(&cases[i], x, fixed, at, 0), 1e-12, "%s element %lld",
                         cases[i].equation, (long long)e);
    }
  }
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(2, 3), 0, 1), random_tensor(1, TN_SHAPE(2, 3), 0, 1)};
  cr_expect(tn_poisoned(tn_einsum("ij,jk->ik", x, 2)));
  cr_expect_str_eq(first_error(), "einsum: 'j' of 'ij,jk->ik' is 3 and 2");
  const char *const bad[] = {"ij,jk", "ii,jk->i", "ij->ij", "ij,kl->x", "ij,kl->i,j", "i1,jk->i"};
  for (int i = 0; i < 6; i++) {
    cr_expect(tn_poisoned(tn_einsum(bad[i], x, 2)), "%s", bad[i]);
    first_error();
  }
}

typedef struct segment_case {
  tn_reduce_op op;
  bool softmax;
} segment_case;
static tn_tensor *segment(const void *context, tn_tensor *const *x) {
  const segment_case *c = context;
  tn_tensor *ids = whole(6, (int64_t[]){0, 2, 0, 3, 2, 0});
  if (c->softmax) return tn_segment_softmax(x[0], ids, 4);
  tn_tensor *y = tn_segment(c->op, x[0], ids, 4);
  return c->op == TN_LOGSUMEXP ? tn_index_select(y, 0, whole(3, (int64_t[]){0, 2, 3})) : y;
}
Test(operations, segments) {
  static const segment_case cases[] = {{TN_SUM, false},        {TN_MEAN, false},      {TN_REDUCE_MAX, false},
                                       {TN_REDUCE_MIN, false}, {TN_LOGSUMEXP, false}, {0, true}};
  for (int i = 0; i < 6; i++) {
    tn_tensor *x = tn_mul(tn_reshape(tn_arange(TN_F64, .1, .1, 12), TN_SHAPE(6, 2)),
                          tn_sign(random_tensor(2, TN_SHAPE(6, 2), -1, 1)));
    tn_tensor *flat = random_tensor(3, TN_SHAPE(6), -1, 1);
    check_gradients("segment", segment, &cases[i], &x, 1);
    check_gradients("segment", segment, &cases[i], &flat, 1);
  }
  tn_tensor *x = vector(6, (double[]){1, 5, 2, -7, 6, 3}), *ids = whole(6, (int64_t[]){0, 2, 0, 3, 2, 0});
  expect_close("mean", tn_segment(TN_MEAN, x, ids, 4), vector(4, (double[]){2, 0, 5.5, -7}), 1e-12);
  expect_close("max", tn_segment(TN_REDUCE_MAX, x, ids, 4), vector(4, (double[]){3, 0, 6, -7}), 0);
}

static tn_tensor *sparse(const void *context, tn_tensor *const *x) {
  tn_tensor *offsets = whole(4, (int64_t[]){0, 2, 2, 5}), *columns = whole(5, (int64_t[]){1, 3, 0, 1, 1});
  return tn_square(tn_sparse_matmul(offsets, columns, context ? x[1] : NULL, x[0]));
}
Test(operations, sparse_products) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(4, 3), -1, 1), random_tensor(2, TN_SHAPE(5), -1, 1)};
  check_gradients("sparse with values", sparse, x, x, 2);
  check_gradients("sparse of ones", sparse, NULL, x, 1);
  tn_sparse_matmul(whole(3, (int64_t[]){0, 2, 1}), whole(1, (int64_t[]){0}), NULL, x[0]);
  cr_expect(strstr(first_error(), "are not a product"));
}

static tn_tensor *distances(const void *context, tn_tensor *const *x) {
  return tn_distances(*(const tn_distance_op *)context, x[0], x[1]);
}
Test(operations, distances) {
  for (tn_distance_op op = 0; op <= TN_MANHATTAN; op++) {
    tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 4), -1, 1), random_tensor(2, TN_SHAPE(2, 4), 1.5, 2)};
    check_gradients("distances", distances, &op, x, 2);
  }
  tn_tensor *x = tn_leaf(random_tensor(1, TN_SHAPE(2, 3), -1, 1)), *g;
  tn_grad(tn_sum(tn_distances(TN_EUCLIDEAN, x, x)), &x, 1, &g, 0); // on the diagonal the distance is 0
  cr_expect(isfinite(element(g, 0)));
}
Test(operations, nearest_neighbours_agree_with_all_distances) {
  static const tn_distance_op ops[] = {TN_SQUARED_EUCLIDEAN, TN_EUCLIDEAN, TN_COSINE, TN_INNER_PRODUCT};
  tn_tensor *q = random_tensor(1, TN_SHAPE(200, 5), -1, 1),
            *keys = random_tensor(2, TN_SHAPE(2500, 5), -1, 1);
  for (int i = 0; i < 4; i++) {
    tn_tensor *values, *index, *expected, *expected_index;
    tn_nearest_neighbours(ops[i], q, keys, 7, &values, &index);
    tn_top_k(tn_distances(ops[i], q, keys), 7, 1, i >= 2, &expected, &expected_index);
    expect_close("values", values, expected, 1e-6);
    expect_close("index", index, expected_index, 0);
  }
}

static tn_tensor *divergence(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_kl_divergence(x[0], x[1]);
}
Test(operations, kl_divergence) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 4), -1, 1), random_tensor(2, TN_SHAPE(3, 4), -1, 1)};
  check_gradients("KL", divergence, NULL, x, 2);
  cr_expect_float_eq(element(tn_kl_divergence(x[0], x[0]), 1), 0, 1e-12);
}

static tn_tensor *mixed(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_square(tn_weighted_sum(x, x[3], 3));
}
static tn_tensor *mixed_many(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_weighted_sum(x, x[5], 5);
}
Test(operations, weighted_sums) {
  const tn_shape shapes[] = {TN_SHAPE(2, 3), TN_SHAPE(0, 2), {0, {0}}};
  for (int i = 0; i < 3; i++) {
    tn_tensor *x[6];
    for (int k = 0; k < 6; k++) x[k] = random_tensor((uint64_t)k, shapes[i], -1, 1);
    x[3] = random_tensor(9, TN_SHAPE(3), -1, 1);
    check_gradients("weighted_sum", mixed, NULL, x, 4);
    x[3] = random_tensor(3, shapes[i], -1, 1);
    x[5] = random_tensor(9, TN_SHAPE(5), -1, 1);
    check_gradients("weighted_sum of many", mixed_many, NULL, x, 6);
  }
  tn_tensor *x = random_tensor(1, TN_SHAPE(2), 0, 1);
  cr_expect(tn_poisoned(tn_weighted_sum(&x, x, 1)));
  cr_expect_str_eq(first_error(), "weighted_sum: weights (2,) of float64 for 1 tensors");
}
