// SPDX-License-Identifier: MIT
/* Rows in their order, again and again: 0 .. n - 1. The last batch of a pass may be shorter. */
#include <tenon/sampler.h>

struct sequential {
  int64_t rows, batch;
  int64_t position; /* next row */
};

static tn_status sequential_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct sequential *sampler = self;
  if (rows < 1 || batch < 1)
    return tn_fail(TN_ERROR_INVALID, "'%s' has %lld rows for batches of %lld", data->name, (long long)rows,
                   (long long)batch);
  sampler->rows = rows;
  sampler->batch = batch;
  sampler->position = 0;
  return TN_OK;
}

static tn_status sequential_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct sequential *sampler = self;
  const int64_t left = sampler->rows - sampler->position;
  *count = left < sampler->batch ? left : sampler->batch;
  for (int64_t i = 0; i < *count; i++) index[i] = sampler->position + i;
  sampler->position += *count;
  *epoch_ends = sampler->position >= sampler->rows;
  if (*epoch_ends) sampler->position = 0;
  return TN_OK;
}

static tn_status sequential_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "position", &((struct sequential *)self)->position);
}

static const tn_class sequential_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "sequential",
    .summary = "Rows in the order of the data set",
    .instance_size = sizeof(struct sequential),
    .vtable = &(const tn_sampler){sizeof(tn_sampler), sequential_begin, sequential_next, NULL, NULL},
    .state = sequential_state};
TN_PLUGIN("sampler_sequential", "1.0.0", "MIT", &sequential_class)
