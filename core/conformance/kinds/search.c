// SPDX-License-Identifier: MIT
/* Architecture searches, on the first installed model that they take as their supernet. */
#include "core/conformance/drivers.h"
#include "core/conformance/subject.h"
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/loss.h>
#include <tenon/model.h>
#include <tenon/optimizer.h>
#include <tenon/search.h>

enum { ROWS = 24, STEPS = 4 };

typedef struct setting {
  tn_search_setting setting;
  int64_t train[ROWS], validation[ROWS];
} setting;

static const tn_component *first_of(const tn_bench *bench, const char *kind) {
  for (uint32_t i = 0; i < tn_pipeline_count(bench->pipeline); i++) {
    const tn_component *c = tn_pipeline_at(bench->pipeline, i);
    if (strcmp(c->cls->kind, kind) == 0) return c;
  }
  return NULL;
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  static const tn_references none = {NULL, 0};
  setting *s = tn_bench_keep(bench, c, sizeof *s, NULL);
  const tn_spec *outputs;
  const int64_t rows = tn_dataset_rows(bench->data);
  for (int64_t i = 0; i < ROWS; i++)
    s->train[i] = i % rows, s->validation[i] = (rows - 1 - i + ROWS * rows) % rows;
  s->setting = (tn_search_setting){.size = sizeof s->setting,
                                   .model = first_of(bench, TN_MODEL),
                                   .loss = first_of(bench, TN_LOSS),
                                   .optimizer = first_of(bench, TN_OPTIMIZER),
                                   .data = bench->data,
                                   .train_rows = s->train,
                                   .validation_rows = s->validation,
                                   .train_count = ROWS,
                                   .validation_count = ROWS,
                                   .transforms = &none,
                                   .batch = 8,
                                   .steps = STEPS};
  if (!s->setting.model || !s->setting.loss || !s->setting.optimizer)
    return tn_fail(TN_ERROR_MISSING, "no model, loss or optimizer is installed");
  tn_status status = tn_declare_component(s->setting.model, bench->inputs, &outputs);
  if (status >= 0) status = tn_declare_component(s->setting.loss, outputs, NULL);
  return status < 0 ? status : tn_search_begin(c, &s->setting);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  char *genotype = NULL;
  tn_progress progress = tn_bench_progress(unit, TN_TRAIN);
  progress.steps = STEPS;
  tn_status status = tn_search_step(c, &progress);
  if (status >= 0) status = tn_search_derive(c, &genotype);
  if (status >= 0 && genotype) tn_fingerprint_text(&bench->digest, genotype);
  tn_free(genotype);
  return status;
}

static void derives(tn_trial *t) {
  tn_bench bench;
  char *first = NULL, *second = NULL;
  tn_bench_ready(&bench, t, NULL);
  for (int64_t unit = 0; unit < STEPS; unit++) tn_bench_work(&bench, bench.subject, unit);
  tn_scope_open();
  tn_trial_expect(tn_search_derive(bench.subject, &first), "derive");
  tn_trial_expect(tn_search_derive(bench.subject, &second), "derive");
  tn_scope_close();
  if (!first || !*first) tn_trial_fail("derive gives no genotype");
  if (!second || strcmp(first, second) != 0) tn_trial_fail("derive gives another genotype when asked again");
  tn_free(first), tn_free(second);
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"derives", "a few steps end in a genotype, the same when asked again", derives}};
const tn_driver tn_driver_search = {.kind = TN_SEARCH,
                                    .inputs = TN_INPUTS_DATA,
                                    .prepare = prepare,
                                    .work = work,
                                    .checks = checks,
                                    .check_count = TN_ARRAY_LENGTH(checks),
                                    .shares = "model",
                                    .needs = {TN_MODEL, TN_LOSS, TN_OPTIMIZER}};
