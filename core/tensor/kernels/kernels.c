// SPDX-License-Identifier: MIT
/* Compiled once for each CPU level: TN_LEVEL is base, avx2 or avx512, and the compiler's flags say what that
 * means. TN_VECTOR_BYTES is the width of a register. */
#include "kernels.h"
#include "math.h"

#ifndef TN_LEVEL
#define TN_LEVEL base
#endif
#if defined(__AVX512F__)
#define TN_VECTOR_BYTES 64
#define MR              12
#define GEMM_WORK       (1 << 30)
#elif defined(__AVX2__)
#define TN_VECTOR_BYTES 32
#define MR              6
#define GEMM_WORK       (64 * 64 * 64)
#else
#define TN_VECTOR_BYTES 16
#define MR              4
#define GEMM_WORK       (64 * 64 * 64)
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

typedef float vec_f32 __attribute__((vector_size(TN_VECTOR_BYTES)));
typedef double vec_f64 __attribute__((vector_size(TN_VECTOR_BYTES)));

#define real    float
#define NAME(x) x##_f32
#define M(f)    m_##f##_f32
#define LANES   64
#define WORDS   1
#define VECTOR  (TN_VECTOR_BYTES / 4)
#include "real.inc"
#undef real
#undef NAME
#undef M
#undef LANES
#undef WORDS
#undef VECTOR

#define real    double
#define NAME(x) x##_f64
#define M(f)    m_##f##_f64
#define LANES   32
#define WORDS   2
#define VECTOR  (TN_VECTOR_BYTES / 8)
#include "real.inc"
#undef real

#define whole   int64_t
#define whole_u uint64_t
#define INT(x)  x##_i64
#include "whole.inc"
#undef whole
#undef whole_u
#undef INT
#define whole   int32_t
#define whole_u uint32_t
#define INT(x)  x##_i32
#include "whole.inc"
#undef whole
#undef whole_u
#undef INT
#define whole   uint8_t
#define whole_u uint8_t
#define INT(x)  x##_u8
#include "whole.inc"

/* Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011). Counter: block number
 * in words 0 and 1, step in words 2 and 3. */
typedef uint64_t eight __attribute__((vector_size(64))); // eight blocks side by side, a word in each lane
static void philox(uint64_t key, uint64_t step, uint64_t first_block, uint32_t *words, int64_t n) {
  const eight low = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu,
                     0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu};
  const eight number = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int64_t block = 0; block * 4 < n; block += 8) {
    eight counter = number + (first_block + (uint64_t)block);
    eight c0 = counter & low, c1 = counter >> 32, c2 = (eight){0} + (step & 0xffffffffu),
          c3 = (eight){0} + (step >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
      eight p0 = c0 * 0xD2511F53u, p1 = c2 * 0xCD9E8D57u;
      c0 = (p1 >> 32) ^ c1 ^ k0;
      c2 = (p0 >> 32) ^ c3 ^ k1;
      c1 = p1 & low;
      c3 = p0 & low;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    eight front = c0 | c1 << 32, back = c2 | c3 << 32;
#else
    eight front = c1 | c0 << 32, back = c3 | c2 << 32;
#endif
    eight some = __builtin_shufflevector(front, back, 0, 8, 1, 9, 2, 10, 3, 11);
    eight rest = __builtin_shufflevector(front, back, 4, 12, 5, 13, 6, 14, 7, 15);
    int64_t left = n - block * 4;
    if (left >= 32) {
      memcpy(words + block * 4, &some, sizeof some);
      memcpy(words + block * 4 + 16, &rest, sizeof rest);
    } else {
      eight both[2] = {some, rest};
      memcpy(words + block * 4, both, (size_t)left * sizeof *words);
    }
  }
}

#define WHERE_KERNEL(name, type)                                                                         \
  static void name(const uint8_t *c, int64_t ci, const void *vx, int64_t xi, const void *vy, int64_t yi, \
                   void *vout, int64_t n) {                                                              \
    const type *x = vx, *y = vy;                                                                         \
    type *out = vout;                                                                                    \
    if (ci == 1 && xi == 1 && yi == 1)                                                                   \
      for (int64_t i = 0; i < n; i++) out[i] = c[i] ? x[i] : y[i];                                       \
    else if (ci == 1 && xi == 1 && yi == 0)                                                              \
      for (int64_t i = 0; i < n; i++) out[i] = c[i] ? x[i] : y[0];                                       \
    else                                                                                                 \
      for (int64_t i = 0; i < n; i++) out[i] = c[i * ci] ? x[i * xi] : y[i * yi];                        \
  }
WHERE_KERNEL(where_4, uint32_t)
WHERE_KERNEL(where_8, uint64_t)
WHERE_KERNEL(where_1, uint8_t)

#define INT_UNARY(s)                                                                        \
  {                                                                                         \
    [TN_NEG] = neg_##s, [TN_ABS] = abs_##s, [TN_SIGN] = sign_##s, [TN_SQUARE] = square_##s, \
    [TN_AFFINE] = affine_##s, [TN_CLAMP] = clamp_##s, [TN_NOT] = not_##s                    \
  }
#define INT_BINARY(s)                                                                           \
  {                                                                                             \
    [TN_ADD] = add_##s, [TN_SUB] = sub_##s, [TN_MUL] = mul_##s, [TN_DIV] = div_##s,             \
    [TN_MAXIMUM] = maximum_##s, [TN_MINIMUM] = minimum_##s, [TN_EQ] = eq_##s, [TN_NE] = ne_##s, \
    [TN_LT] = lt_##s, [TN_LE] = le_##s, [TN_GT] = gt_##s, [TN_GE] = ge_##s, [TN_AND] = and_##s, \
    [TN_OR] = or_##s                                                                            \
  }

const tn_kernels JOIN(tn_kernels_, TN_LEVEL) = {
    .real = {&table_f32, &table_f64},
    .int_unary = {INT_UNARY(i64), INT_UNARY(i32), INT_UNARY(u8)},
    .int_binary = {INT_BINARY(i64), INT_BINARY(i32), INT_BINARY(u8)},
    .where = {where_4, where_8, where_1},
    .philox = philox,
};
