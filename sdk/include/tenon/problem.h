// SPDX-License-Identifier: MIT
/* Kind tenon.problem/1: decision variables, objectives, and what is known of their structure.
 *
 * The core interface is a vector problem. Problems over other things (programs, architectures, tours) offer
 * the extension TN_PROBLEM_GENOME; further structure (blocks, columns, constraints) is offered through
 * extensions that the plugins concerned define. */
#ifndef TENON_PROBLEM_H
#define TENON_PROBLEM_H

#include <tenon/plugin.h>

#define TN_PROBLEM "tenon.problem/1"

typedef struct tn_problem_info {
  uint32_t size;
  uint32_t objectives; /* to be minimised; at least 1 */
  int64_t variables;   /* 0: genome problems */
  int64_t constraints; /* inequality constraints g(x) <= 0, reported after the objectives */
  double optimum;      /* best known value of a single objective; NAN if unknown */
  const double *lower; /* (variables) bounds; NULL: unbounded */
  const double *upper;
  const double
      *step; /* (variables) grid step of discrete variables, 0 for continuous; NULL: all continuous */
  const double *solution;  /* (variables) a point that has the optimum; NULL: unknown */
  double lipschitz;        /* largest norm of a gradient; NAN: unknown or none */
  double smoothness;       /* largest ||gradient(x) - gradient(y)|| / ||x - y||; NAN: unknown or none */
  double strong_convexity; /* smallest such ratio of a convex problem; NAN: unknown */
} tn_problem_info;

typedef struct tn_problem {
  uint32_t size;
  /* REQUIRED */
  /* [main] Pointers are the instance's and live as long as it does. */
  tn_status (*describe)(void *self, tn_problem_info *info);
  /* OPTIONAL, but a vector problem has evaluate */
  /* [worker] Objectives, then constraints, of n points (n, variables) -> (n, objectives + constraints). */
  tn_status (*evaluate)(void *self, const double *points, int64_t n, double *values);
  /* [worker] Gradient of the single objective at one point; returns its value through `value`. Default: none.
   */
  tn_status (*gradient)(void *self, const double *point, double *gradient, double *value);
  /* [main] A point to start from (variables). Default: the middle of the bounds, or zeros. */
  tn_status (*start)(void *self, double *point, tn_rng *rng);
  /* [main] The point as text for people. Default: its numbers. */
  tn_status (*print)(void *self, const double *point, char *text, size_t bytes);
  /* [main] Before the first evaluation of a run: reads data, makes what evaluations share; by whoever drives
   * the solver. May be called again. Default: nothing. */
  tn_status (*begin)(void *self);
} tn_problem;

static inline tn_status tn_problem_describe(const tn_component *c, tn_problem_info *info) {
  __builtin_memset(info, 0, sizeof *info);
  info->size = sizeof *info;
  info->optimum = info->lipschitz = info->smoothness = info->strong_convexity = NAN;
  tn_call_stack *stack = tn_enter(c, "describe");
  tn_status status = ((const tn_problem *)c->vtable)->describe(c->self, info);
  tn_leave(stack);
  return status;
}
static inline bool tn_problem_has_gradient(const tn_component *c) {
  const tn_problem *problem = (const tn_problem *)c->vtable;
  return TN_HAS(problem, tn_problem, gradient);
}
/* [worker] As the table's functions. */
static inline tn_status tn_problem_gradient(const tn_component *c, const double *point, double *gradient,
                                            double *value) {
  tn_call_stack *stack = tn_enter(c, "gradient");
  tn_status status = ((const tn_problem *)c->vtable)->gradient(c->self, point, gradient, value);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_problem_evaluate(const tn_component *c, const double *points, int64_t n,
                                            double *values) {
  tn_call_stack *stack = tn_enter(c, "evaluate");
  tn_status status = ((const tn_problem *)c->vtable)->evaluate(c->self, points, n, values);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_problem_begin(const tn_component *c) {
  const tn_problem *problem = (const tn_problem *)c->vtable;
  if (!TN_HAS(problem, tn_problem, begin)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "begin");
  tn_status status = problem->begin(c->self);
  tn_leave(stack);
  return status;
}

/* Extension "tenon.problem.genome/1": candidates are byte strings that only the problem understands. Written
 * to memory that the problem gets from tn_alloc and the caller frees with tn_free. */
#define TN_PROBLEM_GENOME "tenon.problem.genome/1"
typedef struct tn_genome {
  void *data;
  size_t bytes;
} tn_genome;
typedef struct tn_problem_genome {
  uint32_t size;
  tn_status (*initial)(void *self, tn_genome *child); /* [main] the warm start; missing: random */
  tn_status (*random)(void *self, tn_rng *rng, tn_genome *child);
  tn_status (*mutate)(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child);
  tn_status (*crossover)(void *self, const tn_genome *a, const tn_genome *b, tn_rng *rng,
                         tn_genome *child); /* may be NULL */
  /* [worker] Objectives (to be minimised) and constraints; deterministic. Infinite if the candidate fails. */
  tn_status (*evaluate)(void *self, const tn_genome *candidate, double *values);
  uint64_t (*hash)(void *self,
                   const tn_genome *candidate); /* equal for candidates that behave alike; may be NULL */
  tn_status (*print)(void *self, const tn_genome *candidate, char **text); /* tn_alloc'd */
  tn_status (*parse)(void *self, const char *text, tn_genome *candidate);  /* may be NULL */
  /* The parent with every gene drawn anew with probability `rate`; may be missing: mutate. */
  tn_status (*resample)(void *self, const tn_genome *parent, double rate, tn_rng *rng, tn_genome *child);
} tn_problem_genome;

/* Extension "tenon.problem.parts/1" of a genome problem: candidates are made of parts (statements of a
 * program, layers of a network), some of which may be without influence on the objectives, and hold
 * constants. `child` as above; its data stay NULL where there is no such child: no error. */
#define TN_PROBLEM_PARTS "tenon.problem.parts/1"
typedef struct tn_problem_parts {
  uint32_t size;
  /* [any] The number of parts; *idle: how many of them have no influence. */
  uint32_t (*count)(void *self, const tn_genome *candidate, uint32_t *idle);
  /* [main] Without part `part`; none if what is left is no candidate. */
  tn_status (*remove)(void *self, const tn_genome *candidate, uint32_t part, tn_genome *child);
  /* [main] The same behaviour without idle parts, in a form for people. */
  tn_status (*tidy)(void *self, const tn_genome *candidate, tn_genome *child);
  /* [any] Equal for candidates that differ in constants only. */
  uint64_t (*structure)(void *self, const tn_genome *candidate);
  /* [main] Another value of one constant; none if the parent has no constants. */
  tn_status (*tune)(void *self, const tn_genome *parent, tn_rng *rng, tn_genome *child);
  /* [main] What it puts out times `factor`, since problems of other sizes want steps of other sizes; may be
   * NULL. */
  tn_status (*scale)(void *self, const tn_genome *candidate, double factor, tn_genome *child);
} tn_problem_parts;

#endif
