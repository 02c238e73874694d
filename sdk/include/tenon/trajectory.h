// SPDX-License-Identifier: MIT
/* Trajectories as fields: what policies read and write, and what losses of trajectories are given.
 *
 * A trajectory goes from the source s_0 over s_1 .. s_n = x and ends there by the stop action; its transition
 * t starts in s_t, so that it has n + 1 transitions, the last of which is the stop.
 *
 * Policies (models), for n states. In:
 *   state (n, features) float        what the environment's `features` gives
 *   mask (n, actions) bool           the legal actions
 *   condition (n, c) float           what the sampler is asked for; absent if that never changes
 *   backward_mask (n, actions) bool  the actions that may have led here; for a learnt backward policy
 * Out:
 *   logits (n, actions)              of the forward policy; TN_MASKED where an action is illegal
 *   log_flow (n)                     log F(s)
 *   backward_logits (n, actions)     of a learnt backward policy, TN_MASKED where an action cannot have led
 *                                    here; absent: the backward policy is uniform over parents
 * Policies that read strings (extension TN_POLICY_STEPS) have in place of `state` the field tokens (n,
 * length) int64, and the masks and all outputs one row a prefix, the empty one first: (n, length + 1, ...).
 *
 * Losses, for m trajectories of T transitions in all, one trajectory after the other:
 *   log_pf (T)           log P_F(a_t | s_t); the policy's own, whatever drew the action
 *   log_pb (T)           log P_B(s_t | s_t+1); 0 for the stop
 *   log_flow (T)         log F(s_t); absent if the policy has no such head
 *   action (T) int64     a_t
 *   trajectory (T) int64 the number 0 .. m - 1 of each transition's trajectory
 *   offset (m + 1) int64 where each trajectory begins, and T
 *   log_reward (m), utility (m)   log R(x), and the utility before the exponent
 *   condition (m, c)     as above; absent if there is none
 *   entropy (T)          of P_F(. | s_t); with TN_FLOW_ENTROPY
 * and with TN_FLOW_PARENTS
 *   logits (T or more, actions)   of the visited states, then of further parents of these
 *   parent.child, parent.row, parent.action (E) int64   for every edge into a visited state other than the
 *                        source: its number 0 .. T - 1, the row in `logits` of the parent, and the action */
#ifndef TENON_TRAJECTORY_H
#define TENON_TRAJECTORY_H

#include <tenon/loss.h>
#include <tenon/model.h>

#define TN_MASKED (-1e30)

/* Extension of models that read strings letter by letter. */
#define TN_POLICY_STEPS "tenon.model.policy_steps/1"
typedef struct tn_policy_steps {
  uint32_t size;
  uint32_t reserved;
  /* [main] One letter further, for n strings of the same length, without recording. In: token (n) int64, the
   * last letter, -1 at the start; mask (n, actions); condition (n, c); and all fields `memory.*` that the
   * former step gave. Out: logits (n, actions), log_flow (n), and memory.* (n, ...). */
  tn_status (*step)(void *self, tn_model_call *call);
} tn_policy_steps;

/* Extension of losses of trajectories. */
#define TN_FLOW_LOSS "tenon.loss.flow/1"
enum { TN_FLOW_PARENTS = 1u << 0, TN_FLOW_ENTROPY = 1u << 1 };
typedef struct tn_flow_loss {
  uint32_t size;
  uint32_t needs; /* TN_FLOW_... */
  /* [main] (n) log Z as the loss has learnt it; NULL: it learns none. Fields: the policy's outputs at n
   * source states, and `condition` (n, c). */
  tn_tensor *(*log_z)(void *self, const tn_loss_call *call);
} tn_flow_loss;

#endif
