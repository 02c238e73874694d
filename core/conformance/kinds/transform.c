// SPDX-License-Identifier: MIT
/* Transforms: batch to batch. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <tenon/transform.h>

enum { BATCH = 6 };

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  tn_status status = tn_declare_component(c, bench->inputs, NULL);
  return status < 0 ? status : tn_transform_fit(c, bench->data, &(tn_references){NULL, 0});
}

static tn_fields *apply(tn_bench *bench, const tn_component *c, int64_t first, tn_mode mode) {
  int64_t index[BATCH];
  tn_fields *fields = tn_bench_fields(bench, first, BATCH);
  tn_params *params = tn_parameters(c);
  tn_rng rng = tn_rng_at("conformance", "transform", (uint64_t)first);
  for (int64_t i = 0; i < BATCH; i++) index[i] = first + i;
  const tn_transform_call call = {.size = sizeof call,
                                  .params = params && tn_params_count(params) ? params : NULL,
                                  .progress = tn_bench_progress(3, mode),
                                  .rng = &rng,
                                  .index = index};
  const tn_status status = tn_transform_apply(c, fields, &call);
  if (status < 0 && !tn_failed()) tn_fail(status, "apply failed without a message");
  return fields;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_fingerprint_fields(&bench->digest, apply(bench, c, BATCH * unit, unit % 2 ? TN_EVALUATE : TN_TRAIN));
  return tn_outcome();
}

static void expect_shape(const tn_tensor *x, const char *name, const tn_field_spec *f) {
  if (!x) tn_trial_fail("'%s' is declared, but not there after apply", name);
  if (x->dtype != (f->dtype == TN_FLOAT ? TN_F32 : f->dtype))
    tn_trial_fail("'%s' has another type than declared", name);
  bool same = f->ragged || tn_ndim(x) == (int32_t)f->shape.ndim + 1;
  for (uint32_t d = 0; same && !f->ragged && d < f->shape.ndim; d++)
    same = f->shape.dim[d] < 0 || f->shape.dim[d] == tn_dim(x, (int32_t)d + 1);
  if (!same) tn_trial_fail("'%s' has another shape than declared", name);
  for (int64_t i = 0; x->dtype == TN_F32 && i < tn_numel(x); i++)
    if (!isfinite((double)tn_f32(x)[i])) tn_trial_fail("'%s' holds %g", name, (double)tn_f32(x)[i]);
}

static void contract(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_spec *outputs;
  tn_trial_expect(tn_declare_component(bench.subject, bench.inputs, &outputs), "declare");
  for (tn_mode mode = TN_TRAIN; mode <= TN_EVALUATE; mode++) {
    tn_scope_open();
    const tn_fields *fields = apply(&bench, bench.subject, 0, mode);
    tn_trial_expect(tn_outcome(), "apply");
    for (uint32_t i = 0; i < tn_spec_count(outputs); i++) {
      const char *name;
      const tn_field_spec *f = tn_spec_at(outputs, i, &name);
      expect_shape(tn_fields_find(fields, name), name, f);
    }
    tn_scope_close();
  }
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"shapes", "what comes out has the types and shapes that it declares", contract}};
const tn_driver tn_driver_transform = {.kind = TN_TRANSFORM,
                                       .inputs = TN_INPUTS_DATA,
                                       .prepare = prepare,
                                       .work = work,
                                       .checks = checks,
                                       .check_count = TN_ARRAY_LENGTH(checks)};
