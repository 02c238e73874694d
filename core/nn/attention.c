// SPDX-License-Identifier: MIT
/* Scaled dot-product attention (Vaswani et al. 2017): P = softmax(scale Q K^T + mask), Y = P V, one pass over
 * each pair (batch, head). P is kept for the derivative: V' = P^T Y',  P' = Y' V^T,  S' = P (P' - sum(P P')),
 * Q' = scale S' K,  K' = scale S'^T Q. */
#include "internal.h"

#include <math.h>

/* How the rows of one (batch, head) lie in a tensor, in elements. */
typedef struct attention_rows {
  int64_t batch, head, row; /* from one to the next */
} attention_rows;

typedef struct attention_job {
  const tn_real_kernels *k;
  size_t size;
  int64_t pairs, heads, t, s, d, e;
  double scale;
  bool causal;
  attention_rows q_rows, k_rows, v_rows, y_rows;
  const char *q, *key, *v, *mask, *g; /* g: of the output, laid out like it */
  int64_t mask_step;                  /* elements between the masks of two pairs */
  char *p, *y, *gq, *gk, *gv;
  tn_slots slots;
} attention_job;

static int64_t rows_start(const attention_job *j, const attention_rows *rows, int64_t pair) {
  return pair / j->heads * rows->batch + pair % j->heads * rows->head;
}

static const char *at(const attention_job *j, const char *base, int64_t element) {
  return base + (size_t)element * j->size;
}
static char *into(const attention_job *j, char *base, int64_t element) {
  return base + (size_t)element * j->size;
}

/* Query i sees keys 0 .. seen(i) - 1; key j is seen from query seen_from(j) on. */
static int64_t seen(const attention_job *j, int64_t i) {
  return j->causal ? tn_max64(0, tn_min64(j->s, i + 1 + j->s - j->t)) : j->s;
}
static int64_t seen_from(const attention_job *j, int64_t key) {
  return j->causal ? tn_max64(0, tn_min64(j->t, key + j->t - j->s)) : 0;
}

/* The rows of a causal triangle are taken in blocks, and what a block does not see is left out. */
static int64_t block_rows(const attention_job *j) { return j->causal ? 2 * j->k->gemm_rows : INT64_MAX; }

/* y (m, n) = a (m, k) b (k, n), the strides of a and b as gemm takes them */
static void product(const attention_job *j, int64_t m, int64_t n, int64_t k, const char *a, int64_t ra,
                    int64_t ca, const char *b, int64_t rb, int64_t cb, char *y, int64_t row, void *scratch) {
  if (n && k) {
    j->k->gemm(m, n, k, a, ra, ca, b, rb, cb, 0, y, row, y, row, scratch);
    return;
  }
  for (int64_t i = 0; i < m; i++) memset(into(j, y, i * row), 0, (size_t)n * j->size);
}

static size_t panel_bytes(const attention_job *j) {
  return tn_round64((size_t)j->k->gemm_packed_size(j->s, tn_max64(j->d, j->e)) * j->size);
}
/* Keys or values (s, n), transposed and packed, for several blocks of queries. */
static void pack_transposed(const attention_job *j, int64_t n, const char *rows, int64_t row, char *panels) {
  for (int64_t slice = 0; slice * TN_GEMM_DEPTH < n; slice++)
    j->k->gemm_pack(j->s, n, rows, 1, row, slice, panels);
}
/* y (m, seen) = a (m, k) times the first `seen` columns of what is packed; of up to a panel more, as whole
 * panels are faster and the softmax sets aside what is not seen. */
static void packed_product(const attention_job *j, int64_t m, int64_t seen, int64_t k, const char *a,
                           int64_t row, const char *panels, char *y) {
  int64_t n = tn_min64(j->s, tn_ceil_div(seen, TN_GEMM_PANEL) * TN_GEMM_PANEL);
  if (n && k)
    j->k->gemm_packed(m, 0, n, j->s, k, a, row, 1, panels, 0, y, j->s, y, j->s);
  else
    for (int64_t i = 0; i < m; i++) memset(into(j, y, i * j->s), 0, (size_t)n * j->size);
}

/* What a row's softmax is taken over: what it sees, rounded up to whole vectors, which are faster than single
 * elements; the rest counts nothing. */
static int64_t softmax_width(const attention_job *j, int64_t seen) {
  enum { VECTORS = 64 };
  return tn_min64(j->s, (seen + VECTORS - 1) / VECTORS * VECTORS);
}

static void softmax_rows(const attention_job *j, char *p, const char *mask, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) {
    char *row = into(j, p, i * j->s);
    int64_t n = seen(j, i);
    j->k->scale(j->scale, row, n);
    if (mask) j->k->row_add(at(j, mask, i * j->s), row, n);
    if (mask && n && j->k->max(row, n) == -INFINITY) n = 0;
    int64_t width = softmax_width(j, n);
    if (n) {
      j->k->fill(into(j, row, n), -INFINITY, width - n);
      j->k->softmax(row, row, 1, width);
    }
    memset(into(j, row, width), 0, (size_t)(j->s - width) * j->size);
  }
}

static void forward_pair(void *context, int64_t pair) {
  const attention_job *j = context;
  char *scratch = tn_slot(&j->slots), *panels = scratch + TN_GEMM_SCRATCH;
  const char *q = at(j, j->q, rows_start(j, &j->q_rows, pair));
  const char *key = at(j, j->key, rows_start(j, &j->k_rows, pair));
  const char *v = at(j, j->v, rows_start(j, &j->v_rows, pair));
  const char *mask = j->mask ? at(j, j->mask, pair * j->mask_step) : NULL;
  char *p = into(j, j->p, pair * j->t * j->s), *y = into(j, j->y, rows_start(j, &j->y_rows, pair));
  pack_transposed(j, j->d, key, j->k_rows.row, panels);
  for (int64_t i = 0, end; i < j->t; i = end) {
    end = tn_min64(j->t - i, block_rows(j)) + i;
    int64_t n = seen(j, end - 1);
    packed_product(j, end - i, n, j->d, at(j, q, i * j->q_rows.row), j->q_rows.row, panels,
                   into(j, p, i * j->s));
    softmax_rows(j, p, mask, i, end);
    product(j, end - i, j->e, n, at(j, p, i * j->s), j->s, 1, v, j->v_rows.row, 1,
            into(j, y, i * j->y_rows.row), j->y_rows.row, scratch);
  }
}

/* y (s, n) = x^T z for x (t, s), which is zero where nothing is seen, and z (t, n) */
static void transposed_product(const attention_job *j, int64_t n, const char *x, const char *z, int64_t z_row,
                               char *y, int64_t y_row, void *scratch) {
  for (int64_t key = 0, end; key < j->s; key = end) {
    end = tn_min64(j->s - key, block_rows(j)) + key;
    int64_t i = seen_from(j, key);
    product(j, end - key, n, j->t - i, at(j, x, i * j->s + key), 1, j->s, at(j, z, i * z_row), z_row, 1,
            into(j, y, key * y_row), y_row, scratch);
  }
}

/* S' (t, s) from P' = Y' V^T, and Q' */
static void backward_rows(const attention_job *j, int64_t pair, const char *g, char *s, char *scratch) {
  char *panels = scratch + TN_GEMM_SCRATCH;
  const char *p = at(j, j->p, pair * j->t * j->s), *v = at(j, j->v, rows_start(j, &j->v_rows, pair));
  const char *key = at(j, j->key, rows_start(j, &j->k_rows, pair));
  char *gq = j->gq ? into(j, j->gq, rows_start(j, &j->q_rows, pair)) : NULL;
  pack_transposed(j, j->e, v, j->v_rows.row, panels);
  for (int64_t i = 0, end; i < j->t; i = end) {
    end = tn_min64(j->t - i, block_rows(j)) + i;
    int64_t n = seen(j, end - 1);
    packed_product(j, end - i, n, j->e, at(j, g, i * j->y_rows.row), j->y_rows.row, panels,
                   into(j, s, i * j->s));
    for (int64_t r = i; r < end && n; r++) {
      char *row = into(j, s, r * j->s);
      int64_t width = softmax_width(j, n);
      j->k->fill(into(j, row, n), 0, width - n);
      j->k->softmax_grad(row, at(j, p, r * j->s), row, 1, width);
      j->k->scale(j->scale, row, n);
    }
    if (gq)
      product(j, end - i, j->d, n, at(j, s, i * j->s), j->s, 1, key, j->k_rows.row, 1,
              into(j, gq, i * j->q_rows.row), j->q_rows.row, scratch);
  }
}

static void backward_pair(void *context, int64_t pair) {
  const attention_job *j = context;
  char *scratch = tn_slot(&j->slots), *s = scratch + TN_GEMM_SCRATCH + panel_bytes(j);
  const char *g = at(j, j->g, rows_start(j, &j->y_rows, pair));
  if (j->gv)
    transposed_product(j, j->e, at(j, j->p, pair * j->t * j->s), g, j->y_rows.row,
                       into(j, j->gv, rows_start(j, &j->v_rows, pair)), j->v_rows.row, scratch);
  if (j->gq || j->gk) backward_rows(j, pair, g, s, scratch);
  if (j->gk)
    transposed_product(j, j->d, s, at(j, j->q, rows_start(j, &j->q_rows, pair)), j->q_rows.row,
                       into(j, j->gk, rows_start(j, &j->k_rows, pair)), j->k_rows.row, scratch);
}

static attention_job job_of(const tn_node *q, const tn_node *key, const tn_node *v) {
  int32_t n = q->t.dl.ndim;
  int64_t t = q->shape[n - 2], s = key->shape[n - 2], d = q->shape[n - 1], e = v->shape[n - 1];
  attention_job j = {.k = tn_here->k->real[q->t.dtype],
                     .size = tn_dtype_size(q->t.dtype),
                     .pairs = 1,
                     .heads = 1,
                     .t = t,
                     .s = s,
                     .d = d,
                     .e = e,
                     .q_rows = {t * d, 0, d},
                     .k_rows = {s * d, 0, d},
                     .v_rows = {s * e, 0, e},
                     .y_rows = {t * e, 0, e},
                     .q = q->t.dl.data,
                     .key = key->t.dl.data,
                     .v = v->t.dl.data};
  for (int32_t i = 0; i < n - 2; i++) j.pairs *= q->shape[i];
  return j;
}
static double work_of(const attention_job *j) {
  return (double)(j->pairs * j->t) * (double)j->s * (double)(j->d + j->e) / 25;
}

static bool run_forward(attention_job *j, tn_node *y, tn_node *p) {
  if (tn_is_poison(y) || tn_is_poison(p) || !tn_slots_take(&j->slots, TN_GEMM_SCRATCH + panel_bytes(j)))
    return false;
  j->p = p->t.dl.data;
  j->y = y->t.dl.data;
  tn_parallel(j->pairs, work_of(j), forward_pair, j);
  tn_here->multiply_adds += j->pairs * j->t * j->s * (j->d + j->e);
  tn_slots_give(&j->slots);
  return true;
}
static bool run_backward(attention_job *j, const tn_node *node, const tn_node *p, const tn_node *g) {
  if (!tn_slots_take(&j->slots, TN_GEMM_SCRATCH + panel_bytes(j) + (size_t)(j->t * j->s) * j->size))
    return false;
  j->scale = node->a.d[0];
  j->causal = node->a.d[1] != 0;
  j->p = p->t.dl.data;
  j->g = g->t.dl.data;
  tn_parallel(j->pairs, 2 * work_of(j), backward_pair, j);
  tn_slots_give(&j->slots);
  return true;
}

/* Inputs of a recorded node: q, k, v, mask (or P again), P. Attributes: scale, causal. */
enum { Q, K, V, MASK, P, INPUTS };

static void attention_backward_fast(tn_backward *b) {
  tn_node *const *in = tn_inputs(b->node);
  attention_job j = job_of(in[Q], in[K], in[V]);
  tn_node *gq = tn_wants(b, Q) ? tn_node_like(in[Q]) : NULL,
          *gk = tn_wants(b, K) ? tn_node_like(in[K]) : NULL;
  tn_node *gv = tn_wants(b, V) ? tn_node_like(in[V]) : NULL;
  if ((gq && tn_is_poison(gq)) || (gk && tn_is_poison(gk)) || (gv && tn_is_poison(gv))) return;
  j.gq = gq ? gq->t.dl.data : NULL;
  j.gk = gk ? gk->t.dl.data : NULL;
  j.gv = gv ? gv->t.dl.data : NULL;
  if (!run_backward(&j, b->node, in[P], b->g)) return;
  if (gq) tn_deliver(b, Q, gq);
  if (gk) tn_deliver(b, K, gk);
  if (gv) tn_deliver(b, V, gv);
}

/* The derivatives (Q', K', V') of what `part` (Q, K, V) and `mask` (or NULL) gave, made of differentiable
 * operations. What P does not see is set aside as a constant. */
static void attention_derivatives(const tn_node *node, tn_node *const *part, tn_node *mask,
                                  tn_node *probabilities, tn_node *g, tn_node **out) {
  tn_node *q = part[Q], *key = part[K];
  tn_dtype dtype = q->t.dtype;
  double scale = node->a.d[0];
  int32_t last = q->t.dl.ndim - 1;
  tn_node *seen = tn_op_binary(TN_NE, probabilities, tn_op_scalar(dtype, 0));
  tn_node *s = AFFINE(tn_op_matmul(q, key, false, true), scale, 0);
  if (mask) s = ADD(s, tn_op_unary(TN_CLAMP, mask, -1e30, INFINITY));
  tn_node *p = tn_op_softmax(tn_op_where(seen, s, tn_op_scalar(dtype, -1e30)), last);
  p = MUL(p, tn_op_cast(seen, dtype));
  tn_node *gp = tn_op_matmul(g, part[V], false, true);
  tn_node *sum = tn_op_reduce(TN_SUM, MUL(p, gp), TN_AXIS(last), true);
  tn_node *gs = AFFINE(MUL(p, SUB(gp, sum)), scale, 0);
  out[Q] = tn_op_matmul(gs, key, false, false);
  out[K] = tn_op_matmul(gs, q, true, false);
  out[V] = tn_op_matmul(p, g, true, false);
}

static void attention_backward(tn_backward *b) {
  if (!b->graph) {
    attention_backward_fast(b);
    return;
  }
  tn_node *const *in = tn_inputs(b->node), *derivatives[3];
  attention_derivatives(b->node, in, in[MASK] != in[P] ? in[MASK] : NULL, in[P], b->g, derivatives);
  for (uint32_t i = 0; i < 3; i++)
    if (tn_wants(b, i)) tn_deliver(b, i, derivatives[i]);
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
  j.scale = scale == 0 ? 1 / sqrt((double)tn_max64(j.d, 1)) : scale;
  j.causal = causal;
  j.mask = mask ? mask->t.dl.data : NULL;
  j.mask_step = mask && mask->t.numel != j.t * j.s ? j.t * j.s : 0;
  if (!run_forward(&j, y, p)) return tn_poison();
  if (tn_here->record && (tn_needs(q) || tn_needs(k) || tn_needs(v))) {
    tn_node *in[INPUTS] = {q, k, v, mask ? mask : p, p};
    if (!tn_record_many(y, &attention_rule, in, INPUTS)) return tn_poison();
    y->a.d[0] = j.scale;
    y->a.d[1] = j.causal;
  }
  return tn_trace_end(op, start, y);
}

/* Self-attention over packed rows: x (n, t, 3 h d) holds queries, keys and values of all heads side by side;
 * the heads' outputs lie side by side too. Inputs of a recorded node: x, P. Attributes: scale, causal, heads.
 */
enum { PACKED, PACKED_P, PACKED_INPUTS };

static attention_job packed_job(const tn_node *x, int64_t heads) {
  int64_t t = x->shape[1], width = x->shape[2] / 3, d = width / heads;
  attention_rows part = {t * 3 * width, d, 3 * width};
  const char *data = x->t.dl.data;
  attention_job j = {.k = tn_here->k->real[x->t.dtype],
                     .size = tn_dtype_size(x->t.dtype),
                     .pairs = x->shape[0] * heads,
                     .heads = heads,
                     .t = t,
                     .s = t,
                     .d = d,
                     .e = d,
                     .q_rows = part,
                     .k_rows = part,
                     .v_rows = part,
                     .y_rows = {t * width, d, width}};
  j.q = data;
  j.key = at(&j, data, width);
  j.v = at(&j, data, 2 * width);
  return j;
}

static void packed_backward_fast(tn_backward *b) {
  tn_node *const *in = tn_inputs(b->node), *x = in[PACKED], *gx = tn_node_like(x);
  if (tn_is_poison(gx)) return;
  attention_job j = packed_job(x, (int64_t)b->node->a.d[2]);
  j.gq = gx->t.dl.data;
  j.gk = into(&j, j.gq, x->shape[2] / 3);
  j.gv = into(&j, j.gq, x->shape[2] / 3 * 2);
  if (run_backward(&j, b->node, in[PACKED_P], b->g)) tn_deliver(b, PACKED, gx);
}

/* q, k or v (n, h, t, d) of x */
static tn_node *packed_part(tn_node *x, int64_t heads, int64_t part) {
  int64_t n = x->shape[0], t = x->shape[1], d = x->shape[2] / 3 / heads;
  tn_node *slice = tn_op_slice(x, 2, part * heads * d, (part + 1) * heads * d, 1);
  return tn_op_permute(tn_op_reshape(slice, 4, (int64_t[]){n, t, heads, d}), (const int32_t[]){0, 2, 1, 3});
}

/* (n, h, t, d) -> (n, t, h d) */
static tn_node *packed_rows(tn_node *x, int64_t width) {
  tn_node *rows = tn_op_permute(x, (const int32_t[]){0, 2, 1, 3});
  return tn_is_poison(rows) ? rows
                            : tn_op_reshape(rows, 3, (int64_t[]){rows->shape[0], rows->shape[1], width});
}

static void packed_backward(tn_backward *b) {
  if (!b->graph) {
    packed_backward_fast(b);
    return;
  }
  tn_node *const *in = tn_inputs(b->node), *x = in[PACKED], *part[3], *derivatives[3];
  int64_t heads = (int64_t)b->node->a.d[2], width = x->shape[2] / 3;
  for (int64_t i = 0; i < 3; i++) part[i] = packed_part(x, heads, i);
  tn_node *g =
      tn_op_permute(tn_op_reshape(b->g, 4, (int64_t[]){x->shape[0], x->shape[1], heads, width / heads}),
                    (const int32_t[]){0, 2, 1, 3});
  attention_derivatives(b->node, part, NULL, in[PACKED_P], g, derivatives);
  for (int i = 0; i < 3; i++) derivatives[i] = packed_rows(derivatives[i], width);
  tn_deliver(b, PACKED, tn_op_concatenate(derivatives, 3, 2));
}
TN_RULE(packed_rule, "self_attention", packed_backward);

tn_node *tn_op_self_attention(tn_node *x, int64_t heads, bool causal, double scale) {
  if (tn_is_poison(x)) return x;
  if (!tn_check_floats("self_attention", x, x)) return tn_poison();
  if (x->t.dl.ndim != 3 || heads < 1 || x->shape[2] % (3 * heads) != 0)
    return tn_shape_error("self_attention", "%s is not (n, t, 3 h d) for %lld heads", tn_shape_text(x),
                          (long long)heads);
  double start = tn_trace_begin(x, NULL, NULL, NULL);
  attention_job j = packed_job(x, heads);
  tn_node *y = tn_node_new(x->t.dtype, 3, (int64_t[]){x->shape[0], j.t, x->shape[2] / 3});
  tn_node *p = tn_node_new(x->t.dtype, 4, (int64_t[]){x->shape[0], heads, j.t, j.t});
  j.scale = scale == 0 ? 1 / sqrt((double)tn_max64(j.d, 1)) : scale;
  j.causal = causal;
  if (!run_forward(&j, y, p)) return tn_poison();
  if (tn_here->record && tn_needs(x)) {
    tn_node *in[PACKED_INPUTS] = {x, p};
    if (!tn_record_many(y, &packed_rule, in, PACKED_INPUTS)) return tn_poison();
    y->a.d[0] = j.scale;
    y->a.d[1] = causal;
    y->a.d[2] = (double)heads;
  }
  return tn_trace_end("self_attention", start, y);
}
