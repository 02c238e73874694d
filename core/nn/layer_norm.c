// SPDX-License-Identifier: MIT
/* Layer normalisation and root-mean-square normalisation: rows with statistics of their own and a weight a
 * column. Rows are done in fixed blocks, whose shares of the parameters' gradients are added in order. */
#include "derivative.h"

enum { BLOCKS = 16, ROW_ATTRIBUTE = 1, CENTER_ATTRIBUTE = 2 };

typedef struct row_job {
  const tn_nn_real *k;
  size_t size;
  int64_t rows, n, blocks;
  double epsilon;
  bool center;
  const char *x, *w, *b, *g;
  char *y, *gw, *gb; /* gw, gb: (blocks, n) */
  double *stats;     /* (rows, 2) */
} row_job;

static row_job job_of(const tn_node *x, int64_t n) {
  row_job j = {.k = tn_nn_real_of(x->t.dtype),
               .size = tn_dtype_size(x->t.dtype),
               .rows = n ? x->t.numel / n : 0,
               .n = n,
               .x = x->t.dl.data};
  j.blocks = tn_min64(BLOCKS, j.rows);
  return j;
}

static void forward_block(void *context, int64_t block) {
  const row_job *j = context;
  int64_t row = block * j->rows / j->blocks, end = (block + 1) * j->rows / j->blocks;
  size_t o = (size_t)(row * j->n) * j->size;
  j->k->row_norm(j->x + o, j->w, j->b, j->y + o, j->stats + 2 * row, end - row, j->n, j->epsilon, j->center);
}

static void backward_block(void *context, int64_t block) {
  const row_job *j = context;
  int64_t row = block * j->rows / j->blocks, end = (block + 1) * j->rows / j->blocks;
  size_t o = (size_t)(row * j->n) * j->size, line = (size_t)j->n * j->size;
  char *gw = j->gw + (size_t)block * line, *gb = j->gb + (size_t)block * line;
  memset(gw, 0, line);
  memset(gb, 0, line);
  j->k->row_norm_back(j->g + o, j->x + o, j->w, j->stats + 2 * row, j->y + o, gw, gb, end - row, j->n,
                      j->center);
}

static void deliver_sum(tn_backward *b, uint32_t input, const row_job *j, char *parts) {
  tn_node *parameter = tn_inputs(b->node)[input], *sum = tn_node_like(parameter);
  if (tn_is_poison(sum)) return;
  const tn_real_kernels *k = tn_here->k->real[parameter->t.dtype];
  size_t line = (size_t)j->n * j->size;
  for (int64_t i = 1; i < j->blocks; i++) k->row_add(parts + (size_t)i * line, parts, j->n);
  memcpy(sum->t.dl.data, parts, line);
  tn_deliver(b, input, sum);
}

/* Inputs of a recorded node: x, weight, bias, statistics; absent ones are the statistics again. */
enum { X, WEIGHT, BIAS, STATS, INPUTS };

static void norm_backward_fast(tn_backward *b) {
  tn_node *node = b->node, *const *in = node->in, *stats = in[STATS], *x = in[X];
  row_job j = job_of(x, node->a.i[ROW_ATTRIBUTE]);
  size_t line = tn_round64((size_t)j.n * j.size), parts = tn_round64((size_t)(j.blocks * j.n) * j.size);
  unsigned char *memory = tn_workspace_take(line + 2 * parts);
  if (!memory) return;
  tn_node *gx = tn_reuse_gradient(b);
  if (!tn_is_poison(gx)) {
    if (in[WEIGHT] == stats) tn_here->k->real[x->t.dtype]->fill(memory, 1, j.n);
    j.w = in[WEIGHT] == stats ? (const char *)memory : in[WEIGHT]->t.dl.data;
    j.center = node->a.i[CENTER_ATTRIBUTE];
    j.g = b->g->t.dl.data;
    j.y = gx->t.dl.data;
    j.gw = (char *)memory + line;
    j.gb = j.gw + parts;
    j.stats = stats->t.dl.data;
    tn_parallel(j.blocks, 0.6 * (double)x->t.numel, backward_block, &j);
    if (in[WEIGHT] != stats && tn_wants(b, WEIGHT)) deliver_sum(b, WEIGHT, &j, j.gw);
    if (in[BIAS] != stats && tn_wants(b, BIAS)) deliver_sum(b, BIAS, &j, j.gb);
    if (tn_wants(b, X))
      tn_deliver(b, X, gx);
    else if (gx == b->g)
      b->taken = false;
  }
  tn_workspace_give(memory);
}

static void norm_backward(tn_backward *b) {
  tn_node *node = b->node, *const *in = node->in, *stats = in[STATS], *x = in[X];
  if (!b->graph) {
    norm_backward_fast(b);
    return;
  }
  int64_t n = node->a.i[ROW_ATTRIBUTE], view[2] = {n ? x->t.numel / n : 0, n};
  tn_normalised m = {.x = tn_op_reshape(x, 2, view),
                     .g = tn_op_reshape(b->g, 2, view),
                     .axes = TN_AXIS(1),
                     .center = node->a.i[CENTER_ATTRIBUTE],
                     .epsilon = node->a.d[0]};
  if (in[WEIGHT] != stats) m.weight = tn_op_reshape(in[WEIGHT], 1, &n);
  tn_normal_derivative(&m);
  if (tn_wants(b, X)) tn_deliver(b, X, tn_op_like_shape(m.gx, x));
  if (in[WEIGHT] != stats && tn_wants(b, WEIGHT))
    tn_deliver(b, WEIGHT, tn_op_like_shape(tn_op_reduce(TN_SUM, m.gh, TN_AXIS(0), false), in[WEIGHT]));
  if (in[BIAS] != stats && tn_wants(b, BIAS))
    tn_deliver(b, BIAS, tn_op_like_shape(tn_op_reduce(TN_SUM, m.g, TN_AXIS(0), false), in[BIAS]));
}
TN_RULE(layer_rule, "layer_norm", norm_backward);
TN_RULE(rms_rule, "rms_norm", norm_backward);

static bool check_parameter(const char *op, const tn_node *x, int32_t axes, const tn_node *p) {
  if (!p) return true;
  if (!tn_check_floats(op, x, p)) return false;
  bool fits = p->t.dl.ndim == axes;
  for (int32_t i = 0; i < axes && fits; i++) fits = p->shape[i] == x->shape[x->t.dl.ndim - axes + i];
  if (!fits)
    tn_shape_error(op, "a parameter %s for the last %d axes of %s", tn_shape_text(p), axes, tn_shape_text(x));
  return fits;
}

static tn_node *normalise(const tn_rule *rule, tn_node *x, int32_t axes, tn_node *weight, tn_node *bias,
                          double epsilon, bool center) {
  if (tn_is_poison(x)) return x;
  if (weight && tn_is_poison(weight)) return weight;
  if (bias && tn_is_poison(bias)) return bias;
  if (axes < 1 || axes > x->t.dl.ndim || !tn_is_float(x->t.dtype))
    return tn_shape_error(rule->name, "over the last %d axes of %s of %s", axes, tn_shape_text(x),
                          tn_dtype_name(x->t.dtype));
  if (!check_parameter(rule->name, x, axes, weight) || !check_parameter(rule->name, x, axes, bias))
    return tn_poison();
  double start = tn_trace_begin(x, weight, bias);
  int64_t n = 1;
  for (int32_t i = x->t.dl.ndim - axes; i < x->t.dl.ndim; i++) n *= x->shape[i];
  if (n == 0) return tn_shape_error(rule->name, "no elements in the rows of %s", tn_shape_text(x));
  row_job j = job_of(x, n);
  tn_node *y = tn_node_like(x), *stats = tn_node_new(TN_F64, 2, (const int64_t[]){j.rows, 2});
  if (tn_is_poison(y) || tn_is_poison(stats)) return tn_poison();
  j.w = weight ? weight->t.dl.data : NULL;
  j.b = bias ? bias->t.dl.data : NULL;
  j.y = y->t.dl.data;
  j.stats = stats->t.dl.data;
  j.epsilon = epsilon;
  j.center = center;
  tn_parallel(j.blocks, 0.4 * (double)x->t.numel, forward_block, &j);
  tn_node *in[INPUTS] = {x, weight ? weight : stats, bias ? bias : stats, stats};
  if (tn_here->record && (tn_needs(x) || tn_needs(in[WEIGHT]) || tn_needs(in[BIAS]))) {
    if (!tn_record_many(y, rule, in, INPUTS)) return tn_poison();
    y->a.d[0] = epsilon;
    y->a.i[ROW_ATTRIBUTE] = n;
    y->a.i[CENTER_ATTRIBUTE] = center;
  }
  return tn_trace_end(rule->name, start, y);
}

tn_node *tn_op_layer_norm(tn_node *x, int32_t axes, tn_node *weight, tn_node *bias, double epsilon) {
  return normalise(&layer_rule, x, axes, weight, bias, epsilon, true);
}

tn_node *tn_op_rms_norm(tn_node *x, int32_t axes, tn_node *weight, double epsilon) {
  return normalise(&rms_rule, x, axes, weight, NULL, epsilon, false);
}
