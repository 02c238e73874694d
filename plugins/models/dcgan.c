// SPDX-License-Identifier: MIT
/* Generator and discriminator of deep convolutional adversarial networks (Radford et al. 2016).
 *
 *   generator      `noise` (n, z) -> start x start, doubled by transposed convolutions 4x4 of stride 2 while
 *                  channels halve down to `width`; batch normalisation and ReLU between, tanh at the end
 *   discriminator  `image` -> convolutions 4x4 of stride 2 while channels double from `width`, batch
 *                  normalisation (not on the first) and LeakyReLU(0.2) between, one number at the end
 *
 * The start is what remains of the image's side halved while it is even and above 4: 4 for 32 and 64, 7 for
 * 28. Weights are normal with deviation 0.02, as the paper says. The generator writes `image` (n, channels,
 * side, side), the discriminator `features` and `logits` (n, outputs). */
#include "layers.h"

enum { MOST_STEPS = 16 };

/* One halving or doubling. */
struct step {
  struct conv conv; /* the generator's run backwards: weight (in, out, 4, 4) */
  struct norm norm;
};

struct dcgan {
  int64_t width, side, channels, output;
  double slope, norm_momentum, norm_epsilon;
  int32_t range;
  const char *input, *output_field;

  struct step steps[MOST_STEPS];
  uint32_t count;
  int64_t start;     /* side of the smallest image */
  struct conv first; /* of the generator, from 1x1: weight (z, c, start, start) */
  struct norm first_norm;
  struct linear head; /* of the discriminator */
};
static const tn_param generator_params[] = {
    TN_INTEGER(struct dcgan, side, "0", 0, 1 << 12, "pixels", "of the images; 0: as the data's `image`"),
    TN_INTEGER(struct dcgan, channels, "0", 0, 1 << 10, NULL, "of the images; 0: as the data's `image`"),
    TN_INTEGER(struct dcgan, width, "64", 1, 1 << 14, NULL, "channels in front of the last convolution"),
    TN_CHOICE(struct dcgan, range, "tanh", "tanh|sigmoid|free", "what ends it: -1 to 1, 0 to 1, or nothing"),
    TN_STRING(struct dcgan, input, "noise", "field to read"),
    TN_STRING(struct dcgan, output_field, "image", "field to write"),
    NORM_PARAMS(dcgan),
};
static const tn_param discriminator_params[] = {
    TN_INTEGER(struct dcgan, width, "64", 1, 1 << 14, NULL, "channels behind the first convolution"),
    TN_REAL(struct dcgan, slope, "0.2", 0, 1, "of LeakyReLU for negative numbers"),
    TN_INTEGER(struct dcgan, output, "1", 1, 1 << 20, NULL, "outputs"),
    TN_STRING(struct dcgan, input, "image", "field to read"),
    TN_STRING(struct dcgan, output_field, "logits", "field to write"),
    NORM_PARAMS(dcgan),
};

static tn_init conv_init(void) { return tn_init_of(TN_INIT_NORMAL, 0.02); }

/* Fills start and count: `side` halved. */
static tn_status halve(struct dcgan *model, int64_t side) {
  model->start = side;
  for (model->count = 0; model->start % 2 == 0 && model->start > 4; model->count++) model->start /= 2;
  if (model->count > 0 && model->count <= MOST_STEPS) return TN_OK;
  return tn_fail(TN_ERROR_SHAPE, "images of side %lld cannot be halved: expected an even side above 4",
                 (long long)side);
}

static struct norm declare_norm(const struct dcgan *model, tn_declaration *declaration, const char *name,
                                int64_t channels) {
  return norm_declare(declaration, name, NORM_BATCH, channels, 1, model->norm_momentum, model->norm_epsilon,
                      tn_init_ones());
}

/* ---- generator ---- */

static tn_status generator_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct dcgan *model = self;
  const tn_field_spec *noise = tn_spec_get(inputs, model->input), *image = tn_spec_find(inputs, "image");
  if (!noise) return TN_ERROR_MISSING;
  if (noise->ragged || noise->classes > 0 || noise->shape.ndim != 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be numbers (z)", model->input);
  const bool known = image && image->shape.ndim == 3;
  const int64_t side = model->side > 0 ? model->side : known ? image->shape.dim[2] : 0;
  const int64_t channels = model->channels > 0 ? model->channels : known ? image->shape.dim[0] : 0;
  if (side < 1 || channels < 1)
    return tn_fail(TN_ERROR_MISSING, "no `image` says how large images are: give `side` and `channels`");
  const tn_status status = halve(model, side);
  if (status < 0) return status;

  int64_t in = noise->shape.dim[0], out = model->width << (model->count - 1);
  model->first.weight = declare_named(declaration, "first", "weight",
                                      TN_SHAPE(in, out, model->start, model->start), TN_DECAY, conv_init());
  model->first_norm = declare_norm(model, declaration, "first_norm", out);
  for (uint32_t s = 0; s < model->count; s++) {
    struct step *step = &model->steps[s];
    const bool last = s + 1 == model->count;
    char name[32];
    in = out;
    out = last ? channels : in / 2;
    *step = (struct step){.conv = {.geometry = conv_geometry(2, 1), .biased = last}};
    snprintf(name, sizeof name, "steps.%u", s);
    step->conv.weight =
        declare_named(declaration, name, "weight", TN_SHAPE(in, out, 4, 4), TN_DECAY, conv_init());
    if (last)
      step->conv.bias = declare_named(declaration, name, "bias", TN_SHAPE(out), TN_NO_DECAY, tn_init_zeros());
    snprintf(name, sizeof name, "norms.%u", s);
    if (!last) step->norm = declare_norm(model, declaration, name, out);
  }
  tn_declare_output(declaration, model->output_field, TN_FLOAT, TN_SHAPE(channels, side, side), 0);
  return TN_OK;
}

static tn_status generator_apply(void *self, tn_model_call *call) {
  const struct dcgan *model = self;
  tn_tensor *x = tn_field(call->inputs, model->input); /* (n, z) */
  if (tn_poisoned(x)) return tn_outcome();
  x = tn_reshape(x, TN_SHAPE(tn_dim(x, 0), tn_dim(x, 1), 1, 1));
  x = tn_convolution_transposed(x, tn_param_tensor(call->params, model->first.weight), NULL, NULL, NULL);
  x = norm_apply(&model->first_norm, call, x, NULL, true); /* (n, c, start, start) */
  for (uint32_t s = 0; s < model->count; s++) {
    const struct step *step = &model->steps[s];
    x = tn_convolution_transposed(x, tn_param_tensor(call->params, step->conv.weight),
                                  step->conv.biased ? tn_param_tensor(call->params, step->conv.bias) : NULL,
                                  &step->conv.geometry, NULL);
    if (s + 1 < model->count) x = norm_apply(&step->norm, call, x, NULL, true);
  }
  x = model->range == 0 ? tn_tanh(x) : model->range == 1 ? tn_sigmoid(x) : x;
  tn_fields_set(call->outputs, model->output_field, x);
  return tn_outcome();
}

/* ---- discriminator ---- */

static tn_status discriminator_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct dcgan *model = self;
  const tn_field_spec *image = image_input(inputs, model->input);
  if (!image) return TN_ERROR_SHAPE;
  if (image->shape.dim[1] != image->shape.dim[2])
    return tn_fail(TN_ERROR_SHAPE, "images of %lld x %lld are not square", (long long)image->shape.dim[1],
                   (long long)image->shape.dim[2]);
  const tn_status status = halve(model, image->shape.dim[1]);
  if (status < 0) return status;
  int64_t in = image->shape.dim[0], out = model->width;
  for (uint32_t s = 0; s < model->count; s++, in = out, out *= 2) {
    char name[32];
    snprintf(name, sizeof name, "steps.%u", s);
    model->steps[s].conv =
        conv_declare(declaration, name, in, out, 4, conv_geometry(2, 1), s == 0, conv_init());
    snprintf(name, sizeof name, "norms.%u", s);
    if (s > 0) model->steps[s].norm = declare_norm(model, declaration, name, out);
  }
  const int64_t features = in * model->start * model->start;
  model->head = linear_declare(declaration, "head", features, model->output, true, conv_init());
  tn_declare_output(declaration, "features", TN_FLOAT, TN_SHAPE(features), 0);
  tn_declare_output(declaration, model->output_field, TN_FLOAT, TN_SHAPE(model->output), 0);
  return TN_OK;
}

static tn_status discriminator_apply(void *self, tn_model_call *call) {
  const struct dcgan *model = self;
  tn_tensor *x = tn_field(call->inputs, model->input); /* (n, c, side, side) */
  for (uint32_t s = 0; s < model->count; s++) {
    x = conv_apply(&model->steps[s].conv, call->params, x);
    if (s > 0) x = norm_apply(&model->steps[s].norm, call, x, NULL, false);
    x = tn_leaky_relu(x, model->slope);
  }
  x = tn_flatten(x); /* (n, features) */
  tn_fields_set(call->outputs, "features", x);
  tn_fields_set(call->outputs, model->output_field, linear_apply(&model->head, call->params, x));
  return tn_outcome();
}

static const tn_class generator_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "dcgan_generator",
    .summary = "Images from noise by transposed convolutions",
    .reference = "Radford, Metz and Chintala 2016, Unsupervised Representation Learning with DCGANs",
    TN_CLASS_PARAMS(generator_params),
    .instance_size = sizeof(struct dcgan),
    .vtable = &(const tn_model){sizeof(tn_model), generator_declare, generator_apply}};
static const tn_class discriminator_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "dcgan_discriminator",
    .summary = "One number an image by strided convolutions: real or generated",
    .reference = "Radford, Metz and Chintala 2016, Unsupervised Representation Learning with DCGANs",
    TN_CLASS_PARAMS(discriminator_params),
    .instance_size = sizeof(struct dcgan),
    .vtable = &(const tn_model){sizeof(tn_model), discriminator_declare, discriminator_apply}};
TN_PLUGIN("model_dcgan", "1.0.0", "MIT", &generator_class, &discriminator_class)
