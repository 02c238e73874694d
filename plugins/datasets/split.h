// SPDX-License-Identifier: MIT
/* Rows dealt to the parts train, validation, test; the same for every run with the same seed. */
#ifndef TENON_PLUGINS_SPLIT_H
#define TENON_PLUGINS_SPLIT_H

#include <string.h>
#include <tenon/dataset.h>

enum { PART_TRAIN, PART_VALIDATION, PART_TEST, PART_ALL, PART_COUNT, PART_UNUSED };

struct split {
  int64_t *rows[PART_COUNT]; /* row numbers, ascending */
  int64_t count[PART_COUNT];
};

static inline void split_free(struct split *split) {
  for (int p = 0; p < PART_COUNT; p++) tn_free(split->rows[p]);
}

/* The part that a reference names; "" is the main part; negative, with an error, if there is none. */
static inline int split_part(const struct split *split, const char *name) {
  static const char *const names[PART_COUNT] = {"train", "validation", "test", "all"};
  for (int p = 0; p < PART_COUNT; p++)
    if (strcmp(*name ? name : "train", names[p]) == 0 && split->count[p] > 0) return p;
  tn_fail(TN_ERROR_MISSING, "no part '%s'; there are train, all%s%s", name,
          split->count[PART_VALIDATION] > 0 ? ", validation" : "",
          split->count[PART_TEST] > 0 ? ", test" : "");
  return -1;
}
static inline const char *split_name(const struct split *split, uint32_t i) {
  static const char *const names[PART_COUNT] = {"train", "validation", "test", "all"};
  for (int p = 0; p < PART_COUNT; p++)
    if (split->count[p] > 0 && i-- == 0) return names[p];
  return NULL;
}

/* A number of rows out of `total`; 0 if none were asked for. */
static inline int64_t split_size(tn_count count, int64_t total) {
  return count.number > 0 || count.fraction > 0 ? tn_count_of(count, total) : 0;
}

/* Takes `wanted` rows for part `part` out of those that are still PART_TRAIN, each class its share by the
 * method of largest remainders. `order` holds all rows in random order, `class_of` a class below `classes`
 * a row. */
static inline tn_status split_take(int8_t *part_of, const int64_t *order, const int64_t *class_of,
                                   int64_t rows, int64_t classes, int64_t wanted, int8_t part) {
  int64_t *left = tn_alloc((size_t)classes * sizeof *left), *take = tn_alloc((size_t)classes * sizeof *take);
  double *remainder = tn_alloc((size_t)classes * sizeof *remainder);
  if (!left || !take || !remainder) {
    tn_free(left);
    tn_free(take);
    tn_free(remainder);
    return TN_ERROR_MEMORY;
  }
  int64_t total = 0, taken = 0;
  for (int64_t i = 0; i < rows; i++)
    if (part_of[i] == PART_TRAIN) left[class_of[i]]++, total++;
  for (int64_t c = 0; c < classes; c++) {
    const double quota = (double)wanted * (double)left[c] / (double)total;
    take[c] = (int64_t)quota;
    remainder[c] = take[c] < left[c] ? quota - (double)take[c] : -1;
    taken += take[c];
  }
  while (taken < wanted) {
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
      if (remainder[c] > remainder[best]) best = c;
    take[best]++;
    remainder[best] = -1;
    taken++;
  }
  for (int64_t i = 0; i < rows; i++) {
    const int64_t row = order[i];
    if (part_of[row] != PART_TRAIN || take[class_of[row]] == 0) continue;
    part_of[row] = part;
    take[class_of[row]]--;
  }
  tn_free(left);
  tn_free(take);
  tn_free(remainder);
  return TN_OK;
}

/* Fills `split` from the part of each row. */
static inline tn_status split_collect(struct split *split, const int8_t *part_of, int64_t rows) {
  for (int p = 0; p < PART_COUNT; p++) {
    int64_t count = 0;
    for (int64_t i = 0; i < rows; i++) count += p == PART_ALL || part_of[i] == p;
    split->count[p] = count;
    split->rows[p] = tn_alloc((size_t)(count + 1) * sizeof(int64_t));
    if (!split->rows[p]) return TN_ERROR_MEMORY;
    count = 0;
    for (int64_t i = 0; i < rows; i++)
      if (p == PART_ALL || part_of[i] == p) split->rows[p][count++] = i;
  }
  return TN_OK;
}

/* Deals rows 0 .. rows - 1: the last `fixed_test` of them are part test, of the others `test` and
 * `validation` are drawn; with `train` only so many of what is left are used. `class_of` (rows): a class
 * below `classes` each, or NULL: not stratified. */
static inline tn_status split_make(struct split *split, int64_t rows, int64_t fixed_test, tn_count train,
                                   tn_count test, tn_count validation, const int64_t *class_of,
                                   int64_t classes, uint64_t seed) {
  const int64_t own = rows - fixed_test;
  const int64_t tests = fixed_test > 0 ? 0 : split_size(test, own), validations = split_size(validation, own);
  if (tests + validations >= own)
    return tn_fail(TN_ERROR_INVALID, "%lld test and %lld validation rows leave none of %lld to train on",
                   (long long)tests, (long long)validations, (long long)own);
  const int64_t left = own - tests - validations, trains = split_size(train, left);
  int8_t *part_of = tn_alloc((size_t)rows);
  int64_t *order = tn_alloc((size_t)rows * sizeof *order);
  int64_t *one_class = class_of ? NULL : tn_alloc((size_t)rows * sizeof *one_class);
  tn_status status = part_of && order && (class_of || one_class) ? TN_OK : TN_ERROR_MEMORY;
  if (status == TN_OK) {
    tn_rng rng = {.key = 0x73706c6974000000u ^ seed, .step = 0, .position = 0};
    tn_random_permutation(&rng, order, own);
    memset(part_of, PART_TRAIN, (size_t)own);
    memset(part_of + own, PART_TEST, (size_t)fixed_test);
    const int64_t *strata = class_of ? class_of : one_class;
    const int64_t count = class_of ? classes : 1;
    if (tests > 0) status = split_take(part_of, order, strata, own, count, tests, PART_TEST);
    if (status == TN_OK && validations > 0)
      status = split_take(part_of, order, strata, own, count, validations, PART_VALIDATION);
  }
  if (status == TN_OK && trains > 0 && trains < left) {
    const int64_t *strata = class_of ? class_of : one_class;
    status = split_take(part_of, order, strata, own, class_of ? classes : 1, left - trains, PART_UNUSED);
  }
  if (status == TN_OK) status = split_collect(split, part_of, rows);
  tn_free(part_of);
  tn_free(order);
  tn_free(one_class);
  return status;
}

#endif
