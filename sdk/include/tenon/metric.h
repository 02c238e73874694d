// SPDX-License-Identifier: MIT
/* Kind tenon.metric/1: figures of merit, accumulated over batches and mergeable over processes.
 *
 * A metric that is computed from fields implements update and values. One that probes a model (sharpness,
 * Hessian eigenvalues, exact distributions) implements measure. */
#ifndef TENON_METRIC_H
#define TENON_METRIC_H

#include <tenon/plugin.h>

#define TN_METRIC "tenon.metric/1"

/* Receives the values of a metric: several named figures ("accuracy", "f1"). */
typedef struct tn_metric_sink tn_metric_sink;
struct tn_metric_sink {
  uint32_t size;
  void (*value)(tn_metric_sink *sink, const char *name, double value);
};

/* What a probing metric may look at; members that the stage has not are NULL. */
typedef struct tn_metric_probe {
  uint32_t size;
  uint32_t reserved;
  const tn_component *model;
  const tn_params *params;
  const tn_component *loss;
  const tn_component *data; /* dataset with its part */
  const tn_references *transforms;
  const tn_component *subject; /* predictor, search, solver or environment: by its class's kind */
  const int64_t *rows;         /* the rows of `data` that are meant; NULL: all */
  int64_t row_count;
  const tn_component *preference; /* conditions under which a policy is asked (preference.h) */
} tn_metric_probe;

typedef struct tn_metric {
  uint32_t size;
  /* REQUIRED: update and values, or measure */
  /* [main] Forgets everything. */
  void (*reset)(void *self);
  /* [main] Adds a batch: its fields and the model's outputs. */
  tn_status (*update)(void *self, const tn_fields *fields);
  /* [main] Reports the figures over all batches since reset. */
  tn_status (*values)(void *self, tn_metric_sink *sink);
  /* OPTIONAL */
  /* [main] Checks the fields it will read. Default: found in the first update. */
  tn_status (*declare)(void *self, const tn_spec *fields);
  /* [main] Adds what another instance of the same class and configuration has accumulated. Default: not
   * mergeable, evaluated on one process. */
  tn_status (*merge)(void *self, const void *other);
  /* [main] Probes and reports. */
  tn_status (*measure)(void *self, const tn_metric_probe *probe, tn_metric_sink *sink);
  /* [main] Tables, matrices, pictures of what was accumulated, through tn_emit. Default: none. */
  tn_status (*report)(void *self);
} tn_metric;

static inline void tn_metric_reset(const tn_component *c) {
  const tn_metric *m = (const tn_metric *)c->vtable;
  if (TN_HAS(m, tn_metric, reset)) m->reset(c->self);
}
static inline bool tn_metric_accumulates(const tn_component *c) {
  const tn_metric *m = (const tn_metric *)c->vtable;
  return TN_HAS(m, tn_metric, update);
}
static inline tn_status tn_metric_update(const tn_component *c, const tn_fields *fields) {
  tn_call_stack *stack = tn_enter(c, "update");
  tn_status status = ((const tn_metric *)c->vtable)->update(c->self, fields);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_metric_values(const tn_component *c, tn_metric_sink *sink) {
  tn_call_stack *stack = tn_enter(c, "values");
  tn_status status = ((const tn_metric *)c->vtable)->values(c->self, sink);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_metric_declare(const tn_component *c, const tn_spec *fields) {
  const tn_metric *m = (const tn_metric *)c->vtable;
  if (!TN_HAS(m, tn_metric, declare)) return TN_OK;
  tn_call_stack *stack = tn_enter(c, "declare");
  tn_status status = m->declare(c->self, fields);
  tn_leave(stack);
  return status;
}
static inline bool tn_metric_probes(const tn_component *c) {
  const tn_metric *m = (const tn_metric *)c->vtable;
  return TN_HAS(m, tn_metric, measure);
}
static inline tn_status tn_metric_measure(const tn_component *c, const tn_metric_probe *probe,
                                          tn_metric_sink *sink) {
  tn_call_stack *stack = tn_enter(c, "measure");
  tn_status status = ((const tn_metric *)c->vtable)->measure(c->self, probe, sink);
  tn_leave(stack);
  return status;
}
static inline tn_status tn_metric_report(const tn_component *c) {
  const tn_metric *m = (const tn_metric *)c->vtable;
  return TN_HAS(m, tn_metric, report) ? m->report(c->self) : TN_OK;
}

#endif
