// SPDX-License-Identifier: MIT
/* What the hardware can do: the best rate of OpenBLAS, and of memory for three loops over arrays that fit
 * into no cache:
 *   copy a = b, triad a = b + s c, update a = a + s b (what an optimizer does: no line is written that was
 * not read). Bytes are those that the loop names: 8, 12 and 12 an element. */
#define _DEFAULT_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <cblas.h>
#include <omp.h>

#include "bench.h"

enum { ELEMENTS = 1 << 26, PAGE = 2 << 20, REPEATS = 6 };

static clockid_t chosen = CLOCK_MONOTONIC;

static double now(void) {
  struct timespec t;
  clock_gettime(chosen, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best(double value, double former) { return value > former ? value : former; }

static float *array(float value) {
  void *memory = NULL;
  if (posix_memalign(&memory, PAGE, ELEMENTS * sizeof(float)) != 0) exit(1);
#ifdef MADV_HUGEPAGE
  madvise(memory, ELEMENTS * sizeof(float), MADV_HUGEPAGE);
#endif
  float *a = memory;
#pragma omp parallel for
  for (int64_t i = 0; i < ELEMENTS; i++) a[i] = value;
  return a;
}

static double gemm_rate(int threads, const float *a, const float *b, float *c) {
  double rate = 0;
  openblas_set_num_threads(threads);
  for (int n = 1024; n <= 2048; n += 1024)
    for (int r = 0; r < REPEATS; r++) {
      double start = now();
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c, n);
      rate = best(2e-9 * n * n * n / (now() - start), rate);
    }
  return rate;
}

static double copy_rate(float *restrict a, const float *restrict b) {
  double start = now();
#pragma omp parallel for
  for (int64_t i = 0; i < ELEMENTS; i++) a[i] = b[i];
  return 8e-9 * ELEMENTS / (now() - start);
}

static double triad_rate(float *restrict a, const float *restrict b, const float *restrict c) {
  double start = now();
#pragma omp parallel for
  for (int64_t i = 0; i < ELEMENTS; i++) a[i] = b[i] + 3 * c[i];
  return 12e-9 * ELEMENTS / (now() - start);
}

static double update_rate(float *restrict a, const float *restrict b) {
  double start = now();
#pragma omp parallel for
  for (int64_t i = 0; i < ELEMENTS; i++) a[i] += 1e-6f * b[i];
  return 12e-9 * ELEMENTS / (now() - start);
}

int bench_limits(int threads) {
  if (threads == 1) chosen = CLOCK_PROCESS_CPUTIME_ID;
  omp_set_num_threads(threads);
  float *a = array(1), *b = array(2), *c = array(3);
  double gemm = gemm_rate(threads, a, b, c), copy = 0, triad = 0, update = 0;
  for (int r = 0; r < REPEATS; r++) {
    copy = best(copy_rate(c, a), copy);
    triad = best(triad_rate(c, a, b), triad);
    update = best(update_rate(c, a), update);
  }
  printf("sgemm %.4g copy %.4g triad %.4g update %.4g\n", gemm, copy, triad, update);
  free(a);
  free(b);
  free(c);
  return 0;
}
