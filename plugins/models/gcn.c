// SPDX-License-Identifier: MIT
/* Graph convolutional network (Kipf and Welling 2017), equation 2:
 *
 *   H <- activation(D^-1/2 (A + 1) D^-1/2 H W + b),   D the degrees of A + 1
 *
 * Weights as Glorot and Bengio 2010, biases zero. In node tasks the last layer gives the classes. */
#include "graph.h"

struct gcn {
  struct graph_net net; /* first */
  struct linear *layers;
};
static const tn_param gcn_params[] = {GRAPH_PARAMS("2", "none", "relu", "mean", "no")};

static void gcn_destroy(void *self) {
  struct gcn *model = self;
  tn_free(model->net.norms);
  tn_free(model->layers);
}

static tn_status gcn_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct gcn *model = self;
  const struct graph_net *net = &model->net;
  const tn_status status = graph_net_begin(&model->net, inputs, true);
  if (status < 0) return status;
  tn_free(model->layers);
  model->layers = tn_alloc((size_t)net->layers * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  for (uint32_t l = 0; l < net->layers; l++) {
    char name[32];
    snprintf(name, sizeof name, "layers.%u", l);
    model->layers[l] = linear_declare(declaration, name, graph_layer_input(net, l), graph_layer_width(net, l),
                                      true, tn_init_of(TN_INIT_XAVIER_UNIFORM, 1));
  }
  return graph_net_end(&model->net, inputs, declaration);
}

/* D^-1/2 (A + 1) D^-1/2 in the order of the edges (M) */
static tn_tensor *edge_weights(const struct graph *g, tn_dtype dtype) {
  tn_tensor *weights = tn_empty(TN_F64, TN_SHAPE(g->edges));
  if (tn_poisoned(weights)) return weights;
  for (int64_t e = 0; e < g->edges; e++) {
    const double from = (double)graph_degree(g, tn_i64(g->source)[e]);
    const double to = (double)graph_degree(g, tn_i64(g->target)[e]);
    tn_f64(weights)[e] = 1 / sqrt(from * to);
  }
  return tn_cast(weights, dtype);
}

static tn_tensor *gcn_layer(const void *self, const struct graph *g, tn_model_call *call, uint32_t number,
                            tn_tensor *x) {
  const struct gcn *model = self;
  const struct linear *layer = &model->layers[number];
  x = tn_linear(x, tn_param_tensor(call->params, layer->weight), NULL); /* (N, out) */
  x = tn_sparse_matmul(g->offsets, g->source, edge_weights(g, x->dtype), x);
  return tn_add(x, tn_param_tensor(call->params, layer->bias));
}

static tn_status gcn_apply(void *self, tn_model_call *call) {
  return graph_net_apply(self, call, true, gcn_layer);
}

static const tn_class gcn_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "gcn",
    .summary = "Graph convolutional network",
    .reference = "Kipf and Welling 2017, Semi-Supervised Classification with Graph Convolutional Networks",
    TN_CLASS_PARAMS(gcn_params),
    .instance_size = sizeof(struct gcn),
    .vtable = &(const tn_model){sizeof(tn_model), gcn_declare, gcn_apply},
    .destroy = gcn_destroy};
TN_PLUGIN("model_gcn", "1.0.0", "MIT", &gcn_class)
