// SPDX-License-Identifier: MIT
/* Models: pure functions of a parameter set. */
#include "core/conformance/difference.h"
#include "core/conformance/drivers.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/model.h>
#include <tenon/supernet.h>
#include <time.h>

enum { BATCH = 6, SECONDS = 5, MOST_UPDATES = 1024, MOST_OUTPUTS = 32 };

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  tn_status status = tn_declare_component(c, bench->inputs, NULL);
  return status < 0 || !tn_parameters(c) ? TN_ERROR_INVALID : TN_OK;
}

static tn_fields *apply(const tn_component *c, const tn_params *params, const tn_fields *inputs, tn_mode mode,
                        tn_fingerprint *updates) {
  static tn_buffer_update room[MOST_UPDATES];
  tn_rng rng = tn_rng_at("conformance", "apply", 0);
  tn_model_call call = {.size = sizeof call,
                        .params = params,
                        .inputs = inputs,
                        .outputs = tn_fields_new(),
                        .progress = tn_bench_progress(3, mode),
                        .rng = &rng,
                        .updates = tn_params_count(params) <= MOST_UPDATES ? room : NULL};
  tn_status status = tn_model_apply(c, &call);
  if (status < 0 && !tn_failed()) tn_fail(status, "apply fails without a message");
  if (status < 0) return NULL;
  for (uint32_t i = 0; updates && i < call.update_count; i++) tn_fingerprint_tensor(updates, room[i].value);
  return call.outputs;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  const tn_fields *inputs = tn_bench_fields(bench, unit * BATCH, BATCH);
  const tn_fields *outputs =
      apply(c, tn_parameters(c), inputs, unit % 2 ? TN_TRAIN : TN_EVALUATE, &bench->digest);
  if (!outputs) return TN_ERROR_INVALID;
  tn_fingerprint_fields(&bench->digest, outputs);
  return TN_OK;
}

static void pure(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  tn_params *params = tn_parameters(bench.subject);
  for (tn_mode mode = TN_TRAIN; mode <= TN_EVALUATE; mode++) {
    tn_fingerprint before = {0}, after = {0}, first = {0}, second = {0};
    tn_scope_open();
    const tn_fields *inputs = tn_bench_fields(&bench, 0, BATCH);
    tn_fingerprint_params(&before, params);
    tn_fingerprint_fields(&before, inputs);
    tn_fingerprint_fields(&first, apply(bench.subject, params, inputs, mode, &first));
    apply(bench.subject, params, tn_bench_fields(&bench, BATCH, BATCH), mode, NULL);
    tn_fingerprint_fields(&second, apply(bench.subject, params, inputs, mode, &second));
    tn_fingerprint_params(&after, params);
    tn_fingerprint_fields(&after, inputs);
    tn_trial_expect(tn_outcome(), "apply");
    if (first.hash != second.hash)
      tn_trial_fail("apply is not pure: the same inputs give other bits the second time");
    if (before.hash != after.hash) tn_trial_fail("apply changes its parameters or its inputs");
    tn_scope_close();
  }
  tn_bench_close(&bench);
}

static void declared(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  const tn_spec *outputs;
  tn_scope_open();
  tn_trial_expect(tn_declare_component(bench.subject, bench.inputs, &outputs), "declare");
  const tn_fields *fields = apply(bench.subject, tn_parameters(bench.subject),
                                  tn_bench_fields(&bench, 0, BATCH), TN_EVALUATE, NULL);
  tn_trial_expect(tn_outcome(), "apply");
  uint32_t found = 0;
  for (uint32_t i = 0; i < tn_spec_count(outputs); i++) {
    const char *name;
    const tn_field_spec *f = tn_spec_at(outputs, i, &name);
    const tn_tensor *x = tn_fields_find(fields, name);
    if (!x && tn_spec_find(bench.inputs, name)) continue;
    if (!x) tn_trial_fail("'%s' is declared, but apply does not set it", name);
    found++;
    if (f->ragged) continue;
    bool same = tn_ndim(x) == (int32_t)f->shape.ndim + 1;
    for (uint32_t d = 0; same && d < f->shape.ndim; d++)
      same = f->shape.dim[d] < 0 || tn_dim(x, (int32_t)d + 1) == f->shape.dim[d];
    if (!same)
      tn_trial_fail("'%s' has another shape than declared (rank %d, declared %u with the batch)", name,
                    tn_ndim(x), f->shape.ndim + 1);
    if (x->dtype != (f->dtype == TN_FLOAT ? TN_F32 : f->dtype))
      tn_trial_fail("'%s' has another type than declared", name);
  }
  if (found == 0) tn_trial_fail("no output is declared");
  tn_scope_close();
  tn_bench_close(&bench);
}

/* A fixed linear function of all floating-point outputs. */
typedef struct setting {
  tn_bench *bench;
  tn_params *params;
} setting;
static tn_tensor *scalar(const setting *s) {
  const tn_fields *outputs =
      apply(s->bench->subject, s->params, tn_bench_fields(s->bench, 0, BATCH), TN_EVALUATE, NULL);
  tn_tensor *sum = tn_scalar(TN_F64, 0);
  for (uint32_t i = 0; outputs && i < tn_fields_count(outputs) && i < MOST_OUTPUTS; i++) {
    const char *name;
    tn_tensor *x = tn_fields_at(outputs, i, &name);
    if (tn_poisoned(x) || x->dtype != TN_F64) continue;
    tn_tensor *weights = tn_empty(TN_F64, tn_shape_of(x));
    for (int64_t k = 0; k < tn_numel(x); k++)
      tn_f64(weights)[k] = tn_trial_normal(s->bench->trial, name, (uint64_t)k);
    sum = tn_add(sum, tn_sum(tn_mul(x, weights)));
  }
  return sum;
}
static double scalar_value(void *context) {
  tn_scope_open();
  const bool recording = tn_record(false);
  const tn_tensor *value = scalar(context);
  tn_record(recording);
  const double result = tn_poisoned(value) ? NAN : tn_f64(value)[0];
  tn_scope_close();
  return result;
}

static void gradient(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, &(tn_setup){.doubles = true});
  tn_params *params = tn_parameters(bench.subject), *slope = tn_params_like(params);
  setting s = {&bench, params};
  uint32_t checked = 0;
  if (tn_params_numel(params) == 0) tn_trial_absent("it has no trained parameters");
  tn_scope_open();
  tn_trial_expect(tn_grad_params(scalar(&s), params, slope), "gradient");
  const uint32_t each = tn_trial_times(t, 8, 3), count = tn_params_count(params);
  const uint32_t stride =
      1 + count / tn_trial_times(t, 64, 16);                /* of networks of hundreds of tensors, a part */
  const clock_t until = clock() + SECONDS * CLOCKS_PER_SEC; /* and of large ones what there is time for */
  for (uint32_t i = 0; i < count && (checked == 0 || clock() < until); i += stride) {
    tn_param_entry x, g;
    tn_params_entry(params, i, &x);
    tn_params_entry(slope, i, &g);
    if (!g.tensor || x.tensor->dtype != TN_F64 || (x.group != TN_DECAY && x.group != TN_NO_DECAY)) continue;
    for (uint32_t k = 0; k < each && k < (uint64_t)tn_numel(x.tensor); k++) {
      const int64_t at = (int64_t)tn_trial_random(t, x.name, k, (uint64_t)tn_numel(x.tensor));
      checked +=
          tn_difference_check(scalar_value, &s, &tn_f64(x.tensor)[at], tn_f64(g.tensor)[at], x.name, at);
    }
  }
  tn_scope_close();
  tn_params_release(slope);
  tn_bench_close(&bench);
  tn_trial_note("%u derivatives", checked);
}

static void rows(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, &(tn_setup){.doubles = true});
  if (tn_extension(bench.subject, TN_SUPERNET)) tn_trial_absent("a supernet normalises by its batch");
  tn_scope_open();
  const tn_params *params = tn_parameters(bench.subject);
  const tn_fields *all = apply(bench.subject, params, tn_bench_fields(&bench, 0, BATCH), TN_EVALUATE, NULL);
  const tn_fields *one = apply(bench.subject, params, tn_bench_fields(&bench, 2, 1), TN_EVALUATE, NULL);
  tn_trial_expect(tn_outcome(), "apply to one row");
  for (uint32_t i = 0; i < tn_fields_count(all); i++) {
    const char *name;
    const tn_tensor *x = tn_fields_at(all, i, &name), *y = tn_fields_find(one, name);
    if (!y) tn_trial_fail("one row alone has no '%s'", name);
    if (x->dtype != TN_F64 || tn_numel(x) != BATCH * tn_numel(y)) continue;
    const int64_t n = tn_numel(y);
    for (int64_t k = 0; k < n; k++) {
      const double a = tn_f64(x)[2 * n + k], b = tn_f64(y)[k];
      if (!isfinite(a)) tn_trial_fail("'%s' is %g", name, a);
      if (fabs(a - b) > 1e-9 * (1 + fabs(b)))
        tn_trial_fail(
            "'%s' of a row depends on the other rows of its batch when evaluating: %.9g, alone %.9g", name, a,
            b);
    }
  }
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"pure", "apply is a pure function: same inputs, same bits, parameters untouched", pure},
    {"declared", "outputs are as declared", declared},
    {"gradient", "parameter gradients agree with finite differences", gradient},
    {"rows", "when evaluating, a row does not depend on its batch", rows},
};
const tn_driver tn_driver_model = {.kind = TN_MODEL,
                                   .inputs = TN_INPUTS_BEFORE,
                                   .prepare = prepare,
                                   .work = work,
                                   .checks = checks,
                                   .check_count = TN_ARRAY_LENGTH(checks)};
