// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/report/graph.h"
#include "core/report/layers.h"
#include "tests/expect.h"

static char *drawn;
static char error[200];
static tn_layers layers;

static void release(void) {
  free(drawn);
  free(layers.vertices);
  free(layers.edges);
}

TestSuite(graph, .fini = release);
TestSuite(layers, .fini = release);

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *draw(const tn_graph *graph) {
  tn_text text = {0};
  cr_assert(tn_graph_draw(graph, &text, error, sizeof error), "%s", error);
  free(drawn);
  drawn = tn_text_take(&text);
  cr_assert(!strstr(drawn, "nan") && !strstr(drawn, "inf"));
  return drawn;
}

static size_t count(const char *text, const char *part) {
  size_t n = 0;
  for (const char *at = text; (at = strstr(at, part)); at++) n++;
  return n;
}

/* Lays out nodes of width 100 with edges given as pairs of nodes. */
static void arrange(size_t nodes, const size_t (*pairs)[2], size_t edges) {
  layers = (tn_layers){.node_count = nodes, .edge_count = edges};
  layers.vertices = calloc(nodes, sizeof *layers.vertices);
  layers.edges = calloc(edges + 1, sizeof *layers.edges);
  for (size_t v = 0; v < nodes; v++) layers.vertices[v].width = 100;
  for (size_t e = 0; e < edges; e++) {
    layers.edges[e].from = pairs[e][0];
    layers.edges[e].to = pairs[e][1];
  }
  cr_assert(tn_layers_arrange(&layers, 20));
}

static void expect_layers(const size_t *wanted) {
  for (size_t v = 0; v < layers.node_count; v++)
    cr_assert(layers.vertices[v].layer == wanted[v], "node %zu: expected layer %zu, got %zu", v, wanted[v],
              layers.vertices[v].layer);
}

/* ---- layers ---- */

Test(layers, node_lies_below_the_longest_path_to_it) {
  const size_t pairs[][2] = {{0, 1}, {1, 2}, {0, 2}, {2, 3}};
  arrange(4, pairs, COUNT(pairs));
  expect_layers((size_t[]){0, 1, 2, 3});
  EXPECT_INT(layers.edges[2].bend_count, 1); // 0 to 2 passes layer 1
  EXPECT_INT(layers.layer_count, 4);
}

Test(layers, source_stands_just_above_what_it_points_to) {
  const size_t pairs[][2] = {{0, 1}, {1, 2}, {3, 2}};
  arrange(4, pairs, COUNT(pairs));
  expect_layers((size_t[]){0, 1, 2, 1});
}

Test(layers, cycle_gets_one_upward_edge) {
  const size_t pairs[][2] = {{0, 1}, {1, 2}, {2, 0}, {1, 1}};
  arrange(3, pairs, COUNT(pairs));
  expect_layers((size_t[]){0, 1, 2});
  cr_assert(!layers.edges[0].upward && !layers.edges[1].upward && layers.edges[2].upward);
  cr_assert(layers.edges[3].loop);
}

Test(layers, crossings_that_can_be_avoided_are_avoided) {
  const size_t pairs[][2] = {{0, 5}, {1, 4}, {2, 3}}; // three parallel edges, given crosswise
  arrange(6, pairs, COUNT(pairs));
  for (size_t e = 0; e < 3; e++)
    for (size_t o = 0; o < e; o++)
      cr_assert((layers.vertices[pairs[e][0]].x < layers.vertices[pairs[o][0]].x) ==
                    (layers.vertices[pairs[e][1]].x < layers.vertices[pairs[o][1]].x),
                "edges %zu and %zu cross", e, o);
}

Test(layers, neighbours_keep_their_distance) {
  const size_t pairs[][2] = {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {4, 5}, {0, 5}};
  arrange(6, pairs, COUNT(pairs));
  for (size_t v = 0; v < layers.vertex_count; v++)
    for (size_t u = 0; u < v; u++) {
      const tn_layers_vertex *a = &layers.vertices[v], *b = &layers.vertices[u];
      double distance = a->x < b->x ? b->x - a->x : a->x - b->x;
      if (a->layer == b->layer)
        cr_assert(distance > (a->width + b->width) / 2 + 20 - 1e-6, "%zu and %zu: %g px", v, u, distance);
    }
}

Test(layers, lone_child_is_under_its_parent) {
  const size_t pairs[][2] = {{0, 1}, {1, 2}};
  arrange(3, pairs, COUNT(pairs));
  cr_assert(layers.vertices[0].x - layers.vertices[2].x < 1e-6);
  cr_assert(layers.vertices[2].x - layers.vertices[0].x < 1e-6);
}

/* ---- drawing ---- */

Test(graph, pipeline_has_a_box_a_node_and_an_arrow_an_edge) {
  const tn_graph_node nodes[] = {{"train", NULL, "stage.supervised", 0},
                                 {"digits", "digits & co", "dataset.csv", 2},
                                 {"net", "net", NULL, 1}};
  const tn_graph_edge edges[] = {{"train", "digits", "data"}, {"train", "net", "model"}};
  const char *svg = draw(&(tn_graph){"lion <digits>", nodes, COUNT(nodes), edges, COUNT(edges), false});
  EXPECT_INT(count(svg, "\"tn-box\""), 3);
  EXPECT_INT(count(svg, "<path class=\"tn-edge\""), 2);
  EXPECT_INT(count(svg, "<path class=\"tn-head\""), 2);
  EXPECT_CONTAINS(svg, "<title>lion &lt;digits&gt;</title>");
  EXPECT_CONTAINS(svg, "data-id=\"train\"");
  EXPECT_CONTAINS(svg, ">train</text>"); // the id stands in for the title
  EXPECT_CONTAINS(svg, ">digits &amp; co</text>");
  EXPECT_CONTAINS(svg, ">model</text>");
}

Test(graph, cycles_loops_and_parallel_edges_are_drawn) {
  const tn_graph_node nodes[] = {{"a", NULL, NULL, 0}, {"b", NULL, NULL, 1}, {"c", NULL, NULL, 2}};
  const tn_graph_edge edges[] = {
      {"a", "b", "1"}, {"a", "b", "2"}, {"b", "c", NULL}, {"c", "a", "back"}, {"b", "b", "again"}};
  const char *svg = draw(&(tn_graph){NULL, nodes, COUNT(nodes), edges, COUNT(edges), false});
  EXPECT_INT(count(svg, "<path class=\"tn-head\""), 5);
  EXPECT_CONTAINS(svg, ">again</text>");
}

Test(graph, empty_graph_is_a_drawing) { EXPECT_CONTAINS(draw(&(tn_graph){.title = "empty"}), "</svg>"); }

Test(graph, complete_graph_is_drawn) {
  enum { N = 12 };
  tn_graph_node nodes[N];
  tn_graph_edge edges[N * N];
  char ids[N][16];
  for (int i = 0; i < N; i++) {
    snprintf(ids[i], sizeof ids[i], "n%d", i);
    nodes[i] = (tn_graph_node){.id = ids[i]};
  }
  for (int i = 0; i < N * N; i++) edges[i] = (tn_graph_edge){ids[i / N], ids[i % N], "e"};
  EXPECT_INT(count(draw(&(tn_graph){NULL, nodes, N, edges, N * N, false}), "<path class=\"tn-head\""), N * N);
}

Test(graph, wrong_graphs_are_refused) {
  const tn_graph_node nodes[] = {{"a", NULL, NULL, 0}, {"b", NULL, NULL, 0}, {"a", NULL, NULL, 0}};
  const tn_graph_edge edges[] = {{"a", "b", NULL}, {"b", "x", NULL}, {"y", "a", NULL}};
  tn_text text = {0};
  cr_assert(!tn_graph_draw(&(tn_graph){NULL, nodes, 3, NULL, 0, false}, &text, error, sizeof error));
  EXPECT_TEXT(error, "two nodes have the id 'a'");
  cr_assert(!tn_graph_draw(&(tn_graph){NULL, nodes, 2, edges, 2, false}, &text, error, sizeof error));
  EXPECT_TEXT(error, "an edge leads to 'x', which is no node");
  cr_assert(!tn_graph_draw(&(tn_graph){NULL, nodes, 2, edges + 2, 1, false}, &text, error, sizeof error));
  EXPECT_TEXT(error, "an edge comes from 'y', which is no node");
  cr_assert(!tn_graph_draw(&(tn_graph){NULL, nodes, 257, edges, 1, false}, &text, error, sizeof error));
  EXPECT_TEXT(error, "257 nodes and 1 edges are too many to draw, at most 256 and 1024");
  cr_assert(text.data == NULL); // nothing was appended
}
