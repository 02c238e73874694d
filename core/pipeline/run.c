// SPDX-License-Identifier: MIT
/* Checking and running a pipeline: the stages in order, checkpoints between steps, interrupts, and going on
 * from a checkpoint. */
#include "core/pipeline/internal.h"
#include <signal.h>
#include <string.h>
#include <tenon/observer.h>
#include <tenon/stage.h>

static volatile sig_atomic_t interrupted;
void tn_pipeline_interrupt(void) { interrupted = 1; }

/* One callback of a stage in a scope of its own. */
static tn_status call(tn_pipeline *p, const tn_component *stage, tn_status (*function)(void *),
                      const char *name, tn_error *error) {
  tn_scope_open();
  tn_call_stack *stack = tn_enter(stage, name);
  tn_status status = function(stage->self);
  tn_leave(stack);
  tn_scope_close();
  return tn_pipeline_failure(p, stage, name, status, error);
}

tn_status tn_pipeline_check(tn_pipeline *p, tn_error *error) {
  for (uint32_t i = 0; i < p->stage_count; i++) {
    const tn_component *stage = p->stages[i];
    tn_status status = call(p, stage, ((const tn_stage *)stage->vtable)->check, "check", error);
    if (status < 0) {
      tn_comm_give_up(p, error, false);
      return status;
    }
  }
  p->checked = true;
  return TN_OK;
}

static void announce(tn_pipeline *p, tn_event_type type, const char *text) {
  tn_event event = tn_event_of(type, NULL);
  event.text = text;
  tn_pipeline_emit(p, &event);
}

static void tick(tn_pipeline *p, const tn_component *stage) {
  const tn_stage *table = stage->vtable;
  tn_progress progress = {.size = sizeof progress};
  if (TN_HAS(table, tn_stage, progress)) table->progress(stage->self, &progress);
  for (uint32_t i = 0; i < p->observers.count; i++) {
    const tn_component *c = p->observers.items[i];
    const tn_observer *observer = c->vtable;
    if (TN_HAS(observer, tn_observer, tick)) observer->tick(c->self, stage->name, &progress);
  }
}

/* A run that goes on when a checkpoint fails has lost nothing yet: a warning. */
static void save_if_due(tn_pipeline *p) {
  tn_error error = {0};
  if (tn_checkpoint_due(p) && tn_checkpoint_save(p, false, &error) < 0)
    tn_warn("a checkpoint was not written: %s", error.text);
}

/* Stops between two steps, with a checkpoint of the last one. */
static tn_status stop(tn_pipeline *p, tn_error *error) {
  tn_error failed = {0};
  interrupted = 0;
  if (p->directory && p->rank == 0 && tn_checkpoint_save(p, true, &failed) < 0)
    return tn_error_set(error, failed.status, NULL, 0, "interrupted in [%s], and no checkpoint: %s",
                        p->stage->name, failed.text);
  return tn_error_set(error, TN_ERROR_INTERRUPTED, NULL, 0, "interrupted in [%s]", p->stage->name);
}

/* Observers without a state see a run that goes on as one that begins, with the results so far. */
static void introduce(tn_pipeline *p) {
  p->audience = TN_THOSE_WITHOUT_STATE;
  announce(p, TN_EVENT_RUN_BEGIN, p->name);
  for (uint32_t i = 0; i < p->stage_index; i++) {
    const size_t length = strlen(p->stages[i]->name);
    p->stage = p->stages[i];
    for (uint32_t r = 0; r < p->record.result_count; r++) {
      const tn_result *result = &p->record.results[r];
      if (strncmp(result->name, p->stage->name, length) != 0 || result->name[length] != '.') continue;
      const tn_scalar_value scalar = {result->name + length + 1, result->value};
      tn_event event = tn_event_of(result->cost ? TN_EVENT_COST : TN_EVENT_RESULT, NULL);
      event.scalars = &scalar;
      event.scalar_count = 1;
      tn_pipeline_emit(p, &event);
    }
  }
  p->stage = NULL;
  p->audience = TN_EVERYBODY;
}

/* The stage in which the checkpoint was made begins again, unheard, and gets its state. */
static tn_status begin_again(tn_pipeline *p, tn_state *state, tn_error *error) {
  const tn_component *stage = p->stages[p->stage_index];
  p->stage = stage;
  p->audience = TN_NOBODY;
  tn_status status = call(p, stage, ((const tn_stage *)stage->vtable)->begin, "begin", error);
  if (status >= 0) status = tn_run_load(p, state, error);
  p->audience = TN_EVERYBODY;
  if (status < 0) return status;
  introduce(p);
  p->stage = stage;
  p->audience = TN_THOSE_WITHOUT_STATE;
  announce(p, TN_EVENT_STAGE_BEGIN, NULL);
  p->audience = TN_EVERYBODY;
  return TN_OK;
}

/* Puts the run where its newest checkpoint is; without one it begins. */
static tn_status go_on(tn_pipeline *p, tn_error *error) {
  tn_state *state;
  tn_status status = tn_checkpoint_open(p, &state, error);
  if (status < 0) return status;
  if (!state) {
    status = tn_directory_events(p, error);
    if (status < 0) return status;
    announce(p, TN_EVENT_RUN_BEGIN, p->name);
    return TN_OK;
  }
  status = tn_run_load_early(p, state, error);
  if (status >= 0) status = tn_directory_events(p, error);
  if (status >= 0 && p->begun) {
    status = begin_again(p, state, error);
  } else if (status >= 0) {
    status = tn_run_load(p, state, error);
    if (status >= 0) introduce(p);
  }
  tn_state_free(state);
  if (status >= 0 && tn_sdk.comm->barrier() < 0) /* before the first rank removes old checkpoints */
    status = tn_pipeline_failure(p, p->communicator, "barrier", TN_ERROR_IO, error);
  if (status >= 0) tn_info("resumed at step %lld", (long long)p->steps);
  return status;
}

static tn_status run_stage(tn_pipeline *p, const tn_component *stage, tn_error *error) {
  const tn_stage *table = stage->vtable;
  tn_status status = TN_OK;
  p->stage = stage;
  tn_profile_stage_begin(p->profile, stage->name);
  if (!p->begun) {
    announce(p, TN_EVENT_STAGE_BEGIN, NULL);
    status = call(p, stage, table->begin, "begin", error);
    p->begun = true;
  }
  while (status >= 0 && status != TN_DONE) {
    tn_box_step(p->box, p->box ? tn_seconds() : 0);
    status = call(p, stage, table->step, "step", error);
    tn_box_step(p->box, 0);
    p->steps++;
    tick(p, stage);
    if (status != TN_OK) continue;
    if (tn_comm_any(p, interrupted))
      status = stop(p, error);
    else
      save_if_due(p);
  }
  if (status >= 0 && TN_HAS(table, tn_stage, end)) status = call(p, stage, table->end, "end", error);
  if (status >= 0) {
    announce(p, TN_EVENT_STAGE_END, NULL);
    status = tn_pipeline_failure(p, stage, "end", TN_OK, error); /* an observer may have failed */
  }
  tn_profile_stage_end(p->profile);
  p->stage = NULL;
  p->begun = false;
  return status;
}

static tn_status run_stages(tn_pipeline *p, tn_error *error) {
  tn_status status = TN_OK;
  while (p->stage_index < p->stage_count && status >= 0) {
    status = run_stage(p, p->stages[p->stage_index], error);
    if (status >= 0 && ++p->stage_index < p->stage_count) save_if_due(p);
  }
  tn_checkpoint_finish(p);
  return status;
}

static tn_status begin_profile(tn_pipeline *p, tn_error *error) {
  char path[4096];
  tn_profile_free(p->profile);
  const char *directory = tn_run_directory_of(p);
  if (directory) snprintf(path, sizeof path, "%s/trace.json", directory);
  p->profile = tn_profile_begin(&p->context, p->engine, directory ? path : NULL, error);
  return p->profile ? TN_OK : error->status;
}

tn_status tn_pipeline_run(tn_pipeline *p, tn_error *error) {
  tn_status status = p->checked ? TN_OK : tn_pipeline_check(p, error);
  if (status >= 0 && p->directory) status = (p->resume ? tn_directory_open : tn_directory_make)(p, error);
  if (status >= 0 && p->profiled) status = begin_profile(p, error);
  if (status < 0) {
    tn_comm_give_up(p, error, false);
    return status;
  }
  tn_engine_set_trap(p->engine, p->trap_nan);
  p->running = true;
  p->began = p->checkpointer.last = tn_seconds();
  if (p->resume)
    status = go_on(p, error);
  else
    announce(p, TN_EVENT_RUN_BEGIN, p->name);
  if (status >= 0) status = run_stages(p, error);
  if (status < 0 && status != TN_ERROR_INTERRUPTED) tn_comm_give_up(p, error, true);
  tn_error later = {0};
  tn_engine_set_trap(p->engine, false);
  if (p->profiled) {
    const tn_status ended = tn_profile_end(p->profile, &later);
    if (status >= 0 && ended < 0) *error = later, status = ended;
  }
  if (p->directory && p->rank == 0) {
    tn_status finished = tn_directory_finish(p, status < 0 ? error->text : "finished", &later);
    if (status >= 0 && finished < 0) *error = later, status = finished;
  }
  announce(p, TN_EVENT_RUN_END, status >= 0 ? "finished" : error->text);
  p->running = false;
  return status < 0 ? status : TN_OK;
}
