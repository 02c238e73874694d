// SPDX-License-Identifier: MIT
/* How far optimizer.lion_k's weights are from what they are confined to, {x: lambda x in the domain of K*}
 * (Chen et al. 2023), and from the solution there. Over all tensors with weight decay:
 *
 *   norm      largest gauge of lambda x: within the set up to 1
 *   distance  largest distance of lambda x from the domain; `distance.NAME` of each tensor if they are few
 *   active    share of the constraints (coordinates, groups, singular values) with a gauge of at least
 *             1 - `margin`
 *   kkt       sum of (K(-g) + K*(y) + <g, y>) / lambda, y = lambda x, projected if it is outside: 0 exactly
 *             in a stationary point, and for convex f an upper bound of what is left to gain. g is the
 *             gradient of a probed problem, or the optimizer's average of a model's gradients
 *
 * Whatever the gradients are, the excess of a gauge over 1 shrinks at each step by the factor 1 - lr lambda,
 * or 1 / (1 + lr lambda) with implicit decay:
 *
 *   envelope_violations  measurements of tensors whose excess is above its start times these factors
 *   late_violations      measurements of tensors with a norm above 1 + 1e-6 although that product is below
 *                        1e-6
 *
 * With `reference`, a stage that has published the solution of the same problem:
 *
 *   reference_active    constraints that are active there
 *   identified          share of all constraints that are active in both or in neither
 *   reference_distance  largest difference of a coordinate */
#include "lion_k.h"
#include <stdio.h>
#include <stdlib.h>
#include <tenon/stage.h>

struct constraint {
  const tn_component *optimizer, *reference;
  double margin;
  bool distances;
  int64_t each;

  double *start; /* excess of each block at the first measurement; NULL: none yet */
  size_t start_bytes;
  double remaining; /* the optimizer's product there */
  int64_t envelope, late;
};
static const tn_param constraint_params[] = {
    TN_REFERENCE(struct constraint, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL,
                 "an optimizer of Lion's family, with weight decay"),
    TN_REFERENCE(struct constraint, reference, 0, TN_STAGE, NULL,
                 "an earlier stage that solves the same problem, as stage.solve"),
    TN_REAL(struct constraint, margin, "1e-3", 0, 1,
            "how far from 1 the gauge of an active constraint may be"),
    TN_BOOL(struct constraint, distances, "yes", "distances too, which take a projection"),
    TN_INTEGER(struct constraint, each, "8", 0, 32, "tensors", "as many are reported one by one"),
};

static tn_status constraint_declare(void *self, const tn_spec *fields) {
  (void)fields;
  return lion_k_require(((struct constraint *)self)->optimizer);
}

static void constraint_reset(void *self) {
  struct constraint *c = self;
  tn_free(c->start);
  c->start = NULL;
  c->start_bytes = 0;
  c->envelope = c->late = 0;
}

/* The gradient of the block, in float64. */
static tn_tensor *slope_of(const tn_metric_probe *probe, const tn_kappa_state *s,
                           const struct block_walk *walk) {
  const tn_component *problem = probed_problem(probe);
  if (!problem) return tn_cast(tn_stop_gradient(block_of(walk, s->average)), TN_F64);
  tn_tensor *point = probed_point(probe), *slope = tn_empty(TN_F64, tn_shape_of(point));
  double value;
  if (!tn_poisoned(slope)) tn_problem_gradient(problem, tn_f64(point), tn_f64(slope), &value);
  return slope;
}

/* A published point, float64 of x's shape. */
static tn_tensor *published(const struct constraint *c, const tn_tensor *x) {
  const char *text = tn_published_text(c->reference, "best");
  tn_tensor *point = tn_empty(TN_F64, tn_shape_of(x));
  char *end = (char *)(uintptr_t)text;
  if (!text) tn_fail(TN_ERROR_MISSING, "'%s' has published no point", c->reference->name);
  for (int64_t i = 0; text && !tn_poisoned(point) && i < x->numel; i++) {
    tn_f64(point)[i] = strtod(text, &end);
    if (end == text) {
      tn_fail(TN_ERROR_SHAPE, "'%s' has published %lld numbers: expected %lld", c->reference->name,
              (long long)i, (long long)x->numel);
      text = NULL;
    } else {
      text = end;
    }
  }
  return point;
}

struct totals {
  double norm, distance, kkt;
  double active, constraints, settled;
  double agreeing, reference_active, reference_distance, reference_gap;
};

/* f + K* / lambda; NAN of a model. */
static double composite(const tn_metric_probe *probe, const tn_component *kappa, tn_tensor *x,
                        double lambda) {
  const tn_component *problem = probed_problem(probe);
  double value = NAN;
  if (problem) tn_problem_evaluate(problem, tn_f64(x), 1, &value);
  return value + tn_kappa_conjugate(kappa, tn_scale(x, lambda)) / lambda;
}

static void compare(const struct constraint *c, const tn_metric_probe *probe, const tn_component *kappa,
                    tn_tensor *x, double lambda, const tn_tensor *gauges, struct totals *t) {
  tn_tensor *other = published(c, x);
  if (tn_failed()) return;
  const tn_tensor *wanted = tn_kappa_constraints(kappa, tn_scale(other, lambda));
  if (tn_poisoned(wanted)) return;
  t->reference_gap = composite(probe, kappa, x, lambda) - composite(probe, kappa, other, lambda);
  for (int64_t i = 0; i < x->numel; i++)
    t->reference_distance = fmax(t->reference_distance, fabs(tn_f64(other)[i] - tn_f64(x)[i]));
  for (int64_t i = 0; i < gauges->numel; i++) {
    const bool there = tn_f64(wanted)[i] >= 1 - c->margin, here = tn_f64(gauges)[i] >= 1 - c->margin;
    t->reference_active += there;
    t->agreeing += here == there;
  }
}

/* Adds one block; `at`: its number. */
static void measure_block(struct constraint *c, const tn_metric_probe *probe, const tn_kappa_state *s,
                          const struct block_walk *walk, uint32_t at, bool named, struct totals *t,
                          tn_metric_sink *sink) {
  const tn_component *kappa = lion_k_kappa(c->optimizer, walk);
  tn_tensor *stored = tn_stop_gradient(block_of(walk, probe->params));
  tn_tensor *x = tn_cast(stored, TN_F64), *y = tn_scale(x, s->decay);
  tn_tensor *g = slope_of(probe, s, walk), *gauges = tn_kappa_constraints(kappa, y);
  const double norm = tn_kappa_norm(kappa, y);
  tn_tensor *near = norm > 1 && c->distances ? tn_kappa_project(kappa, y)
                    : norm > 1               ? tn_scale(y, 1 / norm)
                                             : y;
  if (tn_failed()) return;
  const double distance = tn_item(tn_norm(tn_sub(y, near))), excess = fmax(norm - 1, 0);
  const double gap =
      tn_kappa_value(kappa, tn_neg(g)) + tn_kappa_conjugate(kappa, near) + tn_item(tn_sum(tn_mul(g, near)));
  t->norm = fmax(t->norm, norm);
  t->distance = fmax(t->distance, distance);
  t->kkt += gap / s->decay;
  t->constraints += (double)gauges->numel;
  for (int64_t i = 0; i < gauges->numel; i++) t->active += tn_f64(gauges)[i] >= 1 - c->margin;
  if (c->reference) compare(c, probe, kappa, x, s->decay, gauges, t);

  const double rounding = stored->dtype == TN_F64 ? 1e-12 : 1e-6;
  const double envelope = c->start[at] * s->remaining / c->remaining;
  c->envelope += excess > envelope + rounding;
  t->settled += envelope <= 1e-6;
  c->late += envelope <= 1e-6 && excess > 1e-6;
  if (!named) return;
  char name[96];
  snprintf(name, sizeof name, "distance.%s", block_name(walk));
  if (c->distances) sink->value(sink, name, distance);
}

/* The excess of each block with decay, when the first measurement is made. */
static tn_status note_start(struct constraint *c, const tn_kappa_state *s, const tn_params *params,
                            uint32_t count) {
  if (c->start) return TN_OK;
  c->start_bytes = (count + 1) * sizeof *c->start;
  if (!(c->start = tn_alloc(c->start_bytes))) return TN_ERROR_MEMORY;
  c->remaining = s->remaining;
  uint32_t at = 0;
  struct block_walk walk = blocks_start(params, s->global);
  while (blocks_next(&walk)) {
    if (walk.group != TN_DECAY) continue;
    tn_tensor *y = tn_scale(tn_cast(tn_stop_gradient(block_of(&walk, params)), TN_F64), s->decay);
    c->start[at++] = fmax(tn_kappa_norm(lion_k_kappa(c->optimizer, &walk), y) - 1, 0);
  }
  return tn_outcome();
}

static tn_status constraint_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  struct constraint *c = self;
  struct totals t = {0};
  tn_kappa_state s;
  tn_status status = lion_k_describe(c->optimizer, probe->params, &s);
  if (status < 0) return status;
  if (s.decay == 0) return TN_OK; /* nothing is confined */
  const bool recording = tn_record(false);
  uint32_t count = 0, at = 0;
  struct block_walk walk = blocks_start(probe->params, s.global);
  while (blocks_next(&walk)) count += walk.group == TN_DECAY;
  status = note_start(c, &s, probe->params, count);
  walk = blocks_start(probe->params, s.global);
  while (status >= 0 && blocks_next(&walk)) {
    if (walk.group != TN_DECAY) continue;
    measure_block(c, probe, &s, &walk, at++, count > 1 && count <= c->each, &t, sink);
    status = tn_outcome();
  }
  tn_record(recording);
  if (status < 0) return status;
  sink->value(sink, "norm", t.norm);
  if (c->distances) sink->value(sink, "distance", t.distance);
  sink->value(sink, "active", t.constraints > 0 ? t.active / t.constraints : 0);
  sink->value(sink, "kkt", t.kkt);
  sink->value(sink, "envelope_violations", (double)c->envelope);
  sink->value(sink, "settled", count > 0 ? t.settled / count : 0);
  sink->value(sink, "late_violations", (double)c->late);
  if (!c->reference) return TN_OK;
  sink->value(sink, "reference_active", t.reference_active);
  sink->value(sink, "identified", t.constraints > 0 ? t.agreeing / t.constraints : 0);
  sink->value(sink, "reference_distance", t.reference_distance);
  if (isfinite(t.reference_gap)) sink->value(sink, "reference_gap", t.reference_gap);
  return TN_OK;
}

static void constraint_destroy(void *self) { tn_free(((struct constraint *)self)->start); }
static tn_status constraint_state(void *self, const tn_visitor *visitor) {
  struct constraint *c = self;
  void *start = c->start;
  tn_visit_real(visitor, "remaining", &c->remaining);
  tn_visit_integer(visitor, "envelope", &c->envelope);
  tn_visit_integer(visitor, "late", &c->late);
  const tn_status status = tn_visit_block(visitor, "start", &start, &c->start_bytes);
  c->start = start;
  return status;
}

static const tn_class constraint_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "constraint",
    .summary = "How far Lion-K's weights are from the set they are confined to, and from a solution there",
    .reference = "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    TN_CLASS_PARAMS(constraint_params),
    .instance_size = sizeof(struct constraint),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = constraint_reset,
                                 .declare = constraint_declare,
                                 .measure = constraint_measure},
    .destroy = constraint_destroy,
    .state = constraint_state};
TN_PLUGIN("metric_constraint", "1.0.0", "MIT", &constraint_class)
