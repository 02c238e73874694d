// SPDX-License-Identifier: MIT
/* The distances of G. Reinelt, "TSPLIB 95", section 2. */
#include <math.h>

#include "core/format/tsplib.h"

static int64_t nearest(double x) { return (int64_t)(x + 0.5); }

/* Radians of a latitude or longitude as DDD.MM. The paper rounds to the degree, the optimal lengths it lists
 * hold for truncation (TSPLIB FAQ, ulysses16), and with this value of pi. */
static double radians(double degrees_minutes) {
  const double pi = 3.141592;
  double degrees = trunc(degrees_minutes), minutes = degrees_minutes - degrees;
  return pi * (degrees + 5.0 * minutes / 3.0) / 180.0;
}

static int64_t geographical(const double *a, const double *b) {
  const double radius = 6378.388; // of the earth, km
  double q1 = cos(radians(a[1]) - radians(b[1]));
  double q2 = cos(radians(a[0]) - radians(b[0]));
  double q3 = cos(radians(a[0]) + radians(b[0]));
  double cosine = 0.5 * ((1.0 + q1) * q2 - (1.0 - q1) * q3);
  return (int64_t)(radius * acos(fmax(-1.0, fmin(1.0, cosine))) + 1.0);
}

/* "Pseudo-Euclidean": the root of a tenth of the square, rounded to the nearest and then up. */
static int64_t pseudo_euclidean(double x, double y) {
  double r = sqrt((x * x + y * y) / 10.0);
  int64_t t = nearest(r);
  return (double)t < r ? t + 1 : t;
}

int64_t tn_tsplib_distance(const tn_tsplib *problem, size_t a, size_t b) {
  if (problem->weight == TN_TSPLIB_EXPLICIT) return problem->weights[a * problem->count + b];
  const double *p = problem->coordinates + 2 * a, *q = problem->coordinates + 2 * b;
  double x = p[0] - q[0], y = p[1] - q[1];
  switch (problem->weight) {
  case TN_TSPLIB_GEO: return geographical(p, q);
  case TN_TSPLIB_ATT: return pseudo_euclidean(x, y);
  case TN_TSPLIB_CEIL_2D: return (int64_t)ceil(sqrt(x * x + y * y));
  default: return nearest(sqrt(x * x + y * y));
  }
}

int64_t tn_tsplib_length(const tn_tsplib *problem, const int32_t *tour, size_t count) {
  int64_t length = 0;
  for (size_t i = 0; i < count; i++)
    length += tn_tsplib_distance(problem, (size_t)tour[i], (size_t)tour[i + 1 < count ? i + 1 : 0]);
  return length;
}
