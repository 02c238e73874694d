// SPDX-License-Identifier: MIT
/* Pareto fronts of rows of objectives, larger better: which points are not dominated, and the volume that
 * they dominate. */
#ifndef TENON_PLUGINS_FRONT_H
#define TENON_PLUGINS_FRONT_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

enum { FRONT_MOST = 32 }; /* most objectives */

/* Whether a is at least b in every objective. */
static inline bool front_covers(const double *a, const double *b, uint32_t objectives) {
  for (uint32_t k = 0; k < objectives; k++)
    if (a[k] < b[k]) return false;
  return true;
}

/* Leaves the non-dominated points (n, objectives), each once, in front, in their order; how many. */
static inline int64_t front_filter(double *points, int64_t n, uint32_t objectives) {
  const size_t bytes = objectives * sizeof *points;
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    double point[FRONT_MOST];
    bool covered = false;
    memcpy(point, points + i * objectives, bytes);
    for (int64_t j = 0; j < kept && !covered; j++)
      covered = front_covers(points + j * objectives, point, objectives);
    if (covered) continue;
    int64_t left = 0;
    for (int64_t j = 0; j < kept; j++) {
      if (front_covers(point, points + j * objectives, objectives)) continue;
      if (left != j) memcpy(points + left * objectives, points + j * objectives, bytes);
      left++;
    }
    memcpy(points + left * objectives, point, bytes);
    kept = left + 1;
  }
  return kept;
}

/* Descending by the last of two, three ... objectives: one comparison for each number. */
static inline int front_by_last(const double *a, const double *b, uint32_t objectives) {
  const double x = a[objectives - 1], y = b[objectives - 1];
  return (x < y) - (x > y);
}
static inline int front_compare_2(const void *a, const void *b) { return front_by_last(a, b, 2); }
static inline int front_compare_3(const void *a, const void *b) { return front_by_last(a, b, 3); }

/* Volume above the origin of a rectangle. */
static inline double front_box(const double *point, uint32_t objectives) {
  double volume = 1;
  for (uint32_t k = 0; k < objectives; k++) volume *= point[k];
  return volume;
}

/* Two objectives: a staircase. `points` is sorted. */
static inline double front_area(double *points, int64_t n) {
  double area = 0, width = 0;
  qsort(points, (size_t)n, 2 * sizeof *points, front_compare_2);
  for (int64_t i = 0; i < n; i++) {
    if (points[2 * i] <= width) continue;
    area += (points[2 * i] - width) * points[2 * i + 1];
    width = points[2 * i];
  }
  return area;
}

/* Three: slabs of the third objective from the top down, each with the staircase so far. */
static inline double front_slabs(double *points, int64_t n) {
  double volume = 0, *plane = tn_alloc((size_t)(2 * n + 1) * sizeof *plane);
  if (!plane) return NAN;
  qsort(points, (size_t)n, 3 * sizeof *points, front_compare_3);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    const double low = i + 1 < n ? points[3 * (i + 1) + 2] : 0;
    memcpy(plane + 2 * kept, points + 3 * i, 2 * sizeof *plane);
    kept = front_filter(plane, kept + 1, 2);
    if (points[3 * i + 2] > low) volume += front_area(plane, kept) * (points[3 * i + 2] - low);
  }
  tn_free(plane);
  return volume;
}

/* WFG (While, Bradstreet and Barone 2012): the sum over points of what each adds to those behind it. */
static inline double front_volume(double *points, int64_t n, uint32_t objectives) {
  if (n == 0) return 0;
  if (objectives == 1) {
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, points[i]);
    return most;
  }
  if (objectives == 2) return front_area(points, n);
  if (objectives == 3) return front_slabs(points, n);
  double volume = 0, *limited = tn_alloc((size_t)n * objectives * sizeof *limited);
  if (!limited) return NAN;
  for (int64_t i = 0; i < n; i++) {
    const double *point = points + i * objectives;
    int64_t rest = n - i - 1;
    for (int64_t j = 0; j < rest; j++)
      for (uint32_t k = 0; k < objectives; k++)
        limited[j * objectives + k] = fmin(points[(i + 1 + j) * objectives + k], point[k]);
    rest = front_filter(limited, rest, objectives);
    volume += front_box(point, objectives) - front_volume(limited, rest, objectives);
  }
  tn_free(limited);
  return volume;
}

/* The volume between `reference` (objectives) and what n points dominate; points that are not above it in
 * every objective count nothing. `points` is not changed. NAN: out of memory. */
static inline double front_hypervolume(const double *points, int64_t n, uint32_t objectives,
                                       const double *reference) {
  double *above = tn_alloc((size_t)n * objectives * sizeof *above + sizeof *above);
  int64_t kept = 0;
  if (!above) return NAN;
  for (int64_t i = 0; i < n; i++) {
    bool inside = true;
    for (uint32_t k = 0; k < objectives; k++) {
      above[kept * objectives + k] = points[i * objectives + k] - reference[k];
      inside = inside && above[kept * objectives + k] > 0;
    }
    kept += inside;
  }
  kept = front_filter(above, kept, objectives);
  const double volume = front_volume(above, kept, objectives);
  tn_free(above);
  return volume;
}

#endif
