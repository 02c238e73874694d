// SPDX-License-Identifier: MIT
/* Batches with as many rows of every group: of each domain, class, or other whole number that a field holds.
 * Each group goes through its rows in a random order of its own, again and again; a batch of B rows has B / G
 * of each of the G groups (the first B mod G groups one more). An epoch ends when the largest group is
 * through. */
#include <stdio.h>
#include <string.h>
#include <tenon/dataset.h>
#include <tenon/sampler.h>

struct balanced {
  const char *field;
  char *data; /* the data set's name: part of the random key */
  int64_t batch, groups, batches, step;
  int64_t *rows;   /* by group */
  int64_t *first;  /* (groups + 1): where each group begins in rows */
  int64_t *order;  /* (rows): of each group's present pass */
  int64_t *passes; /* (groups): drawn in `order`; -1: none */
};
static const tn_param balanced_params[] = {
    TN_STRING(struct balanced, field, "domain", "whole numbers (n) that say to which group a row belongs"),
};

static void balanced_destroy(void *self) {
  struct balanced *sampler = self;
  tn_free(sampler->data);
  tn_free(sampler->rows);
  tn_free(sampler->first);
  tn_free(sampler->order);
  tn_free(sampler->passes);
  sampler->data = NULL;
  sampler->rows = sampler->first = sampler->order = sampler->passes = NULL;
}

/* The group of every row. */
static tn_status read_groups(const struct balanced *sampler, const tn_component *data, int64_t rows,
                             int64_t *group) {
  enum { CHUNK = 512 };
  int64_t index[CHUNK];
  for (int64_t begin = 0; begin < rows; begin += CHUNK) {
    const int64_t count = rows - begin < CHUNK ? rows - begin : CHUNK;
    for (int64_t i = 0; i < count; i++) index[i] = begin + i;
    tn_scope_open();
    tn_fields *fields = tn_fields_new();
    tn_status status = tn_dataset_read(data, index, count, fields);
    const tn_tensor *number = status < 0 ? NULL : tn_field(fields, sampler->field);
    if (number && !tn_poisoned(number) && (number->dtype != TN_I64 || tn_numel(number) != count))
      status = tn_fail(TN_ERROR_SHAPE, "'%s' is not one whole number a row", sampler->field);
    if (status >= 0) status = tn_outcome();
    if (status >= 0) memcpy(group + begin, tn_i64(number), (size_t)count * sizeof *group);
    tn_scope_close();
    if (status < 0) return status;
  }
  return TN_OK;
}

static tn_status sort_rows(struct balanced *sampler, const int64_t *group, int64_t rows) {
  for (int64_t i = 0; i < rows; i++) {
    if (group[i] < 0 || group[i] > 1 << 20)
      return tn_fail(TN_ERROR_INVALID, "'%s' is %lld in row %lld, expected 0 or more", sampler->field,
                     (long long)group[i], (long long)i);
    if (group[i] >= sampler->groups) sampler->groups = group[i] + 1;
  }
  sampler->first = tn_alloc((size_t)(sampler->groups + 1) * sizeof(int64_t));
  sampler->passes = tn_alloc((size_t)sampler->groups * sizeof(int64_t));
  sampler->rows = tn_alloc((size_t)rows * sizeof(int64_t));
  sampler->order = tn_alloc((size_t)rows * sizeof(int64_t));
  if (!sampler->first || !sampler->passes || !sampler->rows || !sampler->order) return TN_ERROR_MEMORY;
  int64_t largest = 0, at = 0;
  for (int64_t g = 0; g < sampler->groups; g++) {
    sampler->first[g] = at;
    sampler->passes[g] = -1;
    for (int64_t i = 0; i < rows; i++)
      if (group[i] == g) sampler->rows[at++] = i;
    const int64_t size = at - sampler->first[g];
    if (size == 0) return tn_fail(TN_ERROR_INVALID, "no row has '%s' %lld", sampler->field, (long long)g);
    if (size > largest) largest = size;
  }
  sampler->first[sampler->groups] = at;
  if (sampler->batch < sampler->groups)
    return tn_fail(TN_ERROR_INVALID, "a batch of %lld rows cannot hold %lld groups",
                   (long long)sampler->batch, (long long)sampler->groups);
  const int64_t share = sampler->batch / sampler->groups;
  sampler->batches = (largest + share - 1) / share;
  return TN_OK;
}

static tn_status balanced_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct balanced *sampler = self;
  balanced_destroy(sampler);
  sampler->groups = sampler->step = 0;
  sampler->batch = batch;
  const size_t length = strlen(data->name);
  int64_t *group = tn_alloc((size_t)(rows > 0 ? rows : 1) * sizeof *group);
  sampler->data = tn_alloc(length + 1);
  tn_status status = group && sampler->data ? TN_OK : TN_ERROR_MEMORY;
  if (status >= 0) memcpy(sampler->data, data->name, length);
  if (status >= 0) status = read_groups(sampler, data, rows, group);
  if (status >= 0) status = sort_rows(sampler, group, rows);
  tn_free(group);
  return status;
}

static int64_t balanced_batches(void *self) { return ((struct balanced *)self)->batches; }

/* The row that group `g` takes in its `position`-th turn since the beginning. */
static int64_t take(struct balanced *sampler, int64_t g, int64_t position) {
  const int64_t first = sampler->first[g], size = sampler->first[g + 1] - first, pass = position / size;
  if (sampler->passes[g] != pass) {
    char stream[48];
    snprintf(stream, sizeof stream, "balanced %lld", (long long)g);
    tn_rng rng = tn_rng_at(sampler->data, stream, (uint64_t)pass);
    tn_random_permutation(&rng, sampler->order + first, size);
    sampler->passes[g] = pass;
  }
  return sampler->rows[first + sampler->order[first + position % size]];
}

static tn_status balanced_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct balanced *sampler = self;
  const int64_t share = sampler->batch / sampler->groups, rest = sampler->batch % sampler->groups;
  int64_t at = 0;
  for (int64_t g = 0; g < sampler->groups; g++) {
    const int64_t own = share + (g < rest);
    for (int64_t i = 0; i < own; i++) index[at++] = take(sampler, g, sampler->step * own + i);
  }
  *count = at;
  *epoch_ends = ++sampler->step % sampler->batches == 0;
  return TN_OK;
}

static tn_status balanced_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct balanced *)self)->step);
}

static const tn_class balanced_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "balanced",
    .summary = "As many rows of every domain, class or other group in each batch",
    .reference = "Gulrajani and Lopez-Paz 2021, In search of lost domain generalization",
    TN_CLASS_PARAMS(balanced_params),
    .instance_size = sizeof(struct balanced),
    .vtable = &(const tn_sampler){sizeof(tn_sampler), balanced_begin, balanced_next, balanced_batches, NULL},
    .destroy = balanced_destroy,
    .state = balanced_state};
TN_PLUGIN("sampler_balanced", "1.0.0", "MIT", &balanced_class)
