// SPDX-License-Identifier: MIT
/* Making tensors, casting them, and the life of handles as methods see it. */
#include "internal.h"

#include <math.h>

static void fill(tn_node *x, double value) {
  int64_t n = x->t.numel;
  switch (x->t.dtype) {
  case TN_F32:
  case TN_F64:
    if (value == 0 && !signbit(value))
      memset(x->t.dl.data, 0, (size_t)n * tn_dtype_size(x->t.dtype));
    else
      tn_here->k->real[x->t.dtype]->fill(x->t.dl.data, value, n);
    break;
  case TN_I64:
    for (int64_t i = 0; i < n; i++) ((int64_t *)x->t.dl.data)[i] = (int64_t)value;
    break;
  case TN_I32:
    for (int64_t i = 0; i < n; i++) ((int32_t *)x->t.dl.data)[i] = (int32_t)value;
    break;
  case TN_B8: memset(x->t.dl.data, value != 0, (size_t)n); break;
  default: memset(x->t.dl.data, (int)value & 255, (size_t)n);
  }
}

tn_node *tn_op_full(tn_dtype dtype, int32_t ndim, const int64_t *shape, double value) {
  tn_node *x = tn_node_new(dtype, ndim, shape);
  if (!tn_is_poison(x)) fill(x, value);
  return x;
}

tn_node *tn_op_scalar(tn_dtype dtype, double value) { return tn_op_full(dtype, 0, NULL, value); }

static tn_node *make(const char *op, tn_dtype dtype, const tn_shape *shape) {
  if (!tn_dtype_resolve(op, &dtype) || !tn_shape_check(op, shape, dtype)) return tn_poison();
  return tn_node_new(dtype, (int32_t)shape->ndim, shape->dim);
}

tn_tensor *tn_api_empty(tn_dtype dtype, const tn_shape *shape) { return &make("empty", dtype, shape)->t; }

tn_tensor *tn_api_full(tn_dtype dtype, const tn_shape *shape, double value) {
  tn_node *x = make("full", dtype, shape);
  if (!tn_is_poison(x)) fill(x, value);
  return &x->t;
}

tn_tensor *tn_api_from(tn_dtype dtype, const tn_shape *shape, const void *data) {
  tn_node *x = make("from", dtype, shape);
  if (!tn_is_poison(x) && x->t.numel)
    memcpy(x->t.dl.data, data, (size_t)x->t.numel * tn_dtype_size(x->t.dtype));
  return &x->t;
}

tn_tensor *tn_api_wrap(tn_dtype dtype, const tn_shape *shape, void *data) {
  if (!tn_dtype_resolve("wrap", &dtype) || !tn_shape_check("wrap", shape, dtype)) return &tn_poison()->t;
  return &tn_node_view(dtype, (int32_t)shape->ndim, shape->dim, tn_storage_wrap(data, 0, NULL, NULL), data)
              ->t;
}

tn_tensor *tn_api_arange(tn_dtype dtype, double start, double step, int64_t count) {
  tn_shape shape = {1, {count}};
  tn_node *x = make("arange", dtype, &shape);
  if (tn_is_poison(x)) return &x->t;
  for (int64_t i = 0; i < count; i++) {
    double value = start + (double)i * step;
    switch (x->t.dtype) {
    case TN_F32: ((float *)x->t.dl.data)[i] = (float)value; break;
    case TN_F64: ((double *)x->t.dl.data)[i] = value; break;
    case TN_I64: ((int64_t *)x->t.dl.data)[i] = (int64_t)value; break;
    case TN_I32: ((int32_t *)x->t.dl.data)[i] = (int32_t)value; break;
    case TN_B8: ((uint8_t *)x->t.dl.data)[i] = value != 0; break;
    default: ((uint8_t *)x->t.dl.data)[i] = (uint8_t)(int64_t)value;
    }
  }
  return &x->t;
}

static void cast_backward(tn_backward *b) { tn_deliver(b, 0, tn_op_cast(b->g, b->node->in[0]->t.dtype)); }
TN_RULE(cast_rule, "cast", cast_backward);

#define CAST_TO(source, target, expression)  \
  for (int64_t i = 0; i < n; i++) {          \
    source v = ((const source *)x)[i];       \
    ((target *)y)[i] = (target)(expression); \
  }
#define CAST_FROM(source, to_bool)                  \
  switch (to) {                                     \
  case TN_F32: CAST_TO(source, float, v) break;     \
  case TN_F64: CAST_TO(source, double, v) break;    \
  case TN_I64: CAST_TO(source, int64_t, v) break;   \
  case TN_I32: CAST_TO(source, int32_t, v) break;   \
  case TN_U8: CAST_TO(source, uint8_t, v) break;    \
  default: CAST_TO(source, uint8_t, to_bool) break; \
  }
/* What does not fit into an integer saturates; NaN becomes 0. C would leave it undefined. */
static double saturate(double v, tn_dtype to) {
  double low = to == TN_I64 ? -0x1p63 : (to == TN_I32 ? -0x1p31 : 0);
  double high = to == TN_I64 ? 0x1.fffffffffffffp62 : (to == TN_I32 ? 0x1p31 - 1 : 255);
  return isnan(v) ? 0 : (v < low ? low : (v > high ? high : v));
}
static void convert(const void *x, tn_dtype from, void *y, tn_dtype to, int64_t n) {
  if (tn_is_float(from) && !tn_is_float(to) && to != TN_B8) {
    for (int64_t i = 0; i < n; i++) {
      double v = saturate(from == TN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i], to);
      if (to == TN_I64)
        ((int64_t *)y)[i] = (int64_t)v;
      else if (to == TN_I32)
        ((int32_t *)y)[i] = (int32_t)v;
      else
        ((uint8_t *)y)[i] = (uint8_t)v;
    }
    return;
  }
  switch (from) {
  case TN_F32: CAST_FROM(float, v != 0) break;
  case TN_F64: CAST_FROM(double, v != 0) break;
  case TN_I64: CAST_FROM(int64_t, v != 0) break;
  case TN_I32: CAST_FROM(int32_t, v != 0) break;
  default: CAST_FROM(uint8_t, v != 0) break;
  }
}

tn_node *tn_op_cast(tn_node *x, tn_dtype dtype) {
  if (tn_is_poison(x)) return x;
  if (!tn_dtype_resolve("cast", &dtype)) return tn_poison();
  if (dtype == x->t.dtype) return x;
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(dtype, x->t.dl.ndim, x->shape);
  if (tn_is_poison(y)) return y;
  convert(x->t.dl.data, x->t.dtype, y->t.dl.data, dtype, x->t.numel);
  if (tn_recording1(x) && tn_is_float(dtype)) tn_record1(y, &cast_rule, x);
  return tn_trace_end("cast", start, y);
}

tn_tensor *tn_api_cast(tn_tensor *x, tn_dtype dtype) { return &tn_op_cast(tn_node_of(x), dtype)->t; }

double tn_api_item(const tn_tensor *t) {
  if (tn_is_poison(tn_node_of(t))) return NAN;
  if (t->numel != 1) {
    tn_shape_error("item", "a tensor %s is not a single element", tn_shape_text(tn_node_of(t)));
    return NAN;
  }
  switch (t->dtype) {
  case TN_F32: return (double)*(const float *)t->dl.data;
  case TN_F64: return *(const double *)t->dl.data;
  case TN_I64: return (double)*(const int64_t *)t->dl.data;
  case TN_I32: return *(const int32_t *)t->dl.data;
  default: return *(const uint8_t *)t->dl.data;
  }
}

void tn_api_scope_open(void) { tn_scope_enter(); }
void tn_api_scope_close(void) {
  tn_scope_leave();
  tn_memory_trim();
}

tn_tensor *tn_api_persist(const tn_tensor *t) {
  const tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return NULL;
  tn_node *y = tn_node_like(x);
  if (tn_is_poison(y)) return NULL;
  if (x->t.numel) memcpy(y->t.dl.data, x->t.dl.data, (size_t)x->t.numel * tn_dtype_size(x->t.dtype));
  return &tn_node_detach(y)->t;
}

void tn_api_release(tn_tensor *t) {
  if (!t || tn_is_poison(tn_node_of(t))) return;
  if (!(t->flags & TN_FLAG_PERSISTENT)) {
    tn_fail(TN_ERROR_INTERNAL, "tn_release of a tensor that tn_persist did not make");
    return;
  }
  tn_node_drop(tn_node_of(t));
}

tn_tensor *tn_api_keep(tn_tensor *t) {
  tn_node *x = tn_node_of(t);
  if (tn_is_poison(x)) return t;
  tn_node_promote(x);
  x->rule = NULL;
  x->inputs = 0;
  x->t.flags &= ~(uint32_t)TN_FLAG_GRADIENT;
  return t;
}

bool tn_api_poisoned(const tn_tensor *t) { return tn_is_poison(tn_node_of(t)); }
