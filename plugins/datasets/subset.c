// SPDX-License-Identifier: MIT
/* Some rows of another data set: of given classes, of a range, so many of each class; dealt to parts anew.
 *
 * The rows are those of `data` (with its part: `mnist:all`), in its order. `range` takes a stretch of them,
 * `classes` those of these classes, `counts` the first so many of each class. With `renumber` the classes
 * become 0, 1, ... in the order of `classes`. With `hide` no row has a label: `label` is -1. Then the keys of
 * all data sets make the parts; by default all rows are part `train`. */
#include "each.h"
#include "split.h"

struct subset {
  const tn_component *data;
  tn_integers range, classes, counts;
  bool renumber, hide;
  struct split_keys keys;

  int64_t rows, *row_of, *labels; /* (rows): of `data`; as `data` has them, NULL if it has none */
  int64_t class_count;            /* after renumbering */
  struct split split;
};
static const tn_param subset_params[] = {
    TN_REFERENCE(struct subset, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "where the rows come from"),
    TN_INTEGERS(struct subset, range, "", 0, 1e15, "first row and the one behind the last; empty: all"),
    TN_INTEGERS(struct subset, classes, "", 0, 1e9, "only rows of these classes; empty: all"),
    TN_INTEGERS(
        struct subset, counts, "", 0, 1e15,
        "only the first so many rows: of each class, or of each of `classes`; one number: of all alike"),
    TN_BOOL(struct subset, renumber, "yes", "number the classes as `classes` lists them, from 0"),
    TN_BOOL(struct subset, hide, "no", "take the labels away: all are -1"),
    SPLIT_PARAMS(struct subset, keys, "0", "file"),
};

/* The place of a class in `classes`, or the class itself; negative if it is not wanted. */
static int64_t place_of(const struct subset *data, int64_t class) {
  if (data->classes.count == 0) return class;
  for (uint32_t i = 0; i < data->classes.count; i++)
    if (data->classes.items[i] == class) return i;
  return -1;
}

struct reading {
  int64_t first, *labels; /* labels[i]: of row first + i */
};
static tn_status take_labels(void *context, const tn_tensor *value, int64_t begin, int64_t count) {
  const struct reading *reading = context;
  if (value->dtype != TN_I64) return tn_fail(TN_ERROR_SHAPE, "'label' holds no classes");
  memcpy(reading->labels + begin - reading->first, tn_i64(value), (size_t)count * sizeof(int64_t));
  return TN_OK;
}

static tn_status find_range(const struct subset *data, int64_t *first, int64_t *end) {
  const int64_t total = tn_dataset_rows(data->data);
  *first = 0;
  *end = total;
  if (total < 0) return TN_ERROR_MISSING;
  if (data->range.count == 0) return TN_OK;
  if (data->range.count != 2 || data->range.items[0] >= data->range.items[1] || data->range.items[1] > total)
    return tn_fail(TN_ERROR_INVALID, "range: expected two rows, ascending, up to %lld", (long long)total);
  *first = data->range.items[0];
  *end = data->range.items[1];
  return TN_OK;
}

/* Keeps rows of the wanted classes, not more of each than asked for. */
static tn_status choose(struct subset *data, int64_t first, int64_t end, int64_t places) {
  const tn_integers *counts = &data->counts;
  if (counts->count > 1 && (int64_t)counts->count != places)
    return tn_fail(TN_ERROR_INVALID, "counts: %u numbers for %lld classes", counts->count, (long long)places);
  int64_t *taken = tn_alloc((size_t)(places + 1) * sizeof *taken);
  if (!taken) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < end - first; i++) {
    const int64_t place = data->labels ? place_of(data, data->labels[i]) : 0;
    if (data->labels && place < 0 && data->classes.count > 0) continue;
    if (counts->count > 0 && place >= 0) {
      if (taken[place] == counts->items[counts->count > 1 ? place : 0]) continue;
      taken[place]++;
    }
    if (data->labels) data->labels[data->rows] = data->renumber ? place : data->labels[i];
    data->row_of[data->rows++] = first + i;
  }
  tn_status status = data->rows > 0 ? TN_OK : tn_fail(TN_ERROR_INVALID, "no row is left");
  for (int64_t p = 0; status == TN_OK && data->labels && p < places && counts->count > 0; p++) {
    const int64_t wanted = counts->items[counts->count > 1 ? p : 0];
    if (taken[p] < wanted)
      status = tn_fail(TN_ERROR_INVALID, "counts: %lld rows of class %lld are wanted, there are %lld",
                       (long long)wanted, (long long)(data->classes.count ? data->classes.items[p] : p),
                       (long long)taken[p]);
  }
  tn_free(taken);
  return status;
}

static tn_status subset_create(void *self) {
  struct subset *data = self;
  int64_t first, end;
  tn_status status = find_range(data, &first, &end);
  tn_spec *spec = tn_spec_new();
  if (status >= 0) status = spec ? tn_dataset_describe(data->data, spec) : TN_ERROR_MEMORY;
  const tn_field_spec *label = status < 0 ? NULL : tn_spec_find(spec, "label");
  const bool by_class = label && label->classes > 0 && label->shape.ndim == 0 && !label->ragged;
  if (status >= 0 && !by_class && (data->classes.count > 0 || data->counts.count > 0 || data->hide))
    status = tn_fail(TN_ERROR_MISSING, "'%s' has no classes in 'label'", data->data->name);
  const int64_t classes = by_class ? label->classes : 0;
  tn_spec_release(spec);
  for (uint32_t i = 0; status >= 0 && i < data->classes.count; i++)
    if (data->classes.items[i] >= classes)
      status = tn_fail(TN_ERROR_INVALID, "classes: %lld, expected below %lld",
                       (long long)data->classes.items[i], (long long)classes);
  if (status < 0) return status;
  data->row_of = tn_alloc((size_t)(end - first + 1) * sizeof(int64_t));
  data->labels = by_class ? tn_alloc((size_t)(end - first + 1) * sizeof(int64_t)) : NULL;
  if (!data->row_of || (by_class && !data->labels)) return TN_ERROR_MEMORY;
  const int64_t places = data->classes.count > 0 ? data->classes.count : classes;
  data->class_count = data->renumber ? places : classes;
  struct reading reading = {first, data->labels};
  if (by_class) status = each_row(data->data, first, end, "label", take_labels, &reading);
  if (status >= 0) status = choose(data, first, end, places);
  return status < 0 ? status
                    : split_make(&data->split, &data->keys, data->rows, 0, data->labels, data->class_count);
}

static void subset_destroy(void *self) {
  struct subset *data = self;
  tn_free(data->row_of);
  tn_free(data->labels);
  split_free(&data->split);
}

static int64_t subset_rows(void *self, const char *part) {
  const struct subset *data = self;
  const int p = split_part(&data->split, part);
  return p < 0 ? TN_ERROR_MISSING : data->split.count[p];
}

static tn_status subset_describe(void *self, const char *part, tn_spec *spec) {
  const struct subset *data = self;
  if (split_part(&data->split, part) < 0) return TN_ERROR_MISSING;
  const tn_status status = tn_dataset_describe(data->data, spec);
  if (status < 0 || !data->labels) return status;
  return tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, data->class_count);
}

static tn_status subset_read(void *self, const char *part, const int64_t *index, int64_t count,
                             tn_fields *fields) {
  const struct subset *data = self;
  const int p = split_part(&data->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  int64_t *rows = tn_alloc((size_t)(count + 1) * sizeof *rows);
  if (!rows) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < count; i++) rows[i] = data->row_of[data->split.rows[p][index[i]]];
  const tn_status status = tn_dataset_read(data->data, rows, count, fields);
  tn_free(rows);
  if (status < 0 || !data->labels) return status;
  tn_tensor *label = tn_empty(TN_I64, TN_SHAPE(count));
  for (int64_t i = 0; !tn_poisoned(label) && i < count; i++)
    tn_i64(label)[i] = data->hide ? -1 : data->labels[data->split.rows[p][index[i]]];
  tn_fields_set(fields, "label", label);
  return tn_outcome();
}

static const char *subset_part(void *self, uint32_t i) {
  return split_name(&((struct subset *)self)->split, i);
}

static const char *subset_class_name(void *self, const char *field, int64_t label) {
  const struct subset *data = self;
  const bool renumbered = strcmp(field, "label") == 0 && data->renumber && data->classes.count > 0;
  if (renumbered && (label < 0 || label >= data->class_count)) return NULL;
  return tn_dataset_class_name(data->data, field, renumbered ? data->classes.items[label] : label);
}

static const tn_dataset subset_table = {.size = sizeof(tn_dataset),
                                        .rows = subset_rows,
                                        .describe = subset_describe,
                                        .read = subset_read,
                                        .part = subset_part,
                                        .class_name = subset_class_name};
static const tn_class subset_class = {.size = sizeof(tn_class),
                                      .kind = TN_DATASET,
                                      .name = "subset",
                                      .summary =
                                          "Some rows of another data set: classes, a range, so many of each",
                                      TN_CLASS_PARAMS(subset_params),
                                      .instance_size = sizeof(struct subset),
                                      .vtable = &subset_table,
                                      .create = subset_create,
                                      .destroy = subset_destroy};
TN_PLUGIN("dataset_subset", "1.0.0", "MIT", &subset_class)
