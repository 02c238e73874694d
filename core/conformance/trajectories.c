// SPDX-License-Identifier: MIT
/* Made-up trajectories, packed as tenon/trajectory.h says: of two to four transitions, and every visited
 * state but the source has two parents, the one before it and one that was not visited. What a transition
 * holds depends on its trajectory's row and its place in it only. */
#include "core/conformance/data.h"
#include <string.h>

enum { ACTIONS = 4, MOST = 64, LONGEST = 4 };
static int64_t length_of(int64_t row) { return 2 + row % (LONGEST - 1); }

static void set(tn_tensor *x, int64_t at, double value) {
  if (x->dtype == TN_F32) tn_f32(x)[at] = (float)value;
  if (x->dtype == TN_F64) tn_f64(x)[at] = value;
  if (x->dtype == TN_I64) tn_i64(x)[at] = (int64_t)value;
}

/* (count, width) numbers; row[i], place[i]: what element i is of. */
static void add(const tn_trial *t, tn_fields *fields, const char *name, int64_t count, int64_t width,
                const int64_t *row, const int64_t *place) {
  tn_tensor *x = tn_empty(TN_FLOAT, width > 0 ? TN_SHAPE(count, width) : TN_SHAPE(count));
  const int64_t each = width > 0 ? width : 1;
  for (int64_t i = 0; i < count && !tn_poisoned(x); i++)
    for (int64_t k = 0; k < each; k++) {
      const uint64_t key = (uint64_t)((row[i] * 2 * LONGEST + place[i]) * each + k);
      double value = tn_trial_normal(t, name, key);
      if (strcmp(name, "log_pf") == 0 || strcmp(name, "log_pb") == 0) value = -value * value;
      if (strcmp(name, "entropy") == 0) value *= value;
      set(x, i * each + k, value);
    }
  tn_fields_set(fields, name, x);
}
static tn_tensor *add_index(tn_fields *fields, const char *name, int64_t count) {
  tn_tensor *x = tn_empty(TN_I64, TN_SHAPE(count));
  tn_fields_set(fields, name, x);
  return x;
}

tn_fields *tn_trajectory_fields(const tn_trial *t, const int64_t *index, int64_t n) {
  static const char *const of_transitions[] = {"log_pf", "log_pb", "log_flow", "entropy"};
  static const char *const of_objects[] = {"log_reward", "utility"};
  static const int64_t zeros[MOST];
  int64_t row[2 * LONGEST * MOST], place[2 * LONGEST * MOST], count = 0, edges = 0;
  tn_fields *fields = tn_fields_new();
  for (int64_t i = 0; i < n; i++) count += length_of(index[i]);
  tn_tensor *number = add_index(fields, "trajectory", count), *offset = add_index(fields, "offset", n + 1),
            *action = add_index(fields, "action", count);
  tn_i64(offset)[0] = 0;
  for (int64_t i = 0, k = 0; i < n; i++) {
    for (int64_t p = 0; p < length_of(index[i]); p++, k++) {
      row[k] = index[i], place[k] = p;
      tn_i64(number)[k] = i;
      tn_i64(action)[k] = (int64_t)tn_trial_random(t, "action", (uint64_t)(index[i] * LONGEST + p), ACTIONS);
    }
    tn_i64(offset)[i + 1] = k;
  }
  for (uint32_t f = 0; f < TN_ARRAY_LENGTH(of_transitions); f++)
    add(t, fields, of_transitions[f], count, 0, row, place);
  for (uint32_t f = 0; f < TN_ARRAY_LENGTH(of_objects); f++)
    add(t, fields, of_objects[f], n, 0, index, zeros);
  add(t, fields, "condition", n, 3, index, zeros);

  const int64_t inner = count - n;
  tn_tensor *child = add_index(fields, "parent.child", 2 * inner),
            *parent = add_index(fields, "parent.row", 2 * inner),
            *taken = add_index(fields, "parent.action", 2 * inner);
  for (int64_t k = 0, other = count; k < count; k++) {
    if (place[k] == 0) continue;
    row[other] = row[k], place[other] = LONGEST + place[k];
    tn_i64(child)[edges] = tn_i64(child)[edges + 1] = k;
    tn_i64(parent)[edges] = k - 1, tn_i64(parent)[edges + 1] = other++;
    tn_i64(taken)[edges] = tn_i64(action)[k - 1], tn_i64(taken)[edges + 1] = tn_i64(action)[k];
    edges += 2;
  }
  add(t, fields, "logits", count + inner, ACTIONS, row, place);
  return fields;
}
