// SPDX-License-Identifier: MIT
/* Trajectory balance (Malkin et al. 2022, eq. 14): per trajectory
 *
 *   (log Z(c) + sum_t log P_F(a_t | s_t) - log R(x) - sum_t log P_B(s_t | s_t+1))^2
 *
 * The loss owns log Z: a number, or a network of the condition with one hidden layer. It wants a learning
 * rate 10 to 100 times that of the policy. */
#include "trajectories.h"

struct trajectory_balance {
  int64_t z_hidden;
  double log_z;
  int32_t cost;
  struct estimate z;
};
static const tn_param trajectory_balance_params[] = {
    TN_INTEGER(struct trajectory_balance, z_hidden, "64", 1, 1 << 16, NULL,
               "hidden width of the network for log Z(c)"),
    TN_REAL(struct trajectory_balance, log_z, "0", -INFINITY, INFINITY,
            "where log Z starts; good is the logarithm of the number of objects plus the mean of log R"),
    COST_PARAM(trajectory_balance),
};

static tn_status trajectory_balance_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  static const char *const names[] = {"log_pf", "log_pb", "log_reward", "trajectory", "offset"};
  struct trajectory_balance *loss = self;
  loss->z = estimate_declare(declaration, fields, "log_z", loss->z_hidden, loss->log_z);
  return trajectories_declare(fields, names, TN_ARRAY_LENGTH(names));
}

static tn_tensor *trajectory_balance_per_sample(void *self, const tn_loss_call *call) {
  const struct trajectory_balance *loss = self;
  struct trajectories t;
  tn_tensor *log_z = estimate_apply(&loss->z, call);
  if (!trajectories_of(call, &t)) return log_z;
  tn_tensor *ratio = over_trajectory(&t, tn_sub(t.log_pf, t.log_pb)); /* (m) */
  return cost_of(loss->cost, tn_sub(tn_add(log_z, ratio), t.log_reward));
}

static tn_tensor *trajectory_balance_log_z(void *self, const tn_loss_call *call) {
  const struct trajectory_balance *loss = self;
  return estimate_apply(&loss->z, call);
}
static const void *trajectory_balance_extension(void *self, const char *id) {
  static const tn_flow_loss flow = {sizeof flow, 0, trajectory_balance_log_z};
  (void)self;
  return strcmp(id, TN_FLOW_LOSS) == 0 ? &flow : NULL;
}

static const tn_class trajectory_balance_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "trajectory_balance",
    .summary = "GFlowNet: one equation a trajectory, with a learnt log Z",
    .reference = "Malkin et al. 2022, Trajectory Balance: Improved Credit Assignment in GFlowNets",
    TN_CLASS_PARAMS(trajectory_balance_params),
    .instance_size = sizeof(struct trajectory_balance),
    .vtable = &(const tn_loss){.size = sizeof(tn_loss),
                               .per_sample = trajectory_balance_per_sample,
                               .declare = trajectory_balance_declare},
    .extension = trajectory_balance_extension};
TN_PLUGIN("loss_trajectory_balance", "1.0.0", "MIT", &trajectory_balance_class)
