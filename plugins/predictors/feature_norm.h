// SPDX-License-Identifier: MIT
/* A batch normalisation (Ioffe and Szegedy 2015) of features by the statistics of the batch, whose scale and
 * shift are trained on the test stream. The training features, to which they are compared, stay as they are,
 * or are normalised by their own statistics once, as by a scale of 1 and a shift of 0. */
#ifndef TENON_PLUGINS_FEATURE_NORM_H
#define TENON_PLUGINS_FEATURE_NORM_H

#include "backbone.h"
#include "descent.h"
#include "flat_index.h"

#define FEATURE_NORM_EPSILON 1e-5

struct feature_norm {
  tn_params *params, *gradient; /* scale, shift (d) */
  tn_tensor *mean, *variance;   /* (d), of the training features */
  int64_t step;
};

static inline void feature_norm_release(struct feature_norm *norm) {
  tn_params_release(norm->gradient);
  tn_params_release(norm->params);
  if (norm->mean) tn_release(norm->mean);
  if (norm->variance) tn_release(norm->variance);
  *norm = (struct feature_norm){NULL, NULL, NULL, NULL, 0};
}

/* Back to scale 1, shift 0 and an optimizer that has made no step. */
static inline tn_status feature_norm_reset(struct feature_norm *norm, const tn_component *optimizer) {
  const tn_dtype dtype = norm->mean->dtype;
  const tn_shape shape = tn_shape_of(norm->mean);
  const tn_param_entry fresh[] = {
      {.size = sizeof *fresh, .group = TN_NO_DECAY, .name = "scale", .tensor = tn_full(dtype, shape, 1)},
      {.size = sizeof *fresh, .group = TN_NO_DECAY, .name = "shift", .tensor = tn_zeros(dtype, shape)}};
  tn_params_release(norm->gradient);
  tn_params_release(norm->params);
  norm->step = 0;
  norm->params = tn_params_make(fresh, 2);
  norm->gradient = norm->params ? tn_params_like(norm->params) : NULL;
  return norm->gradient ? tn_optimizer_begin(optimizer, norm->params) : TN_ERROR_MEMORY;
}

/* Mean and population variance of the vectors, in two passes. */
static inline tn_status feature_norm_measure(struct feature_norm *norm, const struct flat_index *index) {
  const int64_t width = index->width;
  tn_tensor *mean = tn_zeros(TN_F64, TN_SHAPE(width)), *variance = tn_zeros(TN_F64, TN_SHAPE(width));
  tn_tensor *vector = tn_zeros(TN_F64, TN_SHAPE(width));
  if (tn_failed()) return tn_outcome();
  double *x = tn_f64(vector), *m = tn_f64(mean), *v = tn_f64(variance);
  for (int64_t i = 0; i < index->count; i++) {
    flat_index_get(index, i, x);
    for (int64_t d = 0; d < width; d++) m[d] += x[d] / (double)index->count;
  }
  for (int64_t i = 0; i < index->count; i++) {
    flat_index_get(index, i, x);
    for (int64_t d = 0; d < width; d++) v[d] += (x[d] - m[d]) * (x[d] - m[d]) / (double)index->count;
  }
  const tn_dtype dtype = index->blocks[0]->dtype;
  norm->mean = tn_persist(tn_cast(mean, dtype));
  norm->variance = tn_persist(tn_cast(variance, dtype));
  return norm->mean && norm->variance ? tn_outcome() : TN_ERROR_MEMORY;
}

/* Starts from the training features in `index`, which become vectors of length 1, normalised before or not.
 */
static inline tn_status feature_norm_begin(struct feature_norm *norm, struct flat_index *index,
                                           bool normalised, const tn_component *optimizer) {
  feature_norm_release(norm);
  tn_status status = feature_norm_measure(norm, index);
  const bool recording = tn_record(false);
  for (int64_t b = 0; status >= 0 && b < index->block_count; b++) {
    tn_scope_open();
    tn_tensor *block = index->blocks[b];
    tn_tensor *entries =
        normalised ? tn_batch_norm_fixed(block, NULL, NULL, norm->mean, norm->variance, FEATURE_NORM_EPSILON)
                   : block;
    tn_tensor *unit = unit_rows(entries);
    status = tn_outcome();
    if (status >= 0)
      memcpy(tn_data(block), tn_data(unit),
             (size_t)tn_numel(block) * (block->dtype == TN_F64 ? sizeof(double) : sizeof(float)));
    tn_scope_close();
  }
  tn_record(recording);
  return status < 0 ? status : feature_norm_reset(norm, optimizer);
}

/* z (n, d). One row has no statistics of its own: those of the training features. */
static inline tn_tensor *feature_norm_apply(const struct feature_norm *norm, tn_tensor *z) {
  tn_tensor *scale = tn_param_tensor(norm->params, 0), *shift = tn_param_tensor(norm->params, 1);
  return tn_dim(z, 0) > 1
             ? tn_batch_norm(z, scale, shift, FEATURE_NORM_EPSILON, NULL, NULL)
             : tn_batch_norm_fixed(z, scale, shift, norm->mean, norm->variance, FEATURE_NORM_EPSILON);
}

static inline tn_status feature_norm_visit(const tn_visitor *visitor, struct feature_norm *norm) {
  bool begun = norm->params != NULL;
  tn_status status = tn_visit_boolean(visitor, "norm.begun", &begun);
  if (status < 0 || !begun) return status;
  tn_visit_integer(visitor, "norm.step", &norm->step);
  tn_visit_tensor(visitor, "norm.mean", &norm->mean);
  tn_visit_tensor(visitor, "norm.variance", &norm->variance);
  status = tn_visit_params(visitor, "norm.params", &norm->params);
  if (status >= 0 && !norm->gradient && !(norm->gradient = tn_params_like(norm->params)))
    status = TN_ERROR_MEMORY;
  return status;
}

#endif
