// SPDX-License-Identifier: MIT
/* Batch normalisation and group normalisation: y = activation((x - mean) / deviation * weight + bias +
 * residual), with statistics of each channel (batch) or of each group of channels of each image (group).
 *
 * Both see x as (n, c, s). A unit of work is an image, or a block of rows where s is 1; units leave sums a
 * channel, which are put together in order. Backward, with h = (x - mean) / deviation and g' the gradient
 * after the activation: bias' = sum g', weight' = sum g' h, x' = weight / deviation (g' - mean(g')) - h
 * mean(weight g' h) / ... , which for each channel is x' = p g' + q x + r. */
#include "internal.h"
#include "derivative.h"

#include <math.h>

enum { ROWS = 64, SMALL_PLANE = 256 }; /* of a unit where s is 1; elements whose sums need no care */

typedef struct norm_job {
  const tn_nn_real *k;
  const tn_real_kernels *engine; /* sums */
  tn_dtype dtype;
  size_t size;
  int64_t n, c, s;
  int64_t groups; /* of channels with statistics of their own in each image; 0: batch */
  int64_t units;
  bool relu;
  const char *x, *residual, *y, *g; /* y only where the activation has to be known from it */
  char *out, *masked;
  double *part;                      /* (units, c, 2): mean and squares, or two sums */
  double *a, *b;                     /* y = a x + b, a channel or (n, c) for groups */
  double *mean;                      /* a channel or (n, groups) */
  double *p, *q, *r;                 /* as a */
  void *ra, *rb, *rm, *rp, *rq, *rr; /* the same rounded, for rows */
  tn_slots slots;
} norm_job;

static norm_job job_of(const tn_node *x, int64_t groups) {
  norm_job j = {.k = tn_nn_real_of(x->t.dtype),
                .engine = tn_here->k->real[x->t.dtype],
                .dtype = x->t.dtype,
                .size = tn_dtype_size(x->t.dtype),
                .n = x->shape[0],
                .c = x->shape[1],
                .s = 1,
                .groups = groups,
                .x = x->t.dl.data};
  for (int32_t i = 2; i < x->t.dl.ndim; i++) j.s *= x->shape[i];
  bool rows = j.s == 1 && groups == 0;
  j.units = rows ? tn_ceil_div(j.n, ROWS) : j.n;
  return j;
}
static bool by_rows(const norm_job *j) { return j->s == 1 && j->groups == 0; }
static int64_t rows_of(const norm_job *j, int64_t unit) { return tn_min64(ROWS, j->n - unit * ROWS); }
static int64_t coefficients(const norm_job *j) { return j->groups ? j->n * j->c : j->c; }
static double work_of(const norm_job *j) { return 0.4 * (double)(j->n * j->c * j->s); }
static const char *at(const norm_job *j, const char *base, int64_t element) {
  return base ? base + (size_t)element * j->size : NULL;
}
static char *into(const norm_job *j, char *base, int64_t element) {
  return base ? base + (size_t)element * j->size : NULL;
}

/* Statistics */
static void moments_unit(void *context, int64_t u) {
  const norm_job *j = context;
  double *part = j->part + u * j->c * 2;
  if (by_rows(j)) {
    j->k->column_moments(at(j, j->x, u * ROWS * j->c), rows_of(j, u), j->c, part, part + j->c,
                         tn_slot(&j->slots));
    return;
  }
  int64_t channels = j->groups ? j->c / j->groups : 1, run = channels * j->s;
  if (run <= SMALL_PLANE) {
    j->k->plane_moments(at(j, j->x, u * j->c * j->s), j->c / channels, run, part);
    return;
  }
  for (int64_t c = 0; c < j->c / channels; c++) {
    const char *x = at(j, j->x, (u * j->c / channels + c) * run);
    double mean = j->engine->sum(x, run) / (double)run;
    part[2 * c] = mean;
    part[2 * c + 1] = j->engine->square_deviation(x, mean, run);
  }
}

/* Chan, Golub and LeVeque: means and squared deviations of parts put together, in order. */
static void join_moments(const norm_job *j, int64_t c, double *mean, double *square) {
  double m = 0, m2 = 0, count = 0;
  for (int64_t u = 0; u < j->units; u++) {
    const double *part = j->part + u * j->c * 2;
    double other = by_rows(j) ? (double)rows_of(j, u) : (double)j->s;
    double om = by_rows(j) ? part[c] : part[2 * c], o2 = by_rows(j) ? part[j->c + c] : part[2 * c + 1];
    double delta = om - m, all = count + other;
    m += delta * other / all;
    m2 += o2 + delta * delta * count * other / all;
    count = all;
  }
  *mean = m;
  *square = m2;
}

/* Forward */
static void apply_unit(void *context, int64_t u) {
  const norm_job *j = context;
  if (by_rows(j)) {
    int64_t o = u * ROWS * j->c;
    j->k->column_apply(at(j, j->x, o), at(j, j->residual, o), into(j, j->out, o), rows_of(j, u), j->c, j->ra,
                       j->rb, j->relu);
    return;
  }
  for (int64_t c = 0; c < j->c; c++) {
    int64_t plane = u * j->c + c, k = j->groups ? plane : c, o = plane * j->s;
    j->k->norm_apply(at(j, j->x, o), at(j, j->residual, o), into(j, j->out, o), j->s, j->a[k], j->b[k],
                     j->relu);
  }
}

static void round_to(const norm_job *j, const double *from, void *to) {
  if (!by_rows(j)) return;
  if (j->dtype == TN_F32)
    for (int64_t i = 0; i < j->c; i++) ((float *)to)[i] = (float)from[i];
  else
    memcpy(to, from, (size_t)j->c * sizeof *from);
}

static double value_at(const tn_node *x, int64_t i) {
  return x->t.dtype == TN_F32 ? (double)((const float *)x->t.dl.data)[i] : ((const double *)x->t.dl.data)[i];
}
static void store_at(const tn_node *x, int64_t i, double value) {
  if (x->t.dtype == TN_F32)
    ((float *)x->t.dl.data)[i] = (float)value;
  else
    ((double *)x->t.dl.data)[i] = value;
}

/* a and b from the statistics at `stats`: (count, 2), mean and 1 / deviation of each channel or group. */
static void coefficients_of(norm_job *j, const double *stats, const tn_node *weight, const tn_node *bias) {
  int64_t per = j->groups ? j->c / j->groups : 1;
  for (int64_t i = 0; i < coefficients(j); i++) {
    int64_t c = i % j->c;
    const double *s = stats + 2 * (i / per);
    j->a[i] = (weight ? value_at(weight, c) : 1) * s[1];
    j->b[i] = (bias ? value_at(bias, c) : 0) - s[0] * j->a[i];
  }
  round_to(j, j->a, j->ra);
  round_to(j, j->b, j->rb);
}

/* Takes memory for the coefficients and the parts; gives them back with tn_workspace_give(*memory). */
static bool take_memory(norm_job *j, void **memory) {
  int64_t count = coefficients(j), parts = j->units * j->c * 2;
  size_t rounded = tn_round64((size_t)j->c * j->size);
  unsigned char *m = tn_workspace_take((size_t)(6 * count + parts) * sizeof(double) + 6 * rounded + 64);
  *memory = m;
  if (!m) return false;
  double **lists[] = {&j->a, &j->b, &j->p, &j->q, &j->r, &j->mean, &j->part};
  for (int i = 0; i < 7; i++) {
    *lists[i] = (double *)(void *)m;
    m += (size_t)count * sizeof(double);
  }
  m = (unsigned char *)(((uintptr_t)(j->part + parts) + 63) & ~(uintptr_t)63);
  void **more[] = {&j->ra, &j->rb, &j->rm, &j->rp, &j->rq, &j->rr};
  for (int i = 0; i < 6; i++) *more[i] = m + (size_t)i * rounded;
  if (tn_slots_take(&j->slots, 2 * rounded)) return true;
  tn_workspace_give(*memory);
  return false;
}

/* Backward */
static void sums_unit(void *context, int64_t u) {
  const norm_job *j = context;
  double *part = j->part + u * j->c * 2;
  if (by_rows(j)) {
    int64_t o = u * ROWS * j->c;
    j->k->column_sums(at(j, j->g, o), at(j, j->x, o), at(j, j->y, o), rows_of(j, u), j->c, j->rm, part,
                      tn_slot(&j->slots));
    return;
  }
  int64_t per = j->groups ? j->c / j->groups : 1;
  for (int64_t c = 0; c < j->c; c++) {
    int64_t plane = u * j->c + c, k = j->groups ? plane : c, o = plane * j->s;
    j->k->norm_sums(at(j, j->g, o), at(j, j->x, o), at(j, j->y, o), j->s, j->mean[k / per], j->relu, j->a[k],
                    j->b[k], part + 2 * c);
  }
}

static void back_unit(void *context, int64_t u) {
  const norm_job *j = context;
  if (by_rows(j)) {
    int64_t o = u * ROWS * j->c;
    j->k->column_back(at(j, j->g, o), at(j, j->x, o), at(j, j->y, o), rows_of(j, u), j->c, j->rp, j->rq,
                      j->rr, into(j, j->out, o), into(j, j->masked, o));
    return;
  }
  for (int64_t c = 0; c < j->c; c++) {
    int64_t plane = u * j->c + c, k = j->groups ? plane : c, o = plane * j->s;
    j->k->norm_back(at(j, j->g, o), at(j, j->x, o), at(j, j->y, o), j->s, j->relu, j->a[k], j->b[k], j->p[k],
                    j->q[k], j->r[k], into(j, j->out, o), into(j, j->masked, o));
  }
}

/* p, q, r and the parameters' gradients from the sums. x' = w d (g' - A - h B), A = mean of w g' over w's ...
 * : with d = 1 / deviation, S = sum of w g', T = sum of w g' (x - mean) over what shares the statistics, L
 * its count: p = w d, q = -d^3 T / L, r = -d S / L - mean q. */
static void finish_sums(norm_job *j, const double *stats, const tn_node *weight, const tn_node *gw,
                        const tn_node *gb) {
  int64_t per = j->groups ? j->c / j->groups : 1, images = j->groups ? j->n : 1;
  double count = j->groups ? (double)(per * j->s) : (double)(j->n * j->s);
  int64_t step = by_rows(j) ? 1 : 2, second = by_rows(j) ? j->c : 1;
  for (int64_t c = 0; c < j->c && j->groups && (gw || gb); c++) {
    double sum = 0, product = 0;
    for (int64_t n = 0; n < j->n; n++) {
      const double *part = j->part + (n * j->c + c) * 2;
      sum += part[0];
      product += part[1] * stats[2 * (n * j->groups + c / per) + 1];
    }
    if (gw) store_at(gw, c, product);
    if (gb) store_at(gb, c, sum);
  }
  for (int64_t i = 0; i < images * j->c; i += per) {
    const double *s = stats + 2 * (i / per);
    double sum = 0, product = 0;
    for (int64_t k = i; k < i + per; k++) {
      int64_t c = k % j->c;
      double w = weight ? value_at(weight, c) : 1, own = 0, own_product = 0;
      for (int64_t u = j->groups ? k / j->c : 0; u < (j->groups ? k / j->c + 1 : j->units); u++) {
        const double *part = j->part + u * j->c * 2;
        own += part[step * c];
        own_product += part[step * c + second];
      }
      sum += w * own;
      product += w * own_product;
      if (!j->groups && gw) store_at(gw, c, own_product * s[1]);
      if (!j->groups && gb) store_at(gb, c, own);
      j->p[k] = w * s[1];
    }
    for (int64_t k = i; k < i + per; k++) {
      j->q[k] = -s[1] * s[1] * s[1] * product / count;
      j->r[k] = -s[1] * sum / count - s[0] * j->q[k];
    }
  }
  round_to(j, j->p, j->rp);
  round_to(j, j->q, j->rq);
  round_to(j, j->r, j->rr);
}

/* A recorded node's inputs: x, weight, bias, residual, statistics; absent ones are the statistics again.
 * Attributes: epsilon, groups, activation. */
enum { X, WEIGHT, BIAS, RESIDUAL, STATS, INPUTS };

static void norm_backward_fast(tn_backward *b) {
  tn_node *node = b->node, *const *in = tn_inputs(node), *stats = in[STATS], *x = in[X];
  tn_node *weight = in[WEIGHT] == stats ? NULL : in[WEIGHT], *bias = in[BIAS] == stats ? NULL : in[BIAS];
  norm_job j = job_of(x, node->a.i[1]);
  void *memory;
  bool residual = in[RESIDUAL] != stats;
  tn_node *gw = NULL, *gb = NULL, *gx = NULL, *gr = NULL;
  if (weight && tn_wants(b, WEIGHT)) gw = tn_node_like(weight);
  if (bias && tn_wants(b, BIAS)) gb = tn_node_like(bias);
  j.relu = node->a.i[2] & TN_NORM_RELU;
  if (residual && tn_wants(b, RESIDUAL)) gr = j.relu ? tn_node_like(x) : b->g;
  if (tn_wants(b, X)) gx = gr == b->g ? tn_node_like(x) : tn_reuse_gradient(b);
  if ((gw && tn_is_poison(gw)) || (gb && tn_is_poison(gb)) || (gr && tn_is_poison(gr)) ||
      (gx && tn_is_poison(gx)) || !take_memory(&j, &memory))
    return;
  const double *s = stats->t.dl.data;
  j.g = b->g->t.dl.data;
  j.y = j.relu && (residual || by_rows(&j)) ? node->t.dl.data : NULL;
  for (int64_t i = 0; i < stats->t.numel / 2; i++) j.mean[i] = s[2 * i];
  round_to(&j, j.mean, j.rm);
  coefficients_of(&j, s, weight, bias);
  tn_parallel(j.units, work_of(&j), sums_unit, &j);
  finish_sums(&j, s, weight, gw, gb);
  if (gx || (gr && gr != b->g)) {
    j.out = gx ? gx->t.dl.data : gr->t.dl.data;
    j.masked = gr && gr != b->g ? gr->t.dl.data : NULL;
    tn_parallel(j.units, work_of(&j), back_unit, &j);
  }
  tn_slots_give(&j.slots);
  tn_workspace_give(memory);
  if (gw) tn_deliver(b, WEIGHT, gw);
  if (gb) tn_deliver(b, BIAS, gb);
  if (gr) tn_deliver(b, RESIDUAL, gr);
  if (gx) tn_deliver(b, X, gx);
}

/* The same made of differentiable operations, on x seen as (n, groups, channels of a group, s), for batches
 * as (n, c, 1, s). */
static void norm_backward(tn_backward *b) {
  tn_node *node = b->node, *const *in = tn_inputs(node), *stats = in[STATS], *x = in[X], *g = b->g;
  if (!b->graph) {
    norm_backward_fast(b);
    return;
  }
  int64_t groups = node->a.i[1], c = x->shape[1], per = groups ? c / groups : 1;
  int64_t view[4] = {x->shape[0], c / per, per, c && x->shape[0] ? x->t.numel / (x->shape[0] * c) : 1};
  if (node->a.i[2] & TN_NORM_RELU)
    g = MUL(g, tn_op_cast(tn_op_binary(TN_GT, node, tn_op_scalar(node->t.dtype, 0)), node->t.dtype));
  if (in[RESIDUAL] != stats && tn_wants(b, RESIDUAL)) tn_deliver(b, RESIDUAL, g);
  tn_normalised n = {.x = tn_op_reshape(x, 4, view),
                     .g = tn_op_reshape(g, 4, view),
                     .center = true,
                     .axes = groups ? TN_AXIS(2) | TN_AXIS(3) : TN_AXIS(0) | TN_AXIS(3),
                     .epsilon = node->a.d[0]};
  if (in[WEIGHT] != stats) n.weight = tn_op_reshape(in[WEIGHT], 4, (const int64_t[]){1, c / per, per, 1});
  tn_normal_derivative(&n);
  if (tn_wants(b, X)) tn_deliver(b, X, tn_op_like_shape(n.gx, x));
  uint32_t others = TN_AXIS(0) | TN_AXIS(3);
  if (in[WEIGHT] != stats && tn_wants(b, WEIGHT))
    tn_deliver(b, WEIGHT, tn_op_like_shape(tn_op_reduce(TN_SUM, n.gh, others, false), in[WEIGHT]));
  if (in[BIAS] != stats && tn_wants(b, BIAS))
    tn_deliver(b, BIAS, tn_op_like_shape(tn_op_reduce(TN_SUM, n.g, others, false), in[BIAS]));
}
TN_RULE(batch_rule, "batch_norm", norm_backward);
TN_RULE(group_rule, "group_norm", norm_backward);

static bool check_channels(const char *op, const tn_node *x, const tn_node *p) {
  if (!p) return true;
  if (!tn_check_floats(op, x, p)) return false;
  if (p->t.numel == x->shape[1]) return true;
  tn_shape_error(op, "a parameter %s for the channels of %s", tn_shape_text(p), tn_shape_text(x));
  return false;
}

static bool check_operands(const char *op, const tn_node *x, const tn_node *weight, const tn_node *bias,
                           const tn_node *residual) {
  if (x->t.dl.ndim < 2 || !tn_is_float(x->t.dtype)) {
    tn_shape_error(op, "%s of %s has no channels", tn_shape_text(x), tn_dtype_name(x->t.dtype));
    return false;
  }
  if (!check_channels(op, x, weight) || !check_channels(op, x, bias)) return false;
  if (residual && (!tn_check_floats(op, x, residual) || !tn_same_shape(x, residual))) {
    if (residual->t.dtype == x->t.dtype)
      tn_shape_error(op, "a residual %s for %s", tn_shape_text(residual), tn_shape_text(x));
    return false;
  }
  return true;
}

static bool any_poison(tn_node *const *xs, int count) {
  for (int i = 0; i < count; i++)
    if (xs[i] && tn_is_poison(xs[i])) return true;
  return false;
}

/* From the parts to the statistics; batch: also what running statistics are made of. */
static void finish_statistics(const norm_job *j, double epsilon, double *s, tn_node *mean,
                              tn_node *variance) {
  if (j->groups) {
    double count = (double)(j->c / j->groups * j->s);
    for (int64_t i = 0; i < j->n * j->groups; i++) {
      const double *part = j->part + i / j->groups * j->c * 2 + i % j->groups * 2;
      s[2 * i] = part[0];
      s[2 * i + 1] = 1 / sqrt(part[1] / count + epsilon);
    }
    return;
  }
  double count = (double)(j->n * j->s);
  for (int64_t c = 0; c < j->c; c++) {
    double square;
    join_moments(j, c, &s[2 * c], &square);
    s[2 * c + 1] = 1 / sqrt(square / count + epsilon);
    if (mean) store_at(mean, c, s[2 * c]);
    if (variance) store_at(variance, c, square / (count > 1 ? count - 1 : 1));
  }
}

static tn_node *normalise(const tn_rule *rule, tn_node *x, int64_t groups, tn_node *weight, tn_node *bias,
                          tn_node *residual, double epsilon, uint32_t flags, tn_node *mean,
                          tn_node *variance) {
  double start = tn_trace_begin(x, weight, bias, residual);
  norm_job j = job_of(x, groups);
  tn_node *y = tn_node_like(x);
  tn_node *stats = tn_node_new(TN_F64, 2, (const int64_t[]){groups ? j.n * groups : j.c, 2});
  void *memory;
  if (tn_is_poison(y) || tn_is_poison(stats) || !take_memory(&j, &memory)) return tn_poison();
  j.out = y->t.dl.data;
  j.residual = residual ? residual->t.dl.data : NULL;
  j.relu = flags & TN_NORM_RELU;
  tn_parallel(j.units, work_of(&j), moments_unit, &j);
  finish_statistics(&j, epsilon, stats->t.dl.data, mean, variance);
  coefficients_of(&j, stats->t.dl.data, weight, bias);
  tn_parallel(j.units, work_of(&j), apply_unit, &j);
  tn_slots_give(&j.slots);
  tn_workspace_give(memory);
  tn_node *in[INPUTS] = {x, weight ? weight : stats, bias ? bias : stats, residual ? residual : stats, stats};
  bool needs = false;
  for (int i = 0; i < INPUTS; i++) needs |= tn_needs(in[i]);
  if (tn_here->record && needs) {
    if (!tn_record_many(y, rule, in, INPUTS)) return tn_poison();
    y->a.d[0] = epsilon;
    y->a.i[1] = groups;
    y->a.i[2] = flags;
  }
  return tn_trace_end(rule->name, start, y);
}

tn_node *tn_op_batch_norm(tn_node *x, tn_node *weight, tn_node *bias, tn_node *residual, double epsilon,
                          uint32_t flags, tn_tensor **mean, tn_tensor **variance) {
  if (mean) *mean = &tn_poison()->t;
  if (variance) *variance = &tn_poison()->t;
  tn_node *all[] = {x, weight, bias, residual};
  if (any_poison(all, 4) || !check_operands("batch_norm", x, weight, bias, residual)) return tn_poison();
  if (x->t.numel == 0) return tn_shape_error("batch_norm", "no elements in %s", tn_shape_text(x));
  tn_node *m = mean ? tn_node_new(x->t.dtype, 1, &x->shape[1]) : NULL;
  tn_node *v = variance ? tn_node_new(x->t.dtype, 1, &x->shape[1]) : NULL;
  if ((m && tn_is_poison(m)) || (v && tn_is_poison(v))) return tn_poison();
  tn_node *y = normalise(&batch_rule, x, 0, weight, bias, residual, epsilon, flags, m, v);
  if (mean) *mean = &m->t;
  if (variance) *variance = &v->t;
  return y;
}

tn_node *tn_op_group_norm(tn_node *x, int64_t groups, tn_node *weight, tn_node *bias, double epsilon,
                          uint32_t flags) {
  tn_node *all[] = {x, weight, bias};
  if (any_poison(all, 3) || !check_operands("group_norm", x, weight, bias, NULL)) return tn_poison();
  if (groups < 1 || x->shape[1] % groups)
    return tn_shape_error("group_norm", "%lld groups of the channels of %s", (long long)groups,
                          tn_shape_text(x));
  if (x->t.numel == 0) return tn_shape_error("group_norm", "no elements in %s", tn_shape_text(x));
  return normalise(&group_rule, x, groups, weight, bias, NULL, epsilon, flags, NULL, NULL);
}

/* With given statistics: one pass if no derivative is wanted, otherwise made of what has derivatives. */
tn_node *tn_op_batch_norm_fixed(tn_node *x, tn_node *weight, tn_node *bias, tn_node *residual, tn_node *mean,
                                tn_node *variance, double epsilon, uint32_t flags) {
  static const char op[] = "batch_norm_fixed";
  tn_node *all[] = {x, weight, bias, residual, mean, variance};
  if (any_poison(all, 6) || !check_operands(op, x, weight, bias, residual) || !check_channels(op, x, mean) ||
      !check_channels(op, x, variance))
    return tn_poison();
  double start = tn_trace_begin(x, weight, bias, residual, mean, variance);
  bool needs = false;
  for (int i = 0; i < 6; i++) needs |= all[i] && tn_needs(all[i]);
  if (tn_here->record && needs) {
    int64_t shape[TN_MAX_DIMS] = {x->shape[1], 1, 1, 1, 1, 1, 1, 1};
    int32_t rank = x->t.dl.ndim - 1;
    tn_node *a = UNARY(TN_RSQRT, AFFINE(variance, 1, epsilon));
    if (weight) a = MUL(a, tn_op_like_shape(weight, variance));
    tn_node *shift = NEG(MUL(tn_op_like_shape(mean, variance), a));
    if (bias) shift = ADD(shift, tn_op_like_shape(bias, variance));
    tn_node *y = ADD(MUL(x, tn_op_reshape(a, rank, shape)), tn_op_reshape(shift, rank, shape));
    if (residual) y = ADD(y, residual);
    return tn_trace_end(op, start, flags & TN_NORM_RELU ? UNARY(TN_RELU, y) : y);
  }
  norm_job j = job_of(x, 0);
  tn_node *y = tn_node_like(x);
  void *memory;
  if (tn_is_poison(y) || !take_memory(&j, &memory)) return tn_poison();
  for (int64_t c = 0; c < j.c; c++) { // the parts' memory will do: two numbers a channel
    j.p[c] = value_at(mean, c);
    j.q[c] = 1 / sqrt(value_at(variance, c) + epsilon);
    j.a[c] = (weight ? value_at(weight, c) : 1) * j.q[c];
    j.b[c] = (bias ? value_at(bias, c) : 0) - j.p[c] * j.a[c];
  }
  round_to(&j, j.a, j.ra);
  round_to(&j, j.b, j.rb);
  j.out = y->t.dl.data;
  j.residual = residual ? residual->t.dl.data : NULL;
  j.relu = flags & TN_NORM_RELU;
  if (y->t.numel) tn_parallel(j.units, work_of(&j), apply_unit, &j);
  tn_slots_give(&j.slots);
  tn_workspace_give(memory);
  return tn_trace_end(op, start, y);
}
