// SPDX-License-Identifier: MIT
/* The same graph from left to right: as wide as it has layers, for pages that grow downwards. Edges leave at
 * the right and arrive at the left. Where all that arrive at a node have the same name it stands there once,
 * else each name lies on its edge, where it hides least. */
#include "core/report/flow.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/layers.h"
#include "core/report/svg.h"

static const double box_height = 40, box_left = 15, box_right = 12, box_least = 76, box_most = 220; // px
static const double name_size = 14, subtitle_size = 12, note_size = 11;                             // px
static const double gap_down = 12, gap_least = 56, head = 7;                                        // px
static const double loop = 22; // px, right of a box that points to itself

typedef struct name_place {
  double x, y, width; // centre; width 0: none yet
} name_place;

typedef struct flow {
  const tn_graph *graph;
  tn_layers layers;
  double *left, *wide; // of each layer: where it begins, and its widest box
  double top;          // px added to all heights
  name_place *labels;  // one an edge
} flow;

static const char *title_of(const tn_graph_node *node) { return node->title ? node->title : node->id; }

static double width_of(const tn_graph_node *node) {
  double text = tn_svg_text_width(title_of(node), name_size) * 1.08; // the title is bold
  if (node->subtitle) text = fmax(text, tn_svg_text_width(node->subtitle, subtitle_size) * 1.03);
  return fmin(fmax(text + box_left + box_right, box_least), box_most);
}

static size_t find_node(const tn_graph *graph, const char *id) {
  size_t v = 0;
  while (strcmp(graph->nodes[v].id, id) != 0) v++;
  return v;
}

/* Layers lie beside each other; what layers.h calls x is the height here. */
static bool lay_out(flow *f) {
  const tn_graph *graph = f->graph;
  tn_layers *l = &f->layers;
  l->node_count = graph->node_count;
  l->edge_count = graph->edge_count;
  l->vertices = calloc(graph->node_count + 1, sizeof *l->vertices);
  l->edges = calloc(graph->edge_count + 1, sizeof *l->edges);
  if (!l->vertices || !l->edges) return false;
  for (size_t v = 0; v < graph->node_count; v++) l->vertices[v].width = box_height;
  for (size_t e = 0; e < graph->edge_count; e++) {
    l->edges[e].from = find_node(graph, graph->edges[e].from);
    l->edges[e].to = find_node(graph, graph->edges[e].to);
  }
  if (!tn_layers_arrange(l, gap_down)) return false;
  f->left = calloc(l->layer_count + 1, sizeof *f->left);
  f->wide = calloc(l->layer_count + 1, sizeof *f->wide);
  f->labels = calloc(graph->edge_count + 1, sizeof *f->labels);
  return f->left && f->wide && f->labels;
}

static size_t first_of(const tn_layers_edge *e) { return e->upward ? e->to : e->from; }
static size_t last_of(const tn_layers_edge *e) { return e->upward ? e->from : e->to; }

/* Between two layers there is room for the longest name of an edge that arrives in the second. */
static void place_layers(flow *f) {
  const tn_layers *l = &f->layers;
  double *room = calloc(l->layer_count + 1, sizeof *room);
  for (size_t v = 0; v < f->graph->node_count; v++) {
    const size_t layer = l->vertices[v].layer;
    f->wide[layer] = fmax(f->wide[layer], width_of(&f->graph->nodes[v]));
  }
  for (size_t e = 0; e < f->graph->edge_count && room; e++) {
    const char *label = f->graph->edges[e].label;
    const size_t layer = l->vertices[last_of(&l->edges[e])].layer;
    if (label && !l->edges[e].loop)
      room[layer] = fmax(room[layer], fmin(tn_svg_text_width(label, note_size), 160));
    if (l->edges[e].loop && layer + 1 < l->layer_count)
      room[layer + 1] = fmax(room[layer + 1], loop + (label ? tn_svg_text_width(label, note_size) : 0));
  }
  for (size_t i = 1; i < l->layer_count; i++)
    f->left[i] = f->left[i - 1] + f->wide[i - 1] + fmax(gap_least, (room ? room[i] : 0) + 38);
  free(room);
}

static double height_of(const flow *f, size_t vertex) { return f->layers.vertices[vertex].x + f->top; }

static void curve(tn_text *out, double x0, double y0, double x1, double y1) {
  const double middle = (x0 + x1) / 2;
  tn_text_printf(out, "C%.1f %.1f %.1f %.1f %.1f %.1f", middle, y0, middle, y1, x1, y1);
}

static void draw_edge(tn_text *out, const flow *f, size_t e) {
  const tn_layers_edge *edge = &f->layers.edges[e];
  const size_t first = first_of(edge), last = last_of(edge);
  size_t layer = f->layers.vertices[first].layer;
  double x = f->left[layer] + width_of(&f->graph->nodes[first]) + (edge->upward ? head : 0),
         y = height_of(f, first);
  tn_text_printf(out, "<path class=\"tn-edge\" d=\"M%.1f %.1f", x, y);
  for (size_t k = 0; k < edge->bend_count; k++) {
    const double bend = height_of(f, edge->first_bend + k);
    layer++;
    curve(out, x, y, f->left[layer], bend);
    x = f->left[layer] + f->wide[layer], y = bend;
    tn_text_printf(out, "H%.1f", x);
  }
  const double end = f->left[f->layers.vertices[last].layer] - (edge->upward ? 0 : head);
  curve(out, x, y, end, height_of(f, last));
  tn_text_append(out, "\"/>");
  if (edge->upward)
    tn_text_printf(out, "<path class=\"tn-head\" d=\"M%.1f %.1fl%.1f -4v8z\"/>\n",
                   f->left[f->layers.vertices[first].layer] + width_of(&f->graph->nodes[first]),
                   height_of(f, first), head * 1.15);
  else
    tn_text_printf(out, "<path class=\"tn-head\" d=\"M%.1f %.1fl-%.1f -4v8z\"/>\n", end + head,
                   height_of(f, last), head * 1.15);
}

static void draw_loop(tn_text *out, const flow *f, size_t e) {
  const size_t v = f->layers.edges[e].from;
  const double x = f->left[f->layers.vertices[v].layer] + width_of(&f->graph->nodes[v]), y = height_of(f, v);
  tn_text_printf(out, "<path class=\"tn-edge\" d=\"M%.1f %.1fc%.0f -5 %.0f 19 %.1f 16\"/>", x, y - 8, loop,
                 loop, head);
  tn_text_printf(out, "<path class=\"tn-head\" d=\"M%.1f %.1fl8 -4v8z\"/>\n", x, y + 8);
}

/* ---- names of edges ---- */

static const char *name_of(const flow *f, size_t e) {
  const char *name = f->graph->edges[e].label;
  return name ? name : "";
}

/* The one name of all edges that arrive at a node; NULL: they differ, or none arrives. */
static const char *common_name(const flow *f, size_t v) {
  const char *name = NULL;
  for (size_t e = 0; e < f->graph->edge_count; e++) {
    const tn_layers_edge *edge = &f->layers.edges[e];
    if (edge->loop || last_of(edge) != v) continue;
    if (edge->upward || (name && strcmp(name, name_of(f, e)) != 0)) return NULL;
    name = name_of(f, e);
  }
  return name;
}

/* On the last piece of an edge, at share t of its way. */
static name_place point_on(const flow *f, size_t e, double t) {
  const tn_layers_edge *edge = &f->layers.edges[e];
  const size_t first = first_of(edge), last = last_of(edge), n = edge->bend_count;
  const size_t layer = f->layers.vertices[last].layer;
  const double x0 = n > 0 ? f->left[layer - 1] + f->wide[layer - 1]
                          : f->left[layer - 1] + width_of(&f->graph->nodes[first]);
  const double y0 = n > 0 ? height_of(f, edge->first_bend + n - 1) : height_of(f, first);
  const double x1 = f->left[layer] - head, y1 = height_of(f, last), u = 1 - t;
  return (name_place){.x = u * u * u * x0 + 3 * u * t * (x0 + x1) / 2 + t * t * t * x1,
                      .y = y0 + t * t * (3 - 2 * t) * (y1 - y0)};
}

/* How much of other names a label would hide, and of edges. */
static size_t obstruction(const flow *f, size_t e, const name_place *l) {
  size_t cost = 0;
  for (size_t o = 0; o < f->graph->edge_count; o++) {
    const name_place *other = &f->labels[o];
    if (other->width > 0 && fabs(other->x - l->x) < (other->width + l->width) / 2 + 6 &&
        fabs(other->y - l->y) < 13)
      cost += 100;
    if (o == e || f->layers.edges[o].loop || last_of(&f->layers.edges[o]) == last_of(&f->layers.edges[e]))
      continue;
    if (f->layers.vertices[last_of(&f->layers.edges[o])].layer !=
        f->layers.vertices[last_of(&f->layers.edges[e])].layer)
      continue;
    for (int i = 1; i < 12; i++) {
      const name_place p = point_on(f, o, i / 12.0);
      cost += fabs(p.x - l->x) < l->width / 2 && fabs(p.y - l->y) < 7;
    }
  }
  return cost;
}

static void place_name(flow *f, size_t e) {
  static const double shares[] = {0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8};
  const tn_layers_edge *edge = &f->layers.edges[e];
  name_place best = {0};
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < sizeof shares / sizeof *shares && least > 0; i++) {
    name_place here = point_on(f, e, shares[i]);
    here.width = fmin(tn_svg_text_width(name_of(f, e), note_size), 160);
    const size_t layer = f->layers.vertices[last_of(edge)].layer;
    const double low = f->left[layer - 1] + f->wide[layer - 1] + 4 + here.width / 2;
    const double high = f->left[layer] - head - 4 - here.width / 2;
    here.x = fmax(low, fmin(here.x, high));
    const size_t cost = obstruction(f, e, &here);
    if (cost < least) least = cost, best = here;
  }
  f->labels[e] = best;
}

static void draw_name(tn_text *out, double x, double y, const char *anchor, const char *name) {
  tn_text_printf(out, "<text class=\"tn-note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
  tn_svg_append_fitted(out, name, note_size, 160);
  tn_text_append(out, "</text>\n");
}

static void draw_names(tn_text *out, flow *f) {
  for (size_t v = 0; v < f->graph->node_count; v++) {
    const char *name = common_name(f, v);
    if (name && *name)
      draw_name(out, f->left[f->layers.vertices[v].layer] - head - 7, height_of(f, v) - 5, "end", name);
  }
  for (size_t e = 0; e < f->graph->edge_count; e++) {
    const tn_layers_edge *edge = &f->layers.edges[e];
    if (!*name_of(f, e) || (!edge->loop && common_name(f, last_of(edge)))) continue;
    if (edge->loop) {
      const size_t v = edge->from;
      draw_name(out, f->left[f->layers.vertices[v].layer] + width_of(&f->graph->nodes[v]) + loop,
                height_of(f, v) + 4, "start", name_of(f, e));
      continue;
    }
    place_name(f, e);
    draw_name(out, f->labels[e].x, f->labels[e].y + 4, "middle", name_of(f, e));
  }
}

static void draw_node(tn_text *out, const flow *f, size_t v) {
  const tn_graph_node *node = &f->graph->nodes[v];
  const double x = f->left[f->layers.vertices[v].layer], y = height_of(f, v) - box_height / 2,
               width = width_of(node);
  const double room = width - box_left - box_right + 1;
  const bool two = node->subtitle && *node->subtitle;
  tn_text_printf(out,
                 "<g><rect class=\"tn-box\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"6\"/>",
                 x, y, width, box_height);
  tn_text_printf(out, "<rect class=\"tn-f%u\" x=\"%.1f\" y=\"%.1f\" width=\"4\" height=\"%.0f\" rx=\"2\"/>",
                 node->color % TN_SVG_COLORS, x + 5, y + 7, box_height - 14);
  tn_text_printf(out, "<text class=\"tn-name\" x=\"%.1f\" y=\"%.1f\">", x + box_left, y + (two ? 18 : 25));
  tn_svg_append_fitted(out, title_of(node), name_size * 1.08, room);
  tn_text_append(out, "</text>");
  if (two) {
    tn_text_printf(out, "<text class=\"tn-quiet\" x=\"%.1f\" y=\"%.1f\">", x + box_left, y + 32);
    tn_svg_append_fitted(out, node->subtitle, subtitle_size * 1.02, room);
    tn_text_append(out, "</text>");
  }
  tn_text_append(out, "</g>\n");
}

static void draw(flow *f, tn_text *out) {
  double top = INFINITY, bottom = -INFINITY;
  place_layers(f);
  for (size_t v = 0; v < f->layers.vertex_count; v++) {
    top = fmin(top, f->layers.vertices[v].x - f->layers.vertices[v].width / 2);
    bottom = fmax(bottom, f->layers.vertices[v].x + f->layers.vertices[v].width / 2);
  }
  if (top > bottom) top = bottom = 0;
  f->top = 12 - top; // names stand above the highest edge
  const size_t last = f->layers.layer_count > 0 ? f->layers.layer_count - 1 : 0;
  double width = f->left[last] + f->wide[last] + 2;
  for (size_t e = 0; e < f->graph->edge_count; e++) // names of loops at the right
    if (f->layers.edges[e].loop && f->layers.vertices[f->layers.edges[e].from].layer == last)
      width =
          fmax(width, f->left[last] + f->wide[last] + loop + tn_svg_text_width(name_of(f, e), note_size) + 4);
  tn_svg_open(out, width, bottom - top + 16, f->graph->title, true);
  for (size_t e = 0; e < f->graph->edge_count; e++) {
    if (f->layers.edges[e].loop)
      draw_loop(out, f, e);
    else
      draw_edge(out, f, e);
  }
  for (size_t v = 0; v < f->graph->node_count; v++) draw_node(out, f, v);
  draw_names(out, f);
  tn_svg_close(out);
}

bool tn_flow_draw(const tn_graph *graph, tn_text *out) {
  flow f = {.graph = graph};
  const bool ok = lay_out(&f);
  if (ok) draw(&f, out);
  free(f.layers.vertices);
  free(f.layers.edges);
  free(f.labels);
  free(f.left);
  free(f.wide);
  return ok && !out->failed;
}
