// SPDX-License-Identifier: MIT
/* Linear assignment by shortest augmenting paths (Jonker and Volgenant 1987; the formulation of Crouse 2016),
 * O(n^3). */
#include "internal.h"

#include <math.h>

typedef struct search {
  int64_t rows, columns; /* rows <= columns */
  const double *cost;
  double *u, *v, *shortest; /* potentials of rows and columns; path lengths to columns */
  int64_t *path, *row_of, *column_of;
  uint8_t *row_done, *column_done;
} search;

/* The column where the shortest path from `row` ends, or -1; sets *length. */
static int64_t shortest_path(search *s, int64_t row, double *length) {
  int64_t sink = -1;
  *length = 0;
  for (int64_t j = 0; j < s->columns; j++) {
    s->shortest[j] = INFINITY;
    s->column_done[j] = 0;
  }
  memset(s->row_done, 0, (size_t)s->rows);
  while (sink < 0) {
    double least = INFINITY;
    int64_t next = -1;
    s->row_done[row] = 1;
    for (int64_t j = 0; j < s->columns; j++) {
      if (s->column_done[j]) continue;
      double reach = *length + s->cost[row * s->columns + j] - s->u[row] - s->v[j];
      if (reach < s->shortest[j]) {
        s->shortest[j] = reach;
        s->path[j] = row;
      }
      if (s->shortest[j] < least ||
          (s->shortest[j] == least && next >= 0 && s->row_of[j] < 0 && s->row_of[next] >= 0)) {
        least = s->shortest[j];
        next = j;
      }
    }
    if (next < 0 || least == INFINITY) return -1; // everything left is forbidden
    *length = least;
    s->column_done[next] = 1;
    if (s->row_of[next] < 0)
      sink = next;
    else
      row = s->row_of[next];
  }
  return sink;
}

static bool assign(search *s) {
  for (int64_t i = 0; i < s->rows; i++) {
    double length;
    int64_t sink = shortest_path(s, i, &length);
    if (sink < 0) return false;
    s->u[i] += length;
    for (int64_t k = 0; k < s->rows; k++)
      if (s->row_done[k] && k != i) s->u[k] += length - s->shortest[s->column_of[k]];
    for (int64_t j = 0; j < s->columns; j++)
      if (s->column_done[j]) s->v[j] -= length - s->shortest[j];
    for (int64_t j = sink;;) { // turn the path over
      int64_t row = s->path[j], former = s->column_of[row];
      s->row_of[j] = row;
      s->column_of[row] = j;
      if (row == i) break;
      j = former;
    }
  }
  return true;
}

tn_tensor *tn_api_assignment(tn_tensor *t) {
  tn_node *cost = tn_node_of(t);
  if (tn_is_poison(cost)) return t;
  if (cost->t.dl.ndim != 2 || !tn_is_float(cost->t.dtype))
    return &tn_shape_error("assignment", "%s of %s is not a matrix of costs", tn_shape_text(cost),
                           tn_dtype_name(cost->t.dtype))
                ->t;
  int64_t n = cost->shape[0], m = cost->shape[1];
  tn_node *out = tn_node_new(TN_I64, 1, &n);
  bool turned = n > m; // the search wants no more rows than columns
  search s = {.rows = turned ? m : n, .columns = turned ? n : m};
  double *values = tn_workspace_take((size_t)(n * m + s.rows + 2 * s.columns) * sizeof(double) + 64);
  int64_t *positions =
      values ? tn_workspace_take((size_t)(2 * s.columns + s.rows) * sizeof(int64_t) + (size_t)(n + m) + 64)
             : NULL;
  if (!positions || tn_is_poison(out)) return &tn_poison()->t;
  bool ok = true;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      double c = cost->t.dtype == TN_F32 ? (double)((const float *)cost->t.dl.data)[i * m + j]
                                         : ((const double *)cost->t.dl.data)[i * m + j];
      values[turned ? j * n + i : i * m + j] = c;
      ok = ok && !isnan(c) && c > -INFINITY;
    }
  s.cost = values;
  s.u = values + n * m;
  s.v = s.u + s.rows;
  s.shortest = s.v + s.columns;
  memset(s.u, 0, (size_t)(s.rows + s.columns) * sizeof(double));
  s.path = positions;
  s.row_of = positions + s.columns;
  s.column_of = s.row_of + s.columns;
  s.row_done = (uint8_t *)(s.column_of + s.rows);
  s.column_done = s.row_done + s.rows;
  for (int64_t j = 0; j < s.columns; j++) s.row_of[j] = -1;
  for (int64_t i = 0; i < s.rows; i++) s.column_of[i] = -1;
  ok = ok && assign(&s);
  const int64_t *answer = turned ? s.row_of : s.column_of;
  if (ok && n) memcpy(out->t.dl.data, answer, (size_t)n * sizeof(int64_t));
  tn_workspace_give(positions);
  tn_workspace_give(values);
  return ok ? &out->t : &tn_shape_error("assignment", "no assignment has a finite cost")->t;
}
