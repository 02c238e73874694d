// SPDX-License-Identifier: MIT
/* A number for every run of an experiment, or one number: what the parts of a claim are worth. */
#ifndef TENON_CORE_SERIES_H
#define TENON_CORE_SERIES_H

#include "core/expression/graph.h"
#include <stddef.h>

typedef struct tn_point {
  double value;
  int64_t seed;        /* -1: none */
  uint32_t arm;        /* its number */
  const char *variant; /* what the arm's axes but the seed say */
} tn_point;

typedef struct tn_series {
  tn_point *points;
  uint32_t count, room;
  bool scalar; /* one number, of no run */
} tn_series;

tn_series tn_series_number(double value);
void tn_series_add(tn_series *series, tn_point point);
void tn_series_free(tn_series *series);

/* The value that goes with `like`: of the same seed, of the same arm if the series has several, and of the
 * same variant unless each arm has one. False: there is none. */
bool tn_series_at(const tn_series *series, const tn_point *like, double *value);
/* An operation on numbers, run by run. False and why if runs of the operands do not belong together. */
bool tn_series_apply(tn_formula_operation operation, const tn_series *const *operands, tn_series *into,
                     char *why, size_t bytes);
/* An operation over runs (tn_formula_gathers). */
double tn_series_over(tn_formula_operation operation, const tn_series *series);

#endif
