// SPDX-License-Identifier: MIT
/* Exact nearest neighbours by cosine among vectors that only grow in number: blocks of 16,384, each searched
 * by one product with the queries, the best of all blocks merged. Vectors are normalised by whoever adds
 * them. */
#ifndef TENON_PLUGINS_FLAT_INDEX_H
#define TENON_PLUGINS_FLAT_INDEX_H

#include <string.h>
#include <tenon/plugin.h>

enum { FLAT_BLOCK = 16384 };

struct flat_index {
  int64_t width, count;
  tn_tensor **blocks; /* (FLAT_BLOCK, width) each */
  int64_t block_count;
};

static inline void flat_index_clear(struct flat_index *index) {
  for (int64_t b = 0; b < index->block_count; b++) tn_release(index->blocks[b]);
  tn_free(index->blocks);
  *index = (struct flat_index){0, 0, NULL, 0};
}

static inline tn_status flat_index_add(struct flat_index *index, const tn_tensor *vectors) {
  const int64_t n = tn_dim(vectors, 0), width = tn_dim(vectors, 1);
  const size_t row = (size_t)width * (vectors->dtype == TN_F64 ? sizeof(double) : sizeof(float));
  if (index->count == 0) index->width = width;
  for (int64_t i = 0; i < n; i++) {
    const int64_t block = index->count / FLAT_BLOCK;
    if (block == index->block_count) {
      tn_tensor **blocks = tn_resize(index->blocks, (size_t)(block + 1) * sizeof *blocks);
      if (!blocks) return TN_ERROR_MEMORY;
      index->blocks = blocks;
      tn_scope_open();
      blocks[block] = tn_persist(tn_zeros(vectors->dtype, TN_SHAPE(FLAT_BLOCK, width)));
      tn_scope_close();
      if (!blocks[block]) return TN_ERROR_MEMORY;
      index->block_count++;
    }
    memcpy((char *)tn_data(index->blocks[block]) + (size_t)(index->count % FLAT_BLOCK) * row,
           (const char *)tn_data((tn_tensor *)(uintptr_t)vectors) + (size_t)i * row, row);
    index->count++;
  }
  return TN_OK;
}

/* Forgets all but the first `count`. */
static inline void flat_index_truncate(struct flat_index *index, int64_t count) {
  if (count < index->count) index->count = count;
}

/* Overwrites vector `at`. */
static inline void flat_index_set(struct flat_index *index, int64_t at, const tn_tensor *vectors, int64_t i) {
  const size_t row = (size_t)index->width * (vectors->dtype == TN_F64 ? sizeof(double) : sizeof(float));
  memcpy((char *)tn_data(index->blocks[at / FLAT_BLOCK]) + (size_t)(at % FLAT_BLOCK) * row,
         (const char *)tn_data((tn_tensor *)(uintptr_t)vectors) + (size_t)i * row, row);
}

/* Vector `at`, into `vector` (width). */
static inline void flat_index_get(const struct flat_index *index, int64_t at, double *vector) {
  const tn_tensor *block = index->blocks[at / FLAT_BLOCK];
  const int64_t first = at % FLAT_BLOCK * index->width;
  for (int64_t d = 0; d < index->width; d++)
    vector[d] = block->dtype == TN_F64 ? tn_f64(block)[first + d] : (double)tn_f32(block)[first + d];
}

/* The k largest cosines of each query, largest first, and whose they are: both (n, k), the caller's. `k` must
 * not exceed the count. Equal cosines: the older one first. */
static inline tn_status flat_index_search(const struct flat_index *index, tn_tensor *queries, int64_t k,
                                          double *cosine, int64_t *which) {
  const int64_t n = tn_dim(queries, 0);
  int64_t *found = tn_alloc((size_t)n * sizeof *found);
  if (!found) return TN_ERROR_MEMORY;
  for (int64_t b = 0; b * FLAT_BLOCK < index->count && !tn_failed(); b++) {
    const int64_t left = index->count - b * FLAT_BLOCK, size = left < FLAT_BLOCK ? left : FLAT_BLOCK;
    const int64_t wanted = k < size ? k : size;
    tn_tensor *keys = size == FLAT_BLOCK ? index->blocks[b] : tn_slice(index->blocks[b], 0, 0, size);
    tn_tensor *values, *places; /* (n, wanted) */
    tn_nearest_neighbours(TN_INNER_PRODUCT, queries, keys, wanted, &values, &places);
    tn_tensor *real = tn_cast(values, TN_F64);
    for (int64_t i = 0; i < n && !tn_failed(); i++)
      for (int64_t j = 0; j < wanted; j++) {
        const double value = tn_f64(real)[i * wanted + j];
        double *row = cosine + i * k;
        int64_t *owner = which + i * k;
        if (found[i] == k && value <= row[k - 1]) break;
        int64_t at = found[i] < k ? found[i]++ : k - 1;
        for (; at > 0 && row[at - 1] < value; at--) row[at] = row[at - 1], owner[at] = owner[at - 1];
        row[at] = value;
        owner[at] = b * FLAT_BLOCK + tn_i64(places)[i * wanted + j];
      }
  }
  tn_free(found);
  return tn_outcome();
}

#endif
