// SPDX-License-Identifier: MIT
/* First and second derivatives of every operation against central differences in float64. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "support.h"

TestSuite(gradient, .init = engine_begin, .fini = engine_end);

typedef struct unary_case {
  const char *name;
  tn_unary_op op;
  double a, b, low, high;
} unary_case;
static tn_tensor *apply_unary(const void *context, tn_tensor *const *x) {
  const unary_case *c = context;
  return tn_sdk.tensor->unary(c->op, x[0], c->a, c->b);
}
Test(gradient, unary) {
  static const unary_case cases[] = {
      {"neg", TN_NEG, 0, 0, -2, 2},
      {"abs", TN_ABS, 0, 0, .1, 2},
      {"square", TN_SQUARE, 0, 0, -2, 2},
      {"sqrt", TN_SQRT, 0, 0, .3, 2},
      {"rsqrt", TN_RSQRT, 0, 0, .3, 2},
      {"reciprocal", TN_RECIPROCAL, 0, 0, .5, 2},
      {"exp", TN_EXP, 0, 0, -2, 2},
      {"expm1", TN_EXPM1, 0, 0, -2, 2},
      {"log", TN_LOG, 0, 0, .3, 2},
      {"log1p", TN_LOG1P, 0, 0, -.5, 2},
      {"sin", TN_SIN, 0, 0, -3, 3},
      {"cos", TN_COS, 0, 0, -3, 3},
      {"tan", TN_TAN, 0, 0, -1, 1},
      {"asin", TN_ASIN, 0, 0, -.8, .8},
      {"acos", TN_ACOS, 0, 0, -.8, .8},
      {"atan", TN_ATAN, 0, 0, -2, 2},
      {"sinh", TN_SINH, 0, 0, -2, 2},
      {"cosh", TN_COSH, 0, 0, -2, 2},
      {"tanh", TN_TANH, 0, 0, -2, 2},
      {"erf", TN_ERF, 0, 0, -2, 2},
      {"sigmoid", TN_SIGMOID, 0, 0, -3, 3},
      {"log_sigmoid", TN_LOG_SIGMOID, 0, 0, -3, 3},
      {"softplus", TN_SOFTPLUS, 0, 0, -3, 3},
      {"relu", TN_RELU, 0, 0, .1, 2},
      {"relu-", TN_RELU, 0, 0, -2, -.1},
      {"gelu", TN_GELU, 0, 0, -3, 3},
      {"gelu_tanh", TN_GELU_TANH, 0, 0, -3, 3},
      {"silu", TN_SILU, 0, 0, -3, 3},
      {"affine", TN_AFFINE, 3, -1, -2, 2},
      {"power 3", TN_POWER, 3, 0, -2, 2},
      {"power .7", TN_POWER, .7, 0, .3, 2},
      {"power 2", TN_POWER, 2, 0, -2, 2},
      {"power 0", TN_POWER, 0, 0, .3, 2},
      {"clamp in", TN_CLAMP, -2, 2, -1, 1},
      {"clamp out", TN_CLAMP, 3, 4, -1, 1},
      {"leaky_relu", TN_LEAKY_RELU, .2, 0, -2, -.1},
      {"leaky_relu+", TN_LEAKY_RELU, .2, 0, .1, 2},
      {"elu", TN_ELU, 1.5, 0, -2, -.1},
      {"elu+", TN_ELU, 1.5, 0, .1, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_tensor *x = random_tensor(i, TN_SHAPE(3, 5), cases[i].low, cases[i].high);
    check_gradients(cases[i].name, apply_unary, &cases[i], &x, 1);
    tn_tensor *empty = random_tensor(i, TN_SHAPE(0, 5), 1, 2);
    check_gradients(cases[i].name, apply_unary, &cases[i], &empty, 1);
  }
}

static tn_tensor *apply_binary(const void *context, tn_tensor *const *x) {
  return tn_sdk.tensor->binary(*(const tn_binary_op *)context, x[0], x[1]);
}
Test(gradient, binary_with_broadcasting) {
  static const tn_binary_op ops[] = {TN_ADD,     TN_SUB,     TN_MUL,   TN_DIV,      TN_POW,
                                     TN_MAXIMUM, TN_MINIMUM, TN_ATAN2, TN_LOGADDEXP};
  const tn_shape shapes[][2] = {{TN_SHAPE(3, 4), TN_SHAPE(3, 4)},
                                {TN_SHAPE(3, 4), TN_SHAPE(4)},
                                {TN_SHAPE(4), TN_SHAPE(3, 4)},
                                {TN_SHAPE(3, 1), TN_SHAPE(1, 4)},
                                {TN_SHAPE(2, 3, 4), TN_SHAPE(3, 1)},
                                {TN_SHAPE(2, 1, 4), TN_SHAPE(1, 3, 1)},
                                {{0, {0}}, TN_SHAPE(2, 2)},
                                {TN_SHAPE(0, 3), TN_SHAPE(3)},
                                {TN_SHAPE(2, 3, 2, 2), TN_SHAPE(1, 3, 1, 1)}};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
      char name[40];
      snprintf(name, sizeof name, "binary %d shapes %zu", ops[i], k);
      tn_tensor *x[2] = {random_tensor(2 * k, shapes[k][0], .5, 1.4),
                         random_tensor(2 * k + 1, shapes[k][1], 1.5, 2.5)};
      check_gradients(name, apply_binary, &ops[i], x, 2);
    }
}

static tn_tensor *same_twice(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_add(tn_mul(x[0], x[0]), tn_mul(x[0], tn_sub(x[0], x[0])));
}
Test(gradient, one_input_many_times) {
  tn_tensor *x = random_tensor(5, TN_SHAPE(3, 4), -1, 1);
  check_gradients("x x + x (x - x)", same_twice, NULL, &x, 1);
}

static tn_tensor *apply_where(const void *context, tn_tensor *const *x) {
  return tn_where((tn_tensor *)(uintptr_t)context, x[0], x[1]);
}
Test(gradient, where) {
  tn_tensor *condition = tn_gt(random_tensor(3, TN_SHAPE(3, 4), -1, 1), tn_scalar(TN_FLOAT, 0));
  const tn_shape shapes[][2] = {
      {TN_SHAPE(3, 4), TN_SHAPE(3, 4)}, {TN_SHAPE(3, 1), TN_SHAPE(4)}, {{0, {0}}, TN_SHAPE(2, 1, 1)}};
  for (int k = 0; k < 3; k++) {
    tn_tensor *x[2] = {random_tensor(1, shapes[k][0], -1, 1), random_tensor(2, shapes[k][1], -1, 1)};
    check_gradients("where", apply_where, condition, x, 2);
  }
}

typedef struct reduce_case {
  tn_reduce_op op;
  uint32_t axes;
  bool keep;
} reduce_case;
static tn_tensor *apply_reduce(const void *context, tn_tensor *const *x) {
  const reduce_case *c = context;
  return tn_sdk.tensor->reduce(c->op, x[0], c->axes, c->keep);
}
Test(gradient, reductions_over_all_sets_of_axes) {
  static const tn_reduce_op ops[] = {TN_SUM,  TN_MEAN, TN_REDUCE_MAX, TN_REDUCE_MIN,
                                     TN_PROD, TN_VAR,  TN_NORM,       TN_LOGSUMEXP};
  const tn_shape shapes[] = {TN_SHAPE(2, 3, 2, 3), TN_SHAPE(1, 3, 1, 2), {0, {0}}};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    for (int k = 0; k < 3; k++)
      for (uint32_t axes = 0; axes < 1u << shapes[k].ndim; axes++) {
        char name[60];
        snprintf(name, sizeof name, "reduce %d axes %x of shape %d", ops[i], axes, k);
        reduce_case c = {ops[i], axes, axes % 2};
        tn_tensor *x = random_tensor(i + 10, shapes[k], .5, 2);
        if (ops[i] == TN_REDUCE_MAX || ops[i] == TN_REDUCE_MIN) { // well apart from each other
          tn_rng rng = {.key = 9};
          int64_t n = tn_numel(x);
          tn_tensor *order = tn_empty(TN_I64, TN_SHAPE(n));
          tn_random_permutation(&rng, tn_i64(order), n);
          x = tn_reshape(tn_scale(tn_cast(order, TN_F64), .1), shapes[k]);
        }
        check_gradients(name, apply_reduce, &c, &x, 1);
      }
}
Test(gradient, reductions_of_nothing) {
  static const tn_reduce_op ops[] = {TN_SUM, TN_PROD, TN_NORM, TN_LOGSUMEXP};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    reduce_case c = {ops[i], 1, false};
    tn_tensor *x = random_tensor(1, TN_SHAPE(0, 0), 0, 1);
    check_gradients("reduce (0, 0)", apply_reduce, &c, &x, 1);
  }
}
static tn_tensor *product_at_zero(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *mask = tn_from(TN_F64, TN_SHAPE(4), (const double[]){0, 1, 0, 1});
  return tn_sdk.tensor->reduce(TN_PROD, tn_mul(x[0], mask), TN_ALL_AXES, false);
}
Test(gradient, product_is_right_at_zeros) {
  tn_tensor *x = random_tensor(4, TN_SHAPE(4), .5, 2);
  check_gradients("prod with zeros", product_at_zero, NULL, &x, 1);
}

static tn_tensor *apply_softmax(const void *context, tn_tensor *const *x) {
  return tn_softmax(x[0], *(const int32_t *)context);
}
static tn_tensor *apply_log_softmax(const void *context, tn_tensor *const *x) {
  return tn_log_softmax(x[0], *(const int32_t *)context);
}
Test(gradient, softmax) {
  for (int32_t axis = -1; axis < 2; axis++) {
    tn_tensor *x = random_tensor(6, TN_SHAPE(2, 4, 3), -2, 2);
    check_gradients("softmax", apply_softmax, &axis, &x, 1);
    check_gradients("log_softmax", apply_log_softmax, &axis, &x, 1);
  }
}

static tn_tensor *apply_reshape(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_square(tn_reshape(x[0], TN_SHAPE(2, -1, 2)));
}
static tn_tensor *apply_permute(const void *context, tn_tensor *const *x) {
  return tn_square(tn_permute(x[0], context));
}
static tn_tensor *apply_broadcast(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_square(tn_broadcast_to(x[0], TN_SHAPE(2, 3, 4)));
}
static tn_tensor *apply_concatenate(const void *context, tn_tensor *const *x) {
  return tn_square(tn_concatenate(x, 3, *(const int32_t *)context));
}
static tn_tensor *apply_slice(const void *context, tn_tensor *const *x) {
  const int64_t *c = context;
  return tn_square(tn_sdk.tensor->slice(x[0], (int32_t)c[0], c[1], c[2], c[3]));
}
static tn_tensor *two_slices(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_mul(tn_slice(x[0], 1, 0, 2), tn_mul(tn_slice(x[0], 1, 2, 4), tn_slice(x[0], 1, 1, 3)));
}
static tn_tensor *apply_index(const void *context, tn_tensor *const *x) {
  tn_tensor *index = tn_from(TN_I64, TN_SHAPE(5), (const int64_t[]){1, 0, 1, 1, 0});
  return tn_square(tn_index_select(x[0], *(const int32_t *)context, index));
}
Test(gradient, shapes) {
  tn_tensor *x = random_tensor(1, TN_SHAPE(2, 3, 4), -1, 1);
  check_gradients("reshape", apply_reshape, NULL, &x, 1);
  const int32_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (int i = 0; i < 6; i++) check_gradients("permute", apply_permute, orders[i], &x, 1);
  const tn_shape small[] = {TN_SHAPE(4), TN_SHAPE(3, 1), TN_SHAPE(2, 1, 1), TN_SHAPE(1, 3, 4), {0, {0}}};
  for (int i = 0; i < 5; i++) {
    tn_tensor *y = random_tensor(2, small[i], -1, 1);
    check_gradients("broadcast_to", apply_broadcast, NULL, &y, 1);
  }
  for (int32_t axis = 0; axis < 3; axis++) {
    tn_shape shapes[3] = {TN_SHAPE(2, 3, 4), TN_SHAPE(2, 3, 4), TN_SHAPE(2, 3, 4)};
    shapes[1].dim[axis] = 1;
    shapes[2].dim[axis] = 0;
    tn_tensor *xs[3] = {random_tensor(3, shapes[0], -1, 1), random_tensor(4, shapes[1], -1, 1),
                        random_tensor(5, shapes[2], -1, 1)};
    check_gradients("concatenate", apply_concatenate, &axis, xs, 3);
    int64_t slice[4] = {axis, 0, tn_dim(x, axis), 2};
    check_gradients("slice", apply_slice, slice, &x, 1);
    int64_t slice1[4] = {axis, 1, 2, 1};
    check_gradients("slice", apply_slice, slice1, &x, 1);
    check_gradients("index_select", apply_index, &axis, &x, 1);
  }
  tn_tensor *y = random_tensor(1, TN_SHAPE(3, 4, 2), -1, 1);
  check_gradients("slices", two_slices, NULL, &y, 1);
}

static tn_tensor *apply_matmul(const void *context, tn_tensor *const *x) {
  const int *flags = context;
  return tn_sdk.tensor->matmul(x[0], x[1], flags[0], flags[1]);
}
Test(gradient, matmul) {
  const int64_t batches[][2] = {{0, 0}, {2, 0}, {0, 2}, {2, 2}, {1, 3}, {3, 1}};
  for (int flags[2] = {0, 0}; flags[0] < 2; flags[0]++)
    for (flags[1] = 0; flags[1] < 2; flags[1]++)
      for (int k = 0; k < 6; k++)
        for (int64_t m = 0; m < 4; m += 3) {
          tn_shape sx = flags[0] ? TN_SHAPE(2, m) : TN_SHAPE(m, 2),
                   sy = flags[1] ? TN_SHAPE(4, 2) : TN_SHAPE(2, 4);
          if (batches[k][0]) sx = (tn_shape){3, {batches[k][0], sx.dim[0], sx.dim[1]}};
          if (batches[k][1]) sy = (tn_shape){3, {batches[k][1], sy.dim[0], sy.dim[1]}};
          tn_tensor *x[2] = {random_tensor(1, sx, -1, 1), random_tensor(2, sy, -1, 1)};
          check_gradients("matmul", apply_matmul, flags, x, 2);
        }
}
static tn_tensor *apply_linear(const void *context, tn_tensor *const *x) {
  return tn_linear(x[0], x[1], context ? x[2] : NULL);
}
Test(gradient, linear) {
  const tn_shape shapes[] = {TN_SHAPE(3), TN_SHAPE(2, 3), TN_SHAPE(2, 2, 3), TN_SHAPE(0, 3)};
  for (int i = 0; i < 4; i++) {
    tn_tensor *x[3] = {random_tensor(1, shapes[i], -1, 1), random_tensor(2, TN_SHAPE(4, 3), -1, 1),
                       random_tensor(3, TN_SHAPE(4), -1, 1)};
    check_gradients("linear with bias", apply_linear, x, x, 3);
    check_gradients("linear", apply_linear, NULL, x, 2);
  }
}

typedef struct entropy_case {
  tn_tensor *labels;
  double smoothing;
} entropy_case;
static tn_tensor *apply_entropy(const void *context, tn_tensor *const *x) {
  const entropy_case *c = context;
  return tn_cross_entropy(x[0], c->labels, c->smoothing);
}
static tn_tensor *apply_bce(const void *context, tn_tensor *const *x) {
  (void)context;
  return tn_bce_with_logits(x[0], x[1]);
}
Test(gradient, losses) {
  tn_tensor *x = random_tensor(1, TN_SHAPE(5, 4), -2, 2);
  entropy_case c = {tn_from(TN_I64, TN_SHAPE(5), (const int64_t[]){0, 3, -1, 2, 2}), 0};
  check_gradients("cross_entropy", apply_entropy, &c, &x, 1);
  c.smoothing = 0.1;
  check_gradients("cross_entropy smoothed", apply_entropy, &c, &x, 1);
  tn_tensor *xs[2] = {x, random_tensor(2, TN_SHAPE(5, 4), 0, 1)};
  check_gradients("bce_with_logits", apply_bce, NULL, xs, 2);
}

static tn_tensor *apply_cholesky(const void *context, tn_tensor *const *x) {
  (void)context; // x x^T + 3 is positive definite
  tn_tensor *eye = tn_from(TN_F64, TN_SHAPE(3, 3), (const double[]){3, 0, 0, 0, 3, 0, 0, 0, 3});
  return tn_cholesky(tn_add(tn_matmul_nt(x[0], x[0]), eye));
}
static tn_tensor *apply_solve(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *eye = tn_from(TN_F64, TN_SHAPE(3, 3), (const double[]){3, 0, 0, 0, 3, 0, 0, 0, 3});
  return tn_solve(tn_add(x[0], eye), x[1]);
}
Test(gradient, linear_algebra) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 3), -1, 1), random_tensor(2, TN_SHAPE(3, 2), -1, 1)};
  check_gradients("cholesky", apply_cholesky, NULL, x, 1);
  check_gradients("solve", apply_solve, NULL, x, 2);
}

static tn_tensor *checkpointed(void *context, tn_tensor *const *x) {
  (void)context;
  return tn_mul(tn_tanh(tn_matmul(x[0], x[1])), tn_exp(x[2]));
}
static tn_tensor *apply_checkpoint(const void *context, tn_tensor *const *x) {
  (void)context;
  tn_tensor *inner[3] = {x[0], tn_sin(x[0]), x[1]}; // one input made from another
  return tn_square(tn_checkpoint(checkpointed, NULL, inner, 3));
}
static void sine_backward(void *saved, tn_tensor *const *inputs, uint32_t count, tn_tensor *value,
                          tn_tensor *gradient, tn_tensor **gradients) {
  (void)saved, (void)count, (void)value;
  gradients[0] = tn_mul(gradient, tn_cos(inputs[0]));
  gradients[1] = gradient;
}
static tn_tensor *apply_custom(const void *context, tn_tensor *const *x) {
  static const tn_custom_op sine = {sizeof sine, "sine", sine_backward};
  (void)context;
  bool recording = tn_record(false);
  tn_tensor *value = tn_add(tn_sin(x[0]), x[1]);
  tn_record(recording);
  return tn_custom(&sine, NULL, value, x, 2);
}
Test(gradient, checkpoint_and_custom) {
  tn_tensor *x[2] = {random_tensor(1, TN_SHAPE(3, 3), -1, 1), random_tensor(2, TN_SHAPE(3, 3), -1, 1)};
  check_gradients("checkpoint", apply_checkpoint, NULL, x, 2);
  check_gradients("custom", apply_custom, NULL, x, 2);
}
