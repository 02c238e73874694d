// SPDX-License-Identifier: MIT
#include "../expect.h"
#include "core/plugin/host.h"
#include "core/sweep/statistics.h"
#include <math.h>

static const double values[] = {4, 1, 3, 2};

Test(statistics, by_hand) {
  EXPECT_REAL(tn_mean_of(values, 4), 2.5);
  EXPECT_REAL(tn_deviation_of(values, 4), sqrt(5. / 3)); // squares 2.25, 2.25, 0.25, 0.25 over 3
  EXPECT_REAL(tn_median_of(values, 4), 2.5);
  EXPECT_REAL(tn_median_of(values, 3), 3);
  EXPECT_REAL(tn_least_of(values, 4), 1);
  EXPECT_REAL(tn_greatest_of(values, 4), 4);
  EXPECT_REAL(tn_deviation_of(values, 1), 0);
  cr_assert(isnan(tn_mean_of(values, 0)) && isnan(tn_median_of(values, 0)));
}

/* Resamples of a constant are that constant. */
Test(statistics, the_bootstrap_of_a_constant_is_a_point) {
  tn_host_start();
  const double same[] = {0.7, 0.7, 0.7};
  double low, high;
  tn_bootstrap(same, 3, &low, &high);
  cr_assert(fabs(low - 0.7) < 1e-15 && fabs(high - 0.7) < 1e-15);
}

/* n values 0 or 1, half each: the mean of a resample is binomial, standard deviation 0.5 / sqrt n = 0.05 for
 * n = 100; the interval is 0.5 +- 1.96 x 0.05 = 0.402 .. 0.598. */
Test(statistics, the_bootstrap_interval_of_coin_tosses_is_binomial) {
  tn_host_start();
  double tosses[100], low, high, again_low, again_high;
  for (int i = 0; i < 100; i++) tosses[i] = i % 2;
  tn_bootstrap(tosses, 100, &low, &high);
  cr_assert(fabs(low - 0.402) < 0.012, "low %g", low);
  cr_assert(fabs(high - 0.598) < 0.012, "high %g", high);
  tn_bootstrap(tosses, 100, &again_low, &again_high);
  EXPECT_REAL(low, again_low);
  EXPECT_REAL(high, again_high);
}
