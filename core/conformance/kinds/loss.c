// SPDX-License-Identifier: MIT
/* Losses: named fields to a differentiable scalar. */
#include "core/conformance/difference.h"
#include "core/conformance/drivers.h"
#include <math.h>
#include <string.h>
#include <tenon/loss.h>

enum { BATCH = 9 };

static tn_status prepare(tn_bench *bench, const tn_component *c) {
  return tn_declare_component(c, bench->inputs, NULL);
}

static const tn_params *own_params(const tn_component *c) {
  tn_params *params = tn_parameters(c);
  return params && tn_params_count(params) > 0 ? params : NULL;
}

static tn_loss_call call_of(const tn_component *c, const tn_fields *fields, tn_rng *rng) {
  *rng = tn_rng_at("conformance", "loss", 0);
  return (tn_loss_call){.size = sizeof(tn_loss_call),
                        .params = own_params(c),
                        .fields = fields,
                        .progress = tn_bench_progress(3, TN_TRAIN),
                        .rng = rng,
                        .batch = fields};
}
static tn_tensor *value_of(const tn_component *c, const tn_fields *fields) {
  tn_rng rng;
  const tn_loss_call call = call_of(c, fields, &rng);
  return tn_loss_value(c, &call);
}

/* What models make; of these the gradient is asked. */
static bool is_output(const char *name) {
  static const char *const outputs[] = {"logits", "output", "features", "member_logits", "head_logits",
                                        "log_pf", "log_pb", "log_flow", "entropy"};
  for (uint32_t i = 0; i < TN_ARRAY_LENGTH(outputs); i++)
    if (strcmp(name, outputs[i]) == 0) return true;
  return false;
}

/* The fields with those that models make as leaves. */
static tn_fields *with_leaves(const tn_fields *fields, tn_tensor **leaves, const char **names,
                              uint32_t *count) {
  tn_fields *all = tn_fields_new();
  *count = 0;
  for (uint32_t i = 0; i < tn_fields_count(fields); i++) {
    const char *name;
    tn_tensor *x = tn_fields_at(fields, i, &name);
    if (is_output(name)) {
      x = tn_leaf(x);
      names[*count] = name;
      leaves[(*count)++] = x;
    }
    tn_fields_set(all, name, x);
  }
  return all;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  tn_tensor *leaves[8], *slopes[8] = {NULL};
  const char *names[8];
  uint32_t count;
  const tn_fields *fields = with_leaves(tn_bench_fields(bench, unit * BATCH, BATCH), leaves, names, &count);
  tn_tensor *value = value_of(c, fields);
  if (tn_poisoned(value)) return TN_ERROR_SHAPE;
  if (tn_requires_gradient(value)) tn_grad(value, leaves, count, slopes, 0);
  tn_fingerprint_tensor(&bench->digest, value);
  for (uint32_t i = 0; i < count; i++) tn_fingerprint_tensor(&bench->digest, slopes[i]);
  tn_rng rng;
  const tn_loss_call call = call_of(c, fields, &rng);
  const bool recording = tn_record(false);
  const tn_status status = tn_loss_after_step(c, &call);
  tn_record(recording);
  return status;
}

typedef struct setting {
  const tn_bench *bench;
  const tn_fields *fields; /* whose memory is varied */
} setting;
static double loss_value(void *context) {
  const setting *s = context;
  tn_scope_open();
  const bool recording = tn_record(false);
  const tn_tensor *value = value_of(s->bench->subject, s->fields);
  tn_record(recording);
  const double result = tn_poisoned(value) ? NAN : tn_f64(value)[0];
  tn_scope_close();
  return result;
}

static void scalar_value(const tn_tensor *value) {
  if (tn_poisoned(value)) tn_trial_fail("value: %s", tn_trial_message());
  if (tn_numel(value) != 1)
    tn_trial_fail("the value has %lld elements, expected one", (long long)tn_numel(value));
}

static void gradient(tn_trial *t) {
  tn_bench bench;
  tn_tensor *leaves[8], *slopes[8] = {NULL};
  const char *names[8];
  uint32_t count, checked = 0;
  tn_bench_ready(&bench, t, &(tn_setup){.doubles = true});
  tn_scope_open();
  const tn_fields *fields = with_leaves(tn_bench_fields(&bench, 0, BATCH), leaves, names, &count);
  tn_tensor *value = value_of(bench.subject, fields);
  scalar_value(value);
  if (!tn_requires_gradient(value)) tn_trial_absent("it depends on nothing that a model makes here");
  tn_grad(value, leaves, count, slopes, 0);
  tn_trial_expect(tn_outcome(), "gradient");
  setting s = {&bench, fields};
  for (uint32_t i = 0; i < count; i++)
    for (int64_t k = 0; k < tn_numel(leaves[i]); k++)
      checked +=
          tn_difference_check(loss_value, &s, &tn_f64(leaves[i])[k], tn_f64(slopes[i])[k], names[i], k);
  tn_scope_close();
  tn_bench_close(&bench);
  tn_trial_note("%u derivatives", checked);
}

static void permutation(tn_trial *t) {
  tn_bench bench;
  int64_t index[BATCH], turned[BATCH];
  tn_bench_ready(&bench, t, &(tn_setup){.doubles = true});
  for (int64_t i = 0; i < BATCH; i++) index[i] = i, turned[i] = BATCH - 1 - i;
  tn_scope_open();
  const tn_fields *a = tn_world_fields(t, bench.inputs, index, BATCH);
  const tn_fields *b = tn_world_fields(t, bench.inputs, turned, BATCH);
  const tn_tensor *x = value_of(bench.subject, a), *y = value_of(bench.subject, b);
  tn_trial_expect(tn_outcome(), "value");
  const double p = tn_f64(x)[0], q = tn_f64(y)[0];
  if (fabs(p - q) > 1e-9 * (1 + fabs(p)))
    tn_trial_fail("the loss depends on the order of the batch: %.12g, reversed %.12g", p, q);
  if (tn_loss_has_per_sample(bench.subject)) {
    tn_rng r1, r2;
    const tn_loss_call c1 = call_of(bench.subject, a, &r1), c2 = call_of(bench.subject, b, &r2);
    x = tn_loss_per_sample(bench.subject, &c1), y = tn_loss_per_sample(bench.subject, &c2);
    tn_trial_expect(tn_outcome(), "per_sample");
    if (tn_numel(x) != tn_numel(y)) tn_trial_fail("per_sample gives other numbers of values");
    for (int64_t i = 0, n = tn_numel(x); i < n; i++)
      if (fabs(tn_f64(x)[i] - tn_f64(y)[n - 1 - i]) > 1e-9 * (1 + fabs(tn_f64(x)[i])))
        tn_trial_fail("the loss of a sample depends on its place in the batch");
  }
  tn_scope_close();
  tn_bench_close(&bench);
}

static void single(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  tn_scope_open();
  const tn_tensor *value = value_of(bench.subject, tn_bench_fields(&bench, 1, 1));
  if (tn_poisoned(value)) {
    tn_trial_note("refused with a reason: %.200s", tn_trial_message());
    return;
  }
  scalar_value(value);
  if (!isfinite((double)tn_f32(value)[0])) tn_trial_fail("a batch of one gives %g", (double)tn_f32(value)[0]);
  tn_scope_close();
  tn_bench_close(&bench);
}

static void extreme(tn_trial *t) {
  tn_bench bench;
  tn_tensor *leaves[8], *slopes[8] = {NULL};
  const char *names[8];
  uint32_t count;
  tn_bench_ready(&bench, t, NULL);
  tn_scope_open();
  const tn_fields *fields = with_leaves(tn_bench_fields(&bench, 0, BATCH), leaves, names, &count);
  for (uint32_t i = 0; i < count; i++)
    for (int64_t k = 0; strcmp(names[i], "features") != 0 && k < tn_numel(leaves[i]); k++)
      tn_f32(leaves[i])[k] *= 1000;
  tn_tensor *value = value_of(bench.subject, fields);
  scalar_value(value);
  if (!isfinite((double)tn_f32(value)[0]))
    tn_trial_fail("logits of about 1000 give a loss of %g", (double)tn_f32(value)[0]);
  if (tn_requires_gradient(value)) tn_grad(value, leaves, count, slopes, 0);
  tn_trial_expect(tn_outcome(), "gradient");
  for (uint32_t i = 0; i < count; i++)
    for (int64_t k = 0; slopes[i] && k < tn_numel(slopes[i]); k++)
      if (!isfinite((double)tn_f32(slopes[i])[k]))
        tn_trial_fail("logits of about 1000 give a gradient of %g by %s", (double)tn_f32(slopes[i])[k],
                      names[i]);
  tn_scope_close();
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"gradient", "its gradient agrees with finite differences", gradient},
    {"permutation", "the order of the batch does not matter", permutation},
    {"single", "a batch of one gives a finite value", single},
    {"extreme", "extreme logits give finite values and gradients", extreme},
};
const tn_driver tn_driver_loss = {.kind = TN_LOSS,
                                  .inputs = TN_INPUTS_AFTER,
                                  .prepare = prepare,
                                  .work = work,
                                  .checks = checks,
                                  .check_count = TN_ARRAY_LENGTH(checks)};
