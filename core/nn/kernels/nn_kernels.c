// SPDX-License-Identifier: MIT
/* Compiled once for each CPU level: TN_LEVEL is base, avx2 or avx512. */
#include "nn_kernels.h"

#include <math.h>
#include <string.h>

#ifndef TN_LEVEL
#define TN_LEVEL base
#endif
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MAX_ROWS     8
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define MAX_ROWS     4
#else
#define VECTOR_BYTES 16
#define MAX_ROWS     4
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

#define real    float
#define integer int32_t
#define NAME(x) x##_f32
#define VECTOR  (VECTOR_BYTES / 4)
#include "conv.inc"
#include "depthwise.inc"
#include "norm.inc"
#include "pool.inc"
#include "table.inc"
#undef R
#undef LOOP
#undef VEC
#undef real
#undef integer
#undef NAME
#undef VECTOR

#define real    double
#define integer int64_t
#define NAME(x) x##_f64
#define VECTOR  (VECTOR_BYTES / 8)
#include "conv.inc"
#include "depthwise.inc"
#include "norm.inc"
#include "pool.inc"
#include "table.inc"

const tn_nn_kernels JOIN(tn_nn_kernels_, TN_LEVEL) = {{&table_f32, &table_f64}};
