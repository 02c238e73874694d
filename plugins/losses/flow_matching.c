// SPDX-License-Identifier: MIT
/* Flow matching (Bengio et al. 2021, eq. 12): the logits are log flows of edges. What flows into a visited
 * state flows out of it,
 *
 *   (log(eps + sum_parents F(s, a)) - log(eps + sum_a F(s', a)))^2,   and into an object: F(x, stop) = R(x),
 *
 * by log-sum-exp; the mean over a trajectory's states but the source, its object included. log Z is what
 * flows out of the source. */
#include "trajectories.h"

struct flow_matching {
  double eps;
  int32_t cost;
};
static const tn_param flow_matching_params[] = {
    TN_PARAM_(struct flow_matching, eps, TN_PARAM_REAL, TN_PARAM_MIN_EXCLUSIVE, "1e-6", 0, 1, NULL, NULL,
              NULL, "added to both flows, so that small ones count less"),
    COST_PARAM(flow_matching),
};

static tn_status flow_matching_declare(void *self, const tn_spec *fields, tn_declaration *declaration) {
  static const char *const names[] = {"logits", "action", "log_reward", "trajectory", "offset"};
  (void)self, (void)declaration;
  return trajectories_declare(fields, names, TN_ARRAY_LENGTH(names));
}

/* log(eps + e^x) */
static tn_tensor *with_eps(const struct flow_matching *loss, tn_tensor *x) {
  return tn_logaddexp(x, tn_scalar(x->dtype, log(loss->eps)));
}

/* Elements (row, column) of x (rows, columns). */
static tn_tensor *pick(tn_tensor *x, tn_tensor *row, tn_tensor *column) {
  return tn_pick(tn_index_select(x, 0, row), column);
}

static tn_tensor *flow_matching_per_sample(void *self, const tn_loss_call *call) {
  const struct flow_matching *loss = self;
  struct trajectories t;
  tn_tensor *logits = tn_field(call->fields, "logits"), *action = tn_field(call->fields, "action");
  const tn_tensor *child = tn_field(call->fields, "parent.child");
  tn_tensor *row = tn_field(call->fields, "parent.row"), *from = tn_field(call->fields, "parent.action");
  if (!trajectories_of(call, &t) || tn_failed()) return logits;

  /* Visited states but the sources, numbered anew; their rows in `logits` are their transitions' numbers. */
  const int64_t inner = t.transitions - t.count;
  tn_tensor *last = tn_empty(TN_I64, TN_SHAPE(t.count)), *visited = tn_empty(TN_I64, TN_SHAPE(inner));
  tn_tensor *owner = tn_empty(TN_I64, TN_SHAPE(inner)), *number = tn_empty(TN_I64, TN_SHAPE(tn_numel(child)));
  if (tn_failed()) return logits;
  for (int64_t i = 0, k = 0; i < t.count; i++) {
    tn_i64(last)[i] = t.offset[i + 1] - 1;
    for (int64_t v = t.offset[i] + 1; v < t.offset[i + 1]; v++, k++)
      tn_i64(visited)[k] = v, tn_i64(owner)[k] = i;
  }
  for (int64_t e = 0; e < tn_numel(child); e++)
    tn_i64(number)[e] = tn_i64(child)[e] - 1 - tn_i64(t.number)[tn_i64(child)[e]];

  /* objects: F(x, stop) against R(x) */
  tn_tensor *stop = pick(logits, last, tn_index_select(action, 0, last));
  tn_tensor *cost = cost_of(loss->cost, tn_sub(with_eps(loss, stop), with_eps(loss, t.log_reward))); /* (m) */
  if (inner > 0) {
    tn_tensor *in = tn_segment(TN_LOGSUMEXP, pick(logits, row, from), number, inner);
    tn_tensor *out = tn_logsumexp(tn_index_select(logits, 0, visited), 1);
    tn_tensor *d = tn_sub(with_eps(loss, in), with_eps(loss, out));
    cost = tn_add(cost, tn_segment(TN_SUM, cost_of(loss->cost, d), owner, t.count));
  }
  tn_tensor *states = tn_empty(cost->dtype, TN_SHAPE(t.count));
  if (tn_failed()) return logits;
  for (int64_t i = 0; i < t.count; i++) {
    const double length = (double)(t.offset[i + 1] - t.offset[i]);
    if (states->dtype == TN_F64)
      tn_f64(states)[i] = length;
    else
      tn_f32(states)[i] = (float)length;
  }
  return tn_div(cost, states);
}

static tn_tensor *flow_matching_log_z(void *self, const tn_loss_call *call) {
  (void)self;
  return tn_logsumexp(tn_field(call->fields, "logits"), 1);
}
static const void *flow_matching_extension(void *self, const char *id) {
  static const tn_flow_loss flow = {sizeof flow, TN_FLOW_PARENTS, flow_matching_log_z};
  (void)self;
  return strcmp(id, TN_FLOW_LOSS) == 0 ? &flow : NULL;
}

static const tn_class flow_matching_class = {
    .size = sizeof(tn_class),
    .kind = TN_LOSS,
    .name = "flow_matching",
    .summary = "GFlowNet: inflow equals outflow at every visited state",
    .reference = "Bengio et al. 2021, Flow Network based Generative Models",
    TN_CLASS_PARAMS(flow_matching_params),
    .instance_size = sizeof(struct flow_matching),
    .vtable = &(const tn_loss){.size = sizeof(tn_loss),
                               .per_sample = flow_matching_per_sample,
                               .declare = flow_matching_declare},
    .extension = flow_matching_extension};
TN_PLUGIN("loss_flow_matching", "1.0.0", "MIT", &flow_matching_class)
