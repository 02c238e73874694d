// SPDX-License-Identifier: MIT
/* Matrix products at every CPU level, at sizes about those of tiles, panels and slices. The numbers are small
 * and whole, so that every order of adding them gives the same result and it is compared for equality. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/tensor/kernels/kernels.h"
#include "support.h"

TestSuite(gemm, .init = engine_begin, .fini = engine_end);

static const int64_t rows[] = {1, 5, 12, 47, 61}, columns[] = {1, 15, 16, 33, 65, 530},
                     terms[] = {1, 7, 128, 300};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static size_t size_of(tn_dtype dtype) { return dtype == TN_F32 ? 4 : 8; }
static double whole(int64_t i) { return (double)(i * 7919 % 104729 % 7 - 3); }

static double get(tn_dtype dtype, const void *x, int64_t i) {
  return dtype == TN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
static void *numbers(tn_dtype dtype, int64_t n, int64_t seed) {
  void *x = aligned_alloc(64, ((size_t)n * sizeof(double) + 63) / 64 * 64);
  for (int64_t i = 0; i < n; i++) {
    if (dtype == TN_F32)
      ((float *)x)[i] = (float)whole(i + seed);
    else
      ((double *)x)[i] = whole(i + seed);
  }
  return x;
}

typedef struct problem {
  tn_dtype dtype;
  bool ta, tb;
  int64_t m, n, k, ldc;
  double beta;
  void *a, *b, *start;
} problem;

/* c, row-major with rows ldc apart, against sums one by one, of large products some elements all over; what
 * is between the rows must be untouched. */
static void check(const char *what, const problem *p, int64_t start_row, const void *c) {
  const int64_t step = p->m * p->n * p->k > 100000 ? 41 : 1;
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = i % step; j < p->ldc; j += step) {
      double want = whole(i * p->ldc + j + 5);
      if (j < p->n) {
        want = p->beta ? p->beta * get(p->dtype, p->start, i * start_row + j) : 0;
        for (int64_t l = 0; l < p->k; l++)
          want += get(p->dtype, p->a, p->ta ? l * p->m + i : i * p->k + l) *
                  get(p->dtype, p->b, p->tb ? j * p->k + l : l * p->n + j);
      }
      double is = get(p->dtype, c, i * p->ldc + j);
      cr_assert_eq(is, want, "%s: (%lld, %lld, %lld)%s%s, beta %g, float%d, element (%lld, %lld): %g for %g",
                   what, (long long)p->m, (long long)p->n, (long long)p->k, p->ta ? " a^T" : "",
                   p->tb ? " b^T" : "", p->beta, p->dtype == TN_F32 ? 32 : 64, (long long)i, (long long)j, is,
                   want);
    }
}

static void check_kernel(const tn_kernels *kernels, const char *level, problem p) {
  const tn_real_kernels *k = kernels->real[p.dtype];
  int64_t ra = p.ta ? 1 : p.k, ca = p.ta ? p.m : 1, rb = p.tb ? 1 : p.n, cb = p.tb ? p.k : 1;
  void *scratch = aligned_alloc(64, TN_GEMM_SCRATCH), *c = numbers(p.dtype, p.m * p.ldc, 5);
  int64_t start_row = p.beta == 2 ? 0 : p.n; // also one row for all
  k->gemm(p.m, p.n, p.k, p.a, ra, ca, p.b, rb, cb, p.beta, p.start, start_row, c, p.ldc, scratch);
  check(level, &p, start_row, c);
  free(c);

  c = numbers(p.dtype, p.m * p.ldc, 5);
  size_t size = size_of(p.dtype);
  char *panels = aligned_alloc(64, ((size_t)k->gemm_packed_size(p.n, p.k) * size + 63) / 64 * 64);
  for (int64_t slice = (p.k - 1) / TN_GEMM_DEPTH; slice >= 0; slice--)
    k->gemm_pack(p.n, p.k, p.b, rb, cb, slice, panels);
  for (int64_t j = 0, end; j < p.n; j = end) {
    end = p.n - j < 64 ? p.n : j + 64;
    k->gemm_packed(p.m, j, end, p.n, p.k, p.a, ra, ca, panels, p.beta, (char *)p.start + (size_t)j * size,
                   start_row, (char *)c + (size_t)j * size, p.ldc);
  }
  check(level, &p, start_row, c);
  free(panels);
  free(c);
  free(scratch);
}

static void check_level(const tn_kernels *kernels, const char *level) {
  int64_t turn = 0;
  for (size_t r = 0; r < COUNT(rows); r++)
    for (size_t q = 0; q < COUNT(columns); q++)
      for (size_t t = 0; t < COUNT(terms); t++, turn++) {
        problem p = {.dtype = turn % 2 ? TN_F64 : TN_F32, .ta = turn / 2 % 2, .tb = turn / 4 % 2};
        p.m = rows[r], p.n = columns[q], p.k = terms[t];
        p.beta = (double)(turn % 3);
        p.ldc = p.n + turn % 4;
        p.a = numbers(p.dtype, p.m * p.k, 1);
        p.b = numbers(p.dtype, p.k * p.n, 2);
        p.start = numbers(p.dtype, p.m * p.n, 3);
        check_kernel(kernels, level, p);
        free(p.a);
        free(p.b);
        free(p.start);
      }
}

Test(gemm, kernels_at_every_level) {
  check_level(&tn_kernels_base, "base");
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check_level(&tn_kernels_avx2, "avx2");
  if (__builtin_cpu_supports("avx512f")) check_level(&tn_kernels_avx512, "avx512");
#endif
}

static tn_tensor *matrix(tn_dtype dtype, tn_shape shape, int64_t seed) {
  tn_tensor *x = tn_empty(dtype, shape);
  void *values = numbers(dtype, tn_numel(x), seed);
  memcpy(tn_data(x), values, (size_t)tn_numel(x) * size_of(dtype));
  free(values);
  return x;
}

/* Products of the engine: one tile, tiles that share panels, tiles of the library, cut sums. */
Test(gemm, products_of_every_way) {
  const int64_t sizes[][3] = {{3, 2, 5},        {64, 64, 64},   {300, 70, 129}, {700, 400, 130},
                              {130, 128, 2100}, {20, 30, 5000}, {600, 520, 500}};
  for (size_t s = 0; s < COUNT(sizes); s++)
    for (int way = 0; way < 8; way++) {
      problem p = {.dtype = way & 1 ? TN_F64 : TN_F32, .ta = way & 2, .tb = way & 4};
      p.m = sizes[s][0], p.n = p.ldc = sizes[s][1], p.k = sizes[s][2];
      tn_tensor *a = matrix(p.dtype, p.ta ? TN_SHAPE(p.k, p.m) : TN_SHAPE(p.m, p.k), 1);
      tn_tensor *b = matrix(p.dtype, p.tb ? TN_SHAPE(p.n, p.k) : TN_SHAPE(p.k, p.n), 2);
      tn_tensor *bias = matrix(p.dtype, TN_SHAPE(p.n), 3);
      p.a = tn_data(a), p.b = tn_data(b), p.start = tn_data(bias);
      tn_tensor *c = p.ta && p.tb
                         ? tn_matmul(tn_permute(a, (int32_t[]){1, 0}), tn_permute(b, (int32_t[]){1, 0}))
                     : p.ta ? tn_matmul_tn(a, b)
                     : p.tb ? tn_matmul_nt(a, b)
                            : tn_matmul(a, b);
      check("matmul", &p, 0, tn_data(c));
      if (!p.ta && p.tb) {
        p.beta = 1;
        check("linear", &p, 0, tn_data(tn_linear(a, b, bias)));
      }
    }
}
