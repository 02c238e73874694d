// SPDX-License-Identifier: MIT
/* The weighted sum of several tensors in one pass over memory: mixed operations of architecture searches,
 * ensembles, interpolations. */
#include "internal.h"

enum { STRETCH = 4096 /* elements that stay in the first cache */ };

typedef struct mixture {
  const tn_real_kernels *k;
  tn_node *const *xs;
  const tn_node *g;
  const char *weights;
  double *partial; /* (stretches, count): of the weights' gradients */
  char *out;
  tn_node **gradients; /* of the xs; NULL: not wanted */
  uint32_t count;
  int64_t n;
  tn_dtype dtype;
} mixture;

static double weight_of(const mixture *m, uint32_t i) {
  return m->dtype == TN_F32 ? (double)((const float *)(const void *)m->weights)[i]
                            : ((const double *)(const void *)m->weights)[i];
}

static void forward_stretch(void *context, int64_t index) {
  const mixture *m = context;
  int64_t n = tn_min64(STRETCH, m->n - index * STRETCH);
  size_t at = (size_t)(index * STRETCH) * tn_dtype_size(m->dtype);
  m->k->unary[TN_AFFINE]((const char *)m->xs[0]->t.dl.data + at, m->out + at, n, weight_of(m, 0), 0);
  for (uint32_t i = 1; i < m->count; i++)
    m->k->axpy(weight_of(m, i), (const char *)m->xs[i]->t.dl.data + at, m->out + at, n);
}

static void backward_stretch(void *context, int64_t index) {
  const mixture *m = context;
  int64_t n = tn_min64(STRETCH, m->n - index * STRETCH);
  size_t at = (size_t)(index * STRETCH) * tn_dtype_size(m->dtype);
  const char *g = (const char *)m->g->t.dl.data + at;
  for (uint32_t i = 0; i < m->count; i++) {
    if (m->partial)
      m->partial[index * m->count + i] = m->k->dot(g, (const char *)m->xs[i]->t.dl.data + at, n);
    if (m->gradients[i])
      m->k->unary[TN_AFFINE](g, (char *)m->gradients[i]->t.dl.data + at, n, weight_of(m, i), 0);
  }
}

static void backward_recorded(tn_backward *b) {
  tn_node *const *in = tn_inputs(b->node);
  uint32_t count = b->node->inputs - 1;
  tn_node **sums = tn_workspace_take(count * sizeof *sums);
  if (!sums) return;
  for (uint32_t i = 0; i < count; i++) {
    tn_node *weight = tn_op_slice(in[count], 0, i, i + 1, 1);
    if (tn_wants(b, i)) tn_deliver(b, i, MUL(b->g, tn_op_reshape(weight, 0, NULL)));
    if (tn_wants(b, count))
      sums[i] = tn_op_reshape(tn_op_reduce(TN_SUM, MUL(b->g, in[i]), TN_ALL_AXES, false), 1, &(int64_t){1});
  }
  if (tn_wants(b, count)) tn_deliver(b, count, tn_op_concatenate(sums, count, 0));
  tn_workspace_give(sums);
}

static void weighted_sum_backward(tn_backward *b) {
  if (b->graph) {
    backward_recorded(b);
    return;
  }
  tn_node *const *in = tn_inputs(b->node);
  uint32_t count = b->node->inputs - 1;
  mixture m = {.k = tn_here->k->real[b->g->t.dtype],
               .xs = in,
               .g = b->g,
               .weights = in[count]->t.dl.data,
               .count = count,
               .n = b->g->t.numel,
               .dtype = b->g->t.dtype};
  int64_t stretches = tn_ceil_div(m.n, STRETCH);
  m.gradients = tn_workspace_take(count * sizeof *m.gradients);
  bool weights = tn_wants(b, count), ok = m.gradients != NULL;
  if (ok && weights) {
    m.partial = tn_workspace_take((size_t)(stretches * count) * sizeof(double) + 8);
    ok = m.partial != NULL;
  }
  for (uint32_t i = 0; ok && i < count; i++) {
    m.gradients[i] = tn_wants(b, i) ? tn_node_like(in[i]) : NULL;
    ok = !m.gradients[i] || !tn_is_poison(m.gradients[i]);
  }
  if (ok) tn_parallel(stretches, 0.3 * (double)m.n * (double)count, backward_stretch, &m);
  for (uint32_t i = 0; ok && i < count; i++)
    if (m.gradients[i]) tn_deliver(b, i, m.gradients[i]);
  if (ok && weights) {
    tn_node *gw = tn_node_like(in[count]);
    for (uint32_t i = 0; i < count && !tn_is_poison(gw); i++) {
      double total = 0;
      for (int64_t s = 0; s < stretches; s++) total += m.partial[s * count + i];
      if (m.dtype == TN_F32)
        ((float *)gw->t.dl.data)[i] = (float)total;
      else
        ((double *)gw->t.dl.data)[i] = total;
    }
    tn_deliver(b, count, gw);
  }
  tn_workspace_give(m.partial);
  tn_workspace_give(m.gradients);
}
TN_RULE(weighted_sum_rule, "weighted_sum", weighted_sum_backward);

tn_tensor *tn_api_weighted_sum(tn_tensor *const *xs, tn_tensor *weights, uint32_t count) {
  tn_node *const *in = (tn_node *const *)(const void *)xs, *w = tn_node_of(weights);
  if (count == 0) return &tn_shape_error("weighted_sum", "nothing to sum")->t;
  if (tn_is_poison(w)) return weights;
  bool needs = tn_needs(w);
  for (uint32_t i = 0; i < count; i++) {
    if (tn_is_poison(in[i])) return xs[i];
    bool same = in[i]->t.dl.ndim == in[0]->t.dl.ndim && in[i]->t.dtype == in[0]->t.dtype &&
                !memcmp(in[i]->shape, in[0]->shape, (size_t)in[0]->t.dl.ndim * sizeof(int64_t));
    if (!same || !tn_is_float(in[i]->t.dtype))
      return &tn_shape_error("weighted_sum", "%s of %s and %s of %s", tn_shape_text(in[0]),
                             tn_dtype_name(in[0]->t.dtype), tn_shape_text(in[i]),
                             tn_dtype_name(in[i]->t.dtype))
                  ->t;
    needs |= tn_needs(in[i]);
  }
  if (w->t.dl.ndim != 1 || w->shape[0] != count || w->t.dtype != in[0]->t.dtype)
    return &tn_shape_error("weighted_sum", "weights %s of %s for %u tensors", tn_shape_text(w),
                           tn_dtype_name(w->t.dtype), count)
                ->t;
  double start = tn_trace_begin_all(in, count);
  tn_node *out = tn_node_like(in[0]);
  if (tn_is_poison(out)) return &out->t;
  mixture m = {.k = tn_here->k->real[out->t.dtype],
               .xs = in,
               .weights = w->t.dl.data,
               .out = out->t.dl.data,
               .count = count,
               .n = out->t.numel,
               .dtype = out->t.dtype};
  tn_parallel(tn_ceil_div(m.n, STRETCH), 0.1 * (double)m.n * (double)count, forward_stretch, &m);
  if (tn_here->record && needs) {
    tn_node **all = tn_workspace_take((count + 1) * sizeof *all);
    if (!all) return &tn_poison()->t;
    memcpy(all, in, count * sizeof *all);
    all[count] = w;
    bool ok = tn_record_many(out, &weighted_sum_rule, all, count + 1);
    tn_workspace_give(all);
    if (!ok) return &tn_poison()->t;
  }
  return &tn_trace_end("weighted_sum", start, out)->t;
}
