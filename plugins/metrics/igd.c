// SPDX-License-Identifier: MIT
/* Rows of objectives against a reference front: the true front of an environment, or the rows of a data set.
 *
 *   metric.igd             inverted generational distance (Coello and Sierra 2004): the mean over reference
 * points of the distance to the nearest row; with `plus` IGD+ (Ishibuchi et al. 2015): only what a row is
 * worse counts metric.pareto_entropy  every row goes to its nearest reference point: the entropy of their
 * distribution (nats; Roy et al. 2023), and `coverage`, the share of reference points that get any */
#include "plugins/environments/graph.h"
#include "points.h"
#include <tenon/dataset.h>

struct reference {
  const char *field, *reference_field;
  const tn_component *environment, *data;
  bool minimise, plus;
  int32_t select;
  int64_t limit;

  struct points points;
  double *front; /* (count, objectives), larger better */
  int64_t count;
  uint32_t objectives;
};
#define REFERENCE_PARAMS                                                          \
  POINTS_PARAMS(reference),                                                       \
      TN_REFERENCE(struct reference, environment, 0, TN_ENVIRONMENT, NULL,        \
                   "whose true front is the reference; or give `data`"),          \
      TN_REFERENCE(struct reference, data, 0, TN_DATASET, NULL,                   \
                   "rows of objectives that are the reference"),                  \
      TN_STRING(struct reference, reference_field, "input", "field of the data"), \
      TN_INTEGER(struct reference, limit, "1e6", 1, 1 << 28, "states", "most states of the environment")
static const tn_param igd_params[] = {
    REFERENCE_PARAMS,
    TN_BOOL(struct reference, plus, "no",
            "IGD+: a row that is better than a reference point is at distance 0"),
};
static const tn_param pareto_entropy_params[] = {REFERENCE_PARAMS};

static tn_status reference_given(const struct reference *metric) {
  if (!metric->environment == !metric->data)
    return tn_fail(TN_ERROR_INVALID, "give an environment or data with the reference front, one of the two");
  return TN_OK;
}
static void reference_reset(void *self) { points_clear(&((struct reference *)self)->points); }
static void reference_destroy(void *self) {
  reference_reset(self);
  tn_free(((struct reference *)self)->front);
}
static tn_status reference_declare(void *self, const tn_spec *fields) {
  const struct reference *metric = self;
  const tn_status status = reference_given(metric);
  return status < 0 ? status : points_declare(fields, metric->field);
}
static tn_status reference_update(void *self, const tn_fields *fields) {
  struct reference *metric = self;
  return points_add(&metric->points, fields, metric->field, metric->minimise, NULL);
}

static tn_status read_front(struct reference *metric) {
  const int64_t rows = tn_dataset_rows(metric->data);
  if (rows < 1) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", metric->data->name);
  int64_t *index = tn_alloc((size_t)rows * sizeof *index);
  if (!index) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < rows; i++) index[i] = i;
  tn_fields *fields = tn_fields_new();
  tn_status status = tn_dataset_read(metric->data, index, rows, fields);
  tn_free(index);
  const tn_tensor *x = status >= 0 ? tn_field(fields, metric->reference_field) : NULL;
  if (status < 0 || tn_failed()) return status < 0 ? status : tn_outcome();
  metric->objectives = (uint32_t)(tn_numel(x) / rows);
  metric->front = tn_alloc((size_t)tn_numel(x) * sizeof *metric->front);
  if (!metric->front) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < tn_numel(x); i++)
    metric->front[i] = (metric->minimise ? -1 : 1) * points_number(x, i);
  metric->count = rows;
  return TN_OK;
}

/* The reference front; found once. */
static tn_status find_front(struct reference *metric) {
  if (metric->front) return TN_OK;
  if (reference_given(metric) < 0) return TN_ERROR_INVALID;
  if (metric->data) {
    const tn_status status = read_front(metric);
    if (status < 0) return status;
  } else {
    metric->front = graph_objectives(metric->environment, metric->limit, &metric->count, &metric->objectives);
    if (!metric->front) return TN_ERROR_INVALID;
  }
  if (metric->objectives < 1 || metric->objectives > FRONT_MOST)
    return tn_fail(TN_ERROR_SHAPE, "a reference of %u objectives", metric->objectives);
  metric->count = front_filter(metric->front, metric->count, metric->objectives);
  return TN_OK;
}

static double distance(const struct reference *metric, const double *row, const double *target) {
  double sum = 0;
  for (uint32_t k = 0; k < metric->objectives; k++) {
    const double d = target[k] - row[k];
    if (!metric->plus || d > 0) sum += d * d;
  }
  return sqrt(sum);
}

/* The rows to judge, which the caller frees; NULL: an error, or none. */
static double *rows_of(struct reference *metric, int64_t *count) {
  if (metric->points.count == 0 || find_front(metric) < 0) return NULL;
  if (metric->points.objectives != metric->objectives)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %u objectives, the reference front %u", metric->field,
                   metric->points.objectives, metric->objectives),
           NULL;
  return points_objectives(&metric->points, metric->select == SELECT_BEST, count);
}

static tn_status igd_values(void *self, tn_metric_sink *sink) {
  struct reference *metric = self;
  int64_t count = 0;
  double sum = 0, *rows = rows_of(metric, &count);
  if (!rows) return tn_failed() ? TN_ERROR_INVALID : TN_OK;
  for (int64_t j = 0; j < metric->count; j++) {
    double nearest = INFINITY;
    for (int64_t i = 0; i < count; i++)
      nearest = fmin(nearest,
                     distance(metric, rows + i * metric->objectives, metric->front + j * metric->objectives));
    sum += nearest;
  }
  tn_free(rows);
  sink->value(sink, metric->plus ? "igd_plus" : "igd", sum / (double)metric->count);
  return TN_OK;
}

static tn_status pareto_entropy_values(void *self, tn_metric_sink *sink) {
  struct reference *metric = self;
  int64_t count = 0;
  double entropy = 0, covered = 0, *rows = rows_of(metric, &count);
  if (!rows) return tn_failed() ? TN_ERROR_INVALID : TN_OK;
  double *share = tn_alloc((size_t)metric->count * sizeof *share);
  for (int64_t i = 0; share && i < count; i++) {
    int64_t nearest = 0;
    double least = INFINITY;
    for (int64_t j = 0; j < metric->count; j++) {
      const double d =
          distance(metric, rows + i * metric->objectives, metric->front + j * metric->objectives);
      if (d < least) least = d, nearest = j;
    }
    share[nearest] += 1 / (double)count;
  }
  for (int64_t j = 0; share && j < metric->count; j++)
    if (share[j] > 0) entropy -= share[j] * log(share[j]), covered++;
  tn_free(rows);
  tn_free(share);
  if (!share) return TN_ERROR_MEMORY;
  sink->value(sink, "pareto_entropy", entropy);
  sink->value(sink, "coverage", covered / (double)metric->count);
  return TN_OK;
}

static tn_status reference_merge(void *self, const void *other) {
  return points_merge(&((struct reference *)self)->points, &((const struct reference *)other)->points);
}
static tn_status reference_state(void *self, const tn_visitor *visitor) {
  return points_state(&((struct reference *)self)->points, visitor);
}

static const tn_class igd_class = {.size = sizeof(tn_class),
                                   .kind = TN_METRIC,
                                   .name = "igd",
                                   .summary = "Mean distance of a reference front from a set of objectives",
                                   .reference =
                                       "Coello and Sierra 2004; Ishibuchi et al. 2015, Modified Distance "
                                       "Calculation in Generational Distance",
                                   TN_CLASS_PARAMS(igd_params),
                                   .instance_size = sizeof(struct reference),
                                   .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                                                .reset = reference_reset,
                                                                .update = reference_update,
                                                                .values = igd_values,
                                                                .declare = reference_declare,
                                                                .merge = reference_merge},
                                   .destroy = reference_destroy,
                                   .state = reference_state};
static const tn_class pareto_entropy_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "pareto_entropy",
    .summary = "How evenly a set of objectives covers a reference front",
    .reference =
        "Roy et al. 2023, Goal-conditioned GFlowNets for Controllable Multi-Objective Molecular Design",
    TN_CLASS_PARAMS(pareto_entropy_params),
    .instance_size = sizeof(struct reference),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = reference_reset,
                                 .update = reference_update,
                                 .values = pareto_entropy_values,
                                 .declare = reference_declare,
                                 .merge = reference_merge},
    .destroy = reference_destroy,
    .state = reference_state};
TN_PLUGIN("metric_igd", "1.0.0", "MIT", &igd_class, &pareto_entropy_class)
