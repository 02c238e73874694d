// SPDX-License-Identifier: MIT
/* What monitors of the Lion-K family ask its optimizer. */
#ifndef TENON_PLUGINS_METRIC_LION_K_H
#define TENON_PLUGINS_METRIC_LION_K_H

#include "../kappas/blocks.h"
#include <tenon/metric.h>
#include <tenon/optimizer.h>
#include <tenon/problem.h>

/* Refuses optimizers that show no kappa. */
static inline tn_status lion_k_require(const tn_component *optimizer) {
  if (tn_extension(optimizer, TN_OPTIMIZER_KAPPA)) return TN_OK;
  return tn_fail(TN_ERROR_INVALID, "'%s' is not of Lion's family: expected optimizer.lion_k",
                 optimizer->name);
}

static inline tn_status lion_k_describe(const tn_component *optimizer, const tn_params *params,
                                        tn_kappa_state *state) {
  const tn_optimizer_kappa *shown = tn_extension(optimizer, TN_OPTIMIZER_KAPPA);
  *state = (tn_kappa_state){.size = sizeof *state};
  const tn_status status = shown ? shown->describe(optimizer->self, state) : lion_k_require(optimizer);
  if (status < 0) return status;
  if (!state->average) return tn_fail(TN_ERROR_MISSING, "'%s' has not begun to train", optimizer->name);
  if (!params || tn_params_count(params) > tn_params_count(state->average))
    return tn_fail(TN_ERROR_SHAPE, "'%s' trains other parameters than are measured", optimizer->name);
  return TN_OK;
}

static inline const tn_component *lion_k_kappa(const tn_component *optimizer, const struct block_walk *walk) {
  const tn_optimizer_kappa *shown = tn_extension(optimizer, TN_OPTIMIZER_KAPPA);
  return shown->kappa(optimizer->self, &walk->entry);
}
/* lambda of a block */
static inline double lion_k_decay(const tn_kappa_state *state, const struct block_walk *walk) {
  return walk->group == TN_DECAY ? state->decay : 0;
}

/* The problem that a probe looks at; NULL if it looks at a model. */
static inline const tn_component *probed_problem(const tn_metric_probe *probe) {
  const tn_component *subject = probe->subject;
  return subject && strcmp(subject->cls->kind, TN_PROBLEM) == 0 ? subject : NULL;
}
/* The point of a problem, (variables) float64, in the scope. */
static inline tn_tensor *probed_point(const tn_metric_probe *probe) {
  return tn_cast(tn_stop_gradient(tn_param_tensor(probe->params, 0)), TN_F64);
}

#endif
