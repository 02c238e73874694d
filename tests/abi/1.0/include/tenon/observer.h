// SPDX-License-Identifier: MIT
/* Kind tenon.observer/1: sees the run's events (report.h): progress line, JSONL, CSV, TensorBoard, plots. */
#ifndef TENON_OBSERVER_H
#define TENON_OBSERVER_H

#include <tenon/plugin.h>

#define TN_OBSERVER "tenon.observer/1"

typedef struct tn_observer {
  uint32_t size;
  /* REQUIRED */
  /* [main] The event is valid during the call. A failure ends the run. */
  tn_status (*event)(void *self, const tn_event *event);
  /* OPTIONAL */
  /* [main] After every step of every stage, also those without an event: for live displays. Default: nothing.
   */
  void (*tick)(void *self, const char *stage, const tn_progress *progress);
} tn_observer;

#endif
