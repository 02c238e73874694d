// SPDX-License-Identifier: MIT
#include "core/sweep/series.h"
#include "core/config/memory.h"
#include "core/sweep/statistics.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tn_series_add(tn_series *series, tn_point point) {
  *(tn_point *)tn_grow(&series->points, series->count, &series->room, sizeof point) = point;
  series->count++;
}

tn_series tn_series_number(double value) {
  tn_series series = {.scalar = true};
  tn_series_add(&series, (tn_point){.value = value, .seed = -1, .variant = ""});
  return series;
}

void tn_series_free(tn_series *series) {
  free(series->points);
  *series = (tn_series){0};
}

/* ---- run by run ---- */

/* True if `other` differs in arm: then a choice by arm is possible. */
static bool has_arms(const tn_series *series) {
  for (uint32_t i = 1; i < series->count; i++)
    if (series->points[i].arm != series->points[0].arm) return true;
  return false;
}

static bool has_variants(const tn_series *series) {
  for (uint32_t i = 1; i < series->count; i++)
    for (uint32_t k = 0; k < i; k++)
      if (series->points[i].arm == series->points[k].arm &&
          strcmp(series->points[i].variant, series->points[k].variant) != 0)
        return true;
  return false;
}

typedef struct pairing {
  bool by_arm, by_variant;
} pairing;

static pairing pairing_of(const tn_series *series) {
  return (pairing){has_arms(series), has_variants(series)};
}

static bool find(const tn_series *series, pairing by, const tn_point *like, double *value) {
  if (series->scalar) {
    *value = series->points[0].value;
    return true;
  }
  for (uint32_t i = 0; i < series->count; i++) {
    const tn_point *p = &series->points[i];
    if (p->seed != like->seed || (by.by_arm && p->arm != like->arm)) continue;
    if (by.by_variant && strcmp(p->variant, like->variant) != 0) continue;
    *value = p->value;
    return true;
  }
  return false;
}

bool tn_series_at(const tn_series *series, const tn_point *like, double *value) {
  return find(series, pairing_of(series), like, value);
}

/* Why nothing of `series` goes with `like`. */
static bool unpaired(const tn_series *series, const tn_point *like, char *why, size_t bytes) {
  bool seed = false;
  for (uint32_t i = 0; i < series->count; i++) seed |= series->points[i].seed == like->seed;
  if (!seed)
    snprintf(why, bytes, "runs are paired by seed, and not all have a run of seed %lld",
             (long long)like->seed);
  else
    snprintf(why, bytes,
             "runs are paired, and not all have one of '%s': choose, as in arm[key=value] or "
             "arm[best=stage.result], or compare best(...)",
             like->variant);
  return false;
}

bool tn_series_apply(tn_formula_operation operation, const tn_series *const *operands, tn_series *into,
                     char *why, size_t bytes) {
  const uint32_t arity = tn_formula_arity(operation);
  const tn_series *widest = NULL;
  pairing by[3] = {0};
  for (uint32_t i = 0; i < arity; i++) {
    if (operands[i]->scalar) continue;
    by[i] = pairing_of(operands[i]);
    if (!widest || operands[i]->count > widest->count) widest = operands[i];
  }
  *into = (tn_series){.scalar = !widest};
  const uint32_t count = widest ? widest->count : 1;
  for (uint32_t k = 0; k < count; k++) {
    tn_point point = widest ? widest->points[k] : (tn_point){.seed = -1, .variant = ""};
    double x[3] = {0};
    for (uint32_t i = 0; i < arity; i++) {
      if (operands[i] == widest)
        x[i] = point.value;
      else if (!find(operands[i], by[i], &point, &x[i]))
        return unpaired(operands[i], &point, why, bytes);
    }
    point.value = tn_formula_value(operation, x[0], x[1], x[2]);
    tn_series_add(into, point);
  }
  return true;
}

/* ---- over runs ---- */

/* The largest (sign 1) or smallest (-1), over arms and variants, of the mean over seeds. */
static double over_variants(const tn_series *s, double sign, double *group) {
  double found = NAN;
  for (uint32_t i = 0; i < s->count; i++) {
    uint32_t count = 0;
    for (uint32_t k = 0; k < s->count; k++)
      if (s->points[k].arm == s->points[i].arm && strcmp(s->points[k].variant, s->points[i].variant) == 0)
        group[count++] = s->points[k].value;
    const double mean = tn_mean_of(group, count);
    if (isnan(found) || sign * mean > sign * found) found = mean;
  }
  return found;
}

double tn_series_over(tn_formula_operation operation, const tn_series *s) {
  double *values = tn_take((s->count + 1) * sizeof *values), result = NAN, sum = 0;
  uint32_t true_ones = 0;
  for (uint32_t i = 0; i < s->count; i++) {
    values[i] = s->points[i].value;
    sum += values[i];
    true_ones += values[i] != 0;
  }
  switch (operation) {
  case TN_OP_MEAN: result = tn_mean_of(values, s->count); break;
  case TN_OP_STD: result = tn_deviation_of(values, s->count); break;
  case TN_OP_MEDIAN: result = tn_median_of(values, s->count); break;
  case TN_OP_SMALLEST: result = tn_least_of(values, s->count); break;
  case TN_OP_LARGEST: result = tn_greatest_of(values, s->count); break;
  case TN_OP_SUM: result = sum; break;
  case TN_OP_COUNT: result = true_ones; break;
  case TN_OP_ALL: result = s->count > 0 && true_ones == s->count; break;
  case TN_OP_ANY: result = true_ones > 0; break;
  case TN_OP_BEST: result = over_variants(s, 1, values); break;
  default: result = over_variants(s, -1, values); break;
  }
  free(values);
  return result;
}
