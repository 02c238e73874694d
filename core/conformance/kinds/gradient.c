// SPDX-License-Identifier: MIT
/* Gradient transforms: what stands in front of an optimizer. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <tenon/gradient.h>

typedef struct setting {
  tn_params *params, *gradients[2];
} setting;

static void release(void *memory) {
  setting *s = memory;
  tn_params_release(s->params);
  for (int i = 0; i < 2; i++) tn_params_release(s->gradients[i]);
}

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  setting *s = tn_bench_keep(bench, c, sizeof *s, release);
  tn_declaration *declaration = tn_declaration_new();
  tn_declare(declaration, "weight", TN_SHAPE(4, 6), TN_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  tn_declare(declaration, "bias", TN_SHAPE(4), TN_NO_DECAY, tn_init_of(TN_INIT_NORMAL, 1));
  s->params = tn_params_create(declaration, "conformance");
  tn_declaration_free(declaration);
  for (int i = 0; i < 2 && s->params; i++) s->gradients[i] = tn_params_like(s->params);
  return s->gradients[1] ? tn_gradient_begin(c, s->params) : TN_ERROR_MEMORY;
}

static void fill(const tn_trial *t, tn_params *gradient, int64_t unit, double scale) {
  for (uint32_t i = 0; i < tn_params_count(gradient); i++) {
    tn_param_entry g;
    tn_params_entry(gradient, i, &g);
    for (int64_t k = 0; k < tn_numel(g.tensor); k++)
      tn_f32(g.tensor)[k] = (float)(scale * tn_trial_normal(t, g.name, (uint64_t)(100 * unit + k)));
  }
}

static tn_status apply(tn_bench *bench, const tn_component *c, int64_t unit, uint32_t count, double scale) {
  setting *s = tn_bench_kept(bench, c);
  const double losses[2] = {1, 2};
  for (uint32_t i = 0; i < count; i++) fill(bench->trial, s->gradients[i], unit + 50 * (int64_t)i, scale);
  const tn_gradient_call call = {.size = sizeof call,
                                 .count = count,
                                 .params = s->params,
                                 .gradients = s->gradients,
                                 .losses = losses,
                                 .progress = tn_bench_progress(unit, TN_TRAIN)};
  return tn_gradient_apply(c, &call);
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  const tn_status status = apply(bench, c, unit, 1, 3);
  tn_fingerprint_params(&bench->digest, ((setting *)tn_bench_kept(bench, c))->gradients[0]);
  return status;
}

static void finite(tn_trial *t) {
  static const double scales[] = {0, 1e-20, 1, 1e15};
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  setting *s = tn_bench_kept(&bench, bench.subject);
  tn_fingerprint before = {0}, after = {0};
  tn_fingerprint_params(&before, s->params);
  for (uint32_t i = 0; i < 2 * TN_ARRAY_LENGTH(scales); i++) {
    tn_scope_open();
    const tn_status status = apply(&bench, bench.subject, i, 1 + i % 2, scales[i / 2]);
    tn_scope_close();
    if (i % 2 && (status < 0 || tn_failed())) { /* methods of one gradient may refuse two */
      if (!tn_failed()) tn_trial_fail("two gradients are refused without a message");
      (void)tn_trial_message();
      continue;
    }
    tn_trial_expect(status, "apply");
    const double norm = tn_params_norm(s->gradients[0]);
    if (!isfinite(norm)) tn_trial_fail("gradients of size %g come out as %g", scales[i / 2], norm);
  }
  tn_fingerprint_params(&after, s->params);
  if (before.hash != after.hash) tn_trial_fail("it changes the parameters");
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"finite", "zero, tiny and huge gradients come out finite, parameters untouched", finite}};
const tn_driver tn_driver_gradient = {.kind = TN_GRADIENT,
                                      .prepare = prepare,
                                      .work = work,
                                      .checks = checks,
                                      .check_count = TN_ARRAY_LENGTH(checks)};
