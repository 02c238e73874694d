// SPDX-License-Identifier: MIT
/* Watching operations: a callback for profiles, and the trap for the first non-finite number. */
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static void update(tn_engine *engine) { engine->watched = engine->trace || engine->trap; }

void tn_engine_set_trace(tn_engine *engine, tn_trace trace, void *context) {
  engine->trace_context = context;
  engine->trace = trace;
  update(engine);
}

void tn_engine_set_trap(tn_engine *engine, bool on) {
  engine->trap = on;
  update(engine);
}

double tn_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Infinities and NaN have all bits of the exponent set. */
bool tn_all_finite(tn_dtype dtype, const void *data, int64_t n) {
  uint64_t wrong = 0;
  if (dtype == TN_F32) {
    const uint32_t *bits = data;
    for (int64_t i = 0; i < n; i++) wrong |= (bits[i] & 0x7f800000u) == 0x7f800000u;
  } else if (dtype == TN_F64) {
    const uint64_t exponent = 0x7ff0000000000000u, *bits = data;
    for (int64_t i = 0; i < n; i++) wrong |= (bits[i] & exponent) == exponent;
  }
  return !wrong;
}

static void watch(tn_watched *w, tn_node *const *operands, uint32_t count) {
  w->finite = true;
  w->count = 0;
  for (uint32_t i = 0; i < count; i++) {
    const tn_node *x = operands[i];
    if (!x || tn_is_poison(x)) continue;
    w->finite = w->finite && tn_all_finite(x->t.dtype, x->t.dl.data, x->t.numel);
    if (w->count == TN_WATCHED_OPERANDS) continue;
    w->ndim[w->count] = x->t.dl.ndim;
    memcpy(w->shape[w->count++], x->shape, sizeof x->shape);
  }
}

double tn_trace_open(tn_node *const *operands, uint32_t count) {
  tn_thread *thread = tn_here;
  if (thread->trace_depth++ == 0 && thread->engine->trap) watch(&thread->watched, operands, count);
  return tn_clock();
}

/* "log gives -inf at element 3 from finite operands (2, 3) -> (2, 3)" */
static void trapped(const char *op, const tn_watched *w, const tn_node *out) {
  char operands[TN_WATCHED_OPERANDS * 64] = "";
  size_t used = 0;
  double x = 0;
  int64_t at = 0;
  for (; at < out->t.numel; at++) {
    x = out->t.dtype == TN_F32 ? (double)((const float *)out->t.dl.data)[at]
                               : ((const double *)out->t.dl.data)[at];
    if (!isfinite(x)) break;
  }
  for (uint32_t i = 0; i < w->count && used < sizeof operands; i++)
    used += (size_t)snprintf(operands + used, sizeof operands - used, "%s%s", i ? ", " : "",
                             tn_dims_text(w->ndim[i], w->shape[i]));
  tn_fail(TN_ERROR_DIVERGED, "%s gives %s at element %lld from finite operands %s -> %s", op,
          isnan(x) ? "nan"
          : x > 0  ? "inf"
                   : "-inf",
          (long long)at, operands, tn_shape_text(out));
}

bool tn_trace_report(const char *op, double start, const tn_node *out) {
  tn_thread *thread = tn_here;
  tn_engine *engine = thread->engine;
  const double seconds = tn_clock() - start;
  if (thread->trace_depth > 0) thread->trace_depth--; // 0 after an error inside
  if (thread->trace_depth > 0) return true;
  if (engine->trace)
    engine->trace(engine->trace_context, op, seconds,
                  out ? (size_t)out->t.numel * tn_dtype_size(out->t.dtype) : 0, out ? &out->t : NULL);
  if (!engine->trap || !out || tn_is_poison(out) || !thread->watched.finite) return true;
  if (tn_all_finite(out->t.dtype, out->t.dl.data, out->t.numel)) return true;
  trapped(op, &thread->watched, out);
  return false;
}
