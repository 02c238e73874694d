// SPDX-License-Identifier: MIT
/* Kind tenon.preference/1: what a conditional sampler is asked for: weights of the objectives and a
 * temperature, drawn for training or walked through for tests, and the scalar reward that follows from them.
 *
 * A preference is a row of `objectives` + 1 numbers: weights (or a direction), then the exponent beta. */
#ifndef TENON_PREFERENCE_H
#define TENON_PREFERENCE_H

#include <tenon/plugin.h>

#define TN_PREFERENCE "tenon.preference/1"

enum {
  TN_CONDITION_WEIGHTS = 1u << 0,    /* the weights vary: field `preference` (n, objectives) */
  TN_CONDITION_TEMPERATURE = 1u << 1 /* beta varies: field `temperature` (n, 1) */
};

typedef struct tn_preference_info {
  uint32_t size;
  uint32_t conditions; /* TN_CONDITION_...: what a policy must be told; 0: always the same */
  int64_t count;       /* preferences of a walk; 0: random draws */
} tn_preference_info;

typedef struct tn_preference {
  uint32_t size;
  /* REQUIRED */
  /* [main] For so many objectives; refuses a number it cannot serve. */
  tn_status (*describe)(void *self, uint32_t objectives, tn_preference_info *info);
  /* [main] n preferences (n, objectives + 1): random ones, or those from number `first` on of the walk, which
   * starts over at its end. */
  tn_status (*draw)(void *self, uint32_t objectives, int64_t first, int64_t n, double *preferences,
                    tn_rng *rng);
  /* [worker] Of n objects with objectives (n, objectives), larger better: the scalar utility without the
   * exponent (n), and the logarithm of the reward (n), finite. */
  tn_status (*reward)(void *self, uint32_t objectives, const double *preferences, const double *values,
                      int64_t n, double *utility, double *log_reward);
  /* OPTIONAL */
  /* [main] Hindsight: changes preferences of objects that failed theirs into ones they fulfil, each with
   * probability `share`. Default: nothing is changed. */
  tn_status (*relabel)(void *self, uint32_t objectives, double *preferences, const double *values, int64_t n,
                       double share, tn_rng *rng);
} tn_preference;

static inline tn_status tn_preference_describe(const tn_component *c, uint32_t objectives,
                                               tn_preference_info *info) {
  __builtin_memset(info, 0, sizeof *info);
  info->size = sizeof *info;
  tn_call_stack *stack = tn_enter(c, "describe");
  tn_status status = ((const tn_preference *)c->vtable)->describe(c->self, objectives, info);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_preference_draw(const tn_component *c, uint32_t objectives, int64_t first,
                                           int64_t n, double *preferences, tn_rng *rng) {
  tn_call_stack *stack = tn_enter(c, "draw");
  tn_status status =
      ((const tn_preference *)c->vtable)->draw(c->self, objectives, first, n, preferences, rng);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_preference_reward(const tn_component *c, uint32_t objectives,
                                             const double *preferences, const double *values, int64_t n,
                                             double *utility, double *log_reward) {
  tn_call_stack *stack = tn_enter(c, "reward");
  tn_status status = ((const tn_preference *)c->vtable)
                         ->reward(c->self, objectives, preferences, values, n, utility, log_reward);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_preference_relabel(const tn_component *c, uint32_t objectives, double *preferences,
                                              const double *values, int64_t n, double share, tn_rng *rng) {
  const tn_preference *p = (const tn_preference *)c->vtable;
  if (!TN_HAS(p, tn_preference, relabel)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "relabel");
  tn_status status = p->relabel(c->self, objectives, preferences, values, n, share, rng);
  tn_leave(stack);
  return status;
}

#endif
