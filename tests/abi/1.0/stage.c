// SPDX-License-Identifier: MIT
/* frozen_stage: the frame of a procedure: counts its steps and reports a result. */
#include <tenon/stage.h>

struct frozen_stage {
  int64_t steps, step;
};
static const tn_param frozen_stage_params[] = {
    TN_INTEGER(struct frozen_stage, steps, "100", 1, 1000000000, "steps", "length of the stage"),
};

/* Resolve and check everything here, without computing. */
static tn_status frozen_stage_check(void *self) {
  (void)self;
  return TN_OK;
}

static tn_status frozen_stage_begin(void *self) {
  ((struct frozen_stage *)self)->step = 0;
  return TN_OK;
}

/* Milliseconds to seconds of work; between two steps the host may save a checkpoint or stop. */
static tn_status frozen_stage_step(void *self) {
  struct frozen_stage *stage = self;
  return ++stage->step < stage->steps ? TN_OK : TN_DONE;
}

static tn_status frozen_stage_end(void *self) {
  tn_emit_result("steps", (double)((const struct frozen_stage *)self)->step);
  return TN_OK;
}

static void frozen_stage_progress(void *self, tn_progress *progress) {
  const struct frozen_stage *stage = self;
  progress->step = stage->step;
  progress->steps = stage->steps;
}

static tn_status frozen_stage_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct frozen_stage *)self)->step);
}

static const tn_stage frozen_stage_stage = {
    .size = sizeof(tn_stage),
    .check = frozen_stage_check,
    .begin = frozen_stage_begin,
    .step = frozen_stage_step,
    .end = frozen_stage_end,
    .progress = frozen_stage_progress,
};
static const tn_class frozen_stage_class = {
    .size = sizeof(tn_class),
    .kind = TN_STAGE,
    .name = "frozen_stage",
    .summary = "what frozen_stage does, in one line",
    .reference = "",
    TN_CLASS_PARAMS(frozen_stage_params),
    .instance_size = sizeof(struct frozen_stage),
    .vtable = &frozen_stage_stage,
    .state = frozen_stage_state,
};
TN_PLUGIN("stage_frozen_stage", "0.1.0", "MIT", &frozen_stage_class)
