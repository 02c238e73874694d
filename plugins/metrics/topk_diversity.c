// SPDX-License-Identifier: MIT
/* Of every group (the objects for one preference): topk_reward, the mean utility of its k best objects, drawn
 * again or not; topk_diversity, the mean distance of two of its k best distinct objects, 0 where there is
 * only one; topk_distinct, how many there are of these; topk_spread, the mean distance of two of its k best
 * objects as they were drawn, repeats included. All are means over groups. Distances: l2       Euclidean,
 * over `scale` hamming  how many numbers differ, over `scale` edit     insertions, deletions and
 * substitutions of letters (Levenshtein 1966) of strings that end where a number is negative, over `scale` */
#include "points.h"

enum { HAMMING, EDIT, L2 };

struct topk_diversity {
  const char *field, *object;
  bool minimise;
  int64_t k;
  int32_t distance;
  double scale;
  struct points points;
};
static const tn_param topk_diversity_params[] = {
    TN_STRING(struct topk_diversity, field, "objectives", "field of the objectives (n, K)"),
    TN_STRING(struct topk_diversity, object, "object", "field of the objects (n, width)"),
    TN_BOOL(struct topk_diversity, minimise, "no", "objectives are costs; only the utility counts here"),
    TN_INTEGER(struct topk_diversity, k, "10", 1, 100000, "objects", "how many of each group"),
    TN_CHOICE(struct topk_diversity, distance, "l2", "hamming|edit|l2", "between objects"),
    TN_PARAM_(struct topk_diversity, scale, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL,
              NULL, NULL, "distances are divided by it"),
};

static void topk_diversity_reset(void *self) { points_clear(&((struct topk_diversity *)self)->points); }
static tn_status topk_diversity_declare(void *self, const tn_spec *fields) {
  const struct topk_diversity *metric = self;
  const tn_status status = points_declare(fields, metric->field);
  if (status < 0) return status;
  return tn_spec_get(fields, metric->object) && tn_spec_get(fields, "utility") ? TN_OK : TN_ERROR_MISSING;
}
static tn_status topk_diversity_update(void *self, const tn_fields *fields) {
  struct topk_diversity *metric = self;
  return points_add(&metric->points, fields, metric->field, metric->minimise, metric->object);
}

/* Levenshtein distance; `row` has room for width + 1 numbers. */
static double edit_distance(const double *a, const double *b, int64_t width, int64_t *row) {
  int64_t m = 0, n = 0;
  while (m < width && a[m] >= 0) m++;
  while (n < width && b[n] >= 0) n++;
  for (int64_t j = 0; j <= n; j++) row[j] = j;
  for (int64_t i = 1; i <= m; i++) {
    int64_t diagonal = row[0];
    row[0] = i;
    for (int64_t j = 1; j <= n; j++) {
      const int64_t swap = diagonal + (a[i - 1] != b[j - 1]), up = row[j] + 1, left = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = swap < up ? (swap < left ? swap : left) : (up < left ? up : left);
    }
  }
  return (double)row[n];
}

static double distance_of(const struct topk_diversity *metric, const double *a, const double *b,
                          int64_t *row) {
  const int64_t width = metric->points.extra;
  double sum = 0;
  if (metric->distance == EDIT) return edit_distance(a, b, width, row) / metric->scale;
  for (int64_t i = 0; i < width; i++)
    sum += metric->distance == HAMMING ? (a[i] != b[i]) : (a[i] - b[i]) * (a[i] - b[i]);
  return (metric->distance == HAMMING ? sum : sqrt(sum)) / metric->scale;
}

/* Rows of the k best, or best distinct, objects of group `group`; how many. */
static int64_t best_of(const struct topk_diversity *metric, int64_t group, bool distinct, int64_t *best) {
  const struct points *p = &metric->points;
  const size_t bytes = (size_t)p->extra * sizeof(double);
  int64_t count = 0;
  for (int64_t i = 0; i < p->count; i++) {
    bool known = points_group(p, i) != group;
    for (int64_t j = 0; distinct && j < count && !known; j++)
      known = memcmp(points_extra(p, best[j]), points_extra(p, i), bytes) == 0;
    if (known) continue;
    int64_t at = count < metric->k ? count++ : metric->k;
    for (; at > 0 && points_utility(p, i) > points_utility(p, best[at - 1]); at--)
      if (at < metric->k) best[at] = best[at - 1];
    if (at < metric->k) best[at] = i;
  }
  return count;
}

/* Mean distance of two of `count` objects. */
static double spread_of(const struct topk_diversity *metric, const int64_t *best, int64_t count,
                        int64_t *row) {
  const struct points *p = &metric->points;
  double sum = 0, pairs = 0;
  for (int64_t a = 0; a < count; a++)
    for (int64_t b = 0; b < a; b++, pairs++)
      sum += distance_of(metric, points_extra(p, best[a]), points_extra(p, best[b]), row);
  return pairs > 0 ? sum / pairs : 0;
}

static tn_status topk_diversity_values(void *self, tn_metric_sink *sink) {
  const struct topk_diversity *metric = self;
  const struct points *p = &metric->points;
  double reward = 0, diversity = 0, distinct = 0, spread = 0, groups = 0;
  int64_t *best = tn_alloc((size_t)metric->k * sizeof *best);
  int64_t *row = tn_alloc((size_t)(p->extra + 1) * sizeof *row);
  double *seen = tn_alloc((size_t)(p->count + 1) * sizeof *seen);
  for (int64_t i = 0; best && row && seen && i < p->count; i++) {
    bool known = false;
    for (int64_t g = (int64_t)groups - 1; g >= 0 && !known; g--)
      known = seen[g] == (double)points_group(p, i);
    if (known) continue;
    int64_t count = best_of(metric, points_group(p, i), false, best);
    for (int64_t a = 0; a < count; a++) reward += points_utility(p, best[a]) / (double)count;
    spread += spread_of(metric, best, count, row);
    count = best_of(metric, points_group(p, i), true, best);
    diversity += spread_of(metric, best, count, row);
    distinct += (double)count;
    seen[(int64_t)groups++] = (double)points_group(p, i);
  }
  tn_free(best);
  tn_free(row);
  tn_free(seen);
  if (tn_failed()) return TN_ERROR_MEMORY;
  if (groups == 0) return TN_OK;
  sink->value(sink, "topk_reward", reward / groups);
  sink->value(sink, "topk_diversity", diversity / groups);
  sink->value(sink, "topk_distinct", distinct / groups);
  sink->value(sink, "topk_spread", spread / groups);
  return TN_OK;
}

static tn_status topk_diversity_merge(void *self, const void *other) {
  return points_merge(&((struct topk_diversity *)self)->points,
                      &((const struct topk_diversity *)other)->points);
}
static tn_status topk_diversity_state(void *self, const tn_visitor *visitor) {
  return points_state(&((struct topk_diversity *)self)->points, visitor);
}

static const tn_class topk_diversity_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "topk_diversity",
    .summary = "How good and how different the k best objects of a request are",
    .reference = "Jain et al. 2023, Multi-Objective GFlowNets",
    TN_CLASS_PARAMS(topk_diversity_params),
    .instance_size = sizeof(struct topk_diversity),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = topk_diversity_reset,
                                 .update = topk_diversity_update,
                                 .values = topk_diversity_values,
                                 .declare = topk_diversity_declare,
                                 .merge = topk_diversity_merge},
    .destroy = topk_diversity_reset,
    .state = topk_diversity_state};
TN_PLUGIN("metric_topk_diversity", "1.0.0", "MIT", &topk_diversity_class)
