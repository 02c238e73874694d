// SPDX-License-Identifier: MIT
/* In the method's order: cycles are cut and layers given, long edges get bends, layers are ordered to have
 * few crossings, and x coordinates are drawn towards straight edges. */
#include "core/report/layers.h"

#include <stdlib.h>
#include <string.h>

enum { ORDER_SWEEPS = 8, PLACE_SWEEPS = 24 };

/* Part of an edge between neighbouring layers. */
typedef struct segment {
  size_t up, down; // vertices; down is one layer below up
} segment;

/* Neighbours in a layer that stand as close as they may (settle_layer). */
typedef struct block {
  double sum, weight;
  size_t size;
} block;

typedef struct arrangement {
  tn_layers *layers;
  segment *segments; // sorted by layer
  size_t segment_count;
  size_t *first_segment; // of each layer: its segments downwards; one more at the end
  size_t *slots;         // vertices by layer, from left to right
  size_t *first_slot;    // of each layer, one more at the end
  size_t *position;      // of each vertex in its layer
  size_t *best;          // the best slots so far
  double *pull, *weight; // of each vertex, scratch
  block *blocks;         // scratch
} arrangement;

/* ---- cycles and layers ---- */

/* Takes away nodes without incoming edges until none is left; where a cycle leaves none, the first node goes,
 * and its incoming edges are turned upwards. Layers are the longest paths from the top. */
static bool assign_layers(tn_layers *l) {
  size_t n = l->node_count;
  size_t *open = calloc(n, sizeof *open),
         *order = malloc(n * sizeof *order); // open: incoming edges not taken yet
  bool *taken = calloc(n, sizeof *taken);
  bool ok = open && order && taken;
  for (size_t e = 0; ok && e < l->edge_count; e++) {
    l->edges[e].loop = l->edges[e].from == l->edges[e].to;
    if (!l->edges[e].loop) open[l->edges[e].to]++;
  }
  for (size_t k = 0; ok && k < n; k++) {
    size_t next = n;
    for (size_t v = n; v-- > 0;)
      if (!taken[v] && (next == n || open[next] > 0 || open[v] == 0)) next = v;
    taken[next] = true;
    order[k] = next;
    for (size_t e = 0; e < l->edge_count; e++) {
      tn_layers_edge *edge = &l->edges[e];
      if (edge->loop) continue;
      if (edge->to == next && !taken[edge->from]) edge->upward = true;
      if (edge->from == next && !edge->upward) open[edge->to]--;
      if (edge->from == next || edge->to == next) {
        size_t other = edge->from == next ? edge->to : edge->from;
        if (!taken[other] && l->vertices[other].layer <= l->vertices[next].layer)
          l->vertices[other].layer = l->vertices[next].layer + 1;
      }
    }
  }
  // a node with nothing above it moves down to just above what it points to
  for (size_t k = n; ok && k-- > 0;) {
    size_t v = order[k], lowest = (size_t)-1;
    bool root = true;
    for (size_t e = 0; e < l->edge_count; e++) {
      const tn_layers_edge *edge = &l->edges[e];
      if (edge->loop || (edge->from != v && edge->to != v)) continue;
      size_t other = edge->from == v ? edge->to : edge->from;
      bool above = (edge->to == v) != edge->upward;
      if (above)
        root = false;
      else if (l->vertices[other].layer < lowest)
        lowest = l->vertices[other].layer;
    }
    if (root && lowest != (size_t)-1) l->vertices[v].layer = lowest - 1;
  }
  free(open);
  free(order);
  free(taken);
  return ok;
}

static size_t upper(const tn_layers_edge *e) { return e->upward ? e->to : e->from; }
static size_t lower(const tn_layers_edge *e) { return e->upward ? e->from : e->to; }

/* ---- bends and segments ---- */

static bool add_bends(tn_layers *l) {
  size_t count = l->node_count;
  for (size_t e = 0; e < l->edge_count; e++) {
    tn_layers_edge *edge = &l->edges[e];
    edge->first_bend = count;
    edge->bend_count = 0;
    if (!edge->loop) edge->bend_count = l->vertices[lower(edge)].layer - l->vertices[upper(edge)].layer - 1;
    count += edge->bend_count;
  }
  tn_layers_vertex *vertices = realloc(l->vertices, (count + 1) * sizeof *vertices);
  if (!vertices) return false;
  l->vertices = vertices;
  l->vertex_count = count;
  for (size_t e = 0; e < l->edge_count; e++)
    for (size_t b = 0; b < l->edges[e].bend_count; b++)
      vertices[l->edges[e].first_bend + b] =
          (tn_layers_vertex){.layer = vertices[upper(&l->edges[e])].layer + 1 + b, .width = 4};
  l->layer_count = 0;
  for (size_t v = 0; v < count; v++)
    if (vertices[v].layer >= l->layer_count) l->layer_count = vertices[v].layer + 1;
  return true;
}

/* Counting sort of the segments by the layer they leave. */
static void make_segments(arrangement *a) {
  const tn_layers *l = a->layers;
  size_t *filled = a->position; // of each layer: scratch, there are no fewer vertices than layers
  for (int filling = 0; filling < 2; filling++) {
    for (size_t e = 0; e < l->edge_count; e++) {
      const tn_layers_edge *edge = &l->edges[e];
      if (edge->loop) continue;
      size_t up = upper(edge);
      for (size_t b = 0; b <= edge->bend_count; b++) {
        size_t down = b < edge->bend_count ? edge->first_bend + b : lower(edge);
        size_t layer = l->vertices[up].layer;
        if (filling)
          a->segments[a->first_segment[layer] + filled[layer]++] = (segment){up, down};
        else
          a->first_segment[layer + 1]++;
        up = down;
      }
    }
    for (size_t k = 0; !filling && k < l->layer_count; k++) a->first_segment[k + 1] += a->first_segment[k];
  }
}

static void fill_slots(arrangement *a) {
  size_t used = 0;
  for (size_t k = 0; k < a->layers->layer_count; k++) {
    a->first_slot[k] = used;
    for (size_t v = 0; v < a->layers->vertex_count; v++)
      if (a->layers->vertices[v].layer == k) a->slots[used++] = v;
  }
  a->first_slot[a->layers->layer_count] = used;
}

/* ---- order ---- */

static void number_layer(arrangement *a, size_t layer) {
  for (size_t s = a->first_slot[layer]; s < a->first_slot[layer + 1]; s++)
    a->position[a->slots[s]] = s - a->first_slot[layer];
}

static size_t count_crossings(const arrangement *a) {
  size_t crossings = 0;
  for (size_t k = 0; k < a->layers->layer_count; k++)
    for (size_t i = a->first_segment[k]; i < a->first_segment[k + 1]; i++)
      for (size_t j = a->first_segment[k]; j < i; j++) {
        const segment *s = &a->segments[i], *t = &a->segments[j];
        if (s->up == t->up || s->down == t->down) continue;
        crossings +=
            (a->position[s->up] < a->position[t->up]) != (a->position[s->down] < a->position[t->down]);
      }
  return crossings;
}

/* Sorts a layer by the mean position of the neighbours above or below; without any, a vertex keeps its own.
 */
static void order_layer(arrangement *a, size_t layer, bool from_above) {
  size_t between = from_above ? layer - 1 : layer;
  for (size_t s = a->first_slot[layer]; s < a->first_slot[layer + 1]; s++)
    a->pull[a->slots[s]] = a->weight[a->slots[s]] = 0;
  for (size_t i = a->first_segment[between]; i < a->first_segment[between + 1]; i++) {
    size_t here = from_above ? a->segments[i].down : a->segments[i].up;
    size_t there = from_above ? a->segments[i].up : a->segments[i].down;
    a->pull[here] += (double)a->position[there];
    a->weight[here] += 1;
  }
  for (size_t s = a->first_slot[layer]; s < a->first_slot[layer + 1]; s++) {
    size_t v = a->slots[s];
    a->pull[v] = a->weight[v] > 0 ? a->pull[v] / a->weight[v] : (double)a->position[v];
  }
  for (size_t s = a->first_slot[layer] + 1; s < a->first_slot[layer + 1]; s++) { // insertion sort: stable
    size_t v = a->slots[s], to = s;
    for (; to > a->first_slot[layer] && a->pull[a->slots[to - 1]] > a->pull[v]; to--)
      a->slots[to] = a->slots[to - 1];
    a->slots[to] = v;
  }
  number_layer(a, layer);
}

static void order(arrangement *a) {
  size_t layers = a->layers->layer_count, slots = a->layers->vertex_count;
  for (size_t k = 0; k < layers; k++) number_layer(a, k);
  size_t fewest = count_crossings(a);
  memcpy(a->best, a->slots, slots * sizeof *a->slots);
  for (int sweep = 0; sweep < ORDER_SWEEPS && fewest > 0; sweep++) {
    if (sweep % 2 == 0)
      for (size_t k = 1; k < layers; k++) order_layer(a, k, true);
    else
      for (size_t k = layers - 1; k-- > 0;) order_layer(a, k, false);
    size_t crossings = count_crossings(a);
    if (crossings >= fewest) continue;
    fewest = crossings;
    memcpy(a->best, a->slots, slots * sizeof *a->slots);
  }
  memcpy(a->slots, a->best, slots * sizeof *a->slots);
  for (size_t k = 0; k < layers; k++) number_layer(a, k);
}

/* ---- coordinates ---- */

/* Long edges should be straight above all (weights after Gansner et al. 1993, "A technique for drawing
 * directed graphs", section 4). */
static double stiffness(const arrangement *a, const segment *s) {
  int bends = (s->up >= a->layers->node_count) + (s->down >= a->layers->node_count);
  return bends == 2 ? 8 : bends == 1 ? 2 : 1;
}

static void pull_layer(arrangement *a, size_t layer, bool from_above, bool from_below) {
  const tn_layers_vertex *vertices = a->layers->vertices;
  for (size_t s = a->first_slot[layer]; s < a->first_slot[layer + 1]; s++) { // a little inertia
    a->weight[a->slots[s]] = 0.05;
    a->pull[a->slots[s]] = 0.05 * vertices[a->slots[s]].x;
  }
  size_t begin = layer > 0 && from_above ? a->first_segment[layer - 1] : a->first_segment[layer];
  size_t end = from_below ? a->first_segment[layer + 1] : a->first_segment[layer];
  for (size_t i = begin; i < end; i++) {
    const segment *s = &a->segments[i];
    size_t here = vertices[s->up].layer == layer ? s->up : s->down;
    size_t there = here == s->up ? s->down : s->up;
    a->weight[here] += stiffness(a, s);
    a->pull[here] += stiffness(a, s) * vertices[there].x;
  }
}

/* Least squares: the x nearest to the pulls that keep order and distances. With the distances subtracted this
 * is isotonic regression, solved by pooling adjacent violators (Barlow et al. 1972). */
static void settle_layer(arrangement *a, size_t layer, double gap) {
  tn_layers_vertex *vertices = a->layers->vertices;
  size_t begin = a->first_slot[layer], end = a->first_slot[layer + 1], count = 0;
  double offset = 0; // of a slot from the first one, when all stand as close as they may
  for (size_t s = begin; s < end; s++) {
    size_t v = a->slots[s];
    if (s > begin) offset += (vertices[a->slots[s - 1]].width + vertices[v].width) / 2 + gap;
    vertices[v].x = offset;
    block b = {.sum = a->pull[v] - a->weight[v] * offset, .weight = a->weight[v], .size = 1};
    while (count > 0 && a->blocks[count - 1].sum / a->blocks[count - 1].weight >= b.sum / b.weight) {
      count--;
      b.sum += a->blocks[count].sum;
      b.weight += a->blocks[count].weight;
      b.size += a->blocks[count].size;
    }
    a->blocks[count++] = b;
  }
  size_t s = begin;
  for (size_t k = 0; k < count; k++)
    for (size_t i = 0; i < a->blocks[k].size; i++)
      vertices[a->slots[s++]].x += a->blocks[k].sum / a->blocks[k].weight;
}

static void place(arrangement *a, double gap) {
  size_t layers = a->layers->layer_count;
  for (size_t v = 0; v < a->layers->vertex_count; v++) {
    a->pull[v] = 0;
    a->weight[v] = 1;
  }
  for (size_t k = 0; k < layers; k++) settle_layer(a, k, gap);
  for (int sweep = 0; sweep < PLACE_SWEEPS; sweep++) {
    bool both = sweep >= PLACE_SWEEPS / 2, down = sweep % 2 == 0;
    for (size_t n = 0; n < layers; n++) {
      size_t k = down ? n : layers - 1 - n;
      pull_layer(a, k, both || down, both || !down);
      settle_layer(a, k, gap);
    }
  }
}

/* ---- the whole ---- */

static bool allocate(arrangement *a) {
  const tn_layers *l = a->layers;
  for (size_t e = 0; e < l->edge_count; e++)
    if (!l->edges[e].loop) a->segment_count += l->edges[e].bend_count + 1;
  size_t vertices = l->vertex_count;
  a->segments = calloc(a->segment_count + 1, sizeof *a->segments);
  a->first_segment = calloc(l->layer_count + 1, sizeof *a->first_segment);
  a->first_slot = calloc(l->layer_count + 1, sizeof *a->first_slot);
  a->slots = calloc(vertices, sizeof *a->slots);
  a->best = calloc(vertices, sizeof *a->best);
  a->position = calloc(vertices, sizeof *a->position);
  a->pull = calloc(vertices, sizeof *a->pull);
  a->weight = calloc(vertices, sizeof *a->weight);
  a->blocks = calloc(vertices, sizeof *a->blocks);
  return a->segments && a->first_segment && a->first_slot && a->slots && a->best && a->position && a->pull &&
         a->weight && a->blocks;
}

bool tn_layers_arrange(tn_layers *layers, double gap) {
  layers->vertex_count = layers->layer_count = 0;
  if (layers->node_count == 0) return true;
  if (!assign_layers(layers) || !add_bends(layers)) return false;
  arrangement a = {.layers = layers};
  bool ok = allocate(&a);
  if (ok) {
    make_segments(&a);
    fill_slots(&a);
    order(&a);
    place(&a, gap);
  }
  free(a.segments);
  free(a.first_segment);
  free(a.first_slot);
  free(a.slots);
  free(a.best);
  free(a.position);
  free(a.pull);
  free(a.weight);
  free(a.blocks);
  return ok;
}
