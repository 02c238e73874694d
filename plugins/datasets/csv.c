// SPDX-License-Identifier: MIT
/* Comma-separated files, plain or gzip: one row a sample.
 *
 * Columns. `label` becomes field `label`: its distinct values in order (numbers ascending, texts by bytes)
 * are classes 0, 1, ...; with `positive` the values listed there, or for which a condition listed there holds
 * (`>= 15`), are class 1 and all others class 0; an empty cell is -1, unlabelled. Columns named in `target`
 * become field `target` (n, k). All others become field `input` (n, d), or `image` (n, channels, height,
 * width), in the order of the file: a column of numbers is one feature, divided by `scale`, its empty cells
 * the mean over the training rows; a column of texts (or one named in `categorical`) is one feature a
 * distinct value, 1 where the row has it and else 0, with a further feature at the end for empty cells if
 * there are any. Empty means nothing or a text of `missing`.
 *
 * Parts. `train`, `validation`, `test` (the rows of test_file, if given) and `all`. Rows keep the file's
 * order within a part. */
#include "split.h"
#include "table.h"

enum { INPUT, LABEL, TARGET, CATEGORY, DROPPED }; /* what a column is for */

struct csv {
  const char *file, *test_file, *label, *delimiter;
  int32_t header;
  tn_strings target, positive, categorical, drop, missing;
  tn_integers image;
  struct split_keys keys;
  double scale;

  int64_t rows, inputs, targets; /* inputs, targets: numbers a row; targets 0: none */
  tn_dtype dtype;                /* of the tables: the run's precision */
  void *input, *output;          /* (rows, inputs), (rows, targets) */
  bool labelled;
  struct categories classes; /* of the label */
  struct split split;
};
static const tn_param csv_params[] = {
    TN_PATH(struct csv, file, TN_PARAM_REQUIRED, NULL, "the table; gzip is recognised"),
    TN_PATH(struct csv, test_file, 0, "", "a table with the same columns: part `test`"),
    TN_CHOICE(struct csv, header, "auto", "auto|yes|no", "whether the first row names the columns"),
    TN_STRING(struct csv, delimiter, ",", "what separates cells: one character, or `tab`"),
    TN_STRING(struct csv, label, "",
              "column with the class: name, number from 1, `last` or `none`; empty: `last` unless `target`"),
    TN_STRINGS(struct csv, target, "", "columns to predict as numbers (regression)"),
    TN_STRINGS(struct csv, positive, "",
               "label values, or conditions like `>= 15`, that become class 1; all others become class 0"),
    TN_STRINGS(struct csv, categorical, "", "columns of numbers that are categories all the same"),
    TN_STRINGS(struct csv, drop, "", "columns to leave out"),
    TN_STRINGS(struct csv, missing, "?", "texts of cells that hold no value, besides nothing"),
    TN_INTEGERS(struct csv, image, "", 1, 1 << 20,
                "channels, height, width: gives `image` instead of `input`"),
    TN_REAL(struct csv, scale, "1", 1e-300, INFINITY, "numbers of the input are divided by it"),
    SPLIT_PARAMS(struct csv, keys, "20%", "shuffled"),
};

/* Says for each column what it is for. */
static tn_status assign_columns(const struct csv *data, const struct table *table, int8_t *use,
                                int64_t *label) {
  const struct {
    tn_strings names;
    int8_t use;
    const char *key;
  } lists[] = {{data->categorical, CATEGORY, "categorical"},
               {data->drop, DROPPED, "drop"},
               {data->target, TARGET, "target"}};
  for (size_t c = 0; c < table_columns(table); c++) use[c] = table_is_number(table, c) ? INPUT : CATEGORY;
  for (size_t l = 0; l < TN_ARRAY_LENGTH(lists); l++)
    for (uint32_t i = 0; i < lists[l].names.count; i++) {
      const int64_t c = table_find(table, lists[l].names.items[i], lists[l].key);
      if (c < 0) return TN_ERROR_MISSING;
      if (lists[l].use == TARGET && !table_is_number(table, (size_t)c))
        return tn_fail(TN_ERROR_INVALID, "target '%s' does not hold numbers", lists[l].names.items[i]);
      use[c] = lists[l].use;
    }
  const char *name = *data->label ? data->label : data->target.count > 0 ? "none" : "last";
  if (strcmp(name, "none") == 0) return TN_OK;
  *label = table_find(table, name, "label");
  if (*label < 0) return TN_ERROR_MISSING;
  use[*label] = LABEL;
  return TN_OK;
}

static void put(const struct csv *data, void *table, int64_t at, double value) {
  if (data->dtype == TN_F64)
    ((double *)table)[at] = value;
  else
    ((float *)table)[at] = (float)value;
}

/* Numbers of column `c` to feature `feature`; what is missing becomes the training rows' mean. */
static void fill_numbers(const struct csv *data, const struct table *table, size_t c, void *into,
                         int64_t width, int64_t feature, double scale) {
  double sum = 0, count = 0;
  for (int64_t i = 0; i < data->split.count[PART_TRAIN]; i++) {
    const double x = table_number(table, c, data->split.rows[PART_TRAIN][i]);
    if (!isnan(x)) sum += x, count++;
  }
  const double mean = count > 0 ? sum / count : 0;
  for (int64_t i = 0; i < data->rows; i++) {
    const double x = table_number(table, c, i);
    put(data, into, i * width + feature, (isnan(x) ? mean : x) / scale);
  }
}

static tn_status fill_tables(struct csv *data, const struct table *table, const int8_t *use) {
  const size_t columns = table_columns(table);
  struct categories *codes = tn_alloc(columns * sizeof *codes);
  tn_status status = codes ? TN_OK : TN_ERROR_MEMORY;
  for (size_t c = 0; status == TN_OK && c < columns; c++) {
    if (use[c] == INPUT) data->inputs++;
    if (use[c] == TARGET) data->targets++;
    if (use[c] != CATEGORY) continue;
    status = categories_of(table, c, &codes[c]);
    data->inputs += codes[c].count + (table_has_missing(table, c) ? 1 : 0);
  }
  if (status == TN_OK && data->inputs < 1)
    status = tn_fail(TN_ERROR_INVALID, "no column is left for the input");
  const size_t bytes = data->dtype == TN_F64 ? sizeof(double) : sizeof(float);
  if (status == TN_OK && (size_t)data->rows > SIZE_MAX / bytes / (size_t)(data->inputs + data->targets))
    status = tn_fail(TN_ERROR_MEMORY, "%lld features for each of %lld rows", (long long)data->inputs,
                     (long long)data->rows);
  if (status == TN_OK) {
    data->input = tn_alloc((size_t)(data->rows * data->inputs) * bytes);
    data->output = tn_alloc((size_t)(data->rows * data->targets + 1) * bytes);
    if (!data->input || !data->output) status = TN_ERROR_MEMORY;
  }
  int64_t feature = 0, target = 0;
  for (size_t c = 0; status == TN_OK && c < columns; c++) {
    if (use[c] == TARGET) {
      if (table_has_missing(table, c))
        status = tn_fail(TN_ERROR_INVALID, "target '%s' has empty cells", table_name(table, c));
      fill_numbers(data, table, c, data->output, data->targets, target++, 1);
    } else if (use[c] == INPUT) {
      fill_numbers(data, table, c, data->input, data->inputs, feature++, data->scale);
    } else if (use[c] == CATEGORY) {
      for (int64_t i = 0; i < data->rows; i++) {
        const int64_t code = codes[c].codes[i] < 0 ? codes[c].count : codes[c].codes[i];
        put(data, data->input, i * data->inputs + feature + code, 1);
      }
      feature += codes[c].count + (table_has_missing(table, c) ? 1 : 0);
    }
  }
  for (size_t c = 0; codes && c < columns; c++) categories_free(&codes[c]);
  tn_free(codes);
  return status;
}

static tn_status build(struct csv *data, const struct table *table) {
  int64_t label = -1;
  int8_t *use = tn_alloc(table_columns(table));
  if (!use) return TN_ERROR_MEMORY;
  data->rows = table->rows;
  tn_status status = assign_columns(data, table, use, &label);
  if (status == TN_OK && label >= 0) {
    data->labelled = true;
    status = categories_of(table, (size_t)label, &data->classes);
    if (status == TN_OK && data->positive.count > 0)
      status = categories_merge(&data->classes, data->rows, &data->positive);
    if (status == TN_OK && data->classes.count < 1)
      status = tn_fail(TN_ERROR_INVALID, "the label column '%s' is empty", table_name(table, (size_t)label));
  }
  const int64_t fixed = table->file_count > 1 ? (int64_t)table->files[1].row_count : 0;
  if (status == TN_OK)
    status =
        split_make(&data->split, &data->keys, data->rows, fixed, data->classes.codes, data->classes.count);
  if (status == TN_OK) status = fill_tables(data, table, use);
  tn_free(use);
  if (status < 0 || data->image.count == 0) return status;
  const int64_t *shape = data->image.items;
  if (data->image.count != 3 || shape[0] * shape[1] * shape[2] != data->inputs)
    return tn_fail(TN_ERROR_SHAPE, "image must be channels, height, width of %lld features",
                   (long long)data->inputs);
  return TN_OK;
}

static tn_status csv_create(void *self) {
  struct csv *data = self;
  const bool tab = strcmp(data->delimiter, "tab") == 0;
  if (!tab && strlen(data->delimiter) != 1)
    return tn_fail(TN_ERROR_INVALID, "delimiter must be one character or `tab`, got '%s'", data->delimiter);
  const char **missing = tn_alloc((data->missing.count + 1) * sizeof *missing);
  if (!missing) return TN_ERROR_MEMORY;
  missing[0] = "";
  for (uint32_t i = 0; i < data->missing.count; i++) missing[i + 1] = data->missing.items[i];
  const tn_csv_options options = {.header = (tn_csv_header)data->header,
                                  .delimiter = tab ? '\t' : data->delimiter[0],
                                  .missing = missing,
                                  .missing_count = data->missing.count + 1};
  data->dtype = tn_precision() == TN_F64 ? TN_F64 : TN_F32;
  struct table table = {.rows = 0};
  tn_status status = table_read(&table, data->file, data->test_file, &options);
  if (status == TN_OK) status = build(data, &table);
  table_free(&table);
  tn_free(missing);
  return status;
}

static void csv_destroy(void *self) {
  struct csv *data = self;
  tn_free(data->input);
  tn_free(data->output);
  categories_free(&data->classes);
  split_free(&data->split);
}

static int64_t csv_rows(void *self, const char *part) {
  const struct csv *data = self;
  const int p = split_part(&data->split, part);
  return p < 0 ? TN_ERROR_MISSING : data->split.count[p];
}

static tn_status csv_describe(void *self, const char *part, tn_spec *spec) {
  const struct csv *data = self;
  if (split_part(&data->split, part) < 0) return TN_ERROR_MISSING;
  if (data->image.count == 3)
    tn_spec_set(spec, "image", TN_FLOAT,
                TN_SHAPE(data->image.items[0], data->image.items[1], data->image.items[2]), 0);
  else
    tn_spec_set(spec, "input", TN_FLOAT, TN_SHAPE(data->inputs), 0);
  if (data->targets > 0) tn_spec_set(spec, "target", TN_FLOAT, TN_SHAPE(data->targets), 0);
  if (data->labelled) tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, data->classes.count);
  return TN_OK;
}

/* Rows `rows[index[0 .. count)]` of a (rows, width) table. */
static tn_tensor *gather(const struct csv *data, const void *table, int64_t width, const int64_t *rows,
                         const int64_t *index, int64_t count, tn_shape shape) {
  tn_tensor *x = tn_empty(data->dtype, shape);
  if (tn_poisoned(x)) return x;
  const size_t bytes = (size_t)width * (data->dtype == TN_F64 ? sizeof(double) : sizeof(float));
  char *to = tn_data(x);
  for (int64_t i = 0; i < count; i++)
    memcpy(to + (size_t)i * bytes, (const char *)table + (size_t)rows[index[i]] * bytes, bytes);
  return x;
}

static tn_status csv_read(void *self, const char *part, const int64_t *index, int64_t count,
                          tn_fields *fields) {
  const struct csv *data = self;
  const int p = split_part(&data->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  const int64_t *rows = data->split.rows[p];
  if (data->image.count == 3)
    tn_fields_set(fields, "image",
                  gather(data, data->input, data->inputs, rows, index, count,
                         TN_SHAPE(count, data->image.items[0], data->image.items[1], data->image.items[2])));
  else
    tn_fields_set(fields, "input",
                  gather(data, data->input, data->inputs, rows, index, count, TN_SHAPE(count, data->inputs)));
  if (data->targets > 0)
    tn_fields_set(
        fields, "target",
        gather(data, data->output, data->targets, rows, index, count, TN_SHAPE(count, data->targets)));
  if (data->labelled) {
    tn_tensor *label = tn_empty(TN_I64, TN_SHAPE(count));
    for (int64_t i = 0; !tn_poisoned(label) && i < count; i++)
      tn_i64(label)[i] = data->classes.codes[rows[index[i]]];
    tn_fields_set(fields, "label", label);
  }
  return tn_outcome();
}

static const char *csv_part(void *self, uint32_t i) { return split_name(&((struct csv *)self)->split, i); }

static const char *csv_class_name(void *self, const char *field, int64_t label) {
  const struct csv *data = self;
  if (strcmp(field, "label") != 0 || label < 0 || label >= data->classes.count) return NULL;
  return data->classes.names[label];
}

static const tn_dataset csv_table = {.size = sizeof(tn_dataset),
                                     .rows = csv_rows,
                                     .describe = csv_describe,
                                     .read = csv_read,
                                     .part = csv_part,
                                     .class_name = csv_class_name};
static const tn_class csv_class = {.size = sizeof(tn_class),
                                   .kind = TN_DATASET,
                                   .name = "csv",
                                   .summary = "A comma-separated table, plain or gzip",
                                   .reference = "RFC 4180",
                                   TN_CLASS_PARAMS(csv_params),
                                   .instance_size = sizeof(struct csv),
                                   .vtable = &csv_table,
                                   .create = csv_create,
                                   .destroy = csv_destroy};
TN_PLUGIN("dataset_csv", "1.0.0", "MIT", &csv_class)
