// SPDX-License-Identifier: MIT
/* One step of training a policy and what its loss owns (log Z) on trajectories: packed states through the
 * policy, loss, gradients, transforms of the gradient, two optimizers. */
#ifndef TENON_PLUGINS_FLOW_TRAINER_H
#define TENON_PLUGINS_FLOW_TRAINER_H

#include "pass.h"
#include "plugins/environments/rollout_pack.h"
#include "update.h"
#include <tenon/optimizer.h>
#include <tenon/schedule.h>

struct flow_trainer {
  const tn_component *model, *loss, *optimizer, *optimizer_z, *schedule;
  const tn_references *gradient;

  const tn_component *z;         /* optimizer of what the loss owns */
  tn_params *policy, *own, *all; /* own: the loss's; NULL: it owns nothing */
  tn_params *gradients, *policy_gradient, *own_gradient;
  bool backward; /* the policy learns P_B */
  uint32_t needs;
};

/* What a step saw. */
struct flow_figures {
  double loss, lr, norm; /* norm: of the gradient before its transforms; NAN if it was not asked for */
};

static inline void flow_release(struct flow_trainer *t) {
  if (t->all != t->policy) tn_params_release(t->all);
  if (t->gradients != t->policy_gradient) tn_params_release(t->gradients);
  tn_params_release(t->policy_gradient);
  tn_params_release(t->own_gradient);
  t->policy = t->own = t->all = t->gradients = t->policy_gradient = t->own_gradient = NULL;
}

static inline bool flow_learns_backward(const tn_params *policy) {
  for (uint32_t i = 0; i < tn_params_count(policy); i++) {
    tn_param_entry entry;
    tn_params_entry(policy, i, &entry);
    if (strncmp(entry.name, "backward_logits.", 16) == 0) return true;
  }
  return false;
}

/* Starts the optimizers on the live parameters of policy and loss, apart; gradients are also held together.
 */
static inline tn_status flow_begin(struct flow_trainer *t) {
  const tn_flow_loss *flow = tn_extension(t->loss, TN_FLOW_LOSS);
  flow_release(t);
  t->needs = flow->needs;
  t->policy = tn_parameters(t->model);
  t->own = pass_parameters(t->loss);
  if (!t->policy) return TN_ERROR_MEMORY;
  t->backward = flow_learns_backward(t->policy);
  t->policy_gradient = tn_params_like(t->policy);
  t->all = t->policy;
  t->gradients = t->policy_gradient;
  if (t->own) {
    t->own_gradient = tn_params_like(t->own);
    t->all = tn_params_join((tn_params *[]){t->policy, t->own}, 2);
    t->gradients = tn_params_join((tn_params *[]){t->policy_gradient, t->own_gradient}, 2);
    if (!t->z) t->z = t->optimizer_z ? t->optimizer_z : tn_instantiate(t->optimizer);
  }
  if (tn_failed() || !t->all || !t->gradients) return TN_ERROR_MEMORY;
  tn_status status = tn_optimizer_begin(t->optimizer, t->policy);
  if (status >= 0 && t->own) status = tn_optimizer_begin(t->z, t->own);
  return status < 0 ? status : update_begin_gradient(t->gradient, t->all);
}

static inline tn_status flow_update(const struct flow_trainer *t, double loss, double factor,
                                    const tn_progress *progress) {
  tn_status status = update_gradient(t->gradient, t->all, t->gradients, loss, progress);
  tn_optimizer_step step = {.size = sizeof step,
                            .params = t->policy,
                            .gradient = t->policy_gradient,
                            .loss = loss,
                            .schedule = factor,
                            .step = progress->step + 1,
                            .steps = progress->steps};
  if (status >= 0) status = tn_optimizer_update(t->optimizer, &step);
  step.params = t->own;
  step.gradient = t->own_gradient;
  return status >= 0 && t->own ? tn_optimizer_update(t->z, &step) : status;
}

/* One update on the first n trajectories of `rollout`, whose rewards are known. */
static inline tn_status flow_step(const struct flow_trainer *t, const struct rollout *rollout, int64_t n,
                                  tn_tensor *condition, const tn_progress *progress, bool norm,
                                  struct flow_figures *figures) {
  tn_fields *fields = tn_fields_new();
  tn_status status =
      rollout_fields(rollout, t->policy, n, condition, t->needs, t->backward, progress, fields);
  if (status < 0) return status;
  tn_rng rng = tn_rng_at(t->loss->name, "train", (uint64_t)progress->step);
  const tn_loss_call call = {.size = sizeof call,
                             .params = t->own,
                             .fields = fields,
                             .progress = *progress,
                             .rng = &rng,
                             .model = t->model,
                             .model_params = t->policy};
  tn_tensor *value = tn_loss_value(t->loss, &call);
  if (tn_failed()) return tn_outcome();
  const double factor = t->schedule ? tn_schedule_factor(t->schedule, progress) : 1;
  figures->loss = tn_item(value);
  figures->lr = tn_optimizer_learning_rate(t->optimizer, factor);
  status = update_check_loss(figures->loss, progress->step, figures->lr);
  if (status >= 0) status = tn_grad_params(value, t->all, t->gradients);
  figures->norm = status >= 0 && norm ? tn_params_norm(t->gradients) : NAN;
  return status < 0 ? status : flow_update(t, figures->loss, factor, progress);
}

#define FLOW_PARAMS(stage)                                                                               \
  TN_REFERENCE(struct stage, model, TN_PARAM_REQUIRED, TN_MODEL, NULL, "the policy"),                    \
      TN_REFERENCE(struct stage, loss, TN_PARAM_REQUIRED, TN_LOSS, NULL, "loss of trajectories"),        \
      TN_REFERENCE(struct stage, optimizer, TN_PARAM_REQUIRED, TN_OPTIMIZER, NULL, "trains the policy"), \
      TN_REFERENCE(struct stage, optimizer_z, 0, TN_OPTIMIZER, NULL,                                     \
                   "trains what the loss owns, log Z: 10 to 100 times the rate; empty: as the policy"),  \
      TN_REFERENCE(struct stage, schedule, 0, TN_SCHEDULE, NULL,                                         \
                   "factor on both learning rates over time; empty: constant"),                          \
      TN_REFERENCES(struct stage, gradient, 0, TN_GRADIENT, "",                                          \
                    "transforms of the gradient in front of the optimizers, in order")

#endif
