// SPDX-License-Identifier: MIT
/* metric.foreign: a figure of merit that a C function computes from the fields of all batches, or of each. */
#include "binding.h"
#include "foreign.h"
#include "number.h"

#include <stdio.h>
#include <string.h>
#include <tenon/metric.h>

/* One field, as the function wants it: rows of numbers in its C type. */
typedef struct column {
  const char *field;
  foreign_type type;
  int64_t width; /* numbers a row; 0 before the first batch */
  void *data;
  size_t bytes; /* filled */
} column;

typedef struct metric {
  foreign_keys keys;
  const char *name;
  int32_t over;
  foreign_role roles[FOREIGN_ROLES];
  uint32_t column_count;
  column columns[FOREIGN_ARGUMENTS];
  int64_t rows; /* in the columns */
  double sum;   /* of value * rows, over batches */
  int64_t summed;
  foreign_binding binding;
} metric;

enum { OVER_ALL, OVER_BATCHES };
enum { N, CLASSES, DATA, FIRST_COLUMN };

/* Arguments that are pointers are fields of their own name; `labels` reads well and is the field `label`. */
static uint32_t make_roles(metric *m) {
  m->roles[N] = (foreign_role){"n", FOREIGN_NUMBER};
  m->roles[CLASSES] = (foreign_role){"classes", FOREIGN_NUMBER};
  m->roles[DATA] = (foreign_role){"data", FOREIGN_POINTER};
  const foreign_function *function = &m->binding.signature.function;
  for (uint32_t i = 0; i < function->count; i++) {
    const foreign_argument *argument = &function->arguments[i];
    if (!argument->type.pointer || !argument->name[0] || !strcmp(argument->name, "data")) continue;
    const char *name = argument->name;
    m->roles[FIRST_COLUMN + m->column_count] = (foreign_role){name, FOREIGN_INPUT};
    m->columns[m->column_count++] =
        (column){.field = strcmp(name, "labels") ? name : "label", .type = argument->type};
  }
  return FIRST_COLUMN + m->column_count;
}

static tn_status create(void *self) {
  metric *m = self;
  tn_status status = foreign_signature_parse(m->keys.signature, &m->binding.signature);
  if (status != TN_OK) return status;
  if (m->binding.signature.function.result.class == FOREIGN_VOID)
    return foreign_signature_fail(m->keys.signature, 1, "a metric must return a number");
  uint32_t role_count = make_roles(m);
  if (m->column_count == 0)
    return foreign_signature_fail(
        m->keys.signature, 1, "no argument is a field, such as const float *logits or const long *labels");
  return foreign_bind(&m->binding, &m->keys, m->roles, role_count, true);
}

static void destroy(void *self) {
  metric *m = self;
  for (uint32_t i = 0; i < m->column_count; i++) tn_free(m->columns[i].data);
  foreign_unbind(&m->binding);
}

static void drop_rows(metric *m) {
  m->rows = 0;
  for (uint32_t i = 0; i < m->column_count; i++) m->columns[i].bytes = 0;
}

static void reset(void *self) {
  metric *m = self;
  drop_rows(m);
  m->sum = 0;
  m->summed = 0;
}

static tn_status declare(void *self, const tn_spec *fields) {
  const metric *m = self;
  for (uint32_t i = 0; i < m->column_count; i++)
    if (!tn_spec_get(fields, m->columns[i].field)) return TN_ERROR_MISSING;
  return TN_OK;
}

/* ---- gathering ---- */

/* How an element of a tensor looks as a C type; a label may be any whole number. */
static foreign_type type_of(const tn_tensor *t) {
  switch (t->dtype) {
  case TN_F32: return (foreign_type){.class = FOREIGN_REAL, .bytes = 4};
  case TN_F64: return (foreign_type){.class = FOREIGN_REAL, .bytes = 8};
  case TN_I32: return (foreign_type){.class = FOREIGN_SIGNED, .bytes = 4};
  case TN_U8: return (foreign_type){.class = FOREIGN_UNSIGNED, .bytes = 1};
  case TN_B8: return (foreign_type){.class = FOREIGN_BOOL, .bytes = 1};
  default: return (foreign_type){.class = FOREIGN_SIGNED, .bytes = 8};
  }
}

static tn_status reserve(column *c, size_t more) {
  void *data = tn_resize(c->data, c->bytes + more + 1);
  if (!data) return TN_ERROR_MEMORY;
  c->data = data;
  return TN_OK;
}

static tn_status append(column *c, const tn_tensor *t) {
  foreign_type from = type_of(t);
  size_t count = (size_t)tn_numel(t), bytes = count * c->type.bytes;
  if (reserve(c, bytes) != TN_OK) return TN_ERROR_MEMORY;
  char *to = (char *)c->data + c->bytes;
  const char *values = tn_data(t);
  c->bytes += bytes;
  if (from.class == c->type.class && from.bytes == c->type.bytes) {
    if (bytes) memcpy(to, values, bytes);
    return TN_OK;
  }
  for (size_t i = 0; i < count; i++) {
    double number = foreign_read(from, values + i * from.bytes);
    if (!foreign_write(c->type, number, to + i * c->type.bytes))
      return tn_fail(TN_ERROR_INVALID, "field '%s': its value %g does not fit the signature's type", c->field,
                     number);
  }
  return TN_OK;
}

/* The number of classes: what a row of `logits` holds, or of the first field with more than one value. */
static int64_t classes(const metric *m) {
  int64_t width = 1;
  for (uint32_t i = 0; i < m->column_count; i++) {
    if (!strcmp(m->columns[i].field, "logits")) return m->columns[i].width;
    if (width == 1 && m->columns[i].width > 1) width = m->columns[i].width;
  }
  return width;
}

static tn_status call(metric *m, double *value) {
  foreign_value values[FOREIGN_ROLES];
  values[N].number = (double)m->rows;
  values[CLASSES].number = (double)classes(m);
  values[DATA].pointer = NULL;
  for (uint32_t i = 0; i < m->column_count; i++) values[FIRST_COLUMN + i].pointer = m->columns[i].data;
  return foreign_call(&m->binding, values, value);
}

static tn_status update(void *self, const tn_fields *fields) {
  metric *m = self;
  int64_t rows = -1;
  for (uint32_t i = 0; i < m->column_count; i++) {
    column *c = &m->columns[i];
    tn_tensor *t = tn_field(fields, c->field);
    if (tn_poisoned(t)) return TN_ERROR_MISSING;
    if (tn_ndim(t) < 1) return tn_fail(TN_ERROR_SHAPE, "field '%s' has no batch axis", c->field);
    if (rows >= 0 && tn_dim(t, 0) != rows)
      return tn_fail(TN_ERROR_SHAPE, "fields '%s' and '%s' have %lld and %lld rows", m->columns[0].field,
                     c->field, (long long)rows, (long long)tn_dim(t, 0));
    rows = tn_dim(t, 0);
    int64_t width = rows ? tn_numel(t) / rows : c->width;
    if (c->width && width != c->width)
      return tn_fail(TN_ERROR_SHAPE, "field '%s' has %lld values a row, before it had %lld", c->field,
                     (long long)width, (long long)c->width);
    c->width = width;
    tn_status status = append(c, t);
    if (status != TN_OK) return status;
  }
  m->rows += rows;
  if (m->over == OVER_ALL || rows == 0) return TN_OK;
  double value = 0;
  tn_status status = call(m, &value);
  m->sum += value * (double)rows;
  m->summed += rows;
  drop_rows(m);
  return status;
}

static tn_status values(void *self, tn_metric_sink *sink) {
  metric *m = self;
  double value = NAN; // of no rows at all
  tn_status status = TN_OK;
  if (m->over == OVER_BATCHES && m->summed) value = m->sum / (double)m->summed;
  if (m->over == OVER_ALL && m->rows) status = call(m, &value);
  if (status == TN_OK) sink->value(sink, m->name[0] ? m->name : m->keys.symbol, value);
  return status;
}

static tn_status merge(void *self, const void *other) {
  metric *m = self;
  const metric *o = other;
  for (uint32_t i = 0; i < m->column_count; i++) {
    column *c = &m->columns[i];
    const column *more = &o->columns[i];
    if (c->width && more->width && c->width != more->width)
      return tn_fail(TN_ERROR_SHAPE, "field '%s' has %lld values a row here and %lld there", c->field,
                     (long long)c->width, (long long)more->width);
    if (more->width) c->width = more->width;
    if (reserve(c, more->bytes) != TN_OK) return TN_ERROR_MEMORY;
    if (more->bytes) memcpy((char *)c->data + c->bytes, more->data, more->bytes);
    c->bytes += more->bytes;
  }
  m->rows += o->rows;
  m->sum += o->sum;
  m->summed += o->summed;
  return TN_OK;
}

static tn_status state(void *self, const tn_visitor *visitor) {
  metric *m = self;
  tn_visit_integer(visitor, "rows", &m->rows);
  tn_visit_real(visitor, "sum", &m->sum);
  tn_visit_integer(visitor, "summed", &m->summed);
  for (uint32_t i = 0; i < m->column_count; i++) {
    char name[FOREIGN_NAME + 8];
    snprintf(name, sizeof name, "%s.width", m->columns[i].field);
    tn_visit_integer(visitor, name, &m->columns[i].width);
    tn_visit_block(visitor, m->columns[i].field, &m->columns[i].data, &m->columns[i].bytes);
  }
  return TN_OK;
}

static const tn_metric vtable = {
    .size = sizeof vtable,
    .reset = reset,
    .update = update,
    .values = values,
    .declare = declare,
    .merge = merge,
};
static const tn_param params[] = {
    FOREIGN_KEYS(metric),
    TN_STRING(metric, name, "", "name of the figure; empty: the symbol"),
    TN_CHOICE(metric, over, "all", "all|batches",
              "one call with all rows, or the mean over batches, weighted by their rows"),
};
const tn_class foreign_metric_class = {
    .size = sizeof(tn_class),
    .kind = TN_METRIC,
    .name = "foreign",
    .summary = "Figure of merit from a C function of any shared library",
    .reference = "libffi, https://sourceware.org/libffi",
    TN_CLASS_PARAMS(params),
    .instance_size = sizeof(metric),
    .vtable = &vtable,
    .create = create,
    .destroy = destroy,
    .state = state,
};
