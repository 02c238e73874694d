// SPDX-License-Identifier: MIT
/* Rows dealt to the parts train, validation, test: one mechanism for all data sets. The same for every run
 * with the same keys: the run's seed has no part in it. */
#ifndef TENON_PLUGINS_SPLIT_H
#define TENON_PLUGINS_SPLIT_H

#include <string.h>
#include <tenon/dataset.h>

enum { PART_TRAIN, PART_VALIDATION, PART_TEST, PART_ALL, PART_COUNT, PART_UNUSED };
enum { ORDER_SHUFFLED, ORDER_FILE };

struct split_keys {
  tn_count train, validation, test;
  int64_t split_seed;
  int32_t order;
  bool stratified, balanced;
};

/* The keys, for a data set `type` with a member `member` of struct split_keys; `tests` and `sequence` are the
 * defaults of `test` and `order`. */
#define SPLIT_KEY(type, member, key, kind, fallback, most, choices, doc) \
  { #key, kind, 0, offsetof(type, member.key), fallback, 0, most, choices, NULL, NULL, doc }
#define SPLIT_PARAMS(type, member, tests, sequence)                                                          \
  SPLIT_KEY(type, member, train, TN_PARAM_COUNT, "0", INFINITY, NULL,                                        \
            "rows of part `train` to use, or their share; 0: all that the other parts leave"),               \
      SPLIT_KEY(type, member, validation, TN_PARAM_COUNT, "0", INFINITY, NULL,                               \
                "rows of part `validation`, or their share of all rows; 0: none"),                           \
      SPLIT_KEY(type, member, test, TN_PARAM_COUNT, tests, INFINITY, NULL,                                   \
                "rows of part `test`, or their share of all rows; 0: none. Where test rows come from files " \
                "of their own: how many of them, 0 or a share: all"),                                        \
      SPLIT_KEY(type, member, order, TN_PARAM_CHOICE, sequence, INFINITY, "shuffled|file",                   \
                "how rows are chosen: drawn by split_seed; or the first for `train`, the last for `test`, "  \
                "those in front of them for `validation`"),                                                  \
      SPLIT_KEY(type, member, split_seed, TN_PARAM_INTEGER, "0", 1e15, NULL,                                 \
                "which of the possible draws; independent of the run's seed"),                               \
      SPLIT_KEY(type, member, stratified, TN_PARAM_BOOL, "yes", 1, NULL,                                     \
                "give every class its share of every part that is drawn"),                                   \
      SPLIT_KEY(type, member, balanced, TN_PARAM_BOOL, "no", 1, NULL,                                        \
                "give every class equally many rows of every part")

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

/* ---- dealing ---- */

struct split_deal {
  const struct split_keys *keys;
  int8_t *part_of;   /* (rows) */
  int64_t *order;    /* (rows): in which rows are taken away from part `train`, or from the test file */
  int64_t *class_of; /* (rows): below `classes`, or `classes`: unlabelled; all 0 if classes do not matter */
  int64_t classes;
  int64_t *left, *take; /* (classes + 1) */
  double *remainder;    /* (classes + 1) */
};

/* Each class its share of `wanted` by the method of largest remainders. */
static inline void split_shares(struct split_deal *deal, int64_t wanted, int64_t total) {
  int64_t taken = 0;
  for (int64_t c = 0; c <= deal->classes; c++) {
    const double quota = (double)wanted * (double)deal->left[c] / (double)total;
    deal->take[c] = (int64_t)quota;
    deal->remainder[c] = deal->take[c] < deal->left[c] ? quota - (double)deal->take[c] : -1;
    taken += deal->take[c];
  }
  while (taken < wanted) {
    int64_t best = 0;
    for (int64_t c = 1; c <= deal->classes; c++)
      if (deal->remainder[c] > deal->remainder[best]) best = c;
    deal->take[best]++;
    deal->remainder[best] = -1;
    taken++;
  }
}

/* Each class the same number; those in front one more if it does not come out even. */
static inline tn_status split_even(struct split_deal *deal, int64_t wanted) {
  for (int64_t c = 0; c < deal->classes; c++) {
    deal->take[c] = wanted / deal->classes + (c < wanted % deal->classes);
    if (deal->take[c] > deal->left[c])
      return tn_fail(TN_ERROR_INVALID, "balanced: %lld rows of class %lld are wanted, %lld are left",
                     (long long)deal->take[c], (long long)c, (long long)deal->left[c]);
  }
  deal->take[deal->classes] = 0;
  return TN_OK;
}

/* Of the rows order[first .. end) that are in part `from`: gives `wanted` to part `to`; or, with `keep`,
 * leaves `wanted` where they are and gives the others to `to`. */
static inline tn_status split_move(struct split_deal *deal, int64_t first, int64_t end, int8_t from,
                                   int64_t wanted, bool keep, int8_t to) {
  int64_t total = 0;
  memset(deal->left, 0, (size_t)(deal->classes + 1) * sizeof *deal->left);
  for (int64_t i = first; i < end; i++)
    if (deal->part_of[i] == from) deal->left[deal->class_of[i]]++, total++;
  tn_status status = TN_OK;
  if (deal->keys->balanced)
    status = split_even(deal, wanted);
  else
    split_shares(deal, wanted, total);
  for (int64_t c = 0; keep && c <= deal->classes; c++) deal->take[c] = deal->left[c] - deal->take[c];
  for (int64_t i = first; status == TN_OK && i < end; i++) {
    const int64_t row = deal->order[i];
    if (deal->part_of[row] != from || deal->take[deal->class_of[row]] == 0) continue;
    deal->part_of[row] = to;
    deal->take[deal->class_of[row]]--;
  }
  return status;
}

/* The most rows, as many of each class, that part `train` can have. */
static inline int64_t split_even_most(const struct split_deal *deal, int64_t own) {
  memset(deal->left, 0, (size_t)(deal->classes + 1) * sizeof *deal->left);
  for (int64_t i = 0; i < own; i++)
    if (deal->part_of[i] == PART_TRAIN) deal->left[deal->class_of[i]]++;
  int64_t least = INT64_MAX;
  for (int64_t c = 0; c < deal->classes; c++)
    if (deal->left[c] < least) least = deal->left[c];
  return least * deal->classes;
}

/* The first `own` rows to the three parts, those behind them to part test. */
static inline tn_status split_deal_rows(struct split_deal *deal, int64_t rows, int64_t own) {
  const struct split_keys *keys = deal->keys;
  const int64_t fixed = rows - own;
  const int64_t tests = fixed > 0 ? 0 : split_size(keys->test, own),
                validations = split_size(keys->validation, own);
  if (tests + validations >= own)
    return tn_fail(TN_ERROR_INVALID, "%lld test and %lld validation rows leave none of %lld to train on",
                   (long long)tests, (long long)validations, (long long)own);
  memset(deal->part_of, PART_TRAIN, (size_t)own);
  memset(deal->part_of + own, PART_TEST, (size_t)fixed);
  tn_status status = TN_OK;
  if (tests > 0) status = split_move(deal, 0, own, PART_TRAIN, tests, false, PART_TEST);
  if (status == TN_OK && validations > 0)
    status = split_move(deal, 0, own, PART_TRAIN, validations, false, PART_VALIDATION);
  const int64_t left = own - tests - validations;
  if (keys->train.number > left)
    return tn_fail(TN_ERROR_INVALID, "train = %lld: %lld test and %lld validation rows leave %lld of %lld",
                   (long long)keys->train.number, (long long)tests, (long long)validations, (long long)left,
                   (long long)own);
  int64_t trains = split_size(keys->train, left);
  if (trains == 0) trains = keys->balanced ? split_even_most(deal, own) : left;
  if (status == TN_OK && trains < 1) status = tn_fail(TN_ERROR_INVALID, "no rows are left to train on");
  if (status == TN_OK && trains < left)
    status = split_move(deal, 0, own, PART_TRAIN, trains, true, PART_UNUSED);
  if (status == TN_OK && keys->test.number > 0 && keys->test.number < fixed)
    status = split_move(deal, own, rows, PART_TEST, keys->test.number, true, PART_UNUSED);
  return status;
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

/* Which rows go first when a part is taken away from `train`: in the order of the file the last. */
static inline void split_sequence(const struct split_keys *keys, int64_t *order, int64_t rows, int64_t own) {
  tn_rng rng = {.key = 0x73706c6974000000u ^ (uint64_t)keys->split_seed, .step = 0, .position = 0};
  if (keys->order == ORDER_SHUFFLED) {
    tn_random_permutation(&rng, order, own);
    tn_random_permutation(&rng, order + own, rows - own);
    for (int64_t i = own; i < rows; i++) order[i] += own;
  } else {
    for (int64_t i = 0; i < own; i++) order[i] = own - 1 - i;
    for (int64_t i = own; i < rows; i++) order[i] = rows - 1 - (i - own);
  }
}

/* Deals rows 0 .. rows - 1, of which the last `fixed_test` are part test. labels (rows): classes below
 * `classes`, -1 for none; or NULL. */
static inline tn_status split_make(struct split *split, const struct split_keys *keys, int64_t rows,
                                   int64_t fixed_test, const int64_t *labels, int64_t classes) {
  const bool by_class = labels && (keys->balanced || (keys->stratified && keys->order == ORDER_SHUFFLED));
  if (keys->balanced && (!labels || classes < 1))
    return tn_fail(TN_ERROR_INVALID, "balanced: the rows have no labels");
  const size_t strata = (size_t)(by_class ? classes : 0) + 1;
  struct split_deal deal = {.keys = keys,
                            .part_of = tn_alloc((size_t)rows),
                            .order = tn_alloc((size_t)rows * sizeof(int64_t)),
                            .class_of = tn_alloc((size_t)rows * sizeof(int64_t)),
                            .classes = by_class ? classes : 0,
                            .left = tn_alloc(strata * sizeof(int64_t)),
                            .take = tn_alloc(strata * sizeof(int64_t)),
                            .remainder = tn_alloc(strata * sizeof(double))};
  tn_status status = TN_ERROR_MEMORY;
  if (deal.part_of && deal.order && deal.class_of && deal.left && deal.take && deal.remainder) {
    for (int64_t i = 0; by_class && i < rows; i++) deal.class_of[i] = labels[i] < 0 ? classes : labels[i];
    split_sequence(keys, deal.order, rows, rows - fixed_test);
    status = split_deal_rows(&deal, rows, rows - fixed_test);
  }
  if (status == TN_OK) status = split_collect(split, deal.part_of, rows);
  tn_free(deal.part_of);
  tn_free(deal.order);
  tn_free(deal.class_of);
  tn_free(deal.left);
  tn_free(deal.take);
  tn_free(deal.remainder);
  return status;
}

#endif
