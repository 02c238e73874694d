// SPDX-License-Identifier: MIT
/* REINFORCE (Williams 1992) of a policy that is conditioned on preferences (Lin et al. 2022; Jain et al.
 * 2023), the reinforcement learner beside a GFlowNet: per trajectory
 *
 *   - adv sum_t log P_F(a_t | s_t) - entropy mean_t H(P_F(. | s_t)) + (u(x, c) - b(c))^2
 *
 * u is the utility without the exponent, b a learnt baseline, adv = (u - b) / std(u) over the batch, a
 * constant. Without scaling and entropy it collapses to one object: tune `entropy`. The stage's exploration
 * must be off (random_action = 0): the gradient is that of the policy's own draws. */
#include "trajectories.h"

struct mo_reinforce {
  double entropy;
  bool normalise;
  int64_t hidden;
  struct estimate baseline;
};
static const tn_param mo_reinforce_params[] = {
    TN_REAL(struct mo_reinforce, entropy, "1", 0, INFINITY, "weight of the policy's entropy"),
    TN_BOOL(struct mo_reinforce, normalise, "yes",
            "divide advantages by the standard deviation of the batch's utilities"),
    TN_INTEGER(struct mo_reinforce, hidden, "64", 1, 1 << 16, NULL, "hidden width of the baseline's network"),
};

static tn_status mo_reinforce_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  static const char *const names[] = {"log_pf", "entropy", "utility", "trajectory", "offset"};
  struct mo_reinforce *loss = self;
  loss->baseline = estimate_declare(declaration, fields, "baseline", loss->hidden, 0);
  return trajectories_declare(fields, names, TN_ARRAY_LENGTH(names));
}

static tn_tensor *mo_reinforce_per_sample(void *self, const tn_loss_call *call) {
  const struct mo_reinforce *loss = self;
  struct trajectories t;
  tn_tensor *utility = tn_field(call->fields, "utility"), *entropy = tn_field(call->fields, "entropy");
  if (!trajectories_of(call, &t)) return utility;
  tn_tensor *surplus = tn_sub(utility, estimate_apply(&loss->baseline, call)); /* (m) */
  tn_tensor *advantage = tn_stop_gradient(surplus);
  if (loss->normalise)
    advantage = tn_div(advantage, tn_shift(tn_sqrt(tn_reduce(TN_VAR, utility, 0, true)), 1e-8));
  tn_tensor *score = over_trajectory(&t, t.log_pf);
  tn_tensor *spread = tn_segment(TN_MEAN, entropy, t.number, t.count);
  return tn_sub(tn_square(surplus), tn_add(tn_mul(advantage, score), tn_scale(spread, loss->entropy)));
}

static const void *mo_reinforce_extension(void *self, const char *id) {
  static const tn_flow_loss flow = {sizeof flow, TN_FLOW_ENTROPY, NULL};
  (void)self;
  return strcmp(id, TN_FLOW_LOSS) == 0 ? &flow : NULL;
}

static const tn_class mo_reinforce_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "mo_reinforce",
    .summary = "Preference-conditional REINFORCE with normalised advantages, a baseline and entropy",
    .reference = "Williams 1992; Lin et al. 2022, Pareto Set Learning; Jain et al. 2023",
    TN_CLASS_PARAMS(mo_reinforce_params),
    .instance_size = sizeof(struct mo_reinforce),
    .vtable = &(const tn_loss){.size = sizeof(tn_loss),
                               .per_sample = mo_reinforce_per_sample,
                               .declare = mo_reinforce_declare},
    .extension = mo_reinforce_extension};
TN_PLUGIN("loss_mo_reinforce", "1.0.0", "MIT", &mo_reinforce_class)
