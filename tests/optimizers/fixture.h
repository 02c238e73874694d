// SPDX-License-Identifier: MIT
/* A parameter set of all sorts, seen as one row of trained numbers, and gradients for it. */
#ifndef TENON_TESTS_FIXTURE_H
#define TENON_TESTS_FIXTURE_H

#include "../plugins/harness.h"
#include <tenon/optimizer.h>

/* In the order of their declaration; what is not trained lies between what is. */
enum { WEIGHT, RUNNING, BIAS, KERNEL, COUNT, SCALE, ENTRIES };
enum { ROWS = 5, COLUMNS = 4, FILTERS = 3, TAPS = 8 };
enum { WEIGHT_SIZE = ROWS * COLUMNS, BIAS_SIZE = ROWS, KERNEL_SIZE = FILTERS * TAPS, SCALE_SIZE = 3 };
/* Where the trained tensors begin in the row; ALL numbers. */
enum {
  AT_WEIGHT = 0,
  AT_BIAS = AT_WEIGHT + WEIGHT_SIZE,
  AT_KERNEL = AT_BIAS + BIAS_SIZE,
  AT_SCALE = AT_KERNEL + KERNEL_SIZE,
  ALL = AT_SCALE + SCALE_SIZE
};

/* weight (5, 4) and kernel (3, 2, 2, 2) decay, bias (5) and scale (3) do not; running (4) and count (2) are
 * not trained. Row: w_i = sin(i + 1); what is not trained: 7. */
tn_params *fixture_params(void);
/* One matrix (rows, columns), zeros, that decays. */
tn_params *fixture_matrix(int64_t rows, int64_t columns);

double fixture_get(const tn_params *params, int64_t i);
void fixture_set(const tn_params *params, int64_t i, double value);
bool fixture_decays(int64_t i);

/* The gradient of a bent bowl at w, different in every coordinate and step. */
double fixture_slope(double w, int64_t i, int64_t t);
/* Fills the gradient at `params` in step t. */
void fixture_gradient(const tn_params *params, tn_params *gradient, int64_t t);

void fixture_begin(const tn_component *optimizer, const tn_params *params);
void fixture_update(const tn_component *optimizer, tn_params *params, tn_params *gradient, double schedule,
                    int64_t t);
#endif
