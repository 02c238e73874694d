// SPDX-License-Identifier: MIT
/* Kind tenon.solver/1: improves candidates of a problem under a budget, in resumable steps. */
#ifndef TENON_SOLVER_H
#define TENON_SOLVER_H

#include <tenon/metric.h>
#include <tenon/problem.h>

#define TN_SOLVER "tenon.solver/1"

typedef struct tn_solver_status {
  uint32_t size;
  uint32_t reserved;
  int64_t iterations;
  int64_t evaluations;
  double value; /* best objective so far, +inf if none */
  double bound; /* proven lower bound, -inf if none */
} tn_solver_status;

typedef struct tn_solver {
  uint32_t size;
  /* REQUIRED */
  /* [main] Starts on `problem`; refuses one without the structure it needs. */
  tn_status (*begin)(void *self, const tn_component *problem);
  /* [main] One iteration (its natural unit). TN_DONE when it has converged or used its own budget. */
  tn_status (*step)(void *self, tn_solver_status *status);
  /* OPTIONAL: one of the two */
  /* [main] The best point so far (variables of the problem). */
  tn_status (*best)(void *self, double *point);
  /* [main] The best candidate of a genome problem; the caller frees it. */
  tn_status (*best_genome)(void *self, tn_genome *genome);
  /* [main] All non-dominated points, for several objectives: count through `count`, points if not NULL. */
  tn_status (*front)(void *self, int64_t *count, double *points, double *values);
  /* [main] Further figures of the solution so far: rates, diversity, gaps. Default: none. */
  tn_status (*figures)(void *self, tn_metric_sink *sink);
  /* [main] The best candidates of a genome problem so far that differ in more than constants, best first:
   * how many through `count`; genomes, which the caller frees, and values if not NULL. */
  tn_status (*candidates)(void *self, uint32_t *count, tn_genome *genomes, double *values);
} tn_solver;

static inline tn_status tn_solver_begin(const tn_component *c, const tn_component *problem) {
  tn_call_stack *stack = tn_enter(c, "begin");
  tn_status status = ((const tn_solver *)c->vtable)->begin(c->self, problem);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_solver_step(const tn_component *c, tn_solver_status *result) {
  tn_call_stack *stack = tn_enter(c, "step");
  tn_status status = ((const tn_solver *)c->vtable)->step(c->self, result);
  tn_leave(stack);
  return status;
}

#endif
