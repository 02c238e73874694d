// SPDX-License-Identifier: MIT
/* Sub-trajectory balance (Madan et al. 2023, eq. 12): with f_i = log F(s_i), f_n+1 = log R(x) and
 * c_j = sum_t<j (log P_F - log P_B), the imbalance from state i to state j of a trajectory is
 *
 *   D_ij = f_i + c_j - c_i - f_j = (f_i - c_i) - (f_j - c_j)
 *   loss = sum_i<j lambda^(j - i) D_ij^2 / sum_i<j lambda^(j - i)
 *
 * lambda = 0 stands for its limit, detailed balance; large lambda tends to trajectory balance. log Z is
 * log F(s_0). */
#include "trajectories.h"

struct subtrajectory_balance {
  double lambda;
  int32_t cost;
};
static const tn_param subtrajectory_balance_params[] = {
    TN_REAL(struct subtrajectory_balance, lambda, "0.9", 0, 1e6,
            "weight of a part of a trajectory, to the power of its length"),
    COST_PARAM(subtrajectory_balance),
};

static tn_status subtrajectory_balance_declare(void *self, const tn_spec *fields,
                                               tn_declaration *declaration) {
  static const char *const names[] = {"log_pf", "log_pb", "log_flow", "log_reward", "trajectory", "offset"};
  (void)self, (void)declaration;
  return trajectories_declare(fields, names, TN_ARRAY_LENGTH(names));
}

/* lambda^(length - 1) for length 1 .. longest, over the largest: no overflow. */
static double weight_of(double lambda, int64_t length, int64_t longest) {
  if (lambda == 0) return length == 1;
  return lambda <= 1 ? pow(lambda, (double)(length - 1)) : pow(lambda, (double)(length - longest));
}

/* (m, longest + 1, longest + 1): normalised weights of all parts i < j, 0 elsewhere. */
static tn_tensor *weights_of(const struct trajectories *t, double lambda, tn_dtype dtype) {
  const int64_t nodes = t->longest + 1;
  tn_tensor *weights = tn_zeros(TN_F64, TN_SHAPE(t->count, nodes, nodes));
  if (tn_poisoned(weights)) return weights;
  for (int64_t i = 0; i < t->count; i++) {
    const int64_t length = t->offset[i + 1] - t->offset[i];
    double *w = tn_f64(weights) + i * nodes * nodes, sum = 0;
    for (int64_t l = 1; l <= length; l++) sum += (double)(length + 1 - l) * weight_of(lambda, l, length);
    for (int64_t a = 0; a < length; a++)
      for (int64_t b = a + 1; b <= length; b++) w[a * nodes + b] = weight_of(lambda, b - a, length) / sum;
  }
  return tn_cast(weights, dtype);
}

/* Values of transitions -> (m, longest): a row a trajectory, zeros behind its transitions. With `end`, values
 * (T + m) -> (m, longest + 1): behind the transitions of trajectory i stands value T + i. */
static tn_tensor *padded(const struct trajectories *t, tn_tensor *x, bool end) {
  const int64_t width = t->longest + end;
  tn_tensor *index = tn_empty(TN_I64, TN_SHAPE(t->count * width));
  if (tn_poisoned(index) || tn_poisoned(x)) return x;
  const int64_t zero = tn_numel(x);
  for (int64_t i = 0; i < t->count; i++) {
    const int64_t length = t->offset[i + 1] - t->offset[i];
    for (int64_t k = 0; k < width; k++)
      tn_i64(index)[i * width + k] = k < length           ? t->offset[i] + k
                                     : k == length && end ? t->transitions + i
                                                          : zero;
  }
  x = tn_concatenate((tn_tensor *[]){x, tn_zeros(x->dtype, TN_SHAPE(1))}, 2, 0);
  return tn_reshape(tn_index_select(x, 0, index), TN_SHAPE(t->count, width));
}

static tn_tensor *subtrajectory_balance_per_sample(void *self, const tn_loss_call *call) {
  const struct subtrajectory_balance *loss = self;
  struct trajectories t;
  tn_tensor *flow = flow_before(call);
  if (!trajectories_of(call, &t) || tn_poisoned(flow)) return flow;
  const int64_t nodes = t.longest + 1;
  tn_tensor *f = padded(&t, tn_concatenate((tn_tensor *[]){flow, t.log_reward}, 2, 0), true); /* (m, nodes) */
  tn_tensor *ratio = padded(&t, tn_sub(t.log_pf, t.log_pb), false);        /* (m, longest) */
  tn_tensor *c = tn_pad(TN_PAD_CONSTANT, tn_cumsum(ratio, 1), 1, 1, 0, 0); /* (m, nodes) */
  tn_tensor *g = tn_sub(f, c);
  tn_tensor *d =
      tn_sub(tn_reshape(g, TN_SHAPE(t.count, nodes, 1)), tn_reshape(g, TN_SHAPE(t.count, 1, nodes)));
  tn_tensor *weighted = tn_mul(cost_of(loss->cost, d), weights_of(&t, loss->lambda, flow->dtype));
  return tn_sum_axis(tn_reshape(weighted, TN_SHAPE(t.count, nodes * nodes)), 1);
}

static tn_tensor *subtrajectory_balance_log_z(void *self, const tn_loss_call *call) {
  (void)self;
  return flow_before(call);
}
static const void *subtrajectory_balance_extension(void *self, const char *id) {
  static const tn_flow_loss flow = {sizeof flow, 0, subtrajectory_balance_log_z};
  (void)self;
  return strcmp(id, TN_FLOW_LOSS) == 0 ? &flow : NULL;
}

static const tn_class subtrajectory_balance_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "subtrajectory_balance",
    .summary = "GFlowNet: one equation for every part of a trajectory, geometrically weighted",
    .reference = "Madan et al. 2023, Learning GFlowNets from Partial Episodes",
    TN_CLASS_PARAMS(subtrajectory_balance_params),
    .instance_size = sizeof(struct subtrajectory_balance),
    .vtable = &(const tn_loss){.size = sizeof(tn_loss),
                               .per_sample = subtrajectory_balance_per_sample,
                               .declare = subtrajectory_balance_declare},
    .extension = subtrajectory_balance_extension};
TN_PLUGIN("loss_subtrajectory_balance", "1.0.0", "MIT", &subtrajectory_balance_class)
