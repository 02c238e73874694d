// SPDX-License-Identifier: MIT
/* Shapes in messages, and the checks that every operation begins with. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

tn_node *tn_shape_error(const char *op, const char *format, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  tn_fail(TN_ERROR_SHAPE, "%s: %s", op, text);
  tn_here->trace_depth = 0;
  return tn_poison();
}

const char *tn_dims_text(int32_t ndim, const int64_t *shape) {
  if (!tn_here) return "(...)";
  char *text = tn_here->shape_texts[tn_here->shape_turn++ % 8];
  size_t room = sizeof tn_here->shape_texts[0], used = 1;
  text[0] = '(';
  for (int32_t i = 0; i < ndim && used < room; i++)
    used += (size_t)snprintf(text + used, room - used, i ? ", %lld" : "%lld", (long long)shape[i]);
  if (used < room) snprintf(text + used, room - used, ndim == 1 ? ",)" : ")");
  return text;
}

const char *tn_shape_text(const tn_node *x) { return tn_dims_text(x->t.dl.ndim, x->shape); }

const char *tn_dtype_name(tn_dtype dtype) {
  static const char *const names[] = {"float32", "float64", "int64", "int32", "uint8", "bool"};
  return dtype >= 0 && dtype <= TN_B8 ? names[dtype] : "?";
}

bool tn_dtype_resolve(const char *op, tn_dtype *dtype) {
  if (*dtype == TN_FLOAT) *dtype = tn_here->engine->precision;
  if (*dtype >= TN_F32 && *dtype <= TN_B8) return true;
  tn_shape_error(op, "%d is no dtype", *dtype);
  return false;
}

bool tn_axis_resolve(const char *op, const tn_node *x, int32_t *axis) {
  int32_t given = *axis;
  if (given < 0) *axis += x->t.dl.ndim;
  if (*axis >= 0 && *axis < x->t.dl.ndim) return true;
  tn_shape_error(op, "shape %s has no axis %d", tn_shape_text(x), given);
  return false;
}

bool tn_shape_check(const char *op, const tn_shape *shape, tn_dtype dtype) {
  if (shape->ndim > TN_MAX_DIMS) {
    tn_shape_error(op, "rank %u is more than %d", shape->ndim, TN_MAX_DIMS);
    return false;
  }
  size_t bytes = tn_dtype_size(dtype);
  for (uint32_t i = 0; i < shape->ndim; i++) {
    if (shape->dim[i] < 0) {
      tn_shape_error(op, "shape %s has a negative dimension", tn_dims_text((int32_t)shape->ndim, shape->dim));
      return false;
    }
    if (__builtin_mul_overflow(bytes, (size_t)shape->dim[i], &bytes) || bytes > (size_t)1 << 46) {
      tn_shape_error(op, "shape %s is too large", tn_dims_text((int32_t)shape->ndim, shape->dim));
      return false;
    }
  }
  return true;
}
