// SPDX-License-Identifier: MIT
/* The rows of a data set in k folds: part `test` is the present fold, part `train` all others, part `all`
 * every row. Drawn by `split_seed` alone; with `stratified` every class is spread evenly over the folds
 * (Kohavi 1995, A study of cross-validation and bootstrap). stage.cross_validate goes through the folds;
 * elsewhere `fold` says which is present. Rows keep their order within a part. */
#include "folds.h"
#include <string.h>
#include <tenon/dataset.h>

enum { TRAIN, TEST, ALL, PARTS };
static const char *const part_names[PARTS] = {"train", "test", "all"};

struct folds {
  const tn_component *data;
  int64_t folds, fold, split_seed;
  bool stratified;

  int64_t rows;
  int64_t *fold_of;     /* (rows) */
  int64_t *part[PARTS]; /* row numbers of `data` */
  int64_t count[PARTS];
};
static const tn_param folds_params[] = {
    TN_REFERENCE(struct folds, data, TN_PARAM_REQUIRED, TN_DATASET, NULL, "what is folded, `pima:all`"),
    TN_INTEGER(struct folds, folds, "10", 2, 1e9, NULL, "how many"),
    TN_INTEGER(struct folds, fold, "0", 0, 1e9, NULL, "which one is present at first, from 0"),
    TN_BOOL(struct folds, stratified, "yes", "spread every class of `label` evenly"),
    TN_INTEGER(struct folds, split_seed, "0", 0, 1e15, NULL, "which of the possible divisions"),
};

static tn_status folds_choose(void *self, int64_t fold) {
  struct folds *data = self;
  if (fold < 0 || fold >= data->folds)
    return tn_fail(TN_ERROR_INVALID, "fold must be below %lld, got %lld", (long long)data->folds,
                   (long long)fold);
  data->fold = fold;
  for (int p = 0; p < PARTS; p++) data->count[p] = 0;
  for (int64_t i = 0; i < data->rows; i++) {
    const int p = data->fold_of[i] == fold ? TEST : TRAIN;
    data->part[p][data->count[p]++] = i;
    data->part[ALL][data->count[ALL]++] = i;
  }
  return TN_OK;
}
static int64_t folds_count(void *self) { return ((struct folds *)self)->folds; }

/* The class of each row; 0 for all if there are no labels or they do not matter. */
static tn_status read_classes(const struct folds *data, int64_t *class_of, int64_t *classes) {
  enum { BLOCK = 1024 };
  int64_t index[BLOCK];
  tn_spec *spec = tn_spec_new();
  tn_status status = spec ? tn_dataset_describe(data->data, spec) : TN_ERROR_MEMORY;
  const tn_field_spec *label = status < 0 ? NULL : tn_spec_find(spec, "label");
  const bool single = label && label->classes > 0 && label->shape.ndim == 0 && !label->ragged;
  *classes = single && data->stratified ? label->classes + 1 : 1; /* one more: unlabelled */
  for (int64_t first = 0; status >= 0 && *classes > 1 && first < data->rows; first += BLOCK) {
    const int64_t count = data->rows - first < BLOCK ? data->rows - first : BLOCK;
    for (int64_t i = 0; i < count; i++) index[i] = first + i;
    tn_scope_open();
    tn_fields *fields = tn_fields_new();
    status = tn_dataset_read(data->data, index, count, fields);
    const tn_tensor *values = status < 0 ? NULL : tn_field(fields, "label");
    if (status >= 0 && tn_poisoned(values)) status = TN_ERROR_MISSING;
    for (int64_t i = 0; status >= 0 && i < count; i++)
      class_of[first + i] = tn_i64(values)[i] < 0 ? *classes - 1 : tn_i64(values)[i];
    tn_scope_close();
  }
  tn_spec_release(spec);
  return status;
}

/* Deals the rows of one class after the other, in random order, to the folds in turn. */
static void deal(struct folds *data, const int64_t *order, const int64_t *class_of, int64_t classes) {
  int64_t next = 0;
  for (int64_t c = 0; c < classes; c++)
    for (int64_t i = 0; i < data->rows; i++)
      if (class_of[order[i]] == c) data->fold_of[order[i]] = next++ % data->folds;
}

static tn_status folds_create(void *self) {
  struct folds *data = self;
  data->rows = tn_dataset_rows(data->data);
  if (data->rows < 0) return TN_ERROR_MISSING;
  if (data->rows < data->folds)
    return tn_fail(TN_ERROR_INVALID, "'%s' has %lld rows for %lld folds", data->data->name,
                   (long long)data->rows, (long long)data->folds);
  const size_t bytes = (size_t)data->rows * sizeof(int64_t);
  int64_t *order = tn_alloc(bytes), *class_of = tn_alloc(bytes), classes = 1;
  data->fold_of = tn_alloc(bytes);
  bool made = order && class_of && data->fold_of;
  for (int p = 0; p < PARTS; p++) made &= (data->part[p] = tn_alloc(bytes)) != NULL;
  tn_status status = made ? read_classes(data, class_of, &classes) : TN_ERROR_MEMORY;
  if (status >= 0) {
    tn_rng rng = {.key = 0x666f6c6473000000u ^ (uint64_t)data->split_seed};
    tn_random_permutation(&rng, order, data->rows);
    deal(data, order, class_of, classes);
    status = folds_choose(data, data->fold);
  }
  tn_free(order);
  tn_free(class_of);
  return status;
}

static void folds_destroy(void *self) {
  struct folds *data = self;
  tn_free(data->fold_of);
  for (int p = 0; p < PARTS; p++) tn_free(data->part[p]);
}

static int part_of(const char *name) {
  for (int p = 0; p < PARTS; p++)
    if (strcmp(*name ? name : "train", part_names[p]) == 0) return p;
  tn_fail(TN_ERROR_MISSING, "no part '%s'; there are train, test, all", name);
  return -1;
}

static int64_t folds_rows(void *self, const char *part) {
  const int p = part_of(part);
  return p < 0 ? TN_ERROR_MISSING : ((struct folds *)self)->count[p];
}

static tn_status folds_describe(void *self, const char *part, tn_spec *spec) {
  return part_of(part) < 0 ? TN_ERROR_MISSING : tn_dataset_describe(((struct folds *)self)->data, spec);
}

static tn_status folds_read(void *self, const char *part, const int64_t *index, int64_t count,
                            tn_fields *fields) {
  const struct folds *data = self;
  const int p = part_of(part);
  if (p < 0) return TN_ERROR_MISSING;
  int64_t *rows = tn_alloc((size_t)count * sizeof *rows);
  if (!rows) return TN_ERROR_MEMORY;
  for (int64_t i = 0; i < count; i++) rows[i] = data->part[p][index[i]];
  const tn_status status = tn_dataset_read(data->data, rows, count, fields);
  tn_free(rows);
  return status;
}

static const char *folds_part(void *self, uint32_t i) {
  (void)self;
  return i < PARTS ? part_names[i] : NULL;
}

static const char *folds_class_name(void *self, const char *field, int64_t label) {
  return tn_dataset_class_name(((struct folds *)self)->data, field, label);
}

static const void *folds_extension(void *self, const char *id) {
  static const tn_folds table = {sizeof table, folds_count, folds_choose};
  (void)self;
  return strcmp(id, TN_FOLDS) == 0 ? &table : NULL;
}

static tn_status folds_state(void *self, const tn_visitor *visitor) {
  struct folds *data = self;
  const tn_status status = tn_visit_integer(visitor, "fold", &data->fold);
  return status >= 0 && visitor->loading ? folds_choose(data, data->fold) : status;
}

static const tn_dataset folds_table = {.size = sizeof(tn_dataset),
                                       .rows = folds_rows,
                                       .describe = folds_describe,
                                       .read = folds_read,
                                       .part = folds_part,
                                       .class_name = folds_class_name};
static const tn_class folds_class = {.size = sizeof(tn_class),
                                     .kind = TN_DATASET,
                                     .name = "folds",
                                     .summary = "A data set in k folds, for cross-validation",
                                     .reference = "Kohavi 1995, A study of cross-validation and bootstrap",
                                     TN_CLASS_PARAMS(folds_params),
                                     .instance_size = sizeof(struct folds),
                                     .vtable = &folds_table,
                                     .create = folds_create,
                                     .destroy = folds_destroy,
                                     .state = folds_state,
                                     .extension = folds_extension};
TN_PLUGIN("dataset_folds", "1.0.0", "MIT", &folds_class)
