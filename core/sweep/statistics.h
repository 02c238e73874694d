// SPDX-License-Identifier: MIT
/* Figures over seeds. */
#ifndef TENON_CORE_STATISTICS_H
#define TENON_CORE_STATISTICS_H

#include <stdint.h>

double tn_mean_of(const double *values, uint32_t count);      /* NAN of none */
double tn_deviation_of(const double *values, uint32_t count); /* with n - 1; 0 of one, NAN of none */
double tn_median_of(const double *values, uint32_t count);    /* NAN of none */
double tn_least_of(const double *values, uint32_t count);
double tn_greatest_of(const double *values, uint32_t count);

/* The percentile bootstrap's 95 % interval of the mean (Efron and Tibshirani 1993, chapter 13): 10,000
 * resamples drawn by Philox with a fixed key, so the same values give the same interval. */
void tn_bootstrap(const double *values, uint32_t count, double *low, double *high);

#endif
