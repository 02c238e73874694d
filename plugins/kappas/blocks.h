// SPDX-License-Identifier: MIT
/* What K is taken of: each trainable tensor of a set, or all that have weight decay, and all that have none,
 * as one vector. */
#ifndef TENON_PLUGINS_KAPPA_BLOCKS_H
#define TENON_PLUGINS_KAPPA_BLOCKS_H

#include <string.h>
#include <tenon/kappa.h>

enum { BLOCKS_MOST = 4096 };
struct block_walk {
  const tn_params *layout;
  bool global;
  uint32_t next;
  tn_param_entry entry; /* the block's first tensor */
  tn_group group;       /* of the block */
};

static inline struct block_walk blocks_start(const tn_params *layout, bool global) {
  return (struct block_walk){.layout = layout, .global = global};
}
/* True if there is a further block. */
static inline bool blocks_next(struct block_walk *walk) {
  if (walk->global) {
    while (walk->next <= TN_NO_DECAY) {
      walk->group = (tn_group)walk->next++;
      for (uint32_t i = 0; i < tn_params_count(walk->layout); i++)
        if (tn_params_entry(walk->layout, i, &walk->entry) >= 0 && walk->entry.group == walk->group)
          return true;
    }
    return false;
  }
  while (walk->next < tn_params_count(walk->layout)) {
    if (tn_params_entry(walk->layout, walk->next++, &walk->entry) < 0) return false;
    walk->group = walk->entry.group;
    if (walk->group <= TN_NO_DECAY) return true;
  }
  return false;
}

/* The name of the block for people. */
static inline const char *block_name(const struct block_walk *walk) {
  return !walk->global ? walk->entry.name : walk->group == TN_DECAY ? "decayed" : "rest";
}

/* The block of a set of the same layout: the tensor itself, or a vector in the order of the entries. */
static inline tn_tensor *block_of(const struct block_walk *walk, const tn_params *set) {
  if (!walk->global) return tn_param_tensor(set, walk->next - 1);
  tn_tensor *parts[BLOCKS_MOST];
  uint32_t count = 0;
  tn_param_entry entry;
  for (uint32_t i = 0; i < tn_params_count(set) && count < BLOCKS_MOST; i++)
    if (tn_params_entry(set, i, &entry) >= 0 && entry.group == walk->group)
      parts[count++] = tn_reshape(entry.tensor, TN_SHAPE(entry.tensor->numel));
  return count == 1 ? parts[0] : tn_concatenate(parts, count, 0);
}

/* Calls write(to, from, first) for each tensor of the block in `set`, `first` being where it begins in
 * `value`. */
static inline void block_each(const struct block_walk *walk, const tn_params *set, const tn_tensor *value,
                              void (*write)(tn_tensor *to, const tn_tensor *value, int64_t first)) {
  int64_t first = 0;
  tn_param_entry entry;
  if (!walk->global) {
    write(tn_param_tensor(set, walk->next - 1), value, 0);
    return;
  }
  for (uint32_t i = 0; i < tn_params_count(set); i++) {
    if (tn_params_entry(set, i, &entry) < 0 || entry.group != walk->group) continue;
    write(entry.tensor, value, first);
    first += entry.tensor->numel;
  }
}

#endif
