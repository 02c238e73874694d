// SPDX-License-Identifier: MIT
/* R2 indicator (Hansen and Jaszkiewicz 1998, as in Jain et al. 2023): over a grid of weights w,
 *
 *   R2 = sum_w min_a max_i w_i |ideal_i - r_i(a)| / |W|,   |W| the Frobenius norm of the matrix of weights
 *
 * Smaller is better. The weights are those of the simplex grid. */
#include "plugins/preferences/grid.h"
#include "points.h"

struct r2 {
  const char *field;
  bool minimise;
  int32_t select;
  int64_t divisions;
  tn_reals ideal;
  struct points points;
};
static const tn_param r2_params[] = {
    POINTS_PARAMS(r2),
    TN_INTEGER(struct r2, divisions, "10", 1, 1000, NULL, "steps a side of the simplex grid of weights"),
    TN_REALS(struct r2, ideal, "1", -INFINITY, INFINITY,
             "the best value of every objective, in its own sign; one number: the same in all"),
};

static void r2_reset(void *self) { points_clear(&((struct r2 *)self)->points); }
static tn_status r2_declare(void *self, const tn_spec *fields) {
  return points_declare(fields, ((struct r2 *)self)->field);
}
static tn_status r2_update(void *self, const tn_fields *fields) {
  struct r2 *metric = self;
  return points_add(&metric->points, fields, metric->field, metric->minimise, NULL);
}

static tn_status r2_values(void *self, tn_metric_sink *sink) {
  const struct r2 *metric = self;
  const uint32_t objectives = metric->points.objectives;
  double sum = 0, square = 0, ideal[FRONT_MOST], w[FRONT_MOST];
  int64_t count;
  if (metric->points.count == 0) return TN_OK;
  if (metric->ideal.count > 1 && metric->ideal.count != objectives)
    return tn_fail(TN_ERROR_INVALID, "ideal: %u numbers for %u objectives", metric->ideal.count, objectives);
  const int64_t weights = simplex_points(metric->divisions, objectives);
  if (weights < 1)
    return tn_fail(TN_ERROR_INVALID, "divisions gives too many weights for %u objectives", objectives);
  for (uint32_t k = 0; k < objectives; k++) {
    ideal[k] = metric->ideal.count == 0 ? 1 : metric->ideal.items[metric->ideal.count > 1 ? k : 0];
    if (metric->minimise) ideal[k] = -ideal[k];
  }
  double *rows = points_objectives(&metric->points, metric->select == SELECT_BEST, &count);
  if (!rows) return TN_ERROR_MEMORY;
  count = front_filter(rows, count, objectives); /* a dominated row is never the best for any weights */
  for (int64_t j = 0; j < weights; j++) {
    double best = INFINITY;
    simplex_point(metric->divisions, objectives, j, w);
    for (uint32_t k = 0; k < objectives; k++) square += w[k] * w[k];
    for (int64_t i = 0; i < count; i++) {
      double worst = 0;
      for (uint32_t k = 0; k < objectives; k++)
        worst = fmax(worst, w[k] * fabs(ideal[k] - rows[i * objectives + k]));
      best = fmin(best, worst);
    }
    sum += best;
  }
  tn_free(rows);
  sink->value(sink, "r2", sum / sqrt(square));
  return TN_OK;
}

static tn_status r2_merge(void *self, const void *other) {
  return points_merge(&((struct r2 *)self)->points, &((const struct r2 *)other)->points);
}
static tn_status r2_state(void *self, const tn_visitor *visitor) {
  return points_state(&((struct r2 *)self)->points, visitor);
}

static const tn_class r2_class = {.size = sizeof(tn_class),
                                  .kind = TN_METRIC,
                                  .name = "r2",
                                  .summary =
                                      "Distance of a set of objectives from the ideal point, over weights",
                                  .reference = "Hansen and Jaszkiewicz 1998, Evaluating the quality of "
                                               "approximations to the non-dominated set",
                                  TN_CLASS_PARAMS(r2_params),
                                  .instance_size = sizeof(struct r2),
                                  .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                                               .reset = r2_reset,
                                                               .update = r2_update,
                                                               .values = r2_values,
                                                               .declare = r2_declare,
                                                               .merge = r2_merge},
                                  .destroy = r2_reset,
                                  .state = r2_state};
TN_PLUGIN("metric_r2", "1.0.0", "MIT", &r2_class)
