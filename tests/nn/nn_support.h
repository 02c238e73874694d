// SPDX-License-Identifier: MIT
/* What the tests of the neural-network operations share. */
#ifndef TENON_TESTS_NN_SUPPORT_H
#define TENON_TESTS_NN_SUPPORT_H

#include <criterion/criterion.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/nn/nn.h"
#include "tests/expect.h"
#include "tests/tensor/support.h"

/* As engine_begin_with, and connects tenon.nn. */
void nn_begin(tn_dtype precision);
tn_tensor *nn_random(uint64_t seed, tn_shape shape);
/* Element (a, b, c, d) of a tensor of rank 4. */
double nn_at(const tn_tensor *x, int64_t a, int64_t b, int64_t c, int64_t d);
/* f() gives the same bits with 1 to 4 threads. */
void nn_same_bits(const char *name, tn_tensor *(*f)(void));

#endif
