// SPDX-License-Identifier: MIT
/* Loops over plain memory, compiled once for each CPU level. Single-threaded: the callers cut the work into
 * blocks. Suffix arrays of two: float32, float64. */
#ifndef TENON_TENSOR_KERNELS_H
#define TENON_TENSOR_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include <tenon/tensor.h>

typedef void (*tn_unary_kernel)(const void *x, void *y, int64_t n, double a, double b);
/* out = g f'(x), y = f(x); out may be g */
typedef void (*tn_unary_grad_kernel)(const void *g, const void *x, const void *y, void *out, int64_t n,
                                     double a, double b);
/* out[o, i] = f(x[o xo + i xi], y[o yo + i yi]); xi and yi are 0 or 1; out compact */
typedef void (*tn_binary_kernel)(const void *x, int64_t xo, int64_t xi, const void *y, int64_t yo, int64_t yi,
                                 void *out, int64_t outer, int64_t inner);
typedef void (*tn_where_kernel)(const uint8_t *c, int64_t ci, const void *x, int64_t xi, const void *y,
                                int64_t yi, void *out, int64_t n);

enum {
  TN_GEMM_DEPTH = 128,         /* terms of a product that are added at a time */
  TN_GEMM_PANEL = 32,          /* a multiple of the columns of a panel, at every level and type */
  TN_GEMM_SCRATCH = 256 << 10, /* bytes for the panels of gemm */
};

typedef struct tn_real_kernels {
  tn_unary_kernel unary[TN_UNARY_COUNT];
  tn_unary_grad_kernel unary_grad[TN_UNARY_COUNT]; /* NULL: none */
  tn_binary_kernel binary[TN_BINARY_COUNT];
  void (*axpy)(double a, const void *x, void *y, int64_t n); /* y += a x */
  void (*scale)(double a, void *y, int64_t n);               /* y *= a */
  void (*lerp)(const void *x, double t, void *y, int64_t n); /* y += t (x - y) */
  void (*fill)(void *y, double value, int64_t n);
  /* Reductions of a run, in the same order always. */
  double (*sum)(const void *x, int64_t n);
  double (*dot)(const void *x, const void *y, int64_t n);
  double (*square_deviation)(const void *x, double mean, int64_t n); /* sum of (x - mean)^2 */
  double (*max)(const void *x, int64_t n);                           /* NaN if there is one */
  double (*min)(const void *x, int64_t n);
  /* the first i >= start with x[i] > bound, or n */
  int64_t (*first_above)(const void *x, int64_t start, int64_t n, double bound);
  double (*sum_exp)(const void *x, double shift, int64_t n); /* sum of exp(x - shift) */
  /* y[i] = max(y[i], x[i]) and the like for rows; NaN wins */
  void (*row_add)(const void *x, void *y, int64_t n);
  void (*row_max)(const void *x, void *y, int64_t n);
  void (*row_min)(const void *x, void *y, int64_t n);
  /* rows x columns, softmax along the columns; log: its logarithm */
  void (*softmax)(const void *x, void *y, int64_t rows, int64_t columns);
  void (*log_softmax)(const void *x, void *y, int64_t rows, int64_t columns);
  void (*softmax_grad)(const void *g, const void *y, void *out, int64_t rows, int64_t columns);
  void (*log_softmax_grad)(const void *g, const void *y, void *out, int64_t rows, int64_t columns);
  tn_binary_kernel bce; /* binary cross-entropy of logits x and targets y */
  /* from random words, one (float32) or two (float64) an element; n even for normal */
  void (*uniform)(const uint32_t *words, void *y, int64_t n, double low, double high);
  void (*normal)(const uint32_t *words, void *y, int64_t n, double mean, double deviation);
  /* loss and log-sum-exp of each row */
  void (*cross_entropy)(const void *x, const int64_t *labels, double smoothing, void *loss, void *lse,
                        int64_t rows, int64_t columns);
  /* out = g[row] (softmax(x) - target); g has stride gs (0 or 1) */
  void (*cross_entropy_grad)(const void *g, int64_t gs, const void *x, const int64_t *labels,
                             double smoothing, const void *lse, void *out, int64_t rows, int64_t columns);
  /* C[m, n] = A B + beta S for k > 0; element (i, k) of A is a[i ra + k ca], and so for B; C is row-major;
   * the rows of S are `start_row` apart (0: one for all) and S may be C; beta = 0 does not read it. scratch:
   * TN_GEMM_SCRATCH bytes, aligned to 64. An element's sum is taken in an order that depends on k alone. */
  void (*gemm)(int64_t m, int64_t n, int64_t k, const void *a, int64_t ra, int64_t ca, const void *b,
               int64_t rb, int64_t cb, double beta, const void *start, int64_t start_row, void *c,
               int64_t ldc, void *scratch);
  /* The same in two steps, for several blocks of C to share B: its slices of TN_GEMM_DEPTH rows are packed to
   * gemm_packed_size elements in any order; then rows of C come from rows of A, in columns j .. end - 1 of n,
   * where j is a multiple of TN_GEMM_PANEL; start and c point to column j. */
  int64_t (*gemm_packed_size)(int64_t n, int64_t k);
  void (*gemm_pack)(int64_t n, int64_t k, const void *b, int64_t rb, int64_t cb, int64_t slice, void *panels);
  void (*gemm_packed)(int64_t m, int64_t j, int64_t end, int64_t n, int64_t k, const void *a, int64_t ra,
                      int64_t ca, const void *panels, double beta, const void *start, int64_t start_row,
                      void *c, int64_t ldc);
  int64_t gemm_work; /* up to so many multiplications gemm is faster than the library, as measured */
  int64_t gemm_rows; /* of a tile */
} tn_real_kernels;

typedef struct tn_kernels {
  const tn_real_kernels *real[2];
  tn_unary_kernel int_unary[3][TN_UNARY_COUNT]; /* int64, int32, uint8 */
  tn_binary_kernel int_binary[3][TN_BINARY_COUNT];
  tn_where_kernel where[3]; /* by size: 4, 8, 1 */
  /* Philox 4x32-10: n words (a multiple of 4) from block `first_block` of (key, step) */
  void (*philox)(uint64_t key, uint64_t step, uint64_t first_block, uint32_t *words, int64_t n);
} tn_kernels;

extern const tn_kernels tn_kernels_base;
#if defined(__x86_64__)
extern const tn_kernels tn_kernels_avx2, tn_kernels_avx512;
#endif

#endif
