// SPDX-License-Identifier: MIT
/* Mean 0 and variance 1: x <- (x - mean) / (deviation + epsilon), with the statistics of the training data,
 * one pair a feature, or one a channel for images (n, channels, height, width). Features that do not vary
 * become 0. */
#include "fit.h"

struct standardise {
  const char *field;
  int32_t each;
  double epsilon;
  tn_tensor *mean, *scale; /* float64 (features) or (channels); scale = 1 / deviation; NULL before fit */
};
static const tn_param standardise_params[] = {
    TN_STRING(struct standardise, field, "", "field to standardise; empty: `image`, else `input`"),
    TN_CHOICE(struct standardise, each, "auto", FIT_EACH,
              "what has statistics of its own; auto: channels of images, else features"),
    TN_REAL(struct standardise, epsilon, "0", 0, INFINITY, "added to the deviation"),
};

static tn_status standardise_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct standardise *transform = self;
  return fit_declare(transform->field, transform->each, inputs, declaration);
}

struct moments {
  double seen;
  tn_tensor *mean, *square; /* float64 (outer): means and sums of squares around them */
};

/* Chan, Golub and LeVeque 1983: means and sums of squares of batches, put together without cancellation. */
static tn_status accumulate(void *context, const tn_tensor *x, struct layout l) {
  struct moments *moments = context;
  if (!moments->mean) {
    moments->mean = tn_persist(tn_zeros(TN_F64, TN_SHAPE(l.outer)));
    moments->square = tn_persist(tn_zeros(TN_F64, TN_SHAPE(l.outer)));
  }
  if (!moments->mean || !moments->square || tn_failed()) return TN_ERROR_MEMORY;
  double *mean = tn_f64(moments->mean), *square = tn_f64(moments->square);
  const double n = (double)(l.samples * l.inner), total = moments->seen + n;
  for (int64_t o = 0; o < l.outer; o++) {
    double sum = 0, deviation = 0;
    for (int64_t s = 0; s < l.samples; s++)
      for (int64_t i = 0; i < l.inner; i++) sum += fit_value(x, (s * l.outer + o) * l.inner + i);
    const double centre = sum / n, shift = centre - mean[o];
    for (int64_t s = 0; s < l.samples; s++)
      for (int64_t i = 0; i < l.inner; i++) {
        const double d = fit_value(x, (s * l.outer + o) * l.inner + i) - centre;
        deviation += d * d;
      }
    square[o] += deviation + shift * shift * moments->seen * n / total;
    mean[o] += shift * n / total;
  }
  moments->seen = total;
  return TN_OK;
}

static tn_status standardise_fit(void *self, const tn_component *data, const tn_references *before) {
  struct standardise *transform = self;
  struct moments moments = {0, NULL, NULL};
  const tn_status status = fit_each(transform->field, transform->each, data, before, accumulate, &moments);
  if (status < 0) {
    tn_release(moments.mean);
    tn_release(moments.square);
    return status;
  }
  const double *mean = tn_f64(moments.mean);
  double *square = tn_f64(moments.square);
  for (int64_t o = 0; o < tn_numel(moments.mean); o++) {
    const double deviation = sqrt(square[o] / moments.seen) + transform->epsilon;
    square[o] = deviation > 1e-12 * (1 + fabs(mean[o])) ? 1 / deviation : 0;
  }
  tn_release(transform->mean);
  tn_release(transform->scale);
  transform->mean = moments.mean;
  transform->scale = moments.square;
  return TN_OK;
}

static tn_status standardise_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct standardise *transform = self;
  (void)call;
  return fit_apply(transform->field, transform->each, fields, transform->mean, transform->scale);
}

static void standardise_destroy(void *self) {
  struct standardise *transform = self;
  tn_release(transform->mean);
  tn_release(transform->scale);
}

static tn_status standardise_state(void *self, const tn_visitor *visitor) {
  struct standardise *transform = self;
  bool fitted = transform->mean != NULL;
  tn_visit_boolean(visitor, "fitted", &fitted);
  if (!fitted) return TN_OK;
  tn_visit_tensor(visitor, "mean", &transform->mean);
  return tn_visit_tensor(visitor, "scale", &transform->scale);
}

static const tn_class standardise_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "standardise",
    .summary = "Mean 0 and variance 1 by the training data's statistics",
    TN_CLASS_PARAMS(standardise_params),
    .instance_size = sizeof(struct standardise),
    .vtable =
        &(const tn_transform){sizeof(tn_transform), standardise_declare, standardise_apply, standardise_fit},
    .destroy = standardise_destroy,
    .state = standardise_state};
TN_PLUGIN("transform_standardise", "1.0.0", "MIT", &standardise_class)
