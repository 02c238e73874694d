// SPDX-License-Identifier: MIT
/* Files in LIBSVM's format, plain or gzip, as dense rows: field `input` (n, d); field `label`, the distinct
 * labels in ascending order as classes 0, 1, ..., or field `target` (n, 1) with regression = yes. */
#include "core/format/libsvm.h"
#include "memory.h"
#include <stdio.h>

struct libsvm {
  struct memory memory;
  const char *file, *test_file;
  int64_t columns;
  bool regression;
};
static const tn_param libsvm_params[] = {
    TN_PATH(struct libsvm, file, TN_PARAM_REQUIRED, NULL, "the rows"),
    TN_PATH(struct libsvm, test_file, 0, "", "rows of part `test`"),
    TN_INTEGER(struct libsvm, columns, "0", 0, 1 << 24, NULL, "features; 0: the largest index of the files"),
    TN_BOOL(struct libsvm, regression, "no", "the labels are numbers to predict"),
    SPLIT_PARAMS(struct libsvm, memory.keys, "20%", "shuffled"),
};

static void fill(struct memory *m, const tn_libsvm *set, int64_t first) {
  for (size_t i = 0; i < set->row_count; i++)
    for (size_t k = set->indptr[i]; k < set->indptr[i + 1]; k++)
      m->values[(first + (int64_t)i) * m->features + set->indices[k]] = set->values[k];
}

/* Classes of both files: those of the first; a label that only the test file has is refused. */
static tn_status label(struct memory *m, const tn_libsvm *train, const tn_libsvm *set, int64_t first,
                       const char *file) {
  for (size_t i = 0; i < set->row_count; i++) {
    int64_t code = -1;
    for (size_t c = 0; c < train->class_count; c++)
      if (train->classes[c] == set->labels[i]) code = (int64_t)c;
    if (code < 0)
      return tn_fail(TN_ERROR_INVALID, "%s: label %g is not in the first file", file, set->labels[i]);
    m->labels[first + (int64_t)i] = code;
  }
  return TN_OK;
}

static tn_status build(struct libsvm *data, const tn_libsvm *sets, size_t count) {
  struct memory *m = &data->memory;
  const char *files[] = {data->file, data->test_file};
  size_t columns = (size_t)data->columns;
  for (size_t s = 0; s < count; s++) {
    if (sets[s].column_count > columns) columns = sets[s].column_count;
    m->rows += (int64_t)sets[s].row_count;
  }
  if (columns < 1 || (size_t)m->rows > SIZE_MAX / 16 / columns || (size_t)m->rows * columns > (size_t)1 << 31)
    return tn_fail(TN_ERROR_MEMORY, "%lld rows of %zu features are too many for a dense table",
                   (long long)m->rows, columns);
  if (count > 1) m->fixed_test = (int64_t)sets[1].row_count;
  if (!data->regression && sets[0].class_count < 1)
    return tn_fail(TN_ERROR_INVALID, "%s: the labels are no whole numbers; set regression = yes", data->file);
  m->field = "input";
  m->shape = TN_SHAPE((int64_t)columns);
  m->classes = data->regression ? 0 : (int64_t)sets[0].class_count;
  tn_status status = memory_reserve(m, false, !data->regression);
  if (status == TN_OK && data->regression) {
    m->target_width = 1;
    if (!(m->targets = tn_alloc((size_t)m->rows * sizeof *m->targets))) status = TN_ERROR_MEMORY;
  }
  int64_t first = 0;
  for (size_t s = 0; status == TN_OK && s < count; s++) {
    fill(m, &sets[s], first);
    for (size_t i = 0; m->targets && i < sets[s].row_count; i++)
      m->targets[first + (int64_t)i] = sets[s].labels[i];
    if (m->labels) status = label(m, &sets[0], &sets[s], first, files[s]);
    first += (int64_t)sets[s].row_count;
  }
  for (int64_t c = 0; status == TN_OK && c < m->classes; c++) {
    char name[32];
    snprintf(name, sizeof name, "%g", sets[0].classes[c]);
    status = memory_name(m, c, name);
  }
  return status == TN_OK ? memory_finish(m) : status;
}

static tn_status libsvm_create(void *self) {
  struct libsvm *data = self;
  const tn_libsvm_options options = {.columns = (size_t)data->columns};
  tn_libsvm sets[2];
  tn_format_error error;
  if (!tn_libsvm_read(data->file, &options, &sets[0], &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const bool two = *data->test_file;
  tn_status status = TN_OK;
  if (two && !tn_libsvm_read(data->test_file, &options, &sets[1], &error))
    status = tn_fail(TN_ERROR_IO, "%s", error.text);
  else
    status = build(data, sets, two ? 2 : 1);
  tn_libsvm_free(&sets[0]);
  if (two) tn_libsvm_free(&sets[1]);
  return status;
}

MEMORY_TABLE(libsvm)
static const tn_class libsvm_class = {.size = sizeof(tn_class),
                                      .kind = TN_DATASET,
                                      .name = "libsvm",
                                      .summary = "Rows in LIBSVM's sparse text format",
                                      .reference = "Chang and Lin 2011, LIBSVM: a library for support vector "
                                                   "machines",
                                      TN_CLASS_PARAMS(libsvm_params),
                                      .instance_size = sizeof(struct libsvm),
                                      .vtable = &libsvm_table,
                                      .create = libsvm_create,
                                      .destroy = libsvm_destroy};
TN_PLUGIN("dataset_libsvm", "1.0.0", "MIT", &libsvm_class)
