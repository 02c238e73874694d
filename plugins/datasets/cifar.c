// SPDX-License-Identifier: MIT
/* CIFAR-10 and CIFAR-100 in their binary files, plain or gzip: field `image` (n, 3, 32, 32) in [0, 1], field
 * `label`. Rows of test_files are part `test`. */
#include "core/format/cifar.h"
#include "memory.h"

struct cifar {
  struct memory memory;
  tn_strings files, test_files;
  const char *names;
  int32_t kind;
};
static const tn_param cifar_params[] = {
    TN_PARAM_(struct cifar, files, TN_PARAM_STRINGS, TN_PARAM_REQUIRED, NULL, -INFINITY, INFINITY, NULL, NULL,
              NULL, "training files, data_batch_1.bin and the like"),
    TN_STRINGS(struct cifar, test_files, "", "test files"),
    TN_PATH(struct cifar, names, 0, "", "file with a class name a line, in the order of the labels"),
    TN_CHOICE(struct cifar, kind, "10", "10|100", "CIFAR-10, or CIFAR-100 with its fine labels"),
    SPLIT_PARAMS(struct cifar, memory.keys, "0", "shuffled"),
};

/* Appends the records of a file. */
static tn_status append(struct memory *m, const char *path, tn_cifar_kind kind) {
  tn_cifar set;
  tn_format_error error;
  if (!tn_cifar_read(path, kind, 0, &set, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const int64_t rows = m->rows + (int64_t)set.count;
  uint8_t *bytes = tn_resize(m->bytes, (size_t)rows * TN_CIFAR_PIXELS);
  if (bytes) m->bytes = bytes;
  int64_t *labels = tn_resize(m->labels, (size_t)rows * sizeof *labels);
  if (labels) m->labels = labels;
  if (bytes && labels) {
    memcpy(bytes + (size_t)m->rows * TN_CIFAR_PIXELS, set.images, set.count * TN_CIFAR_PIXELS);
    for (size_t i = 0; i < set.count; i++) labels[m->rows + (int64_t)i] = set.labels[i];
    m->rows = rows;
  }
  tn_cifar_free(&set);
  return bytes && labels ? TN_OK : TN_ERROR_MEMORY;
}

static tn_status read_names(struct memory *m, const char *path) {
  tn_cifar_names names;
  tn_format_error error;
  if (!tn_cifar_names_read(path, &names, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  tn_status status = TN_OK;
  if ((int64_t)names.count != m->classes)
    status =
        tn_fail(TN_ERROR_INVALID, "%s: %zu names for %lld classes", path, names.count, (long long)m->classes);
  for (int64_t c = 0; status == TN_OK && c < m->classes; c++) status = memory_name(m, c, names.names[c]);
  tn_cifar_names_free(&names);
  return status;
}

static tn_status cifar_create(void *self) {
  struct cifar *data = self;
  struct memory *m = &data->memory;
  m->field = "image";
  m->shape = TN_SHAPE(TN_CIFAR_CHANNELS, TN_CIFAR_SIDE, TN_CIFAR_SIDE);
  m->classes = data->kind == 0 ? 10 : 100;
  const tn_cifar_kind kind = data->kind == 0 ? TN_CIFAR_10 : TN_CIFAR_100;
  tn_status status = TN_OK;
  for (uint32_t i = 0; status == TN_OK && i < data->files.count; i++)
    status = append(m, data->files.items[i], kind);
  const int64_t own = m->rows;
  for (uint32_t i = 0; status == TN_OK && i < data->test_files.count; i++)
    status = append(m, data->test_files.items[i], kind);
  m->fixed_test = m->rows - own;
  if (status == TN_OK && *data->names) status = read_names(m, data->names);
  return status == TN_OK ? memory_finish(m) : status;
}

MEMORY_TABLE(cifar)
static const tn_class cifar_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "cifar",
    .summary = "CIFAR-10 and CIFAR-100 in their binary files",
    .reference = "Krizhevsky 2009, Learning multiple layers of features from tiny images",
    TN_CLASS_PARAMS(cifar_params),
    .instance_size = sizeof(struct cifar),
    .vtable = &cifar_table,
    .create = cifar_create,
    .destroy = cifar_destroy};
TN_PLUGIN("dataset_cifar", "1.0.0", "MIT", &cifar_class)
