// SPDX-License-Identifier: MIT
/* Batches for searches. */
#ifndef TENON_PLUGINS_BATCHES_H
#define TENON_PLUGINS_BATCHES_H

#include "../stages/pass.h"
#include <tenon/search.h>

/* Batch `progress->step` of endless passes over `rows`, each in a new order, through the transforms; NULL and
 * an error if that fails. order: room for `count` numbers. search: "search.darts", and stream: keys of the
 * random order. */
static inline tn_fields *search_batch(const tn_search_setting *setting, const char *search,
                                      const char *stream, const int64_t *rows, int64_t count, int64_t *order,
                                      const tn_progress *progress) {
  const int64_t size = setting->batch < count ? setting->batch : count, batches = count / size;
  tn_rng rng = tn_rng_at(search, stream, (uint64_t)(progress->step / batches));
  tn_random_permutation(&rng, order, count);
  int64_t *index = order + progress->step % batches * size;
  for (int64_t i = 0; i < size; i++) index[i] = rows[index[i]];
  tn_fields *fields = tn_fields_new();
  if (tn_dataset_read(setting->data, index, size, fields) < 0) return NULL;
  if (pass_transform(setting->transforms, NULL, fields, index, progress) < 0) return NULL;
  return fields;
}

#endif
