// SPDX-License-Identifier: MIT
/* Rows of objectives that metrics of fronts gather over batches: field `objectives` (n, K), any floating
 * type, larger better, or smaller with `minimise`; and, where they are there, the number of the request that
 * a row answers (`group`), the weights that it was asked with (`preference`), and how well it answers
 * (`utility`). */
#ifndef TENON_PLUGINS_POINTS_H
#define TENON_PLUGINS_POINTS_H

#include "front.h"
#include <tenon/metric.h>

struct points {
  uint32_t objectives;
  int64_t count, capacity;
  double *rows; /* (count, stride): objectives, weights, utility, group, then `extra` numbers */
  int64_t extra;
};

static inline int64_t points_stride(const struct points *p) { return 2 * p->objectives + 2 + p->extra; }
static inline double *points_row(const struct points *p, int64_t i) { return p->rows + i * points_stride(p); }
static inline const double *points_weights(const struct points *p, int64_t i) {
  return points_row(p, i) + p->objectives;
}
static inline double points_utility(const struct points *p, int64_t i) {
  return points_row(p, i)[2 * p->objectives];
}
static inline int64_t points_group(const struct points *p, int64_t i) {
  return (int64_t)points_row(p, i)[2 * p->objectives + 1];
}
static inline const double *points_extra(const struct points *p, int64_t i) {
  return points_row(p, i) + 2 * p->objectives + 2;
}

static inline void points_clear(struct points *p) {
  tn_free(p->rows);
  *p = (struct points){0};
}

static inline tn_status points_declare(const tn_spec *fields, const char *name) {
  const tn_field_spec *field = tn_spec_get(fields, name);
  if (!field) return TN_ERROR_MISSING;
  if (field->ragged || field->shape.ndim != 1 || field->shape.dim[0] < 1 || field->shape.dim[0] > FRONT_MOST)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be a row of 1 to %d objectives", name, FRONT_MOST);
  return TN_OK;
}

static inline double points_number(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64   ? tn_f64(x)[i]
         : x->dtype == TN_F32 ? (double)tn_f32(x)[i]
         : x->dtype == TN_I64 ? (double)tn_i64(x)[i]
                              : NAN;
}

/* Room for `more` rows. */
static inline tn_status points_grow(struct points *p, int64_t more) {
  if (p->count + more <= p->capacity) return TN_OK;
  const int64_t capacity = 2 * (p->count + more);
  double *rows = tn_resize(p->rows, (size_t)(capacity * points_stride(p)) * sizeof *rows);
  if (!rows) return TN_ERROR_MEMORY;
  p->rows = rows;
  p->capacity = capacity;
  return TN_OK;
}

/* Adds a batch. `extra`: a further field (n, ...) to keep, or NULL. */
static inline tn_status points_add(struct points *p, const tn_fields *fields, const char *name, bool minimise,
                                   const char *extra) {
  const tn_tensor *objectives = tn_field(fields, name);
  const tn_tensor *weights = tn_fields_find(fields, "preference"),
                  *utility = tn_fields_find(fields, "utility");
  const tn_tensor *group = tn_fields_find(fields, "group"), *more = extra ? tn_field(fields, extra) : NULL;
  if (tn_failed()) return tn_outcome();
  if (tn_ndim(objectives) != 2 || tn_dim(objectives, 1) < 1 || tn_dim(objectives, 1) > FRONT_MOST)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must have 1 to %d objectives a row", name, FRONT_MOST);
  const int64_t n = tn_dim(objectives, 0), width = more && n > 0 ? tn_numel(more) / n : 0;
  const uint32_t count = (uint32_t)tn_dim(objectives, 1);
  if (p->count == 0) p->objectives = count, p->extra = width;
  if (p->objectives != count || p->extra != width)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %u objectives a row, before it were %u", name, count,
                   p->objectives);
  if (weights && tn_numel(weights) != n * count) weights = NULL;
  const tn_status status = points_grow(p, n);
  if (status < 0) return status;
  for (int64_t i = 0; i < n; i++) {
    double *row = points_row(p, p->count++);
    for (uint32_t k = 0; k < count; k++) {
      const double value = points_number(objectives, i * count + k);
      row[k] = minimise ? -value : value;
      row[count + k] = weights ? points_number(weights, i * count + k) : 0;
    }
    row[2 * count] = utility ? points_number(utility, i) : 0;
    row[2 * count + 1] = group ? points_number(group, i) : 0;
    for (int64_t k = 0; k < width; k++) row[2 * count + 2 + k] = points_number(more, i * width + k);
  }
  return TN_OK;
}

static inline tn_status points_merge(struct points *p, const struct points *other) {
  if (other->count == 0) return TN_OK;
  if (p->count == 0) p->objectives = other->objectives, p->extra = other->extra;
  if (p->objectives != other->objectives || p->extra != other->extra)
    return tn_fail(TN_ERROR_SHAPE, "rows of other objectives cannot be merged");
  const tn_status status = points_grow(p, other->count);
  if (status < 0) return status;
  memcpy(points_row(p, p->count), other->rows, (size_t)(other->count * points_stride(p)) * sizeof(double));
  p->count += other->count;
  return TN_OK;
}

static inline tn_status points_state(struct points *p, const tn_visitor *visitor) {
  int64_t objectives = p->objectives;
  void *rows = p->rows;
  size_t bytes = (size_t)(p->count * points_stride(p)) * sizeof(double);
  tn_visit_integer(visitor, "objectives", &objectives);
  tn_visit_integer(visitor, "extra", &p->extra);
  tn_visit_integer(visitor, "count", &p->count);
  const tn_status status = tn_visit_block(visitor, "rows", &rows, &bytes);
  p->objectives = (uint32_t)objectives;
  p->rows = rows;
  if (visitor->loading) p->capacity = p->count;
  return status;
}

/* The objectives alone (count, objectives), which the caller frees: of all rows, or, with `best`, of the row
 * with the largest utility of each group; how many through *count. NULL: out of memory. */
static inline double *points_objectives(const struct points *p, bool best, int64_t *count) {
  double *rows = tn_alloc((size_t)(p->count * (int64_t)p->objectives) * sizeof *rows + sizeof *rows);
  int64_t *chosen = tn_alloc((size_t)p->count * sizeof *chosen + sizeof *chosen);
  *count = 0;
  for (int64_t i = 0; rows && chosen && i < p->count; i++) {
    int64_t at = *count;
    for (int64_t j = *count - 1; best && j >= 0 && at == *count; j--)
      if (points_group(p, chosen[j]) == points_group(p, i)) at = j;
    if (at == *count)
      ++*count;
    else if (!(points_utility(p, i) > points_utility(p, chosen[at])))
      continue;
    chosen[at] = i;
  }
  for (int64_t j = 0; rows && chosen && j < *count; j++)
    memcpy(rows + j * p->objectives, points_row(p, chosen[j]), p->objectives * sizeof *rows);
  tn_free(chosen);
  return rows;
}

#define POINTS_PARAMS(metric)                                                            \
  TN_STRING(struct metric, field, "objectives", "field of the objectives (n, K)"),       \
      TN_BOOL(struct metric, minimise, "no", "objectives are costs: smaller is better"), \
      TN_CHOICE(struct metric, select, "all", "all|best",                                \
                "all rows, or the row with the largest `utility` of each `group`")
enum { SELECT_ALL, SELECT_BEST };

#endif
