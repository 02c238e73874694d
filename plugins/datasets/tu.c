// SPDX-License-Identifier: MIT
/* Sets of small graphs in the files of TUDataset: fields `node` (sum n_i, d), the one-hot node labels and
 * then the attributes of the file, or 1 where it has neither; `edge` (sum m_i, 2), both ways round; `label`
 * (n), one a graph. */
#include "core/format/tu.h"
#include "ragged.h"
#include <stdio.h>
#include <stdlib.h>

struct tu {
  const char *folder, *name;
  bool degree;
  struct split_keys keys;

  tn_tu set;
  int64_t width, node_classes; /* of a node's features; distinct node labels */
  int32_t *node_codes;         /* (node_count): place among the distinct node labels */
  int64_t *labels, classes;    /* (graph_count) */
  struct split split;
};
static const tn_param tu_params[] = {
    TN_PATH(struct tu, folder, TN_PARAM_REQUIRED, NULL,
            "folder with NAME_A.txt and the others, plain or gzip"),
    TN_STRING(struct tu, name, "", "NAME; empty: that of the folder"),
    TN_BOOL(struct tu, degree, "no", "add a node's degree to its features"),
    SPLIT_PARAMS(struct tu, keys, "20%", "shuffled"),
};

static int by_number(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* The place of each value among the distinct ones, ascending; their number, or negative without memory. */
static int64_t encode(const int32_t *values, size_t count, int32_t *codes) {
  int32_t *distinct = tn_alloc((count + 1) * sizeof *distinct);
  if (!distinct) return TN_ERROR_MEMORY;
  memcpy(distinct, values, count * sizeof *distinct);
  qsort(distinct, count, sizeof *distinct, by_number);
  size_t kept = count > 0;
  for (size_t i = 1; i < count; i++)
    if (distinct[i] != distinct[kept - 1]) distinct[kept++] = distinct[i];
  for (size_t i = 0; i < count; i++) {
    const int32_t *found = bsearch(&values[i], distinct, kept, sizeof *distinct, by_number);
    codes[i] = (int32_t)(found - distinct);
  }
  tn_free(distinct);
  return (int64_t)kept;
}

static tn_status tu_create(void *self) {
  struct tu *data = self;
  tn_format_error error;
  if (!tn_tu_read(data->folder, *data->name ? data->name : NULL, 0, &data->set, &error))
    return tn_fail(TN_ERROR_IO, "%s", error.text);
  const tn_tu *set = &data->set;
  if (set->node_labels) {
    if (!(data->node_codes = tn_alloc(set->node_count * sizeof(int32_t)))) return TN_ERROR_MEMORY;
    data->node_classes = encode(set->node_labels, set->node_count, data->node_codes);
    if (data->node_classes < 0) return TN_ERROR_MEMORY;
  }
  data->width = data->node_classes + (int64_t)set->attribute_count + data->degree;
  if (data->width == 0) data->width = 1;
  int32_t *codes = tn_alloc(set->graph_count * sizeof *codes);
  data->labels = tn_alloc(set->graph_count * sizeof *data->labels);
  data->classes = codes && data->labels ? encode(set->graph_labels, set->graph_count, codes) : -1;
  for (size_t g = 0; data->classes > 0 && g < set->graph_count; g++) data->labels[g] = codes[g];
  tn_free(codes);
  if (data->classes < 0) return TN_ERROR_MEMORY;
  return split_make(&data->split, &data->keys, (int64_t)set->graph_count, 0, data->labels, data->classes);
}

static void tu_destroy(void *self) {
  struct tu *data = self;
  tn_tu_free(&data->set);
  tn_free(data->node_codes);
  tn_free(data->labels);
  split_free(&data->split);
}

static int64_t tu_rows(void *self, const char *part) {
  const struct tu *data = self;
  const int p = split_part(&data->split, part);
  return p < 0 ? TN_ERROR_MISSING : data->split.count[p];
}

static tn_status tu_describe(void *self, const char *part, tn_spec *spec) {
  const struct tu *data = self;
  if (split_part(&data->split, part) < 0) return TN_ERROR_MISSING;
  ragged_describe(spec, "node", TN_FLOAT, TN_SHAPE(-1, data->width), 0);
  ragged_describe(spec, "edge", TN_I64, TN_SHAPE(-1, 2), 0);
  tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, data->classes);
  return TN_OK;
}

/* The features of node `v`, written as numbers one by one. */
static double feature(const struct tu *data, size_t v, int64_t k) {
  const tn_tu *set = &data->set;
  if (k < data->node_classes) return data->node_codes[v] == k;
  k -= data->node_classes;
  if (k < (int64_t)set->attribute_count) return set->node_attributes[v * set->attribute_count + (size_t)k];
  return data->degree ? (double)(set->row_offsets[v + 1] - set->row_offsets[v]) : 1;
}

static tn_status tu_read(void *self, const char *part, const int64_t *index, int64_t count,
                         tn_fields *fields) {
  const struct tu *data = self;
  const tn_tu *set = &data->set;
  const int p = split_part(&data->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  const int64_t *rows = data->split.rows[p];
  tn_tensor *node_offset = tn_zeros(TN_I64, TN_SHAPE(count + 1));
  tn_tensor *edge_offset = tn_zeros(TN_I64, TN_SHAPE(count + 1)), *label = tn_zeros(TN_I64, TN_SHAPE(count));
  if (tn_failed()) return tn_outcome();
  for (int64_t i = 0; i < count; i++) {
    const size_t g = (size_t)rows[index[i]], first = set->graph_offsets[g], end = set->graph_offsets[g + 1];
    tn_i64(node_offset)[i + 1] = tn_i64(node_offset)[i] + (int64_t)(end - first);
    tn_i64(edge_offset)[i + 1] =
        tn_i64(edge_offset)[i] + (int64_t)(set->row_offsets[end] - set->row_offsets[first]);
    tn_i64(label)[i] = data->labels[g];
  }
  tn_tensor *node = tn_empty(TN_F64, TN_SHAPE(tn_i64(node_offset)[count], data->width));
  tn_tensor *edge = tn_empty(TN_I64, TN_SHAPE(tn_i64(edge_offset)[count], 2));
  if (tn_failed()) return tn_outcome();
  double *to = tn_f64(node);
  int64_t *pair = tn_i64(edge);
  for (int64_t i = 0; i < count; i++) {
    const size_t g = (size_t)rows[index[i]], first = set->graph_offsets[g];
    for (size_t v = first; v < set->graph_offsets[g + 1]; v++) {
      for (int64_t k = 0; k < data->width; k++) *to++ = feature(data, v, k);
      for (size_t e = set->row_offsets[v]; e < set->row_offsets[v + 1]; e++, pair += 2) {
        pair[0] = (int64_t)(v - first);
        pair[1] = (int64_t)((size_t)set->columns[e] - first);
      }
    }
  }
  ragged_set(fields, "node", tn_cast(node, tn_precision()), node_offset);
  ragged_set(fields, "edge", edge, edge_offset);
  tn_fields_set(fields, "label", label);
  return tn_outcome();
}

static const char *tu_part(void *self, uint32_t i) { return split_name(&((struct tu *)self)->split, i); }

static const tn_dataset tu_table = {
    .size = sizeof(tn_dataset), .rows = tu_rows, .describe = tu_describe, .read = tu_read, .part = tu_part};
static const tn_class tu_class = {.size = sizeof(tn_class),
                                  .kind = TN_DATASET,
                                  .name = "tu",
                                  .summary = "Sets of small graphs in the files of TUDataset",
                                  .reference =
                                      "Morris et al. 2020, TUDataset: a collection of benchmark datasets "
                                      "for learning with graphs",
                                  TN_CLASS_PARAMS(tu_params),
                                  .instance_size = sizeof(struct tu),
                                  .vtable = &tu_table,
                                  .create = tu_create,
                                  .destroy = tu_destroy};
TN_PLUGIN("dataset_tu", "1.0.0", "MIT", &tu_class)
