// SPDX-License-Identifier: MIT
/* Scopes, recycling, determinism, errors. */
#include <criterion/criterion.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

TestSuite(memory, .init = engine_begin, .fini = engine_end);

Test(memory, scopes_end_what_they_hold) {
  uint64_t before = tn_engine_measure(engine_here()).live_tensors;
  tn_scope_open();
  tn_tensor *x = tn_leaf(random_tensor(1, TN_SHAPE(4), -1, 1)), *y = tn_exp(x);
  tn_scope_open();
  tn_tensor *z = tn_keep(tn_mul(y, y)), *lost = tn_add(z, z);
  (void)lost;
  tn_scope_close();
  cr_expect(!tn_requires_gradient(z));
  cr_expect_float_eq(element(z, 0), exp(2 * element(x, 0)), 1e-12);
  tn_tensor *p = tn_persist(z);
  tn_scope_close();
  cr_expect_eq(tn_engine_measure(engine_here()).live_tensors, before + 1);
  tn_release(p);
  cr_expect_eq(tn_engine_measure(engine_here()).live_tensors, before);
}

/* A small training step; with `double_backward` through a gradient. */
static double train_step(tn_params *p, tn_params *g, tn_tensor *x, tn_tensor *labels, bool twice) {
  tn_scope_open();
  tn_fields *fields = tn_fields_new();
  tn_tensor *h = x;
  for (uint32_t i = 0; i + 1 < tn_params_count(p); i += 2)
    h = tn_gelu(tn_linear(h, tn_param_tensor(p, i), tn_param_tensor(p, i + 1)));
  tn_fields_set(fields, "logits", h);
  tn_tensor *loss = tn_mean(tn_cross_entropy(tn_field(fields, "logits"), labels, 0.1));
  if (twice) {
    tn_tensor *w = tn_param_tensor(p, 0), *gradient;
    tn_grad(loss, &w, 1, &gradient, TN_CREATE_GRAPH);
    loss = tn_add(loss, tn_sum(tn_square(gradient)));
  }
  double value = tn_item(loss);
  tn_grad_params(loss, p, g);
  tn_params_axpy(p, -.05, g);
  tn_scope_close();
  return value;
}

static tn_params *mlp(const int64_t *widths, int layers) {
  tn_declaration *d = tn_declaration_new();
  for (int i = 0; i < layers; i++) {
    char name[20];
    snprintf(name, sizeof name, "w%d", i);
    tn_declare(d, name, TN_SHAPE(widths[i + 1], widths[i]), TN_DECAY, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
    snprintf(name, sizeof name, "b%d", i);
    tn_declare(d, name, TN_SHAPE(widths[i + 1]), TN_NO_DECAY, tn_init_zeros());
  }
  tn_params *p = tn_params_create(d, "mlp");
  tn_declaration_free(d);
  return p;
}

Test(memory, a_steady_state_never_calls_malloc) {
  tn_params *p = mlp((int64_t[]){20, 64, 32, 10}, 3), *g = tn_params_like(p);
  tn_tensor *x = random_tensor(1, TN_SHAPE(32, 20), -1, 1), *labels = random_labels(2, 32, 10);
  for (int twice = 0; twice < 2; twice++) {
    for (int i = 0; i < 3; i++) train_step(p, g, x, labels, twice);
    uint64_t before = tn_engine_measure(engine_here()).mallocs;
    double first = train_step(p, g, x, labels, twice), last = first;
    for (int i = 0; i < 3000; i++) last = train_step(p, g, x, labels, twice);
    cr_expect_eq(tn_engine_measure(engine_here()).mallocs, before);
    cr_expect_lt(last, first);
  }
  tn_params_release(p);
  tn_params_release(g);
}

Test(memory, gradients_die_as_soon_as_they_are_consumed) {
  tn_scope_open();
  enum { N = 1 << 18, DEPTH = 10 };
  tn_tensor *x = tn_leaf(random_tensor(1, TN_SHAPE(N), -1, 1)), *y = x, *g;
  for (int i = 0; i < DEPTH; i++) y = tn_tanh(y);
  y = tn_sum(y);
  size_t forward = tn_engine_measure(engine_here()).bytes_in_use;
  tn_engine_reset_high(engine_here());
  tn_grad(y, &x, 1, &g, 0);
  size_t high = tn_engine_measure(engine_here()).bytes_high;
  cr_expect(high - forward < 3 * N * sizeof(double), "backward took %zu bytes, one gradient has %zu",
            high - forward, N * sizeof(double));
  tn_scope_close();
}

static void train_with(int threads, int64_t batch, double *losses, tn_params **result) {
  omp_set_num_threads(threads);
  tn_params *p = mlp((int64_t[]){300, 512, 256, 10}, 3), *g = tn_params_like(p);
  tn_tensor *x = random_tensor(1, TN_SHAPE(batch, 300), -1, 1), *labels = random_labels(2, batch, 10);
  for (int i = 0; i < 4; i++) losses[i] = train_step(p, g, x, labels, i % 2);
  tn_params_release(g);
  *result = p;
}
Test(memory, threads_do_not_change_a_bit) {
  double first[4], losses[4];
  tn_params *reference, *p;
  train_with(1, 700, first, &reference);
  for (int threads = 2; threads <= 4; threads *= 2) {
    train_with(threads, 700, losses, &p);
    cr_expect_eq(memcmp(first, losses, sizeof first), 0, "losses with %d threads", threads);
    for (uint32_t i = 0; i < tn_params_count(p); i++)
      cr_expect_eq(memcmp(tn_data(tn_param_tensor(p, i)), tn_data(tn_param_tensor(reference, i)),
                          (size_t)tn_numel(tn_param_tensor(p, i)) * 8),
                   0);
    tn_params_release(p);
  }
  tn_params_release(reference);
}

Test(memory, errors_name_the_operation_and_the_shapes) {
  tn_tensor *a = random_tensor(1, TN_SHAPE(32, 64), 0, 1), *b = random_tensor(2, TN_SHAPE(10, 64), 0, 1);
  tn_tensor *bad = tn_matmul(a, b);
  cr_expect(tn_poisoned(bad));
  cr_expect_str_eq(first_error(), "matmul: shapes (32, 64) and (10, 64) do not fit: 64 is not 10");
  cr_expect(tn_poisoned(tn_exp(tn_add(bad, a))));
  cr_expect_str_eq(first_error(), "");
  cr_expect(isnan(tn_item(bad)));
  tn_add(a, b);
  cr_expect_str_eq(first_error(), "add: shapes (32, 64) and (10, 64) do not broadcast");
  tn_sum_axis(a, 2);
  cr_expect_str_eq(first_error(), "sum: shape (32, 64) has no axis 2");
  tn_reshape(a, TN_SHAPE(5, -1));
  cr_expect_str_eq(first_error(), "reshape: shape (32, 64) does not become (5, -1)");
  tn_add(a, tn_scalar(TN_F32, 1));
  cr_expect_str_eq(first_error(), "add: dtypes float64 and float32 differ");
  tn_index_select(a, 0, tn_from(TN_I64, TN_SHAPE(1), (const int64_t[]){32}));
  cr_expect_str_eq(first_error(), "index_select: index 32 is not in 0 .. 31");
  tn_empty(TN_F32, TN_SHAPE(INT64_MAX, 4));
  cr_expect(strstr(first_error(), "too large"));
  tn_tensor *x = tn_leaf(a), *g;
  tn_grad(x, &x, 1, &g, 0);
  cr_expect(tn_poisoned(g));
  cr_expect_str_eq(first_error(), "grad: (32, 64) of float64 is not a scalar");
  tn_mean(tn_empty(TN_F64, TN_SHAPE(0)));
  cr_expect_str_eq(first_error(), "mean: nothing to reduce in (0,)");
  tn_field(tn_fields_new(), "logits");
  cr_expect_str_eq(first_error(), "there is no field 'logits'; there is none at all");
}

static void *other_thread(void *context) {
  tn_engine_enter(context);
  tn_scope_open();
  double total = 0;
  for (int i = 0; i < 200; i++) {
    tn_scope_open();
    tn_tensor *x = tn_leaf(random_tensor(3, TN_SHAPE(50), -1, 1)), *g;
    tn_grad(tn_sum(tn_square(tn_sin(x))), &x, 1, &g, 0);
    total += tn_item(tn_sum(g));
    tn_scope_close();
  }
  tn_scope_close();
  tn_engine_enter(NULL);
  double *result = malloc(sizeof *result);
  *result = total;
  return result;
}
Test(memory, threads_work_side_by_side) {
  pthread_t threads[3];
  double *results[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, other_thread, engine_here());
  for (int i = 0; i < 3; i++) pthread_join(threads[i], (void **)&results[i]);
  for (int i = 1; i < 3; i++) cr_expect_eq(*results[i], *results[0]);
  for (int i = 0; i < 3; i++) free(results[i]);
}

Test(memory, two_engines_live_in_one_process) {
  tn_engine *other = tn_engine_create(2, TN_F32), *former = tn_engine_enter(other);
  cr_expect_eq(former, engine_here());
  cr_expect_eq(tn_zeros(TN_FLOAT, TN_SHAPE(2))->dtype, TN_F32);
  tn_engine_enter(former);
  cr_expect_eq(tn_zeros(TN_FLOAT, TN_SHAPE(2))->dtype, TN_F64);
  tn_engine_destroy(other);
}

static void count_calls(void *context, const char *operation, double seconds, size_t bytes,
                        const tn_tensor *output) {
  (void)output;
  char *text = context;
  cr_expect(seconds >= 0 && bytes < 1000);
  strcat(strcat(text, operation), " ");
}
Test(memory, traces_name_operations) {
  char text[1000] = "";
  tn_tensor *x = tn_leaf(random_tensor(1, TN_SHAPE(3, 3), -1, 1)), *g;
  tn_engine_set_trace(engine_here(), count_calls, text);
  tn_grad(tn_sum(tn_tanh(tn_matmul(x, x))), &x, 1, &g, 0);
  tn_engine_set_trace(engine_here(), NULL, NULL);
  cr_expect_str_eq(text, "matmul tanh sum sum.backward tanh.backward matmul.backward ");
}

/* log 0 = -inf comes from finite numbers; what is computed from it does not count. */
Test(memory, the_trap_names_the_first_non_finite_number_and_only_that) {
  tn_tensor *x = tn_from(TN_F64, TN_SHAPE(3), (const double[]){1, 0, 2});
  tn_tensor *masked = tn_from(TN_F64, TN_SHAPE(3), (const double[]){1, -INFINITY, 2});
  tn_engine_set_trap(engine_here(), true);
  cr_expect_float_eq(element(tn_exp(masked), 1), 0, 0);
  cr_expect(!tn_poisoned(tn_add(masked, x)), "infinite operands may give what they like");
  cr_expect_str_eq(first_error(), "");
  cr_expect(tn_poisoned(tn_log(x)));
  tn_engine_set_trap(engine_here(), false);
  cr_expect_str_eq(first_error(), "log gives -inf at element 1 from finite operands (3,) -> (3,)");
}

/* sqrt is finite at 0, its derivative 1 / (2 sqrt x) is not. */
Test(memory, the_trap_sees_backward_steps) {
  tn_tensor *x = tn_leaf(tn_from(TN_F64, TN_SHAPE(2), (const double[]){4, 0})), *g;
  tn_engine_set_trap(engine_here(), true);
  tn_grad(tn_sum(tn_sqrt(x)), &x, 1, &g, 0);
  tn_engine_set_trap(engine_here(), false);
  cr_expect(tn_poisoned(g));
  cr_expect_str_eq(first_error(),
                   "sqrt.backward gives inf at element 1 from finite operands (2,), (2,) -> (2,)");
}

static int deleted;
static void delete_managed(tn_dl_managed *managed) {
  (void)managed;
  deleted++;
}
Test(memory, dlpack_shares_and_copies) {
  tn_tensor *x = random_tensor(1, TN_SHAPE(2, 3), 0, 1);
  tn_dl_managed *exported = tn_dl_export(x);
  cr_expect_eq(exported->dl_tensor.data, tn_data(x));
  cr_expect_eq(exported->dl_tensor.shape[1], 3);
  exported->deleter(exported);
  double data[6] = {0, 1, 2, 3, 4, 5};
  int64_t shape[2] = {3, 2}, strides[2] = {1, 3};
  tn_dl_managed managed = {{data, {1, 0}, 2, {2, 64, 1}, shape, strides, 0}, NULL, delete_managed};
  tn_tensor *transposed = tn_dl_import(&managed);
  cr_expect_eq(deleted, 1);
  cr_expect_eq(element(transposed, 1), 3);
  managed.dl_tensor.strides = NULL;
  tn_scope_open();
  cr_expect_eq(tn_data(tn_dl_import(&managed)), data);
  cr_expect_eq(deleted, 1);
  tn_scope_close();
  cr_expect_eq(deleted, 2);
  managed.dl_tensor.device.device_type = 2;
  cr_expect(tn_poisoned(tn_dl_import(&managed)));
  cr_expect(strstr(first_error(), "not in the CPU's memory"));
}
