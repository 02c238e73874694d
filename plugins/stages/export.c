// SPDX-License-Identifier: MIT
/* Files for other programs: fields of a data set, as they are, behind transforms, or with what a model gives,
 * as one array each of an .npz; and the parameters of models, as .npz or safetensors. All below the run's
 * artifacts. A ragged field is two arrays, NAME and NAME.offset, which counts from the first row.
 *
 * Rows are gathered in memory and written at the end; a run that goes on gathers them anew. */
#include "core/format/npz.h"
#include "pass.h"

enum { NPZ, SAFETENSORS };

/* A field's values so far, rows one after another. */
struct column {
  char *name;
  tn_npy array;
  size_t bytes, room; /* of the data */
  int64_t last;       /* of an offset: where the rows so far end */
  bool is_offset;
};

struct export {
  const tn_component *data, *model;
  tn_references transforms, parameters;
  tn_strings fields;
  tn_count batch;
  const char *file;
  int64_t most;
  int32_t format;
  bool compress;

  int64_t rows, size, next; /* of the data; rows a batch; first row of the next */
  int64_t *index;
  struct column *columns;
  uint32_t count;
};
static const tn_param export_params[] = {
    TN_REFERENCE(struct export, data, 0, TN_DATASET, NULL, "rows whose fields are written"),
    TN_REFERENCES(struct export, transforms, 0, TN_TRANSFORM, "", "in front of the model, in order"),
    TN_REFERENCE(struct export, model, 0, TN_MODEL, NULL, "adds its outputs to the fields"),
    TN_STRINGS(struct export, fields, "", "which fields: `label, features`; empty: all"),
    TN_INTEGER(struct export, most, "0", 0, 1e15, "rows", "rows at most; 0: all"),
    TN_STRING(struct export, file, "fields.npz", "name of the .npz"),
    TN_BOOL(struct export, compress, "yes", "deflate the arrays"),
    TN_REFERENCES(struct export, parameters, 0, TN_MODEL, "",
                  "models whose parameters are written, each to a file of its name"),
    TN_CHOICE(struct export, format, "npz", "npz|safetensors", "of the parameters"),
    TN_COUNT(struct export, batch, "500", "rows a batch, or their share"),
};

static tn_status fail(const tn_format_error *why) { return tn_fail(TN_ERROR_IO, "%s", why->text); }

/* ---- checking ---- */

static tn_status has_field(const tn_spec *fields, const char *name) {
  const size_t length = strlen(name);
  char owner[64];
  if (length > 7 && length < sizeof owner && strcmp(name + length - 7, ".offset") == 0) {
    snprintf(owner, sizeof owner, "%.*s", (int)(length - 7), name);
    const tn_field_spec *field = tn_spec_find(fields, owner);
    if (field && field->ragged) return TN_OK;
  }
  return tn_spec_get(fields, name) ? TN_OK : TN_ERROR_MISSING;
}

static tn_status export_check(void *self) {
  const struct export *stage = self;
  if (!stage->data && stage->parameters.count == 0)
    return tn_fail(TN_ERROR_INVALID, "give data, or models in parameters: there is nothing to write");
  if (!stage->data) return TN_OK;
  tn_spec *own;
  const tn_spec *fields;
  tn_status status = pass_declare_data(stage->data, &stage->transforms, &own, &fields);
  if (status >= 0 && stage->model) status = tn_declare_component(stage->model, fields, &fields);
  for (uint32_t i = 0; status >= 0 && i < stage->fields.count; i++)
    status = has_field(fields, stage->fields.items[i]);
  tn_spec_release(own);
  return status;
}

/* ---- gathering ---- */

static void export_release(struct export *stage) {
  for (uint32_t c = 0; c < stage->count; c++) {
    tn_free(stage->columns[c].name);
    tn_free(stage->columns[c].array.data);
  }
  tn_free(stage->columns);
  tn_free(stage->index);
  stage->columns = NULL;
  stage->index = NULL;
  stage->count = 0;
}

static tn_status export_begin(void *self) {
  struct export *stage = self;
  export_release(stage);
  stage->rows = stage->next = 0;
  if (!stage->data) return TN_OK;
  stage->rows = tn_dataset_rows(stage->data);
  if (stage->rows < 0) return TN_ERROR_MISSING;
  if (stage->most > 0 && stage->rows > stage->most) stage->rows = stage->most;
  if (tn_smoke() && stage->rows > 64) stage->rows = 64;
  stage->size = tn_count_of(stage->batch, stage->rows);
  if (stage->size < 1) stage->size = 1;
  stage->index = tn_alloc((size_t)stage->size * sizeof *stage->index);
  return stage->index ? TN_OK : TN_ERROR_MEMORY;
}

static void export_progress(void *self, tn_progress *progress) {
  const struct export *stage = self;
  *progress = (tn_progress){.size = sizeof *progress, .mode = TN_EVALUATE, .epochs = 1};
  if (stage->size < 1 || stage->rows < 1) return;
  progress->step = (stage->next + stage->size - 1) / stage->size;
  progress->steps = (stage->rows + stage->size - 1) / stage->size;
  progress->epoch = (double)stage->next / (double)stage->rows;
}

static tn_npy_type type_of(tn_dtype dtype) {
  static const tn_npy_type types[] = {
      [TN_F32] = TN_NPY_F32, [TN_F64] = TN_NPY_F64, [TN_I64] = TN_NPY_I64,
      [TN_I32] = TN_NPY_I32, [TN_U8] = TN_NPY_U8,   [TN_B8] = TN_NPY_BOOL,
  };
  return types[dtype];
}

/* Type and shape, without values. */
static tn_npy array_of(const tn_tensor *t) {
  tn_npy array = {.type = type_of(t->dtype), .dims = (size_t)tn_ndim(t), .count = (size_t)tn_numel(t)};
  for (size_t d = 0; d < TN_NPY_DIMS_MAX; d++)
    array.shape[d] = d < array.dims ? (size_t)tn_dim(t, (int32_t)d) : 1;
  return array;
}

static struct column *column_of(struct export *stage, const char *name, const tn_tensor *t) {
  for (uint32_t c = 0; c < stage->count; c++)
    if (strcmp(stage->columns[c].name, name) == 0) return &stage->columns[c];
  struct column *columns = tn_alloc((stage->count + 1) * sizeof *columns);
  const size_t length = strlen(name);
  char *copy = columns ? tn_alloc(length + 1) : NULL;
  if (!copy) return tn_free(columns), NULL;
  memcpy(copy, name, length + 1);
  if (stage->count) memcpy(columns, stage->columns, stage->count * sizeof *columns);
  tn_free(stage->columns);
  stage->columns = columns;
  struct column *column = &columns[stage->count++];
  *column = (struct column){.name = copy, .array = array_of(t)};
  column->array.shape[0] = column->array.count = 0;
  column->is_offset =
      t->dtype == TN_I64 && tn_ndim(t) == 1 && length > 7 && strcmp(name + length - 7, ".offset") == 0;
  return column;
}

static tn_status grow(struct column *column, size_t more) {
  if (column->bytes + more <= column->room) return TN_OK;
  const size_t room = 2 * column->room > column->bytes + more ? 2 * column->room : column->bytes + more;
  void *data = tn_alloc(room + 1);
  if (!data) return TN_ERROR_MEMORY;
  if (column->bytes) memcpy(data, column->array.data, column->bytes);
  tn_free(column->array.data);
  column->array.data = data;
  column->room = room;
  return TN_OK;
}

/* Offsets of the batch (n + 1) behind those of the rows so far; the first batch brings the leading 0. */
static tn_status add_offsets(struct column *column, const tn_tensor *t) {
  const int64_t count = tn_numel(t), skip = column->array.count > 0, base = column->last;
  const tn_status status = grow(column, (size_t)count * sizeof(int64_t));
  if (status < 0) return status;
  int64_t *to = (int64_t *)column->array.data + column->array.count;
  for (int64_t i = skip; i < count; i++) *to++ = base + tn_i64(t)[i];
  if (count > 0) column->last = base + tn_i64(t)[count - 1];
  column->array.count += (size_t)(count - skip);
  column->array.shape[0] = column->array.count;
  column->bytes = column->array.count * sizeof(int64_t);
  return TN_OK;
}

static tn_status add(struct export *stage, const char *name, const tn_tensor *t) {
  if (tn_poisoned(t)) return tn_outcome();
  if (tn_ndim(t) == 0) return tn_fail(TN_ERROR_SHAPE, "the field '%s' has no rows", name);
  struct column *column = column_of(stage, name, t);
  if (!column) return TN_ERROR_MEMORY;
  if (column->is_offset) return add_offsets(column, t);
  const tn_npy batch = array_of(t);
  tn_npy *all = &column->array;
  if (batch.type != all->type || batch.dims != all->dims ||
      memcmp(batch.shape + 1, all->shape + 1, (TN_NPY_DIMS_MAX - 1) * sizeof *batch.shape) != 0)
    return tn_fail(TN_ERROR_SHAPE, "the field '%s' has rows of different types or shapes", name);
  const size_t bytes = batch.count * tn_npy_type_size(batch.type);
  const tn_status status = grow(column, bytes);
  if (status < 0) return status;
  if (bytes) memcpy((char *)all->data + column->bytes, tn_data((tn_tensor *)(uintptr_t)t), bytes);
  column->bytes += bytes;
  all->count += batch.count;
  all->shape[0] += batch.shape[0];
  return TN_OK;
}

static bool wanted(const struct export *stage, const char *name) {
  for (uint32_t i = 0; i < stage->fields.count; i++)
    if (strcmp(stage->fields.items[i], name) == 0) return true;
  return stage->fields.count == 0;
}

static tn_status export_batch(struct export *stage) {
  const int64_t left = stage->rows - stage->next, count = left < stage->size ? left : stage->size;
  tn_progress progress;
  export_progress(stage, &progress);
  tn_fields *inputs = tn_fields_new(), *outputs = tn_fields_new();
  for (int64_t i = 0; i < count; i++) stage->index[i] = stage->next + i;
  tn_status status = tn_dataset_read(stage->data, stage->index, count, inputs);
  if (status >= 0) status = pass_transform(&stage->transforms, NULL, inputs, stage->index, &progress);
  if (status >= 0 && stage->model)
    status = pass_model(stage->model, tn_parameters(stage->model), inputs, outputs, &progress, NULL, NULL);
  if (status < 0) return status;
  const tn_fields *all = pass_merge(inputs, outputs);
  for (uint32_t i = 0; status >= 0 && i < tn_fields_count(all); i++) {
    const char *name;
    const tn_tensor *value = tn_fields_at(all, i, &name);
    if (wanted(stage, name)) status = add(stage, name, value);
  }
  stage->next += count;
  return status;
}

/* Every rank would write the same: the first does. */
static tn_status export_step(void *self) {
  struct export *stage = self;
  if (stage->next >= stage->rows || tn_rank() > 0) return TN_DONE;
  const bool recording = tn_record(false);
  const tn_status status = export_batch(stage);
  tn_record(recording);
  return status < 0 ? status : stage->next < stage->rows ? TN_OK : TN_DONE;
}

/* ---- writing ---- */

static const char *path_of(const char *name, const char *ending) {
  char file[256];
  const size_t length = strlen(name), end = strlen(ending);
  const bool ends = length > end && strcmp(name + length - end, ending) == 0;
  snprintf(file, sizeof file, "%s%s", name, ends ? "" : ending);
  return tn_artifact(file);
}

static tn_status write_fields(const struct export *stage) {
  const char *path = path_of(stage->file, ".npz");
  tn_npz npz = {.count = stage->count, .arrays = tn_alloc((stage->count + 1) * sizeof *npz.arrays)};
  tn_format_error why;
  if (!path) return TN_ERROR_IO;
  if (!npz.arrays) return TN_ERROR_MEMORY;
  for (uint32_t c = 0; c < stage->count; c++)
    npz.arrays[c] = (tn_npz_array){stage->columns[c].name, stage->columns[c].array};
  const tn_status status = tn_npz_write(path, &npz, stage->compress, &why) ? TN_OK : fail(&why);
  tn_free(npz.arrays);
  return status;
}

static tn_status write_npz(const struct export *stage, const tn_params *params, const char *name) {
  const char *path = path_of(name, ".npz");
  tn_npz npz = {.arrays = tn_alloc((tn_params_count(params) + 1) * sizeof *npz.arrays)};
  tn_format_error why;
  if (!path) return TN_ERROR_IO;
  if (!npz.arrays) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; i < tn_params_count(params); i++) {
    tn_param_entry entry;
    if (tn_params_entry(params, i, &entry) < 0 || !entry.tensor) continue;
    tn_npz_array *array = &npz.arrays[npz.count++];
    *array = (tn_npz_array){(char *)(uintptr_t)entry.name, array_of(entry.tensor)};
    array->array.data = tn_data(entry.tensor);
  }
  const tn_status status = tn_npz_write(path, &npz, stage->compress, &why) ? TN_OK : fail(&why);
  tn_free(npz.arrays);
  return status;
}

static tn_status write_parameters(const struct export *stage, const tn_component *model) {
  const tn_params *params = tn_parameters(model);
  if (!params) return TN_ERROR_MISSING;
  if (stage->format == NPZ) return write_npz(stage, params, model->name);
  const char *path = path_of(model->name, ".safetensors");
  return path ? tn_params_save(params, path) : TN_ERROR_IO;
}

static tn_status export_end(void *self) {
  struct export *stage = self;
  tn_status status = TN_OK;
  if (tn_run_directory() && tn_rank() == 0) {
    if (stage->data) status = write_fields(stage);
    for (uint32_t i = 0; status >= 0 && i < stage->parameters.count; i++)
      status = write_parameters(stage, stage->parameters.items[i]);
  }
  if (status >= 0 && stage->data) tn_emit_result("rows", (double)stage->rows);
  export_release(stage);
  return status;
}

static void export_destroy(void *self) { export_release(self); }

static const tn_stage export_table = {sizeof export_table, export_check, export_begin,
                                      export_step,         export_end,   export_progress};
static const tn_class export_class = {.size = sizeof(tn_class),
                                      .kind = TN_STAGE,
                                      .name = "export",
                                      .summary =
                                          "Writes fields and parameters to files of NumPy or safetensors",
                                      TN_CLASS_PARAMS(export_params),
                                      .instance_size = sizeof(struct export),
                                      .vtable = &export_table,
                                      .destroy = export_destroy};
TN_PLUGIN("stage_export", "1.0.0", "MIT", &export_class)
