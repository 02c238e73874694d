// SPDX-License-Identifier: MIT
/* The discriminator of DRM (Zhang et al. 2023), a model of its own: from features, flattened to `input` (n,
 * d), to `logits` (n, domains). The loss that trains it and the predictor that asks it see it in the same
 * way. */
#ifndef TENON_PLUGINS_DISCRIMINATOR_H
#define TENON_PLUGINS_DISCRIMINATOR_H

#include <tenon/model.h>

static inline tn_status discriminator_declare(const tn_component *model, const tn_field_spec *features,
                                              int64_t domains) {
  const tn_spec *outputs = NULL;
  tn_spec *inputs = tn_spec_new();
  if (!inputs) return TN_ERROR_MEMORY;
  tn_spec_set(inputs, "input", TN_FLOAT, TN_SHAPE(tn_spec_numel(features)), 0);
  tn_spec_set(inputs, "label", TN_I64, (tn_shape){0, {0}}, domains);
  const tn_status status = tn_declare_component(model, inputs, &outputs);
  tn_spec_release(inputs);
  if (status < 0) return status;
  const tn_field_spec *logits = tn_spec_get(outputs, "logits");
  if (!logits) return TN_ERROR_MISSING;
  if (logits->shape.ndim == 1 && logits->shape.dim[0] == domains) return TN_OK;
  return tn_fail(TN_ERROR_SHAPE, "'%s' must have one logit for each of the %lld domains", model->name,
                 (long long)domains);
}

/* z (n, ...) -> logits (n, domains) */
static inline tn_tensor *discriminator_logits(const tn_component *model, tn_tensor *z, tn_mode mode,
                                              int64_t step) {
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  tn_rng rng = tn_rng_at(model->name, "discriminate", (uint64_t)step);
  tn_model_call call = {.size = sizeof call,
                        .params = tn_parameters(model),
                        .inputs = inputs,
                        .outputs = outputs,
                        .progress = {.size = sizeof(tn_progress), .mode = mode, .step = step},
                        .rng = &rng};
  tn_fields_set(inputs, "input", tn_flatten(z));
  tn_model_apply(model, &call);
  return tn_field(outputs, "logits");
}

#endif
