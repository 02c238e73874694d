// SPDX-License-Identifier: MIT
/* Positions for a layered drawing of a directed graph (Sugiyama, Tagawa and Toda 1981, "Methods for visual
 * understanding of hierarchical system structures"). */
#ifndef TENON_REPORT_LAYERS_H
#define TENON_REPORT_LAYERS_H

#include <stdbool.h>
#include <stddef.h>

/* A node, or the bend where an edge passes through a layer. The first node_count vertices are the nodes. */
typedef struct tn_layers_vertex {
  size_t layer;
  double width; /* px; given for the nodes */
  double x;     /* px, centre; any origin */
} tn_layers_vertex;

typedef struct tn_layers_edge {
  size_t from, to;   /* nodes; given */
  bool loop;         /* from == to: not laid out */
  bool upward;       /* part of a cycle: laid out from `to` down to `from` */
  size_t first_bend; /* its bends are consecutive vertices, from top to bottom */
  size_t bend_count;
} tn_layers_edge;

typedef struct tn_layers {
  size_t node_count, edge_count;
  tn_layers_vertex *vertices; /* malloc'd with the nodes at the front; grows by the bends */
  size_t vertex_count;
  tn_layers_edge *edges;
  size_t layer_count;
} tn_layers;

/* Needs node_count, edge_count, the nodes' widths and the edges' ends; fills the rest. Horizontal neighbours
 * keep a distance of `gap` px. False if memory ran out; vertices and edges are the caller's to free in any
 * case. */
bool tn_layers_arrange(tn_layers *layers, double gap);

#endif
