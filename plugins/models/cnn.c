// SPDX-License-Identifier: MIT
/* Convolutional network from a list of layers.
 *
 *   layers = conv 32 3, bn, relu, maxpool 2, conv 64 3, bn, relu, maxpool 2, flatten, linear 128, relu
 *
 * A classifier, one more linear layer, follows by itself (`head`). Outputs: `features`, what goes into it;
 * `logits` (n, classes) where the data have a `label`, else `output`; with several heads (one a domain, say)
 * also `head_logits` (n, heads, classes), of which `logits` is the first. The default is LeNet-5 with ReLU
 * and max-pooling. A convolution or linear layer that `bn` follows has no bias: normalisation would take it
 * out. bn: Ioffe and Szegedy 2015; ln: Ba et al. 2016; gn: Wu and He 2018; in: Ulyanov et al. 2016; mobile:
 * Howard et al. 2019, MobileNetV3. */
#include "mobile.h"
#include <stdlib.h>
#include <string.h>

enum word_kind {
  CONV, /* first: 0 is the first word */
  BN,
  LN,
  GN,
  IN,
  RELU,
  GELU,
  SILU,
  TANH,
  LEAKY,
  MAXPOOL,
  AVGPOOL,
  GLOBALPOOL,
  DROPOUT,
  FLATTEN,
  LINEAR,
  MOBILE,
  WORDS
};
enum { MOST_NUMBERS = 4 };
/* The words of a list: how many numbers follow, and how to write it. */
static const struct {
  const char *name;
  uint32_t least, most;
  const char *usage;
} words[WORDS] = {
    [CONV] = {"conv", 2, 4, "conv OUT KERNEL [STRIDE [PADDING]] [groups=N] [dilation=N]"},
    [BN] = {"bn", 0, 0, "bn"},
    [LN] = {"ln", 0, 0, "ln"},
    [GN] = {"gn", 1, 1, "gn GROUPS"},
    [IN] = {"in", 0, 0, "in"},
    [RELU] = {"relu", 0, 0, "relu"},
    [GELU] = {"gelu", 0, 0, "gelu"},
    [SILU] = {"silu", 0, 0, "silu"},
    [TANH] = {"tanh", 0, 0, "tanh"},
    [LEAKY] = {"leaky", 0, 1, "leaky [SLOPE]"},
    [MAXPOOL] = {"maxpool", 1, 2, "maxpool SIZE [STRIDE]"},
    [AVGPOOL] = {"avgpool", 1, 2, "avgpool SIZE [STRIDE]"},
    [GLOBALPOOL] = {"globalpool", 0, 0, "globalpool"},
    [DROPOUT] = {"dropout", 1, 1, "dropout P"},
    [FLATTEN] = {"flatten", 0, 0, "flatten"},
    [LINEAR] = {"linear", 1, 1, "linear OUT"},
    [MOBILE] = {"mobile", 2, 4, "mobile OUT KERNEL [STRIDE [EXPAND]] [se=SHARE] [act=swish|relu]"},
};

/* One item of the list. */
struct layer {
  enum word_kind kind;
  bool fused_relu; /* of a normalisation: the next item, `relu`, is done here */
  bool biased;
  int64_t out, kernel, stride, padding, groups, dilation; /* also: pooling size, groups of gn */
  double real;                                            /* dropout's p, leaky's slope */
  struct conv conv;
  struct linear linear;
  struct norm norm;
  double se; /* of a mobile block, as its act and expand */
  int32_t act;
  int64_t expand;
  struct mobile mobile;
};

struct cnn {
  tn_strings layers;
  bool head;
  int32_t init;
  double gain, norm_momentum, norm_epsilon;
  int64_t output, heads;
  const char *input, *output_field;

  struct layer *items; /* one an item of `layers` */
  struct linear classifier;
  const char *output_name;
  int64_t width; /* of the output */
};
static const tn_param cnn_params[] = {
    TN_STRINGS(
        struct cnn, layers,
        "conv 6 5 1 2, relu, maxpool 2, conv 16 5 1 0, relu, maxpool 2, flatten, linear 120, relu, "
        "linear 84, relu",
        "conv OUT KERNEL [STRIDE [PADDING]] [groups=N] [dilation=N], bn, ln, gn GROUPS, in, relu, gelu, "
        "silu, "
        "tanh, leaky [SLOPE], maxpool SIZE [STRIDE], avgpool SIZE [STRIDE], globalpool, dropout P, flatten, "
        "linear OUT, mobile OUT KERNEL [STRIDE [EXPAND]] [se=SHARE] [act=swish|relu]; padding: (KERNEL - 1) "
        "/ 2"),
    TN_BOOL(struct cnn, head, "yes", "end with a linear layer to the outputs"),
    TN_INTEGER(struct cnn, heads, "1", 1, 10000, NULL,
               "linear layers at the end, of which the first gives the output; above 1: also `head_logits`"),
    TN_CHOICE(struct cnn, init, "lecun_uniform", INIT_CHOICES,
              "initialiser of the weights; lecun_uniform is PyTorch's default"),
    TN_REAL(struct cnn, gain, "0", 0, INFINITY, GAIN_DOC),
    HEAD_PARAMS(cnn),
    TN_STRING(struct cnn, input, "image", "field to read"),
    NORM_PARAMS(cnn),
};

/* ---- the list ---- */

static tn_status refuse(uint32_t number, const char *text, const char *why) {
  return tn_fail(TN_ERROR_INVALID, "item %u of layers, '%s': %s", number + 1, text, why);
}

static tn_status unknown(uint32_t number, const char *text, const char *name) {
  const char *names[WORDS];
  for (uint32_t w = 0; w < WORDS; w++) names[w] = words[w].name;
  const char *nearest = tn_nearest_name(name, names, WORDS);
  if (nearest)
    return tn_fail(TN_ERROR_INVALID, "item %u of layers, '%s': no layer '%s'; did you mean '%s'?", number + 1,
                   text, name, nearest);
  return tn_fail(
      TN_ERROR_INVALID,
      "item %u of layers, '%s': no layer '%s'; there are conv, bn, ln, gn, in, relu, gelu, silu, tanh, "
      "leaky, maxpool, avgpool, globalpool, dropout, flatten, linear, mobile",
      number + 1, text, name);
}

static bool whole(double x, double least) { return x >= least && x <= 1 << 20 && x == floor(x); }

/* One NAME=VALUE behind the numbers. */
static tn_status take_option(uint32_t number, const char *text, struct layer *layer, const char *name,
                             const char *value) {
  char why[160], *end;
  const double x = strtod(value, &end);
  const bool is_number = end != value && !*end;
  if (layer->kind == MOBILE && strcmp(name, "act") == 0) {
    if (strcmp(value, "swish") != 0 && strcmp(value, "relu") != 0)
      return refuse(number, text, "act must be swish or relu");
    layer->act = *value == 's' ? MOBILE_SWISH : MOBILE_RELU;
    return TN_OK;
  }
  if (layer->kind == MOBILE && strcmp(name, "se") == 0) {
    layer->se = x;
    return is_number && x >= 0 && x <= 1 ? TN_OK : refuse(number, text, "se must be a share, from 0 to 1");
  }
  const bool groups = strcmp(name, "groups") == 0;
  if (layer->kind == MOBILE || (!groups && strcmp(name, "dilation") != 0)) {
    snprintf(why, sizeof why, "no option '%s'; expected %s", name, words[layer->kind].usage);
    return refuse(number, text, why);
  }
  if (!is_number || !whole(x, 1)) {
    snprintf(why, sizeof why, "%s must be a whole number of at least 1, got '%s'", name, value);
    return refuse(number, text, why);
  }
  *(groups ? &layer->groups : &layer->dilation) = (int64_t)x;
  return TN_OK;
}

/* `text` into numbers and options: the words behind the first. */
static tn_status parse_arguments(uint32_t number, const char *text, struct layer *layer, double *numbers,
                                 uint32_t *count, const char *rest) {
  const uint32_t most = words[layer->kind].most;
  char why[160];
  while (*rest) {
    char word[32], *end;
    const size_t length = strcspn(rest, " \t");
    snprintf(word, sizeof word, "%.*s", (int)length, rest);
    rest += length + strspn(rest + length, " \t");
    char *value = strchr(word, '=');
    if (value && (layer->kind == CONV || layer->kind == MOBILE)) {
      *value++ = '\0';
      const tn_status status = take_option(number, text, layer, word, value);
      if (status < 0) return status;
      continue;
    }
    const double x = strtod(word, &end);
    if (end == word || *end || *count == most) {
      snprintf(why, sizeof why, "'%s' is not expected; expected %s", word, words[layer->kind].usage);
      return refuse(number, text, why);
    }
    numbers[(*count)++] = x;
  }
  if (*count >= words[layer->kind].least) return TN_OK;
  snprintf(why, sizeof why, "too short; expected %s", words[layer->kind].usage);
  return refuse(number, text, why);
}

/* Numbers to their meaning. */
static tn_status take_numbers(uint32_t number, const char *text, struct layer *layer, const double *numbers,
                              uint32_t count) {
  if (layer->kind == DROPOUT || layer->kind == LEAKY) {
    layer->real = count > 0 ? numbers[0] : 0.01;
    if (layer->kind == LEAKY || (layer->real >= 0 && layer->real < 1)) return TN_OK;
    return refuse(number, text, "a probability of at least 0 and below 1 is needed");
  }
  for (uint32_t i = 0; i < count; i++)
    if (!whole(numbers[i], layer->kind == CONV && i == 3 ? 0 : 1))
      return refuse(number, text, "sizes must be whole numbers of at least 1 (padding: 0)");
  switch (layer->kind) {
  case CONV:
    layer->out = (int64_t)numbers[0];
    layer->kernel = (int64_t)numbers[1];
    layer->stride = count > 2 ? (int64_t)numbers[2] : 1;
    layer->padding = count > 3 ? (int64_t)numbers[3] : layer->dilation * (layer->kernel - 1) / 2;
    if (layer->out % layer->groups != 0)
      return refuse(number, text, "groups must divide the output channels");
    break;
  case MAXPOOL:
  case AVGPOOL:
    layer->kernel = (int64_t)numbers[0];
    layer->stride = count > 1 ? (int64_t)numbers[1] : layer->kernel;
    break;
  case GN: layer->groups = (int64_t)numbers[0]; break;
  case LINEAR: layer->out = (int64_t)numbers[0]; break;
  case MOBILE:
    layer->out = (int64_t)numbers[0];
    layer->kernel = (int64_t)numbers[1];
    layer->stride = count > 2 ? (int64_t)numbers[2] : 1;
    layer->expand = count > 3 ? (int64_t)numbers[3] : 4;
    if (layer->kernel % 2 == 0) return refuse(number, text, "the kernel must be odd");
    break;
  default: break;
  }
  return TN_OK;
}

static tn_status parse_layer(uint32_t number, const char *text, struct layer *layer) {
  char name[32];
  double numbers[MOST_NUMBERS];
  uint32_t count = 0, kind = 0;
  const size_t length = strcspn(text, " \t");
  snprintf(name, sizeof name, "%.*s", (int)length, text);
  while (kind < WORDS && strcmp(words[kind].name, name) != 0) kind++;
  if (kind == WORDS) return unknown(number, text, name);
  *layer =
      (struct layer){.kind = (enum word_kind)kind, .biased = true, .groups = 1, .dilation = 1, .se = 0.25};
  const char *rest = text + length;
  const tn_status status = parse_arguments(number, text, layer, numbers, &count, rest + strspn(rest, " \t"));
  return status < 0 ? status : take_numbers(number, text, layer, numbers, count);
}

static bool normalises(enum word_kind kind) { return kind == BN || kind == LN || kind == GN || kind == IN; }

static tn_status cnn_create(void *self) {
  struct cnn *model = self;
  model->items = tn_alloc((model->layers.count + 1) * sizeof *model->items);
  if (!model->items) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < model->layers.count; i++) {
    struct layer *layer = &model->items[i];
    const tn_status status = parse_layer(i, model->layers.items[i], layer);
    if (status < 0) return status;
    if (i > 0 && layer->kind == BN) layer[-1].biased = false;
    if (i > 0 && layer->kind == RELU && normalises(layer[-1].kind)) layer[-1].fused_relu = true;
  }
  return TN_OK;
}

static void cnn_destroy(void *self) { tn_free(((struct cnn *)self)->items); }

/* ---- shapes and parameters ---- */

/* What lies between two layers: an image, or with flat set, a vector of `channels` numbers. */
struct extent {
  int64_t channels, height, width;
  bool flat;
};

static tn_status misfit(uint32_t number, const char *text, const struct extent *at, const char *why) {
  char shape[64];
  if (at->flat)
    snprintf(shape, sizeof shape, "%lld numbers", (long long)at->channels);
  else
    snprintf(shape, sizeof shape, "an image %lld x %lld x %lld", (long long)at->channels,
             (long long)at->height, (long long)at->width);
  return tn_fail(TN_ERROR_SHAPE, "item %u of layers, '%s', gets %s: %s", number + 1, text, shape, why);
}

/* One axis behind a window: floor((size + 2 padding - reach) / stride) + 1; below 1 if it does not fit. */
static int64_t windows(int64_t size, int64_t reach, int64_t stride, int64_t padding) {
  return size + 2 * padding < reach ? 0 : (size + 2 * padding - reach) / stride + 1;
}

static tn_status declare_conv(const struct cnn *model, uint32_t number, struct extent *at,
                              tn_declaration *declaration) {
  struct layer *layer = &model->items[number];
  const char *text = model->layers.items[number];
  char name[32];
  if (at->channels % layer->groups != 0) return misfit(number, text, at, "groups must divide the channels");
  const int64_t reach = layer->dilation * (layer->kernel - 1) + 1;
  const int64_t height = windows(at->height, reach, layer->stride, layer->padding);
  const int64_t width = windows(at->width, reach, layer->stride, layer->padding);
  if (height < 1 || width < 1) return misfit(number, text, at, "the kernel is larger than the padded image");
  const tn_conv geometry = {{layer->stride, layer->stride},
                            {layer->padding, layer->padding},
                            {layer->dilation, layer->dilation},
                            layer->groups};
  snprintf(name, sizeof name, "layers.%u", number);
  layer->conv = conv_declare(declaration, name, at->channels, layer->out, layer->kernel, geometry,
                             layer->biased, init_of(model->init, model->gain));
  *at = (struct extent){layer->out, height, width, false};
  return TN_OK;
}

static tn_status declare_norm(const struct cnn *model, uint32_t number, const struct extent *at,
                              tn_declaration *declaration) {
  struct layer *layer = &model->items[number];
  char name[32];
  if (layer->kind == GN && at->channels % layer->groups != 0)
    return misfit(number, model->layers.items[number], at, "the groups must divide the channels");
  if (layer->kind == IN && at->flat)
    return misfit(number, model->layers.items[number], at, "instance normalisation needs an image");
  const int32_t kind = layer->kind == BN   ? NORM_BATCH
                       : layer->kind == LN ? NORM_LAYER
                       : layer->kind == GN ? NORM_GROUP
                                           : NORM_INSTANCE;
  snprintf(name, sizeof name, "layers.%u", number);
  layer->norm = norm_declare(declaration, name, kind, at->channels, layer->groups, model->norm_momentum,
                             model->norm_epsilon, tn_init_ones());
  return TN_OK;
}

static void declare_mobile(const struct cnn *model, uint32_t number, struct extent *at,
                           tn_declaration *declaration) {
  struct layer *layer = &model->items[number];
  const struct mobile_style style = {.se = layer->se,
                                     .act = layer->act,
                                     .momentum = model->norm_momentum,
                                     .epsilon = model->norm_epsilon,
                                     .init = init_of(model->init, model->gain)};
  char name[32];
  snprintf(name, sizeof name, "layers.%u", number);
  layer->mobile = mobile_declare(declaration, name, &style, at->channels, layer->out, layer->kernel,
                                 layer->expand, layer->stride);
  *at = (struct extent){layer->out, (at->height - 1) / layer->stride + 1, (at->width - 1) / layer->stride + 1,
                        false};
}

/* Parameters of item `number`; *at becomes what it gives. */
static tn_status declare_layer(const struct cnn *model, uint32_t number, struct extent *at,
                               tn_declaration *declaration) {
  struct layer *layer = &model->items[number];
  const char *text = model->layers.items[number];
  const enum word_kind kind = layer->kind;
  char name[32];
  if (at->flat &&
      (kind == CONV || kind == MOBILE || kind == MAXPOOL || kind == AVGPOOL || kind == GLOBALPOOL))
    return misfit(number, text, at, "it needs an image");
  if (normalises(kind)) return declare_norm(model, number, at, declaration);
  switch (kind) {
  case CONV: return declare_conv(model, number, at, declaration);
  case MAXPOOL:
  case AVGPOOL:
    if (at->height < layer->kernel || at->width < layer->kernel)
      return misfit(number, text, at, "the window is larger than the image");
    at->height = windows(at->height, layer->kernel, layer->stride, 0);
    at->width = windows(at->width, layer->kernel, layer->stride, 0);
    return TN_OK;
  case GLOBALPOOL: at->height = at->width = 1, at->flat = true; return TN_OK;
  case FLATTEN: *at = (struct extent){at->channels * at->height * at->width, 1, 1, true}; return TN_OK;
  case LINEAR:
    if (!at->flat) return misfit(number, text, at, "put `flatten` or `globalpool` in front");
    snprintf(name, sizeof name, "layers.%u", number);
    layer->linear = linear_declare(declaration, name, at->channels, layer->out, layer->biased,
                                   init_of(model->init, model->gain));
    at->channels = layer->out;
    return TN_OK;
  case MOBILE: declare_mobile(model, number, at, declaration); return TN_OK;
  default: return TN_OK;
  }
}

static tn_status cnn_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct cnn *model = self;
  const tn_field_spec *image = image_input(inputs, model->input);
  if (!image) return TN_ERROR_SHAPE;
  struct extent at = {image->shape.dim[0], image->shape.dim[1], image->shape.dim[2], false};
  for (uint32_t i = 0; i < model->layers.count; i++) {
    const tn_status status = declare_layer(model, i, &at, declaration);
    if (status < 0) return status;
  }
  tn_declare_output(declaration, "features", TN_FLOAT,
                    at.flat ? TN_SHAPE(at.channels) : TN_SHAPE(at.channels, at.height, at.width), 0);
  if (!model->head) return TN_OK;
  if (!at.flat)
    return tn_fail(
        TN_ERROR_SHAPE,
        "the layers end with an image %lld x %lld x %lld: put `flatten` or `globalpool` at the end",
        (long long)at.channels, (long long)at.height, (long long)at.width);
  model->output_name = model->output_field;
  const int64_t width = head_width(inputs, model->output, &model->output_name);
  if (width < 1) return TN_ERROR_MISSING;
  model->classifier = linear_declare(declaration, "head", at.channels, model->heads * width, true,
                                     init_of(model->init, model->gain));
  model->width = width;
  if (model->heads > 1)
    tn_declare_output(declaration, "head_logits", TN_FLOAT, TN_SHAPE(model->heads, width), 0);
  tn_declare_output(declaration, model->output_name, TN_FLOAT, TN_SHAPE(width), 0);
  return TN_OK;
}

/* ---- applying ---- */

/* x (n, c, h, w) or (n, c) -> the same of other sizes */
static tn_tensor *apply_layer(const struct layer *layer, tn_model_call *call, tn_tensor *x) {
  switch (layer->kind) {
  case CONV: return conv_apply(&layer->conv, call->params, x);
  case BN:
  case LN:
  case GN:
  case IN: return norm_apply(&layer->norm, call, x, NULL, layer->fused_relu);
  case RELU: return layer->fused_relu ? x : tn_relu(x);
  case GELU: return tn_gelu(x);
  case SILU: return tn_silu(x);
  case TANH: return tn_tanh(x);
  case LEAKY: return tn_leaky_relu(x, layer->real);
  case MAXPOOL: return tn_max_pool(x, layer->kernel, layer->stride, 0);
  case AVGPOOL: return tn_mean_pool(x, layer->kernel, layer->stride, 0);
  case GLOBALPOOL: return tn_global_mean_pool(x);
  case DROPOUT: return dropout_apply(layer->real, call, x);
  case FLATTEN: return tn_flatten(x);
  case LINEAR: return linear_apply(&layer->linear, call->params, x);
  case MOBILE: return mobile_apply(&layer->mobile, call, x);
  default: return x;
  }
}

static tn_status cnn_apply(void *self, tn_model_call *call) {
  const struct cnn *model = self;
  tn_tensor *h = tn_field(call->inputs, model->input); /* (n, c, h, w) */
  for (uint32_t i = 0; i < model->layers.count; i++) {
    const struct layer *layer = &model->items[i];
    if (layer->kind == RELU && i > 0 && layer[-1].fused_relu) continue;
    h = apply_layer(layer, call, h);
    char name[32];
    snprintf(name, sizeof name, "layers.%u", i);
    tap(call, h, name);
  }
  tn_fields_set(call->outputs, "features", h); /* (n, d) */
  if (!model->head) return tn_outcome();
  tn_tensor *out = linear_apply(&model->classifier, call->params, h); /* (n, heads x width) */
  if (model->heads > 1)
    tn_fields_set(call->outputs, "head_logits",
                  tn_reshape(out, TN_SHAPE(tn_dim(out, 0), model->heads, model->width)));
  tn_fields_set(call->outputs, model->output_name,
                model->heads > 1 ? tn_slice(out, 1, 0, model->width) : out);
  return tn_outcome();
}

static const tn_class cnn_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "cnn",
    .summary = "Convolutional network from a list of layers",
    .reference = "LeCun et al. 1998, Gradient-based learning applied to document recognition",
    TN_CLASS_PARAMS(cnn_params),
    .instance_size = sizeof(struct cnn),
    .vtable = &(const tn_model){sizeof(tn_model), cnn_declare, cnn_apply},
    .create = cnn_create,
    .destroy = cnn_destroy};
TN_PLUGIN("model_cnn", "1.0.0", "MIT", &cnn_class)
