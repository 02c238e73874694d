// SPDX-License-Identifier: MIT
/* Every row once an epoch, with each class's share in every batch. Within its class a row has a random place
 * j = 0, 1, ...; the epoch's order is that of (j + u) / n over all classes, n the class's size and u a number
 * in [0, 1) drawn for the class, so that any stretch holds each class to within one row of its share. */
#include "groups.h"
#include <stdlib.h>

struct place {
  double at;
  int64_t row;
};
struct stratified {
  const char *field;
  struct groups groups;
  int64_t rows, batch, epoch, position, drawn;
  struct place *order; /* (rows): of epoch `drawn` */
  int64_t *turn;       /* (rows): scratch */
};
static const tn_param stratified_params[] = {
    TN_STRING(struct stratified, field, "label", "whole numbers (n): the classes"),
};

static void stratified_destroy(void *self) {
  struct stratified *sampler = self;
  groups_free(&sampler->groups);
  tn_free(sampler->order);
  tn_free(sampler->turn);
  sampler->order = NULL;
  sampler->turn = NULL;
}

static tn_status stratified_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct stratified *sampler = self;
  stratified_destroy(sampler);
  sampler->rows = rows;
  sampler->batch = batch < rows ? batch : rows;
  sampler->epoch = sampler->position = 0;
  sampler->drawn = -1;
  sampler->order = tn_alloc((size_t)(rows + 1) * sizeof *sampler->order);
  sampler->turn = tn_alloc((size_t)(rows + 1) * sizeof *sampler->turn);
  if (!sampler->order || !sampler->turn) return TN_ERROR_MEMORY;
  return groups_read(&sampler->groups, data, rows, sampler->field);
}

static int64_t stratified_batches(void *self) {
  const struct stratified *sampler = self;
  return (sampler->rows + sampler->batch - 1) / sampler->batch;
}

static int by_place(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->row > y->row) - (x->row < y->row);
}

static void draw_epoch(struct stratified *sampler) {
  const struct groups *groups = &sampler->groups;
  tn_rng rng = tn_rng_at(groups->data, "stratified", (uint64_t)sampler->epoch);
  for (int64_t g = 0; g < groups->count; g++) {
    const int64_t first = groups->first[g], size = groups_size(groups, g);
    const double shift = tn_random_uniform(&rng);
    tn_random_permutation(&rng, sampler->turn, size);
    for (int64_t j = 0; j < size; j++)
      sampler->order[first + j] =
          (struct place){((double)j + shift) / (double)size, groups->rows[first + sampler->turn[j]]};
  }
  qsort(sampler->order, (size_t)sampler->rows, sizeof *sampler->order, by_place);
  sampler->drawn = sampler->epoch;
}

static tn_status stratified_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct stratified *sampler = self;
  if (sampler->drawn != sampler->epoch) draw_epoch(sampler);
  const int64_t left = sampler->rows - sampler->position;
  *count = left < sampler->batch ? left : sampler->batch;
  for (int64_t i = 0; i < *count; i++) index[i] = sampler->order[sampler->position + i].row;
  sampler->position += *count;
  *epoch_ends = sampler->position == sampler->rows;
  if (*epoch_ends) {
    sampler->epoch++;
    sampler->position = 0;
  }
  return TN_OK;
}

static tn_status stratified_state(void *self, const tn_visitor *visitor) {
  struct stratified *sampler = self;
  if (visitor->loading) sampler->drawn = -1;
  tn_visit_integer(visitor, "epoch", &sampler->epoch);
  return tn_visit_integer(visitor, "position", &sampler->position);
}

static const tn_class stratified_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "stratified",
    .summary = "Every row once an epoch, each class with its share of every batch",
    TN_CLASS_PARAMS(stratified_params),
    .instance_size = sizeof(struct stratified),
    .vtable =
        &(const tn_sampler){sizeof(tn_sampler), stratified_begin, stratified_next, stratified_batches, NULL},
    .destroy = stratified_destroy,
    .state = stratified_state};
TN_PLUGIN("sampler_stratified", "1.0.0", "MIT", &stratified_class)
