// SPDX-License-Identifier: MIT
/* What losses of trajectories have in common (tenon/trajectory.h): the packed fields, padded to a matrix with
 * a row a trajectory, the cost of an imbalance, and a small network of the condition. */
#ifndef TENON_PLUGINS_TRAJECTORIES_H
#define TENON_PLUGINS_TRAJECTORIES_H

#include "plugins/models/layers.h"
#include <string.h>
#include <tenon/trajectory.h>

enum { COST_MSE, COST_HUBER };
#define COST_PARAM(loss) \
  TN_CHOICE(struct loss, cost, "mse", "mse|huber", "of an imbalance d: d^2, or |d| > 1 ? 2 |d| - 1 : d^2")
static inline tn_tensor *cost_of(int32_t cost, tn_tensor *d) {
  if (cost == COST_MSE) return tn_square(d);
  tn_tensor *inner = tn_clamp(d, -1, 1); /* d^2 inside; beyond, 1 + 2 (|d| - 1) */
  return tn_add(tn_square(inner), tn_scale(tn_abs(tn_sub(d, inner)), 2));
}

/* Trajectories as losses see them. */
struct trajectories {
  int64_t count, transitions, longest; /* longest: most transitions of one */
  const int64_t *offset;               /* (count + 1) */
  tn_tensor *number;                   /* (transitions) */
  tn_tensor *log_pf, *log_pb;          /* (transitions) */
  tn_tensor *log_reward;               /* (count) */
};
static inline bool trajectories_of(const tn_loss_call *call, struct trajectories *t) {
  const tn_tensor *offset = tn_field(call->fields, "offset");
  *t = (struct trajectories){.number = tn_field(call->fields, "trajectory"),
                             .log_pf = tn_field(call->fields, "log_pf"),
                             .log_pb = tn_field(call->fields, "log_pb"),
                             .log_reward = tn_field(call->fields, "log_reward")};
  if (tn_failed()) return false;
  t->offset = tn_i64(offset);
  t->count = tn_numel(offset) - 1;
  t->transitions = tn_numel(t->log_pf);
  bool fits = t->count >= 1 && tn_numel(t->number) == t->transitions &&
              tn_numel(t->log_pb) == t->transitions && tn_numel(t->log_reward) == t->count &&
              t->offset[0] == 0 && t->offset[t->count] == t->transitions;
  for (int64_t i = 0; i < t->count && fits; i++) {
    const int64_t length = t->offset[i + 1] - t->offset[i];
    fits = length >= 1;
    if (length > t->longest) t->longest = length;
  }
  if (!fits) tn_fail(TN_ERROR_SHAPE, "the fields are not those of packed trajectories");
  return fits;
}

/* sum over a trajectory: (transitions) -> (count) */
static inline tn_tensor *over_trajectory(const struct trajectories *t, tn_tensor *x) {
  return tn_segment(TN_SUM, x, t->number, t->count);
}

/* log F at both ends of every transition; at the end of the last one it is log R (n). */
static inline tn_tensor *flow_before(const tn_loss_call *call) { return tn_field(call->fields, "log_flow"); }
static inline tn_tensor *flow_after(const tn_loss_call *call, const struct trajectories *t) {
  tn_tensor *both = tn_concatenate((tn_tensor *[]){flow_before(call), t->log_reward}, 2, 0);
  tn_tensor *index = tn_empty(TN_I64, TN_SHAPE(t->transitions));
  if (tn_poisoned(both) || tn_poisoned(index)) return both;
  for (int64_t i = 0; i < t->count; i++) {
    for (int64_t k = t->offset[i]; k < t->offset[i + 1]; k++) tn_i64(index)[k] = k + 1;
    tn_i64(index)[t->offset[i + 1] - 1] = t->transitions + i;
  }
  return tn_index_select(both, 0, index);
}

static inline tn_status trajectories_declare(const tn_spec *fields, const char *const *names,
                                             uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (!tn_spec_get(fields, names[i])) return TN_ERROR_MISSING;
  return TN_OK;
}

/* ---- a number that may depend on the condition: log Z(c), a baseline ---- */

struct estimate {
  bool conditional;
  struct linear hidden, out;
  uint32_t value; /* (1) */
};
static inline struct estimate estimate_declare(tn_declaration *declaration, const tn_spec *fields,
                                               const char *name, int64_t width, double initial) {
  const tn_field_spec *condition = tn_spec_find(fields, "condition");
  struct estimate estimate = {.conditional = condition && condition->shape.ndim == 1};
  char layer[64];
  if (estimate.conditional) {
    snprintf(layer, sizeof layer, "%s.hidden", name);
    estimate.hidden = linear_declare(declaration, layer, condition->shape.dim[0], width, true,
                                     tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
    snprintf(layer, sizeof layer, "%s.out", name);
    estimate.out = linear_declare(declaration, layer, width, 1, false, tn_init_of(TN_INIT_LECUN_UNIFORM, 1));
  }
  estimate.value =
      tn_declare(declaration, name, TN_SHAPE(1), TN_NO_DECAY, tn_init_of(TN_INIT_CONSTANT, initial));
  return estimate;
}
/* (n), or (1) if there is no condition */
static inline tn_tensor *estimate_apply(const struct estimate *estimate, const tn_loss_call *call) {
  tn_tensor *value = tn_param_tensor(call->params, estimate->value);
  if (!estimate->conditional) return value;
  tn_tensor *h =
      tn_leaky_relu(linear_apply(&estimate->hidden, call->params, tn_field(call->fields, "condition")), 0.01);
  return tn_add(tn_reshape(linear_apply(&estimate->out, call->params, h), TN_SHAPE(-1)), value);
}

#endif
