// SPDX-License-Identifier: MIT
/* Sizes of images (n, channels, height, width): means over squares of pixels, another size, more channels. */
#include <string.h>
#include <tenon/transform.h>

struct resize {
  const char *field;
  int64_t size, height, width, channels;
  int32_t method;
};
#define RESIZE_FIELD TN_STRING(struct resize, field, "image", "the images")

/* Specification of the images, which must have channels, height and width. */
static const tn_field_spec *images(const struct resize *transform, const tn_spec *inputs) {
  const tn_field_spec *field = tn_spec_get(inputs, transform->field);
  if (field && (field->shape.ndim != 3 || field->ragged)) {
    tn_fail(TN_ERROR_SHAPE, "'%s' must be (channels, height, width)", transform->field);
    return NULL;
  }
  return field;
}

/* ---- means over squares ---- */

static const tn_param average_pool_params[] = {
    TN_INTEGER(struct resize, size, "2", 1, 1 << 12, "pixels",
               "side of the squares; what is left over at the right and at the bottom is cut off"),
    RESIZE_FIELD,
};
static tn_status average_pool_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct resize *transform = self;
  const tn_field_spec *field = images(transform, inputs);
  if (!field) return TN_ERROR_SHAPE;
  const int64_t *dim = field->shape.dim, size = transform->size;
  if (dim[1] < size || dim[2] < size)
    return tn_fail(TN_ERROR_SHAPE, "no squares of %lld pixels in images of %lld x %lld", (long long)size,
                   (long long)dim[1], (long long)dim[2]);
  tn_declare_output(declaration, transform->field, TN_FLOAT, TN_SHAPE(dim[0], dim[1] / size, dim[2] / size),
                    0);
  return TN_OK;
}
static tn_status average_pool_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct resize *transform = self;
  (void)call;
  tn_tensor *x = tn_field(fields, transform->field);
  tn_fields_set(fields, transform->field, tn_mean_pool(x, transform->size, transform->size, 0));
  return tn_outcome();
}

/* ---- another size ---- */

static const tn_param resize_params[] = {
    TN_INTEGER(struct resize, height, "32", 1, 1 << 14, "pixels", "of the results"),
    TN_INTEGER(struct resize, width, "0", 0, 1 << 14, "pixels", "of the results; 0: height"),
    TN_CHOICE(struct resize, method, "bilinear", "nearest|bilinear|area",
              "area: means over the pixels that a result covers"),
    RESIZE_FIELD,
};
static int64_t width_of(const struct resize *transform) {
  return transform->width > 0 ? transform->width : transform->height;
}
static tn_status resize_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct resize *transform = self;
  const tn_field_spec *field = images(transform, inputs);
  if (!field) return TN_ERROR_SHAPE;
  tn_declare_output(declaration, transform->field, TN_FLOAT,
                    TN_SHAPE(field->shape.dim[0], transform->height, width_of(transform)), 0);
  return TN_OK;
}
static tn_status resize_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct resize *transform = self;
  (void)call;
  static const tn_interpolate_op ops[] = {TN_INTERPOLATE_NEAREST, TN_INTERPOLATE_BILINEAR};
  const int64_t h = transform->height, w = width_of(transform);
  tn_tensor *x = tn_field(fields, transform->field);
  tn_fields_set(fields, transform->field,
                transform->method == 2 ? tn_adaptive_pool(TN_POOL_MEAN, x, h, w)
                                       : tn_interpolate(ops[transform->method], x, h, w, false));
  return tn_outcome();
}

/* ---- more channels ---- */

static const tn_param repeat_channels_params[] = {
    TN_INTEGER(struct resize, channels, "3", 1, 1 << 12, NULL, "how often the channels are there"),
    RESIZE_FIELD,
};
static tn_status repeat_channels_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  const struct resize *transform = self;
  const tn_field_spec *field = images(transform, inputs);
  if (!field) return TN_ERROR_SHAPE;
  const int64_t *dim = field->shape.dim;
  tn_declare_output(declaration, transform->field, TN_FLOAT,
                    TN_SHAPE(dim[0] * transform->channels, dim[1], dim[2]), 0);
  return TN_OK;
}
static tn_status repeat_channels_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct resize *transform = self;
  (void)call;
  tn_tensor *x = tn_field(fields, transform->field);
  if (tn_poisoned(x) || tn_ndim(x) != 4)
    return tn_fail(TN_ERROR_SHAPE, "'%s' are no images", transform->field);
  const int64_t n = tn_dim(x, 0), c = tn_dim(x, 1), h = tn_dim(x, 2), w = tn_dim(x, 3);
  x = tn_broadcast_to(tn_reshape(x, TN_SHAPE(n, 1, c, h, w)), TN_SHAPE(n, transform->channels, c, h, w));
  tn_fields_set(fields, transform->field, tn_reshape(x, TN_SHAPE(n, transform->channels * c, h, w)));
  return tn_outcome();
}

#define RESIZE_CLASS(id, text)                \
  static const tn_class id##_class = {        \
      .size = sizeof(tn_class),               \
      .kind = TN_TRANSFORM,                   \
      .name = #id,                            \
      .summary = text,                        \
      TN_CLASS_PARAMS(id##_params),           \
      .instance_size = sizeof(struct resize), \
      .vtable = &(const tn_transform){sizeof(tn_transform), id##_declare, id##_apply, NULL}}
RESIZE_CLASS(average_pool, "Images whose squares of pixels are averaged to one");
RESIZE_CLASS(resize, "Images of another size");
RESIZE_CLASS(repeat_channels, "Images whose channels are there several times");
TN_PLUGIN("transform_resize", "1.0.0", "MIT", &average_pool_class, &resize_class, &repeat_channels_class)
