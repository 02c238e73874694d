// SPDX-License-Identifier: MIT
/* Layers that several models are made of: where their parameters are in the set, how they are declared and
 * how they are applied. Names follow PyTorch's: NAME.weight, NAME.bias; running statistics are NAME.mean and
 * NAME.variance. */
#ifndef TENON_PLUGINS_LAYERS_H
#define TENON_PLUGINS_LAYERS_H

#include <stdio.h>
#include <tenon/model.h>

/* ---- initialisers ---- */

/* The choices of a key `init`; its key `gain` is the gain or standard deviation, 0 the usual one. */
#define INIT_CHOICES                                                                            \
  "lecun_uniform|lecun_normal|he_uniform|he_normal|he_normal_out|xavier_uniform|xavier_normal|" \
  "orthogonal|normal|truncated"
#define GAIN_DOC "its gain or standard deviation; 0: sqrt 2 for he, 0.02 for normal and truncated, else 1"

static inline tn_init init_of(int32_t choice, double gain) {
  static const struct {
    tn_init_kind kind;
    double gain;
  } table[] = {{TN_INIT_LECUN_UNIFORM, 1},
               {TN_INIT_LECUN_NORMAL, 1},
               {TN_INIT_HE_UNIFORM, 1.41421356237309505},
               {TN_INIT_HE_NORMAL, 1.41421356237309505},
               {TN_INIT_HE_NORMAL_OUT, 1.41421356237309505},
               {TN_INIT_XAVIER_UNIFORM, 1},
               {TN_INIT_XAVIER_NORMAL, 1},
               {TN_INIT_ORTHOGONAL, 1},
               {TN_INIT_NORMAL, 0.02},
               {TN_INIT_TRUNCATED, 0.02}};
  return tn_init_of(table[choice].kind, gain > 0 ? gain : table[choice].gain);
}
/* PyTorch's biases: uniform as the weights are, where those are; else zeros (the literature's). */
static inline tn_init bias_init_of(tn_init weight, int64_t fan_in) {
  return weight.kind == TN_INIT_LECUN_UNIFORM ? tn_init_of(TN_INIT_UNIFORM, weight.a / sqrt((double)fan_in))
                                              : tn_init_zeros();
}

static inline uint32_t declare_named(tn_declaration *declaration, const char *layer, const char *what,
                                     tn_shape shape, tn_group group, tn_init init) {
  char name[144];
  snprintf(name, sizeof name, "%s.%s", layer, what);
  return tn_declare(declaration, name, shape, group, init);
}

/* ---- products and convolutions ---- */

struct linear {
  uint32_t weight, bias; /* (out, in), (out) */
  bool biased;
};
static inline struct linear linear_declare(tn_declaration *declaration, const char *name, int64_t in,
                                           int64_t out, bool biased, tn_init init) {
  struct linear layer = {.biased = biased};
  layer.weight = declare_named(declaration, name, "weight", TN_SHAPE(out, in), TN_DECAY, init);
  if (biased)
    layer.bias = declare_named(declaration, name, "bias", TN_SHAPE(out), TN_NO_DECAY, bias_init_of(init, in));
  return layer;
}
/* x (..., in) -> (..., out) */
static inline tn_tensor *linear_apply(const struct linear *layer, const tn_params *params, tn_tensor *x) {
  return tn_linear(x, tn_param_tensor(params, layer->weight),
                   layer->biased ? tn_param_tensor(params, layer->bias) : NULL);
}

struct conv {
  uint32_t weight, bias; /* (out, in / groups, kernel, kernel), (out) */
  bool biased;
  tn_conv geometry;
};
static inline struct conv conv_declare(tn_declaration *declaration, const char *name, int64_t in, int64_t out,
                                       int64_t kernel, tn_conv geometry, bool biased, tn_init init) {
  struct conv layer = {.biased = biased, .geometry = geometry};
  const int64_t depth = in / (geometry.groups > 0 ? geometry.groups : 1);
  layer.weight =
      declare_named(declaration, name, "weight", TN_SHAPE(out, depth, kernel, kernel), TN_DECAY, init);
  if (biased)
    layer.bias = declare_named(declaration, name, "bias", TN_SHAPE(out), TN_NO_DECAY,
                               bias_init_of(init, depth * kernel * kernel));
  return layer;
}
static inline tn_conv conv_geometry(int64_t stride, int64_t padding) {
  return (tn_conv){{stride, stride}, {padding, padding}, {1, 1}, 1};
}
/* x (n, in, h, w) -> (n, out, h', w') */
static inline tn_tensor *conv_apply(const struct conv *layer, const tn_params *params, tn_tensor *x) {
  return tn_convolution(x, tn_param_tensor(params, layer->weight),
                        layer->biased ? tn_param_tensor(params, layer->bias) : NULL, &layer->geometry);
}

/* ---- normalisation ---- */

/* The choices of a key `norm`. Layer normalisation of an image is over all its channels and pixels, with a
 * scale and a shift a channel: one group. */
#define NORM_CHOICES "none|batch|layer|group|instance"
enum { NORM_NONE, NORM_BATCH, NORM_LAYER, NORM_GROUP, NORM_INSTANCE };

struct norm {
  int32_t kind;
  uint32_t weight, bias;   /* (c) */
  uint32_t mean, variance; /* of batch normalisation, (c) */
  int64_t groups;
  double momentum, epsilon;
};
static inline struct norm norm_declare(tn_declaration *declaration, const char *name, int32_t kind, int64_t c,
                                       int64_t groups, double momentum, double epsilon, tn_init scale) {
  struct norm layer = {.kind = kind, .momentum = momentum, .epsilon = epsilon};
  layer.groups = kind == NORM_LAYER ? 1 : kind == NORM_INSTANCE ? c : groups;
  if (kind == NORM_NONE) return layer;
  layer.weight = declare_named(declaration, name, "weight", TN_SHAPE(c), TN_NO_DECAY, scale);
  layer.bias = declare_named(declaration, name, "bias", TN_SHAPE(c), TN_NO_DECAY, tn_init_zeros());
  if (kind != NORM_BATCH) return layer;
  layer.mean = declare_named(declaration, name, "mean", TN_SHAPE(c), TN_BUFFER, tn_init_zeros());
  layer.variance = declare_named(declaration, name, "variance", TN_SHAPE(c), TN_BUFFER, tn_init_ones());
  return layer;
}

/* (1 - momentum) old + momentum new, for the caller to write. */
static inline void norm_update(const struct norm *layer, tn_model_call *call, uint32_t index,
                               tn_tensor *value) {
  tn_tensor *old = tn_param_tensor(call->params, index);
  tn_model_update(call, index, tn_add(tn_scale(old, 1 - layer->momentum), tn_scale(value, layer->momentum)));
}

/* x (n, c, ...), residual of the same shape or NULL -> normalised x, plus residual, through ReLU if asked. */
static inline tn_tensor *norm_apply(const struct norm *layer, tn_model_call *call, tn_tensor *x,
                                    tn_tensor *residual, bool relu) {
  const uint32_t flags = relu ? TN_NORM_RELU : 0;
  if (layer->kind == NORM_NONE) {
    if (residual) x = tn_add(x, residual);
    return relu ? tn_relu(x) : x;
  }
  tn_tensor *weight = tn_param_tensor(call->params, layer->weight);
  tn_tensor *bias = tn_param_tensor(call->params, layer->bias);
  if (layer->kind != NORM_BATCH) {
    if (!residual) return tn_sdk.nn->group_norm(x, layer->groups, weight, bias, layer->epsilon, flags);
    x = tn_add(tn_sdk.nn->group_norm(x, layer->groups, weight, bias, layer->epsilon, 0), residual);
    return relu ? tn_relu(x) : x;
  }
  const bool running =
      call->norm == TN_NORM_RUNNING || (call->norm == TN_NORM_DEFAULT && call->progress.mode == TN_EVALUATE);
  if (running)
    return tn_sdk.nn->batch_norm_fixed(x, weight, bias, residual, tn_param_tensor(call->params, layer->mean),
                                       tn_param_tensor(call->params, layer->variance), layer->epsilon, flags);
  const bool report = call->updates && call->norm != TN_NORM_FROZEN;
  tn_tensor *mean, *variance;
  tn_tensor *y = tn_sdk.nn->batch_norm(x, weight, bias, residual, layer->epsilon, flags,
                                       report ? &mean : NULL, report ? &variance : NULL);
  if (report && !tn_poisoned(y)) {
    norm_update(layer, call, layer->mean, mean);
    norm_update(layer, call, layer->variance, variance);
  }
  return y;
}

/* ---- the rest ---- */

static inline tn_tensor *dropout_apply(double p, tn_model_call *call, tn_tensor *x) {
  return p > 0 && call->progress.mode == TN_TRAIN ? tn_dropout(x, p, call->rng) : x;
}

/* An inner activation as field `tap.NAME`, where somebody wants it. */
static inline void tap(tn_model_call *call, tn_tensor *x, const char *name) {
  char field[80];
  if (!call->taps) return;
  snprintf(field, sizeof field, "tap.%s", name);
  tn_fields_set(call->outputs, field, x);
}

/* ---- what a model reads and writes ---- */

/* How many outputs: `wanted`, or else the classes of `label`, or else the numbers of `target`; 0, with an
 * error, if nothing says. *name: the field they go to, `logits` with labels. */
static inline int64_t head_width(const tn_spec *inputs, int64_t wanted, const char **name) {
  const tn_field_spec *label = tn_spec_find(inputs, "label"), *target = tn_spec_find(inputs, "target");
  const bool labelled = label && label->classes > 0;
  if (!**name) *name = labelled ? "logits" : "output";
  const int64_t width = wanted > 0 ? wanted : labelled ? label->classes : target ? tn_spec_numel(target) : 0;
  if (width < 1) tn_fail(TN_ERROR_MISSING, "no `label` and no `target` says how many outputs: give `output`");
  return width > 0 ? width : 0;
}

/* The field `name`, which must be images (channels, height, width); NULL, with an error, if it is not. */
static inline const tn_field_spec *image_input(const tn_spec *inputs, const char *name) {
  const tn_field_spec *image = tn_spec_get(inputs, name);
  if (!image) return NULL;
  if (image->ragged || image->classes > 0 || image->shape.ndim != 3 || tn_spec_numel(image) < 1) {
    tn_fail(TN_ERROR_SHAPE, "'%s' must be images of one size (channels, height, width)", name);
    return NULL;
  }
  return image;
}

#define HEAD_PARAMS(model)                                                    \
  TN_INTEGER(struct model, output, "0", 0, 1 << 20, NULL,                     \
             "outputs; 0: the classes of `label`, or the width of `target`"), \
      TN_STRING(struct model, output_field, "",                               \
                "field to write; empty: `logits` with labels, else `output`")
#define NORM_PARAMS(model)                                                                                \
  TN_PARAM_(struct model, norm_momentum, TN_PARAM_REAL, TN_PARAM_ADVANCED, "0.1", 0, 1, NULL, NULL, NULL, \
            "share of a batch in the running statistics of batch normalisation"),                         \
      TN_PARAM_(struct model, norm_epsilon, TN_PARAM_REAL, TN_PARAM_ADVANCED, "1e-5", 0, INFINITY, NULL,  \
                NULL, NULL, "added to the variance in normalisations")
#define DROPOUT_PARAM(model, doc) \
  TN_PARAM_(struct model, dropout, TN_PARAM_REAL, TN_PARAM_MAX_EXCLUSIVE, "0", 0, 1, NULL, NULL, NULL, doc)

#endif
