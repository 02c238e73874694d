// SPDX-License-Identifier: MIT
/* Vision transformer (Dosovitskiy et al. 2021).
 *
 *   x_0 = [class; E patches] + P,   blocks (transformer.h),   y = norm(x_L),   output = W y_class
 *
 * Patches are squares of `patch` pixels; E is a convolution whose stride is its kernel. `pool = mean` takes
 * the mean of the patches instead and has no class token (Zhai et al. 2022). Weights are truncated normal
 * with deviation 0.02, biases zero. Outputs: `features` (n, width), `logits` (n, classes). */
#include "transformer.h"

enum { CLASS, MEAN };

struct vit {
  int64_t patch, layers, width, heads, output;
  double ratio, dropout;
  int32_t activation, pool;
  const char *input, *output_field;

  struct transformer shape;
  struct transformer_block *blocks;
  struct conv patches;
  uint32_t class_token, places; /* (1, d), (tokens, d) */
  struct norm norm;
  struct linear head;
  const char *output_name;
};
static const tn_param vit_params[] = {
    TN_INTEGER(struct vit, patch, "4", 1, 1 << 10, "pixels",
               "side of a patch; must divide the image's sides"),
    TN_INTEGER(struct vit, layers, "6", 1, 1000, NULL, "transformer blocks"),
    TN_INTEGER(struct vit, width, "128", 1, 1 << 16, NULL, "of the residual stream"),
    TN_INTEGER(struct vit, heads, "4", 1, 1 << 10, NULL, "attention heads; must divide width"),
    TN_PARAM_(struct vit, ratio, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "4", 0, 64, NULL, NULL, NULL,
              "width of the blocks' perceptrons over width"),
    ACTIVATION_PARAM(vit),
    TN_CHOICE(struct vit, pool, "class", "class|mean",
              "what is classified: a class token, or the mean patch"),
    DROPOUT_PARAM(vit, "probability with which a value that is added to the residual stream is left out"),
    HEAD_PARAMS(vit),
    TN_STRING(struct vit, input, "image", "field to read"),
};

static tn_status vit_create(void *self) {
  const struct vit *model = self;
  return transformer_check(model->width, model->heads);
}
static void vit_destroy(void *self) { tn_free(((struct vit *)self)->blocks); }

static tn_status vit_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct vit *model = self;
  const tn_field_spec *image = image_input(inputs, model->input);
  if (!image) return TN_ERROR_SHAPE;
  const int64_t height = image->shape.dim[1], width = image->shape.dim[2], d = model->width;
  if (height % model->patch != 0 || width % model->patch != 0)
    return tn_fail(TN_ERROR_SHAPE, "patches of %lld do not divide images of %lld x %lld",
                   (long long)model->patch, (long long)height, (long long)width);
  model->output_name = model->output_field;
  const int64_t outputs = head_width(inputs, model->output, &model->output_name);
  if (outputs < 1) return TN_ERROR_MISSING;
  const int64_t tokens = height / model->patch * (width / model->patch) + (model->pool == CLASS);

  const tn_init init = tn_init_of(TN_INIT_TRUNCATED, 0.02);
  model->shape = (struct transformer){.width = d,
                                      .heads = model->heads,
                                      .inner = (int64_t)(model->ratio * (double)d + 0.5),
                                      .activation = model->activation,
                                      .bias = true,
                                      .dropout = model->dropout,
                                      .init = init,
                                      .residual_init = init};
  tn_free(model->blocks);
  model->blocks = tn_alloc((size_t)model->layers * sizeof *model->blocks);
  if (!model->blocks) return TN_ERROR_MEMORY;
  model->patches = conv_declare(declaration, "patches", image->shape.dim[0], d, model->patch,
                                conv_geometry(model->patch, 0), true, init);
  if (model->pool == CLASS)
    model->class_token = declare_named(declaration, "class", "weight", TN_SHAPE(1, d), TN_NO_DECAY, init);
  model->places = declare_named(declaration, "positions", "weight", TN_SHAPE(tokens, d), TN_NO_DECAY, init);
  for (uint32_t b = 0; b < model->layers; b++)
    model->blocks[b] = transformer_declare(&model->shape, declaration, b);
  model->norm = norm_declare(declaration, "norm", NORM_LAYER, d, 1, 0, 1e-5, tn_init_ones());
  model->head = linear_declare(declaration, "head", d, outputs, true, init);
  tn_declare_output(declaration, "features", TN_FLOAT, TN_SHAPE(d), 0);
  tn_declare_output(declaration, model->output_name, TN_FLOAT, TN_SHAPE(outputs), 0);
  return TN_OK;
}

static tn_status vit_apply(void *self, tn_model_call *call) {
  const struct vit *model = self;
  const int64_t d = model->width;
  tn_tensor *x = conv_apply(&model->patches, call->params,
                            tn_field(call->inputs, model->input)); /* (n, d, h / patch, w / patch) */
  if (tn_poisoned(x)) return tn_outcome();
  const int64_t n = tn_dim(x, 0);
  x = tn_permute(tn_reshape(x, TN_SHAPE(n, d, -1)), (const int32_t[]){0, 2, 1}); /* (n, patches, d) */
  if (model->pool == CLASS) {
    tn_tensor *token = tn_broadcast_to(tn_param_tensor(call->params, model->class_token), TN_SHAPE(n, 1, d));
    x = tn_concatenate((tn_tensor *const[]){token, x}, 2, 1);
  }
  x = tn_add(x, tn_param_tensor(call->params, model->places)); /* (n, t, d) */
  x = dropout_apply(model->dropout, call, x);
  for (uint32_t b = 0; b < model->layers; b++) {
    char name[32];
    x = transformer_apply(&model->shape, &model->blocks[b], call, x);
    snprintf(name, sizeof name, "blocks.%u", b);
    tap(call, x, name);
  }
  x = layer_norm_apply(&model->norm, call->params, x);
  x = model->pool == CLASS ? tn_reshape(tn_slice(x, 1, 0, 1), TN_SHAPE(n, d))
                           : tn_mean_axis(x, 1); /* (n, d) */
  tn_fields_set(call->outputs, "features", x);
  tn_fields_set(call->outputs, model->output_name, linear_apply(&model->head, call->params, x));
  return tn_outcome();
}

static const tn_class vit_class = {.size = sizeof(tn_class),
                                   .kind = TN_MODEL,
                                   .name = "vit",
                                   .summary = "Vision transformer for small images",
                                   .reference = "Dosovitskiy et al. 2021, An Image is Worth 16x16 Words",
                                   TN_CLASS_PARAMS(vit_params),
                                   .instance_size = sizeof(struct vit),
                                   .vtable = &(const tn_model){sizeof(tn_model), vit_declare, vit_apply},
                                   .create = vit_create,
                                   .destroy = vit_destroy};
TN_PLUGIN("model_vit", "1.0.0", "MIT", &vit_class)
