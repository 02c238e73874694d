// SPDX-License-Identifier: MIT
/* Multi-layer perceptron: fully connected layers with an activation between them.
 *
 *   h_0 = flattened input, or, with `embedding`, the vectors of the input's tokens behind each other
 *   h_l = dropout(activation(norm(W_l h_{l-1} + b_l))),  output = W_L h_{L-1} + b_L
 *
 * Outputs: `logits` (n, classes) where the data have a `label`, else `output` (n, width); `features` (n, d),
 * the last hidden layer. Batch normalisation: Ioffe and Szegedy 2015; layer normalisation: Ba et al. 2016;
 * language models of this form: Bengio et al. 2003. */
#include <stdio.h>
#include <tenon/model.h>

enum { NORM_NONE, NORM_BATCH, NORM_LAYER };
/* In the order of the choices of `activation` and `init`. */
enum { RELU, GELU, SILU, TANH, SIGMOID, SOFTPLUS, ELU, LEAKY_RELU, ERF, SINE, SQUARE, IDENTITY };
enum {
  LECUN_UNIFORM,
  LECUN_NORMAL,
  HE_UNIFORM,
  HE_NORMAL,
  XAVIER_UNIFORM,
  XAVIER_NORMAL,
  ORTHOGONAL,
  NORMAL,
  TRUNCATED,
  ZEROS
};

/* Where a layer's parameters are in the set. */
struct layer {
  uint32_t weight, bias;   /* (out, in), (out) */
  uint32_t scale, shift;   /* of its normalisation, (out) */
  uint32_t mean, variance; /* running statistics of batch normalisation, (out) */
  int64_t width;           /* out */
  bool normalised, last;
};

struct mlp {
  tn_integers hidden;
  int32_t activation, norm, init;
  bool norm_output, bias;
  double dropout, gain, norm_momentum, norm_epsilon;
  int64_t output, embedding;
  const char *input, *output_field;
  struct layer *layers;
  uint32_t layer_count, table;          /* table: the embedding's */
  const char *input_name, *output_name; /* in force; constants or configuration */
  bool flatten;
};
static const tn_param mlp_params[] = {
    TN_INTEGERS(struct mlp, hidden, "128", 1, 1 << 20, "widths of the hidden layers; empty: a linear model"),
    TN_CHOICE(struct mlp, activation, "relu",
              "relu|gelu|silu|tanh|sigmoid|softplus|elu|leaky_relu|erf|sine|square|identity",
              "between the layers"),
    TN_CHOICE(struct mlp, norm, "none", "none|batch|layer", "normalisation in front of each activation"),
    TN_BOOL(struct mlp, norm_output, "no", "normalise the output layer too"),
    TN_PARAM_(struct mlp, dropout, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL,
              "probability with which a hidden unit is left out in training"),
    TN_CHOICE(
        struct mlp, init, "lecun_uniform",
        "lecun_uniform|lecun_normal|he_uniform|he_normal|xavier_uniform|xavier_normal|orthogonal|normal|"
        "truncated|zeros",
        "initialiser of the weights; lecun_uniform is PyTorch's default"),
    TN_REAL(struct mlp, gain, "0", 0, INFINITY,
            "its gain or standard deviation; 0: sqrt 2 for he, 0.02 for normal and truncated, else 1"),
    TN_BOOL(struct mlp, bias, "yes", "add a bias in every layer"),
    TN_INTEGER(struct mlp, output, "0", 0, 1 << 20, NULL,
               "outputs; 0: the classes of `label`, or the width of `target`"),
    TN_STRING(struct mlp, input, "",
              "field to read; empty: `tokens` with embedding, else `image` or `input`"),
    TN_STRING(struct mlp, output_field, "", "field to write; empty: `logits` with labels, else `output`"),
    TN_PARAM_(struct mlp, norm_momentum, TN_PARAM_REAL, TN_PARAM_ADVANCED, "0.1", 0, 1, NULL, NULL, NULL,
              "share of a batch in the running statistics of batch normalisation"),
    TN_PARAM_(struct mlp, norm_epsilon, TN_PARAM_REAL, TN_PARAM_ADVANCED, "1e-5", 0, INFINITY, NULL, NULL,
              NULL, "added to the variance in normalisations"),
    TN_INTEGER(struct mlp, embedding, "0", 0, 1 << 20, NULL,
               "width of the vectors that stand for tokens (standard normal at first); 0: numbers are read"),
};

static tn_init weight_init(const struct mlp *model) {
  static const tn_init_kind kinds[] = {
      [LECUN_UNIFORM] = TN_INIT_LECUN_UNIFORM,   [LECUN_NORMAL] = TN_INIT_LECUN_NORMAL,
      [HE_UNIFORM] = TN_INIT_HE_UNIFORM,         [HE_NORMAL] = TN_INIT_HE_NORMAL,
      [XAVIER_UNIFORM] = TN_INIT_XAVIER_UNIFORM, [XAVIER_NORMAL] = TN_INIT_XAVIER_NORMAL,
      [ORTHOGONAL] = TN_INIT_ORTHOGONAL,         [NORMAL] = TN_INIT_NORMAL,
      [TRUNCATED] = TN_INIT_TRUNCATED,           [ZEROS] = TN_INIT_CONSTANT};
  double gain = model->gain;
  switch (model->init) {
  case ZEROS: gain = 0; break;
  case HE_UNIFORM:
  case HE_NORMAL:
    if (gain == 0) gain = sqrt(2);
    break;
  case NORMAL:
  case TRUNCATED:
    if (gain == 0) gain = 0.02;
    break;
  default:
    if (gain == 0) gain = 1;
  }
  return tn_init_of(kinds[model->init], gain);
}

static void declare_layer(const struct mlp *model, struct layer *layer, uint32_t number, int64_t in,
                          tn_declaration *declaration) {
  const int64_t out = layer->width;
  char name[64];
#define NAMED(text) (snprintf(name, sizeof name, "layers.%u." text, number), name)
  layer->weight = tn_declare(declaration, NAMED("weight"), TN_SHAPE(out, in), TN_DECAY, weight_init(model));
  if (model->bias)
    layer->bias = tn_declare(declaration, NAMED("bias"), TN_SHAPE(out), TN_NO_DECAY,
                             model->init == LECUN_UNIFORM ? tn_init_of(TN_INIT_UNIFORM, 1 / sqrt((double)in))
                                                          : tn_init_zeros());
  if (layer->normalised) {
    layer->scale = tn_declare(declaration, NAMED("norm.weight"), TN_SHAPE(out), TN_NO_DECAY, tn_init_ones());
    layer->shift = tn_declare(declaration, NAMED("norm.bias"), TN_SHAPE(out), TN_NO_DECAY, tn_init_zeros());
  }
  if (layer->normalised && model->norm == NORM_BATCH) {
    layer->mean = tn_declare(declaration, NAMED("norm.mean"), TN_SHAPE(out), TN_BUFFER, tn_init_zeros());
    layer->variance =
        tn_declare(declaration, NAMED("norm.variance"), TN_SHAPE(out), TN_BUFFER, tn_init_ones());
  }
#undef NAMED
}

static tn_status mlp_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct mlp *model = self;
  const tn_field_spec *label = tn_spec_find(inputs, "label"), *target = tn_spec_find(inputs, "target");
  const bool labelled = label && label->classes > 0;
  const bool tokens = model->embedding > 0;
  model->input_name = *model->input                   ? model->input
                      : tokens                        ? "tokens"
                      : tn_spec_find(inputs, "image") ? "image"
                                                      : "input";
  model->output_name = *model->output_field ? model->output_field : labelled ? "logits" : "output";
  const tn_field_spec *input = tn_spec_get(inputs, model->input_name);
  if (!input) return TN_ERROR_MISSING;
  int64_t in = tn_spec_numel(input);
  if (input->ragged || (input->classes > 0) != tokens || input->shape.ndim < 1 || in < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be %s of a fixed shape", model->input_name,
                   tokens ? "tokens" : "numbers");
  const int64_t out = model->output > 0 ? model->output
                      : labelled        ? label->classes
                      : target          ? tn_spec_numel(target)
                                        : 0;
  if (out < 1)
    return tn_fail(TN_ERROR_MISSING, "no `label` and no `target` says how many outputs: give `output`");

  const bool batch = model->norm == NORM_BATCH;
  tn_free(model->layers);
  model->layer_count = model->hidden.count + 1;
  model->layers = tn_alloc(model->layer_count * sizeof *model->layers);
  if (!model->layers) return TN_ERROR_MEMORY;
  model->flatten = tokens || input->shape.ndim > 1;
  if (tokens) {
    model->table = tn_declare(declaration, "embedding.weight", TN_SHAPE(input->classes, model->embedding),
                              TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
    in *= model->embedding;
  }
  for (uint32_t l = 0; l < model->layer_count; l++) {
    struct layer *layer = &model->layers[l];
    layer->last = l == model->hidden.count;
    layer->width = layer->last ? out : model->hidden.items[l];
    layer->normalised = (batch || model->norm == NORM_LAYER) && (!layer->last || model->norm_output);
    if (layer->last) tn_declare_output(declaration, "features", TN_FLOAT, TN_SHAPE(in), 0);
    declare_layer(model, layer, l, in, declaration);
    in = layer->width;
  }
  tn_declare_output(declaration, model->output_name, TN_FLOAT, TN_SHAPE(out), 0);
  return TN_OK;
}

static tn_tensor *activate(int32_t activation, tn_tensor *x) {
  switch (activation) {
  case RELU: return tn_relu(x);
  case GELU: return tn_gelu(x);
  case SILU: return tn_silu(x);
  case TANH: return tn_tanh(x);
  case SIGMOID: return tn_sigmoid(x);
  case SOFTPLUS: return tn_softplus(x);
  case ELU: return tn_elu(x, 1);
  case LEAKY_RELU: return tn_leaky_relu(x, 0.01);
  case ERF: return tn_erf(x);
  case SINE: return tn_sin(x);
  case SQUARE: return tn_square(x);
  default: return x;
  }
}

/* x (n, d) -> scale (x - mean) / sqrt(variance + epsilon) + shift */
static tn_tensor *normalise(const struct mlp *model, const struct layer *layer, const tn_params *params,
                            tn_tensor *x, tn_tensor *mean, tn_tensor *variance) {
  tn_tensor *centred = tn_sub(x, mean);
  tn_tensor *unit = tn_mul(centred, tn_rsqrt(tn_shift(variance, model->norm_epsilon)));
  return tn_add(tn_mul(unit, tn_param_tensor(params, layer->scale)), tn_param_tensor(params, layer->shift));
}

/* The buffer's new value: (1 - momentum) old + momentum batch's; a constant. */
static void update_buffer(const struct mlp *model, tn_model_call *call, uint32_t index, tn_tensor *value,
                          double factor) {
  tn_tensor *old = tn_param_tensor(call->params, index);
  value = tn_reshape(tn_stop_gradient(value), tn_shape_of(old));
  tn_model_update(
      call, index,
      tn_add(tn_scale(old, 1 - model->norm_momentum), tn_scale(value, model->norm_momentum * factor)));
}

static tn_tensor *batch_norm(const struct mlp *model, const struct layer *layer, tn_model_call *call,
                             tn_tensor *x) {
  const bool running =
      call->norm == TN_NORM_RUNNING || (call->norm == TN_NORM_DEFAULT && call->progress.mode == TN_EVALUATE);
  if (running)
    return normalise(model, layer, call->params, x, tn_param_tensor(call->params, layer->mean),
                     tn_param_tensor(call->params, layer->variance));
  tn_tensor *mean = tn_reduce(TN_MEAN, x, 0, true);    /* (1, d) */
  tn_tensor *variance = tn_reduce(TN_VAR, x, 0, true); /* (1, d) */
  if (tn_poisoned(variance)) return variance;
  const double n = (double)tn_dim(x, 0);
  if (call->updates && call->norm != TN_NORM_FROZEN) {
    update_buffer(model, call, layer->mean, mean, 1);
    update_buffer(model, call, layer->variance, variance, n > 1 ? n / (n - 1) : 1); /* unbiased */
  }
  return normalise(model, layer, call->params, x, mean, variance);
}

static tn_status mlp_apply(void *self, tn_model_call *call) {
  const struct mlp *model = self;
  tn_tensor *h = tn_field(call->inputs, model->input_name); /* (n, ...) */
  if (model->embedding > 0) h = tn_embedding(tn_param_tensor(call->params, model->table), h);
  if (model->flatten) h = tn_flatten(h); /* (n, d) */
  for (uint32_t l = 0; l < model->layer_count; l++) {
    const struct layer *layer = &model->layers[l];
    if (layer->last) tn_fields_set(call->outputs, "features", h);
    h = tn_linear(h, tn_param_tensor(call->params, layer->weight),
                  model->bias ? tn_param_tensor(call->params, layer->bias) : NULL); /* (n, width) */
    if (tn_poisoned(h)) return tn_outcome();
    if (layer->normalised && model->norm == NORM_BATCH) h = batch_norm(model, layer, call, h);
    if (layer->normalised && model->norm == NORM_LAYER)
      h = normalise(model, layer, call->params, h, tn_reduce(TN_MEAN, h, 1, true),
                    tn_reduce(TN_VAR, h, 1, true));
    if (layer->last) break;
    h = activate(model->activation, h);
    if (call->taps) {
      char name[32];
      snprintf(name, sizeof name, "tap.layers.%u", l);
      tn_fields_set(call->outputs, name, h);
    }
    if (model->dropout > 0 && call->progress.mode == TN_TRAIN) {
      tn_tensor *keep = tn_bernoulli(call->rng, h->dtype, tn_shape_of(h), 1 - model->dropout);
      h = tn_mul(h, tn_scale(keep, 1 / (1 - model->dropout)));
    }
  }
  tn_fields_set(call->outputs, model->output_name, h);
  return tn_outcome();
}

static void mlp_destroy(void *self) { tn_free(((struct mlp *)self)->layers); }

static const tn_class mlp_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "mlp",
    .summary = "Multi-layer perceptron",
    .reference = "Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors",
    TN_CLASS_PARAMS(mlp_params),
    .instance_size = sizeof(struct mlp),
    .vtable = &(const tn_model){sizeof(tn_model), mlp_declare, mlp_apply},
    .destroy = mlp_destroy};
TN_PLUGIN("model_mlp", "1.0.0", "MIT", &mlp_class)
