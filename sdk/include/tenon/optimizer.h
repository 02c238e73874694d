// SPDX-License-Identifier: MIT
/* Kind tenon.optimizer/1: updates a parameter set in place.
 *
 * First-order methods make one fused pass over flat memory (TN_FUSED, tn_params_each). Methods that look at
 * other points (line search, surrogates, L-BFGS) evaluate through the closure, any number of times a step.
 * State is a parameter set or more, named in the class's state function. */
#ifndef TENON_OPTIMIZER_H
#define TENON_OPTIMIZER_H

#include <tenon/plugin.h>

#define TN_OPTIMIZER "tenon.optimizer/1"

/* The objective on the current batch, as a function of the parameters. Valid during the step. [main] */
typedef struct tn_closure tn_closure;
struct tn_closure {
  uint32_t size;
  uint32_t evaluations; /* counted by the host */
  /* The loss at `params` (layout of the step's set) and, if `gradient` is not NULL, its gradient there. */
  tn_status (*evaluate)(tn_closure *closure, const tn_params *params, tn_params *gradient, double *loss);
  /* The model's output fields at `params`, recorded, and the loss as a function of (replaced) output fields:
   * for methods that work in output space. NULL where the stage has no such structure. */
  tn_status (*apply)(tn_closure *closure, const tn_params *params, tn_fields *outputs);
  tn_tensor *(*loss)(tn_closure *closure, const tn_fields *outputs);
};

typedef struct tn_optimizer_step {
  uint32_t size;
  uint32_t reserved;
  tn_params *params;         /* to be updated */
  const tn_params *gradient; /* of the loss at params, after the stage's gradient transforms */
  double loss;               /* at params */
  double schedule;           /* factor on the optimizer's own learning rate, from the schedule */
  int64_t step;              /* 1 for the first */
  tn_closure *closure;       /* NULL where re-evaluation is impossible */
  int64_t steps;             /* how many there will be; 0 if nobody knows */
} tn_optimizer_step;
/* 0 too where the host is older. */
static inline int64_t tn_optimizer_steps(const tn_optimizer_step *step) {
  return step->size >= offsetof(tn_optimizer_step, steps) + sizeof step->steps ? step->steps : 0;
}

typedef struct tn_optimizer {
  uint32_t size;
  /* REQUIRED */
  /* [main] Called before the first step, and again when a stage starts over: allocate and clear the state. */
  tn_status (*begin)(void *self, const tn_params *params);
  /* [main] */
  tn_status (*step)(void *self, const tn_optimizer_step *step);
  /* OPTIONAL */
  /* [main] The learning rate in force, for logs. Default: unknown. */
  double (*learning_rate)(void *self, double schedule);
  /* [main] The parameters to evaluate and keep, where they differ from the iterates (averages, schedule-free
   * methods): written to `into`. Default: the iterates. */
  tn_status (*final_params)(void *self, const tn_params *params, tn_params *into);
} tn_optimizer;

static inline tn_status tn_optimizer_begin(const tn_component *c, const tn_params *params) {
  tn_call_stack *stack = tn_enter(c, "begin");
  tn_status status = ((const tn_optimizer *)c->vtable)->begin(c->self, params);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_optimizer_update(const tn_component *c, const tn_optimizer_step *step) {
  tn_call_stack *stack = tn_enter(c, "step");
  tn_status status = ((const tn_optimizer *)c->vtable)->step(c->self, step);
  tn_leave(stack);
  return status;
}
static inline double tn_optimizer_learning_rate(const tn_component *c, double schedule) {
  const tn_optimizer *o = (const tn_optimizer *)c->vtable;
  return TN_HAS(o, tn_optimizer, learning_rate) ? o->learning_rate(c->self, schedule) : NAN;
}
static inline bool tn_optimizer_has_final(const tn_component *c) {
  const tn_optimizer *o = (const tn_optimizer *)c->vtable;
  return TN_HAS(o, tn_optimizer, final_params);
}
static inline tn_status tn_optimizer_final(const tn_component *c, const tn_params *params, tn_params *into) {
  tn_call_stack *stack = tn_enter(c, "final_params");
  tn_status status = ((const tn_optimizer *)c->vtable)->final_params(c->self, params, into);
  tn_leave(stack);
  return status;
}

#endif
