// SPDX-License-Identifier: MIT
/* How sharp the minimum is that a model lies in.
 *   ascent:  max over |e| <= rho of L(w + e) - L(w), approached by k steps up the gradient from e = 0, each
 * of length 2.5 rho / k (1 step: rho) and followed by projection onto the ball; the largest value at a step
 * counts (Foret et al. 2021, equation 2; Madry et al. 2018 for k > 1) hessian: the largest eigenvalue of the
 * loss's Hessian, by power iteration Without a gradient there is no direction: 0. */
#include "power.h"

enum { MODE_ASCENT, MODE_HESSIAN };
struct sharpness {
  double rho;
  int64_t steps, iterations, rows, batch;
  int32_t mode, wrt;
};
static const tn_param sharpness_params[] = {
    TN_CHOICE(struct sharpness, mode, "ascent", "ascent|hessian",
              "largest increase in a ball, or largest curvature"),
    TN_PARAM_(struct sharpness, rho, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "0.05", 0, INFINITY, NULL, NULL,
              NULL, "ascent: radius of the ball, L2"),
    TN_INTEGER(struct sharpness, steps, "1", 1, 1e6, NULL, "ascent: steps"),
    TN_INTEGER(struct sharpness, iterations, "20", 1, 1e6, NULL, "hessian: steps of the power iteration"),
    TN_CHOICE(struct sharpness, wrt, "weights", WRT_CHOICES,
              "what is moved: a supernet's architecture, its weights, or both; `weights` for other models"),
    TN_INTEGER(struct sharpness, rows, "0", 0, 1e15, "rows", "the first rows of the data; 0: all"),
    TN_INTEGER(struct sharpness, batch, "500", 1, 1 << 20, "rows", "rows a batch"),
};

/* *most: the largest L(w + e) - L(w) met. */
static tn_status climb(const struct sharpness *s, const struct probe *p, tn_params *e, tn_params *g,
                       tn_params *start, double *most) {
  double base, loss;
  const double length = s->steps == 1 ? s->rho : 2.5 * s->rho / (double)s->steps;
  tn_status status = probe_evaluate(p, NULL, &base, g);
  for (int64_t k = 0; status >= 0 && k < s->steps; k++) {
    const double norm = tn_params_norm(g);
    if (!(norm > 0)) break;
    tn_params_axpy(e, length / norm, g);
    const double out = tn_params_norm(e);
    if (out > s->rho) tn_params_scale(e, s->rho / out);
    tn_params_copy(p->chosen, start);
    tn_params_axpy(p->chosen, 1, e);
    status = probe_evaluate(p, NULL, &loss, k + 1 < s->steps ? g : NULL);
    if (k == 0 || loss - base > *most) *most = loss - base;
  }
  return status;
}

static tn_status sharpness_measure(void *self, const tn_metric_probe *of, tn_metric_sink *sink) {
  const struct sharpness *s = self;
  struct probe p;
  double value = 0;
  tn_status status = probe_open_loss(&p, of, s->rows, s->batch, s->wrt);
  if (status >= 0 && s->mode == MODE_HESSIAN)
    status = power_largest(probe_times, &p, p.chosen, s->iterations, &value);
  else if (status >= 0) {
    tn_params *e = tn_params_like(p.chosen), *g = tn_params_like(p.chosen),
              *start = tn_params_clone(p.chosen);
    status = e && g && start ? climb(s, &p, e, g, start, &value) : TN_ERROR_MEMORY;
    tn_params_release(e);
    tn_params_release(g);
    tn_params_release(start);
  }
  probe_close(&p);
  if (status >= 0) sink->value(sink, "sharpness", value);
  return status;
}

static const tn_class sharpness_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "sharpness",
    .summary = "How much the loss rises around the parameters",
    .reference = "Foret, Kleiner, Mobahi and Neyshabur 2021, Sharpness-Aware Minimization for Efficiently "
                 "Improving Generalization",
    TN_CLASS_PARAMS(sharpness_params),
    .instance_size = sizeof(struct sharpness),
    .vtable = &(const tn_metric){.size = sizeof(tn_metric), .measure = sharpness_measure}};
TN_PLUGIN("metric_sharpness", "1.0.0", "MIT", &sharpness_class)
