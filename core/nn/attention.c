// SPDX-License-Identifier: MIT
/* Scaled dot-product attention (Vaswani et al. 2017): P = softmax(scale Q K^T + mask), Y = P V, one pass over
 * each pair (batch, head). P is kept for the derivative: V' = P^T Y',  P' = Y' V^T,  S' = P (P' - sum(P P')),
 * Q' = scale S' K,  K' = scale S'^T Q. */
#include "internal.h"

#include <math.h>

typedef struct attention_job {
  const tn_real_kernels *k;
  size_t size;
  int64_t batch, t, s, d, e;
  double scale;
  bool causal;
  const char *q, *key, *v, *mask, *g;
  int64_t mask_step; /* elements between the masks of two batches */
  char *p, *y, *gq, *gk, *gv;
  size_t scratch_bytes;
  tn_slots slots;
} attention_job;

static const char *at(const attention_job *j, const char *base, int64_t element) {
  return base + (size_t)element * j->size;
}
static char *into(const attention_job *j, char *base, int64_t element) {
  return base + (size_t)element * j->size;
}

/* Row i sees keys 0 .. i + s - t, as far as its mask is not -infinity. */
static void softmax_rows(const attention_job *j, char *p, const char *mask) {
  j->k->scale(j->scale, p, j->t * j->s);
  for (int64_t i = 0; i < j->t; i++) {
    char *row = into(j, p, i * j->s);
    int64_t seen = j->causal ? tn_max64(0, tn_min64(j->s, i + 1 + j->s - j->t)) : j->s;
    if (mask) j->k->row_add(at(j, mask, i * j->s), row, seen);
    if (mask && seen && j->k->max(row, seen) == -INFINITY) seen = 0;
    if (seen) j->k->softmax(row, row, 1, seen);
    if (seen < j->s) memset(into(j, row, seen), 0, (size_t)(j->s - seen) * j->size);
  }
}

static void forward_batch(void *context, int64_t b) {
  const attention_job *j = context;
  void *scratch = tn_slot(&j->slots);
  const char *q = at(j, j->q, b * j->t * j->d), *key = at(j, j->key, b * j->s * j->d);
  char *p = into(j, j->p, b * j->t * j->s);
  j->k->gemm(j->t, j->s, j->d, q, j->d, 1, key, 1, j->d, 0, p, j->s, scratch);
  softmax_rows(j, p, j->mask ? at(j, j->mask, b * j->mask_step) : NULL);
  j->k->gemm(j->t, j->e, j->s, p, j->s, 1, at(j, j->v, b * j->s * j->e), j->e, 1, 0,
             into(j, j->y, b * j->t * j->e), j->e, scratch);
}

static void backward_batch(void *context, int64_t b) {
  const attention_job *j = context;
  char *scratch = tn_slot(&j->slots), *s = scratch + j->scratch_bytes;
  const char *q = at(j, j->q, b * j->t * j->d), *key = at(j, j->key, b * j->s * j->d);
  const char *p = at(j, j->p, b * j->t * j->s), *g = at(j, j->g, b * j->t * j->e);
  if (j->gv)
    j->k->gemm(j->s, j->e, j->t, p, 1, j->s, g, j->e, 1, 0, into(j, j->gv, b * j->s * j->e), j->e, scratch);
  if (!j->gq && !j->gk) return;
  j->k->gemm(j->t, j->s, j->e, g, j->e, 1, at(j, j->v, b * j->s * j->e), 1, j->e, 0, s, j->s, scratch);
  j->k->softmax_grad(s, p, s, j->t, j->s);
  j->k->scale(j->scale, s, j->t * j->s);
  if (j->gq)
    j->k->gemm(j->t, j->d, j->s, s, j->s, 1, key, j->d, 1, 0, into(j, j->gq, b * j->t * j->d), j->d, scratch);
  if (j->gk)
    j->k->gemm(j->s, j->d, j->t, s, 1, j->s, q, j->d, 1, 0, into(j, j->gk, b * j->s * j->d), j->d, scratch);
}

static attention_job job_of(const tn_node *q, const tn_node *key, const tn_node *v) {
  int32_t n = q->t.dl.ndim;
  attention_job j = {.k = tn_here->k->real[q->t.dtype],
                     .size = tn_dtype_size(q->t.dtype),
                     .batch = 1,
                     .t = q->shape[n - 2],
                     .s = key->shape[n - 2],
                     .d = q->shape[n - 1],
                     .e = v->shape[n - 1],
                     .q = q->t.dl.data,
                     .key = key->t.dl.data,
                     .v = v->t.dl.data};
  for (int32_t i = 0; i < n - 2; i++) j.batch *= q->shape[i];
  int64_t longest = tn_max64(tn_max64(j.t, j.s), tn_max64(j.d, j.e));
  j.scratch_bytes = tn_round64((size_t)(longest * j.k->gemm_columns) * j.size);
  return j;
}
static double work_of(const attention_job *j) {
  return (double)(j->batch * j->t) * (double)j->s * (double)(j->d + j->e) / 25;
}

/* Inputs of a recorded node: q, k, v, mask (or P again), P. Attribute: scale. */
enum { Q, K, V, MASK, P, INPUTS };

static void attention_backward_fast(tn_backward *b) {
  tn_node *const *in = tn_inputs(b->node);
  attention_job j = job_of(in[Q], in[K], in[V]);
  tn_node *gq = tn_wants(b, Q) ? tn_node_like(in[Q]) : NULL,
          *gk = tn_wants(b, K) ? tn_node_like(in[K]) : NULL;
  tn_node *gv = tn_wants(b, V) ? tn_node_like(in[V]) : NULL;
  if ((gq && tn_is_poison(gq)) || (gk && tn_is_poison(gk)) || (gv && tn_is_poison(gv))) return;
  if (!tn_slots_take(&j.slots, j.scratch_bytes + (size_t)(j.t * j.s) * j.size)) return;
  j.scale = b->node->a.d[0];
  j.p = in[P]->t.dl.data;
  j.g = b->g->t.dl.data;
  j.gq = gq ? gq->t.dl.data : NULL;
  j.gk = gk ? gk->t.dl.data : NULL;
  j.gv = gv ? gv->t.dl.data : NULL;
  tn_parallel(j.batch, 2 * work_of(&j), backward_batch, &j);
  tn_slots_give(&j.slots);
  if (gq) tn_deliver(b, Q, gq);
  if (gk) tn_deliver(b, K, gk);
  if (gv) tn_deliver(b, V, gv);
}

/* The same made of differentiable operations. What P does not see is set aside as a constant. */
static void attention_backward(tn_backward *b) {
  if (!b->graph) {
    attention_backward_fast(b);
    return;
  }
  tn_node *const *in = tn_inputs(b->node), *q = in[Q], *key = in[K], *v = in[V];
  tn_dtype dtype = q->t.dtype;
  double scale = b->node->a.d[0];
  int32_t last = q->t.dl.ndim - 1;
  tn_node *seen = tn_op_binary(TN_NE, in[P], tn_op_scalar(dtype, 0));
  tn_node *s = AFFINE(tn_op_matmul(q, key, false, true), scale, 0);
  if (in[MASK] != in[P]) s = ADD(s, tn_op_unary(TN_CLAMP, in[MASK], -1e30, INFINITY));
  tn_node *p = tn_op_softmax(tn_op_where(seen, s, tn_op_scalar(dtype, -1e30)), last);
  p = MUL(p, tn_op_cast(seen, dtype));
  tn_node *gp = tn_op_matmul(b->g, v, false, true);
  tn_node *sum = tn_op_reduce(TN_SUM, MUL(p, gp), TN_AXIS(last), true);
  tn_node *gs = AFFINE(MUL(p, SUB(gp, sum)), scale, 0);
  if (tn_wants(b, Q)) tn_deliver(b, Q, tn_op_matmul(gs, key, false, false));
  if (tn_wants(b, K)) tn_deliver(b, K, tn_op_matmul(gs, q, true, false));
  if (tn_wants(b, V)) tn_deliver(b, V, tn_op_matmul(p, b->g, true, false));
}
TN_RULE(attention_rule, "attention", attention_backward);

static bool check_operands(const char *op, const tn_node *q, const tn_node *k, const tn_node *v) {
  if (!tn_check_floats(op, q, k) || !tn_check_floats(op, q, v)) return false;
  int32_t n = q->t.dl.ndim;
  bool fits = n >= 2 && k->t.dl.ndim == n && v->t.dl.ndim == n && q->shape[n - 1] == k->shape[n - 1] &&
              k->shape[n - 2] == v->shape[n - 2];
  for (int32_t i = 0; i < n - 2 && fits; i++) fits = q->shape[i] == k->shape[i] && q->shape[i] == v->shape[i];
  if (!fits)
    tn_shape_error(op, "queries %s, keys %s and values %s do not fit", tn_shape_text(q), tn_shape_text(k),
                   tn_shape_text(v));
  return fits;
}

/* Numbers to add to the scores: (t, s) once, or for every batch. */
static tn_node *added_mask(tn_node *mask, const tn_node *q, int64_t t, int64_t s) {
  if (mask->t.dtype == TN_B8)
    mask = tn_op_where(mask, tn_op_scalar(q->t.dtype, 0), tn_op_scalar(q->t.dtype, -INFINITY));
  if (tn_is_poison(mask)) return mask;
  int32_t n = q->t.dl.ndim, m = mask->t.dl.ndim;
  bool once =
      m >= 2 && mask->t.numel == t * s && mask->shape[m - 2] == t && mask->shape[m - 1] == s && m <= n;
  if (once) return mask;
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, q->shape, sizeof shape);
  shape[n - 1] = s;
  return tn_op_broadcast(mask, n, shape);
}

tn_node *tn_op_attention(tn_node *q, tn_node *k, tn_node *v, tn_node *mask, bool causal, double scale) {
  static const char op[] = "attention";
  tn_node *all[] = {q, k, v, mask};
  for (int i = 0; i < 4; i++)
    if (all[i] && tn_is_poison(all[i])) return tn_poison();
  if (!check_operands(op, q, k, v)) return tn_poison();
  if (mask && mask->t.dtype != TN_B8 && mask->t.dtype != q->t.dtype)
    return tn_shape_error(op, "a mask of %s for %s", tn_dtype_name(mask->t.dtype), tn_dtype_name(q->t.dtype));
  double start = tn_trace_begin(q, k, v, mask);
  attention_job j = job_of(q, k, v);
  int32_t n = q->t.dl.ndim;
  bool former = tn_here->record;
  tn_here->record = false;
  if (mask) mask = added_mask(mask, q, j.t, j.s);
  tn_here->record = former;
  if (mask && tn_is_poison(mask)) return mask;
  int64_t shape[TN_MAX_DIMS];
  memcpy(shape, q->shape, sizeof shape);
  shape[n - 1] = j.e;
  tn_node *y = tn_node_new(q->t.dtype, n, shape);
  shape[n - 1] = j.s;
  tn_node *p = tn_node_new(q->t.dtype, n, shape);
  if (tn_is_poison(y) || tn_is_poison(p) || !tn_slots_take(&j.slots, j.scratch_bytes)) return tn_poison();
  j.scale = scale == 0 ? 1 / sqrt((double)tn_max64(j.d, 1)) : scale;
  j.causal = causal;
  j.mask = mask ? mask->t.dl.data : NULL;
  j.mask_step = mask && mask->t.numel != j.t * j.s ? j.t * j.s : 0;
  j.p = p->t.dl.data;
  j.y = y->t.dl.data;
  tn_parallel(j.batch, work_of(&j), forward_batch, &j);
  tn_here->multiply_adds += j.batch * j.t * j.s * (j.d + j.e);
  tn_slots_give(&j.slots);
  if (tn_here->record && (tn_needs(q) || tn_needs(k) || tn_needs(v))) {
    tn_node *in[INPUTS] = {q, k, v, mask ? mask : p, p};
    if (!tn_record_many(y, &attention_rule, in, INPUTS)) return tn_poison();
    y->a.d[0] = j.scale;
  }
  return tn_trace_end(op, start, y);
}
