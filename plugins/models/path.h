// SPDX-License-Identifier: MIT
/* Paths through a layered grid of widths (Hundt, Jain and Hager 2019, section 3.4), and their text:
 *
 *   4 -> sharp_sep_conv 4, resizable_pool 4, sharp_sep_conv 8, sharp_sep_conv 16
 *
 * the width of the stem, then an operation and the width it leads to for each sublayer. Sublayers 0, 2, 4 ...
 * have stride 1, the others stride 2. */
#ifndef TENON_PLUGINS_PATH_H
#define TENON_PLUGINS_PATH_H

#include "operations.h"
#include <ctype.h>
#include <stdlib.h>
#include <tenon/random.h>

enum { PATH_MOST = 64, PATH_WIDTH = 1 << 16, GRID_WIDTHS = 16 }; /* sublayers; channels; S */

/* ---- names of operations that may change the width ---- */

static const struct {
  const char *name;
  int32_t kind;
} path_names[] = {{"sharp_sep_conv", OPERATION_SEPARABLE_3}, {"resizable_pool", OPERATION_MAX_POOL}};

static inline const char *path_operation_name(int32_t kind) {
  for (size_t i = 0; i < TN_ARRAY_LENGTH(path_names); i++)
    if (path_names[i].kind == kind) return path_names[i].name;
  return operation_traits[kind].name;
}
/* OPERATION_COUNT, with an error, if there is none of that name. */
static inline int32_t path_operation_named(const char *name) {
  const char *names[OPERATION_COUNT];
  uint32_t count = 0;
  for (int32_t k = 0; k < OPERATION_COUNT; k++) {
    if (k == OPERATION_NONE || k == OPERATION_SKIP) continue;
    names[count++] = path_operation_name(k);
    if (strcmp(name, path_operation_name(k)) == 0) return k;
  }
  const char *near = tn_nearest_name(name, names, count);
  tn_fail(TN_ERROR_INVALID, "no operation '%s' that may change the width%s%s%s", name,
          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  return OPERATION_COUNT;
}

/* ---- text ---- */

struct path {
  int64_t layers;
  int64_t width[PATH_MOST + 1]; /* width[0]: the stem's */
  int32_t kind[PATH_MOST];
};

static inline char *path_text(const struct path *path) {
  char *text = tn_alloc(32 + (size_t)path->layers * 48);
  if (!text) return NULL;
  size_t used = (size_t)sprintf(text, "%d ->", (int)path->width[0]);
  for (int64_t k = 0; k < path->layers; k++)
    used += (size_t)sprintf(text + used, "%s %s %d", k > 0 ? "," : "", path_operation_name(path->kind[k]),
                            (int)path->width[k + 1]);
  return text;
}

/* Reads a width from *at; moves it on. */
static inline tn_status path_read_width(const char **at, int64_t *width) {
  char *end;
  const long value = strtol(*at, &end, 10);
  if (end == *at || value < 1 || value > PATH_WIDTH)
    return tn_fail(TN_ERROR_INVALID, "path: expected a width from 1 to %d at '%.24s'", PATH_WIDTH, *at);
  *at = end;
  *width = value;
  return TN_OK;
}
static inline tn_status path_parse(const char *text, struct path *path) {
  const char *at = text;
  path->layers = 0;
  if (path_read_width(&at, &path->width[0]) < 0) return TN_ERROR_INVALID;
  at += strspn(at, " \t\n");
  if (strncmp(at, "->", 2) != 0)
    return tn_fail(TN_ERROR_INVALID,
                   "path: expected '->' at '%.24s'; a path is like '4 -> sharp_sep_conv 8, "
                   "resizable_pool 8'",
                   at);
  for (at += 2;; at++) {
    char name[32];
    int length = 0;
    if (path->layers == PATH_MOST)
      return tn_fail(TN_ERROR_INVALID, "path: more than %d operations", PATH_MOST);
    if (sscanf(at, " %31[a-z0-9_]%n", name, &length) < 1)
      return tn_fail(TN_ERROR_INVALID, "path: expected OPERATION WIDTH at '%.24s'", at);
    at += length;
    const int32_t kind = path_operation_named(name);
    if (kind == OPERATION_COUNT || path_read_width(&at, &path->width[path->layers + 1]) < 0)
      return TN_ERROR_INVALID;
    path->kind[path->layers++] = kind;
    at += strspn(at, " \t\n");
    if (!*at) break;
    if (*at != ',') return tn_fail(TN_ERROR_INVALID, "path: expected ',' at '%.24s'", at);
  }
  if (path->layers % 2 != 0)
    return tn_fail(TN_ERROR_INVALID, "path: expected two operations a layer, got %d in all",
                   (int)path->layers);
  return TN_OK;
}

/* ---- routes: paths by their places in the grid ---- */

/* Weights w[((k S + i) S + j) P + o] of operation o from width i to width j in sublayer k. */
struct grid {
  int64_t layers, widths, operations; /* K, S, P; at most PATH_MOST, GRID_WIDTHS */
  const double *w;
};
struct route {
  int64_t at[PATH_MOST + 1];    /* at[0]: the stem; at[k + 1]: after sublayer k */
  int64_t operation[PATH_MOST]; /* of sublayer k */
};
static inline int64_t grid_place(const struct grid *g, int64_t i, int64_t j, int64_t o) {
  return (i * g->widths + j) * g->operations + o; /* in its sublayer */
}
static inline double grid_weight(const struct grid *g, int64_t k, int64_t i, int64_t j, int64_t o) {
  return g->w[k * g->widths * g->widths * g->operations + grid_place(g, i, j, o)];
}
/* Of sublayer k the heaviest (i, j, o) with i >= i0, i < i1, j >= j0, j < j1; the first of equals. */
static inline void grid_heaviest(const struct grid *g, int64_t k, const int64_t *from, const int64_t *to,
                                 int64_t *i, int64_t *j, int64_t *o) {
  double most = -INFINITY;
  for (int64_t a = from[0]; a < from[1]; a++)
    for (int64_t b = to[0]; b < to[1]; b++)
      for (int64_t c = 0; c < g->operations; c++) {
        const double w = grid_weight(g, k, a, b, c);
        if (!(w > most)) continue;
        most = w;
        *i = a, *j = b, *o = c;
      }
}

/* The path of the largest sum of weights, by dynamic programming:
 *   best_0(i) = 0, best_{k+1}(j) = max_{i,o} best_k(i) + w_k(i, j, o)
 * Of equals the lower (i, o), and the lower last width. */
static inline void route_longest(const struct grid *g, struct route *route) {
  int64_t from[PATH_MOST][GRID_WIDTHS] = {{0}}, operation[PATH_MOST][GRID_WIDTHS] = {{0}};
  double best[GRID_WIDTHS] = {0}, next[GRID_WIDTHS] = {0};
  for (int64_t k = 0; k < g->layers; k++) {
    for (int64_t j = 0; j < g->widths; j++) {
      next[j] = -INFINITY;
      for (int64_t i = 0; i < g->widths; i++)
        for (int64_t o = 0; o < g->operations; o++) {
          const double length = best[i] + grid_weight(g, k, i, j, o);
          if (!(length > next[j])) continue;
          next[j] = length;
          from[k][j] = i, operation[k][j] = o;
        }
    }
    memcpy(best, next, sizeof best);
  }
  int64_t last = 0;
  for (int64_t j = 1; j < g->widths; j++)
    if (best[j] > best[last]) last = j;
  route->at[g->layers] = last;
  for (int64_t k = g->layers - 1; k >= 0; k--) {
    route->operation[k] = operation[k][route->at[k + 1]];
    route->at[k] = from[k][route->at[k + 1]];
  }
}

/* From the image on: at each width the strongest operation that leads away; the first is the strongest of its
 * sublayer. */
static inline void route_greedy_top(const struct grid *g, struct route *route) {
  const int64_t any[2] = {0, g->widths};
  for (int64_t k = 0; k < g->layers; k++) {
    const int64_t here[2] = {route->at[k], route->at[k] + 1};
    grid_heaviest(g, k, k == 0 ? any : here, any, &route->at[k], &route->at[k + 1], &route->operation[k]);
  }
}
/* From the head back: at each width the strongest operation that leads to it. */
static inline void route_greedy_bottom(const struct grid *g, struct route *route) {
  const int64_t any[2] = {0, g->widths};
  for (int64_t k = g->layers - 1; k >= 0; k--) {
    const int64_t here[2] = {route->at[k + 1], route->at[k + 1] + 1};
    grid_heaviest(g, k, any, k == g->layers - 1 ? any : here, &route->at[k], &route->at[k + 1],
                  &route->operation[k]);
  }
}
/* Uniform over all paths. */
static inline void route_random(const struct grid *g, tn_rng *rng, struct route *route) {
  for (int64_t k = 0; k <= g->layers; k++) route->at[k] = (int64_t)tn_random_below(rng, (uint64_t)g->widths);
  for (int64_t k = 0; k < g->layers; k++)
    route->operation[k] = (int64_t)tn_random_below(rng, (uint64_t)g->operations);
}

/* The sum of its weights. */
static inline double route_length(const struct grid *g, const struct route *route) {
  double sum = 0;
  for (int64_t k = 0; k < g->layers; k++)
    sum += grid_weight(g, k, route->at[k], route->at[k + 1], route->operation[k]);
  return sum;
}

#endif
