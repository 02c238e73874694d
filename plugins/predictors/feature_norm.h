// SPDX-License-Identifier: MIT
/* A batch normalisation (Ioffe and Szegedy 2015) of features by the statistics of the batch, whose scale and
 * shift are trained on the test stream. The training features, to which they are compared, stay as they are,
 * or are normalised by their own statistics once, as by a scale of 1 and a shift of 0. */
#ifndef TENON_PLUGINS_FEATURE_NORM_H
#define TENON_PLUGINS_FEATURE_NORM_H

#include "backbone.h"
#include "descent.h"
#include <tenon/index.h>

#define FEATURE_NORM_EPSILON 1e-5
enum { FEATURE_NORM_PIECE = 4096 }; /* training features that are looked at together */

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

/* Training features (n, d) from number `first` on, a piece of them. */
static inline tn_status feature_norm_piece(const tn_component *index, int64_t first, tn_tensor **features) {
  const int64_t left = tn_index_count(index) - first;
  return tn_index_range(index, first, left < FEATURE_NORM_PIECE ? left : FEATURE_NORM_PIECE, features);
}

/* Adds a moment of the training features to `moment` (d): their mean, or with the `mean` their population
 * variance. */
static inline tn_status feature_norm_moment(const tn_component *index, const double *mean, double *moment) {
  const int64_t count = tn_index_count(index);
  tn_status status = TN_OK;
  for (int64_t first = 0; status >= 0 && first < count; first += FEATURE_NORM_PIECE) {
    tn_tensor *features;
    tn_scope_open();
    status = feature_norm_piece(index, first, &features);
    const tn_tensor *wide = status >= 0 ? tn_cast(features, TN_F64) : NULL;
    if (status >= 0) status = tn_outcome();
    for (int64_t i = 0; status >= 0 && i < tn_dim(wide, 0); i++)
      for (int64_t d = 0, width = tn_dim(wide, 1); d < width; d++) {
        const double x = tn_f64(wide)[i * width + d];
        moment[d] += (mean ? (x - mean[d]) * (x - mean[d]) : x) / (double)count;
      }
    tn_scope_close();
  }
  return status;
}

static inline tn_status feature_norm_measure(struct feature_norm *norm, const tn_component *index) {
  tn_tensor *first;
  tn_status status = tn_index_range(index, 0, 1, &first);
  if (status < 0) return status;
  const tn_shape shape = TN_SHAPE(tn_dim(first, 1));
  tn_tensor *mean = tn_zeros(TN_F64, shape), *variance = tn_zeros(TN_F64, shape);
  status = tn_outcome();
  if (status >= 0) status = feature_norm_moment(index, NULL, tn_f64(mean));
  if (status >= 0) status = feature_norm_moment(index, tn_f64(mean), tn_f64(variance));
  if (status < 0) return status;
  norm->mean = tn_persist(tn_cast(mean, first->dtype));
  norm->variance = tn_persist(tn_cast(variance, first->dtype));
  return norm->mean && norm->variance ? tn_outcome() : TN_ERROR_MEMORY;
}

/* Starts from the training features in `index`, which become vectors of length 1, normalised before or not.
 */
static inline tn_status feature_norm_begin(struct feature_norm *norm, const tn_component *index,
                                           bool normalised, const tn_component *optimizer) {
  const int64_t count = tn_index_count(index);
  feature_norm_release(norm);
  const bool recording = tn_record(false);
  tn_status status = feature_norm_measure(norm, index);
  for (int64_t first = 0; status >= 0 && first < count; first += FEATURE_NORM_PIECE) {
    tn_tensor *features;
    tn_scope_open();
    status = feature_norm_piece(index, first, &features);
    if (status >= 0 && normalised)
      features = tn_batch_norm_fixed(features, NULL, NULL, norm->mean, norm->variance, FEATURE_NORM_EPSILON);
    if (status >= 0) status = tn_index_set(index, first, unit_rows(features));
    if (status >= 0) status = tn_outcome();
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
