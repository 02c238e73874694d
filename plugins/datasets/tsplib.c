// SPDX-License-Identifier: MIT
/* Routing instances in TSPLIB's format: a row an instance, fields `node` (sum n_i, 2), the coordinates,
 * ragged with node.offset; `demand` (sum n_i) likewise if all instances have demands, in shares of a
 * vehicle's capacity; `capacity` (n) then; `target` (n, 1), the optimal lengths of a table, if there is one.
 * With normalise = yes the coordinates of an instance are shifted to 0 and divided by the longer side of the
 * rectangle around them, and `scale` (n) holds what they were divided by. */
#include "core/format/csv.h"
#include "core/format/tsplib.h"
#include "ragged.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

struct tsplib {
  const char *folder, *optima;
  bool normalise;
  int64_t least, most;
  struct split_keys keys;

  int64_t rows, room;
  tn_tsplib *problems; /* (rows) */
  char **names;        /* (rows): of the files, without their ending */
  double *optimum;     /* (rows), or NULL */
  bool demands;        /* all have some */
  struct split split;
};
static const tn_param tsplib_params[] = {
    TN_PATH(struct tsplib, folder, TN_PARAM_REQUIRED, NULL,
            "folder with .tsp, .atsp or .vrp files, or one file"),
    TN_PATH(struct tsplib, optima, 0, "", "table with the columns name and optimal_length or optimal_cost"),
    TN_BOOL(struct tsplib, normalise, "yes", "coordinates between 0 and 1"),
    TN_INTEGER(struct tsplib, least, "1", 1, 1 << 24, "nodes", "instances with fewer are left out"),
    TN_INTEGER(struct tsplib, most, "0", 0, 1 << 24, "nodes", "instances with more are left out; 0: none"),
    SPLIT_PARAMS(struct tsplib, keys, "0", "file"),
};

static const char *ending(const char *name) {
  static const char *const endings[] = {".tsp", ".atsp", ".vrp"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < TN_ARRAY_LENGTH(endings); i++)
    if (strcmp(dot, endings[i]) == 0) return dot;
  return NULL;
}
static int is_instance(const struct dirent *entry) { return ending(entry->d_name) != NULL; }

/* Adds the instance of a file; one without coordinates, or of another size than is wanted, is left out. */
static tn_status take(struct tsplib *data, const char *path) {
  if (data->rows == data->room) {
    data->room = data->room ? 2 * data->room : 16;
    tn_tsplib *problems = tn_resize(data->problems, (size_t)data->room * sizeof *problems);
    if (problems) data->problems = problems;
    char **names = tn_resize(data->names, (size_t)data->room * sizeof *names);
    if (names) data->names = names;
    if (!problems || !names) return TN_ERROR_MEMORY;
  }
  tn_tsplib *problem = &data->problems[data->rows];
  tn_format_error error;
  if (!tn_tsplib_read(path, 0, problem, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const int64_t count = (int64_t)problem->count;
  if (!problem->coordinates || count < data->least || (data->most > 0 && count > data->most)) {
    tn_tsplib_free(problem);
    return TN_OK;
  }
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = ending(name);
  const size_t length = dot ? (size_t)(dot - name) : strlen(name);
  char *own = data->names[data->rows++] = tn_alloc(length + 1);
  if (!own) return TN_ERROR_MEMORY;
  memcpy(own, name, length);
  return TN_OK;
}

static tn_status take_folder(struct tsplib *data) {
  struct dirent **files = NULL;
  const int count = scandir(data->folder, &files, is_instance, alphasort);
  tn_status status = TN_OK;
  for (int i = 0; i < count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", data->folder, files[i]->d_name);
    if (status == TN_OK) status = take(data, path);
    free(files[i]);
  }
  free(files);
  return count < 0 ? take(data, data->folder) : status; /* no folder: one file, or nothing */
}

/* The optimum of each instance, by its file's name. */
static tn_status take_optima(struct tsplib *data, const tn_csv_table *table) {
  const tn_csv_column *name = tn_csv_find(table, "name"), *length = tn_csv_find(table, "optimal_length");
  if (!length) length = tn_csv_find(table, "optimal_cost");
  if (!name || name->type != TN_CSV_CATEGORY || !length || length->type != TN_CSV_NUMBER)
    return tn_fail(TN_ERROR_MISSING, "%s: no columns 'name' and 'optimal_length' or 'optimal_cost'",
                   data->optima);
  if (!(data->optimum = tn_alloc((size_t)data->rows * sizeof(double)))) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < data->rows; i++) {
    data->optimum[i] = NAN;
    for (size_t r = 0; r < table->row_count; r++)
      if (name->codes[r] >= 0 && strcmp(name->words[name->codes[r]], data->names[i]) == 0)
        data->optimum[i] = length->values[r];
    if (isnan(data->optimum[i]))
      return tn_fail(TN_ERROR_MISSING, "%s: nothing about '%s'", data->optima, data->names[i]);
  }
  return TN_OK;
}

static tn_status tsplib_create(void *self) {
  struct tsplib *data = self;
  tn_status status = take_folder(data);
  if (status == TN_OK && data->rows < 1)
    status =
        tn_fail(TN_ERROR_INVALID, "%s: no instance with coordinates and a size that is wanted", data->folder);
  data->demands = true;
  for (int64_t i = 0; i < data->rows; i++) data->demands &= data->problems[i].demands != NULL;
  if (status == TN_OK && *data->optima) {
    tn_csv_table table;
    tn_format_error error;
    if (!tn_csv_read(data->optima, NULL, &table, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
    status = take_optima(data, &table);
    tn_csv_free(&table);
  }
  return status < 0 ? status : split_make(&data->split, &data->keys, data->rows, 0, NULL, 0);
}

static void tsplib_destroy(void *self) {
  struct tsplib *data = self;
  for (int64_t i = 0; i < data->rows; i++) {
    tn_tsplib_free(&data->problems[i]);
    tn_free(data->names[i]);
  }
  tn_free(data->problems);
  tn_free(data->names);
  tn_free(data->optimum);
  split_free(&data->split);
}

static int64_t tsplib_rows(void *self, const char *part) {
  const struct tsplib *data = self;
  const int p = split_part(&data->split, part);
  return p < 0 ? TN_ERROR_MISSING : data->split.count[p];
}

static tn_status tsplib_describe(void *self, const char *part, tn_spec *spec) {
  const struct tsplib *data = self;
  if (split_part(&data->split, part) < 0) return TN_ERROR_MISSING;
  ragged_describe(spec, "node", TN_FLOAT, TN_SHAPE(-1, 2), 0);
  if (data->demands) ragged_describe(spec, "demand", TN_FLOAT, TN_SHAPE(-1), 0);
  if (data->demands) tn_spec_set(spec, "capacity", TN_FLOAT, (tn_shape){0, {0}}, 0);
  if (data->normalise) tn_spec_set(spec, "scale", TN_FLOAT, (tn_shape){0, {0}}, 0);
  if (data->optimum) tn_spec_set(spec, "target", TN_FLOAT, TN_SHAPE(1), 0);
  return TN_OK;
}

/* Writes the coordinates of one instance; what they were divided by. */
static double place(const struct tsplib *data, const tn_tsplib *problem, double *to) {
  double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  for (size_t i = 0; i < 2 * problem->count; i++) {
    low[i % 2] = fmin(low[i % 2], problem->coordinates[i]);
    high[i % 2] = fmax(high[i % 2], problem->coordinates[i]);
  }
  const double side = fmax(high[0] - low[0], high[1] - low[1]), scale = side > 0 ? side : 1;
  for (size_t i = 0; i < 2 * problem->count; i++)
    to[i] = data->normalise ? (problem->coordinates[i] - low[i % 2]) / scale : problem->coordinates[i];
  return scale;
}

static tn_status tsplib_read(void *self, const char *part, const int64_t *index, int64_t count,
                             tn_fields *fields) {
  const struct tsplib *data = self;
  const int p = split_part(&data->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  tn_tensor *offset = tn_zeros(TN_I64, TN_SHAPE(count + 1)), *target = tn_empty(TN_F64, TN_SHAPE(count, 1));
  tn_tensor *scale = tn_empty(TN_F64, TN_SHAPE(count)), *capacity = tn_empty(TN_F64, TN_SHAPE(count));
  const int64_t *rows = data->split.rows[p];
  for (int64_t i = 0; !tn_failed() && i < count; i++)
    tn_i64(offset)[i + 1] = tn_i64(offset)[i] + (int64_t)data->problems[rows[index[i]]].count;
  if (tn_failed()) return tn_outcome();
  tn_tensor *node = tn_empty(TN_F64, TN_SHAPE(tn_i64(offset)[count], 2));
  tn_tensor *demand = tn_zeros(TN_F64, TN_SHAPE(tn_i64(offset)[count]));
  for (int64_t i = 0; !tn_failed() && i < count; i++) {
    const tn_tsplib *problem = &data->problems[rows[index[i]]];
    const int64_t first = tn_i64(offset)[i];
    tn_f64(scale)[i] = place(data, problem, tn_f64(node) + 2 * first);
    tn_f64(capacity)[i] = problem->capacity;
    tn_f64(target)[i] = data->optimum ? data->optimum[rows[index[i]]] : 0;
    for (size_t v = 0; data->demands && v < problem->count; v++)
      tn_f64(demand)[first + (int64_t)v] = (double)problem->demands[v] / (double)problem->capacity;
  }
  const tn_dtype dtype = tn_precision();
  ragged_set(fields, "node", tn_cast(node, dtype), offset);
  if (data->demands) ragged_set(fields, "demand", tn_cast(demand, dtype), offset);
  if (data->demands) tn_fields_set(fields, "capacity", tn_cast(capacity, dtype));
  if (data->normalise) tn_fields_set(fields, "scale", tn_cast(scale, dtype));
  if (data->optimum) tn_fields_set(fields, "target", tn_cast(target, dtype));
  return tn_outcome();
}

static const char *tsplib_part(void *self, uint32_t i) {
  return split_name(&((struct tsplib *)self)->split, i);
}

static const tn_dataset tsplib_table = {.size = sizeof(tn_dataset),
                                        .rows = tsplib_rows,
                                        .describe = tsplib_describe,
                                        .read = tsplib_read,
                                        .part = tsplib_part};
static const tn_class tsplib_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "tsplib",
    .summary = "Cities, demands and optimal lengths of TSPLIB and CVRPLIB instances",
    .reference = "Reinelt 1991, TSPLIB: a traveling salesman problem library",
    TN_CLASS_PARAMS(tsplib_params),
    .instance_size = sizeof(struct tsplib),
    .vtable = &tsplib_table,
    .create = tsplib_create,
    .destroy = tsplib_destroy};
TN_PLUGIN("dataset_tsplib", "1.0.0", "MIT", &tsplib_class)
