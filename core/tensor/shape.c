// SPDX-License-Identifier: MIT
/* Operations that move elements: reshape, permute, broadcast, concatenate, slice, select, gather, scatter. */
#include "internal.h"

enum { BLOCK = 16384 };

/* Copies a strided source (strides in elements, 0: repeated) to a compact target. Dimensions are joined where
 * memory allows; the rest is loops over runs, or over small square tiles if the source runs across. */
typedef struct strided {
  const char *source;
  char *target;
  size_t size;
  int32_t count; /* at least 1 */
  int64_t extent[TN_MAX_DIMS], stride[TN_MAX_DIMS];
  int64_t rows, row_step;
} strided;

#define COPY_RUN(type)                                      \
  {                                                         \
    const type *s = source;                                 \
    type *t = target;                                       \
    if (stride == 0)                                        \
      for (int64_t i = 0; i < n; i++) t[i] = s[0];          \
    else                                                    \
      for (int64_t i = 0; i < n; i++) t[i] = s[i * stride]; \
  }
static void copy_run(const void *source, int64_t stride, void *target, int64_t n, size_t size) {
  if (stride == 1)
    memcpy(target, source, (size_t)n * size);
  else if (size == 4)
    COPY_RUN(uint32_t)
  else if (size == 8)
    COPY_RUN(uint64_t)
  else
    COPY_RUN(uint8_t)
}

#define COPY_TILE(type)                                                        \
  {                                                                            \
    const type *s = source;                                                    \
    type *t = target;                                                          \
    for (int64_t j0 = 0; j0 < columns; j0 += 16)                               \
      for (int64_t i = 0; i < rows; i++)                                       \
        for (int64_t j = j0; j < (columns < j0 + 16 ? columns : j0 + 16); j++) \
          t[i * columns + j] = s[i + j * stride];                              \
  }
/* rows x columns of the target, where the source is contiguous down the rows */
static void copy_transposed(const void *source, int64_t stride, void *target, int64_t rows, int64_t columns,
                            size_t size) {
  if (size == 4)
    COPY_TILE(uint32_t)
  else if (size == 8)
    COPY_TILE(uint64_t)
  else
    COPY_TILE(uint8_t)
}

static int64_t source_offset(const strided *s, int64_t row) {
  int64_t offset = 0;
  for (int32_t i = s->count - 2; i >= 0; i--) {
    offset += row % s->extent[i] * s->stride[i];
    row /= s->extent[i];
  }
  return offset;
}

static void strided_block(void *context, int64_t index) {
  const strided *s = context;
  int64_t row = index * s->row_step, end = tn_min64(row + s->row_step, s->rows);
  int32_t in = s->count - 1;
  int64_t n = s->extent[in], stride = s->stride[in];
  bool across = in > 0 && s->stride[in - 1] == 1 && stride > 1;
  int64_t period = in > 0 ? s->extent[in - 1] : 1, step = in > 0 ? s->stride[in - 1] : 0;
  while (row < end) {
    int64_t some = tn_min64(period - row % period, end - row), offset = source_offset(s, row);
    char *target = s->target + (size_t)(row * n) * s->size;
    if (across) {
      copy_transposed(s->source + (size_t)offset * s->size, stride, target, some, n, s->size);
    } else {
      for (int64_t i = 0; i < some; i++)
        copy_run(s->source + (size_t)(offset + i * step) * s->size, stride,
                 target + (size_t)(i * n) * s->size, n, s->size);
    }
    row += some;
  }
}

static void copy_strided(const void *source, void *target, size_t size, int32_t ndim, const int64_t *extent,
                         const int64_t *stride) {
  strided s = {.source = source, .target = target, .size = size};
  int64_t n = 1;
  for (int32_t i = 0; i < ndim; i++) n *= extent[i];
  if (n == 0) return;
  for (int32_t i = 0; i < ndim; i++) {
    if (extent[i] == 1) continue;
    if (s.count && s.stride[s.count - 1] == stride[i] * extent[i]) {
      s.extent[s.count - 1] *= extent[i];
      s.stride[s.count - 1] = stride[i];
    } else {
      s.extent[s.count] = extent[i];
      s.stride[s.count++] = stride[i];
    }
  }
  if (s.count == 0) {
    s.count = 1;
    s.extent[0] = s.stride[0] = 1;
  }
  s.rows = n / s.extent[s.count - 1];
  s.row_step = tn_max64(1, BLOCK / s.extent[s.count - 1]);
  tn_parallel(tn_ceil_div(s.rows, s.row_step), 0.3 * (double)n, strided_block, &s);
}

static void compact_strides(const tn_node *x, int64_t *strides) {
  int64_t stride = 1;
  for (int32_t i = x->t.dl.ndim; i-- > 0;) {
    strides[i] = stride;
    stride *= x->shape[i];
  }
}

/* reshape */
tn_node *tn_op_like_shape(tn_node *x, const tn_node *like) {
  return tn_op_reshape(x, like->t.dl.ndim, like->shape);
}
static void reshape_backward(tn_backward *b) { tn_deliver(b, 0, tn_op_like_shape(b->g, b->node->in[0])); }
TN_RULE(reshape_rule, "reshape", reshape_backward);

tn_node *tn_op_reshape(tn_node *x, int32_t ndim, const int64_t *shape) {
  if (tn_is_poison(x)) return x;
  int64_t known = 1, resolved[TN_MAX_DIMS];
  int32_t open = -1;
  if (ndim > TN_MAX_DIMS) return tn_shape_error("reshape", "rank %d is more than %d", ndim, TN_MAX_DIMS);
  bool fits = true;
  for (int32_t i = 0; i < ndim; i++) {
    resolved[i] = shape[i];
    if (shape[i] == -1 && open < 0)
      open = i;
    else if (shape[i] < 0 || __builtin_mul_overflow(known, shape[i], &known))
      fits = false;
  }
  if (fits && open >= 0) {
    fits = known > 0 && x->t.numel % known == 0;
    if (fits) resolved[open] = x->t.numel / known;
  } else {
    fits = fits && known == x->t.numel;
  }
  if (!fits)
    return tn_shape_error("reshape", "shape %s does not become %s", tn_shape_text(x),
                          tn_dims_text(ndim, shape));
  tn_node *y = tn_node_view(x->t.dtype, ndim, resolved, tn_storage_share(x->storage), x->t.dl.data);
  if (!tn_is_poison(y) && tn_recording1(x)) tn_record1(y, &reshape_rule, x);
  return y;
}

/* permute */
static void permute_backward(tn_backward *b) {
  int32_t inverse[TN_MAX_DIMS];
  for (int32_t i = 0; i < b->node->t.dl.ndim; i++) inverse[b->node->a.s[i]] = i;
  tn_deliver(b, 0, tn_op_permute(b->g, inverse));
}
TN_RULE(permute_rule, "permute", permute_backward);

tn_node *tn_op_permute(tn_node *x, const int32_t *axes) {
  if (tn_is_poison(x)) return x;
  int32_t n = x->t.dl.ndim, resolved[TN_MAX_DIMS];
  uint32_t seen = 0;
  int64_t strides[TN_MAX_DIMS], shape[TN_MAX_DIMS], source[TN_MAX_DIMS];
  compact_strides(x, strides);
  for (int32_t i = 0; i < n; i++) {
    resolved[i] = axes[i];
    if (!tn_axis_resolve("permute", x, &resolved[i])) return tn_poison();
    if (seen >> resolved[i] & 1) return tn_shape_error("permute", "axis %d occurs twice", axes[i]);
    seen |= 1u << resolved[i];
    shape[i] = x->shape[resolved[i]];
    source[i] = strides[resolved[i]];
  }
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(x->t.dtype, n, shape);
  if (tn_is_poison(y)) return y;
  copy_strided(x->t.dl.data, y->t.dl.data, tn_dtype_size(x->t.dtype), n, shape, source);
  if (tn_recording1(x)) {
    tn_record1(y, &permute_rule, x);
    memcpy(y->a.s, resolved, sizeof resolved);
  }
  return tn_trace_end("permute", start, y);
}

/* broadcast */
tn_node *tn_op_reduce_to(tn_node *x, const tn_node *like) {
  if (tn_is_poison(x)) return x;
  int32_t extra = x->t.dl.ndim - like->t.dl.ndim;
  uint32_t axes = 0;
  for (int32_t i = 0; i < x->t.dl.ndim; i++)
    if (i < extra || (like->shape[i - extra] == 1 && x->shape[i] != 1)) axes |= 1u << i;
  if (axes == 0) return x;
  return tn_op_like_shape(tn_op_reduce(TN_SUM, x, axes, false), like);
}
static void broadcast_backward(tn_backward *b) { tn_deliver_reduced(b, 0, b->g); }
TN_RULE(broadcast_rule, "broadcast_to", broadcast_backward);

tn_node *tn_op_broadcast(tn_node *x, int32_t ndim, const int64_t *shape) {
  if (tn_is_poison(x)) return x;
  int64_t strides[TN_MAX_DIMS], source[TN_MAX_DIMS];
  compact_strides(x, strides);
  int32_t extra = ndim - x->t.dl.ndim;
  bool fits = extra >= 0 && ndim <= TN_MAX_DIMS;
  for (int32_t i = 0; i < ndim && fits; i++) {
    int64_t d = i < extra ? 1 : x->shape[i - extra];
    fits = shape[i] >= 0 && (d == shape[i] || d == 1);
    source[i] = d == 1 ? 0 : strides[i - extra];
  }
  if (!fits)
    return tn_shape_error("broadcast_to", "shape %s does not broadcast to %s", tn_shape_text(x),
                          tn_dims_text(ndim, shape));
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(x->t.dtype, ndim, shape);
  if (tn_is_poison(y)) return y;
  copy_strided(x->t.dl.data, y->t.dl.data, tn_dtype_size(x->t.dtype), ndim, shape, source);
  if (tn_recording1(x)) tn_record1(y, &broadcast_rule, x);
  return tn_trace_end("broadcast_to", start, y);
}

/* A tensor seen as (outer, axis, inner). */
typedef struct split {
  int64_t outer, n, inner;
} split;
static split split_at(const tn_node *x, int32_t axis) {
  split s = {1, x->shape[axis], 1};
  for (int32_t i = 0; i < axis; i++) s.outer *= x->shape[i];
  for (int32_t i = axis + 1; i < x->t.dl.ndim; i++) s.inner *= x->shape[i];
  return s;
}

/* concatenate and slice */
static void concatenate_backward(tn_backward *b) {
  tn_node *const *in = tn_inputs(b->node);
  int32_t axis = b->node->op;
  int64_t start = 0;
  for (uint32_t i = 0; i < b->node->inputs; i++) {
    int64_t n = in[i]->shape[axis];
    if (tn_wants(b, i)) tn_deliver(b, i, tn_op_slice(b->g, axis, start, start + n, 1));
    start += n;
  }
}
TN_RULE(concatenate_rule, "concatenate", concatenate_backward);

tn_node *tn_op_concatenate(tn_node *const *xs, uint32_t count, int32_t axis) {
  if (count == 0) return tn_shape_error("concatenate", "nothing to join");
  bool needs = false;
  for (uint32_t i = 0; i < count; i++) {
    if (tn_is_poison(xs[i])) return xs[i];
    needs |= tn_needs(xs[i]);
  }
  if (!tn_axis_resolve("concatenate", xs[0], &axis)) return tn_poison();
  int64_t shape[TN_MAX_DIMS] = {0};
  memcpy(shape, xs[0]->shape, (size_t)xs[0]->t.dl.ndim * sizeof *shape);
  for (uint32_t i = 1; i < count; i++) {
    bool fits = xs[i]->t.dtype == xs[0]->t.dtype && xs[i]->t.dl.ndim == xs[0]->t.dl.ndim;
    for (int32_t k = 0; k < xs[0]->t.dl.ndim && fits; k++) fits = k == axis || xs[i]->shape[k] == shape[k];
    if (!fits)
      return tn_shape_error("concatenate", "%s of %s and %s of %s do not fit along axis %d",
                            tn_shape_text(xs[0]), tn_dtype_name(xs[0]->t.dtype), tn_shape_text(xs[i]),
                            tn_dtype_name(xs[i]->t.dtype), axis);
    shape[axis] += xs[i]->shape[axis];
  }
  double start = tn_trace_begin_all(xs, count);
  tn_node *y = tn_node_new(xs[0]->t.dtype, xs[0]->t.dl.ndim, shape);
  if (tn_is_poison(y)) return y;
  split s = split_at(y, axis);
  size_t size = tn_dtype_size(y->t.dtype), row = (size_t)(s.n * s.inner) * size, at = 0;
  for (uint32_t i = 0; i < count; i++) {
    size_t part = (size_t)(xs[i]->shape[axis] * s.inner) * size;
    if (part)
      for (int64_t o = 0; o < s.outer; o++)
        memcpy((char *)y->t.dl.data + (size_t)o * row + at, (const char *)xs[i]->t.dl.data + (size_t)o * part,
               part);
    at += part;
  }
  if (tn_here->record && needs) {
    if (!tn_record_many(y, &concatenate_rule, xs, count)) return tn_poison();
    y->op = axis;
  }
  return tn_trace_end("concatenate", start, y);
}

/* The adjoint of slice: zeros with x at start, start + step ... */
static tn_node *unslice(tn_node *x, int32_t axis, int64_t start, int64_t step, int64_t size);

static void slice_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0];
  int32_t axis = node->op;
  int64_t start = node->a.i[0], step = node->a.i[1];
  if (b->graph || step != 1) {
    tn_deliver(b, 0, unslice(b->g, axis, start, step, x->shape[axis]));
    return;
  }
  double beta;
  tn_node *target = tn_gradient_target(b, 0, &beta);
  if (tn_is_poison(target)) return;
  split s = split_at(x, axis);
  const tn_real_kernels *k = tn_here->k->real[x->t.dtype];
  size_t size = tn_dtype_size(x->t.dtype);
  int64_t n = node->shape[axis] * s.inner;
  if (beta == 0) memset(target->t.dl.data, 0, (size_t)x->t.numel * size);
  for (int64_t o = 0; o < s.outer; o++)
    k->axpy(1, (const char *)b->g->t.dl.data + (size_t)(o * n) * size,
            (char *)target->t.dl.data + (size_t)((o * s.n + start) * s.inner) * size, n);
  tn_deliver_written(b, 0, target);
}
TN_RULE(slice_rule, "slice", slice_backward);

tn_node *tn_op_slice(tn_node *x, int32_t axis, int64_t start, int64_t stop, int64_t step) {
  if (tn_is_poison(x)) return x;
  if (!tn_axis_resolve("slice", x, &axis)) return tn_poison();
  int64_t n = x->shape[axis];
  if (start < 0) start += n;
  if (stop < 0) stop += n;
  if (start < 0 || start > stop || stop > n || step < 1)
    return tn_shape_error("slice", "%lld:%lld:%lld is not inside axis %d of %s", (long long)start,
                          (long long)stop, (long long)step, axis, tn_shape_text(x));
  double begin = tn_trace_begin(x);
  int64_t shape[TN_MAX_DIMS] = {0}, strides[TN_MAX_DIMS];
  memcpy(shape, x->shape, (size_t)x->t.dl.ndim * sizeof *shape);
  compact_strides(x, strides);
  shape[axis] = tn_ceil_div(stop - start, step);
  size_t size = tn_dtype_size(x->t.dtype);
  const char *source = (const char *)x->t.dl.data + (size_t)(start * strides[axis]) * size;
  split s = split_at(x, axis);
  tn_node *y;
  if (s.outer == 1 && step == 1 && ((size_t)(start * strides[axis]) * size) % 64 == 0) {
    // whole rows at an aligned address: a view
    y = tn_node_view(x->t.dtype, x->t.dl.ndim, shape, tn_storage_share(x->storage),
                     (void *)(uintptr_t)source);
  } else {
    y = tn_node_new(x->t.dtype, x->t.dl.ndim, shape);
    strides[axis] *= step;
    if (!tn_is_poison(y)) copy_strided(source, y->t.dl.data, size, x->t.dl.ndim, shape, strides);
  }
  if (tn_is_poison(y)) return y;
  if (tn_recording1(x)) {
    tn_record1(y, &slice_rule, x);
    y->op = axis;
    y->a.i[0] = start;
    y->a.i[1] = step;
  }
  return tn_trace_end("slice", begin, y);
}

static void unslice_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0];
  int64_t start = node->a.i[0], step = node->a.i[1], n = x->shape[node->op];
  tn_deliver(b, 0, tn_op_slice(b->g, node->op, start, n ? start + (n - 1) * step + 1 : start, step));
}
TN_RULE(unslice_rule, "slice.backward", unslice_backward);

static tn_node *unslice(tn_node *x, int32_t axis, int64_t start, int64_t step, int64_t size) {
  if (tn_is_poison(x)) return x;
  int64_t shape[TN_MAX_DIMS] = {0};
  memcpy(shape, x->shape, (size_t)x->t.dl.ndim * sizeof *shape);
  shape[axis] = size;
  tn_node *y = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, 0);
  if (tn_is_poison(y)) return y;
  split s = split_at(x, axis);
  size_t bytes = (size_t)s.inner * tn_dtype_size(x->t.dtype);
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.n; i++)
      memcpy((char *)y->t.dl.data + (size_t)(o * size + start + i * step) * bytes,
             (const char *)x->t.dl.data + (size_t)(o * s.n + i) * bytes, bytes);
  if (tn_recording1(x)) {
    tn_record1(y, &unslice_rule, x);
    y->op = axis;
    y->a.i[0] = start;
    y->a.i[1] = step;
  }
  return y;
}

/* index_select and its adjoint */
static bool check_index(const char *op, const tn_node *index, int64_t n) {
  if (index->t.dtype != TN_I64) {
    tn_shape_error(op, "the index is %s, not int64", tn_dtype_name(index->t.dtype));
    return false;
  }
  const int64_t *i = index->t.dl.data;
  int64_t low = 0, high = -1;
  for (int64_t k = 0; k < index->t.numel; k++) {
    low = tn_min64(low, i[k]);
    high = tn_max64(high, i[k]);
  }
  if (low >= 0 && high < n) return true;
  tn_shape_error(op, "index %lld is not in 0 .. %lld", (long long)(low < 0 ? low : high), (long long)n - 1);
  return false;
}

static void index_add_rows(const tn_node *g, const tn_node *index, split target, char *out) {
  const tn_real_kernels *k = tn_here->k->real[g->t.dtype];
  const int64_t *i = index->t.dl.data;
  int64_t count = index->t.numel, inner = target.inner;
  size_t bytes = (size_t)inner * tn_dtype_size(g->t.dtype);
  for (int64_t o = 0; o < target.outer; o++)
    for (int64_t r = 0; r < count; r++)
      k->axpy(1, (const char *)g->t.dl.data + (size_t)(o * count + r) * bytes,
              out + (size_t)(o * target.n + i[r]) * bytes, inner);
}

static void index_select_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *index = node->in[1];
  if (b->graph) {
    tn_deliver(b, 0, tn_op_index_add(b->g, node->op, index, x->shape[node->op]));
    return;
  }
  double beta;
  tn_node *target = tn_gradient_target(b, 0, &beta);
  if (tn_is_poison(target)) return;
  if (beta == 0) memset(target->t.dl.data, 0, (size_t)x->t.numel * tn_dtype_size(x->t.dtype));
  index_add_rows(b->g, index, split_at(x, node->op), target->t.dl.data);
  tn_deliver_written(b, 0, target);
}
TN_RULE(index_select_rule, "index_select", index_select_backward);

typedef struct select_rows {
  const char *x;
  char *y;
  const int64_t *index;
  int64_t n, count, rows, step;
  size_t bytes;
} select_rows;

static void select_block(void *context, int64_t block) {
  const select_rows *s = context;
  int64_t end = tn_min64((block + 1) * s->step, s->rows);
  for (int64_t r = block * s->step; r < end; r++)
    memcpy(s->y + (size_t)r * s->bytes,
           s->x + (size_t)(r / s->count * s->n + s->index[r % s->count]) * s->bytes, s->bytes);
}

tn_node *tn_op_index_select(tn_node *x, int32_t axis, tn_node *index) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(index)) return index;
  if (!tn_axis_resolve("index_select", x, &axis) || !check_index("index_select", index, x->shape[axis]))
    return tn_poison();
  if (index->t.dl.ndim != 1)
    return tn_shape_error("index_select", "the index %s is not a vector", tn_shape_text(index));
  double start = tn_trace_begin(x);
  int64_t shape[TN_MAX_DIMS] = {0};
  memcpy(shape, x->shape, (size_t)x->t.dl.ndim * sizeof *shape);
  shape[axis] = index->t.numel;
  tn_node *y = tn_node_new(x->t.dtype, x->t.dl.ndim, shape);
  if (tn_is_poison(y)) return y;
  split s = split_at(x, axis);
  if (y->t.numel) {
    select_rows rows = {x->t.dl.data,
                        y->t.dl.data,
                        index->t.dl.data,
                        s.n,
                        index->t.numel,
                        s.outer * index->t.numel,
                        tn_max64(1, BLOCK / s.inner),
                        (size_t)s.inner * tn_dtype_size(x->t.dtype)};
    tn_parallel(tn_ceil_div(rows.rows, rows.step), 0.2 * (double)y->t.numel + 3.0 * (double)rows.rows,
                select_block, &rows);
  }
  if (tn_recording1(x)) {
    tn_record1(y, &index_select_rule, x);
    y->in[1] = index;
    y->op = axis;
  }
  return tn_trace_end("index_select", start, y);
}

static void index_add_backward(tn_backward *b) {
  tn_deliver(b, 0, tn_op_index_select(b->g, b->node->op, b->node->in[1]));
}
TN_RULE(index_add_rule, "index_add", index_add_backward);

tn_node *tn_op_index_add(tn_node *x, int32_t axis, tn_node *index, int64_t size) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(index)) return index;
  if (!tn_axis_resolve("index_add", x, &axis) || !check_index("index_add", index, size)) return tn_poison();
  if (index->t.dl.ndim != 1 || index->t.numel != x->shape[axis])
    return tn_shape_error("index_add", "index %s does not fit axis %d of %s", tn_shape_text(index), axis,
                          tn_shape_text(x));
  if (!tn_is_float(x->t.dtype)) return tn_shape_error("index_add", "not for %s", tn_dtype_name(x->t.dtype));
  double start = tn_trace_begin(x);
  int64_t shape[TN_MAX_DIMS] = {0};
  memcpy(shape, x->shape, (size_t)x->t.dl.ndim * sizeof *shape);
  shape[axis] = size;
  tn_node *y = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, 0);
  if (tn_is_poison(y)) return y;
  index_add_rows(x, index, split_at(y, axis), y->t.dl.data);
  if (tn_recording1(x)) {
    tn_record1(y, &index_add_rule, x);
    y->in[1] = index;
    y->op = axis;
  }
  return tn_trace_end("index_add", start, y);
}

/* gather along the last axis, and scatter, its adjoint */
static bool check_gather(const char *op, const tn_node *x, const tn_node *index, int64_t n) {
  bool fits = x->t.dl.ndim == index->t.dl.ndim && x->t.dl.ndim > 0;
  for (int32_t i = 0; i + 1 < x->t.dl.ndim && fits; i++) fits = x->shape[i] == index->shape[i];
  if (!fits) {
    tn_shape_error(op, "index %s does not fit %s", tn_shape_text(index), tn_shape_text(x));
    return false;
  }
  return check_index(op, index, n);
}

static void gather_backward(tn_backward *b) {
  tn_node *x = b->node->in[0];
  tn_deliver(b, 0, tn_op_scatter(b->g, b->node->in[1], x->shape[x->t.dl.ndim - 1]));
}
TN_RULE(gather_rule, "gather", gather_backward);

#define GATHER(type)                 \
  for (int64_t r = 0; r < rows; r++) \
    for (int64_t c = 0; c < m; c++)  \
      ((type *)y->t.dl.data)[r * m + c] = ((const type *)x->t.dl.data)[r * n + i[r * m + c]];
tn_node *tn_op_gather(tn_node *x, tn_node *index) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(index)) return index;
  int32_t last = x->t.dl.ndim - 1;
  if (!check_gather("gather", x, index, last >= 0 ? x->shape[last] : 0)) return tn_poison();
  tn_node *y = tn_node_new(x->t.dtype, x->t.dl.ndim, index->shape);
  if (tn_is_poison(y)) return y;
  int64_t m = index->shape[last], n = x->shape[last], rows = m ? index->t.numel / m : 0;
  const int64_t *i = index->t.dl.data;
  size_t size = tn_dtype_size(x->t.dtype);
  if (size == 4)
    GATHER(uint32_t)
  else if (size == 8)
    GATHER(uint64_t)
  else
    GATHER(uint8_t)
  if (tn_recording1(x)) {
    tn_record1(y, &gather_rule, x);
    y->in[1] = index;
  }
  return y;
}

static void scatter_backward(tn_backward *b) { tn_deliver(b, 0, tn_op_gather(b->g, b->node->in[1])); }
TN_RULE(scatter_rule, "scatter", scatter_backward);

#define SCATTER(type)                \
  for (int64_t r = 0; r < rows; r++) \
    for (int64_t c = 0; c < m; c++)  \
      ((type *)y->t.dl.data)[r * size + i[r * m + c]] += ((const type *)x->t.dl.data)[r * m + c];
tn_node *tn_op_scatter(tn_node *x, tn_node *index, int64_t size) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(index)) return index;
  int32_t last = x->t.dl.ndim - 1;
  if (!check_gather("scatter_add", x, index, size)) return tn_poison();
  if (index->shape[last] != x->shape[last])
    return tn_shape_error("scatter_add", "index %s does not fit %s", tn_shape_text(index), tn_shape_text(x));
  if (!tn_is_float(x->t.dtype)) return tn_shape_error("scatter_add", "not for %s", tn_dtype_name(x->t.dtype));
  int64_t shape[TN_MAX_DIMS] = {0};
  memcpy(shape, x->shape, (size_t)x->t.dl.ndim * sizeof *shape);
  shape[last] = size;
  tn_node *y = tn_op_full(x->t.dtype, x->t.dl.ndim, shape, 0);
  if (tn_is_poison(y)) return y;
  int64_t m = x->shape[last], rows = m ? x->t.numel / m : 0;
  const int64_t *i = index->t.dl.data;
  if (x->t.dtype == TN_F32)
    SCATTER(float)
  else
    SCATTER(double)
  if (tn_recording1(x)) {
    tn_record1(y, &scatter_rule, x);
    y->in[1] = index;
  }
  return y;
}

tn_tensor *tn_api_reshape(tn_tensor *x, const tn_shape *shape) {
  return &tn_op_reshape(tn_node_of(x), (int32_t)shape->ndim, shape->dim)->t;
}
tn_tensor *tn_api_permute(tn_tensor *x, const int32_t *axes) {
  return &tn_op_permute(tn_node_of(x), axes)->t;
}
tn_tensor *tn_api_broadcast_to(tn_tensor *x, const tn_shape *shape) {
  return &tn_op_broadcast(tn_node_of(x), (int32_t)shape->ndim, shape->dim)->t;
}
tn_tensor *tn_api_concatenate(tn_tensor *const *xs, uint32_t count, int32_t axis) {
  return &tn_op_concatenate((tn_node *const *)(const void *)xs, count, axis)->t;
}
tn_tensor *tn_api_slice(tn_tensor *x, int32_t axis, int64_t start, int64_t stop, int64_t step) {
  return &tn_op_slice(tn_node_of(x), axis, start, stop, step)->t;
}
tn_tensor *tn_api_index_select(tn_tensor *x, int32_t axis, tn_tensor *index) {
  return &tn_op_index_select(tn_node_of(x), axis, tn_node_of(index))->t;
}

tn_tensor *tn_api_one_hot(tn_tensor *t, int64_t classes, tn_dtype dtype) {
  tn_node *index = tn_node_of(t);
  if (tn_is_poison(index)) return t;
  if (!tn_dtype_resolve("one_hot", &dtype) || !check_index("one_hot", index, classes)) return &tn_poison()->t;
  int32_t n = index->t.dl.ndim;
  if (n == TN_MAX_DIMS) return &tn_shape_error("one_hot", "rank %d is too high", n)->t;
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, index->shape, sizeof shape);
  shape[n] = classes;
  tn_node *y = tn_op_full(dtype, n + 1, shape, 0);
  if (tn_is_poison(y)) return &y->t;
  const int64_t *i = index->t.dl.data;
  for (int64_t k = 0; k < index->t.numel; k++) {
    int64_t at = k * classes + i[k];
    switch (dtype) {
    case TN_F32: ((float *)y->t.dl.data)[at] = 1; break;
    case TN_F64: ((double *)y->t.dl.data)[at] = 1; break;
    case TN_I64: ((int64_t *)y->t.dl.data)[at] = 1; break;
    case TN_I32: ((int32_t *)y->t.dl.data)[at] = 1; break;
    default: ((uint8_t *)y->t.dl.data)[at] = 1;
    }
  }
  return &y->t;
}
