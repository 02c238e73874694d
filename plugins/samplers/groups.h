// SPDX-License-Identifier: MIT
/* The rows of a data set by the whole number that one of their fields holds: domain, class, or another group.
 */
#ifndef TENON_PLUGINS_GROUPS_H
#define TENON_PLUGINS_GROUPS_H

#include "plugins/datasets/each.h"
#include <stdio.h>
#include <string.h>
#include <tenon/sampler.h>

struct groups {
  char *data; /* the data set's name: part of the random key */
  int64_t count;
  int64_t *rows;  /* by group, ascending within one */
  int64_t *first; /* (count + 1): where each group begins in rows */
};

static inline void groups_free(struct groups *groups) {
  tn_free(groups->data);
  tn_free(groups->rows);
  tn_free(groups->first);
  *groups = (struct groups){0};
}

static inline int64_t groups_size(const struct groups *groups, int64_t g) {
  return groups->first[g + 1] - groups->first[g];
}

/* The data set's name, for tn_rng_at. */
static inline char *groups_name(const tn_component *data) {
  char *name = tn_alloc(strlen(data->name) + 1);
  return name ? strcpy(name, data->name) : NULL;
}

struct groups_reading {
  const char *field;
  int64_t *group; /* (rows) */
};
static inline tn_status groups_take(void *context, const tn_tensor *value, int64_t begin, int64_t count) {
  const struct groups_reading *reading = context;
  if (value->dtype != TN_I64)
    return tn_fail(TN_ERROR_SHAPE, "'%s' is not one whole number a row", reading->field);
  memcpy(reading->group + begin, tn_i64(value), (size_t)count * sizeof(int64_t));
  for (int64_t i = begin; i < begin + count; i++)
    if (reading->group[i] < 0 || reading->group[i] > 1 << 20)
      return tn_fail(TN_ERROR_INVALID, "'%s' is %lld in row %lld, expected 0 or more", reading->field,
                     (long long)reading->group[i], (long long)i);
  return TN_OK;
}

/* Sorts the rows of `data` by `field`; a group between others may be empty. The caller frees. */
static inline tn_status groups_read(struct groups *groups, const tn_component *data, int64_t rows,
                                    const char *field) {
  struct groups_reading reading = {field, tn_alloc((size_t)(rows + 1) * sizeof(int64_t))};
  groups->data = groups_name(data);
  tn_status status = reading.group && groups->data ? TN_OK : TN_ERROR_MEMORY;
  if (status >= 0) status = each_row(data, 0, rows, field, groups_take, &reading);
  for (int64_t i = 0; status >= 0 && i < rows; i++)
    if (reading.group[i] >= groups->count) groups->count = reading.group[i] + 1;
  groups->rows = tn_alloc((size_t)(rows + 1) * sizeof(int64_t));
  groups->first = tn_alloc((size_t)(groups->count + 2) * sizeof(int64_t));
  if (!groups->rows || !groups->first) status = TN_ERROR_MEMORY;
  if (status >= 0) {
    int64_t *next = groups->first + 1; /* next[g]: where the next row of group g goes */
    for (int64_t i = 0; i < rows; i++)
      if (reading.group[i] + 1 < groups->count) next[reading.group[i] + 1]++;
    for (int64_t g = 1; g < groups->count; g++) next[g] += next[g - 1];
    for (int64_t i = 0; i < rows; i++) groups->rows[next[reading.group[i]]++] = i;
  }
  tn_free(reading.group);
  return status;
}

#endif
