// SPDX-License-Identifier: MIT
/* Trajectories of a policy in an environment: drawn without recording, all side by side, in memory that
 * stays. rollout_pack.h makes of them what losses read. */
#ifndef TENON_PLUGINS_ROLLOUT_H
#define TENON_PLUGINS_ROLLOUT_H

#include "plugins/stages/pass.h"
#include <string.h>
#include <tenon/environment.h>
#include <tenon/preference.h>
#include <tenon/trajectory.h>

enum { ROLLOUT_FIELDS = 16 }; /* most fields that a condition is made of */

struct rollout {
  const tn_component *environment, *model, *preference; /* preference NULL: log R = log r of one objective */
  const tn_references *transforms;                      /* of the condition */
  bool unasked; /* rewards come from elsewhere, whatever the number of objectives */
  const tn_environment *table;
  const tn_environment_tokens *tokens; /* of a policy that reads strings; else NULL */
  const tn_policy_steps *steps;
  tn_environment_info info;
  tn_preference_info asked;
  int64_t letters, length;
  bool conditional;

  int64_t capacity;             /* trajectories there is room for */
  double *states;               /* (capacity, max_steps, width): s_t */
  int64_t *actions;             /* (capacity, max_steps): a_t */
  int64_t *steps_of;            /* (capacity): transitions */
  double *objects;              /* (capacity, width): where they ended */
  double *asked_of;             /* (capacity, objectives + 1): preferences */
  double *values;               /* (capacity, objectives) */
  double *utility, *log_reward; /* (capacity) */
  /* scratch of a step: what still goes on */
  int64_t *active, *chosen;
  double *now;
  uint8_t *mask, *done;
  float *features;
};

static inline int64_t rollout_preference_width(const struct rollout *r) { return r->info.objectives + 1; }

/* ---- checking ---- */

/* Fields of a preference, as transforms see them. */
static inline tn_spec *rollout_asked_spec(const struct rollout *r) {
  tn_spec *spec = tn_spec_new();
  if (spec && r->asked.conditions & TN_CONDITION_WEIGHTS)
    tn_spec_set(spec, "preference", TN_FLOAT, TN_SHAPE(r->info.objectives), 0);
  if (spec && r->asked.conditions & TN_CONDITION_TEMPERATURE)
    tn_spec_set(spec, "temperature", TN_FLOAT, TN_SHAPE(1), 0);
  return spec;
}

/* Width of the condition: all fields that the transforms leave. */
static inline tn_status rollout_condition_width(const struct rollout *r, int64_t *width) {
  tn_spec *own = rollout_asked_spec(r);
  const tn_spec *fields = own;
  tn_status status = own ? TN_OK : TN_ERROR_MEMORY;
  *width = 0;
  for (uint32_t t = 0; status >= 0 && r->asked.conditions && r->transforms && t < r->transforms->count; t++)
    status = tn_declare_component(r->transforms->items[t], fields, &fields);
  if (status >= 0 && tn_spec_count(fields) > ROLLOUT_FIELDS)
    status = tn_fail(TN_ERROR_INVALID, "a condition of %u fields, at most %d can be had",
                     tn_spec_count(fields), ROLLOUT_FIELDS);
  for (uint32_t i = 0; status >= 0 && i < tn_spec_count(fields); i++) {
    const char *name;
    const tn_field_spec *field = tn_spec_at(fields, i, &name);
    *width += tn_spec_numel(field);
  }
  tn_spec_release(own);
  return status;
}

/* Looks at environment and preference, and declares the model and, if there is one, the loss. */
static inline tn_status rollout_check(struct rollout *r, const tn_component *loss) {
  int64_t width = 0;
  r->table = r->environment->vtable;
  tn_status status = tn_environment_describe(r->environment, &r->info);
  if (status < 0) return status;
  if (r->info.actions < 1 || r->info.stop_action < 0 || !TN_HAS(r->table, tn_environment, parents))
    return tn_fail(TN_ERROR_INVALID,
                   "'%s' is not a graph with discrete actions, a stop action and known parents",
                   r->environment->name);
  if (r->preference)
    status = tn_preference_describe(r->preference, r->info.objectives, &r->asked);
  else if (r->info.objectives != 1 && !r->unasked)
    return tn_fail(TN_ERROR_INVALID, "'%s' has %u objectives: give a preference", r->environment->name,
                   r->info.objectives);
  if (status >= 0) status = rollout_condition_width(r, &width);
  if (status < 0) return status;
  r->conditional = width > 0;

  tn_spec *inputs = tn_spec_new();
  if (!inputs) return TN_ERROR_MEMORY;
  r->steps = tn_extension(r->model, TN_POLICY_STEPS);
  r->tokens = r->steps ? tn_extension(r->environment, TN_ENVIRONMENT_TOKENS) : NULL;
  if (r->steps && !r->tokens) {
    status = tn_fail(TN_ERROR_INVALID, "'%s' reads strings, which the states of '%s' are not", r->model->name,
                     r->environment->name);
  } else if (r->tokens) {
    r->letters = r->tokens->letters(r->environment->self);
    r->length = r->tokens->length(r->environment->self);
    tn_spec_set(inputs, "tokens", TN_I64, TN_SHAPE(r->length), r->letters);
  } else {
    tn_spec_set(inputs, "state", TN_FLOAT, TN_SHAPE(r->info.feature_width), 0);
  }
  const tn_shape row = r->tokens ? TN_SHAPE(r->length + 1, r->info.actions) : TN_SHAPE(r->info.actions);
  tn_spec_set(inputs, "mask", TN_B8, row, 0);
  tn_spec_set(inputs, "backward_mask", TN_B8, row, 0);
  if (width > 0) tn_spec_set(inputs, "condition", TN_FLOAT, TN_SHAPE(width), 0);

  const tn_spec *outputs = NULL;
  if (status >= 0) status = tn_declare_component(r->model, inputs, &outputs);
  tn_spec_release(inputs);
  if (status < 0 || !loss) return status;
  tn_spec *packed = tn_spec_clone(outputs);
  if (!packed) return TN_ERROR_MEMORY;
  static const char *const numbers[] = {"log_pf", "log_pb", "entropy", "log_reward", "utility"};
  static const char *const indices[] = {"trajectory",   "offset",     "action",
                                        "parent.child", "parent.row", "parent.action"};
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(numbers); i++)
    tn_spec_set(packed, numbers[i], TN_FLOAT, (tn_shape){0, {0}}, 0);
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(indices); i++)
    tn_spec_set(packed, indices[i], TN_I64, (tn_shape){0, {0}}, 0);
  if (!tn_extension(loss, TN_FLOW_LOSS))
    status = tn_fail(TN_ERROR_INVALID, "'%s' is not a loss of trajectories", loss->name);
  if (status >= 0) status = tn_declare_component(loss, packed, NULL);
  tn_spec_release(packed);
  return status;
}

/* ---- memory ---- */

static inline void rollout_close(struct rollout *r) {
  void *all[] = {r->states,     r->actions, r->steps_of, r->objects, r->asked_of, r->values, r->utility,
                 r->log_reward, r->active,  r->chosen,   r->now,     r->mask,     r->done,   r->features};
  for (size_t i = 0; i < TN_ARRAY_LENGTH(all); i++) tn_free(all[i]);
  r->states = r->objects = r->asked_of = r->values = r->utility = r->log_reward = r->now = NULL;
  r->actions = r->steps_of = r->active = r->chosen = NULL;
  r->mask = r->done = NULL;
  r->features = NULL;
  r->capacity = 0;
}

/* Room for `capacity` trajectories, after rollout_check. */
static inline tn_status rollout_open(struct rollout *r, int64_t capacity) {
  const tn_environment_info *i = &r->info;
  const size_t n = (size_t)capacity, steps = (size_t)i->max_steps, width = (size_t)i->state_width;
  rollout_close(r);
  r->states = tn_alloc(n * steps * width * sizeof(double));
  r->actions = tn_alloc(n * steps * sizeof(int64_t));
  r->steps_of = tn_alloc(n * sizeof(int64_t));
  r->objects = tn_alloc(n * width * sizeof(double));
  r->asked_of = tn_alloc(n * (i->objectives + 1) * sizeof(double));
  r->values = tn_alloc(n * i->objectives * sizeof(double));
  r->utility = tn_alloc(n * sizeof(double));
  r->log_reward = tn_alloc(n * sizeof(double));
  r->active = tn_alloc(n * sizeof(int64_t));
  r->chosen = tn_alloc(n * sizeof(int64_t));
  r->now = tn_alloc(n * width * sizeof(double));
  r->mask = tn_alloc(n * (size_t)i->actions);
  r->done = tn_alloc(n);
  r->features = tn_alloc(n * (size_t)i->feature_width * sizeof(float));
  r->capacity = capacity;
  return tn_failed() ? TN_ERROR_MEMORY : TN_OK;
}

/* ---- what the policy is told ---- */

/* The condition (n, c) of n preferences; NULL if there is none. */
static inline tn_tensor *rollout_condition(const struct rollout *r, const double *preferences, int64_t n,
                                           const tn_progress *progress) {
  const int64_t objectives = r->info.objectives;
  if (!r->conditional) return NULL;
  tn_tensor *rows = tn_cast(tn_from(TN_F64, TN_SHAPE(n, objectives + 1), preferences), tn_precision());
  tn_fields *fields = tn_fields_new();
  if (r->asked.conditions & TN_CONDITION_WEIGHTS)
    tn_fields_set(fields, "preference", tn_slice(rows, 1, 0, objectives));
  if (r->asked.conditions & TN_CONDITION_TEMPERATURE)
    tn_fields_set(fields, "temperature", tn_slice(rows, 1, objectives, objectives + 1));
  for (uint32_t t = 0; r->transforms && t < r->transforms->count; t++) {
    const tn_component *c = r->transforms->items[t];
    tn_rng rng = tn_rng_at(c->name, "train", (uint64_t)progress->step);
    const tn_transform_call call = {
        .size = sizeof call, .params = pass_parameters(c), .progress = *progress, .rng = &rng};
    if (tn_transform_apply(c, fields, &call) < 0) break;
  }
  tn_tensor *parts[ROLLOUT_FIELDS];
  uint32_t count = 0;
  for (uint32_t i = 0; i < tn_fields_count(fields) && count < ROLLOUT_FIELDS; i++) {
    const char *name;
    parts[count++] = tn_flatten(tn_fields_at(fields, i, &name));
  }
  return count == 1 ? parts[0] : tn_concatenate(parts, count, 1);
}

/* Values, utility and log R of the first n objects under their preferences. */
static inline tn_status rollout_reward(struct rollout *r, int64_t n) {
  tn_call_stack *stack = tn_enter(r->environment, "reward");
  tn_status status = r->table->reward(r->environment->self, r->objects, n, r->values);
  tn_leave(stack);
  if (status < 0) return status;
  if (r->preference)
    return tn_preference_reward(r->preference, r->info.objectives, r->asked_of, r->values, n, r->utility,
                                r->log_reward);
  for (int64_t i = 0; i < n; i++) {
    r->utility[i] = r->values[i];
    r->log_reward[i] = log(fmax(r->values[i], 1e-30));
  }
  return TN_OK;
}

/* ---- the policy ---- */

static inline tn_status rollout_apply(const struct rollout *r, const tn_params *params,
                                      const tn_fields *inputs, tn_fields *outputs,
                                      const tn_progress *progress, bool step) {
  tn_rng rng = pass_rng(r->model, progress, 0);
  tn_model_call call = {.size = sizeof call,
                        .norm = TN_NORM_RUNNING,
                        .params = params,
                        .inputs = inputs,
                        .outputs = outputs,
                        .progress = *progress,
                        .rng = &rng};
  if (!step) return tn_model_apply(r->model, &call);
  tn_call_stack *stack = tn_enter(r->model, "step");
  const tn_status status = r->steps->step(r->model->self, &call);
  tn_leave(stack);
  return status;
}

/* Inputs of a policy that reads states: n of them, their masks, and the rows of the condition that they have
 * (NULL: row i). */
static inline tn_fields *rollout_inputs(const struct rollout *r, const double *states, int64_t n,
                                        tn_tensor *condition, tn_tensor *rows) {
  const tn_environment_info *i = &r->info;
  tn_fields *fields = tn_fields_new();
  tn_tensor *features = tn_empty(TN_F32, TN_SHAPE(n, i->feature_width));
  tn_tensor *mask = tn_empty(TN_B8, TN_SHAPE(n, i->actions));
  if (tn_failed()) return fields;
  tn_call_stack *stack = tn_enter(r->environment, "features");
  r->table->features(r->environment->self, states, n, tn_f32(features));
  r->table->mask(r->environment->self, states, n, tn_data(mask));
  tn_leave(stack);
  tn_fields_set(fields, "state", tn_cast(features, tn_precision()));
  tn_fields_set(fields, "mask", mask);
  if (condition) tn_fields_set(fields, "condition", rows ? tn_index_select(condition, 0, rows) : condition);
  return fields;
}

/* (n, length + 1, actions) masks of a policy that reads strings, from `write` of each prefix's state: all
 * ones where there is no such state. */
static inline tn_tensor *rollout_string_mask(const struct rollout *r, int64_t n) {
  tn_tensor *mask = tn_empty(TN_B8, TN_SHAPE(n, r->length + 1, r->info.actions));
  if (!tn_poisoned(mask)) memset(tn_data(mask), 1, (size_t)tn_numel(mask));
  return mask;
}

/* logits (n, actions) and log_flow (n) at any n states, strings of `prefix` letters if they are strings. */
static inline tn_status rollout_evaluate(const struct rollout *r, const tn_params *params,
                                         const double *states, int64_t n, int64_t prefix,
                                         tn_tensor *condition, const tn_progress *progress,
                                         tn_fields *outputs) {
  if (!r->tokens)
    return rollout_apply(r, params, rollout_inputs(r, states, n, condition, NULL), outputs, progress, false);
  tn_fields *inputs = tn_fields_new(), *all = tn_fields_new();
  tn_tensor *tokens = tn_empty(TN_I64, TN_SHAPE(n, r->length)), *mask = rollout_string_mask(r, n);
  const int64_t actions = r->info.actions;
  uint8_t *legal = tn_failed() ? NULL : tn_alloc((size_t)(n * actions));
  if (!legal) return TN_ERROR_MEMORY;
  r->tokens->tokens(r->environment->self, states, n, tn_i64(tokens));
  r->table->mask(r->environment->self, states, n, legal);
  for (int64_t i = 0; i < n; i++)
    memcpy((uint8_t *)tn_data(mask) + (i * (r->length + 1) + prefix) * actions, legal + i * actions,
           (size_t)actions);
  tn_free(legal);
  tn_fields_set(inputs, "tokens", tokens);
  tn_fields_set(inputs, "mask", mask);
  if (condition) tn_fields_set(inputs, "condition", condition);
  const tn_status status = rollout_apply(r, params, inputs, all, progress, false);
  if (status < 0) return status;
  tn_fields_set(outputs, "logits",
                tn_reshape(tn_slice(tn_field(all, "logits"), 1, prefix, prefix + 1), TN_SHAPE(n, actions)));
  tn_tensor *flow = tn_fields_find(all, "log_flow");
  if (flow)
    tn_fields_set(outputs, "log_flow", tn_reshape(tn_slice(flow, 1, prefix, prefix + 1), TN_SHAPE(n)));
  return tn_outcome();
}

/* log Z of n conditions as the loss has learnt it, as float64 (n); NULL if it learns none. */
static inline tn_tensor *rollout_log_z(const struct rollout *r, const tn_params *params,
                                       const tn_component *loss, tn_tensor *condition, int64_t n,
                                       const tn_progress *progress) {
  const tn_flow_loss *flow = tn_extension(loss, TN_FLOW_LOSS);
  if (!flow || !flow->log_z) return NULL;
  double *states = tn_alloc((size_t)(n * r->info.state_width) * sizeof *states);
  tn_fields *fields = tn_fields_new();
  tn_rng rng = tn_rng_at(r->environment->name, "source", 0);
  if (!states || r->table->reset(r->environment->self, states, n, &rng) < 0 ||
      rollout_evaluate(r, params, states, n, 0, condition, progress, fields) < 0) {
    tn_free(states);
    return NULL;
  }
  tn_free(states);
  if (condition) tn_fields_set(fields, "condition", condition);
  const tn_loss_call call = {.size = sizeof call,
                             .params = pass_parameters(loss),
                             .fields = fields,
                             .progress = *progress,
                             .rng = &rng};
  tn_call_stack *stack = tn_enter(loss, "log_z");
  tn_tensor *z = flow->log_z(loss->self, &call);
  tn_leave(stack);
  if (!z || tn_poisoned(z)) return z;
  return tn_cast(tn_broadcast_to(tn_reshape(z, TN_SHAPE(-1)), TN_SHAPE(n)), TN_F64);
}

/* ---- drawing ---- */

/* An action from (1 - epsilon) softmax(logits) + epsilon uniform(legal). */
static inline int64_t rollout_choose(const tn_tensor *logits, int64_t row, const uint8_t *mask,
                                     int64_t actions, double epsilon, tn_rng *rng) {
  double sum = 0, most = -INFINITY;
  int64_t legal = 0, last = 0;
#define LOGIT(a)                                                 \
  (logits->dtype == TN_F64 ? tn_f64(logits)[row * actions + (a)] \
                           : (double)tn_f32(logits)[row * actions + (a)])
  for (int64_t a = 0; a < actions; a++) {
    if (!mask[a]) continue;
    legal++;
    last = a;
    most = fmax(most, LOGIT(a));
  }
  if (legal == 1) return last;
  if (epsilon > 0 && tn_random_uniform(rng) < epsilon) {
    int64_t pick = (int64_t)tn_random_below(rng, (uint64_t)legal);
    for (int64_t a = 0; a < actions; a++)
      if (mask[a] && pick-- == 0) return a;
  }
  for (int64_t a = 0; a < actions; a++)
    if (mask[a]) sum += exp(LOGIT(a) - most);
  double left = tn_random_uniform(rng) * sum;
  for (int64_t a = 0; a < actions; a++) {
    if (!mask[a]) continue;
    left -= exp(LOGIT(a) - most);
    last = a;
    if (left < 0) break;
  }
#undef LOGIT
  return last;
}

/* Inputs of one more letter of strings: what the former step gave, for those that go on. */
static inline tn_fields *rollout_letter(const struct rollout *r, int64_t t, int64_t n,
                                        const tn_fields *former, tn_tensor *kept, tn_tensor *condition) {
  tn_fields *fields = tn_fields_new();
  tn_tensor *token = tn_empty(TN_I64, TN_SHAPE(n)), *mask = tn_empty(TN_B8, TN_SHAPE(n, r->info.actions));
  if (tn_failed()) return fields;
  for (int64_t i = 0; i < n; i++)
    tn_i64(token)[i] = t > 0 ? r->actions[r->active[i] * r->info.max_steps + t - 1] : -1;
  memcpy(tn_data(mask), r->mask, (size_t)tn_numel(mask));
  tn_fields_set(fields, "token", token);
  tn_fields_set(fields, "mask", mask);
  if (condition) tn_fields_set(fields, "condition", condition);
  for (uint32_t i = 0; former && i < tn_fields_count(former); i++) {
    const char *name;
    tn_tensor *x = tn_fields_at(former, i, &name);
    if (strncmp(name, "memory.", 7) == 0) tn_fields_set(fields, name, kept ? tn_index_select(x, 0, kept) : x);
  }
  return fields;
}

/* Inputs of a policy that reads states, for the `count` of `n` that still go on, in memory that stays. */
static inline tn_fields *rollout_now(const struct rollout *r, int64_t count, int64_t n,
                                     tn_tensor *condition) {
  tn_fields *fields = tn_fields_new();
  if (r->table->features(r->environment->self, r->now, count, r->features) < 0) return fields;
  tn_tensor *state = tn_wrap(TN_F32, TN_SHAPE(count, r->info.feature_width), r->features);
  tn_fields_set(fields, "state", tn_precision() == TN_F32 ? state : tn_cast(state, tn_precision()));
  tn_fields_set(fields, "mask", tn_wrap(TN_B8, TN_SHAPE(count, r->info.actions), r->mask));
  if (condition && count < n)
    condition = tn_index_select(condition, 0, tn_from(TN_I64, TN_SHAPE(count), r->active));
  if (condition) tn_fields_set(fields, "condition", condition);
  return fields;
}

/* Draws an action for every state that goes on, by the policy's logits, and takes it. */
static inline tn_status rollout_act(struct rollout *r, const tn_tensor *logits, int64_t t, int64_t count,
                                    double epsilon, tn_rng *rng) {
  const int64_t width = r->info.state_width, steps = r->info.max_steps, actions = r->info.actions;
  for (int64_t k = 0; k < count; k++) {
    const int64_t at = r->active[k] * steps + t;
    r->chosen[k] = rollout_choose(logits, k, r->mask + k * actions, actions, epsilon, rng);
    memcpy(r->states + at * width, r->now + k * width, (size_t)width * sizeof *r->now);
    r->actions[at] = r->chosen[k];
  }
  return r->table->step(r->environment->self, r->now, count, r->chosen, NULL, r->done, rng);
}

/* Puts away what ended with action number t, and closes the ranks of the rest: how many there are; their
 * former places are in `chosen`. */
static inline int64_t rollout_close_ranks(struct rollout *r, int64_t t, int64_t count) {
  const int64_t width = r->info.state_width;
  const size_t bytes = (size_t)width * sizeof *r->now;
  int64_t left = 0;
  for (int64_t k = 0; k < count; k++) {
    const int64_t i = r->active[k];
    if (r->done[k]) {
      memcpy(r->objects + i * width, r->now + k * width, bytes);
      r->steps_of[i] = t + 1;
      continue;
    }
    if (left != k) memcpy(r->now + left * width, r->now + k * width, bytes);
    r->active[left] = i;
    r->chosen[left++] = k;
  }
  return left;
}

/* Draws n trajectories under `condition` (n, c), with recording off; fills states, actions, steps_of and
 * objects. */
static inline tn_status rollout_draw(struct rollout *r, const tn_params *params, int64_t n,
                                     tn_tensor *condition, double epsilon, const tn_progress *progress,
                                     tn_rng *rng) {
  const bool recording = tn_record(false), strings = r->tokens != NULL;
  tn_status status = r->table->reset(r->environment->self, r->now, n, rng);
  tn_fields *former = NULL; /* of strings: what the last step gave */
  tn_tensor *kept = NULL, *told = condition;
  for (int64_t i = 0; i < n; i++) r->active[i] = i;
  for (int64_t t = 0, count = n; status >= 0 && count > 0; t++) {
    if (t >= r->info.max_steps) {
      status = tn_fail(TN_ERROR_INTERNAL, "'%s' goes on after its %lld steps", r->environment->name,
                       (long long)r->info.max_steps);
      break;
    }
    /* Strings keep their memory from step to step; states need nothing from the former one. */
    if (!strings) tn_scope_open();
    status = r->table->mask(r->environment->self, r->now, count, r->mask);
    tn_fields *outputs = tn_fields_new();
    tn_fields *inputs =
        strings ? rollout_letter(r, t, count, former, kept, told) : rollout_now(r, count, n, condition);
    if (status >= 0) status = rollout_apply(r, params, inputs, outputs, progress, strings);
    const tn_tensor *logits = status >= 0 ? tn_field(outputs, "logits") : NULL;
    if (status >= 0) status = tn_outcome();
    if (status >= 0) status = rollout_act(r, logits, t, count, epsilon, rng);
    if (!strings) tn_scope_close();
    if (status < 0) break;
    const int64_t left = rollout_close_ranks(r, t, count);
    former = outputs;
    kept = strings && left < count ? tn_from(TN_I64, TN_SHAPE(left), r->chosen) : NULL;
    if (kept && told) told = tn_index_select(told, 0, kept);
    count = left;
  }
  tn_record(recording);
  return status;
}

#endif
