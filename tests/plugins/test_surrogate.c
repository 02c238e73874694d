// SPDX-License-Identifier: MIT
/* Gaussian processes over strings: what is known is reproduced, what is far is not, and distances are the
 * naive ones. */
#include "harness.h"
#include "plugins/stages/gaussian_process.h"

TestSuite(surrogate, .fini = harness_close);

enum { N = 24, LENGTH = 6, LETTERS = 3 };

static void strings_of(int64_t *strings, uint64_t seed) {
  tn_rng rng = tn_rng_at("surrogate", "strings", seed);
  for (int i = 0; i < N * LENGTH; i++) strings[i] = (int64_t)tn_random_below(&rng, LETTERS);
}

Test(surrogate, distances_are_the_naive_ones) {
  int64_t strings[N * LENGTH];
  int32_t room[LETTERS * LETTERS] = {0};
  harness_open("float64", "");
  strings_of(strings, 0);
  const struct gaussian_process gp = {.length = LENGTH, .letters = LETTERS};
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      const int64_t *a = strings + i * LENGTH, *b = strings + j * LENGTH;
      int hamming = 0, pairs = 0;
      for (int t = 0; t < LENGTH; t++) hamming += a[t] != b[t];
      for (int x = 0; x < LETTERS; x++)
        for (int y = 0; y < LETTERS; y++) {
          int difference = 0;
          for (int t = 0; t + 1 < LENGTH; t++)
            difference += (a[t] == x && a[t + 1] == y) - (b[t] == x && b[t + 1] == y);
          pairs += abs(difference);
        }
      EXPECT_NEAR(gp_distance(&gp, false, a, b, room), hamming, 0);
      EXPECT_NEAR(gp_distance(&gp, true, a, b, room), pairs, 0);
    }
}

Test(surrogate, known_strings_are_reproduced_and_unknown_ones_are_uncertain) {
  int64_t strings[N * LENGTH], more[N * LENGTH];
  double values[N * 2], mean[N * 2], deviation[N * 2];
  struct gaussian_process gp = {0};
  harness_open("float64", "");
  strings_of(strings, 1);
  strings_of(more, 2);
  for (int i = 0; i < N; i++) { /* counts of a pair, and of a letter times ten */
    values[2 * i] = values[2 * i + 1] = 0;
    for (int t = 0; t < LENGTH; t++) {
      values[2 * i] += t + 1 < LENGTH && strings[i * LENGTH + t] == 0 && strings[i * LENGTH + t + 1] == 1;
      values[2 * i + 1] += 10 * (strings[i * LENGTH + t] == 2);
    }
  }
  cr_assert(gp_fit(&gp, strings, N, LENGTH, LETTERS, values, 2) >= 0, "%s", harness_failure());
  cr_assert(gp_predict(&gp, strings, N, mean, deviation) >= 0, "%s", harness_failure());
  double error = 0, known = 0, unknown = 0;
  for (int i = 0; i < N; i++) {
    error += fabs(mean[2 * i] - values[2 * i]) / N;
    known += deviation[2 * i] / N;
  }
  cr_assert(gp_predict(&gp, more, N, mean, deviation) >= 0, "%s", harness_failure());
  for (int i = 0; i < N; i++) unknown += deviation[2 * i] / N;
  cr_assert(error < 0.1, "%g", error);
  cr_assert(unknown > 2 * known, "%g %g", unknown, known);
  gp_release(&gp);
}

/* Two strings at distance d with kernel k = exp(-d / scale): the posterior in closed form. */
Test(surrogate, two_strings_are_as_by_hand) {
  const int64_t strings[2 * LENGTH] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1},
                            asked[LENGTH] = {0, 0, 0, 1, 1, 1};
  const double values[2] = {-1, 1};
  double mean = NAN, deviation = NAN;
  struct gaussian_process gp = {0};
  harness_open("float64", "");
  cr_assert(gp_fit(&gp, strings, 2, LENGTH, LETTERS, values, 1) >= 0, "%s", harness_failure());
  int32_t room[LETTERS * LETTERS] = {0};
  const double k = exp(-gp_distance(&gp, gp.pairs, strings, strings + LENGTH, room) / gp.scale);
  const double a = exp(-gp_distance(&gp, gp.pairs, asked, strings, room) / gp.scale);
  const double b = exp(-gp_distance(&gp, gp.pairs, asked, strings + LENGTH, room) / gp.scale);
  const double s = 1 + gp.noise, det = s * s - k * k;
  cr_assert(gp_predict(&gp, asked, 1, &mean, &deviation) >= 0, "%s", harness_failure());
  EXPECT_NEAR(mean, (a * (-s - k) + b * (s + k)) / det, 1e-12);
  EXPECT_NEAR(deviation, sqrt(1 - (s * a * a - 2 * k * a * b + s * b * b) / det), 1e-12);
  gp_release(&gp);
}
