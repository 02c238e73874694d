// SPDX-License-Identifier: MIT
/* Kind tenon.environment/1: states, masked actions, transitions, rewards, for many trajectories at once:
 * GFlowNets and reinforcement learning. A state is a row of `state_width` int64 or double numbers; a batch of
 * states is a (n, state_width) array of the caller's. */
#ifndef TENON_ENVIRONMENT_H
#define TENON_ENVIRONMENT_H

#include <tenon/plugin.h>

#define TN_ENVIRONMENT "tenon.environment/1"

typedef struct tn_environment_info {
  uint32_t size;
  uint32_t objectives;   /* rewards a state: 1, or K for multi-objective tasks */
  int64_t state_width;   /* numbers a state */
  int64_t feature_width; /* width of what `features` writes */
  int64_t actions;       /* discrete actions; 0: continuous */
  int64_t action_width;  /* numbers of a continuous action; else 0 */
  int64_t max_steps;     /* a trajectory ends within this many actions */
  int64_t stop_action;   /* the action that ends a trajectory; -1: none */
} tn_environment_info;

typedef struct tn_environment {
  uint32_t size;
  /* REQUIRED; all [worker] but describe [main]: states are the only memory */
  tn_status (*describe)(void *self, tn_environment_info *info);
  /* n initial states; `rng` for environments that start at random. */
  tn_status (*reset)(void *self, double *states, int64_t n, tn_rng *rng);
  /* (n, actions): 1 where the action is legal. At least one is, unless the state is terminal. */
  tn_status (*mask)(void *self, const double *states, int64_t n, uint8_t *mask);
  /* Applies discrete action[i] (or continuous action row i) to state i in place; done[i] set where it ended.
   */
  tn_status (*step)(void *self, double *states, int64_t n, const int64_t *actions, const double *continuous,
                    uint8_t *done, tn_rng *rng);
  /* (n, feature_width) inputs of a network, and (n, objectives) rewards of the (terminal) states. */
  tn_status (*features)(void *self, const double *states, int64_t n, float *features);
  tn_status (*reward)(void *self, const double *states, int64_t n, double *rewards);
  /* OPTIONAL */
  /* Predecessors of one state: states (at most `limit`) and the actions that lead here; their number. For
   * environments that are DAGs with known parents (flow matching, exact evaluation, uniform backward policy).
   * Default: not available. */
  int64_t (*parents)(void *self, const double *state, double *parents, int64_t *actions, int64_t limit);
  /* A unique number 0 <= id < count of a state of a finite environment; count through `states`, which is 0
   * for an instance whose states are too many to be numbered. */
  int64_t (*index)(void *self, const double *state);
  int64_t (*states)(void *self);
  /* Text of a state for people, written to `text` (at most `bytes`). */
  tn_status (*print)(void *self, const double *state, char *text, size_t bytes);
} tn_environment;

/* Extension "tenon.environment.tokens/1": an object is a string, grown by a letter at its end. Action a <
 * letters appends letter a; the stop action is `letters`. Policies that read strings need it. */
#define TN_ENVIRONMENT_TOKENS "tenon.environment.tokens/1"
typedef struct tn_environment_tokens {
  uint32_t size;
  int64_t (*letters)(void *self); /* [main] */
  int64_t (*length)(void *self);  /* [main] of the longest string */
  /* [worker] (n, length) letters of n states; 0 behind the end. */
  void (*tokens)(void *self, const double *states, int64_t n, int64_t *tokens);
} tn_environment_tokens;

/* Extension "tenon.environment.spectrum/1": how many objects have which objectives, for environments whose
 * objects are too many to visit but not to count: exact sums over all objects of anything that depends on the
 * objectives only. */
#define TN_ENVIRONMENT_SPECTRUM "tenon.environment.spectrum/1"
typedef struct tn_environment_spectrum {
  uint32_t size;
  /* [main] The number of distinct objective vectors, 0 if they are too many; at most `limit` of them to
   * `objectives` (limit, objectives) and the logarithm of the number of their objects to `log_counts`. */
  int64_t (*spectrum)(void *self, double *objectives, double *log_counts, int64_t limit);
} tn_environment_spectrum;

/* Extension "tenon.environment.pool/1": trajectories begin at objects of another environment, which whoever
 * uses it gives: mutation of known candidates. */
#define TN_ENVIRONMENT_POOL "tenon.environment.pool/1"
typedef struct tn_environment_pool {
  uint32_t size;
  uint32_t reserved;
  const tn_component *(*base)(void *self); /* [main] the environment of the objects */
  /* [main] From now on trajectories begin at one of these n (copied) objects of the base, drawn uniformly. */
  tn_status (*set)(void *self, const double *objects, int64_t n);
  /* [worker] The objects of the base (n, its width) that n states stand for. */
  void (*objects)(void *self, const double *states, int64_t n, double *objects);
} tn_environment_pool;

static inline tn_status tn_environment_describe(const tn_component *c, tn_environment_info *info) {
  __builtin_memset(info, 0, sizeof *info);
  info->size = sizeof *info;
  info->stop_action = -1;
  tn_call_stack *stack = tn_enter(c, "describe");
  tn_status status = ((const tn_environment *)c->vtable)->describe(c->self, info);
  tn_leave(stack);
  return status;
}

#endif
