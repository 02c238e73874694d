// SPDX-License-Identifier: MIT
/* Metrics: accumulated over batches, merged over processes. */
#include "core/config/bind.h"
#include "core/conformance/drivers.h"
#include "core/conformance/subject.h"
#include <math.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/metric.h>
#include <tenon/model.h>
#include <tenon/optimizer.h>

enum { BATCH = 9, MOST = 256 };

typedef struct figures {
  tn_metric_sink sink; /* first: the sink is the figures */
  uint32_t count;
  char names[MOST][48];
  double values[MOST];
} figures;
static void take(tn_metric_sink *sink, const char *name, double value) {
  figures *f = (figures *)sink;
  if (f->count == MOST) return;
  snprintf(f->names[f->count], sizeof f->names[0], "%s", name);
  f->values[f->count++] = value;
}

/* Probing metrics look at the model, loss and data set that the pipeline holds for them. */
static tn_status probe_of(tn_bench *bench, tn_metric_probe *p) {
  static const tn_references none = {NULL, 0};
  const char *model = tn_subject_provide(bench->trial, TN_MODEL),
             *loss = tn_subject_provide(bench->trial, TN_LOSS),
             *data = tn_subject_provide(bench->trial, TN_DATASET);
  if (!data || !model || !loss) tn_trial_skip("no data set, model or loss is installed to probe");
  const tn_component *m = tn_bench_find(bench, model), *l = tn_bench_find(bench, loss),
                     *d = tn_bench_find(bench, data);
  tn_spec *spec = tn_spec_new();
  const tn_spec *outputs = NULL;
  tn_status status = tn_dataset_describe(d, spec);
  if (status >= 0) status = tn_declare_component(m, spec, &outputs);
  if (status >= 0) status = tn_declare_component(l, outputs, NULL);
  tn_spec_release(spec);
  *p = (tn_metric_probe){.size = sizeof *p, .model = m, .loss = l, .data = d, .transforms = &none};
  if (status >= 0) p->params = tn_parameters(m);
  return status;
}

/* An optimizer that the metric looks at has begun to train the model. */
static tn_status begin_optimizers(const tn_component *c, const tn_params *params) {
  tn_status status = TN_OK;
  for (uint32_t i = 0; status >= 0 && i < c->cls->param_count; i++) {
    const tn_param key = tn_class_param(c->cls, i);
    if (key.type != TN_PARAM_REFERENCE || !key.kind || strcmp(key.kind, TN_OPTIMIZER) != 0) continue;
    const tn_component *optimizer =
        *(const tn_component *const *)(const void *)((const char *)c->self + key.offset);
    if (optimizer) status = tn_optimizer_begin(optimizer, params);
  }
  return status;
}

static tn_status prepare_probe(tn_bench *bench, const tn_component *c) {
  tn_metric_probe p;
  const tn_status status = probe_of(bench, &p);
  return status < 0 ? status : begin_optimizers(c, p.params);
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  if (!tn_metric_accumulates(c)) return prepare_probe(bench, c);
  const tn_status status = tn_metric_declare(c, bench->inputs);
  if (status >= 0) tn_metric_reset(c);
  return status;
}

static tn_status values_of(const tn_component *c, figures *f) {
  *f = (figures){{sizeof f->sink, take}, 0, {{0}}, {0}};
  return tn_metric_values(c, &f->sink);
}

static tn_status measure(tn_bench *bench, const tn_component *c, figures *f) {
  tn_metric_probe p;
  *f = (figures){{sizeof f->sink, take}, 0, {{0}}, {0}};
  const tn_status status = probe_of(bench, &p);
  return status < 0 ? status : tn_metric_measure(c, &p, &f->sink);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  static figures f;
  tn_status status = TN_OK;
  if (tn_metric_accumulates(c)) {
    status = tn_metric_update(c, tn_bench_fields(bench, unit * BATCH, BATCH));
    if (status >= 0) status = values_of(c, &f);
  } else {
    status = measure(bench, c, &f);
  }
  if (status < 0) return status;
  for (uint32_t i = 0; i < f.count; i++) {
    tn_fingerprint_text(&bench->digest, f.names[i]);
    tn_fingerprint_real(&bench->digest, f.values[i]);
  }
  return TN_OK;
}

static void needs_update(tn_trial *t) {
  if (!TN_HAS((const tn_metric *)t->cls->vtable, tn_metric, update)) tn_trial_absent("it only probes models");
}
static void update(tn_bench *bench, const tn_component *c, int64_t first) {
  tn_scope_open();
  tn_trial_expect(tn_metric_update(c, tn_bench_fields(bench, first, BATCH)), "update");
  tn_scope_close();
}
static void expect_equal(const figures *a, const figures *b, const char *what) {
  if (a->count != b->count) tn_trial_fail("%s: %u figures and %u", what, a->count, b->count);
  for (uint32_t i = 0; i < a->count; i++)
    if (!(fabs(a->values[i] - b->values[i]) <= 1e-6 * (1 + fabs(a->values[i]))) &&
        !(isnan(a->values[i]) && isnan(b->values[i])))
      tn_trial_fail("%s: '%s' is %.9g and %.9g", what, a->names[i], a->values[i], b->values[i]);
}

static void merge(tn_trial *t) {
  static figures whole, halves;
  tn_bench bench;
  needs_update(t);
  tn_bench_ready(&bench, t, NULL);
  const tn_metric *table = bench.subject->vtable;
  if (!TN_HAS(table, tn_metric, merge)) tn_trial_absent("it cannot be merged");
  update(&bench, bench.subject, 0);
  update(&bench, bench.subject, BATCH);
  update(&bench, bench.subject, 5 * BATCH);
  tn_trial_expect(values_of(bench.subject, &whole), "values");
  tn_metric_reset(bench.subject);
  update(&bench, bench.subject, 0);
  update(&bench, bench.other, BATCH);
  update(&bench, bench.other, 5 * BATCH);
  tn_trial_expect(table->merge(bench.subject->self, bench.other->self), "merge");
  tn_trial_expect(values_of(bench.subject, &halves), "values");
  expect_equal(&whole, &halves, "the whole and two merged halves");
  tn_bench_close(&bench);
}

static void reset(tn_trial *t) {
  static figures first, second;
  tn_bench bench;
  needs_update(t);
  tn_bench_ready(&bench, t, NULL);
  update(&bench, bench.subject, 0);
  tn_trial_expect(values_of(bench.subject, &first), "values");
  if (first.count == 0) tn_trial_fail("it reports no figure");
  update(&bench, bench.subject, 3 * BATCH);
  tn_metric_reset(bench.subject);
  update(&bench, bench.subject, 0);
  tn_trial_expect(values_of(bench.subject, &second), "values");
  expect_equal(&first, &second, "a batch alone and the same after reset");
  tn_bench_close(&bench);
}

static void report(tn_trial *t) {
  tn_bench bench;
  needs_update(t);
  tn_bench_ready(&bench, t, NULL);
  update(&bench, bench.subject, 0);
  tn_scope_open();
  tn_trial_expect(tn_metric_report(bench.subject), "report");
  tn_scope_close();
  tn_bench_close(&bench);
}

static void probe(tn_trial *t) {
  static figures first, second;
  tn_bench bench;
  if (!TN_HAS((const tn_metric *)t->cls->vtable, tn_metric, measure))
    tn_trial_absent("it does not probe models");
  tn_bench_expect(&bench, t, NULL);
  tn_scope_open();
  tn_status status = prepare_probe(&bench, bench.subject);
  if (status >= 0) status = measure(&bench, bench.subject, &first);
  if (status < 0 && tn_failed())
    tn_trial_skip("it refuses to probe this: %.500s; give a pipeline file with --with", tn_trial_message());
  tn_trial_expect(status, "measure");
  tn_trial_expect(measure(&bench, bench.subject, &second), "measure");
  expect_equal(&first, &second, "the same measured twice");
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"merge", "merging two halves gives the whole", merge},
    {"reset", "reset forgets everything", reset},
    {"report", "it can report what it accumulated", report},
    {"probe", "probing the same model twice gives the same figures", probe},
};
const tn_driver tn_driver_metric = {.kind = TN_METRIC,
                                    .inputs = TN_INPUTS_AFTER,
                                    .prepare = prepare,
                                    .work = work,
                                    .checks = checks,
                                    .check_count = TN_ARRAY_LENGTH(checks),
                                    .needs = {TN_MODEL, TN_LOSS, TN_DATASET}};
