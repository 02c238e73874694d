// SPDX-License-Identifier: MIT
/* Detailed balance (Bengio et al. 2021, GFlowNet Foundations): per transition
 *
 *   (log F(s) + log P_F(s' | s) - log F(s') - log P_B(s | s'))^2,   for the stop: log F(s') = log R(x),
 *
 * the mean over a trajectory's transitions. log F is a head of the policy; log Z = log F(s_0). */
#include "trajectories.h"

struct detailed_balance {
  int32_t cost;
};
static const tn_param detailed_balance_params[] = {COST_PARAM(detailed_balance)};

static tn_status detailed_balance_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  static const char *const names[] = {"log_pf", "log_pb", "log_flow", "log_reward", "trajectory", "offset"};
  (void)self, (void)declaration;
  return trajectories_declare(fields, names, TN_ARRAY_LENGTH(names));
}

static tn_tensor *detailed_balance_per_sample(void *self, const tn_loss_call *call) {
  const struct detailed_balance *loss = self;
  struct trajectories t;
  tn_tensor *before = flow_before(call);
  if (!trajectories_of(call, &t)) return before;
  tn_tensor *forward = tn_add(before, t.log_pf), *backward = tn_add(flow_after(call, &t), t.log_pb);
  return tn_segment(TN_MEAN, cost_of(loss->cost, tn_sub(forward, backward)), t.number, t.count);
}

static tn_tensor *detailed_balance_log_z(void *self, const tn_loss_call *call) {
  (void)self;
  return flow_before(call);
}
static const void *detailed_balance_extension(void *self, const char *id) {
  static const tn_flow_loss flow = {sizeof flow, 0, detailed_balance_log_z};
  (void)self;
  return strcmp(id, TN_FLOW_LOSS) == 0 ? &flow : NULL;
}

static const tn_class detailed_balance_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "detailed_balance",
    .summary = "GFlowNet: one equation a transition, with learnt flows of states",
    .reference = "Bengio et al. 2023, GFlowNet Foundations",
    TN_CLASS_PARAMS(detailed_balance_params),
    .instance_size = sizeof(struct detailed_balance),
    .vtable = &(const tn_loss){.size = sizeof(tn_loss),
                               .per_sample = detailed_balance_per_sample,
                               .declare = detailed_balance_declare},
    .extension = detailed_balance_extension};
TN_PLUGIN("loss_detailed_balance", "1.0.0", "MIT", &detailed_balance_class)
