// SPDX-License-Identifier: MIT
/* Fused losses, one value a row or an element. */
#include "internal.h"

typedef struct rows_job {
  const tn_real_kernels *k;
  const char *g, *x, *lse;
  const int64_t *labels;
  char *loss, *out;
  int64_t gs, rows, columns, step;
  double smoothing;
  size_t size;
} rows_job;

static void forward_rows(void *context, int64_t index) {
  const rows_job *j = context;
  int64_t row = index * j->step, rows = tn_min64(j->step, j->rows - row);
  size_t at = (size_t)row * j->size;
  j->k->cross_entropy(j->x + at * (size_t)j->columns, j->labels + row, j->smoothing, j->loss + at,
                      j->out + at, rows, j->columns);
}

static void backward_rows(void *context, int64_t index) {
  const rows_job *j = context;
  int64_t row = index * j->step, rows = tn_min64(j->step, j->rows - row);
  size_t at = (size_t)row * j->size;
  j->k->cross_entropy_grad(j->g + at * (size_t)j->gs, j->gs, j->x + at * (size_t)j->columns, j->labels + row,
                           j->smoothing, j->lse + at, j->out + at * (size_t)j->columns, rows, j->columns);
}

/* dlogits = g (softmax(logits) - target), target = (1 - s) one_hot + s / c, nothing for unlabelled rows */
static tn_node *cross_entropy_derivative(tn_node *g, tn_node *logits, tn_node *labels, double smoothing) {
  int64_t n = logits->shape[0], c = logits->shape[1];
  tn_node *target = tn_op_full(logits->t.dtype, 2, logits->shape, smoothing / (double)c);
  tn_node *labelled = tn_op_full(logits->t.dtype, 2, (int64_t[]){n, 1}, 1);
  if (tn_is_poison(target) || tn_is_poison(labelled)) return tn_poison();
  const int64_t *label = labels->t.dl.data;
  for (int64_t i = 0; i < n; i++) {
    bool f32 = logits->t.dtype == TN_F32;
    if (label[i] < 0) {
      if (f32)
        ((float *)labelled->t.dl.data)[i] = 0;
      else
        ((double *)labelled->t.dl.data)[i] = 0;
    } else if (f32) {
      ((float *)target->t.dl.data)[i * c + label[i]] += (float)(1 - smoothing);
    } else {
      ((double *)target->t.dl.data)[i * c + label[i]] += 1 - smoothing;
    }
  }
  tn_node *weight = MUL(tn_op_reshape(g, 2, (int64_t[]){n, 1}), labelled);
  return MUL(weight, SUB(tn_op_softmax(logits, 1), target));
}

static void cross_entropy_backward(tn_backward *b) {
  tn_node *node = b->node, *x = node->in[0], *labels = node->in[1], *lse = node->in[2];
  if (b->graph) {
    tn_deliver(b, 0, cross_entropy_derivative(b->g, x, labels, node->a.d[0]));
    return;
  }
  tn_node *out = tn_node_like(x);
  if (!tn_is_poison(out) && x->t.numel) {
    rows_job j = {.k = tn_here->k->real[x->t.dtype],
                  .g = b->g->t.dl.data,
                  .gs = 1,
                  .x = x->t.dl.data,
                  .labels = labels->t.dl.data,
                  .lse = lse->t.dl.data,
                  .out = out->t.dl.data,
                  .rows = x->shape[0],
                  .columns = x->shape[1],
                  .smoothing = node->a.d[0],
                  .size = tn_dtype_size(x->t.dtype)};
    j.step = tn_max64(1, 8192 / j.columns);
    tn_parallel(tn_ceil_div(j.rows, j.step), 0.5 * (double)x->t.numel, backward_rows, &j);
  }
  tn_deliver(b, 0, out);
}
TN_RULE(cross_entropy_rule, "cross_entropy", cross_entropy_backward);

static tn_node *cross_entropy(tn_node *x, tn_node *labels, double smoothing) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(labels)) return labels;
  if (x->t.dl.ndim != 2 || labels->t.dl.ndim != 1 || x->shape[0] != labels->shape[0])
    return tn_shape_error("cross_entropy", "logits %s and labels %s are not (n, classes) and (n,)",
                          tn_shape_text(x), tn_shape_text(labels));
  if (!tn_is_float(x->t.dtype) || labels->t.dtype != TN_I64)
    return tn_shape_error("cross_entropy", "logits of %s and labels of %s", tn_dtype_name(x->t.dtype),
                          tn_dtype_name(labels->t.dtype));
  if (!(smoothing >= 0 && smoothing < 1))
    return tn_shape_error("cross_entropy", "smoothing %g is not in [0, 1)", smoothing);
  int64_t n = x->shape[0], c = x->shape[1];
  const int64_t *label = labels->t.dl.data;
  for (int64_t i = 0; i < n; i++)
    if (label[i] >= c)
      return tn_shape_error("cross_entropy", "label %lld of row %lld with %lld classes", (long long)label[i],
                            (long long)i, (long long)c);
  double start = tn_trace_begin(x);
  tn_node *loss = tn_node_new(x->t.dtype, 1, &n), *lse = tn_node_new(x->t.dtype, 1, &n);
  if (tn_is_poison(loss) || tn_is_poison(lse)) return tn_poison();
  if (x->t.numel) {
    rows_job j = {.k = tn_here->k->real[x->t.dtype],
                  .x = x->t.dl.data,
                  .labels = label,
                  .loss = loss->t.dl.data,
                  .out = lse->t.dl.data,
                  .rows = n,
                  .columns = c,
                  .smoothing = smoothing,
                  .size = tn_dtype_size(x->t.dtype)};
    j.step = tn_max64(1, 8192 / c);
    tn_parallel(tn_ceil_div(n, j.step), 0.6 * (double)x->t.numel + 20.0 * (double)n, forward_rows, &j);
  } else {
    tn_here->k->real[x->t.dtype]->fill(loss->t.dl.data, 0, n);
  }
  if (tn_recording1(x)) {
    tn_record1(loss, &cross_entropy_rule, x);
    loss->in[1] = labels;
    loss->in[2] = lse;
    loss->a.d[0] = smoothing;
  }
  return tn_trace_end("cross_entropy", start, loss);
}

static void bce_backward(tn_backward *b) {
  tn_node *x = b->node->in[0], *t = b->node->in[1], *g = b->g;
  if (tn_wants(b, 0)) tn_deliver(b, 0, MUL(g, SUB(UNARY(TN_SIGMOID, x), t)));
  if (tn_wants(b, 1)) tn_deliver(b, 1, NEG(MUL(g, x)));
}
TN_RULE(bce_rule, "bce_with_logits", bce_backward);

static tn_node *bce(tn_node *x, tn_node *t) {
  if (tn_is_poison(x)) return x;
  if (tn_is_poison(t)) return t;
  if (x->t.dtype != t->t.dtype || !tn_is_float(x->t.dtype))
    return tn_shape_error("bce_with_logits", "logits of %s and targets of %s", tn_dtype_name(x->t.dtype),
                          tn_dtype_name(t->t.dtype));
  bool same =
      x->t.dl.ndim == t->t.dl.ndim && !memcmp(x->shape, t->shape, (size_t)x->t.dl.ndim * sizeof *x->shape);
  if (!same) t = tn_op_broadcast(t, x->t.dl.ndim, x->shape);
  if (tn_is_poison(t)) return t;
  double start = tn_trace_begin(x, t);
  tn_node *out = tn_node_like(x);
  if (tn_is_poison(out)) return out;
  tn_here->k->real[x->t.dtype]->bce(x->t.dl.data, 0, 1, t->t.dl.data, 0, 1, out->t.dl.data, 1, x->t.numel);
  if (tn_recording2(x, t)) tn_record2(out, &bce_rule, x, t);
  return tn_trace_end("bce_with_logits", start, out);
}

tn_tensor *tn_api_cross_entropy(tn_tensor *logits, tn_tensor *labels, double smoothing) {
  return &cross_entropy(tn_node_of(logits), tn_node_of(labels), smoothing)->t;
}
tn_tensor *tn_api_bce_with_logits(tn_tensor *logits, tn_tensor *targets) {
  return &bce(tn_node_of(logits), tn_node_of(targets))->t;
}
