// SPDX-License-Identifier: MIT
/* Random numbers: known answers, laws, and independence of threads and of order. */
#include <criterion/criterion.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/tensor/kernels/kernels.h"
#include "support.h"

TestSuite(random_numbers, .init = engine_begin, .fini = engine_end);

/* Random123's kat_vectors, philox4x32 10. */
Test(random_numbers, philox_known_answers) {
  const struct {
    uint64_t key, step, block;
    uint32_t words[4];
  } cases[] = {{0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
               {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
               {0x299f31d0a4093822,
                0x0370734413198a2e,
                0x85a308d3243f6a88,
                {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
  for (int i = 0; i < 3; i++) {
    uint32_t words[4];
    tn_kernels_base.philox(cases[i].key, cases[i].step, cases[i].block, words, 4);
    for (int k = 0; k < 4; k++)
      cr_expect_eq(words[k], cases[i].words[k], "case %d word %d is %08x, expected %08x", i, k, words[k],
                   cases[i].words[k]);
  }
}

Test(random_numbers, single_draws_and_blocks_agree) {
  uint32_t words[400];
  tn_rng rng = {.key = 99, .step = 7};
  tn_kernels_base.philox(99, 7, 0, words, 400);
  for (int i = 0; i < 400; i++) cr_assert_eq(tn_random_bits(&rng), words[i]);
}

Test(random_numbers, laws_have_their_moments) {
  enum { N = 400000 };
  tn_rng rng = tn_rng_at("test", "laws", 3);
  for (int type = TN_F32; type <= TN_F64; type++) {
    tn_tensor *u = tn_uniform(&rng, type, TN_SHAPE(N), -1, 3),
              *z = tn_normal(&rng, type, TN_SHAPE(N + 1), 2, 3);
    double mean = 0, square = 0, fourth = 0, low = 1e9, high = -1e9, sum = 0;
    for (int i = 0; i < N; i++) {
      double v = element(u, i), w = (element(z, i) - 2) / 3;
      sum += v;
      low = fmin(low, v);
      high = fmax(high, v);
      mean += w / N;
      square += w * w / N;
      fourth += w * w * w * w / N;
    }
    cr_expect_float_eq(sum / N, 1, .01);
    cr_expect(low >= -1 && high < 3 + 1e-6 && low < -.9999 && high > 2.9999, "uniform in [%g, %g]", low,
              high);
    cr_expect_float_eq(mean, 0, .006);
    cr_expect_float_eq(square, 1, .01);
    cr_expect_float_eq(fourth, 3, .06);
  }
  cr_expect_float_eq(tn_item(tn_mean(tn_bernoulli(&rng, TN_F64, TN_SHAPE(N), .3))), .3, .004);
}

Test(random_numbers, below_is_uniform_and_permutations_permute) {
  tn_rng rng = tn_rng_at("test", "below", 0);
  int counts[7] = {0};
  for (int i = 0; i < 70000; i++) counts[tn_random_below(&rng, 7)]++;
  for (int i = 0; i < 7; i++) cr_expect(abs(counts[i] - 10000) < 400, "%d of 70000 are %d", counts[i], i);
  int64_t items[100], seen[100] = {0};
  tn_random_permutation(&rng, items, 100);
  for (int i = 0; i < 100; i++) seen[items[i]]++;
  for (int i = 0; i < 100; i++) cr_expect_eq(seen[i], 1);
}

Test(random_numbers, tensors_do_not_depend_on_threads) {
  tn_tensor *former[3] = {0};
  for (int threads = 1; threads <= 4; threads *= 2) {
    omp_set_num_threads(threads);
    tn_rng rng = {.key = 5, .step = 1};
    tn_tensor *x[3] = {tn_normal(&rng, TN_F32, TN_SHAPE(100001), 0, 1),
                       tn_uniform(&rng, TN_F64, TN_SHAPE(50001), 0, 1),
                       tn_bernoulli(&rng, TN_F32, TN_SHAPE(70000), .5)};
    for (int i = 0; i < 3; i++) {
      size_t size = (size_t)tn_numel(x[i]) * x[i]->dl.dtype.bits / 8;
      if (former[i])
        cr_expect_eq(memcmp(tn_data(x[i]), tn_data(former[i]), size), 0, "tensor %d with %d threads", i,
                     threads);
      former[i] = x[i];
    }
  }
}

Test(random_numbers, keys_depend_on_seed_component_and_stream) {
  uint64_t a = tn_sdk.random->key("a", "bc"), b = tn_sdk.random->key("ab", "c"),
           c = tn_sdk.random->key("a", "bc");
  cr_expect_eq(a, c);
  cr_expect_neq(a, b);
}

Test(random_numbers, categories_come_in_proportion) {
  tn_rng rng = tn_rng_at("test", "classes", 0);
  tn_tensor *weights =
      tn_broadcast_to(tn_from(TN_F64, TN_SHAPE(4), (const double[]){1, 0, 5, 2}), TN_SHAPE(80000, 4));
  tn_tensor *classes = tn_categorical(&rng, weights);
  int64_t counts[4] = {0};
  for (int64_t i = 0; i < 80000; i++) counts[tn_i64(classes)[i]]++;
  const int64_t expected[4] = {10000, 0, 50000, 20000};
  for (int i = 0; i < 4; i++)
    cr_expect(llabs(counts[i] - expected[i]) < 600, "class %d: %lld", i, (long long)counts[i]);
  cr_expect_eq(counts[1], 0);
  cr_expect(tn_poisoned(tn_categorical(&rng, tn_zeros(TN_F64, TN_SHAPE(1, 3)))));
  first_error();
}
