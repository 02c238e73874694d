// SPDX-License-Identifier: MIT
/* Data sets behind each other: the rows of the first, then those of the second, and so on. Their samples must
 * look alike; fields that not all of them have are left out. Field `domain` says from which a row comes. A
 * part (`both:test`) is that part of each, for sets whose own reference names none. */
#include <string.h>
#include <tenon/dataset.h>

struct concat {
  tn_references data;
  const char *number;
};
static const tn_param concat_params[] = {
    TN_REFERENCES(struct concat, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "the data sets, in order"),
    TN_STRING(struct concat, number, "domain", "field with the number of a row's data set; empty: none"),
};

/* Data set `i` with the part that is meant. */
static tn_component piece(const struct concat *data, uint32_t i, const char *part) {
  tn_component c = *data->data.items[i];
  if (!*c.part) c.part = part;
  return c;
}

static int64_t concat_rows(void *self, const char *part) {
  const struct concat *data = self;
  int64_t sum = 0;
  for (uint32_t i = 0; i < data->data.count; i++) {
    const tn_component c = piece(data, i, part);
    const int64_t rows = tn_dataset_rows(&c);
    if (rows < 0) return rows;
    sum += rows;
  }
  return sum;
}

static bool same_shape(const tn_field_spec *a, const tn_field_spec *b) {
  bool same = a->dtype == b->dtype && a->ragged == b->ragged && a->shape.ndim == b->shape.ndim;
  for (uint32_t i = 0; same && i < a->shape.ndim; i++) same = a->shape.dim[i] == b->shape.dim[i];
  return same;
}

/* The fields that all have; class numbers up to the largest. */
static tn_status concat_describe(void *self, const char *part, tn_spec *spec) {
  const struct concat *data = self;
  tn_status status = TN_OK;
  tn_spec **own = tn_alloc(data->data.count * sizeof(tn_spec *));
  if (!own) return TN_ERROR_MEMORY;
  for (uint32_t i = 0; status >= 0 && i < data->data.count; i++) {
    const tn_component c = piece(data, i, part);
    own[i] = tn_spec_new();
    status = own[i] ? tn_dataset_describe(&c, own[i]) : TN_ERROR_MEMORY;
  }
  const char *name;
  for (uint32_t f = 0; status >= 0 && f < tn_spec_count(own[0]); f++) {
    tn_field_spec field = *tn_spec_at(own[0], f, &name);
    bool everywhere = true;
    for (uint32_t i = 1; status >= 0 && i < data->data.count; i++) {
      const tn_field_spec *other = tn_spec_find(own[i], name);
      everywhere &= other != NULL;
      if (other && !same_shape(&field, other))
        status = tn_fail(TN_ERROR_SHAPE, "'%s' of '%s' looks otherwise than that of '%s'", name,
                         data->data.items[i]->name, data->data.items[0]->name);
      if (other && other->classes > field.classes) field.classes = other->classes;
    }
    if (status >= 0 && field.ragged)
      status = tn_fail(TN_ERROR_SHAPE, "'%s' of '%s' is ragged", name, data->data.items[0]->name);
    if (status >= 0 && everywhere) status = tn_sdk.data->spec_set(spec, name, &field);
  }
  if (status >= 0 && *data->number)
    status = tn_spec_set(spec, data->number, TN_I64, (tn_shape){0, {0}}, data->data.count);
  for (uint32_t i = 0; i < data->data.count; i++) tn_spec_release(own[i]);
  tn_free(own);
  return status;
}

static size_t bytes_of(const tn_tensor *x) { return x->dl.dtype.bits / 8u; }

/* Reads the rows of a batch that come from set `i`, which are rows[0 .. count) of it, and puts them at their
 * places in the batch (size n). */
static tn_status read_piece(const struct concat *data, uint32_t i, const char *part, const int64_t *rows,
                            const int64_t *places, int64_t count, int64_t n, const tn_spec *spec,
                            tn_fields *fields) {
  const tn_component c = piece(data, i, part);
  tn_fields *own = tn_fields_new();
  const tn_status status = tn_dataset_read(&c, rows, count, own);
  const char *name;
  for (uint32_t f = 0; status >= 0 && f < tn_spec_count(spec); f++) {
    tn_spec_at(spec, f, &name);
    if (strcmp(name, data->number) == 0) continue;
    const tn_tensor *from = tn_field(own, name);
    if (tn_poisoned(from)) return TN_ERROR_MISSING;
    tn_tensor *to = tn_fields_find(fields, name);
    if (!to) {
      tn_shape shape = tn_shape_of(from);
      shape.dim[0] = n;
      tn_fields_set(fields, name, to = tn_empty(from->dtype, shape));
    }
    if (tn_poisoned(to) || to->dtype != from->dtype)
      return tn_fail(TN_ERROR_SHAPE, "'%s' differs in type", name);
    const size_t bytes = (size_t)(tn_numel(from) / count) * bytes_of(from);
    for (int64_t k = 0; k < count; k++)
      memcpy((char *)tn_data(to) + (size_t)places[k] * bytes, (const char *)tn_data(from) + (size_t)k * bytes,
             bytes);
  }
  return status;
}

static tn_status concat_read(void *self, const char *part, const int64_t *index, int64_t count,
                             tn_fields *fields) {
  const struct concat *data = self;
  tn_spec *spec = tn_spec_new();
  int64_t *rows = tn_alloc(2 * (size_t)(count + 1) * sizeof *rows), *places = rows ? rows + count : NULL;
  tn_tensor *number = tn_empty(TN_I64, TN_SHAPE(count));
  tn_status status =
      spec && rows && !tn_poisoned(number) ? concat_describe(self, part, spec) : TN_ERROR_MEMORY;
  int64_t first = 0;
  for (uint32_t i = 0; status >= 0 && i < data->data.count; i++) {
    const tn_component c = piece(data, i, part);
    const int64_t end = first + tn_dataset_rows(&c);
    int64_t own = 0;
    for (int64_t k = 0; k < count; k++) {
      if (index[k] < first || index[k] >= end) continue;
      rows[own] = index[k] - first;
      places[own++] = k;
      tn_i64(number)[k] = i;
    }
    if (own > 0) status = read_piece(data, i, part, rows, places, own, count, spec, fields);
    first = end;
  }
  if (status >= 0 && *data->number) tn_fields_set(fields, data->number, number);
  tn_spec_release(spec);
  tn_free(rows);
  return status < 0 ? status : tn_outcome();
}

/* The parts of the first that the others have too. */
static const char *concat_part(void *self, uint32_t wanted) {
  const struct concat *data = self;
  const char *name;
  for (uint32_t p = 0; (name = tn_dataset_part(data->data.items[0], p)) != NULL; p++) {
    bool everywhere = true;
    for (uint32_t i = 1; i < data->data.count; i++) {
      bool found = *data->data.items[i]->part;
      const char *other;
      for (uint32_t q = 0; !found && (other = tn_dataset_part(data->data.items[i], q)) != NULL; q++)
        found = strcmp(other, name) == 0;
      everywhere &= found;
    }
    if (everywhere && wanted-- == 0) return name;
  }
  return NULL;
}

static const char *concat_class_name(void *self, const char *field, int64_t label) {
  const struct concat *data = self;
  if (*data->number && strcmp(field, data->number) == 0)
    return label >= 0 && label < (int64_t)data->data.count ? data->data.items[label]->name : NULL;
  return tn_dataset_class_name(data->data.items[0], field, label);
}

static tn_status concat_create(void *self) {
  const struct concat *data = self;
  if (data->data.count < 1) return tn_fail(TN_ERROR_INVALID, "data: expected one data set at least");
  tn_spec *spec = tn_spec_new();
  const tn_status status = spec ? concat_describe(self, "", spec) : TN_ERROR_MEMORY;
  tn_spec_release(spec);
  return status;
}

static const tn_dataset concat_table = {.size = sizeof(tn_dataset),
                                        .rows = concat_rows,
                                        .describe = concat_describe,
                                        .read = concat_read,
                                        .part = concat_part,
                                        .class_name = concat_class_name};
static const tn_class concat_class = {.size = sizeof(tn_class),
                                      .kind = TN_DATASET,
                                      .name = "concat",
                                      .summary = "Data sets behind each other, numbered as domains",
                                      TN_CLASS_PARAMS(concat_params),
                                      .instance_size = sizeof(struct concat),
                                      .vtable = &concat_table,
                                      .create = concat_create};
TN_PLUGIN("dataset_concat", "1.0.0", "MIT", &concat_class)
