// SPDX-License-Identifier: MIT
/* SharpSepConv as a model of its own (Hundt, Jain and Hager 2019, section 3.1): images to images,
 *   ReLU, depthwise k x k (stride, dilation), 1x1 C_in -> C_mid, BN,
 *   ReLU, depthwise k x k, 1x1 C_mid -> C_out, BN
 * with C_mid = `mid`, or round(C_out mid_factor). With C_in = C_mid = C_out and dilation 1 it is the sep_conv
 * of DARTS. Its parameters are k^2 C_in + C_in C_mid + k^2 C_mid + C_mid C_out + 2 (C_mid + C_out). */
#include "operations.h"

struct sharp {
  const char *input, *output;
  int64_t channels, kernel, stride, dilation, mid;
  double mid_factor, norm_momentum, norm_epsilon;

  struct sharp_sep_conv block;
};
static const tn_param sharp_params[] = {
    TN_INTEGER(struct sharp, channels, "32", 1, 1 << 16, NULL, "C_out"),
    TN_INTEGER(struct sharp, kernel, "3", 1, 31, NULL, "k, odd"),
    TN_INTEGER(struct sharp, stride, "1", 1, 16, NULL, "of the first depthwise convolution"),
    TN_INTEGER(struct sharp, dilation, "1", 1, 16, NULL, "of the first depthwise convolution"),
    TN_PARAM_(struct sharp, mid_factor, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1", 0, 1024, NULL, NULL, NULL,
              "C_mid over C_out"),
    TN_INTEGER(struct sharp, mid, "0", 0, 1 << 16, NULL, "C_mid; 0: by mid_factor"),
    TN_STRING(struct sharp, input, "image", "field to read (channels, height, width)"),
    TN_STRING(struct sharp, output, "features", "field to write (C_out, height', width')"),
    NORM_PARAMS(sharp),
};

static tn_status sharp_create(void *self) {
  const struct sharp *s = self;
  if (s->kernel % 2 == 1) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "kernel: expected an odd size, got %d", (int)s->kernel);
}

static tn_status sharp_declared(void *self, const tn_spec *inputs, tn_declaration *d) {
  struct sharp *s = self;
  const struct style style = {true, true, s->norm_momentum, s->norm_epsilon};
  const tn_field_spec *image = image_input(inputs, s->input);
  if (!image) return TN_ERROR_SHAPE;
  int64_t mid = s->mid > 0 ? s->mid : (int64_t)floor((double)s->channels * s->mid_factor + 0.5);
  if (mid < 1) mid = 1;
  s->block = sharp_declare(d, "block", &style, image->shape.dim[0], mid, s->channels, s->kernel, s->stride,
                           s->dilation);
  tn_declare_output(d, s->output, TN_FLOAT,
                    TN_SHAPE(s->channels, (image->shape.dim[1] - 1) / s->stride + 1,
                             (image->shape.dim[2] - 1) / s->stride + 1),
                    0);
  return TN_OK;
}

static tn_status sharp_applied(void *self, tn_model_call *call) {
  const struct sharp *s = self;
  tn_tensor *x = tn_relu(tn_field(call->inputs, s->input));
  tn_fields_set(call->outputs, s->output, sharp_apply(&s->block, call, x, NULL, NULL));
  return tn_outcome();
}

static const tn_class sharp_class = {
    .size = sizeof(tn_class),
    .kind = TN_MODEL,
    .name = "sharp_sep_conv",
    .summary = "One SharpSepConv block: two separable convolutions with a free width between them",
    .reference = "Hundt, Jain and Hager 2019, sharpDARTS",
    TN_CLASS_PARAMS(sharp_params),
    .instance_size = sizeof(struct sharp),
    .vtable = &(const tn_model){sizeof(tn_model), sharp_declared, sharp_applied},
    .create = sharp_create};
TN_PLUGIN("model_sharp_sep_conv", "1.0.0", "MIT", &sharp_class)
