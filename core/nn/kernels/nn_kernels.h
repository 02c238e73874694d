// SPDX-License-Identifier: MIT
/* Loops of the neural-network operations over plain memory, compiled once for each CPU level, for float32 and
 * float64. Single-threaded: the callers cut the work into pieces. */
#ifndef TENON_NN_KERNELS_H
#define TENON_NN_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* How the planes of an image are laid out for a correlation. Element (i, j) of a plane goes to padded
 * position (i + top, j + left); position (r, q) belongs to phase (r % step[0], q % step[1]) of the stride,
 * and there to row r / step[0] and column q / step[1]. Every tap of the correlation then reads at stride one.
 * The zeros around the rows of the next row may serve the row before. */
typedef struct tn_conv_pack {
  int64_t size[2];       /* of a plane */
  int64_t before[2];     /* padding at the top and left; negative: rows or columns are dropped */
  int64_t step[2];       /* phases */
  int64_t rows, columns; /* of a phase */
  int64_t plane;         /* elements of a packed plane: phases x rows x columns */
  uint64_t used;         /* bit r step[1] + q: phase (r, q) is read by a tap; all ones if more than 64 */
} tn_conv_pack;

/* y[o, i, j] = bias[o] + sum over taps of w[o, tap] x[offset(tap) + i columns + j], for one group of one
 * image.
 */
typedef struct tn_conv_job {
  int64_t outputs; /* o */
  int64_t taps;
  const int64_t *offsets;
  int64_t columns;                      /* of the packed source */
  int64_t size[2];                      /* i, j */
  int64_t first, row_step, column_step; /* where (i, j) goes in a plane of the target */
  int64_t plane;                        /* of the target */
} tn_conv_job;

/* acc[tap, o] += sum over i, j of x[offset(tap) + i row_step + j column_step] g[i, j, o] */
typedef struct tn_conv_outer {
  int64_t taps;
  const int64_t *offsets;
  int64_t size[2];
  int64_t row_step, column_step; /* in the packed source */
  int64_t vectors;               /* of outputs, padded with zeros */
} tn_conv_outer;

/* A depthwise convolution of small planes: see depthwise.inc. */
typedef struct tn_depthwise {
  int64_t in[2], out[2], kernel[2], stride[2], padding[2];
  int64_t columns; /* of a padded row */
} tn_depthwise;

/* Windows along both axes: output i covers starts[i] .. ends[i] - 1 of the plane. */
typedef struct tn_pool_plan {
  int64_t size[2], out[2];
  const int64_t *starts[2], *ends[2];
  const double *shares[2]; /* factors of the mean; their product is 1 / count */
  /* Along the columns, if all windows are alike: starts[i] = i stride - padding before clipping. */
  bool regular;
  int64_t window, stride, padding;
  int64_t row_stride, row_padding; /* along the rows */
} tn_pool_plan;

typedef struct tn_nn_real {
  int64_t vector; /* elements of a register */
  /* `packed` must be zero where nothing is written. */
  void (*pack)(const tn_conv_pack *p, const void *x, int64_t channels, void *packed);
  /* Weights w[o, tap] at w[o so + tap_index[tap]] in the order that correlate reads: as many elements. */
  void (*pack_weights)(int64_t outputs, int64_t taps, const void *w, int64_t so, const int64_t *tap_index,
                       void *packed);
  /* Elements of `flat`: tn_conv_flat(). bias may be NULL. */
  void (*correlate)(const tn_conv_job *j, const void *packed, const void *weights, const void *bias,
                    void *flat, void *y);
  /* y[j, i] = x[i, j], i below rows; columns rows .. ld - 1 of y are zeroed */
  void (*transpose)(const void *x, int64_t rows, int64_t columns, void *y, int64_t ld);
  void (*outer)(const tn_conv_outer *o, const void *packed, const void *g, void *acc);
  /* acc[o, tap, lane] += x[offset(tap) + p] g[o ldg + p] for p = lane, lane + vector ... below n, a multiple
   * of vector */
  void (*dots)(int64_t outputs, int64_t taps, const int64_t *offsets, const void *packed, const void *g,
               int64_t ldg, int64_t n, void *acc);
  double (*fold)(const void *lanes); /* the sum of a vector */

  /* depthwise.inc: see there. Planes are (pixels, vector), weights and acc (taps, vector), bias (vector). */
  void (*depthwise_spread)(const tn_depthwise *d, const void *dense, void *padded);
  void (*depthwise_gather)(const tn_depthwise *d, const void *padded, void *dense);
  void (*depthwise)(const tn_depthwise *d, const void *padded, const void *weights, const void *bias,
                    void *y);
  void (*depthwise_adjoint)(const tn_depthwise *d, const void *g, const void *weights, void *padded);
  void (*depthwise_weights)(const tn_depthwise *d, const void *padded, const void *g, void *acc);

  /* norm.inc: see there. */
  void (*norm_apply)(const void *x, const void *residual, void *y, int64_t n, double a, double b, bool relu);
  void (*plane_moments)(const void *x, int64_t planes, int64_t n, double *moments);
  void (*norm_sums)(const void *g, const void *x, const void *y, int64_t n, double mean, bool relu, double a,
                    double b, double *sums);
  void (*norm_back)(const void *g, const void *x, const void *y, int64_t n, bool relu, double a, double b,
                    double p, double q, double r, void *gx, void *masked);
  void (*column_moments)(const void *x, int64_t rows, int64_t columns, double *mean, double *square,
                         void *scratch);
  void (*column_apply)(const void *x, const void *residual, void *y, int64_t rows, int64_t columns,
                       const void *a, const void *b, bool relu);
  void (*column_sums)(const void *g, const void *x, const void *y, int64_t rows, int64_t columns,
                      const void *mean, double *sums, void *scratch);
  void (*column_back)(const void *g, const void *x, const void *y, int64_t rows, int64_t columns,
                      const void *p, const void *q, const void *r, void *gx, void *masked);
  void (*row_norm)(const void *x, const void *w, const void *b, void *y, double *stats, int64_t rows,
                   int64_t n, double epsilon, bool center);
  void (*row_norm_back)(const void *g, const void *x, const void *w, const double *stats, void *gx, void *gw,
                        void *gb, int64_t rows, int64_t n, bool center);

  /* pool.inc: one plane. */
  /* `packed` is -infinity where nothing is written; codes: what a tap adds to the index of the window's first
   * element; flat: 2 x vectors x vector elements. */
  void (*max_windows)(const tn_pool_plan *p, const tn_conv_pack *pack, int64_t taps, const int64_t *offsets,
                      const int64_t *codes, const void *x, void *packed, void *flat, void *y, int32_t *index);
  /* y[plane, i, j] = x[plane, i, j] rows[i] columns[j] */
  void (*scale_shares)(const tn_pool_plan *p, const void *x, void *y);
  void (*max_pool)(const tn_pool_plan *p, const void *x, void *y, int32_t *index);
  void (*mean_pool)(const tn_pool_plan *p, const void *x, void *y);
  void (*mean_spread)(const tn_pool_plan *p, const void *g, void *gx, void *line); /* line: out[1] elements */
  void (*pool_scatter)(const void *g, const int32_t *index, int64_t n, void *gx);
  void (*pool_gather)(const void *x, const int32_t *index, int64_t n, void *y);
} tn_nn_real;

typedef struct tn_nn_kernels {
  const tn_nn_real *real[2];
} tn_nn_kernels;

extern const tn_nn_kernels tn_nn_kernels_base;
#if defined(__x86_64__)
extern const tn_nn_kernels tn_nn_kernels_avx2, tn_nn_kernels_avx512;
#endif

#endif
