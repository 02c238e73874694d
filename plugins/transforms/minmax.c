// SPDX-License-Identifier: MIT
/* To [0, 1]: x <- (x - least) / (largest - least), by the training data's extremes, one pair a feature, or
 * one a channel for images. Features that do not vary become 0; what lies beyond the training data's extremes
 * lies beyond [0, 1], unless it is clipped. */
#include "fit.h"

struct minmax {
  const char *field;
  int32_t each;
  bool clip;
  tn_tensor *least,
      *scale; /* float64 (features) or (channels); scale = 1 / (largest - least); NULL before fit */
};
static const tn_param minmax_params[] = {
    TN_STRING(struct minmax, field, "", "field to scale; empty: `image`, else `input`"),
    TN_CHOICE(struct minmax, each, "auto", FIT_EACH,
              "what has extremes of its own; auto: channels of images, else features"),
    TN_BOOL(struct minmax, clip, "no", "cut at 0 and 1"),
};

static tn_status minmax_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct minmax *transform = self;
  return fit_declare(transform->field, transform->each, inputs, declaration);
}

struct extremes {
  tn_tensor *least, *largest; /* float64 (outer) */
};
static tn_status accumulate(void *context, const tn_tensor *x, struct layout l) {
  struct extremes *extremes = context;
  if (!extremes->least) {
    extremes->least = tn_persist(tn_full(TN_F64, TN_SHAPE(l.outer), INFINITY));
    extremes->largest = tn_persist(tn_full(TN_F64, TN_SHAPE(l.outer), -INFINITY));
  }
  if (!extremes->least || !extremes->largest || tn_failed()) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < l.samples * l.outer * l.inner; i++) {
    const int64_t o = i / l.inner % l.outer;
    const double value = fit_value(x, i);
    if (value < tn_f64(extremes->least)[o]) tn_f64(extremes->least)[o] = value;
    if (value > tn_f64(extremes->largest)[o]) tn_f64(extremes->largest)[o] = value;
  }
  return TN_OK;
}

static tn_status minmax_fit(void *self, const tn_component *data, const tn_references *before) {
  struct minmax *transform = self;
  struct extremes extremes = {NULL, NULL};
  const tn_status status = fit_each(transform->field, transform->each, data, before, accumulate, &extremes);
  if (status < 0) {
    tn_release(extremes.least);
    tn_release(extremes.largest);
    return status;
  }
  for (int64_t o = 0; o < tn_numel(extremes.least); o++) {
    const double range = tn_f64(extremes.largest)[o] - tn_f64(extremes.least)[o];
    tn_f64(extremes.largest)[o] = range > 0 ? 1 / range : 0;
  }
  tn_release(transform->least);
  tn_release(transform->scale);
  transform->least = extremes.least;
  transform->scale = extremes.largest;
  return TN_OK;
}

static tn_status minmax_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct minmax *transform = self;
  (void)call;
  tn_status status = fit_apply(transform->field, transform->each, fields, transform->least, transform->scale);
  if (status < 0 || !transform->clip) return status;
  const char *name = fit_field(transform->field, tn_fields_find(fields, "image"));
  tn_fields_set(fields, name, tn_clamp(tn_field(fields, name), 0, 1));
  return tn_outcome();
}

static void minmax_destroy(void *self) {
  struct minmax *transform = self;
  tn_release(transform->least);
  tn_release(transform->scale);
}

static tn_status minmax_state(void *self, const tn_visitor *visitor) {
  struct minmax *transform = self;
  bool fitted = transform->least != NULL;
  tn_visit_boolean(visitor, "fitted", &fitted);
  if (!fitted) return TN_OK;
  tn_visit_tensor(visitor, "least", &transform->least);
  return tn_visit_tensor(visitor, "scale", &transform->scale);
}

static const tn_class minmax_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "minmax",
    .summary = "Values between 0 and 1 by the training data's extremes",
    TN_CLASS_PARAMS(minmax_params),
    .instance_size = sizeof(struct minmax),
    .vtable = &(const tn_transform){sizeof(tn_transform), minmax_declare, minmax_apply, minmax_fit},
    .destroy = minmax_destroy,
    .state = minmax_state};
TN_PLUGIN("transform_minmax", "1.0.0", "MIT", &minmax_class)
