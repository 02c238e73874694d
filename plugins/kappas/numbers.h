// SPDX-License-Identifier: MIT
/* Tensors of either precision as float64 numbers. */
#ifndef TENON_PLUGINS_KAPPA_NUMBERS_H
#define TENON_PLUGINS_KAPPA_NUMBERS_H

#include <tenon/kappa.h>

static inline double number_at(const tn_tensor *x, int64_t i) {
  return x->dtype == TN_F64 ? tn_f64(x)[i] : (double)tn_f32(x)[i];
}
static inline void number_set(tn_tensor *x, int64_t i, double value) {
  if (x->dtype == TN_F64)
    tn_f64(x)[i] = value;
  else
    tn_f32(x)[i] = (float)value;
}
/* Of x's shape and dtype, to be filled. */
static inline tn_tensor *numbers_like(const tn_tensor *x) { return tn_empty(x->dtype, tn_shape_of(x)); }
static inline double numbers_largest(const tn_tensor *x) {
  double largest = 0;
  for (int64_t i = 0; i < x->numel; i++) largest = fmax(largest, fabs(number_at(x, i)));
  return largest;
}
static inline double sign_of(double x) { return (x > 0) - (x < 0); }
/* The indicator of a gauge. */
static inline double inside(const tn_tensor *y, double norm) {
  return norm <= 1 + tn_kappa_tolerance(y) ? 0 : INFINITY;
}

/* A class with keys. */
#define KAPPA_CLASS(symbol, title, text, literature, type, keys, table) \
  static const tn_class symbol = {.size = sizeof(tn_class),             \
                                  .kind = TN_KAPPA,                     \
                                  .name = title,                        \
                                  .summary = text,                      \
                                  .reference = literature,              \
                                  TN_CLASS_PARAMS(keys),                \
                                  .instance_size = sizeof(type),        \
                                  .vtable = table}
#define LION_K "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts"

#endif
