// SPDX-License-Identifier: MIT
/* What graph networks share: keys, reading a batch of graphs, layers one after the other, and the readout.
 *
 * Fields: `node` (N, d) and `edge` (M, 2) of all graphs of the batch, one after the other, with `node.offset`
 * and `edge.offset` (n + 1) (data.h); messages go from an edge's first node to its second. Two tasks:
 *   graph  one label a graph: node states are read out (sum, mean or max over each graph) and classified;
 *          with `jump` those of every layer, side by side (Xu et al. 2018, 2019)
 *   node   one label a node, -1 where there is none: `logits` (N, classes), and `label` is handed on
 * A model says how one layer goes from node states to node states. */
#ifndef TENON_PLUGINS_GRAPH_H
#define TENON_PLUGINS_GRAPH_H

#include "layers.h"

enum { TASK_AUTO, TASK_GRAPH, TASK_NODE };
enum { READ_SUM, READ_MEAN, READ_MAX };
enum { ACT_RELU, ACT_ELU, ACT_TANH, ACT_GELU };

/* The first member of every graph network's struct. */
struct graph_net {
  int64_t layers, width, output, groups;
  double dropout, norm_momentum, norm_epsilon;
  int32_t norm, activation, readout, task;
  bool jump;
  const char *output_field;

  bool nodes;  /* the task is `node` */
  bool direct; /* with that, the last layer gives the outputs: there is no head */
  int64_t in, outputs;
  struct norm *norms; /* one a layer */
  struct linear head;
  const char *output_name;
};
#define GRAPH_PARAMS(layer_count, norm_kind, activation_kind, readout_kind, jumps)                         \
  TN_INTEGER(struct graph_net, layers, layer_count, 1, 1000, NULL, "rounds of messages"),                  \
      TN_INTEGER(struct graph_net, width, "64", 1, 1 << 16, NULL, "of node states"),                       \
      TN_CHOICE(struct graph_net, norm, norm_kind, NORM_CHOICES, "normalisation of node states"),          \
      TN_INTEGER(struct graph_net, groups, "8", 1, 1 << 16, NULL, "groups of group normalisation"),        \
      TN_CHOICE(struct graph_net, activation, activation_kind, "relu|elu|tanh|gelu", "behind each layer"), \
      DROPOUT_PARAM(graph_net, "probability with which a number that goes into a layer is left out"),      \
      TN_CHOICE(struct graph_net, task, "auto", "auto|graph|node",                                         \
                "what has a label; auto: as `label` is, one a graph or ragged"),                           \
      TN_CHOICE(struct graph_net, readout, readout_kind, "sum|mean|max", "over the nodes of a graph"),     \
      TN_BOOL(struct graph_net, jump, jumps, "read out, or classify, the states of all layers"),           \
      HEAD_PARAMS(graph_net), NORM_PARAMS(graph_net)

/* ---- a batch of graphs ---- */

/* Edges sorted by the node they go to, those of one node in the order of the data. */
struct graph {
  int64_t count, nodes, edges;
  tn_tensor *x;               /* (N, d) */
  tn_tensor *member;          /* (N) int64: the graph of each node */
  tn_tensor *offsets;         /* (N + 1) int64: where the edges to each node begin */
  tn_tensor *source, *target; /* (M) int64, nodes of the batch */
};

static inline tn_status graph_offsets(const tn_fields *fields, const char *name, const char *offset_name,
                                      int32_t rank, tn_tensor **values, tn_tensor **offsets) {
  *values = tn_field(fields, name);
  *offsets = tn_field(fields, offset_name);
  if (tn_poisoned(*values) || tn_poisoned(*offsets)) return tn_outcome();
  const int64_t *at = tn_i64(*offsets), n = tn_numel(*offsets) - 1;
  bool fits = tn_ndim(*values) == rank && (*offsets)->dtype == TN_I64 && n >= 0 && at[0] == 0;
  for (int64_t i = 0; fits && i < n; i++) fits = at[i] <= at[i + 1];
  if (fits && at[n] == tn_dim(*values, 0)) return TN_OK;
  return tn_fail(TN_ERROR_SHAPE, "'%s' does not cut '%s' into rows: expected n + 1 growing numbers from 0",
                 offset_name, name);
}

/* With `loops` every node has an edge to itself, in front of its others. */
static inline tn_status graph_read(const tn_fields *fields, bool loops, struct graph *g) {
  tn_tensor *edge, *node_offset, *edge_offset;
  tn_status status = graph_offsets(fields, "node", "node.offset", 2, &g->x, &node_offset);
  if (status >= 0) status = graph_offsets(fields, "edge", "edge.offset", 2, &edge, &edge_offset);
  if (status < 0) return status;
  if (edge->dtype != TN_I64 || tn_dim(edge, 1) != 2 || tn_numel(edge_offset) != tn_numel(node_offset))
    return tn_fail(TN_ERROR_SHAPE, "'edge' must be int64 pairs of nodes, of as many graphs as 'node'");
  g->count = tn_numel(node_offset) - 1;
  g->nodes = tn_dim(g->x, 0);
  g->edges = tn_dim(edge, 0) + (loops ? g->nodes : 0);
  g->member = tn_empty(TN_I64, TN_SHAPE(g->nodes));
  g->offsets = tn_zeros(TN_I64, TN_SHAPE(g->nodes + 1));
  g->source = tn_empty(TN_I64, TN_SHAPE(g->edges));
  g->target = tn_empty(TN_I64, TN_SHAPE(g->edges));
  tn_tensor *next = tn_empty(TN_I64, TN_SHAPE(g->nodes)); /* free place of each node's edges */
  if (tn_failed()) return tn_outcome();

  const int64_t *pair = tn_i64(edge), *first = tn_i64(node_offset), *begin = tn_i64(edge_offset);
  int64_t *offsets = tn_i64(g->offsets), *source = tn_i64(g->source), *target = tn_i64(g->target);
  for (int64_t i = 0; i < g->count; i++) {
    const int64_t n = first[i + 1] - first[i];
    for (int64_t v = first[i]; v < first[i + 1]; v++) tn_i64(g->member)[v] = i;
    for (int64_t e = begin[i]; e < begin[i + 1]; e++) {
      if (pair[2 * e] < 0 || pair[2 * e] >= n || pair[2 * e + 1] < 0 || pair[2 * e + 1] >= n)
        return tn_fail(TN_ERROR_INVALID, "an edge %lld -> %lld in a graph of %lld nodes",
                       (long long)pair[2 * e], (long long)pair[2 * e + 1], (long long)n);
      offsets[first[i] + pair[2 * e + 1] + 1]++;
    }
  }
  for (int64_t v = 0; v < g->nodes; v++) {
    offsets[v + 1] += offsets[v] + (loops ? 1 : 0);
    tn_i64(next)[v] = offsets[v];
    if (loops) source[offsets[v]] = target[offsets[v]] = v, tn_i64(next)[v]++;
  }
  for (int64_t i = 0; i < g->count; i++)
    for (int64_t e = begin[i]; e < begin[i + 1]; e++) {
      const int64_t to = first[i] + pair[2 * e + 1], place = tn_i64(next)[to]++;
      source[place] = first[i] + pair[2 * e];
      target[place] = to;
    }
  return TN_OK;
}

/* Edges that arrive at node v. */
static inline int64_t graph_degree(const struct graph *g, int64_t v) {
  return tn_i64(g->offsets)[v + 1] - tn_i64(g->offsets)[v];
}

/* ---- declaring ---- */

/* The width that layer `number` gives. */
static inline int64_t graph_layer_width(const struct graph_net *net, uint32_t number) {
  const bool outputs = net->nodes && net->direct && number + 1 == net->layers;
  return outputs ? net->outputs : net->width;
}
static inline int64_t graph_layer_input(const struct graph_net *net, uint32_t number) {
  return number == 0 ? net->in : net->width;
}

/* Before the layers are declared. `direct`: the last layer of a node task gives the outputs. */
static inline tn_status graph_net_begin(struct graph_net *net, const tn_spec *inputs, bool direct) {
  const tn_field_spec *node = tn_spec_get(inputs, "node"), *edge = tn_spec_get(inputs, "edge");
  const tn_field_spec *label = tn_spec_find(inputs, "label");
  if (!node || !edge) return TN_ERROR_MISSING;
  if (!node->ragged || node->classes > 0 || node->shape.ndim != 2 || node->shape.dim[1] < 1)
    return tn_fail(TN_ERROR_SHAPE, "'node' must be ragged numbers (-1, d)");
  if (!edge->ragged || edge->dtype != TN_I64 || edge->shape.ndim != 2 || edge->shape.dim[1] != 2)
    return tn_fail(TN_ERROR_SHAPE, "'edge' must be ragged int64 pairs (-1, 2)");
  net->output_name = net->output_field;
  net->outputs = head_width(inputs, net->output, &net->output_name);
  if (net->outputs < 1) return TN_ERROR_MISSING;
  net->nodes = net->task == TASK_AUTO ? label && label->ragged : net->task == TASK_NODE;
  net->direct = direct && !net->jump;
  net->in = node->shape.dim[1];
  if (net->norm == NORM_GROUP && net->width % net->groups != 0)
    return tn_fail(TN_ERROR_SHAPE, "%lld groups do not divide width %lld", (long long)net->groups,
                   (long long)net->width);
  tn_free(net->norms);
  net->norms = tn_alloc((size_t)net->layers * sizeof *net->norms);
  return net->norms ? TN_OK : TN_ERROR_MEMORY;
}

static inline bool graph_is_output(const struct graph_net *net, uint32_t layer) {
  return net->nodes && net->direct && layer + 1 == net->layers;
}

/* Behind the layers: normalisations, head and outputs. */
static inline tn_status graph_net_end(struct graph_net *net, const tn_spec *inputs,
                                      tn_declaration *declaration) {
  char name[32];
  for (uint32_t l = 0; l < net->layers; l++) {
    if (graph_is_output(net, l)) continue;
    snprintf(name, sizeof name, "norms.%u", l);
    net->norms[l] = norm_declare(declaration, name, net->norm, net->width, net->groups, net->norm_momentum,
                                 net->norm_epsilon, tn_init_ones());
  }
  int64_t features = net->jump ? net->width * net->layers : net->width;
  if (net->nodes && net->direct)
    features = graph_layer_input(net, (uint32_t)net->layers - 1);
  else
    net->head = linear_declare(declaration, "head", features, net->outputs, true,
                               tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  tn_declare_output(declaration, "features", TN_FLOAT, TN_SHAPE(features), 0);
  tn_declare_output(declaration, net->output_name, TN_FLOAT, TN_SHAPE(net->outputs), 0);
  const tn_field_spec *label = tn_spec_find(inputs, "label");
  if (net->nodes && label)
    tn_declare_output(declaration, "label", label->dtype, (tn_shape){0, {0}}, label->classes);
  return TN_OK;
}

/* ---- applying ---- */

static inline tn_tensor *graph_activate(int32_t activation, tn_tensor *x) {
  return activation == ACT_RELU   ? tn_relu(x)
         : activation == ACT_ELU  ? tn_elu(x, 1)
         : activation == ACT_TANH ? tn_tanh(x)
                                  : tn_gelu(x);
}

static inline tn_tensor *graph_readout(int32_t readout, const struct graph *g, tn_tensor *x) {
  return tn_segment(readout == READ_SUM    ? TN_SUM
                    : readout == READ_MEAN ? TN_MEAN
                                           : TN_REDUCE_MAX,
                    x, g->member, g->count); /* (n, d) */
}

/* One layer of the model `self`: node states (N, in) -> (N, out), before normalisation. */
typedef tn_tensor *(*graph_layer)(const void *self, const struct graph *g, tn_model_call *call,
                                  uint32_t number, tn_tensor *x);

static inline tn_status graph_net_apply(const void *self, tn_model_call *call, bool loops,
                                        graph_layer layer) {
  const struct graph_net *net = self;
  struct graph g;
  const tn_status status = graph_read(call->inputs, loops, &g);
  if (status < 0) return status;
  tn_tensor **states = tn_alloc((size_t)net->layers * sizeof *states);
  if (!states) return TN_ERROR_MEMORY;
  tn_tensor *x = g.x, *before = x;
  for (uint32_t l = 0; l < net->layers; l++) {
    char name[32];
    before = dropout_apply(net->dropout, call, x);
    x = layer(self, &g, call, l, before);
    if (!graph_is_output(net, l)) {
      x = norm_apply(&net->norms[l], call, x, NULL, net->activation == ACT_RELU);
      if (net->activation != ACT_RELU) x = graph_activate(net->activation, x);
    }
    states[l] = x;
    snprintf(name, sizeof name, "layers.%u", l);
    tap(call, x, name);
  }
  if (net->nodes && net->direct) {
    tn_fields_set(call->outputs, "features", before);
  } else {
    for (uint32_t l = 0; l < net->layers && !net->nodes; l++)
      if (net->jump || l + 1 == net->layers) states[l] = graph_readout(net->readout, &g, states[l]);
    x = net->jump ? tn_concatenate(states, (uint32_t)net->layers, 1) : states[net->layers - 1];
    tn_fields_set(call->outputs, "features", x);
    x = linear_apply(&net->head, call->params, dropout_apply(net->dropout, call, x));
  }
  tn_free(states);
  tn_fields_set(call->outputs, net->output_name, x);
  tn_tensor *label = tn_fields_find(call->inputs, "label");
  if (net->nodes && label) tn_fields_set(call->outputs, "label", label);
  return tn_outcome();
}

#endif
