// SPDX-License-Identifier: MIT
/* GraphSAGE (Hamilton et al. 2017), algorithm 1 over whole neighbourhoods:
 *
 *   h_v <- activation(W_own h_v + W_neighbour aggregate({h_u : u neighbour of v}) + b),  then h_v / |h_v|
 *
 * W of the paper acts on the two side by side. Aggregators: mean, or the maximum of relu(W_pool h_u + b_pool)
 * (equation 3), or sum. In node tasks the last layer gives the classes. */
#include "graph.h"

enum { AGGREGATE_MEAN, AGGREGATE_POOL, AGGREGATE_SUM };

struct sage_layer {
  struct linear own, neighbour, pool;
};

struct graph_sage {
  struct graph_net net; /* first */
  int32_t aggregate;
  bool normalise;
  struct sage_layer *layers;
};
static const tn_param graph_sage_params[] = {
    GRAPH_PARAMS("2", "none", "relu", "mean", "no"),
    TN_CHOICE(struct graph_sage, aggregate, "mean", "mean|pool|sum", "of the neighbours' states"),
    TN_BOOL(struct graph_sage, normalise, "no",
            "scale node states to length 1 behind each layer but the last"),
};

static void graph_sage_destroy(void *self) {
  struct graph_sage *model = self;
  tn_free(model->net.norms);
  tn_free(model->layers);
}

static tn_status graph_sage_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct graph_sage *model = self;
  const struct graph_net *net = &model->net;
  const tn_status status = graph_net_begin(&model->net, inputs, true);
  if (status < 0) return status;
  tn_free(model->layers);
  model->layers = tn_alloc((size_t)net->layers * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  const tn_init init = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  for (uint32_t l = 0; l < net->layers; l++) {
    struct sage_layer *layer = &model->layers[l];
    const int64_t in = graph_layer_input(net, l), out = graph_layer_width(net, l);
    char name[48];
#define NAMED(text) (snprintf(name, sizeof name, "layers.%u." text, l), name)
    if (model->aggregate == AGGREGATE_POOL)
      layer->pool = linear_declare(declaration, NAMED("pool"), in, in, true, init);
    layer->own = linear_declare(declaration, NAMED("own"), in, out, true, init);
    layer->neighbour = linear_declare(declaration, NAMED("neighbour"), in, out, false, init);
#undef NAMED
  }
  return graph_net_end(&model->net, inputs, declaration);
}

/* x (N, d) -> (N, d); 0 where no edge arrives */
static tn_tensor *aggregate(const struct graph_sage *model, const struct sage_layer *layer,
                            const struct graph *g, const tn_params *params, tn_tensor *x) {
  if (model->aggregate == AGGREGATE_SUM) return tn_sparse_matmul(g->offsets, g->source, NULL, x);
  if (model->aggregate == AGGREGATE_POOL) x = tn_relu(linear_apply(&layer->pool, params, x));
  return tn_segment(model->aggregate == AGGREGATE_POOL ? TN_REDUCE_MAX : TN_MEAN,
                    tn_index_select(x, 0, g->source), g->target, g->nodes);
}

static tn_tensor *graph_sage_layer(const void *self, const struct graph *g, tn_model_call *call,
                                   uint32_t number, tn_tensor *x) {
  const struct graph_sage *model = self;
  const struct sage_layer *layer = &model->layers[number];
  tn_tensor *neighbours = aggregate(model, layer, g, call->params, x);
  x = tn_add(linear_apply(&layer->own, call->params, x),
             linear_apply(&layer->neighbour, call->params, neighbours)); /* (N, out) */
  if (!model->normalise || graph_is_output(&model->net, number)) return x;
  tn_tensor *square = tn_reduce(TN_SUM, tn_square(x), 1, true);
  return tn_mul(x, tn_rsqrt(tn_shift(square, 1e-12)));
}

static tn_status graph_sage_apply(void *self, tn_model_call *call) {
  return graph_net_apply(self, call, false, graph_sage_layer);
}

static const tn_class graph_sage_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "graph_sage",
    .summary = "GraphSAGE: own state and aggregated neighbours",
    .reference = "Hamilton, Ying and Leskovec 2017, Inductive Representation Learning on Large Graphs",
    TN_CLASS_PARAMS(graph_sage_params),
    .instance_size = sizeof(struct graph_sage),
    .vtable = &(const tn_model){sizeof(tn_model), graph_sage_declare, graph_sage_apply},
    .destroy = graph_sage_destroy};
TN_PLUGIN("model_graph_sage", "1.0.0", "MIT", &graph_sage_class)
