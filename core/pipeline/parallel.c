// SPDX-License-Identifier: MIT
/* Independent pieces of a component's work side by side. Every thread works on the run's engine with a
 * context of its own, so that call stacks and errors do not mix; what a piece gives must depend on its index
 * alone, so the number of threads does not matter. */
#include "core/pipeline/internal.h"
#include <omp.h>
#include <string.h>

typedef struct crew {
  tn_pipeline *pipeline;
  tn_parallel_body body;
  void *argument;
  tn_call caller;
  /* the failure with the lowest index: the one that a single thread would have met */
  int64_t failed_at;
  tn_status status;
  char message[sizeof(((tn_context *)NULL)->message)];
} crew;

static tn_status piece(const crew *c, int64_t index) {
  tn_scope_open();
  tn_status status = c->body(c->argument, index);
  tn_scope_close();
  return status >= 0 && tn_failed() ? TN_ERROR_INTERNAL : status;
}

static void note_failure(crew *c, int64_t index, tn_status status, const char *message) {
#pragma omp critical(tn_crew)
  if (c->failed_at < 0 || index < c->failed_at) {
    c->failed_at = index;
    c->status = status;
    snprintf(c->message, sizeof c->message, "%s", message);
  }
}

static void piece_elsewhere(crew *c, int64_t index) {
  tn_context own = {
      .log = c->pipeline->context.log, .quiet = c->pipeline->context.quiet, .pipeline = c->pipeline};
  tn_context *former = tn_context_enter(&own);
  tn_engine *engine = tn_engine_enter(c->pipeline->engine);
  own.stack.calls[own.stack.depth++] = c->caller;
  const tn_status status = piece(c, index);
  if (status < 0) note_failure(c, index, status, own.message);
  tn_engine_enter(engine);
  tn_context_enter(former);
}

tn_status tn_pipeline_parallel(int64_t count, tn_parallel_body body, void *argument) {
  tn_pipeline *p = tn_pipeline_current();
  const tn_call_stack *stack = &tn_context_current()->stack;
  crew c = {.pipeline = p, .body = body, .argument = argument, .failed_at = -1};
  if (stack->depth > 0) c.caller = stack->calls[(stack->depth - 1) % TN_CALL_DEPTH];
  /* a profile and the search for NaN look at one thread's operations */
  if (count <= 1 || omp_in_parallel() || omp_get_max_threads() == 1 || p->profile || p->trap_nan) {
    tn_status status = TN_OK;
    for (int64_t i = 0; status >= 0 && i < count; i++) status = piece(&c, i);
    return status < 0 ? status : TN_OK;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < count; i++) piece_elsewhere(&c, i);
  return c.failed_at < 0 ? TN_OK
                         : tn_fail(c.status, "%s", *c.message ? c.message : "failed without saying why");
}
