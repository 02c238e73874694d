// SPDX-License-Identifier: MIT
/* Thermometer code of numbers (Buckman et al. 2018; with a linear part as in Jain et al. 2023): n bins on low
 * .. high begin at b_k = low + k gap, gap = (high - low) / (n - 1), and
 *
 *   code_k = clamp(v - b_k, 0, gap) / gap
 *
 * A field (n, d) becomes (n, d bins), the bins of a number side by side. */
#include <tenon/transform.h>

struct thermometer {
  const char *field, *output;
  int64_t bins;
  double low, high;
  const char *input_name, *output_name; /* in force */
};
static const tn_param thermometer_params[] = {
    TN_STRING(struct thermometer, field, "",
              "field to encode (n) or (n, d); empty: `preference`, else `temperature`, else `input`"),
    TN_STRING(struct thermometer, output, "", "field to write; empty: the same"),
    TN_INTEGER(struct thermometer, bins, "16", 2, 1 << 16, NULL, "bins a number"),
    TN_REAL(struct thermometer, low, "0", -INFINITY, INFINITY, "where the first bin begins"),
    TN_REAL(struct thermometer, high, "1", -INFINITY, INFINITY, "where the last bin begins"),
};

static tn_status thermometer_create(void *self) {
  const struct thermometer *t = self;
  if (!(t->low < t->high) || !isfinite(t->high - t->low))
    return tn_fail(TN_ERROR_INVALID, "low %g is not below high %g", t->low, t->high);
  return TN_OK;
}

static tn_status thermometer_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct thermometer *t = self;
  t->input_name = *t->field                             ? t->field
                  : tn_spec_find(inputs, "preference")  ? "preference"
                  : tn_spec_find(inputs, "temperature") ? "temperature"
                                                        : "input";
  t->output_name = *t->output ? t->output : t->input_name;
  const tn_field_spec *field = tn_spec_get(inputs, t->input_name);
  if (!field) return TN_ERROR_MISSING;
  if (field->ragged || field->shape.ndim > 1 || field->classes > 0)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be one number or a row of numbers", t->input_name);
  tn_declare_output(declaration, t->output_name, TN_FLOAT, TN_SHAPE(tn_spec_numel(field) * t->bins), 0);
  return TN_OK;
}

static tn_status thermometer_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct thermometer *t = self;
  const double gap = (t->high - t->low) / (double)(t->bins - 1);
  (void)call;
  tn_tensor *x = tn_field(fields, t->input_name);
  if (tn_poisoned(x)) return tn_outcome();
  const int64_t n = tn_dim(x, 0);
  if (x->dtype != tn_precision()) x = tn_cast(x, tn_precision());
  tn_tensor *begins = tn_arange(x->dtype, t->low, gap, t->bins);              /* (bins) */
  tn_tensor *above = tn_sub(tn_reshape(x, TN_SHAPE(tn_numel(x), 1)), begins); /* (n d, bins) */
  tn_tensor *code = tn_scale(tn_clamp(above, 0, gap), 1 / gap);
  tn_fields_set(fields, t->output_name, n > 0 ? tn_reshape(code, TN_SHAPE(n, -1)) : code);
  return tn_outcome();
}

static const tn_class thermometer_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "thermometer",
    .summary = "Numbers as the levels of a thermometer: conditions that a network can tell apart",
    .reference = "Buckman et al. 2018, Thermometer Encoding",
    TN_CLASS_PARAMS(thermometer_params),
    .instance_size = sizeof(struct thermometer),
    .vtable = &(const tn_transform){sizeof(tn_transform), thermometer_declare, thermometer_apply, NULL},
    .create = thermometer_create};
TN_PLUGIN("transform_thermometer", "1.0.0", "MIT", &thermometer_class)
