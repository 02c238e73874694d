// SPDX-License-Identifier: MIT
/* Graph isomorphism network (Xu et al. 2019), equation 4.1:
 *
 *   h_v <- MLP((1 + epsilon) h_v + sum over neighbours u of h_u)
 *
 * with perceptrons of two layers, batch normalisation inside and behind them, and readouts of all layers side
 * by side in front of a linear classifier (section 4.2). epsilon is 0 (GIN-0) or learned (GIN-epsilon). */
#include "graph.h"

struct gin_layer {
  struct linear up, down;
  struct norm norm;
  uint32_t epsilon; /* (1) */
};

struct gin {
  struct graph_net net; /* first */
  bool learn_epsilon;
  struct gin_layer *layers;
};
static const tn_param gin_params[] = {
    GRAPH_PARAMS("5", "batch", "relu", "sum", "yes"),
    TN_BOOL(struct gin, learn_epsilon, "no", "learn the weight 1 + epsilon of a node's own state"),
};

static void gin_destroy(void *self) {
  struct gin *model = self;
  tn_free(model->net.norms);
  tn_free(model->layers);
}

static tn_status gin_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct gin *model = self;
  const struct graph_net *net = &model->net;
  const tn_status status = graph_net_begin(&model->net, inputs, false);
  if (status < 0) return status;
  tn_free(model->layers);
  model->layers = tn_alloc((size_t)net->layers * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  const tn_init init = tn_init_of(TN_INIT_LECUN_UNIFORM, 1);
  for (uint32_t l = 0; l < net->layers; l++) {
    struct gin_layer *layer = &model->layers[l];
    char name[48];
#define NAMED(text) (snprintf(name, sizeof name, "layers.%u" text, l), name)
    layer->up = linear_declare(declaration, NAMED(".up"), graph_layer_input(net, l), net->width, true, init);
    layer->norm = norm_declare(declaration, NAMED(".norm"), net->norm, net->width, net->groups,
                               net->norm_momentum, net->norm_epsilon, tn_init_ones());
    layer->down = linear_declare(declaration, NAMED(".down"), net->width, net->width, true, init);
    if (model->learn_epsilon)
      layer->epsilon =
          declare_named(declaration, NAMED(""), "epsilon", TN_SHAPE(1), TN_NO_DECAY, tn_init_zeros());
#undef NAMED
  }
  return graph_net_end(&model->net, inputs, declaration);
}

static tn_tensor *gin_layer(const void *self, const struct graph *g, tn_model_call *call, uint32_t number,
                            tn_tensor *x) {
  const struct gin *model = self;
  const struct gin_layer *layer = &model->layers[number];
  tn_tensor *own = x;
  if (model->learn_epsilon) own = tn_mul(x, tn_shift(tn_param_tensor(call->params, layer->epsilon), 1));
  x = tn_add(own, tn_sparse_matmul(g->offsets, g->source, NULL, x)); /* (N, in) */
  x = linear_apply(&layer->up, call->params, x);
  return linear_apply(&layer->down, call->params, norm_apply(&layer->norm, call, x, NULL, true));
}

static tn_status gin_apply(void *self, tn_model_call *call) {
  return graph_net_apply(self, call, false, gin_layer);
}

static const tn_class gin_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "gin",
    .summary = "Graph isomorphism network",
    .reference = "Xu, Hu, Leskovec and Jegelka 2019, How Powerful are Graph Neural Networks?",
    TN_CLASS_PARAMS(gin_params),
    .instance_size = sizeof(struct gin),
    .vtable = &(const tn_model){sizeof(tn_model), gin_declare, gin_apply},
    .destroy = gin_destroy};
TN_PLUGIN("model_gin", "1.0.0", "MIT", &gin_class)
