// SPDX-License-Identifier: MIT
/* Gradients against central differences, in float64. */
#ifndef TENON_CORE_DIFFERENCE_H
#define TENON_CORE_DIFFERENCE_H

#include "core/conformance/trial.h"

/* The function's value for what is in memory now. */
typedef double (*tn_function)(void *context);
/* Fails unless `derivative` is that of the function by *at, which `name`[index] names. Where the function has
 * a kink, one-sided differences disagree, and nothing is checked; false then. */
bool tn_difference_check(tn_function function, void *context, double *at, double derivative, const char *name,
                         int64_t index);

#endif
