// SPDX-License-Identifier: MIT
/* What transforms of a field of numbers share that learn from training data: statistics a feature, or a
 * channel for images (n, channels, height, width). */
#ifndef TENON_PLUGINS_FIT_H
#define TENON_PLUGINS_FIT_H

#include <tenon/dataset.h>
#include <tenon/transform.h>

enum { EACH_AUTO, EACH_FEATURE, EACH_CHANNEL };
#define FIT_EACH "auto|feature|channel"

/* The field that is meant: the one given, else `image` if there is one, else `input`. */
static inline const char *fit_field(const char *given, bool has_image) {
  return *given ? given : has_image ? "image" : "input";
}

/* Declares that the field keeps its shape and holds numbers. */
static inline tn_status fit_declare(const char *given, int32_t each, const tn_spec *inputs,
                                    tn_declaration *declaration) {
  const char *name = fit_field(given, tn_spec_find(inputs, "image"));
  const tn_field_spec *field = tn_spec_get(inputs, name);
  if (!field) return TN_ERROR_MISSING;
  if (field->classes > 0 || field->ragged || tn_spec_numel(field) < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be numbers of one shape", name);
  if (each == EACH_CHANNEL && field->shape.ndim < 2)
    return tn_fail(TN_ERROR_SHAPE, "'%s' has no channels", name);
  tn_declare_output(declaration, name, TN_FLOAT, field->shape, 0);
  return TN_OK;
}

/* A batch (n, ...) as n x outer x inner numbers with one statistic for each of `outer`: features have
 * inner = 1, channels the pixels of one. */
struct layout {
  int64_t samples, outer, inner;
};
static inline struct layout fit_layout(int32_t each, const tn_tensor *x) {
  const int64_t samples = tn_dim(x, 0), size = samples > 0 ? tn_numel(x) / samples : 0;
  const bool channels = each == EACH_CHANNEL || (each == EACH_AUTO && tn_ndim(x) == 4);
  const int64_t outer = channels && tn_ndim(x) > 1 ? tn_dim(x, 1) : size;
  return (struct layout){samples, outer, outer > 0 ? size / outer : 0};
}
static inline double fit_value(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64 ? tn_f64(x)[i] : (double)tn_f32(x)[i];
}

/* The field of rows [first, first + count), as the transforms in front leave it. */
static inline tn_tensor *fit_batch(const char *given, const tn_component *data, const tn_references *before,
                                   int64_t first, int64_t count, int64_t *index) {
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
  tn_tensor *x = tn_field(fields, fit_field(given, tn_fields_find(fields, "image")));
  if (tn_poisoned(x)) return NULL;
  return x->dtype == TN_F32 || x->dtype == TN_F64 ? x : tn_cast(x, TN_F64);
}

/* Hands all of the training data to `take`, some rows at a time; each batch has the same `outer`. */
static inline tn_status fit_each(const char *given, int32_t each, const tn_component *data,
                                 const tn_references *before,
                                 tn_status (*take)(void *context, const tn_tensor *x, struct layout layout),
                                 void *context) {
  enum { CHUNK = 512 };
  const int64_t rows = tn_dataset_rows(data);
  if (rows < 1) return rows < 0 ? TN_ERROR_MISSING : tn_fail(TN_ERROR_INVALID, "no rows to learn from");
  int64_t index[CHUNK], outer = -1;
  for (int64_t first = 0; first < rows; first += CHUNK) {
    const int64_t count = rows - first < CHUNK ? rows - first : CHUNK;
    tn_scope_open();
    const tn_tensor *x = fit_batch(given, data, before, first, count, index);
    const struct layout layout = x ? fit_layout(each, x) : (struct layout){0, 0, 0};
    if (outer < 0) outer = layout.outer;
    tn_status status = x && !tn_failed() ? TN_OK : TN_ERROR_INVALID;
    if (status >= 0 && layout.outer != outer)
      status = tn_fail(TN_ERROR_SHAPE, "rows of '%s' differ in shape", data->name);
    if (status >= 0) status = take(context, x, layout);
    tn_scope_close();
    if (status < 0) return status;
  }
  return TN_OK;
}

/* (outer) statistics in the shape that broadcasts against x (n, ...): features have x's own shape, channels a
 * 1 for each pixel axis. */
static inline tn_tensor *fit_spread(tn_tensor *statistic, const tn_tensor *x, struct layout layout,
                                    tn_dtype dtype) {
  tn_shape shape = tn_shape_of(x);
  shape.dim[0] = 1;
  for (uint32_t i = 2; i < shape.ndim && layout.inner > 1; i++) shape.dim[i] = 1;
  return tn_reshape(tn_cast(statistic, dtype), shape);
}

/* (x - a) * b with statistics a, b (outer) of the training data. */
static inline tn_status fit_apply(const char *given, int32_t each, tn_fields *fields, tn_tensor *a,
                                  tn_tensor *b) {
  const char *name = fit_field(given, tn_fields_find(fields, "image"));
  tn_tensor *x = tn_field(fields, name);
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  if (!a) return tn_fail(TN_ERROR_INVALID, "not fitted: no stage has shown it training data");
  const struct layout l = fit_layout(each, x);
  if (l.outer != tn_numel(a))
    return tn_fail(TN_ERROR_SHAPE, "'%s' has %lld statistics, fitted on %lld", name, (long long)l.outer,
                   (long long)tn_numel(a));
  const tn_dtype dtype = x->dtype == TN_F32 || x->dtype == TN_F64 ? x->dtype : tn_precision();
  tn_fields_set(fields, name,
                tn_mul(tn_sub(tn_cast(x, dtype), fit_spread(a, x, l, dtype)), fit_spread(b, x, l, dtype)));
  return tn_outcome();
}

#endif
