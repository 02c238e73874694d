// SPDX-License-Identifier: MIT
/* Fixed scale and shift of a field: x <- scale x + shift. */
#include <tenon/transform.h>

struct affine {
  const char *field;
  double scale, shift;
};
static const tn_param affine_params[] = {
    TN_STRING(struct affine, field, "", "field to change; empty: `image`, else `input`"),
    TN_REAL(struct affine, scale, "1", -INFINITY, INFINITY, "factor"),
    TN_REAL(struct affine, shift, "0", -INFINITY, INFINITY, "added after it"),
};

static const char *affine_field(const struct affine *transform, bool has_image) {
  return *transform->field ? transform->field : has_image ? "image" : "input";
}

static tn_status affine_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct affine *transform = self;
  const char *name = affine_field(transform, tn_spec_find(inputs, "image"));
  const tn_field_spec *field = tn_spec_get(inputs, name);
  if (!field) return TN_ERROR_MISSING;
  if (field->classes > 0 || field->ragged)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be numbers of one shape", name);
  tn_declare_output(declaration, name, TN_FLOAT, field->shape, 0);
  return TN_OK;
}

static tn_status affine_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct affine *transform = self;
  (void)call;
  const char *name = affine_field(transform, tn_fields_find(fields, "image"));
  tn_tensor *x = tn_field(fields, name);
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  const tn_dtype dtype = x->dtype == TN_F32 || x->dtype == TN_F64 ? x->dtype : tn_precision();
  tn_fields_set(fields, name, tn_affine(tn_cast(x, dtype), transform->scale, transform->shift));
  return tn_outcome();
}

static const tn_class affine_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "affine",
    .summary = "A fixed scale and shift",
    TN_CLASS_PARAMS(affine_params),
    .instance_size = sizeof(struct affine),
    .vtable = &(const tn_transform){sizeof(tn_transform), affine_declare, affine_apply, NULL}};
TN_PLUGIN("transform_affine", "1.0.0", "MIT", &affine_class)
