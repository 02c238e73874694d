// SPDX-License-Identifier: MIT
/* One graph whose nodes are to be classified, as the citation sets of Planetoid: node features and classes in
 * a libsvm file, undirected edges and the split in tables with the columns u, v and node, split.
 *
 * A row is the whole graph: fields `node` (N, d), each row divided by its sum with normalise = yes, `edge`
 * (2 M, 2), both ways round, and `label` (N) with label.offset: the classes of the nodes of the part (train,
 * validation, test), -1 for all others; part `all` has them all. */
#include "core/format/csv.h"
#include "core/format/libsvm.h"
#include "ragged.h"
#include <stdio.h>

struct planetoid {
  const char *features, *edges, *split;
  bool normalise;

  int64_t nodes, width, classes, edge_count;
  double *values; /* (nodes, width) */
  int64_t *pairs; /* (edge_count, 2) */
  int64_t *labels;
  int8_t *part_of; /* (nodes): PART_TRAIN ...; PART_UNUSED: none */
};
static const tn_param planetoid_params[] = {
    TN_PATH(struct planetoid, features, TN_PARAM_REQUIRED, NULL,
            "nodes in order: class and features, libsvm"),
    TN_PATH(struct planetoid, edges, TN_PARAM_REQUIRED, NULL, "table of undirected edges: u, v, from 0"),
    TN_PATH(struct planetoid, split, TN_PARAM_REQUIRED, NULL,
            "table: node, split (train, val or validation, test, none)"),
    TN_BOOL(struct planetoid, normalise, "yes", "divide each node's features by their sum"),
};

static tn_status read_nodes(struct planetoid *data) {
  tn_libsvm set;
  tn_format_error error;
  if (!tn_libsvm_read(data->features, NULL, &set, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  tn_status status = TN_OK;
  if (set.class_count < 1)
    status = tn_fail(TN_ERROR_INVALID, "%s: the labels are no classes", data->features);
  if (set.row_count * set.column_count > (size_t)1 << 31)
    status =
        tn_fail(TN_ERROR_MEMORY, "%zu nodes of %zu features are too many", set.row_count, set.column_count);
  data->nodes = (int64_t)set.row_count;
  data->width = (int64_t)set.column_count;
  data->classes = (int64_t)set.class_count;
  if (status == TN_OK) {
    data->values = tn_alloc(set.row_count * set.column_count * sizeof *data->values);
    data->labels = tn_alloc(set.row_count * sizeof *data->labels);
    data->part_of = tn_alloc(set.row_count);
    if (!data->values || !data->labels || !data->part_of) status = TN_ERROR_MEMORY;
  }
  for (size_t i = 0; status == TN_OK && i < set.row_count; i++) {
    double sum = 0;
    for (size_t k = set.indptr[i]; k < set.indptr[i + 1]; k++) sum += set.values[k];
    for (size_t k = set.indptr[i]; k < set.indptr[i + 1]; k++)
      data->values[i * set.column_count + (size_t)set.indices[k]] =
          data->normalise && sum != 0 ? set.values[k] / sum : set.values[k];
    data->labels[i] = set.codes[i];
    data->part_of[i] = PART_UNUSED;
  }
  tn_libsvm_free(&set);
  return status;
}

/* The column of that name; negative with an error. */
static int64_t column(const tn_csv_table *table, const char *file, const char *name) {
  for (size_t c = 0; c < table->column_count; c++)
    if (strcmp(table->columns[c].name, name) == 0) return (int64_t)c;
  tn_fail(TN_ERROR_MISSING, "%s: no column '%s'", file, name);
  return -1;
}

/* A node number in a cell. */
static tn_status node_at(const struct planetoid *data, const tn_csv_table *table, const char *file, size_t c,
                         size_t row, int64_t *node) {
  const double value = table->columns[c].type == TN_CSV_NUMBER ? table->columns[c].values[row] : NAN;
  if (!(value >= 0 && value < (double)data->nodes && value == (double)(int64_t)value))
    return tn_fail(TN_ERROR_INVALID, "%s: row %zu: '%s' is no node from 0 to %lld", file, row + 1,
                   table->columns[c].name, (long long)data->nodes - 1);
  *node = (int64_t)value;
  return TN_OK;
}

static tn_status take_edges(struct planetoid *data, const tn_csv_table *table) {
  const int64_t u = column(table, data->edges, "u"), v = column(table, data->edges, "v");
  if (u < 0 || v < 0) return TN_ERROR_MISSING;
  data->pairs = tn_alloc((4 * table->row_count + 1) * sizeof *data->pairs);
  if (!data->pairs) return TN_ERROR_MEMORY;
  for (size_t i = 0; i < table->row_count; i++) {
    int64_t a = 0, b = 0;
    tn_status status = node_at(data, table, data->edges, (size_t)u, i, &a);
    if (status == TN_OK) status = node_at(data, table, data->edges, (size_t)v, i, &b);
    if (status < 0) return status;
    int64_t *pair = data->pairs + 2 * data->edge_count;
    pair[0] = pair[3] = a;
    pair[1] = pair[2] = b;
    data->edge_count += a == b ? 1 : 2;
  }
  return TN_OK;
}

static tn_status take_split(struct planetoid *data, const tn_csv_table *table) {
  static const struct {
    const char *name;
    int8_t part;
  } parts[] = {{"train", PART_TRAIN},
               {"val", PART_VALIDATION},
               {"validation", PART_VALIDATION},
               {"test", PART_TEST},
               {"none", PART_UNUSED}};
  const int64_t n = column(table, data->split, "node"), s = column(table, data->split, "split");
  if (n < 0 || s < 0) return TN_ERROR_MISSING;
  if (table->columns[s].type == TN_CSV_NUMBER)
    return tn_fail(TN_ERROR_INVALID, "%s: column 'split' holds no words", data->split);
  for (size_t i = 0; i < table->row_count; i++) {
    int64_t node = 0;
    const tn_status status = node_at(data, table, data->split, (size_t)n, i, &node);
    if (status < 0) return status;
    const int32_t code = table->columns[s].codes[i];
    const char *word = code < 0 ? "" : table->columns[s].words[code];
    size_t p = 0;
    while (p < TN_ARRAY_LENGTH(parts) && strcmp(parts[p].name, word) != 0) p++;
    if (p == TN_ARRAY_LENGTH(parts))
      return tn_fail(TN_ERROR_INVALID, "%s: row %zu: split '%s', expected train, val, test or none",
                     data->split, i + 1, word);
    data->part_of[node] = parts[p].part;
  }
  return TN_OK;
}

static tn_status with_table(struct planetoid *data, const char *file,
                            tn_status (*take)(struct planetoid *, const tn_csv_table *)) {
  const tn_csv_options options = {.header = TN_CSV_HEADER_YES, .delimiter = ','};
  tn_csv_table table;
  tn_format_error error;
  if (!tn_csv_read(file, &options, &table, &error)) return tn_fail(TN_ERROR_IO, "%s", error.text);
  const tn_status status = take(data, &table);
  tn_csv_free(&table);
  return status;
}

static tn_status planetoid_create(void *self) {
  struct planetoid *data = self;
  tn_status status = read_nodes(data);
  if (status == TN_OK) status = with_table(data, data->edges, take_edges);
  return status == TN_OK ? with_table(data, data->split, take_split) : status;
}

static void planetoid_destroy(void *self) {
  struct planetoid *data = self;
  tn_free(data->values);
  tn_free(data->pairs);
  tn_free(data->labels);
  tn_free(data->part_of);
}

static const char *const planetoid_parts[] = {"train", "validation", "test", "all"};
static int part_number(const char *part) {
  for (int p = 0; p < PART_COUNT; p++)
    if (strcmp(*part ? part : "train", planetoid_parts[p]) == 0) return p;
  tn_fail(TN_ERROR_MISSING, "no part '%s'; there are train, validation, test, all", part);
  return -1;
}

static int64_t planetoid_rows(void *self, const char *part) {
  (void)self;
  return part_number(part) < 0 ? TN_ERROR_MISSING : 1;
}

static tn_status planetoid_describe(void *self, const char *part, tn_spec *spec) {
  const struct planetoid *data = self;
  if (part_number(part) < 0) return TN_ERROR_MISSING;
  ragged_describe(spec, "node", TN_FLOAT, TN_SHAPE(-1, data->width), 0);
  ragged_describe(spec, "edge", TN_I64, TN_SHAPE(-1, 2), 0);
  ragged_describe(spec, "label", TN_I64, TN_SHAPE(-1), data->classes);
  return TN_OK;
}

static tn_status planetoid_read(void *self, const char *part, const int64_t *index, int64_t count,
                                tn_fields *fields) {
  const struct planetoid *data = self;
  const int p = part_number(part);
  (void)index; /* there is one row */
  if (p < 0) return TN_ERROR_MISSING;
  const int64_t n = data->nodes, m = data->edge_count;
  tn_tensor *node = tn_empty(TN_F64, TN_SHAPE(count * n, data->width));
  tn_tensor *edge = tn_empty(TN_I64, TN_SHAPE(count * m, 2)), *label = tn_empty(TN_I64, TN_SHAPE(count * n));
  tn_tensor *nodes = tn_zeros(TN_I64, TN_SHAPE(count + 1)), *edges = tn_zeros(TN_I64, TN_SHAPE(count + 1));
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < count; i++) {
    memcpy(tn_f64(node) + i * n * data->width, data->values, (size_t)(n * data->width) * sizeof(double));
    memcpy(tn_i64(edge) + i * m * 2, data->pairs, (size_t)(m * 2) * sizeof(int64_t));
    for (int64_t v = 0; v < n; v++)
      tn_i64(label)[i * n + v] = p == PART_ALL || data->part_of[v] == p ? data->labels[v] : -1;
    tn_i64(nodes)[i + 1] = (i + 1) * n;
    tn_i64(edges)[i + 1] = (i + 1) * m;
  }
  ragged_set(fields, "node", tn_cast(node, tn_precision()), nodes);
  ragged_set(fields, "edge", edge, edges);
  ragged_set(fields, "label", label, nodes);
  return tn_outcome();
}

static const char *planetoid_part(void *self, uint32_t i) {
  (void)self;
  return i < PART_COUNT ? planetoid_parts[i] : NULL;
}

static const tn_dataset planetoid_table = {.size = sizeof(tn_dataset),
                                           .rows = planetoid_rows,
                                           .describe = planetoid_describe,
                                           .read = planetoid_read,
                                           .part = planetoid_part};
static const tn_class planetoid_class = {
    .size = sizeof(tn_class),
    .kind = TN_DATASET,
    .name = "planetoid",
    .summary = "One graph with features, classes and a split of its nodes",
    .reference = "Yang et al. 2016, Revisiting semi-supervised learning with graph embeddings",
    TN_CLASS_PARAMS(planetoid_params),
    .instance_size = sizeof(struct planetoid),
    .vtable = &planetoid_table,
    .create = planetoid_create,
    .destroy = planetoid_destroy};
TN_PLUGIN("dataset_planetoid", "1.0.0", "MIT", &planetoid_class)
