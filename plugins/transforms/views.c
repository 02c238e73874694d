// SPDX-License-Identifier: MIT
/* Images seen otherwise: turned, or corrupted as views.h says. By a fixed level, always; or, with `random`,
 * by a level drawn for each image, in training only. */
#include "views.h"
#include <tenon/transform.h>

struct views {
  int32_t view;
  double level;
  bool random;
};
static const tn_param rotate_params[] = {
    {"degrees", TN_PARAM_REAL, 0, offsetof(struct views, level), "0", -360, 360, NULL, NULL, "degrees",
     "counter-clockwise, bilinear, black outside"},
    TN_BOOL(struct views, random, "no",
            "in training, an angle drawn from [-degrees, degrees] for each image; else none"),
};
static const tn_param corrupt_params[] = {
    TN_CHOICE(struct views, view, "noise", VIEW_CHOICES, "what the level means"),
    TN_REAL(struct views, level, "0.1", -1e6, 1e6, "degrees, standard deviation, factor or pixels"),
    TN_BOOL(struct views, random, "no",
            "in training, a level drawn from [0, level] for each image; else none"),
};

static tn_status views_declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  (void)self;
  const tn_field_spec *field = tn_spec_get(inputs, "image");
  if (!field) return TN_ERROR_MISSING;
  if (field->shape.ndim != 3 || field->ragged)
    return tn_fail(TN_ERROR_SHAPE, "'image' must be (channels, height, width)");
  tn_declare_output(declaration, "image", TN_FLOAT, field->shape, 0);
  return TN_OK;
}

static tn_status views_apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  const struct views *transform = self;
  if (transform->random && call->progress.mode != TN_TRAIN) return TN_OK;
  tn_tensor *x = tn_field(fields, "image");
  const int64_t n = tn_poisoned(x) ? 0 : tn_dim(x, 0);
  double *level = tn_alloc((size_t)(n + 1) * sizeof *level);
  tn_rng *rng = tn_alloc((size_t)(n + 1) * sizeof *rng);
  for (int64_t i = 0; level && rng && i < n; i++) {
    rng[i] = *call->rng;
    rng[i].position += (uint64_t)i << 32; /* far apart: an image's numbers do not depend on the others */
    const double low = transform->view == VIEW_ROTATION ? -1 : 0;
    level[i] = transform->level * (transform->random ? low + (1 - low) * tn_random_uniform(&rng[i]) : 1);
  }
  const bool memory = level && rng;
  if (memory) tn_fields_set(fields, "image", view_apply(transform->view, x, level, rng));
  tn_free(level);
  tn_free(rng);
  return memory ? tn_outcome() : TN_ERROR_MEMORY;
}

static const tn_transform views_table = {sizeof(tn_transform), views_declare, views_apply, NULL};
static const tn_class rotate_class = {.size = sizeof(tn_class),
                                      .kind = TN_TRANSFORM,
                                      .name = "rotate",
                                      .summary = "Images turned by an angle",
                                      TN_CLASS_PARAMS(rotate_params),
                                      .instance_size = sizeof(struct views),
                                      .vtable = &views_table};
static const tn_class corrupt_class = {
    .size = sizeof(tn_class),
    .kind = TN_TRANSFORM,
    .name = "corrupt",
    .summary = "Images with noise, blur, less contrast, coarse pixels or a covered part",
    .reference =
        "Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions",
    TN_CLASS_PARAMS(corrupt_params),
    .instance_size = sizeof(struct views),
    .vtable = &views_table};
TN_PLUGIN("transform_views", "1.0.0", "MIT", &rotate_class, &corrupt_class)
