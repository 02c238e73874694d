// SPDX-License-Identifier: MIT
/* IDX files, plain or gzip: MNIST (LeCun et al. 1998) and its descendants.
 *
 * Images (n, height, width) become field `image` (n, 1, height, width), (n, channels, height, width) stay as
 * they are, and (n, d) become field `input`; values are divided by `scale`, so that bytes lie in [0, 1].
 * Labels become field `label`. Parts: `train`, `validation`, `test` (the rows of test_images, if given) and
 * `all`, dealt in the order of the files unless `order` says otherwise. */
#include "core/format/idx.h"
#include "split.h"

/* One file of images with its labels. Bytes stay bytes until they are read; others are float32. */
struct images {
  int64_t rows;    /* in use */
  uint8_t *bytes;  /* (rows, features), or NULL */
  float *values;   /* (rows, features), or NULL */
  uint8_t *labels; /* (rows), or NULL */
};

struct idx {
  const char *images, *labels, *test_images, *test_labels;
  int64_t limit, test_limit, average, subsample;
  struct split_keys keys;
  double scale;
  tn_strings class_names;

  struct images train, test;
  int64_t features, classes;
  struct split split; /* rows of train, then those of test */
  tn_shape shape;     /* of one image */
  double divisor;     /* in force */
};
static const tn_param idx_params[] = {
    TN_PATH(struct idx, images, TN_PARAM_REQUIRED, NULL, "training images"),
    TN_PATH(struct idx, labels, 0, "", "their labels"),
    TN_PATH(struct idx, test_images, 0, "", "test images: part `test`"),
    TN_PATH(struct idx, test_labels, 0, "", "their labels"),
    TN_INTEGER(struct idx, limit, "0", 0, INFINITY, "rows",
               "only the first rows of the training file; 0: all"),
    TN_INTEGER(struct idx, test_limit, "0", 0, INFINITY, "rows",
               "only the first rows of the test file; 0: all"),
    SPLIT_PARAMS(struct idx, keys, "0", "file"),
    TN_INTEGER(struct idx, average, "1", 1, 1 << 12, "pixels",
               "side of the squares of pixels that are averaged to one"),
    TN_INTEGER(struct idx, subsample, "1", 1, 1 << 12, "pixels",
               "only every such row and column of pixels, from the first; instead of averaging"),
    TN_REAL(struct idx, scale, "0", 0, INFINITY, "values are divided by it; 0: 255 for bytes, else 1"),
    TN_STRINGS(struct idx, class_names, "", "names of classes 0, 1, ..."),
};

static void images_free(struct images *images) {
  tn_free(images->bytes);
  tn_free(images->values);
  tn_free(images->labels);
}

static double value_at(const tn_idx *idx, size_t i) {
  switch (idx->type) {
  case TN_IDX_U8: return ((const uint8_t *)idx->data)[i];
  case TN_IDX_I8: return ((const int8_t *)idx->data)[i];
  case TN_IDX_I16: return ((const int16_t *)idx->data)[i];
  case TN_IDX_I32: return ((const int32_t *)idx->data)[i];
  case TN_IDX_F32: return (double)((const float *)idx->data)[i];
  default: return ((const double *)idx->data)[i];
  }
}

/* Means over squares of `side` x `side` pixels of the last two axes (a box filter), `step` apart; what is
 * left over at the right and at the bottom is cut off. */
static void average_pixels(const tn_idx *idx, int64_t planes, int64_t side, int64_t step, float *values) {
  const int64_t height = (int64_t)idx->shape[idx->dims - 2], width = (int64_t)idx->shape[idx->dims - 1];
  const int64_t rows = (height - side) / step + 1, columns = (width - side) / step + 1;
  for (int64_t p = 0; p < planes; p++)
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int64_t y = r * step; y < r * step + side; y++)
          for (int64_t x = c * step; x < c * step + side; x++)
            sum += value_at(idx, (size_t)((p * height + y) * width + x));
        values[(p * rows + r) * columns + c] = (float)(sum / (double)(side * side));
      }
}

/* Pixels of the file from one to the next. */
static int64_t pixel_step(const struct idx *data) {
  return data->average > 1 ? data->average : data->subsample;
}

/* The shape of one image of a file, after averaging. */
static tn_status image_shape(const struct idx *data, const char *file, const tn_idx *idx, tn_shape *shape) {
  if (idx->dims < 2) return tn_fail(TN_ERROR_SHAPE, "%s: one dimension: labels, not images", file);
  *shape = (tn_shape){0, {0}};
  if (idx->dims == 3) shape->dim[shape->ndim++] = 1;
  for (size_t i = 1; i < idx->dims; i++) shape->dim[shape->ndim++] = (int64_t)idx->shape[i];
  const int64_t side = data->average, step = pixel_step(data);
  if (step == 1) return TN_OK;
  if (shape->ndim != 3 || shape->dim[1] < side || shape->dim[2] < side)
    return tn_fail(TN_ERROR_SHAPE, "%s: no squares of %lld pixels to average", file, (long long)side);
  for (int axis = 1; axis < 3; axis++) shape->dim[axis] = (shape->dim[axis] - side) / step + 1;
  return TN_OK;
}

/* Takes the first `rows` images of `idx`. */
static tn_status take_images(struct idx *data, const tn_idx *idx, int64_t rows, struct images *images) {
  const int64_t count = rows * data->features;
  if (idx->type == TN_IDX_U8 && pixel_step(data) == 1) {
    images->bytes = tn_alloc((size_t)count);
    if (!images->bytes) return TN_ERROR_MEMORY;
    memcpy(images->bytes, idx->data, (size_t)count);
    return TN_OK;
  }
  images->values = tn_alloc((size_t)count * sizeof(float));
  if (!images->values) return TN_ERROR_MEMORY;
  if (pixel_step(data) > 1)
    average_pixels(idx, rows * data->shape.dim[0], data->average, pixel_step(data), images->values);
  else
    for (int64_t i = 0; i < count; i++) images->values[i] = (float)value_at(idx, (size_t)i);
  return TN_OK;
}

static tn_status take_labels(struct idx *data, const char *file, const tn_idx *idx, size_t count,
                             struct images *images) {
  if (idx->dims != 1 || idx->type != TN_IDX_U8)
    return tn_fail(TN_ERROR_SHAPE, "%s: not labels: expected one dimension of uint8", file);
  if (idx->count != count)
    return tn_fail(TN_ERROR_SHAPE, "%s: %zu labels for %zu images", file, idx->count, count);
  images->labels = tn_alloc((size_t)images->rows + 1);
  if (!images->labels) return TN_ERROR_MEMORY;
  memcpy(images->labels, idx->data, (size_t)images->rows);
  for (size_t i = 0; i < idx->count; i++) {
    const int64_t label = ((const uint8_t *)idx->data)[i];
    if (label >= data->classes) data->classes = label + 1;
  }
  return TN_OK;
}

static tn_status images_read(struct idx *data, const char *file, const char *labels, int64_t limit,
                             struct images *images) {
  tn_idx idx;
  tn_format_error error;
  tn_shape shape;
  if (!tn_idx_read(file, 0, &idx, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const size_t count = idx.shape[0];
  tn_status status = image_shape(data, file, &idx, &shape);
  if (status == TN_OK && data->features == 0) {
    data->shape = shape;
    data->features = 1;
    for (uint32_t i = 0; i < shape.ndim; i++) data->features *= shape.dim[i];
    data->divisor = data->scale > 0 ? data->scale : idx.type == TN_IDX_U8 ? 255 : 1;
  }
  if (status == TN_OK && (shape.ndim != data->shape.ndim || memcmp(&shape, &data->shape, sizeof shape) != 0))
    status = tn_fail(TN_ERROR_SHAPE, "%s: images of another shape than the training images", file);
  images->rows = limit > 0 && (size_t)limit < count ? limit : (int64_t)count;
  if (status == TN_OK) status = take_images(data, &idx, images->rows, images);
  tn_idx_free(&idx);
  if (status < 0 || !*labels) return status;
  if (!tn_idx_read(labels, 0, &idx, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  status = take_labels(data, labels, &idx, count, images);
  tn_idx_free(&idx);
  return status;
}

/* Deals the rows of both files. */
static tn_status deal(struct idx *data) {
  const int64_t trains = data->train.rows, tests = data->test.rows;
  int64_t *labels = data->train.labels ? tn_alloc((size_t)(trains + tests) * sizeof *labels) : NULL;
  if (data->train.labels && !labels) return TN_ERROR_MEMORY;
  for (int64_t i = 0; labels && i < trains; i++) labels[i] = data->train.labels[i];
  for (int64_t i = 0; labels && i < tests; i++) labels[trains + i] = data->test.labels[i];
  const tn_status status =
      split_make(&data->split, &data->keys, trains + tests, tests, labels, data->classes);
  tn_free(labels);
  return status;
}

static tn_status idx_create(void *self) {
  struct idx *data = self;
  if (*data->test_images && !*data->labels != !*data->test_labels)
    return tn_fail(TN_ERROR_INVALID, "give labels and test_labels both, or neither");
  if (data->average > 1 && data->subsample > 1)
    return tn_fail(TN_ERROR_INVALID, "give average or subsample, not both");
  tn_status status = images_read(data, data->images, data->labels, data->limit, &data->train);
  if (status == TN_OK && *data->test_images)
    status = images_read(data, data->test_images, data->test_labels, data->test_limit, &data->test);
  if (status < 0) return status;
  if (data->class_names.count > data->classes && data->train.labels) data->classes = data->class_names.count;
  return deal(data);
}

static void idx_destroy(void *self) {
  struct idx *data = self;
  images_free(&data->train);
  images_free(&data->test);
  split_free(&data->split);
}

static int64_t idx_rows(void *self, const char *part) {
  const struct idx *data = self;
  const int p = split_part(&data->split, part);
  return p < 0 ? TN_ERROR_MISSING : data->split.count[p];
}

static tn_status idx_describe(void *self, const char *part, tn_spec *spec) {
  const struct idx *data = self;
  if (split_part(&data->split, part) < 0) return TN_ERROR_MISSING;
  tn_spec_set(spec, data->shape.ndim == 3 ? "image" : "input", TN_FLOAT, data->shape, 0);
  if (data->train.labels) tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, data->classes);
  return TN_OK;
}

/* One image divided by the divisor, in single or double precision. */
static void copy_image(const struct idx *data, const struct images *images, int64_t row, tn_tensor *x,
                       int64_t at) {
  const int64_t n = data->features;
  const uint8_t *restrict bytes = images->bytes ? images->bytes + row * n : NULL;
  const float *restrict values = images->values ? images->values + row * n : NULL;
  if (x->dtype == TN_F64) {
    double *restrict to = tn_f64(x) + at * n;
    const double divisor = data->divisor;
    for (int64_t i = 0; i < n; i++) to[i] = (bytes ? (double)bytes[i] : (double)values[i]) / divisor;
    return;
  }
  float *restrict to = tn_f32(x) + at * n;
  const float divisor = (float)data->divisor;
  if (bytes)
    for (int64_t i = 0; i < n; i++) to[i] = (float)bytes[i] / divisor;
  else
    for (int64_t i = 0; i < n; i++) to[i] = values[i] / divisor;
}

/* The file in which a row is; *row becomes its number there. */
static const struct images *file_of(const struct idx *data, int64_t *row) {
  if (*row < data->train.rows) return &data->train;
  *row -= data->train.rows;
  return &data->test;
}

static tn_status idx_read(void *self, const char *part, const int64_t *index, int64_t count,
                          tn_fields *fields) {
  const struct idx *data = self;
  const int p = split_part(&data->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  tn_shape shape = {data->shape.ndim + 1, {count}};
  for (uint32_t i = 0; i < data->shape.ndim; i++) shape.dim[i + 1] = data->shape.dim[i];
  tn_tensor *x = tn_empty(tn_precision() == TN_F64 ? TN_F64 : TN_F32, shape);
  tn_tensor *label = data->train.labels ? tn_empty(TN_I64, TN_SHAPE(count)) : NULL;
  for (int64_t i = 0; !tn_failed() && i < count; i++) {
    int64_t row = data->split.rows[p][index[i]];
    const struct images *images = file_of(data, &row);
    copy_image(data, images, row, x, i);
    if (label) tn_i64(label)[i] = images->labels[row];
  }
  tn_fields_set(fields, data->shape.ndim == 3 ? "image" : "input", x);
  if (label) tn_fields_set(fields, "label", label);
  return tn_outcome();
}

static const char *idx_part(void *self, uint32_t i) { return split_name(&((struct idx *)self)->split, i); }

static const char *idx_class_name(void *self, const char *field, int64_t label) {
  const struct idx *data = self;
  const bool known = strcmp(field, "label") == 0 && label >= 0 && label < (int64_t)data->class_names.count;
  return known ? data->class_names.items[label] : NULL;
}

static const tn_dataset idx_table = {.size = sizeof(tn_dataset),
                                     .rows = idx_rows,
                                     .describe = idx_describe,
                                     .read = idx_read,
                                     .part = idx_part,
                                     .class_name = idx_class_name};
static const tn_class idx_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "idx",
    .summary = "Images and labels in IDX files: MNIST and its descendants",
    .reference = "LeCun et al. 1998, Gradient-based learning applied to document recognition",
    TN_CLASS_PARAMS(idx_params),
    .instance_size = sizeof(struct idx),
    .vtable = &idx_table,
    .create = idx_create,
    .destroy = idx_destroy};
TN_PLUGIN("dataset_idx", "1.0.0", "MIT", &idx_class)
