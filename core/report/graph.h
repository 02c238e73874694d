// SPDX-License-Identifier: MIT
/* Directed graphs as one self-contained SVG in the style of svg.h: boxes in layers from top to bottom, edges
 * as curves with arrowheads. */
#ifndef TENON_REPORT_GRAPH_H
#define TENON_REPORT_GRAPH_H

#include "core/report/text.h"

#define TN_GRAPH_NODES_MAX 256
#define TN_GRAPH_EDGES_MAX 1024

typedef struct tn_graph_node {
  const char *id;       /* unique in the graph */
  const char *title;    /* first line of the box; NULL: the id */
  const char *subtitle; /* second line; NULL: none */
  unsigned color;       /* of the bar at its left, modulo TN_SVG_COLORS */
} tn_graph_node;

/* An arrow from one node to another, by their ids. Edges point downwards where the graph has no cycle; a
 * cycle gets as many upward arrows as it needs. A node may point to itself. */
typedef struct tn_graph_edge {
  const char *from, *to;
  const char *label; /* NULL: none */
} tn_graph_edge;

typedef struct tn_graph {
  const char *title; /* NULL: none */
  const tn_graph_node *nodes;
  size_t node_count; /* 0 to TN_GRAPH_NODES_MAX */
  const tn_graph_edge *edges;
  size_t edge_count; /* 0 to TN_GRAPH_EDGES_MAX */
  bool plain;        /* for a page (html.h): from left to right, without style, title and background */
} tn_graph;

/* Appends the drawing. False, with one line in `error` (its size in bytes), if two nodes have the same id, an
 * edge names no node, the graph is too large to be drawn, or memory ran out. */
bool tn_graph_draw(const tn_graph *graph, tn_text *out, char *error, size_t error_size);

#endif
