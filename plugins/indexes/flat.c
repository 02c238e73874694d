// SPDX-License-Identifier: MIT
/* Exact search (Johnson, Douze and Jegou 2017, Billion-scale similarity search with GPUs, the flat index):
 * vectors lie in blocks; each block gives its k best for every query by products with all of it, and the
 * lists of the blocks are merged. */
#include <stdio.h>
#include <string.h>
#include <tenon/index.h>

enum {
  TILE = 1024,   /* keys of one product in tn_nearest_neighbours. Blocks are whole tiles: every block size
                    makes the same products, so results do not depend on it by a bit */
  LARGEST = 4096 /* k of tn_nearest_neighbours */
};

struct flat {
  int64_t block; /* vectors of one */

  int64_t count, block_count;
  tn_tensor **blocks; /* (block, width) each */
};
static const tn_param flat_params[] = {
    TN_INTEGER(struct flat, block, "4096", TILE, 1 << 20, "vectors",
               "searched and allocated at a time: a multiple of 1024; results do not depend on it"),
};

static tn_status flat_create(void *self) {
  const struct flat *index = self;
  return index->block % TILE == 0
             ? TN_OK
             : tn_fail(TN_ERROR_INVALID, "block = %lld is no multiple of %d", (long long)index->block, TILE);
}

static void flat_clear(void *self) {
  struct flat *index = self;
  for (int64_t b = 0; b < index->block_count; b++)
    if (index->blocks[b]) tn_release(index->blocks[b]);
  tn_free(index->blocks);
  index->blocks = NULL;
  index->count = index->block_count = 0;
}

static int64_t flat_count(void *self) { return ((struct flat *)self)->count; }
static bool flat_exact(void *self) { return (void)self, true; }

static size_t element(const tn_tensor *x) { return x->dtype == TN_F64 ? sizeof(double) : sizeof(float); }

/* Rows that can be compared with what the index holds? */
static tn_status expect_rows(const struct flat *index, const tn_tensor *x) {
  if (tn_ndim(x) != 2 || (x->dtype != TN_F32 && x->dtype != TN_F64))
    return tn_fail(TN_ERROR_SHAPE, "rows (n, width) of float32 or float64 expected");
  const tn_tensor *own = index->count > 0 ? index->blocks[0] : x;
  if (tn_dim(x, 1) != tn_dim(own, 1))
    return tn_fail(TN_ERROR_SHAPE, "vectors of width %lld, but the index holds vectors of width %lld",
                   (long long)tn_dim(x, 1), (long long)tn_dim(own, 1));
  if (x->dtype != own->dtype)
    return tn_fail(TN_ERROR_SHAPE, "vectors of float%zu, but the index holds vectors of float%zu",
                   8 * element(x), 8 * element(own));
  return TN_OK;
}

/* Blocks for `count` vectors like those of `x`. */
static tn_status reserve(struct flat *index, int64_t count, const tn_tensor *x) {
  const int64_t needed = (count + index->block - 1) / index->block;
  if (needed <= index->block_count) return TN_OK;
  tn_tensor **blocks = tn_resize(index->blocks, (size_t)needed * sizeof *blocks);
  if (!blocks) return TN_ERROR_MEMORY;
  index->blocks = blocks;
  while (index->block_count < needed) {
    tn_scope_open();
    tn_tensor *block = tn_persist(tn_zeros(x->dtype, TN_SHAPE(index->block, tn_dim(x, 1))));
    tn_scope_close();
    if (!block) return TN_ERROR_MEMORY;
    blocks[index->block_count++] = block;
  }
  return TN_OK;
}

/* Puts vectors (n, width) where those from `first` on are or will be. */
static void write_rows(const struct flat *index, int64_t first, const tn_tensor *vectors) {
  const int64_t n = tn_dim(vectors, 0);
  const size_t row = (size_t)tn_dim(vectors, 1) * element(vectors);
  for (int64_t done = 0, size; done < n; done += size) {
    const int64_t at = (first + done) % index->block, room = index->block - at;
    size = n - done < room ? n - done : room;
    memcpy((char *)tn_data(index->blocks[(first + done) / index->block]) + (size_t)at * row,
           (const char *)tn_data(vectors) + (size_t)done * row, (size_t)size * row);
  }
}

static tn_status flat_append(void *self, const tn_tensor *vectors) {
  struct flat *index = self;
  tn_status status = expect_rows(index, vectors);
  if (status < 0) return status;
  const tn_tensor *former = index->block_count > 0 ? index->blocks[0] : NULL;
  if (former && (former->dtype != vectors->dtype || tn_dim(former, 1) != tn_dim(vectors, 1)))
    flat_clear(index); /* empty, with blocks from before it was truncated */
  status = reserve(index, index->count + tn_dim(vectors, 0), vectors);
  if (status < 0) return status;
  write_rows(index, index->count, vectors);
  index->count += tn_dim(vectors, 0);
  return TN_OK;
}

static tn_status flat_set(void *self, int64_t first, const tn_tensor *vectors) {
  const struct flat *index = self;
  const tn_status status = expect_rows(index, vectors);
  if (status < 0) return status;
  if (first < 0 || first > index->count - tn_dim(vectors, 0))
    return tn_fail(TN_ERROR_INVALID, "%lld vectors from number %lld on, but the index holds %lld",
                   (long long)tn_dim(vectors, 0), (long long)first, (long long)index->count);
  write_rows(index, first, vectors);
  return TN_OK;
}

static tn_status flat_truncate(void *self, int64_t count) {
  struct flat *index = self;
  if (count < 0) return tn_fail(TN_ERROR_INVALID, "an index of %lld vectors", (long long)count);
  if (count < index->count) index->count = count;
  return TN_OK;
}

static tn_status flat_get(void *self, const tn_tensor *numbers, tn_tensor **vectors) {
  const struct flat *index = self;
  if (numbers->dtype != TN_I64 || tn_ndim(numbers) != 1 || index->count == 0)
    return tn_fail(TN_ERROR_INVALID, "int64 numbers (m) of an index that holds vectors expected");
  const int64_t m = tn_numel(numbers), width = tn_dim(index->blocks[0], 1);
  const size_t row = (size_t)width * element(index->blocks[0]);
  *vectors = tn_empty(index->blocks[0]->dtype, TN_SHAPE(m, width));
  for (int64_t i = 0; i < m && !tn_failed(); i++) {
    const int64_t at = tn_i64(numbers)[i];
    if (at < 0 || at >= index->count)
      return tn_fail(TN_ERROR_INVALID, "number %lld, but the index holds %lld vectors", (long long)at,
                     (long long)index->count);
    memcpy((char *)tn_data(*vectors) + (size_t)i * row,
           (const char *)tn_data(index->blocks[at / index->block]) + (size_t)(at % index->block) * row, row);
  }
  return tn_outcome();
}

/* ---- search ---- */

/* For each query a list, largest first. */
struct found {
  int64_t length;
  tn_tensor *products, *numbers; /* (n, length), float64 and int64 */
};

/* The best of vectors [first, first + size) of a block, by numbers from 0 on. */
static tn_status search_rows(tn_tensor *block, int64_t first, int64_t size, tn_tensor *queries, int64_t k,
                             struct found *found) {
  tn_tensor *products, *rows = size == tn_dim(block, 0) ? block : tn_slice(block, 0, first, first + size);
  const int64_t length = k < size ? k : size;
  tn_nearest_neighbours(TN_INNER_PRODUCT, queries, rows, length, &products, &found->numbers);
  found->length = length;
  found->products = tn_cast(products, TN_F64);
  for (int64_t i = 0; !tn_failed() && i < tn_dim(queries, 0); i++)
    if (tn_i64(found->numbers)[(i + 1) * length - 1] < 0) /* what is not a number is never found */
      return tn_fail(TN_ERROR_DIVERGED, "a product of query %lld is not a number", (long long)i);
  return tn_outcome();
}

/* The k best of older vectors and of newer ones, whose numbers begin at `first`; of equal ones the older. */
static struct found merge(const struct found *older, const struct found *newer, int64_t first, int64_t k) {
  const int64_t n = tn_dim(older->numbers, 0), both = older->length + newer->length;
  const int64_t length = k < both ? k : both;
  const struct found all = {length, tn_empty(TN_F64, TN_SHAPE(n, length)),
                            tn_empty(TN_I64, TN_SHAPE(n, length))};
  for (int64_t i = 0; !tn_failed() && i < n; i++) {
    const double *x = tn_f64(older->products) + i * older->length;
    const double *y = tn_f64(newer->products) + i * newer->length;
    for (int64_t j = 0, a = 0, b = 0; j < length; j++) {
      const bool old = b == newer->length || (a < older->length && x[a] >= y[b]);
      tn_f64(all.products)[i * length + j] = old ? x[a] : y[b];
      tn_i64(all.numbers)[i * length + j] = old ? tn_i64(older->numbers)[i * older->length + a]
                                                : tn_i64(newer->numbers)[i * newer->length + b] + first;
      old ? a++ : b++;
    }
  }
  return all;
}

static tn_status flat_search(void *self, tn_tensor *queries, int64_t k, tn_tensor **products,
                             tn_tensor **numbers) {
  const struct flat *index = self;
  if (k < 1 || k > index->count)
    return tn_fail(TN_ERROR_INVALID, "k = %lld, but the index holds %lld vectors", (long long)k,
                   (long long)index->count);
  tn_status status = expect_rows(index, queries);
  const int64_t piece = k > LARGEST && index->block > LARGEST ? LARGEST : index->block;
  struct found best = {0, NULL, NULL};
  for (int64_t first = 0, size; status >= 0 && first < index->count; first += size) {
    const int64_t at = first % index->block;
    size = index->block - at < piece ? index->block - at : piece;
    if (size > index->count - first) size = index->count - first;
    struct found found;
    status = search_rows(index->blocks[first / index->block], at, size, queries, k, &found);
    if (status >= 0) best = first == 0 ? found : merge(&best, &found, first, k);
    if (status >= 0) status = tn_outcome();
  }
  if (status < 0) return status;
  *products = tn_cast(best.products, queries->dtype);
  *numbers = best.numbers;
  return tn_outcome();
}

/* ---- state ---- */

static tn_status damaged(struct flat *index) {
  flat_clear(index);
  return tn_fail(TN_ERROR_INVALID, "the saved index is damaged, or has other blocks");
}

static tn_status flat_state(void *self, const tn_visitor *visitor) {
  struct flat *index = self;
  int64_t count = index->count;
  tn_status status = tn_visit_integer(visitor, "count", &count);
  if (status < 0) return status;
  if (count < 0 || count / index->block >= 1 << 20) return damaged(index);
  const int64_t used = (count + index->block - 1) / index->block;
  if (visitor->loading) {
    flat_clear(index);
    if (used > 0 && !(index->blocks = tn_alloc((size_t)used * sizeof *index->blocks))) return TN_ERROR_MEMORY;
    index->block_count = used;
  }
  for (int64_t b = 0; status >= 0 && b < used; b++) {
    char name[32];
    snprintf(name, sizeof name, "block.%lld", (long long)b);
    status = tn_visit_tensor(visitor, name, &index->blocks[b]);
    const tn_tensor *block = index->blocks[b], *first = index->blocks[0];
    if (status >= 0 && (!block || tn_ndim(block) != 2 || tn_dim(block, 0) != index->block ||
                        tn_dim(block, 1) != tn_dim(first, 1) || block->dtype != first->dtype ||
                        (block->dtype != TN_F32 && block->dtype != TN_F64)))
      return damaged(index);
  }
  if (status < 0 && visitor->loading)
    flat_clear(index);
  else
    index->count = count;
  return status;
}

static const tn_class flat_class = {
    .size = sizeof(tn_class),
    .kind = TN_INDEX,
    .name = "flat",
    .summary = "Exact largest inner products, by products with every vector",
    .reference = "Johnson, Douze and Jegou 2017, Billion-scale similarity search with GPUs",
    TN_CLASS_PARAMS(flat_params),
    .instance_size = sizeof(struct flat),
    .vtable = &(const tn_index){sizeof(tn_index), flat_clear, flat_append, flat_count, flat_search, flat_get,
                                flat_set, flat_truncate, flat_exact},
    .create = flat_create,
    .destroy = flat_clear,
    .state = flat_state};
TN_PLUGIN("index_flat", "1.0.0", "MIT", &flat_class)
