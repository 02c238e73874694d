// SPDX-License-Identifier: MIT
/* A strongly convex quadratic with a random matrix:
 *   f(x) = 1/2 (x - c)' A (x - c),  A = Q Q' / d + ridge I,  c = spread z
 * with standard normal Q (d, d) and z (d), fixed by the run's seed. */
#include <tenon/problem.h>

struct quadratic {
  int64_t dimension, instance;
  double ridge, spread, deviation;
  double *matrix; /* (d, d) A; NULL until it is first needed */
  double *centre; /* (d) c */
  double least, largest;
};
static const tn_param quadratic_params[] = {
    TN_INTEGER(struct quadratic, dimension, "20", 1, 4096, NULL, "variables"),
    TN_REAL(struct quadratic, ridge, "0.1", 0, INFINITY, "added to the diagonal"),
    TN_REAL(struct quadratic, spread, "3", 0, INFINITY, "standard deviation of the minimiser's coordinates"),
    TN_PARAM_(struct quadratic, deviation, TN_PARAM_REAL, 0, "0", 0, INFINITY, NULL, NULL, NULL,
              "standard deviation of the coordinates of the point to start from"),
    TN_INTEGER(struct quadratic, instance, "0", 0, 1e15, NULL, "which of the problems of one seed"),
};

/* A and c; once. */
static tn_status quadratic_make(struct quadratic *q) {
  const int64_t d = q->dimension;
  if (q->matrix) return TN_OK;
  double *factor = tn_alloc((size_t)(d * d) * sizeof *factor);
  q->matrix = tn_alloc((size_t)(d * d) * sizeof *q->matrix);
  q->centre = tn_alloc((size_t)d * sizeof *q->centre);
  if (!factor || !q->matrix || !q->centre) return tn_free(factor), TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at("problem.quadratic", "matrix", (uint64_t)q->instance);
  for (int64_t i = 0; i < d * d; i++) factor[i] = tn_random_normal(&rng);
  for (int64_t i = 0; i < d; i++) q->centre[i] = q->spread * tn_random_normal(&rng);
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j < d; j++) {
      double sum = 0;
      for (int64_t k = 0; k < d; k++) sum += factor[i * d + k] * factor[j * d + k];
      q->matrix[i * d + j] = sum / (double)d + (i == j ? q->ridge : 0);
    }
  tn_free(factor);
  tn_tensor *values, *vectors;
  tn_scope_open();
  tn_status status = tn_eigh(tn_from(TN_F64, TN_SHAPE(d, d), q->matrix), &values, &vectors);
  if (status >= 0) status = tn_outcome();
  if (status >= 0) {
    q->least = tn_f64(values)[0];
    q->largest = tn_f64(values)[d - 1];
  }
  tn_scope_close();
  return status;
}

static tn_status quadratic_describe(void *self, tn_problem_info *info) {
  struct quadratic *q = self;
  const tn_status status = quadratic_make(q);
  info->objectives = 1;
  info->variables = q->dimension;
  info->optimum = 0;
  info->solution = q->centre;
  info->smoothness = q->largest;
  info->strong_convexity = q->least;
  return status;
}

static tn_status quadratic_gradient(void *self, const double *x, double *gradient, double *value) {
  struct quadratic *q = self;
  const int64_t d = q->dimension;
  tn_status status = quadratic_make(q);
  *value = 0;
  for (int64_t i = 0; status >= 0 && i < d; i++) {
    double sum = 0;
    for (int64_t j = 0; j < d; j++) sum += q->matrix[i * d + j] * (x[j] - q->centre[j]);
    *value += sum * (x[i] - q->centre[i]) / 2;
    if (gradient) gradient[i] = sum;
  }
  return status;
}

static tn_status quadratic_evaluate(void *self, const double *points, int64_t n, double *values) {
  const int64_t d = ((struct quadratic *)self)->dimension;
  tn_status status = TN_OK;
  for (int64_t i = 0; status >= 0 && i < n; i++)
    status = quadratic_gradient(self, points + i * d, NULL, &values[i]);
  return status;
}

static tn_status quadratic_start(void *self, double *point, tn_rng *rng) {
  const struct quadratic *q = self;
  for (int64_t i = 0; i < q->dimension; i++) point[i] = q->deviation * tn_random_normal(rng);
  return TN_OK;
}

static tn_status quadratic_begin(void *self) { return quadratic_make(self); }
static void quadratic_destroy(void *self) {
  tn_free(((struct quadratic *)self)->matrix);
  tn_free(((struct quadratic *)self)->centre);
}

static const tn_class quadratic_class = {.size = sizeof(tn_class),
                                         .kind = TN_PROBLEM,
                                         .name = "quadratic",
                                         .summary = "A random strongly convex quadratic",
                                         TN_CLASS_PARAMS(quadratic_params),
                                         .instance_size = sizeof(struct quadratic),
                                         .vtable = &(const tn_problem){.size = sizeof(tn_problem),
                                                                       .describe = quadratic_describe,
                                                                       .evaluate = quadratic_evaluate,
                                                                       .gradient = quadratic_gradient,
                                                                       .start = quadratic_start,
                                                                       .begin = quadratic_begin},
                                         .destroy = quadratic_destroy};
TN_PLUGIN("problem_quadratic", "1.0.0", "MIT", &quadratic_class)
