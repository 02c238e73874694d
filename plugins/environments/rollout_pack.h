// SPDX-License-Identifier: MIT
/* Drawn trajectories packed into the fields that losses of trajectories read (tenon/trajectory.h), the policy
 * run on all visited states at once, recorded. */
#ifndef TENON_PLUGINS_ROLLOUT_PACK_H
#define TENON_PLUGINS_ROLLOUT_PACK_H

#include "rollout.h"

enum { ROLLOUT_PARENTS = 256 }; /* most parents of a state */

/* The packed states (T + E, width): visited ones, then further parents; and where each belongs. */
struct rollout_pack {
  int64_t count, transitions, rows, edges;
  double *states;
  int64_t *owner;                /* (rows): trajectory */
  int64_t *child, *row, *action; /* (edges) */
  int64_t *parents;              /* (transitions): how many parents s_t+1 has; of the stop 1 */
  double *scratch;               /* parents of one state */
};
static inline void rollout_unpack(struct rollout_pack *p) {
  void *all[] = {p->states, p->owner, p->child, p->row, p->action, p->parents, p->scratch};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(all); i++) tn_free(all[i]);
}

/* The edges into visited state `v`, whose former state is in row v - 1. */
static inline tn_status rollout_edges(const struct rollout *r, struct rollout_pack *p, int64_t v,
                                      int64_t *capacity) {
  const int64_t width = r->info.state_width;
  const size_t bytes = (size_t)width * sizeof(double);
  int64_t actions[ROLLOUT_PARENTS];
  const int64_t found =
      r->table->parents(r->environment->self, p->states + v * width, p->scratch, actions, ROLLOUT_PARENTS);
  if (found < 1 || found > ROLLOUT_PARENTS)
    return tn_fail(TN_ERROR_INVALID, "a state of '%s' has %lld parents, expected 1 to %d",
                   r->environment->name, (long long)found, ROLLOUT_PARENTS);
  if (p->edges + found > *capacity) {
    *capacity = 2 * (p->edges + found) + 64;
    const size_t rows = (size_t)(p->transitions + *capacity);
    p->child = tn_resize(p->child, (size_t)*capacity * sizeof(int64_t));
    p->row = tn_resize(p->row, (size_t)*capacity * sizeof(int64_t));
    p->action = tn_resize(p->action, (size_t)*capacity * sizeof(int64_t));
    p->states = tn_resize(p->states, rows * bytes);
    p->owner = tn_resize(p->owner, rows * sizeof(int64_t));
    if (tn_failed()) return TN_ERROR_MEMORY;
  }
  for (int64_t k = 0; k < found; k++, p->edges++) {
    const double *parent = p->scratch + k * width;
    const bool former = memcmp(parent, p->states + (v - 1) * width, bytes) == 0;
    p->child[p->edges] = v;
    p->action[p->edges] = actions[k];
    p->row[p->edges] = former ? v - 1 : p->rows;
    if (former) continue;
    if (r->tokens)
      return tn_fail(TN_ERROR_INVALID, "a string of '%s' has a parent that is no prefix",
                     r->environment->name);
    memcpy(p->states + p->rows * width, parent, bytes);
    p->owner[p->rows++] = p->owner[v];
  }
  return TN_OK;
}

static inline tn_status rollout_collect(const struct rollout *r, int64_t n, uint32_t needs,
                                        bool count_parents, struct rollout_pack *p) {
  const int64_t width = r->info.state_width, steps = r->info.max_steps;
  *p = (struct rollout_pack){.count = n};
  for (int64_t i = 0; i < n; i++) p->transitions += r->steps_of[i];
  const size_t rows = (size_t)p->transitions;
  p->states = tn_alloc(rows * (size_t)width * sizeof(double));
  p->owner = tn_alloc(rows * sizeof(int64_t));
  p->parents = tn_alloc(rows * sizeof(int64_t));
  p->scratch = tn_alloc((size_t)(ROLLOUT_PARENTS * width) * sizeof(double));
  if (tn_failed()) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < n; i++) {
    memcpy(p->states + p->rows * width, r->states + i * steps * width,
           (size_t)(r->steps_of[i] * width) * sizeof(double));
    for (int64_t t = 0; t < r->steps_of[i]; t++) p->owner[p->rows++] = i;
  }
  int64_t actions[ROLLOUT_PARENTS], capacity = 0;
  for (int64_t v = 0; v < p->transitions; v++) {
    const bool last = v + 1 == p->transitions || p->owner[v + 1] != p->owner[v];
    p->parents[v] = 1;
    if (!last && count_parents)
      p->parents[v] = r->table->parents(r->environment->self, p->states + (v + 1) * width, p->scratch,
                                        actions, ROLLOUT_PARENTS);
    if (last || !(needs & TN_FLOW_PARENTS)) continue;
    const tn_status status = rollout_edges(r, p, v + 1, &capacity);
    if (status < 0) return status;
  }
  return TN_OK;
}

/* Which actions may have led to the packed states (rows, actions). */
static inline void rollout_backward_mask(const struct rollout *r, const struct rollout_pack *p,
                                         uint8_t *mask) {
  int64_t actions[ROLLOUT_PARENTS];
  memset(mask, 0, (size_t)(p->rows * r->info.actions));
  for (int64_t v = 0; v < p->rows; v++) {
    const int64_t found = r->table->parents(r->environment->self, p->states + v * r->info.state_width,
                                            p->scratch, actions, ROLLOUT_PARENTS);
    for (int64_t k = 0; k < found && k < ROLLOUT_PARENTS; k++) mask[v * r->info.actions + actions[k]] = 1;
  }
}

/* Runs the policy on the packed states, recorded: logits (rows, actions), log_flow (T), backward_logits (T,
 * actions), as far as there are such. */
static inline tn_status rollout_forward(const struct rollout *r, const struct rollout_pack *p,
                                        const tn_params *params, tn_tensor *condition, bool backward,
                                        const tn_progress *progress, tn_fields *out) {
  const int64_t actions = r->info.actions, prefixes = r->length + 1;
  tn_fields *outputs = tn_fields_new(), *inputs;
  tn_tensor *pick = NULL, *legal = NULL;
  if (backward) {
    legal = tn_empty(TN_B8, TN_SHAPE(p->rows, actions));
    if (tn_poisoned(legal)) return TN_ERROR_MEMORY;
    rollout_backward_mask(r, p, tn_data(legal));
  }
  if (!r->tokens) {
    tn_tensor *owner = condition ? tn_from(TN_I64, TN_SHAPE(p->rows), p->owner) : NULL;
    inputs = rollout_inputs(r, p->states, p->rows, condition, owner);
    if (backward) tn_fields_set(inputs, "backward_mask", legal);
  } else {
    /* One pass over whole strings; the row of prefix t of trajectory i is i (length + 1) + t. */
    inputs = tn_fields_new();
    tn_tensor *tokens = tn_empty(TN_I64, TN_SHAPE(p->count, r->length)),
              *mask = rollout_string_mask(r, p->count);
    tn_tensor *back = backward ? rollout_string_mask(r, p->count) : NULL;
    pick = tn_empty(TN_I64, TN_SHAPE(p->rows));
    uint8_t *masks = tn_failed() ? NULL : tn_alloc((size_t)(p->rows * actions));
    if (!masks) return TN_ERROR_MEMORY;
    r->tokens->tokens(r->environment->self, r->objects, p->count, tn_i64(tokens));
    r->table->mask(r->environment->self, p->states, p->rows, masks);
    for (int64_t v = 0, t = 0; v < p->rows; v++) {
      t = v > 0 && p->owner[v] == p->owner[v - 1] ? t + 1 : 0;
      const int64_t row = p->owner[v] * prefixes + t;
      tn_i64(pick)[v] = row;
      memcpy((uint8_t *)tn_data(mask) + row * actions, masks + v * actions, (size_t)actions);
      if (back)
        memcpy((uint8_t *)tn_data(back) + row * actions, (uint8_t *)tn_data(legal) + v * actions,
               (size_t)actions);
    }
    tn_free(masks);
    tn_fields_set(inputs, "tokens", tokens);
    tn_fields_set(inputs, "mask", mask);
    if (back) tn_fields_set(inputs, "backward_mask", back);
    if (condition) tn_fields_set(inputs, "condition", condition);
  }
  const tn_status status = rollout_apply(r, params, inputs, outputs, progress, false);
  if (status < 0) return status;
  static const char *const names[] = {"logits", "log_flow", "backward_logits"};
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(names); i++) {
    tn_tensor *x = tn_fields_find(outputs, names[i]);
    if (!x) continue;
    if (pick) x = tn_index_select(tn_reshape(x, i == 1 ? TN_SHAPE(-1) : TN_SHAPE(-1, actions)), 0, pick);
    if (i > 0 && p->rows > p->transitions) x = tn_slice(x, 0, 0, p->transitions);
    tn_fields_set(out, names[i], x);
  }
  return tn_outcome();
}

/* Numbers in the run's precision. */
static inline tn_tensor *rollout_numbers(const double *values, int64_t n) {
  return tn_cast(tn_from(TN_F64, TN_SHAPE(n), values), tn_precision());
}

/* log P_B of each transition, uniform over the parents of where it leads. */
static inline tn_tensor *rollout_uniform_backward(const struct rollout_pack *p) {
  tn_tensor *log_pb = tn_empty(TN_F64, TN_SHAPE(p->transitions));
  for (int64_t v = 0; !tn_poisoned(log_pb) && v < p->transitions; v++)
    tn_f64(log_pb)[v] = -log((double)p->parents[v]);
  return tn_cast(log_pb, tn_precision());
}

/* The same of a learnt policy: s_t+1 is in the next row; the stop has none. logits (T, actions), action (T)
 */
static inline tn_tensor *rollout_learnt_backward(const struct rollout_pack *p, tn_tensor *logits,
                                                 tn_tensor *action) {
  tn_tensor *next = tn_empty(TN_I64, TN_SHAPE(p->transitions));
  tn_tensor *inner = tn_empty(TN_B8, TN_SHAPE(p->transitions));
  for (int64_t v = 0; !tn_failed() && v < p->transitions; v++) {
    const bool last = v + 1 == p->transitions || p->owner[v + 1] != p->owner[v];
    tn_i64(next)[v] = last ? v : v + 1;
    ((uint8_t *)tn_data(inner))[v] = !last;
  }
  tn_tensor *taken = tn_pick(tn_index_select(tn_log_softmax(logits, 1), 0, next), action);
  return tn_where(inner, taken, tn_scalar(taken->dtype, 0));
}

static inline tn_status rollout_fill(const struct rollout *r, const struct rollout_pack *p,
                                     tn_tensor *condition, uint32_t needs, bool backward, tn_fields *fields) {
  tn_tensor *action = tn_empty(TN_I64, TN_SHAPE(p->transitions));
  tn_tensor *offset = tn_empty(TN_I64, TN_SHAPE(p->count + 1));
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0, v = 0; i <= p->count; i++) {
    tn_i64(offset)[i] = v;
    for (int64_t t = 0; i < p->count && t < r->steps_of[i]; t++)
      tn_i64(action)[v++] = r->actions[i * r->info.max_steps + t];
  }
  tn_tensor *logits = tn_field(fields, "logits");
  if (p->rows > p->transitions) logits = tn_slice(logits, 0, 0, p->transitions);
  tn_tensor *log_p = tn_log_softmax(logits, 1); /* (T, actions) */
  tn_fields_set(fields, "log_pf", tn_pick(log_p, action));
  tn_fields_set(fields, "log_pb",
                backward ? rollout_learnt_backward(p, tn_field(fields, "backward_logits"), action)
                         : rollout_uniform_backward(p));
  if (needs & TN_FLOW_ENTROPY)
    tn_fields_set(fields, "entropy", tn_neg(tn_sum_axis(tn_mul(tn_exp(log_p), log_p), 1)));
  tn_fields_set(fields, "action", action);
  tn_fields_set(fields, "trajectory", tn_from(TN_I64, TN_SHAPE(p->transitions), p->owner));
  tn_fields_set(fields, "offset", offset);
  tn_fields_set(fields, "log_reward", rollout_numbers(r->log_reward, p->count));
  tn_fields_set(fields, "utility", rollout_numbers(r->utility, p->count));
  if (condition) tn_fields_set(fields, "condition", condition);
  if (needs & TN_FLOW_PARENTS) {
    tn_fields_set(fields, "parent.child", tn_from(TN_I64, TN_SHAPE(p->edges), p->child));
    tn_fields_set(fields, "parent.row", tn_from(TN_I64, TN_SHAPE(p->edges), p->row));
    tn_fields_set(fields, "parent.action", tn_from(TN_I64, TN_SHAPE(p->edges), p->action));
  }
  return tn_outcome();
}

/* The fields of a loss over the first n trajectories, at `params`. */
static inline tn_status rollout_fields(const struct rollout *r, const tn_params *params, int64_t n,
                                       tn_tensor *condition, uint32_t needs, bool backward,
                                       const tn_progress *progress, tn_fields *fields) {
  struct rollout_pack p;
  tn_status status = rollout_collect(r, n, needs, !backward, &p);
  if (status >= 0) status = rollout_forward(r, &p, params, condition, backward, progress, fields);
  if (status >= 0) status = rollout_fill(r, &p, condition, needs, backward, fields);
  rollout_unpack(&p);
  return status;
}

#endif
