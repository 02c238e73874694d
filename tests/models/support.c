// SPDX-License-Identifier: MIT
#include "support.h"

tn_tensor *waves(tn_shape shape, int64_t first) {
  tn_tensor *x = tn_empty(tn_precision(), shape);
  const int64_t row = tn_dim(x, 0) > 0 ? tn_numel(x) / tn_dim(x, 0) : 0;
  for (int64_t i = 0; i < tn_numel(x); i++) {
    const double value = sin((double)(first * row + i) * 1.7 + 0.3 * cos((double)(first * row + i)));
    if (x->dtype == TN_F64)
      tn_f64(x)[i] = value;
    else
      tn_f32(x)[i] = (float)value;
  }
  return x;
}

static const char *declare(const tn_component *model, const data *inputs) {
  static char failure[1024];
  tn_spec *spec = tn_spec_new();
  inputs->describe(spec);
  const tn_status status = tn_declare_component(model, spec, NULL);
  snprintf(failure, sizeof failure, "%s", status < 0 ? harness_failure() : "");
  tn_spec_release(spec);
  return failure;
}

const tn_component *open_model(const char *precision, const char *keys, const data *inputs) {
  char section[1024];
  snprintf(section, sizeof section, "[m]\n%s\n", keys);
  harness_open(precision, section);
  const tn_component *model = harness_component("m");
  const char *failure = declare(model, inputs);
  cr_assert_str_empty(failure, "%s: %s", keys, failure);
  return model;
}

const char *refusal(const char *keys, const data *inputs) {
  char section[1024];
  snprintf(section, sizeof section, "[m]\n%s\n", keys);
  if (!inputs) return harness_refusal("float32", section);
  harness_open("float32", section);
  const char *failure = declare(harness_component("m"), inputs);
  cr_assert_str_not_empty(failure, "taken: %s", keys);
  return failure;
}

tn_fields *apply(const tn_component *model, tn_fields *inputs, tn_mode mode, tn_model_call *call) {
  static tn_rng rng;
  rng = tn_rng_at(model->name, "test", 3);
  call->size = sizeof *call;
  call->params = tn_parameters(model);
  cr_assert(call->params != NULL, "%s", harness_failure());
  call->inputs = inputs;
  call->outputs = tn_fields_new();
  call->progress = (tn_progress){.size = sizeof call->progress, .mode = mode};
  call->rng = &rng;
  cr_assert(tn_model_apply(model, call) >= 0, "%s", harness_failure());
  return call->outputs;
}

tn_tensor *output(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field) {
  tn_model_call call = {0};
  tn_tensor *y = tn_field(apply(model, inputs, mode, &call), field);
  cr_assert(!tn_poisoned(y), "%s", harness_failure());
  return y;
}

int64_t size_of(const tn_component *model) {
  const tn_params *params = tn_parameters(model);
  cr_assert(params != NULL, "%s", harness_failure());
  return tn_params_numel(params);
}

void expect_shape(const tn_component *model, tn_fields *inputs, const char *field, tn_shape shape) {
  const tn_shape got = tn_shape_of(output(model, inputs, TN_EVALUATE, field));
  EXPECT_INT(got.ndim, shape.ndim);
  for (uint32_t i = 0; i < shape.ndim; i++) EXPECT_INT(got.dim[i], shape.dim[i]);
}

static double objective(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field) {
  tn_scope_open();
  const bool recording = tn_record(false);
  const double value = tn_item(tn_mean(tn_square(output(model, inputs, mode, field))));
  tn_record(recording);
  tn_scope_close();
  return value;
}

void expect_gradients_by(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field,
                         double h) {
  enum { PLACES = 3 }; /* coordinates a tensor */
  tn_params *params = tn_parameters(model), *gradient = tn_params_like(params);
  cr_assert(tn_grad_params(tn_mean(tn_square(output(model, inputs, mode, field))), params, gradient) >= 0,
            "%s", harness_failure());
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry e, ge;
    tn_params_entry(params, p, &e);
    if (e.group != TN_DECAY && e.group != TN_NO_DECAY) continue;
    tn_params_entry(gradient, p, &ge);
    const int64_t n = tn_numel(e.tensor);
    for (int64_t k = 0, last = -1; k < PLACES; k++) {
      const int64_t i = (k * (n - 1)) / (PLACES - 1);
      if (i == last) continue;
      last = i;
      double *w = &tn_f64(e.tensor)[i];
      const double at = *w;
      *w = at + h;
      const double above = objective(model, inputs, mode, field);
      *w = at - h;
      const double below = objective(model, inputs, mode, field);
      *w = at;
      const double wanted = (above - below) / (2 * h), got = harness_at(ge.tensor, i);
      cr_assert(fabs(got - wanted) < 1e-7 * (1 + fabs(wanted)), "%s[%d]: expected %.12g, got %.12g", e.name,
                (int)i, wanted, got);
    }
  }
  tn_params_release(gradient);
}

void expect_gradients(const tn_component *model, tn_fields *inputs, tn_mode mode, const char *field) {
  expect_gradients_by(model, inputs, mode, field, 1e-5);
}

static void expect_same(const tn_tensor *x, const tn_tensor *y) {
  EXPECT_INT(tn_numel(x), tn_numel(y));
  for (int64_t i = 0; i < tn_numel(x); i++) EXPECT_REAL(harness_at(x, i), harness_at(y, i));
}

void expect_pure(const tn_component *model, const data *inputs, const char *field) {
  const tn_params *params = tn_parameters(model);
  tn_params *before = tn_params_clone(params);
  for (tn_mode mode = TN_TRAIN; mode <= TN_EVALUATE; mode++) {
    tn_fields *rows = inputs->rows(0, 4);
    expect_same(output(model, rows, mode, field), output(model, rows, mode, field));
  }
  for (uint32_t p = 0; p < tn_params_count(params); p++) {
    tn_param_entry old, now;
    tn_params_entry(before, p, &old);
    tn_params_entry(params, p, &now);
    expect_same(old.tensor, now.tensor);
  }
  tn_params_release(before);
}

void expect_rows_alone(const tn_component *model, const data *inputs, const char *field) {
  enum { ROWS = 3 };
  const tn_tensor *all = output(model, inputs->rows(0, ROWS), TN_EVALUATE, field);
  for (int64_t r = 0, at = 0; r < ROWS; r++) {
    const tn_tensor *one = output(model, inputs->rows(r, 1), TN_EVALUATE, field);
    for (int64_t i = 0; i < tn_numel(one); i++) EXPECT_NEAR(harness_at(one, i), harness_at(all, at++), 1e-10);
  }
}

static double apart(const tn_tensor *x, const tn_tensor *y) {
  double most = 0;
  for (int64_t i = 0; i < tn_numel(x); i++) most = fmax(most, fabs(harness_at(x, i) - harness_at(y, i)));
  return most;
}

void expect_norm_modes(const tn_component *model, const data *inputs, const char *field, uint32_t buffers) {
  tn_buffer_update updates[256];
  tn_fields *rows = inputs->rows(0, 4);
  const struct {
    tn_norm_mode norm;
    tn_mode mode;
    bool running;
    uint32_t reported;
  } cases[] = {{TN_NORM_DEFAULT, TN_TRAIN, false, buffers}, {TN_NORM_DEFAULT, TN_EVALUATE, true, 0},
               {TN_NORM_RUNNING, TN_TRAIN, true, 0},        {TN_NORM_RUNNING, TN_EVALUATE, true, 0},
               {TN_NORM_BATCH, TN_TRAIN, false, buffers},   {TN_NORM_BATCH, TN_EVALUATE, false, buffers},
               {TN_NORM_FROZEN, TN_TRAIN, false, 0},        {TN_NORM_FROZEN, TN_EVALUATE, false, 0}};
  tn_tensor *batch = NULL, *running = NULL;
  for (size_t c = 0; c < TN_ARRAY_LENGTH(cases); c++) {
    tn_model_call call = {.norm = cases[c].norm, .updates = updates};
    tn_tensor *y = tn_field(apply(model, rows, cases[c].mode, &call), field);
    EXPECT_INT(call.update_count, cases[c].reported);
    for (uint32_t u = 0; u < call.update_count; u++) {
      tn_param_entry e;
      tn_params_entry(call.params, updates[u].index, &e);
      EXPECT_INT(e.group, TN_BUFFER);
      EXPECT_INT(tn_numel(updates[u].value), tn_numel(e.tensor));
      cr_assert(!tn_requires_gradient(updates[u].value), "%s: statistics are constants", e.name);
    }
    tn_tensor **first = cases[c].running ? &running : &batch;
    if (!*first) *first = y;
    EXPECT_NEAR(apart(*first, y), 0, 1e-12);
  }
  cr_assert(buffers == 0 || apart(batch, running) > 1e-3, "the statistics change nothing");
}
