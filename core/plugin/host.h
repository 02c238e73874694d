// SPDX-License-Identifier: MIT
/* The host as plugins see it: the root table, the services, the call stack, recorded errors and messages.
 *
 * The state behind the services (recorded error, call stack, where messages go, the running pipeline) is a
 * context; every thread has a current one, so that two hosts work in one process. */
#ifndef TENON_CORE_HOST_H
#define TENON_CORE_HOST_H

#include "core/config/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <tenon/plugin.h>

typedef struct tn_context tn_context;
struct tn_context {
  tn_status status;  /* first failure of the callback that runs; TN_OK: none */
  char message[768]; /* its message */
  tn_call failed_in; /* the component and function that were running then */
  tn_call_stack stack;
  FILE *log;      /* log.txt; NULL: none */
  bool quiet;     /* no warnings on standard error */
  void *pipeline; /* of core/pipeline */
};
/* Sets the calling thread's context and returns the former one. A thread without one gets a default of its
 * own. */
tn_context *tn_context_enter(tn_context *context);
tn_context *tn_context_current(void);
void tn_context_clear(tn_context *context); /* forgets the failure */

/* The root table, the same for every plugin. Its get_service knows the engine's tables and those registered.
 */
extern const tn_host tn_host_table;
/* core/pipeline adds its tables (pipeline, report, comm) at start; the id must be a constant string. */
void tn_host_register(const char *id, const void *table);
/* Fills the host's own tn_sdk; idempotent. */
void tn_host_start(void);

#endif
