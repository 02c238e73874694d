// SPDX-License-Identifier: MIT
#include "fixture.h"
#include "core/tensor/engine.h"

static tn_params *created(tn_declaration *declaration) {
  tn_params *params = tn_params_create(declaration, "fixture");
  tn_declaration_free(declaration);
  cr_assert(params != NULL, "%s", harness_failure());
  return params;
}

tn_params *fixture_params(void) {
  tn_declaration *d = tn_declaration_new();
  const tn_init seven = tn_init_of(TN_INIT_CONSTANT, 7);
  tn_declare(d, "layer.weight", TN_SHAPE(ROWS, COLUMNS), TN_DECAY, tn_init_zeros());
  tn_declare(d, "norm.running", TN_SHAPE(4), TN_BUFFER, seven);
  tn_declare(d, "layer.bias", TN_SHAPE(BIAS_SIZE), TN_NO_DECAY, tn_init_zeros());
  tn_declare(d, "conv.kernel", TN_SHAPE(FILTERS, 2, 2, 2), TN_DECAY, tn_init_zeros());
  tn_declare(d, "norm.count", TN_SHAPE(2), TN_FIXED, seven);
  tn_declare(d, "norm.scale", TN_SHAPE(SCALE_SIZE), TN_NO_DECAY, tn_init_zeros());
  tn_params *params = created(d);
  for (int64_t i = 0; i < ALL; i++) fixture_set(params, i, sin((double)i + 1));
  return params;
}

tn_params *fixture_matrix(int64_t rows, int64_t columns) {
  tn_declaration *d = tn_declaration_new();
  tn_declare(d, "weight", TN_SHAPE(rows, columns), TN_DECAY, tn_init_zeros());
  return created(d);
}

static tn_tensor *place(const tn_params *params, int64_t *i) {
  static const struct {
    uint32_t entry;
    int64_t at;
  } parts[] = {{SCALE, AT_SCALE}, {KERNEL, AT_KERNEL}, {BIAS, AT_BIAS}, {WEIGHT, AT_WEIGHT}};
  if (tn_params_count(params) == 1) return tn_param_tensor(params, 0);
  size_t k = 0;
  while (*i < parts[k].at) k++;
  *i -= parts[k].at;
  return tn_param_tensor(params, parts[k].entry);
}
double fixture_get(const tn_params *params, int64_t i) {
  const tn_tensor *x = place(params, &i);
  return harness_at(x, i);
}
void fixture_set(const tn_params *params, int64_t i, double value) {
  const tn_tensor *x = place(params, &i);
  if (x->dtype == TN_F64)
    tn_f64(x)[i] = value;
  else
    tn_f32(x)[i] = (float)value;
}
bool fixture_decays(int64_t i) { return i < AT_BIAS || (i >= AT_KERNEL && i < AT_SCALE); }

double fixture_slope(double w, int64_t i, int64_t t) {
  return w + 0.3 * sin((double)(i + 1) * (double)t) - 0.1;
}
void fixture_gradient(const tn_params *params, tn_params *gradient, int64_t t) {
  for (int64_t i = 0; i < tn_params_numel(params); i++)
    fixture_set(gradient, i, fixture_slope(fixture_get(params, i), i, t));
}

void fixture_begin(const tn_component *optimizer, const tn_params *params) {
  cr_assert(tn_optimizer_begin(optimizer, params) >= 0, "%s", harness_failure());
}
void fixture_update(const tn_component *optimizer, tn_params *params, tn_params *gradient, double schedule,
                    int64_t t) {
  const tn_optimizer_step step = {
      .size = sizeof step, .params = params, .gradient = gradient, .schedule = schedule, .step = t};
  cr_assert(tn_optimizer_update(optimizer, &step) >= 0, "%s: %s", optimizer->cls->name, harness_failure());
  cr_assert(!tn_failed(), "%s: %s", optimizer->cls->name, harness_failure());
}
