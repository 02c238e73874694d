// SPDX-License-Identifier: MIT
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host has one of its own when it is linked too. */
__attribute__((weak)) tn_sdk_tables tn_sdk;

static char error_text[1000];
static bool error_set;

static tn_status fail(tn_status status, const char *format, va_list arguments) {
  if (!error_set) vsnprintf(error_text, sizeof error_text, format, arguments);
  error_set = true;
  return status;
}
static void message(int32_t level, const char *format, va_list arguments) {
  (void)level, (void)format, (void)arguments;
}
static bool failed(void) { return error_set; }
static void *allocate(size_t bytes) { return calloc(1, bytes ? bytes : 1); }
static void *resize(void *memory, size_t bytes) { return realloc(memory, bytes ? bytes : 1); }
static const tn_log_service log_table = {.size = sizeof log_table,
                                         .fail = fail,
                                         .message = message,
                                         .failed = failed,
                                         .allocate = allocate,
                                         .resize = resize,
                                         .release = free};

const char *first_error(void) {
  static char text[1000];
  strcpy(text, error_set ? error_text : "");
  error_set = false;
  return text;
}

static tn_engine *engine;

void engine_begin_with(uint64_t seed, tn_dtype precision) {
  tn_sdk.log = &log_table;
  tn_sdk.tensor = &tn_tensor_table;
  tn_sdk.autograd = &tn_autograd_table;
  tn_sdk.params = &tn_params_table;
  tn_sdk.random = &tn_random_table;
  tn_sdk.linalg = &tn_linalg_table;
  tn_sdk.data = &tn_data_table;
  error_set = false;
  engine = tn_engine_create(seed, precision);
  cr_assert_not_null(engine);
  tn_engine_enter(engine);
  tn_scope_open();
}
void engine_begin(void) { engine_begin_with(1, TN_F64); }

void engine_end(void) {
  tn_scope_close();
  tn_engine_statistics s = tn_engine_measure(engine);
  cr_expect_eq(s.open_scopes, 0, "%llu scopes are open", (unsigned long long)s.open_scopes);
  cr_expect_eq(s.live_tensors, 0, "%llu handles are left", (unsigned long long)s.live_tensors);
  cr_expect_eq(s.bytes_in_use, 0, "%zu bytes are left", s.bytes_in_use);
  cr_expect(!error_set, "an unexpected error: %s", error_text);
  tn_engine_enter(NULL);
  tn_engine_destroy(engine);
}

tn_engine *engine_here(void) { return engine; }

tn_tensor *random_tensor(uint64_t seed, tn_shape shape, double low, double high) {
  tn_rng rng = {.key = 12345, .step = seed};
  return tn_uniform(&rng, TN_FLOAT, shape, low, high);
}

tn_tensor *random_labels(uint64_t seed, int64_t n, int64_t classes) {
  tn_rng rng = {.key = 54321, .step = seed};
  tn_tensor *labels = tn_empty(TN_I64, TN_SHAPE(n));
  for (int64_t i = 0; i < n; i++) tn_i64(labels)[i] = (int64_t)tn_random_below(&rng, (uint64_t)classes);
  return labels;
}

double element(const tn_tensor *t, int64_t i) {
  switch (t->dtype) {
  case TN_F32: return (double)((const float *)t->dl.data)[i];
  case TN_F64: return ((const double *)t->dl.data)[i];
  case TN_I64: return (double)((const int64_t *)t->dl.data)[i];
  case TN_I32: return (double)((const int32_t *)t->dl.data)[i];
  default: return ((const uint8_t *)t->dl.data)[i];
  }
}

void expect_close(const char *name, const tn_tensor *a, const tn_tensor *b, double tolerance) {
  cr_assert(!tn_poisoned(a) && !tn_poisoned(b), "%s: poisoned: %s", name, error_text);
  cr_assert_eq(tn_ndim(a), tn_ndim(b), "%s: ranks %d and %d", name, tn_ndim(a), tn_ndim(b));
  for (int32_t i = 0; i < tn_ndim(a); i++)
    cr_assert_eq(tn_dim(a, i), tn_dim(b, i), "%s: axis %d is %lld, not %lld", name, i,
                 (long long)tn_dim(a, i), (long long)tn_dim(b, i));
  for (int64_t i = 0; i < tn_numel(a); i++) {
    double x = element(a, i), y = element(b, i);
    if (x == y || (isnan(x) && isnan(y))) continue;
    if (!(fabs(x - y) <= tolerance * (1 + fabs(y)))) {
      cr_expect(false, "%s: element %lld is %.10g, expected %.10g", name, (long long)i, x, y);
      return;
    }
  }
}

enum { MAX_INPUTS = 8 };
typedef struct check {
  test_function f;
  const void *context;
  tn_tensor *const *inputs;
  uint32_t count;
  tn_tensor *weight;                /* of the projection to a scalar */
  tn_tensor *direction[MAX_INPUTS]; /* for second derivatives; NULL: first */
} check;

static tn_tensor *project(tn_tensor *y, tn_tensor *weight) { return tn_sum(tn_mul(y, weight)); }

/* The scalar under test: sum(w f), or the sum of its gradients times directions. */
static tn_tensor *objective(const check *c, tn_tensor *const *xs, bool second) {
  tn_tensor *value = project(c->f(c->context, xs), c->weight), *gradients[MAX_INPUTS];
  if (!second) return value;
  tn_grad(value, xs, c->count, gradients, TN_CREATE_GRAPH);
  tn_tensor *total = tn_scalar(TN_FLOAT, 0);
  for (uint32_t i = 0; i < c->count; i++)
    total = tn_add(total, tn_sum(tn_mul(gradients[i], c->direction[i])));
  return total;
}

static void leaves_of(const check *c, tn_tensor **xs) {
  for (uint32_t i = 0; i < c->count; i++) xs[i] = tn_leaf(c->inputs[i]);
}

static double objective_at(const check *c, bool second) {
  tn_tensor *xs[MAX_INPUTS];
  tn_scope_open();
  leaves_of(c, xs);
  double value = tn_item(objective(c, xs, second));
  tn_scope_close();
  return value;
}

/* d/dx by central differences, five points: error O(h^4) */
static double central(const check *c, double *x, bool second) {
  const double h = 1e-3;
  double at = *x, f[4];
  const double steps[4] = {-2, -1, 1, 2};
  for (int i = 0; i < 4; i++) {
    *x = at + steps[i] * h;
    f[i] = objective_at(c, second);
  }
  *x = at;
  return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
}

static void compare(const char *name, const check *c, bool second, uint32_t flags) {
  tn_tensor *xs[MAX_INPUTS], *gradients[MAX_INPUTS];
  tn_scope_open();
  leaves_of(c, xs);
  tn_grad(objective(c, xs, second), xs, c->count, gradients, flags);
  for (uint32_t i = 0; i < c->count; i++) {
    cr_assert(!tn_poisoned(gradients[i]), "%s: gradient %u is poisoned: %s", name, i, error_text);
    int64_t n = tn_numel(c->inputs[i]), step = n > 24 ? n / 24 : 1;
    for (int64_t k = 0; k < n; k += step) {
      double expected = central(c, tn_f64(c->inputs[i]) + k, second), got = tn_f64(gradients[i])[k];
      if (!(fabs(expected - got) <= 2e-6 * (1 + fabs(expected)))) {
        cr_expect(false, "%s: %s derivative%s by input %u element %lld: %.10g, expected %.10g", name,
                  second ? "second" : "first", flags ? " (recorded)" : "", i, (long long)k, got, expected);
        break;
      }
    }
  }
  tn_scope_close();
}

static void run_check(const char *name, test_function f, const void *context, tn_tensor *const *inputs,
                      uint32_t count, bool both) {
  check c = {.f = f, .context = context, .inputs = inputs, .count = count};
  tn_scope_open();
  tn_tensor *y = f(context, inputs);
  cr_assert(!tn_poisoned(y), "%s: poisoned: %s", name, error_text);
  c.weight = random_tensor(77, tn_shape_of(y), -1, 1);
  for (uint32_t i = 0; i < count; i++) c.direction[i] = random_tensor(88 + i, tn_shape_of(inputs[i]), -1, 1);
  compare(name, &c, false, 0);
  compare(name, &c, false, TN_CREATE_GRAPH);
  if (both) compare(name, &c, true, 0);
  tn_scope_close();
}

void check_gradients(const char *name, test_function f, const void *context, tn_tensor *const *inputs,
                     uint32_t count) {
  run_check(name, f, context, inputs, count, true);
}
void check_first_gradients(const char *name, test_function f, const void *context, tn_tensor *const *inputs,
                           uint32_t count) {
  run_check(name, f, context, inputs, count, false);
}
