// SPDX-License-Identifier: MIT
#include "core/report/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/flow.h"
#include "core/report/layers.h"
#include "core/report/svg.h"

static const double margin = 24;
static const double title_height = 34;
static const double box_height = 52, box_least = 104, box_most = 280; // px
static const double box_left = 18, box_right = 16;                    // px, free beside the text
static const double name_size = 14, subtitle_size = 12, note_size = 11;
static const double gap_across = 34, gap_down = 74; // px between boxes
static const double loop_width = 30;                // px, right of a box that points to itself
static const double head = 8;                       // px, length of an arrowhead

typedef struct port {
  double above, below; // x where an edge meets its upper and lower node
} port;

typedef struct label {
  double x, y, width; // centre
} label;

typedef struct drawing {
  const tn_graph *graph;
  tn_layers layers;
  port *ports;   // one an edge
  label *labels; // one an edge; width 0: none
  double top;    // of the first layer
} drawing;

static bool fail(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool fail(char *error, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (error && size > 0) vsnprintf(error, size, format, args);
  va_end(args);
  return false;
}

/* ---- from ids to a layout ---- */

static size_t find_node(const tn_graph *graph, const char *id) {
  size_t v = 0;
  while (v < graph->node_count && strcmp(graph->nodes[v].id, id) != 0) v++;
  return v;
}

static bool check(const tn_graph *graph, char *error, size_t error_size) {
  if (graph->node_count > TN_GRAPH_NODES_MAX || graph->edge_count > TN_GRAPH_EDGES_MAX)
    return fail(error, error_size, "%zu nodes and %zu edges are too many to draw, at most %d and %d",
                graph->node_count, graph->edge_count, TN_GRAPH_NODES_MAX, TN_GRAPH_EDGES_MAX);
  for (size_t v = 0; v < graph->node_count; v++)
    if (find_node(graph, graph->nodes[v].id) != v)
      return fail(error, error_size, "two nodes have the id '%.80s'", graph->nodes[v].id);
  for (size_t e = 0; e < graph->edge_count; e++) {
    const char *ends[] = {graph->edges[e].from, graph->edges[e].to};
    for (int end = 0; end < 2; end++)
      if (find_node(graph, ends[end]) == graph->node_count)
        return fail(error, error_size, "an edge %s '%.80s', which is no node",
                    end ? "leads to" : "comes from", ends[end]);
  }
  return true;
}

static const char *title_of(const tn_graph_node *node) { return node->title ? node->title : node->id; }

static double width_of(const tn_graph_node *node) {
  double text = tn_svg_text_width(title_of(node), name_size) * 1.08; // the title is bold
  if (node->subtitle) text = fmax(text, tn_svg_text_width(node->subtitle, subtitle_size) * 1.03);
  return fmin(fmax(text + box_left + box_right, box_least), box_most);
}

static bool lay_out(drawing *d) {
  const tn_graph *graph = d->graph;
  d->layers.node_count = graph->node_count;
  d->layers.edge_count = graph->edge_count;
  d->layers.vertices = calloc(graph->node_count + 1, sizeof *d->layers.vertices);
  d->layers.edges = calloc(graph->edge_count + 1, sizeof *d->layers.edges);
  d->ports = calloc(graph->edge_count + 1, sizeof *d->ports);
  d->labels = calloc(graph->edge_count + 1, sizeof *d->labels);
  if (!d->layers.vertices || !d->layers.edges || !d->ports || !d->labels) return false;
  for (size_t v = 0; v < graph->node_count; v++) d->layers.vertices[v].width = width_of(&graph->nodes[v]);
  for (size_t e = 0; e < graph->edge_count; e++) {
    d->layers.edges[e].from = find_node(graph, graph->edges[e].from);
    d->layers.edges[e].to = find_node(graph, graph->edges[e].to);
  }
  return tn_layers_arrange(&d->layers, gap_across);
}

static double layer_top(const drawing *d, size_t layer) {
  return d->top + (double)layer * (box_height + gap_down);
}

/* ---- edges ---- */

static size_t upper_of(const tn_layers_edge *e) { return e->upward ? e->to : e->from; }
static size_t lower_of(const tn_layers_edge *e) { return e->upward ? e->from : e->to; }

/* The vertex an edge goes to next from its upper node, or comes from last at its lower node. */
static size_t neighbour(const tn_layers_edge *e, bool at_upper) {
  if (e->bend_count == 0) return at_upper ? lower_of(e) : upper_of(e);
  return at_upper ? e->first_bend : e->first_bend + e->bend_count - 1;
}

/* Edges that leave a box on the same side share that side in the order of their other ends. */
static void place_ports(drawing *d, bool at_upper) {
  for (size_t e = 0; e < d->layers.edge_count; e++) {
    const tn_layers_edge *edge = &d->layers.edges[e];
    size_t node = at_upper ? upper_of(edge) : lower_of(edge), rank = 0, count = 0;
    double target = d->layers.vertices[neighbour(edge, at_upper)].x;
    for (size_t o = 0; o < d->layers.edge_count; o++) {
      const tn_layers_edge *other = &d->layers.edges[o];
      if (other->loop || (at_upper ? upper_of(other) : lower_of(other)) != node) continue;
      double x = d->layers.vertices[neighbour(other, at_upper)].x;
      count++;
      rank += x < target || (x <= target && o < e);
    }
    const tn_layers_vertex *v = &d->layers.vertices[node];
    double space = count > 1 ? fmin(22, (v->width - 36) / (double)(count - 1)) : 0;
    double x = v->x + ((double)rank - (double)(count > 0 ? count - 1 : 0) / 2) * space;
    if (at_upper)
      d->ports[e].above = x;
    else
      d->ports[e].below = x;
  }
}

/* Piece k of an edge, between two layers: its ends. Piece 0 begins at the upper node. */
static void piece(const drawing *d, size_t e, size_t k, double *x0, double *y0, double *x1, double *y1) {
  const tn_layers_edge *edge = &d->layers.edges[e];
  size_t layer = d->layers.vertices[upper_of(edge)].layer + k;
  *x0 = k == 0 ? d->ports[e].above : d->layers.vertices[edge->first_bend + k - 1].x;
  *x1 = k == edge->bend_count ? d->ports[e].below : d->layers.vertices[edge->first_bend + k].x;
  *y0 = layer_top(d, layer) + box_height;
  *y1 = layer_top(d, layer + 1);
  if (k == 0 && edge->upward) *y0 += head;
  if (k == edge->bend_count && !edge->upward) *y1 -= head;
}

static void draw_edge(tn_text *out, const drawing *d, size_t e) {
  const tn_layers_edge *edge = &d->layers.edges[e];
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  tn_text_append(out, "<path class=\"tn-edge\" d=\"");
  for (size_t k = 0; k <= edge->bend_count; k++) {
    piece(d, e, k, &x0, &y0, &x1, &y1);
    double middle = (y0 + y1) / 2;
    tn_text_printf(out, "%c%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f", k == 0 ? 'M' : 'L', x0, y0, x0, middle,
                   x1, middle, x1, y1);
  }
  tn_text_append(out, "\"/>");
  double tip_x = edge->upward ? d->ports[e].above : x1;
  double tip_y =
      edge->upward ? layer_top(d, d->layers.vertices[upper_of(edge)].layer) + box_height : y1 + head;
  double back = edge->upward ? head : -head;
  tn_text_printf(out, "<path class=\"tn-head\" d=\"M%.1f %.1fl-4.5 %.1fh9z\"/>\n", tip_x, tip_y, back * 1.15);
}

static void draw_loop(tn_text *out, const drawing *d, size_t e) {
  const tn_layers_vertex *v = &d->layers.vertices[d->layers.edges[e].from];
  double x = v->x + v->width / 2, y = layer_top(d, v->layer) + box_height / 2;
  tn_text_printf(out, "<path class=\"tn-edge\" d=\"M%.1f %.1fc%.0f -6 %.0f 26 %.1f 20\"/>", x, y - 10,
                 loop_width, loop_width, head);
  tn_text_printf(out, "<path class=\"tn-head\" d=\"M%.1f %.1fl9.2 -4.5v9z\"/>\n", x, y + 10);
}

/* ---- labels ---- */

/* The point of piece k at share t of its length: x of a cubic whose tangents are vertical at both ends. */
static label point_on(const drawing *d, size_t e, size_t k, double t) {
  double x0, y0, x1, y1, u = 1 - t;
  piece(d, e, k, &x0, &y0, &x1, &y1);
  return (label){.x = x0 + t * t * (3 - 2 * t) * (x1 - x0),
                 .y = u * u * u * y0 + 3 * u * t * (y0 + y1) / 2 + t * t * t * y1};
}

/* Other edges that a label at piece k of edge e would hide, and, much worse, other labels. */
static size_t obstruction(const drawing *d, size_t e, size_t k, const label *l) {
  static const double height = 15;
  size_t cost = 0, layer = d->layers.vertices[upper_of(&d->layers.edges[e])].layer + k;
  for (size_t o = 0; o < d->graph->edge_count; o++) {
    const label *other = &d->labels[o];
    if (other->width > 0 && fabs(other->x - l->x) < (other->width + l->width) / 2 + 4 &&
        fabs(other->y - l->y) < height)
      cost += 100;
    size_t top = d->layers.vertices[upper_of(&d->layers.edges[o])].layer; // and the piece of o in this gap
    if (o == e || d->layers.edges[o].loop || layer < top || layer - top > d->layers.edges[o].bend_count)
      continue;
    bool hidden = false;
    for (int i = 1; i < 12 && !hidden; i++) {
      label p = point_on(d, o, layer - top, i / 12.0);
      hidden = fabs(p.x - l->x) < l->width / 2 + 1 && fabs(p.y - l->y) < height / 2;
    }
    cost += hidden;
  }
  return cost;
}

/* A label sits on its edge: in the middle of its first piece if that is free, else where it hides least. */
static void place_labels(drawing *d) {
  static const double shares[] = {0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74};
  for (size_t e = 0; e < d->graph->edge_count; e++) {
    const char *text = d->graph->edges[e].label;
    const tn_layers_edge *edge = &d->layers.edges[e];
    if (!text || !*text) continue;
    label chosen = {.width = fmin(tn_svg_text_width(text, note_size) * 1.03, box_most)};
    if (edge->loop) {
      const tn_layers_vertex *v = &d->layers.vertices[edge->from];
      chosen.x = v->x + v->width / 2 + loop_width + chosen.width / 2;
      chosen.y = layer_top(d, v->layer) + box_height / 2;
      d->labels[e] = chosen;
      continue;
    }
    size_t least = SIZE_MAX;
    for (size_t k = 0; k <= edge->bend_count && k < 3 && least > 0; k++)
      for (size_t i = 0; i < sizeof shares / sizeof *shares && least > 0; i++) {
        label here = point_on(d, e, k, shares[i]);
        here.width = chosen.width;
        size_t cost = obstruction(d, e, k, &here);
        if (cost >= least) continue;
        least = cost;
        chosen = here;
      }
    d->labels[e] = chosen;
  }
}

static void draw_label(tn_text *out, const drawing *d, size_t e) {
  const label *l = &d->labels[e];
  if (l->width <= 0) return;
  tn_text_printf(out, "<text class=\"tn-note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", l->x,
                 l->y + 4);
  tn_svg_append_fitted(out, d->graph->edges[e].label, note_size, box_most);
  tn_text_append(out, "</text>\n");
}

/* ---- nodes ---- */

static void draw_node(tn_text *out, const drawing *d, size_t n) {
  const tn_graph_node *node = &d->graph->nodes[n];
  const tn_layers_vertex *v = &d->layers.vertices[n];
  double left = v->x - v->width / 2, top = layer_top(d, v->layer), room = v->width - box_left - box_right + 1;
  bool two = node->subtitle && *node->subtitle;
  tn_text_append(out, "<g data-id=\"");
  tn_text_append_xml(out, node->id);
  tn_text_printf(out,
                 "\"><rect class=\"tn-box\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"8\"/>",
                 left, top, v->width, box_height);
  tn_text_printf(out, "<rect class=\"tn-f%u\" x=\"%.1f\" y=\"%.1f\" width=\"4\" height=\"%.0f\" rx=\"2\"/>",
                 node->color % TN_SVG_COLORS, left + 6, top + 9, box_height - 18);
  tn_text_printf(out, "<text class=\"tn-name\" x=\"%.1f\" y=\"%.1f\">", left + box_left,
                 top + (two ? 23 : 31));
  tn_svg_append_fitted(out, title_of(node), name_size * 1.08, room);
  tn_text_append(out, "</text>");
  if (two) {
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\">", left + box_left, top + 40);
    tn_svg_append_fitted(out, node->subtitle, subtitle_size * 1.02, room);
    tn_text_append(out, "</text>");
  }
  tn_text_append(out, "</g>\n");
}

/* ---- the whole ---- */

/* Moves everything so that the leftmost thing is at the margin, and returns the width of the drawing. */
static double fit(drawing *d) {
  double left = INFINITY, right = -INFINITY;
  for (size_t v = 0; v < d->layers.vertex_count; v++) {
    left = fmin(left, d->layers.vertices[v].x - d->layers.vertices[v].width / 2);
    right = fmax(right, d->layers.vertices[v].x + d->layers.vertices[v].width / 2);
  }
  for (size_t e = 0; e < d->graph->edge_count; e++) {
    const tn_layers_vertex *v = &d->layers.vertices[d->layers.edges[e].from];
    if (d->layers.edges[e].loop) right = fmax(right, v->x + v->width / 2 + loop_width);
    if (d->labels[e].width <= 0) continue;
    left = fmin(left, d->labels[e].x - d->labels[e].width / 2);
    right = fmax(right, d->labels[e].x + d->labels[e].width / 2);
  }
  double wanted = d->graph->title ? fmin(tn_svg_text_width(d->graph->title, 18) * 1.08, 600) : 0;
  if (left > right) left = right = 0;
  double shift = margin - left + fmax(0, wanted - (right - left)) / 2;
  for (size_t v = 0; v < d->layers.vertex_count; v++) d->layers.vertices[v].x += shift;
  for (size_t e = 0; e < d->graph->edge_count; e++) {
    d->ports[e].above += shift;
    d->ports[e].below += shift;
    d->labels[e].x += shift;
  }
  return fmax(right - left, wanted) + 2 * margin;
}

static void draw(drawing *d, tn_text *out) {
  bool titled = d->graph->title && *d->graph->title;
  d->top = margin + (titled ? title_height : 0);
  place_ports(d, true);
  place_ports(d, false);
  place_labels(d);
  double width = fit(d);
  size_t layers = d->layers.layer_count;
  double height = layers > 0 ? layer_top(d, layers - 1) + box_height + margin : d->top + margin;
  tn_svg_open(out, width, height, d->graph->title, false);
  if (titled) {
    tn_text_printf(out, "<text class=\"tn-title\" x=\"%.1f\" y=\"%.1f\">", margin, margin + 16);
    tn_svg_append_fitted(out, d->graph->title, 18 * 1.08, width - 2 * margin + 1);
    tn_text_append(out, "</text>\n");
  }
  for (size_t e = 0; e < d->graph->edge_count; e++) {
    if (d->layers.edges[e].loop)
      draw_loop(out, d, e);
    else
      draw_edge(out, d, e);
  }
  for (size_t v = 0; v < d->graph->node_count; v++) draw_node(out, d, v);
  for (size_t e = 0; e < d->graph->edge_count; e++) draw_label(out, d, e);
  tn_svg_close(out);
}

bool tn_graph_draw(const tn_graph *graph, tn_text *out, char *error, size_t error_size) {
  if (!check(graph, error, error_size)) return false;
  if (graph->plain) return tn_flow_draw(graph, out) || fail(error, error_size, "out of memory");
  drawing d = {.graph = graph};
  bool ok = lay_out(&d);
  if (ok) draw(&d, out);
  ok = ok && !out->failed;
  free(d.layers.vertices);
  free(d.layers.edges);
  free(d.ports);
  free(d.labels);
  return ok || fail(error, error_size, "out of memory");
}
