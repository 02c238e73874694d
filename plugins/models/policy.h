// SPDX-License-Identifier: MIT
/* What policies have in common (tenon/trajectory.h): the condition, the masks, and heads for the logits of
 * the forward policy, log F, and the logits of a learnt backward policy. */
#ifndef TENON_PLUGINS_POLICY_H
#define TENON_PLUGINS_POLICY_H

#include "layers.h"
#include <string.h>
#include <tenon/trajectory.h>

enum { BACKWARD_UNIFORM, BACKWARD_LEARNT };
#define POLICY_PARAMS(model)                                                                    \
  TN_BOOL(struct model, flow, "yes", "a head for log F(s); trajectory balance can do without"), \
      TN_CHOICE(struct model, backward, "uniform", "uniform|learnt",                            \
                "backward policy: uniform over the parents, or a head of its own")

struct policy {
  bool flow;
  int32_t backward;
  int64_t actions, condition; /* condition: its width, 0: none */
  struct linear logits, log_flow, backward_logits;
};

/* How many actions, and how wide the condition is. */
static inline tn_status policy_inputs(struct policy *policy, const tn_spec *inputs, bool flow,
                                      int32_t backward) {
  *policy = (struct policy){.flow = flow, .backward = backward};
  const tn_field_spec *mask = tn_spec_get(inputs, "mask");
  const tn_field_spec *condition = tn_spec_find(inputs, "condition");
  if (!mask) return TN_ERROR_MISSING;
  if (mask->dtype != TN_B8 || mask->shape.ndim < 1)
    return tn_fail(TN_ERROR_SHAPE, "'mask' must say for every action whether it is legal");
  policy->actions = mask->shape.dim[mask->shape.ndim - 1];
  if (condition && condition->shape.ndim != 1)
    return tn_fail(TN_ERROR_SHAPE, "'condition' must be a row of numbers");
  policy->condition = condition ? condition->shape.dim[0] : 0;
  return backward == BACKWARD_LEARNT && !tn_spec_get(inputs, "backward_mask") ? TN_ERROR_MISSING : TN_OK;
}

/* Heads on `width` numbers a state; prefixes: 0, or how many states (prefixes) a row has. */
static inline void policy_heads(struct policy *policy, tn_declaration *declaration, int64_t width,
                                int64_t prefixes, tn_init init) {
  const tn_shape row = prefixes > 0 ? TN_SHAPE(prefixes, policy->actions) : TN_SHAPE(policy->actions);
  policy->logits = linear_declare(declaration, "logits", width, policy->actions, true, init);
  tn_declare_output(declaration, "logits", TN_FLOAT, row, 0);
  if (policy->flow) {
    policy->log_flow = linear_declare(declaration, "log_flow", width, 1, true, init);
    tn_declare_output(declaration, "log_flow", TN_FLOAT,
                      prefixes > 0 ? TN_SHAPE(prefixes) : (tn_shape){0, {0}}, 0);
  }
  if (policy->backward == BACKWARD_UNIFORM) return;
  policy->backward_logits =
      linear_declare(declaration, "backward_logits", width, policy->actions, true, init);
  tn_declare_output(declaration, "backward_logits", TN_FLOAT, row, 0);
}

static inline tn_tensor *policy_masked(tn_tensor *logits, tn_tensor *mask) {
  return tn_where(mask, logits, tn_scalar(logits->dtype, TN_MASKED));
}

/* x (..., width) -> the outputs */
static inline void policy_apply(const struct policy *policy, tn_model_call *call, tn_tensor *x) {
  if (tn_poisoned(x)) return;
  tn_fields_set(
      call->outputs, "logits",
      policy_masked(linear_apply(&policy->logits, call->params, x), tn_field(call->inputs, "mask")));
  if (policy->flow) {
    tn_shape shape = tn_shape_of(x);
    shape.ndim--;
    tn_fields_set(call->outputs, "log_flow",
                  tn_reshape(linear_apply(&policy->log_flow, call->params, x), shape));
  }
  if (policy->backward == BACKWARD_LEARNT && tn_fields_find(call->inputs, "backward_mask"))
    tn_fields_set(call->outputs, "backward_logits",
                  policy_masked(linear_apply(&policy->backward_logits, call->params, x),
                                tn_field(call->inputs, "backward_mask")));
}

/* ---- policies that read strings: the letters so far, behind a start letter ---- */

/* What `tokens` of the specification says; the number of prefixes through *prefixes. */
static inline tn_status policy_strings(const tn_spec *inputs, int64_t *letters, int64_t *prefixes) {
  const tn_field_spec *tokens = tn_spec_get(inputs, "tokens");
  if (!tokens) return TN_ERROR_MISSING;
  if (tokens->dtype != TN_I64 || tokens->shape.ndim != 1 || tokens->shape.dim[0] < 1 || tokens->classes < 1)
    return tn_fail(TN_ERROR_SHAPE, "'tokens' must be letters of strings of one greatest length");
  *letters = tokens->classes;
  *prefixes = tokens->shape.dim[0] + 1;
  return TN_OK;
}
/* tokens (n, t) -> (n, t + 1), letter 0 the start */
static inline tn_tensor *policy_started(tn_tensor *tokens) {
  if (tn_poisoned(tokens)) return tokens;
  tn_tensor *letters = tn_shift(tokens, 1);
  return tn_pad(TN_PAD_CONSTANT, letters, 1, 1, 0, 0);
}

#endif
