// SPDX-License-Identifier: MIT
/* Graph isomorphism network (Xu et al. 2019): 4 layers of 64, batch of 64 graphs of 30 nodes and 60 directed
 * edges, sum over nodes, Adam. */
#include "../bench.h"

enum { GRAPHS = 64, NODES = 30, EDGES = 60, FEATURES = 7, WIDTH = 64, LAYERS = 4, ALL = GRAPHS * NODES };

typedef struct layer {
  bench_linear first, second;
  bench_norm norm;
} layer;

static bench_training training;
static layer layers[LAYERS];
static bench_linear head;
static tn_tensor *x, *labels;      /* (ALL, FEATURES), (GRAPHS) */
static tn_tensor *source, *target; /* nodes of each edge, (GRAPHS x EDGES) */
static tn_tensor *graph;           /* of each node, (ALL) */

/* One end of every edge, within its graph. */
static tn_tensor *ends(void) {
  tn_tensor *nodes = bench_labels(GRAPHS * EDGES, NODES);
  for (int64_t i = 0; i < GRAPHS * EDGES; i++) tn_i64(nodes)[i] += i / EDGES * NODES;
  return nodes;
}

static bool begin(void) {
  tn_declaration *declaration = tn_declaration_new();
  for (int i = 0; i < LAYERS; i++) {
    layers[i].first = bench_linear_declare(declaration, i == 0 ? FEATURES : WIDTH, WIDTH);
    layers[i].norm = bench_norm_declare(declaration, WIDTH, true);
    layers[i].second = bench_linear_declare(declaration, WIDTH, WIDTH);
  }
  head = bench_linear_declare(declaration, WIDTH, 2);
  x = bench_normal(TN_SHAPE(ALL, FEATURES));
  labels = bench_labels(GRAPHS, 2);
  source = ends();
  target = ends();
  graph = bench_labels(ALL, 1);
  for (int64_t i = 0; i < ALL; i++) tn_i64(graph)[i] = i / NODES;
  return bench_training_begin(&training, declaration, "optimizer.adam", "lr = 1e-2");
}

static double step(void) {
  tn_scope_open();
  const tn_params *params = training.params;
  tn_tensor *h = x;
  for (const layer *l = layers; l < layers + LAYERS; l++) {
    tn_tensor *messages = tn_index_select(h, 0, source);
    h = tn_add(h, tn_index_add(messages, 0, target, ALL));
    h = bench_linear_apply(l->first, params, h);
    h = bench_norm_apply(&l->norm, params, h, NULL, TN_NORM_RELU);
    h = tn_relu(bench_linear_apply(l->second, params, h));
  }
  h = bench_linear_apply(head, params, tn_segment(TN_SUM, h, graph, GRAPHS));
  double loss = bench_training_step(&training, tn_mean(tn_cross_entropy(h, labels, 0)));
  tn_scope_close();
  return loss;
}

const bench_row bench_gnn = {"gnn", GRAPHS, begin, step};
