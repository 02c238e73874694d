// SPDX-License-Identifier: MIT
/* Residual network for small images (He et al. 2016, section 4.2).
 *
 *   stem: conv 3x3, norm, ReLU
 *   block: y = ReLU(norm(conv3x3(ReLU(norm(conv3x3(x))))) + shortcut(x))
 *   stages of n blocks with 16, 32, 64 channels times `width`; the first block of a later stage halves the
 * image mean over the image, linear
 *
 * depth = 6 n + 2 counts the layers with weights. Where a block changes shape, its shortcut is a 1x1
 * convolution with normalisation (the paper's option B) or every second pixel with zeros for the new channels
 * (option A). `zero_gamma` starts every block as its shortcut (Goyal et al. 2017). Outputs: `features` (n,
 * channels), `logits` (n, classes). */
#include "layers.h"

enum { PROJECTION, PADDING };
enum { MOST_STAGES = 8 };

struct block {
  struct conv conv1, conv2, shortcut;
  struct norm norm1, norm2, shortcut_norm;
  int64_t in, out, stride;
  char name[48];
};

struct resnet {
  int64_t depth, groups, output;
  tn_integers blocks;
  double width, dropout, norm_momentum, norm_epsilon;
  int32_t shortcut, norm;
  bool zero_gamma;
  const char *input, *output_field;

  struct conv stem;
  struct norm stem_norm;
  struct block *list;
  uint32_t count;
  struct linear head;
  const char *output_name;
};
static const tn_param resnet_params[] = {
    TN_INTEGER(struct resnet, depth, "20", 8, 6002, "layers",
               "6 n + 2: 20, 32, 44, 56, 110; used without `blocks`"),
    TN_INTEGERS(struct resnet, blocks, "", 1, 1000, "blocks of each stage; `1, 1, 1` is ResNet-8"),
    TN_PARAM_(struct resnet, width, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, 64, NULL, NULL, NULL,
              "factor on the channels 16, 32, 64 of the stages"),
    TN_CHOICE(
        struct resnet, shortcut, "projection", "projection|padding",
        "where the shape changes: 1x1 convolution (option B), or zeros for the new channels (option A)"),
    TN_BOOL(struct resnet, zero_gamma, "no", "start the last scale of each block at 0"),
    TN_CHOICE(struct resnet, norm, "batch", NORM_CHOICES, "normalisation behind each convolution"),
    TN_INTEGER(struct resnet, groups, "8", 1, 1 << 16, NULL, "groups of group normalisation"),
    DROPOUT_PARAM(resnet, "probability with which a value between the convolutions of a block is left out"),
    HEAD_PARAMS(resnet),
    TN_STRING(struct resnet, input, "image", "field to read"),
    NORM_PARAMS(resnet),
};

static tn_status resnet_create(void *self) {
  struct resnet *model = self;
  if (model->blocks.count > MOST_STAGES)
    return tn_fail(TN_ERROR_INVALID, "%u stages in blocks; at most %d", model->blocks.count, MOST_STAGES);
  if (model->blocks.count == 0 && (model->depth - 2) % 6 != 0) {
    const long long n = (long long)(model->depth - 2) / 6;
    return tn_fail(TN_ERROR_INVALID, "depth %lld is not 6 n + 2; the nearest are %lld and %lld",
                   (long long)model->depth, 6 * n + 2, 6 * n + 8);
  }
  return TN_OK;
}

static void resnet_destroy(void *self) { tn_free(((struct resnet *)self)->list); }

/* He et al. 2015: the variance of the gradient is kept from the output side. */
static tn_init conv_init(void) { return tn_init_of(TN_INIT_HE_NORMAL_OUT, sqrt(2)); }

static struct norm declare_norm(const struct resnet *model, tn_declaration *declaration, const char *name,
                                int64_t channels, bool zero) {
  return norm_declare(declaration, name, model->norm, channels, model->groups, model->norm_momentum,
                      model->norm_epsilon, zero ? tn_init_zeros() : tn_init_ones());
}

static void declare_block(const struct resnet *model, struct block *block, tn_declaration *declaration) {
  char name[80];
  const bool bias = model->norm == NORM_NONE;
#define NAMED(text) (snprintf(name, sizeof name, "%s." text, block->name), name)
  block->conv1 = conv_declare(declaration, NAMED("conv1"), block->in, block->out, 3,
                              conv_geometry(block->stride, 1), bias, conv_init());
  block->norm1 = declare_norm(model, declaration, NAMED("norm1"), block->out, false);
  block->conv2 = conv_declare(declaration, NAMED("conv2"), block->out, block->out, 3, conv_geometry(1, 1),
                              bias, conv_init());
  block->norm2 = declare_norm(model, declaration, NAMED("norm2"), block->out, model->zero_gamma);
  if (model->shortcut == PROJECTION && (block->in != block->out || block->stride > 1)) {
    block->shortcut = conv_declare(declaration, NAMED("shortcut"), block->in, block->out, 1,
                                   conv_geometry(block->stride, 0), bias, conv_init());
    block->shortcut_norm = declare_norm(model, declaration, NAMED("shortcut_norm"), block->out, false);
  }
#undef NAMED
}

static tn_status resnet_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct resnet *model = self;
  const tn_field_spec *image = image_input(inputs, model->input);
  if (!image) return TN_ERROR_SHAPE;
  model->output_name = model->output_field;
  const int64_t width = head_width(inputs, model->output, &model->output_name);
  if (width < 1) return TN_ERROR_MISSING;
  const uint32_t stages = model->blocks.count > 0 ? model->blocks.count : 3;
  int64_t blocks = 0, channels = (int64_t)(16 * model->width + 0.5);
  if (channels < 1) channels = 1;
  for (uint32_t s = 0; s < stages; s++)
    blocks += model->blocks.count > 0 ? model->blocks.items[s] : (model->depth - 2) / 6;
  if (model->norm == NORM_GROUP && channels % model->groups != 0)
    return tn_fail(TN_ERROR_SHAPE, "%lld groups do not divide %lld channels", (long long)model->groups,
                   (long long)channels);
  tn_free(model->list);
  model->list = tn_alloc((size_t)blocks * sizeof *model->list);
  if (!model->list) return TN_ERROR_MEMORY;

  model->stem = conv_declare(declaration, "stem", image->shape.dim[0], channels, 3, conv_geometry(1, 1),
                             model->norm == NORM_NONE, conv_init());
  model->stem_norm = declare_norm(model, declaration, "stem_norm", channels, false);
  model->count = 0;
  int64_t in = channels;
  for (uint32_t s = 0; s < stages; s++, channels *= 2) {
    const int64_t n = model->blocks.count > 0 ? model->blocks.items[s] : (model->depth - 2) / 6;
    for (int64_t b = 0; b < n; b++, in = channels) {
      struct block *block = &model->list[model->count++];
      *block = (struct block){.in = in, .out = channels, .stride = s > 0 && b == 0 ? 2 : 1};
      snprintf(block->name, sizeof block->name, "stages.%u.%lld", s, (long long)b);
      declare_block(model, block, declaration);
    }
  }
  model->head = linear_declare(declaration, "head", in, width, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  tn_declare_output(declaration, "features", TN_FLOAT, TN_SHAPE(in), 0);
  tn_declare_output(declaration, model->output_name, TN_FLOAT, TN_SHAPE(width), 0);
  return TN_OK;
}

/* x (n, in, h, w) -> (n, out, h / stride, w / stride) without parameters: every stride-th pixel, then zeros
 * for the channels that x does not have. */
static tn_tensor *pad_shortcut(const struct block *block, tn_tensor *x) {
  if (tn_poisoned(x)) return x;
  if (block->stride > 1) {
    x = tn_sdk.tensor->slice(x, 2, 0, tn_dim(x, 2), block->stride);
    x = tn_sdk.tensor->slice(x, 3, 0, tn_dim(x, 3), block->stride);
  }
  if (block->out == block->in || tn_poisoned(x)) return x;
  tn_tensor *zeros =
      tn_zeros(x->dtype, TN_SHAPE(tn_dim(x, 0), block->out - block->in, tn_dim(x, 2), tn_dim(x, 3)));
  return tn_concatenate((tn_tensor *const[]){x, zeros}, 2, 1);
}

static tn_tensor *apply_block(const struct resnet *model, const struct block *block, tn_model_call *call,
                              tn_tensor *x) {
  tn_tensor *shortcut = x; /* (n, in, h, w) */
  if (block->in != block->out || block->stride > 1)
    shortcut = model->shortcut == PADDING
                   ? pad_shortcut(block, x)
                   : norm_apply(&block->shortcut_norm, call, conv_apply(&block->shortcut, call->params, x),
                                NULL, false); /* (n, out, h', w') */
  tn_tensor *h = norm_apply(&block->norm1, call, conv_apply(&block->conv1, call->params, x), NULL, true);
  h = dropout_apply(model->dropout, call, h);
  return norm_apply(&block->norm2, call, conv_apply(&block->conv2, call->params, h), shortcut, true);
}

static tn_status resnet_apply(void *self, tn_model_call *call) {
  const struct resnet *model = self;
  tn_tensor *h = tn_field(call->inputs, model->input); /* (n, c, h, w) */
  h = norm_apply(&model->stem_norm, call, conv_apply(&model->stem, call->params, h), NULL, true);
  tap(call, h, "stem");
  for (uint32_t b = 0; b < model->count; b++) {
    h = apply_block(model, &model->list[b], call, h);
    tap(call, h, model->list[b].name);
  }
  h = tn_global_mean_pool(h); /* (n, channels) */
  tn_fields_set(call->outputs, "features", h);
  tn_fields_set(call->outputs, model->output_name, linear_apply(&model->head, call->params, h));
  return tn_outcome();
}

static const tn_class resnet_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "resnet",
    .summary = "Residual network for small images, CIFAR style",
    .reference = "He, Zhang, Ren and Sun 2016, Deep Residual Learning for Image Recognition",
    TN_CLASS_PARAMS(resnet_params),
    .instance_size = sizeof(struct resnet),
    .vtable = &(const tn_model){sizeof(tn_model), resnet_declare, resnet_apply},
    .create = resnet_create,
    .destroy = resnet_destroy};
TN_PLUGIN("model_resnet", "1.0.0", "MIT", &resnet_class)
