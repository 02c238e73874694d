// SPDX-License-Identifier: MIT
/* The mobile inverted bottleneck block (Sandler et al. 2018, MobileNetV2) with squeeze and excitation (Howard
 * et al. 2019, MobileNetV3):
 *
 *   1x1 expansion, norm, act;  depthwise kxk, norm, act;  squeeze and excitation;  1x1 projection, norm
 *
 * and the identity beside it where stride is 1 and the width stays. With an expansion of 1 the first part is
 * left out: a depthwise-separable convolution. */
#ifndef TENON_PLUGINS_MOBILE_H
#define TENON_PLUGINS_MOBILE_H

#include "layers.h"

#define MOBILE_ACTS "swish|relu"
enum { MOBILE_SWISH, MOBILE_RELU };
/* How blocks are declared. */
struct mobile_style {
  double se; /* share of the middle channels that excitation sees; 0: no squeeze and excitation */
  int32_t act;
  double momentum, epsilon; /* of batch normalisation */
  bool by_outputs;          /* weights N(0, 2 / (kernel^2 out / groups)) instead of `init` */
  tn_init init;
};

struct mobile {
  bool expands, excites, residual;
  int32_t act;
  struct conv expand, depthwise, project;
  struct norm expand_norm, depthwise_norm, project_norm;
  struct linear squeeze, excite; /* 1x1 convolutions of one pixel */
};

/* `share` of `channels`, to the nearest multiple of 8 that is not below nine tenths of it; at least 8. */
static inline int64_t mobile_squeezed(int64_t channels, double share) {
  const double wanted = (double)channels * share;
  int64_t rounded = (int64_t)(wanted + 4) / 8 * 8;
  if (rounded < 8) rounded = 8;
  return (double)rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

static inline tn_init mobile_init(const struct mobile_style *style, int64_t out, int64_t kernel,
                                  int64_t groups) {
  if (!style->by_outputs) return style->init;
  return tn_init_of(TN_INIT_NORMAL, sqrt(2 / ((double)(kernel * kernel * out) / (double)groups)));
}

static inline tn_tensor *mobile_act(int32_t act, tn_tensor *x) {
  return act == MOBILE_SWISH ? tn_silu(x) : tn_relu(x);
}

/* A convolution without bias and its normalisation. */
static inline void mobile_conv_declare(tn_declaration *d, const char *name, const char *part,
                                       const struct mobile_style *style, int64_t in, int64_t out,
                                       int64_t kernel, int64_t stride, int64_t groups, struct conv *conv,
                                       struct norm *norm) {
  char full[112];
  const tn_conv geometry = {{stride, stride}, {(kernel - 1) / 2, (kernel - 1) / 2}, {1, 1}, groups};
  snprintf(full, sizeof full, "%s.%s", name, part);
  *conv = conv_declare(d, full, in, out, kernel, geometry, false, mobile_init(style, out, kernel, groups));
  snprintf(full, sizeof full, "%s.%s_norm", name, part);
  *norm = norm_declare(d, full, NORM_BATCH, out, 1, style->momentum, style->epsilon, tn_init_ones());
}

static inline struct mobile mobile_declare(tn_declaration *d, const char *name,
                                           const struct mobile_style *style, int64_t in, int64_t out,
                                           int64_t kernel, int64_t expand, int64_t stride) {
  const int64_t middle = in * expand;
  struct mobile b = {.expands = expand > 1,
                     .excites = style->se > 0,
                     .residual = stride == 1 && in == out,
                     .act = style->act};
  char full[112];
  if (b.expands)
    mobile_conv_declare(d, name, "expand", style, in, middle, 1, 1, 1, &b.expand, &b.expand_norm);
  mobile_conv_declare(d, name, "depthwise", style, middle, middle, kernel, stride, middle, &b.depthwise,
                      &b.depthwise_norm);
  if (b.excites) {
    const int64_t squeezed = mobile_squeezed(middle, style->se);
    snprintf(full, sizeof full, "%s.squeeze", name);
    b.squeeze = linear_declare(d, full, middle, squeezed, true, mobile_init(style, squeezed, 1, 1));
    snprintf(full, sizeof full, "%s.excite", name);
    b.excite = linear_declare(d, full, squeezed, middle, true, mobile_init(style, middle, 1, 1));
  }
  mobile_conv_declare(d, name, "project", style, middle, out, 1, 1, 1, &b.project, &b.project_norm);
  return b;
}

/* x (n, in, h, w) -> (n, out, ceil(h / stride), ceil(w / stride)) */
static inline tn_tensor *mobile_apply(const struct mobile *b, tn_model_call *call, tn_tensor *x) {
  tn_tensor *h = x;
  const bool relu = b->act == MOBILE_RELU;
  if (b->expands) {
    h = norm_apply(&b->expand_norm, call, conv_apply(&b->expand, call->params, h), NULL, relu);
    if (!relu) h = tn_silu(h);
  }
  h = norm_apply(&b->depthwise_norm, call, conv_apply(&b->depthwise, call->params, h), NULL, relu);
  if (!relu) h = tn_silu(h);
  if (b->excites && !tn_poisoned(h)) {
    tn_tensor *s = tn_global_mean_pool(h); /* (n, middle) */
    s = linear_apply(&b->excite, call->params, tn_relu(linear_apply(&b->squeeze, call->params, s)));
    s = tn_clamp(tn_affine(s, 1.0 / 6, 0.5), 0, 1); /* hard sigmoid */
    h = tn_mul(h, tn_reshape(s, TN_SHAPE(tn_dim(h, 0), tn_dim(h, 1), 1, 1)));
  }
  h = conv_apply(&b->project, call->params, h);
  return norm_apply(&b->project_norm, call, h, b->residual ? x : NULL, false);
}

/* Multiply-adds of convolutions and excitation for an image of h x w pixels. */
static inline double mobile_macs(double se, int64_t in, int64_t out, int64_t kernel, int64_t expand,
                                 int64_t stride, int64_t h, int64_t w) {
  const double before = (double)(h * w), after = (double)(((h - 1) / stride + 1) * ((w - 1) / stride + 1));
  const double middle = (double)(in * expand);
  double macs = expand > 1 ? before * (double)in * middle : 0;
  macs += after * middle * (double)(kernel * kernel);
  if (se > 0) macs += 2 * middle * (double)mobile_squeezed(in * expand, se);
  return macs + after * middle * (double)out;
}

#endif
