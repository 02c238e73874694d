// SPDX-License-Identifier: MIT
/* x <- (x - mean) / deviation with given numbers, one for all channels or one for each; or to unit length. */
#include <tenon/transform.h>

enum { STATISTICS, LENGTH };

struct normalise {
  const char *field;
  int32_t by;
  tn_reals mean, deviation;
};
static const tn_param normalise_params[] = {
    TN_CHOICE(struct normalise, by, "statistics", "statistics|length",
              "mean and deviation; or each sample's Euclidean length becomes 1"),
    TN_REALS(struct normalise, mean, "0", -1e300, 1e300, "one, or one a channel (a feature of vectors)"),
    TN_PARAM_(struct normalise, deviation, TN_PARAM_REALS, TN_PARAM_MIN_EXCLUSIVE, "1", 0, INFINITY, NULL,
              NULL, NULL, "one, or one a channel (a feature of vectors)"),
    TN_STRING(struct normalise, field, "", "field to normalise; empty: `image`, else `input`"),
};

static const char *field_of(const struct normalise *transform, bool has_image) {
  return *transform->field ? transform->field : has_image ? "image" : "input";
}

static tn_status normalise_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct normalise *transform = self;
  const char *name = field_of(transform, tn_spec_find(inputs, "image"));
  const tn_field_spec *field = tn_spec_get(inputs, name);
  if (!field) return TN_ERROR_MISSING;
  if (field->classes > 0 || field->ragged || field->shape.ndim < 1)
    return tn_fail(TN_ERROR_SHAPE, "'%s' must be numbers of one shape", name);
  const tn_reals *const lists[] = {&transform->mean, &transform->deviation};
  for (int i = 0; i < 2; i++)
    if (lists[i]->count != 1 && lists[i]->count != (uint32_t)field->shape.dim[0])
      return tn_fail(TN_ERROR_SHAPE, "%s: %u numbers for %lld channels of '%s'", i ? "deviation" : "mean",
                     lists[i]->count, (long long)field->shape.dim[0], name);
  tn_declare_output(declaration, name, TN_FLOAT, field->shape, 0);
  return TN_OK;
}

/* A list as (channels, 1, ...) against x (n, channels, ...). */
static tn_tensor *against(const tn_reals *list, const tn_tensor *x) {
  tn_shape shape = {(uint32_t)tn_ndim(x) - 1, {list->count}};
  for (uint32_t i = 1; i < shape.ndim; i++) shape.dim[i] = 1;
  return tn_cast(tn_from(TN_F64, shape, list->items), x->dtype);
}

static tn_status normalise_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct normalise *transform = self;
  (void)call;
  const char *name = field_of(transform, tn_fields_find(fields, "image"));
  tn_tensor *x = tn_field(fields, name);
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  if (x->dtype != TN_F32 && x->dtype != TN_F64) x = tn_cast(x, tn_precision());
  if (transform->by == LENGTH) {
    tn_tensor *flat = tn_flatten(x); /* (n, d) */
    tn_tensor *length = tn_sqrt(tn_reduce(TN_SUM, tn_mul(flat, flat), 1, true));
    /* a sample of zeros stays as it is */
    x = tn_reshape(tn_div(flat, tn_clamp(length, 1e-12, INFINITY)), tn_shape_of(x));
  } else {
    x = tn_div(tn_sub(x, against(&transform->mean, x)), against(&transform->deviation, x));
  }
  tn_fields_set(fields, name, x);
  return tn_outcome();
}

static const tn_class normalise_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "normalise",
    .summary = "Given mean and deviation taken out, or samples of unit length",
    TN_CLASS_PARAMS(normalise_params),
    .instance_size = sizeof(struct normalise),
    .vtable = &(const tn_transform){sizeof(tn_transform), normalise_declare, normalise_apply, NULL}};
TN_PLUGIN("transform_normalise", "1.0.0", "MIT", &normalise_class)
