// SPDX-License-Identifier: MIT
/* P x K: each batch has `samples` rows of each of `classes` classes, for losses that compare rows (triplets,
 * contrastive). The classes of a batch are drawn without replacement; so are a class's rows, unless it has
 * fewer than `samples`. An epoch has as many rows as the data set. */
#include "groups.h"

struct pk {
  const char *field;
  int64_t classes, samples, step;
  struct groups groups;
  int64_t rows, present;
  int64_t *chosen; /* (groups): those with rows first; scratch for drawing */
  int64_t *picked; /* (rows): scratch for drawing */
};
static const tn_param pk_params[] = {
    TN_INTEGER(struct pk, classes, "8", 1, 1 << 20, NULL, "P: classes a batch"),
    TN_INTEGER(struct pk, samples, "4", 1, 1 << 20, NULL, "K: rows of each"),
    TN_STRING(struct pk, field, "label", "whole numbers (n): the classes"),
};

static void pk_destroy(void *self) {
  struct pk *sampler = self;
  groups_free(&sampler->groups);
  tn_free(sampler->chosen);
  tn_free(sampler->picked);
  sampler->chosen = sampler->picked = NULL;
}

static tn_status pk_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct pk *sampler = self;
  pk_destroy(sampler);
  sampler->step = sampler->present = 0;
  sampler->rows = rows;
  if (batch < sampler->classes * sampler->samples)
    return tn_fail(TN_ERROR_INVALID, "a batch of %lld rows cannot hold %lld rows of %lld classes",
                   (long long)batch, (long long)sampler->samples, (long long)sampler->classes);
  const tn_status status = groups_read(&sampler->groups, data, rows, sampler->field);
  if (status < 0) return status;
  const int64_t count = sampler->groups.count;
  sampler->chosen = tn_alloc((size_t)(count + 1) * sizeof(int64_t));
  sampler->picked = tn_alloc((size_t)(rows + 1) * sizeof(int64_t));
  if (!sampler->chosen || !sampler->picked) return TN_ERROR_MEMORY;
  for (int64_t g = 0; g < count; g++) sampler->present += groups_size(&sampler->groups, g) > 0;
  if (sampler->present < sampler->classes)
    return tn_fail(TN_ERROR_INVALID, "%lld classes a batch are wanted, '%s' has %lld",
                   (long long)sampler->classes, data->name, (long long)sampler->present);
  return TN_OK;
}

static int64_t pk_batches(void *self) {
  const struct pk *sampler = self;
  const int64_t size = sampler->classes * sampler->samples;
  return (sampler->rows + size - 1) / size;
}

/* Puts `wanted` random ones of items[0 .. count) to the front (Fisher and Yates, stopped early). */
static void draw(tn_rng *rng, int64_t *items, int64_t count, int64_t wanted) {
  for (int64_t i = 0; i < wanted; i++) {
    const int64_t other = i + (int64_t)tn_random_below(rng, (uint64_t)(count - i)), swapped = items[i];
    items[i] = items[other];
    items[other] = swapped;
  }
}

static tn_status pk_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct pk *sampler = self;
  const struct groups *groups = &sampler->groups;
  tn_rng rng = tn_rng_at(groups->data, "pk", (uint64_t)sampler->step);
  int64_t present = 0, at = 0;
  for (int64_t g = 0; g < groups->count; g++)
    if (groups_size(groups, g) > 0) sampler->chosen[present++] = g;
  draw(&rng, sampler->chosen, present, sampler->classes);
  for (int64_t p = 0; p < sampler->classes; p++) {
    const int64_t *own = groups->rows + groups->first[sampler->chosen[p]];
    const int64_t size = groups_size(groups, sampler->chosen[p]);
    memcpy(sampler->picked, own, (size_t)size * sizeof *own);
    if (size >= sampler->samples) draw(&rng, sampler->picked, size, sampler->samples);
    for (int64_t k = 0; k < sampler->samples; k++)
      index[at++] =
          size >= sampler->samples ? sampler->picked[k] : own[tn_random_below(&rng, (uint64_t)size)];
  }
  *count = at;
  *epoch_ends = ++sampler->step % pk_batches(sampler) == 0;
  return TN_OK;
}

static tn_status pk_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct pk *)self)->step);
}

static const tn_class pk_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "pk",
    .summary = "P classes with K rows each in every batch",
    .reference = "Hermans, Beyer and Leibe 2017, In defense of the triplet loss for person re-identification",
    TN_CLASS_PARAMS(pk_params),
    .instance_size = sizeof(struct pk),
    .vtable = &(const tn_sampler){sizeof(tn_sampler), pk_begin, pk_next, pk_batches, NULL},
    .destroy = pk_destroy,
    .state = pk_state};
TN_PLUGIN("sampler_pk", "1.0.0", "MIT", &pk_class)
