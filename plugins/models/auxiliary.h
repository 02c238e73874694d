// SPDX-License-Identifier: MIT
/* A second head for training, two thirds of the way up (Liu, Simonyan and Yang 2018): ReLU, mean pool 5
 * stride 3, 1x1 to 128, 2x2 to 768, linear. Its logits are the field `auxiliary_logits`. */
#ifndef TENON_PLUGINS_AUXILIARY_H
#define TENON_PLUGINS_AUXILIARY_H

#include "operations.h"

struct auxiliary {
  struct conv first, second;
  struct unit_norm first_norm, second_norm;
  struct linear head;
};

static inline void auxiliary_output(tn_declaration *d, int64_t width) {
  tn_declare_output(d, "auxiliary_logits", TN_FLOAT, TN_SHAPE(width), 0);
}
/* On images (in, height, width); `outputs` logits. */
static inline tn_status auxiliary_declare(struct auxiliary *a, tn_declaration *d, const struct style *style,
                                          int64_t in, int64_t height, int64_t width, int64_t outputs) {
  const int64_t least = height < width ? height : width;
  if (least < 8)
    return tn_fail(TN_ERROR_SHAPE, "the auxiliary head needs 8 pixels after two thirds of the way, not %d",
                   (int)least);
  a->first = plain_conv(d, "auxiliary.first", in, 128, 1, conv_geometry(1, 0));
  a->first_norm = unit_norm_declare(d, "auxiliary.first_norm", style, 128);
  a->second = plain_conv(d, "auxiliary.second", 128, 768, 2, conv_geometry(1, 0));
  a->second_norm = unit_norm_declare(d, "auxiliary.second_norm", style, 768);
  a->head = linear_declare(d, "auxiliary.head", 768, outputs, true, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  auxiliary_output(d, outputs);
  return TN_OK;
}
/* x (n, in, h, w) -> (n, outputs) */
static inline tn_tensor *auxiliary_apply(const struct auxiliary *a, tn_model_call *call, tn_tensor *x) {
  tn_tensor *h = tn_mean_pool(tn_relu(x), 5, 3, 0);
  h = conv_apply(&a->first, call->params, h);
  h = conv_apply(&a->second, call->params, unit_norm_apply(&a->first_norm, call, h, NULL, NULL, true));
  h = unit_norm_apply(&a->second_norm, call, h, NULL, NULL, true);
  return linear_apply(&a->head, call->params, tn_global_mean_pool(h));
}

#endif
