// SPDX-License-Identifier: MIT
/* Rows drawn with replacement, each in proportion to its weight: a field of numbers holds the weights
 * themselves; a field of whole numbers (label, domain) makes its groups equally likely, so a row's weight is
 * one over its group's size. An epoch has as many draws as there are rows. */
#include "groups.h"

struct weighted {
  const char *field;
  char *data;
  int64_t rows, batch, step;
  double *sum; /* (rows): of the weights up to each row */
};
static const tn_param weighted_params[] = {
    TN_STRING(struct weighted, field, "weight", "one weight a row; or whole numbers: groups, equally likely"),
};

static void weighted_destroy(void *self) {
  struct weighted *sampler = self;
  tn_free(sampler->data);
  tn_free(sampler->sum);
  sampler->data = NULL;
  sampler->sum = NULL;
}

static tn_status take_weights(void *self, const tn_tensor *value, int64_t begin, int64_t count) {
  struct weighted *sampler = self;
  if (value->dtype != TN_F32 && value->dtype != TN_F64)
    return tn_fail(TN_ERROR_SHAPE, "'%s' does not hold numbers", sampler->field);
  for (int64_t i = 0; i < count; i++) {
    const double weight = value->dtype == TN_F64 ? tn_f64(value)[i] : (double)tn_f32(value)[i];
    if (!(weight >= 0 && isfinite(weight)))
      return tn_fail(TN_ERROR_INVALID, "'%s' is %g in row %lld, expected 0 or more", sampler->field, weight,
                     (long long)(begin + i));
    sampler->sum[begin + i] = weight;
  }
  return TN_OK;
}

static tn_status weigh_groups(struct weighted *sampler, const tn_component *data) {
  struct groups groups = {0};
  const tn_status status = groups_read(&groups, data, sampler->rows, sampler->field);
  for (int64_t g = 0; status >= 0 && g < groups.count; g++)
    for (int64_t i = groups.first[g]; i < groups.first[g + 1]; i++)
      sampler->sum[groups.rows[i]] = 1 / (double)groups_size(&groups, g);
  groups_free(&groups);
  return status;
}

static tn_status weighted_begin(void *self, const tn_component *data, int64_t rows, int64_t batch) {
  struct weighted *sampler = self;
  weighted_destroy(sampler);
  sampler->rows = rows;
  sampler->batch = batch;
  sampler->step = 0;
  sampler->data = groups_name(data);
  sampler->sum = tn_alloc((size_t)(rows + 1) * sizeof *sampler->sum);
  tn_spec *spec = tn_spec_new();
  tn_status status =
      sampler->data && sampler->sum && spec ? tn_dataset_describe(data, spec) : TN_ERROR_MEMORY;
  const tn_field_spec *field = status < 0 ? NULL : tn_spec_get(spec, sampler->field);
  if (status >= 0 && !field) status = TN_ERROR_MISSING;
  if (status >= 0)
    status = field->dtype == TN_I64 ? weigh_groups(sampler, data)
                                    : each_row(data, 0, rows, sampler->field, take_weights, sampler);
  tn_spec_release(spec);
  for (int64_t i = 1; status >= 0 && i < rows; i++) sampler->sum[i] += sampler->sum[i - 1];
  if (status >= 0 && !(sampler->sum[rows - 1] > 0))
    return tn_fail(TN_ERROR_INVALID, "the weights '%s' of all rows are 0", sampler->field);
  return status;
}

static int64_t weighted_batches(void *self) {
  const struct weighted *sampler = self;
  return (sampler->rows + sampler->batch - 1) / sampler->batch;
}

/* The first row up to which the weights add to more than x. */
static int64_t find(const struct weighted *sampler, double x) {
  int64_t low = 0, high = sampler->rows - 1;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (sampler->sum[middle] > x)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static tn_status weighted_next(void *self, int64_t *index, int64_t *count, bool *epoch_ends) {
  struct weighted *sampler = self;
  tn_rng rng = tn_rng_at(sampler->data, "weighted", (uint64_t)sampler->step);
  for (int64_t i = 0; i < sampler->batch; i++)
    index[i] = find(sampler, tn_random_uniform(&rng) * sampler->sum[sampler->rows - 1]);
  *count = sampler->batch;
  *epoch_ends = ++sampler->step % weighted_batches(sampler) == 0;
  return TN_OK;
}

static tn_status weighted_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct weighted *)self)->step);
}

static const tn_class weighted_class = {
    .size = sizeof(tn_class),
    .kind = TN_SAMPLER,
    .name = "weighted",
    .summary = "Rows drawn with replacement in proportion to their weights, or groups equally likely",
    TN_CLASS_PARAMS(weighted_params),
    .instance_size = sizeof(struct weighted),
    .vtable = &(const tn_sampler){sizeof(tn_sampler), weighted_begin, weighted_next, weighted_batches, NULL},
    .destroy = weighted_destroy,
    .state = weighted_state};
TN_PLUGIN("sampler_weighted", "1.0.0", "MIT", &weighted_class)
