// SPDX-License-Identifier: MIT
/* Predictors: fit, predict, adapt. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/predictor.h>

enum { BATCH = 6 };
static const tn_references none = {NULL, 0};

static tn_status fit(tn_bench *bench, const tn_component *c, const tn_component *data) {
  const tn_status status = tn_declare_component(c, bench->inputs, NULL);
  return status < 0 ? status : tn_predictor_fit(c, data, &none);
}
static tn_status prepare(tn_bench *bench, const tn_component *c) { return fit(bench, c, bench->data); }

static tn_fields *predict(tn_bench *bench, const tn_component *c, int64_t first, tn_fields **inputs) {
  tn_fields *in = tn_bench_fields(bench, first, BATCH), *out = tn_fields_new();
  const tn_status status = tn_predictor_predict(c, in, out);
  if (status < 0 && !tn_failed()) tn_fail(status, "predict failed without a message");
  if (inputs) *inputs = in;
  return out;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_fields *inputs, *outputs = predict(bench, c, BATCH * unit, &inputs);
  if (tn_failed()) return TN_ERROR_INVALID;
  tn_fingerprint_fields(&bench->digest, outputs);
  return tn_predictor_adapt(c, inputs, outputs);
}

static tn_fingerprint prediction(tn_bench *bench, int64_t first) {
  tn_fingerprint digest = {0};
  tn_scope_open();
  const tn_fields *outputs = predict(bench, bench->subject, first, NULL);
  tn_trial_expect(tn_outcome(), "predict");
  if (tn_fields_count(outputs) == 0) tn_trial_fail("predict sets no field");
  for (uint32_t i = 0; i < tn_fields_count(outputs); i++) {
    const char *name;
    const tn_tensor *x = tn_fields_at(outputs, i, &name);
    if (tn_ndim(x) < 1 || tn_dim(x, 0) != BATCH) tn_trial_fail("'%s' does not have one row a sample", name);
    for (int64_t k = 0; x->dtype == TN_F32 && k < tn_numel(x); k++)
      if (isnan(tn_f32(x)[k])) tn_trial_fail("'%s' holds NaN", name);
  }
  tn_fingerprint_fields(&digest, outputs);
  tn_scope_close();
  return digest;
}

static void constant(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_fingerprint first = prediction(&bench, 0);
  (void)prediction(&bench, 3 * BATCH);
  if (prediction(&bench, 0).hash != first.hash) tn_trial_fail("predicting changes what was learnt");
  tn_bench_close(&bench);
}

static void reset(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_predictor *table = bench.subject->vtable;
  if (!TN_HAS(table, tn_predictor, adapt)) tn_trial_absent("it does not adapt");
  const tn_fingerprint first = prediction(&bench, 0);
  for (int64_t unit = 0; unit < 4; unit++) tn_bench_work(&bench, bench.subject, unit);
  tn_trial_expect(tn_predictor_reset(bench.subject), "reset");
  if (prediction(&bench, 0).hash != first.hash)
    tn_trial_fail("reset does not lead back to the state after fit");
  tn_bench_close(&bench);
}

static void permutation(tn_trial *t) {
  tn_bench bench;
  const char *turned = tn_data_section(t, TN_DATA_TURNED);
  tn_bench_ready(&bench, t, NULL);
  if (t->world != TN_DATA_NUMBERS || !turned) tn_trial_absent("it does not take vectors with classes");
  tn_scope_open();
  const tn_fields *a = predict(&bench, bench.subject, 0, NULL);
  tn_trial_expect(fit(&bench, bench.other, tn_bench_find(&bench, turned)), "fit");
  const tn_fields *b = predict(&bench, bench.other, 0, NULL);
  tn_trial_expect(tn_outcome(), "predict");
  for (uint32_t i = 0; i < tn_fields_count(a); i++) {
    const char *name;
    const tn_tensor *x = tn_fields_at(a, i, &name), *y = tn_fields_find(b, name);
    for (int64_t k = 0; y && k < tn_numel(x); k++) {
      const double p = x->dtype == TN_F32   ? (double)tn_f32(x)[k]
                       : x->dtype == TN_I64 ? (double)tn_i64(x)[k]
                                            : 0;
      const double q = y->dtype == TN_F32   ? (double)tn_f32(y)[k]
                       : y->dtype == TN_I64 ? (double)tn_i64(y)[k]
                                            : 0;
      if (fabs(p - q) > 1e-3 * (1 + fabs(p)))
        tn_trial_fail("the order of the training rows matters: '%s'[%lld] is %.9g and %.9g", name,
                      (long long)k, p, q);
    }
  }
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"constant", "predicting does not change what was learnt, and holds no NaN", constant},
    {"reset", "reset leads back to the state after fit", reset},
    {"permutation", "the order of the training rows does not matter", permutation},
};
const tn_driver tn_driver_predictor = {.kind = TN_PREDICTOR,
                                       .inputs = TN_INPUTS_DATA,
                                       .prepare = prepare,
                                       .work = work,
                                       .checks = checks,
                                       .check_count = TN_ARRAY_LENGTH(checks)};
