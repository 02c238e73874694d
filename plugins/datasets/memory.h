// SPDX-License-Identifier: MIT
/* Data sets that lie in memory as one table of numbers with labels: a plugin loads them, the rest is here. */
#ifndef TENON_PLUGINS_MEMORY_H
#define TENON_PLUGINS_MEMORY_H

#include "split.h"

struct memory {
  struct split_keys keys; /* SPLIT_PARAMS(type, memory.keys, ...) */
  /* what the plugin fills */
  const char *field; /* "image" or "input"; NULL: the plugin sets its own */
  tn_shape shape;    /* of one sample */
  int64_t rows;      /* the last fixed_test of them are part `test` */
  int64_t fixed_test;
  uint8_t *bytes;  /* (rows, ...) divided by 255 when read; or NULL */
  double *values;  /* (rows, ...), or NULL */
  int64_t *labels; /* (rows), -1: unlabelled; or NULL */
  int64_t classes;
  char **class_names; /* (classes), or NULL */
  double *targets;    /* (rows, target_width), or NULL */
  int64_t target_width;
  /* derived */
  int64_t features;
  struct split split;
};

static inline void memory_free(struct memory *m) {
  tn_free(m->bytes);
  tn_free(m->values);
  tn_free(m->labels);
  tn_free(m->targets);
  for (int64_t c = 0; m->class_names && c < m->classes; c++) tn_free(m->class_names[c]);
  tn_free(m->class_names);
  split_free(&m->split);
}

/* Room for the rows, for a plugin that knows their number. */
static inline tn_status memory_reserve(struct memory *m, bool bytes, bool labels) {
  m->features = 1;
  for (uint32_t i = 0; i < m->shape.ndim; i++) m->features *= m->shape.dim[i];
  const size_t numbers = (size_t)(m->rows * m->features);
  if (bytes)
    m->bytes = tn_alloc(numbers);
  else
    m->values = tn_alloc(numbers * sizeof *m->values);
  if (labels) m->labels = tn_alloc((size_t)m->rows * sizeof *m->labels);
  return (bytes ? (void *)m->bytes : (void *)m->values) && (!labels || m->labels) ? TN_OK : TN_ERROR_MEMORY;
}

static inline tn_status memory_name(struct memory *m, int64_t c, const char *name) {
  if (!m->class_names) m->class_names = tn_alloc((size_t)m->classes * sizeof *m->class_names);
  if (!m->class_names || !(m->class_names[c] = tn_alloc(strlen(name) + 1))) return TN_ERROR_MEMORY;
  strcpy(m->class_names[c], name);
  return TN_OK;
}

/* After the plugin has filled it: deals the rows to the parts. */
static inline tn_status memory_finish(struct memory *m) {
  if (m->rows < 1) return tn_fail(TN_ERROR_INVALID, "no rows");
  m->features = 1;
  for (uint32_t i = 0; i < m->shape.ndim; i++) m->features *= m->shape.dim[i];
  return split_make(&m->split, &m->keys, m->rows, m->fixed_test, m->labels, m->classes);
}

/* ---- the kind's functions ---- */

static inline int64_t memory_rows(const struct memory *m, const char *part) {
  const int p = split_part(&m->split, part);
  return p < 0 ? TN_ERROR_MISSING : m->split.count[p];
}

static inline tn_status memory_describe(const struct memory *m, const char *part, tn_spec *spec) {
  if (split_part(&m->split, part) < 0) return TN_ERROR_MISSING;
  if (m->field) tn_spec_set(spec, m->field, TN_FLOAT, m->shape, 0);
  if (m->labels) tn_spec_set(spec, "label", TN_I64, (tn_shape){0, {0}}, m->classes);
  if (m->targets) tn_spec_set(spec, "target", TN_FLOAT, TN_SHAPE(m->target_width), 0);
  return TN_OK;
}

/* Rows of a (rows, width) table of numbers, or of bytes over 255. */
static inline tn_tensor *memory_gather(const double *values, const uint8_t *bytes, int64_t width,
                                       const int64_t *rows, const int64_t *index, int64_t count,
                                       tn_shape shape) {
  tn_tensor *x = tn_empty(tn_precision() == TN_F64 ? TN_F64 : TN_F32, shape);
  for (int64_t i = 0; !tn_poisoned(x) && i < count; i++) {
    const int64_t from = rows[index[i]] * width;
    for (int64_t k = 0; k < width; k++) {
      const double value = bytes ? bytes[from + k] / 255.0 : values[from + k];
      if (x->dtype == TN_F64)
        tn_f64(x)[i * width + k] = value;
      else
        tn_f32(x)[i * width + k] = (float)value;
    }
  }
  return x;
}

static inline tn_status memory_read(const struct memory *m, const char *part, const int64_t *index,
                                    int64_t count, tn_fields *fields) {
  const int p = split_part(&m->split, part);
  if (p < 0) return TN_ERROR_MISSING;
  const int64_t *rows = m->split.rows[p];
  tn_shape shape = {m->shape.ndim + 1, {count}};
  for (uint32_t i = 0; i < m->shape.ndim; i++) shape.dim[i + 1] = m->shape.dim[i];
  if (m->field)
    tn_fields_set(fields, m->field,
                  memory_gather(m->values, m->bytes, m->features, rows, index, count, shape));
  if (m->targets)
    tn_fields_set(fields, "target",
                  memory_gather(m->targets, NULL, m->target_width, rows, index, count,
                                TN_SHAPE(count, m->target_width)));
  if (m->labels) {
    tn_tensor *label = tn_empty(TN_I64, TN_SHAPE(count));
    for (int64_t i = 0; !tn_poisoned(label) && i < count; i++) tn_i64(label)[i] = m->labels[rows[index[i]]];
    tn_fields_set(fields, "label", label);
  }
  return tn_outcome();
}

static inline const char *memory_class_name(const struct memory *m, const char *field, int64_t label) {
  const bool known = strcmp(field, "label") == 0 && m->class_names && label >= 0 && label < m->classes;
  return known ? m->class_names[label] : NULL;
}

/* The table of a data set `name` that is a struct `name` with a member `memory`. */
#define MEMORY_TABLE(name)                                                                        \
  static int64_t name##_rows(void *self, const char *part) {                                      \
    return memory_rows(&((struct name *)self)->memory, part);                                     \
  }                                                                                               \
  static tn_status name##_describe(void *self, const char *part, tn_spec *spec) {                 \
    return memory_describe(&((struct name *)self)->memory, part, spec);                           \
  }                                                                                               \
  static tn_status name##_read(void *self, const char *part, const int64_t *index, int64_t count, \
                               tn_fields *fields) {                                               \
    return memory_read(&((struct name *)self)->memory, part, index, count, fields);               \
  }                                                                                               \
  static const char *name##_part(void *self, uint32_t i) {                                        \
    return split_name(&((struct name *)self)->memory.split, i);                                   \
  }                                                                                               \
  static const char *name##_class_name(void *self, const char *field, int64_t label) {            \
    return memory_class_name(&((struct name *)self)->memory, field, label);                       \
  }                                                                                               \
  static void name##_destroy(void *self) { memory_free(&((struct name *)self)->memory); }         \
  static const tn_dataset name##_table = {.size = sizeof(tn_dataset),                             \
                                          .rows = name##_rows,                                    \
                                          .describe = name##_describe,                            \
                                          .read = name##_read,                                    \
                                          .part = name##_part,                                    \
                                          .class_name = name##_class_name};

#endif
