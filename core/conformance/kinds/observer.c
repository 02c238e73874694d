// SPDX-License-Identifier: MIT
/* Observers: they see events of every type, in a run with a directory and in one without. */
#include "core/conformance/drivers.h"
#include "core/conformance/smoke.h"
#include "core/conformance/subject.h"
#include <math.h>
#include <tenon/observer.h>
#include <tenon/stage.h>

static tn_event event_of(int64_t unit, tn_tensor **tensor) {
  static const tn_scalar_value scalars[] = {
      {"loss", 0.5}, {"not a number", NAN}, {"large", 1e300}, {"infinite", INFINITY}};
  static const char *const labels[] = {"a", "b"}, *const cells[] = {"1", "2", "<3>", "\"4\""};
  tn_event event = tn_event_of((tn_event_type)(1 + unit % (TN_EVENT_TEXT + 1)),
                               "conformance"); /* one type is of the future */
  const tn_shape shapes[] = {{2, {2, 2}}, {4, {2, 1, 4, 4}}, {2, {5, 2}}, {1, {6}}};
  const tn_event_type type = event.type;
  *tensor = tn_zeros(TN_F32, type == TN_EVENT_IMAGES      ? shapes[1]
                             : type == TN_EVENT_SCATTER   ? shapes[2]
                             : type == TN_EVENT_HISTOGRAM ? shapes[3]
                                                          : shapes[0]);
  event.stage = "train";
  event.title = "A title with <angles> & \"quotes\"";
  event.progress = tn_bench_progress(unit, TN_TRAIN);
  event.text = type == TN_EVENT_GRAPH ? "a -> b : c" : "some text";
  event.scalars = scalars;
  event.scalar_count = TN_ARRAY_LENGTH(scalars);
  if (type >= TN_EVENT_MATRIX && type <= TN_EVENT_HISTOGRAM && type != TN_EVENT_GRAPH) event.tensor = *tensor;
  event.rows = event.columns = 2;
  event.row_labels = event.column_labels = labels;
  event.cells = cells;
  return event;
}

static void events(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_observer *table = bench.subject->vtable;
  for (int64_t unit = 0; unit < 2 * (TN_EVENT_TEXT + 1); unit++) {
    tn_tensor *tensor;
    tn_scope_open();
    const tn_event event = event_of(unit, &tensor);
    const tn_status status = table->event(bench.subject->self, &event);
    if (status < 0 && !tn_failed())
      tn_trial_fail("an event of type %d is refused without a message", event.type);
    if (TN_HAS(table, tn_observer, tick)) table->tick(bench.subject->self, "train", &event.progress);
    tn_trial_expect(status, "event");
    tn_scope_close();
  }
  tn_bench_close(&bench);
}

static void run(tn_trial *t) {
  const char *stage = tn_subject_provide(t, TN_STAGE);
  tn_error error = {0};
  if (!stage) tn_trial_skip("no stage is installed that can be run");
  tn_subject_compose(t);
  const tn_smoke_setting smoke = {stage, "subject", t->run, NULL, 0, 1, false};
  if (tn_smoke_run(t, &smoke, NULL, &error) < 0) tn_trial_fail("a shortened run: %s", error.text);
}

static const tn_check checks[] = {
    {"events", "events of every type, with odd numbers and texts, are taken", events},
    {"run", "a shortened run with it ends", run},
};
const tn_driver tn_driver_observer = {
    .kind = TN_OBSERVER, .checks = checks, .check_count = TN_ARRAY_LENGTH(checks)};
