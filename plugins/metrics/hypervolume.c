// SPDX-License-Identifier: MIT
/* Hypervolume (Zitzler and Thiele 1999): the volume between a reference point and what the rows of objectives
 * dominate. Exact: sweeps for two and three objectives, WFG (While et al. 2012) beyond. The report draws the
 * front. */
#include "points.h"

struct hypervolume {
  const char *field;
  bool minimise;
  int32_t select;
  tn_reals reference;
  struct points points;
};
static const tn_param hypervolume_params[] = {
    POINTS_PARAMS(hypervolume),
    TN_REALS(struct hypervolume, reference, "0", -INFINITY, INFINITY,
             "the reference point, in the objectives' own signs; one number: the same in all"),
};

static void hypervolume_reset(void *self) { points_clear(&((struct hypervolume *)self)->points); }
static tn_status hypervolume_declare(void *self, const tn_spec *fields) {
  return points_declare(fields, ((struct hypervolume *)self)->field);
}
static tn_status hypervolume_update(void *self, const tn_fields *fields) {
  struct hypervolume *metric = self;
  return points_add(&metric->points, fields, metric->field, metric->minimise, NULL);
}

static tn_status hypervolume_values(void *self, tn_metric_sink *sink) {
  const struct hypervolume *metric = self;
  const uint32_t objectives = metric->points.objectives;
  double reference[FRONT_MOST];
  int64_t count;
  if (metric->points.count == 0) return TN_OK;
  if (metric->reference.count > 1 && metric->reference.count != objectives)
    return tn_fail(TN_ERROR_INVALID, "reference: %u numbers for %u objectives", metric->reference.count,
                   objectives);
  for (uint32_t k = 0; k < objectives; k++) {
    reference[k] =
        metric->reference.count == 0 ? 0 : metric->reference.items[metric->reference.count > 1 ? k : 0];
    if (metric->minimise) reference[k] = -reference[k];
  }
  double *rows = points_objectives(&metric->points, metric->select == SELECT_BEST, &count);
  if (!rows) return TN_ERROR_MEMORY;
  count = front_filter(rows, count, objectives);
  sink->value(sink, "hypervolume", front_hypervolume(rows, count, objectives, reference));
  sink->value(sink, "front_size", (double)count);
  tn_free(rows);
  return tn_outcome();
}

/* Of two objectives the front as a staircase, of more its projection on the first two. */
static tn_status hypervolume_report(void *self) {
  const struct hypervolume *metric = self;
  static const char *const labels[] = {"front"};
  const uint32_t objectives = metric->points.objectives;
  int64_t count;
  if (metric->points.count == 0 || objectives < 2) return TN_OK;
  double *rows = points_objectives(&metric->points, metric->select == SELECT_BEST, &count);
  if (!rows) return TN_ERROR_MEMORY;
  count = front_filter(rows, count, objectives);
  tn_tensor *picture = tn_empty(TN_F64, TN_SHAPE(count, 2));
  for (int64_t i = 0; !tn_poisoned(picture) && i < count; i++)
    for (int64_t k = 0; k < 2; k++)
      tn_f64(picture)[2 * i + k] = (metric->minimise ? -1 : 1) * rows[i * objectives + k];
  tn_free(rows);
  tn_event event = tn_event_of(TN_EVENT_SCATTER, "front");
  event.title = "Pareto front";
  event.tensor = picture;
  event.columns = 1;
  event.column_labels = labels;
  event.x_label = "objective 0";
  event.y_label = "objective 1";
  event.style = objectives == 2 && !metric->minimise ? TN_STYLE_JOIN : 0;
  if (!tn_poisoned(picture)) tn_emit(&event);
  return tn_outcome();
}

static tn_status hypervolume_merge(void *self, const void *other) {
  return points_merge(&((struct hypervolume *)self)->points, &((const struct hypervolume *)other)->points);
}
static tn_status hypervolume_state(void *self, const tn_visitor *visitor) {
  return points_state(&((struct hypervolume *)self)->points, visitor);
}

static const tn_class hypervolume_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "hypervolume",
    .summary = "Volume that a set of objectives dominates above a reference point, exactly",
    .reference = "Zitzler and Thiele 1999; While, Bradstreet and Barone 2012",
    TN_CLASS_PARAMS(hypervolume_params),
    .instance_size = sizeof(struct hypervolume),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = hypervolume_reset,
                                 .update = hypervolume_update,
                                 .values = hypervolume_values,
                                 .declare = hypervolume_declare,
                                 .merge = hypervolume_merge,
                                 .report = hypervolume_report},
    .destroy = hypervolume_reset,
    .state = hypervolume_state};
TN_PLUGIN("metric_hypervolume", "1.0.0", "MIT", &hypervolume_class)
