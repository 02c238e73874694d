// SPDX-License-Identifier: MIT
/* Class numbers as vectors: `target` (n, classes) is 1 - smoothing + smoothing / classes at the class and
 * smoothing / classes elsewhere; all 0 where there is no label. */
#include <tenon/transform.h>

struct one_hot {
  const char *field, *output;
  double smoothing;
  int64_t classes; /* of the field, known once declared */
};
static const tn_param one_hot_params[] = {
    TN_STRING(struct one_hot, field, "label", "class numbers (n)"),
    TN_STRING(struct one_hot, output, "target", "field that is made"),
    TN_REAL(struct one_hot, smoothing, "0", 0, 1, "share that is spread over all classes"),
};

static tn_status one_hot_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  struct one_hot *transform = self;
  const tn_field_spec *field = tn_spec_get(inputs, transform->field);
  if (!field) return TN_ERROR_MISSING;
  if (field->classes < 1 || field->ragged || field->shape.ndim != 0)
    return tn_fail(TN_ERROR_SHAPE, "'%s' is not one class number a sample", transform->field);
  transform->classes = field->classes;
  tn_declare_output(declaration, transform->output, TN_FLOAT, TN_SHAPE(field->classes), 0);
  return TN_OK;
}

static tn_status one_hot_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct one_hot *transform = self;
  (void)call;
  tn_tensor *label = tn_field(fields, transform->field);
  if (tn_poisoned(label)) return TN_ERROR_MISSING;
  const int64_t n = tn_numel(label), classes = transform->classes;
  tn_tensor *target = tn_zeros(TN_F64, TN_SHAPE(n, classes));
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    const int64_t class = tn_i64(label)[i];
    if (class >= classes)
      return tn_fail(TN_ERROR_INVALID, "'%s' is %lld, expected below %lld", transform->field,
                     (long long)class, (long long)classes);
    for (int64_t c = 0; class >= 0 && c < classes; c++)
      tn_f64(target)[i * classes + c] =
          transform->smoothing / (double)classes + (c == class ? 1 - transform->smoothing : 0);
  }
  tn_fields_set(fields, transform->output, tn_cast(target, tn_precision()));
  return tn_outcome();
}

static const tn_class one_hot_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "one_hot",
    .summary = "Class numbers as vectors of zeros and a one",
    TN_CLASS_PARAMS(one_hot_params),
    .instance_size = sizeof(struct one_hot),
    .vtable = &(const tn_transform){sizeof(tn_transform), one_hot_declare, one_hot_apply, NULL}};
TN_PLUGIN("transform_one_hot", "1.0.0", "MIT", &one_hot_class)
