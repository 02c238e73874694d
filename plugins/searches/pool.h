// SPDX-License-Identifier: MIT
/* What is left of a search space while it shrinks (Chen et al. 2021, NEAS, section 3.3). Every layer has
 * units that can be dropped: its choices, or, unit = combination, the sets of choices that K paths may make
 * there. */
#ifndef TENON_PLUGINS_POOL_H
#define TENON_PLUGINS_POOL_H

#include "../models/ensemble.h"

enum { POOL_UNITS = 1024 };
struct unit {
  int32_t columns[ENSEMBLE_PATHS]; /* of tables of all choices; `size` of them, ascending */
  int32_t size;
};
struct pool {
  const struct space *space;
  bool distinct;      /* the paths of a layer make different choices: they share their weights */
  struct unit *units; /* (layers, POOL_UNITS) */
  bool *alive;        /* (layers, POOL_UNITS): not dropped */
  size_t alive_bytes;
  int64_t *count;       /* (layers): units of a layer, dropped ones too */
  int64_t first_branch; /* the first layer that may belong to the paths */
};

static inline void pool_release(struct pool *p) {
  tn_free(p->units);
  tn_free(p->alive);
  tn_free(p->count);
  p->units = NULL;
  p->alive = NULL;
  p->alive_bytes = 0;
  p->count = NULL;
}

static inline struct unit *pool_unit(const struct pool *p, int64_t layer, int64_t u) {
  return &p->units[layer * POOL_UNITS + u];
}
static inline bool *pool_alive(const struct pool *p, int64_t layer, int64_t u) {
  return &p->alive[layer * POOL_UNITS + u];
}
static inline int64_t pool_left(const struct pool *p, int64_t layer) {
  int64_t left = 0;
  for (int64_t u = 0; u < p->count[layer]; u++) left += *pool_alive(p, layer, u);
  return left;
}
/* Whether some living unit of the layer holds the choice. */
static inline bool pool_has(const struct pool *p, int64_t layer, int64_t column) {
  for (int64_t u = 0; u < p->count[layer]; u++) {
    const struct unit *unit = pool_unit(p, layer, u);
    for (int32_t i = 0; *pool_alive(p, layer, u) && i < unit->size; i++)
      if (unit->columns[i] == column) return true;
  }
  return false;
}

/* All ways to complete `unit`, whose first `filled` choices are set. */
static inline tn_status pool_enumerate(struct pool *p, int64_t layer, struct unit *unit, int32_t filled) {
  const int32_t before = filled > 0 ? unit->columns[filled - 1] : 0;
  tn_status status = TN_OK;
  if (filled == unit->size) {
    if (p->count[layer] == POOL_UNITS)
      return tn_fail(TN_ERROR_INVALID, "unit = combination: more than %d combinations in layer %lld",
                     POOL_UNITS, (long long)layer + 1);
    *pool_alive(p, layer, p->count[layer]) = true;
    *pool_unit(p, layer, p->count[layer]++) = *unit;
    return TN_OK;
  }
  for (int64_t c = before + (filled > 0 && p->distinct); status >= 0 && c < space_columns(p->space); c++) {
    if (!space_allows(p->space, layer, c)) continue;
    unit->columns[filled] = (int32_t)c;
    status = pool_enumerate(p, layer, unit, filled + 1);
  }
  return status;
}

/* Everything is left. */
static inline tn_status pool_begin(struct pool *p, const struct space *space, bool distinct,
                                   bool combinations) {
  pool_release(p);
  *p = (struct pool){.space = space, .distinct = distinct};
  p->units = tn_alloc((size_t)(space->layers * POOL_UNITS) * sizeof *p->units);
  p->count = tn_alloc((size_t)space->layers * sizeof *p->count);
  p->alive_bytes = (size_t)(space->layers * POOL_UNITS) * sizeof *p->alive;
  p->alive = tn_alloc(p->alive_bytes);
  if (!p->units || !p->alive || !p->count) return TN_ERROR_MEMORY;
  p->first_branch = space->paths == 1 ? space->layers : space->splits.count > 0 ? space->splits.items[0] : 1;
  tn_status status = TN_OK;
  for (int64_t l = 0; status >= 0 && l < space->layers; l++) {
    const bool tuples = combinations && l >= p->first_branch;
    struct unit unit = {.size = tuples ? (int32_t)space->paths : 1};
    p->count[l] = 0;
    status = pool_enumerate(p, l, &unit, 0);
  }
  return status;
}

/* ---- drawing ---- */

/* Of the living units one that has been used least, drawn among equals; `used` may be NULL: any. Those whose
 * `taken` is set do not count. */
static inline int64_t pool_draw(const struct pool *p, int64_t layer, const int64_t *used, const bool *taken,
                                tn_rng *rng) {
  int64_t found = -1, alike = 0;
  for (int64_t u = 0; u < p->count[layer]; u++) {
    if (!*pool_alive(p, layer, u) || (taken && taken[u])) continue;
    if (used && found >= 0 && used[u] > used[found]) continue;
    if (used && found >= 0 && used[u] < used[found]) alike = 0;
    if (tn_random_below(rng, (uint64_t)++alike) == 0) found = u;
  }
  return found;
}

static inline int64_t pool_draw_split(const struct pool *p, tn_rng *rng) {
  const struct space *s = p->space;
  if (s->paths == 1) return s->layers;
  if (s->splits.count > 0) return s->splits.items[tn_random_below(rng, s->splits.count)];
  return 1 + (int64_t)tn_random_below(rng, (uint64_t)s->layers);
}

/* Choices of all paths in one layer; of a shared layer that of path 0 counts. `used` as in pool_draw. */
static inline void pool_draw_layer(const struct pool *p, int64_t layer, const int64_t *used, tn_rng *rng,
                                   struct architecture *a) {
  bool taken[POOL_UNITS] = {false};
  int64_t order[ENSEMBLE_PATHS], u = pool_draw(p, layer, used, NULL, rng);
  const struct unit *unit = pool_unit(p, layer, u);
  tn_random_permutation(rng, order, a->paths);
  for (int64_t k = 0; k < a->paths; k++) {
    if (unit->size > 1) {
      a->genes[k][layer] = space_choice(p->space, unit->columns[order[k]]);
      continue;
    }
    a->genes[k][layer] = space_choice(p->space, unit->columns[0]);
    taken[u] = p->distinct;
    if (k + 1 == a->paths) break;
    const int64_t next = pool_draw(p, layer, used, taken, rng);
    if (next >= 0) u = next;
    unit = pool_unit(p, layer, u);
  }
}

/* used: (layers, POOL_UNITS) or NULL */
static inline void pool_draw_architecture(const struct pool *p, const int64_t *used, tn_rng *rng,
                                          struct architecture *a) {
  *a = (struct architecture){.paths = p->space->paths, .split = pool_draw_split(p, rng)};
  for (int64_t l = 0; l < p->space->layers; l++)
    pool_draw_layer(p, l, used ? used + l * POOL_UNITS : NULL, rng, a);
}

/* Whether the architecture makes the unit's choice: in any path, or in the paths together. */
static inline bool pool_contains(const struct pool *p, const struct architecture *a, int64_t layer,
                                 const struct unit *unit) {
  const int64_t paths = layer < a->split ? 1 : a->paths;
  if (unit->size > 1 && layer < a->split) return false;
  for (int32_t i = 0; i < unit->size; i++) {
    int64_t holders = 0, wanted = 0;
    for (int64_t k = 0; k < paths; k++)
      holders += space_column(p->space, architecture_gene(a, k, layer)) == unit->columns[i];
    for (int32_t j = 0; j < unit->size; j++) wanted += unit->columns[j] == unit->columns[i];
    if (unit->size > 1 ? holders != wanted : holders == 0) return false;
  }
  return true;
}

/* ---- scores ---- */

/* Standard scores; 0 where all are alike. */
static inline void standard_scores(const double *x, int64_t n, double *z) {
  double mean = 0, square = 0;
  for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
  for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean) / (double)n;
  const double deviation = sqrt(square);
  for (int64_t i = 0; i < n; i++) z[i] = deviation > 1e-12 * fabs(mean) ? (x[i] - mean) / deviation : 0;
}

/* Distances of rows of phi (n, d), each scaled to length 1 first: (n, n). */
static inline void operator_distances(double *phi, int64_t n, int64_t d, double *distances) {
  for (int64_t i = 0; i < n; i++) {
    double length = 0;
    for (int64_t k = 0; k < d; k++) length += phi[i * d + k] * phi[i * d + k];
    length = fmax(sqrt(length), 1e-30);
    for (int64_t k = 0; k < d; k++) phi[i * d + k] /= length;
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      double square = 0;
      for (int64_t k = 0; k < d; k++) {
        const double apart = phi[i * d + k] - phi[j * d + k];
        square += apart * apart;
      }
      distances[i * n + j] = sqrt(square);
    }
}

/* Of one choice among others: the mean distance from the living ones. distances: (columns, columns). */
static inline double choice_diversity(const struct pool *p, int64_t layer, const double *distances,
                                      int64_t column) {
  const int64_t columns = space_columns(p->space);
  double sum = 0, others = 0;
  for (int64_t c = 0; c < columns; c++)
    if (c != column && pool_has(p, layer, c)) sum += distances[column * columns + c], others++;
  return others > 0 ? sum / others : 0;
}

/* Of a unit: that of its choice, or the mean distance between its choices. */
static inline double unit_diversity(const struct pool *p, int64_t layer, const double *distances,
                                    const struct unit *unit) {
  const int64_t columns = space_columns(p->space);
  if (unit->size == 1) return choice_diversity(p, layer, distances, unit->columns[0]);
  double sum = 0;
  for (int32_t i = 0; i < unit->size; i++)
    for (int32_t j = i + 1; j < unit->size; j++)
      sum += distances[unit->columns[i] * columns + unit->columns[j]];
  return sum / (unit->size * (unit->size - 1) / 2);
}

#endif
