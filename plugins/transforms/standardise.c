// SPDX-License-Identifier: MIT
/* Mean 0 and variance 1: x <- (x - mean) / (deviation + epsilon), with the statistics of the training data,
 * one pair a feature, or one a channel for images (n, channels, height, width). Features that do not vary
 * become 0. */
#include <tenon/dataset.h>
#include <tenon/transform.h>

enum { EACH_AUTO, EACH_FEATURE, EACH_CHANNEL };

struct standardise {
  const char *field;
  int32_t each;
  double epsilon;
  tn_tensor *mean, *scale; /* float64 (features) or (channels); scale = 1 / deviation; NULL before fit */
};
static const tn_param standardise_params[] = {
    TN_STRING(struct standardise, field, "", "field to standardise; empty: `image`, else `input`"),
    TN_CHOICE(struct standardise, each, "auto", "auto|feature|channel",
              "what has statistics of its own; auto: channels of images, else features"),
    TN_REAL(struct standardise, epsilon, "0", 0, INFINITY, "added to the deviation"),
};

static const char *standardise_field(const struct standardise *transform, bool has_image) {
  return *transform->field ? transform->field : has_image ? "image" : "input";
}

static tn_status standardise_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct standardise *transform = self;
  const char *name = standardise_field(transform, tn_spec_find(inputs, "image"));
  const tn_field_spec *field = tn_spec_get(inputs, name);
  if (!field) return TN_ERROR_MISSING;
  if (field->classes > 0 || field->ragged || tn_spec_numel(field) < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be numbers of one shape", name);
  if (transform->each == EACH_CHANNEL && field->shape.ndim < 2)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has no channels", name);
  tn_declare_output(declaration, name, TN_FLOAT, field->shape, 0);
  return TN_OK;
}

/* A batch (n, ...) as n x outer x inner numbers with one pair of statistics for each of `outer`: features
 * have inner = 1, channels the pixels of one. */
struct layout {
  int64_t samples, outer, inner;
};
static struct layout layout_of(const struct standardise *transform, const tn_tensor *x) {
  const int64_t samples = tn_dim(x, 0), size = samples > 0 ? tn_numel(x) / samples : 0;
  const bool channels = transform->each == EACH_CHANNEL || (transform->each == EACH_AUTO && tn_ndim(x) == 4);
  const int64_t outer = channels && tn_ndim(x) > 1 ? tn_dim(x, 1) : size;
  return (struct layout){samples, outer, outer > 0 ? size / outer : 0};
}
static double value_at(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64 ? tn_f64(x)[i] : (double)tn_f32(x)[i];
}

/* Chan, Golub and LeVeque 1983: means and sums of squares of batches, put together without cancellation. */
static void accumulate(const tn_tensor *x, struct layout l, double seen, double *mean, double *square) {
  const double n = (double)(l.samples * l.inner), total = seen + n;
  for (int64_t o = 0; o < l.outer; o++) {
    double sum = 0, deviation = 0;
    for (int64_t s = 0; s < l.samples; s++)
      for (int64_t i = 0; i < l.inner; i++) sum += value_at(x, (s * l.outer + o) * l.inner + i);
    const double centre = sum / n, shift = centre - mean[o];
    for (int64_t s = 0; s < l.samples; s++)
      for (int64_t i = 0; i < l.inner; i++) {
        const double d = value_at(x, (s * l.outer + o) * l.inner + i) - centre;
        deviation += d * d;
      }
    square[o] += deviation + shift * shift * seen * n / total;
    mean[o] += shift * n / total;
  }
}

/* The field of rows [first, first + count), as the transforms in front leave it. */
static tn_tensor *fit_batch(const struct standardise *transform, const tn_component *data,
                            const tn_references *before, int64_t first, int64_t count, int64_t *index) {
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < count; i++) index[i] = first + i;
  if (tn_dataset_read(data, index, count, fields) < 0) return NULL;
  for (uint32_t t = 0; before && t < before->count; t++) {
    const tn_component *c = before->items[t];
    tn_rng rng = tn_rng_at(c->name, "fit", (uint64_t)first);
    tn_transform_call call = {.size = sizeof call,
                              .params = tn_parameters(c),
                              .progress = {.size = sizeof call.progress, .mode = TN_EVALUATE},
                              .rng = &rng,
                              .index = index};
    if (tn_transform_apply(c, fields, &call) < 0) return NULL;
  }
  tn_tensor *x = tn_field(fields, standardise_field(transform, tn_fields_find(fields, "image")));
  if (tn_poisoned(x)) return NULL;
  return x->dtype == TN_F32 || x->dtype == TN_F64 ? x : tn_cast(x, TN_F64);
}

static tn_status standardise_fit(void *self, const tn_component *data, const tn_references *before) {
  enum { CHUNK = 512 };
  struct standardise *transform = self;
  const int64_t rows = tn_dataset_rows(data);
  if (rows < 1) return rows < 0 ? TN_ERROR_MISSING : tn_fail(TN_ERROR_INVALID, "no rows to learn from");
  tn_tensor *mean = NULL, *square = NULL; /* (outer) */
  int64_t index[CHUNK], outer = 0;
  double seen = 0;
  for (int64_t first = 0; first < rows; first += CHUNK) {
    const int64_t count = rows - first < CHUNK ? rows - first : CHUNK;
    tn_scope_open();
    const tn_tensor *x = fit_batch(transform, data, before, first, count, index);
    const struct layout l = x ? layout_of(transform, x) : (struct layout){0, 0, 0};
    if (x && !mean) {
      outer = l.outer;
      mean = tn_keep(tn_zeros(TN_F64, TN_SHAPE(outer)));
      square = tn_keep(tn_zeros(TN_F64, TN_SHAPE(outer)));
    }
    const bool fits = x && l.outer == outer && !tn_failed();
    if (fits) accumulate(x, l, seen, tn_f64(mean), tn_f64(square));
    seen += (double)(l.samples * l.inner);
    tn_scope_close();
    if (!fits) return tn_fail(TN_ERROR_SHAPE, "rows of '%s' differ in shape", data->name);
  }
  for (int64_t o = 0; o < outer; o++) {
    const double deviation = sqrt(tn_f64(square)[o] / seen) + transform->epsilon;
    tn_f64(square)[o] = deviation > 1e-12 * (1 + fabs(tn_f64(mean)[o])) ? 1 / deviation : 0;
  }
  tn_release(transform->mean);
  tn_release(transform->scale);
  transform->mean = tn_persist(mean);
  transform->scale = tn_persist(square);
  return transform->mean && transform->scale ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status standardise_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct standardise *transform = self;
  (void)call;
  const char *name = standardise_field(transform, tn_fields_find(fields, "image"));
  tn_tensor *x = tn_field(fields, name);
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  if (!transform->mean) return tn_fail(TN_ERROR_INVALID, "not fitted: no stage has shown it training data");
  const struct layout l = layout_of(transform, x);
  if (l.outer != tn_numel(transform->mean))
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld statistics, fitted on %lld", name, (long long)l.outer,
                   (long long)tn_numel(transform->mean));
  const tn_dtype dtype = x->dtype == TN_F32 || x->dtype == TN_F64 ? x->dtype : tn_precision();
  /* (outer) against (n, ...): features have x's own shape, channels a 1 for each pixel axis */
  tn_shape shape = tn_shape_of(x);
  shape.dim[0] = 1;
  for (uint32_t i = 2; i < shape.ndim && l.inner > 1; i++) shape.dim[i] = 1;
  tn_tensor *mean = tn_reshape(tn_cast(transform->mean, dtype), shape);
  tn_tensor *scale = tn_reshape(tn_cast(transform->scale, dtype), shape);
  tn_fields_set(fields, name, tn_mul(tn_sub(tn_cast(x, dtype), mean), scale));
  return tn_outcome();
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
