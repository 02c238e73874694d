// SPDX-License-Identifier: MIT
/* Optimizers, on the quadratic f(x) = 1/2 sum_i a_i (x_i - t_i)^2 with 1 <= a_i <= 4 over a few tensors. */
#include "core/conformance/drivers.h"
#include <math.h>
#include <string.h>
#include <tenon/optimizer.h>

typedef struct quadratic {
  tn_closure closure; /* first: the closure is its quadratic */
  const tn_trial *trial;
  tn_params *params, *gradient;
} quadratic;

static void release(void *memory) {
  quadratic *q = memory;
  tn_params_release(q->params);
  tn_params_release(q->gradient);
}

/* The value at `params`; its gradient if asked. */
static double value_at(const quadratic *q, const tn_params *params, tn_params *gradient) {
  double sum = 0;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry x, g = {.tensor = NULL};
    tn_params_entry(params, i, &x);
    if (gradient) tn_params_entry(gradient, i, &g);
    if (x.group != TN_DECAY && x.group != TN_NO_DECAY) continue;
    for (int64_t k = 0; k < tn_numel(x.tensor); k++) {
      const bool doubles = x.tensor->dtype == TN_F64;
      const double at = doubles ? tn_f64(x.tensor)[k] : (double)tn_f32(x.tensor)[k];
      const double a = 1 + 3 * tn_trial_uniform(q->trial, x.name, (uint64_t)k);
      const double off = at - tn_trial_normal(q->trial, x.name, (uint64_t)(1000 + k));
      sum += 0.5 * a * off * off;
      if (g.tensor && doubles) tn_f64(g.tensor)[k] = a * off;
      if (g.tensor && !doubles) tn_f32(g.tensor)[k] = (float)(a * off);
    }
  }
  return sum;
}

static tn_status evaluate(tn_closure *closure, const tn_params *params, tn_params *gradient, double *loss) {
  *loss = value_at((quadratic *)closure, params, gradient);
  closure->evaluations++;
  return TN_OK;
}

/* Matrices, vectors, a kernel, a scalar-like one, and entries that are not trained; `turned`: in reverse
 * order. */
static tn_params *make_params(bool turned) {
  static const struct {
    const char *name;
    tn_shape shape;
    tn_group group;
  } entries[] = {{"first.weight", {2, {4, 6}}, TN_DECAY},
                 {"first.bias", {1, {4}}, TN_NO_DECAY},
                 {"kernel.weight", {4, {2, 3, 2, 2}}, TN_DECAY},
                 {"scale", {1, {1}}, TN_NO_DECAY},
                 {"fixed", {1, {3}}, TN_FIXED},
                 {"last.weight", {2, {3, 4}}, TN_DECAY},
                 {"running", {1, {4}}, TN_BUFFER}};
  const uint32_t count = TN_ARRAY_LENGTH(entries);
  tn_declaration *declaration = tn_declaration_new();
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t k = turned ? count - 1 - i : i;
    tn_declare(declaration, entries[k].name, entries[k].shape, entries[k].group,
               tn_init_of(TN_INIT_NORMAL, 1));
  }
  tn_params *params = tn_params_create(declaration, "conformance");
  tn_declaration_free(declaration);
  return params;
}

static tn_status start(tn_bench *bench, const tn_component *c, bool turned) {
  quadratic *q = tn_bench_keep(bench, c, sizeof *q, release);
  q->closure = (tn_closure){.size = sizeof q->closure, .evaluate = evaluate};
  q->trial = bench->trial;
  q->params = make_params(turned);
  q->gradient = q->params ? tn_params_like(q->params) : NULL;
  return q->gradient ? tn_optimizer_begin(c, q->params) : TN_ERROR_MEMORY;
}
static tn_status prepare(tn_bench *bench, const tn_component *c) { return start(bench, c, false); }

static tn_status step(tn_bench *bench, const tn_component *c, int64_t number, double factor) {
  quadratic *q = tn_bench_kept(bench, c);
  const double loss = value_at(q, q->params, q->gradient);
  if (factor != 1) tn_params_scale(q->gradient, factor);
  tn_optimizer_step s = {.size = sizeof s,
                         .params = q->params,
                         .gradient = q->gradient,
                         .loss = loss,
                         .schedule = 1,
                         .step = number,
                         .closure = &q->closure,
                         .steps = 1000};
  const tn_status status = tn_optimizer_update(c, &s);
  if (status < 0 && !tn_failed()) return tn_fail(status, "step failed without a message");
  return status;
}

static tn_status work(tn_bench *bench, const tn_component *c, int64_t unit) {
  const tn_status status = step(bench, c, unit + 1, 1);
  tn_fingerprint_params(&bench->digest, ((quadratic *)tn_bench_kept(bench, c))->params);
  return status;
}
static void carry(const tn_bench *from, tn_bench *to) {
  const quadratic *a = tn_bench_kept(from, from->subject);
  quadratic *b = tn_bench_kept(to, to->subject);
  tn_params_copy(b->params, a->params);
}

static void steps(tn_bench *bench, int64_t count, double factor) {
  for (int64_t i = 1; i <= count; i++) {
    tn_scope_open();
    tn_trial_expect(step(bench, bench->subject, i, factor), "step");
    tn_scope_close();
  }
}

/* All numbers of a set are finite. */
static void expect_finite(const tn_params *params, const char *when) {
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry x;
    tn_params_entry(params, i, &x);
    for (int64_t k = 0; k < tn_numel(x.tensor); k++)
      if (!isfinite(x.tensor->dtype == TN_F64 ? tn_f64(x.tensor)[k] : (double)tn_f32(x.tensor)[k]))
        tn_trial_fail("%s: '%s'[%lld] is not finite", when, x.name, (long long)k);
  }
}

static void descends(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  quadratic *q = tn_bench_kept(&bench, bench.subject);
  const double before = value_at(q, q->params, NULL);
  steps(&bench, 200, 1);
  const double after = value_at(q, q->params, NULL);
  expect_finite(q->params, "after 200 steps");
  if (!(after < before)) tn_trial_fail("200 steps on a quadratic lead from %.9g to %.9g", before, after);
  tn_trial_note("from %.6g to %.6g in 200 steps", before, after);
  tn_bench_close(&bench);
}

static void order(tn_trial *t) {
  tn_bench a, b;
  double values[256];
  uint32_t count = 0;
  tn_bench_ready(&a, t, &(tn_setup){.doubles = true});
  steps(&a, 5, 1);
  const tn_params *first = ((quadratic *)tn_bench_kept(&a, a.subject))->params;
  char names[16][32];
  int64_t lengths[16];
  const uint32_t entries = tn_params_count(first);
  for (uint32_t i = 0; i < entries; i++) {
    tn_param_entry x;
    tn_params_entry(first, i, &x);
    snprintf(names[i], sizeof names[0], "%s", x.name);
    lengths[i] = tn_numel(x.tensor);
    for (int64_t k = 0; k < lengths[i]; k++) values[count++] = tn_f64(x.tensor)[k];
  }
  tn_bench_close(&a);

  if (!tn_bench_open(&b, t, &(tn_setup){.doubles = true})) tn_trial_fail("%s", b.error.text);
  tn_trial_expect(start(&b, b.subject, true), "begin");
  steps(&b, 5, 1);
  const tn_params *second = ((quadratic *)tn_bench_kept(&b, b.subject))->params;
  for (uint32_t i = 0, base = 0; i < entries; base += (uint32_t)lengths[i++]) {
    tn_param_entry x;
    uint32_t at = 0;
    do tn_params_entry(second, at++, &x);
    while (strcmp(x.name, names[i]) != 0);
    for (int64_t k = 0; k < lengths[i]; k++)
      if (fabs(tn_f64(x.tensor)[k] - values[base + k]) > 1e-9 * (1 + fabs(values[base + k])))
        tn_trial_fail(
            "the update of '%s' depends on the order of the parameters: %.12g, in reverse order %.12g",
            names[i], values[base + k], tn_f64(x.tensor)[k]);
  }
  tn_bench_close(&b);
}

static void zero(tn_trial *t) {
  tn_bench bench;
  tn_bench_ready(&bench, t, NULL);
  steps(&bench, 3, 0);
  expect_finite(((quadratic *)tn_bench_kept(&bench, bench.subject))->params,
                "after steps with a zero gradient");
  tn_bench_close(&bench);
}

static void untrained(tn_trial *t) {
  tn_bench bench;
  tn_fingerprint before = {0}, after = {0};
  tn_bench_ready(&bench, t, NULL);
  const tn_params *params = ((quadratic *)tn_bench_kept(&bench, bench.subject))->params;
  for (int turn = 0; turn < 2; turn++) {
    for (uint32_t i = 0; i < tn_params_count(params); i++) {
      tn_param_entry x;
      tn_params_entry(params, i, &x);
      if (x.group == TN_FIXED || x.group == TN_BUFFER)
        tn_fingerprint_tensor(turn ? &after : &before, x.tensor);
    }
    if (turn == 0) steps(&bench, 3, 1);
  }
  if (before.hash != after.hash) tn_trial_fail("it changes parameters that are fixed or buffers");
  tn_bench_close(&bench);
}

static const tn_check checks[] = {
    {"descends", "it descends a quadratic", descends},
    {"order", "the update does not depend on the order of the parameters", order},
    {"zero", "a zero gradient leaves finite parameters", zero},
    {"untrained", "fixed parameters and buffers are left alone", untrained},
};
const tn_driver tn_driver_optimizer = {.kind = TN_OPTIMIZER,
                                       .prepare = prepare,
                                       .work = work,
                                       .carry = carry,
                                       .checks = checks,
                                       .check_count = TN_ARRAY_LENGTH(checks)};
