// SPDX-License-Identifier: MIT
/* tenon.report/1: results go to the record of the run, every event to its log and then to every observer. */
#include "core/pipeline/internal.h"
#include <errno.h>
#include <string.h>
#include <tenon/observer.h>

void tn_pipeline_emit(tn_pipeline *p, tn_event *event) {
  event->stage = p->stage ? p->stage->name : "";
  event->seconds = tn_seconds() - p->began;
  for (uint32_t i = 0; i < event->scalar_count; i++) {
    const tn_scalar_value *s = &event->scalars[i];
    if (event->type == TN_EVENT_STEP)
      tn_record_step(&p->record, event->stage, s->name, (double)event->progress.step, s->value);
    else if (event->type == TN_EVENT_RESULT || event->type == TN_EVENT_COST)
      tn_record_result(&p->record, event->stage, s->name, s->value, event->type == TN_EVENT_COST);
  }
  const bool logged = p->events && p->audience == TN_EVERYBODY && event->type != TN_EVENT_COST;
  if (logged && !tn_event_log_add(p->events, event))
    tn_fail(TN_ERROR_IO, "%s/" TN_EVENT_LOG_NAME ": %s", p->directory, strerror(errno));
  if (!p->running || p->audience == TN_NOBODY) return;
  for (uint32_t i = 0; i < p->observers.count; i++) {
    const tn_component *c = p->observers.items[i];
    if (p->audience == TN_THOSE_WITHOUT_STATE && TN_HAS(c->cls, tn_class, state)) continue;
    tn_call_stack *stack = tn_enter(c, "event");
    tn_status status = ((const tn_observer *)c->vtable)->event(c->self, event);
    if (status < 0) tn_fail(status, "the event could not be recorded");
    tn_leave(stack);
  }
}

/* From a plugin, whose event may be of another size. */
static void emit(const tn_event *event) {
  tn_event full = {0};
  size_t bytes = event->size < sizeof full ? event->size : sizeof full;
  __builtin_memcpy(&full, event, bytes);
  full.size = sizeof full;
  tn_pipeline *p = tn_pipeline_current();
  if (p) tn_pipeline_emit(p, &full);
}

const tn_report_service tn_report_table = {.size = sizeof(tn_report_service), .emit = emit};
