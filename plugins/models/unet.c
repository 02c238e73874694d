// SPDX-License-Identifier: MIT
/* U-Net conditioned on time, as denoising diffusion uses it (Ronneberger et al. 2015; Ho et al. 2020,
 * appendix B): images to images of the same size.
 *
 *   going down   at each level `blocks` residual blocks; between levels a convolution of stride 2
 *   middle       residual block, self-attention over the pixels, residual block
 *   going up     at each level `blocks` + 1 residual blocks, each next to what was there on the way down;
 *                between levels nearest neighbours and a convolution
 *   block        x + conv(dropout(silu(norm(conv(silu(norm(x))) + W silu(t)))))
 *
 * t is a perceptron of sines and cosines of the field `time` (Vaswani et al. 2017). Weights as Glorot and
 * Bengio 2010; what ends a block, and the output, start at 0 (`zero_init`). With `condition`, a field of
 * class numbers, an embedding of the class is added to t. Reads `image` (n, c, h, w) and `time` (n), writes
 * `output` (n, c, h, w). */
#include "layers.h"

struct res_block {
  struct norm norm1, norm2;
  struct conv conv1, conv2, shortcut;
  struct linear time;
  bool reshapes; /* the shortcut is a 1x1 convolution */
};

struct attention {
  struct norm norm;
  struct conv qkv, out;
};

struct unet {
  tn_integers multipliers;
  int64_t width, blocks, groups, heads, output;
  double dropout;
  bool attention, zero_init;
  const char *input, *time, *condition, *output_field;

  struct linear time1, time2;
  uint32_t classes; /* (classes, 4 width) */
  struct conv in, out;
  struct norm out_norm;
  struct res_block *down, *up; /* levels x blocks, levels x (blocks + 1) */
  struct conv *shrink, *grow;  /* levels - 1 */
  struct res_block middle1, middle2;
  struct attention middle_attention;
};
static const tn_param unet_params[] = {
    TN_INTEGER(struct unet, width, "32", 2, 1 << 14, NULL, "channels at the first level; even"),
    TN_INTEGERS(struct unet, multipliers, "1, 2, 2", 1, 64, "channels of each level over width"),
    TN_INTEGER(struct unet, blocks, "1", 1, 100, NULL, "residual blocks a level"),
    TN_INTEGER(struct unet, groups, "8", 1, 1 << 14, NULL, "groups of the normalisations"),
    TN_BOOL(struct unet, attention, "yes", "let pixels attend to each other in the middle"),
    TN_INTEGER(struct unet, heads, "1", 1, 1 << 10, NULL, "attention heads"),
    DROPOUT_PARAM(unet, "probability with which a number inside a block is left out"),
    TN_BOOL(struct unet, zero_init, "yes", "start what ends a block, and the output, at 0"),
    TN_INTEGER(struct unet, output, "0", 0, 1 << 16, NULL, "output channels; 0: as the image"),
    TN_STRING(struct unet, input, "image", "field with the images"),
    TN_STRING(struct unet, time, "time", "field with the times (n)"),
    TN_STRING(struct unet, condition, "", "field with class numbers (n) to condition on; empty: none"),
    TN_STRING(struct unet, output_field, "output", "field to write"),
};

static tn_status unet_create(void *self) {
  const struct unet *model = self;
  if (model->width % 2 != 0)
    return tn_fail(TN_ERROR_INVALID, "width %lld is odd: half of it are sines, half cosines",
                   (long long)model->width);
  if (model->multipliers.count < 1) return tn_fail(TN_ERROR_INVALID, "multipliers name no level");
  if (model->width % model->groups != 0)
    return tn_fail(TN_ERROR_INVALID, "%lld groups do not divide width %lld", (long long)model->groups,
                   (long long)model->width);
  return TN_OK;
}

static void unet_release(struct unet *model) {
  tn_free(model->down);
  tn_free(model->up);
  tn_free(model->shrink);
  tn_free(model->grow);
}
static void unet_destroy(void *self) { unet_release(self); }

static tn_init weight_init(void) { return tn_init_of(TN_INIT_XAVIER_UNIFORM, 1); }
static tn_init last_init(const struct unet *model) {
  return model->zero_init ? tn_init_zeros() : weight_init();
}

static int64_t channels_of(const struct unet *model, uint32_t level) {
  return model->width * model->multipliers.items[level];
}

static struct norm declare_norm(const struct unet *model, tn_declaration *declaration, const char *name,
                                int64_t channels) {
  return norm_declare(declaration, name, NORM_GROUP, channels, model->groups, 0, 1e-5, tn_init_ones());
}

static struct conv declare_conv(tn_declaration *declaration, const char *name, int64_t in, int64_t out,
                                int64_t kernel, int64_t stride, tn_init init) {
  return conv_declare(declaration, name, in, out, kernel, conv_geometry(stride, kernel / 2), true, init);
}

static struct res_block declare_block(const struct unet *model, tn_declaration *declaration,
                                      const char *block, int64_t in, int64_t out) {
  struct res_block b = {.reshapes = in != out};
  char name[80];
#define NAMED(text) (snprintf(name, sizeof name, "%s." text, block), name)
  b.norm1 = declare_norm(model, declaration, NAMED("norm1"), in);
  b.conv1 = declare_conv(declaration, NAMED("conv1"), in, out, 3, 1, weight_init());
  b.time = linear_declare(declaration, NAMED("time"), 4 * model->width, out, true, weight_init());
  b.norm2 = declare_norm(model, declaration, NAMED("norm2"), out);
  b.conv2 = declare_conv(declaration, NAMED("conv2"), out, out, 3, 1, last_init(model));
  if (b.reshapes) b.shortcut = declare_conv(declaration, NAMED("shortcut"), in, out, 1, 1, weight_init());
#undef NAMED
  return b;
}

/* Levels, middle, and the way back up; `skips` holds the channels of what is kept on the way down. */
static tn_status declare_levels(struct unet *model, tn_declaration *declaration, int64_t *skips) {
  const uint32_t levels = model->multipliers.count, blocks = (uint32_t)model->blocks;
  char name[48];
  int64_t at = model->width;
  uint32_t kept = 0;
  skips[kept++] = at;
  for (uint32_t l = 0; l < levels; l++) {
    for (uint32_t b = 0; b < blocks; b++, at = channels_of(model, l)) {
      snprintf(name, sizeof name, "down.%u.%u", l, b);
      model->down[l * blocks + b] = declare_block(model, declaration, name, at, channels_of(model, l));
      skips[kept++] = channels_of(model, l);
    }
    if (l + 1 == levels) break;
    snprintf(name, sizeof name, "shrink.%u", l);
    model->shrink[l] = declare_conv(declaration, name, at, at, 3, 2, weight_init());
    skips[kept++] = at;
  }
  if (at % model->heads != 0)
    return tn_fail(TN_ERROR_INVALID, "%lld heads do not divide the %lld channels in the middle",
                   (long long)model->heads, (long long)at);
  model->middle1 = declare_block(model, declaration, "middle.0", at, at);
  if (model->attention) {
    model->middle_attention.norm = declare_norm(model, declaration, "middle.attention.norm", at);
    model->middle_attention.qkv =
        declare_conv(declaration, "middle.attention.qkv", at, 3 * at, 1, 1, weight_init());
    model->middle_attention.out =
        declare_conv(declaration, "middle.attention.out", at, at, 1, 1, last_init(model));
  }
  model->middle2 = declare_block(model, declaration, "middle.1", at, at);
  for (uint32_t l = levels; l-- > 0;) {
    for (uint32_t b = 0; b <= blocks; b++, at = channels_of(model, l)) {
      snprintf(name, sizeof name, "up.%u.%u", l, b);
      model->up[l * (blocks + 1) + b] =
          declare_block(model, declaration, name, at + skips[--kept], channels_of(model, l));
    }
    if (l == 0) break;
    snprintf(name, sizeof name, "grow.%u", l - 1);
    model->grow[l - 1] = declare_conv(declaration, name, at, at, 3, 1, weight_init());
  }
  return TN_OK;
}

static tn_status declare_conditions(struct unet *model, const tn_spec *inputs, tn_declaration *declaration) {
  const tn_field_spec *time = tn_spec_get(inputs, model->time);
  if (!time) return TN_ERROR_MISSING;
  if (time->ragged || tn_spec_numel(time) != 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one number a sample", model->time);
  model->time1 = linear_declare(declaration, "time.0", model->width, 4 * model->width, true, weight_init());
  model->time2 =
      linear_declare(declaration, "time.1", 4 * model->width, 4 * model->width, true, weight_init());
  if (!*model->condition) return TN_OK;
  const tn_field_spec *condition = tn_spec_get(inputs, model->condition);
  if (!condition) return TN_ERROR_MISSING;
  if (condition->dtype != TN_I64 || condition->classes < 1 || tn_spec_numel(condition) != 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one class number a sample", model->condition);
  model->classes =
      declare_named(declaration, "classes", "weight", TN_SHAPE(condition->classes, 4 * model->width),
                    TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  return TN_OK;
}

static tn_status unet_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct unet *model = self;
  const tn_field_spec *image = image_input(inputs, model->input);
  if (!image) return TN_ERROR_SHAPE;
  const uint32_t levels = model->multipliers.count, blocks = (uint32_t)model->blocks;
  const int64_t channels = image->shape.dim[0], outputs = model->output > 0 ? model->output : channels;
  unet_release(model);
  model->down = tn_alloc(levels * blocks * sizeof *model->down);
  model->up = tn_alloc(levels * (blocks + 1) * sizeof *model->up);
  model->shrink = tn_alloc(levels * sizeof *model->shrink);
  model->grow = tn_alloc(levels * sizeof *model->grow);
  int64_t *skips = tn_alloc(levels * (blocks + 1) * sizeof *skips);
  tn_status status =
      model->down && model->up && model->shrink && model->grow && skips ? TN_OK : TN_ERROR_MEMORY;
  if (status >= 0) status = declare_conditions(model, inputs, declaration);
  if (status >= 0) {
    model->in = declare_conv(declaration, "in", channels, model->width, 3, 1, weight_init());
    status = declare_levels(model, declaration, skips);
  }
  tn_free(skips);
  if (status < 0) return status;
  model->out_norm = declare_norm(model, declaration, "out_norm", channels_of(model, 0));
  model->out = declare_conv(declaration, "out", channels_of(model, 0), outputs, 3, 1, last_init(model));
  tn_declare_output(declaration, model->output_field, TN_FLOAT,
                    TN_SHAPE(outputs, image->shape.dim[1], image->shape.dim[2]), 0);
  return TN_OK;
}

/* ---- applying ---- */

/* time (n) -> (n, width): sin and cos of time / 10000^(i / half), i = 0 .. half - 1 */
static tn_tensor *sinusoids(tn_tensor *time, tn_dtype dtype, int64_t width) {
  const int64_t half = width / 2;
  tn_tensor *rates = tn_exp(tn_arange(dtype, 0, -log(10000) / (double)half, half)); /* (half) */
  tn_tensor *angles = tn_mul(tn_reshape(tn_cast(time, dtype), TN_SHAPE(-1, 1)), rates);
  return tn_concatenate((tn_tensor *const[]){tn_sin(angles), tn_cos(angles)}, 2, 1);
}

/* -> silu(t) (n, 4 width), as every block wants it */
static tn_tensor *embed_time(const struct unet *model, const tn_model_call *call, tn_dtype dtype) {
  tn_tensor *t = sinusoids(tn_field(call->inputs, model->time), dtype, model->width);
  t = tn_silu(linear_apply(&model->time1, call->params, t));
  t = linear_apply(&model->time2, call->params, t);
  if (*model->condition)
    t = tn_add(t, tn_embedding(tn_param_tensor(call->params, model->classes),
                               tn_field(call->inputs, model->condition)));
  return tn_silu(t);
}

static tn_tensor *apply_block(const struct unet *model, const struct res_block *b, tn_model_call *call,
                              tn_tensor *x, tn_tensor *time) {
  const tn_params *params = call->params;
  tn_tensor *h = conv_apply(&b->conv1, params, tn_silu(norm_apply(&b->norm1, call, x, NULL, false)));
  tn_tensor *shift = linear_apply(&b->time, params, time); /* (n, out) */
  if (tn_poisoned(shift)) return shift;
  h = tn_add(h, tn_reshape(shift, TN_SHAPE(tn_dim(shift, 0), tn_dim(shift, 1), 1, 1)));
  h = tn_silu(norm_apply(&b->norm2, call, h, NULL, false));
  h = conv_apply(&b->conv2, params, dropout_apply(model->dropout, call, h));
  return tn_add(h, b->reshapes ? conv_apply(&b->shortcut, params, x) : x);
}

/* x (n, c, h, w) -> the same; every pixel attends to every pixel. */
static tn_tensor *apply_attention(const struct unet *model, tn_model_call *call, tn_tensor *x) {
  const struct attention *a = &model->middle_attention;
  if (!model->attention || tn_poisoned(x)) return x;
  const int64_t n = tn_dim(x, 0), c = tn_dim(x, 1), pixels = tn_dim(x, 2) * tn_dim(x, 3),
                depth = c / model->heads;
  tn_tensor *h = conv_apply(&a->qkv, call->params, norm_apply(&a->norm, call, x, NULL, false));
  h = tn_permute(tn_reshape(h, TN_SHAPE(n, 3, model->heads, depth, pixels)),
                 (const int32_t[]){1, 0, 2, 4, 3}); /* (3, n, heads, pixels, depth) */
  tn_tensor *part[3];
  for (int64_t i = 0; i < 3; i++)
    part[i] = tn_reshape(tn_slice(h, 0, i, i + 1), TN_SHAPE(n, model->heads, pixels, depth));
  h = tn_attention(part[0], part[1], part[2], NULL, false, 0);
  h = tn_reshape(tn_permute(h, (const int32_t[]){0, 1, 3, 2}), tn_shape_of(x));
  return tn_add(x, conv_apply(&a->out, call->params, h));
}

static tn_status apply_levels(const struct unet *model, tn_model_call *call, tn_tensor *x, tn_tensor **kept) {
  const uint32_t levels = model->multipliers.count, blocks = (uint32_t)model->blocks;
  tn_tensor *time = embed_time(model, call, x->dtype);
  uint32_t count = 0;
  x = kept[count++] = conv_apply(&model->in, call->params, x);
  for (uint32_t l = 0; l < levels; l++) {
    for (uint32_t b = 0; b < blocks; b++)
      x = kept[count++] = apply_block(model, &model->down[l * blocks + b], call, x, time);
    if (l + 1 < levels) x = kept[count++] = conv_apply(&model->shrink[l], call->params, x);
  }
  x = apply_block(model, &model->middle1, call, x, time);
  x = apply_attention(model, call, x);
  x = apply_block(model, &model->middle2, call, x, time);
  tap(call, x, "middle");
  for (uint32_t l = levels; l-- > 0;) {
    for (uint32_t b = 0; b <= blocks; b++) {
      tn_tensor *joined = tn_concatenate((tn_tensor *const[]){x, kept[--count]}, 2, 1);
      x = apply_block(model, &model->up[l * (blocks + 1) + b], call, joined, time);
    }
    if (l == 0 || tn_poisoned(kept[count - 1])) break;
    x = tn_interpolate(TN_INTERPOLATE_NEAREST, x, tn_dim(kept[count - 1], 2), tn_dim(kept[count - 1], 3),
                       false);
    x = conv_apply(&model->grow[l - 1], call->params, x);
  }
  x = tn_silu(norm_apply(&model->out_norm, call, x, NULL, false));
  tn_fields_set(call->outputs, model->output_field, conv_apply(&model->out, call->params, x));
  return tn_outcome();
}

static tn_status unet_apply(void *self, tn_model_call *call) {
  const struct unet *model = self;
  tn_tensor *x = tn_field(call->inputs, model->input); /* (n, c, h, w) */
  if (tn_poisoned(x)) return tn_outcome();
  tn_tensor **kept = tn_alloc(model->multipliers.count * ((size_t)model->blocks + 1) * sizeof *kept);
  if (!kept) return TN_ERROR_MEMORY;
  const tn_status status = apply_levels(model, call, x, kept);
  tn_free(kept);
  return status;
}

static const tn_class unet_class = {.size = sizeof(tn_class),
                                    .kind = TN_MODEL,
                                    .name = "unet",
                                    .summary = "U-Net conditioned on time, for diffusion on small images",
                                    .reference =
                                        "Ho, Jain and Abbeel 2020, Denoising Diffusion Probabilistic Models",
                                    TN_CLASS_PARAMS(unet_params),
                                    .instance_size = sizeof(struct unet),
                                    .vtable = &(const tn_model){sizeof(tn_model), unet_declare, unet_apply},
                                    .create = unet_create,
                                    .destroy = unet_destroy};
TN_PLUGIN("model_unet", "1.0.0", "MIT", &unet_class)
