// SPDX-License-Identifier: MIT
/* Parameter sets: layout, initialisers, arithmetic, gradients into flat memory, files. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/tensor/safetensors.h"
#include "support.h"

TestSuite(params, .init = engine_begin, .fini = engine_end);

static tn_params *small_set(const char *component) {
  tn_declaration *d = tn_declaration_new();
  tn_declare(d, "bias", TN_SHAPE(3), TN_NO_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  tn_declare(d, "weight", TN_SHAPE(3, 5), TN_DECAY, tn_init_of(TN_INIT_XAVIER_NORMAL, 1));
  tn_declare(d, "running", TN_SHAPE(3), TN_BUFFER, tn_init_ones());
  tn_declare(d, "prototype", TN_SHAPE(2, 2), TN_FIXED, tn_init_of(TN_INIT_IDENTITY, 2));
  tn_declare(d, "scale", (tn_shape){0, {0}}, TN_NO_DECAY, tn_init_ones());
  cr_assert(!tn_declaration_failed(d));
  tn_params *params = tn_params_create(d, component);
  tn_declaration_free(d);
  cr_assert_not_null(params);
  return params;
}

Test(params, entries_keep_their_index_and_groups_are_runs) {
  tn_params *p = small_set("a");
  cr_expect_eq(tn_params_count(p), 5);
  cr_expect_eq(tn_params_numel(p), 3 + 15 + 1);
  tn_param_entry entry;
  cr_assert_eq(tn_params_entry(p, 1, &entry), TN_OK);
  cr_expect_str_eq(entry.name, "weight");
  cr_expect(tn_requires_gradient(entry.tensor));
  cr_expect(!tn_requires_gradient(tn_param_tensor(p, 2)) && !tn_requires_gradient(tn_param_tensor(p, 3)));
  for (uint32_t i = 0; i < 5; i++) cr_expect_eq((uintptr_t)tn_data(tn_param_tensor(p, i)) % 64, 0);
  cr_expect(tn_data(tn_param_tensor(p, 1)) < tn_data(tn_param_tensor(p, 0)), "the decayed group comes first");
  cr_expect_eq(element(tn_param_tensor(p, 3), 0), 2);
  cr_expect_eq(element(tn_param_tensor(p, 3), 1), 0);
  tn_params *g = tn_params_like(p);
  cr_expect_null(tn_param_tensor(g, 2));
  cr_expect_eq(element(tn_param_tensor(g, 1), 4), 0);
  tn_params_release(g);
  tn_params_release(p);
}

Test(params, initial_values_depend_on_names_not_on_order) {
  tn_declaration *d = tn_declaration_new();
  tn_declare(d, "weight", TN_SHAPE(3, 5), TN_DECAY, tn_init_of(TN_INIT_XAVIER_NORMAL, 1));
  tn_params *alone = tn_params_create(d, "a"), *other = tn_params_create(d, "b"), *p = small_set("a");
  expect_close("weight", tn_param_tensor(alone, 0), tn_param_tensor(p, 1), 0);
  cr_expect_neq(element(tn_param_tensor(other, 0), 0), element(tn_param_tensor(p, 1), 0));
  tn_declaration_free(d);
  tn_params_release(alone);
  tn_params_release(other);
  tn_params_release(p);
}

Test(params, initialisers_have_their_laws) {
  const struct {
    tn_init_kind kind;
    double a, deviation, bound;
  } cases[] = {{TN_INIT_NORMAL, .5, .5, 9},
               {TN_INIT_UNIFORM, .5, .5 / sqrt(3), .5},
               {TN_INIT_TRUNCATED, 1, .8796, 2},
               {TN_INIT_XAVIER_UNIFORM, 1, sqrt(2. / 1500), sqrt(6. / 1500)},
               {TN_INIT_XAVIER_NORMAL, 1, sqrt(2. / 1500), 9},
               {TN_INIT_HE_UNIFORM, sqrt(2), sqrt(2. / 500), sqrt(6. / 500)},
               {TN_INIT_HE_NORMAL, sqrt(2), sqrt(2. / 500), 9},
               {TN_INIT_HE_NORMAL_OUT, sqrt(2), sqrt(2. / 1000), 9},
               {TN_INIT_LECUN_UNIFORM, 1, sqrt(1. / 1500), sqrt(1. / 500)},
               {TN_INIT_LECUN_NORMAL, 1, sqrt(1. / 500), 9}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tn_declaration *d = tn_declaration_new();
    tn_declare(d, "w", TN_SHAPE(250, 125, 2, 2), TN_DECAY, tn_init_of(cases[i].kind, cases[i].a));
    tn_params *p = tn_params_create(d, "init");
    tn_tensor *w = tn_param_tensor(p, 0);
    double sum = 0, square = 0, top = 0, n = (double)tn_numel(w);
    for (int64_t k = 0; k < tn_numel(w); k++) {
      double v = element(w, k);
      sum += v;
      square += v * v;
      top = fmax(top, fabs(v));
    }
    cr_expect_float_eq(sqrt(square / n), cases[i].deviation, .01 * cases[i].deviation,
                       "kind %d: deviation %g, expected %g", cases[i].kind, sqrt(square / n),
                       cases[i].deviation);
    cr_expect(fabs(sum / n) < .02 * cases[i].deviation);
    cr_expect(top <= cases[i].bound);
    tn_params_release(p);
    tn_declaration_free(d);
  }
}

Test(params, orthogonal_rows_are_orthonormal) {
  const tn_shape shapes[] = {TN_SHAPE(4, 7), TN_SHAPE(7, 4), TN_SHAPE(5, 5)};
  for (int i = 0; i < 3; i++) {
    tn_declaration *d = tn_declaration_new();
    tn_declare(d, "w", shapes[i], TN_DECAY, tn_init_of(TN_INIT_ORTHOGONAL, 3));
    tn_params *p = tn_params_create(d, "init");
    tn_tensor *w = tn_param_tensor(p, 0), *square = i == 1 ? tn_matmul_tn(w, w) : tn_matmul_nt(w, w);
    int64_t n = tn_dim(square, 0);
    for (int64_t k = 0; k < n * n; k++) cr_expect_float_eq(element(square, k), k / n == k % n ? 9 : 0, 1e-9);
    tn_params_release(p);
    tn_declaration_free(d);
  }
}

Test(params, arithmetic_touches_the_trained_entries_only) {
  tn_params *x = small_set("x"), *y = tn_params_clone(x), *g = tn_params_like(x);
  cr_expect_eq(tn_params_fill(g, 2), TN_OK);
  cr_expect_float_eq(tn_params_dot(g, g), 4 * 19, 1e-12);
  cr_expect_float_eq(tn_params_norm(g), sqrt(76), 1e-12);
  tn_params_axpy(y, .5, g); // y = x + 1
  cr_expect_float_eq(element(tn_param_tensor(y, 1), 7), element(tn_param_tensor(x, 1), 7) + 1, 1e-12);
  cr_expect_float_eq(element(tn_param_tensor(y, 2), 0), 1, 0);
  tn_params_lerp(y, x, .25);
  cr_expect_float_eq(element(tn_param_tensor(y, 0), 1), element(tn_param_tensor(x, 0), 1) + .75, 1e-12);
  tn_params_scale(g, .5);
  tn_params_multiply(g, y);
  cr_expect_float_eq(element(tn_param_tensor(g, 4), 0), 1.75, 1e-12);
  tn_params_copy(y, x);
  expect_close("copy", tn_param_tensor(y, 1), tn_param_tensor(x, 1), 0);
  tn_params_release(x);
  tn_params_release(y);
  tn_params_release(g);
}

typedef struct sgd {
  double lr;
} sgd;
TN_FUSED(sgd_kernel, {
  const sgd *s = self;
  real *p = run->data[0], *g = run->data[1];
  for (int64_t i = 0; i < run->count; i++)
    p[i] -= (real)s->lr * g[i] + (real)(run->group == TN_DECAY ? .1 : 0);
})
Test(params, each_passes_over_groups) {
  tn_params *x = small_set("x"), *y = tn_params_clone(x), *g = tn_params_like(x);
  tn_params_fill(g, 1);
  sgd s = {.5};
  tn_params *sets[2] = {y, g};
  cr_assert_eq(tn_params_each(&sgd_kernel, &s, NULL, sets, 2), TN_OK);
  cr_expect_float_eq(element(tn_param_tensor(y, 1), 3), element(tn_param_tensor(x, 1), 3) - .6, 1e-12);
  cr_expect_float_eq(element(tn_param_tensor(y, 0), 2), element(tn_param_tensor(x, 0), 2) - .5, 1e-12);
  cr_expect_eq(element(tn_param_tensor(y, 2), 2), 1);
  tn_params_release(x);
  tn_params_release(y);
  tn_params_release(g);
}

static tn_tensor *loss_of(const tn_params *p, tn_tensor *x) {
  tn_tensor *h = tn_tanh(tn_linear(x, tn_param_tensor(p, 1), tn_param_tensor(p, 0)));
  return tn_sum(tn_mul(tn_square(h), tn_param_tensor(p, 4)));
}
Test(params, gradients_land_in_flat_memory) {
  tn_params *p = small_set("x"), *g = tn_params_like(p), *joined = tn_params_join(&p, 1);
  tn_tensor *x = random_tensor(1, TN_SHAPE(6, 5), -1, 1), *xs[3], *gradients[3];
  tn_params_fill(g, 9); // stale values must go
  cr_assert_eq(tn_grad_params(loss_of(p, x), p, g), TN_OK);
  const uint32_t trained[3] = {0, 1, 4};
  for (int i = 0; i < 3; i++) xs[i] = tn_param_tensor(p, trained[i]);
  tn_grad(loss_of(p, x), xs, 3, gradients, 0);
  for (int i = 0; i < 3; i++) expect_close("gradient", tn_param_tensor(g, trained[i]), gradients[i], 1e-12);
  // twice the same weight, and a scalar that does not occur
  tn_tensor *w = tn_param_tensor(p, 1);
  cr_assert_eq(
      tn_grad_params(tn_sum(tn_add(tn_linear(x, w, NULL), tn_linear(tn_scale(x, 2), w, NULL))), joined, g),
      TN_OK);
  for (int64_t i = 0; i < 15; i++) {
    double expected = 0;
    for (int64_t k = 0; k < 6; k++) expected += 3 * element(x, k * 5 + i % 5);
    cr_expect_float_eq(element(tn_param_tensor(g, 1), i), expected, 1e-10);
  }
  cr_expect_eq(element(tn_param_tensor(g, 4), 0), 0);
  tn_params_release(joined);
  tn_params_release(p);
  tn_params_release(g);
}

/* Five steps of w <- w - lr a w on a w^2 / 2 give (1 - lr a)^5 w; its derivative by lr is -5 a (1 - lr a)^4
 * w. */
Test(params, unrolled_descent_has_its_closed_form) {
  const double a = 3, w0 = 2, rate = .1;
  tn_declaration *d = tn_declaration_new();
  tn_declare(d, "w", TN_SHAPE(1), TN_DECAY, tn_init_of(TN_INIT_CONSTANT, w0));
  tn_params *p = tn_params_create(d, "u");
  tn_tensor *lr = tn_leaf(tn_from(TN_F64, TN_SHAPE(1), &rate)), *w = tn_param_tensor(p, 0);
  tn_params *now = p;
  for (int i = 0; i < 5; i++) {
    tn_tensor *g, *loss = tn_sum(tn_scale(tn_square(tn_param_tensor(now, 0)), a / 2));
    w = tn_param_tensor(now, 0);
    tn_grad(loss, &w, 1, &g, TN_CREATE_GRAPH);
    w = tn_sub(w, tn_mul(lr, g));
    now = tn_params_from_tensors(p, &w);
  }
  cr_expect_float_eq(element(tn_param_tensor(now, 0), 0), pow(1 - rate * a, 5) * w0, 1e-12);
  tn_tensor *xs[2] = {lr, tn_param_tensor(p, 0)}, *gradients[2];
  tn_grad(tn_sum(w), xs, 2, gradients, 0);
  cr_expect_float_eq(element(gradients[0], 0), -5 * a * pow(1 - rate * a, 4) * w0, 1e-10);
  cr_expect_float_eq(element(gradients[1], 0), pow(1 - rate * a, 5), 1e-12);
  tn_params_release(p);
  tn_declaration_free(d);
}

/* f = x^T A x / 2 + b^T x: the Hessian-vector product is A v. */
Test(params, hessian_vector_product_of_a_quadratic) {
  tn_tensor *half = random_tensor(1, TN_SHAPE(6, 6), -1, 1),
            *a = tn_add(half, tn_permute(half, (int32_t[]){1, 0}));
  tn_tensor *x = tn_leaf(random_tensor(2, TN_SHAPE(6, 1), -1, 1)),
            *v = random_tensor(3, TN_SHAPE(6, 1), -1, 1), *g, *hv;
  tn_tensor *f = tn_scale(tn_sum(tn_mul(x, tn_matmul(a, x))), .5);
  tn_grad(f, &x, 1, &g, TN_CREATE_GRAPH);
  tn_grad(tn_sum(tn_mul(g, v)), &x, 1, &hv, 0);
  expect_close("A v", hv, tn_matmul(a, v), 1e-12);
}

Test(params, parts_and_flat_vectors) {
  tn_params *p = small_set("x"), *q = tn_params_clone(p), *g = tn_params_like(p);
  const uint32_t indices[2] = {4, 1};
  tn_params *part = tn_params_select(p, indices, 2), *part_gradient = tn_params_like(part);
  cr_expect_eq(tn_params_numel(part), 16);
  tn_tensor *x = random_tensor(1, TN_SHAPE(6, 5), -1, 1), *flat = tn_params_flatten(p), *gradient;
  cr_assert_eq(tn_grad_params(loss_of(p, x), p, g), TN_OK);
  cr_assert_eq(tn_grad_params(loss_of(p, x), part, part_gradient), TN_OK);
  expect_close("part", tn_param_tensor(part_gradient, 1), tn_param_tensor(g, 1), 0);
  expect_close("part", tn_param_tensor(part_gradient, 0), tn_param_tensor(g, 4), 0);
  cr_expect_eq(tn_numel(flat), 19);
  cr_expect_eq(element(flat, 0), element(tn_param_tensor(p, 1), 0)); // the decayed group comes first
  tn_tensor *bias = tn_param_tensor(p, 0);
  tn_grad(tn_sum(tn_square(flat)), &bias, 1, &gradient, 0);
  expect_close("2 bias", gradient, tn_scale(bias, 2), 1e-12);
  cr_assert_eq(tn_params_assign(q, tn_scale(flat, 3)), TN_OK);
  expect_close("3 bias", tn_param_tensor(q, 0), tn_scale(bias, 3), 1e-12);
  cr_expect_eq(tn_params_assign(q, tn_slice(flat, 0, 0, 5)), TN_ERROR_SHAPE);
  cr_expect_str_eq(first_error(), "params assign: (5,) of float64 for 19 values");
  tn_params_release(part_gradient);
  tn_params_release(part);
  tn_params_release(p);
  tn_params_release(q);
  tn_params_release(g);
}

Test(params, gradients_can_be_reversed) {
  tn_tensor *x = tn_leaf(random_tensor(1, TN_SHAPE(4), -1, 1)), *g;
  tn_grad(tn_sum(tn_square(tn_scale_gradient(x, -.5))), &x, 1, &g, 0);
  expect_close("reversed", g, tn_scale(x, -1), 1e-12);
}

static char path[100];
static const char *file_path(void) {
  snprintf(path, sizeof path, "/tmp/tenon-test-%ld.safetensors", (long)getpid());
  return path;
}
Test(params, files_round_trip) {
  tn_params *p = small_set("x"), *q = small_set("y");
  cr_assert_eq(tn_params_save(p, file_path()), TN_OK, "%s", first_error());
  cr_assert_eq(tn_params_load(q, file_path()), TN_OK, "%s", first_error());
  for (uint32_t i = 0; i < 5; i++) expect_close("entry", tn_param_tensor(q, i), tn_param_tensor(p, i), 0);
  tn_declaration *d = tn_declaration_new();
  tn_declare(d, "weight", TN_SHAPE(5, 3), TN_DECAY, tn_init_zeros());
  tn_params *wrong = tn_params_create(d, "z");
  cr_expect_neq(tn_params_load(wrong, file_path()), TN_OK);
  const char *error = first_error();
  cr_expect(strstr(error, "tensor 'weight' is (3, 5) of float64, expected (5, 3) of float64"), "%s", error);
  unlink(file_path());
  cr_expect_eq(tn_params_load(q, file_path()), TN_ERROR_IO);
  cr_expect(strstr(first_error(), "cannot open"));
  cr_expect_eq(tn_params_save(p, "/nonexistent/folder/file"), TN_ERROR_IO);
  first_error();
  tn_declaration_free(d);
  tn_params_release(wrong);
  tn_params_release(p);
  tn_params_release(q);
}

static tn_status parse(const char *header, size_t values, uint64_t claimed) {
  size_t length = strlen(header);
  unsigned char *bytes = calloc(1, 8 + length + values);
  if (!claimed) claimed = length;
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(claimed >> 8 * i);
  memcpy(bytes + 8, header, length);
  tn_safetensors *file;
  tn_status status = tn_safetensors_parse("x", bytes, 8 + length + values, &file);
  tn_safetensors_close(file);
  free(bytes);
  return status;
}
Test(params, malformed_files_are_refused) {
  cr_expect_eq(parse("{}", 0, 0), TN_OK);
  cr_expect_eq(parse("{\"__metadata__\":{\"a\":\"b\"},\"w\" : {\"dtype\":\"F32\",\"shape\":[2, "
                     "1],\"data_offsets\":[0,8]}}  ",
                     8, 0),
               TN_OK);
  cr_expect_eq(parse("{\"a\\u00e9\\n\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"I32\"},\"e\":{"
                     "\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
                     4, 0),
               TN_OK);
  const char *const bad[] = {
      "",
      "[",
      "{",
      "{\"w\"}",
      "{\"w\":1}",
      "{\"w\":{}}",
      "{} x",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}",
      "{\"w\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,1],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"w\":{\"dtype\":\"F32\",\"shape\":[0]"
      ",\"data_offsets\":[8,8]}}",
      "{\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"w\":{\"dtype\":\"F32\",\"shape\":[2]"
      ",\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
      "{\"w\\q\":1}",
      "{\"w\\ud800\":1}",
      "{\"w\\u12",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
      "{\"w\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    cr_expect_eq(parse(bad[i], 8, 0), TN_ERROR_INVALID, "accepted: %s", bad[i]);
    cr_expect(*first_error());
  }
  cr_expect_eq(parse("{}", 0, UINT64_MAX), TN_ERROR_INVALID);
  first_error();
  tn_safetensors *file;
  cr_expect_eq(tn_safetensors_parse("x", "1234", 4, &file), TN_ERROR_INVALID);
  first_error();
}

Test(params, sets_are_made_from_tensors) {
  tn_tensor *w = random_tensor(1, TN_SHAPE(2, 3), -1, 1), *b = random_tensor(2, TN_SHAPE(3), -1, 1);
  const tn_param_entry entries[] = {{sizeof *entries, TN_NO_DECAY, "b", b},
                                    {sizeof *entries, TN_DECAY, "w", w}};
  tn_params *p = tn_params_make(entries, 2), *gradient = tn_params_like(p);
  tn_param_entry entry;
  cr_assert_eq(tn_params_entry(p, 1, &entry), TN_OK);
  cr_expect_str_eq(entry.name, "w");
  cr_expect_eq(entry.group, TN_DECAY);
  cr_expect_neq(tn_data(entry.tensor), tn_data(w), "values are copied");
  expect_close("w", entry.tensor, w, 0);
  expect_close("b", tn_param_tensor(p, 0), b, 0);
  cr_assert_eq(tn_grad_params(tn_sum(tn_square(entry.tensor)), p, gradient), TN_OK);
  expect_close("2 w", tn_param_tensor(gradient, 1), tn_scale(w, 2), 1e-12);
  tn_params_release(gradient);
  tn_params_release(p);
}
