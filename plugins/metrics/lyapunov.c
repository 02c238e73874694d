// SPDX-License-Identifier: MIT
/* Certifies the steps of optimizer.lion_k (Chen et al. 2023). Steps are taken as implicit ones of size eps:
 * an explicit step of size lr is the implicit one of eps = lr / (1 - lr lambda). With f L-smooth, beta2 >
 * beta1, V = grad K(mt) - lambda x_{t+1} and c = eps beta1 / (eps lambda (1 - beta1) + (1 - beta2)), the
 * function H_t = f(x_t) + K*(lambda x_t) / lambda + c (K*(lambda x_t) + K(m_t) - <lambda x_t, m_t>) obeys, as
 * soon as K*(lambda x_t) is finite, H_{t+1} - H_t <= - eps (1 + c lambda) <V, mt - grad K*(lambda x_{t+1})>
 *                    - c (1 - beta2) / (beta2 - beta1) <grad K(mt) - grad K(m_{t+1}), mt - m_{t+1}>
 *                    + L/2 eps^2 |V|^2,
 * and both inner products are not negative. Sums go over all tensors; lambda, eps and c are those of a tensor
 * with or without weight decay. `slack` is the left side minus the right one. A step is checked if the metric
 * has been measured in front of it and behind it: log_every = 1.
 *
 * f is the value of a probed problem, or the mean loss of a probed model on the first rows of its data. */
#include "../stages/pass.h"
#include "lion_k.h"

struct lyapunov {
  const tn_component *optimizer;
  double smoothness, tolerance;
  int64_t rows;

  int64_t step;       /* at the last measurement; -1: none */
  double composite;   /* there: f + K* / lambda */
  double coupling[2]; /* there: the sum behind c, of tensors with and without decay */
  int64_t checked, violations;
  double worst, least; /* largest slack; smallest inner product */
};
static const tn_param lyapunov_params[] = {
    TN_REFERENCE(struct lyapunov, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL,
                 "an optimizer of Lion's family, whose steps are certified"),
    TN_REAL(struct lyapunov, smoothness, "0", 0, INFINITY,
            "L, Lipschitz constant of the gradient; 0: as the problem says, and no check if it does not"),
    TN_REAL(struct lyapunov, tolerance, "1e-9", 0, INFINITY, "slack that is no violation"),
    TN_INTEGER(struct lyapunov, rows, "1000", 1, INFINITY, "rows", "of a model's data in f"),
};

static tn_status lyapunov_declare(void *self, const tn_spec *fields) {
  (void)fields;
  return lion_k_require(((struct lyapunov *)self)->optimizer);
}

static void lyapunov_reset(void *self) {
  struct lyapunov *l = self;
  l->step = -1;
  l->checked = l->violations = 0;
  l->worst = -INFINITY;
  l->least = INFINITY;
}

/* ---- f ---- */

static tn_status model_loss(const struct lyapunov *l, const tn_metric_probe *probe, double *value) {
  const tn_progress progress = {.size = sizeof progress, .mode = TN_EVALUATE};
  int64_t rows = tn_dataset_rows(probe->data);
  if (rows < 1) return tn_fail(TN_ERROR_INVALID, "'%s' has no rows", probe->data->name);
  rows = rows < l->rows ? rows : l->rows;
  int64_t *index = tn_alloc((size_t)rows * sizeof *index);
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  if (!index) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < rows; i++) index[i] = i;
  tn_status status = tn_dataset_read(probe->data, index, rows, inputs);
  if (status >= 0 && probe->transforms)
    status = pass_transform(probe->transforms, NULL, inputs, index, &progress);
  if (status >= 0) status = pass_model(probe->model, probe->params, inputs, outputs, &progress, NULL, NULL);
  tn_free(index);
  if (status < 0) return status;
  tn_rng rng = tn_rng_at(probe->loss->name, "evaluate", 0);
  const tn_loss_call call = {.size = sizeof call,
                             .params = pass_parameters(probe->loss),
                             .fields = pass_merge(inputs, outputs),
                             .progress = progress,
                             .rng = &rng,
                             .model = probe->model,
                             .model_params = probe->params,
                             .batch = inputs};
  *value = tn_item(tn_loss_value(probe->loss, &call));
  return tn_outcome();
}

/* f and L (0: unknown). */
static tn_status objective(const struct lyapunov *l, const tn_metric_probe *probe, double *value,
                           double *smoothness) {
  const tn_component *problem = probed_problem(probe);
  *smoothness = l->smoothness;
  if (problem) {
    tn_problem_info info;
    const tn_status status = tn_problem_describe(problem, &info);
    if (status < 0) return status;
    if (l->smoothness == 0 && isfinite(info.smoothness)) *smoothness = info.smoothness;
    return tn_problem_evaluate(problem, tn_f64(probed_point(probe)), 1, value);
  }
  if (!probe->model || !probe->loss || !probe->data)
    return tn_fail(TN_ERROR_INVALID, "expected a problem, or a model with its loss and data");
  return model_loss(l, probe, value);
}

/* ---- H and the inequality ---- */

static double inner(tn_tensor *a, tn_tensor *b) { return tn_item(tn_sum(tn_mul(a, b))); }
static tn_tensor *exact(const struct block_walk *walk, const tn_params *set) {
  return tn_cast(tn_stop_gradient(block_of(walk, set)), TN_F64);
}

/* What one measurement finds. */
struct reading {
  double composite, coupling[2];
  double first, second, quadratic; /* the terms of the right side, without L/2 */
  double least;                    /* of the inner products */
};

static void read_block(const struct lyapunov *l, const tn_kappa_state *s, const struct block_walk *walk,
                       const tn_params *params, struct reading *r) {
  const tn_component *kappa = lion_k_kappa(l->optimizer, walk);
  const double lambda = lion_k_decay(s, walk);
  tn_tensor *x = exact(walk, params), *y = tn_scale(x, lambda); /* x, lambda x */
  tn_tensor *m = tn_neg(exact(walk, s->average)), *mt = exact(walk, s->mixture);
  const double norm = tn_kappa_norm(kappa, y), rounding = tn_kappa_tolerance(block_of(walk, params));
  if (norm > 1 && norm <= 1 + rounding) y = tn_scale(y, 1 / norm); /* on the boundary */
  const double conjugate = tn_kappa_conjugate(kappa, y);
  if (lambda > 0) r->composite += conjugate / lambda;
  r->coupling[walk->group] += conjugate + tn_kappa_value(kappa, m) - inner(y, m);
  if (s->step == 0 || !isfinite(conjugate)) return;

  const double eps = s->implicit ? s->lr : s->lr / (1 - s->lr * lambda);
  const double c = eps * s->beta1 / (eps * lambda * (1 - s->beta1) + (1 - s->beta2));
  tn_tensor *slope = tn_kappa_gradient(kappa, mt), *v = tn_sub(slope, y);
  const double one = inner(v, tn_sub(mt, tn_kappa_conjugate_gradient(kappa, y)));
  const double two = inner(tn_sub(slope, tn_kappa_gradient(kappa, m)), tn_sub(mt, m));
  r->first += eps * (1 + c * lambda) * one;
  r->second += c * (1 - s->beta2) / (s->beta2 - s->beta1) * two;
  r->quadratic += eps * eps * inner(v, v);
  r->least = fmin(r->least, fmin(one, two));
}

/* sum over both kinds of tensors of c times their coupling */
static double coupled(const tn_kappa_state *s, const double *coupling) {
  double sum = 0;
  for (int group = 0; group < 2; group++) {
    const double lambda = group == TN_DECAY ? s->decay : 0,
                 eps = s->implicit ? s->lr : s->lr / (1 - s->lr * lambda);
    sum += eps * s->beta1 / (eps * lambda * (1 - s->beta1) + (1 - s->beta2)) * coupling[group];
  }
  return sum;
}

static tn_status lyapunov_measure(void *self, const tn_metric_probe *probe, tn_metric_sink *sink) {
  struct lyapunov *l = self;
  struct reading r = {.least = INFINITY};
  tn_kappa_state s;
  double smoothness;
  tn_status status = lion_k_describe(l->optimizer, probe->params, &s);
  if (status < 0) return status;
  if (s.beta2 <= s.beta1)
    return tn_fail(TN_ERROR_INVALID, "'%s' has beta1 = %g and beta2 = %g: the inequality needs beta1 < beta2",
                   l->optimizer->name, s.beta1, s.beta2);
  const bool recording = tn_record(false);
  status = objective(l, probe, &r.composite, &smoothness);
  struct block_walk walk = blocks_start(probe->params, s.global);
  while (status >= 0 && blocks_next(&walk)) read_block(l, &s, &walk, probe->params, &r);
  tn_record(recording);
  if (status >= 0) status = tn_outcome();
  if (status < 0) return status;

  const double H = r.composite + coupled(&s, r.coupling);
  sink->value(sink, "composite", r.composite);
  sink->value(sink, "H", H);
  if (s.step > 0) sink->value(sink, "dissipation", r.first);
  if (s.step > 0) sink->value(sink, "momentum_dissipation", r.second);
  if (smoothness > 0 && l->step >= 0 && s.step == l->step + 1 && isfinite(l->composite)) {
    const double before = l->composite + coupled(&s, l->coupling);
    const double slack = H - before + r.first + r.second - smoothness / 2 * r.quadratic;
    l->checked++;
    l->violations += !(slack <= l->tolerance);
    l->worst = fmax(l->worst, slack);
    l->least = fmin(l->least, r.least);
    sink->value(sink, "slack", slack);
  }
  if (l->checked > 0) {
    sink->value(sink, "worst_slack", l->worst);
    sink->value(sink, "least_dissipation", l->least);
  }
  sink->value(sink, "checked", (double)l->checked);
  sink->value(sink, "violations", (double)l->violations);
  l->step = s.step;
  l->composite = r.composite;
  memcpy(l->coupling, r.coupling, sizeof l->coupling);
  return TN_OK;
}

static tn_status lyapunov_state(void *self, const tn_visitor *visitor) {
  struct lyapunov *l = self;
  tn_visit_integer(visitor, "step", &l->step);
  tn_visit_real(visitor, "composite", &l->composite);
  tn_visit_real(visitor, "coupling_decayed", &l->coupling[0]);
  tn_visit_real(visitor, "coupling_rest", &l->coupling[1]);
  tn_visit_integer(visitor, "checked", &l->checked);
  tn_visit_integer(visitor, "violations", &l->violations);
  tn_visit_real(visitor, "worst", &l->worst);
  return tn_visit_real(visitor, "least", &l->least);
}

static const tn_class lyapunov_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "lyapunov",
    .summary = "Lion-K's Lyapunov function and the slack of its descent inequality",
    .reference = "Chen et al. 2023, Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts",
    TN_CLASS_PARAMS(lyapunov_params),
    .instance_size = sizeof(struct lyapunov),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric),
                                 .reset = lyapunov_reset,
                                 .declare = lyapunov_declare,
                                 .measure = lyapunov_measure},
    .state = lyapunov_state};
TN_PLUGIN("metric_lyapunov", "1.0.0", "MIT", &lyapunov_class)
