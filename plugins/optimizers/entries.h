// SPDX-License-Identifier: MIT
/* The trainable tensors of parameter sets, one by one: for methods that treat each tensor as a whole (norms,
 * matrices), and for finding in a fused pass which tensors a run belongs to. */
#ifndef TENON_PLUGINS_ENTRIES_H
#define TENON_PLUGINS_ENTRIES_H

#include <string.h>
#include <tenon/optimizer.h>

enum { ENTRY_SETS = 4 };
struct entry {
  const char *name; /* belongs to the set */
  tn_group group;
  tn_tensor *of[ENTRY_SETS]; /* the same tensor of each set, in the order given */
  double factor;             /* the method's: what it has found out about this tensor, 1 at first */
  int64_t place;             /* the method's: where this tensor's part of further state is, 0 at first */
};
struct entries {
  struct entry *items; /* in the order of the sets */
  uint32_t *order;     /* indices of items by their address in the first set */
  uint32_t count;
};

static inline void entries_release(struct entries *entries) {
  tn_free(entries->items);
  tn_free(entries->order);
  memset(entries, 0, sizeof *entries);
}

/* The next trainable entry of `set` at or behind *index, which is moved past it. */
static inline bool entries_next(const tn_params *set, uint32_t *index, tn_param_entry *entry) {
  while (*index < tn_params_count(set)) {
    if (tn_params_entry(set, (*index)++, entry) < 0) return false;
    if (entry->group == TN_DECAY || entry->group == TN_NO_DECAY) return true;
  }
  return false;
}

static inline tn_status entries_allocate(struct entries *entries, const tn_params *set) {
  tn_param_entry entry;
  uint32_t count = 0;
  for (uint32_t at = 0; entries_next(set, &at, &entry);) count++;
  if (entries->items && entries->count == count) return TN_OK;
  entries_release(entries);
  entries->items = tn_alloc((count + 1) * sizeof *entries->items);
  entries->order = tn_alloc((count + 1) * sizeof *entries->order);
  if (!entries->items || !entries->order) return TN_ERROR_MEMORY;
  entries->count = count;
  for (uint32_t i = 0; i < count; i++) {
    entries->order[i] = i;
    entries->items[i].factor = 1;
  }
  return TN_OK;
}

static inline const char *entry_begin(const struct entry *entry) { return tn_data(entry->of[0]); }

/* Lists the trainable tensors of `sets` (equal layout; the first one full, others may lack what is not
 * trained). To be called every step: it allocates only the first time, `factor` and `place` survive. */
static inline tn_status entries_collect(struct entries *entries, tn_params *const *sets, uint32_t set_count) {
  tn_status status = entries_allocate(entries, sets[0]);
  for (uint32_t s = 0; status >= 0 && s < set_count; s++) {
    uint32_t at = 0;
    tn_param_entry entry;
    for (uint32_t i = 0; i < entries->count; i++) {
      if (!entries_next(sets[s], &at, &entry))
        return tn_fail(TN_ERROR_SHAPE, "parameter sets with different tensors");
      entries->items[i].of[s] = entry.tensor;
      if (s > 0) continue;
      entries->items[i].name = entry.name;
      entries->items[i].group = entry.group;
    }
  }
  /* insertion sort: the order of the last step is still right */
  for (uint32_t i = 1; status >= 0 && i < entries->count; i++) {
    const uint32_t moved = entries->order[i];
    const char *address = entry_begin(&entries->items[moved]);
    uint32_t k = i;
    for (; k > 0 && entry_begin(&entries->items[entries->order[k - 1]]) > address; k--)
      entries->order[k] = entries->order[k - 1];
    entries->order[k] = moved;
  }
  return status;
}

/* ---- in a fused pass, whose first set is the first one of entries_collect ---- */

/* What of a run belongs to one entry. */
struct span {
  const struct entry *entry;
  int64_t first, last; /* elements first .. last - 1 of the run */
  int64_t offset;      /* of element `first` within the entry */
  uint32_t next;       /* position in the order */
};

static inline struct span entries_start(const struct entries *entries, const tn_run *run, size_t element) {
  uint32_t low = 0, high = entries->count; /* the first entry that ends behind the run's begin */
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const struct entry *entry = &entries->items[entries->order[middle]];
    const char *end = entry_begin(entry) + (size_t)entry->of[0]->numel * element;
    if (end > (const char *)run->data[0])
      high = middle;
    else
      low = middle + 1;
  }
  return (struct span){.next = low};
}

/* True if there is a further span. `element`: bytes of a number. */
static inline bool entries_span(const struct entries *entries, const tn_run *run, size_t element,
                                struct span *span) {
  if (span->next >= entries->count) return false;
  const struct entry *entry = &entries->items[entries->order[span->next++]];
  const int64_t from = (entry_begin(entry) - (const char *)run->data[0]) / (int64_t)element;
  const int64_t to = from + entry->of[0]->numel;
  if (from >= run->count) return false;
  span->entry = entry;
  span->first = from > 0 ? from : 0;
  span->last = to < run->count ? to : run->count;
  span->offset = span->first - from;
  return true;
}

/* ---- tensors as matrices (rows, everything else) ---- */

static inline int64_t entry_rows(const struct entry *entry) {
  return tn_ndim(entry->of[0]) > 0 ? tn_dim(entry->of[0], 0) : 1;
}
static inline int64_t entry_columns(const struct entry *entry) {
  const int64_t rows = entry_rows(entry);
  return rows > 0 ? entry->of[0]->numel / rows : 0;
}
static inline bool entry_is_matrix(const struct entry *entry) {
  return tn_ndim(entry->of[0]) >= 2 && entry->of[0]->numel > 0;
}

#endif
