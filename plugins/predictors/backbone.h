// SPDX-License-Identifier: MIT
/* The trained network in front of a predictor: its outputs for a batch, and for a whole data set. */
#ifndef TENON_PLUGINS_BACKBONE_H
#define TENON_PLUGINS_BACKBONE_H

#include <string.h>
#include <tenon/dataset.h>
#include <tenon/model.h>
#include <tenon/predictor.h>
#include <tenon/transform.h>

#define BACKBONE_PARAM(type) \
  TN_REFERENCE(type, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the trained model, which is not changed")

/* The model's output fields for a batch that is through the transforms; evaluating, nothing recorded. */
static inline tn_fields *backbone_outputs(const tn_component *model, const tn_params *params,
                                          const tn_fields *inputs, tn_norm_mode norm) {
  tn_fields *outputs = tn_fields_new();
  tn_rng rng = tn_rng_at(model->name, "predict", 0);
  tn_model_call call = {.size = sizeof call,
                        .norm = norm,
                        .params = params ? params : tn_parameters(model),
                        .inputs = inputs,
                        .outputs = outputs,
                        .progress = {.size = sizeof(tn_progress), .mode = TN_EVALUATE},
                        .rng = &rng};
  return tn_model_apply(model, &call) < 0 ? NULL : outputs;
}

/* Sees a data set batch by batch: `see` gets the transformed inputs and the model's outputs. */
static inline tn_status
backbone_each(const tn_component *model, const tn_component *data, const tn_references *transforms,
              tn_status (*see)(void *self, const tn_fields *inputs, const tn_fields *outputs), void *self) {
  enum { CHUNK = 256 };
  int64_t index[CHUNK], rows = tn_dataset_rows(data);
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  tn_status status = rows < 0 ? TN_ERROR_MISSING : TN_OK;
  if (tn_smoke() && rows > 2 * CHUNK) rows = 2 * CHUNK;
  const bool recording = tn_record(false);
  for (int64_t first = 0; status >= 0 && first < rows; first += CHUNK) {
    const int64_t count = rows - first < CHUNK ? rows - first : CHUNK;
    for (int64_t i = 0; i < count; i++) index[i] = first + i;
    tn_scope_open();
    tn_fields *inputs = tn_fields_new(), *outputs = NULL;
    status = tn_dataset_read(data, index, count, inputs);
    for (uint32_t t = 0; status >= 0 && transforms && t < transforms->count; t++) {
      const tn_component *c = transforms->items[t];
      tn_rng rng = tn_rng_at(c->name, "fit", (uint64_t)first);
      const tn_transform_call call = {
          .size = sizeof call, .params = tn_parameters(c), .progress = progress, .rng = &rng, .index = index};
      status = tn_transform_apply(c, inputs, &call);
    }
    if (status >= 0) outputs = backbone_outputs(model, NULL, inputs, TN_NORM_DEFAULT);
    if (status >= 0) status = outputs ? see(self, inputs, outputs) : TN_ERROR_INVALID;
    if (status >= 0) status = tn_outcome();
    tn_scope_close();
  }
  tn_record(recording);
  return status;
}

/* Rows (n, d) scaled to length 1; zero stays zero, and has a slope of its own. */
static inline tn_tensor *unit_rows(tn_tensor *z) {
  tn_tensor *length = tn_sqrt(tn_shift(tn_sum_axis(tn_mul(z, z), 1), 1e-24)); /* (n) */
  return tn_div(z, tn_reshape(tn_clamp(length, 1e-12, INFINITY), TN_SHAPE(tn_dim(z, 0), 1)));
}

static inline bool ends_with(const char *name, const char *end) {
  const size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

/* Declares what predictors of this kind add: the model's outputs pass through it. */
static inline tn_status backbone_declare(const tn_component *model, const tn_spec *inputs,
                                         tn_declaration *declaration, int64_t *classes) {
  const tn_spec *outputs;
  const tn_status status = tn_declare_component(model, inputs, &outputs);
  if (status < 0) return status;
  const tn_field_spec *logits = tn_spec_find(outputs, "logits"), *label = tn_spec_find(inputs, "label");
  *classes = logits ? tn_spec_numel(logits) : label ? label->classes : 0;
  if (*classes < 1)
    return tn_fail(TN_ERROR_MISSING, "the number of classes is not known: no logits, no label");
  tn_declare_output(declaration, "probability", TN_FLOAT, TN_SHAPE(*classes), 0);
  return TN_OK;
}

#endif
