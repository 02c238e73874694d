// SPDX-License-Identifier: MIT
/* Pooling. The maximum remembers where it was found: its derivative moves gradients there, and the derivative
 * of that picks values from there. The mean is linear: it and its adjoint are each other's derivative. */
#include "internal.h"

#include <math.h>

/* Windows as a method gave them; 0 sizes: adaptive. Kept in a node's attributes. */
typedef struct windows {
  int32_t size[2], stride[2], padding[2];
} windows;

typedef struct pool_job {
  const tn_nn_real *k;
  tn_pool_plan plan;
  size_t size;
  int64_t in, out; /* elements of a plane */
  const char *x;
  char *y;
  int32_t *index;
  tn_slots slots;
  /* of a plane packed as for a convolution */
  tn_conv_pack pack;
  int64_t taps;
  int64_t *offsets, *codes;
  size_t packed_bytes;
} pool_job;

/* Fills the tables; NULL if out of memory. The result goes back to the workspace. */
static void *make_plan(tn_pool_plan *p, tn_pool_op op, const windows *w, const int64_t *in,
                       const int64_t *out) {
  int64_t total = out[0] + out[1];
  int64_t *table = tn_workspace_take((size_t)total * (2 * sizeof(int64_t) + sizeof(double)));
  if (!table) return NULL;
  int64_t *starts = table, *ends = table + total;
  double *shares = (double *)(void *)(ends + total);
  p->regular = w->size[1] > 0;
  p->window = w->size[1];
  p->stride = w->stride[1];
  p->padding = w->padding[1];
  p->row_stride = w->stride[0];
  p->row_padding = w->padding[0];
  for (int axis = 0; axis < 2; axis++) {
    p->size[axis] = in[axis];
    p->out[axis] = out[axis];
    p->starts[axis] = starts;
    p->ends[axis] = ends;
    p->shares[axis] = shares;
    for (int64_t i = 0; i < out[axis]; i++) {
      int64_t from, to, count;
      if (w->size[axis]) {
        from = i * w->stride[axis] - w->padding[axis];
        to = from + w->size[axis];
        count = tn_min64(to, in[axis] + w->padding[axis]) - from;
      } else {
        from = i * in[axis] / out[axis];
        to = tn_ceil_div((i + 1) * in[axis], out[axis]);
        count = to - from;
      }
      starts[i] = tn_max64(from, 0);
      ends[i] = tn_min64(to, in[axis]);
      shares[i] = 1 / (double)(op == TN_POOL_MEAN_PADDED ? count : ends[i] - starts[i]);
    }
    starts += out[axis];
    ends += out[axis];
    shares += out[axis];
  }
  return table;
}

static void max_body(void *context, int64_t plane) {
  const pool_job *j = context;
  j->k->max_pool(&j->plan, j->x + (size_t)(plane * j->in) * j->size,
                 j->y + (size_t)(plane * j->out) * j->size, j->index + plane * j->out);
}
static void mean_body(void *context, int64_t plane) {
  const pool_job *j = context;
  j->k->mean_pool(&j->plan, j->x + (size_t)(plane * j->in) * j->size,
                  j->y + (size_t)(plane * j->out) * j->size);
}
static void spread_body(void *context, int64_t plane) {
  const pool_job *j = context;
  char *target = j->y + (size_t)(plane * j->in) * j->size;
  memset(target, 0, (size_t)j->in * j->size);
  j->k->mean_spread(&j->plan, j->x + (size_t)(plane * j->out) * j->size, target, tn_slot(&j->slots));
}
static void scatter_body(void *context, int64_t plane) {
  const pool_job *j = context;
  char *target = j->y + (size_t)(plane * j->in) * j->size;
  memset(target, 0, (size_t)j->in * j->size);
  j->k->pool_scatter(j->x + (size_t)(plane * j->out) * j->size, j->index + plane * j->out, j->out, target);
}
static void gather_body(void *context, int64_t plane) {
  const pool_job *j = context;
  j->k->pool_gather(j->x + (size_t)(plane * j->in) * j->size, j->index + plane * j->out, j->out,
                    j->y + (size_t)(plane * j->out) * j->size);
}

static void windows_body(void *context, int64_t plane) {
  const pool_job *j = context;
  unsigned char *packed = tn_slot(&j->slots);
  j->k->max_windows(&j->plan, &j->pack, j->taps, j->offsets, j->codes,
                    j->x + (size_t)(plane * j->in) * j->size, packed, packed + j->packed_bytes,
                    j->y + (size_t)(plane * j->out) * j->size, j->index + plane * j->out);
}
static void shares_body(void *context, int64_t plane) {
  const pool_job *j = context;
  size_t o = (size_t)(plane * j->out) * j->size;
  j->k->scale_shares(&j->plan, j->x + o, j->y + o);
}

/* Overlapping windows of moderate size go the way of convolutions. */
static bool like_convolution(const windows *w, const int64_t *out) {
  bool quarter = w->size[0] == 2 && w->size[1] == 2 && w->stride[0] == 2 && w->stride[1] == 2 &&
                 w->padding[0] == 0 && w->padding[1] == 0;
  return w->size[0] && w->size[1] && !quarter && w->size[0] <= 8 && w->size[1] <= 8 && w->stride[0] <= 4 &&
         w->stride[1] <= 4 && out[1] >= 4;
}
static tn_window_sums sums_of(const tn_node *x, const windows *w, const int64_t *in, const int64_t *out) {
  tn_window_sums s = {.dtype = x->t.dtype, .planes = x->shape[0] * x->shape[1]};
  for (int i = 0; i < 2; i++) {
    s.in[i] = in[i];
    s.out[i] = out[i];
    s.size[i] = w->size[i];
    s.stride[i] = w->stride[i];
    s.padding[i] = w->padding[i];
  }
  return s;
}

/* The maximum over windows: lays the packed plane out and runs. */
static bool max_windows(pool_job *j, const windows *w, int64_t planes) {
  tn_conv_pack *pack = &j->pack;
  const tn_pool_plan *p = &j->plan;
  for (int i = 0; i < 2; i++) {
    pack->size[i] = p->size[i];
    pack->before[i] = w->padding[i];
    pack->step[i] = w->stride[i];
  }
  pack->used = ~(uint64_t)0;
  pack->rows = p->out[0] + (w->size[0] - 1) / w->stride[0];
  tn_lay_out_columns(pack, p->out[1] + (w->size[1] - 1) / w->stride[1], p->out[1]);
  int64_t phase = pack->rows * pack->columns, vector = j->k->vector;
  pack->plane = phase * w->stride[0] * w->stride[1];
  j->taps = (int64_t)w->size[0] * w->size[1];
  j->offsets = tn_workspace_take(2 * (size_t)j->taps * sizeof(int64_t));
  if (!j->offsets) return false;
  j->codes = j->offsets + j->taps;
  for (int64_t t = 0; t < j->taps; t++) {
    int64_t r = t / w->size[1], c = t % w->size[1];
    int64_t at = r % w->stride[0] * w->stride[1] + c % w->stride[1];
    j->offsets[t] = at * phase + r / w->stride[0] * pack->columns + c / w->stride[1];
    j->codes[t] = r * p->size[1] + c;
  }
  int64_t room = pack->plane + pack->columns + 2 * vector;
  int64_t flat = tn_ceil_div((p->out[0] - 1) * pack->columns + p->out[1], vector) * vector;
  j->packed_bytes = tn_round64((size_t)room * j->size);
  bool ok = tn_slots_take(&j->slots, j->packed_bytes + 2 * (size_t)flat * j->size);
  if (ok) {
    const tn_real_kernels *real = tn_here->k->real[j->size == 4 ? TN_F32 : TN_F64];
    for (int i = 0; i < j->slots.count; i++)
      real->fill(j->slots.base + (size_t)i * j->slots.bytes, -INFINITY, room);
    tn_parallel(planes, 0.3 * (double)(planes * j->out), windows_body, j);
    tn_slots_give(&j->slots);
  }
  tn_workspace_give(j->offsets);
  return ok;
}

/* x (.., h, w) large, y (.., oh, ow) small or the other way round */
static pool_job job_of(const tn_node *source, tn_node *target, const tn_node *large, const tn_node *small) {
  return (pool_job){.k = tn_nn_real_of(source->t.dtype),
                    .size = tn_dtype_size(source->t.dtype),
                    .in = large->shape[2] * large->shape[3],
                    .out = small->shape[2] * small->shape[3],
                    .x = source->t.dl.data,
                    .y = target->t.dl.data};
}
static int64_t planes_of(const tn_node *x) { return x->shape[0] * x->shape[1]; }

/* Maximum */
static tn_node *pool_gather(tn_node *x, tn_node *index);

static tn_node *pool_scatter(tn_node *g, tn_node *index, const int64_t *shape);
static void scatter_backward(tn_backward *b) { tn_deliver(b, 0, pool_gather(b->g, b->node->in[1])); }
TN_RULE(scatter_rule, "pool_scatter", scatter_backward);
static tn_node *pool_scatter(tn_node *g, tn_node *index, const int64_t *shape) {
  if (tn_is_poison(g)) return g;
  double start = tn_trace_begin(g);
  tn_node *gx = tn_node_new(g->t.dtype, 4, shape);
  if (tn_is_poison(gx)) return gx;
  pool_job job = job_of(g, gx, gx, g);
  job.index = index->t.dl.data;
  tn_parallel(planes_of(g), (double)g->t.numel + 0.2 * (double)gx->t.numel, scatter_body, &job);
  if (tn_recording1(g)) {
    tn_record1(gx, &scatter_rule, g);
    gx->in[1] = index;
  }
  return tn_trace_end("pool_scatter", start, gx);
}

static void gather_backward(tn_backward *b) {
  tn_deliver(b, 0, pool_scatter(b->g, b->node->in[1], b->node->in[0]->shape));
}
TN_RULE(gather_rule, "max_pool", gather_backward);
static tn_node *pool_gather(tn_node *x, tn_node *index) {
  if (tn_is_poison(x)) return x;
  tn_node *y = tn_node_new(x->t.dtype, 4, index->shape);
  if (tn_is_poison(y)) return y;
  pool_job job = job_of(x, y, x, y);
  job.index = index->t.dl.data;
  tn_parallel(planes_of(y), (double)y->t.numel, gather_body, &job);
  if (tn_recording1(x)) {
    tn_record1(y, &gather_rule, x);
    y->in[1] = index;
  }
  return y;
}

static tn_node *max_pool(tn_node *x, const windows *w, const int64_t *shape) {
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(x->t.dtype, 4, shape), *index = tn_node_new(TN_I32, 4, shape);
  if (tn_is_poison(y) || tn_is_poison(index)) return tn_poison();
  pool_job job = job_of(x, y, x, y);
  job.index = index->t.dl.data;
  if (y->t.numel) {
    void *table = make_plan(&job.plan, TN_POOL_MAX, w, x->shape + 2, shape + 2);
    if (!table) return tn_poison();
    bool ok = true;
    if (like_convolution(w, shape + 2))
      ok = max_windows(&job, w, planes_of(x));
    else
      tn_parallel(planes_of(x), 0.5 * (double)y->t.numel + 0.2 * (double)x->t.numel, max_body, &job);
    tn_workspace_give(table);
    if (!ok) return tn_poison();
  }
  if (tn_recording1(x)) {
    tn_record1(y, &gather_rule, x);
    y->in[1] = index;
  }
  return tn_trace_end("max_pool", start, y);
}

/* Mean. Attributes: the windows; op: the kind. */
static tn_node *mean_pool(tn_node *x, tn_pool_op op, const windows *w, const int64_t *shape);

static windows windows_of(const tn_node *node) {
  windows w;
  memcpy(&w, node->a.s, sizeof w);
  return w;
}

static void spread_backward(tn_backward *b) {
  windows w = windows_of(b->node);
  tn_deliver(b, 0, mean_pool(b->g, b->node->op, &w, b->node->in[0]->shape));
}
TN_RULE(spread_rule, "mean_spread", spread_backward);
/* gx from g, with or without the convolutions' help. */
static bool spread(pool_job *job, const windows *w, tn_node *g, tn_node *gx) {
  if (gx->t.numel == 0) return true;
  if (like_convolution(w, g->shape + 2)) {
    tn_window_sums s = sums_of(g, w, gx->shape + 2, g->shape + 2);
    tn_node *scaled = tn_node_like(g);
    if (tn_is_poison(scaled)) return false;
    job->y = scaled->t.dl.data;
    tn_parallel(planes_of(g), 0.2 * (double)g->t.numel, shares_body, job);
    bool ok = tn_spread_windows(&s, scaled->t.dl.data, gx->t.dl.data);
    tn_node_drop(scaled);
    return ok;
  }
  if (!tn_slots_take(&job->slots, (size_t)g->shape[3] * job->size)) return false;
  tn_parallel(planes_of(g), (double)gx->t.numel, spread_body, job);
  tn_slots_give(&job->slots);
  return true;
}

static tn_node *mean_spread(tn_node *g, tn_pool_op op, const windows *w, const int64_t *shape) {
  if (tn_is_poison(g)) return g;
  double start = tn_trace_begin(g);
  tn_node *gx = tn_node_new(g->t.dtype, 4, shape);
  if (tn_is_poison(gx)) return gx;
  pool_job job = job_of(g, gx, gx, g);
  void *table = make_plan(&job.plan, op, w, shape + 2, g->shape + 2);
  if (!table) return tn_poison();
  bool ok = spread(&job, w, g, gx);
  tn_workspace_give(table);
  if (!ok) return tn_poison();
  if (tn_recording1(g)) {
    tn_record1(gx, &spread_rule, g);
    memcpy(gx->a.s, w, sizeof *w);
    gx->op = op;
  }
  return tn_trace_end("mean_spread", start, gx);
}

static void mean_backward(tn_backward *b) {
  windows w = windows_of(b->node);
  tn_deliver(b, 0, mean_spread(b->g, b->node->op, &w, b->node->in[0]->shape));
}
TN_RULE(mean_rule, "mean_pool", mean_backward);
static tn_node *mean_pool(tn_node *x, tn_pool_op op, const windows *w, const int64_t *shape) {
  if (tn_is_poison(x)) return x;
  double start = tn_trace_begin(x);
  tn_node *y = tn_node_new(x->t.dtype, 4, shape);
  if (tn_is_poison(y)) return y;
  pool_job job = job_of(x, y, x, y);
  void *table = make_plan(&job.plan, op, w, x->shape + 2, shape + 2);
  if (!table) return tn_poison();
  bool ok = true;
  if (y->t.numel && like_convolution(w, shape + 2)) {
    tn_window_sums s = sums_of(x, w, x->shape + 2, shape + 2);
    ok = tn_sum_windows(&s, x->t.dl.data, y->t.dl.data);
    job.x = (const char *)job.y;
    if (ok) tn_parallel(planes_of(x), 0.2 * (double)y->t.numel, shares_body, &job);
  } else {
    tn_parallel(planes_of(x), (double)x->t.numel, mean_body, &job);
  }
  tn_workspace_give(table);
  if (!ok) return tn_poison();
  if (tn_recording1(x)) {
    tn_record1(y, &mean_rule, x);
    memcpy(y->a.s, w, sizeof *w);
    y->op = op;
  }
  return tn_trace_end("mean_pool", start, y);
}

static bool check_image(const char *name, const tn_node *x) {
  if (tn_is_float(x->t.dtype) && x->t.dl.ndim == 4 && x->shape[2] > 0 && x->shape[3] > 0) return true;
  tn_shape_error(name, "%s of %s is no image (n, c, h, w)", tn_shape_text(x), tn_dtype_name(x->t.dtype));
  return false;
}

static tn_node *pool(tn_pool_op op, tn_node *x, const windows *w, const int64_t *shape) {
  return op == TN_POOL_MAX ? max_pool(x, w, shape) : mean_pool(x, op, w, shape);
}

tn_node *tn_op_pool(tn_pool_op op, tn_node *x, const tn_window *window) {
  static const char name[] = "pool";
  if (tn_is_poison(x)) return x;
  if (op < 0 || op >= TN_POOL_COUNT) return tn_shape_error(name, "there is no operation %d", op);
  if (!check_image(name, x)) return tn_poison();
  windows w;
  int64_t shape[4] = {x->shape[0], x->shape[1]};
  for (int i = 0; i < 2; i++) {
    int64_t size = window->size[i], stride = window->stride[i] ? window->stride[i] : size;
    int64_t padding = window->padding[i];
    if (size < 1 || size > 1 << 24 || stride < 1 || stride > 1 << 24 || padding < 0 || 2 * padding > size ||
        x->shape[2 + i] + 2 * padding < size)
      return tn_shape_error(name, "a window of %lld, stride %lld, padding %lld over %s", (long long)size,
                            (long long)stride, (long long)padding, tn_shape_text(x));
    w.size[i] = (int32_t)size;
    w.stride[i] = (int32_t)stride;
    w.padding[i] = (int32_t)padding;
    shape[2 + i] = (x->shape[2 + i] + 2 * padding - size) / stride + 1;
  }
  if (x->shape[2] * x->shape[3] > INT32_MAX)
    return tn_shape_error(name, "%s has more than 2^31 elements a plane", tn_shape_text(x));
  return pool(op, x, &w, shape);
}

tn_node *tn_op_adaptive_pool(tn_pool_op op, tn_node *x, int64_t height, int64_t width) {
  static const char name[] = "adaptive_pool";
  if (tn_is_poison(x)) return x;
  if (op != TN_POOL_MAX && op != TN_POOL_MEAN) return tn_shape_error(name, "there is no operation %d", op);
  if (!check_image(name, x)) return tn_poison();
  int64_t shape[4] = {x->shape[0], x->shape[1], height, width};
  if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX ||
      x->shape[2] * x->shape[3] > INT32_MAX)
    return tn_shape_error(name, "%s to %lld x %lld", tn_shape_text(x), (long long)height, (long long)width);
  if (op == TN_POOL_MEAN && height == 1 && width == 1)
    return tn_op_reduce(TN_MEAN, x, TN_AXIS(2) | TN_AXIS(3), true);
  windows w = {{0, 0}, {0, 0}, {0, 0}};
  for (int i = 0; i < 2; i++)
    if (x->shape[2 + i] % shape[2 + i] == 0)
      w.size[i] = w.stride[i] = (int32_t)(x->shape[2 + i] / shape[2 + i]);
  return pool(op, x, &w, shape);
}
