// SPDX-License-Identifier: MIT
/* Batches with as many rows of every group: of each domain, class, or other whole number that a field holds.
 * Each group goes through its rows in a random order of its own, again and again; a batch of B rows has B / G
 * of each of the G groups (the first B mod G groups one more). An epoch ends when the largest group is
 * through. */
#include "groups.h"

struct balanced {
  const char *field;
  int64_t batch, batches, step;
  struct groups groups;
  int64_t *order;  /* (rows): of each group's present pass */
  int64_t *passes; /* (groups): drawn in `order`; -1: none */
};
static const tn_param balanced_params[] = {
    TN_STRING(struct balanced, field, "domain", "whole numbers (n) that say to which group a row belongs"),
};

static void balanced_destroy(void *self) {
  struct balanced *sampler = self;
  groups_free(&sampler->groups);
  tn_free(sampler->order);
  tn_free(sampler->passes);
  sampler->order = sampler->passes = NULL;
}

static tn_status balanced_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct balanced *sampler = self;
  balanced_destroy(sampler);
  sampler->step = 0;
  sampler->batch = batch;
  const tn_status status = groups_read(&sampler->groups, data, rows, sampler->field);
  if (status < 0) return status;
  const int64_t count = sampler->groups.count;
  sampler->order = tn_alloc((size_t)(rows + 1) * sizeof(int64_t));
  sampler->passes = tn_alloc((size_t)(count + 1) * sizeof(int64_t));
  if (!sampler->order || !sampler->passes) return TN_ERROR_MEMORY;
  int64_t largest = 0;
  for (int64_t g = 0; g < count; g++) {
    sampler->passes[g] = -1;
    const int64_t size = groups_size(&sampler->groups, g);
    if (size == 0) return tn_fail(TN_ERROR_INVALID, "no row has '%s' %lld", sampler->field, (long long)g);
    if (size > largest) largest = size;
  }
  if (batch < count)
    return tn_fail(TN_ERROR_INVALID, "a batch of %lld rows cannot hold %lld groups", (long long)batch,
                   (long long)count);
  const int64_t share = batch / count;
  sampler->batches = (largest + share - 1) / share;
  return TN_OK;
}

static int64_t balanced_batches(void *self) { return ((struct balanced *)self)->batches; }

/* The row that group `g` takes in its `position`-th turn since the beginning. */
static int64_t take(struct balanced *sampler, int64_t g, int64_t position) {
  const int64_t first = sampler->groups.first[g], size = groups_size(&sampler->groups, g);
  const int64_t pass = position / size;
  if (sampler->passes[g] != pass) {
    char stream[48];
    snprintf(stream, sizeof stream, "balanced %lld", (long long)g);
    tn_rng rng = tn_rng_at(sampler->groups.data, stream, (uint64_t)pass);
    tn_random_permutation(&rng, sampler->order + first, size);
    sampler->passes[g] = pass;
  }
  return sampler->groups.rows[first + sampler->order[first + position % size]];
}

static tn_status balanced_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct balanced *sampler = self;
  const int64_t groups = sampler->groups.count;
  const int64_t share = sampler->batch / groups, rest = sampler->batch % groups;
  int64_t at = 0;
  for (int64_t g = 0; g < groups; g++) {
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
