// SPDX-License-Identifier: MIT
/* Kind tenon.stage/1: a procedure of a pipeline: supervised training, evaluation, diffusion, condensation ...
 *
 * The host drives: check for all stages in order, then for each stage begin, step until TN_DONE, end. Between
 * two steps it may save a checkpoint (the class's state function), answer a signal, or stop; so a step should
 * take milliseconds to seconds, and everything that survives a step belongs into the state. Each callback
 * runs in a scope of its own with recording on. */
#ifndef TENON_STAGE_H
#define TENON_STAGE_H

#include <tenon/plugin.h>

#define TN_STAGE "tenon.stage/1"

typedef struct tn_stage {
  uint32_t size;
  /* REQUIRED */
  /* [main] Resolves and checks everything without computing: specifications from data set through model to
   * loss (tn_declare_component), counts, combinations. After it, parameters can be made. */
  tn_status (*check)(void *self);
  /* [main] Prepares: fits transforms, starts optimizers and samplers. Also runs before a resume loads the
   * state. */
  tn_status (*begin)(void *self);
  /* [main] One unit of work. TN_OK: there is more; TN_DONE: this was the last. */
  tn_status (*step)(void *self);
  /* OPTIONAL */
  /* [main] Reports results (tn_emit_result), publishes, releases what begin took. Default: nothing. */
  tn_status (*end)(void *self);
  /* [main] Where it stands, for the progress line and the log. Default: unknown. */
  void (*progress)(void *self, tn_progress *progress);
} tn_stage;

#endif
