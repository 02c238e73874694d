// SPDX-License-Identifier: MIT
/* NumPy's .npy and .npz files. The input array (rows, ...) becomes `image` if it has four axes, else `input`;
 * integer labels (rows) become `label`, or, floating, `target`. Bytes are divided by 255. */
#include "core/format/npz.h"
#include "memory.h"

struct npy {
  struct memory memory;
  const char *file, *labels, *input, *label;
};
static const tn_param npy_params[] = {
    TN_PATH(struct npy, file, TN_PARAM_REQUIRED, NULL, "an .npz with both arrays, or an .npy with the input"),
    TN_PATH(struct npy, labels, 0, "", "an .npy with the labels"),
    TN_STRING(struct npy, input, "x", "array of the .npz with the input"),
    TN_STRING(struct npy, label, "y", "array of the .npz with the labels; empty: none"),
    SPLIT_PARAMS(struct npy, memory.keys, "20%", "shuffled"),
};

static double element(const tn_npy *array, size_t i) {
  switch (array->type) {
  case TN_NPY_F32: return ((const float *)array->data)[i];
  case TN_NPY_F64: return ((const double *)array->data)[i];
  case TN_NPY_I8: return ((const int8_t *)array->data)[i];
  case TN_NPY_I16: return ((const int16_t *)array->data)[i];
  case TN_NPY_I32: return ((const int32_t *)array->data)[i];
  case TN_NPY_I64: return (double)((const int64_t *)array->data)[i];
  case TN_NPY_U16: return ((const uint16_t *)array->data)[i];
  case TN_NPY_U32: return ((const uint32_t *)array->data)[i];
  case TN_NPY_U64: return (double)((const uint64_t *)array->data)[i];
  default: return ((const uint8_t *)array->data)[i];
  }
}

static bool is_floating(const tn_npy *array) {
  return array->type == TN_NPY_F32 || array->type == TN_NPY_F64;
}

static tn_status take_input(struct npy *data, const tn_npy *array) {
  struct memory *m = &data->memory;
  if (array->dims < 1 || array->count == 0)
    return tn_fail(TN_ERROR_SHAPE, "the input array has no rows of numbers");
  if (array->dims > TN_MAX_DIMS) return tn_fail(TN_ERROR_SHAPE, "the input array has too many axes");
  m->rows = (int64_t)array->shape[0];
  m->shape.ndim = array->dims > 1 ? (uint32_t)array->dims - 1 : 1;
  m->shape.dim[0] = 1;
  for (size_t d = 1; d < array->dims; d++) m->shape.dim[d - 1] = (int64_t)array->shape[d];
  m->field = array->dims == 4 ? "image" : "input";
  const tn_status status = memory_reserve(m, array->type == TN_NPY_U8, false);
  if (status < 0) return status;
  if (m->bytes) memcpy(m->bytes, array->data, array->count);
  for (size_t i = 0; m->values && i < array->count; i++) m->values[i] = element(array, i);
  return TN_OK;
}

static tn_status take_labels(struct npy *data, const tn_npy *array) {
  struct memory *m = &data->memory;
  if (array->dims < 1 || (int64_t)array->shape[0] != m->rows)
    return tn_fail(TN_ERROR_SHAPE, "%zu labels for %lld rows", array->dims ? array->shape[0] : 0,
                   (long long)m->rows);
  if (is_floating(array)) {
    m->target_width = (int64_t)array->count / m->rows;
    if (!(m->targets = tn_alloc(array->count * sizeof *m->targets))) return TN_ERROR_MEMORY;
    for (size_t i = 0; i < array->count; i++) m->targets[i] = element(array, i);
    return TN_OK;
  }
  if (array->dims != 1) return tn_fail(TN_ERROR_SHAPE, "the labels have %zu axes, expected 1", array->dims);
  if (!(m->labels = tn_alloc(array->count * sizeof *m->labels))) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < m->rows; i++) {
    const double label = element(array, (size_t)i);
    if (label < -1 || label > 1e6)
      return tn_fail(TN_ERROR_INVALID, "label %g of row %lld, expected -1 or a class from 0", label,
                     (long long)i);
    m->labels[i] = (int64_t)label;
    if (m->labels[i] >= m->classes) m->classes = m->labels[i] + 1;
  }
  return TN_OK;
}

static tn_status from_archive(struct npy *data) {
  tn_npz npz;
  tn_format_error error;
  if (!tn_npz_read(data->file, 0, &npz, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const tn_npy *input = tn_npz_find(&npz, data->input), *label = tn_npz_find(&npz, data->label);
  tn_status status = TN_OK;
  if (!input || (*data->label && !label))
    status = tn_fail(TN_ERROR_MISSING, "%s: no array '%s'; the first is '%s'", data->file,
                     input ? data->label : data->input, npz.count ? npz.arrays[0].name : "");
  if (status == TN_OK) status = take_input(data, input);
  if (status == TN_OK && label) status = take_labels(data, label);
  tn_npz_free(&npz);
  return status;
}

static tn_status from_arrays(struct npy *data) {
  tn_npy array;
  tn_format_error error;
  if (!tn_npy_read(data->file, 0, &array, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  tn_status status = take_input(data, &array);
  tn_npy_free(&array);
  if (status < 0 || !*data->labels) return status;
  if (!tn_npy_read(data->labels, 0, &array, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  status = take_labels(data, &array);
  tn_npy_free(&array);
  return status;
}

static tn_status npy_create(void *self) {
  struct npy *data = self;
  const char *dot = strrchr(data->file, '.');
  const tn_status status = dot && strcmp(dot, ".npz") == 0 ? from_archive(data) : from_arrays(data);
  return status < 0 ? status : memory_finish(&data->memory);
}

MEMORY_TABLE(npy)
static const tn_class npy_class = {.size = sizeof(tn_class),
                                   .kind = TN_DATASET,
                                   .name = "npy",
                                   .summary = "Arrays in NumPy's .npy and .npz files",
                                   .reference = "Harris et al. 2020, Array programming with NumPy",
                                   TN_CLASS_PARAMS(npy_params),
                                   .instance_size = sizeof(struct npy),
                                   .vtable = &npy_table,
                                   .create = npy_create,
                                   .destroy = npy_destroy};
TN_PLUGIN("dataset_npy", "1.0.0", "MIT", &npy_class)
