// SPDX-License-Identifier: MIT
/* The graph of a finite environment with numbered states, level by level: all states, all edges, and the
 * objects where paths end. Level t holds the states that t actions lead to; where paths to a state have
 * different lengths it is there once for each. */
#ifndef TENON_PLUGINS_GRAPH_OF_STATES_H
#define TENON_PLUGINS_GRAPH_OF_STATES_H

#include <string.h>
#include <tenon/environment.h>

struct edge {
  int64_t from, to; /* states; to: ~object where it ends */
  int64_t action;
};
struct graph {
  int64_t width, actions, states, objects, edges, levels;
  int64_t *level; /* (levels + 1): where each begins */
  double *rows;   /* (states, width), level by level */
  double *ends;   /* (objects, width) */
  struct edge *edge;
  int64_t state_room, object_room, edge_room, level_room;
};
static inline void graph_close(struct graph *g) {
  tn_free(g->level);
  tn_free(g->rows);
  tn_free(g->ends);
  tn_free(g->edge);
}

/* Makes room for one more in an array of `size` bytes an element. */
static inline bool graph_room(void *array, int64_t count, int64_t *room, size_t size) {
  void **memory = array;
  if (count < *room) return true;
  const int64_t want = 2 * count + 64;
  void *grown = tn_resize(*memory, (size_t)want * size);
  if (!grown) return false;
  *memory = grown;
  *room = want;
  return true;
}

/* Follows every legal action of the states from `first` to `last`. `place` (states of the environment): where
 * a state of the next level, or an object, is; -1: not yet. */
static inline tn_status graph_level(const tn_component *c, struct graph *g, int64_t first, int64_t last,
                                    int64_t *place) {
  const tn_environment *e = c->vtable;
  const int64_t actions = g->actions;
  const size_t bytes = (size_t)g->width * sizeof(double);
  double child[256];
  uint8_t *mask = tn_alloc((size_t)actions);
  tn_status status = mask ? TN_OK : TN_ERROR_MEMORY;
  tn_rng rng = tn_rng_at(c->name, "graph", 0);
  for (int64_t s = first; status >= 0 && s < last; s++) {
    status = e->mask(c->self, g->rows + s * g->width, 1, mask);
    for (int64_t a = 0; status >= 0 && a < actions; a++) {
      uint8_t done = 0;
      if (!mask[a]) continue;
      memcpy(child, g->rows + s * g->width, bytes);
      status = e->step(c->self, child, 1, &a, NULL, &done, &rng);
      if (status < 0) break;
      const int64_t id = e->index(c->self, child);
      if (!graph_room(&g->edge, g->edges, &g->edge_room, sizeof *g->edge) ||
          !graph_room(&g->rows, g->states, &g->state_room, bytes) ||
          !graph_room(&g->ends, g->objects, &g->object_room, bytes)) {
        status = TN_ERROR_MEMORY;
        break;
      }
      if (place[id] < (done ? 0 : last)) { /* states of former levels count as new */
        place[id] = done ? g->objects : g->states;
        memcpy(done ? g->ends + g->objects++ * g->width : g->rows + g->states++ * g->width, child, bytes);
      }
      g->edge[g->edges++] = (struct edge){s, done ? ~place[id] : place[id], a};
    }
  }
  tn_free(mask);
  return status;
}

static inline tn_status graph_open(const tn_component *c, struct graph *g, int64_t limit) {
  const tn_environment *e = c->vtable;
  tn_environment_info info;
  tn_status status = tn_environment_describe(c, &info);
  *g = (struct graph){.width = info.state_width, .actions = info.actions, .states = 1};
  if (status < 0) return status;
  const int64_t count = e->states(c->self);
  if (g->width > 256) return tn_fail(TN_ERROR_INVALID, "states of more than 256 numbers cannot be walked");
  int64_t *place = tn_alloc((size_t)count * sizeof *place);
  tn_rng rng = tn_rng_at(c->name, "graph", 0);
  bool fits = place && graph_room(&g->rows, 0, &g->state_room, (size_t)g->width * sizeof(double)) &&
              graph_room(&g->level, 1, &g->level_room, sizeof *g->level);
  status = fits ? e->reset(c->self, g->rows, 1, &rng) : TN_ERROR_MEMORY;
  for (int64_t i = 0; fits && i < count; i++) place[i] = -1;
  for (int64_t first = 0; status >= 0 && first < g->states;) {
    const int64_t last = g->states;
    fits = graph_room(&g->level, g->levels + 1, &g->level_room, sizeof *g->level);
    if (!fits) status = TN_ERROR_MEMORY;
    if (status >= 0) g->level[g->levels++] = first;
    if (status >= 0) status = graph_level(c, g, first, last, place);
    if (status >= 0 && g->states > limit)
      status = tn_fail(TN_ERROR_INVALID, "'%s' has paths of different lengths to too many states", c->name);
    first = last;
  }
  if (status >= 0) g->level[g->levels] = g->states;
  tn_free(place);
  return status;
}

/* Whether the environment's states are numbered and at most `limit` apart from the objects. */
static inline bool graph_fits(const tn_component *c, int64_t limit) {
  const tn_environment *e = c->vtable;
  const int64_t states =
      TN_HAS(e, tn_environment, index) && TN_HAS(e, tn_environment, states) ? e->states(c->self) : 0;
  return states > 0 && states <= 2 * limit;
}

/* The objectives of all objects (*count, objectives), which the caller frees: by the graph, or, each vector
 * once, by the spectrum. NULL and an error if that cannot be. */
static inline double *graph_objectives(const tn_component *c, int64_t limit, int64_t *count,
                                       uint32_t *objectives) {
  tn_environment_info info;
  double *values = NULL, *logs = NULL;
  if (tn_environment_describe(c, &info) < 0) return NULL;
  *objectives = info.objectives;
  if (graph_fits(c, limit)) {
    struct graph g;
    if (graph_open(c, &g, limit) >= 0)
      values = tn_alloc((size_t)g.objects * info.objectives * sizeof *values);
    *count = g.objects;
    if (values && ((const tn_environment *)c->vtable)->reward(c->self, g.ends, g.objects, values) < 0) {
      tn_free(values);
      values = NULL;
    }
    graph_close(&g);
    return values;
  }
  const tn_environment_spectrum *spectrum = tn_extension(c, TN_ENVIRONMENT_SPECTRUM);
  *count = spectrum ? spectrum->spectrum(c->self, NULL, NULL, 0) : 0;
  if (*count < 1)
    return tn_fail(TN_ERROR_INVALID, "'%s' has too many objects, or none that are numbered", c->name), NULL;
  values = tn_alloc((size_t)*count * info.objectives * sizeof *values);
  logs = tn_alloc((size_t)*count * sizeof *logs);
  if (values && logs) spectrum->spectrum(c->self, values, logs, *count);
  tn_free(logs);
  return values;
}

#endif
