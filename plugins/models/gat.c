// SPDX-License-Identifier: MIT
/* Graph attention network (Velickovic et al. 2018). Each of K heads, equations 1 to 4:
 *
 *   e_uv = LeakyReLU(a^T [W h_v ; W h_u]),   alpha_uv = softmax of e_uv over the u with an edge to v, and v
 *   h_v <- sum over u of alpha_uv W h_u
 *
 * a^T [x ; y] is a sum of two products, so it is computed once a node, not once an edge. Heads lie side by
 * side, each `width` / K wide (equation 5); in a node task the last layer gives the classes, its heads
 * averaged (equation 6). Weights as Glorot and Bengio 2010. */
#include "graph.h"

struct gat_layer {
  uint32_t weight, bias;   /* (heads depth, in), (out) */
  uint32_t source, target; /* the two halves of a: (heads, depth) */
  int64_t depth;           /* of one head */
  bool averaged;           /* heads, else side by side */
};

struct gat {
  struct graph_net net; /* first */
  int64_t heads;
  double slope, attention_dropout;
  struct gat_layer *layers;
};
static const tn_param gat_params[] = {
    GRAPH_PARAMS("2", "none", "elu", "mean", "no"),
    TN_INTEGER(struct gat, heads, "8", 1, 1 << 10, NULL, "attention heads; must divide width"),
    TN_REAL(struct gat, slope, "0.2", 0, 1, "of LeakyReLU for negative numbers"),
    TN_PARAM_(struct gat, attention_dropout, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL,
              NULL, "probability with which a weight of an edge is left out"),
};

static tn_status gat_create(void *self) {
  const struct gat *model = self;
  if (model->net.width % model->heads == 0) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "%lld heads do not divide width %lld", (long long)model->heads,
                 (long long)model->net.width);
}

static void gat_destroy(void *self) {
  struct gat *model = self;
  tn_free(model->net.norms);
  tn_free(model->layers);
}

static tn_status gat_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct gat *model = self;
  const struct graph_net *net = &model->net;
  const tn_status status = graph_net_begin(&model->net, inputs, true);
  if (status < 0) return status;
  tn_free(model->layers);
  model->layers = tn_alloc((size_t)net->layers * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  const tn_init init = tn_init_of(TN_INIT_XAVIER_UNIFORM, 1);
  for (uint32_t l = 0; l < net->layers; l++) {
    struct gat_layer *layer = &model->layers[l];
    char name[32];
    snprintf(name, sizeof name, "layers.%u", l);
    layer->averaged = graph_is_output(net, l);
    layer->depth = layer->averaged ? net->outputs : net->width / model->heads;
    layer->weight =
        declare_named(declaration, name, "weight",
                      TN_SHAPE(model->heads * layer->depth, graph_layer_input(net, l)), TN_DECAY, init);
    layer->source =
        declare_named(declaration, name, "source", TN_SHAPE(model->heads, layer->depth), TN_DECAY, init);
    layer->target =
        declare_named(declaration, name, "target", TN_SHAPE(model->heads, layer->depth), TN_DECAY, init);
    layer->bias = declare_named(declaration, name, "bias", TN_SHAPE(graph_layer_width(net, l)), TN_NO_DECAY,
                                tn_init_zeros());
  }
  return graph_net_end(&model->net, inputs, declaration);
}

static tn_tensor *gat_layer(const void *self, const struct graph *g, tn_model_call *call, uint32_t number,
                            tn_tensor *x) {
  const struct gat *model = self;
  const struct gat_layer *layer = &model->layers[number];
  const tn_params *params = call->params;
  const int64_t heads = model->heads, depth = layer->depth;
  x = tn_linear(x, tn_param_tensor(params, layer->weight), NULL);
  x = tn_reshape(x, TN_SHAPE(g->nodes, heads, depth));                                     /* (N, K, d) */
  tn_tensor *sent = tn_sum_axis(tn_mul(x, tn_param_tensor(params, layer->source)), 2);     /* (N, K) */
  tn_tensor *received = tn_sum_axis(tn_mul(x, tn_param_tensor(params, layer->target)), 2); /* (N, K) */
  tn_tensor *e = tn_add(tn_index_select(sent, 0, g->source), tn_index_select(received, 0, g->target));
  tn_tensor *alpha = tn_segment_softmax(tn_leaky_relu(e, model->slope), g->target, g->nodes); /* (M, K) */
  alpha = dropout_apply(model->attention_dropout, call, alpha);
  alpha = tn_reshape(alpha, TN_SHAPE(g->edges, heads, 1));
  x = tn_segment(TN_SUM, tn_mul(alpha, tn_index_select(x, 0, g->source)), g->target,
                 g->nodes); /* (N, K, d) */
  x = layer->averaged ? tn_mean_axis(x, 1) : tn_reshape(x, TN_SHAPE(g->nodes, heads * depth));
  return tn_add(x, tn_param_tensor(params, layer->bias));
}

static tn_status gat_apply(void *self, tn_model_call *call) {
  return graph_net_apply(self, call, true, gat_layer);
}

static const tn_class gat_class = {.size = sizeof(tn_class),
                                   .kind = TN_MODEL,
                                   .name = "gat",
                                   .summary = "Graph attention network",
                                   .reference = "Velickovic et al. 2018, Graph Attention Networks",
                                   TN_CLASS_PARAMS(gat_params),
                                   .instance_size = sizeof(struct gat),
                                   .vtable = &(const tn_model){sizeof(tn_model), gat_declare, gat_apply},
                                   .create = gat_create,
                                   .destroy = gat_destroy};
TN_PLUGIN("model_gat", "1.0.0", "MIT", &gat_class)
