// SPDX-License-Identifier: MIT
/* Weightings: per-sample losses to the scalar that is minimised. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <tenon/weighting.h>

enum { BATCH = 9 };

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  return tn_weighting_begin(c, bench->data);
}

static tn_tensor *combine(tn_bench *bench, const tn_component *c, int64_t first, int64_t n,
                          tn_tensor **losses) {
  int64_t index[BATCH];
  *losses = tn_empty(TN_F32, TN_SHAPE(n));
  for (int64_t i = 0; i < n; i++) {
    index[i] = first + i;
    tn_f32(*losses)[i] = (float)(0.1 + tn_trial_uniform(bench->trial, "losses", (uint64_t)index[i]));
  }
  *losses = tn_leaf(*losses);
  const tn_weighting_call call = {.size = sizeof call,
                                  .fields = tn_bench_fields(bench, first, n),
                                  .losses = *losses,
                                  .index = index,
                                  .progress = tn_bench_progress(3, TN_TRAIN)};
  return tn_weighting_combine(c, &call);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_tensor *losses, *slope = NULL;
  tn_tensor *value = combine(bench, c, unit * BATCH, BATCH, &losses);
  if (tn_poisoned(value)) return TN_ERROR_SHAPE;
  if (tn_requires_gradient(value)) tn_grad(value, &losses, 1, &slope, 0);
  tn_fingerprint_tensor(&bench->digest, value);
  tn_fingerprint_tensor(&bench->digest, slope);
  return TN_OK;
}

static void scalar(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  for (int64_t n = BATCH; n > 0; n -= BATCH - 1) {
    tn_tensor *losses, *slope;
    tn_scope_open();
    tn_tensor *value = combine(&bench, bench.subject, 0, n, &losses);
    tn_trial_expect(tn_outcome(), "combine");
    if (tn_numel(value) != 1)
      tn_trial_fail("combine gives %lld values, expected one", (long long)tn_numel(value));
    if (!isfinite((double)tn_f32(value)[0]))
      tn_trial_fail("%lld losses combine to %g", (long long)n, (double)tn_f32(value)[0]);
    if (!tn_requires_gradient(value)) tn_trial_fail("the combined loss has no gradient by the losses");
    tn_grad(value, &losses, 1, &slope, 0);
    tn_trial_expect(tn_outcome(), "gradient");
    for (int64_t i = 0; i < n; i++)
      if (!isfinite((double)tn_f32(slope)[i])) tn_trial_fail("a weight is %g", (double)tn_f32(slope)[i]);
    tn_scope_close();
  }
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"scalar", "losses combine to one finite number with a finite gradient", scalar}};
const tn_driver tn_driver_weighting = {.kind = TN_WEIGHTING,
                                       .inputs = TN_INPUTS_DATA,
                                       .prepare = prepare,
                                       .work = work,
                                       .checks = checks,
                                       .check_count = TN_ARRAY_LENGTH(checks)};
