// SPDX-License-Identifier: MIT
/* Coefficients of the candidates of a supernet, from architecture parameters; elements of tensors in either
 * precision. */
#ifndef TENON_PLUGINS_MIXTURE_H
#define TENON_PLUGINS_MIXTURE_H

#include <tenon/model.h>

enum { WEIGHTING_SCALAR, WEIGHTING_MAX_W };

/* alpha (rows, candidates) -> c, with w = softmax(alpha) of a row (Hundt, Jain and Hager 2019, section 3.3):
 *   scalar: c_o = w_o
 *   max_w:  c_o = 1 - max w + w_o    the strongest has exactly 1, and no derivative through it
 * detach: no derivative through max w, so that the strongest has one like the others. */
static inline tn_tensor *mixture_coefficients(tn_tensor *alpha, int32_t weighting, bool detach) {
  tn_tensor *w = tn_softmax(alpha, 1);
  if (weighting == WEIGHTING_SCALAR) return w;
  tn_tensor *most = tn_reduce(TN_REDUCE_MAX, w, 1, true);
  return tn_shift(tn_sub(w, detach ? tn_stop_gradient(most) : most), 1);
}

static inline double element(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64 ? tn_f64(x)[i] : (double)tn_f32(x)[i];
}
static inline void set_element(tn_tensor *x, int64_t i, double value) {
  if (x->dtype == TN_F64)
    tn_f64(x)[i] = value;
  else
    tn_f32(x)[i] = (float)value;
}

#endif
