// SPDX-License-Identifier: MIT
/* Graph networks: gin, gcn, gat, graph_sage. */
#include "support.h"

TestSuite(graph, .fini = harness_close);

enum { D = 3, CLASSES = 2 };

/* Graph i has 2 + i % 3 nodes in a row and an edge from the first to the last; both ways round. */
static int64_t nodes_of(int64_t i) { return 2 + i % 3; }
static int64_t edges_of(int64_t i) { return 2 * (nodes_of(i) - 1) + (nodes_of(i) > 2 ? 2 : 0); }

static void describe_nodes_and_edges(tn_spec *spec) {
  const tn_field_spec node = {sizeof node, TN_FLOAT, TN_SHAPE(-1, D), 0, true};
  const tn_field_spec edge = {sizeof edge, TN_I64, TN_SHAPE(-1, 2), 0, true};
  tn_sdk.data->spec_set(spec, "node", &node);
  tn_sdk.data->spec_set(spec, "edge", &edge);
}
static void describe_graphs(tn_spec *spec) {
  describe_nodes_and_edges(spec);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}
static void describe_labelled_nodes(tn_spec *spec) {
  const tn_field_spec label = {sizeof label, TN_I64, TN_SHAPE(-1), CLASSES, true};
  describe_nodes_and_edges(spec);
  tn_sdk.data->spec_set(spec, "label", &label);
}

static tn_fields *graphs_of(int64_t count, const int64_t *nodes, const int64_t *edges, const tn_tensor *x,
                            const int64_t (*pairs)[2]) {
  tn_tensor *node_offset = tn_zeros(TN_I64, TN_SHAPE(count + 1)),
            *edge_offset = tn_zeros(TN_I64, TN_SHAPE(count + 1));
  for (int64_t i = 0; i < count; i++) {
    tn_i64(node_offset)[i + 1] = tn_i64(node_offset)[i] + nodes[i];
    tn_i64(edge_offset)[i + 1] = tn_i64(edge_offset)[i] + edges[i];
  }
  tn_fields *fields = tn_fields_new();
  tn_fields_set(fields, "node", (tn_tensor *)(uintptr_t)x);
  tn_fields_set(fields, "node.offset", node_offset);
  tn_fields_set(fields, "edge", tn_from(TN_I64, TN_SHAPE(tn_i64(edge_offset)[count], 2), pairs));
  tn_fields_set(fields, "edge.offset", edge_offset);
  return fields;
}

static tn_fields *graph_rows(int64_t first, int64_t count) {
  int64_t nodes[16], edges[16], pairs[128][2], n = 0, m = 0, before = 0;
  for (int64_t i = 0; i < first; i++) before += nodes_of(i);
  for (int64_t i = 0; i < count; i++) {
    nodes[i] = nodes_of(first + i), edges[i] = edges_of(first + i), n += nodes[i];
    for (int64_t v = 0; v < nodes[i]; v++) {
      const int64_t w = (v + 1) % nodes[i];
      if (nodes[i] == 2 && v == 1) continue;
      pairs[m][0] = v, pairs[m++][1] = w;
      pairs[m][0] = w, pairs[m++][1] = v;
    }
  }
  tn_tensor *all = waves(TN_SHAPE(before + n, D), 0);
  return graphs_of(count, nodes, edges, tn_slice(all, 0, before, before + n), (const int64_t(*)[2])pairs);
}
static tn_fields *labelled_node_rows(int64_t first, int64_t count) {
  tn_fields *fields = graph_rows(first, count);
  tn_tensor *label = tn_zeros(TN_I64, TN_SHAPE(tn_dim(tn_field(fields, "node"), 0)));
  tn_fields_set(fields, "label", label);
  return fields;
}
static const data graphs = {describe_graphs, graph_rows};
static const data nodes = {describe_labelled_nodes, labelled_node_rows};

static const char *const models[] = {
    "use = model.gin\nlayers = 2\nwidth = 4",
    "use = model.gin\nlayers = 2\nwidth = 4\nlearn_epsilon = yes\nnorm = none\nreadout = max\njump = no",
    "use = model.gcn\nwidth = 4\nlayers = 2",
    "use = model.gcn\nwidth = 4\nlayers = 3\njump = yes\nnorm = batch\nactivation = gelu",
    "use = model.gat\nwidth = 4\nheads = 2",
    "use = model.gat\nwidth = 4\nheads = 1\nlayers = 1\nreadout = sum",
    "use = model.graph_sage\nwidth = 4",
    "use = model.graph_sage\nwidth = 4\naggregate = pool\nnormalise = yes",
    "use = model.graph_sage\nwidth = 4\naggregate = sum\nnorm = layer",
};

Test(graph, parameters_are_counted) {
  const int64_t w = 4, norm = 2 * w, head = CLASSES;
  /* GIN: perceptrons d w + w and w w + w, a norm inside and one behind; head over both layers */
  EXPECT_INT(size_of(open_model("float32", models[0], &graphs)),
             (D * w + w) + (w * w + w) * 3 + 4 * norm + head * (2 * w + 1));
  EXPECT_INT(size_of(open_model("float32", models[2], &graphs)), (D * w + w) + (w * w + w) + head * (w + 1));
  EXPECT_INT(size_of(open_model("float32", models[2], &nodes)), (D * w + w) + head * (w + 1));
  /* GAT on nodes: 2 heads of 2, then 2 heads of CLASSES, averaged; a is 2 heads x depth twice */
  EXPECT_INT(size_of(open_model("float32", models[4], &nodes)),
             D * w + 2 * w + w + (2 * head * w + 2 * 2 * head + head));
  EXPECT_INT(size_of(open_model("float32", models[6], &graphs)),
             (2 * D * w + w) + (2 * w * w + w) + head * (w + 1));
}

Test(graph, graphs_and_nodes_get_outputs) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(models); k++) {
    const tn_component *m = open_model("float32", models[k], &graphs);
    expect_shape(m, graph_rows(0, 5), "logits", TN_SHAPE(5, CLASSES));
    m = open_model("float32", models[k], &nodes);
    expect_shape(m, labelled_node_rows(0, 3), "logits", TN_SHAPE(9, CLASSES));
    expect_shape(m, labelled_node_rows(0, 3), "label", TN_SHAPE(9));
  }
}

Test(graph, gradients_are_central_differences) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(models); k++) {
    const tn_component *m = open_model("float64", models[k], &graphs);
    expect_gradients(m, graph_rows(0, 4), TN_TRAIN, "logits");
    m = open_model("float64", models[k], &nodes);
    expect_gradients(m, labelled_node_rows(0, 4), TN_TRAIN, "logits");
  }
}

Test(graph, is_a_pure_function_of_each_graph) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(models); k++) {
    const tn_component *m = open_model("float64", models[k], &graphs);
    expect_pure(m, &graphs, "logits");
    expect_rows_alone(m, &graphs, "logits");
  }
}

/* Nodes of a graph have no order. */
Test(graph, numbering_does_not_matter) {
  static const int64_t pairs[][2] = {{0, 1}, {1, 0}, {1, 2}, {2, 1}, {2, 3}, {3, 2}, {3, 1}, {1, 3}};
  static const int64_t to[] = {2, 0, 3, 1};
  int64_t renamed[8][2];
  for (int e = 0; e < 8; e++) renamed[7 - e][0] = to[pairs[e][0]], renamed[7 - e][1] = to[pairs[e][1]];
  for (size_t k = 0; k < TN_ARRAY_LENGTH(models); k++) {
    const tn_component *m = open_model("float64", models[k], &graphs);
    tn_tensor *x = waves(TN_SHAPE(4, D), 0), *moved = tn_empty(TN_F64, TN_SHAPE(4, D));
    for (int v = 0; v < 4; v++) memcpy(tn_f64(moved) + D * to[v], tn_f64(x) + D * v, D * sizeof(double));
    const tn_tensor *y =
        output(m, graphs_of(1, (int64_t[]){4}, (int64_t[]){8}, x, pairs), TN_EVALUATE, "logits");
    const tn_tensor *z =
        output(m, graphs_of(1, (int64_t[]){4}, (int64_t[]){8}, moved, (const int64_t(*)[2])renamed),
               TN_EVALUATE, "logits");
    for (int64_t i = 0; i < CLASSES; i++) EXPECT_NEAR(harness_at(y, i), harness_at(z, i), 1e-12);
  }
}

static void set(const tn_component *m, const char *name, double value) {
  tn_params *params = tn_parameters(m);
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry e;
    tn_params_entry(params, p, &e);
    if (strcmp(e.name, name) != 0) continue;
    for (int64_t i = 0; i < tn_numel(e.tensor); i++) tn_f64(e.tensor)[i] = value;
    return;
  }
  cr_assert_fail("no parameter '%s'", name);
}

/* Path 0 - 1 - 2, all weights 1, no biases. s_v is the sum of node v's numbers.
 *   GCN: degrees with loops 2, 3, 2, so h_0 = s_0 / 2 + s_1 / sqrt 6,  h_1 = s_0 / sqrt 6 + s_1 / 3 + s_2 /
 * sqrt 6 SAGE: h_0 = s_0 + s_1,  h_1 = s_1 + (s_0 + s_2) / 2 GAT with a = 0: all weights equal, h_0 = (s_0 +
 * s_1) / 2,  h_1 = (s_0 + s_1 + s_2) / 3 GIN with the perceptron's weights 1 and one layer: h_0 = w relu(s_0
 * + s_1), w the width */
Test(graph, follows_the_equations) {
  static const int64_t pairs[][2] = {{0, 1}, {1, 0}, {1, 2}, {2, 1}};
  double s[3] = {0};
  const tn_component *m = open_model("float64", "use = model.gcn\nwidth = 1\nlayers = 1\noutput = 1", &nodes);
  tn_tensor *x = tn_abs(waves(TN_SHAPE(3, D), 0));
  for (int i = 0; i < 9; i++) s[i / 3] += harness_at(x, i);
#define PATH graphs_of(1, (int64_t[]){3}, (int64_t[]){4}, tn_abs(waves(TN_SHAPE(3, D), 0)), pairs)
  set(m, "layers.0.weight", 1);
  const tn_tensor *y = output(m, PATH, TN_EVALUATE, "logits");
  EXPECT_NEAR(harness_at(y, 0), s[0] / 2 + s[1] / sqrt(6), 1e-14);
  EXPECT_NEAR(harness_at(y, 1), s[0] / sqrt(6) + s[1] / 3 + s[2] / sqrt(6), 1e-14);

  m = open_model("float64", "use = model.graph_sage\nwidth = 1\nlayers = 1\noutput = 1", &nodes);
  set(m, "layers.0.own.weight", 1), set(m, "layers.0.own.bias", 0), set(m, "layers.0.neighbour.weight", 1);
  y = output(m, PATH, TN_EVALUATE, "logits");
  EXPECT_NEAR(harness_at(y, 0), s[0] + s[1], 1e-14);
  EXPECT_NEAR(harness_at(y, 1), s[1] + (s[0] + s[2]) / 2, 1e-14);

  m = open_model("float64", "use = model.gat\nwidth = 1\nheads = 1\nlayers = 1\noutput = 1", &nodes);
  set(m, "layers.0.weight", 1), set(m, "layers.0.source", 0), set(m, "layers.0.target", 0);
  y = output(m, PATH, TN_EVALUATE, "logits");
  EXPECT_NEAR(harness_at(y, 0), (s[0] + s[1]) / 2, 1e-14);
  EXPECT_NEAR(harness_at(y, 1), (s[0] + s[1] + s[2]) / 3, 1e-14);

  m = open_model("float64", "use = model.gin\nwidth = 2\nlayers = 1\nnorm = none", &graphs);
  set(m, "layers.0.up.weight", 1), set(m, "layers.0.up.bias", 0);
  set(m, "layers.0.down.weight", 1), set(m, "layers.0.down.bias", 0);
  y = output(m, PATH, TN_EVALUATE, "features"); /* the sum over the nodes */
  EXPECT_NEAR(harness_at(y, 0), 2 * (2 * s[0] + 3 * s[1] + 2 * s[2]), 1e-13);
}

/* A node to which no edge leads keeps to itself; a graph without nodes is read out as zeros. */
Test(graph, lonely_nodes_and_empty_graphs) {
  for (size_t k = 0; k < TN_ARRAY_LENGTH(models); k++) {
    const tn_component *m = open_model("float64", models[k], &graphs);
    static const int64_t pairs[][2] = {{0, 0}};
    tn_fields *rows = graphs_of(2, (int64_t[]){2, 0}, (int64_t[]){0, 0}, waves(TN_SHAPE(2, D), 0), pairs);
    const tn_tensor *y = output(m, rows, TN_EVALUATE, "logits");
    EXPECT_INT(tn_dim(y, 0), 2);
    for (int64_t i = 0; i < 2 * CLASSES; i++) cr_expect(isfinite(harness_at(y, i)));
  }
}

static void describe_flat(tn_spec *spec) {
  tn_spec_set(spec, "node", TN_FLOAT, TN_SHAPE(4, D), 0);
  tn_spec_set(spec, "edge", TN_I64, TN_SHAPE(4, 2), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}

Test(graph, wrong_graphs_are_refused) {
  const data flat = {describe_flat, NULL};
  EXPECT_CONTAINS(refusal("use = model.gcn", &flat), "'node' must be ragged numbers (-1, d)");
  EXPECT_CONTAINS(refusal("use = model.gat\nwidth = 10", NULL), "8 heads do not divide width 10");
  const tn_component *m = open_model("float64", "use = model.gcn", &graphs);
  static const int64_t pairs[][2] = {{0, 2}};
  tn_model_call call = {.size = sizeof call,
                        .params = tn_parameters(m),
                        .inputs =
                            graphs_of(1, (int64_t[]){2}, (int64_t[]){1}, waves(TN_SHAPE(2, D), 0), pairs),
                        .outputs = tn_fields_new()};
  cr_expect(tn_model_apply(m, &call) < 0);
  EXPECT_CONTAINS(harness_failure(), "an edge 0 -> 2 in a graph of 2 nodes");
}
