// SPDX-License-Identifier: MIT
/* A convex piecewise linear function with a known minimum:
 *   f(x) = max_i a_i' (x - x*) - h_i
 * The first `active` pieces have height h_i = 0, and their slopes, standard normal ones minus their mean, sum
 * to 0: x* is a minimiser with f(x*) = 0. The other pieces have standard normal slopes and h_i uniform in
 * [0, gap]. Slopes are divided by the norm of the longest one: f is 1-Lipschitz. x* = spread z; the start
 * lies at `distance` from x* in a random direction. All is fixed by the run's seed. */
#include <tenon/problem.h>

struct max_affine {
  int64_t dimension, pieces, active, instance;
  double gap, spread, distance;
  double *slopes;   /* (pieces, d); NULL until it is first needed */
  double *heights;  /* (pieces) */
  double *solution; /* (d) x* */
};
static const tn_param max_affine_params[] = {
    TN_INTEGER(struct max_affine, dimension, "8", 1, 4096, NULL, "variables"),
    TN_INTEGER(struct max_affine, pieces, "30", 2, 1 << 20, NULL, "affine functions"),
    TN_INTEGER(struct max_affine, active, "0", 0, 1 << 20, NULL,
               "pieces that meet in the minimum; 0: all but a third"),
    TN_REAL(struct max_affine, gap, "1", 0, INFINITY, "how far below others may be there"),
    TN_REAL(struct max_affine, spread, "1", 0, INFINITY, "standard deviation of the minimiser's coordinates"),
    TN_REAL(struct max_affine, distance, "1", 0, INFINITY, "of the start from the minimiser"),
    TN_INTEGER(struct max_affine, instance, "0", 0, 1e15, NULL, "which of the problems of one seed"),
};

static tn_status max_affine_create(void *self) {
  const struct max_affine *f = self;
  if (f->active == 1 || f->active > f->pieces)
    return tn_fail(TN_ERROR_INVALID, "active = %lld: expected 0 or 2 to %lld, the pieces",
                   (long long)f->active, (long long)f->pieces);
  return TN_OK;
}

static double length(const double *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

/* Slopes, heights and x*; once. */
static tn_status max_affine_make(struct max_affine *f) {
  const int64_t d = f->dimension, active = f->active > 0 ? f->active : f->pieces - f->pieces / 3;
  double longest = 0;
  if (f->slopes) return TN_OK;
  f->slopes = tn_alloc((size_t)(f->pieces * d) * sizeof *f->slopes);
  f->heights = tn_alloc((size_t)f->pieces * sizeof *f->heights);
  f->solution = tn_alloc((size_t)d * sizeof *f->solution);
  if (!f->slopes || !f->heights || !f->solution) return TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at("problem.max_affine", "pieces", (uint64_t)f->instance);
  for (int64_t i = 0; i < f->pieces * d; i++) f->slopes[i] = tn_random_normal(&rng);
  for (int64_t i = active; i < f->pieces; i++) f->heights[i] = f->gap * tn_random_uniform(&rng);
  for (int64_t j = 0; j < d; j++) f->solution[j] = f->spread * tn_random_normal(&rng);
  for (int64_t j = 0; j < d; j++) {
    double mean = 0;
    for (int64_t i = 0; i < active; i++) mean += f->slopes[i * d + j] / (double)active;
    for (int64_t i = 0; i < active; i++) f->slopes[i * d + j] -= mean;
  }
  for (int64_t i = 0; i < f->pieces; i++) longest = fmax(longest, length(f->slopes + i * d, d));
  for (int64_t i = 0; i < f->pieces * d; i++) f->slopes[i] /= longest;
  return TN_OK;
}

static tn_status max_affine_describe(void *self, tn_problem_info *info) {
  struct max_affine *f = self;
  const tn_status status = max_affine_make(f);
  info->objectives = 1;
  info->variables = f->dimension;
  info->optimum = 0;
  info->solution = f->solution;
  info->lipschitz = 1;
  info->strong_convexity = 0;
  return status;
}

/* The gradient of the first of the largest pieces. */
static tn_status max_affine_gradient(void *self, const double *x, double *gradient, double *value) {
  struct max_affine *f = self;
  const int64_t d = f->dimension;
  const tn_status status = max_affine_make(f);
  int64_t top = 0;
  if (status < 0) return status;
  *value = -INFINITY;
  for (int64_t i = 0; i < f->pieces; i++) {
    double height = -f->heights[i];
    for (int64_t j = 0; j < d; j++) height += f->slopes[i * d + j] * (x[j] - f->solution[j]);
    if (height > *value) {
      *value = height;
      top = i;
    }
  }
  for (int64_t j = 0; gradient && j < d; j++) gradient[j] = f->slopes[top * d + j];
  return TN_OK;
}

static tn_status max_affine_evaluate(void *self, const double *points, int64_t n, double *values) {
  const int64_t d = ((struct max_affine *)self)->dimension;
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < n; i++)
    status = max_affine_gradient(self, points + i * d, NULL, &values[i]);
  return status;
}

static tn_status max_affine_start(void *self, double *point, tn_rng *rng) {
  struct max_affine *f = self;
  const int64_t d = f->dimension;
  const tn_status status = max_affine_make(f);
  if (status < 0) return status;
  for (int64_t j = 0; j < d; j++) point[j] = tn_random_normal(rng);
  const double norm = length(point, d);
  for (int64_t j = 0; j < d; j++) point[j] = f->solution[j] + f->distance * point[j] / norm;
  return TN_OK;
}

static tn_status max_affine_begin(void *self) { return max_affine_make(self); }
static void max_affine_destroy(void *self) {
  struct max_affine *f = self;
  tn_free(f->slopes);
  tn_free(f->heights);
  tn_free(f->solution);
}

static const tn_class max_affine_class = {.size = sizeof(tn_class),
                                          .kind = TN_PROBLEM,
                                          .name = "max_affine",
                                          .summary = "A random convex piecewise linear function",
                                          TN_CLASS_PARAMS(max_affine_params),
                                          .instance_size = sizeof(struct max_affine),
                                          .vtable = &(const tn_problem){.size = sizeof(tn_problem),
                                                                        .describe = max_affine_describe,
                                                                        .evaluate = max_affine_evaluate,
                                                                        .gradient = max_affine_gradient,
                                                                        .start = max_affine_start,
                                                                        .begin = max_affine_begin},
                                          .create = max_affine_create,
                                          .destroy = max_affine_destroy};
TN_PLUGIN("problem_max_affine", "1.0.0", "MIT", &max_affine_class)
