// SPDX-License-Identifier: MIT
/* Small labelled images for the tests of image models. */
#ifndef TENON_TESTS_MODELS_IMAGES_H
#define TENON_TESTS_MODELS_IMAGES_H

#include "support.h"

enum { CHANNELS = 2, SIDE = 8, CLASSES = 3 };

static void describe_images(tn_spec *spec) {
  tn_spec_set(spec, "image", TN_FLOAT, TN_SHAPE(CHANNELS, SIDE, SIDE), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, CLASSES);
}
static tn_fields *image_rows(int64_t first, int64_t count) {
  tn_fields *rows = tn_fields_new();
  tn_fields_set(rows, "image", waves(TN_SHAPE(count, CHANNELS, SIDE, SIDE), first));
  return rows;
}
static const data images = {describe_images, image_rows};

#endif
