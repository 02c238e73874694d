// SPDX-License-Identifier: MIT
/* Random changes of images (n, channels, height, width) that leave their meaning: mirroring, shifting by a
 * crop of the padded image, and covering a square. They act in training only; each image has a draw of its
 * own. */
#include <string.h>
#include <tenon/transform.h>

struct augment {
  double probability, value;
  int64_t padding, size;
  int32_t axis, border;
};
enum { BORDER_ZERO, BORDER_REFLECT };

static tn_status augment_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  (void)self;
  const tn_field_spec *field = tn_spec_get(inputs, "image");
  if (!field) return TN_ERROR_MISSING;
  if (field->shape.ndim != 3 || field->ragged)
    return tn_fail(TN_ERROR_SHAPE, "'image' must be (channels, height, width)");
  tn_declare_output(declaration, "image", TN_FLOAT, field->shape, 0);
  return TN_OK;
}

/* Where pixel (y, x) of a new image comes from: true and *y, *x, or false: `value`. */
struct draw {
  int64_t dy, dx, height, width;
  bool flip_rows, flip_columns;
  int64_t top, left, side; /* of the covered square */
};
static int64_t reflect(int64_t i, int64_t count) {
  const int64_t period = count > 1 ? 2 * (count - 1) : 1;
  i = (i % period + period) % period;
  return i < count ? i : period - i;
}
static bool source(const struct augment *transform, const struct draw *draw, int64_t *y, int64_t *x) {
  if (draw->side > 0 && *y >= draw->top && *y < draw->top + draw->side && *x >= draw->left &&
      *x < draw->left + draw->side)
    return false;
  *y = (draw->flip_rows ? draw->height - 1 - *y : *y) + draw->dy;
  *x = (draw->flip_columns ? draw->width - 1 - *x : *x) + draw->dx;
  if (*y >= 0 && *y < draw->height && *x >= 0 && *x < draw->width) return true;
  if (transform->border == BORDER_ZERO) return false;
  *y = reflect(*y, draw->height);
  *x = reflect(*x, draw->width);
  return true;
}

/* Copies image `i`, each pixel from where `draw` says. */
static void redraw(const struct augment *transform, const struct draw *draw, const tn_tensor *from,
                   tn_tensor *to, int64_t i) {
  const int64_t channels = tn_dim(from, 1), plane = draw->height * draw->width;
  for (int64_t y = 0; y < draw->height; y++)
    for (int64_t x = 0; x < draw->width; x++) {
      int64_t v = y, u = x;
      const bool inside = source(transform, draw, &v, &u);
      for (int64_t c = 0; c < channels; c++) {
        const int64_t base = (i * channels + c) * plane, at = base + y * draw->width + x;
        const int64_t old = base + v * draw->width + u;
        if (from->dtype == TN_F64)
          tn_f64(to)[at] = inside ? tn_f64(from)[old] : transform->value;
        else
          tn_f32(to)[at] = inside ? tn_f32(from)[old] : (float)transform->value;
      }
    }
}

/* Applies a draw of `make` to each image. */
static tn_status augment_each(const struct augment *transform, tn_fields *fields,
                              const tn_transform_call *call,
                              void (*make)(const struct augment *transform, tn_rng *rng, struct draw *draw)) {
  if (call->progress.mode != TN_TRAIN) return TN_OK;
  tn_tensor *x = tn_field(fields, "image");
  if (tn_poisoned(x)) return TN_ERROR_MISSING;
  if (x->dtype != TN_F32 && x->dtype != TN_F64) x = tn_cast(x, tn_precision());
  tn_tensor *y = tn_empty(x->dtype, tn_shape_of(x));
  for (int64_t i = 0; !tn_failed() && i < tn_dim(x, 0); i++) {
    struct draw draw = {.height = tn_dim(x, 2), .width = tn_dim(x, 3)};
    make(transform, call->rng, &draw);
    redraw(transform, &draw, x, y, i);
  }
  tn_fields_set(fields, "image", y);
  return tn_outcome();
}

/* ---- mirroring ---- */

enum { HORIZONTAL, VERTICAL };
static const tn_param flip_params[] = {
    TN_REAL(struct augment, probability, "0.5", 0, 1, "of an image's being mirrored"),
    TN_CHOICE(struct augment, axis, "horizontal", "horizontal|vertical", "left to right, or top to bottom"),
};
static void draw_flip(const struct augment *transform, tn_rng *rng, struct draw *draw) {
  const bool flips = tn_random_uniform(rng) < transform->probability;
  draw->flip_rows = flips && transform->axis == VERTICAL;
  draw->flip_columns = flips && transform->axis == HORIZONTAL;
}
static tn_status flip_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  return augment_each(self, fields, call, draw_flip);
}

/* ---- shifting ---- */

static const tn_param crop_params[] = {
    TN_INTEGER(struct augment, padding, "4", 0, 1 << 12, "pixels",
               "added on all sides; a piece of the image's own size is cut out at random"),
    TN_CHOICE(struct augment, border, "zero", "zero|reflect", "what is added"),
};
static void draw_crop(const struct augment *transform, tn_rng *rng, struct draw *draw) {
  const uint64_t places = 2 * (uint64_t)transform->padding + 1;
  draw->dy = (int64_t)tn_random_below(rng, places) - transform->padding;
  draw->dx = (int64_t)tn_random_below(rng, places) - transform->padding;
}
static tn_status crop_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  return augment_each(self, fields, call, draw_crop);
}

/* ---- covering ---- */

static const tn_param cutout_params[] = {
    TN_INTEGER(struct augment, size, "16", 1, 1 << 12, "pixels",
               "side of the square; its middle lies anywhere, so that a part may lie outside"),
    TN_REAL(struct augment, value, "0", -1e9, 1e9, "what covers"),
    TN_REAL(struct augment, probability, "1", 0, 1, "of an image's being covered"),
};
static void draw_cutout(const struct augment *transform, tn_rng *rng, struct draw *draw) {
  const bool covers = tn_random_uniform(rng) < transform->probability;
  draw->top = (int64_t)tn_random_below(rng, (uint64_t)draw->height) - transform->size / 2;
  draw->left = (int64_t)tn_random_below(rng, (uint64_t)draw->width) - transform->size / 2;
  draw->side = covers ? transform->size : 0;
}
static tn_status cutout_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  return augment_each(self, fields, call, draw_cutout);
}

#define AUGMENT_CLASS(id, text, source)        \
  static const tn_class id##_class = {         \
      .size = sizeof(tn_class),                \
      .kind = TN_TRANSFORM,                    \
      .name = #id,                             \
      .summary = text,                         \
      .reference = source,                     \
      TN_CLASS_PARAMS(id##_params),            \
      .instance_size = sizeof(struct augment), \
      .vtable = &(const tn_transform){sizeof(tn_transform), augment_declare, id##_apply, NULL}}
AUGMENT_CLASS(flip, "Images mirrored at random", NULL);
AUGMENT_CLASS(crop, "Images shifted at random: a crop of the padded image",
              "He et al. 2016, Deep residual learning for image recognition");
AUGMENT_CLASS(
    cutout, "Images with a square covered at random",
    "DeVries and Taylor 2017, Improved regularization of convolutional neural networks with cutout");
TN_PLUGIN("transform_augment", "1.0.0", "MIT", &flip_class, &crop_class, &cutout_class)
