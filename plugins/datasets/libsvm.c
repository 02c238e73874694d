// SPDX-License-Identifier: MIT
/* Files in LIBSVM's format, plain or gzip. Dense: field `input` (n, d). Sparse: the ragged fields `column`
 * (sum m_i) int64 and `value` (sum m_i), the m_i features of each row that are written down, ascending, with
 * column.offset and value.offset (n + 1): tn_sparse_matmul takes them as they are. Field `label`, the
 * distinct labels in ascending order as classes 0, 1, ..., or field `target` (n, 1) with regression = yes. */
#include "core/format/libsvm.h"
#include "memory.h"
#include "ragged.h"
#include <stdio.h>

struct libsvm {
  struct memory memory;
  const char *file, *test_file;
  int64_t columns;
  bool regression, sparse;

  int64_t *begin;  /* sparse: (rows + 1): where each row begins in the two below */
  int64_t *column; /* features from 0, below the width */
  double *value;
};
static const tn_param libsvm_params[] = {
    TN_PATH(struct libsvm, file, TN_PARAM_REQUIRED, NULL, "the rows"),
    TN_PATH(struct libsvm, test_file, 0, "", "rows of part `test`"),
    TN_INTEGER(struct libsvm, columns, "0", 0, 1 << 24, NULL, "features; 0: the largest index of the files"),
    TN_BOOL(struct libsvm, regression, "no", "the labels are numbers to predict"),
    TN_BOOL(struct libsvm, sparse, "no", "give `column` and `value` instead of `input`"),
    SPLIT_PARAMS(struct libsvm, memory.keys, "20%", "shuffled"),
};

/* Room for the written values of all files. */
static tn_status reserve_sparse(struct libsvm *data, const tn_libsvm *sets, size_t count) {
  size_t values = 0;
  for (size_t s = 0; s < count; s++) values += sets[s].value_count;
  data->begin = tn_alloc((size_t)(data->memory.rows + 1) * sizeof *data->begin);
  data->column = tn_alloc((values + 1) * sizeof *data->column);
  data->value = tn_alloc((values + 1) * sizeof *data->value);
  return data->begin && data->column && data->value ? TN_OK : TN_ERROR_MEMORY;
}

static void fill_sparse(struct libsvm *data, const tn_libsvm *set, int64_t first) {
  int64_t at = data->begin[first];
  for (size_t i = 0; i < set->row_count; i++) {
    for (size_t k = set->indptr[i]; k < set->indptr[i + 1]; k++, at++) {
      data->column[at] = set->indices[k];
      data->value[at] = set->values[k];
    }
    data->begin[first + (int64_t)i + 1] = at;
  }
}

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
  if (columns < 1) return tn_fail(TN_ERROR_INVALID, "%s: no row has a feature", data->file);
  if (!data->sparse && (size_t)m->rows > ((size_t)1 << 31) / columns)
    return tn_fail(TN_ERROR_MEMORY,
                   "%lld rows of %zu features are too many for a dense table; set sparse = yes",
                   (long long)m->rows, columns);
  if (count > 1) m->fixed_test = (int64_t)sets[1].row_count;
  if (!data->regression && sets[0].class_count < 1)
    return tn_fail(TN_ERROR_INVALID, "%s: the labels are no whole numbers; set regression = yes", data->file);
  m->field = data->sparse ? NULL : "input";
  m->shape = TN_SHAPE((int64_t)columns);
  m->classes = data->regression ? 0 : (int64_t)sets[0].class_count;
  tn_status status = data->sparse ? reserve_sparse(data, sets, count) : memory_reserve(m, false, false);
  if (status == TN_OK && !data->regression && !(m->labels = tn_alloc((size_t)m->rows * sizeof *m->labels)))
    status = TN_ERROR_MEMORY;
  if (status == TN_OK && data->regression) {
    m->target_width = 1;
    if (!(m->targets = tn_alloc((size_t)m->rows * sizeof *m->targets))) status = TN_ERROR_MEMORY;
  }
  int64_t first = 0;
  for (size_t s = 0; status == TN_OK && s < count; s++) {
    if (data->sparse)
      fill_sparse(data, &sets[s], first);
    else
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

static int64_t libsvm_rows(void *self, const char *part) {
  return memory_rows(&((struct libsvm *)self)->memory, part);
}

static tn_status libsvm_describe(void *self, const char *part, tn_spec *spec) {
  const struct libsvm *data = self;
  const tn_status status = memory_describe(&data->memory, part, spec);
  if (status < 0 || !data->sparse) return status;
  ragged_describe(spec, "column", TN_I64, TN_SHAPE(-1), data->memory.shape.dim[0]);
  ragged_describe(spec, "value", TN_FLOAT, TN_SHAPE(-1), 0);
  return TN_OK;
}

static tn_status libsvm_read(void *self, const char *part, const int64_t *index, int64_t count,
                             tn_fields *fields) {
  const struct libsvm *data = self;
  const tn_status status = memory_read(&data->memory, part, index, count, fields);
  if (status < 0 || !data->sparse) return status;
  const int64_t *rows = data->memory.split.rows[split_part(&data->memory.split, part)];
  tn_tensor *offset = tn_zeros(TN_I64, TN_SHAPE(count + 1));
  for (int64_t i = 0; !tn_poisoned(offset) && i < count; i++) {
    const int64_t *begin = data->begin + rows[index[i]];
    tn_i64(offset)[i + 1] = tn_i64(offset)[i] + begin[1] - begin[0];
  }
  if (tn_poisoned(offset)) return TN_ERROR_MEMORY;
  const int64_t total = tn_i64(offset)[count];
  tn_tensor *column = tn_empty(TN_I64, TN_SHAPE(total)), *value = tn_empty(TN_F64, TN_SHAPE(total));
  for (int64_t i = 0; !tn_failed() && i < count; i++) {
    const int64_t *begin = data->begin + rows[index[i]], at = tn_i64(offset)[i], own = begin[1] - begin[0];
    memcpy(tn_i64(column) + at, data->column + begin[0], (size_t)own * sizeof(int64_t));
    memcpy(tn_f64(value) + at, data->value + begin[0], (size_t)own * sizeof(double));
  }
  ragged_set(fields, "column", column, offset);
  ragged_set(fields, "value", tn_cast(value, tn_precision()), offset);
  return tn_outcome();
}

static const char *libsvm_part(void *self, uint32_t i) {
  return split_name(&((struct libsvm *)self)->memory.split, i);
}
static const char *libsvm_class_name(void *self, const char *field, int64_t label) {
  return memory_class_name(&((struct libsvm *)self)->memory, field, label);
}
static void libsvm_destroy(void *self) {
  struct libsvm *data = self;
  tn_free(data->begin);
  tn_free(data->column);
  tn_free(data->value);
  memory_free(&data->memory);
}

static const tn_dataset libsvm_table = {.size = sizeof(tn_dataset),
                                        .rows = libsvm_rows,
                                        .describe = libsvm_describe,
                                        .read = libsvm_read,
                                        .part = libsvm_part,
                                        .class_name = libsvm_class_name};
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
