// SPDX-License-Identifier: MIT
/* L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995; Morales and Nocedal 2011): minimises a smooth function within
 * bounds, with k <= memory pairs (s, y) of changes of point and gradient. The model of the function is
 *
 *   B = theta I - W M W^T,  W = (Y, theta S),  M = ((-D, L^T), (L, theta S^T S))^-1
 *   D = diag(s_i^T y_i),  L_ij = s_i^T y_j for i > j
 *
 * One iteration: the generalised Cauchy point (the first local minimiser of the model along the projected
 * path of steepest descent), the minimiser of the model over the variables that are free there, projected,
 * a line search from the point to it with the strong Wolfe conditions, and a new pair. */
#ifndef TENON_PLUGINS_LBFGSB_H
#define TENON_PLUGINS_LBFGSB_H

#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/plugin.h>

typedef tn_status (*lbfgsb_function)(void *context, const double *point, double *gradient, double *value);

struct lbfgsb_break { /* where the path of steepest descent meets a bound */
  double at;
  int64_t variable;
};

struct lbfgsb {
  int64_t n, memory;
  const double *lower, *upper; /* (n); NULL: unbounded */
  lbfgsb_function function;
  void *context;
  /* What survives: all arrays in one block. */
  double *block;
  double *x, *g;        /* (n) */
  double *s, *y;        /* (memory, n), a ring that begins at `first` */
  double *sy, *ss;      /* (memory, memory): s_i^T y_j and s_i^T s_j, oldest first */
  int64_t count, first; /* pairs */
  int64_t evaluations;
  double value, theta;
  /* Scratch. */
  double *scratch;
  double *cauchy, *direction, *trial, *trial_gradient; /* (n) */
  double *m, *small, *p, *c, *v, *w; /* m, small: (2 memory, 2 memory); the others (2 memory) */
  struct lbfgsb_break *breaks;       /* (n) */
};

static inline size_t lbfgsb_bytes(const struct lbfgsb *b) {
  return (size_t)(2 * b->n + 2 * b->memory * b->n + 2 * b->memory * b->memory) * sizeof(double);
}
/* The arrays inside the block. */
static inline void lbfgsb_place(struct lbfgsb *b) {
  b->x = b->block;
  b->g = b->x + b->n;
  b->s = b->g + b->n;
  b->y = b->s + b->memory * b->n;
  b->sy = b->y + b->memory * b->n;
  b->ss = b->sy + b->memory * b->memory;
}

static inline void lbfgsb_release(struct lbfgsb *b) {
  tn_free(b->block);
  tn_free(b->scratch);
  tn_free(b->breaks);
  b->block = b->scratch = NULL;
  b->breaks = NULL;
}

static inline double lbfgsb_lower(const struct lbfgsb *b, int64_t i) {
  return b->lower ? b->lower[i] : -INFINITY;
}
static inline double lbfgsb_upper(const struct lbfgsb *b, int64_t i) {
  return b->upper ? b->upper[i] : INFINITY;
}
static inline double lbfgsb_project(const struct lbfgsb *b, int64_t i, double value) {
  return fmin(fmax(value, lbfgsb_lower(b, i)), lbfgsb_upper(b, i));
}

/* Sets n, memory, bounds, function and context before; begins at `start`, projected. Memory is cut to n. */
static inline tn_status lbfgsb_begin(struct lbfgsb *b, const double *start) {
  lbfgsb_release(b);
  if (b->memory > b->n) b->memory = b->n;
  const int64_t two = 2 * b->memory;
  b->count = b->first = b->evaluations = 0;
  b->theta = 1;
  b->block = tn_alloc(lbfgsb_bytes(b));
  b->scratch = tn_alloc((size_t)(4 * b->n + 2 * two * two + 4 * two) * sizeof(double));
  b->breaks = tn_alloc((size_t)b->n * sizeof *b->breaks);
  if (!b->block || !b->scratch || !b->breaks) return TN_ERROR_MEMORY;
  lbfgsb_place(b);
  b->cauchy = b->scratch;
  b->direction = b->cauchy + b->n;
  b->trial = b->direction + b->n;
  b->trial_gradient = b->trial + b->n;
  b->m = b->trial_gradient + b->n;
  b->small = b->m + two * two;
  b->p = b->small + two * two;
  b->c = b->p + two;
  b->v = b->c + two;
  b->w = b->v + two;
  for (int64_t i = 0; i < b->n; i++) b->x[i] = lbfgsb_project(b, i, start[i]);
  b->evaluations++;
  return b->function(b->context, b->x, b->g, &b->value);
}

/* The largest component of P(x - g) - x: 0 at a stationary point. */
static inline double lbfgsb_residual(const struct lbfgsb *b) {
  double largest = 0;
  for (int64_t i = 0; i < b->n; i++)
    largest = fmax(largest, fabs(lbfgsb_project(b, i, b->x[i] - b->g[i]) - b->x[i]));
  return largest;
}

/* ---- small dense algebra ---- */

static inline double lbfgsb_dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* b (k, columns) <- a^-1 b by Gauss-Jordan elimination with row pivots; a (k, k) is destroyed. */
static inline bool lbfgsb_solve(double *a, double *b, int64_t k, int64_t columns) {
  for (int64_t j = 0; j < k; j++) {
    int64_t pivot = j;
    for (int64_t i = j + 1; i < k; i++)
      if (fabs(a[i * k + j]) > fabs(a[pivot * k + j])) pivot = i;
    if (!(fabs(a[pivot * k + j]) > 0) || !isfinite(a[pivot * k + j])) return false;
    for (int64_t l = 0; pivot != j && l < k; l++) {
      const double swap = a[j * k + l];
      a[j * k + l] = a[pivot * k + l];
      a[pivot * k + l] = swap;
    }
    for (int64_t l = 0; pivot != j && l < columns; l++) {
      const double swap = b[j * columns + l];
      b[j * columns + l] = b[pivot * columns + l];
      b[pivot * columns + l] = swap;
    }
    const double scale = 1 / a[j * k + j];
    for (int64_t l = 0; l < k; l++) a[j * k + l] *= scale;
    for (int64_t l = 0; l < columns; l++) b[j * columns + l] *= scale;
    for (int64_t i = 0; i < k; i++) {
      const double factor = a[i * k + j];
      if (i == j || factor == 0) continue;
      for (int64_t l = 0; l < k; l++) a[i * k + l] -= factor * a[j * k + l];
      for (int64_t l = 0; l < columns; l++) b[i * columns + l] -= factor * b[j * columns + l];
    }
  }
  return true;
}

/* Pair number j, oldest first. */
static inline double *lbfgsb_s(const struct lbfgsb *b, int64_t j) {
  return b->s + (b->first + j) % b->memory * b->n;
}
static inline double *lbfgsb_y(const struct lbfgsb *b, int64_t j) {
  return b->y + (b->first + j) % b->memory * b->n;
}

/* M (2k, 2k). */
static inline bool lbfgsb_middle(struct lbfgsb *b) {
  const int64_t k = b->count, two = 2 * k;
  double *a = b->small;
  memset(a, 0, (size_t)(two * two) * sizeof *a);
  memset(b->m, 0, (size_t)(two * two) * sizeof *a);
  for (int64_t i = 0; i < k; i++) {
    a[i * two + i] = -b->sy[i * b->memory + i];
    for (int64_t j = 0; j < k; j++) {
      a[(k + i) * two + k + j] = b->theta * b->ss[i * b->memory + j];
      if (i > j) a[(k + i) * two + j] = a[j * two + k + i] = b->sy[i * b->memory + j];
    }
  }
  for (int64_t i = 0; i < two; i++) b->m[i * two + i] = 1;
  return lbfgsb_solve(a, b->m, two, two);
}

/* a^T M c */
static inline double lbfgsb_form(const struct lbfgsb *b, const double *a, const double *c) {
  const int64_t two = 2 * b->count;
  double sum = 0;
  for (int64_t i = 0; i < two; i++) sum += a[i] * lbfgsb_dot(b->m + i * two, c, two);
  return sum;
}
/* Row i of W. */
static inline void lbfgsb_row(const struct lbfgsb *b, int64_t i, double *row) {
  for (int64_t j = 0; j < b->count; j++) {
    row[j] = lbfgsb_y(b, j)[i];
    row[b->count + j] = b->theta * lbfgsb_s(b, j)[i];
  }
}
/* to <- W^T x */
static inline void lbfgsb_gather(const struct lbfgsb *b, const double *x, double *to) {
  for (int64_t j = 0; j < b->count; j++) {
    to[j] = lbfgsb_dot(lbfgsb_y(b, j), x, b->n);
    to[b->count + j] = b->theta * lbfgsb_dot(lbfgsb_s(b, j), x, b->n);
  }
}
/* x <- x + a W v */
static inline void lbfgsb_scatter(const struct lbfgsb *b, double a, const double *v, double *x) {
  for (int64_t j = 0; j < b->count; j++) {
    const double *y = lbfgsb_y(b, j), *s = lbfgsb_s(b, j);
    const double by_y = a * v[j], by_s = a * b->theta * v[b->count + j];
    for (int64_t i = 0; i < b->n; i++) x[i] += by_y * y[i] + by_s * s[i];
  }
}

/* ---- the model's minimiser ---- */

static inline int lbfgsb_earlier(const void *a, const void *b) {
  const double x = ((const struct lbfgsb_break *)a)->at, y = ((const struct lbfgsb_break *)b)->at;
  return (x > y) - (x < y);
}

/* Algorithm CP: b->cauchy, and b->c = W^T (cauchy - x). `d` is scratch (n). */
static inline void lbfgsb_cauchy_point(struct lbfgsb *b, double *d) {
  const int64_t two = 2 * b->count;
  int64_t breaks = 0;
  double slope = 0; /* f' along the path */
  for (int64_t i = 0; i < b->n; i++) {
    const double bound = b->g[i] < 0 ? lbfgsb_upper(b, i) : lbfgsb_lower(b, i);
    const double at = b->g[i] == 0 ? INFINITY : (b->x[i] - bound) / b->g[i];
    b->cauchy[i] = b->x[i];
    d[i] = at > 0 ? -b->g[i] : 0;
    slope -= d[i] * d[i];
    if (at > 0 && isfinite(at)) b->breaks[breaks++] = (struct lbfgsb_break){at, i};
  }
  memset(b->c, 0, (size_t)two * sizeof *b->c);
  if (slope == 0) return;
  qsort(b->breaks, (size_t)breaks, sizeof *b->breaks, lbfgsb_earlier);
  lbfgsb_gather(b, d, b->p);
  const double least = DBL_EPSILON * b->theta * -slope;
  double curvature = -b->theta * slope - lbfgsb_form(b, b->p, b->p), old = 0; /* f'' */
  double left = -slope / fmax(curvature, least); /* from `old` to the minimiser of this piece */
  for (int64_t k = 0; k < breaks && left >= b->breaks[k].at - old; k++) {
    const int64_t i = b->breaks[k].variable;
    const double g = b->g[i], piece = b->breaks[k].at - old;
    b->cauchy[i] = d[i] > 0 ? lbfgsb_upper(b, i) : lbfgsb_lower(b, i);
    const double z = b->cauchy[i] - b->x[i];
    for (int64_t j = 0; j < two; j++) b->c[j] += piece * b->p[j];
    lbfgsb_row(b, i, b->w);
    slope += piece * curvature + g * g + b->theta * g * z - g * lbfgsb_form(b, b->w, b->c);
    curvature -= b->theta * g * g + 2 * g * lbfgsb_form(b, b->w, b->p) + g * g * lbfgsb_form(b, b->w, b->w);
    curvature = fmax(curvature, least);
    for (int64_t j = 0; j < two; j++) b->p[j] += g * b->w[j];
    d[i] = 0;
    left = -slope / curvature;
    old = b->breaks[k].at;
  }
  left = fmax(left, 0);
  for (int64_t i = 0; i < b->n; i++)
    if (d[i] != 0) b->cauchy[i] = lbfgsb_project(b, i, b->x[i] + (old + left) * d[i]);
  for (int64_t j = 0; j < two; j++) b->c[j] += left * b->p[j];
}

static inline bool lbfgsb_free(const struct lbfgsb *b, int64_t i) {
  return b->cauchy[i] > lbfgsb_lower(b, i) && b->cauchy[i] < lbfgsb_upper(b, i);
}

/* v <- (I - M N)^-1 M v with N = W_F^T W_F / theta; false if the matrix is singular. */
static inline bool lbfgsb_inner_system(struct lbfgsb *b) {
  const int64_t two = 2 * b->count;
  double *n = b->small;
  memset(n, 0, (size_t)(two * two) * sizeof *n);
  for (int64_t i = 0; i < b->n; i++) {
    if (!lbfgsb_free(b, i)) continue;
    lbfgsb_row(b, i, b->w);
    for (int64_t j = 0; j < two; j++) {
      const double scaled = b->w[j] / b->theta;
      for (int64_t k = 0; k <= j; k++) n[j * two + k] += scaled * b->w[k];
    }
  }
  for (int64_t j = 0; j < two; j++)
    for (int64_t k = j + 1; k < two; k++) n[j * two + k] = n[k * two + j];
  for (int64_t k = 0; k < two; k++) { /* column k <- e_k - M (column k) */
    for (int64_t j = 0; j < two; j++) b->w[j] = n[j * two + k];
    for (int64_t j = 0; j < two; j++) n[j * two + k] = (j == k) - lbfgsb_dot(b->m + j * two, b->w, two);
  }
  memcpy(b->w, b->v, (size_t)two * sizeof *b->w);
  for (int64_t j = 0; j < two; j++) b->v[j] = lbfgsb_dot(b->m + j * two, b->w, two);
  return lbfgsb_solve(n, b->v, two, 1);
}

/* The direct primal method from the Cauchy point, then the direction from x to the projected minimiser. */
static inline void lbfgsb_subspace(struct lbfgsb *b) {
  const int64_t two = 2 * b->count;
  double *r = b->direction, *step = b->trial; /* the reduced gradient; 0 where a variable is not free */
  for (int64_t j = 0; j < two; j++) b->v[j] = lbfgsb_dot(b->m + j * two, b->c, two);
  for (int64_t i = 0; i < b->n; i++) r[i] = b->g[i] + b->theta * (b->cauchy[i] - b->x[i]);
  lbfgsb_scatter(b, -1, b->v, r);
  for (int64_t i = 0; i < b->n; i++) {
    if (!lbfgsb_free(b, i)) r[i] = 0;
    step[i] = -r[i] / b->theta;
  }
  lbfgsb_gather(b, r, b->v);
  if (two > 0 && lbfgsb_inner_system(b)) lbfgsb_scatter(b, -1 / (b->theta * b->theta), b->v, step);
  /* Projected; where that does not descend, as much of it as fits. */
  double slope = 0, share = 1;
  for (int64_t i = 0; i < b->n; i++) {
    if (!lbfgsb_free(b, i)) step[i] = 0;
    b->direction[i] = lbfgsb_project(b, i, b->cauchy[i] + step[i]) - b->x[i];
    slope += b->direction[i] * b->g[i];
    if (step[i] > 0) share = fmin(share, (lbfgsb_upper(b, i) - b->cauchy[i]) / step[i]);
    if (step[i] < 0) share = fmin(share, (lbfgsb_lower(b, i) - b->cauchy[i]) / step[i]);
  }
  for (int64_t i = 0; slope >= 0 && i < b->n; i++)
    b->direction[i] = lbfgsb_project(b, i, b->cauchy[i] + share * step[i]) - b->x[i];
}

/* ---- the line search (Nocedal and Wright 2006, algorithms 3.5 and 3.6) ---- */

struct lbfgsb_point {
  double at, value, slope;
};

/* The function at x + at direction, into trial and trial_gradient. */
static inline tn_status lbfgsb_try(struct lbfgsb *b, double at, struct lbfgsb_point *point) {
  for (int64_t i = 0; i < b->n; i++) b->trial[i] = lbfgsb_project(b, i, b->x[i] + at * b->direction[i]);
  b->evaluations++;
  *point = (struct lbfgsb_point){at, INFINITY, 0};
  const tn_status status = b->function(b->context, b->trial, b->trial_gradient, &point->value);
  point->slope = lbfgsb_dot(b->trial_gradient, b->direction, b->n);
  if (!isfinite(point->value) || !isfinite(point->slope)) point->value = INFINITY;
  return status;
}

/* Where the cubic through two points with their slopes has its minimum, well inside the interval. */
static inline double lbfgsb_between(struct lbfgsb_point low, struct lbfgsb_point high) {
  const double width = high.at - low.at, middle = low.at + width / 2;
  if (!isfinite(high.value)) return low.at + 0.1 * width;
  const double d = low.slope + high.slope - 3 * (low.value - high.value) / (low.at - high.at);
  const double root = copysign(sqrt(fmax(d * d - low.slope * high.slope, 0)), width);
  const double at = high.at - width * (high.slope + root - d) / (high.slope - low.slope + 2 * root);
  const double share = (at - low.at) / width;
  if (!isfinite(at)) return middle;
  return low.at + width * fmin(fmax(share, 0.1), 0.9);
}

/* *found: at 0 if no lower point was found; else it is in trial and trial_gradient. */
static inline tn_status lbfgsb_search(struct lbfgsb *b, double first, double most,
                                      struct lbfgsb_point *found) {
  const double decrease = 1e-4, flatness = 0.9;
  const struct lbfgsb_point start = {0, b->value, lbfgsb_dot(b->g, b->direction, b->n)};
  struct lbfgsb_point low = start, high = {0, INFINITY, 0}, now;
  bool bracketed = false;
  double at = fmin(first, most);
  *found = start;
  if (!(start.slope < 0)) return TN_OK;
  for (int tries = 0; tries < 40; tries++) {
    const tn_status status = lbfgsb_try(b, at, &now);
    if (status < 0) return status;
    if (now.value > start.value + decrease * at * start.slope || now.value >= low.value) {
      high = now;
      bracketed = true;
    } else {
      const bool flat = fabs(now.slope) <= -flatness * start.slope;
      if (flat || (!bracketed && at >= most)) {
        *found = now;
        return TN_OK;
      }
      if (now.slope * (bracketed ? high.at - low.at : 1) >= 0) high = low, bracketed = true;
      low = now;
    }
    if (bracketed && fabs(high.at - low.at) < 1e-14 * fmax(1, low.at)) break;
    at = bracketed ? lbfgsb_between(low, high) : fmin(4 * at, most);
  }
  if (low.at == 0) return TN_OK;
  *found = low; /* lower, if not flat */
  return low.at == now.at ? TN_OK : lbfgsb_try(b, low.at, found);
}

/* ---- one iteration ---- */

/* Remembers the step from x to trial, unless the curvature along it is not positive. */
static inline void lbfgsb_remember(struct lbfgsb *b) {
  double *s = b->direction, *y = b->cauchy; /* no longer needed */
  for (int64_t i = 0; i < b->n; i++) {
    s[i] = b->trial[i] - b->x[i];
    y[i] = b->trial_gradient[i] - b->g[i];
  }
  const double curvature = lbfgsb_dot(s, y, b->n), square = lbfgsb_dot(y, y, b->n);
  if (!(curvature > DBL_EPSILON * square)) return;
  const int64_t m = b->memory;
  if (b->count == m) { /* the oldest goes */
    b->first = (b->first + 1) % m;
    b->count--;
    for (int64_t i = 0; i < b->count; i++)
      for (int64_t j = 0; j < b->count; j++) {
        b->sy[i * m + j] = b->sy[(i + 1) * m + j + 1];
        b->ss[i * m + j] = b->ss[(i + 1) * m + j + 1];
      }
  }
  const int64_t k = b->count++;
  memcpy(lbfgsb_s(b, k), s, (size_t)b->n * sizeof *s);
  memcpy(lbfgsb_y(b, k), y, (size_t)b->n * sizeof *y);
  for (int64_t j = 0; j <= k; j++) {
    b->sy[k * m + j] = lbfgsb_dot(s, lbfgsb_y(b, j), b->n);
    b->sy[j * m + k] = lbfgsb_dot(lbfgsb_s(b, j), y, b->n);
    b->ss[k * m + j] = b->ss[j * m + k] = lbfgsb_dot(s, lbfgsb_s(b, j), b->n);
  }
  b->theta = square / curvature;
}

/* The longest step along the direction within the bounds, at least 1. */
static inline double lbfgsb_longest(const struct lbfgsb *b) {
  double most = 1e10;
  for (int64_t i = 0; i < b->n; i++) {
    const double d = b->direction[i];
    if (d > 0) most = fmin(most, (lbfgsb_upper(b, i) - b->x[i]) / d);
    if (d < 0) most = fmin(most, (lbfgsb_lower(b, i) - b->x[i]) / d);
  }
  return fmax(most, 1);
}

/* TN_DONE if the residual is at most `tolerance`, or if no lower point can be found. */
static inline tn_status lbfgsb_iterate(struct lbfgsb *b, double tolerance) {
  if (!isfinite(b->value)) return tn_fail(TN_ERROR_DIVERGED, "the value at the start is not finite");
  while (lbfgsb_residual(b) > tolerance) {
    if (b->count > 0 && !lbfgsb_middle(b)) b->count = 0;
    if (b->count == 0) b->theta = 1;
    lbfgsb_cauchy_point(b, b->direction);
    lbfgsb_subspace(b);
    struct lbfgsb_point found;
    const double length = sqrt(lbfgsb_dot(b->direction, b->direction, b->n));
    const double first = b->count == 0 && length > 1 ? 1 / length : 1;
    const tn_status status = lbfgsb_search(b, first, lbfgsb_longest(b), &found);
    if (status < 0) return status;
    if (found.at > 0) {
      lbfgsb_remember(b);
      memcpy(b->x, b->trial, (size_t)b->n * sizeof *b->x);
      memcpy(b->g, b->trial_gradient, (size_t)b->n * sizeof *b->g);
      b->value = found.value;
      return TN_OK;
    }
    if (b->count == 0) break;
    b->count = 0; /* from steepest descent again */
  }
  return TN_DONE;
}

#endif
