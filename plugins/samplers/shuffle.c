// SPDX-License-Identifier: MIT
/* Every row once an epoch, in a fresh random order (sampling without replacement).
 *
 * The order of epoch e is the permutation drawn from (seed, data set, "shuffle", e): the state is two
 * numbers, and a resumed run draws what the undisturbed one would have drawn. */
#include <string.h>
#include <tenon/sampler.h>

struct shuffle {
  bool drop_last;
  char *data; /* the data set's name: part of the random key */
  int64_t rows, batch;
  int64_t epoch, position;
  int64_t *order; /* rows of epoch `drawn` */
  int64_t drawn;  /* -1: none */
};
static const tn_param shuffle_params[] = {
    TN_BOOL(struct shuffle, drop_last, "no",
            "leave out an epoch's last batch if it is shorter than the others"),
};

static void shuffle_destroy(void *self) {
  struct shuffle *sampler = self;
  tn_free(sampler->data);
  tn_free(sampler->order);
}

static tn_status shuffle_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct shuffle *sampler = self;
  if (rows < 1 || batch < 1)
    return tn_fail(TN_ERROR_INVALID, "'%s' has %lld rows for batches of %lld", data->name, (long long)rows,
                   (long long)batch);
  shuffle_destroy(sampler);
  const size_t length = strlen(data->name);
  sampler->data = tn_alloc(length + 1);
  sampler->order = tn_alloc((size_t)rows * sizeof(int64_t));
  if (!sampler->data || !sampler->order) return TN_ERROR_MEMORY;
  memcpy(sampler->data, data->name, length);
  sampler->rows = rows;
  sampler->batch = batch < rows ? batch : rows;
  sampler->epoch = sampler->position = 0;
  sampler->drawn = -1;
  return TN_OK;
}

static int64_t shuffle_batches(void *self) {
  const struct shuffle *sampler = self;
  const int64_t whole = sampler->rows / sampler->batch;
  return sampler->drop_last || sampler->rows % sampler->batch == 0 ? whole : whole + 1;
}

static tn_status shuffle_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct shuffle *sampler = self;
  if (sampler->drawn != sampler->epoch) {
    tn_rng rng = tn_rng_at(sampler->data, "shuffle", (uint64_t)sampler->epoch);
    tn_random_permutation(&rng, sampler->order, sampler->rows);
    sampler->drawn = sampler->epoch;
  }
  const int64_t left = sampler->rows - sampler->position;
  *count = left < sampler->batch ? left : sampler->batch;
  memcpy(index, sampler->order + sampler->position, (size_t)*count * sizeof *index);
  sampler->position += *count;
  *epoch_ends = sampler->rows - sampler->position < (sampler->drop_last ? sampler->batch : 1);
  if (*epoch_ends) {
    sampler->epoch++;
    sampler->position = 0;
  }
  return TN_OK;
}

static tn_status shuffle_state(void *self, const tn_visitor *visitor) {
  struct shuffle *sampler = self;
  if (visitor->loading) sampler->drawn = -1;
  tn_visit_integer(visitor, "epoch", &sampler->epoch);
  return tn_visit_integer(visitor, "position", &sampler->position);
}

static const tn_class shuffle_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "shuffle",
    .summary = "Every row once an epoch, in a fresh random order",
    TN_CLASS_PARAMS(shuffle_params),
    .instance_size = sizeof(struct shuffle),
    .vtable = &(const tn_sampler){sizeof(tn_sampler), shuffle_begin, shuffle_next, shuffle_batches, NULL},
    .destroy = shuffle_destroy,
    .state = shuffle_state};
TN_PLUGIN("sampler_shuffle", "1.0.0", "MIT", &shuffle_class)
